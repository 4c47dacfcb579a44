"""What an exit costs: dispatching one, an emulated MMIO access, coalesced writes; the device model alone, and with KVM where it is.

`python -m benchmarks.exits`; processor time of this process, best of several. The rival is the bare loop: KVM_RUN through ctypes and nothing done.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

from tanken.board.clock import Clock
from tanken.board.memory import Memory, Region
from tanken.hypervisor.exits import Mmio, PortIo
from tanken.hypervisor.kvm import abi
from tanken.hypervisor.kvm.system import Kvm, Vm, missing
from tanken.hypervisor.kvm.vcpu import KvmVcpu
from tanken.hypervisor.mmio import Done, Emulation
from tanken.hypervisor.own import OwnVcpu, native_is_possible
from tanken.hypervisor.view import physical_of
from tanken.isa.architecture import Halt
from tanken.isa.x86.inst import Inst, decode
from tanken.isa.x86.system.state import SystemState
from tanken.machine.boot import place
from tanken.machine.console import Memory as Terminal
from tanken.machine.pc import Pc

COUNT = 20_000
CODE = 0x10_0000
APIC = 0xFEE0_0000


def best(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of processor time."""
    found = []
    for _ in range(times):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


class Silent:
    """A vcpu that only gives exits: what is left is the machine's own cost."""

    kind, cr8, executed = "none", 0, 0

    def __init__(self, exit: PortIo | Mmio) -> None:
        self.exit = exit

    def run(self, nanoseconds: int | None = None) -> PortIo | Mmio:
        return self.exit

    def answer(self, value: int | None) -> None: ...

    def can_inject(self) -> bool:
        return False

    def request_window(self, wanted: bool) -> None: ...

    def drain(self) -> tuple[()]:
        return ()


def dispatch() -> None:
    """The main loop from an exit to the next entry."""
    machine = Pc(far=Terminal(), cpu="own")
    for name, exit in (("port read (UART's LSR)", PortIo(0x3FD, 1, False)), ("port write (scratch)", PortIo(0x3FF, 1, True, 1)),
                       ("MMIO read (APIC's TPR)", Mmio(0xFEE0_0080, 4, False)), ("MMIO write (APIC's EOI)", Mmio(0xFEE0_00B0, 4, True))):  # fmt: skip
        machine.vcpu = Silent(exit)  # type: ignore[assignment]  # as much of a vcpu as the loop asks for

        def work() -> None:
            for _ in range(COUNT):
                machine.step()

        print(f"dispatch: {name:26} {best(work) / COUNT * 1e6:7.2f} us (promised: below 10)")


def emulated() -> None:
    """An instruction that touches a device, from the exit to its end."""
    memory = Memory()
    memory.add(Region("ram", 0, 0x20_0000))
    physical = physical_of(memory)
    for name, code in (("mov [rbx], eax", "8903"), ("mov eax, [rbx]", "8b03"), ("add [rbx], eax", "0103")):
        memory.write(CODE, bytes.fromhex(code))
        state = place.long_mode(memory, CODE)
        state.regs[3] = 0x20_0000
        emulation = Emulation(state, physical)
        known = decode(memory.read(CODE, 15), CODE, 64)
        accesses = 2 if name.startswith("add") else 1

        def work(inst: Inst | None = None, state: SystemState = state, emulation: Emulation = emulation) -> None:
            for _ in range(COUNT // 20):
                state.rip = CODE
                emulation.begin(inst)
                while not isinstance(emulation.run(), Done):
                    emulation.answer(1)

        whole, handed = (best(lambda inst=inst: work(inst)) / (COUNT // 20 * accesses) * 1e6 for inst in (None, known))  # type: ignore[misc]
        print(f"emulated: {name:26} {whole:7.2f} us an access, {handed:.2f} us where the vcpu has decoded it (promised: below 40)")


def looping(code: str, native: bool, rbx: int, times: int, apic: int | None = None) -> float:
    """Microseconds of our own vcpu from one exit to the next, in an endless loop of one instruction that touches a device; `apic`: where the APIC-access page is."""
    memory = Memory()
    memory.add(Region("ram", 0, 0x20_0000))
    body = bytes.fromhex(code)
    memory.write(CODE, body + bytes((0xEB, 256 - len(body) - 2)))  # and a jump back
    vcpu = OwnVcpu(memory, Clock(), native)
    vcpu.apic.at = lambda: apic
    state = place.long_mode(memory, CODE)
    state.regs[3] = rbx
    vcpu.set_state(state)

    def work() -> None:
        for _ in range(COUNT // 20):
            vcpu.run()
            vcpu.answer(1)

    work()
    return best(work, times) / (COUNT // 20) * 1e6


def by_our_own_vcpu() -> None:
    """From entry to exit and back, the engine's part with it."""
    for native in (True, False) if native_is_possible() else (False,):
        for name, code in (("mov [rbx], eax", "8903"), ("mov eax, [rbx]", "8b03"), ("add [rbx], eax", "0103")):
            print(f"own vcpu, {'native' if native else 'plain '}: {name:17} {looping(code, native, 0x20_0000, 5):7.2f} us an exit, entry and all")


def local_apic() -> None:
    """A store to the local APIC and a load, by its page and by emulation."""
    for native in (True, False) if native_is_possible() else (False,):
        for name, code in (("EOI store", "8983b0000000"), ("TPR load", "8b8380000000")):
            page, emulated = (looping(code, native, APIC, 9, at) for at in (APIC, None))
            who = "native" if native else "plain "
            print(f"own vcpu, {who}: {name:9} by the APIC-access page {page:6.2f} us an exit, by emulation {emulated:6.2f}: {emulated - page:.2f} less")


def on_kvm() -> None:
    """Real exits of a real vcpu, beside the bare loop."""
    memory = Memory()
    memory.add(Region("ram", 0, 0x20_0000))
    vm = Vm(Kvm(), memory)
    vm.coalesce(0x20_1000, 8, False)
    vcpu = KvmVcpu(vm)
    memory.write(CODE, bytes.fromhex("eeebfd"))  # out dx, al; jmp
    vcpu.set_state(place.long_mode(memory, CODE))
    ioctl = ctypes.CDLL(None).ioctl
    ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)

    def bare() -> None:
        for _ in range(COUNT):
            ioctl(vcpu.descriptor, abi.RUN, 0)

    def ours() -> None:
        for _ in range(COUNT):
            vcpu.run()

    first, second = best(bare), best(ours)
    print(f"KVM: bare KVM_RUN {first / COUNT * 1e6:.1f} us an exit, vcpu.run() {second / COUNT * 1e6:.1f} us: {second / first:.2f} times")
    memory.write(CODE, bytes.fromhex("bb00102000b990010000890bffc975faf4"))  # 400 times mov [rbx], ecx
    vcpu.set_state(place.long_mode(memory, CODE))
    exits = writes = 0
    while True:
        exits += 1
        ended = isinstance(vcpu.run(), Halt)
        writes += len(list(vcpu.drain()))
        if ended:
            break
    print(f"KVM: {writes} coalesced writes, {exits} exits (promised: at most 3)")


def main() -> None:
    dispatch()
    emulated()
    by_our_own_vcpu()
    local_apic()
    if reason := missing():
        print(f"KVM: not measured: {reason}")
    else:
        on_kvm()


if __name__ == "__main__":
    main()
