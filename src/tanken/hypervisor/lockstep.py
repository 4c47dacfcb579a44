"""Two vcpus that run one machine: each has its own registers and memory, the board is shared; the first difference ends the run.

A Pair is a vcpu to the machine (`vcpu.Vcpu`). Both run until an exit that a machine consumes (exits.table, "final"; string instructions come by
elements); the board does what it asks once, both are given the answer, and then their registers must be equal; two that count instructions are compared
without any exit too. Memory is compared now and then.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from tanken.base.errors import TankenError
from tanken.base.records import Record
from tanken.board.clock import SECOND, Clock
from tanken.board.memory import Memory, Region
from tanken.hypervisor import exits as E
from tanken.hypervisor.vcpu import UnderWay, Vcpu
from tanken.isa.architecture import Budget
from tanken.isa.x86.state import FLAG_BITS, GPR_NAMES
from tanken.isa.x86.system.state import LISTS, R_UNUSABLE, SystemState

CHUNK = 1 << 20
PATIENCE = 60 * SECOND  # for the second vcpu's exit once the first has made its own
STEP = 100_000  # nanoseconds, as many instructions, after which two that count are compared in any case
MEMORY_EVERY = 2000  # exits between two comparisons of all memory
LAST = 12  # exits that are shown
PASSING = E.Kicked | E.InterruptWindow | Budget  # what only the host is told
# What KVM does not tell, or keeps in its own way (registers.py); the segments' rights and limits apart, see `_segments`.
UNTOLD = frozenset(("entropy", "msrs", "tsc_offset", "apic_base", "window", "shadow", "tsc_aux", "fpu_cs", "fpu_ds", "fpu_ip", "fpu_dp", "fpu_opcode"))
SEGMENTS = ("rights", "limits", "bases")


def twin_of(memory: Memory) -> Memory:
    """Equal memory without devices; what the machine itself writes into `memory` is written there too."""
    twin = Memory()
    for region in memory.regions:
        other = twin.add(Region(region.name, region.base, region.size, region.writable))
        for at in range(0, region.size, CHUNK):
            piece = bytes(region.bytes[at : at + CHUNK])
            if piece.count(0) != len(piece):
                other.bytes[at : at + len(piece)] = piece
    memory.on_write.append(lambda address, length: twin.write(address, memory.read(address, length)))
    return twin


@dataclass(frozen=True, slots=True, repr=False)
class Difference(Record):
    """The first difference: after how many equal exits, what kind ("exit", "registers", "memory"), and (what, by the first, by the second) of each."""

    HEX: ClassVar[frozenset[str]] = frozenset({"rip"})
    exits: int
    kind: str
    first: str
    second: str
    rip: int
    wrong: tuple[tuple[str, str, str], ...]
    last: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report."""
        width = max(len(what) for what, _, _ in self.wrong)
        head = f"the vcpus differ in their {self.kind} after {self.exits} equal exits, near {self.rip:#x}:"
        rows = [f"  {what:{width}}  {self.first} {mine}, {self.second} {theirs}" for what, mine, theirs in self.wrong]
        return [head, *rows, f"the last {len(self.last)} exits of both:", *(f"  {exit}" for exit in self.last)]


class DifferenceError(TankenError):
    """Two vcpus do not agree."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.lines()[0].removesuffix(":"), wanted="the same exits, registers and memory")
        self.difference = difference


class Pair:
    """`first` and `second` on `memory` and its twin, with `clock` and the second's own. `exact`: both count instructions, and must agree on them.

    Without counts (KVM) interrupts come at exits alone, and where an instruction may leave flags undefined, flags that differ are counted (`flags`).
    """

    kind = "lockstep"

    def __init__(
        self, first: Vcpu, second: Vcpu, memories: tuple[Memory, Memory], clocks: tuple[Clock, Clock],
        exact: bool, most: int | None = None, tell: Callable[[int, int], None] = lambda exits, compared: None,
    ) -> None:  # fmt: skip
        self.first, self.second, self.memories, self.clocks, self.exact, self.most, self.tell = first, second, memories, clocks, exact, most, tell
        self.names = _names(first, second)
        self.exits = 0  # that were equal
        self.compared = 0  # times that all registers were
        self.flags = 0
        self.last: deque[str] = deque(maxlen=LAST)
        self.finished: Callable[[], None] = lambda: None  # called after `most` exits
        self._together = True  # both stand at the same exit
        self._memory_at = 0
        self._seen = ""
        self._changed = False  # since the registers were compared

    @property
    def executed(self) -> int:
        return self.first.executed

    # -- running

    def run(self, nanoseconds: int | None = None) -> E.FinalExit:
        """Both, until an exit; raises DifferenceError."""
        if self._together:
            self.compare()
        start = self.executed
        if self.clocks[0] is not self.clocks[1]:
            self.clocks[1].restore(self.clocks[0].state())
        if self.exact:
            nanoseconds = STEP if nanoseconds is None else min(nanoseconds, STEP)
        exit = self.first.run(nanoseconds)
        if self.exact:
            return self._exactly(exit, start, nanoseconds)
        if isinstance(exit, PASSING):
            self._together = False  # only the first has gone on
            return E.Kicked()
        self._equal(exit, self._other(None))
        return exit

    def _exactly(self, exit: E.FinalExit, start: int, nanoseconds: int | None) -> E.FinalExit:
        """The second vcpu, as far as the first has come."""
        self._changed = True
        if isinstance(exit, E.Kicked | Budget):
            count = self.executed - start
            if not count:
                self.second.kick()  # it takes what was injected, and no instruction
            self.second.run(-(-count * SECOND // self.clocks[0].rate) or None)
            if self.second.executed != self.executed:
                self._differ("exit", (("instructions", str(self.executed), str(self.second.executed)),))
            return exit
        other = self._other(nanoseconds)
        if not isinstance(exit, E.InterruptWindow):
            self._equal(exit, other)
        if self.second.executed != self.executed:
            self._differ("exit", (("instructions", str(self.executed), str(self.second.executed)),))
        return exit

    def _other(self, nanoseconds: int | None) -> E.FinalExit:
        """The second vcpu's exit."""
        if self.exact:
            return self.second.run(nanoseconds)
        until = self.clocks[1].now() + PATIENCE
        while isinstance(exit := self.second.run(SECOND), PASSING):
            if self.clocks[1].now() > until:
                break
        return exit

    def _equal(self, exit: E.FinalExit, other: E.FinalExit) -> None:
        if exit != other:
            self._differ("exit", (("exit", repr(exit), repr(other) if not isinstance(other, PASSING) else f"none for {PATIENCE // SECOND} s"),))
        self.exits += 1
        self.last.append(repr(exit))
        self._together = self._changed = True
        if self.exits == self.most:
            self.finished()

    # -- comparing

    def compare(self, memory: bool = False) -> None:
        """Registers, and now and then (or where it is asked for) memory; raises DifferenceError."""
        if not self._changed and not memory:
            return
        try:
            mine, theirs = self.first.get_state(), self.second.get_state()
        except UnderWay:
            return
        self._changed = False
        self.compared += 1
        self.tell(self.exits, self.compared)
        self._seen = repr([(name, list(value) if name in LISTS else value) for name in SystemState.ALL if name not in UNTOLD and (value := getattr(mine, name)) is not None])
        wrong = self._registers(mine, theirs)
        if wrong:
            self._differ("registers", tuple(wrong), mine.rip)
        if memory or self.exits - self._memory_at >= MEMORY_EVERY:
            self._memory_at = self.exits
            found = memory_difference(*self.memories)
            if found is not None:
                self._differ("memory", (found,), mine.rip)

    def digest(self) -> str:
        """A hash of the registers when they were compared last; equal runs have equal ones."""
        return hashlib.sha256(self._seen.encode()).hexdigest()[:16]

    def _registers(self, mine: SystemState, theirs: SystemState) -> list[tuple[str, str, str]]:
        found = []
        for name in SystemState.ALL:
            a, b = getattr(mine, name), getattr(theirs, name)
            if not self.exact and (name in UNTOLD or name in SEGMENTS):
                continue
            if name == "shadow":  # native code leaves an old one standing
                a, b = int(a == mine.rip), int(b == theirs.rip)
            found += _each(name, a, b)
        if not self.exact:
            found += _segments(mine, theirs)
            flags = [item for item in found if item[0] in FLAG_BITS]
            if flags and len(flags) == len(found):
                self.flags += 1
                return []
        return found

    def _differ(self, kind: str, wrong: tuple[tuple[str, str, str], ...], rip: int | None = None) -> None:
        if rip is None:
            rip = self.first.get_state().rip
        raise DifferenceError(Difference(self.exits, kind, *self.names, rip, wrong, tuple(self.last)))

    # -- the rest of the contract: both

    def drain(self) -> Iterator[E.Mmio | E.PortIo]:
        yield from ()  # nothing waits: each write is compared

    def answer(self, value: int | None) -> None:
        self.first.answer(value)
        self.second.answer(value)

    def flush(self) -> None:
        self.first.flush()
        self.second.flush()

    def get_state(self) -> SystemState:
        return self.first.get_state()

    def set_state(self, state: SystemState) -> None:
        self.first.set_state(state)
        self.second.set_state(state)

    def can_inject(self) -> bool:
        return self._together and self.first.can_inject() and self.second.can_inject()

    def inject(self, vector: int) -> None:
        self.last.append(f"interrupt {vector:#x}")
        self.first.inject(vector)
        self.second.inject(vector)

    def inject_nmi(self) -> None:
        self.first.inject_nmi()
        self.second.inject_nmi()

    def request_window(self, wanted: bool) -> None:
        if self.exact:
            self.first.request_window(wanted)
            self.second.request_window(wanted)

    @property
    def cr8(self) -> int:
        return self.first.cr8

    @cr8.setter
    def cr8(self, value: int) -> None:
        self.first.cr8 = self.second.cr8 = value

    def kick(self) -> None:
        self.first.kick()

    def close(self) -> None:
        self.first.close()
        self.second.close()


def _names(first: Vcpu, second: Vcpu) -> tuple[str, str]:
    """How the two are called."""
    a, b = (getattr(vcpu, "label", vcpu.kind) for vcpu in (first, second))
    return (a, b) if a != b else (f"first {a}", f"second {b}")


def _each(name: str, a: Any, b: Any) -> list[tuple[str, str, str]]:
    """What differs of one register or list of registers."""
    if isinstance(a, int) or isinstance(a, dict):
        return [] if a == b else [(name, f"{a:#x}" if isinstance(a, int) else str(a), f"{b:#x}" if isinstance(b, int) else str(b))]
    return [(GPR_NAMES[n] if name == "regs" else f"{name}{n}", f"{x:#x}", f"{y:#x}") for n, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]


def _segments(mine: SystemState, theirs: SystemState) -> list[tuple[str, str, str]]:
    """Of segments that can be used in the mode: in 64-bit mode nobody looks at limits, and CS alone has rights that count."""
    found = []
    for number in range(6):
        rights = mine.rights[number], theirs.rights[number]
        if rights[0] & rights[1] & R_UNUSABLE or (mine.mode == 64 and number != 1):
            continue
        found += _each(f"rights{number}", rights[0] | 1, rights[1] | 1)  # the accessed bit: KVM sets it when it likes
        if mine.mode != 64:
            found += _each(f"limits{number}", mine.limits[number], theirs.limits[number]) + _each(f"bases{number}", mine.base(number), theirs.base(number))
    return found


def memory_difference(mine: Memory, theirs: Memory) -> tuple[str, str, str] | None:
    """The first byte that differs, with 8 bytes of both."""
    for region, other in zip(mine.regions, theirs.regions, strict=True):
        for at in range(0, region.size, CHUNK):
            a, b = bytes(region.bytes[at : at + CHUNK]), bytes(other.bytes[at : at + CHUNK])
            if a != b:
                n = next(n for n in range(len(a)) if a[n] != b[n])
                return f"[{region.base + at + n:#x}]", a[n : n + 8].hex(" "), b[n : n + 8].hex(" ")
    return None


