"""What a program asks of the processor itself: model-specific registers, the time, who it is; and waiting for an interrupt.

Intel SDM volume 2 by instruction, volume 4 (MSRs), volume 3, 17.17 (time stamp).
"""

from __future__ import annotations

from tanken.isa.architecture import Halt, Value
from tanken.isa.x86.semantics.execution import GP
from tanken.isa.x86.state import RAX, RBX, RCX, RDX
from tanken.isa.x86.system import control as C
from tanken.isa.x86.system.execution import SystemExecution, system
from tanken.isa.x86.system.state import CPL, CR4, TSC_AUX, TSC_OFFSET


def _pair(x: SystemExecution) -> Value:
    return x.register(RAX, 32).read().below_high(x.register(RDX, 32).read())


@system("rdmsr")
def rdmsr(x: SystemExecution) -> None:
    x.privileged()
    value = x.ask(C.read_msr, x.register(RCX, 32).read())
    x.register(RAX, 32).write(x.constant(value, 32))
    x.register(RDX, 32).write(x.constant(value >> 32, 32))


@system("wrmsr")
def wrmsr(x: SystemExecution) -> None:
    x.privileged()
    x.ask(C.write_msr, x.register(RCX, 32).read(), _pair(x))


@system("rdtsc", "rdtscp")
def time_stamp(x: SystemExecution) -> None:
    x.fault(GP, "the time stamp is for privilege level 0", x.get(CR4).bit(2) & ~x.get(CPL).is_zero(), 0)
    now = x.machine.clock() + x.get(TSC_OFFSET)
    x.register(RAX, 32).write(now.bits(0, 32))
    x.register(RDX, 32).write(now.bits(32, 32))
    if x.mnemonic == "rdtscp":
        x.register(RCX, 32).write(x.get(TSC_AUX))


@system("rdpid")
def rdpid(x: SystemExecution) -> None:
    target = x.location(0)
    target.write(x.get(TSC_AUX).zext(target.width))


@system("rdpmc")
def rdpmc(x: SystemExecution) -> None:
    x.fault(GP, "there are no performance counters", code=0)


@system("cpuid")
def cpuid(x: SystemExecution) -> None:
    words = x.ask(lambda core, leaf, subleaf: core.cpuid(leaf, subleaf), x.register(RAX, 32).read(), x.register(RCX, 32).read())
    for number, value in zip((RAX, RBX, RCX, RDX), words, strict=True):
        x.register(number, 32).write(x.constant(value, 32))


@system("hlt")
def hlt(x: SystemExecution) -> None:
    x.privileged()
    x.leave(Halt())


@system("monitor")
def monitor(x: SystemExecution) -> None:
    """The line is looked at as a load does; nothing watches it."""
    x.privileged()
    x.fault(GP, "extensions that MONITOR has not", ~x.register(RCX, 32).read().is_zero(), 0)
    x.machine.load(x.linear(x.register(RAX, x.inst.address_size * 8).read().zext(64)), 1)


@system("mwait")
def mwait(x: SystemExecution) -> None:
    """Waits as HLT does: for an interrupt."""
    x.privileged()
    x.fault(GP, "extensions that MWAIT has not", ~(x.register(RCX, 32).read() & ~1).is_zero(), 0)
    x.leave(Halt())
