"""The static verifier: what every glyph of a font needs at most, proved without running it, in time linear in the file.

The proof is `isa.charstring.proof`; limits are those of `limits`. A verdict is *safe* (proved to end within the limits), *refused*
(a fault or more than a limit allows, with where) or *unknown* (a number that differs from run to run decides which subroutine is called).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tanken.base import native
from tanken.base.records import Record
from tanken.font import settled
from tanken.font.limits import RUN, Limits
from tanken.font.program import Program, compiled, listed
from tanken.isa.charstring import columns, faults, proof, results
from tanken.isa.charstring.columns import (
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

MODULE = "tanken.isa.charstring.proof"
SAFE, REFUSED, OPEN = "safe", "refused", "unknown"
WORK = 128  # bytes read for each byte of the file before the verifier gives up: 97 hint counts, and some
RUNS = 64  # operators run for each byte of the file, over all glyphs that the proof leaves open
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
    """The proof of a program: `glyphs` has the columns S_* of `isa.charstring.columns` for each glyph, `prefixes` P_* for each slot."""

    def __init__(self, program: Program, first: int = 0, last: int | None = None) -> None:
        import numpy as np

        self.program, self.first = program, first
        self.last = program.glyphs if last is None else last
        variants = max(len(program.region_base) - 1, 1) if program.cff2 else 1
        fds = len(program.local_base) - 1
        sizes = [len(program.global_starts) + int(program.local_base[fd + 1] - program.local_base[fd]) for fd in range(fds) for _ in range(variants)]
        self.slot_base: Any = np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int64)
        self.variants = variants
        slots = int(self.slot_base[-1])
        self.too_large = slots > MAX_SLOTS
        slots = 0 if self.too_large else slots
        twin = native.twin(MODULE, *proof.USES) if compiled(program) else None
        self._prove = twin.prove if twin else proof.prove
        if not twin:
            self.program, self.slot_base = listed(program), self.slot_base.tolist()
        self._native = twin is not None
        self.prefixes = self._zeros(slots * PREFIX)
        self.related = self._zeros(slots * SUFFIX)
        self.table = self._zeros(max(64, 4 * slots) * SUFFIX)
        self.frames = self._zeros(min(2 * slots + 64, MAX_FRAMES) * columns.FRAME)
        self.glyphs = np.zeros((self.last - first, SUFFIX), np.int64)
        self.work: Any = [0, WORK * len(program.data) + 4_000_000, 0]
        if twin:
            self.work = np.asarray(self.work, np.int64)
        if self.too_large:
            self.glyphs[:, S_END], self.glyphs[:, S_FAULT] = UNKNOWN, columns.TOO_DEEP
        else:
            self._run(first, self.last, False)
            self._composites()
            settled.settle(self.program, self.glyphs, first, RUNS * len(program.data) + 20_000)

    def _zeros(self, count: int) -> Any:
        import numpy as np

        return np.zeros(count, np.int64) if self._native else [0] * count

    def _run(self, first: int, last: int, roots: bool) -> None:
        import numpy as np

        p, done = self.program, first
        while True:
            begun, left = done, last - done if not roots else 0
            rows: Any = self.glyphs[done - self.first :].reshape(-1) if self._native and not roots else self._zeros(left * SUFFIX)
            done = self._prove(p.data, done, last, p.starts, p.ends, p.fd_of, p.global_starts, p.global_ends, p.local_starts, p.local_ends, p.local_base,
                               p.cff2, p.fd_vsindex, p.region_base, self.slot_base, self.prefixes, self.related, self.table, self.frames, rows, self.work,
                               roots)  # fmt: skip
            if not self._native and not roots:
                self.glyphs[begun - self.first : done - self.first] = np.asarray(rows[: (done - begun) * SUFFIX], np.int64).reshape(-1, SUFFIX)
            if done == last:
                return
            self._grow()

    def _grow(self) -> None:
        old = self.table
        self.table = self._zeros(4 * len(old))
        kept = [i for i in range(0, len(old), SUFFIX) if old[i + S_KEY] != 0 and old[i + S_END] != -1]
        self.work[2] = len(kept)
        for i in kept:
            at = columns.find(self.table, int(old[i + S_KEY]))
            self.table[at : at + SUFFIX] = old[i : i + SUFFIX]

    def _composites(self) -> None:
        if self.first == 0 and self.last == self.program.glyphs:
            join_composites(self.glyphs, self.program.seac)

    def refused(self, limits: Limits = RUN, faults_too: bool = True) -> NDArray[np.bool_]:
        """Which glyphs take more than `limits`, or with `faults_too` have a fault."""
        g = self.glyphs
        over = (g[:, S_MAX] > limits.stack) | (g[:, S_HEIGHT] > limits.nesting) | (g[:, S_HINTS] > limits.hints) | (g[:, S_STEPS] > limits.steps)
        over |= g[:, S_POINTS] > limits.points
        if faults_too:
            over |= g[:, S_END] == FAILS
        if limits.size < 1 << 59:
            import numpy as np

            over |= np.asarray(self.program.ends)[self.first : self.last] - np.asarray(self.program.starts)[self.first : self.last] > limits.size
        if not limits.arithmetic:
            over |= g[:, S_FLAGS] & results.ARITHMETIC != 0
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
        row = [int(value) for value in self.prefixes[slot * PREFIX : (slot + 1) * PREFIX]]
        how = row[columns.P_KIND]
        ends = "returns" if how == NO_CLEAR else faults.sentence(row[columns.P_FAULT]) if how in (columns.BAD, columns.OPEN) else "clears the stack"
        net = row[columns.P_NET] if how == NO_CLEAR else None
        return SubroutineBound(kind, number, fd, row[columns.P_NEED], row[columns.P_GROW], net, row[columns.P_HEIGHT], row[columns.P_STEPS], ends)


def join_composites(glyphs: NDArray[np.int64], seac: Any) -> None:
    """Adds the two parts of each glyph that ends as a seac to its cost; what cannot be there is a fault.

    `glyphs` has the columns S_* of all glyphs, `seac` the glyph of each code of StandardEncoding. In 5177 appendix C parts are not composed themselves.
    """
    import numpy as np

    composed = np.flatnonzero((glyphs[:, S_END] == ENDS) & (glyphs[:, S_SEAC_BASE] >= 0)).tolist()
    before = glyphs.copy() if composed else glyphs
    for i in composed:
        row = glyphs[i]
        codes = (int(row[column]) for column in (S_SEAC_ACCENT, S_SEAC_BASE))
        parts = [int(seac[code]) if code < 256 else -1 for code in codes]
        if min(parts) < 0:
            row[S_END], row[S_FAULT] = FAILS, results.SEAC
            continue
        for part in (before[part] for part in parts):
            row[S_STEPS], row[S_POINTS] = row[S_STEPS] + part[S_STEPS], row[S_POINTS] + part[S_POINTS]
            for column in (S_MAX, S_HEIGHT):
                row[column] = max(row[column], part[column])
            row[S_FLAGS] |= part[S_FLAGS]
            if part[S_END] == ENDS and part[S_SEAC_BASE] >= 0:
                row[S_END], row[S_FAULT] = FAILS, results.SEAC
            elif part[S_END] != ENDS:
                row[S_END], row[S_FAULT], row[S_FAULT_AT], row[S_FAULT_DEPTH] = part[S_END], part[S_FAULT], part[S_FAULT_AT], part[S_FAULT_DEPTH]
            if row[S_END] != ENDS:
                break


def _excess(row: list[int], limits: Limits, size: int) -> str:
    for value, limit, what in (
        (row[S_MAX], limits.stack, "numbers on the stack"), (row[S_HEIGHT], limits.nesting, "nested calls"), (row[S_HINTS], limits.hints, "stem hints"),
        (row[S_STEPS], limits.steps, "operators"), (row[S_POINTS], limits.points, "points"), (size, limits.size, "bytes"),
    ):  # fmt: skip
        if value > limit:
            return f"{value} {what}, {limit} are allowed"
    return "arithmetic" if not limits.arithmetic and row[S_FLAGS] & results.ARITHMETIC else ""
