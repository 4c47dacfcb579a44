"""SSE4.2's comparisons of strings, and SSE4a's bit fields.

Intel SDM volume 2, 4.1 (the immediate of PCMPESTRI and its like); AMD APM volume 4, EXTRQ and INSERTQ.
"""

from __future__ import annotations

from tanken.isa.architecture import Column, Value
from tanken.isa.x86.semantics.execution import UD, Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.vectors import join
from tanken.isa.x86.state import AF, CF, OF, PF, RAX, RCX, RDX, SF, XMM, ZF


def _elements(value: int, order: int) -> list[int]:
    """Bit 0 of the immediate: words; bit 1: signed."""
    size, signed = 1 + (order & 1), bool(order & 2)
    data = value.to_bytes(16, "little")
    return [int.from_bytes(data[at : at + size], "little", signed=signed) for at in range(0, 16, size)]


def string_length(value: int, order: int) -> tuple[int]:
    """Elements before the first that is 0."""
    elements = _elements(value, order)
    return (elements.index(0) if 0 in elements else len(elements),)


def _equal_any(a: list[int], b: list[int], n: int, k: int) -> bool:
    return k < len(b) and b[k] in a


def _ranges(a: list[int], b: list[int], n: int, k: int) -> bool:
    return k < len(b) and any(a[at] <= b[k] <= a[at + 1] for at in range(0, len(a) - 1, 2))


def _equal_each(a: list[int], b: list[int], n: int, k: int) -> bool:
    return a[k] == b[k] if k < len(a) and k < len(b) else k >= len(a) and k >= len(b)


def _equal_ordered(a: list[int], b: list[int], n: int, k: int) -> bool:
    return all(k + at < len(b) and a[at] == b[k + at] for at in range(min(len(a), n - k)))


AGGREGATIONS = (_equal_any, _ranges, _equal_each, _equal_ordered)


def string_compare(a: int, b: int, length_a: int, length_b: int, order: int) -> tuple[int]:
    """One bit an element of the second string."""
    first, second = _elements(a, order), _elements(b, order)
    n = len(first)
    compare = AGGREGATIONS[order >> 2 & 3]
    bits = sum(compare(first[:length_a], second[:length_b], n, k) << k for k in range(n))
    if order & 0x10:
        bits ^= (1 << (length_b if order & 0x20 else n)) - 1
    return (bits,)


def _explicit(x: Execution, number: int, count: int) -> Value:
    """The absolute value of rAX or rDX, at most `count`."""
    value = x.register(number, 64 if x.inst.operand_size == 8 else 32).read()
    size = value.sign().select(-value, value)
    return size.below(count).select(size.trunc(8), x.constant(count, 8))


@semantic("pcmpestri", "pcmpestrm", "pcmpistri", "pcmpistrm")
def compare_strings(x: Execution) -> None:
    machine, order = x.machine, x.immediate(2) or 0
    count, selector = 8 if order & 1 else 16, x.constant(x.immediate(2) or 0, 8)
    a, b = x.location(0).read(), x.location(1).read()
    if x.mnemonic[4] == "e":
        lengths = [_explicit(x, RAX, count), _explicit(x, RDX, count)]
    else:
        lengths = [machine.apply(string_length, (8,), value, selector)[0] for value in (a, b)]
    (bits,) = machine.apply(string_compare, (16,), a, b, *lengths, selector)
    if x.mnemonic[-1] == "i":
        place = bits.clz() ^ 15 if order & 0x40 else bits.ctz()
        x.register(RCX, 32).write(bits.is_zero().select(count, place).zext(32))
    elif order & 0x40:
        _write_first(x, join([bits.bit(n).sext(128 // count) for n in range(count)]))
    else:
        _write_first(x, bits.zext(128))
    for flag, value in ((CF, ~bits.is_zero()), (ZF, lengths[1].below(count)), (SF, lengths[0].below(count)), (OF, bits.bit(0))):
        x.set(flag, value)
    for flag in (AF, PF):
        x.set(flag, x.constant(0, 1))


def _write_first(x: Execution, value: Value) -> None:
    """Into XMM0."""
    x.set(XMM[0], value)
    x.clear_above(0)


def _field(x: Execution, position: Value, length: Value) -> tuple[Value, Value]:
    """(where it begins, a mask of its bits at the low end) as 64 bits; a length of 0 is 64."""
    length = length.zext(64) & 63
    ones = x.constant(-1, 64)
    return position.zext(64) & 63, length.is_zero().select(ones, ones >> (-length & 63))


def _described(x: Execution, number: int, control: Value) -> tuple[Value, Value]:
    """Length and position: two immediates from operand `number` on, else the bytes of `control`."""
    if len(x.operands) > number:
        length, position = (x.constant(x.immediate(n) or 0, 8) for n in (number, number + 1))
    else:
        length, position = control.trunc(8), control.bits(8, 8)
    return _field(x, position, length)


@semantic("extrq")
def extrq(x: Execution) -> None:
    """The upper half, undefined, becomes 0. With immediates the field reg must be 0."""
    if len(x.operands) > 2 and x.inst.columns[Column.REGISTERS] & 7:
        return x.fault(UD, "EXTRQ is 0f 78 /0")
    target = x.location(0)
    control = x.constant(0, 64) if len(x.operands) > 2 else x.location(1).read().trunc(64)
    position, mask = _described(x, 1, control) if len(x.operands) > 2 else _field(x, control.bits(8, 8), control.trunc(8))
    target.write((target.read().trunc(64) >> position & mask).zext(128))


@semantic("insertq")
def insertq(x: Execution) -> None:
    """The upper half, undefined, becomes 0."""
    target, source = x.location(0), x.location(1).read()
    position, mask = _described(x, 2, source.bits(64, 64))
    kept = target.read().trunc(64) & ~(mask << position)
    target.write((kept | (source.trunc(64) & mask) << position).zext(128))
