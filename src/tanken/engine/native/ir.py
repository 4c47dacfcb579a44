"""LLVM IR, as text, of what was recorded: one function that works on the state block, guest memory and budget it is handed.

`%S` state, `%T` host address of guest address 0, `%B` instructions left. Holes are symbols; a way out is a tail call. LLVM Language
Reference: preserve_nonecc, musttail, inline assembler.
"""

from __future__ import annotations

from typing import Protocol

from tanken.engine.graph import Node
from tanken.engine.native.places import JUMP_CACHE, JUMP_CACHE_AT, KEEPS_BUDGET, KEPT_BUDGET, LIMIT_BITS, RIP_AT, WATCHED_VALUE
from tanken.engine.native.values import WIDE, Writer
from tanken.engine.recorder import Event, Recording
from tanken.isa.architecture import Place

ARGUMENTS = "(ptr %S, ptr %T, i64 %B)"


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


class Body(Writer):
    """Writes one function."""

    def __init__(self, target: Target, keeps_budget: bool = False) -> None:
        """`keeps_budget`: in memory, so that its register is free; who meets a fault looks there."""
        super().__init__(target)
        self.keeps_budget = keeps_budget
        self.checked: set[Node] = set()
        self.atomic = False  # whether its load and its store are one, for other processors too: it begins anew where one came in between
        self._begins, self._loaded = "", dict[Node, str]()  # the label of its beginning; what was loaded, by address
        self.watched = False  # whether each access of memory is told before it happens
        self.ordered = ""  # how stores are marked that must keep their order: where a later one faults, those before it have happened
        if keeps_budget:
            self.line(f"store volatile i64 %B, ptr {self.value(f'getelementptr i8, ptr %S, i64 {KEPT_BUDGET}')}")
            self.line(f"store volatile i32 1, ptr {self.value(f'getelementptr i8, ptr %S, i64 {KEEPS_BUDGET}')}")

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

    def aim(self, target: Node) -> None:
        """Read where an indirect jump goes before registers are written: CALL of the stack pointer pushes first."""
        if target.op not in ("hole", "select"):
            self.use(target, 64)

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
