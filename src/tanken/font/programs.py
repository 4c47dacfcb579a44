"""What the proof says of a font's programs, as findings: glyph, offset, operator and stack of each thing that is wrong.

The proof is `verifier`; where a glyph can be run within a few steps, the machine is run up to the fault for its exact place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tanken.font.face import Face
from tanken.font.limits import PROFILES, RUN, SPECIFICATION, for_format
from tanken.font.problems import ERROR, NOTE, WARNING, Problem
from tanken.font.program import Program
from tanken.font.verifier import OPEN, REFUSED, SAFE, Bound, Proof
from tanken.isa.charstring import faults, results
from tanken.isa.charstring.columns import COMPUTED, COMPUTED_CALL, DATA_BLEND, DATA_SUBR, FAILS, RECURSION, S_END, S_FAULT, S_FAULT_AT, S_FLAGS, TOO_DEEP, UNKNOWN
from tanken.isa.charstring.decode import token_at
from tanken.isa.charstring.machine import Machine, Step

SHOWN = 10  # findings of one rule; what more there are is counted
FLAGGED = 2_000  # and for the place of what a glyph gets away with
BY_PROOF = (DATA_SUBR, DATA_BLEND, TOO_DEEP)
CALLS = ("callsubr", "callgsubr")
KEEPING = ("arithmetic", "storage", "conditional")
RUNNABLE = 20_000  # operators within which the machine is run for the place of a fault
LEVELS = {"no-moveto": WARNING, "no-end": WARNING, "surplus": WARNING, "arithmetic": WARNING, "after-endchar": WARNING, "random": WARNING,
          "get-unset": WARNING, "undefined-arithmetic": WARNING, "computed-place": WARNING, "computed-call": WARNING}  # fmt: skip
EXCESS = (("stack", "stack-overflow"), ("nesting", "call-depth"), ("hints", "hint-overflow"), ("steps", "cost"), ("points", "points"))


@dataclass(frozen=True)
class Place:
    """Where in a glyph's programs: offset in the file, the operator, the body it stands in, numbers on the stack before it; -1 and "" where unknown."""

    offset: int = -1
    operator: str = ""
    body: str = ""
    stack: int = -1


Test = Callable[[Machine, Step], bool]


def first_place(face: Face, program: Program, gid: int, test: Test, steps: int = RUNNABLE) -> Place:
    """The first operator of a glyph that `test` says yes of, within so many steps."""
    machine = Machine(program, gid, [600, 100, 1 << 20, steps, 1 << 30])
    for step in machine.run():
        if test(machine, step):
            return Place(face.cff.origin + step.offset, step.mnemonic, step.place, len(step.before))
    return Place()


def _calls(machine: Machine, step: Step) -> bool:
    return step.mnemonic in CALLS


def _flagged(flag: int) -> Test:
    """Where a flag is set first; those of the proof are found by what they are about."""
    if flag == COMPUTED_CALL:
        return lambda machine, step: step.mnemonic in (*CALLS, "endchar", "blend", "vsindex") and not step.pushed and bool(step.before)
    if flag in (COMPUTED, results.ARITHMETIC):
        return lambda machine, step: machine.token is not None and machine.token.operator is not None and machine.token.operator.group in KEEPING
    return lambda machine, step: bool(machine.flags & flag)


def _passes(column: str, limit: int) -> Test:
    """Where a cost passes a limit first."""
    reached: dict[str, Test] = {
        "stack": lambda machine, step: len(step.before) > limit, "nesting": lambda machine, step: len(machine.frames) - 1 > limit,
        "hints": lambda machine, step: step.hints > limit, "points": lambda machine, step: step.points > limit,
    }  # fmt: skip
    return reached.get(column, _calls)


def _machine(face: Face, program: Program, gid: int) -> Machine:
    limits = for_format(SPECIFICATION, face.cff.is_cff2, int(face.cff.top.number("maxstack", 513))).numbers()
    machine = Machine(program, gid, [*limits[:3], RUNNABLE, RUNNABLE])
    for _ in machine.run():
        pass
    return machine


def problems(face: Face, proof: Proof) -> Iterator[Problem]:
    """All findings about programs; those of one rule and place are told once, with the first glyph and how many more."""
    import numpy as np

    cff = face.cff
    limits = for_format(SPECIFICATION, cff.is_cff2, int(cff.top.number("maxstack", 513)))
    refused = proof.refused(limits) | (proof.glyphs[:, S_END] == UNKNOWN) | proof.refused(for_format(RUN, cff.is_cff2))
    told: dict[tuple[str, int], int] = {}
    program = face.lazy_program()
    for gid in np.flatnonzero(refused).tolist():
        # a place found by the proof is the same for all glyphs that come there: only the first one is run
        row = proof.glyphs[gid]
        key = (faults.name(int(row[S_FAULT])), int(row[S_FAULT_AT])) if row[S_END] in (FAILS, UNKNOWN) else ("excess", gid)
        if key in told or sum(1 for rule, _ in told if rule == key[0]) >= SHOWN:
            told[key] = told.get(key, 0) + 1
            continue
        told[key] = 0
        yield _refused(face, program, proof.bound(gid, limits))
    more = sum(told.values())
    if more:
        yield Problem("more-glyphs", NOTE, f"{more} more glyphs with the faults above, or more of their kind")
    yield from _excess(face, proof, program)
    yield from _flags(face, proof, program)


def _refused(face: Face, program: Program, bound: Bound) -> Problem:
    cff, name = face.cff, face.glyph_name(bound.glyph)
    rule, message = faults.name(bound.fault), bound.reason
    if bound.verdict == SAFE:
        bound = Bound(**dict(bound.items()) | {"verdict": REFUSED})
        rule, message = "cost", f"{bound.steps} operators, {RUN.steps} are run at most"
    if not bound.fault:
        rule = next((name for column, name in EXCESS if getattr(bound, column) > _allowed(column)), "size")
    place = _fault_place(face, program, bound)
    if bound.steps <= RUNNABLE and bound.fault not in BY_PROOF:
        machine = _machine(face, program, bound.glyph)
        if machine.fault:
            if machine.fault not in (results.BUDGET, results.POINTS) and bound.fault != RECURSION:
                rule, message = faults.name(machine.fault), faults.sentence(machine.fault)
            elif bound.fault:
                rule, message = faults.name(bound.fault), bound.reason
            place = Place(cff.origin + machine.fault_at, _operator(face, machine.fault_at), machine.frames[-1].name, len(machine.stack))
    level = WARNING if bound.verdict == OPEN else ERROR
    fix = faults.FAULTS.get(bound.fault, ("", "", ""))[2]
    bounds = f" (bound: {bound.stack} on the stack, {bound.nesting} nested calls, {bound.hints} hints, {bound.steps} operators, {bound.points} points)"
    return Problem(rule, level, message + bounds, place.offset, bound.glyph, name, place.body, place.operator, place.stack, fix)


def _operator(face: Face, at: int) -> str:
    """The name of the operator at a place of the table."""
    if at >= len(face.cff.data):
        return ""
    token = token_at(face.cff.data, at, len(face.cff.data), 0, face.cff.is_cff2)
    return token.mnemonic if token.kind == "operator" else "a number"


def _fault_place(face: Face, program: Program, bound: Bound) -> Place:
    """Where the proof found the fault; of a cost, the glyph's first call."""
    if bound.fault:
        return Place(face.cff.origin + bound.fault_at, _operator(face, bound.fault_at), "", bound.fault_depth)
    place = first_place(face, program, bound.glyph, _calls)
    return place if place.offset >= 0 else Place(face.cff.origin + int(program.starts[bound.glyph]))


def _allowed(column: str) -> int:
    value: int = getattr(SPECIFICATION if column in ("stack", "nesting", "hints") else RUN, column)
    return value


def _excess(face: Face, proof: Proof, program: Program) -> Iterator[Problem]:
    """Glyphs that the specification allows and some engine does not."""
    import numpy as np

    spec = proof.refused(for_format(RUN, face.cff.is_cff2))
    for limits in PROFILES.values():
        over = proof.refused(for_format(limits, face.cff.is_cff2)) & ~spec
        if limits.name in ("freetype", "harfbuzz", "ots") and over.any():
            gid = int(np.argmax(over))
            bound = proof.bound(gid, limits)
            column, rule = next((pair for pair in EXCESS if getattr(bound, pair[0]) > getattr(limits, pair[0])), ("", "size"))
            place = first_place(face, program, gid, _passes(column, getattr(limits, column))) if column else Place()
            message = f"{int(over.sum())} glyphs that {limits.name} rejects: {bound.reason}"
            yield Problem(rule, WARNING, message, place.offset, gid, face.glyph_name(gid), place.body, place.operator, place.stack)


def _flags(face: Face, proof: Proof, program: Program) -> Iterator[Problem]:
    """What glyphs get away with: the first glyph of each kind, and how many."""
    import numpy as np

    for flag in faults.FLAGS:
        having = np.flatnonzero(proof.glyphs[:, S_FLAGS] & flag)
        if flag == COMPUTED:
            having = having[proof.glyphs[having, S_END] != FAILS]
        if not len(having):
            continue
        gid = int(having[0])
        yield _flag(face, program, flag, gid, len(having))


def _flag(face: Face, program: Program, flag: int, gid: int, count: int) -> Problem:
    rule, sentence = faults.FLAGS[flag]
    place = first_place(face, program, gid, _flagged(flag), FLAGGED)
    more = f" ({count} glyphs)" if count > 1 else ""
    return Problem(rule, LEVELS[rule], sentence + more, place.offset, gid, face.glyph_name(gid), place.body, place.operator, place.stack)


def run_problems(face: Face, proof: Proof, faulted: list[tuple[int, int, int]], flags: dict[int, list[int]]) -> Iterator[Problem]:
    """Findings that only running gives: faults of glyphs that were proved to end (glyph, fault, offset), and flags by glyph."""
    cff, program = face.cff, face.lazy_program()
    for gid, fault, at in faulted[:SHOWN]:
        rule, sentence, fix = faults.FAULTS[fault]
        place = Place(cff.origin + at)
        if proof.bound(gid).steps <= RUNNABLE:
            machine = _machine(face, program, gid)
            if machine.fault == fault:
                place = Place(place.offset, _operator(face, at), machine.frames[-1].name, len(machine.stack))
            elif fault == results.RANGE:
                place = first_place(face, program, gid, _outside)
        yield Problem(rule, ERROR, sentence, place.offset, gid, face.glyph_name(gid), place.body, place.operator, place.stack, fix)
    if len(faulted) > SHOWN:
        yield Problem("more-glyphs", NOTE, f"{len(faulted) - SHOWN} more glyphs end in a fault when run")
    for flag, glyphs in flags.items():
        yield _flag(face, program, flag, glyphs[0], len(glyphs))


def _outside(machine: Machine, step: Step) -> bool:
    """Whether a coordinate has left 16.16."""
    return bool(machine.path) and any(not -(1 << 31) <= value < 1 << 31 for segment in machine.path[-8:] for value in segment[1:])
