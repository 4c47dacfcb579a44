"""Every stage of both channels against numbers from outside (`tests/vectors/disc.txt`), and CD sectors against chdman, which checks their parity.

docs/disc.md lists which stage stands on which of these.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import reedsolo

from tanken.coding import crc, scrambler
from tanken.disc import media
from tanken.disc.cd import circ, efm, sector, subcode
from tanken.disc.dvd import block, frame, modulation
from tanken.notation.table import read_tables

PATTERN = (np.arange(65536, dtype=np.uint64) ** 2 * 2654435761 >> np.uint64(13)).astype(np.uint8)


def vectors() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parents[2] / "vectors" / "disc.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, value, _ = (cell.strip() for cell in line.split("|"))
            found.setdefault(name, []).append(value)
    return found


VECTORS = vectors()


def same(name: str, data: bytes) -> bool:
    (wanted,) = VECTORS[name]
    return wanted.removeprefix("sha256:") == hashlib.sha256(data).hexdigest()[:16]


def test_dvd_frames_and_blocks() -> None:
    assert same("pattern", PATTERN.tobytes())
    assert same("dvd-scrambler", np.concatenate([scrambler.dvd_mask(i) for i in range(16)]).tobytes())
    frames = frame.make(PATTERN.reshape(32, 2048), 0x030000, cpr_mai=bytes(range(6)))
    check = reedsolo.RSCodec(2, nsize=6, fcr=0, prim=0x11D)  # of the ID: RS(6,4) with roots 1 and alpha, ECMA-267 section 16.2
    assert all(bytes(check.encode(one[:4].tobytes())) == one[:6].tobytes() for one in frames) and frames[5, 6:12].tolist() == list(range(6))
    frames = frame.make(PATTERN.reshape(32, 2048), 0x030000)
    assert VECTORS["dvd-edc"] == [" ".join(one[-4:].tobytes().hex() for one in frames[:3])]
    assert same("dvd-recorded", block.to_recorded(block.encode(frames)).tobytes())


def test_modulation_of_the_dvd() -> None:
    main, substitute, sync = modulation.tables()
    assert same("efmplus-tables", np.concatenate([main[1:].T, substitute[1:, :88].T]).astype("<i4").tobytes())
    assert same("efmplus-decode", modulation.inverse()[0].astype("<i2").tobytes())
    assert same("efmplus-sync", sync.astype("<i4").tobytes())


def test_cd_channel() -> None:
    assert same("cd-scrambler", scrambler.cd_mask().tobytes())
    assert same("efm-words", np.array(efm.words()[:256], dtype="<i2").tobytes())
    stream = circ.swap(PATTERN[: 6 * 2352])[4:]  # that encoder puts the sector's start 4 bytes later in the frame, as a writer may
    channel = circ.encode(stream[: len(stream) // 24 * 24].reshape(-1, 24))
    assert same("cd-circ", channel[107 + 70 : 107 + 392].tobytes())


def test_subcode_of_a_pressed_disc() -> None:
    rows = np.array([list(bytes.fromhex(text)) for text in VECTORS["subcode-q"]], dtype=np.uint8)
    assert len(rows) == 5 and subcode.q_good(rows).all()
    positions = [subcode.read_q(row.tobytes()) for row in rows]
    assert [(p.control, p.track, p.index, p.relative, p.absolute) for p in positions if p] == [(0, 3, 1, 568 + i, 40118 + i) for i in range(5)]
    assert [subcode.make_q(p) for p in positions if p] == [row.tobytes() for row in rows]


def test_check_values() -> None:
    for name, check in (("crc-dvd-edc", crc.DVD_EDC), ("crc-cd-edc", crc.CD_EDC), ("crc-subcode-q", crc.SUBCODE_Q)):
        assert [f"{check.of(b'123456789'):x}"] == VECTORS[name]


@pytest.mark.skipif(shutil.which("chdman") is None, reason="no chdman to judge the parity of sectors (Debian: apt-get install mame-tools)")
@pytest.mark.parametrize(("mode", "track"), [(sector.MODE1, "MODE1/2352"), (sector.FORM1, "MODE2/2352")])
def test_chdman_finds_p_and_q_right(tmp_path: Path, mode: int, track: str) -> None:
    """chdman leaves out the parity of sectors where it is what its own arithmetic gives, and keeps it else: the size of its file tells."""
    user = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 2048, axis=1)
    sectors = sector.make(user, 0, mode)
    (tmp_path / "a.cue").write_text(f'FILE "a.bin" BINARY\n  TRACK 01 {track}\n    INDEX 01 00:00:00\n')
    sizes = []
    for place in (None, 2100, 2300):  # nothing, a byte of P, a byte of Q
        bad = sectors.copy()
        if place is not None:
            bad[:, place] ^= 1
        bad.tofile(tmp_path / "a.bin")
        subprocess.run(["chdman", "createcd", "-f", "-i", "a.cue", "-o", "a.chd", "-c", "cdzl", "-np", "1"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
        sizes.append((tmp_path / "a.chd").stat().st_size)
    assert 3 * sizes[0] < min(sizes[1:])


def libburn() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libburn.so.4")
    except OSError:
        return None
    library.burn_guess_manufacturer.restype = library.burn_guess_cd_manufacturer.restype = ctypes.c_char_p
    return library


@pytest.mark.skipif(libburn() is None, reason="no libburn to ask for makers (Debian: apt-get install libburn4)")
def test_makers_are_those_of_libburn() -> None:
    """Each row that says `b`: the first word of the maker's name stands in what libburn answers (its own list)."""
    library = libburn()
    assert library is not None
    tables = read_tables(Path(media.__file__).with_name("makers.table"))
    known = {"Nan": "nan-ya", "Daxon": "daxon", "Acer": "acer"}
    for code, maker, sources in tables["dvd"] + tables["cd"]:
        assert set(sources.split()) <= {"a", "b", "q"} and sources
        if "b" not in sources.split():
            continue
        _, second, frame_ = (code.split(":") + ["0", "0"])[:3]
        if code[2:3] == ":":
            answer = library.burn_guess_cd_manufacturer(97, int(second), int(frame_) + 1, 79, 59, 74, 0)
        else:
            answer = library.burn_guess_manufacturer(0x1B, code.encode(), b"003", 0)
        first = maker.split()[0]
        assert known.get(first, maker.removeprefix("Hitachi ").split()[0].lower()) in answer.decode().lower().replace("fuji photo", "fujifilm"), (code, maker, answer)


def test_identities_of_real_discs() -> None:
    """What public programs said of discs in drives, from the same bytes."""
    assert len(VECTORS["atip"]) == 7
    for text in VECTORS["atip"]:
        minute, second, frame_, kind, strategy, maker = text.split()
        reply = bytes((0, 30, 0, 0, 0xD0, 0, 0x40 * (kind == "cd-rw"), 0, int(minute), int(second), int(frame_))) + bytes(20)
        found = media.identify("cd-r", reply)
        assert found.kind == kind and found.maker.startswith(maker) and any(value.startswith(strategy) for value in found.details.values()), text
    for text in VECTORS["lpp"]:
        first, second, maker = text.split()
        reply = bytearray(100)
        reply[21:27], reply[29:35] = first.encode(), second.encode()
        found = media.identify("dvd-r", bytes(reply))
        assert found.media == f"{first} {second}" and found.maker == maker
