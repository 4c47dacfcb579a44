"""8-16 modulation of the DVD: recording frames as physical sectors of channel bits with sync codes, and back.

ECMA-267 section 20 (conversion by state), 21 (physical sectors: 26 sync frames, their codes in fixed order). The words stand in `efmplus.table`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base import native
from tanken.disc import channel_kernel
from tanken.disc.dvd.block import COLUMNS, RECORDED_ROWS
from tanken.notation.table import read_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

KERNEL = "tanken.disc.channel_kernel"
ORDER = (0, 5, 1, 5, 2, 5, 3, 5, 4, 5, 1, 6, 2, 6, 3, 6, 4, 6, 1, 7, 2, 7, 3, 7, 4, 7)
FRAMES, SYMBOLS, FRAME = len(ORDER), channel_kernel.DVD_SYMBOLS, channel_kernel.DVD_FRAME
SECTOR_BITS = FRAMES * FRAME


@cache
def tables() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """main and substitute (5 states with an unused 0, 256), word * 8 + next state, -1 for none; sync (8, low or high, variant)."""
    rows = read_tables(Path(__file__).with_name("efmplus.table"))
    made = []
    for name in ("main", "substitute"):
        table = np.full((5, 256), -1, dtype=np.int64)
        for byte, *cells in rows[name]:
            for state, cell in enumerate(cells, 1):
                word, following = cell.split()
                table[state, int(byte, 16)] = int(word, 16) << 3 | int(following)
        made.append(table)
    sync = np.array([[[int(word, 16) for word in cell.split()] for cell in row[1:]] for row in rows["sync"]], dtype=np.int64)
    return made[0], made[1], sync


@cache
def inverse() -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Byte of (word, does the next word begin state 3), -1 for none; sync number of each high half, -1 for none."""
    main, substitute, sync = tables()
    bytes_of = np.full((1 << 16, 2), -1, dtype=np.int16)
    for table in (main, substitute):
        for state in range(1, 5):
            for byte in np.flatnonzero(table[state] >= 0):
                word, following = int(table[state, byte]) >> 3, int(table[state, byte]) & 7
                for side in {2: (0,), 3: (1,)}.get(following, (0, 1)):
                    bytes_of[word, side] = byte
    numbers = np.full(1 << 16, -1, dtype=np.int16)
    for number in range(8):
        numbers[sync[number].reshape(-1)] = number
    return bytes_of, numbers


@cache
def _engine() -> Any:
    return native.twin(KERNEL) or channel_kernel


def encode(recorded: Bytes) -> Bytes:
    """Channel bits (one a byte) of recording frames (count, 13, 182): 38,688 each, and 32 of the sync that follows."""
    rows = recorded.reshape(-1, SYMBOLS).astype(np.int64)
    order = np.tile(np.array(ORDER, dtype=np.int64), len(recorded))
    out = np.zeros(len(rows) * FRAME + 32, dtype=np.uint8)
    _engine().plus_encode(rows, len(rows), *tables(), order, out)
    return out


def decode(bits: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
    """Recording frames (count, 13, 182) found in channel bits, and marks of the bytes that were no word (set to 0) or not found."""
    module, (bytes_of, numbers) = _engine(), inverse()
    most = len(bits) // FRAME + 2
    starts, codes = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
    count = module.plus_frames(bits, len(bits), numbers, starts, codes, most)
    rows = np.empty((count, SYMBOLS), dtype=np.int16)
    module.plus_symbols(bits, len(bits), starts[:count], count, bytes_of, rows)
    firsts = _sectors(codes[:count])
    out = np.full((len(firsts), FRAMES, SYMBOLS), -1, dtype=np.int16)
    for i, first in enumerate(firsts):
        low, high = max(0, first), min(count, first + FRAMES)
        out[i, low - first : high - first] = rows[low:high]
    shaped = out.reshape(-1, RECORDED_ROWS, COLUMNS)
    return np.where(shaped < 0, 0, shaped).astype(np.uint8), shaped < 0


def _sectors(codes: NDArray[np.int64]) -> list[int]:
    """Indices of the frames that begin sectors: two codes in a row give the place; a gap in the grid is bridged."""
    places: dict[tuple[int, int], int] = {(ORDER[i], ORDER[(i + 1) % FRAMES]): i for i in range(FRAMES)}
    votes: dict[int, int] = {}
    for i in range(len(codes) - 1):
        place = places.get((int(codes[i]), int(codes[i + 1])))
        if place is not None:
            votes[i - place] = votes.get(i - place, 0) + 1
    starts: list[int] = []
    for first in sorted(start for start, count in votes.items() if count >= 2):
        if not starts or first - starts[-1] >= FRAMES // 2:
            while starts and first - starts[-1] >= FRAMES + FRAMES // 2:  # sectors whose codes were all lost
                starts.append(starts[-1] + FRAMES)
            starts.append(first)
    return starts
