"""What every native engine works with: the translator's table, the stencils, the state block, the code area, and the runtime in it.

Our own; all is mapped once for each engine and given back with it.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from tanken.engine.native import host as H
from tanken.engine.native.store import Store

BLOB = 32 << 20


class Machinery:
    """The memory of one engine: `tab`, `blob`, `block`, `area`; `functions` are the translator's."""

    def __init__(self, target: Any, store: Store, area: int) -> None:
        """`area` is the code's size in bytes."""
        self.target, self.store = target, store
        self.N = N = target.tables
        self.area_size = area
        self._tab_at, self._blob_at = self.map(N.END * 8), self.map(BLOB)
        self.tab = H.view(self._tab_at, N.END * 8).cast("q")
        self.blob = H.view(self._blob_at, BLOB)
        buffer = ctypes.create_string_buffer(target.block_size + 64)  # the state's lists keep it when the engine is gone
        self._block_at = ctypes.addressof(buffer) + 63 & ~63
        start = self._block_at - ctypes.addressof(buffer)
        self.block = memoryview(buffer).cast("B")[start : start + target.block_size]
        self.area = H.DoubleArea(area)
        self._mapped += [(self.area.write_at, area), (self.area.run_at, area)]
        store.load(self.tab, self.blob)
        functions = self.functions = store.functions
        self._look_up, self._forget = functions["look_up"], functions["forget"]
        tab = ctypes.c_void_p(self._tab_at)
        self._enter_key = lambda k0, k1, k2, n: functions["enter_key"](tab, k0, k1, k2, n)

    def map(self, size: int) -> int:
        """Zeroed memory that goes with the engine: where it is."""
        at = H.map_memory(size, H.PROT_READ | H.PROT_WRITE, H.MAP_PRIVATE | H.MAP_ANONYMOUS | H.MAP_NORESERVE)
        self._mapped: list[tuple[int, int]] = [*getattr(self, "_mapped", ()), (at, size)]
        return at

    def __del__(self) -> None:
        for at, size in getattr(self, "_mapped", ()):
            H.unmap_memory(at, size)

    def fill_constants(self) -> None:
        """Put what stencils want in memory behind the state."""
        N = self.N
        constants = self.tab[N.CONSTANTS : N.CONSTANTS + N.MOST_CONSTANTS].cast("B")
        self.block[N.CONSTANTS_AT : N.CONSTANTS_AT + len(constants)] = constants

    def put_runtime(self, space: int = 0) -> dict[str, int]:
        """Put the runtime at the beginning of the code area, with some space behind it: where each piece is. The translator's code comes behind."""
        N, codes, at, places = self.N, self.store.runtime, 0, {}
        for name, code in codes.items():
            places[name] = at
            self.area.bytes[at : at + len(code.code)] = code.code
            at = at + len(code.code) + 15 & ~15
        self._first = at + space
        base = self.area.run_at
        known = {"AREABASE": base + places["run"], "AREALOW": base + self._first, "AREAHIGH": base + self.area_size, "STATE": self._block_at,
                 "SIGNAL": H.libc_address("signal"), "STRUCK": base + places[f"stub{N.STRUCK}"]}  # fmt: skip
        for name, code in codes.items():
            for hole in code.relocations:
                struct.pack_into("<Q", self.area.bytes, places[name] + hole.offset, known[hole.symbol] + hole.addend)
        for name, place in places.items():
            if name.startswith("stub"):
                self.tab[N.STUBS + int(name[4:])] = place
        self._resume, self._handler = base + places[f"stub{N.DISPATCH}"], base + places["handler"]
        self.tab[N.AREA_AT], self.tab[N.AREA_HOST], self.tab[N.AREA_SIZE] = self._first, base, self.area_size
        return places
