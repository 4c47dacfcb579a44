"""The reference interpreter: pure Python, exact at every instruction, and the oracle for the faster engines.

Instructions are decoded once an address and kept until their page changes; `run` goes on until something happens that is not the
processor's own affair, and gives it as a value of isa.architecture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.engine.integer import IntegerMachine
from tanken.engine.memory import SHIFT, AddressSpace, Miss
from tanken.isa.architecture import Architecture, Budget, Exit, Faulted, Instruction, MemoryMiss, Place


class Interpreter:
    """Runs the instructions of `isa` on `state` and `memory`.

    `executed` counts instructions since the beginning, each iteration of a repeated string instruction as one. `watch(instruction,
    before)` is called after each instruction with a copy of the state before it.
    """

    slice = 200_000

    def __init__(self, state: Any, memory: AddressSpace, isa: Architecture, counter: Place | None = None) -> None:
        self.state, self.memory, self.isa = state, memory, isa
        self.executed = 0
        self.watch: Callable[[Instruction, Any], None] | None = None
        self._machine = IntegerMachine(state, memory, counter or Place("rip", 64), lambda: self.executed)
        self._decoded: dict[int, Instruction] = {}
        self._on_page: dict[int, set[int]] = {}
        memory.on_code_write = self._forget

    def save(self) -> None:
        """Nothing is kept from run to run."""

    def run(self, budget: int | None = None) -> Exit:
        """Go on until an exit; at most `budget` instructions. The state is exact then: at the instruction for a fault or a miss."""
        left = -1 if budget is None else budget
        try:
            while left:
                exit = self._step()
                left -= 1
                if exit is not None:
                    return exit
        except Faulted as faulted:
            return faulted.exit
        except Miss as miss:
            return MemoryMiss(miss.address, miss.size, miss.access)
        assert budget is not None
        return Budget(budget)

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
