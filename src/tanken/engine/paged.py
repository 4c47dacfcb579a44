"""Memory by linear address over physical memory: a TLB in Python, filled by the instruction set's own walk.

One table for each address space, context (privilege level 3 or above, and what else rights depend on) and kind of access: a hit is allowed,
whatever it is. An entry may be forgotten at any time; it must be when the instruction set says so, and else is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tanken.engine.memory import OFFSET, PAGE, SHIFT
from tanken.engine.physical import PhysicalMemory
from tanken.isa.architecture import Exited, Faulted, Outside

# Bytes of the region, where in them the page begins, the physical page's number, the bits of an address inside the page as it is mapped, global.
Entry = tuple[memoryview, int, int, int, bool]
ENDLESS = 1 << 62


class Paging(Protocol):
    """What the instruction set knows of addresses; see isa.x86.system.processor."""

    WRITE: int
    FETCH: int
    IMPLICIT: int

    def context(self) -> int: ...

    def access(self, context: int) -> int: ...

    def control(self) -> Any: ...

    def space(self) -> int: ...

    def look_up(self, words: Any, limit: int, linear: int, access: int, how: int, size: int) -> tuple[int, int, bool]: ...

    def check_alignment(self, linear: int, size: int, access: int) -> None: ...

    def observed(self, linear: int, size: int, access: int) -> int: ...


class PagedMemory:
    """What a program's and the processor's own accesses see; `hit` collects the data breakpoints that were met."""

    def __init__(self, physical: PhysicalMemory, paging: Paging) -> None:
        self.physical, self.paging = physical, paging
        self._tables: dict[tuple[int, int], dict[int, Entry]] = {}  # by address space and kind
        self._widest = SHIFT  # bits of the largest page that is known
        self.hit = 0
        self.watching = False
        self.flushes = 0
        self.on_flush: list[Callable[[int | None, int | None, bool], None]] = []
        self.changed()

    # -- what changes the meaning of addresses

    def changed(self) -> None:
        """Privilege, mode, address space or a flag that rights depend on may have changed."""
        paging = self.paging
        context, space = paging.context(), paging.space()
        self.context, self.space = context, space
        self._access, self.how = paging.access(context), paging.control().how
        self._readable = self._table(context * 4)
        self._writable = self._table(context * 4 + 1)
        self._fetchable = self._table(context * 4 + 2)

    def flush(self) -> None:
        """Forget all translations."""
        self.flushes += 1
        self._tables.clear()
        self._widest = SHIFT
        self.changed()
        self._tell(None, None, True)

    def flush_space(self, space: int | None) -> None:
        """Forget the translations of one address space, or with None of all, that are not global."""
        for (which, _), table in self._tables.items():
            if space is None or which == space:
                for page in [page for page, entry in table.items() if not entry[4]]:
                    del table[page]
        self._tell(None, space, False)

    def flush_page(self, linear: int, space: int | None = None, and_global: bool = True) -> None:
        """Forget the translations of a page, whatever its size, in one address space (None: the one in use), and the global ones of it."""
        page, space = linear >> SHIFT, self.space if space is None else space
        for (which, _), table in self._tables.items():
            if self._widest == SHIFT:
                found = [page] if page in table else []
            else:
                found = [other for other, entry in table.items() if (other ^ page) >> entry[3] - SHIFT == 0]
            for other in found:
                if and_global if table[other][4] else which == space:
                    del table[other]
        self._tell(linear, space, and_global)

    def _tell(self, linear: int | None, space: int | None, and_global: bool) -> None:
        for call in self.on_flush:
            call(linear, space, and_global)

    # -- a program's accesses

    def load(self, linear: int, size: int) -> int:
        entry, offset = self._readable.get(linear >> SHIFT), linear & OFFSET
        if entry is None or offset + size > PAGE or self.watching:
            return self._load(linear, size, self._access, self._readable)
        at = entry[1] + offset
        return int.from_bytes(entry[0][at : at + size], "little")

    def load_to_modify(self, linear: int, size: int) -> int:
        """A load whose fault is that of a store."""
        self._pieces(linear, size, self._access | self.paging.WRITE, self._writable)
        return self.load(linear, size)

    def store(self, linear: int, size: int, value: int) -> None:
        entry, offset = self._writable.get(linear >> SHIFT), linear & OFFSET
        if entry is None or offset + size > PAGE or self.watching:
            return self._store(linear, size, value, self._access | self.paging.WRITE, self._writable)
        at = entry[1] + offset
        entry[0][at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        if entry[2] in self.physical.code_pages:
            self.physical.stale(entry[2])

    def fetch(self, linear: int) -> tuple[Entry, int]:
        """The page that an instruction is in, and where in it."""
        entry = self._fetchable.get(linear >> SHIFT)
        if entry is None:
            entry = self._fill(linear, 1, self._access | self.paging.FETCH, self._fetchable)
        return entry, linear & OFFSET

    # -- accesses of other kinds

    def load_as(self, linear: int, size: int, access: int) -> int:
        return self._load(linear, size, access, self._kind(access))

    def store_as(self, linear: int, size: int, value: int, access: int) -> None:
        self._store(linear, size, value, access, self._kind(access))

    def probe(self, linear: int, size: int, access: int) -> None:
        """The faults that an access would meet."""
        self._pieces(linear, size, access, self._kind(access))

    def _kind(self, access: int) -> dict[int, Entry]:
        return self._table(access | 1 << 16)

    def _table(self, kind: int) -> dict[int, Entry]:
        return self._tables.setdefault((self.space, kind), {})

    # -- the slow way

    def _fill(self, linear: int, size: int, access: int, table: dict[int, Entry]) -> Entry:
        paging = self.paging
        try:
            physical, bits, is_global = paging.look_up(self.physical, ENDLESS, linear, access, self.how, size)
        except Faulted:
            self.flush_page(linear)  # SDM volume 3, 4.10.4.1: so that trying again looks again
            raise
        found = self.physical.page(physical >> SHIFT)
        if found is None or (access & paging.WRITE and not found[2]):
            kind = "w" if access & paging.WRITE else "x" if access & paging.FETCH else "r"
            raise Exited(Outside(physical, linear, size, kind))
        entry = table[linear >> SHIFT] = found[0], found[1], physical >> SHIFT, bits, is_global
        if table is self._writable:
            self._readable[linear >> SHIFT] = entry
        self._widest = max(self._widest, bits)
        return entry

    def _pieces(self, linear: int, size: int, access: int, table: dict[int, Entry]) -> list[tuple[Entry, int, int]]:
        """(page, offset, count) of each page that an access touches; all are looked up before any is used."""
        if self.watching:
            self.paging.check_alignment(linear, size, access)
        found, done = [], 0
        while done < size:
            at = linear + done & (1 << 64) - 1
            offset = at & OFFSET
            count = min(PAGE - offset, size - done)
            entry = table.get(at >> SHIFT)
            found.append((entry if entry is not None else self._fill(at, size - done if done else size, access, table), offset, count))
            done += count
        if self.watching:
            self.hit |= self.paging.observed(linear, size, access)
        return found

    def _load(self, linear: int, size: int, access: int, table: dict[int, Entry]) -> int:
        pieces = [entry[0][entry[1] + offset : entry[1] + offset + count] for entry, offset, count in self._pieces(linear, size, access, table)]
        return int.from_bytes(b"".join(pieces), "little")

    def _store(self, linear: int, size: int, value: int, access: int, table: dict[int, Entry]) -> None:
        data, done = (value & (1 << 8 * size) - 1).to_bytes(size, "little"), 0
        for entry, offset, count in self._pieces(linear, size, access, table):
            at = entry[1] + offset
            entry[0][at : at + count] = data[done : done + count]
            done += count
            if entry[2] in self.physical.code_pages:
                self.physical.stale(entry[2])
