"""Machines with two processors in lockstep: which two, and what makes them equal (`hypervisor.lockstep` says how they are compared).

On KVM the guest is told the CPUID of our own processor, without the leaves of KVM's own interface, which KVM would serve itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.base.errors import UnsupportedError, UsageError
from tanken.board.clock import Clock
from tanken.board.memory import Memory
from tanken.hypervisor.lockstep import Pair, twin_of
from tanken.hypervisor.own import OwnVcpu, native_is_possible
from tanken.machine.pc import Pc

PAIRS = {"kvm,native": False, "kvm,reference": False, "native,reference": True}  # whether both count instructions
HYPERVISOR_LEAVES = 4  # the top digit of their numbers
LEAVES = (*((leaf, 0) for leaf in (0, 1, 2, 5, 6)), (7, 0), (7, 1), *((0xD, n) for n in range(3)), (0x15, 0), (0x16, 0), *((0x8000_0000 + n, 0) for n in range(9)))
INDEXED = (7, 0xD)


def automatic() -> str:
    """KVM where there is one, beside our own processor at its fastest here; else our native engine beside the reference."""
    from tanken.hypervisor.kvm.system import missing

    fastest = "native" if native_is_possible() else "reference"
    if missing() is None:
        return f"kvm,{fastest}"
    if fastest == "reference":
        raise UnsupportedError("neither KVM nor native code: our reference would be compared with itself", wanted="a host with one of them")
    return "native,reference"


def clock_of(pair: str) -> str:
    """The clock that a machine with this pair needs."""
    if pair not in PAIRS:
        raise UsageError(f"the processors {pair!r}", wanted=" or ".join(PAIRS), hint="--cpus")
    return "instructions" if PAIRS[pair] else "real"


def maker(pair: str, most: int | None = None, tell: Callable[[int, int], None] = lambda exits, compared: None) -> Callable[[Pc], Pair]:
    """What `Pc` makes its processor with; `most`: exits after which the machine is stopped, `tell` hears of each comparison: exits, comparisons."""
    exact, names = PAIRS[pair], pair.split(",")

    def make(machine: Pc) -> Pair:
        twin = twin_of(machine.memory)
        other = Clock(machine.clock.mode) if exact else machine.clock
        # the native engine tells accesses to the local APIC by its page, the reference emulates them: so both ways are compared
        first: Any = _kvm(machine) if names[0] == "kvm" else _own(machine.memory, machine.clock, names[0])
        second = _own(twin, other, names[1])
        for vcpu in (first, second):
            if getattr(vcpu, "label", "") == "native":
                vcpu.apic.at = lambda: machine.lapic_at
        made = Pair(first, second, (machine.memory, twin), (machine.clock, other), exact, most, tell)
        made.finished = machine.stop
        return made

    return make


def _own(memory: Memory, clock: Clock, name: str) -> OwnVcpu:
    if name == "native" and not native_is_possible():
        raise UnsupportedError("no native code here", wanted="x86-64 Linux with Numba and llvmlite", hint="--cpus kvm,reference")
    vcpu = OwnVcpu(memory, clock, name == "native")
    answer = vcpu.core.cpuid
    vcpu.core.cpuid = lambda leaf, subleaf: (0, 0, 0, 0) if leaf >> 28 == HYPERVISOR_LEAVES else answer(leaf, subleaf)
    return vcpu


def _kvm(machine: Pc) -> Any:
    """The vcpu on KVM, which says of itself what our own would."""
    from tanken.hypervisor.kvm.system import Kvm, Vm
    from tanken.hypervisor.kvm.vcpu import KvmVcpu

    kvm = Kvm()
    vm = Vm(kvm, machine.memory)
    vm.filter_msrs([0x1B, 0x6E0])
    told = OwnVcpu(Memory(), machine.clock)
    rows: list[tuple[int, ...]] = [(leaf, index, int(leaf in INDEXED), *told.core.cpuid(leaf, index)) for leaf, index in LEAVES]
    return KvmVcpu(vm, rows)
