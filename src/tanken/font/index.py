"""INDEXes: arrays of byte strings with offsets of one to four bytes, read one by one or all at once.

Adobe Technical Note 5176, section 5; the CFF2 chapter has a count of 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tanken.font.problems import ERROR, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Index:
    """An INDEX in `data` at `at`; what lies is written to `problems` and the objects concerned are empty.

    `data` is the CFF table, `origin` where it begins in the file; `end` is the position behind the INDEX.
    """

    def __init__(self, data: bytes, at: int, name: str, problems: list[Problem], origin: int = 0, wide: bool = False) -> None:
        self.data, self.at, self.name, self.problems, self.origin = data, at, name, problems, origin
        head = 4 if wide else 2
        self.count, self.off_size, self.base = 0, 1, at + head - 1
        self.end = at + head
        if at < 0 or at + head > len(data):
            self._lie("index-outside", f"{name} INDEX stands outside of the table of {len(data)} bytes")
            self.end = len(data)
            return
        count = int.from_bytes(data[at : at + head], "big")
        if count == 0:
            return
        self.off_size = data[at + head] if at + head < len(data) else 0
        self.offsets_at = at + head + 1
        self.base = self.offsets_at + (count + 1) * self.off_size - 1
        if not 1 <= self.off_size <= 4:
            self._lie("index-offsize", f"{name} INDEX has offsets of {self.off_size} bytes, 1 to 4 are allowed")
            self.end = len(data)
        elif self.base + 1 > len(data):
            self._lie("index-count", f"{name} INDEX of {count} objects has offsets up to {self.base + 1:#x}, the table ends at {len(data):#x}")
            self.end = len(data)
        else:
            self.count = count
            self.end = min(self.base + self._offset(count), len(data))
            self._ends()

    def _lie(self, rule: str, message: str) -> None:
        self.problems.append(Problem(rule, ERROR, message, self.origin + self.at, fix="rewrite the INDEX; a reader that trusts it leaves the table"))

    def _ends(self) -> None:
        if self._offset(0) != 1:
            self._lie("index-first", f"{self.name} INDEX begins with offset {self._offset(0)}, which must be 1")
        if self.base + self._offset(self.count) > len(self.data):
            last = self.base + self._offset(self.count)
            self._lie("index-outside", f"{self.name} INDEX ends at {last:#x}, the table at {len(self.data):#x}")

    def _offset(self, i: int) -> int:
        at = self.offsets_at + i * self.off_size
        return int.from_bytes(self.data[at : at + self.off_size], "big")

    def __len__(self) -> int:
        return self.count

    def span(self, i: int) -> tuple[int, int]:
        """First position of object `i` and the position behind it; both 0 where the offsets lie."""
        start, end = self._offset(i), self._offset(i + 1)
        if not 1 <= start <= end or self.base + end > len(self.data):
            return 0, 0
        return self.base + start, self.base + end

    def __getitem__(self, i: int) -> bytes:
        if not 0 <= i < self.count:
            raise IndexError(i)
        start, end = self.span(i)
        return self.data[start:end]

    def __iter__(self) -> Iterator[bytes]:
        return (self[i] for i in range(self.count))

    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First positions of all objects and positions behind them, as `span`; a problem is written for the first lie."""
        import numpy as np

        if not self.count:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        size = (self.count + 1) * self.off_size
        raw = np.frombuffer(self.data, np.uint8, size, self.offsets_at).reshape(self.count + 1, self.off_size)
        offsets = np.zeros(self.count + 1, np.int64)
        for column in range(self.off_size):
            offsets <<= 8
            offsets |= raw[:, column]
        starts, ends = offsets[:-1] + self.base, offsets[1:] + self.base
        lies = (offsets[:-1] < 1) | (ends < starts) | (ends > len(self.data))
        if lies.any():
            first = int(lies.argmax())
            what = f"{self.name} INDEX: object {first} goes from {starts[first]:#x} to {ends[first]:#x}, {int(lies.sum())} such of {self.count}"
            if not any(problem.rule == "index-order" and problem.offset == self.origin + self.at for problem in self.problems):
                self._lie("index-order", what)
            starts, ends = np.where(lies, 0, starts), np.where(lies, 0, ends)
        return starts, ends
