"""LLVM IR, as text, of what was recorded: one function that works on the state block, guest memory and budget it is handed.

`%S` state, `%T` host address of guest address 0, `%B` instructions left. Holes are symbols; a way out is a tail call. LLVM Language
Reference: preserve_nonecc, musttail, inline assembler.
"""

from __future__ import annotations

from typing import Any, Protocol

from tanken.engine.graph import Node
from tanken.engine.native.places import JUMP_CACHE, JUMP_CACHE_AT, KEEPS_BUDGET, KEPT_BUDGET, LIMIT_BITS, RIP_AT, WATCHED_VALUE
from tanken.engine.recorder import Event, Recording
from tanken.isa.architecture import Place

ARGUMENTS = "(ptr %S, ptr %T, i64 %B)"
BINARY = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor", "shl": "shl", "lshr": "lshr", "ashr": "ashr",
          "udiv": "udiv", "urem": "urem", "sdiv": "sdiv", "srem": "srem"}  # fmt: skip
COMPARE = {"eq": "eq", "ult": "ult", "slt": "slt"}
UNARY = {"popcount": "ctpop", "bswap": "bswap", "ctz": "cttz", "clz": "ctlz"}
LANE_PLAIN = {"add": "add", "sub": "sub", "mul": "mul"}
LANE_CALL = {"add_sat_u": "uadd.sat", "add_sat_s": "sadd.sat", "sub_sat_u": "usub.sat", "sub_sat_s": "ssub.sat",
             "min_u": "umin", "max_u": "umax", "min_s": "smin", "max_s": "smax"}  # fmt: skip


LANES = (8, 16, 32, 64)
WIDE = (128, 256)


def lane_of(node: Node, width: int) -> tuple[Node, int] | None:
    """(vector, number of its lane) where `node` is a lane of `width` bits of a value of at least two."""
    if width not in LANES or (node.width % width and node.op != "trunc"):
        return None
    inner = node
    if node.op == "trunc" and node.result == width:
        inner = node.args[0]
    elif node.op != "lshr" or node.bound > width:
        return None
    if _whole(inner) % width:
        return None
    if inner.op == "lshr" and inner.width >= 2 * width and inner.width >= 128:
        shift = inner.args[1].constant
        return (inner.args[0], shift // width) if shift is not None and shift % width == 0 and _whole(inner.args[0]) == inner.width else None
    return (inner, 0) if inner is not node and node.width >= 128 and _whole(inner) == node.width else None


def _half(node: Node) -> tuple[Node, int] | None:
    """(256 bits, which half) where `node` is one."""
    if node.op == "trunc" and node.result == 128 and node.width == 256:
        inner = node.args[0]
        if inner.op == "lshr":
            return (inner.args[0], 1) if inner.args[1].constant == 128 and _whole(inner.args[0]) == 256 else None
        return (inner, 0) if _whole(inner) == 256 else None
    if node.op == "lshr" and node.width == 256 and node.args[1].constant == 128 and _whole(node.args[0]) == 256:
        return node.args[0], 1
    return None


def _whole(node: Node) -> int:
    """Bits of a value."""
    return node.result


def _is_wide(node: Node) -> bool:
    """Whether it is made as a vector."""
    return node.result in WIDE and node.width == node.result and node.op in ("get", "lanes", "and", "or", "xor", "select")


def _whole_words(value: int) -> bool:
    """Whether each 64 bits are all zeros or all ones."""
    return all(word in (0, 0xFFFF_FFFF_FFFF_FFFF) for word in (value >> shift & 0xFFFF_FFFF_FFFF_FFFF for shift in range(0, 256, 64)))


def _parts(node: Node) -> dict[int, Node]:
    """The terms of a tree of ORs by how far they are shifted; empty where two stand at one place."""
    found: dict[int, Node] = {}
    left = [node]
    while left:
        term = left.pop()
        if term.op == "or" and term.width == node.width:
            left += term.args
            continue
        offset, part = 0, term
        if term.op == "shl" and term.width == node.width and term.args[1].op == "const":
            part, offset = term.args[0], term.args[1].extra
        if offset in found:
            return {}
        found[offset] = part
    return found


class Target(Protocol):
    """How an instruction set keeps its places in the state block, and what it does natively."""

    def get(self, body: Body, place: Place) -> str:
        """The name of the value that stands in `place`, as wide as the place."""

    def wide(self, body: Body, place: Place) -> str:
        """What stands in a place of 128 bits, as a vector of i64."""

    def put(self, body: Body, values: dict[Place, Node], live: bool) -> None:
        """Store the values into their places, in order; places that are lazy only where `live`."""

    def call(self, body: Body, events: list[Event]) -> int:
        """Emit the native operation that the first events ask for; how many were taken."""

    def event(self, body: Body, event: Event) -> bool:
        """Emit an event in a way of its own: elements of lists by numbers known only when it runs, all that the plain way is not right for."""


class Body:
    """Writes one function."""

    def __init__(self, target: Target, keeps_budget: bool = False) -> None:
        """`keeps_budget`: in memory, so that its register is free; who meets a fault looks there."""
        self.target, self.keeps_budget = target, keeps_budget
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}  # by node, or by node and how it is looked at
        self.declared: set[str] = set()
        self.checked: set[Node] = set()
        self._count = 0
        self.slow = False  # whether it can fault
        self.atomic = False  # whether its load and its store are one, for other processors too: it begins anew where one came in between
        self._begins, self._loaded = "", dict[Node, str]()  # the label of its beginning; what was loaded, by address
        self.watched = False  # whether each access of memory is told before it happens
        self.ordered = ""  # how stores are marked that must keep their order: where a later one faults, those before it have happened
        if keeps_budget:
            self.line(f"store volatile i64 %B, ptr {self.value(f'getelementptr i8, ptr %S, i64 {KEPT_BUDGET}')}")
            self.line(f"store volatile i32 1, ptr {self.value(f'getelementptr i8, ptr %S, i64 {KEEPS_BUDGET}')}")

    # -- lines

    def fresh(self, prefix: str = "v") -> str:
        self._count += 1
        return f"%{prefix}{self._count}"

    def line(self, text: str) -> None:
        self.lines.append(" " + text)

    def value(self, text: str) -> str:
        """A new name for the value of an instruction."""
        name = self.fresh()
        self.line(f"{name} = {text}")
        return name

    def label(self) -> str:
        return self.fresh("l")

    def begin(self, label: str) -> None:
        self.lines.append(f"{label[1:]}:")

    def intrinsic(self, name: str, result: str, *parameters: str) -> str:
        self.declared.add(f"declare {result} @{name}({', '.join(parameters)})")
        return f"@{name}"

    def tail(self, symbol: str) -> None:
        """Go on at `symbol`; nothing follows."""
        budget = "%B"
        if self.keeps_budget:
            budget = self.value(f"load volatile i64, ptr {self.value(f'getelementptr i8, ptr %S, i64 {KEPT_BUDGET}')}")
            self.line(f"store volatile i32 0, ptr {self.value(f'getelementptr i8, ptr %S, i64 {KEEPS_BUDGET}')}")
        self.line(f"musttail call preserve_nonecc void {symbol}(ptr %S, ptr %T, i64 {budget})")
        self.line("ret void")

    def leave_if(self, condition: str) -> None:
        """The slow way out, before anything has happened."""
        self.slow = True
        out, on = self.label(), self.label()
        self.line(f"br i1 {condition}, label {out}, label {on}, !prof !0")
        self.begin(out)
        self.tail("@SLOW")
        self.begin(on)

    # -- values

    def use(self, node: Node, width: int) -> str:
        """An operand of `width` bits."""
        if node.op == "const":
            return str(node.extra & (1 << width) - 1)
        if width == 128 and _half(node) is not None:
            return self._as_integer(node, 128)
        lane = lane_of(node, width)
        if lane is not None:
            return self._extract(node, *lane, width)
        return self.fit(self.name(node), node.result, width)

    def _extract(self, node: Node, whole: Node, number: int, width: int) -> str:
        """A lane of a vector."""
        found = self.names.get((node, width))
        if found is None:
            vector = self.vector(whole, width)
            found = self.names[node, width] = self.value(f"extractelement <{_whole(whole) // width} x i{width}> {vector}, i32 {number}")
        return found

    def _as_integer(self, node: Node, bits: int) -> str:
        """A wide value as one integer: where no vector operation takes it."""
        found = self.names.get((node, bits))
        if found is None:
            found = self.names[node, bits] = self.value(f"bitcast <{bits // 64} x i64> {self.wide(node, bits)} to i{bits}")
        return found

    def wide(self, node: Node, bits: int) -> str:
        """128 or 256 bits as a vector of i64: registers that are stored in halves could not be loaded whole without waiting."""
        if node.op == "const":
            return f"<{', '.join(f'i64 {node.extra >> 64 * n & 0xFFFF_FFFF_FFFF_FFFF}' for n in range(bits // 64))}>"
        found = self.names.get((node, bits, "wide"))
        if found is None:
            found = self.names[node, bits, "wide"] = self._wide(node, bits) or self._from_integer(node, bits)
        return found

    def _from_integer(self, node: Node, bits: int) -> str:
        if node.result <= 64:
            return self.value(f"insertelement <{bits // 64} x i64> zeroinitializer, i64 {self.use(node, 64)}, i32 0")
        name = self.names.get(node)
        if name is None:
            name = self.names[node] = self._make(node)
        return self.value(f"bitcast i{bits} {self.fit(name, node.result, bits)} to <{bits // 64} x i64>")

    def _wide(self, node: Node, bits: int) -> str | None:
        """What is a vector from the beginning, None for the rest."""
        if bits == 128 and (half := _half(node)) is not None:
            order = "<i32 2, i32 3>" if half[1] else "<i32 0, i32 1>"
            return self.value(f"shufflevector <4 x i64> {self.wide(half[0], 256)}, <4 x i64> poison, <2 x i32> {order}")
        if not _is_wide(node) or node.result != bits:
            return None
        kind = f"<{bits // 64} x i64>"
        if node.op == "get":
            return self.target.wide(self, node.extra)
        if node.op == "lanes":
            return self._lanes(node)
        if node.op == "or" and (joined := self._join(node)) is not None:
            return joined
        if node.op == "select":
            condition, then, other = node.args
            return self.value(f"select i1 {self.use(condition, 1)}, {kind} {self.wide(then, bits)}, {kind} {self.wide(other, bits)}")
        if any(arg.op == "const" and not _whole_words(arg.extra) for arg in node.args):
            return None  # a constant that would stand elsewhere
        return self.value(f"{node.op} {kind} {', '.join(self.wide(arg, bits) for arg in node.args)}")

    def vector(self, whole: Node, lane: int) -> str:
        """A wide value as lanes."""
        if lane == 64:
            return self.wide(whole, _whole(whole))
        found = self.names.get((whole, lane, "vector"))
        if found is None:
            bits = _whole(whole)
            found = self.value(f"bitcast <{bits // 64} x i64> {self.wide(whole, bits)} to <{bits // lane} x i{lane}>")
            self.names[whole, lane, "vector"] = found
        return found

    def fit(self, name: str, have: int, want: int) -> str:
        if have == want:
            return name
        return self.value(f"{'zext' if have < want else 'trunc'} i{have} {name} to i{want}")

    def name(self, node: Node) -> str:
        found = self.names.get(node)
        if found is None:
            if (node, node.result, "wide") in self.names or _is_wide(node):
                return self._as_integer(node, node.result)
            found = self.names[node] = self._make(node)
        return found

    def _make(self, node: Node) -> str:
        op, w, r = node.op, node.width, node.result
        if op == "get":
            return self.target.get(self, node.extra)
        if op == "hole":
            return self._hole(node.extra, r)
        if op == "lanes":  # of 64 bits
            return self._lanes(node)
        if op == "not":
            return self.value(f"xor i1 {self.use(node.args[0], 1)}, true")
        if op == "select":
            condition, then, other = node.args
            return self.value(f"select i1 {self.use(condition, 1)}, i{r} {self.use(then, r)}, i{r} {self.use(other, r)}")
        if op in ("zext", "sext", "trunc"):
            return self.value(f"{op} i{w} {self.use(node.args[0], w)} to i{r}")
        if op in UNARY:
            return self._unary(op, w, r, node.args[0])
        if op == "or" and w >= 64:
            joined = self._join(node)
            if joined is not None:
                return joined
        if op == "add" and w == 64:
            address = self._address(node)
            if address is not None:
                return address
        a, b = (self.use(arg, w) for arg in node.args)
        if op in COMPARE:
            return self.value(f"icmp {COMPARE[op]} i{w} {a}, {b}")
        if op in ("rotl", "rotr") and w > 64:
            return self._rotate(op, w, a, b)
        if op in ("rotl", "rotr"):
            function = self.intrinsic(f"llvm.fsh{op[3]}.i{w}", f"i{w}", f"i{w}", f"i{w}", f"i{w}")
            return self.value(f"call i{w} {function}(i{w} {a}, i{w} {a}, i{w} {b})")
        if w == 128 and op in ("udiv", "urem", "sdiv", "srem"):
            return self._divide(op, a, b)
        return self.value(f"{BINARY[op]} i{w} {a}, {b}")

    def _join(self, node: Node) -> str | None:
        """Lanes put side by side, as the insertions that LLVM makes shuffles of: a vector of i64, or i64."""
        parts = _parts(node)
        lane = min((offset for offset in parts if offset), default=0)
        if node.width == 256 and parts.keys() == {0, 128} and all(part.bound <= 128 for part in parts.values()):
            low, high = (self.wide(parts[offset], 128) for offset in (0, 128))
            return self.value(f"shufflevector <2 x i64> {low}, <2 x i64> {high}, <4 x i32> <i32 0, i32 1, i32 2, i32 3>")
        if lane not in LANES or node.width % lane or len(parts) < 2 or any(offset % lane or part.bound > lane for offset, part in parts.items()):
            return None
        kind, result = f"<{node.width // lane} x i{lane}>", "zeroinitializer"
        for offset, part in sorted(parts.items()):
            result = self.value(f"insertelement {kind} {result}, i{lane} {self.use(part, lane)}, i32 {offset // lane}")
        return self._whole_of(result, kind, node.width)

    def _whole_of(self, lanes: str, kind: str, bits: int) -> str:
        """A vector of lanes as `wide` has it; 64 bits as an integer."""
        to = "i64" if bits == 64 else f"<{bits // 64} x i64>"
        return lanes if kind == to else self.value(f"bitcast {kind} {lanes} to {to}")

    def _unary(self, op: str, w: int, r: int, argument: Node) -> str:
        a, two = self.use(argument, w), op in ("ctz", "clz")
        function = self.intrinsic(f"llvm.{UNARY[op]}.i{w}", f"i{w}", f"i{w}", *(["i1"] if two else []))
        return self.fit(self.value(f"call i{w} {function}(i{w} {a}{', i1 false' if two else ''})"), w, r)

    def _rotate(self, op: str, w: int, a: str, b: str) -> str:
        """By less than the width, which is odd: LLVM would call a library for the remainder."""
        there, back = ("shl", "lshr") if op == "rotl" else ("lshr", "shl")
        rest = self.value(f"sub i{w} {w - 1}, {b}")
        once = self.value(f"{back} i{w} {a}, 1")
        return self.value(f"or i{w} {self.value(f'{there} i{w} {a}, {b}')}, {self.value(f'{back} i{w} {once}, {rest}')}")

    def _divide(self, op: str, a: str, b: str) -> str:
        """The quotient is known to fit into 64 bits; of the signed one the host's own fault says when it does not."""
        low, high = self.value(f"trunc i128 {a} to i64"), self.value(f"trunc i128 {self.value(f'lshr i128 {a}, 64')} to i64")
        divisor = self.value(f"trunc i128 {b} to i64")
        if op[0] == "s":
            self.slow = True
        instruction = "divq" if op[0] == "u" else "idivq"
        pair = self.value(
            f'call {{i64, i64}} asm sideeffect "{instruction} $4", "={{ax}},={{dx}},{{ax}},{{dx}},r,~{{flags}}"(i64 {low}, i64 {high}, i64 {divisor})'
        )
        result = self.value(f"extractvalue {{i64, i64}} {pair}, {int(op[1:] == 'rem')}")
        return self.value(f"{'zext' if op[0] == 'u' else 'sext'} i64 {result} to i128")

    def _hole(self, kind: str, width: int) -> str:
        if kind in ("IMM", "DISP", "FOP"):
            if width == 64:
                return self.value(f'call i64 asm "movq $${kind}, $0", "=r"()')
            name = self.value(f'call i32 asm "movl $${kind}, $0", "=r"()')
            return self.fit(name, 32, width)
        return self.fit(self.value(f'call i64 asm "movabsq $${kind}, $0", "=r"()'), 64, width)

    def _address(self, node: Node) -> str | None:
        """base + displacement, base + displacement + index * scale, displacement + index * scale: one LEA."""
        a, b = node.args
        if b.op == "hole" and b.extra == "DISP":
            return self.value(f'call i64 asm "leaq DISP($1), $0", "=r,r"(i64 {self.use(a, 64)})')
        index, shift = (b.args[0], b.args[1].constant) if b.op == "shl" and b.args[1].op == "const" else (b, 0)
        if shift is None or shift > 3:
            return None
        if a.op == "hole" and a.extra == "DISP":
            return self.value(f'call i64 asm "leaq DISP(,$1,{1 << shift}), $0", "=r,r"(i64 {self.use(index, 64)})')
        if a.op == "add" and a.args[1].op == "hole" and a.args[1].extra == "DISP":
            base = self.use(a.args[0], 64)
            return self.value(f'call i64 asm "leaq DISP($1,$2,{1 << shift}), $0", "=r,r,r"(i64 {base}, i64 {self.use(index, 64)})')
        return None

    def _lanes(self, node: Node) -> str:
        operation, lane = node.extra
        whole, count = node.width, node.width // node.extra[1]
        kind = f"<{count} x i{lane}>"
        a, b = (self._lanes_of(arg, whole, lane) for arg in node.args)
        return self._whole_of(self._lane_result(operation, lane, count, kind, a, b), kind, whole)

    def _lanes_of(self, node: Node, bits: int, lane: int) -> str:
        """An operand of an operation on lanes, whose value may be narrower."""
        if bits == 64:
            return self.value(f"bitcast i64 {self.use(node, 64)} to <{64 // lane} x i{lane}>")
        if _whole(node) == bits:
            return self.vector(node, lane)
        kind = f"<{bits // lane} x i{lane}>"
        return self.wide(node, bits) if lane == 64 else self.value(f"bitcast <{bits // 64} x i64> {self.wide(node, bits)} to {kind}")

    def _lane_result(self, operation: str, lane: int, count: int, kind: str, a: str, b: str) -> str:
        if operation in LANE_PLAIN:
            return self.value(f"{LANE_PLAIN[operation]} {kind} {a}, {b}")
        if operation in LANE_CALL:
            function = self.intrinsic(f"llvm.{LANE_CALL[operation]}.v{count}i{lane}", kind, kind, kind)
            return self.value(f"call {kind} {function}({kind} {a}, {kind} {b})")
        if operation in ("eq", "gt_s"):
            holds = self.value(f"icmp {'eq' if operation == 'eq' else 'sgt'} {kind} {a}, {b}")
            return self.value(f"sext <{count} x i1> {holds} to {kind}")
        if operation == "difference_u":
            return self.value(
                f"sub {kind} {self._lane_result('max_u', lane, count, kind, a, b)}, {self._lane_result('min_u', lane, count, kind, a, b)}"
            )
        return self._wide_lanes(operation, lane, count, kind, a, b)

    def _wide_lanes(self, operation: str, lane: int, count: int, kind: str, a: str, b: str) -> str:
        """The high half of a product, the rounded average: in lanes of twice the width."""
        wide, extend = f"<{count} x i{2 * lane}>", "sext" if operation == "mulhi_s" else "zext"
        x, y = (self.value(f"{extend} {kind} {name} to {wide}") for name in (a, b))
        ones, shift = (", ".join(f"i{2 * lane} {number}" for _ in range(count)) for number in (1, 1 if operation == "average_u" else lane))
        if operation == "average_u":
            result = self.value(f"add {wide} {self.value(f'add {wide} {x}, {y}')}, <{ones}>")
        else:
            result = self.value(f"mul {wide} {x}, {y}")
        return self.value(f"trunc {wide} {self.value(f'lshr {wide} {result}, <{shift}>')} to {kind}")

    # -- events

    def events(self, recording: Recording) -> None:
        """All that happens in order."""
        left = recording.events
        if self.atomic:
            self._begins = self.label()
            self.line(f"br label {self._begins}")
            self.begin(self._begins)
        if sum(event.kind == "store" for event in left) > 1:
            self.ordered = "volatile "
        while left:
            guard = left[0].guard
            same = next((n for n, event in enumerate(left) if event.guard is not guard), len(left))
            group, left = left[:same], left[same:]
            if guard is None:
                self._group(group)
            else:
                self._guarded(guard, group)

    def _group(self, events: list[Event]) -> None:
        while events:
            taken = self.target.call(self, events) if events[0].kind == "call" else self._event(events[0])
            events = events[taken:]

    def _guarded(self, guard: Node, events: list[Event]) -> None:
        """Under a condition: what is computed inside stays there, results are joined with zeros."""
        condition = self.use(guard, 1)
        inside, here, on = self.label(), self.label(), self.label()
        before, checked = dict(self.names), set(self.checked)
        self.line(f"br label {here}")
        self.begin(here)
        self.line(f"br i1 {condition}, label {inside}, label {on}")
        self.begin(inside)
        self._group(events)
        results = [(node, self.use(node, node.result)) for event in events for node in event.results]
        last = self.label()
        self.line(f"br label {last}")
        self.begin(last)
        self.line(f"br label {on}")
        self.begin(on)
        self.names, self.checked = before, checked
        for node, name in results:
            self.names[node] = self.value(f"phi i{node.result} [ 0, {here} ], [ {name}, {last} ]")

    def _event(self, event: Event) -> int:
        if self.target.event(self, event):
            return 1
        if event.kind == "load":
            pointer, bits = self.pointer(event.nodes[0]), event.extra * 8
            wide = bits in WIDE
            kind, node = f"<{bits // 64} x i64>" if wide else f"i{bits}", event.results[0]
            if self.watched:
                self._tell(event, f"{kind} {self.value(f'load volatile {kind}, ptr {pointer}, align 1')}")
            value = self.value(f"load volatile {kind}, ptr {pointer}, align 1")  # it faults even where nobody wants the value
            self.names[(node, bits, "wide") if wide else node] = value
            self._loaded[event.nodes[0]] = value
        elif event.kind == "store":
            address, data = event.nodes
            bits = event.extra * 8
            order = self.ordered
            if bits in WIDE:  # in one piece: where the second page faults, nothing has been written to the first
                kind, value, order = f"<{bits // 64} x i64>", self.wide(data, bits), "volatile "
            else:
                kind, value = f"i{bits}", self.use(data, bits)
            if self.watched:
                for offset in {0, event.extra - 1}:  # the fault comes first, and nothing is told
                    byte = self.value(f"getelementptr i8, ptr {self.pointer(address)}, i64 {offset}")
                    self.line(f"store volatile i8 {self.value(f'load volatile i8, ptr {byte}')}, ptr {byte}")
                self._tell(event, f"{kind} {value}")
            if self.atomic and address in self._loaded:
                self._swap(bits, kind, self._loaded[address], value, self.pointer(address))
            else:
                self.line(f"store {order}{kind} {value}, ptr {self.pointer(address)}, align 1")
        else:
            assert event.kind == "fault", event.kind
            self.leave_if(self.use(event.nodes[0], 1))
        return 1

    def _swap(self, bits: int, kind: str, old: str, new: str, pointer: str) -> None:
        """Store what replaces `old`, or begin anew: as the host's own LOCK CMPXCHG."""
        if kind != f"i{bits}":
            old, new = (self.value(f"bitcast {kind} {name} to i{bits}") for name in (old, new))
        pair = self.value(f"cmpxchg volatile ptr {pointer}, i{bits} {old}, i{bits} {new} seq_cst seq_cst, align {bits // 8}")
        on = self.label()
        self.line(f"br i1 {self.value(f'extractvalue {{i{bits}, i1}} {pair}, 1')}, label {on}, label {self._begins}, !prof !1")
        self.begin(on)

    def _tell(self, event: Event, value: str) -> None:
        """Tell who watches that the access is about to happen, and leave if that is wanted."""
        if value.split()[0] in ("i8", "i16", "i32"):
            value = f"i64 {self.value(f'zext {value} to i64')}"
        self.line(f"store {value}, ptr {self.value(f'getelementptr i8, ptr %S, i64 {WATCHED_VALUE}')}, align 1")
        what = event.extra | (event.kind == "store") << 8
        self.declared.add("declare dso_local i64 @WATCH(ptr, i64, i64, i64)")
        address = self.use(event.nodes[0], 64)
        stop = self.value(f"call i64 @WATCH(ptr %S, i64 {address}, i64 {what}, i64 {self._hole('PC', 64)})")
        self.leave_if(self.value(f"icmp ne i64 {stop}, 0"))

    def pointer(self, address: Node) -> str:
        """The host's pointer to guest memory at `address`."""
        self.slow = True
        if address.op == "hole" and address.extra == "RIP":
            return self.value(f"inttoptr i64 {self._hole('RIPHOST', 64)} to ptr")
        linear = self.use(address, 64)
        if address.bound > LIMIT_BITS and address not in self.checked:
            self.checked.add(address)
            self.leave_if(self.value(f"icmp ne i64 {self.value(f'lshr i64 {linear}, {LIMIT_BITS}')}, 0"))
        return self.value(f"getelementptr i8, ptr %T, i64 {linear}")

    # -- where it goes on

    def finish(self, target: Node) -> str:
        """The way on; its kind: "next", "jump", "branch", "again" (to itself) or "indirect"."""
        if target.op == "hole":
            self.tail("@NEXT" if target.extra == "NPC" else "@TAKEN")
            return "next" if target.extra == "NPC" else "jump"
        if target.op == "select" and all(way.op == "hole" for way in target.args[1:]) and target.args[2].extra == "NPC":
            taken, on = self.label(), self.label()
            self.line(f"br i1 {self.use(target.args[0], 1)}, label {taken}, label {on}")
            self.begin(taken)
            self.tail("@TAKEN")
            self.begin(on)
            self.tail("@NEXT")
            return "again" if target.args[1].extra == "PC" else "branch"
        self.indirect(self.use(target, 64))
        return "indirect"

    def indirect(self, address: str) -> None:
        """Through the jump cache: pairs of guest address and code."""
        slot = self.value(f"and i64 {address}, {JUMP_CACHE - 1}")
        offset = self.value(f"add i64 {self.value(f'shl i64 {slot}, 4')}, {JUMP_CACHE_AT}")
        entry = self.value(f"getelementptr i8, ptr %S, i64 {offset}")
        cached = self.value(f"load i64, ptr {entry}")
        same = self.value(f"icmp eq i64 {cached}, {address}")
        hit, miss = self.label(), self.label()
        self.line(f"br i1 {same}, label {hit}, label {miss}, !prof !1")
        self.begin(miss)
        self.line(f"store i64 {address}, ptr {self.value(f'getelementptr i8, ptr %S, i64 {RIP_AT}')}")
        self.tail("@DISPATCH")
        self.begin(hit)
        code = self.value(f"load ptr, ptr {self.value(f'getelementptr i8, ptr {entry}, i64 8')}")
        self.tail(code)


def function(name: str, body: Body) -> str:
    """The text of the function."""
    lines = "\n".join(body.lines)
    return f"define preserve_nonecc void @{name}{ARGUMENTS} #0 {{\n{lines}\n}}\n"


EXITS = ("NEXT", "TAKEN", "SLOW", "DISPATCH")
TAIL = "".join(f"declare dso_local preserve_nonecc void @{name}(ptr, ptr, i64)\n" for name in EXITS) + (
    '!0 = !{!"branch_weights", i32 1, i32 10000}\n!1 = !{!"branch_weights", i32 10000, i32 1}\n'
    'attributes #0 = { nounwind "no-jump-tables"="true" }\n'
)
