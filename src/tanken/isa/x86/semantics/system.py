"""What a user program meets of the system: SYSCALL, interrupts, CPUID, the clock, FS and GS bases, and what it may not do.

Intel SDM volume 2; a user program here has privilege level 3 and I/O privilege level 0.
"""

from __future__ import annotations

from tanken.isa.architecture import Debug, Syscall, Value
from tanken.isa.x86.cpuid import answer
from tanken.isa.x86.semantics.execution import GP, UD, Execution
from tanken.isa.x86.semantics.flags import packed_flags
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import AF, CF, ENTROPY, FS_BASE, GPR, GS_BASE, OF, PF, RAX, RBX, RCX, RDX, SF, ZF


@semantic("syscall")
def syscall(x: Execution) -> None:
    x.set(GPR[RCX], x.constant(x.next, 64))
    x.set(GPR[11], packed_flags(x))
    x.leave(Syscall("syscall"))


@semantic("sysenter")
def sysenter(x: Execution) -> None:
    """Linux gives 64-bit programs no entry by it."""
    x.fault(UD, "sysenter")


@semantic("int")
def interrupt(x: Execution) -> None:
    """Only vectors that Linux lets programs call: 80h and 3, 4."""
    vector = x.immediate(0) or 0
    if vector == 0x80:
        return x.leave(Syscall("int80"))
    if vector == 3:
        return x.leave(Debug("int3"))
    x.fault(GP, f"int {vector:#x}: not for privilege level 3", code=vector * 8 + 2)


@semantic("int3", "int1")
def breakpoint_(x: Execution) -> None:
    x.leave(Debug(x.mnemonic))


@semantic("cpuid")
def cpuid(x: Execution) -> None:
    results = x.machine.apply(answer, (32, 32, 32, 32), x.register(RAX, 32).read(), x.register(RCX, 32).read())
    for number, value in zip((RAX, RBX, RCX, RDX), results, strict=True):
        x.register(number, 32).write(value)


def _stamp(x: Execution) -> None:
    now = x.machine.clock()
    x.register(RAX, 32).write(now.bits(0, 32))
    x.register(RDX, 32).write(now.bits(32, 32))


@semantic("rdtsc")
def rdtsc(x: Execution) -> None:
    _stamp(x)


@semantic("rdtscp")
def rdtscp(x: Execution) -> None:
    """Processor 0 of node 0, as Linux writes TSC_AUX."""
    _stamp(x)
    x.register(RCX, 32).write(x.constant(0, 32))


@semantic("rdpid")
def rdpid(x: Execution) -> None:
    x.location(0).write(x.constant(0, x.location(0).width))


def _check_canonical(x: Execution, value: Value) -> None:
    x.fault(GP, "a base that is no canonical address", ~value.equals(value.trunc(48).sext(64)), 0)


@semantic("rdfsbase", "rdgsbase")
def read_base(x: Execution) -> None:
    target = x.location(0)
    target.write(x.get(FS_BASE if x.mnemonic == "rdfsbase" else GS_BASE).trunc(target.width))


@semantic("wrfsbase", "wrgsbase")
def write_base(x: Execution) -> None:
    value = x.location(0).read().zext(64)
    _check_canonical(x, value)
    x.set(FS_BASE if x.mnemonic == "wrfsbase" else GS_BASE, value)


@semantic("hlt", "cli", "sti", "in", "out", "ins", "outs", "rdpmc", "lgdt", "lidt", "lldt", "ltr", "lmsw", "clts", "invd", "wbinvd", "sysret", "sysexit")
def privileged(x: Execution) -> None:
    x.privileged()


@semantic("sgdt", "sidt", "sldt", "str", "smsw")
def hidden(x: Execution) -> None:
    """With UMIP, which Linux turns on where there is, these fault at privilege level 3."""
    x.privileged()


@semantic("rdrand", "rdseed")
def random_number(x: Execution) -> None:
    """Always there. A sequence that the entropy in the state decides, so that a run can be repeated (Steele, Lea, Flood: SplitMix64)."""
    state = x.get(ENTROPY) + 0x9E37_79B9_7F4A_7C15
    x.set(ENTROPY, state)
    mixed = (state ^ state >> 30) * 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB
    target = x.location(0)
    target.write((mixed ^ mixed >> 31).trunc(target.width))
    _carry_only(x, 1)


def _carry_only(x: Execution, carry: int) -> None:
    x.set(CF, x.constant(carry, 1))
    for flag in (OF, SF, ZF, AF, PF):
        x.set(flag, x.constant(0, 1))


@semantic("umonitor")
def umonitor(x: Execution) -> None:
    """Faults as a load of the byte does."""
    x.machine.load(x.location(0).read().zext(64), 1)


@semantic("umwait", "tpause")
def user_wait(x: Execution) -> None:
    """The wait ends at once, before any limit of time."""
    x.fault(GP, "reserved bits of the wait's kind", ~(x.location(0).read() & ~1).is_zero(), 0)
    _carry_only(x, 0)


@semantic("rdpkru", "wrpkru", "monitor", "mwait", "monitorx", "mwaitx", "getsec")
def disabled(x: Execution) -> None:
    """What the operating system would have to turn on first, or keeps to itself."""
    x.fault(UD, x.inst.text() + ": not enabled")
