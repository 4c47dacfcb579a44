"""Measuring: what was put on a disc is what is counted; inputs are recognised, hostile ones end in one line; logs, history, plans.

Damage is synthetic (`disc.damage`), so the truth is known; the command is run as a user runs it.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parts.cli.command import tanken_command
from tests.parts.disc.inside import tanken_inside

from tanken.base.errors import InputError, TankenError, UsageError
from tanken.disc import classify, damage, features, geometry, history, inputs, logs, measure, media, plan, press, training
from tanken.disc.cd import channel, subcode
from tanken.disc.dvd import block
from tanken.disc.polar import Grid
from tanken.disc.summary import scale, summarise, windows
from tanken.view import disc as view
from tanken.view.png import png

IMAGE = np.random.default_rng(3).integers(0, 256, 40 * 32768, dtype=np.uint8).tobytes()
CLEAN = b"".join(press.press_dvd(IMAGE))


def measured(path: Path) -> measure.Measurement:
    source = inputs.read(str(path))
    made = measure.begin(source)
    assert list(measure.run(source, made)) == made.lines
    return made


def cd(image: bytes, *rest: object) -> bytes:
    return b"".join(press.press_cd(image, *rest))  # type: ignore[arg-type]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_counts_are_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    raw = np.frombuffer(CLEAN, dtype=np.uint8).reshape(40, 208, 182).copy()  # rows as recorded
    raw[3, 5, 7] ^= 1
    raw[3, 6, 7:10] ^= 1
    raw[9, 20:32] = rng.integers(0, 256, (12, 182))
    made = measured(write(tmp_path / "a.raw", raw.tobytes()))
    assert [line.pi for line in made.lines if isinstance(line, measure.BlockLine) and line.pi] == [2, 12]
    assert made.lines[9].pif in (11, 12) and made.lines[9].po == 182 and not made.column("edc_bad").any()
    assert made.bursts[1] >= 1 and made.bursts[3] == 1 and made.longest > 170 and made.grid.wrong.sum() == 14
    found = summarise(made)
    assert found.pi_total == 14 and found.pi_sum8_max == 14 and found.verdict.startswith("within ECMA-267")
    assert summarise(made, "dvd+r").verdict.startswith("outside ECMA-349: 1") and "PI failures" in summarise(made, "dvd+r").verdict


@pytest.mark.parametrize(("form", "name"), [("2064", "dvd2064"), ("2366", "dvd2366"), ("2384", "dvd2384"), ("t", "dvdt")])
def test_forms_are_recognised(tmp_path: Path, form: str, name: str) -> None:
    path = write(tmp_path / "disc", b"".join(press.press_dvd(IMAGE[: 4 * 32768], form)))
    made = measured(path)
    assert made.form == name and len(made.lines) == 4 and (made.lines[0].pi is None) == (form == "2064") and not made.column("edc_bad").any()
    assert ("no parity" in " ".join(made.notes)) == (form == "2064")


def test_cd_from_the_channel(tmp_path: Path) -> None:
    path = write(tmp_path / "a.efm", cd(IMAGE[: 2048 * 160], [damage.parse("jitter:level=0.001")]))
    made = measured(path)
    assert made.form == "efm" and len(made.lines) == 3
    found = summarise(made)
    assert found.c1 is not None and 150 < found.c1["e11"] / 2.13 < 350 and found.edc_bad == 0 and found.c2 is not None and found.c2["cu"] == 0
    assert json.loads(tanken_inside("measure", str(path), "--json").stdout.splitlines()[0])["c1"]["e11"] == made.lines[0].c1["e11"]  # type: ignore[union-attr,index]


def test_sheets_subcode_and_pointers(tmp_path: Path) -> None:
    channel = cd(IMAGE[: 2048 * 80])
    write(tmp_path / "a.efm", channel)
    assert tanken_inside("check", str(tmp_path / "a.efm"), "--repair", "-o", str(tmp_path / "a.bin")).returncode == 0
    sectors = np.fromfile(tmp_path / "a.bin", dtype=np.uint8).reshape(-1, 2352)
    assert len(sectors) == 80
    write(tmp_path / "a.cue", b'FILE "a.bin" BINARY\n  TRACK 01 MODE1/2352\n    INDEX 01 00:00:00\n')
    marks = np.zeros((80, 294), dtype=np.uint8)
    marks[3, 40:50] = 0xFF
    write(tmp_path / "a.c2", marks.tobytes())
    write(tmp_path / "a.sub", subcode.of_sectors(80).tobytes())
    made = measured(tmp_path / "a.cue")
    assert [line.c2_pointers for line in made.lines] == [80, 0] and [line.q_bad for line in made.lines] == [0, 0]  # type: ignore[union-attr]
    shown = tanken_inside("show", str(tmp_path / "a.cue")).stdout.decode()
    assert "01 MODE1/2352" in shown and "subcode, C2 pointers" in shown and "mode 1 75" not in shown
    sectors[3, 320:400] ^= 0x55  # what the pointers mark: 80 bytes, 40 words of P and Q
    sectors.tofile(tmp_path / "a.bin")
    result = tanken_inside("check", str(tmp_path / "a.cue"), "--repair", "-o", str(tmp_path / "b.bin"))
    assert result.returncode == 0 and b"1 bad" in result.stdout
    write(tmp_path / "bad.cue", b'FILE "/etc/passwd" BINARY\n')
    assert tanken_inside("measure", str(tmp_path / "bad.cue")).stderr.count(b"\n") == 1


def test_interrupted_measurement_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.raw", b"".join(press.press_dvd(IMAGE, damages=[damage.parse("jitter")])) * 4)
    source = inputs.read(str(path))
    whole = measured(path)
    half = measure.begin(source)
    for count, _ in enumerate(measure.run(source, half)):
        if count == 128:
            break
    again = measure.Measurement.restore(json.dumps(half.state()), "state")
    again.lines = again.lines[:128]
    again.grid = Grid()  # what was counted before the last whole chunk is counted anew below
    list(measure.run(source, again))
    assert [line.items() for line in again.lines] == [line.items() for line in whole.lines]
    with pytest.raises(InputError, match="no state"):
        measure.Measurement.restore('{"kind": "dvd"}', "x")
    state = tmp_path / "state.json"
    first = tanken_inside("measure", str(path), "--state", str(state), "--json").stdout
    assert state.exists() and tanken_inside("measure", str(path), "--state", str(state), "--json").stdout == first


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 2**32 - 1), st.sampled_from(sorted(inputs.FORMATS)))
def test_any_bytes_give_a_result_or_one_error(tmp_path_factory: pytest.TempPathFactory, junk: bytes, seed: int, form: str) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(CLEAN[: int(rng.integers(0, 60_000))])
    for _ in range(int(rng.integers(0, 30))):
        if data:
            data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
    path = write(tmp_path_factory.mktemp("fuzz") / "x", bytes(data) + junk)
    try:
        source = inputs.read(str(path), form)
        made = measure.begin(source)
        list(measure.run(source, made))
        summarise(made)
        classify.classify(made)
    except TankenError as error:
        assert "\n" not in str(error)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=300) | st.sampled_from([
    "<qpxdata>", "<qpxdata><errc/></qpxdata>", '<qpxdata><tests><errc data="9e99"><d>0,1,2,3,4,5,6,7,8,1e400</d></errc></tests></qpxdata>',
    '<qpxdata><tests><errc><d>0,1,2,3,4,5,6,7,8,9</d><d>nan,1,2,3,4,5,6,7,8,9</d></errc></tests></qpxdata>', "lba,pie,pif\n1,nan,inf\n", "a,b\n" * 9,
]))  # fmt: skip
def test_any_log_gives_a_result_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("log") / "x.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        made = logs.read(str(path))
        if made is not None:
            summarise(made)
    except TankenError as error:
        assert "\n" not in str(error)


def test_scan_logs(tmp_path: Path) -> None:
    def qpx(media: str, data: int, rows: list[str]) -> Path:
        path = tmp_path / "a.qpx"
        path.write_text(f'''<?xml version="1.0" encoding="UTF-8"?>
<qpxdata><device><identify type="local" path="/dev/sr0"/></device>
    <media><identify type="{media}" category="{media} SL" mid="X" label=""/></media>
    <tests><rt speed="8" time="1.00"><d>0,3.30,4571</d></rt><errc speed="8" time="41.20" data="{data}">{"".join(f"<d>{row}</d>" for row in rows)}</errc></tests>
</qpxdata>''')
        return path

    path = qpx("DVD+R", 0, ["0,3.31,0,30,0,1,0,0,0,0", "16,3.32,0,300,0,5,2,0,0,0", "32,3.32,0,30,0,0,0,0,0,1"])
    made = logs.read(str(path))
    assert made is not None and [(line.pi, line.pif, line.po, line.pof) for line in made.lines] == [(30, 1, 0, 0), (300, 5, 2, 0), (30, 0, 0, 1)]  # type: ignore[union-attr]
    assert b"over 280" in tanken_inside("measure", str(path)).stdout
    path = qpx("DVD-R", 4 + 8, [f"{128 * i},8.00,0,0,{100 + i},2,0,0,0,0" for i in range(20)])  # sums over 8 blocks and PIF alone, as LiteOn drives give them
    made = logs.read(str(path))
    assert made is not None and made.span == 8
    found = summarise(made)
    assert (found.blocks, found.pi_sum8_max, found.pi_sum8_over) == (160, 119, 0) and "each line" in found.notes[1]
    path = qpx("CD-R", 0, [f"{75 * i},8.00,{9 + i},5,3,{1 + i},4,2,1,0" for i in range(4)])
    made = logs.read(str(path))
    assert made is not None and made.lines[2].c1 == {"e11": 5, "e21": 3, "e31": 3} and made.lines[2].c2 == {"e12": 4, "e22": 2, "e32": 1, "cu": 0}  # type: ignore[union-attr]
    for bad in (qpx("BD-R", 0, ["0,1,0,0,0,0,0,0,0,0"]), qpx("DVD-R", 0, ["0,1,2"]), qpx("DVD-R", 0, ["0,1,x,0,0,0,0,0,0,0"]), qpx("DVD-R", 0, [])):
        assert tanken_inside("measure", str(bad)).returncode != 0
    path = tmp_path / "speed.csv"
    path.write_text("GB,PI Errors,PI Failures\n" + "".join(f"{i / 250:.3f},{(3 if i < 500 else 40) + i % 5},0\n" for i in range(1095)))
    out = tanken_inside("measure", str(path), "--plot", "-").stdout.decode()
    assert "43." in out.split("steps at")[1].splitlines()[0] and "each line of the log stands for 131 ECC blocks" in out and "57.0 mm" in out
    path = tmp_path / "kprobe.csv"
    path.write_text("Sector;PI;PO\n0;12;0\n16;14;1\n")
    made = logs.read(str(path))
    assert made is not None and [(line.pi, line.pif) for line in made.lines] == [(12, 0), (14, 1)]  # type: ignore[union-attr]
    path = tmp_path / "cd.csv"
    path.write_text("Time,C1,C2\n" + "".join(f"{i},{230 + i % 3},0\n" for i in range(20)))
    assert b"outside IEC 60908" in tanken_inside("measure", str(path)).stdout


def test_command_outputs(tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(IMAGE)
    raw, out = str(tmp_path / "x.raw"), tmp_path
    assert tanken_command("disc", "press", str(tmp_path / "x.iso"), "-o", raw, "--spread", "--damage", "delamination", "--damage", "scratch:width=0.5").returncode == 0
    result = tanken_command("measure", raw, "--json", "--csv", str(out / "x.csv"), "--map", str(out / "x.png"), "--plot", str(out / "x.svg"))
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 41 and set(lines[0]) == {"block", "psn", "pi", "pif", "po", "pof", "edc_bad"} and lines[0]["psn"] == 0x030000
    assert lines[40]["summary"]["pi_total"] == sum(line["pi"] for line in lines[:40]) > 50
    assert any("less sure" in note for note in lines[40]["summary"]["notes"])
    assert (out / "x.csv").read_text().startswith("block,psn,pi,pif,po,pof,edc_bad\n0,196608,")
    picture = (out / "x.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", picture[16:24]) == (900, 900)
    assert (out / "x.svg").read_text().startswith("<svg") and "mm" in tanken_inside("measure", raw, "--plot", "-").stdout.decode()
    for words, message in (
        (("measure", raw, "--type", "dvd-ram"), b"type of disc"), (("measure", raw, "--type", "cd"), b"type cd for a DVD"), (("measure", raw, "--map", "x.gif"), b".png"),
        (("measure", "/etc/hostname"), b"no known disc format"), (("disc", "press", raw, "-o", "/nowhere/x"), b"/nowhere/x"), (("measure",), b"no IMAGE"),
        (("disc", "press", raw, "-o", "-", "--damage", "fire"), b"wanted dust"), (("disc", "press", raw, "-o", "-", "--damage", "dust:x=1"), b"wanted specks"),
    ):  # fmt: skip
        refused = tanken_inside(*words)
        assert refused.returncode in (1, 2) and message in refused.stderr and refused.stderr.count(b"\n") == 1 and refused.stdout == b""


def test_maps_show_damage_where_it_is() -> None:
    grid = training.disc(["delamination"], np.random.default_rng(1), 300)
    text = view.map_svg([grid], "a <title>")
    assert "&lt;title&gt;" in text and view.map_png([grid], 60).startswith(b"\x89PNG")
    assert grid.wrong[46:].sum() > 0.75 * grid.wrong.sum()
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    body = png(pixels)
    at = body.index(b"IDAT") + 4
    assert zlib.decompress(body[at : body.index(b"IEND") - 8]) == b"\0" + bytes(range(6)) + b"\0" + bytes(range(6, 12))


def test_geometry_of_a_whole_disc() -> None:
    assert geometry.block_at(58.0) == pytest.approx(143_444, rel=0.002)
    steps = np.array([0.0, 1e6, 2e7])
    radius = geometry.DVD.radius(steps)
    assert radius[0] == 24.0 and (np.diff(radius) > 0).all() and geometry.DVD.steps_to(float(radius[2])) == pytest.approx(2e7)
    assert geometry.psn_steps(np.array([0xFCFFFF]))[0] == 0  # the other layer, read inwards, ends where the first began


@pytest.mark.parametrize("path", press.PATHS)
def test_two_layers(tmp_path: Path, path: str) -> None:
    """Each layer's blocks lie where its track path puts them, at the pitch of a disc of two layers; damage of one layer stays on it."""
    blocks = 60
    (tmp_path / "x.iso").write_bytes((IMAGE * 2)[: blocks * 32768])
    raw = str(tmp_path / "x.raw")
    words = ("disc", "press", str(tmp_path / "x.iso"), "-o", raw, "--spread", "--layers", path, "--damage", "defocus:level=0.05,layer=1")
    assert tanken_inside(*words).returncode == 0
    made = measured(Path(raw))
    assert made.layers == 2 and not made.grid.wrong.any() and made.upper.wrong.sum() == made.column("pi").sum() > 200
    psns = made.column("psn")
    first, second = psns[: blocks // 2], psns[blocks // 2 :]
    assert first[0] == 0x030000 and (second[0] == 0x030000 if path == "ptp" else second[0] == 0xFFFFFF - (first[-1] + first[1] - first[0] - 1))
    radius, angle = geometry.dvd_places(psns, 2, np.array([0.0, 207.0]))
    rising = np.diff(radius[blocks // 2 :, 0]) > 0
    assert rising.all() == (path == "ptp") and rising.any() == (path == "ptp") and radius[:, 0].max() < 58.1 and radius[: blocks // 2, 0].max() > 56
    assert ((radius[:, 1] > radius[:, 0]) == (psns < geometry.INWARD)).all()
    turned = np.diff(angle, axis=1)[:, 0] % (2 * np.pi)  # both layers turn the same way: 0.6 of a turn in a block inside, a quarter at the rim
    assert (turned > 1.4).all() and (turned < 4).all()
    summary = summarise(made)
    assert summary.by_layer == {"layer 0": 0, "layer 1": int(made.upper.wrong.sum())}
    again = measure.Measurement.restore(json.dumps(made.state()), "state")
    assert (again.upper.wrong == made.upper.wrong).all() and again.layers == 2
    shown, out = tanken_command("show", raw).stdout, tanken_inside("measure", raw, "--map", str(tmp_path / "m.svg"), "--plot", "-").stdout
    assert (b"opposite" if path == "otp" else b"parallel") in shown and b"two layers" in out and b"layer 1" in out and "layer 1" in (tmp_path / "m.svg").read_text()


def test_capacity_of_two_layers() -> None:
    assert geometry.block_at(58.0, geometry.DVD_DUAL) * 2 * 32768 == pytest.approx(8.54e9, rel=0.002)  # ECMA-267: 8.54 GB a side
    assert geometry.inverse(0x030000) == 0xFCFFFF


@pytest.mark.parametrize("kind", ["dust", "scratch", "rim", "delamination", "ageing", "speed", "clean"])
def test_classifier_names_plain_cases(kind: str) -> None:
    grid = training.disc([kind] if kind != "clean" else [], np.random.default_rng([77, 5]), 200)
    ((found,), chances) = training.named(classify._model("dvd"), features.features(grid)[None])
    assert next(iter(found), "clean") == kind and chances.sum() == pytest.approx(1)
    if kind == "speed":
        assert 1 <= len(features.steps(grid)) <= 6


CD_KINDS = ["scratch", "fingerprint", "rim", "delamination", "ageing", "burst", "defocus", "dust", "adhesion", "jitter", "speed"]


@pytest.mark.parametrize("kind", CD_KINDS)
def test_classifier_names_cds(kind: str) -> None:
    rng = np.random.default_rng([78, 6])
    ((found,), _) = training.named(classify._model("cd"), training.cd([kind], rng, 400)[None])
    assert next(iter(found), "clean") == kind


def test_pressed_cds_are_named(tmp_path: Path) -> None:
    image = write(tmp_path / "a.iso", IMAGE * 2)  # 1,280 sectors over the whole disc
    for kind, also in (("scratch", "scratch:width=0.4"), ("rim", "rim")):
        path = str(tmp_path / "a.efm")
        assert tanken_inside("disc", "press", str(image), "-o", path, "--format", "cd", "--spread", "--damage", also, "--damage", "jitter:level=1e-5").returncode == 0
        summary = json.loads(tanken_inside("measure", path, "--json").stdout.splitlines()[-1])["summary"]
        assert summary["damage"] == kind and summary["confidence"] > 0.5, summary
    summary = json.loads(tanken_inside("measure", str(write(tmp_path / "b.efm", cd(IMAGE[: 2048 * 40]))), "--json").stdout.splitlines()[-1])["summary"]
    assert summary["damage"] is None and "of 69 rings" in summary["notes"][-1]
    log = write(tmp_path / "c.csv", b"sec,c1,c2\n" + b"".join(b"%d,9,0\n" % i for i in range(4000)))
    assert "cannot be told from it" in tanken_inside("measure", str(log)).stdout.decode()


def test_frames_lie_where_q_says() -> None:
    told = subcode.absolute(np.ascontiguousarray(subcode.of_sectors(30, 5000, stride=7)[:, 12:24]))
    starts, wanted = 98 * np.arange(30), 5000 * 98 + 7 * np.arange(2940.0)
    assert np.abs(channel.Clock().places(0, 2940, starts, told) - wanted).max() < 1e-6
    broken = told.copy()
    broken[3], broken[9] = -1, 9  # one Q fails, one lies
    assert np.abs(channel.Clock().places(0, 2940, starts, broken) - wanted).max() < 1e-6
    late = channel.Clock().places(0, 2890, starts[1:] - 50, told[1:])  # a capture that begins within a sector
    assert np.abs(late - wanted[50:]).max() < 1e-6
    clock = channel.Clock()  # piece by piece, one without any Q
    pieces = [clock.places(980 * i, 980, starts[10 * i : 10 * i + 10], told[10 * i : 10 * i + 10] if i != 1 else np.full(10, -1)) for i in range(3)]
    assert np.abs(np.concatenate(pieces) - wanted).max() < 1e-6
    assert channel.Clock().places(0, 500, starts[:0], told[:0]).tolist() == list(range(500))


def test_classifier_names_two_kinds() -> None:
    made = measure.Measurement("x", "dvd2366", "dvd")
    made.grid = training.disc(["scratch", "delamination"], np.random.default_rng(5), 200)
    judged = classify.classify(made)
    assert judged is not None and {judged.kind, *judged.also} == {"scratch", "delamination"}
    matrix = training.confusion(np.eye(len(training.NAMES), dtype=np.bool_), [{name: 1.0} for name in training.NAMES])
    assert (np.diag(matrix) == [0, *[1] * len(training.NAMES)]).all() and matrix.sum() == len(training.NAMES)


def test_tables_go_into_a_document(tmp_path: Path) -> None:
    (tmp_path / "d.md").write_text(f"a\n{training.MARK}\nold\n{training.MARK}\nb\n")
    training.put(tmp_path / "d.md", "new")
    assert (tmp_path / "d.md").read_text() == f"a\n{training.MARK}\nnew\n{training.MARK}\nb\n"
    with pytest.raises(InputError, match="two lines"):
        training.put(Path(__file__), "x")


def test_windows_and_scale() -> None:
    assert windows(np.array([1, 2, 3, 4]), 2).tolist() == [3, 5, 7] and windows(np.array([1, 2]), 8).tolist() == [3]
    assert [total for total, _ in scale()] == [40_000, 100_000, 200_000, 16_000_000]


def test_history_and_plan(tmp_path: Path) -> None:
    base = str(tmp_path / "log.db")
    made = measured(write(tmp_path / "a.raw", CLEAN))
    for disc, marks, growth in (("good", bytes(64), 1.02), ("bad", bytes(63) + b"\1", 1.6), ("other dye", bytes(range(64)), 1.1)):
        for year in range(2015, 2025, 3):
            found = summarise(made)
            found.pi_sum8_max = round(20 * growth ** (year - 2015) * (1.02 if year % 2 else 0.98))
            history.record(base, disc, "MCC 004", f"{year}-06-01", found, marks)
    trends = history.trends(base)
    assert trends[0].state == "over the limit already" and trends[0].growth is not None and trends[0].growth == pytest.approx(1.6, rel=0.02)
    assert trends[0].disc == "bad" and {t.disc for t in trends} == {"good", "bad", "other dye"}
    other = history.trends(base, "other dye")[0]
    assert other.growth is not None and other.growth_low is not None and other.growth_high is not None and other.growth_low < 1.1 < other.growth_high
    assert other.crosses is not None and "2030" < other.crosses < "2060" and other.crosses_early is not None and other.crosses_early < other.crosses
    (warning,) = history.mixed(base)
    assert "2 groups" in warning and "other dye" in warning.split("|")[1]
    shown = tanken_inside("measure", "--history", base).stdout.decode()
    assert shown.splitlines()[0].startswith("  1. bad") and "another dye" in shown
    with pytest.raises(InputError, match="no disc"):
        history.trends(base, "nothing")
    assert tanken_inside("measure", "--history", str(tmp_path / "none.db")).returncode == 1
    (tmp_path / "junk.db").write_bytes(b"no data base" * 99)
    assert tanken_inside("measure", "--history", str(tmp_path / "junk.db")).stderr.count(b"\n") == 1
    made_plan = plan.plan(0.99, 10, {"a": 0.01, "b": 0.01})
    assert made_plan.total == 2 and set(made_plan.copies) == {"a", "b"} and made_plan.survival > made_plan.single_best
    assert plan.survival({"a": 2}, {"a": 0.05}, 10) < plan.survival({"a": 1, "b": 1}, {"a": 0.05, "b": 0.05}, 10)
    with pytest.raises(UsageError):
        plan.plan(0.999999, 100, {"a": 1.0})


def test_media_identity() -> None:
    plus = bytearray(100)
    plus[4 + 19 : 4 + 27], plus[4 + 27 : 4 + 30] = b"YUDEN000", b"T02"
    found = media.identify("dvd+r", bytes(plus))
    assert (found.media, found.maker) == ("YUDEN000 T02", "Taiyo Yuden")
    minus = bytearray(100)
    minus[4 + 17 : 4 + 23], minus[4 + 25 : 4 + 31] = b"MCC 03", b"RG20  "
    assert media.identify("dvd-r", bytes(minus)).maker.startswith("Mitsubishi")
    assert media.identify("cd-r", bytes((0, 30, 0, 0, 0, 0, 0, 0, 97, 24, 1)) + bytes(20)).maker == "Taiyo Yuden"
    with pytest.raises(InputError, match="wanted at least"):
        media.identify("cd-r", b"\0\0")
    assert media.groups([("a", bytes(8)), ("b", bytes(7) + b"\1"), ("c", b"x" * 8)]) == [["a", "b"], ["c"]]


def test_recorded_order_is_along_the_track() -> None:
    rows = np.zeros((1, 208, 182), dtype=np.uint8)
    rows[0, :, 0] = np.arange(208)
    assert block.to_recorded(rows).reshape(208, 182)[:15, 0].tolist() == [*range(12), 192, 12, 13]
