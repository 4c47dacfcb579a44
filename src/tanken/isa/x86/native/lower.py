"""x86's registers, flags and floats in LLVM IR: places of the state block, flags by the host's own LAHF and SETO, floats by the host's own
instructions, so that every rounding, NaN and sticky flag is the processor's.

Intel SDM volume 1, 3.4.3 (flags), 10.2.3 and 11.6 (MXCSR is the guest's while guest code runs); the sums that set flags are recognised by
their graph.
"""

from __future__ import annotations

from typing import Any, Protocol

from tanken.isa.architecture import Place
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native import whole, x87
from tanken.isa.x86.native.block import STATUS
from tanken.isa.x86.native.floats import RELATION, SCALAR, Operation
from tanken.isa.x86.native.template import FIELDS
from tanken.isa.x86.state import AF, CF, MXCSR, OF, PF, SF, ZF

LETTER = {8: "b", 16: "w", 32: "l", 64: "q"}
MASKED = 0x1F80  # of MXCSR: no float instruction faults
Node = Any  # a node of the engine's graph
Event = Any


class Graph(Protocol):
    """What is asked of the graph: the node of an operation, which is the same object for equal ones."""

    def compute(self, op: str, width: int, result: int, args: tuple[Node, ...]) -> Node: ...

    def const(self, value: int) -> Node: ...

    def place(self, place: Place) -> Node: ...


class Body(Protocol):
    """The writer of a function, see the engine's."""

    def value(self, text: str) -> str: ...
    def line(self, text: str) -> None: ...
    def use(self, node: Node, width: int) -> str: ...
    def wide(self, node: Node, bits: int) -> str: ...
    def fit(self, name: str, have: int, want: int) -> str: ...
    def pointer(self, address: Node) -> str: ...
    def leave_if(self, condition: str) -> None: ...

    names: dict[Node, str]
    slow: bool


class Lowering(x87.Stack):
    """Lowers one recording; `concrete` where register numbers are what they say."""

    def __init__(self, graph: Graph, concrete: bool) -> None:
        self.graph, self.concrete = graph, concrete
        self._masked = False  # whether it has been seen that no float instruction faults

    # -- places

    def _pointer(self, body: Body, place: Place, more: int = 0) -> str:
        if place.field in ("regs", "xmm", "upper") and not self.concrete and place.index in FIELDS:
            symbol = FIELDS[place.index] + ("G" if place.field == "regs" else "V")
            more += 16 * (place.field == "upper")
            at = body.value(f"getelementptr i8, ptr %S, i64 ptrtoint (ptr @{symbol} to i64)")
            return at if not more else body.value(f"getelementptr i8, ptr {at}, i64 {more}")
        return body.value(f"getelementptr i8, ptr %S, i64 {B.where(place)[0] + more}")

    def get(self, body: Body, place: Place) -> str:
        """What stands in `place`."""
        if place in STATUS:
            bit = B.FLAG_BIT[place.field]
            at = body.value(f"getelementptr i8, ptr %S, i64 {B.FLAGS + bit // 8}")
            byte = body.value(f"load i8, ptr {at}")
            return body.value(f"icmp ne i8 {body.value(f'and i8 {byte}, {1 << bit % 8}')}, 0")
        if place is MXCSR:
            at = body.value(f"getelementptr i8, ptr %S, i64 {B.MXCSR}")
            body.line(f'call void asm sideeffect "stmxcsr ($0)", "r,~{{memory}}"(ptr {at})')
            return body.value(f"load i32, ptr {at}")
        bits = place.width if place.index is not None else B.where(place)[1]
        aligned = ", align 16" if place.field in ("xmm", "upper") else ""
        return body.fit(body.value(f"load i{bits}, ptr {self._pointer(body, place)}{aligned}"), bits, place.width)

    def wide(self, body: Body, place: Place) -> str:
        """What stands in a vector register's half, as a vector of i64."""
        return body.value(f"load <2 x i64>, ptr {self._pointer(body, place)}, align 16")

    def put(self, body: Body, values: dict[Place, Node], live: bool) -> None:
        """Store all values; the status flags only where `live`."""
        flags = {place: node for place, node in values.items() if place in STATUS and not self._same(place, node)}
        ready = [(place, self._value(body, place, node)) for place, node in values.items() if place not in STATUS and not self._same(place, node)]
        word = self._flag_word(body, flags) if flags and live else None
        for place, (text, bits, more) in ready:
            if place is MXCSR:
                at = body.value(f"getelementptr i8, ptr %S, i64 {B.MXCSR}")
                body.line(f"store i32 {text}, ptr {at}")
                body.line(f'call void asm sideeffect "ldmxcsr ($0)", "r,~{{memory}}"(ptr {at})')
                continue
            aligned = ", align 16" if bits == 128 else ", align 1"
            body.line(f"store {'<2 x i64>' if bits == 128 else f'i{bits}'} {text}, ptr {self._pointer(body, place, more)}{aligned}")
        if word is not None:
            body.line(f"store i16 {word}, ptr {body.value(f'getelementptr i8, ptr %S, i64 {B.FLAGS}')}")

        x87.follow(body, values)

    @staticmethod
    def _same(place: Place, node: Node) -> bool:
        return bool(node.op == "get" and node.extra is place)

    def _value(self, body: Body, place: Place, node: Node) -> tuple[str, int, int]:
        """(operand, bits to store, byte offset): only the part that changes, where one piece does."""
        if node.op == "or" and node.args[0].op == "and" and place.width in (64, 128):
            kept, piece = node.args
            mask = kept.args[1].constant
            if mask is not None and self._same(place, kept.args[0]):
                hole = ~mask & (1 << place.width) - 1
                for bits in (8, 16, 32, 64):
                    if hole == (1 << bits) - 1 and piece.bound <= bits:
                        return body.use(piece, bits), bits, 0
                if hole == 0xFF00 and piece.op == "shl" and piece.args[1].constant == 8 and piece.args[0].bound <= 8:
                    return body.use(piece.args[0], 8), 8, 1
        bits = place.width if place.index is not None else B.where(place)[1]
        if bits == 128:
            return body.wide(node, 128), bits, 0
        return body.fit(body.use(node, place.width), place.width, bits), bits, 0

    # -- flags

    def _flag_word(self, body: Body, flags: dict[Place, Node]) -> str:
        found = self._arithmetic(flags)
        if found is not None:
            kind, width, a, b = found
            word = self._host_flags(body, kind, width, a, b)
        else:
            word, single = "0", flags
            if (result := self._of_result(flags)) is not None:
                width, node = result
                told = self._host_flags(body, "logic", width, node, node)
                word = body.value(f"and i16 {told}, {sum(1 << B.FLAG_BIT[place.field] for place in (SF, ZF, PF))}")
                single = {place: node for place, node in flags.items() if place not in (SF, ZF, PF)}
            for place, node in single.items():
                if node.constant == 0:
                    continue
                wide = body.value(f"zext i1 {body.use(node, 1)} to i16")
                bit = body.value(f"shl i16 {wide}, {B.FLAG_BIT[place.field]}")
                word = bit if word == "0" else body.value(f"or i16 {word}, {bit}")
        kept = sum(1 << B.FLAG_BIT[place.field] for place in STATUS if place not in flags)
        if found is not None and found[0] == "logic":
            word = body.value(f"and i16 {word}, {~(1 << B.FLAG_BIT['af']) & 0xFFFF}")
        if kept:
            old = self._old_flags(body)
            word = body.value(f"or i16 {body.value(f'and i16 {word}, {~kept & 0xFFFF}')}, {body.value(f'and i16 {old}, {kept}')}")
        return word

    def _old_flags(self, body: Body) -> str:
        """The word as it was."""
        return body.value(f"load i16, ptr {body.value(f'getelementptr i8, ptr %S, i64 {B.FLAGS}')}")

    def _host_flags(self, body: Body, kind: str, width: int, a: Node, b: Node) -> str:
        letter, register = LETTER[width], "q" if width == 8 else "r"
        end = r"\0Alahf\0Aseto %al"
        x = body.use(a, width)
        if kind == "logic":
            return body.value(f'call i16 asm "test{letter} $1, $1{end}", "={{ax}},{register},~{{flags}}"(i{width} {x})')
        y = body.use(b, width)
        if kind == "sub":
            return body.value(f'call i16 asm "cmp{letter} $2, $1{end}", "={{ax}},{register},{register},~{{flags}}"(i{width} {x}, i{width} {y})')
        both = body.value(
            f'call {{i16, i{width}}} asm "add{letter} $3, $1{end}", "={{ax}},=&{register},1,{register},~{{flags}}"(i{width} {x}, i{width} {y})'
        )
        return body.value(f"extractvalue {{i16, i{width}}} {both}, 0")

    def _arithmetic(self, flags: dict[Place, Node]) -> tuple[str, int, Node, Node] | None:
        """(kind, width, a, b) where the flags are those of a + b, a - b or of the logical result a."""
        zero = flags.get(ZF)
        if zero is None or zero.op != "eq" or zero.width not in LETTER or not {PF, AF, SF, OF} <= flags.keys():
            return None
        left, right = zero.args
        width = zero.width
        if right.constant == 0:
            if flags[OF].constant == 0 and flags[AF].constant == 0 and flags.get(CF) is not None and flags[CF].constant == 0:
                return ("logic", width, left, left) if self._result_flags(flags, left, width) else None
            if left.op == "add" and left.width == width and self._sum(flags, left.args[0], left.args[1], left, width):
                return "add", width, left.args[0], left.args[1]
        difference = self.graph.compute("sub", width, width, (left, right))
        if self._difference(flags, left, right, difference, width):
            return "sub", width, left, right
        difference = self.graph.compute("sub", width, width, (right, left))
        return ("sub", width, right, left) if self._difference(flags, right, left, difference, width) else None

    def _of_result(self, flags: dict[Place, Node]) -> tuple[int, Node] | None:
        """(width, result) where SF, ZF and PF are those of one result."""
        zero = flags.get(ZF)
        if zero is None or zero.op != "eq" or zero.width not in LETTER or not {PF, SF} <= flags.keys() or zero.args[1].constant != 0:
            return None
        return (zero.width, zero.args[0]) if self._result_flags(flags, zero.args[0], zero.width) else None

    def _bit(self, node: Node, width: int, number: int) -> Node:
        shifted = self.graph.compute("lshr", width, width, (node, self.graph.const(number)))
        return self.graph.compute("trunc", width, 1, (shifted,))

    def _op(self, op: str, width: int, *args: Node) -> Node:
        return self.graph.compute(op, width, width, args)

    def _result_flags(self, flags: dict[Place, Node], result: Node, width: int) -> bool:
        graph = self.graph
        low = result if width == 8 else graph.compute("trunc", width, 8, (result,))
        odd = graph.compute("trunc", 8, 1, (graph.compute("popcount", 8, 8, (low,)),))
        even = graph.compute("xor", 1, 1, (odd, graph.const(1)))
        return flags[SF] is self._bit(result, width, width - 1) and flags[PF] is even

    def _sum(self, flags: dict[Place, Node], a: Node, b: Node, result: Node, width: int) -> bool:
        carry = self.graph.compute("ult", width, 1, (result, a))
        overflow = self._bit(self._op("and", width, self._op("xor", width, a, result), self._op("xor", width, b, result)), width, width - 1)
        half = self._bit(self._op("xor", width, self._op("xor", width, a, b), result), width, 4)
        return flags.get(CF, carry) is carry and flags[OF] is overflow and flags[AF] is half and self._result_flags(flags, result, width)

    def _difference(self, flags: dict[Place, Node], a: Node, b: Node, result: Node, width: int) -> bool:
        borrow = self.graph.compute("ult", width, 1, (a, b))
        overflow = self._bit(self._op("and", width, self._op("xor", width, a, b), self._op("xor", width, a, result)), width, width - 1)
        half = self._bit(self._op("xor", width, self._op("xor", width, a, b), result), width, 4)
        return flags.get(CF, borrow) is borrow and flags[OF] is overflow and flags[AF] is half and self._result_flags(flags, result, width)

    # -- floats

    def call(self, body: Body, events: list[Event]) -> int:
        """One packed instruction where the next events do the same to all lanes of one vector, else one scalar one."""
        event = events[0]
        if event.extra.startswith("x87_"):
            self.x87(body, event)
            return 1
        if ":" in event.extra:
            whole.emit(body, event)
            return 1
        body.slow = True  # an unmasked exception stops it
        operation = SCALAR[event.extra]
        count = self._lanes(events, operation)
        if any(event.kind == "call" and event.extra in SCALAR for event in events[count:]):
            self._want_masked(body)
        if count > 1:
            vectors = [self._lane_of(node, operation.lane)[0] for node in event.nodes[: operation.inputs]]
            self._packed(body, operation, vectors, [e.results[0] for e in events[:count]])
            return count
        operands = [f"{operation.kind} {self._float(body, node, operation)}" for node in event.nodes[: operation.inputs]]
        operands += self._scratch(body, operation)
        kind = "float" if operation.result == "half" else operation.result
        result = body.value(f'call {kind} asm sideeffect "{operation.text}", "{operation.constraints}"({", ".join(operands)})')
        body.names[event.results[0]] = self._unfloat(body, result, operation)
        return 1

    def _want_masked(self, body: Body) -> None:
        """Several operations tell of what they find one after the other, one instruction of all lanes at once (SDM volume 1, 11.5.3): where an
        exception is not masked that makes a difference, and the interpreter does it."""
        if not self._masked:
            self._masked = True
            mask = body.value(f"and i32 {body.value(f'load i32, ptr {self._pointer(body, MXCSR)}')}, {MASKED}")
            body.leave_if(body.value(f"icmp ne i32 {mask}, {MASKED}"))

    @staticmethod
    def _scratch(body: Body, operation: Operation) -> list[str]:
        return [f"ptr {body.value(f'getelementptr i8, ptr %S, i64 {x87.SCRATCH}')}"] if operation.scratch else []

    def _float(self, body: Body, node: Node, operation: Operation) -> str:
        text = body.use(node, operation.bits)
        return text if operation.kind[0] == "i" else body.value(f"bitcast i{operation.bits} {text} to {operation.kind}")

    def _unfloat(self, body: Body, result: str, operation: Operation) -> str:
        if operation.text.endswith("lahf"):
            return RELATION(body, result)
        if operation.result[0] == "i":
            return result
        if operation.result == "half":
            return body.value(f"trunc i32 {body.value(f'bitcast float {result} to i32')} to i16")
        return body.value(f"bitcast {operation.result} {result} to i{64 if operation.result == 'double' else 32}")

    @staticmethod
    def _lane_of(node: Node, lane: int) -> tuple[Node, int]:
        """(vector, number of its lane) that `node` is."""
        inner = node.args[0] if node.op == "trunc" and node.result == lane else node
        if inner.op == "lshr" and inner.width > lane and inner.args[1].op == "const" and inner.args[1].extra % lane == 0:
            return inner.args[0], inner.args[1].extra // lane
        return inner, 0

    def _lanes(self, events: list[Event], operation: Operation) -> int:
        """How many events are one packed instruction: 1 if they are not."""
        if not operation.packed:
            return 1
        count: int = self._lane_of(events[0].nodes[0], operation.lane)[0].result // operation.lane
        if count < 2 or count * operation.lane < 128 or len(events) < count:
            return 1
        if any(e.kind != "call" or e.extra != events[0].extra or e.nodes[-1] is not events[0].nodes[-1] for e in events[:count]):
            return 1
        for number in range(operation.inputs):
            first, _ = self._lane_of(events[0].nodes[number], operation.lane)
            if any(self._lane_of(e.nodes[number], operation.lane) != (first, n) for n, e in enumerate(events[:count])):
                return 1
        return count

    def _packed(self, body: Body, operation: Operation, vectors: list[Node], results: list[Node]) -> None:
        count, kind, result_kind = len(results), f"<{len(results)} x {operation.kind}>", f"<{len(results)} x {operation.result}>"
        bits = count * operation.lane
        whole = f"<{bits // 64} x i64>" if bits > 64 else "i64"
        values = [body.wide(vector, bits) if bits > 64 else body.use(vector, 64) for vector in vectors]
        operands = [f"{kind} {body.value(f'bitcast {whole} {value} to {kind}')}" for value in values]
        operands += self._scratch(body, operation)
        text = operation.packed.replace("TEMP", "%ymm15" if bits == 256 else "%xmm15")
        constraints = operation.packed_constraints or operation.constraints
        result = body.value(f'call {result_kind} asm sideeffect "{text}", "{constraints}"({", ".join(operands)})')
        lanes = body.value(f"bitcast {result_kind} {result} to <{count} x i{operation.lane}>")
        for number, node in enumerate(results):
            body.names[node] = body.value(f"extractelement <{count} x i{operation.lane}> {lanes}, i32 {number}")
