"""x87: loads, stores, arithmetic, comparison, constants and the register stack; transcendental functions are not here.

Intel SDM volume 1, chapter 8, and volume 2. Exceptions are recorded in the status word; where one is unmasked the next waiting instruction
raises #MF. An unmasked invalid operation, denormal operand or division by zero leaves registers, stack and memory as they were; an unmasked
overflow or underflow gives a register a result with its exponent brought back, and memory none (8.5).
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86 import ieee754 as F
from tanken.isa.x86.inst import Memory, Register
from tanken.isa.x86.semantics.execution import Execution, Location
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.x87_numbers import C0, C1, C2, C3, CONSTANTS, FUNCTIONS, NAN
from tanken.isa.x86.semantics.x87_stack import Fpu
from tanken.isa.x86.state import AF, CF, OF, PF, SF, ZF


def kind_of(x: Execution) -> str:
    """The kind of the memory operand: integers where the mnemonic says so."""
    operand = x.operands[0]
    size = operand.size * 8
    return ("i" if x.mnemonic.startswith("fi") else "f") + str(size)


def numbers(x: Execution) -> list[int]:
    """The stack registers named by the operands; ST alone where there is none."""
    return [operand.number for operand in x.operands if isinstance(operand, Register)]


ARITHMETIC = ("add", "sub", "subr", "mul", "div", "divr")


@semantic(*("f" + name for name in ARITHMETIC), *("fi" + name for name in ARITHMETIC), *(f"f{name}p" for name in ARITHMETIC))
def arithmetic(x: Execution) -> None:
    """With a memory operand on ST; else the first register by the second. Popping is done last."""
    fpu, name = Fpu(x), x.mnemonic
    operation = name.removeprefix("fi" if name.startswith("fi") else "f").removesuffix("p")
    if isinstance(x.operands[0], Memory):
        kind, target = kind_of(x), 0
        b = x.location(0).read()
        usable = fpu.need(0)
    else:
        (target, source), kind = numbers(x), "f80"
        b = fpu.raw(source)
        usable = fpu.need(target, source)
    result = fpu.apply(f"x87_{operation}_{kind}", 80, fpu.raw(target), b, fpu.control)
    fpu.write(target, usable.select(result, x.constant(NAN, 80)))
    if name.endswith("p"):
        fpu.pop()
    fpu.end()


@semantic("fld", "fild")
def load(x: Execution) -> None:
    """An unmasked denormal operand is loaded all the same, as on AMD's processors."""
    fpu = Fpu(x)
    fpu.stopping = F.INVALID
    if isinstance(x.operands[0], Memory):
        fpu.push(fpu.apply(f"x87_load_{kind_of(x)}", 80, x.location(0).read()))
    else:
        (source,) = numbers(x)
        usable = fpu.need(source)
        fpu.push(usable.select(fpu.raw(source), x.constant(NAN, 80)))
    fpu.end()


@semantic("fst", "fstp", "fist", "fistp", "fisttp")
def store(x: Execution) -> None:
    fpu, name = Fpu(x), x.mnemonic
    usable, value = fpu.need(0), fpu.raw(0)
    if not isinstance(x.operands[0], Memory):
        fpu.write(numbers(x)[0], usable.select(value, x.constant(NAN, 80)))
    else:
        _store_memory(x, fpu, usable, value)
    if name.endswith("p"):
        fpu.pop(mask=STORING)
    fpu.end()


STORING = F.INVALID | F.DENORMAL | F.ZERO_DIVIDE | F.OVERFLOW | F.UNDERFLOW  # these keep a result from memory


def _store_memory(x: Execution, fpu: Fpu, usable: Value, value: Value) -> None:
    kind, target = kind_of(x), x.location(0)
    width = target.width
    if kind == "f80":
        x.when(fpu.stopped(), lambda: _probe(target))
        return x.when(~fpu.stopped(), lambda: target.write(usable.select(value, x.constant(NAN, 80))))
    how = "cut" if x.mnemonic == "fisttp" else "store"
    result = fpu.apply(f"x87_{how}_{kind}", width, value, fpu.control)
    form = F.SINGLE if width == 32 else F.DOUBLE
    indefinite = 1 << width - 1 if kind[0] == "i" else form.default_nan()
    fpu.flags = fpu.stopped(F.OVERFLOW | F.UNDERFLOW).select(fpu.flags & ~(F.INEXACT | C1), fpu.flags)
    x.when(fpu.stopped(STORING), lambda: _probe(target))
    x.when(~fpu.stopped(STORING), lambda: target.write(usable.select(result, x.constant(indefinite, width))))


def _probe(target: Location) -> None:
    """A page fault comes before what keeps the result from memory."""
    target.read()


@semantic(*CONSTANTS)
def constant(x: Execution) -> None:
    fpu = Fpu(x)
    (value,) = x.machine.apply(FUNCTIONS["x87_" + x.mnemonic], (80,), fpu.control)
    fpu.push(value)
    fpu.end()


@semantic("fxch")
def exchange(x: Execution) -> None:
    fpu = Fpu(x)
    (other,) = numbers(x)
    nan = x.constant(NAN, 80)
    fpu.need(0, other)
    a, b = (fpu.is_valid(n).select(fpu.raw(n), nan) for n in (0, other))
    fpu.write(0, b)
    fpu.write(other, a)
    fpu.end()


@semantic("fchs", "fabs")
def sign(x: Execution) -> None:
    fpu = Fpu(x)
    usable, value = fpu.need(0), fpu.raw(0)
    bit = 1 << 79
    fpu.write(0, usable.select(value ^ bit if x.mnemonic == "fchs" else value & ~bit, x.constant(NAN, 80)))
    fpu.end()


@semantic("fsqrt", "frndint")
def unary(x: Execution) -> None:
    fpu = Fpu(x)
    usable = fpu.need(0)
    result = fpu.apply("x87_sqrt" if x.mnemonic == "fsqrt" else "x87_integral", 80, fpu.raw(0), fpu.control)
    fpu.write(0, usable.select(result, x.constant(NAN, 80)))
    fpu.end()


@semantic("fscale")
def scale(x: Execution) -> None:
    fpu = Fpu(x)
    usable = fpu.need(0, 1)
    result = fpu.apply("x87_scale", 80, fpu.raw(0), fpu.raw(1), fpu.control)
    fpu.write(0, usable.select(result, x.constant(NAN, 80)))
    fpu.end()


def _compared(x: Execution, fpu: Fpu) -> tuple[Value, Value, Value]:
    """(less, equal, unordered) of ST and the operand; all but the U forms object to any NaN."""
    name = x.mnemonic
    if name == "ftst":
        usable, b, kind = fpu.need(0), x.constant(0, 80), "f80"
    elif x.operands and isinstance(x.operands[0], Memory):
        b, kind = x.location(0).read(), kind_of(x)
        usable = fpu.need(0)
    else:
        other = (numbers(x) or [1])[-1]
        usable, b, kind = fpu.need(0, other), fpu.raw(other), "f80"
    relation = fpu.apply(f"x87_order_{kind}", 2, fpu.raw(0), b, fpu.control)
    unordered = relation.equals(F.UNORDERED) | ~usable
    if not name.startswith("fu"):
        fpu.flags = fpu.flags | unordered.zext(16)
    return relation.equals(F.LESS) & usable, relation.equals(F.EQUAL) & usable, unordered


@semantic("fcom", "fcomp", "fcompp", "fucom", "fucomp", "fucompp", "ficom", "ficomp", "ftst")
def compare(x: Execution) -> None:
    fpu, name = Fpu(x), x.mnemonic
    less, equal, unordered = _compared(x, fpu)
    conditions = (less | unordered).zext(16) << 8 | unordered.zext(16) << 10 | (equal | unordered).zext(16) << 14
    fpu.pop(len(name) - len(name.rstrip("p")))
    fpu.end(conditions, C0 | C1 | C2 | C3)


@semantic("fcomi", "fcomip", "fucomi", "fucomip")
def compare_flags(x: Execution) -> None:
    """C1 stays, a stack fault apart, as on AMD's processors; the SDM clears it."""
    fpu, name = Fpu(x), x.mnemonic
    less, equal, unordered = _compared(x, fpu)
    fpu.flags = fpu.flags & ~C1
    for flag, value in ((ZF, equal | unordered), (CF, less | unordered), (PF, unordered)):
        x.set(flag, value)
    for flag in (OF, SF, AF):
        x.set(flag, x.constant(0, 1))
    fpu.pop(int(name.endswith("p")))
    fpu.keep_c1()
    fpu.end(mask=0)
