"""The abstract machine on Python integers: every verb done at once, nothing clever; the oracle for the other machines.

It runs one instruction at a time. What the instruction sets is kept aside until it ends, so that a fault leaves the state as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tanken.engine.operations import MEANING, lanewise
from tanken.isa.architecture import Architecture, Exit, Fault, Instruction, LaneOperation, Place, Value
from tanken.isa.architecture import Faulted as Faulted


class Contended(Exception):
    """Another process has stored between the load and the store of an atomic instruction, which begins anew."""


class IntegerMachine:
    """Runs instructions on `state`, an object whose attributes are the instruction set's places, and on `memory`; `core` is for long ones."""

    def __init__(self, state: Any, memory: Any, counter: Place, ticks: Callable[[], int], core: Any = None) -> None:
        self.state, self.memory, self.counter, self.ticks, self.core = state, memory, counter, ticks, core
        self._sets: dict[Place, int] = {}
        self._sets_at: list[tuple[str, int, int]] = []
        self._exit: Exit | None = None
        self._at = 0
        self._next = 0
        self._loaded: dict[int, int] | None = None  # by an atomic instruction, by address
        self.branched = False  # whether the last instruction was a branch, taken or not

    def step(self, isa: Architecture, instruction: Instruction) -> Exit | None:
        """Run one instruction; the state is untouched where memory's Miss or Faulted comes out."""
        self._sets.clear()
        self._sets_at.clear()
        self._exit = None
        self.branched = False
        self._at = instruction.address
        self._next = self._at + instruction.length & (1 << self.counter.width) - 1
        self._loaded = {} if instruction.atomic and self.core is None else None
        try:
            isa.execute(self, instruction)
        except Contended:
            return self.step(isa, instruction)
        state = self.state
        setattr(state, self.counter.field, self._next)
        for place, value in self._sets.items():
            if place.index is None:
                setattr(state, place.field, value)
            else:
                getattr(state, place.field)[place.index] = value
        for field, index, value in self._sets_at:
            getattr(state, field)[index] = value
        return self._exit

    def constant(self, value: int, width: int) -> Value:
        return Value(self, width, value & (1 << width) - 1)

    def compute(self, operation: str, width: int, *operands: Value) -> Value:
        first = operands[-1] if operation == "select" else operands[0]
        return Value(self, width, MEANING[operation](*[operand.node for operand in operands], first.width, width))

    def lanes(self, operation: LaneOperation, lane: int, *operands: Value) -> Value:
        a, b = operands
        return Value(self, a.width, lanewise(operation, lane, a.width, number(a), number(b)))

    def apply(self, function: Callable[..., tuple[int, ...]], widths: tuple[int, ...], *operands: Value) -> tuple[Value, ...]:
        results = function(*[operand.node for operand in operands])
        return tuple(Value(self, width, result) for width, result in zip(widths, results, strict=True))

    def get(self, place: Place) -> Value:
        if place in self._sets:
            return Value(self, place.width, self._sets[place])
        value = getattr(self.state, place.field)
        return Value(self, place.width, value if place.index is None else value[place.index])

    def set(self, place: Place, value: Value) -> None:
        assert value.width == place.width, f"{value.width} bits into {place}"
        self._sets[place] = number(value)

    def get_at(self, field: str, index: Value, width: int) -> Value:
        for wrote, at, value in reversed(self._sets_at):
            if wrote == field and at == index.node:
                return Value(self, width, value)
        return Value(self, width, getattr(self.state, field)[index.node])

    def set_at(self, field: str, index: Value, value: Value) -> None:
        self._sets_at.append((field, number(index), number(value)))

    def load(self, address: Value, size: int, modify: bool = False) -> Value:
        load = self.memory.load if self.core is None or not modify else self.memory.load_to_modify
        value = load(number(address), size)
        if self._loaded is not None:
            self._loaded[number(address)] = value
        return Value(self, size * 8, value)

    def store(self, address: Value, value: Value) -> None:
        at, size = number(address), value.width // 8
        if self._loaded is None or at not in self._loaded:
            self.memory.store(at, size, number(value))
        elif not self.memory.swap(at, size, self._loaded[at], number(value)):
            raise Contended

    def when(self, condition: Value, then: Callable[[], None]) -> None:
        if condition.node:
            then()

    def fault(
        self, vector: int, code: Value | int | None, message: str, condition: Value | None = None, keep: Sequence[tuple[Place, Value]] = ()
    ) -> None:
        if condition is None or condition.node:
            for place, value in keep:
                setattr(self.state, place.field, number(value))
            raise Faulted(Fault(vector, number(code) if isinstance(code, Value) else code, self._at, message))

    def rarely(self, condition: Value) -> Value:
        return condition

    def jump(self, target: Value) -> None:
        self.branched = True
        self._next = number(target)

    def branch(self, condition: Value, target: Value) -> None:
        self.branched = True
        if condition.node:
            self._next = number(target)

    def leave(self, exit: Exit) -> None:
        self._exit = exit

    def clock(self) -> Value:
        return Value(self, 64, self.ticks())

    def handle(self, procedure: Callable[..., int | None], *operands: Value) -> None:
        core = self.core
        core.at, core.following = self._at, self._next
        target = procedure(core, *map(number, operands))
        if target is not None:
            self._next = target


def number(value: Value) -> int:
    """The integer behind a Value of this machine."""
    assert isinstance(value.node, int)
    return value.node
