"""Outlines: the paths of glyphs, run in bulk by the compiled kernel or one by one in plain Python.

The machine is `isa.charstring.kernel`; coordinates are font units, 16.16 in arrays. Limits are those of `limits`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tanken.base import native
from tanken.base.progress import Event, Progress, silent
from tanken.font.limits import RUN, Limits, for_format
from tanken.font.program import Program, compiled, listed
from tanken.isa.charstring import kernel
from tanken.isa.charstring.keeping import ROOM
from tanken.isa.charstring.pen import SIZE
from tanken.isa.charstring.results import (
    AT,
    CLOSE,
    CURVE,
    DEPTH,
    FAULT,
    FLAGS,
    GLYPH_COLUMNS,
    HAS_WIDTH,
    HEIGHT,
    HINT_COUNT,
    LINE,
    MOVE,
    OPS_END,
    STEPS,
    WIDTH,
    XY_END,
)  # fmt: skip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KERNEL = "tanken.isa.charstring.kernel"
CHUNK = 4096  # glyphs between two events of progress
LETTERS = "MLCZ"
Segment = tuple[Any, ...]  # ("M", x, y), ("L", x, y), ("C", x1, y1, x2, y2, x, y) or ("Z",), in font units


@dataclass(frozen=True)
class Outline:
    """What running one glyph gave: the path, the width in font units, how it ended, and what it cost."""

    gid: int
    path: list[Segment]
    width: float
    has_width: bool
    fault: int
    fault_at: int
    flags: int
    steps: int
    depth: int
    height: int
    hints: int


@dataclass(frozen=True)
class Outlines:
    """The outlines of glyphs `first` and following: operators, coordinates (16.16), and the columns of `kernel` for each glyph."""

    first: int
    ops: NDArray[np.uint8]
    xy: NDArray[np.int32]
    glyphs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.glyphs)

    def __getitem__(self, i: int) -> Outline:
        before = self.glyphs[i - 1] if i else None
        ops_from, xy_from = (int(before[OPS_END]), int(before[XY_END])) if before is not None else (0, 0)
        row = self.glyphs[i].tolist()
        return _outline(self.first + i, self.ops[ops_from : row[OPS_END]].tolist(), self.xy[xy_from : row[XY_END]].tolist(), row)


def number(value: int) -> int | float:
    """A 16.16 number as an int where it is whole."""
    return value >> 16 if not value & 0xFFFF else value / 65536


def segments(ops: list[int], xy: list[int]) -> list[Segment]:
    """Operators and 16.16 coordinates as a path."""
    path: list[Segment] = []
    at = 0
    for op in ops:
        count = (2, 2, 6, 0)[op]
        path.append((LETTERS[op], *map(number, xy[at : at + count])))
        at += count
    return path


def _outline(gid: int, ops: list[int], xy: list[int], row: list[int]) -> Outline:
    return Outline(gid, segments(ops, xy), number(row[WIDTH]), bool(row[HAS_WIDTH]), row[FAULT], row[AT], row[FLAGS], row[STEPS], row[DEPTH], row[HEIGHT],
                   row[HINT_COUNT])  # fmt: skip


def _call(run: Any, program: Program, first: int, last: int, limits: Any, room: tuple[Any, Any, Any, Any], out: tuple[Any, Any, Any], seen: tuple[Any, Any], watched: bool) -> int:
    p = program
    done: int = run(
        p.data, first, last, p.starts, p.ends, p.fd_of, p.global_starts, p.global_ends, p.local_starts, p.local_ends, p.local_base, p.widths, p.seac, p.cff2,
        p.fd_vsindex, p.region_base, p.weights, limits, *room, *out, *seen, watched,
    )  # fmt: skip
    return done


Plain = tuple[list[int], list[int], list[int]]  # operators, coordinates, columns


def _plain(program: Program, gid: int, limits: list[int], seen: tuple[Any, Any] = ([0], [0]), watched: bool = False) -> Plain:
    """One glyph, in plain Python."""
    size = 1024
    while True:
        ops, xy, row = [0] * size, [0] * (3 * size), [0] * GLYPH_COLUMNS
        room = [0] * 1024, [0] * 256, [0] * ROOM, [0] * SIZE
        before = tuple(list(part) for part in seen) if watched else ()
        if _call(kernel.run, program, gid, gid + 1, limits, room, (ops, xy, row), seen, watched) > gid:
            return ops[: row[OPS_END]], xy[: row[XY_END]], row
        for part, old in zip(seen, before, strict=bool(before)):
            part[:] = old
        size *= 4


def one(program: Program, gid: int, limits: Limits | None = None) -> Outline:
    """One glyph, in plain Python; `program` may be lazy. Limits are those of `RUN` for its format, where none are given."""
    limits = limits or for_format(RUN, program.cff2)
    return _outline(gid, *_plain(program, gid, limits.numbers()))


class Executor:
    """Runs glyphs of a program in bulk; `reached` and `histogram` are filled where `watched` is set.

    A small font is run in plain Python, which is done before a compiler would be.
    """

    def __init__(self, program: Program, limits: Limits | None = None, watched: bool = False) -> None:
        import numpy as np

        limits = limits or for_format(RUN, program.cff2)
        twin = native.twin(KERNEL, *kernel.USES) if compiled(program) else None
        self.native = twin is not None
        self.run = twin.run if twin else kernel.run
        self.program, self.watched = program if twin else listed(program), watched
        self.limits = np.asarray(limits.numbers(), np.int64)
        self.room = np.zeros(1024, np.int64), np.zeros(256, np.int64), np.zeros(ROOM, np.int64), np.zeros(SIZE, np.int64)
        self.reached = np.zeros(len(program.global_starts) + len(program.local_starts) if watched else 1, np.int64)
        self.histogram = np.zeros(512, np.int64)
        self.buffers = self._buffers(1 << 16)

    def _buffers(self, size: int) -> tuple[Any, Any]:
        import numpy as np

        return np.empty(size, np.uint8), np.empty(3 * size, np.int32)

    def outlines(self, first: int, last: int) -> Outlines:
        """The outlines of glyphs `first` to `last`; arrays that are too small are made larger and the rest is run again."""
        import numpy as np

        if not self.native:
            return self._plainly(first, last)
        size = max(len(self.buffers[0]), 64 * (last - first))
        if size > len(self.buffers[0]):
            self.buffers = self._buffers(size)
        glyphs = np.zeros((last - first, GLYPH_COLUMNS), np.int64)
        done, ops_end, xy_end = first, 0, 0
        while True:
            ops, xy = self.buffers
            rows = glyphs[done - first :]
            now = _call(self.run, self.program, done, last, self.limits, self.room, (ops[ops_end:], xy[xy_end:], rows.reshape(-1)), (self.reached, self.histogram), self.watched)
            if now > done:
                rows[: now - done, OPS_END] += ops_end
                rows[: now - done, XY_END] += xy_end
                ops_end, xy_end = int(rows[now - done - 1, OPS_END]), int(rows[now - done - 1, XY_END])
            done = now
            if done == last:
                return Outlines(first, ops[:ops_end], xy[:xy_end], glyphs)
            larger = self._buffers(2 * len(ops))
            larger[0][:ops_end], larger[1][:xy_end] = ops[:ops_end], xy[:xy_end]
            self.buffers = larger

    def _plainly(self, first: int, last: int) -> Outlines:
        import numpy as np

        ops, xy, rows = list[int](), list[int](), list[list[int]]()
        limits: list[int] = self.limits.tolist()
        seen: tuple[list[int], list[int]] = self.reached.tolist(), self.histogram.tolist()
        for gid in range(first, last):
            more_ops, more_xy, row = _plain(self.program, gid, limits, seen, self.watched)
            ops += more_ops
            xy += more_xy
            row[OPS_END], row[XY_END] = len(ops), len(xy)
            rows.append(row)
        self.reached[:], self.histogram[:] = seen
        return Outlines(first, np.asarray(ops, np.uint8), np.asarray(xy, np.int32), np.asarray(rows, np.int64).reshape(-1, GLYPH_COLUMNS))

    def chunks(self, first: int = 0, last: int | None = None, progress: Progress = silent) -> Iterator[Outlines]:
        """All glyphs, so many at a time; the arrays of one piece are written over by the next."""
        last = self.program.glyphs if last is None else last
        for begin in range(first, last, CHUNK):
            end = min(begin + CHUNK, last)
            yield self.outlines(begin, end)
            progress(Event("outlines", end - first, last - first, f"{end} glyphs"))


__all__ = ["CLOSE", "CURVE", "LINE", "MOVE", "Executor", "Outline", "Outlines", "one", "segments"]
