"""One instruction done outside the processor, by its own semantics: what a guest wanted when it touched a device.

A hypervisor's exit says where the guest touched, not what it wanted (Intel SDM volume 3, 28.2.1). So the instruction is fetched through the
guest's own page tables, decoded, and executed on the guest's registers and memory. An access to where no memory is becomes a final exit.

An instruction that comes often is *prepared* (`prepared`): a generator that waits where it wants to read. Any other is *replayed*: each attempt
begins with the guest's state as it was; accesses already made are answered from a log; stores to RAM wait; at the first read that the log does not
hold, the attempt is given up and the read is the exit. Writes are told in order, before a later read, or once all of the instruction is done, as KVM
does. A fault on the way leaves no half of an instruction, but for the devices touched so far. A device is touched once for each access of the
instruction, in its order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tanken.base.errors import InternalError
from tanken.engine.integer import IntegerMachine
from tanken.engine.physical import PhysicalMemory
from tanken.hypervisor.exits import EmulationFailure, MsrRead, MsrWrite, PortIo
from tanken.hypervisor.prepared import PREPARED, WARM, Again, Steps
from tanken.hypervisor.view import Access, Unanswered, View
from tanken.isa.architecture import COLUMNS, Exited, Fault, Faulted, Halt, Outside
from tanken.isa.x86.inst import Inst, decode
from tanken.isa.x86.state import RIP
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import Core, MsrAccess, PortAccess
from tanken.isa.x86.system.ports import complete
from tanken.isa.x86.system.processor import SystemProcessor
from tanken.isa.x86.system.state import SystemState

KEPT_ROWS = 4096
UNKNOWN = ("is not implemented", "does not announce")  # faults by which our semantics say that they do not know an instruction

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

    `cpuid` answers CPUID, `ticks` is the time stamp counter without the state's offset. The state is changed once the instruction is done, which is
    before its last writes are told. `warm`: how often an instruction comes before it is prepared.
    """

    def __init__(
        self, state: SystemState, physical: PhysicalMemory, ticks: Callable[[], int] = lambda: 0,
        cpuid: Callable[[int, int], tuple[int, int, int, int]] | None = None, warm: int = WARM,
    ) -> None:  # fmt: skip
        self.state, self.physical, self.warm = state, physical, warm
        self._processor = SystemProcessor(state)
        self._view = View(self._processor, physical)
        self._core = Core(state, self._view, ticks)
        self._core.cpuid = cpuid or self._processor.cpuid
        self._machine = IntegerMachine(state, self._view, RIP, ticks, self._core)
        self.begin()

    def begin(self, inst: Inst | None = None) -> None:
        """Take up the instruction at RIP: `inst`, where somebody has decoded it in the mode as it is."""
        self.flushed = False  # whether the instruction asked for translations to be forgotten
        self.plain = False  # whether all that it changed are the places of its operands and flags
        self._inst = inst
        self._begun = False
        self._steps: Steps | None = None
        self._wanted: Access | None = None  # the read that is waited for
        self._asked = False  # whether it has been told
        self._value: int | None = 0
        self._result: Result | None = None
        self._view.begin()

    @property
    def inst(self) -> Inst | None:
        """The instruction under way, or done."""
        return self._inst

    @property
    def missed(self) -> tuple[int, int, str] | None:
        """(guest-physical address, linear address, access) of a prepared instruction's first access outside of memory."""
        return self._view.missed

    def answer(self, value: int | None) -> None:
        """What the read gave; None for #GP of an MSR access."""
        self._value = value

    def run(self) -> Result:
        """Take the instruction as far as it goes."""
        view = self._view
        if view.told:
            return view.told.popleft()
        value = None
        wanted = self._wanted
        if wanted is not None:
            if not self._asked:
                self._asked = True
                return wanted
            value, self._value = self._value, 0
            view.answers.append((wanted, value))
            self._wanted, self._asked = None, False
        if self._result is None:
            self._result = self._advance(value)
            if view.told:
                return view.told.popleft()
            if self._result is None:
                self._asked = True
                assert self._wanted is not None
                return self._wanted
        return self._result

    def _advance(self, value: int | None) -> Result | None:
        """How the instruction ends; None where it waits for `_wanted`."""
        view = self._view
        if not self._begun:
            ended = self._take_up()
            if ended is not None:
                return ended
        if self._steps is not None:
            try:
                self._wanted = self._steps.send(value)
            except StopIteration as stop:
                return self._finish(stop.value)
            except Again:
                self._steps = None
            except Faulted as faulted:
                return self._faulted(faulted.exit)
            else:
                return None
        view.again()
        return self._attempt()

    def _take_up(self) -> Result | None:
        """Fetch and decode, and find out whether the instruction was prepared; a result where there is none."""
        state, view = self.state, self._view
        self._begun = True
        view.refresh()
        inst = self._inst
        if inst is None:
            try:
                code = view.fetch(self._processor.fetch_address())
            except Faulted as faulted:
                return self._faulted(faulted.exit)
            if not code:
                return EmulationFailure(state.rip, b"", "no memory to fetch from")
            inst = self._inst = decoded(code, state.rip, state.mode)
        self._core.inst = inst
        if not self._processor.careful:
            function = PREPARED.find(inst, self._processor, self.warm)
            if function is not None:
                view.again()
                view.watching = False
                self._steps = function(state, view)
        return None

    def _finish(self, target: int) -> Done:
        """A prepared instruction is done: the state has its places, the rest follows."""
        state, inst = self.state, self._inst
        assert inst is not None
        self._view.commit()
        state.rip = target if inst.mode == 64 else target & 0xFFFF_FFFF
        if state.system_flags & S.RF:
            self._processor.after(self._core, inst, state.system_flags, 0)  # no trap: nothing is watched
        elif state.shadow != state.rip:
            state.shadow = S.NOWHERE - 1
        self.plain = True
        return Done(inst.mnemonic)

    def _attempt(self) -> Result | None:
        """How the instruction ends; None where it wants to know what it has not been told."""
        state, core, view = self.state, self._core, self._view
        assert self._inst is not None
        flags = state.system_flags
        try:
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
