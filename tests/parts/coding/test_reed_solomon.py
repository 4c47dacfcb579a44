"""Reed-Solomon codes, lanes and checks against reedsolo (galois: `benchmarks.disc`), and on printed vectors.

Vectors: dvdisaster's codec specification, appendix C (RS(255,223), field 0x187); CRC check values of "123456789".
"""

from __future__ import annotations

import numpy as np
import pytest
import reedsolo
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken.base.errors import UsageError
from tanken.coding import crc, scrambler
from tanken.coding.gf256 import Field, field
from tanken.coding.lanes import Matrix, transpose
from tanken.coding.reed_solomon import FAILED, Code

CODES = [(182, 172, 0, 1, 0x11D), (208, 192, 0, 1, 0x11D), (32, 28, 0, 1, 0x11D), (26, 24, 0, 1, 0x11D), (255, 223, 112, 11, 0x187), (20, 19, 1, 1, 0x11D)]
PARITY = "2fbd4fb4748494b9acd554627212eeb3ebed41191de1d36320ea49290b25abcf"


def test_printed_vector() -> None:
    word = Code(255, 223, 112, 11, 0x187).encode(np.arange(223, dtype=np.uint8))
    assert word[223:].tobytes().hex() == PARITY


@pytest.mark.parametrize(("n", "k", "first", "prim", "polynomial"), CODES)
def test_encodes_as_the_rival(n: int, k: int, first: int, prim: int, polynomial: int) -> None:
    data = np.random.default_rng(n).integers(0, 256, (5, k), dtype=np.uint8)
    words = Code(n, k, first, prim, polynomial).encode(data)
    if prim == 1:
        rival = reedsolo.RSCodec(n - k, nsize=n, fcr=first, prim=polynomial)
        assert [bytes(rival.encode(bytes(row))) for row in data] == [row.tobytes() for row in words]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CODES), st.integers(0, 2**32 - 1), st.booleans())
def test_corrects_up_to_its_bound(shape: tuple[int, int, int, int, int], seed: int, erase: bool) -> None:
    made, rng = Code(*shape), np.random.default_rng(seed)
    words = made.encode(rng.integers(0, 256, (4, made.k), dtype=np.uint8))
    bad, marks, changed = words.copy(), np.zeros_like(words), []
    for i in range(4):
        erasures = int(rng.integers(0, made.roots + 1)) if erase else 0
        errors = int(rng.integers(0, (made.roots - erasures) // 2 + 1))
        places = rng.permutation(made.n)[: erasures + errors]
        bad[i, places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
        marks[i, places[:erasures]] = 1
        changed.append(len(places))
    assert made.decode(bad, marks if erase else None).tolist() == changed and (bad == words).all()


def test_one_error_too_many_is_told() -> None:
    made, rng = Code(182, 172), np.random.default_rng(3)
    words = made.encode(rng.integers(0, 256, (2000, 172), dtype=np.uint8))
    for i in range(len(words)):
        words[i, rng.permutation(182)[:6]] ^= 1
    before = words.copy()
    status = made.decode(words)
    assert (status == FAILED).mean() > 0.98 and (words[status == FAILED] == before[status == FAILED]).all()
    again = words[status != FAILED]
    assert not made.syndromes(again).any()  # what was "corrected" is a codeword, if not the right one


@pytest.mark.parametrize("missing", [(), (3,), (0, 5, 7, 100), tuple(range(10))])
def test_fills_what_is_missing(missing: tuple[int, ...]) -> None:
    made = Code(182, 172)
    lanes = transpose(made.encode(np.random.default_rng(0).integers(0, 256, (40, 172), dtype=np.uint8))).copy()
    first, second = made.filler(missing)
    wanted = lanes[list(missing)].copy()
    lanes[list(missing)] = 0
    syndromes = made.syndrome_lanes(lanes)
    assert (first.times(syndromes) == wanted).all() and not second.times(syndromes).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 130), st.integers(0, 2**32 - 1))
def test_products_of_lanes(rows: int, columns: int, length: int, seed: int) -> None:
    rng, made = np.random.default_rng(seed), field()
    matrix, lanes = rng.integers(0, 256, (rows, columns), dtype=np.uint8), rng.integers(0, 256, (columns, length), dtype=np.uint8)
    wanted = made.matmul(matrix, lanes)
    assert (Matrix(made, matrix).times(lanes) == wanted).all()
    assert (Matrix(made, matrix).times_rows(np.ascontiguousarray(lanes.T)) == wanted).all()


def test_linear_algebra_and_refusals() -> None:
    made, rng = field(), np.random.default_rng(5)
    matrix = rng.integers(0, 256, (17, 17), dtype=np.uint8)
    assert (made.matmul(made.inverse(matrix), matrix) == np.eye(17)).all()
    with pytest.raises(ZeroDivisionError):
        made.inverse(np.zeros((2, 2), dtype=np.uint8))
    for call in (lambda: Field(0x11B), lambda: Code(300, 10), lambda: Code(10, 10), lambda: Code(10, 8, prim=5), lambda: Code(20, 10).decode(np.zeros((1, 3), dtype=np.uint8))):
        with pytest.raises(UsageError):
            call()


@pytest.mark.parametrize(("check", "value"), [(crc.DVD_EDC, 0xB27CE117), (crc.CD_EDC, 0x6EC2EDC4), (crc.CRC32, 0xCBF43926), (crc.SUBCODE_Q, 0x31C3 ^ 0xFFFF)])
def test_checks(check: crc.Crc, value: int) -> None:
    assert check.of(b"123456789") == value
    rng = np.random.default_rng(0)
    for length in (63, 64, 65, 129, 255, 256, 257, 400, 2060, 2064):
        rows = rng.integers(0, 256, (3, length), dtype=np.uint8)
        slow = check.start
        for byte in rows[1].tolist():
            slow = slow >> 8 ^ check.table[(slow ^ byte) & 255] if check.reflected else (slow << 8 & (1 << check.bits) - 1) ^ check.table[slow >> check.bits - 8 ^ byte]
        assert check.rows(rows)[1] == slow ^ check.final


def test_first_syndromes_of_columns() -> None:
    made, rng = Code(40, 30), np.random.default_rng(6)
    blocks = rng.integers(0, 256, (3, 50, 77), dtype=np.uint8)[:, 5:45]
    wanted = np.array([made.syndrome_lanes(np.ascontiguousarray(one))[:5] for one in blocks])
    assert (made.first_syndromes(blocks, 5) == wanted).all() and (made.first_syndromes(blocks[..., :9], 2) == wanted[:, :2, :9]).all()


@pytest.mark.parametrize("check", [crc.DVD_EDC, crc.CD_EDC, crc.CRC32])
def test_checks_of_gathered_strips(check: crc.Crc) -> None:
    strips = np.random.default_rng(1).integers(0, 256, (3, 5, 13, 182), dtype=np.uint8)[:, :, :12, :172]
    wanted = [[check.of(strips[i, j].tobytes()) for j in range(5)] for i in range(3)]
    assert check.gathered(strips).tolist() == wanted and check.gathered(strips[:, :, :, :171]).tolist() == [[check.of(m[:, :171].tobytes()) for m in g] for g in strips]


def test_scramblers() -> None:
    assert scrambler.cd_mask()[:8].tobytes().hex() == "018000600028001e"  # ECMA-130 annex B
    sequence = scrambler.dvd_sequence()
    assert len(sequence) == 32767 and (scrambler.dvd_mask(15) == sequence[np.arange(30720, 32768) % 32767]).all()
    starts = [int(sequence[2048 * i]) for i in range(16)]
    seeds = (0x0001, 0x5500, 0x0002, 0x2A00, 0x0004, 0x5400, 0x0008, 0x2800, 0x0010, 0x5000, 0x0020, 0x2001, 0x0040, 0x4002, 0x0080, 0x0005)
    assert starts == [seed & 0xFF for seed in seeds]  # ECMA-267 table of initial values
