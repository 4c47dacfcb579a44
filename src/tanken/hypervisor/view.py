"""Memory as one instruction done outside the processor sees it: translated by the guest's own tables, stores kept back, devices asked.

Intel SDM volume 3, chapter 4 (paging) and 28.2.1 (what an exit tells of an access). `mmio` says how an instruction is done on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

from tanken.base.errors import InternalError
from tanken.board.memory import Memory
from tanken.engine.physical import PhysicalMemory, Region
from tanken.hypervisor.exits import Mmio, MsrRead, MsrWrite, PortIo
from tanken.isa.architecture import Fault, Faulted
from tanken.isa.x86.system.processor import SystemProcessor

LONGEST = 15
PAGE = 4096
LARGEST = 8  # bytes of one device access: KVM's widest
MASK = (1 << 64) - 1
LIMIT = 1 << 62

Access = Mmio | PortIo | MsrRead | MsrWrite


class Unanswered(Exception):
    """An access that the log does not hold."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.access = access


def physical_of(memory: Memory) -> PhysicalMemory:
    """The RAM and ROM of a board as an engine sees them."""
    return PhysicalMemory([Region(region.base, memoryview(region.bytes), region.writable, region.host_address) for region in memory.regions])


class View:
    """Linear memory as one attempt sees it; see `isa.x86.system.core.LinearMemory`."""

    watching = False

    def __init__(self, processor: SystemProcessor, physical: PhysicalMemory) -> None:
        self.processor, self.physical = processor, physical
        region = self._low = physical.find(0)
        self._low_end = region.end if region is not None else 0
        self._words = region.bytes.cast("Q") if region is not None else memoryview(b"")
        self._known: tuple[int, ...] = ()
        self._walks: dict[int, tuple[int, list[tuple[int, int]], int]] = {}
        self._parts: list[tuple[int, int]] = []  # of the load that `asking` goes on with
        self.begin()

    def begin(self) -> None:
        """A new instruction."""
        self.missed: tuple[int, int, str] | None = None  # (guest-physical address, linear address, access) of the first that a prepared one made outside
        self.answers: list[tuple[Access, int | None]] = []
        self.told: deque[Access] = deque()  # writes that are still to be told
        self._pages: dict[int, int] = {}  # translations met meanwhile: the guest does not run
        self.again()

    def refresh(self) -> None:
        """Look at what rights depend on."""
        state = self.processor.state
        if self._known != (known := (state.cr0, state.cr4, state.efer, state.system_flags, state.cpl, state.pkru)):
            self._known = known
            self.changed()

    def again(self) -> None:
        """A new attempt."""
        self.hit = 0
        self.flushed = False
        self._at = 0  # accesses of this attempt so far
        self._stores: list[tuple[int, bytes]] = []

    def changed(self) -> None:
        """Privilege, mode or a flag that rights depend on may have changed."""
        self._pages.clear()
        self._walks.clear()
        self._access = self.processor.access(self.processor.context())
        self._how = self.processor.control().how

    def flush(self) -> None:
        """Who runs the guest empties its TLB too."""
        self.flushed = True
        self.changed()

    def flush_space(self, space: int | None) -> None:
        self.flush()

    def flush_page(self, linear: int, space: int | None = None, and_global: bool = True) -> None:
        self.flushed = True
        self._pages.clear()

    # -- what the semantics ask for

    def load(self, linear: int, size: int) -> int:
        return self.load_as(linear, size, self._access)

    def load_to_modify(self, linear: int, size: int) -> int:
        """A load of what will be stored to: it faults as a store does (SDM volume 3, 4.7)."""
        self._pieces(linear, size, self._access | self.processor.WRITE)
        return self.load(linear, size)

    def store(self, linear: int, size: int, value: int) -> None:
        self.store_as(linear, size, value, self._access | self.processor.WRITE)

    def load_as(self, linear: int, size: int, access: int) -> int:
        value = shift = 0
        for physical, length in self._pieces(linear, size, access):
            value |= self._load(physical, length) << shift
            shift += 8 * length
        return value

    def store_as(self, linear: int, size: int, value: int, access: int) -> None:
        for physical, length in self._pieces(linear, size, access):
            self._store(physical, length, value & (1 << 8 * length) - 1)
            value >>= 8 * length

    def probe(self, linear: int, size: int, access: int) -> None:
        """The faults that an access would meet."""
        self._pieces(linear, size, access)

    def find(self, physical: int) -> Region | None:
        """The region of memory there."""
        return self._low if physical < self._low_end else self.physical.find(physical)

    def _translate(self, linear: int, access: int) -> int:
        key = linear >> 12 << 8 | access
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = self._walked(key, linear, access)
        return page | linear & PAGE - 1

    def _walked(self, key: int, linear: int, access: int) -> int:
        """The physical page. An earlier walk holds as long as every entry that it read is what it was."""
        words, known = self._words, self._walks.get(key)
        root = self.processor.state.cr3
        if known is not None and known[0] == root:
            for index, value in known[1]:
                if words[index] != value:
                    break
            else:
                return known[2]
        self._seen: list[int] = []
        page = self.processor.translate(self, LIMIT, linear, access, self._how, 1) & -PAGE
        if all(index < len(words) for index in self._seen):
            self._walks[key] = root, [(index, words[index]) for index in self._seen], page
        return page

    def _pieces(self, linear: int, size: int, access: int) -> list[tuple[int, int]]:
        """(guest-physical address, size) of each page's part, all of them translated before any is touched."""
        if self.watching:
            self.processor.check_alignment(linear, size, access)
        first = PAGE - (linear & PAGE - 1)
        if size <= first and not self.watching:
            return [(self._translate(linear, access), size)]
        parts = [(self._translate(linear, access), min(first, size))]
        while first < size:
            length = min(size - first, PAGE)
            parts.append((self._translate(linear + first & MASK, access), length))
            first += length
        if self.watching:
            self.hit |= self.processor.observed(linear, size, access)
        return parts

    def fetch(self, linear: int) -> bytes:
        """Up to 15 bytes of code; Faulted where the first is not to be had."""
        offset = linear & PAGE - 1
        if offset <= PAGE - LONGEST:
            physical = self._translate(linear, self._access | self.processor.FETCH)
            region = self.find(physical)
            return b"" if region is None else bytes(region.bytes[physical - region.base : physical - region.base + LONGEST])
        code = b""
        while len(code) < LONGEST:
            at = linear + len(code) & MASK
            try:
                physical = self._translate(at, self._access | self.processor.FETCH)
            except Faulted:
                if code:
                    break
                raise
            page = self.physical.page(physical >> 12)
            if page is None:
                break
            start = page[1] + physical % PAGE
            code += bytes(page[0][start : start + min(LONGEST - len(code), PAGE - at % PAGE)])
        return code

    def place(self, linear: int, write: bool) -> int:
        """The physical address of a program's access; the faults that it would meet."""
        return self._translate(linear, self._access | self.processor.WRITE if write else self._access)

    # -- what prepared instructions ask for (`prepared`): the same, but a device that is read is asked by who runs them

    def load_now(self, linear: int, size: int, modify: bool = False) -> int:
        """What `load` (or `load_to_modify`) gives, or -1: then `asking` goes on."""
        access = self._access
        if modify:
            self._pieces(linear, size, access | self.processor.WRITE)
        if linear % PAGE + size <= PAGE and not self._stores:
            page = self._pages.get(linear >> 12 << 8 | access)
            physical = (page | linear % PAGE) if page is not None else self._translate(linear, access)
            region = self.find(physical)
            if region is not None:
                return int.from_bytes(region.bytes[physical - region.base : physical - region.base + size], "little")
            self._parts = [(physical, size)]
            self.missed = self.missed or (physical, linear, "w" if modify else "r")
            return -1
        self._parts = parts = self._pieces(linear, size, access)
        outside = next((physical for physical, _ in parts if self.find(physical) is None), None)
        if outside is not None:
            self.missed = self.missed or (outside, linear if outside == parts[0][0] else linear + parts[0][1] & MASK, "w" if modify else "r")
            return -1
        value = shift = 0
        for physical, length in parts:
            value |= self._load(physical, length) << shift
            shift += 8 * length
        return value

    def asking(self) -> Generator[Mmio, int | None, int]:
        """Asks for what `load_now` met; who sends the answers writes them into the log."""
        value = shift = 0
        for physical, length in self._parts:
            if self.find(physical) is not None:
                value |= self._load(physical, length) << shift
                shift += 8 * length
                continue
            for at, size in _widths(physical, length):
                answer = yield Mmio(at, size, False)
                value |= ((answer or 0) & (1 << 8 * size) - 1) << shift
                shift += 8 * size
        return value

    def store_now(self, linear: int, size: int, value: int) -> None:
        """As `store`; devices are told, not asked."""
        access = self._access | self.processor.WRITE
        if linear % PAGE + size <= PAGE and size <= LARGEST:
            page = self._pages.get(linear >> 12 << 8 | access)
            physical = (page | linear % PAGE) if page is not None else self._translate(linear, access)
            if self.find(physical) is None:
                self.missed = self.missed or (physical, linear, "w")
                return self._tell(Mmio(physical, size, True, value))
            return self._store_now(physical, linear, size, value)
        for physical, length in self._pieces(linear, size, access):
            self._store_now(physical, linear, length, value & (1 << 8 * length) - 1)
            linear, value = linear + length & MASK, value >> 8 * length

    def _store_now(self, physical: int, linear: int, size: int, value: int) -> None:
        region = self.find(physical)
        if region is not None and region.writable:
            self._stores.append((physical, value.to_bytes(size, "little")))
            return
        self.missed = self.missed or (physical, linear, "w")
        for at, length in _widths(physical, size):
            self._tell(Mmio(at, length, True, value & (1 << 8 * length) - 1))
            value >>= 8 * length

    def _tell(self, access: Mmio) -> None:
        self.answers.append((access, 0))
        self.told.append(access)

    # -- page tables: in RAM; an entry outside of it reads as not present

    def __getitem__(self, index: int) -> int:
        self._seen.append(index)
        if index < len(self._words):
            return self._words[index]
        return self.physical[index] if self.find(index << 3) is not None else 0

    def __setitem__(self, index: int, value: int) -> None:
        region = self.find(index << 3)
        if region is not None and region.writable:
            self.physical[index] = value

    # -- physical memory and devices

    def _load(self, physical: int, size: int) -> int:
        region = self.find(physical)
        if region is not None:
            data = bytearray(region.bytes[physical - region.base : physical - region.base + size])
            for at, stored in self._stores:
                for n, byte in enumerate(stored):
                    if 0 <= at + n - physical < size:
                        data[at + n - physical] = byte
            return int.from_bytes(data, "little")
        value = shift = 0
        for at, length in _widths(physical, size):
            value |= self.ask(Mmio(at, length, False)) << shift
            shift += 8 * length
        return value

    def _store(self, physical: int, size: int, value: int) -> None:
        region = self.find(physical)
        if region is not None and region.writable:
            self._stores.append((physical, value.to_bytes(size, "little")))
            return
        for at, length in _widths(physical, size):
            self.ask(Mmio(at, length, True, value & (1 << 8 * length) - 1))
            value >>= 8 * length

    def ask(self, access: Access) -> int:
        """The answer to an access; raises Unanswered where there is none yet, Faulted where an MSR's was None."""
        if self._at == len(self.answers):
            if not isinstance(access, Mmio | PortIo) or not access.write:
                raise Unanswered(access)
            self.answers.append((access, 0))
            self.told.append(access)
        made, value = self.answers[self._at]
        if made != access:
            raise InternalError(f"replayed, the instruction makes {access}", wanted=f"{made}")
        self._at += 1
        if isinstance(access, MsrRead | MsrWrite):
            if value is None:
                raise Faulted(Fault(13, 0, self.processor.state.rip, "an MSR that nobody has"))
            return value
        return (value or 0) & (1 << 8 * access.size) - 1

    def commit(self) -> None:
        """The instruction is done: its stores reach memory."""
        for physical, data in self._stores:
            region = self.find(physical)
            assert region is not None
            region.bytes[physical - region.base : physical - region.base + len(data)] = data
            self.physical.written(physical, len(data))


def _widths(physical: int, size: int) -> list[tuple[int, int]]:
    """A piece in accesses of at most 8 bytes, as KVM tells them."""
    return [(physical + at, min(LARGEST, size - at)) for at in range(0, size, LARGEST)]
