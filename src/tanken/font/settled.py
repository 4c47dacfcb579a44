"""What the proof leaves open is run: a charstring has no branch and reads nothing, so that one run of a glyph is the bound of all of them.

Adobe Technical Note 5177, section 4. What a run cannot settle stays unknown: where a number of `random` or, in CFF2, of `blend`, which is
another one in the next run, comes to decide what is called; and what takes more operators than `budget`, which is linear in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tanken.font.limits import NO_LIMIT, Limits
from tanken.font.outlines import Executor
from tanken.isa.charstring import fixed, results
from tanken.isa.charstring.columns import (
    COMPUTED_CALL,
    ENDS,
    FAILS,
    S_END,
    S_FAULT,
    S_FAULT_AT,
    S_FLAGS,
    S_HEIGHT,
    S_HINTS,
    S_MAX,
    S_POINTS,
    S_SEAC_BASE,
    S_STEPS,
    UNKNOWN,
)  # fmt: skip
from tanken.isa.charstring.machine import Machine, Step
from tanken.isa.charstring.results import AT, DEPTH, FAULT, FLAGS, HEIGHT, HINT_COUNT, STEPS, XY_END

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tanken.font.program import Program

BLEND = 16  # the operator
FOLLOWED = 5000  # operators within which numbers of random and blend are followed
DECIDING = {"callsubr": 1, "callgsubr": 1, "index": 1, "roll": 2, "put": 1, "get": 1, "vsindex": 1, "blend": 1, "endchar": 2, "(end)": 2}
STACK, NESTING, HINTS = 600, 100, 96  # more than any profile allows


def settle(program: Program, glyphs: NDArray[np.int64], first: int, budget: int) -> None:
    """Puts the costs of a run into the rows of `glyphs` (columns S_*, the first one is that of glyph `first`) that the proof left open.

    Runs `budget` operators at most, over all of them.
    """
    import numpy as np

    for i in np.flatnonzero(glyphs[:, S_END] == UNKNOWN).tolist():
        executor = Executor(program, Limits("settle", STACK, NESTING, HINTS, max(budget, 0), max(budget, 0), NO_LIMIT), watched=True)
        ran = executor.outlines(first + i, first + i + 1).glyphs[0]
        budget -= int(ran[STEPS])
        if ran[FAULT] in (results.BUDGET, results.POINTS):
            continue
        if ran[FLAGS] & results.RANDOM or (program.cff2 and executor.histogram[BLEND]):
            budget -= FOLLOWED
            if ran[STEPS] > FOLLOWED or chance_decides(program, first + i):
                continue
        row = glyphs[i]
        well = ran[FAULT] in (results.OK, results.RANGE)
        row[S_END], row[S_FAULT], row[S_FAULT_AT], row[S_SEAC_BASE] = ENDS if well else FAILS, 0 if well else ran[FAULT], ran[AT] if not well else 0, -1
        row[S_MAX], row[S_HEIGHT], row[S_HINTS], row[S_STEPS] = ran[DEPTH], ran[HEIGHT], ran[HINT_COUNT], ran[STEPS]
        row[S_POINTS], row[S_FLAGS] = ran[XY_END] // 2, ran[FLAGS] | COMPUTED_CALL


def chance_decides(program: Program, gid: int) -> bool:
    """Whether a number that is not the same in each run comes to where it decides: a call, a place on the stack, a part of a seac."""
    machine = Machine(program, gid, (STACK, NESTING, HINTS, FOLLOWED, fixed.ONE))
    by_chance, places = set[int](), set[int]()  # positions on the stack, places of the storage
    for step in machine.run():
        n = len(step.before)
        if any(n - 1 - i in by_chance for i in range(DECIDING.get(step.mnemonic, 0))):
            return True
        if not step.fault and step.mnemonic != "(end)":
            by_chance = _behind(machine, step, by_chance, places)
    return False


def _behind(machine: Machine, step: Step, before: set[int], places: set[int]) -> set[int]:
    """The positions of such numbers behind an operator, given those before it; `places` changes."""
    name, n, operator = step.mnemonic, len(step.before), machine.operator
    if operator.clears:
        return set()
    if name == "blend":
        return {at for at in before if at < len(step.after)} | set(range(len(step.after) - (step.before[-1] >> 16), len(step.after)))
    if name == "random":
        return before | {n}
    kept = {at for at in before if at < n - operator.takes}
    moved = before - kept
    if name == "roll":
        rolled = set(range(n - 2 - (step.before[-2] >> 16), n - 2))
        return kept | rolled if kept & rolled else kept
    if name == "put":
        (places.add if moved else places.discard)(step.before[-1] >> 16)
        return kept
    if name == "get":
        return kept | {n - 1} if step.before[-1] >> 16 in places else kept
    if name == "index":
        return before | {n - 1} if before else before
    return kept | set(range(n - operator.takes, n - operator.takes + operator.gives)) if moved else kept
