"""Who accepts a font: for each profile the glyphs that it takes, refuses, or of which nothing is known, and why.

Limits are those of `limits`; what breaks the specification is run as the engine of the profile would run it (`engines`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tanken.base.records import Record
from tanken.font.engines import RULES, Judge
from tanken.font.face import Face
from tanken.font.limits import PROFILES, Limits, for_format
from tanken.font.problems import Problem
from tanken.font.verifier import Proof
from tanken.isa.charstring import faults, results
from tanken.isa.charstring.columns import COMPUTED, COMPUTED_CALL, ENDS, FAILS, S_END, S_FAULT, S_FLAGS, UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

JUDGED = 1_000  # glyphs that are run as each engine would
BUDGET = 20_000  # operators of one
# what an engine may take in another way than the specification
STRANGE = results.NO_END | results.SURPLUS | results.ARITHMETIC | results.NO_MOVETO | COMPUTED | COMPUTED_CALL


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
    numbers[results.MAX_STEPS] = min(numbers[results.MAX_STEPS], BUDGET)
    for count, gid in enumerate(np.flatnonzero(strange & ~refused).tolist()):
        judge = Judge(program, gid, numbers, rules)
        accepts = judge.accepts() if count < JUDGED else None
        if accepts is None and g[gid, S_END] == ENDS:
            continue  # too long to be run, but proved to end within the limits
        refused[gid], unknown[gid] = accepts is False, accepts is None
        if not accepts:
            reasons[gid] = faults.sentence(judge.fault or int(g[gid, S_FAULT]))
    return refused, unknown, reasons
