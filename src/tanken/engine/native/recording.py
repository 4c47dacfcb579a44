"""What one instruction, or a comparison and its branch, does: recorded with its operands left open, so that one recording serves them all.

The abstract machine of isa.architecture; numbers that are Holes become nodes of their own. What has no native form raises Unrecordable,
and the reference interpreter does that instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from tanken.engine.graph import Graph, Node
from tanken.engine.recorder import NEXT, Event, Recorder, Unrecordable, node_of
from tanken.isa.architecture import Architecture, Hole, Instruction, Place, Value

OPEN_FIELDS = ("regs", "xmm", "upper")


class NativeCalls(Protocol):
    """Which foreign functions the host's processor does in one instruction."""

    def known(self, function: str, operands: tuple[Node, ...]) -> tuple[str, tuple[int, ...]] | None:
        """(name of the native operation, which results are always 0), None where the function has no native form."""


class HoleGraph(Graph):
    """A graph with holes; `nonzero` are the kinds of holes known not to be zero, modulo their masks."""

    def __init__(self) -> None:
        super().__init__()
        self.nonzero: set[str] = set()

    def hole(self, kind: str, width: int) -> Node:
        return self._make("hole", (), width, width, width, kind)

    def _simple(self, op: str, width: int, result: int, args: tuple[Node, ...]) -> Node | None:
        if op == "xor" and width == 1:
            less = self._signed_less(*args) or self._signed_less(args[1], args[0])
            if less is not None:
                return less
        if op == "eq" and args[1].constant == 0:
            a = args[0]
            if a.op == "and" and a.args[0].op == "hole" and a.args[0].extra in self.nonzero:
                return self.const(0)
        return super()._simple(op, width, result, args)


    def _select(self, args: tuple[Node, ...]) -> Node | None:
        condition, then, otherwise = args
        if then.op == "select" and then.args[2] is otherwise and then.result == otherwise.result:
            both = self.compute("and", 1, 1, (condition, then.args[0]))
            return self.compute("select", then.width, then.result, (both, then.args[1], otherwise))
        return super()._select(args)

    def _signed_less(self, sign: Node, overflow: Node) -> Node | None:
        """a < b where this is the sign of a - b against its overflow."""
        result, mixed = _signed(sign), _signed(overflow)
        if result is None or mixed is None or result.op != "sub" or mixed.op != "and" or result.width != mixed.width:
            return None
        a, b = result.args
        w = result.width
        differ, changed = self.compute("xor", w, w, (a, b)), self.compute("xor", w, w, (a, result))
        if set(mixed.args) != {differ, changed}:
            return None
        return self.compute("slt", w, 1, (a, b))


def _signed(node: Node) -> Node | None:
    """The value whose sign bit `node` is."""
    if node.op == "trunc":
        node = node.args[0]
    return node.args[0] if node.op == "lshr" and node.args[1].constant == node.width - 1 else None


class StencilRecorder(Recorder):
    """Records instructions whose numbers may be Holes."""

    graph: HoleGraph

    def __init__(self, calls: NativeCalls, fields: frozenset[int]) -> None:
        """`fields` are the numbers that stand for open registers, which differ from each other but perhaps not from a named one."""
        super().__init__()
        self.graph = HoleGraph()
        self.calls, self.fields = calls, fields
        self.sensitive = False  # whether it matters if an open register is one that is also named otherwise
        self._elements: dict[tuple[str, int], Place] = {}
        self._opened: frozenset[tuple[str, int]] = frozenset()

    def _named(self, place: Place) -> None:
        """A register that is named by itself has the number of an open one."""
        self.sensitive |= place.index in self.fields and place.field in OPEN_FIELDS and (place.field, place.index) not in self._opened

    def set(self, place: Place, value: Value) -> None:
        self._named(place)
        super().set(place, value)

    def get(self, place: Place) -> Value:
        self._named(place)
        if place not in self._sets:
            self._mixed(place, self._sets)
        return super().get(place)

    def _mixed(self, place: Place, sets: Iterable[Place]) -> None:
        """Whether one of `sets` may be the same register as `place`, by another name."""
        if place.index is not None:
            self.sensitive |= any(other.field == place.field and (other.index in self.fields) != (place.index in self.fields) for other in sets)

    def when(self, condition: Value, then: Callable[[], None]) -> None:
        """What `then` sets keeps its value otherwise, which is as if it were got."""
        before = dict(self._sets)
        super().when(condition, then)
        for place, node in self._sets.items():
            if before.get(place) is not node and place not in before:
                self._mixed(place, before)

    def one(self, isa: Architecture, instruction: Instruction, following: Hole, opened: frozenset[tuple[str, int]]) -> Node:
        """Record an instruction whose `opened` places stand for others; where the program goes on. Unrecordable leaves no trace."""
        self._opened = opened
        self._start(0, 0)
        self._sets[NEXT] = node_of(self.constant(following, 64))
        isa.execute(self, instruction)
        if self._exit is not None:
            raise Unrecordable("an exit")
        done, sets = self.recording, self._sets
        target = sets.pop(NEXT)
        done.instructions.append(instruction)
        done.events += self._events
        done.events += [Event("set_at", 0, guard, (at, value), (), field) for guard, field, at, value in self._sets_at]
        for place, node in sets.items():  # the last one set is written last
            done.values.pop(place, None)
            done.values[place] = node
        return target

    def constant(self, value: int, width: int) -> Value:
        if not isinstance(value, Hole):
            return super().constant(value, width)
        node = self.graph.hole(value.kind, value.width)
        return Value(self, width, node if value.width <= width else self.graph.compute("trunc", value.width, width, (node,)))

    def apply(self, function: Callable[..., tuple[int, ...]], widths: tuple[int, ...], *operands: Value) -> tuple[Value, ...]:
        nodes = tuple(map(node_of, operands))
        native = self.calls.known(function.__name__, nodes)
        if native is None:
            raise Unrecordable(function.__name__)
        name, silent = native
        results = tuple(self.graph.const(0) if number in silent else self.graph.opaque(width) for number, width in enumerate(widths))
        self._event("call", *nodes, results=tuple(node for node in results if node.op == "opaque"), extra=name)
        return tuple(Value(self, width, node) for width, node in zip(widths, results, strict=True))

    def rarely(self, condition: Value) -> Value:
        """Where it holds the instruction is left before anything has happened."""
        node = node_of(condition)
        if node.op == "const":
            return condition
        self._event("fault", node)
        return Value(self, 1, self.graph.const(0))

    def _element(self, field: str, number: int, width: int) -> Place:
        if any(wrote == field for _, wrote, _, _ in self._sets_at):
            raise Unrecordable(f"perhaps what was put into {field} just now")
        return self._elements.setdefault((field, number), Place(field, width, number))

    def _place(self, index: Value) -> tuple[Node, int]:
        """(what it counts from, how far): of two that count from one node it is known whether they are the same."""
        node, far = node_of(index), 0
        while node.op in ("add", "sub") and node.args[1].op == "const":
            far += node.args[1].extra if node.op == "add" else -node.args[1].extra
            node = node.args[0]
        return node, far & (1 << index.width) - 1

    def get_at(self, field: str, index: Value, width: int) -> Value:
        """Elements whose numbers are known are places like any other."""
        number = node_of(index).constant
        if number is not None:
            return self.get(self._element(field, number, width))
        base, far = self._place(index)
        at = self.graph.compute("add", index.width, index.width, (base, self.graph.const(far)))
        for guard, wrote, place, value in reversed(self._sets_at):
            if wrote == field and place is at and guard is self._guard:
                return Value(self, width, value)
            if wrote == field and (place is at or self._place(Value(self, index.width, place))[0] is not base):
                raise Unrecordable(f"perhaps what was put into {field} just now")
        if any(place.field == field for place in self._sets):
            raise Unrecordable(f"perhaps what was put into {field} just now")
        node = self.graph.opaque(width)
        self._event("get_at", at, results=(node,), extra=field)
        return Value(self, width, node)

    def set_at(self, field: str, index: Value, value: Value) -> None:
        number = node_of(index).constant
        if number is not None:
            return self.set(self._element(field, number, value.width), value)
        base, far = self._place(index)
        at = self.graph.compute("add", index.width, index.width, (base, self.graph.const(far)))
        self._sets_at.append((self._guard, field, at, node_of(value)))
