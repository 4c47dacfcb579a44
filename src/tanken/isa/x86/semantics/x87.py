"""x87: loads, stores, arithmetic, comparison, constants and the register stack; transcendental functions are not here.

Intel SDM volume 1, chapter 8, and volume 2. Exceptions are recorded in the status word; where one is unmasked the next waiting instruction
raises #MF. An unmasked invalid operation, denormal operand or division by zero leaves registers, stack and memory as they were; an unmasked
overflow or underflow gives a register a result with its exponent brought back, and memory none (8.5).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

from tanken.isa.architecture import Value
from tanken.isa.x86 import ieee754 as F
from tanken.isa.x86.inst import Memory, Register
from tanken.isa.x86.semantics.execution import Execution, Location
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.vectors import wait_for_x87
from tanken.isa.x86.state import (
    AF,
    CF,
    FPU_CONTROL,
    FPU_CS,
    FPU_DP,
    FPU_DS,
    FPU_IP,
    FPU_OPCODE,
    FPU_STATUS,
    FPU_TOP,
    FPU_VALID,
    OF,
    PF,
    SEGMENT,
    SF,
    ZF,
)  # fmt: skip

STACK_FAULT, ERROR, C0, C1, C2, C3, BUSY = 1 << 6, 1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 14, 1 << 15
PRECISIONS = {0: 24, 1: 64, 2: 53, 3: 64}
NAN = F.EXTENDED.default_nan()
Function = Callable[..., tuple[int, ...]]


def control_of(word: int, precise: bool = False) -> F.Control:
    """What the control word says; only arithmetic minds the precision."""
    digits = 0 if precise else PRECISIONS[word >> 8 & 3] % 64
    return F.Control(word >> 10 & 3, precision=digits, larger_nan=True, wrap_overflow=not word & 8, wrap_underflow=not word & 16)


def memory_control(word: int) -> F.Control:
    """For results that go to memory, where nothing is brought back."""
    return F.Control(word >> 10 & 3, larger_nan=True, strict_underflow=not word & 16)


def _widen(bits: int, kind: str) -> tuple[int, int]:
    """A memory operand as 80 bits, exactly, NaNs still signalling; and whether it is denormal."""
    if kind[0] == "i":
        width = int(kind[1:])
        value = bits - (1 << width) if bits >> width - 1 else bits
        return F.from_integer(value, F.EXTENDED, F.Control())[0], 0
    if kind == "f80":
        return bits, 0
    form = F.SINGLE if kind == "f32" else F.DOUBLE
    number = F.take_apart(bits, form)
    if number.kind == "nan":
        fraction = (bits & (1 << form.fraction) - 1) << 63 - form.fraction
        return F.EXTENDED.pack(number.sign, F.EXTENDED.top, F.EXTENDED.unit | fraction), 0
    return F.convert(bits, form, F.EXTENDED, F.Control())[0], F.DENORMAL if number.denormal else 0


def _binary(operation: Callable[[int, int, F.Format, F.Control], F.Result], a: int, b: int, kind: str, word: int, swap: bool) -> F.Result:
    wide, denormal = _widen(b, kind)
    left, right = (wide, a) if swap else (a, wide)
    bits, flags = operation(left, right, F.EXTENDED, control_of(word))
    if flags & (F.INVALID | F.ZERO_DIVIDE) or F.take_apart(a, F.EXTENDED).kind in ("nan", "bad"):
        denormal = 0
    return bits, flags | denormal


def _load(b: int, kind: str) -> F.Result:
    if kind == "f80":
        return b, 0
    wide, denormal = _widen(b, kind)
    if F.take_apart(wide, F.EXTENDED).signalling:
        return wide | F.EXTENDED.quiet, F.INVALID
    return wide, denormal


def _store(a: int, form: F.Format, word: int) -> F.Result:
    bits, flags = F.convert(a, F.EXTENDED, form, memory_control(word))
    return bits, flags & ~F.DENORMAL


def _integral(a: int, word: int) -> F.Result:
    bits, flags = F.integral(a, F.EXTENDED, control_of(word, True))
    return bits, flags | (F.DENORMAL if F.take_apart(a, F.EXTENDED).denormal else 0)


def _class(a: int) -> tuple[int]:
    """The condition bits of FXAM for a register that is not empty."""
    number = F.take_apart(a, F.EXTENDED)
    plain = C3 | C2 if number.denormal else C2 if number.significand else C3
    return ({"bad": 0, "nan": C0, "inf": C2 | C0}.get(number.kind, plain) | (C1 if number.sign else 0),)


def _scale(a: int, b: int, word: int) -> F.Result:
    """FSCALE: `a` times two to the integral part of `b`."""
    x, y = (F.take_apart(bits, F.EXTENDED) for bits in (a, b))
    if x.kind in ("nan", "bad") or y.kind in ("nan", "bad"):
        return F.add(a, b, F.EXTENDED, control_of(word))
    flags = F.DENORMAL if x.denormal or y.denormal else 0
    if y.kind == "inf":
        if (x.kind == "inf" and y.sign) or (x.kind == "number" and not x.significand and not y.sign):
            return NAN, F.INVALID
        return (F.EXTENDED.pack(x.sign, 0, 0) if y.sign else F.EXTENDED.infinity(x.sign)), flags
    if x.kind == "inf" or not x.significand:
        return a, flags
    power, _ = F.shift_rounded(y.significand, -y.exponent, y.sign, F.TO_ZERO) if y.exponent < 17 else (1 << 17, 0)
    power = min(power, 1 << 17)
    bits, more = F.rounded(x.sign, x.significand, x.exponent + (-power if y.sign else power), F.EXTENDED, control_of(word, True))
    return bits, flags | more


def _constant(name: str, word: int) -> tuple[int]:
    """FLDPI and its like, rounded as the control word says."""
    with localcontext() as context:
        context.prec = 60
        two, ten = Decimal(2), Decimal(10)
        pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
        value = {"fld1": Decimal(1), "fldpi": pi, "fldln2": two.ln(), "fldl2e": 1 / two.ln(), "fldl2t": ten.ln() / two.ln(),
                 "fldlg2": two.ln() / ten.ln(), "fldz": Decimal(0)}[name]  # fmt: skip
        return (F.rounded(0, int(value * (1 << 128)), -128, F.EXTENDED, control_of(word, True))[0],)


BINARY = {"add": F.add, "sub": F.sub, "mul": F.mul, "div": F.div}
KINDS = ("f80", "f32", "f64", "i16", "i32", "i64")


def _functions() -> dict[str, Function]:
    """The pure functions by name: x87_add_f64(a, b, control word), ...; each gives result and exceptions."""
    found: dict[str, Function] = {}

    def enter(name: str, function: Function) -> None:
        function.__name__ = function.__qualname__ = name
        found[name] = function

    for kind in KINDS:
        for name, operation in BINARY.items():
            enter(f"x87_{name}_{kind}", lambda a, b, word, o=operation, k=kind: _binary(o, a, b, k, word, False))
            enter(f"x87_{name}r_{kind}", lambda a, b, word, o=operation, k=kind: _binary(o, a, b, k, word, True))
        enter(f"x87_order_{kind}", lambda a, b, word, k=kind: _binary(F.order, a, b, k, word, False))
        enter(f"x87_load_{kind}", lambda b, k=kind: _load(b, k))
    for width, form in ((32, F.SINGLE), (64, F.DOUBLE)):
        enter(f"x87_store_f{width}", lambda a, word, f=form: _store(a, f, word))
    for width in (16, 32, 64):
        enter(f"x87_store_i{width}", lambda a, word, n=width: F.to_integer(a, F.EXTENDED, control_of(word, True), n))
        enter(f"x87_cut_i{width}", lambda a, word, n=width: F.to_integer(a, F.EXTENDED, F.Control(F.TO_ZERO), n))
    enter("x87_sqrt", lambda a, word: F.sqrt(a, F.EXTENDED, control_of(word)))
    enter("x87_integral", _integral)
    enter("x87_scale", _scale)
    enter("x87_class", _class)
    for name in CONSTANTS:
        enter(f"x87_{name}", lambda word, n=name: _constant(n, word))
    return found


CONSTANTS = ("fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz")
FUNCTIONS = _functions()


class Fpu:
    """The register stack during one instruction, and its exceptions, which `end` puts into the status word."""

    def __init__(self, x: Execution, waits: bool = True, steers: bool = False) -> None:
        """`steers`: a control instruction, which the pointers to the last instruction do not mind."""
        self.x, self.steers, self.control = x, steers, x.get(FPU_CONTROL)
        self.status, self.top, self.valid = x.get(FPU_STATUS), x.get(FPU_TOP), x.get(FPU_VALID)
        self.flags = x.constant(0, 16)
        self.stopping = F.INVALID | F.DENORMAL | F.ZERO_DIVIDE
        if waits:
            wait_for_x87(x)

    def index(self, number: int) -> Value:
        return self.top + number

    def is_valid(self, number: int) -> Value:
        return (self.valid >> self.index(number).zext(8)).trunc(1)

    def raw(self, number: int) -> Value:
        return self.x.machine.get_at("st", self.index(number), 80)

    def need(self, *numbers: int) -> Value:
        """Whether all of them hold something; an invalid operation where not."""
        empty = self.x.constant(0, 1)
        for number in numbers:
            empty = empty | ~self.is_valid(number)
        self.flags = empty.select(F.INVALID | STACK_FAULT, self.flags)
        return ~empty

    def apply(self, name: str, width: int, *operands: Value) -> Value:
        """A function's result; its exceptions count unless the stack was at fault."""
        result, flags = self.x.machine.apply(FUNCTIONS[name], (width, 16), *operands)
        self.flags = self.flags.bit(6).select(self.flags, flags)
        return result

    def stopped(self, mask: int = 0) -> Value:
        """Whether an unmasked exception of `mask` keeps the instruction from its result."""
        return ~(self.flags & ~self.control & (mask or self.stopping)).is_zero()

    def write(self, number: int, value: Value) -> None:
        stopped, index = self.stopped(), self.index(number)
        self.x.machine.set_at("st", index, stopped.select(self.raw(number), value))
        self.valid = stopped.select(self.valid, self.valid | self.x.constant(1, 8) << index.zext(8))

    def push(self, value: Value) -> None:
        """Onto the stack; where the place is taken the default NaN instead."""
        taken = (self.valid >> (self.top - 1).zext(8)).trunc(1)
        self.flags = (taken & ~self.flags.bit(6)).select(F.INVALID | STACK_FAULT | C1, self.flags)
        stopped = self.stopped()
        self.top = self.top - (~stopped).zext(3)
        self.write(0, taken.select(NAN, value))

    def pop(self, count: int = 1, mask: int = 0) -> None:
        stopped = self.stopped(mask)
        for _ in range(count):
            self.valid = stopped.select(self.valid, self.valid & ~(self.x.constant(1, 8) << self.top.zext(8)))
            self.top = stopped.select(self.top, self.top + 1)

    def keep_c1(self) -> None:
        """For `end(mask=0)`: C1 changes only where the stack is at fault."""
        self.status = self.flags.bit(6).select(self.status & ~C1, self.status)

    def end(self, conditions: Value | None = None, mask: int = C1) -> None:
        """Record: the condition bits in `mask` are this instruction's, the others stay."""
        x = self.x
        before = F.INVALID | F.DENORMAL | F.ZERO_DIVIDE | STACK_FAULT
        self.flags = (self.stopped() & ~self.flags.bit(6)).select(self.flags & before, self.flags)
        flags = self.flags if conditions is None else self.flags | conditions
        status = self.status & ~mask | flags
        pending = ~(status & ~self.control & 63).is_zero()
        x.set(FPU_STATUS, pending.select(status | (ERROR | BUSY), status))
        x.set(FPU_TOP, self.top)
        x.set(FPU_VALID, self.valid)
        if not self.steers:
            remember(x)


def remember(x: Execution) -> None:
    """Keep where the instruction stands, its opcode and its memory operand (SDM volume 1, 8.1.8 and 8.1.9)."""
    code = x.inst.code
    at = next(n for n, byte in enumerate(code) if 0xD8 <= byte <= 0xDF)
    x.set(FPU_OPCODE, x.constant((code[at] & 7) << 8 | code[at + 1], 16))
    x.set(FPU_IP, x.constant(x.inst.address, 64))
    x.set(FPU_CS, x.get(SEGMENT[1]))
    operand = x.operands[0] if x.operands else None
    if isinstance(operand, Memory):
        x.set(FPU_DP, x.offset(operand))
        x.set(FPU_DS, x.get(SEGMENT[operand.segment]))


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
