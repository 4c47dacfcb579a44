"""What 64-bit mode has no more: decimal adjustment, BOUND, INTO, PUSHA, POPA, ARPL.

Intel SDM volume 2. Flags that the manual leaves undefined stay as they were.
"""

from __future__ import annotations

from tanken.isa.architecture import Fault
from tanken.isa.x86.semantics.execution import DE, Execution
from tanken.isa.x86.semantics.flags import result_flags
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import AF, CF, OF, RAX, RSP, ZF

BR, OVERFLOW = 5, 4


@semantic("aaa", "aas")
def ascii_adjust(x: Execution) -> None:
    """One digit in AL, what it carries in AH."""
    ax = x.register(RAX, 16)
    value = ax.read()
    adjust = x.constant(9, 4).below(value.trunc(4)) | x.get(AF)
    changed = value + 0x106 if x.mnemonic == "aaa" else value - 0x106
    ax.write(adjust.select(changed, value) & 0xFF0F)
    x.set(AF, adjust)
    x.set(CF, adjust)


@semantic("daa", "das")
def decimal_adjust(x: Execution) -> None:
    """Two digits in AL; DAS keeps the borrow of its first step, DAA forgets the carry where the upper digit fits."""
    al, subtract = x.register(RAX, 8), x.mnemonic == "das"
    old, carry = al.read(), x.get(CF)
    low = x.constant(9, 4).below(old.trunc(4)) | x.get(AF)
    high = x.constant(0x99, 8).below(old) | carry
    step = low.select(6, x.constant(0, 8)) + high.select(0x60, x.constant(0, 8))
    result = old - step if subtract else old + step
    al.write(result)
    x.set(AF, low)
    x.set(CF, high | low & old.below(6) if subtract else high)
    result_flags(x, result)


@semantic("aam")
def aam(x: Execution) -> None:
    base = x.immediate(0) or 0
    if base == 0:
        return x.fault(DE, "AAM by 0")
    quotient, rest = x.register(RAX, 8).read().divided(x.constant(base, 8), signed=False)
    x.register(RAX, 16).write(rest.below_high(quotient))
    result_flags(x, rest)


@semantic("aad")
def aad(x: Execution) -> None:
    ax = x.register(RAX, 16).read()
    result = ax.trunc(8) + ax.bits(8, 8) * (x.immediate(0) or 0)
    x.register(RAX, 16).write(result.zext(16))
    result_flags(x, result)


@semantic("bound")
def bound(x: Execution) -> None:
    index = x.location(0).read()
    w = index.width
    limits = x.location(1, 2 * w).read()
    outside = index.less(limits.trunc(w)) | limits.bits(w, w).less(index)
    x.fault(BR, "BOUND: the index is outside", outside)


@semantic("into")
def into(x: Execution) -> None:
    """A trap: it is met behind the instruction."""
    x.when(x.get(OF), lambda: x.leave(Fault(OVERFLOW, None, x.inst.address, "INTO with the overflow flag set")))


@semantic("pusha")
def pusha(x: Execution) -> None:
    """Of rSP the value before the first push."""
    values = [x.register(number, x.width).read() for number in range(8)]
    for value in values:
        x.push(value)


@semantic("popa")
def popa(x: Execution) -> None:
    """What stands in the place of rSP is thrown away."""
    for number in reversed(range(8)):
        value = x.pop(x.width)
        if number != RSP:
            x.register(number, x.width).write(value)


@semantic("arpl")
def arpl(x: Execution) -> None:
    target, wanted = x.location(0), x.location(1).read() & 3
    selector = target.read()
    lower = (selector & 3).below(wanted)
    target.write(lower.select(selector & ~3 | wanted, selector))
    x.set(ZF, lower)
