"""Values in LLVM IR, as text: the operations of a recording's graph on integers, and on vectors where lanes stand side by side.

LLVM Language Reference: binary operations, conversions, vectors, intrinsics for bits and saturation; inline assembler for division and LEA.
"""

from __future__ import annotations

from typing import Any

from tanken.engine.graph import Node

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


def _low_half(node: Node) -> tuple[Node, int]:
    """(value, from which bit) that `node` is 32 bits of; -1 where it is more than that."""
    bound = node.bound
    while node.op == "trunc":
        node = node.args[0]
    if node.op == "lshr" and node.args[1].constant is not None:
        return node.args[0], node.args[1].constant if bound <= 32 else -1
    return node, 0 if bound <= 32 else -1


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


class Writer:
    """Writes the lines of one function; `target.get` and `target.wide` name what stands in a place."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}  # by node, or by node and how it is looked at
        self.declared: set[str] = set()
        self._count = 0
        self.slow = False  # whether it can fault

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
            return str(self.target.wide(self, node.extra))
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
            return str(self.target.get(self, node.extra))
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
        product = self._products(node, [part for _, part in sorted(parts.items())]) if lane == 64 and len(parts) * 64 == node.width else None
        if product is not None:
            return product
        kind, result = f"<{node.width // lane} x i{lane}>", "zeroinitializer"
        for offset, part in sorted(parts.items()):
            result = self.value(f"insertelement {kind} {result}, i{lane} {self.use(part, lane)}, i32 {offset // lane}")
        return self._whole_of(result, kind, node.width)

    def _products(self, node: Node, parts: list[Node]) -> str | None:
        """The products of all even halves of two vectors, which LLVM would not find in those of single numbers."""
        if any(part.op != "mul" or part.width != 64 for part in parts):
            return None
        vectors = []
        for operand in (0, 1):
            halves = [_low_half(part.args[operand]) for part in parts]
            if any(half != (halves[0][0], 64 * n) for n, half in enumerate(halves)):
                return None
            vectors.append(halves[0][0])
        if any(_whole(vector) != node.width for vector in vectors):
            return None
        kind = f"<{node.width // 64} x i64>"
        low = f"<{', '.join(['i64 4294967295'] * (node.width // 64))}>"
        a, b = (self.value(f"and {kind} {self.wide(vector, node.width)}, {low}") for vector in vectors)
        return self.value(f"mul {kind} {a}, {b}")

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
