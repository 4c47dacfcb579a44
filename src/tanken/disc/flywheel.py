"""Where blocks of equal length begin in a stream that comes piece by piece, by marks at their beginnings of which some are missing or false.

Sectors by their sync (ECMA-130 section 14.1), subcode blocks by S0 (IEC 60908 section 17): a place once known is kept through damage, and given up for
another only where two marks in a row, one block apart, stand there.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSES = 75  # blocks in a row without a mark after which the place is no longer known
BACK = 16  # blocks before the first mark that are taken as well


class Flywheel:
    """What it finds does not depend on where the pieces end. `found` are beginnings that are certain; `edge`: all before it are found."""

    def __init__(self, period: int, at: int = 0, known: bool = False) -> None:
        self.period, self.at, self.known = period, at, known
        self.found: list[int] = []
        self._held: list[int] = []  # blocks without a mark since the last one with
        self._floor = at
        self._marks: list[int] = []

    @property
    def edge(self) -> int:
        """No place before this one is still to be found."""
        if self.known:  # a block may yet turn out to begin within the one before
            return (self._held[0] if self._held else self.at) - self.period + 1
        return max(self._floor, self.at - BACK * self.period)

    def feed(self, marks: NDArray[np.int64], end: int, last: bool = False) -> None:
        """Takes the marks since the last call; all before `end` are known now, and with `last` the stream ends there."""
        self._marks += marks.tolist()
        known = set(self._marks)
        while self._turn(known, end, last) if self.known else self._search(end):
            pass
        self._marks = self._marks[bisect_left(self._marks, self.edge - self.period) :]

    def _search(self, end: int) -> bool:
        mark = next(iter(self._marks[bisect_left(self._marks, self.at) :]), None)
        if mark is None:
            self.at = max(self.at, end)
            return False
        before = min(BACK, (mark - self._floor) // self.period)
        self.found += range(mark - before * self.period, mark, self.period)
        self.at, self.known = mark, True
        return True

    def _turn(self, known: set[int], end: int, last: bool) -> bool:
        if self.at + (1 if last else 2) * self.period > end:
            if last:
                self._accept()
            return False
        if self.at in known:
            self._accept(self.at)
            return True
        low = bisect_left(self._marks, self.at - self.period + 1)
        high = bisect_left(self._marks, self.at + self.period)
        other = next((mark for mark in self._marks[low:high] if mark + self.period in known), None)
        if other is not None:
            self._accept(other)
            return True
        self._held.append(self.at)
        self.at += self.period
        if len(self._held) > MISSES:
            self._held, self.known, self._floor = [], False, self.at
        return True

    def _accept(self, place: int | None = None) -> None:
        self.found += self._held
        self._held = []
        if place is not None:
            self.found.append(place)
            self.at = place + self.period

    def take(self, limit: int) -> list[int]:
        """The beginnings before `limit`, in order, once."""
        count = bisect_left(self.found, limit)
        taken, self.found = self.found[:count], self.found[count:]
        return taken

    @property
    def place(self) -> list[int]:
        """From where another one, fed with the same marks from one period before, goes on to find what was not taken."""
        return [self.found[0] if self.found else self._held[0] if self._held else self.at, int(self.known or bool(self.found)), self._floor]
