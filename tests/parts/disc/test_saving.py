"""Saving discs: dvdisaster's formats judged by dvdisaster itself, repair by every code, merging of reads, and the command `check`.

dvdisaster is Debian's package; where it is missing, what needs it is skipped with the reason.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parts.cli.command import tanken_command
from tests.parts.disc.inside import tanken_inside

from tanken.base.errors import InputError, TankenError
from tanken.disc import inputs, merge, press, saving, saving_cd
from tanken.disc.cd import circ, efm, sector, subcode
from tanken.disc.dvd import block, frame, modulation
from tanken.disc.dvdisaster import create, header, layout, repair

SECTORS = 3011
IMAGE = np.random.default_rng(8).integers(0, 256, SECTORS * 2048, dtype=np.uint8)
judge = pytest.mark.skipif(shutil.which("dvdisaster") is None, reason="no dvdisaster to judge (Debian: apt-get install dvdisaster)")


def dvdisaster(*words: str) -> str:
    return subprocess.run(["dvdisaster", *words], capture_output=True, text=True, timeout=100).stdout


@pytest.fixture
def image(tmp_path: Path) -> Path:
    IMAGE.tofile(tmp_path / "a.iso")
    return tmp_path / "a.iso"


@judge
def test_rs01_is_what_dvdisaster_writes(image: Path) -> None:
    create.rs01(str(image), str(image.with_suffix(".ecc")), 24)
    dvdisaster("-i", str(image), "-e", str(image.with_suffix(".theirs")), "-mRS01", "-n", "24r", "-c")
    assert image.with_suffix(".ecc").read_bytes() == image.with_suffix(".theirs").read_bytes()


@judge
def test_rs02_is_what_dvdisaster_writes(image: Path) -> None:
    theirs = image.with_name("theirs.iso")
    shutil.copy(image, theirs)
    create.rs02(str(image), str(image.with_name("ours.iso")), capacity=3700)
    dvdisaster("-i", str(theirs), "-mRS02", "-n", "3700", "-c")
    assert theirs.stat().st_size > image.stat().st_size and image.with_name("ours.iso").read_bytes() == theirs.read_bytes()


@judge
def test_rs03_file_is_what_dvdisaster_writes(image: Path) -> None:
    create.rs03(str(image), str(image.with_suffix(".ecc")), 24, in_file=True)
    dvdisaster("-i", str(image), "-e", str(image.with_suffix(".theirs")), "-mRS03", "-n", "24", "-o", "file", "-c")
    assert image.with_suffix(".ecc").read_bytes() == image.with_suffix(".theirs").read_bytes()


@judge
def test_dvdisaster_repairs_by_our_data(image: Path) -> None:
    create.rs01(str(image), str(image.with_suffix(".ecc")), 32)
    bad = IMAGE.copy().reshape(-1, 2048)
    bad[200:400] = 0
    bad.tofile(image)
    dvdisaster("-i", str(image), "-e", str(image.with_suffix(".ecc")), "-f")
    assert (np.fromfile(image, dtype=np.uint8) == IMAGE).all()


def test_layout_of_the_specification() -> None:
    made = layout.rs02(295_000, capacity=359_424)  # the example of its section 3.3
    assert (made.protected, made.layer, made.power, made.first_copy) == (295_579, 1_408, 11, 296_960)
    assert int(made.parity_sector(3, 17)) - 2 * 0 == 299_824


def saved(names: list[str]) -> tuple[saving.Saved, np.ndarray]:
    pieces: list[np.ndarray] = []
    out, _ = saving.save(names, put=lambda piece: pieces.append(piece.copy()))
    return out, np.concatenate(pieces)


def _hurt(data: np.ndarray, seed: int, count: int) -> np.ndarray:
    bad = data.copy().reshape(-1, 2048)
    bad[np.random.default_rng(seed).permutation(len(bad))[:count]] = 0
    return bad.reshape(-1)


@pytest.mark.parametrize("method", ["RS01", "RS02", "RS03 file", "RS03"])
def test_repair(image: Path, method: str) -> None:
    target = str(image.with_suffix(".out"))
    if method == "RS01":
        create.rs01(str(image), target, 32)
    elif method == "RS02":
        create.rs02(str(image), target, capacity=3800)
    else:
        create.rs03(str(image), target, 32, in_file=method != "RS03", capacity=4000)
    whole = np.fromfile(target, dtype=np.uint8)
    if method in ("RS01", "RS03 file"):
        fixed, ecc, found = repair.with_file(_hurt(IMAGE, 1, 150), whole if method == "RS01" else np.concatenate([whole[:4096], _hurt(whole[4096:], 2, 20)]))
        assert (fixed == IMAGE).all() and (ecc == whole).all() and found.bad == found.repaired == 150 and not found.lost
    else:
        bad = _hurt(whole, 3, 150)
        bad[100_000] ^= 1  # a wrong byte in a sector that reads well
        fixed, found = repair.in_image(bad)
        assert (fixed == whole).all() and found.lost == 0 and found.bad > 50 and found.parity_bad > 10


def test_rs03_without_header_and_checksums(image: Path) -> None:
    create.rs03(str(image), str(image.with_suffix(".out")), capacity=255 * 20)
    whole = np.fromfile(image.with_suffix(".out"), dtype=np.uint8)
    bad = whole.copy().reshape(-1, 2048)
    made = layout.rs03_image(SECTORS, 255 * 20)
    bad[SECTORS : SECTORS + 2] = 0
    bad[made.first_check : made.first_check + made.layer] = 0
    fixed, found = repair.in_image(bad.reshape(-1))
    assert (fixed == whole).all() and found.roots == made.roots and not found.lost


def test_too_much_is_lost_and_told(image: Path) -> None:
    create.rs01(str(image), str(image.with_suffix(".ecc")), 8)
    ecc = np.fromfile(image.with_suffix(".ecc"), dtype=np.uint8)
    bad = IMAGE.copy().reshape(-1, 2048)
    bad[::3] = 0
    fixed, _, found = repair.with_file(bad.reshape(-1), ecc)
    assert found.lost == found.bad == len(bad[::3]) and found.lost_sectors[:3] == [0, 3, 6] and (fixed.reshape(-1, 2048)[1::3] == bad[1::3]).all()
    with pytest.raises(InputError, match="cut off"):
        repair.with_file(IMAGE, ecc[: len(ecc) // 2])


def test_an_image_that_is_cut_off(image: Path) -> None:
    create.rs02(str(image), str(image.with_suffix(".out")), capacity=3700)
    whole = np.fromfile(image.with_suffix(".out"), dtype=np.uint8)
    fixed, found = repair.in_image(whole[: len(whole) - 150 * 2048])
    assert (fixed == whole).all() and not found.lost
    with pytest.raises(InputError, match="more is missing"):
        repair.in_image(whole[: 3020 * 2048])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_hostile_headers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fields = {"sectors": int(rng.integers(0, 1 << 20)), "data": int(rng.integers(0, 300)), "layer": int(rng.integers(0, 4000)), "in_last": int(rng.integers(0, 2049))}
    method = ("RS01", "RS02", "RS03")[int(rng.integers(0, 3))]
    roots = 255 - fields["data"] if rng.random() < 0.8 else 32
    blank = bytes(16)
    head = header.Header(method, bytes(4), blank, blank, blank, fields["sectors"], fields["data"], roots, 7905, 7900, 16, 0, blank, fields["in_last"], fields["layer"], 0)
    packed = np.frombuffer(head.pack(method != "RS01") + rng.bytes(40_960), dtype=np.uint8)
    for call in (lambda: repair.with_file(packed, packed), lambda: repair.in_image(packed)):
        try:
            call()
        except (TankenError, ValueError) as error:
            assert "\n" not in str(error)


def test_command_check(image: Path) -> None:
    ecc, bad = image.with_suffix(".ecc"), image.with_name("bad.iso")
    assert tanken_inside("disc", "protect", str(image), "-o", str(ecc), "--method", "RS03", "--file").returncode == 0
    _hurt(IMAGE, 5, 60).tofile(bad)
    before = hashlib.sha256(bad.read_bytes()).digest()
    checked = tanken_command("check", str(bad), "--ecc", str(ecc))
    assert checked.returncode == 0 and b"60 bad" in checked.stdout and hashlib.sha256(bad.read_bytes()).digest() == before
    assert tanken_inside("check", str(bad), "--ecc", str(ecc), "--repair").returncode == 0
    assert (image.with_name("bad.iso.repaired")).read_bytes() == IMAGE.tobytes()
    refused = tanken_inside("check", str(bad), "--ecc", str(ecc), "--repair", "-o", str(bad))
    assert refused.returncode == 2 and b"not read from" in refused.stderr
    assert tanken_inside("check", "/bin/true").returncode in (1, 2)


def test_reads_are_merged_row_by_row(tmp_path: Path) -> None:
    raw = np.frombuffer(b"".join(press.press_dvd(IMAGE[: 20 * 32768].tobytes())), dtype=np.uint8)
    rng = np.random.default_rng(4)
    for number, rows in enumerate(((0, 40), (30, 70), (60, 100))):
        piece = raw.copy().reshape(-1, 182)
        start = 5 * 208
        piece[start + rows[0] : start + rows[1]] = rng.integers(0, 256, (rows[1] - rows[0], 182))
        piece.tofile(tmp_path / f"r{number}")
    alone = tanken_inside("check", str(tmp_path / "r0"), "--json")
    assert alone.returncode == 1 and json.loads(alone.stdout)["lost"] >= 3
    names = [str(tmp_path / f"r{number}") for number in range(3)]
    out, fixed = saved(names)
    assert out.lost == 0 and (fixed == raw).all()


def test_channels_are_merged(tmp_path: Path) -> None:
    """Two reads of a channel, each lost in another place: of a DVD row by row, of a CD by the sectors' headers."""
    image, rng = IMAGE[: 6 * 32768].tobytes(), np.random.default_rng(6)
    whole, names = b"".join(press.press_dvd(image)), []
    for number in range(2):
        rows = np.frombuffer(whole, dtype=np.uint8).reshape(-1, 182).copy()
        rows[300 + 300 * number : 340 + 300 * number] = rng.integers(0, 256, (40, 182))
        names.append(str(tmp_path / f"{number}.t"))
        Path(names[-1]).write_bytes(efm.to_runs(modulation.encode(rows.reshape(-1, 13, 182))).tobytes())
    assert saving.save(names[:1])[0].lost > 0
    out, fixed = saved(names)
    assert out.lost == 0 and fixed.tobytes() == whole


def test_reads_of_a_channel_are_saved_together(tmp_path: Path) -> None:
    """Reads of which each is lost in most sectors, put together symbol by symbol; copies that lie apart by frames, or otherwise in their frames."""
    image, names = IMAGE[: 40 * 2048].tobytes(), []
    good = sector.make(IMAGE[: 40 * 2048].reshape(40, 2048))
    for seed in (1, 2):
        names.append(str(tmp_path / f"{seed}.efm"))
        Path(names[-1]).write_bytes(b"".join(press.press_cd(image, [("jitter", {"level": 0.09})], seed)))
    alone = [saving.save([name])[0].lost for name in names]
    both, fixed = saved(names)
    assert min(alone) > 15 and both.lost == 0 and (fixed.reshape(-1, 2352) == good).all(), (alone, both)
    late = Path(names[1]).read_bytes()[40_000:]  # a read that begins later
    Path(names[1]).write_bytes(late)
    both, fixed = saved(names)
    assert both.lost < 8 and (fixed.reshape(-1, 2352)[-30:] == good[-30:]).all()


@pytest.mark.parametrize(("frames", "samples"), [(5, 0), (0, 2)])
def test_copies_that_lie_apart(tmp_path: Path, frames: int, samples: int) -> None:
    """A copy whose data come so many frames later beside the subcode is put together with the other; by so many samples, by its sectors alone."""
    good = sector.make(IMAGE[: 60 * 2048].reshape(60, 2048))
    stream = np.concatenate([np.zeros(4 * samples, dtype=np.uint8), circ.swap(sector.scramble(good).reshape(-1)), np.zeros(12_000, dtype=np.uint8)])
    names = [str(tmp_path / f"{i}.efm") for i in range(2)]
    for i, data in enumerate((stream[4 * samples :], stream)):
        channel = circ.encode(data[: len(data) // 24 * 24].reshape(-1, 24))
        symbols = np.zeros((len(channel) // 98 * 98, 33), dtype=np.int16)
        symbols[:, 0] = subcode.interleave(subcode.of_sectors(len(symbols) // 98)).reshape(-1)
        symbols[:, 1:] = np.roll(channel[: len(symbols)], i * frames, axis=0)
        symbols[400 + 300 * i : 480 + 300 * i, 1:] ^= 0x5A  # 80 frames: too many for either
        symbols[2000:2040, 3 + 12 * i : 6 + 12 * i] ^= 0x33  # both are wrong here, at other symbols
        Path(names[i]).write_bytes(efm.to_runs(efm.encode(symbols)).tobytes())
    alone = [saving.save([name])[0].lost for name in names]
    both, fixed = saved(names)
    assert min(alone) >= 2 and both.lost == (0 if frames else both.lost) < min(alone), (alone, both)
    keep = [i for i in range(60) if i not in both.lost_sectors]
    assert (fixed.reshape(-1, 2352)[keep] == good[keep]).all() and any(("frame by frame" if frames else "lie otherwise") in note for note in both.notes)


def test_reads_with_pointers_and_offsets(tmp_path: Path) -> None:
    """Sectors with C2 pointers that neither read alone can give; audio that two drives give some samples apart."""
    rng, good = np.random.default_rng(7), sector.make(IMAGE[: 30 * 2048].reshape(30, 2048))
    names = [str(tmp_path / f"{i}.bin") for i in range(2)]
    for i, first in enumerate((0, 3)):  # the second one begins three sectors later
        bad, marks = good.copy(), np.zeros(good.shape, dtype=np.uint8)
        for at in (100 + 700 * i, 1600 - 200 * i):
            bad[8, at : at + 250] = rng.integers(0, 256, 250)
            marks[8, at : at + 250] = 1
        bad[first:].tofile(names[i])
        np.packbits(marks[first:], axis=1).tofile(tmp_path / f"{i}.c2")
    assert [saving.save([name])[0].lost for name in names] == [1, 1]
    both, fixed = saved(names)
    assert both.lost == 0 and (fixed.reshape(-1, 2352) == good).all() and any("3 sectors" in note for note in both.notes)
    audio = rng.integers(0, 256, 40 * 2352, dtype=np.uint8)
    for i, (by, hurt) in enumerate(((0, 30_000), (4 * 102, 50_000))):
        piece, marks = np.concatenate([audio[by:], np.zeros(by, dtype=np.uint8)]), np.zeros(len(audio), dtype=np.uint8)
        piece[hurt : hurt + 400], marks[hurt : hurt + 400] = 1, 1
        piece.tofile(names[i])
        np.packbits(marks).tofile(tmp_path / f"{i}.c2")
    out, fixed = saving.Saved("", "", 0), []
    saving_cd.sectors([inputs.read(name, "cd2352") for name in names], out, lambda piece: fixed.append(piece.copy()), lambda event: None)
    assert (np.concatenate(fixed) == audio).all() and any("-1 sectors" in note or "samples" in note for note in out.notes) and any(": 0 bytes" in note for note in out.notes)


def test_another_disc_is_refused(tmp_path: Path) -> None:
    """Sectors of another disc have the same numbers, but must not be put in."""
    for name, image in (("a", IMAGE[: 40 * 32768]), ("b", IMAGE[50 * 32768 : 90 * 32768])):
        (tmp_path / f"{name}.raw").write_bytes(b"".join(press.press_dvd(image[: 10 * 32768].tobytes())))
        (tmp_path / f"{name}.efm").write_bytes(b"".join(press.press_cd(image[: 100 * 2048].tobytes(), [("jitter", {"level": 0.05})])))
        sector.make(image[: 40 * 2048].reshape(40, 2048)).tofile(tmp_path / f"{name}.bin")
    for form in ("raw", "efm", "bin"):
        with pytest.raises(InputError, match="of the same disc"):
            saving.save([str(tmp_path / f"a.{form}"), str(tmp_path / f"b.{form}")])


def test_differences_between_reads_become_erasures() -> None:
    code = block.inner()
    row = code.encode(np.arange(172, dtype=np.uint8))
    reads = np.zeros((2, 208, 182), dtype=np.uint8)
    reads[:, 7] = row
    reads[0, 7, 10:19] ^= 0x55  # nine errors: too many for either, few enough as erasures
    reads[1, 7, 30:31] ^= 0
    reads[1, 7, 12:18] ^= 0x33
    assert (merge.blocks(reads)[7] == row).all()


def test_cd_sectors_and_frames_are_merged() -> None:
    made = sector.make(IMAGE[: 8 * 2048].reshape(8, 2048))
    reads = np.array([made.copy() for _ in range(3)])
    reads[0, 2, 100:1500], reads[1, 3, 100:1500], reads[2, 2, 900:2000] = 1, 2, 3
    fixed, marks = merge.sectors(reads)
    assert (fixed == made).all() and not marks.any()
    frames = frame.make(IMAGE[: 8 * 2048].reshape(8, 2048))
    reads = np.array([frames.copy() for _ in range(2)])
    reads[0, 1, 50:900], reads[1, 4, 50:900] = 0, 0
    assert (merge.frames(reads) == frames).all()
    data = np.array([IMAGE[: 8 * 2048].reshape(8, 2048).copy() for _ in range(3)])
    data[0, 1], data[1, 2, 5] = 0, 9
    merged, doubtful = merge.data(data)
    assert (merged == data[2]).all() and not doubtful.any()
