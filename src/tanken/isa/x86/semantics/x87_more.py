"""x87: remainders, FXTRACT, and the environment in memory (FNSTENV FLDENV FNSAVE FRSTOR).

Intel SDM volume 1, 8.1.10, and volume 2.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86 import ieee754 as F
from tanken.isa.x86.inst import Memory
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.x87_numbers import C0, C1, C2, C3, FUNCTIONS, NAN, STACK_FAULT
from tanken.isa.x86.semantics.x87_stack import Fpu
from tanken.isa.x86.semantics.x87_state import _summary, reset, status_word
from tanken.isa.x86.state import FPU_CONTROL, FPU_CS, FPU_DP, FPU_DS, FPU_IP, FPU_OPCODE, FPU_STATUS, FPU_TOP, FPU_VALID

FOUND = 1 << 15  # beside the exceptions: there is a quotient, whose digits go to C0, C3 and C1


def _remainder(a: int, b: int, word: int, nearest: bool) -> tuple[int, int]:
    """What is left of `a`, exactly, with exceptions and condition bits: C2 where the work is not done, else the quotient's low digits."""
    x, y = (F.take_apart(bits, F.EXTENDED) for bits in (a, b))
    if x.kind in ("nan", "bad") or y.kind in ("nan", "bad"):
        return F.add(a, b, F.EXTENDED, F.Control(larger_nan=True))
    if x.kind == "inf" or (y.kind == "number" and not y.significand):
        return NAN, F.INVALID
    flags = F.DENORMAL if x.denormal or y.denormal else 0
    control = F.Control(wrap_underflow=not word & 16)
    if y.kind == "inf" or not x.significand:
        bits, more = F.rounded(x.sign, x.significand, x.exponent, F.EXTENDED, control)
        return bits, flags | more | FOUND
    distance = x.exponent + x.significand.bit_length() - y.exponent - y.significand.bit_length()
    exponent = min(x.exponent, y.exponent)
    value, unit = x.significand << x.exponent - exponent, y.significand << y.exponent - exponent
    if distance >= 64:
        rest = value % (unit << distance - (32 + distance % 32))
        bits, more = F.rounded(x.sign, rest, exponent, F.EXTENDED, control)
        return bits, flags | more | C2 | FOUND
    quotient, rest = divmod(value, unit)
    if nearest and (2 * rest > unit or (2 * rest == unit and quotient & 1)):
        quotient, rest = quotient + 1, rest - unit
    bits, more = F.rounded(x.sign ^ (rest < 0), abs(rest), exponent, F.EXTENDED, control)
    digits = (quotient >> 2 & 1) * C0 | (quotient & 1) * C1 | (quotient >> 1 & 1) * C3
    return bits, flags | more | digits | FOUND


def _prem(a: int, b: int, word: int) -> tuple[int, int]:
    return _remainder(a, b, word, False)


def _prem1(a: int, b: int, word: int) -> tuple[int, int]:
    return _remainder(a, b, word, True)


def _extract(a: int) -> tuple[int, int, int]:
    """(exponent, significand, exceptions)."""
    x = F.take_apart(a, F.EXTENDED)
    if x.kind == "bad":
        return NAN, NAN, F.INVALID
    if x.kind == "nan":
        quiet = a | F.EXTENDED.quiet
        return quiet, quiet, F.INVALID if x.signalling else 0
    if x.kind == "inf":
        return F.EXTENDED.infinity(0), a, 0
    if not x.significand:
        return F.EXTENDED.infinity(1), a, F.ZERO_DIVIDE
    digits = x.significand.bit_length()
    exponent, _ = F.from_integer(x.exponent + digits - 1, F.EXTENDED, F.Control())
    significand, _ = F.rounded(x.sign, x.significand, 1 - digits, F.EXTENDED, F.Control())
    return exponent, significand, F.DENORMAL if x.denormal else 0


def _tag(a: int) -> tuple[int]:
    """0 a number, 1 zero, 2 anything else."""
    x = F.take_apart(a, F.EXTENDED)
    return (2 if x.kind != "number" or x.denormal else 0 if x.significand else 1,)


for _function in (_prem, _prem1, _extract, _tag):
    FUNCTIONS["x87" + _function.__name__] = _function


@semantic("fprem", "fprem1")
def remainder(x: Execution) -> None:
    fpu = Fpu(x)
    usable = fpu.need(0, 1)
    result = fpu.apply("x87_" + x.mnemonic[1:], 80, fpu.raw(0), fpu.raw(1), fpu.control)
    fpu.write(0, usable.select(result, x.constant(NAN, 80)))
    found = fpu.flags.bit(15) & ~fpu.stopped()
    fpu.flags = fpu.flags & ~FOUND
    fpu.end(found.select(0, fpu.status & (C0 | C3)), C0 | C1 | C2 | C3)


@semantic("fxtract")
def extract(x: Execution) -> None:
    fpu = Fpu(x)
    usable, nan = fpu.need(0), x.constant(NAN, 80)
    exponent, significand, flags = x.machine.apply(FUNCTIONS["x87_extract"], (80, 80, 16), fpu.raw(0))
    fpu.flags = fpu.flags.bit(6).select(fpu.flags, flags)
    taken = fpu.is_taken() & usable
    fpu.flags = taken.select(F.INVALID | STACK_FAULT | C1, fpu.flags)
    fpu.write(0, (usable & ~taken).select(exponent, nan))
    fpu.push((usable & ~taken).select(significand, nan))
    fpu.end()


def _area(x: Execution) -> tuple[Value, int]:
    """The address, and the bytes between its seven words: 2 with 16-bit operands, else 4."""
    operand = x.operands[0]
    assert isinstance(operand, Memory)
    address = x.address(operand)
    x.machine.load(address, 2)  # a fault comes before any change
    return address, 2 if x.inst.operand_size == 2 else 4


def _store_environment(x: Execution, address: Value, step: int) -> None:
    fpu, machine = Fpu(x, waits=False, steers=True), x.machine
    tags = x.constant(0, 16)
    for number in range(8):
        register = machine.get_at("st", x.constant(number, 3), 80)
        (tag,) = machine.apply(FUNCTIONS["x87_tag"], (16,), register)
        tags = tags | fpu.valid.bit(number).select(tag, x.constant(3, 16)) << 2 * number
    at, data, opcode = x.get(FPU_IP), x.get(FPU_DP), x.get(FPU_OPCODE)
    if step == 2:
        last = (at.trunc(16), x.get(FPU_CS), data.trunc(16), x.get(FPU_DS))
    else:
        last = (at.trunc(32), x.get(FPU_CS).below_high(opcode), data.trunc(32), x.get(FPU_DS).zext(32))
    words = (x.get(FPU_CONTROL), status_word(x), tags, *last)
    for number, word in reversed(list(enumerate(words))):
        upper = 0xFFFF_0000 if number in (0, 1, 2, 6) else 0
        machine.store(address + number * step, word if step == 2 else word.zext(32) | upper)


def _load_environment(x: Execution, address: Value, step: int) -> Value:
    """TOP as it then is."""
    control, status, tags = (x.machine.load(address + number * step, 2) for number in range(3))
    at, code, data, segment = (x.machine.load(address + number * step, step) for number in range(3, 7))
    control = control & 0x1F7F | 0x40
    valid = x.constant(0, 8)
    for number in range(8):
        valid = valid | (~tags.bits(2 * number, 2).equals(3)).zext(8) << number
    top = status.bits(11, 3)
    x.set(FPU_CONTROL, control)
    x.set(FPU_STATUS, _summary(status & ~0x3800, control))
    x.set(FPU_TOP, top)
    x.set(FPU_VALID, valid)
    x.set(FPU_IP, at.zext(64))
    x.set(FPU_DP, data.zext(64))
    x.set(FPU_CS, code.trunc(16))
    x.set(FPU_DS, segment.trunc(16))
    x.set(FPU_OPCODE, code.bits(16, 11).zext(16) if step == 4 else x.constant(0, 16))
    return top


@semantic("fnstenv")
def fnstenv(x: Execution) -> None:
    """All exceptions are masked afterwards."""
    _store_environment(x, *_area(x))
    control = x.get(FPU_CONTROL) | 63
    x.set(FPU_CONTROL, control)
    x.set(FPU_STATUS, _summary(x.get(FPU_STATUS), control))


@semantic("fldenv")
def fldenv(x: Execution) -> None:
    Fpu(x, steers=True)
    _load_environment(x, *_area(x))


@semantic("fnsave")
def fnsave(x: Execution) -> None:
    (address, step), fpu = _area(x), Fpu(x, waits=False, steers=True)
    for number in reversed(range(8)):
        x.machine.store(address + (7 * step + 10 * number), fpu.raw(number))
    _store_environment(x, address, step)
    reset(x)


@semantic("frstor")
def frstor(x: Execution) -> None:
    Fpu(x, steers=True)
    address, step = _area(x)
    values = [x.machine.load(address + (7 * step + 10 * number), 10) for number in range(8)]
    top = _load_environment(x, address, step)
    for number, value in enumerate(values):
        x.machine.set_at("st", top + number, value)


@semantic("fneni(8087 only)", "fndisi(8087 only)", "fnsetpm(287 only)")
def forgotten(x: Execution) -> None:
    """Since the 387 these do nothing."""
