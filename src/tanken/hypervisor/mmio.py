"""One instruction done outside the processor, by its own semantics: what a guest wanted when it touched a device.

A hypervisor's exit says where the guest touched, not what it wanted (Intel SDM volume 3, 28.2.1). So the instruction is fetched through the
guest's own page tables, decoded, and executed on the guest's registers and memory. An access to where no memory is becomes a final exit.

The instruction is *replayed*: each attempt begins with the guest's state as it was; accesses already made are answered from a log; stores to
RAM wait; at the first read that the log does not hold, the attempt is given up and the read is the exit. Writes are told in order, before a later
read, or once all of the instruction is done, as KVM does. A fault on the way leaves no half of an instruction, but for the devices
touched so far. A device is touched once for each access of the instruction, in its order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tanken.base.errors import InternalError
from tanken.board.memory import Memory
from tanken.engine.integer import IntegerMachine
from tanken.engine.physical import PhysicalMemory, Region
from tanken.hypervisor.exits import EmulationFailure, Mmio, MsrRead, MsrWrite, PortIo
from tanken.isa.architecture import COLUMNS, Exited, Fault, Faulted, Halt, Outside
from tanken.isa.x86.inst import Inst, decode
from tanken.isa.x86.state import RIP
from tanken.isa.x86.system.core import Core, MsrAccess, PortAccess
from tanken.isa.x86.system.ports import complete
from tanken.isa.x86.system.processor import SystemProcessor
from tanken.isa.x86.system.state import SystemState

LONGEST = 15
PAGE = 4096
LARGEST = 8  # bytes of one device access: KVM's widest
MASK = (1 << 64) - 1
LIMIT = 1 << 62
KEPT_ROWS = 4096
UNKNOWN = ("is not implemented", "does not announce")  # faults by which our semantics say that they do not know an instruction

Access = Mmio | PortIo | MsrRead | MsrWrite
_rows: dict[tuple[int, bytes], Inst] = {}


@dataclass(frozen=True, slots=True)
class Done:
    """The instruction is done; its effects are in the state and in memory. `halted`: it was HLT."""

    mnemonic: str
    halted: bool = False


@dataclass(frozen=True, slots=True)
class Raised:
    """The instruction ends with an exception, to be delivered to the guest in the state as it now is."""

    mnemonic: str
    fault: Fault


Result = Done | Raised | Access | EmulationFailure


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
        region = physical.find(0)
        self._words = region.bytes.cast("Q") if region is not None else memoryview(b"")
        self._known: tuple[int, ...] = ()
        self._walks: dict[int, tuple[int, list[tuple[int, int]], int]] = {}
        self.begin()

    def begin(self) -> None:
        """A new instruction."""
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

    def flush_page(self, linear: int) -> None:
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
            self.hit |= self.processor.watched(linear, size, bool(access & self.processor.WRITE))
        first = min(size, PAGE - linear % PAGE)
        parts = [(self._translate(linear, access), first)]
        while first < size:
            length = min(size - first, PAGE)
            parts.append((self._translate(linear + first & MASK, access), length))
            first += length
        return parts

    def fetch(self, linear: int) -> bytes:
        """Up to 15 bytes of code; Faulted where the first is not to be had."""
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

    # -- page tables: in RAM; an entry outside of it reads as not present

    def __getitem__(self, index: int) -> int:
        self._seen.append(index)
        if index < len(self._words):
            return self._words[index]
        return self.physical[index] if self.physical.find(index << 3) is not None else 0

    def __setitem__(self, index: int, value: int) -> None:
        region = self.physical.find(index << 3)
        if region is not None and region.writable:
            self.physical[index] = value

    # -- physical memory and devices

    def _load(self, physical: int, size: int) -> int:
        region = self.physical.find(physical)
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
        region = self.physical.find(physical)
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
            region = self.physical.find(physical)
            assert region is not None
            region.bytes[physical - region.base : physical - region.base + len(data)] = data
            self.physical.written(physical, len(data))


def _widths(physical: int, size: int) -> list[tuple[int, int]]:
    """A piece in accesses of at most 8 bytes, as KVM tells them."""
    return [(physical + at, min(LARGEST, size - at)) for at in range(0, size, LARGEST)]


def decoded(code: bytes, address: int, mode: int) -> Inst:
    """The instruction; rows are kept by bytes and mode, for guests touch devices by few instructions."""
    inst = _rows.get((mode, code))
    if inst is None:
        if len(_rows) >= KEPT_ROWS:
            _rows.clear()
        inst = _rows[mode, code] = decode(code, address, mode)
    if inst.address != address:
        inst = _rows[mode, code] = Inst((address, *inst.columns[1:COLUMNS]), code)
    return inst


class Emulation:
    """Instructions of `state`, the next one at its RIP, one at a time: `begin`, then `run` again after each exit, with `answer` before where it was a read.

    `cpuid` answers CPUID, `ticks` is the time stamp counter without the state's offset. The state is changed once the instruction is done.
    """

    def __init__(
        self, state: SystemState, physical: PhysicalMemory, ticks: Callable[[], int] = lambda: 0,
        cpuid: Callable[[int, int], tuple[int, int, int, int]] | None = None,
    ) -> None:  # fmt: skip
        self.state, self.physical = state, physical
        self._processor = SystemProcessor(state)
        self._view = View(self._processor, physical)
        self._core = Core(state, self._view, ticks)
        self._core.cpuid = cpuid or self._processor.cpuid
        self._machine = IntegerMachine(state, self._view, RIP, ticks, self._core)
        self.begin()

    def begin(self) -> None:
        """Take up the instruction at RIP."""
        self.flushed = False  # whether the instruction asked for translations to be forgotten
        self._inst: Inst | None = None
        self._asked: Access | None = None
        self._value: int | None = 0
        self._result: Result | None = None
        self._view.begin()

    def answer(self, value: int | None) -> None:
        """What the read gave; None for #GP of an MSR access."""
        self._value = value

    def run(self) -> Result:
        """Take the instruction as far as it goes."""
        view = self._view
        if self._asked is not None:
            view.answers.append((self._asked, self._value))
            self._asked, self._value = None, 0
        elif self._result is None and self._inst is not None:
            return view.told.popleft() if view.told else self._ask()
        if self._result is None:
            view.again()
            self._result = self._attempt()
        if view.told:
            return view.told.popleft()
        return self._ask() if self._result is None else self._result

    def _ask(self) -> Access:
        """The read that the attempt was given up for."""
        self._asked = self._wanted
        return self._wanted

    def _attempt(self) -> Result | None:
        """How the instruction ends; None where it wants to know what it has not been told."""
        state, core, view = self.state, self._core, self._view
        try:
            if self._inst is None:
                view.refresh()
                code = view.fetch(self._processor.fetch_address())
                if not code:
                    return EmulationFailure(state.rip, b"", "no memory to fetch from")
                self._inst = core.inst = decoded(code, state.rip, state.mode)
            flags = state.system_flags
            exit = self._execute(self._inst)
        except Unanswered as unanswered:
            self._wanted = unanswered.access
            return None
        except Faulted as faulted:
            return self._faulted(faulted.exit)
        view.commit()
        self.flushed |= view.flushed
        try:
            self._processor.after(core, self._inst, flags, view.hit)
        except Faulted as faulted:
            return Raised(self._inst.mnemonic, faulted.exit)
        return Done(self._inst.mnemonic, isinstance(exit, Halt))

    def _execute(self, inst: Inst) -> Any:
        """The instruction; what it asks of ports and MSRs comes from the log too."""
        state, view = self.state, self._view
        view.watching = self._processor.careful
        try:
            exit = self._machine.step(self._processor, inst)
        except Exited as exited:
            exit = exited.exit
            if isinstance(exit, PortAccess):
                value = view.ask(PortIo(exit.port, exit.size, not exit.is_in, 0 if exit.is_in else exit.value))
                complete(state, view, exit, value)
            elif isinstance(exit, MsrAccess):
                self._msr(state, exit, view.ask(MsrRead(exit.number) if exit.value is None else MsrWrite(exit.number, exit.value)))
            elif isinstance(exit, Outside):
                raise InternalError(f"{exit} came out of a view") from exited
        if state.mode != 64:
            state.rip &= 0xFFFF_FFFF
        return exit

    @staticmethod
    def _msr(state: SystemState, access: MsrAccess, value: int) -> None:
        if access.value is None:
            state.regs[0], state.regs[2] = value & 0xFFFF_FFFF, value >> 32
        state.rip = access.following

    def _faulted(self, fault: Fault) -> Result:
        """An exception of the instruction itself; one that only says that we do not know it is a failure."""
        inst = self._inst
        if inst is not None and any(text in fault.message for text in UNKNOWN):
            return EmulationFailure(self.state.rip, inst.code, fault.message)
        return Raised("fetch" if inst is None else inst.mnemonic, fault)
