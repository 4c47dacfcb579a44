"""x86's registers and flags in a region: registers in variables that LLVM keeps where it likes, flags as what they are the result of.

Intel SDM volume 1, 3.4.3. Flags are three numbers: a kind (0: the word that LAHF and SETO give; else an operation and its width) and two
operands, from which the word is worked out where somebody reads it.
"""

from __future__ import annotations

import struct
from typing import Any

from tanken.isa.architecture import Place
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native.block import STATUS
from tanken.isa.x86.native.lower import LETTER, MASKED, Body, Lowering, Node

WORD = 0
OPERATIONS = ("sub", "add", "logic")
KINDS = {(operation, width): 1 + 4 * n + m for n, operation in enumerate(OPERATIONS) for m, width in enumerate(LETTER)}
RESULTS = {(operation, width): len(KINDS) + 1 + 4 * n + m for n, operation in enumerate(("sub", "add")) for m, width in enumerate(LETTER)}  # of recipes
VARIABLE_FIELDS = frozenset(("regs", "xmm", "upper"))
FLAGS = "flags"  # the key of all status flags
Values = dict[Place, Node]
# Kind, and for each operand whether it is constant, and that or where it stands; of RESULTS the first is not the operand but the result.
Recipe = tuple[int, int, int, int, int]


def in_variable(place: Place) -> bool:
    """Whether a region may change it."""
    return place in STATUS or (place.field in VARIABLE_FIELDS and place.index is not None)


class RegionLowering(Lowering):
    """See the engine's `region.Lowering`."""

    flags = FLAGS

    def __init__(self, graph: Any, recordings: tuple[Any, ...], conditions: list[Node]) -> None:
        super().__init__(graph, True)
        self._masked = True  # it is not entered otherwise
        self._floats = any(event.kind == "call" for recording in recordings for event in recording.events)
        places = {place for recording in recordings for place in recording.values if place not in STATUS and in_variable(place)}
        for recording in recordings:
            nodes = [*recording.values.values(), *(node for event in recording.events for node in (*event.nodes, *([event.guard] if event.guard else [])))]
            nodes += [node for values in recording.before for node in values.values()]
            places |= {node.extra for node in _all(nodes) if node.op == "get" and node.extra not in STATUS and in_variable(node.extra)}
        places |= {node.extra for node in _all(conditions) if node.op == "get" and node.extra not in STATUS and in_variable(node.extra)}
        self._places = sorted(places, key=lambda place: (place.field, place.index or 0))

    # -- variables

    @staticmethod
    def _variable(place: Place) -> tuple[str, str]:
        return f"%{place.field}{place.index}", "i64" if place.field == "regs" else "<2 x i64>"

    def prologue(self, body: Body) -> None:
        """Variables for all places, loaded; flags as the word."""
        for place in self._places:
            name, kind = self._variable(place)
            body.line(f"{name} = alloca {kind}")
            value = body.value(f"load {kind}, ptr {self._state(body, B.where(place)[0])}")
            body.line(f"store {kind} {value}, ptr {name}")
        word = body.value(f"load i16, ptr {self._state(body, B.FLAGS)}")
        for name, kind, value in (("K", "i32", "0"), ("A", "i64", body.value(f"zext i16 {word} to i64")), ("B2", "i64", "0")):
            body.line(f"%flag{name} = alloca {kind}")
            body.line(f"store {kind} {value}, ptr %flag{name}")
        if self._floats:
            mask = body.value(f"and i32 {body.value(f'load i32, ptr {self._state(body, B.MXCSR)}')}, {MASKED}")
            self.unmasked = body.value(f"icmp ne i32 {mask}, {MASKED}")

    @property
    def guarded(self) -> bool:
        """Whether `unmasked` says that the region cannot be entered."""
        return self._floats

    def _state(self, body: Body, offset: int) -> str:
        return body.value(f"getelementptr i8, ptr %S, i64 {offset}")

    def get(self, body: Body, place: Place) -> str:
        if place in STATUS:
            bit = body.value(f"and i16 {self._entry_word(body)}, {1 << B.FLAG_BIT[place.field]}")
            return body.value(f"icmp ne i16 {bit}, 0")
        if not in_variable(place):
            return super().get(body, place)
        name, kind = self._variable(place)
        return body.value(f"load {kind}, ptr {name}")

    def wide(self, body: Body, place: Place) -> str:
        name, kind = self._variable(place)
        return body.value(f"load {kind}, ptr {name}")

    def changed(self, before: Values, after: Values) -> frozenset[Any]:
        keys: set[Any] = set()
        for place, node in after.items():
            if before.get(place) is not node and not (place not in before and self._same(place, node)):
                keys.add(FLAGS if place in STATUS else place)
        return frozenset(keys)

    # -- flags

    def _entry(self, body: Body) -> tuple[str, str, str]:
        """Kind and operands when the block began."""
        names = []
        for name, kind in (("K", "i32"), ("A", "i64"), ("B2", "i64")):
            found = body.names.get(name)
            if found is None:
                found = body.names[name] = body.value(f"load {kind}, ptr %flag{name}")
            names.append(found)
        return names[0], names[1], names[2]

    def _entry_word(self, body: Body) -> str:
        found = body.names.get("word")
        if found is None:
            kind, a, b = self._entry(body)
            found = body.names["word"] = body.value(f"call preserve_mostcc i16 @flagword(i32 {kind}, i64 {a}, i64 {b})")
        return str(found)

    def _old_flags(self, body: Body) -> str:
        return self._entry_word(body)

    def _lazy(self, body: Body, values: Values) -> tuple[str, str, str]:
        """Kind and operands of the flags among `values`."""
        flags = {place: node for place, node in values.items() if place in STATUS and not self._same(place, node)}
        if not flags:
            return self._entry(body)
        found = self._arithmetic(flags) if len(flags) == len(STATUS) else None
        if found is None:
            return str(WORD), body.value(f"zext i16 {self._flag_word(body, flags)} to i64"), "0"
        operation, width, a, b = found
        first = body.fit(body.use(a, width), width, 64)
        return str(KINDS[operation, width]), first, "0" if operation == "logic" else body.fit(body.use(b, width), width, 64)

    def assign(self, body: Body, values: Values) -> None:
        changed = [(place, node) for place, node in values.items() if place not in STATUS and not self._same(place, node)]
        ready = [(place, self._whole(body, place, node)) for place, node in changed]
        lazy = self._lazy(body, values) if any(place in STATUS and not self._same(place, node) for place, node in values.items()) else None
        for place, value in ready:
            name, kind = self._variable(place)
            body.line(f"store {kind} {value}, ptr {name}")
        if lazy is not None:
            for name, kind, value in zip(("K", "A", "B2"), ("i32", "i64", "i64"), lazy, strict=True):
                body.line(f"store {kind} {value}, ptr %flag{name}")

    def _whole(self, body: Body, place: Place, node: Node) -> str:
        return body.use(node, 64) if place.field == "regs" else body.wide(node, 128)

    def _now(self, body: Body, values: Values, place: Place) -> str:
        return self._whole(body, place, values[place] if place in values else self.graph.place(place))

    def _store(self, body: Body, values: Values, keys: frozenset[Any]) -> None:
        for place in sorted((key for key in keys if key != FLAGS), key=lambda place: (place.field, place.index)):
            value, kind = self._now(body, values, place), self._variable(place)[1]
            body.line(f"store {kind} {value}, ptr {self._state(body, B.where(place)[0])}")

    def expose(self, body: Body, values: Values, keys: frozenset[Any]) -> frozenset[Any]:
        general = frozenset(key for key in keys if key != FLAGS and key.field == "regs")
        self._store(body, values, general)
        return general

    def reload(self, body: Body) -> None:
        for place in self._places:
            if place.field == "regs":
                body.line(f"store i64 {body.value(f'load i64, ptr {self._state(body, B.where(place)[0])}')}, ptr {self._variable(place)[0]}")

    def sync(self, body: Body, values: Values, keys: frozenset[Any], entry: Recipe | None) -> Recipe | None:
        self._store(body, values, keys)
        if FLAGS in keys:
            recipe = self.recipe(values, entry)
            if recipe is not None:
                return recipe
            kind, a, b = self._lazy(body, values)
            body.line(f"store i32 {kind}, ptr {self._state(body, B.LAZY_KIND)}")
            body.line(f"store i64 {a}, ptr {self._state(body, B.LAZY_A)}")
            if b != "0":
                body.line(f"store i64 {b}, ptr {self._state(body, B.LAZY_B)}")
        return None

    def recipe(self, values: Values, entry: Recipe | None) -> Recipe | None:
        """What the flags are the result of, where that stands in registers anyway, or is constant."""
        flags = {place: node for place, node in values.items() if place in STATUS and not self._same(place, node)}
        if not flags:
            return entry if entry is not None and self._keeps(values, entry) else None
        found = self._arithmetic(flags) if len(flags) == len(STATUS) else None
        if found is None:
            return None
        operation, width, a, b = found
        kinds, first = KINDS, self._source(values, a, width)
        second = first if operation == "logic" else self._source(values, b, width)
        if first is None and operation != "logic":  # the result stands in its place
            kinds, first = RESULTS, self._source(values, self.graph.compute(operation, width, width, (a, b)), width)
        return None if first is None or second is None else (kinds[operation, width], *first, *second)

    def _keeps(self, values: Values, recipe: Recipe) -> bool:
        """Whether the registers of a recipe are as they were when the block began."""
        offsets = [number for constant, number in (recipe[1:3], recipe[3:5]) if not constant]
        return not any(B.where(place)[0] in offsets and not self._same(place, node) for place, node in values.items() if place.field == "regs")

    def _source(self, values: Values, node: Node, width: int) -> tuple[int, int] | None:
        """(1, number) of a constant, (0, offset in the state block) of a register that has the value in its low bits."""
        if node.constant is not None:
            return 1, node.constant
        for place in self._places:
            if place.field == "regs":
                now = values[place] if place in values else self.graph.place(place)
                low = now if width == 64 or now.bound <= width else self.graph.compute("trunc", 64, width, (now,))
                if low is node:
                    return 0, B.where(place)[0]
        return None

    def settle(self, body: Body, values: Values, keys: frozenset[Any]) -> None:
        self._store(body, values, keys)
        flags = {place: node for place, node in values.items() if place in STATUS and not self._same(place, node)}
        word = self._flag_word(body, flags) if flags else self._entry_word(body)
        body.line(f"store i16 {word}, ptr {self._state(body, B.FLAGS)}")


def _all(nodes: list[Node]) -> set[Node]:
    seen: set[Node] = set()
    left = list(nodes)
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += node.args
    return seen


def support() -> str:
    """The function that works the word out, for kinds known only when it runs."""
    cases, blocks = [], []
    for (operation, width), number in KINDS.items():
        letter, register = LETTER[width], "q" if width == 8 else "r"
        end = r"\0Alahf\0Aseto %al"
        cases.append(f"i32 {number}, label %k{number}")
        lines = [f"%a{number} = trunc i64 %a to i{width}" if width < 64 else f"%a{number} = or i64 %a, 0"]
        lines.append(f"%b{number} = trunc i64 %b to i{width}" if width < 64 else f"%b{number} = or i64 %b, 0")
        if operation == "logic":
            lines.append(f'%t{number} = call i16 asm "test{letter} $1, $1{end}", "={{ax}},{register},~{{flags}}"(i{width} %a{number})')
            lines.append(f"%w{number} = and i16 %t{number}, {~(1 << B.FLAG_BIT['af']) & 0xFFFF}")
        elif operation == "sub":
            text = f'"cmp{letter} $2, $1{end}", "={{ax}},{register},{register},~{{flags}}"'
            lines.append(f"%w{number} = call i16 asm {text}(i{width} %a{number}, i{width} %b{number})")
        else:
            text = f'"add{letter} $3, $1{end}", "={{ax}},=&{register},1,{register},~{{flags}}"'
            lines.append(f"%p{number} = call {{i16, i{width}}} asm {text}(i{width} %a{number}, i{width} %b{number})")
            lines.append(f"%w{number} = extractvalue {{i16, i{width}}} %p{number}, 0")
        blocks.append(f"k{number}:\n " + "\n ".join([*lines, f"ret i16 %w{number}"]))
    head = f"entry:\n %word = trunc i64 %a to i16\n switch i32 %k, label %plain [ {' '.join(cases)} ]\nplain:\n ret i16 %word\n"
    text = head + "\n".join(blocks)
    return f'define internal preserve_mostcc i16 @flagword(i32 %k, i64 %a, i64 %b) noinline nounwind "no-jump-tables"="true" {{\n{text}\n}}\n'


def settle(block: memoryview, recipe: Recipe | None) -> None:
    """Make the word of flags from what they are the result of: by the recipe, or, without one, as it stands in the block."""
    if recipe is None:
        kind, a, b = struct.unpack_from("<I4xQQ", block, B.LAZY_KIND)
    else:
        kind = recipe[0]
        a, b = (number if constant else struct.unpack_from("<Q", block, number)[0] for constant, number in (recipe[1:3], recipe[3:5]))
    struct.pack_into("<H", block, B.FLAGS, word(kind, a, b))


def word(kind: int, a: int, b: int) -> int:
    """The same, of numbers."""
    if kind == WORD:
        return a & 0xFFFF
    operation, width = next(key for key, number in (*KINDS.items(), *RESULTS.items()) if number == kind)
    mask, top = (1 << width) - 1, width - 1
    if kind in RESULTS.values():
        a += b if operation == "sub" else -b
    a, b = a & mask, b & mask
    if operation == "logic":
        result, carry, overflow, half = a, 0, 0, 0
    elif operation == "sub":
        result = a - b & mask
        carry, overflow, half = int(a < b), ((a ^ b) & (a ^ result)) >> top & 1, (a ^ b ^ result) >> 4 & 1
    else:
        result = a + b & mask
        carry, overflow, half = int(a + b > mask), ((a ^ result) & (b ^ result)) >> top & 1, (a ^ b ^ result) >> 4 & 1
    parity = bin(result & 0xFF).count("1") + 1 & 1
    bits = {"of": overflow, "cf": carry, "pf": parity, "af": half, "zf": int(result == 0), "sf": result >> top & 1}
    return sum(bits[name] << bit for name, bit in B.FLAG_BIT.items())
