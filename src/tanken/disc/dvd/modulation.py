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
from tanken.disc.flywheel import Flywheel
from tanken.notation.table import read_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

KERNEL = "tanken.disc.channel_kernel"
ORDER = (0, 5, 1, 5, 2, 5, 3, 5, 4, 5, 1, 6, 2, 6, 3, 6, 4, 6, 1, 7, 2, 7, 3, 7, 4, 7)
FRAMES, SYMBOLS, FRAME = len(ORDER), channel_kernel.DVD_SYMBOLS, channel_kernel.DVD_FRAME
SECTOR_BITS = FRAMES * FRAME
BEHIND = 34  # bits behind a frame that tell what its last word was


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


PLACES = np.full((9, 9), -1, dtype=np.int64)  # by two sync codes in a row (-1 for none, hence one more): which frames of a sector they are
for _place in range(FRAMES):
    PLACES[ORDER[_place] + 1, ORDER[(_place + 1) % FRAMES] + 1] = _place


class Decoder:
    """Finds recording frames in channel bits that come piece by piece; what comes out does not depend on the pieces."""

    def __init__(self) -> None:
        self._bits, self._state = np.zeros(0, dtype=np.uint8), np.zeros(3, dtype=np.int64)
        self._codes, self._rows = np.zeros(0, dtype=np.int64), np.zeros((0, SYMBOLS), dtype=np.int16)
        self._wheel = Flywheel(FRAMES, 1)
        self._base = FRAMES  # number of the first sync frame kept; the first of all is 26, since its sector may have begun before
        self._marked = 0

    def feed(self, bits: Bytes, last: bool = False) -> tuple[Bytes, NDArray[np.bool_]]:
        """Recording frames (count, 13, 182), and marks of the bytes that were no word (set to 0) or not found."""
        module, (bytes_of, numbers) = _engine(), inverse()
        bits = np.concatenate([self._bits, bits])
        most = len(bits) // (FRAME - 2) + 2
        starts, codes = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
        seen = len(bits) if last else max(0, len(bits) - BEHIND)
        count = module.plus_frames(bits, seen, numbers, starts, codes, most, self._state)
        rows = np.empty((count, SYMBOLS), dtype=np.int16)
        module.plus_symbols(bits, len(bits), starts[:count], count, bytes_of, rows)
        keep = max(0, int(self._state[0]) - 2)
        self._bits = bits[keep:].copy()
        self._state[0] -= keep
        self._codes, self._rows = np.concatenate([self._codes, codes[:count]]), np.concatenate([self._rows, rows])
        return self._sectors(last)

    def _sectors(self, last: bool) -> tuple[Bytes, NDArray[np.bool_]]:
        """Where sectors begin: two codes in a row give the place, two such agree, and a gap is bridged."""
        end = self._base + len(self._codes)
        known = end if last else max(self._marked, end - FRAMES)
        place = PLACES[self._codes[:-1] + 1, self._codes[1:] + 1]
        told = (np.arange(len(place)) + self._base - place)[place >= 0]
        votes, counts = np.unique(told, return_counts=True)
        self._wheel.feed(votes[(counts > 1) & (votes >= self._marked) & (votes < known)], end + FRAMES - 1 if last else known, last)
        self._marked = known
        firsts = self._wheel.take(end + FRAMES)
        out = np.full((len(firsts), FRAMES, SYMBOLS), -1, dtype=np.int16)
        for i, first in enumerate(firsts):
            low, high = max(self._base, first), min(end, first + FRAMES)
            out[i, low - first : high - first] = self._rows[low - self._base : high - self._base]
        keep = max(0, min(self._wheel.edge, self._marked, end) - self._base)
        self._codes, self._rows, self._base = self._codes[keep:], self._rows[keep:], self._base + keep
        shaped = out.reshape(-1, RECORDED_ROWS, COLUMNS)
        return np.where(shaped < 0, 0, shaped).astype(np.uint8), shaped < 0


def decode(bits: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
    """Recording frames (count, 13, 182) found in all channel bits of a stream, and marks of the bytes that were no word (set to 0) or not found."""
    return Decoder().feed(bits, True)
