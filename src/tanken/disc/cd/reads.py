"""Several reads of a CD's channel, frame beside frame: by the times in Q, and where these differ between copies by the frames themselves.

IEC 60908 section 17 (Q). Reads are of one disc, or of copies whose data lie alike in the frames; writers are free in that (ECMA-130 section 18), so
copies may differ by more than whole frames, and then nothing below sectors can be put together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tanken.disc.cd import circ, efm, subcode
from tanken.disc.flywheel import Flywheel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

    Numbers = NDArray[np.int64]

WINDOW = 7350  # frames put together at a time
LOOK = 10 * 7350  # frames that are compared to find how copies lie to each other
LEAST = 3  # frames alike that tell it
SAME = 0.5  # share of symbols that are alike where two reads are of one disc
GAP = 10 * 7350  # frames that no read has, beyond which they are left out


class Read:
    """Frames with their numbers, 98 for each time in Q (of every `stride`th, where only these are there), rising; frames lost leave a gap.

    With `timed` off, or where Q cannot be read in the beginning, they are numbered as they come.
    """

    def __init__(self, runs: Bytes, timed: bool = True) -> None:
        self.reader, self.timed, self.stride = efm.Reader(runs), timed, 0
        self.shift = 0  # frames by which all numbers are moved
        self._wheel, self._seen, self._base = Flywheel(circ.FRAMES), 0, 0
        self._pending = np.zeros((0, efm.SYMBOLS), dtype=np.int16)
        self._last: int | None = None  # number less place of the last block
        self._phase = 0
        self._numbers, self._symbols = np.zeros(0, dtype=np.int64), np.zeros((0, efm.SYMBOLS), dtype=np.int16)
        self._top = -1

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.reader.ended and not len(self._pending) and not len(self._numbers)

    def until(self, number: int) -> None:
        """Reads on until frames up to a number are there."""
        while not self.reader.ended and (not len(self._numbers) or self._numbers[-1] + self.shift < number):
            self._more()

    @property
    def first(self) -> int | None:
        """The number of the next frame, None at the end."""
        while not len(self._numbers) and not self.reader.ended:
            self._more()
        return int(self._numbers[0]) + self.shift if len(self._numbers) else None

    def look(self, count: int) -> tuple[Numbers, NDArray[np.int16]]:
        """The next frames, which stay."""
        while len(self._numbers) < count and not self.reader.ended:
            self._more()
        return self._numbers[:count] + self.shift, self._symbols[:count]

    def take(self, first: int, stop: int) -> tuple[Bytes, NDArray[np.bool_]]:
        """The 32 symbols of frames from one number to another, and which of them are not there."""
        self.until(stop)
        low, high = np.searchsorted(self._numbers, (first - self.shift, stop - self.shift))
        symbols, erased = np.zeros((stop - first, circ.F2), dtype=np.uint8), np.ones((stop - first, circ.F2), dtype=np.bool_)
        piece, places = self._symbols[low:high, 1:], self._numbers[low:high] + self.shift - first
        erased[places] = piece < 0
        symbols[places] = np.where(piece < 0, 0, piece & 255)
        self._numbers, self._symbols = self._numbers[high:], self._symbols[high:]
        return symbols, erased

    def _more(self) -> None:
        symbols, _ = self.reader.more()
        last = self.reader.ended
        self._wheel.feed(np.flatnonzero(symbols[:, 0] == efm.S0) + self._seen, self._seen + len(symbols), last)
        self._seen += len(symbols)
        self._pending = np.concatenate([self._pending, symbols])
        stop = self._seen if last else max(self._base, self._wheel.edge - 2 * circ.FRAMES)  # the last blocks have no neighbours yet
        starts = np.array(self._wheel.take(stop), dtype=np.int64)
        part, numbers = self._pending[: stop - self._base], self._number(starts, stop)
        self._pending, self._base = self._pending[stop - self._base :], stop
        rising = numbers > np.maximum.accumulate(np.concatenate([[self._top], numbers[:-1]])) if len(numbers) else np.zeros(0, dtype=np.bool_)
        if rising.any():
            self._top = int(numbers[rising][-1])
        self._numbers, self._symbols = np.concatenate([self._numbers, numbers[rising]]), np.concatenate([self._symbols, part[rising]])

    def _number(self, starts: Numbers, stop: int) -> Numbers:
        """The numbers of the frames from the first pending one to `stop`, of which blocks begin at `starts`."""
        frames = np.arange(self._base, stop, dtype=np.int64)
        if not self.timed:
            return frames
        whole = starts[starts + circ.FRAMES <= self._seen] - self._base
        blocks = self._pending[:, 0][whole[:, None] + np.arange(circ.FRAMES)]
        told = subcode.absolute(np.ascontiguousarray(subcode.separate(blocks)[:, 12:24]))
        if self._last is None or not self.stride:
            self._pace(told)
        good = (told >= 0) & ((told - self._phase) % self.stride == 0)
        moved = (told - self._phase) // self.stride * circ.FRAMES - (whole + self._base)
        index = np.flatnonzero(good)
        values = moved[index]
        again = np.concatenate([[self._last is not None and len(values) > 0 and values[0] == self._last], values[1:] == values[:-1]])[: len(values)]
        sure = again | np.concatenate([again[1:], [False]])[: len(values)]  # two that agree
        index, values = index[sure], values[sure]
        if not len(index):
            self.timed = self._last is not None
            return frames + (self._last or 0)
        begins = whole[index] + self._base
        which = np.searchsorted(begins, frames, side="right") - 1
        before = self._last if self._last is not None else int(values[0])
        self._last = int(values[-1])
        return frames + np.where(which < 0, before, values[np.maximum(which, 0)])

    def _pace(self, told: Numbers) -> None:
        steps = np.diff(told[told >= 0])
        steps = steps[steps > 0]
        self.stride = int(np.bincount(steps.clip(0, 1 << 16)).argmax()) if len(steps) else 1
        self._phase = int(np.bincount(told[told >= 0] % self.stride).argmax()) if (told >= 0).any() else 0

    @property
    def pace(self) -> tuple[int, int] | None:
        """Of which times in Q the read has frames: every how many, and from which on."""
        return (self.stride, self._phase) if self.timed else None


def align(first: Read, other: Read) -> bool:
    """Moves the numbers of another read so that its frames fit those of the first; whether they do."""
    numbers, symbols = first.look(LOOK)
    more, others = other.look(LOOK)
    if not len(numbers) or not len(more) or None not in (first.pace, other.pace) and first.pace != other.pace:
        return False
    known: dict[bytes, int] = {}
    for number, frame in zip(numbers[(symbols[:, 1:] >= 0).all(axis=1)].tolist(), symbols[(symbols[:, 1:] >= 0).all(axis=1), 1:], strict=True):
        key = frame.tobytes()
        known[key] = -1 if key in known else number  # silence tells nothing
    moved: dict[int, int] = {}
    for number, frame in zip(more.tolist(), others[:, 1:], strict=True):
        found = known.get(frame.tobytes(), -1)
        if found >= 0:
            moved[found - number] = moved.get(found - number, 0) + 1
    best = max(moved, key=lambda by: moved[by], default=0)
    by = best if moved.get(best, 0) >= LEAST and 2 * moved[best] > sum(moved.values()) else 0
    _, here, there = np.intersect1d(numbers, more + by, return_indices=True)
    told = (symbols[here, 1:] >= 0) & (others[there, 1:] >= 0)
    same = (symbols[here, 1:] == others[there, 1:])[told]
    if not len(same) or float(same.mean()) <= SAME:
        return False
    other.shift += by
    return True


def windows(reads: list[Read]) -> Iterator[tuple[Bytes, NDArray[np.bool_], bool]]:
    """The frames of all reads side by side, (reads, count, 32), which symbols a read has not, and whether they are the last."""
    at: int | None = None
    while True:
        nexts = [number for read in reads if (number := read.first) is not None]
        if not nexts:
            break
        if at is None or min(nexts) > at + GAP:
            at = min(nexts)
        pieces = [read.take(at, at + WINDOW) for read in reads]
        at += WINDOW
        last = all(read.first is None for read in reads)
        symbols, erased = np.array([piece[0] for piece in pieces]), np.array([piece[1] for piece in pieces])
        if last:  # no frame behind the last one that was read
            end = int(np.flatnonzero(~erased.all(axis=(0, 2)))[-1]) + 1 if not erased.all() else 0
            symbols, erased = symbols[:, :end], erased[:, :end]
        yield symbols, erased, last
