"""The CD's channel: sectors, CIRC, subcode, EFM. The places of P and Q, and the delays, against the formulas of the standards.

ECMA-130 annexes A to D, IEC 60908 sections 15 to 17; silence is known from captures: data 0, parity FF.
"""

from __future__ import annotations

import numpy as np
import pytest
import reedsolo

from tanken.disc.cd import circ, efm, sector, subcode

RNG = np.random.default_rng(5)
USER = RNG.integers(0, 256, (12, 2048), dtype=np.uint8)
FRAMES = RNG.integers(0, 256, (600, 24), dtype=np.uint8)


@pytest.mark.parametrize("mode", [sector.MODE1, sector.FORM1])
def test_sectors(mode: int) -> None:
    made = sector.make(USER, 16, mode)
    assert (sector.modes(made) == mode).all() and not sector.edc_errors(made, sector.modes(made)).any() and (sector.user_data(made) == USER).all()
    assert sector.block_of(made[3, 12:15]) == 19 and (sector.scramble(sector.scramble(made)) == made).all()
    words = made.copy()
    if mode == sector.FORM1:
        words[:, 12:16] = 0
    rival = reedsolo.RSCodec(2, nsize=45, fcr=0, prim=0x11D)
    for diagonal in (0, 7, 25):  # the formula of annex A, word by word
        symbols = bytes(words[0, 12 + 2 * ((44 * m + 43 * diagonal) % 1118)] for m in range(43))
        assert bytes(rival.encode(symbols))[43:] == bytes((words[0, 2248 + 2 * diagonal], words[0, 2300 + 2 * diagonal]))


@pytest.mark.parametrize("mode", [sector.MODE1, sector.FORM1])
def test_sectors_are_corrected(mode: int) -> None:
    made = sector.make(USER, 0, mode)
    bad = made.copy()
    for row in bad:
        row[RNG.integers(24, 2340, 25)] ^= 1
    _, wrong = sector.correct(bad)
    assert not wrong.any() and (bad == made).all()
    bad, marks = made.copy(), np.zeros_like(made)
    bad[:, 300:420], marks[:, 300:420] = 0, 1
    _, wrong = sector.correct(bad, marks)
    assert not wrong.any() and (bad == made).all()
    bad[0, 30:2000] = 7
    assert sector.correct(bad)[1].tolist() == [True] + [False] * 11


def test_silence_and_delays() -> None:
    silence = circ.encode(np.zeros((200, 24), dtype=np.uint8))
    assert silence[150].tobytes().hex() == "000000000000000000000000ffffffff" * 2
    one = np.zeros((130, 24), dtype=np.uint8)
    one[0, 3] = 1  # an even sample: two frames late, then at place 7 of C2, which is 80 frames before its end
    touched = np.nonzero((circ.encode(one) != circ.encode(np.zeros_like(one)))[:, :12])
    assert touched[1].tolist() == [7] and touched[0].tolist() == [2 + circ.SPREAD - 80]


def test_circ_round_trip_and_classes() -> None:
    channel = circ.encode(FRAMES)
    done = circ.decode(channel)
    assert (done.frames == FRAMES).all() and not done.c1.any() and not done.c2.any() and not done.marks.any()
    cut = circ.decode(channel[50:400])  # a piece of a disc: its last frame has no other half
    assert not cut.c1.any() and not cut.c2.any()
    bad = channel.copy()
    bad[200, 4] ^= 1
    bad[300, [4, 6]] ^= 1
    done = circ.decode(bad)
    assert (done.frames == FRAMES).all() and np.bincount(done.c1[done.c1 > 0]).tolist() == [0, 1, 1]
    bad = channel.copy()
    bad[200:214] = RNG.integers(0, 256, (14, 32))
    done = circ.decode(bad)
    assert (done.frames == FRAMES).all() and (done.c1 == -1).sum() >= 13 and (done.c2 > 2).any() and not (done.c2 == -1).any()
    bad[200:240] = RNG.integers(0, 256, (40, 32))
    done = circ.decode(bad)
    wrong = done.frames != FRAMES
    assert wrong.any() and not (wrong & ~done.marks).any() and (done.c2 == -1).any()


def test_efm_table() -> None:
    words = efm.words()
    assert len(set(words)) == 258
    legal = [w for w in range(1 << 14) if "1" in f"{w:014b}" and all(2 <= len(z) <= 10 for z in f"{w:014b}".strip("0").split("1")[1:-1])
             and len(f"{w:014b}") - len(f"{w:014b}".rstrip("0")) <= 10 and len(f"{w:014b}") - len(f"{w:014b}".lstrip("0")) <= 10]  # fmt: skip
    assert len(legal) == 267 and set(words) <= set(legal)
    assert f"{words[0]:014b}" == "01001000100000" and f"{words[255]:014b}" == "00100000010010"


def test_efm_and_subcode_round_trip() -> None:
    channels = subcode.of_sectors(4, 1000)
    symbols = np.zeros((4 * 98, 33), dtype=np.int16)
    symbols[:, 0] = subcode.interleave(channels).reshape(-1)
    symbols[:, 1:] = RNG.integers(0, 256, (4 * 98, 32))
    bits = efm.encode(symbols)
    assert len(bits) == 4 * 98 * 588
    lengths = efm.to_runs(bits)
    assert set(np.unique(lengths).tolist()) <= set(range(3, 12)) and np.abs(np.cumsum(np.cumsum(bits) % 2 * 2.0 - 1)).max() < 60
    for stream in (bits, efm.from_runs(lengths)):
        found, synced = efm.decode(stream)
        assert (found == symbols).all() and synced.all()
    separated = subcode.separate(found[:, 0].reshape(4, 98))
    assert (separated == channels).all()
    position = subcode.read_q(separated[2, 12:24].tobytes())
    assert position is not None and (position.track, position.absolute) == (1, 1152)
    spoilt = bytearray(separated[2, 12:24].tobytes())
    spoilt[3] ^= 1
    assert subcode.read_q(bytes(spoilt)) is None


def test_efm_finds_its_place_again() -> None:
    symbols = np.zeros((300, 33), dtype=np.int16)
    symbols[:, 1:] = RNG.integers(0, 256, (300, 32))
    bits = efm.encode(symbols)
    found, _ = efm.decode(np.concatenate([bits[: 588 * 100 + 70], bits[588 * 100 + 75 :]]))
    assert (found[-150:] == symbols[-150:]).all()
