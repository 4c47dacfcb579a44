"""The reference interpreter: pure Python, exact at every instruction, and the oracle for the faster engines.

Instructions are decoded once an address and kept until their page changes; `run` goes on until something happens that is not the
processor's own affair, and gives it as a value of isa.architecture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.engine.hooks import MOVED, NOWHERE, STOP, Held, Hooks, WatchedMemory
from tanken.engine.integer import IntegerMachine
from tanken.engine.memory import SHIFT, AddressSpace, Miss
from tanken.isa.architecture import Architecture, Budget, Debug, Exit, Faulted, Instruction, MemoryMiss, Place


class Interpreter:
    """Runs the instructions of `isa` on `state` and `memory`.

    `executed` counts instructions since the beginning, each iteration of a repeated string instruction as one. `watch(instruction,
    before)` is called after each instruction with a copy of the state before it.
    """

    slice = 200_000
    exact = True  # always

    def __init__(self, state: Any, memory: AddressSpace, isa: Architecture, counter: Place | None = None) -> None:
        self.state, self.memory, self.isa = state, memory, isa
        self.executed = 0
        self.watch: Callable[[Instruction, Any], None] | None = None
        self.hooks: Hooks | None = None
        self.until: int | None = None  # with hooks: the address to stop at
        self._machine = IntegerMachine(state, memory, counter or Place("rip", 64), lambda: self.executed)
        self._decoded: dict[int, Instruction] = {}
        self._on_page: dict[int, set[int]] = {}
        memory.on_code_write = self._forget

    def save(self) -> None:
        """Nothing is kept from run to run."""

    def attach(self, hooks: Hooks) -> None:
        """Run these hooks from now on."""
        self.hooks = hooks
        hooks.changed = lambda hook: self.watch_memory()
        self.watch_memory()

    def watch_memory(self) -> None:
        """Let the machine tell its accesses where somebody wants to know."""
        hooks = self.hooks
        self._machine.memory = WatchedMemory(self.memory, hooks) if hooks is not None and hooks.watching else self.memory

    def run(self, budget: int | None = None, fired: int = -1) -> Exit:
        """Go on until an exit; at most `budget` instructions. The state is exact then: at the instruction for a fault or a miss.

        Of the first instruction's hooks those before it have run already where `fired` is not negative, and those of so many accesses.
        """
        end = -1 if budget is None else self.executed + budget
        try:
            while self.executed != end:
                exit = self._step() if self.hooks is None else self._hooked(self.hooks, fired)
                fired = -1
                if exit is not None:
                    return exit
        except Faulted as faulted:
            return faulted.exit
        except Miss as miss:
            return MemoryMiss(miss.address, miss.size, miss.access)
        assert budget is not None
        return Budget(budget)

    def settle(self) -> None:
        """The State is always up to date here."""

    def touched(self, moved: bool) -> None:
        """The State was changed by hand; `moved`: its program counter."""
        if moved and self.hooks is not None:
            self.hooks.held |= MOVED
            self.hooks.continued = NOWHERE

    @property
    def counter(self) -> int:
        """The address of the instruction."""
        return int(self.state.rip)

    @property
    def now(self) -> int:
        """Instructions executed, inside a hook too."""
        return self.executed

    def _hooked(self, hooks: Hooks, fired: int) -> Exit | None:
        """One instruction and its hooks; none where they went elsewhere."""
        at = self.state.rip
        instruction = self.decode(at)
        memory = self._machine.memory
        if isinstance(memory, WatchedMemory):
            memory.told = max(fired, 0)
        hooks.held = 0
        if fired < 0 and at == self.until:
            return Debug("until")
        exit = None
        try:
            if fired >= 0 or hooks.before(at):
                exit = self._step()
        except Held:
            pass
        if hooks.held & MOVED:
            hooks.continued = NOWHERE
        if hooks.held & STOP:
            return Debug("stopped")
        if not hooks.held & MOVED:
            plain = exit is None and (not self._machine.branched or instruction.repeat)
            hooks.continued = self.state.rip if plain else NOWHERE
        return exit

    def _step(self) -> Exit | None:
        at = self.state.rip
        instruction = self._decoded.get(at) or self.decode(at)
        before = self.state.copy() if self.watch is not None else None
        exit = self._machine.step(self.isa, instruction)
        self.executed += 1
        if self.watch is not None:
            self.watch(instruction, before)
        return exit

    def decode(self, at: int) -> Instruction:
        """The instruction there, decoded once until its page changes; Miss where there is no code."""
        known = self._decoded.get(at)
        if known is not None:
            return known
        code = self.memory.fetch(at)
        instruction = self.isa.decode(code, at)
        self._decoded[at] = instruction
        for page in range(at >> SHIFT, (at + len(code) - 1 >> SHIFT) + 1):
            self._on_page.setdefault(page, set()).add(at)
            self.memory.code_pages.add(page)
        return instruction

    def _forget(self, page: int) -> None:
        for at in self._on_page.pop(page, ()):
            self._decoded.pop(at, None)
