"""Flags: how results set them, what conditions read of them, and the instructions that only change flags.

Intel SDM volume 1, 3.4.3.1 and appendix B (conditions). Undefined flags follow one rule: AF is cleared by logic and shifts; every other flag
that the manual leaves undefined keeps its value, unless its family's file says otherwise.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import AF, CF, DF, OF, PF, RAX, SF, SYSTEM_FLAGS, ZF

CONDITIONS = ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
STATUS = ((CF, 0), (PF, 2), (AF, 4), (ZF, 6), (SF, 7))


def result_flags(x: Execution, result: Value) -> None:
    """SF, ZF and PF as the result says."""
    x.set(SF, result.sign())
    x.set(ZF, result.is_zero())
    x.set(PF, ~result.trunc(8).popcount().trunc(1))


def logic_flags(x: Execution, result: Value) -> None:
    """After AND, OR, XOR, TEST: no carry, no overflow."""
    zero = x.constant(0, 1)
    for flag in (CF, OF, AF):
        x.set(flag, zero)
    result_flags(x, result)


def sum_flags(x: Execution, a: Value, b: Value, result: Value) -> None:
    """OF, AF, SF, ZF, PF after a + b (+ carry)."""
    x.set(OF, ((a ^ result) & (b ^ result)).sign())
    x.set(AF, (a ^ b ^ result).bit(4))
    result_flags(x, result)


def difference_flags(x: Execution, a: Value, b: Value, result: Value) -> None:
    """OF, AF, SF, ZF, PF after a - b (- borrow)."""
    x.set(OF, ((a ^ b) & (a ^ result)).sign())
    x.set(AF, (a ^ b ^ result).bit(4))
    result_flags(x, result)


def compare_flags(x: Execution, a: Value, b: Value) -> None:
    """All six flags of a - b."""
    x.set(CF, a.below(b))
    difference_flags(x, a, b, a - b)


def condition(x: Execution, name: str) -> Value:
    """Whether the condition `name` ("e", "nle" as "g", ...) holds: width 1."""
    number = CONDITIONS.index(name)
    get = x.get
    if number < 12:
        flags = (OF, CF, ZF, None, SF, PF)[number >> 1]
        holds = get(flags) if flags is not None else get(CF) | get(ZF)
    elif number < 14:
        holds = get(SF) ^ get(OF)
    else:
        holds = get(ZF) | get(SF) ^ get(OF)
    return ~holds if number & 1 else holds


def packed_status(x: Execution) -> Value:
    """SF ZF 0 AF 0 PF 1 CF as a byte."""
    value = x.constant(2, 8)
    for place, bit in STATUS:
        value = value | x.get(place).zext(8) << bit
    return value


def packed_flags(x: Execution) -> Value:
    """RFLAGS as 64 bits."""
    system = x.get(SYSTEM_FLAGS).zext(64)
    return system | packed_status(x).zext(64) | x.get(DF).zext(64) << 10 | x.get(OF).zext(64) << 11


@semantic("lahf")
def lahf(x: Execution) -> None:
    rax = x.register(RAX, 64)
    rax.write(rax.read() & ~0xFF00 | packed_status(x).zext(64) << 8)


@semantic("sahf")
def sahf(x: Execution) -> None:
    ah = x.register(RAX, 64).read() >> 8
    for place, bit in STATUS:
        x.set(place, ah.bit(bit))


@semantic("cmc")
def cmc(x: Execution) -> None:
    x.set(CF, ~x.get(CF))


@semantic("clc", "stc")
def carry(x: Execution) -> None:
    x.set(CF, x.constant(x.mnemonic == "stc", 1))


@semantic("cld", "std")
def direction(x: Execution) -> None:
    x.set(DF, x.constant(x.mnemonic == "std", 1))


@semantic("salc")
def salc(x: Execution) -> None:
    x.register(RAX, 8).write(x.get(CF).sext(8))
