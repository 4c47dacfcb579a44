"""Python source from a recorded block: one function whose locals are the values that are needed, and nothing else.

reads      a place is read into a local the first time it is needed; places are written only where the block is left, so that a fault in the
           middle finds the state of the block's beginning and can compute that of its own instruction (`engine.generated`)
masks      only where a result can exceed its width and somebody looks at the bits above
flags      places of one bit that are written together are left as a Recipe, and computed if anybody asks
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import CodeType

from tanken.engine.graph import BOOLEAN, Node
from tanken.engine.operations import mask
from tanken.engine.recorder import Event, Recording
from tanken.isa.architecture import Place

DEPTH = 12  # of an expression that is not given a local
MODULAR = ("add", "sub", "mul")
FETCH = {1: "U1", 2: "U2", 4: "U4", 8: "U8"}


FILE = "<block>"
CLOCK = "CLOCK"  # the function that a block asks for the time


class Recipe:
    """How to compute lazy places from the values of nodes: `code` is that of a function which takes the values."""

    def __init__(self, code: CodeType | None = None, values: dict[Place, Node] | None = None, arguments: tuple[Node, ...] = ()) -> None:
        self._code, self._values, self._arguments = code, values or {}, arguments

    @property
    def code(self) -> CodeType:
        """Made when it is asked for the first time."""
        if self._code is None:
            self._code = compiled(write_recipe(self._values, self._arguments))
        return self._code


@cache
def compiled(source: str) -> CodeType:
    """The code of the one function in the source."""
    return next(thing for thing in compile(source, FILE, "exec").co_consts if isinstance(thing, CodeType))


class Writer:
    """Writes the lines of one function."""

    def __init__(self, lazy: frozenset[Place]) -> None:
        self.lazy = lazy
        self.lines: list[str] = []
        self.instruction: list[int] = []  # by line
        self.names: dict[Node, str] = {}
        self.all_names: dict[Node, str] = {}
        self.objects: dict[str, object] = {}  # what the source refers to
        self.at, self.indent = 0, " "

    def line(self, text: str) -> None:
        self.lines.append(self.indent + text)
        self.instruction.append(self.at)

    def object(self, prefix: str, thing: object) -> str:
        name = f"{prefix}{len(self.objects)}"
        self.objects[name] = thing
        return name

    # -- expressions

    def name(self, node: Node, text: str) -> str:
        """A local for the value."""
        name = self.all_names.setdefault(node, f"t{len(self.all_names)}")
        self.names[node] = name
        self.line(f"{name}={text}")
        return name

    def value(self, node: Node, exact: bool = True, depth: int = 0) -> str:
        """An expression for the value; not `exact`: only the low `result` bits count."""
        if node.op == "const":
            return str(node.extra)
        if node in self.names:
            return self.names[node]
        if node.op == "get":
            return self.name(node, place_text(node.extra))
        assert node.op != "opaque", "loads come before their uses"
        if node.uses > 1 or depth >= DEPTH:
            return self.name(node, self._expression(node, True, 0))
        return self._expression(node, exact, depth + 1)

    def _expression(self, node: Node, exact: bool, depth: int) -> str:
        op, width, args = node.op, node.width, node.args
        ones, sign = mask(node.result), 1 << width - 1
        if op in MODULAR:
            a, b = (self.value(arg, False, depth) for arg in args)
            text = f"{a}{'+' if op == 'add' else '-' if op == 'sub' else '*'}{b}"
            fits = (op == "add" and max(x.bound for x in args) < width) or (op == "mul" and sum(x.bound for x in args) <= width)
            return f"({text}&{ones})" if exact and not (fits and all(arg.uses > 1 or arg.op not in MODULAR for arg in args)) else f"({text})"
        if op == "trunc":
            return f"({self.value(args[0], False, depth)}&{ones})"
        texts = [self.value(arg, True, depth) for arg in args]
        a, b = texts[0], texts[-1]
        if op in ("and", "or", "xor"):
            return f"({a}{'&' if op == 'and' else '|' if op == 'or' else '^'}{b})"
        if op == "not":
            return f"(not {a})" if args[0].op in BOOLEAN else f"({a}^1)"
        if op in ("eq", "ult"):
            return f"({a}{'==' if op == 'eq' else '<'}{b})"
        if op == "slt":
            return f"({a}^{sign})<({b}^{sign})".join("()")
        if op == "select":
            return f"({texts[1]} if {a} else {b})"
        if op == "sext":
            return f"(({a}^{sign})-{sign}&{ones})" if exact else f"(({a}^{sign})-{sign})"
        if op == "lanes":
            return f"LANES({node.extra[0]!r},{node.extra[1]},{width},{a},{b})"
        return self._shift(node, a, b)

    def _shift(self, node: Node, a: str, b: str) -> str:
        op, width, last = node.op, node.width, node.args[-1].constant
        ones, sign = mask(node.result), 1 << width - 1
        if op == "lshr":
            return f"({a}>>{b})"
        if op == "shl":
            count = b if last is not None and last < width else f"({b}&{width - 1})"
            whole = last is not None and node.args[0].bound + last <= width
            return f"({a}<<{count})" if whole else f"({a}<<{count}&{ones})"
        if op == "ashr":
            return f"(({a}^{sign})-{sign}>>{b}&{ones})"
        if op in ("rotl", "rotr") and last is not None:
            left = (last if op == "rotl" else -last) % width
            return f"({a}<<{left}&{ones}|{a}>>{width - left})"
        if op == "popcount":
            return f"({a}).bit_count()"
        if op == "clz":
            return f"({width}-({a}).bit_length())"
        numbers = [a] if len(node.args) == 1 else [a, b]
        return f"F_{op}({','.join(numbers)},{width},{node.result})"

    # -- events

    def event(self, event: Event, count: int) -> None:
        self.at = event.at
        if event.kind == "keep":
            for node in event.nodes:
                if node not in self.names:
                    self.name(node, self._expression(node, True, 0))
            return
        nodes = [self.value(node) for node in event.nodes]
        if event.kind == "side":
            return self._side(event, nodes[0], count)
        nodes = [text if text.isalnum() else self._temporary(number, text) for number, text in enumerate(nodes)]
        guarded = event.guard is not None
        if event.guard is not None:
            condition = self.value(event.guard)
            for node in event.results:
                self.name(node, "0")
            self.line(f"if {condition}:")
            self.indent += " "
        getattr(self, "_" + event.kind)(event, nodes)
        if guarded:
            self.indent = self.indent[:-1]

    def _temporary(self, number: int, text: str) -> str:
        self.line(f"{'ab'[number] if number < 2 else f'c{number}'}={text}")
        return "ab"[number] if number < 2 else f"c{number}"

    def _load(self, event: Event, nodes: list[str]) -> None:
        a, size = nodes[0], event.extra
        if size not in FETCH:
            self.name(event.results[0], f"LOAD({a},{size})")
            return
        self.line("try:")
        self.indent += " "
        self.name(event.results[0], f"{FETCH[size]}(RD[{a}>>12],{a}&4095)[0]")
        self.indent = self.indent[:-1]
        self.line(f"except MISS:{self.names[event.results[0]]}=LOAD({a},{size})")

    def _store(self, event: Event, nodes: list[str]) -> None:
        a, value, size = nodes[0], nodes[1], event.extra
        if size not in FETCH:
            self.line(f"STORE({a},{size},{value})")
        else:
            self.line(f"try:P{size}(WR[{a}>>12],{a}&4095,{value})")
            self.line(f"except MISS:STORE({a},{size},{value})")

    def _swap(self, event: Event, nodes: list[str]) -> None:
        self.line(f"SWAP({nodes[0]},{event.extra},{nodes[2]},{nodes[1]})")

    def _fault(self, event: Event, nodes: list[str]) -> None:
        self.line(f"if {nodes[0]}:raise FAULTED({self.object('fault', event.extra)})")

    def _call(self, event: Event, nodes: list[str]) -> None:
        texts = [self.all_names.setdefault(node, f"t{len(self.all_names)}") for node in event.results]
        self.names.update(zip(event.results, texts, strict=True))
        self.line(f"{','.join(texts)},={self.object('call', event.extra)}({','.join(nodes)})")

    def _get_at(self, event: Event, nodes: list[str]) -> None:
        self.name(event.results[0], f"A_{event.extra}[{nodes[0]}]")

    def _set_at(self, event: Event, nodes: list[str]) -> None:
        self.line(f"A_{event.extra}[{nodes[0]}]={nodes[1]}")

    def _clock(self, event: Event, nodes: list[str]) -> None:
        self.name(event.results[0], f"{CLOCK}()")

    def _side(self, event: Event, condition: str, count: int) -> None:
        target, values = event.extra
        self.line(f"if {condition}:")
        names, self.indent = dict(self.names), self.indent + " "
        if count - event.at - 1:
            self.line(f"SKIP[0]+={count - event.at - 1}")
        self.leave(values, str(target))
        self.names, self.indent = names, self.indent[:-1]

    # -- the ways out

    def leave(self, values: dict[Place, Node], target: str) -> None:
        """Write the places, and return where to go on."""
        flags = {place: node for place, node in values.items() if place in self.lazy}
        whole = len(flags) == len(self.lazy) > 0
        roots = {place: self.value(node) for place, node in values.items() if not (whole and place in flags)}
        roots = {place: f"+{text}" if place.width == 1 else text for place, text in roots.items() if values[place].extra is not place}
        if whole:
            arguments = tuple(self._frontier(flags.values()))
            recipe = self.object("recipe", Recipe(None, flags, arguments))
            self.line(f"LAZY[0]=({recipe},{''.join(self.names[node] + ',' for node in arguments)})")
        for place, text in roots.items():
            self.line(f"{place_text(place)}={text}")
        self.line(f"return {target}")

    def _frontier(self, nodes: Iterable[Node]) -> list[Node]:
        """The nearest nodes below that have, or must have, a local."""
        found: dict[Node, None] = {}
        todo, seen = list(nodes), set()
        while todo:
            node = todo.pop()
            if node in seen or node.op == "const":
                continue
            seen.add(node)
            if node in self.names or node.op == "get":
                self.value(node)
                found[node] = None
            else:
                todo += node.args
        return list(found)


def place_text(place: Place) -> str:
    return f"S.{place.field}" if place.index is None else f"A_{place.field}[{place.index}]"


def _count(recording: Recording, lazy: frozenset[Place]) -> None:
    """How often each node is used by what will be written."""
    roots = [node for event in recording.events for node in (*event.nodes, *([event.guard] if event.guard else []))]
    for values in (recording.values, *(event.extra[1] for event in recording.events if event.kind == "side")):
        whole = all(place in values for place in lazy)
        roots += [node for place, node in values.items() if not (whole and place in lazy)]
    if recording.target is not None:
        roots.append(recording.target)
    while roots:
        node = roots.pop()
        node.uses += 1
        if node.uses == 1:
            roots += node.args


def write(recording: Recording, lazy: frozenset[Place], writer: Writer | None = None) -> Writer:
    """The function of a block, as the lines of a finished Writer."""
    _count(recording, lazy)
    writer = writer or Writer(lazy)
    writer.line("")
    count = len(recording.instructions)
    for event in recording.events:
        writer.event(event, count)
    writer.at = count - 1
    assert recording.target is not None
    target = writer.value(recording.target)
    writer.leave(recording.values, target if recording.exit is None else f"~{target}")
    asked = any(node.op == "get" and node.extra in lazy for node in writer.all_names)
    states = [recording.values, *(event.extra[1] for event in recording.events if event.kind == "side")]
    partly = any(0 < sum(place in values for place in lazy) < len(lazy) for values in states)
    if asked or partly:
        writer.lines[0] = " if LAZY[0]:SETTLE()"
    return writer


def write_recipe(values: dict[Place, Node], arguments: tuple[Node, ...]) -> str:
    """The source of `settle`, which takes the arguments of a recipe and sets its places."""
    writer = Writer(frozenset())
    for number, node in enumerate(arguments):
        writer.names[node] = f"v{number}"
    texts = {place: writer.value(node) for place, node in values.items()}
    for place, text in texts.items():
        writer.line(f"{place_text(place)}=+{text}")
    return "\n".join([f"def settle({','.join(f'v{n}' for n in range(len(arguments)))}):", *writer.lines])
