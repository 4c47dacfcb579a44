"""What the proof says of a font's programs, as findings: glyph, offset, operator and stack of each thing that is wrong; who accepts it.

The proof is `verifier`; where a glyph can be run within a few steps, the machine is run up to the fault for its exact place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tanken.base.records import Record
from tanken.font.engines import RULES, Judge
from tanken.font.face import Face
from tanken.font.limits import PROFILES, RUN, SPECIFICATION, Limits, for_format
from tanken.font.problems import ERROR, NOTE, WARNING, Problem
from tanken.font.program import Program
from tanken.font.verifier import OPEN, REFUSED, SAFE, Bound, Proof
from tanken.isa.charstring import faults, kernel
from tanken.isa.charstring.decode import token_at
from tanken.isa.charstring.machine import Machine
from tanken.isa.charstring.proof import COMPUTED, COMPUTED_CALL, ENDS, FAILS, S_END, S_FAULT, S_FAULT_AT, S_FLAGS, UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN = 10  # findings of one rule; what more there are is counted
RUNNABLE = 20_000  # operators within which the machine is run for the place of a fault
JUDGED = 1_000  # glyphs that are run as each engine would
# what an engine may take in another way than the specification
STRANGE = kernel.NO_END | kernel.SURPLUS | kernel.ARITHMETIC | kernel.NO_MOVETO | COMPUTED | COMPUTED_CALL
LEVELS = {"no-moveto": WARNING, "no-end": WARNING, "surplus": WARNING, "arithmetic": WARNING, "after-endchar": WARNING, "random": WARNING,
          "get-unset": WARNING, "undefined-arithmetic": WARNING, "computed-place": WARNING, "computed-call": WARNING}  # fmt: skip
EXCESS = (("stack", "stack-overflow"), ("nesting", "call-depth"), ("hints", "hint-overflow"), ("steps", "cost"), ("points", "points"))


@dataclass(frozen=True, slots=True, repr=False)
class Verdict(Record):
    """What an engine says of the font: glyphs accepted, refused and unknown, and the first one refused (-1: none, the font is) with the reason."""

    profile: str
    verdict: str
    safe: int
    refused: int
    unknown: int
    first: int
    reason: str


def verdicts(face: Face, proof: Proof, faulted: Sequence[tuple[int, int, int]], problems: Sequence[Problem]) -> list[Verdict]:
    """The verdict of each profile, from the proof, from the faults of running (glyph, fault, offset), and from the other findings."""
    maxstack = int(face.cff.top.number("maxstack", 513))
    return [_verdict(face, proof, for_format(limits, face.cff.is_cff2, maxstack), faulted, problems) for limits in PROFILES.values()]


def _verdict(face: Face, proof: Proof, limits: Limits, faulted: Sequence[tuple[int, int, int]], problems: Sequence[Problem]) -> Verdict:
    import numpy as np

    refused, unknown, reasons = judged(face, proof, limits, faulted)
    first = next(iter(np.flatnonzero(refused if refused.any() else unknown).tolist()), -1)
    reason = reasons.get(first) or (proof.bound(first, limits).reason if first >= 0 else "")
    whole = next((problem for problem in problems if problem.rule in limits.refuses), None)
    if whole is not None and not refused.any():
        first, reason = whole.glyph, whole.message
    verdict = "rejected" if whole is not None or refused.any() else "unknown" if unknown.any() else "accepted"
    return Verdict(limits.name, verdict, int((~refused & ~unknown).sum()), int(refused.sum()), int(unknown.sum()), first, reason)


def judged(face: Face, proof: Proof, limits: Limits, faulted: Sequence[tuple[int, int, int]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], dict[int, str]]:
    """Which glyphs a profile refuses, of which it is unknown, and the reasons.

    What breaks the specification is refused by it, and run as the engine would run it by the profile of an engine, `JUDGED` glyphs at most.
    """
    import numpy as np

    g, reasons = proof.glyphs, dict[int, str]()
    refused, unknown = proof.refused(limits, False), g[:, S_END] == UNKNOWN
    wrong = {**{gid: int(g[gid, S_FAULT]) for gid in np.flatnonzero(g[:, S_END] == FAILS).tolist()}, **{gid: fault for gid, fault, _ in faulted}}
    rules = RULES.get(limits.name)
    if rules is None:
        for gid, fault in wrong.items():
            refused[gid], reasons[gid] = True, faults.sentence(fault)
        return refused, unknown & ~refused, reasons
    strange = (g[:, S_FLAGS] & STRANGE != 0) | (g[:, S_END] != ENDS)
    strange[list(wrong)] = True
    program, numbers = face.lazy_program(), limits.numbers()
    numbers[kernel.MAX_STEPS] = min(numbers[kernel.MAX_STEPS], RUNNABLE)
    for count, gid in enumerate(np.flatnonzero(strange & ~refused).tolist()):
        judge = Judge(program, gid, numbers, rules)
        accepts = judge.accepts() if count < JUDGED else None
        refused[gid], unknown[gid] = accepts is False, accepts is None
        if not accepts:
            reasons[gid] = faults.sentence(judge.fault or int(g[gid, S_FAULT]))
    return refused, unknown, reasons


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
    yield from _excess(face, proof)
    yield from _flags(face, proof, program)


def _refused(face: Face, program: Program, bound: Bound) -> Problem:
    cff, name = face.cff, face.glyph_name(bound.glyph)
    rule, message = faults.name(bound.fault), bound.reason
    if bound.verdict == SAFE:
        bound = Bound(**dict(bound.items()) | {"verdict": REFUSED})
        rule, message = "cost", f"{bound.steps} operators, {RUN.steps} are run at most"
    if not bound.fault:
        rule = next((name for column, name in EXCESS if getattr(bound, column) > _allowed(column)), "size")
    at, operator, depth, place = bound.fault_at or int(program.starts[bound.glyph]), "", bound.fault_depth, ""
    if bound.steps <= RUNNABLE and bound.fault not in (33, 34, 35):
        machine = _machine(face, program, bound.glyph)
        if machine.fault:
            rule, message = faults.name(machine.fault), faults.sentence(machine.fault)
            if rule in ("cost", "points") or bound.fault == 32:
                rule, message = (faults.name(bound.fault), bound.reason) if bound.fault else (rule, bound.reason)
            at, depth, place = machine.fault_at, len(machine.stack), machine.frames[-1].name
    if at < len(cff.data) and (bound.fault or place):
        token = token_at(cff.data, at, len(cff.data), 0, cff.is_cff2)
        operator = token.mnemonic if token.kind == "operator" else "a number"
    else:
        depth = -1
    level = WARNING if bound.verdict == OPEN else ERROR
    fix = faults.FAULTS.get(bound.fault, ("", "", ""))[2]
    bounds = f" (bound: {bound.stack} on the stack, {bound.nesting} nested calls, {bound.hints} hints, {bound.steps} operators, {bound.points} points)"
    return Problem(rule, level, message + bounds, cff.origin + at, bound.glyph, name, place, operator, depth, fix)


def _allowed(column: str) -> int:
    value: int = getattr(SPECIFICATION if column in ("stack", "nesting", "hints") else RUN, column)
    return value


def _excess(face: Face, proof: Proof) -> Iterator[Problem]:
    """Glyphs that the specification allows and some engine does not."""
    import numpy as np

    spec = proof.refused(for_format(RUN, face.cff.is_cff2))
    for limits in PROFILES.values():
        over = proof.refused(for_format(limits, face.cff.is_cff2)) & ~spec
        if limits.name in ("freetype", "harfbuzz", "ots") and over.any():
            gid = int(np.argmax(over))
            bound = proof.bound(gid, limits)
            rule = next((name for column, name in EXCESS if getattr(bound, column) > getattr(limits, column)), "size")
            yield Problem(rule, WARNING, f"{int(over.sum())} glyphs that {limits.name} rejects: {bound.reason}", -1, gid, face.glyph_name(gid))


def _flags(face: Face, proof: Proof, program: Program) -> Iterator[Problem]:
    """What glyphs get away with: the first glyph of each kind, and how many."""
    import numpy as np

    for flag, (rule, sentence) in faults.FLAGS.items():
        having = np.flatnonzero(proof.glyphs[:, S_FLAGS] & flag)
        if flag == COMPUTED:
            having = having[proof.glyphs[having, S_END] != FAILS]
        if not len(having):
            continue
        gid = int(having[0])
        at, operator, place, depth = _first(face, program, gid, flag)
        count = f" ({len(having)} glyphs)" if len(having) > 1 else ""
        yield Problem(rule, LEVELS[rule], sentence + count, at, gid, face.glyph_name(gid), place, operator, depth)


def _first(face: Face, program: Program, gid: int, flag: int) -> tuple[int, str, str, int]:
    """Offset, operator, place and stack where a glyph's flag is set first."""
    limits = for_format(SPECIFICATION, face.cff.is_cff2).numbers()
    machine = Machine(program, gid, [*limits[:3], 2_000, RUNNABLE])
    for step in machine.run():
        wanted = machine.flags & (kernel.ARITHMETIC if flag == COMPUTED else flag)
        if wanted:
            return face.cff.origin + step.offset, step.mnemonic, step.place, len(step.before)
    return -1, "", "", -1


def run_problems(face: Face, proof: Proof, faulted: list[tuple[int, int, int]], flags: dict[int, list[int]]) -> Iterator[Problem]:
    """Findings that only running gives: faults of glyphs that were proved to end (glyph, fault, offset), and flags by glyph."""
    cff, program = face.cff, face.lazy_program()
    for gid, fault, at in faulted[:SHOWN]:
        rule, sentence, fix = faults.FAULTS[fault]
        place, operator, depth = "", "", -1
        if proof.bound(gid).steps <= RUNNABLE and (machine := _machine(face, program, gid)).fault == fault:
            place, depth, operator = machine.frames[-1].name, len(machine.stack), token_at(cff.data, at, len(cff.data), 0, cff.is_cff2).mnemonic
        yield Problem(rule, ERROR, sentence, cff.origin + at, gid, face.glyph_name(gid), place, operator, depth, fix)
    if len(faulted) > SHOWN:
        yield Problem("more-glyphs", NOTE, f"{len(faulted) - SHOWN} more glyphs end in a fault when run")
    for flag, glyphs in flags.items():
        rule, sentence = faults.FLAGS[flag]
        at, operator, place, depth = _first(face, program, glyphs[0], flag)
        count = f" ({len(glyphs)} glyphs)" if len(glyphs) > 1 else ""
        yield Problem(rule, LEVELS[rule], sentence + count, at, glyphs[0], face.glyph_name(glyphs[0]), place, operator, depth)
