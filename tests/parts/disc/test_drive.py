"""Drives: commands byte for byte against the simulated drive, its faults, recorded logs, proofs and calibration. No hardware is involved.

The bytes are those of public tools (see `commands.table`); the simulated drive parses them on its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.parts.cli.command import tanken_command
from tests.parts.disc.inside import tanken_inside

from tanken.base.errors import InputError, UnsupportedError, UsageError
from tanken.cli import disc_drives
from tanken.disc.drive import scan, scsi
from tanken.disc.drive.simulated import Drive
from tanken.disc.measure import BlockLine, Measurement, SecondLine


def dvd(count: int = 160, mean: float = 12) -> Measurement:
    rng = np.random.default_rng(2)
    level = mean * (1 + 3 * (np.arange(count) > count * 0.7))
    lines = [BlockLine(i, 0x030000 + 16 * i, int(rng.poisson(level[i])), int(rng.poisson(0.2)), 0, 0, 0) for i in range(count)]
    return Measurement("disc", "dvd2366", "dvd", lines=list(lines))


def cd(count: int = 60) -> Measurement:
    rng = np.random.default_rng(3)
    lines = []
    for i in range(count):
        e11, e21 = int(rng.poisson(20 + 2 * i)), int(rng.poisson(2))
        lines.append(SecondLine(i, {"e11": e11, "e21": e21, "e31": 1}, {"e12": 1, "e22": 0, "e32": 0, "cu": 16 * (i == 7)}, e11 + e21 + 1, 0, 0, 150 if i == 7 else 0))
    return Measurement("disc", "efm", "cd", lines=list(lines))


def test_plextor_dvd_byte_for_byte() -> None:
    drive = Drive(dvd(), "plextor")
    lines = list(scan.scan(drive, "plextor", "dvd", 0, 3))
    assert [(line.pi, line.pif) for line in lines] == [(line.pi, line.pif) for line in drive.disc.lines[:3]]  # type: ignore[union-attr]
    wanted = ["250000000000000000000000", "ea1500010000000001120000", "a80000000000000000100000", "ea1600000000000000003400", "a80000000010000000100000"]
    assert [cdb.hex() for cdb in drive.log[:5]] == wanted and drive.log[-1].hex() == "ea1700000000000000000000"


def test_plextor_cd_classes() -> None:
    drive = Drive(cd(), "plextor")
    lines = list(scan.scan(drive, "plextor", "cd"))
    for line, truth in zip(lines, drive.disc.lines, strict=True):
        assert isinstance(line, SecondLine) and isinstance(truth, SecondLine)
        assert (line.c1, line.c2, line.bler) == (truth.c1, truth.c2, truth.bler)


@pytest.mark.parametrize(("family", "kind"), [("liteon", "dvd"), ("liteon", "cd"), ("liteon-old", "cd"), ("generic", "cd"), ("plextor", "dvd"), ("plextor", "cd")])
def test_every_family_scans(family: str, kind: str) -> None:
    disc = dvd() if kind == "dvd" else cd()
    drive = Drive(disc, family)
    lines = list(scan.scan(drive, family, kind))
    assert len(lines) == len(disc.lines) * 16 // 128 if (family, kind) == ("liteon", "dvd") else len(lines) == len(disc.lines)
    if family == "generic":
        assert [line.c2_pointers for line in lines if isinstance(line, SecondLine) and line.c2_pointers] == [150]
    else:
        assert sum(scan.levels(lines)) == sum(scan.levels(disc.lines))


def test_an_interrupted_scan_goes_on() -> None:
    for family in ("plextor", "liteon"):
        drive = Drive(dvd(), family)
        whole = list(scan.scan(drive, family, "dvd"))
        half = list(scan.scan(drive, family, "dvd", 0, 5))
        assert [*half, *scan.scan(drive, family, "dvd", 5)] == whole


def test_unreadable_places_are_counted() -> None:
    lines = list(scan.scan(Drive(dvd(), "plextor", unreadable=frozenset({3})), "plextor", "dvd", 0, 6))
    assert [line.edc_bad for line in lines] == [0, 0, 0, 1, 0, 0]


def test_a_drive_must_prove_that_it_measures() -> None:
    assert scan.prove(Drive(dvd(), "plextor", noise=1), "plextor", "dvd").believed
    zero = scan.prove(Drive(dvd(), "plextor", zero=True), "plextor", "dvd")
    assert not zero.believed and "zero" in zero.reasons[0]
    constant = Measurement("x", "dvd2366", "dvd", lines=[BlockLine(i, 0, 7, 0, 0, 0, 0) for i in range(80)])
    assert "does not depend on the disc" in scan.prove(Drive(constant, "plextor"), "plextor", "dvd").reasons[0]
    wild = scan.prove(Drive(dvd(mean=300), "plextor", noise=60), "plextor", "dvd", 160)
    assert not wild.believed


def test_two_drives_are_calibrated() -> None:
    first = scan.levels(list(scan.scan(Drive(dvd(mean=80), "plextor", noise=1, seed=1), "plextor", "dvd")))
    second = scan.levels(list(scan.scan(Drive(dvd(mean=80), "plextor", gain=1.7, noise=1, seed=2), "plextor", "dvd")))
    made = scan.calibrate(first, second)
    assert made.low < 1.7 < made.high and made.high - made.low < 0.3 and made.correlation > 0.8
    with pytest.raises(InputError):
        scan.calibrate(first, [0] * len(second))
    other = scan.levels(list(scan.scan(Drive(dvd(mean=80), "liteon", gain=0.5, noise=1, seed=3), "liteon", "dvd")))  # eight blocks at a time
    made = scan.calibrate(*scan.alike(first, other, (16, 128)))
    assert made.intervals == 20 and made.low < 0.5 < made.high and made.correlation > 0.8


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="does not know this command"):
        list(scan.scan(Drive(dvd(), "liteon"), "plextor", "dvd"))
    with pytest.raises(UsageError, match="wanted generic"):
        scan.commands("pioneer", "dvd")
    with pytest.raises(UnsupportedError):
        scan.commands("generic", "dvd")
    with pytest.raises(InputError, match="a disc in the drive"):
        scan.capacity(Drive(Measurement("x", "dvd2366", "dvd"), "plextor"))
    assert scsi.refusal(bytes.fromhex("70000500000000000000000020000000")) == (5, 0x20, 0) and scsi.refusal(bytes.fromhex("72051a00")) == (5, 0x1A, 0)
    with pytest.raises(InputError, match="SG_IO"):
        scsi.Device("/dev/null").command(bytes(12), 8)


def test_recorded_logs(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    live = list(scan.scan(scsi.Recorder(Drive(dvd(), "plextor"), log), "plextor", "dvd", 0, 4))
    assert list(scan.scan(scsi.Replay(log), "plextor", "dvd", 0, 4)) == live
    with pytest.raises(InputError, match="wanted"):
        list(scan.scan(scsi.Replay(log), "plextor", "dvd", 0, 9))
    (tmp_path / "bad").write_text('{"cdb": "250000000000000000000000"}\n')
    with pytest.raises(InputError, match="broken line"):
        scan.capacity(scsi.Replay(str(tmp_path / "bad")))


def test_commands_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.iso").write_bytes(np.random.default_rng(0).bytes(80 * 32768))
    raw = str(tmp_path / "a.raw")
    assert tanken_inside("disc", "press", str(tmp_path / "a.iso"), "-o", raw, "--damage", "jitter").returncode == 0
    structure = bytearray(2052)
    structure[4 + 19 : 4 + 27], structure[4 + 27 : 4 + 30] = b"RICOHJPN", b"R03"
    (tmp_path / "a.adip").write_bytes(structure)
    scanned = tanken_command("disc", "scan", "--drive", f"sim:{raw}", "--family", "plextor")
    assert scanned.returncode == 0 and b"ECC blocks             80" in scanned.stdout and b"as the drive (plextor) reported" in scanned.stdout
    scanned = tanken_inside("disc", "scan", "--drive", f"sim:{raw}", "--family", "liteon")
    assert b"ECC blocks             80" in scanned.stdout and b"PO: columns" not in scanned.stdout
    assert b"RICOHJPN R03, Ricoh" in tanken_inside("disc", "identify", "--drive", f"sim:{raw}").stdout
    assert b"Ricoh" in tanken_inside("show", raw).stdout


def test_drives_on_the_command_line(tmp_path: Path) -> None:
    """Stop and go on, the refusal of a drive that does not measure, two drives of different ways on one disc."""
    (tmp_path / "a.iso").write_bytes(np.random.default_rng(0).bytes(100 * 32768))
    raw, state = str(tmp_path / "a.raw"), tmp_path / "state"
    assert tanken_inside("disc", "press", str(tmp_path / "a.iso"), "-o", raw, "--damage", "ageing:level=0.003").returncode == 0
    words = ("disc", "scan", "--drive", f"sim:noise=0:{raw}", "--family", "plextor", "--json")
    whole = tanken_inside(*words).stdout
    assert whole.count(b"\n") == 101
    made = Measurement(f"sim:noise=0:{raw}", "drive", "dvd", ["counts as the drive (plextor) reported them"])
    made.lines += list(scan.scan(disc_drives._open(made.source, "plextor", None), "plextor", "dvd", 0, 37))
    state.write_text(json.dumps(made.state()))  # as a scan leaves it that Ctrl-C stopped after 37 intervals
    assert tanken_inside(*words, "--state", str(state)).stdout == whole
    assert len(json.loads(state.read_text())["lines"]) == 100 and tanken_inside(*words, "--state", str(state)).stdout == whole
    other = tanken_inside("disc", "scan", "--drive", f"sim:{raw}", "--family", "liteon", "--state", str(state))
    assert other.returncode == 2 and b"the state is of" in other.stderr
    refused = tanken_inside("disc", "scan", "--drive", f"sim:zero=1:{raw}", "--family", "plextor")
    assert refused.returncode == 1 and b"not believed" in refused.stderr and refused.stderr.count(b"\n") == 1
    assert tanken_inside("disc", "scan", "--drive", f"sim:zero=1:{raw}", "--family", "plextor", "--no-proof").returncode == 0
    assert tanken_inside("disc", "prove", "--drive", f"sim:zero=1:{raw}", "--family", "plextor").returncode == 1
    two = tanken_inside("disc", "calibrate", "--drive", f"sim:{raw}", "--drive", f"sim:gain=1.7,seed=5:{raw}", "--family", "plextor", "--family", "liteon", "--json")
    found = json.loads(two.stdout)
    assert found["low"] < 1.7 < found["high"] and found["intervals"] == 12
    assert b"wanted gain=NUMBER" in tanken_inside("disc", "prove", "--drive", f"sim:speed=3:{raw}", "--family", "plextor").stderr
