"""What of a font's code is run at all: subroutines never reached, glyphs that cost most, how often each operator is used.

Counted by running every glyph with the bulk executor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.records import Record
from tanken.font.face import Face
from tanken.font.outlines import Executor
from tanken.isa.charstring.results import FAULT, STEPS
from tanken.isa.charstring.rows import by_opcode

SHOWN = 10
LIMIT = 20  # numbers of unreached subroutines that are named


@dataclass(frozen=True, slots=True, repr=False)
class Report(Record):
    """`unreached` and `unreached_bytes`: subroutines that no glyph calls, by kind; `costly`: glyph, name, operators run; `operators`: uses by name."""

    glyphs: int
    faults: int
    steps: int
    subroutines: int
    called: int
    unreached: dict[str, list[int]]
    unreached_bytes: int
    costly: list[tuple[int, str, int]]
    operators: dict[str, int]


def report(face: Face) -> Report:
    """Runs all glyphs of the face."""
    import numpy as np

    program = face.program()
    executor = Executor(program, watched=True)
    rows = [run.glyphs[:, [STEPS, FAULT]].copy() for run in executor.chunks()]
    steps, faults = np.concatenate(rows).T if rows else np.zeros((2, 0), np.int64)
    costly = [(int(gid), face.glyph_name(int(gid)), int(steps[gid])) for gid in np.argsort(-steps, kind="stable")[:SHOWN]]
    count = len(program.global_starts)
    dead = executor.reached == 0
    sizes = np.concatenate([program.global_ends - program.global_starts, program.local_ends - program.local_starts])
    unreached = {"global": np.flatnonzero(dead[:count]).tolist()}
    for fd in range(len(program.local_base) - 1):
        first, last = (count + int(program.local_base[fd + i]) for i in (0, 1))
        unreached[f"local of font DICT {fd}"] = np.flatnonzero(dead[first:last]).tolist()
    table = by_opcode(program.cff2)
    names = {code if code < 256 else 256 + (code & 255): row.mnemonic for code, row in table.items()}
    used = {names.get(int(code), f"op:{int(code):x}"): int(executor.histogram[code]) for code in np.flatnonzero(executor.histogram)}
    return Report(program.glyphs, int((faults != 0).sum()), int(steps.sum()), len(dead), int((~dead).sum()), {k: v for k, v in unreached.items() if v},
                  int(sizes[dead].sum()), costly, dict(sorted(used.items(), key=lambda item: -item[1])))  # fmt: skip


def lines(face: Face, found: Report) -> Iterator[str]:
    """The report as people read it."""
    yield f"{face.name}: {found.glyphs} glyphs, {found.steps} operators run, {found.faults} glyphs end in a fault"
    yield f"subroutines: {found.called} of {found.subroutines} are called; {found.unreached_bytes} bytes are never reached"
    for kind, numbers in found.unreached.items():
        more = f" and {len(numbers) - LIMIT} more" if len(numbers) > LIMIT else ""
        yield f"  never called, {kind}: {' '.join(map(str, numbers[:LIMIT]))}{more}"
    yield "most expensive glyphs (operators run):"
    yield from (f"  {steps:>9}  glyph {gid} {name}" for gid, name, steps in found.costly)
    yield "operators:"
    total = sum(found.operators.values()) or 1
    yield from (f"  {count:>11}  {count / total:7.2%}  {name}" for name, count in found.operators.items())
