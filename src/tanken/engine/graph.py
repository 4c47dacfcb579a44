"""The graph of values that a recorded block of instructions computes: equal nodes are one node, constants are folded at once.

The operations are those of isa.architecture; `engine.operations` says what they mean, and `evaluate` follows that definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.engine.operations import MEANING, lanewise, mask
from tanken.isa.architecture import Place

BOOLEAN = frozenset({"eq", "ult", "slt", "not"})


class Node:
    """One value: `width` of its first operand, `result` bits, and a `bound` on the bits that can be set."""

    __slots__ = ("args", "bound", "extra", "op", "result", "uses", "width")

    def __init__(self, op: str, args: tuple[Node, ...], width: int, result: int, bound: int, extra: Any = None) -> None:
        self.op, self.args, self.width, self.result, self.bound, self.extra = op, args, width, result, bound, extra
        self.uses = 0

    @property
    def constant(self) -> int | None:
        return self.extra if self.op == "const" else None


class Graph:
    """Makes nodes; `opaque` ones (loads, results of calls) are never shared."""

    def __init__(self) -> None:
        self._known: dict[Any, Node] = {}

    def const(self, value: int) -> Node:
        return self._make("const", (), 0, 0, value.bit_length(), value)

    def place(self, place: Place) -> Node:
        """What stands in a place when the block begins."""
        return self._make("get", (), place.width, place.width, place.width, place)

    def opaque(self, width: int) -> Node:
        return Node("opaque", (), width, width, width)

    def _make(self, op: str, args: tuple[Node, ...], width: int, result: int, bound: int, extra: Any = None) -> Node:
        key = (op, tuple(map(id, args)), width, result, extra)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = Node(op, args, width, result, bound, extra)
        return node

    def lanes(self, operation: str, lane: int, width: int, a: Node, b: Node) -> Node:
        if operation == "eq" and a is b:
            return self.const(mask(width))
        return self._make("lanes", (a, b), width, width, width, (operation, lane))

    def compute(self, op: str, width: int, result: int, args: tuple[Node, ...]) -> Node:
        """`op` on operands of `width` bits (of a select: its values), simplified where that is plain to see."""
        if all(node.op == "const" for node in args):
            return self.const(MEANING[op](*[node.extra for node in args], width, result))
        simple = self._simple(op, width, result, args)
        if simple is not None:
            return simple
        return self._make(op, args, width, result, min(_bound(op, width, result, args), result))

    def _simple(self, op: str, width: int, result: int, args: tuple[Node, ...]) -> Node | None:
        a, last = args[0], args[-1].constant
        if op == "zext" or (op == "trunc" and a.bound <= result) or (op == "sext" and a.bound < width):
            return a
        if op == "select":
            return self._select(args)
        if len(args) == 1:
            return None
        return self._same(op, a) if a is args[1] else self._identity(op, width, a, args[1], last)

    def _select(self, args: tuple[Node, ...]) -> Node | None:
        condition, then, otherwise = args
        if condition.op == "const":
            return then if condition.extra else otherwise
        return then if then is otherwise else None

    def _same(self, op: str, a: Node) -> Node | None:
        if op in ("and", "or"):
            return a
        return self.const(0) if op in ("xor", "sub", "ult", "slt") else self.const(1) if op == "eq" else None

    def _identity(self, op: str, width: int, a: Node, b: Node, last: int | None) -> Node | None:
        if a.op == "const" and op in ("add", "and", "or", "xor", "mul", "eq"):
            a, b, last = b, a, a.constant
        if last is None:
            return None
        if last == 0 and op in ("add", "sub", "or", "xor", "shl", "lshr", "ashr", "rotl", "rotr"):
            return a
        if op == "and" and (last == 0 or last & mask(a.bound) == mask(a.bound)):
            return a if last else b
        if op == "lshr" and last >= a.bound:
            return self.const(0)
        if op == "eq" and last == 0 and a.op == "sub" and a.result == width:
            return self.compute("eq", width, 1, a.args)
        if op == "xor" and last == 1 and width == 1:
            return a.args[0] if a.op == "not" else self._make("not", (a,), 1, 1, 1)
        return None


def _bound(op: str, width: int, result: int, args: tuple[Node, ...]) -> int:
    bounds = [node.bound for node in args]
    last = args[-1].constant
    if op in ("eq", "ult", "slt"):
        return 1
    if op == "and":
        return min(bounds)
    if op in ("or", "xor"):
        return max(bounds)
    if op == "add":
        return max(bounds) + 1
    if op == "mul":
        return sum(bounds)
    if op == "select":
        return max(bounds[1:])
    if op == "lshr":
        return bounds[0] - last if last is not None else bounds[0]
    if op == "shl" and last is not None:
        return bounds[0] + last
    return 8 if op in ("popcount", "ctz", "clz") and result >= 8 else result


def evaluate(node: Node, known: dict[Node, int], read: Callable[[Place], int]) -> int:
    """The number that `node` stands for, given those of the opaque nodes and of what has been computed."""
    if node in known:
        return int(known[node])
    if node.op == "const":
        return int(node.extra)
    if node.op == "get":
        return read(node.extra)
    numbers = [evaluate(arg, known, read) for arg in node.args]
    if node.op == "not":
        value = 1 - numbers[0]
    elif node.op == "lanes":
        value = lanewise(node.extra[0], node.extra[1], node.width, *numbers)
    else:
        value = MEANING[node.op](*numbers, node.width, node.result)
    known[node] = value
    return value
