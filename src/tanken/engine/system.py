"""The slow, obvious engine for a whole processor: one instruction at a time, exceptions delivered, exits given as values.

What an instruction is, how faults are delivered and how addresses are translated it is handed; decoded instructions are kept by physical
address until their page changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tanken.engine.integer import IntegerMachine
from tanken.engine.memory import PAGE, SHIFT
from tanken.engine.paged import Paging
from tanken.isa.architecture import Architecture, Budget, Exited, Fault, Faulted, Instruction, Place

FETCH = 15  # bytes of the longest instruction


@dataclass(frozen=True, slots=True)
class Touching:
    """The run ends before `instruction`, one of those that the engine was told to leave to whoever runs it."""

    instruction: Any


class SystemArchitecture(Architecture, Paging, Protocol):
    """An instruction set with its privileged side."""

    def key(self) -> tuple[int, int]:
        """What a decoded instruction depends on beside its bytes."""

    def fetch_address(self) -> int:
        """The linear address of the next instruction."""

    def is_whole(self, instruction: Any) -> bool:
        """Whether more bytes could not change it."""

    def before(self, core: Any) -> None:
        """Faults before an instruction that is watched."""

    def after(self, core: Any, instruction: Any, before: int, hit: int) -> None:
        """Traps behind it."""

    def raised(self, core: Any, fault: Fault) -> Any:
        """Deliver a fault; an exit where that cannot be done."""

    def window(self) -> Any:
        """An exit, where somebody waits for interrupts to be let in and they are."""

    @property
    def careful(self) -> bool:
        """Whether `before` and `after` have anything to do."""


class SystemInterpreter:
    """Runs `core`'s state and memory; `executed` counts instructions, deliveries of faults, and each iteration of a repeated instruction as one."""

    slice = 200_000

    def __init__(self, core: Any, isa: SystemArchitecture, counter: Place | None = None) -> None:
        self.core, self.isa = core, isa
        self.state, self.memory = core.state, core.memory
        self.executed = 0
        self.bias = 0  # the time stamp less `executed`; whoever made the core adds it
        self.touching: set[Any] = set()  # instructions that are known to touch devices: the run ends before them, where nothing is watched
        self.watch: Callable[[Instruction, Any], None] | None = None
        self._machine = IntegerMachine(core.state, core.memory, counter or Place("rip", 64), core.ticks, core)
        self._decoded: dict[tuple[int, tuple[int, int]], Instruction] = {}
        self._on_page: dict[int, list[tuple[int, tuple[int, int]]]] = {}
        self.memory.physical.on_code_write.append(self._forget)

    def save(self) -> None:
        """Nothing is kept from run to run."""

    def run(self, budget: int | None = None) -> Any:
        """Go on until an exit, at most `budget` instructions; the state is exact then."""
        left = -1 if budget is None else budget
        while left:
            exit = self.step() or self.isa.window()
            left -= 1
            if exit is not None:
                return exit
        return Budget(budget or 0)

    def step(self) -> Any:
        """One instruction, or the delivery of the fault it ends by."""
        isa, core, memory = self.isa, self.core, self.memory
        try:
            core.inst = None
            careful = isa.careful
            memory.watching = careful
            memory.hit = 0
            if careful:
                isa.before(core)
            flags = self.state.system_flags
            instruction = core.inst = self.decode()
            if self.touching and instruction in self.touching and not careful and self.watch is None:
                return Touching(instruction)
            before = self.state.copy() if self.watch is not None else None
            exit = self._machine.step(isa, instruction)
            self.executed += 1
            if isa.key()[0] != 64:
                self.state.rip &= 0xFFFF_FFFF
            if self.watch is not None:
                self.watch(instruction, before)
            isa.after(core, instruction, flags, memory.hit)
            return exit
        except Faulted as faulted:
            return self._deliver(faulted.exit)
        except Exited as exited:
            return exited.exit

    def _deliver(self, fault: Fault) -> Any:
        self.executed += 1
        self.memory.watching = False
        try:
            return self.isa.raised(self.core, fault)
        except Exited as exited:
            return exited.exit

    def decode(self) -> Instruction:
        """The instruction at the program counter."""
        isa, memory = self.isa, self.memory
        linear = isa.fetch_address()
        entry, offset = memory.fetch(linear)
        place = (entry[2] << SHIFT) + offset, isa.key()
        known = self._decoded.get(place)
        if known is not None:
            return known
        at = entry[1] + offset
        code = bytes(entry[0][at : at + min(FETCH, PAGE - offset)])
        instruction = isa.decode(code, self.state.rip)
        if len(code) < FETCH and not isa.is_whole(instruction):
            second, _ = memory.fetch(linear + len(code) & (1 << 64) - 1)
            return isa.decode(code + bytes(second[0][second[1] : second[1] + FETCH - len(code)]), self.state.rip)
        memory.physical.code_pages.add(entry[2])
        self._decoded[place] = instruction
        self._on_page.setdefault(entry[2], []).append(place)
        return instruction

    def _forget(self, page: int) -> None:
        for place in self._on_page.pop(page, ()):
            self._decoded.pop(place, None)


