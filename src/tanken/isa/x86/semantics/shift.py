"""Shifts and rotations: SHL SHR SAR ROL ROR RCL RCR SHLD SHRD, and BMI2's SHLX SHRX SARX RORX.

Intel SDM volume 2. The count is taken modulo 32 (64 for 64-bit operands); a count of 0 changes no flag. OF, defined for counts of 1 only,
is computed by the same rule for all; AF is cleared.
"""

from __future__ import annotations

from tanken.isa.architecture import Place, Value
from tanken.isa.x86.semantics.execution import Execution, Location
from tanken.isa.x86.semantics.flags import result_flags
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import AF, CF, OF, PF, SF, ZF

RESULT = (SF, ZF, PF)


def _count(x: Execution, number: int, width: int) -> Value:
    """The masked count as 64 bits."""
    return x.location(number).read().fit(64) & (63 if width == 64 else 31)


def _flags_unless_zero(x: Execution, count: Value, places: tuple[Place, ...], old: dict[Place, Value]) -> None:
    """Put the flags back that were just set, where the count is 0."""
    none = count.is_zero()
    for place in places:
        x.set(place, none.select(old[place], x.get(place)))


def _shift(x: Execution, kind: str) -> tuple[Value, Value, Value, Value]:
    """(value before, result, bit shifted out last, count); worked out in 64 bits, for the count may exceed the width."""
    target = x.location(0)
    a = target.read()
    count = _count(x, 1, a.width)
    before = count - 1 & 63
    if kind == "shl":
        wide = a.zext(64)
        result, last = (wide << count).trunc(a.width), (wide << before).bit(a.width - 1)
    elif kind == "shr":
        wide = a.zext(64)
        result, last = (wide >> count).trunc(a.width), (wide >> before).bit(0)
    else:
        wide = a.sext(64)
        result, last = wide.ashr(count).trunc(a.width), wide.ashr(before).bit(0)
    target.write(result)
    return a, result, last, count


@semantic("shl", "shr", "sar")
def shift(x: Execution) -> None:
    places = (CF, OF, AF, *RESULT)
    old = {place: x.get(place) for place in places}
    kind = x.mnemonic
    a, result, last, count = _shift(x, kind)
    x.set(CF, last)
    x.set(OF, result.sign() ^ last if kind == "shl" else a.sign() if kind == "shr" else x.constant(0, 1))
    x.set(AF, x.constant(0, 1))
    result_flags(x, result)
    _flags_unless_zero(x, count, places, old)


@semantic("rol", "ror")
def rotate(x: Execution) -> None:
    old = {place: x.get(place) for place in (CF, OF)}
    target = x.location(0)
    a = target.read()
    count = _count(x, 1, a.width)
    turn = count.trunc(a.width)
    if x.mnemonic == "rol":
        result = a.rotl(turn)
        carry = result.bit(0)
        overflow = result.sign() ^ carry
    else:
        result = a.rotr(turn)
        carry = result.sign()
        overflow = carry ^ result.bit(a.width - 2)
    target.write(result)
    x.set(CF, carry)
    x.set(OF, overflow)
    _flags_unless_zero(x, count, (CF, OF), old)


@semantic("rcl", "rcr")
def rotate_through_carry(x: Execution) -> None:
    """CF above the operand makes one value of width + 1 bits, which turns."""
    old = {OF: x.get(OF)}
    target = x.location(0)
    a = target.read()
    count = _count(x, 1, a.width)
    ring = a.below_high(x.get(CF))
    turn = count.fit(ring.width)
    left = x.mnemonic == "rcl"
    turned = ring.rotl(turn) if left else ring.rotr(turn)
    result, carry = turned.trunc(a.width), turned.sign()
    target.write(result)
    x.set(CF, carry)
    x.set(OF, result.sign() ^ (carry if left else result.bit(a.width - 2)))
    _flags_unless_zero(x, count, (OF,), old)


@semantic("shld", "shrd")
def double_shift(x: Execution) -> None:
    """16-bit operands with counts above 16, which the manual leaves undefined, go on with the first operand's bits."""
    places = (CF, OF, AF, *RESULT)
    old = {place: x.get(place) for place in places}
    target, b = x.location(0), x.location(1).read()
    a, w = target.read(), target.width
    count = _count(x, 2, w)
    if x.mnemonic == "shld":
        wide = a.below_high(b).below_high(a)  # a above b above a
        turn = count.fit(wide.width)
        result, carry = (wide << turn).bits(2 * w, w), (wide << (turn - 1 & 63)).sign()
    else:
        wide = a.below_high(b).below_high(a)
        turn = count.fit(wide.width)
        result, carry = (wide >> turn).trunc(w), (wide >> (turn - 1 & 63)).bit(0)
    target.write(result)
    x.set(CF, carry)
    x.set(OF, result.sign() ^ a.sign())
    x.set(AF, x.constant(0, 1))
    result_flags(x, result)
    _flags_unless_zero(x, count, places, old)


def _plain(x: Execution) -> tuple[Location, Value, Value]:
    target = x.location(0)
    value = x.location(1).read()
    return target, value, x.location(2).read().fit(value.width) & value.width - 1


@semantic("shlx")
def shlx(x: Execution) -> None:
    target, value, count = _plain(x)
    target.write(value << count)


@semantic("shrx")
def shrx(x: Execution) -> None:
    target, value, count = _plain(x)
    target.write(value >> count)


@semantic("sarx")
def sarx(x: Execution) -> None:
    target, value, count = _plain(x)
    target.write(value.ashr(count))


@semantic("rorx")
def rorx(x: Execution) -> None:
    target, value, count = _plain(x)
    target.write(value.rotr(count))
