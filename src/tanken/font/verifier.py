"""The static verifier: what every glyph of a font needs at most, proved without running it, in time linear in the file.

The proof is `isa.charstring.proof`; limits are those of `limits`. A verdict is *safe* (proved to end within the limits), *refused*
(a fault or more than a limit allows, with where) or *unknown* (data decide which subroutine is called).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tanken.base import native
from tanken.base.records import Record
from tanken.font.limits import RUN, Limits
from tanken.font.program import Program
from tanken.isa.charstring import faults, kernel, proof
from tanken.isa.charstring.proof import (
    ENDS,
    FAILS,
    NO_CLEAR,
    PREFIX,
    S_END,
    S_FAULT,
    S_FAULT_AT,
    S_FAULT_DEPTH,
    S_FLAGS,
    S_HEIGHT,
    S_HINTS,
    S_KEY,
    S_MAX,
    S_MAX_AT,
    S_POINTS,
    S_SEAC_ACCENT,
    S_SEAC_BASE,
    S_STEPS,
    SUFFIX,
    UNKNOWN,
)  # fmt: skip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODULE, KERNEL = "tanken.isa.charstring.proof", "tanken.isa.charstring.kernel"
SAFE, REFUSED, OPEN = "safe", "refused", "unknown"
WORK = 128  # bytes read for each byte of the file before the verifier gives up: 97 hint counts, and some
MAX_SLOTS = 4_000_000  # subroutines times contexts: more are not proved, but called unknown
MAX_FRAMES = 400_000


@dataclass(frozen=True, slots=True, repr=False)
class Bound(Record):
    """What running one glyph takes at most: numbers on the stack, nested calls, hints, operators, points; and how the proof ended."""

    HEX: ClassVar[frozenset[str]] = frozenset({"stack_at", "fault_at"})

    glyph: int
    verdict: str
    reason: str
    stack: int
    stack_at: int
    nesting: int
    hints: int
    steps: int
    points: int
    fault: int
    fault_at: int
    fault_depth: int
    flags: int


@dataclass(frozen=True, slots=True, repr=False)
class SubroutineBound(Record):
    """What a subroutine does with the stack it finds, up to the first operator that clears it.

    `needs` numbers must be there, it goes `above` the stack at entry at most, and leaves `net` more (None: it clears); then `steps`, `nesting`.
    """

    kind: str
    number: int
    fd: int
    needs: int
    above: int
    net: int | None
    nesting: int
    steps: int
    ends: str


class Proof:
    """The proof of a program: `glyphs` has the columns S_* of `isa.charstring.proof` for each glyph, `prefixes` P_* for each slot."""

    def __init__(self, program: Program, first: int = 0, last: int | None = None) -> None:
        import numpy as np

        self.program, self.first = program, first
        self.last = program.glyphs if last is None else last
        variants = max(len(program.region_base) - 1, 1) if program.cff2 else 1
        fds = len(program.local_base) - 1
        sizes = [len(program.global_starts) + int(program.local_base[fd + 1] - program.local_base[fd]) for fd in range(fds) for _ in range(variants)]
        self.slot_base = np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int64)
        self.variants = variants
        slots = int(self.slot_base[-1])
        self.too_large = slots > MAX_SLOTS
        slots = 0 if self.too_large else slots
        self.prefixes = np.zeros(slots * PREFIX, np.int64)
        self.related = np.zeros(slots * SUFFIX, np.int64)
        self.table = np.zeros(max(64, 4 * slots) * SUFFIX, np.int64)
        self.frames = np.zeros(min(2 * slots + 64, MAX_FRAMES) * proof.FRAME, np.int64)
        self.glyphs = np.zeros((self.last - first, SUFFIX), np.int64)
        self.work = np.asarray([0, WORK * len(program.data) + 4_000_000, 0], np.int64)
        compiled = native.twin(MODULE, KERNEL)
        self._prove = compiled.prove if compiled else proof.prove
        if self.too_large:
            self.glyphs[:, S_END], self.glyphs[:, S_FAULT] = UNKNOWN, proof.TOO_DEEP
        else:
            self._run(first, self.last, False)
            self._composites()

    def _run(self, first: int, last: int, roots: bool) -> None:
        p, done = self.program, first
        while True:
            rows: Any = self.glyphs[done - self.first :].reshape(-1) if not roots else self.glyphs.reshape(-1)
            done = self._prove(p.data, done, last, p.starts, p.ends, p.fd_of, p.global_starts, p.global_ends, p.local_starts, p.local_ends, p.local_base,
                               p.cff2, p.fd_vsindex, p.region_base, self.slot_base, self.prefixes, self.related, self.table, self.frames, rows, self.work,
                               roots)  # fmt: skip
            if done == last:
                return
            self._grow()

    def _grow(self) -> None:
        import numpy as np

        old = self.table.reshape(-1, SUFFIX)
        self.table = np.zeros(4 * len(self.table), np.int64)
        kept = old[(old[:, S_KEY] != 0) & (old[:, S_END] != -1)]
        self.work[2] = len(kept)
        for row in kept:
            at = proof.find(self.table, int(row[S_KEY]))
            self.table[at : at + SUFFIX] = row

    def _composites(self) -> None:
        """Adds the two parts of each glyph that ends as a seac to its cost; what cannot be there is a fault."""
        import numpy as np

        if self.first or self.last != self.program.glyphs:
            return
        seac = np.flatnonzero((self.glyphs[:, S_END] == ENDS) & (self.glyphs[:, S_SEAC_BASE] >= 0)).tolist()
        parts_of = {int(i): [self._part(int(self.glyphs[i, column])) for column in (S_SEAC_BASE, S_SEAC_ACCENT)] for i in seac}
        before = self.glyphs.copy() if parts_of else self.glyphs
        for i, parts in parts_of.items():
            row = self.glyphs[i]
            if any(part < 0 or before[part, S_SEAC_BASE] >= 0 for part in parts):
                row[S_END], row[S_FAULT] = FAILS, kernel.SEAC
                continue
            for part in (before[part] for part in parts):
                row[S_STEPS], row[S_POINTS] = row[S_STEPS] + part[S_STEPS], row[S_POINTS] + part[S_POINTS]
                for column in (S_MAX, S_HEIGHT, S_HINTS):
                    row[column] = max(row[column], part[column])
                row[S_FLAGS] |= part[S_FLAGS]
                if part[S_END] != ENDS and row[S_END] == ENDS:
                    row[S_END], row[S_FAULT], row[S_FAULT_AT], row[S_FAULT_DEPTH] = part[S_END], part[S_FAULT], part[S_FAULT_AT], part[S_FAULT_DEPTH]

    def _part(self, code: int) -> int:
        return int(self.program.seac[code]) if 0 <= code < 256 else -1

    def refused(self, limits: Limits = RUN) -> NDArray[np.bool_]:
        """Which glyphs have a fault or take more than `limits`."""
        g = self.glyphs
        over = (g[:, S_MAX] > limits.stack) | (g[:, S_HEIGHT] > limits.nesting) | (g[:, S_HINTS] > limits.hints) | (g[:, S_STEPS] > limits.steps)
        over |= (g[:, S_POINTS] > limits.points) | (g[:, S_END] == FAILS)
        if limits.size < 1 << 59:
            import numpy as np

            over |= np.asarray(self.program.ends)[self.first : self.last] - np.asarray(self.program.starts)[self.first : self.last] > limits.size
        if not limits.arithmetic:
            over |= g[:, S_FLAGS] & kernel.ARITHMETIC != 0
        return over

    def safe(self, limits: Limits = RUN) -> NDArray[np.bool_]:
        """Which glyphs are proved to end within `limits`."""
        result: NDArray[np.bool_] = ~self.refused(limits) & (self.glyphs[:, S_END] == ENDS)
        return result

    def bound(self, gid: int, limits: Limits = RUN) -> Bound:
        """The bound of one glyph, with the verdict in words."""
        row = self.glyphs[gid - self.first].tolist()
        size = int(self.program.ends[gid] - self.program.starts[gid])
        reason = _excess(row, limits, size)
        verdict = REFUSED if row[S_END] == FAILS or (reason and row[S_END] != UNKNOWN) else OPEN if row[S_END] == UNKNOWN else SAFE
        if row[S_END] in (FAILS, UNKNOWN):
            reason = faults.sentence(row[S_FAULT])
        return Bound(gid, verdict, reason, row[S_MAX], row[S_MAX_AT], row[S_HEIGHT], row[S_HINTS], row[S_STEPS], row[S_POINTS], row[S_FAULT], row[S_FAULT_AT],
                     row[S_FAULT_DEPTH], row[S_FLAGS])  # fmt: skip

    def subroutines(self) -> Iterator[SubroutineBound]:
        """Every subroutine, those that no glyph calls too, in the context of its own font DICT (global ones in that of the first)."""
        if self.too_large:
            return
        slots = int(self.slot_base[-1])
        self._run(0, slots, True)
        count = len(self.program.global_starts)
        for context in range(0, len(self.slot_base) - 1, self.variants):
            fd = context // self.variants
            for slot in range(int(self.slot_base[context]), int(self.slot_base[context + 1])):
                number = slot - int(self.slot_base[context])
                if number >= count or context == 0:
                    yield self._subroutine("global" if number < count else "local", number if number < count else number - count, fd, slot)

    def _subroutine(self, kind: str, number: int, fd: int, slot: int) -> SubroutineBound:
        row = self.prefixes[slot * PREFIX : (slot + 1) * PREFIX].tolist()
        how = row[proof.P_KIND]
        ends = "returns" if how == NO_CLEAR else faults.sentence(row[proof.P_FAULT]) if how in (proof.BAD, proof.OPEN) else "clears the stack"
        net = row[proof.P_NET] if how == NO_CLEAR else None
        return SubroutineBound(kind, number, fd, row[proof.P_NEED], row[proof.P_GROW], net, row[proof.P_HEIGHT], row[proof.P_STEPS], ends)


def _excess(row: list[int], limits: Limits, size: int) -> str:
    for value, limit, what in (
        (row[S_MAX], limits.stack, "numbers on the stack"), (row[S_HEIGHT], limits.nesting, "nested calls"), (row[S_HINTS], limits.hints, "stem hints"),
        (row[S_STEPS], limits.steps, "operators"), (row[S_POINTS], limits.points, "points"), (size, limits.size, "bytes"),
    ):  # fmt: skip
        if value > limit:
            return f"{value} {what}, {limit} are allowed"
    return "arithmetic" if not limits.arithmetic and row[S_FLAGS] & kernel.ARITHMETIC else ""
