"""LLVM IR for a whole processor: every access goes through the TLB that `%T` points to, every jump out of its page through the jump cache beside it.

A hit is allowed (the fill looked at all rights) and inside one page: the tag is compared with the page of the *last* byte.
"""

from __future__ import annotations

from typing import Any

from tanken.engine.graph import Node
from tanken.engine.native.ir import Body, Target
from tanken.engine.native.places import RIP_AT
from tanken.engine.native.recording import StencilRecorder
from tanken.engine.native.values import WIDE
from tanken.engine.recorder import Event, node_of
from tanken.isa.architecture import Value

DECLARED = ("declare dso_local preserve_nonecc void @MISSREAD(ptr, ptr, i64)", "declare dso_local preserve_nonecc void @MISSWRITE(ptr, ptr, i64)")


class PagedRecorder(StencilRecorder):
    """Records as others do; a load of what will be stored to is told before it happens, and so is the time."""

    def load(self, address: Value, size: int, modify: bool = False) -> Value:
        if modify:
            self._event("probe", node_of(address), extra=size)
        return super().load(address, size)

    def clock(self) -> Value:
        node = self.graph.opaque(64)
        self._event("clock", results=(node,))
        return Value(self, 64, node)


class PagedBody(Body):
    """Writes one function; `N` has the layout of contexts."""

    def __init__(self, target: Target, N: Any, keeps_budget: bool = False) -> None:
        super().__init__(target, keeps_budget)
        self.N = N
        self.pointers: dict[tuple[Node, int, bool], str] = {}
        self.declared |= set(DECLARED)

    def _guarded(self, guard: Node, events: list[Event]) -> None:
        before = dict(self.pointers)
        super()._guarded(guard, events)
        self.pointers = before

    def _event(self, event: Event) -> int:
        if event.kind == "load":
            pointer, bits, node = self._checked(event.nodes[0], event.extra, False), event.extra * 8, event.results[0]
            wide = bits in WIDE
            kind = f"<{bits // 64} x i64>" if wide else f"i{bits}"
            self.names[(node, bits, "wide") if wide else node] = self.value(f"load {kind}, ptr {pointer}, align 1")
        elif event.kind == "store":
            address, data = event.nodes
            bits = event.extra * 8
            kind, value = (f"<{bits // 64} x i64>", self.wide(data, bits)) if bits in WIDE else (f"i{bits}", self.use(data, bits))
            self.line(f"store {kind} {value}, ptr {self._checked(address, event.extra, True)}, align 1")
        elif event.kind == "probe":
            self._checked(event.nodes[0], event.extra, True)
        elif event.kind == "clock":
            self.names[event.results[0]] = self._clock()
        else:
            return super()._event(event)
        return 1

    def _clock(self) -> str:
        """Instructions so far: what the budget will be at the end, less what is left of it, less what is left of this block."""
        end = self.value(f"load i64, ptr {self.value(f'getelementptr i8, ptr %S, i64 {self.N.END_AT}')}")
        left = self.value('call i32 asm "movl $$LEFT, $0", "=r"()')
        return self.value(f"sub i64 {self.value(f'sub i64 {end}, %B')}, {self.value(f'zext i32 {left} to i64')}")

    def _checked(self, address: Node, size: int, write: bool) -> str:
        """The host's pointer to `size` bytes of the guest's, where the TLB has them."""
        known = self.pointers.get((address, size, True)) or (None if write else self.pointers.get((address, size, False)))
        if known is not None:
            return known
        self.slow = True
        N = self.N
        linear = self.use(address, 64)
        slot = self.value(f"and i64 {self.value(f'lshr i64 {linear}, 7')}, {(N.TLB_ENTRIES - 1) * 32}")
        entry = self.value(f"getelementptr i8, ptr %T, i64 {slot}")
        table = N.WRITE_AT if write else N.TLB_AT
        tag = self.value(f"load i64, ptr {self.value(f'getelementptr i8, ptr {entry}, i64 {table}')}")
        last = self.value(f"add i64 {linear}, {size - 1}") if size > 1 else linear
        differs = self.value(f"icmp ne i64 {tag}, {self.value(f'and i64 {last}, -4096')}")
        miss, hit = self.label(), self.label()
        self.line(f"br i1 {differs}, label {miss}, label {hit}, !prof !0")
        self.begin(miss)
        self.line(f"store i64 {linear}, ptr {self.value(f'getelementptr i8, ptr %S, i64 {N.MISS_AT}')}")
        self.tail("@MISSWRITE" if write else "@MISSREAD")
        self.begin(hit)
        addend = self.value(f"load i64, ptr {self.value(f'getelementptr i8, ptr {entry}, i64 {table + 8}')}")
        pointer = self.value(f"inttoptr i64 {self.value(f'add i64 {linear}, {addend}')} to ptr")
        self.pointers[address, size, write] = pointer
        return pointer

    def indirect(self, address: str) -> None:
        """Through the jump cache of the context."""
        slot = self.value(f"and i64 {address}, {self.N.JUMP_CACHE - 1}")
        entry = self.value(f"getelementptr i8, ptr %T, i64 {self.value(f'shl i64 {slot}, 4')}")
        same = self.value(f"icmp eq i64 {self.value(f'load i64, ptr {entry}')}, {address}")
        hit, miss = self.label(), self.label()
        self.line(f"br i1 {same}, label {hit}, label {miss}, !prof !1")
        self.begin(miss)
        self.line(f"store i64 {address}, ptr {self.value(f'getelementptr i8, ptr %S, i64 {RIP_AT}')}")
        self.tail("@DISPATCH")
        self.begin(hit)
        self.tail(self.value(f"load ptr, ptr {self.value(f'getelementptr i8, ptr {entry}, i64 8')}"))
