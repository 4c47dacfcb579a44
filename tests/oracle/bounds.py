"""The verifier's bounds against running, for all CFF fonts of this machine: stack, nested calls, hints, operators, points of every glyph.

`python -m tests.oracle.bounds [PATTERN]`; a glyph that is unknown or refused, and a bound that is not what running takes, count as wrong.
"""

from __future__ import annotations

import sys

import numpy as np

from tanken.font.cff import Cff
from tanken.font.outlines import Executor
from tanken.font.program import arrays
from tanken.font.verifier import Proof
from tanken.isa.charstring import columns, results
from tests.oracle import fonts

PAIRS = (
    ("stack", columns.S_MAX, results.DEPTH), ("nesting", columns.S_HEIGHT, results.HEIGHT), ("hints", columns.S_HINTS, results.HINT_COUNT),
    ("operators", columns.S_STEPS, results.STEPS),
)  # fmt: skip


def main() -> int:
    glyphs = wrong = 0
    fonts.tell_missing()
    for path, _, table, origin in fonts.tables(sys.argv[1] if len(sys.argv) > 1 else "*"):
        program = arrays(Cff(table, str(path), origin))
        bounds, runs = Proof(program).glyphs, Executor(program).outlines(0, program.glyphs).glyphs
        bad = {"not proved to end": bounds[:, columns.S_END] != columns.ENDS, "points": bounds[:, columns.S_POINTS] != np.diff(runs[:, results.XY_END], prepend=0) // 2}
        bad |= {name: bounds[:, column] != runs[:, other] for name, column, other in PAIRS}
        for name, rows in bad.items():
            if rows.any():
                print(f"{path.name}: {int(rows.sum())} glyphs: {name}, the first is {int(rows.argmax())}")
                wrong += int(rows.sum())
        glyphs += program.glyphs
    print(f"{glyphs} glyphs, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
