"""Binary floating point as exact integer functions: pack, round and compute in any format of sign, exponent and significand.

IEEE 754-2008 as x86 does it (Intel SDM volume 1, 4.8, 11.5 and appendix E): tininess is found after rounding, NaNs go through quieted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt

INVALID, DENORMAL, ZERO_DIVIDE, OVERFLOW, UNDERFLOW, INEXACT = (1 << bit for bit in range(6))
AWAY = 1 << 9  # beside INEXACT: the result is greater in size than the exact one (the place of C1 in the x87 status word)
NEAREST, DOWN, UP, TO_ZERO = range(4)  # the rounding control of MXCSR and of the x87 control word

Result = tuple[int, int]  # the bits and the exceptions


@dataclass(frozen=True, slots=True)
class Format:
    """`exponent` and `fraction` bits; an `explicit` one shows its leading digit, as the 80-bit format does."""

    exponent: int
    fraction: int
    explicit: bool = False

    @property
    def field(self) -> int:
        """Bits below the exponent."""
        return self.fraction + self.explicit

    @property
    def width(self) -> int:
        return 1 + self.exponent + self.field

    @property
    def bias(self) -> int:
        return (1 << self.exponent - 1) - 1

    @property
    def top(self) -> int:
        """The exponent of infinities and NaNs."""
        return (1 << self.exponent) - 1

    @property
    def quiet(self) -> int:
        return 1 << self.fraction - 1

    @property
    def unit(self) -> int:
        """The leading digit where it is shown, else 0."""
        return 1 << self.fraction if self.explicit else 0

    def pack(self, sign: int, exponent: int, field: int) -> int:
        return (sign << self.exponent | exponent) << self.field | field

    def infinity(self, sign: int) -> int:
        return self.pack(sign, self.top, self.unit)

    def largest(self, sign: int) -> int:
        return self.pack(sign, self.top - 1, (1 << self.field) - 1)

    def default_nan(self) -> int:
        return self.pack(1, self.top, self.unit | self.quiet)


HALF, SINGLE, DOUBLE, EXTENDED = Format(5, 10), Format(8, 23), Format(11, 52), Format(15, 63, True)


@dataclass(frozen=True, slots=True)
class Control:
    """How to round, and what becomes of denormal operands and tiny results."""

    rounding: int = NEAREST
    denormals_are_zero: bool = False
    flush_to_zero: bool = False
    precision: int = 0  # digits of the significand, 0 for the format's own
    strict_underflow: bool = False  # tiny results count even where they are exact: underflow is unmasked
    wrap_overflow: bool = False  # the x87's unmasked overflow and underflow: the exponent is brought back by 3 * 2**(its bits - 2)
    wrap_underflow: bool = False
    larger_nan: bool = False  # of two NaNs take the quiet, else the larger one, as the x87 does; else the first


@dataclass(frozen=True, slots=True)
class Number:
    """A number taken apart: `significand` times two to the `exponent`; or "inf", "nan", "bad" (no number of the 80-bit format)."""

    kind: str
    sign: int
    significand: int
    exponent: int
    bits: int
    format: Format
    denormal: bool = False

    @property
    def signalling(self) -> bool:
        return self.kind == "nan" and not self.bits & self.format.quiet

    @property
    def signed(self) -> int:
        return -self.significand if self.sign else self.significand


def take_apart(bits: int, form: Format, zero_denormals: bool = False) -> Number:
    """The number behind `bits`."""
    sign, exponent, field = bits >> form.width - 1, bits >> form.field & form.top, bits & (1 << form.field) - 1
    fraction = field & (1 << form.fraction) - 1
    if form.explicit and exponent and not field & form.unit:
        return Number("bad", sign, 0, 0, bits, form)
    if exponent == form.top:
        return Number("nan" if fraction else "inf", sign, 0, 0, bits, form)
    if exponent == 0:
        if zero_denormals:
            return Number("number", sign, 0, 0, form.pack(sign, 0, 0), form)
        return Number("number", sign, field, 1 - form.bias - form.fraction, bits, form, field != 0)
    return Number("number", sign, fraction | 1 << form.fraction, exponent - form.bias - form.fraction, bits, form)


def shift_rounded(value: int, shift: int, sign: int, rounding: int) -> Result:
    """`value` shifted right by `shift` (left by less than 0) and rounded; INEXACT, perhaps with AWAY, where anything was lost."""
    if shift <= 0:
        return value << -shift, 0
    kept, lost = value >> shift, value & (1 << shift) - 1
    if not lost:
        return kept, 0
    half = 1 << shift - 1
    if rounding == NEAREST:
        away = lost > half or (lost == half and kept & 1 == 1)
    else:
        away = rounding == (DOWN if sign else UP)
    return kept + away, INEXACT | AWAY if away else INEXACT


def rounded(sign: int, value: int, exponent: int, form: Format, control: Control) -> Result:
    """The number nearest to `value` times two to the `exponent`; a lowest digit that stands for a remainder does its part."""
    if not value:
        return form.pack(sign, 0, 0), 0
    digits = control.precision or form.fraction + 1
    lowest = 1 - form.bias
    if control.wrap_overflow or control.wrap_underflow:
        wrapped = _wrapped(sign, value, exponent, form, control)
        if wrapped:
            return wrapped
    leading = exponent + value.bit_length() - 1
    quantum = max(leading, lowest) - digits + 1
    kept, lost = shift_rounded(value, quantum - exponent, sign, control.rounding)
    tiny = leading < lowest and _stays_tiny(sign, value, exponent, leading, digits, lowest, control)
    if tiny and control.flush_to_zero:
        return form.pack(sign, 0, 0), UNDERFLOW | INEXACT
    if kept >> digits:
        kept, quantum = kept >> 1, quantum + 1
    kept <<= form.fraction + 1 - digits
    normal = kept >> form.fraction
    biased = quantum + digits - 1 + form.bias if normal else 0
    if biased >= form.top:
        away = control.rounding == NEAREST or control.rounding == (DOWN if sign else UP)
        largest = form.largest(sign) & ~((1 << form.fraction + 1 - digits) - 1)
        return (form.infinity(sign), OVERFLOW | INEXACT | AWAY) if away else (largest, OVERFLOW | INEXACT)
    field = kept if form.explicit else kept & (1 << form.fraction) - 1
    return form.pack(sign, biased, field), lost | (UNDERFLOW if tiny and (lost or control.strict_underflow) else 0)


def _wrapped(sign: int, value: int, exponent: int, form: Format, control: Control) -> Result | None:
    """The result of an unmasked overflow or underflow, None where there is neither."""
    plain = replace(control, wrap_overflow=False, wrap_underflow=False, strict_underflow=control.wrap_underflow)
    _, flags = rounded(sign, value, exponent, form, plain)
    bias = 3 << form.exponent - 2
    if flags & OVERFLOW and control.wrap_overflow:
        bits, lost = rounded(sign, value, exponent - bias, form, plain)
    elif flags & UNDERFLOW and control.wrap_underflow:
        bits, lost = rounded(sign, value, exponent + bias, form, plain)
    else:
        return None
    if lost & (OVERFLOW | UNDERFLOW):  # by more than that
        bits, lost = (form.infinity(sign), INEXACT | AWAY) if lost & OVERFLOW else (form.pack(sign, 0, 0), INEXACT)
    return bits, lost & ~(OVERFLOW | UNDERFLOW) | flags & (OVERFLOW | UNDERFLOW)


def _stays_tiny(sign: int, value: int, exponent: int, leading: int, digits: int, lowest: int, control: Control) -> bool:
    """Whether it would be below the lowest normal number if exponents had no end."""
    kept, _ = shift_rounded(value, leading - digits + 1 - exponent, sign, control.rounding)
    return not (kept >> digits and leading + 1 == lowest)


def _nan(control: Control, *numbers: Number) -> Result | None:
    """A NaN of them, quieted; None where there is none."""
    nans = [number for number in numbers if number.kind == "nan"]
    if any(number.kind == "bad" for number in numbers):
        return numbers[0].format.default_nan(), INVALID
    if not nans:
        return None
    chosen = nans[0]
    if control.larger_nan:
        quiet = [number for number in nans if not number.signalling]
        fraction = (1 << chosen.format.fraction) - 1
        chosen = max(quiet or nans, key=lambda number: (number.bits & fraction, -number.sign))
    return chosen.bits | chosen.format.quiet, INVALID if any(number.signalling for number in nans) else 0


def _denormals(*numbers: Number) -> int:
    return DENORMAL if any(number.denormal for number in numbers) else 0


def _operands(form: Format, control: Control, *operands: int) -> list[Number]:
    return [take_apart(bits, form, control.denormals_are_zero) for bits in operands]


def add(a: int, b: int, form: Format, control: Control) -> Result:
    x, y = _operands(form, control, a, b)
    nan = _nan(control, x, y)
    if nan:
        return nan
    if x.kind == "inf" or y.kind == "inf":
        if x.kind == y.kind and x.sign != y.sign:
            return form.default_nan(), INVALID
        return (x if x.kind == "inf" else y).bits, _denormals(x, y)
    exponent = min(x.exponent, y.exponent)
    total = (x.signed << x.exponent - exponent) + (y.signed << y.exponent - exponent)
    if total == 0:
        sign = x.sign if x.sign == y.sign else int(control.rounding == DOWN)
        return form.pack(sign, 0, 0), _denormals(x, y)
    bits, flags = rounded(int(total < 0), abs(total), exponent, form, control)
    return bits, flags | _denormals(x, y)


def sub(a: int, b: int, form: Format, control: Control) -> Result:
    """A NaN keeps its sign, so that only others are turned around."""
    y = take_apart(b, form)
    return add(a, b if y.kind == "nan" else b ^ 1 << form.width - 1, form, control)


def mul(a: int, b: int, form: Format, control: Control) -> Result:
    x, y = _operands(form, control, a, b)
    nan = _nan(control, x, y)
    if nan:
        return nan
    sign = x.sign ^ y.sign
    if x.kind == "inf" or y.kind == "inf":
        if any(number.kind == "number" and not number.significand for number in (x, y)):
            return form.default_nan(), INVALID
        return form.infinity(sign), _denormals(x, y)
    bits, flags = rounded(sign, x.significand * y.significand, x.exponent + y.exponent, form, control)
    return bits, flags | _denormals(x, y)


def multiply_add(a: int, b: int, c: int, form: Format, control: Control, minus_product: bool, minus_addend: bool) -> Result:
    """a * b + c, rounded once; of several NaNs the first. A NaN as addend hides that infinity times zero is invalid."""
    x, y, z = _operands(form, control, a, b, c)
    endless = "inf" in (x.kind, y.kind)
    invalid = endless and any(number.kind == "number" and not number.significand for number in (x, y))
    nan = _nan(control, x, y, z)
    if nan:
        return nan
    if invalid:
        return form.default_nan(), INVALID
    sign, addend = x.sign ^ y.sign ^ minus_product, z.sign ^ minus_addend
    if endless or z.kind == "inf":
        if endless and z.kind == "inf" and sign != addend:
            return form.default_nan(), INVALID
        return form.infinity(sign if endless else addend), _denormals(x, y, z)
    product, exponent = x.significand * y.significand, min(x.exponent + y.exponent, z.exponent)
    total = (product << x.exponent + y.exponent - exponent) * (-1 if sign else 1) + (z.significand << z.exponent - exponent) * (-1 if addend else 1)
    if total == 0:
        return form.pack(sign if sign == addend else int(control.rounding == DOWN), 0, 0), _denormals(x, y, z)
    bits, flags = rounded(int(total < 0), abs(total), exponent, form, control)
    return bits, flags | _denormals(x, y, z)


def div(a: int, b: int, form: Format, control: Control) -> Result:
    x, y = _operands(form, control, a, b)
    nan = _nan(control, x, y)
    if nan:
        return nan
    sign = x.sign ^ y.sign
    if x.kind == "inf" or y.kind == "inf":
        if x.kind == y.kind:
            return form.default_nan(), INVALID
        return form.infinity(sign) if x.kind == "inf" else form.pack(sign, 0, 0), _denormals(x, y)
    if not y.significand:
        if not x.significand:
            return form.default_nan(), INVALID
        return form.infinity(sign), ZERO_DIVIDE
    scale = 2 * form.fraction + 8
    quotient, rest = divmod(x.significand << scale, y.significand)
    bits, flags = rounded(sign, quotient << 1 | (rest != 0), x.exponent - y.exponent - scale - 1, form, control)
    return bits, flags | _denormals(x, y)


def sqrt(a: int, form: Format, control: Control) -> Result:
    (x,) = _operands(form, control, a)
    nan = _nan(control, x)
    if nan:
        return nan
    if x.kind == "number" and not x.significand:
        return x.bits, 0
    if x.sign:
        return form.default_nan(), INVALID
    if x.kind == "inf":
        return x.bits, 0
    scale = 2 * form.fraction + 8 + (x.exponent & 1)
    value = x.significand << scale
    root = isqrt(value)
    bits, flags = rounded(0, root << 1 | (root * root != value), (x.exponent - scale) // 2 - 1, form, control)
    return bits, flags | _denormals(x)


LESS, EQUAL, GREATER, UNORDERED = range(4)


def order(a: int, b: int, form: Format, control: Control) -> Result:
    """LESS, EQUAL, GREATER or UNORDERED; INVALID for signalling NaNs only."""
    x, y = _operands(form, control, a, b)
    if x.kind == "bad" or y.kind == "bad":
        return UNORDERED, INVALID
    if x.kind == "nan" or y.kind == "nan":
        return UNORDERED, INVALID if x.signalling or y.signalling else 0
    flags = _denormals(x, y)
    if x.kind == "inf" or y.kind == "inf":
        left, right = ((1 - 2 * number.sign) * (number.kind == "inf") for number in (x, y))
    else:
        exponent = min(x.exponent, y.exponent)
        left, right = x.signed << x.exponent - exponent, y.signed << y.exponent - exponent
    return (LESS if left < right else EQUAL if left == right else GREATER), flags


def smaller(a: int, b: int, form: Format, control: Control) -> Result:
    """MINSD: the second operand unless the first is less; INVALID for any NaN."""
    return _chosen(a, b, form, control, LESS)


def larger(a: int, b: int, form: Format, control: Control) -> Result:
    """MAXSD: the second operand unless the first is greater; INVALID for any NaN."""
    return _chosen(a, b, form, control, GREATER)


def _chosen(a: int, b: int, form: Format, control: Control, wanted: int) -> Result:
    relation, flags = order(a, b, form, control)
    x, y = _operands(form, control, a, b)
    return (x if relation == wanted else y).bits, flags | (INVALID if relation == UNORDERED else 0)


def from_integer(value: int, form: Format, control: Control) -> Result:
    """Of a signed integer."""
    return rounded(int(value < 0), abs(value), 0, form, control)


def to_integer(a: int, form: Format, control: Control, width: int) -> Result:
    """A signed integer of `width` bits; INVALID and the lowest one where it does not fit."""
    (x,) = _operands(form, control, a)
    indefinite = 1 << width - 1
    if x.kind != "number":
        return indefinite, INVALID
    value, lost = shift_rounded(x.significand, -x.exponent, x.sign, control.rounding)
    value = -value if x.sign else value
    if not -indefinite <= value < indefinite:
        return indefinite, INVALID
    return value & (1 << width) - 1, lost


def convert(a: int, source: Format, target: Format, control: Control) -> Result:
    """The number in another format; of a NaN the upper digits."""
    (x,) = _operands(source, control, a)
    if x.kind == "bad":
        return target.default_nan(), INVALID
    if x.kind == "nan":
        shift = target.fraction - source.fraction
        fraction = x.bits & (1 << source.fraction) - 1
        fraction = fraction << shift if shift >= 0 else fraction >> -shift
        return target.pack(x.sign, target.top, target.unit | target.quiet | fraction), INVALID if x.signalling else 0
    if x.kind == "inf":
        return target.infinity(x.sign), 0
    bits, flags = rounded(x.sign, x.significand, x.exponent, target, control)
    return bits, flags | _denormals(x)


def integral(a: int, form: Format, control: Control) -> Result:
    """The integer that the rounding says, in the same format; a zero keeps the sign."""
    (x,) = _operands(form, control, a)
    nan = _nan(control, x)
    if nan:
        return nan
    if x.kind == "inf" or x.exponent >= 0 or not x.significand:
        return x.bits, 0
    value, lost = shift_rounded(x.significand, -x.exponent, x.sign, control.rounding)
    bits, _ = rounded(x.sign, value, 0, form, Control())
    return bits, lost
