"""The vcpu on KVM: runs, and turns what the shared page says into exits.

linux/Documentation/virt/kvm/api.rst, "The kvm_run structure". An instruction that KVM's emulator does not know is done by the processor's
semantics here, once, and the guest goes on (`mmio.Emulation`); accesses that it makes to devices become exits as any others.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections import Counter, deque
from collections.abc import Iterator

from tanken.base.errors import InternalError
from tanken.hypervisor import exits as E
from tanken.hypervisor.kvm import abi, registers
from tanken.hypervisor.kvm.kick import Kick
from tanken.hypervisor.kvm.ring import Ring
from tanken.hypervisor.kvm.system import EAGAIN, EINTR, Vm, _ioctl, buffer, call
from tanken.hypervisor.mmio import Done, Emulation, Raised
from tanken.hypervisor.vcpu import UnderWay, wants_answer
from tanken.hypervisor.view import physical_of
from tanken.isa.architecture import Halt
from tanken.isa.x86.system.state import SystemState

PLAIN: dict[int, E.FinalExit] = {
    abi.EXIT_HLT: Halt(), abi.EXIT_IRQ_WINDOW: E.InterruptWindow(), abi.EXIT_SHUTDOWN: E.TripleFault(), abi.EXIT_INTR: E.Kicked(), abi.EXIT_SET_TPR: E.Kicked(),
}  # fmt: skip


class KvmVcpu:
    """One vcpu of `vm`, in the thread that made it. `assisted` counts the instructions that KVM could not do, by mnemonic."""

    kind = "kvm"
    executed = 0

    def __init__(self, vm: Vm, cpuid: list[tuple[int, ...]] | None = None, number: int = 0) -> None:
        self.vm = vm
        self.physical = physical_of(vm.memory)
        self.descriptor = call(vm.descriptor, abi.CREATE_VCPU, number)
        self.page = mmap.mmap(self.descriptor, vm.kvm.run_size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.ring = Ring(self.page)
        self.assisted: Counter[str] = Counter()
        self._more: deque[tuple[E.PortIo, int]] = deque()  # elements of a string access that are still to be told
        self._where = 0  # where in the page the answer goes
        self._size = 0
        self._msr = False
        self._unfinished = False  # an access completes at the next KVM_RUN
        self._awaits = False  # the last exit is a read that nobody has answered yet
        self._held: E.FinalExit | None = None  # an exit that came up when the last one was completed by `flush`
        self._emulation: Emulation | None = None
        if cpuid is None:
            cpuid = vm.kvm.supported_cpuid()
        self.cpuid = cpuid
        packed = len(cpuid).to_bytes(8, "little") + b"".join(abi.CPUID_ENTRY.pack(*row) for row in cpuid)
        call(self.descriptor, abi.SET_CPUID2, buffer(packed), what="KVM_SET_CPUID2")
        self._kick = Kick(self.descriptor)

    # -- running

    def run(self, nanoseconds: int | None = None) -> E.FinalExit:
        """Enter the guest until something happens, or for about that long."""
        exit, self._held = self._held or self._enter(nanoseconds), None
        self._awaits = wants_answer(exit)
        return exit

    def _enter(self, nanoseconds: int | None) -> E.FinalExit:
        if self._more:
            element, self._where = self._more.popleft()
            return element
        if self._emulation is not None:
            ended = self._go_on()
            if ended is not None:
                return ended
        self._kick.after(nanoseconds)
        while True:
            if _ioctl(self.descriptor, abi.RUN, 0) < 0:
                error = ctypes.get_errno()
                if error == EAGAIN:
                    continue
                if error != EINTR:
                    raise InternalError(f"KVM_RUN: error {error}")
                self._kick.taken()
                self._unfinished = False
                return E.Kicked()
            self._unfinished = False
            reason = int.from_bytes(self.page[abi.EXIT_REASON : abi.EXIT_REASON + 4], "little")
            exit = self._read(reason)
            if exit is not None:
                return exit

    def _read(self, reason: int) -> E.FinalExit | None:
        """The exit that the shared page tells of; None to go on."""
        if reason == abi.EXIT_IO:
            return self._io()
        if reason == abi.EXIT_MMIO:
            address, data, length, is_write = abi.MMIO.unpack_from(self.page, abi.UNION)
            self._where, self._size, self._unfinished = abi.UNION + 8, length, True
            return E.Mmio(address, length, bool(is_write), int.from_bytes(data[:length], "little") if is_write else 0)
        if reason in (abi.EXIT_RDMSR, abi.EXIT_WRMSR):
            _, _, index, data = abi.MSR.unpack_from(self.page, abi.UNION)
            self._msr = self._unfinished = True
            return E.MsrRead(index) if reason == abi.EXIT_RDMSR else E.MsrWrite(index, data)
        if reason == abi.EXIT_INTERNAL:
            return self._internal()
        if reason == abi.EXIT_FAIL_ENTRY:
            return E.EntryFailure(int.from_bytes(self.page[abi.UNION : abi.UNION + 8], "little"))
        if reason == abi.EXIT_DEBUG:
            return E.DebugStop(abi.DEBUG.unpack_from(self.page, abi.UNION)[2])
        if reason not in PLAIN:
            raise InternalError(f"KVM exit {reason}", wanted="one that exits.table names")
        return PLAIN[reason]

    def _io(self) -> E.PortIo:
        """The first element; the others follow one by one."""
        direction, size, port, count, offset = abi.IO.unpack_from(self.page, abi.UNION)
        self._size, self._unfinished = size, True
        for at in range(offset, offset + size * count, size):
            data = int.from_bytes(self.page[at : at + size], "little") if direction else 0
            self._more.append((E.PortIo(port, size, bool(direction), data), at))
        exit, self._where = self._more.popleft()
        return exit

    def _internal(self) -> E.FinalExit | None:
        suberror, words = abi.INTERNAL.unpack_from(self.page, abi.UNION)
        if suberror != abi.INTERNAL_EMULATION:
            raise InternalError(f"KVM internal error {suberror}")
        self._emulation = Emulation(self.get_state(), self.physical, self.read_tsc, self._answer_cpuid)
        return self._go_on()

    def _go_on(self) -> E.FinalExit | None:
        """Take the instruction under way further; None once it is done and in KVM's hands again."""
        emulation = self._emulation
        assert emulation is not None
        result = emulation.run()
        if isinstance(result, Done):
            self.assisted[result.mnemonic] += 1
            self._emulation = None
            registers.put(self.descriptor, emulation.state)
            return Halt() if result.halted else None
        if isinstance(result, Raised):
            self.assisted[result.mnemonic] += 1
            self._emulation = None
            self._raise(emulation.state, result)
            return None
        if isinstance(result, E.EmulationFailure):
            self._emulation = None
        return result

    def _raise(self, state: SystemState, raised: Raised) -> None:
        """Have KVM deliver the exception."""
        registers.put(self.descriptor, state)
        events = list(abi.EVENTS.unpack(registers.get_events(self.descriptor)))
        code = raised.fault.code
        events[0:5] = [1, raised.fault.vector, int(code is not None), 0, code or 0]
        call(self.descriptor, abi.SET_EVENTS, buffer(abi.EVENTS.pack(*events)), what="KVM_SET_VCPU_EVENTS")

    def _answer_cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        """CPUID as KVM was told to answer it."""
        for function, index, flags, a, b, c, d in self.cpuid:
            if function == leaf and (index == subleaf or not flags & 1):
                return a, b, c, d
        return 0, 0, 0, 0

    def answer(self, value: int | None) -> None:
        """The value of the read that the last exit was; None for #GP of an MSR access."""
        self._awaits = False
        if self._emulation is not None:
            self._emulation.answer(value)
        elif self._msr:
            self._msr = False
            self.page[abi.MSR_ERROR] = value is None
            self.page[abi.MSR_DATA : abi.MSR_DATA + 8] = (value or 0).to_bytes(8, "little")
        else:
            value = (value or 0) & (1 << 8 * self._size) - 1
            self.page[self._where : self._where + self._size] = value.to_bytes(self._size, "little")

    def flush(self) -> None:
        """Complete the last exit's access without running the guest on; raises UnderWay where elements of a string access are to be told before."""
        if self._more:
            raise UnderWay("a string access is under way", wanted="run() until its elements are told")
        if self._awaits or self._held is not None:
            return
        if self._emulation is not None:
            self._held = self._go_on()
        elif self._unfinished:
            self.page[abi.IMMEDIATE_EXIT] = 1
            done = _ioctl(self.descriptor, abi.RUN, 0)
            self.page[abi.IMMEDIATE_EXIT] = 0
            self._unfinished = False
            if done == 0:  # an access of several pieces goes on
                self._held = self._read(int.from_bytes(self.page[abi.EXIT_REASON : abi.EXIT_REASON + 4], "little"))

    # -- state

    def get_state(self) -> SystemState:
        """A copy of all registers; an access under way is completed."""
        self.flush()
        return registers.get(self.descriptor)

    def set_state(self, state: SystemState) -> None:
        """Put all registers; what is under way is given up."""
        self._awaits = False
        self.flush()
        self._held = None
        registers.put(self.descriptor, state)

    # -- interrupts

    def can_inject(self) -> bool:
        """As of the last exit."""
        return bool(self.page[abi.READY_FOR_INTERRUPT] and self.page[abi.IF_FLAG]) and not self._more and self._emulation is None

    def inject(self, vector: int) -> None:
        """Have the external interrupt delivered at the next entry."""
        call(self.descriptor, abi.INTERRUPT, buffer(vector.to_bytes(4, "little")), what="KVM_INTERRUPT")
        self.page[abi.READY_FOR_INTERRUPT] = 0

    def inject_nmi(self) -> None:
        call(self.descriptor, abi.NMI, what="KVM_NMI")

    def request_window(self, wanted: bool) -> None:
        self.page[abi.REQUEST_WINDOW] = wanted

    @property
    def cr8(self) -> int:
        """The task priority as of the last exit."""
        return self.page[abi.CR8]

    @cr8.setter
    def cr8(self, value: int) -> None:
        self.page[abi.CR8] = value

    def kick(self) -> None:
        self._kick.now()

    def drain(self) -> Iterator[E.Mmio | E.PortIo]:
        """Writes that were made before the last exit, and not told yet."""
        return self.ring.drain()

    def tsc_hz(self) -> int:
        """The frequency of the guest's time stamp counter."""
        return call(self.descriptor, abi.GET_TSC_KHZ, what="KVM_GET_TSC_KHZ") * 1000

    def read_tsc(self) -> int:
        """The guest's time stamp counter."""
        return registers.get_msrs(self.descriptor, (0x10,))[0]

    def close(self) -> None:
        """Unmap and close the vcpu."""
        self._kick.close()
        self.page.close()
        os.close(self.descriptor)
