"""Multiplication and division: MUL IMUL DIV IDIV MULX.

Intel SDM volume 2. SF, ZF, AF and PF after a multiplication, and all six flags after a division, are left as they were.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.semantics.execution import DE, Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import CF, OF, RAX, RDX


def _write_wide(x: Execution, low: Value, high: Value) -> None:
    """AX for bytes, else rDX:rAX."""
    if low.width == 8:
        x.register(RAX, 16).write(low.below_high(high))
    else:
        x.register(RAX, low.width).write(low)
        x.register(RDX, low.width).write(high)


def _read_wide(x: Execution, width: int) -> Value:
    if width == 8:
        return x.register(RAX, 16).read()
    return x.register(RAX, width).read().below_high(x.register(RDX, width).read())


def _set_carry(x: Execution, value: Value) -> None:
    x.set(CF, value)
    x.set(OF, value)


@semantic("mul")
def mul(x: Execution) -> None:
    b = x.location(0).read()
    w = b.width
    product = x.register(RAX, w).read().zext(2 * w) * b.zext(2 * w)
    _write_wide(x, product.bits(0, w), product.bits(w, w))
    _set_carry(x, ~product.bits(w, w).is_zero())


@semantic("imul")
def imul(x: Execution) -> None:
    """One operand: rDX:rAX; two: the first times the second; three: the second times the third."""
    count = len(x.operands)
    b = x.location(count - 1).read()
    w = b.width
    a = x.register(RAX, w).read() if count == 1 else x.location(count - 2).read()
    product = a.sext(2 * w) * b.sext(2 * w)
    low = product.trunc(w)
    if count == 1:
        _write_wide(x, low, product.bits(w, w))
    else:
        x.location(0).write(low)
    _set_carry(x, ~product.equals(low.sext(2 * w)))


@semantic("div")
def div(x: Execution) -> None:
    """A quotient too wide, and a zero divisor, both show in high half >= divisor."""
    b = x.location(0).read()
    w = b.width
    dividend = _read_wide(x, w)
    x.fault(DE, "divide error", ~dividend.bits(w, w).below(b))
    quotient, rest = dividend.divided(b.zext(2 * w), signed=False)
    _write_wide(x, quotient.trunc(w), rest.trunc(w))


@semantic("idiv")
def idiv(x: Execution) -> None:
    """The one quotient that does not even fit into the dividend's width is refused before dividing."""
    b = x.location(0).read()
    w = b.width
    dividend = _read_wide(x, w)
    lowest = dividend.equals(1 << 2 * w - 1) & b.equals(-1)
    x.fault(DE, "divide error", b.is_zero() | lowest)
    quotient, rest = dividend.divided(b.sext(2 * w), signed=True)
    x.fault(DE, "divide error", ~quotient.equals(quotient.trunc(w).sext(2 * w)))
    _write_wide(x, quotient.trunc(w), rest.trunc(w))


@semantic("mulx")
def mulx(x: Execution) -> None:
    """rDX times the third operand; the high half is written last, so it stays where both targets are one register."""
    high, low, b = x.location(0), x.location(1), x.location(2).read()
    w = b.width
    product = x.register(RDX, w).read().zext(2 * w) * b.zext(2 * w)
    low.write(product.bits(0, w))
    high.write(product.bits(w, w))
