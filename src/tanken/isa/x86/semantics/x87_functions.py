"""x87: transcendental functions and packed decimal numbers.

Intel SDM volume 1, 8.3, and volume 2. The numbers are worked out by `transcendental`.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86 import ieee754 as F
from tanken.isa.x86 import transcendental as T
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.x87 import STORING
from tanken.isa.x86.semantics.x87_numbers import C1, C2, FUNCTIONS, NAN, control_of, memory_control
from tanken.isa.x86.semantics.x87_stack import Fpu

EXPONENT = 0x7FFF << 64
INDEFINITE = 0xFFFF_C000_0000_0000_0000  # as packed decimal


def _enter() -> None:
    for name, unary in T.UNARY.items():
        FUNCTIONS["x87_" + name] = lambda a, word, f=unary: f(a, control_of(word, True))
    for name, binary in T.BINARY.items():
        FUNCTIONS["x87_" + name] = lambda a, b, word, f=binary: f(a, b, control_of(word, True))
    FUNCTIONS["x87_load_decimal"], FUNCTIONS["x87_store_decimal"] = _load_decimal, _store_decimal
    for name, function in FUNCTIONS.items():
        function.__name__ = function.__qualname__ = name


def _load_decimal(a: int) -> F.Result:
    """18 digits and a sign; a digit above 9 counts what it is."""
    value = sum((a >> 4 * place & 15) * 10**place for place in range(18))
    return F.rounded(a >> 79, value, 0, F.EXTENDED, F.Control())[0], 0


def _store_decimal(a: int, word: int) -> F.Result:
    x = F.take_apart(a, F.EXTENDED)
    if x.kind != "number" or x.exponent > 0:
        return INDEFINITE, F.INVALID
    value, lost = F.shift_rounded(x.significand, -x.exponent, x.sign, memory_control(word).rounding)
    if value >= 10**18:
        return INDEFINITE, F.INVALID
    return sum(value // 10**place % 10 << 4 * place for place in range(18)) | x.sign << 79, lost


_enter()


@semantic("fbld")
def load_decimal(x: Execution) -> None:
    fpu = Fpu(x)
    fpu.push(fpu.apply("x87_load_decimal", 80, x.location(0).read()))
    fpu.end()


@semantic("fbstp")
def store_decimal(x: Execution) -> None:
    """A page fault comes before anything else."""
    fpu = Fpu(x)
    x.location(0).read()
    usable = fpu.need(0)
    result = fpu.apply("x87_store_decimal", 80, fpu.raw(0), fpu.control)
    x.when(~fpu.stopped(), lambda: x.location(0).write(usable.select(result, x.constant(INDEFINITE, 80))))
    fpu.pop(mask=STORING)
    fpu.end()


def _function(x: Execution, fpu: Fpu, name: str, usable: Value) -> Value:
    result = fpu.apply("x87_" + name, 80, fpu.raw(0), fpu.control)
    return usable.select(result, x.constant(NAN, 80))


@semantic("fsin", "fcos", "f2xm1")
def unary(x: Execution) -> None:
    """C2 tells of an argument that is too large."""
    fpu, name = Fpu(x), x.mnemonic
    fpu.write(0, _function(x, fpu, name if name == "f2xm1" else name[1:], fpu.need(0)))
    fpu.end(mask=C1 if name == "f2xm1" else C1 | C2)


@semantic("fptan", "fsincos")
def pair(x: Execution) -> None:
    """Two results, the second pushed: 1, or the cosine. Without room for it both are NaNs."""
    fpu, nan = Fpu(x), x.constant(NAN, 80)
    usable = fpu.need(0)
    first = _function(x, fpu, "tan" if x.mnemonic == "fptan" else "sin", usable)
    before = fpu.flags
    no_number = (first & EXPONENT).equals(EXPONENT)
    second = no_number.select(first, x.constant(T.ONE, 80)) if x.mnemonic == "fptan" else _function(x, fpu, "cos", usable)
    fpu.flags = before
    reduced = ~before.bit(10)
    taken = fpu.is_taken() & usable
    overflow = F.INVALID | 1 << 6 | C1
    fpu.flags = taken.select(overflow, fpu.flags)
    second = (usable & ~taken & ~fpu.flags.bit(0)).select(second, fpu.flags.bit(6).select(nan, first))
    fpu.write(0, taken.select(nan, first))
    pushed = ~fpu.stopped() & (reduced | taken)
    above = fpu.top - 1
    x.when(pushed, lambda: x.machine.set_at("st", above, second))
    fpu.top = pushed.select(above, fpu.top)
    fpu.valid = pushed.select(fpu.valid | x.constant(1, 8) << above.zext(8), fpu.valid)
    fpu.end(mask=C1 | C2)


@semantic("fpatan", "fyl2x", "fyl2xp1")
def binary(x: Execution) -> None:
    """Of ST and ST(1), into ST(1), which then is the top."""
    fpu, name = Fpu(x), {"fpatan": "atan"}.get(x.mnemonic, x.mnemonic[1:])
    usable = fpu.need(0, 1)
    result = fpu.apply("x87_" + name, 80, fpu.raw(0), fpu.raw(1), fpu.control)
    fpu.write(1, usable.select(result, x.constant(NAN, 80)))
    fpu.pop()
    fpu.end()
