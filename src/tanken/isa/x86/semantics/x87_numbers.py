"""The numbers of x87: pure functions of 80-bit values, memory operands and the control word, by the names that machines know them by.

Intel SDM volume 1, chapter 8 (formats, rounding, exceptions), and volume 2. Each gives its result and the exceptions that it found.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.isa.x86 import ieee754 as F

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
    from decimal import Decimal, localcontext  # 6 ms that few programs need

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
