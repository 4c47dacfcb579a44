"""What the executors and the verifier are handed: where a font's charstrings and subroutines stand, as arrays or as lazy sequences.

Adobe Technical Notes 5176 and 5177; one charstring alone needs no NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from tanken.base import native
from tanken.font.index import Index

if TYPE_CHECKING:
    from tanken.font.cff import Cff


class View(Sequence[int]):
    """A sequence whose elements are computed when asked for."""

    def __init__(self, count: int, at: Callable[[int], int]) -> None:
        self.length, self.value = count, at

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: Any) -> Any:
        return self.value(int(i))


@dataclass
class Program:
    """The executable part of a CFF table. Positions count in `data`; a charstring whose INDEX lies is empty.

    fd_of: each glyph's font DICT. local_base: where each FD's subroutines begin among the local ones. widths: default and nominal
    width of each FD, 16.16. fd_vsindex, region_base, weights: CFF2, the scalars of the regions of each item variation data, 16.16.
    """

    data: Any
    starts: Any
    ends: Any
    fd_of: Any
    global_starts: Any
    global_ends: Any
    local_starts: Any
    local_ends: Any
    local_base: Any
    widths: Any
    seac: Any
    cff2: bool
    fd_vsindex: Any
    region_base: Any
    weights: Any

    @property
    def glyphs(self) -> int:
        """How many charstrings there are."""
        return len(self.starts)


SMALL = 1 << 17  # bytes of a table: below this plain Python is done before a compiler would be


def compiled(program: Program) -> bool:
    """Whether native code is worth its loading for this program."""
    return len(program.data) >= SMALL and native.available()


def listed(program: Program) -> Program:
    """The program with lists in place of arrays: what plain Python is fastest with."""
    parts = {item.name: getattr(program, item.name) for item in fields(program)}
    return Program(**{name: value.tolist() if hasattr(value, "tolist") and name != "data" else value for name, value in parts.items()} | {"data": bytes(program.data)})


def fixed(value: float) -> int:
    """A number of a DICT as 16.16, wrapped into 32 bits."""
    return (round(value * 65536) + 0x80000000) % (1 << 32) - 0x80000000


def _bases(cff: Cff) -> list[int]:
    bases = [0]
    for fd in cff.fds:
        bases.append(bases[-1] + (len(fd.subrs) if fd.subrs else 0))
    return bases


def _scalars(cff: Cff, weights: Sequence[Sequence[int]]) -> tuple[list[int], list[int], list[int]]:
    base, flat = [0], list[int]()
    for row in weights:
        flat += row
        base.append(len(flat))
    vsindex = [int(fd.private.number("vsindex")) for fd in cff.fds]
    return [v if 0 <= v < len(weights) else 0 for v in vsindex], base, flat or [0]


def lazy(cff: Cff, weights: Sequence[Sequence[int]] = ()) -> Program:
    """The program for a few glyphs, in plain Python."""
    bases = _bases(cff)
    tables = [fd.subrs for fd in cff.fds]

    def local(i: int, side: int) -> int:
        fd = max(n for n in range(len(tables)) if bases[n] <= i and tables[n])
        index = tables[fd]
        assert index is not None
        return index.span(i - bases[fd])[side]

    def views(index: Index) -> tuple[View, View]:
        return View(len(index), lambda i: index.span(i)[0]), View(len(index), lambda i: index.span(i)[1])

    widths = [fixed(value) for fd in cff.fds for value in (fd.default_width, fd.nominal_width)]
    locals_ = View(bases[-1], lambda i: local(i, 0)), View(bases[-1], lambda i: local(i, 1))
    seac = View(256, lambda code: cff.seac_glyphs[code])
    return Program(cff.data, *views(cff.charstrings), View(len(cff), cff.fd), *views(cff.globals), *locals_, bases, widths, seac, cff.is_cff2, *_scalars(cff, weights))


def arrays(cff: Cff, weights: Sequence[Sequence[int]] = ()) -> Program:
    """The program of the whole font, as NumPy arrays."""
    import numpy as np

    starts, ends = cff.charstrings.spans()
    fd_of = np.zeros(len(cff), np.int64)
    if cff.fd_select:
        firsts = np.asarray(cff.fd_select.firsts, np.int64)
        fd_of = np.asarray(cff.fd_select.fds, np.int64)[np.searchsorted(firsts, np.arange(len(cff)), "right") - 1]
    spans = [fd.subrs.spans() if fd.subrs else (np.zeros(0, np.int64),) * 2 for fd in cff.fds]
    widths = [fixed(value) for fd in cff.fds for value in (fd.default_width, fd.nominal_width)]
    scalars = (np.asarray(part, np.int64) for part in _scalars(cff, weights))
    return Program(
        np.frombuffer(cff.data, np.uint8), starts, ends, fd_of, *cff.globals.spans(),
        np.concatenate([first for first, _ in spans]), np.concatenate([last for _, last in spans]), np.asarray(_bases(cff), np.int64),
        np.asarray(widths, np.int64), np.asarray(cff.seac_glyphs, np.int64), cff.is_cff2, *scalars,
    )  # fmt: skip
