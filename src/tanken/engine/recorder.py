"""The abstract machine that records: semantics run on it once, and what they asked becomes the events of a block.

isa.architecture's rules: events keep their order; what an instruction sets counts from its end on. What cannot be recorded (the clock in the middle
of a block, faults that always happen) raises Unrecordable, and the reference engine does that instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tanken.engine.graph import Graph, Node
from tanken.isa.architecture import Architecture, Exit, Fault, Instruction, LaneOperation, Place, Value


class Unrecordable(Exception):
    """The instruction stays with the reference engine."""


@dataclass(slots=True)
class Event:
    """Something that happens in order: load, store, fault, call, get_at, set_at, clock, keep (a value worth a local), side (a way out in the middle)."""

    kind: str
    at: int  # number of the instruction in the block
    guard: Node | None
    nodes: tuple[Node, ...] = ()
    results: tuple[Node, ...] = ()
    extra: Any = None


@dataclass(slots=True)
class Recording:
    """A block: its instructions, events, and the values of places before each instruction and at the end."""

    instructions: list[Instruction] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    before: list[dict[Place, Node]] = field(default_factory=list)
    values: dict[Place, Node] = field(default_factory=dict)
    target: Node | None = None
    exit: Exit | None = None


NEXT = Place("(next)", 64)


class Recorder:
    """Records instructions one after the other into `recording`; `has_clock`: an event of a block's first instruction may ask the time."""

    has_clock = False

    def __init__(self) -> None:
        self.graph = Graph()
        self.recording = Recording()
        self._start(0, 0)

    def _start(self, address: int, following: int) -> None:
        self._sets: dict[Place, Node] = {NEXT: self.graph.const(following)}
        self._sets_at: list[tuple[Node | None, str, Node, Node]] = []
        self._events: list[Event] = []
        self._guard: Node | None = None
        self._exit: Exit | None = None
        self._address = address
        self._branch: tuple[Node, Node] | None = None

    def record(self, isa: Architecture, instruction: Instruction) -> tuple[Node, tuple[Node, Node] | None]:
        """(where it goes on, the condition and target of a lone conditional branch); Unrecordable leaves the recording as it was."""
        following = instruction.address + instruction.length & 0xFFFF_FFFF_FFFF_FFFF
        self._start(instruction.address, following)
        isa.execute(self, instruction)
        done, sets = self.recording, self._sets
        target = sets.pop(NEXT)
        done.before.append(dict(done.values))
        done.instructions.append(instruction)
        done.events += self._events
        number = len(done.before) - 1
        done.events += [Event("set_at", number, guard, (at, value), (), field) for guard, field, at, value in self._sets_at]
        done.values.update(sets)
        kept = tuple(node for place, node in sets.items() if place.width > 1 and node.op not in ("const", "get", "opaque"))
        if kept:
            done.events.append(Event("keep", number, None, kept))
        done.exit = self._exit
        return target, self._branch

    def _event(self, kind: str, *nodes: Node, results: tuple[Node, ...] = (), extra: Any = None) -> None:
        self._events.append(Event(kind, len(self.recording.instructions), self._guard, nodes, results, extra))

    # -- the machine

    def constant(self, value: int, width: int) -> Value:
        return Value(self, width, self.graph.const(value & (1 << width) - 1))

    def compute(self, operation: str, width: int, *operands: Value) -> Value:
        first = operands[-1] if operation == "select" else operands[0]
        return Value(self, width, self.graph.compute(operation, first.width, width, tuple(map(node_of, operands))))

    def lanes(self, operation: LaneOperation, lane: int, *operands: Value) -> Value:
        a, b = operands
        return Value(self, a.width, self.graph.lanes(operation, lane, a.width, node_of(a), node_of(b)))

    def apply(self, function: Callable[..., tuple[int, ...]], widths: tuple[int, ...], *operands: Value) -> tuple[Value, ...]:
        results = tuple(self.graph.opaque(width) for width in widths)
        self._event("call", *map(node_of, operands), results=results, extra=function)
        return tuple(Value(self, width, node) for width, node in zip(widths, results, strict=True))

    def _get(self, place: Place) -> Node:
        return self._sets.get(place) or self.recording.values.get(place) or self.graph.place(place)

    def get(self, place: Place) -> Value:
        return Value(self, place.width, self._get(place))

    def set(self, place: Place, value: Value) -> None:
        assert value.width == place.width, f"{value.width} bits into {place}"
        self._sets[place] = node_of(value)

    def get_at(self, field: str, index: Value, width: int) -> Value:
        at = node_of(index)
        for guard, wrote, place, value in reversed(self._sets_at):
            if wrote != field or (place is not at and place.op == at.op == "const"):
                continue
            if place is at and guard is self._guard:
                return Value(self, width, value)
            raise Unrecordable(f"perhaps what was put into {field} just now")
        node = self.graph.opaque(width)
        self._event("get_at", at, results=(node,), extra=field)
        return Value(self, width, node)

    def set_at(self, field: str, index: Value, value: Value) -> None:
        self._sets_at.append((self._guard, field, node_of(index), node_of(value)))

    def handle(self, procedure: Callable[..., int | None], *operands: Value) -> None:
        raise Unrecordable("a long instruction")

    def load(self, address: Value, size: int, modify: bool = False) -> Value:
        node = self.graph.opaque(size * 8)
        self._event("load", node_of(address), results=(node,), extra=size)
        return Value(self, size * 8, node)

    def store(self, address: Value, value: Value) -> None:
        self._event("store", node_of(address), node_of(value), extra=value.width // 8)

    def when(self, condition: Value, then: Callable[[], None]) -> None:
        chosen = node_of(condition)
        if chosen.op == "const":
            if chosen.extra:
                then()
            return
        outer, before = self._guard, dict(self._sets)
        self._guard = chosen if outer is None else self.graph.compute("and", 1, 1, (outer, chosen))
        then()
        self._guard = outer
        for place, node in self._sets.items():
            old = before.get(place) or self.recording.values.get(place) or self.graph.place(place)
            if node is not old:
                self._sets[place] = self.graph.compute("select", place.width, place.width, (chosen, node, old))

    def fault(
        self, vector: int, code: Value | int | None, message: str, condition: Value | None = None, keep: Sequence[tuple[Place, Value]] = ()
    ) -> None:
        """What is kept, and a code that is no constant, are not recorded: who meets the fault does the instruction on the reference engine."""
        node = self.graph.const(1) if condition is None else node_of(condition)
        if node.op == "const":
            if node.extra:
                raise Unrecordable(message)
            return
        self._event("fault", node, extra=Fault(vector, None if isinstance(code, Value) else code, self._address, message))

    def rarely(self, condition: Value) -> Value:
        return condition

    def jump(self, target: Value) -> None:
        self._sets[NEXT] = node_of(target)

    def branch(self, condition: Value, target: Value) -> None:
        if self._guard is None:
            self._branch = node_of(condition), node_of(target)
        self._sets[NEXT] = self.graph.compute("select", 64, 64, (node_of(condition), node_of(target), self._sets[NEXT]))

    def leave(self, exit: Exit) -> None:
        if self._guard is not None:
            raise Unrecordable("conditional exit")
        self._exit = exit

    def clock(self) -> Value:
        if self.recording.instructions or not self.has_clock:
            raise Unrecordable("the clock is exact at the beginning of a block alone")
        node = self.graph.opaque(64)
        self._event("clock", results=(node,))
        return Value(self, 64, node)


def node_of(value: Value) -> Node:
    """The node behind a Value of this machine."""
    assert isinstance(value.node, Node)
    return value.node
