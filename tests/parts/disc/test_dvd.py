"""The DVD's channel: frames, blocks, their decoder, modulation; hypothesis for round trips, reedsolo for the product code.

ECMA-267; `modulation` is checked for what the code demands (runs, unique decoding), the choice of words is self-consistent.
"""

from __future__ import annotations

import numpy as np
import pytest
import reedsolo
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken.disc.cd import efm
from tanken.disc.dvd import block, decode, frame, modulation

RNG = np.random.default_rng(11)
USER = RNG.integers(0, 256, (48, 2048), dtype=np.uint8)
FRAMES = frame.make(USER, 0x030000, 0)
BLOCKS = block.encode(FRAMES)


def test_frames() -> None:
    assert not frame.edc_errors(FRAMES).any() and not frame.id_errors(FRAMES).any()
    assert (frame.user_data(FRAMES) == USER).all() and frame.psns(FRAMES).tolist() == list(range(0x030000, 0x030030))
    bad = FRAMES.copy()
    bad[3, 100] ^= 1
    bad[4, 2] ^= 1
    assert np.flatnonzero(frame.edc_errors(bad)).tolist() == [3, 4] and np.flatnonzero(frame.id_errors(bad)).tolist() == [4]
    plain = frame.make(np.zeros((1, 2048), dtype=np.uint8))
    assert plain[0, 12] == 1  # the sequence begins with the register 0x0001


def test_block_is_the_rivals_product_code() -> None:
    inner, outer = reedsolo.RSCodec(10, nsize=182, fcr=0, prim=0x11D), reedsolo.RSCodec(16, nsize=208, fcr=0, prim=0x11D)
    one = BLOCKS[1]
    for column in (0, 17, 171):
        assert bytes(outer.encode(one[:192, column].tobytes())) == one[:, column].tobytes()
    for row in (0, 191, 192, 207):
        assert bytes(inner.encode(one[row, :172].tobytes())) == one[row].tobytes()


def test_recorded_order() -> None:
    recorded = block.to_recorded(BLOCKS)
    assert recorded.shape == (48, 13, 182) and (block.from_recorded(recorded) == BLOCKS).all()
    assert (recorded[2, 12] == BLOCKS[0, 194]).all() and (recorded[2, 0] == BLOCKS[0, 24]).all()
    assert [block.PLACE[r] for r in (0, 11, 12, 191)] == [0, 11, 13, 191 + 15] and block.PLACE[193] == 25


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 16), st.integers(0, 60))
def test_decoder_corrects_and_counts(seed: int, lost: int, single: int) -> None:
    rng, bad = np.random.default_rng(seed), BLOCKS.copy()
    rows = rng.permutation(208)
    if lost > 12:
        single = 0
    for row in rows[:lost]:
        bad[1, row] = rng.integers(0, 256, 182)
    for row in rows[lost : lost + single]:
        bad[1, row, rng.integers(0, 182)] ^= int(rng.integers(1, 256))
    report = decode.decode(bad)
    assert (bad == BLOCKS).all() and report.pi.tolist() == [0, lost + single, 0] and report.pof.tolist() == [0, 0, 0]
    assert lost - 1 <= report.pif[1] <= lost and not report.edc_bad.any()
    assert report.psn.tolist() == [0x030000, 0x030010, 0x030020]


@pytest.mark.parametrize("wrong", [1, 2, 3, 4, 5, 8])
def test_no_wrong_row_passes_the_guard(wrong: int) -> None:
    """Wrong bytes in one column alone, the hardest to see: up to GUARD of them are always seen, more of them by 4 bytes of syndromes."""
    bad = np.repeat(BLOCKS[:1], 200, axis=0)
    for i, one in enumerate(bad):
        one[RNG.permutation(208)[:wrong], i % 182] ^= RNG.integers(1, 256, wrong, dtype=np.uint8)
    report = decode.decode(bad)
    assert (report.pi == wrong).all() and (bad == BLOCKS[0]).all() and not report.pif.any()


def test_what_cannot_be_corrected_is_counted() -> None:
    bad = BLOCKS.copy()
    bad[0, 30:60] = RNG.integers(0, 256, (30, 182))
    report = decode.decode(bad)
    assert report.pif[0] >= 29 and report.pof[0] == 182 and report.edc_bad[0] >= 3 and report.pof[1] == 0


def test_a_wrong_row_that_passes_for_a_codeword_is_found() -> None:
    bad = BLOCKS.copy()
    bad[0, 5] = BLOCKS[2, 5]  # a codeword of another block: PI cannot see it
    report = decode.decode(bad)
    assert (bad == BLOCKS).all() and report.pi[0] == 0 and report.po[0] > 150 and report.edc_bad[0] == 0


def test_modulation_table() -> None:
    main, substitute, sync = modulation.tables()
    assert (main[1:] >= 0).all() and (substitute[1:, :88] >= 0).all() and (substitute[1:, 88:] < 0).all()
    seen: dict[tuple[int, int], int] = {}
    for table in (main, substitute):
        for state in range(1, 5):
            for byte in range(256):
                if table[state, byte] < 0:
                    continue
                word, following = int(table[state, byte]) >> 3, int(table[state, byte]) & 7
                text = f"{word:016b}"
                assert all(2 <= len(zeros) <= 10 for zeros in text.strip("0").split("1")[1:-1])
                tail = len(text) - len(text.rstrip("0"))
                assert following == (1 if tail < 2 else 4 if tail > 5 else following) and (following in (2, 3)) == (2 <= tail <= 5)
                assert state not in (2, 3) or bool(word & 0x8008) == (state == 3)
                for side in {2: (0,), 3: (1,)}.get(following, (0, 1)):
                    assert seen.setdefault((word, side), byte) == byte
    assert len({int(word) for word in sync.reshape(-1)}) == 32


def test_modulation_round_trip() -> None:
    recorded = block.to_recorded(BLOCKS[:2])
    bits = modulation.encode(recorded)
    assert len(bits) == 32 * modulation.SECTOR_BITS + 32
    lengths = efm.to_runs(bits)
    assert set(np.unique(lengths).tolist()) <= {*range(3, 12), 14} and (lengths == 14).sum() == 32 * 26 + 1
    balance = np.abs(np.cumsum(np.cumsum(bits) % 2 * 2.0 - 1)).max()
    assert balance < 100
    found, marks = modulation.decode(bits)
    assert (found == recorded).all() and not marks.any()
    found, marks = modulation.decode(efm.from_runs(lengths))
    assert (found == recorded).all() and not marks.any()


@pytest.mark.parametrize("cut", [1, 3, 1488, 40000])
def test_modulation_finds_its_place_again(cut: int) -> None:
    recorded = block.to_recorded(BLOCKS[:2])
    bits = modulation.encode(recorded)
    found, _ = modulation.decode(np.concatenate([bits[:500_000], bits[500_000 + cut :]]))
    assert (found[-15:] == recorded[-15:]).all() and (found[:10] == recorded[:10]).all()
