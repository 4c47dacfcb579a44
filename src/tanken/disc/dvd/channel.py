"""A DVD's channel from run lengths to ECC blocks, some at a time; the memory does not grow with the channel.

ECMA-267 sections 19 to 21. Sectors are put into blocks by the numbers in their IDs; one that is missing counts as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tanken.disc.cd import efm
from tanken.disc.dvd import frame, modulation
from tanken.disc.dvd.block import COLUMNS, RECORDED_ROWS
from tanken.disc.dvd.frame import SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

AHEAD = 4  # sectors that are looked ahead for a second one whose number agrees
EARLY = 64  # sectors before the first known number that are kept


class Blocks:
    """Puts recording frames into ECC blocks. `strange` counts symbols that were no word of the modulation."""

    def __init__(self) -> None:
        self._frames = np.zeros((0, RECORDED_ROWS, COLUMNS), dtype=np.uint8)
        self._strange: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._count = 0  # number, in the stream, of the first sector kept
        self._moved: int | None = None  # sector number less that
        self._block, self._slot, self._begun = -1, -1, False
        self._made = np.zeros((SECTORS, RECORDED_ROWS, COLUMNS), dtype=np.uint8)
        self._held = 0  # strange symbols in it
        self.strange = 0

    def feed(self, frames: Bytes, marks: NDArray[np.bool_], last: bool = False) -> Bytes:
        """The recording frames (16 x blocks, 13, 182) of the blocks that become whole; a part of one at either end of the stream is left out."""
        self._frames = np.concatenate([self._frames, frames])
        self._strange = np.concatenate([self._strange, marks.sum(axis=(1, 2))])
        heads = np.ascontiguousarray(self._frames[:, 0, :6])
        good = ~frame.id_errors(heads) & heads.any(axis=1)
        moved = [int(number) if fine else None for number, fine in zip(frame.psns(heads) - self._count - np.arange(len(heads)), good, strict=True)]
        out: list[Bytes] = []
        stop, done = len(moved) if last else max(0, len(moved) - AHEAD), 0
        for i in range(stop):
            told = moved[i]
            if told is not None and told != self._moved and told in moved[i + 1 : i + 1 + AHEAD]:
                self._moved = told
            if self._moved is None:
                continue
            for k in range(max(done, i - EARLY), i + 1):  # more than one where no number was known yet
                out += self._put(self._moved + self._count + k, k)
            done = i + 1
        done = max(done, stop - EARLY)
        if last and self._slot == SECTORS - 1:
            out += self._flush()
        self._frames, self._strange, self._count = self._frames[done:].copy(), self._strange[done:].copy(), self._count + done
        return np.concatenate(out) if out else np.zeros((0, RECORDED_ROWS, COLUMNS), dtype=np.uint8)

    def _put(self, number: int, index: int) -> list[Bytes]:
        whole: list[Bytes] = []
        block, slot = number // SECTORS, number % SECTORS
        if block != self._block or slot <= self._slot:
            whole = self._flush()
            self._begun = self._begun or slot == 0
            self._block = block
        self._made[slot], self._slot = self._frames[index], slot
        self._held += int(self._strange[index])
        return whole

    def _flush(self) -> list[Bytes]:
        """The block so far, unless it began before the stream did."""
        whole = [self._made.copy()] if self._slot >= 0 and self._begun else []
        self.strange += self._held if whole else 0
        self._begun = self._begun or self._slot >= 0
        self._made[:], self._slot, self._held = 0, -1, 0
        return whole


def blocks(runs: Bytes, found: Blocks, step: int = efm.STEP) -> Iterator[tuple[Bytes, int]]:
    """Recording frames of whole blocks of a channel, piece by piece, and how many run lengths were taken."""
    decoder = modulation.Decoder()
    for bits, taken in efm.bits_of(runs, step):
        frames, marks = decoder.feed(bits, taken >= len(runs))
        yield found.feed(frames, marks, taken >= len(runs)), taken
