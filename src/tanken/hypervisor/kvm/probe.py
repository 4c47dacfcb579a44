"""What KVM here can do: whether privileged code runs on the processor itself or in the kernel's instruction emulator.

A hypervisor without VMX or SVM beneath (PVM) emulates ring 0, which is slow and knows few instructions; POPCNT in real mode tells.
"""

from __future__ import annotations

from functools import cache

from tanken.board.memory import Memory, Region
from tanken.hypervisor.kvm.system import Kvm, Vm, missing
from tanken.hypervisor.kvm.vcpu import KvmVcpu
from tanken.isa.architecture import Halt
from tanken.isa.x86.system.state import SystemState

CODE = bytes.fromhex("f30fb8c0f4")  # popcnt ax, ax; hlt


@cache
def runs_natively() -> bool:
    """Whether KVM is here and runs privileged code natively."""
    if missing():
        return False
    memory = Memory()
    memory.add(Region("ram", 0, 0x1_0000))
    memory.write(0x1000, CODE)
    kvm = Kvm()
    vm = Vm(kvm, memory)
    vcpu = KvmVcpu(vm)
    state = SystemState()
    state.set_segment(1, 0, 0, 0xFFFF, state.rights[1])
    state.rip = 0x1000
    vcpu.set_state(state)
    exit = vcpu.run(1_000_000_000)
    native = isinstance(exit, Halt) and not vcpu.assisted
    vcpu.close()
    vm.close()
    kvm.close()
    return native


def cpuid(kvm: Kvm, apic: bool) -> list[tuple[int, ...]]:
    """What KVM supports, with our own local APIC (and x2APIC and TSC deadline) announced, and of KVM's own features only the clock."""
    rows: list[tuple[int, ...]] = []
    for function, index, flags, a, b, c, d in kvm.supported_cpuid():
        if function == 1:
            b &= 0x00FF_FFFF
            c = c | 1 << 21 | 1 << 24 | 1 << 31 if apic else c & ~(1 << 21 | 1 << 24) | 1 << 31
            d = d | 1 << 9 if apic else d & ~(1 << 9)
        elif function in (0xB, 0x1F):
            d = 0
        elif function == 0x4000_0001:
            a &= 1 << 0 | 1 << 3 | 1 << 24
        rows.append((function, index, flags, a, b, c, d))
    return rows


