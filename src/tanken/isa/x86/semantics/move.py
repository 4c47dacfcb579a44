"""Moves: MOV MOVZX MOVSX LEA XCHG CMOVcc SETcc BSWAP MOVBE XLAT, non-temporal stores, segment registers, and what only hints.

Intel SDM volume 2.
"""

from __future__ import annotations

from tanken.isa.x86.inst import Memory, Register
from tanken.isa.x86.semantics.descriptors import to_segment
from tanken.isa.x86.semantics.execution import GP, UD, Execution
from tanken.isa.x86.semantics.flags import CONDITIONS, condition
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import GPR, RAX, RBX


@semantic("mov", "movnti", "movdiri")
def mov(x: Execution) -> None:
    """Of a segment register into a general one: zero-extended; into one: see `descriptors`."""
    target, source = x.operands[0], x.operands[1]
    if any(isinstance(operand, Register) and operand.file == "seg" and operand.number & 7 > 5 for operand in (target, source)):
        return x.fault(UD, "there are six segment registers")
    if isinstance(target, Register) and target.file == "seg":
        to_segment(x, target.number & 7)
    elif isinstance(source, Register) and source.file == "seg":
        where = x.location(0)
        where.write(x.location(1).read().fit(where.width))
    else:
        x.location(0).write(x.location(1).read())


@semantic("movzx")
def movzx(x: Execution) -> None:
    target = x.location(0)
    target.write(x.location(1).read().zext(target.width))


@semantic("movsx", "movsxd")
def movsx(x: Execution) -> None:
    """MOVSXD without REX.W is a plain move of 32 or 16 bits."""
    target, value = x.location(0), x.location(1).read()
    target.write(value.sext(target.width) if value.width < target.width else value.trunc(target.width))


@semantic("lea")
def lea(x: Execution) -> None:
    operand, target = x.operands[1], x.location(0)
    assert isinstance(operand, Memory)
    target.write(x.offset(operand).trunc(target.width))


@semantic("xchg")
def xchg(x: Execution) -> None:
    first, second = x.location(0), x.location(1)
    a, b = first.read(), second.read()
    first.write(b)  # memory, where there is one, before the register
    second.write(a)


@semantic(*("cmov" + name for name in CONDITIONS))
def cmov(x: Execution) -> None:
    """The source is read, and a 32-bit target's upper half cleared, in either case."""
    target, value = x.location(0), x.location(1).read()
    target.write(condition(x, x.mnemonic[4:]).select(value, target.read()))


@semantic(*("set" + name for name in CONDITIONS))
def set_(x: Execution) -> None:
    x.location(0).write(condition(x, x.mnemonic[3:]).zext(8))


@semantic("bswap")
def bswap(x: Execution) -> None:
    """Of 16 bits the manual leaves the result undefined; processors give 0."""
    target = x.location(0)
    target.write(target.read().bswap() if target.width > 16 else x.constant(0, 16))


@semantic("movbe")
def movbe(x: Execution) -> None:
    x.location(0).write(x.location(1).read().bswap())


@semantic("xlat")
def xlat(x: Execution) -> None:
    operand = x.operands[0]
    assert isinstance(operand, Memory)
    al = x.register(RAX, 8)
    size = x.inst.address_size * 8
    offset = x.get(GPR[RBX]) + al.read().zext(64)
    segment = x.address(operand) - x.offset(operand)
    al.write(x.machine.load(segment + offset.trunc(size).zext(64), 1))


@semantic("movdir64b")
def movdir64b(x: Execution) -> None:
    """64 bytes to the address in the first operand, a multiple of 64 in ES's segment."""
    target, source = x.location(0).read().zext(64), x.operands[1]
    assert isinstance(source, Memory)
    x.fault(GP, "MOVDIR64B wants an address that is a multiple of 64", ~(target & 63).is_zero(), 0)
    start = x.address(source)
    halves = [x.machine.load(start + at, 16) for at in range(0, 64, 16)]
    for number, value in enumerate(halves):
        x.machine.store(target + number * 16, value)


@semantic("clzero")
def clzero(x: Execution) -> None:
    """The line of 64 bytes that rAX points into."""
    start = x.linear(x.register(RAX, x.inst.address_size * 8).read().zext(64))
    for at in range(0, 64, 16):
        x.machine.store((start & -64) + at, x.constant(0, 128))


@semantic("lfence", "mfence", "sfence")
def fence(x: Execution) -> None:
    x.no_operand_prefix()


@semantic("clflush", "clflushopt", "clwb")
def flush(x: Execution) -> None:
    """Faults as a load does."""
    x.location(0).read()


@semantic(
    "nop", "pause", "endbr64", "endbr32", "prefetch", "prefetchw", "prefetchwt1", "prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2",
    "prefetchit0", "prefetchit1", "cldemote", "serialize",
    "bndcl", "bndcn", "bndcu", "bndldx", "bndmk", "bndmov", "bndstx", "rdsspq", "rdsspd", "incsspd", "incsspq",
)  # fmt: skip
def nothing(x: Execution) -> None:
    """Hints, fences, and what does nothing where its feature (shadow stacks) is off."""
