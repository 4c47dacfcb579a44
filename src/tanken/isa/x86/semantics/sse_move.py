"""SSE and MMX moves: whole, scalar, half; interleaving and shuffling of floats; masks; MXCSR.

Intel SDM volume 2.
"""

from __future__ import annotations

from functools import partial

from tanken.isa.architecture import Value
from tanken.isa.x86.semantics.execution import GP, Execution, MemoryOperand
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.vectors import aligned, enter_mmx, join, split, uses_mmx, vector
from tanken.isa.x86.state import MXCSR, RDI


@semantic("movaps", "movapd", "movdqa", "movntps", "movntpd", "movntdq", "movntdqa")
def move_aligned(x: Execution) -> None:
    target = aligned(x, 0)
    target.write(aligned(x, 1).read())


@semantic("movups", "movupd", "movdqu", "lddqu", "movntq")
def move_unaligned(x: Execution) -> None:
    if uses_mmx(x):
        enter_mmx(x)
    x.location(0).write(x.location(1, x.location(0).width if x.mnemonic == "lddqu" else 0).read())


@semantic("movss", "movsd", "movntss", "movntsd")
def move_scalar(x: Execution) -> None:
    """From memory the rest of the register is cleared, from a register it stays."""
    width = 32 if x.mnemonic.endswith("ss") else 64
    value = x.location(1, width).read()
    x.location(0, 0 if x.is_memory(1) else width).write(value.zext(128) if x.is_memory(1) else value)


@semantic("movd", "movq")
def move_integer(x: Execution) -> None:
    """Between a vector register and anything else: zero-extended into the register, its low bits out of it."""
    if uses_mmx(x):
        enter_mmx(x)
    target = x.location(0)
    other = x.location(1)
    width = 32 if x.mnemonic == "movd" and min(target.width, other.width) == 32 else 64
    target.write(other.read().trunc(width).fit(target.width))


@semantic("movlps", "movlpd")
def move_low(x: Execution) -> None:
    x.location(0, 64).write(x.location(1, 64).read())


@semantic("movhps", "movhpd")
def move_high(x: Execution) -> None:
    if x.is_memory(0):
        x.location(0, 64).write(x.location(1).read().bits(64, 64))
    else:
        target = x.location(0)
        target.write(target.read().trunc(64).below_high(x.location(1, 64).read()))


@semantic("movlhps")
def movlhps(x: Execution) -> None:
    target = x.location(0, 128)
    target.write(target.read().trunc(64).below_high(x.location(1, 64).read()))


@semantic("movhlps")
def movhlps(x: Execution) -> None:
    target = x.location(0, 128)
    target.write(x.location(1, 128).read().bits(64, 64).below_high(target.read().bits(64, 64)))


@semantic("movq2dq")
def movq2dq(x: Execution) -> None:
    enter_mmx(x)
    x.location(0, 128).write(x.location(1).read().zext(128))


@semantic("movdq2q")
def movdq2q(x: Execution) -> None:
    enter_mmx(x)
    x.location(0).write(x.location(1, 64).read())


@semantic("movmskps", "movmskpd")
def move_signs(x: Execution) -> None:
    signs = [lane.sign() for lane in split(x.location(1).read(), 32 if x.mnemonic == "movmskps" else 64)]
    x.location(0).write(join(signs).zext(x.location(0).width))


@semantic("pmovmskb")
def pmovmskb(x: Execution) -> None:
    """Eight sign bits at a time: one multiplication brings those of a 64-bit half together in its top byte."""
    if uses_mmx(x):
        enter_mmx(x)
    halves = split(x.location(1).read(), 64)
    masks = [((half & 0x8080808080808080) * 0x0002040810204081 >> 56).trunc(8) for half in halves]
    x.location(0).write(join(masks).zext(x.location(0).width))


def _store_bytes(x: Execution, mask: Value, data: Value) -> None:
    start = x.linear(x.register(RDI, x.inst.address_size * 8).read().zext(64))
    places = [MemoryOperand(x.machine, start + number, 8) for number in range(mask.width // 8)]
    chosen = [byte.sign() for byte in split(mask, 8)]
    for condition, place in zip(chosen, places, strict=True):  # a fault comes before the first change
        x.when(condition, partial(_store_again, place))
    for condition, place, byte in zip(chosen, places, split(data, 8), strict=True):
        x.when(condition, partial(place.write, byte))


def _store_again(place: MemoryOperand) -> None:
    place.write(place.read())


@semantic("maskmovdqu", "maskmovq")
def masked_store(x: Execution) -> None:
    if uses_mmx(x):
        enter_mmx(x)
    _store_bytes(x, x.location(1).read(), x.location(0).read())


@semantic("unpcklps", "unpckhps", "unpcklpd", "unpckhpd")
def unpack(x: Execution) -> None:
    lane = 32 if x.mnemonic.endswith("ps") else 64
    target = x.location(0, 128)
    a, b = split(target.read(), lane), split(vector(x, 1).read(), lane)
    half = len(a) // 2
    first = half if x.mnemonic[5] == "h" else 0
    target.write(join([value for pair in zip(a[first : first + half], b[first : first + half], strict=True) for value in pair]))


@semantic("shufps")
def shufps(x: Execution) -> None:
    target, order = x.location(0, 128), x.immediate(2) or 0
    a, b = split(target.read(), 32), split(vector(x, 1).read(), 32)
    target.write(join([a[order & 3], a[order >> 2 & 3], b[order >> 4 & 3], b[order >> 6 & 3]]))


@semantic("shufpd")
def shufpd(x: Execution) -> None:
    target, order = x.location(0, 128), x.immediate(2) or 0
    a, b = split(target.read(), 64), split(vector(x, 1).read(), 64)
    target.write(join([a[order & 1], b[order >> 1 & 1]]))


@semantic("movsldup", "movshdup")
def duplicate_singles(x: Execution) -> None:
    lanes = split(vector(x, 1).read(), 32)
    odd = x.mnemonic == "movshdup"
    x.location(0, 128).write(join([lanes[odd], lanes[odd], lanes[2 + odd], lanes[2 + odd]]))


@semantic("movddup")
def movddup(x: Execution) -> None:
    low = x.location(1, 64).read()
    x.location(0, 128).write(low.below_high(low))


@semantic("andps", "andpd", "andnps", "andnpd", "orps", "orpd", "xorps", "xorpd")
def float_logic(x: Execution) -> None:
    target, b = x.location(0, 128), vector(x, 1).read()
    a = target.read()
    name = x.mnemonic[:-2]
    target.write({"and": lambda: a & b, "andn": lambda: ~a & b, "or": lambda: a | b, "xor": lambda: a ^ b}[name]())


@semantic("ldmxcsr")
def ldmxcsr(x: Execution) -> None:
    x.no_operand_prefix()
    value = x.location(0).read()
    x.fault(GP, "reserved bits of MXCSR", ~(value & 0xFFFF_0000).is_zero(), 0)
    x.set(MXCSR, value)


@semantic("stmxcsr")
def stmxcsr(x: Execution) -> None:
    x.no_operand_prefix()
    x.location(0).write(x.get(MXCSR))
