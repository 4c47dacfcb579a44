"""Sine, cosine, tangent, arctangent, powers and logarithms of 80-bit numbers, worked out on long integers and rounded once.

Intel SDM volume 1, 8.3.8 to 8.3.10, and volume 2, FSIN to FYL2XP1. Arguments of the circular functions are reduced exactly by a pi of 66 bits,
as Intel's and AMD's processors do it (8.3.8); where the SDM says undefined, results are those of AMD's processors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import isqrt

from tanken.isa.x86 import ieee754 as F
from tanken.isa.x86.ieee754 import EXTENDED, Control, Number, Result

NOT_REDUCED = 1 << 10  # the place of C2: the argument is out of range
PI_66 = 0x3243F6A8885A308D3  # pi times 2**64
DIGITS = 256  # bits behind the leading one that results are worked out to
TINY = -70  # below two to this, the first term of a series decides all digits but the direction of rounding
ONE = EXTENDED.pack(0, EXTENDED.bias, EXTENDED.unit)
NAN = EXTENDED.default_nan()

# -- series on fixed point: an int stands for itself over two to the `places` --------------------------------------------------------


def _fixed(number: int, exponent: int, places: int) -> int:
    shift = exponent + places
    return number << shift if shift >= 0 else number >> -shift


def _odd_series(t: int, places: int, alternating: bool) -> int:
    """t + t**3/3 + ..., or with changing signs: the area tangent and the arctangent."""
    total, power, square, n = 0, t, t * t >> places, 1
    while power:
        total += -power // n if alternating and n & 2 else power // n
        power, n = power * square >> places, n + 2
    return total


def _sine(r: int, places: int) -> int:
    total, term, square, n = 0, r, r * r >> places, 1
    while term:
        total += term
        term, n = -(term * square >> places) // ((n + 1) * (n + 2)), n + 2
        if term == -1:
            break
    return total


def _cosine(r: int, places: int) -> int:
    total, term, square, n = 0, 1 << places, r * r >> places, 0
    while term:
        total += term
        term, n = -(term * square >> places) // ((n + 1) * (n + 2)), n + 2
        if term == -1:
            break
    return total


def _power_minus_one(u: int, places: int) -> int:
    """e**u - 1."""
    total, term, n = 0, u, 1
    while term not in (0, -1):
        total += term
        n += 1
        term = (term * u >> places) // n
    return total


def _arctangent(t: int, places: int) -> int:
    """Of 0 <= t <= 1: the angle is halved three times first."""
    one = 1 << places
    for _ in range(3):
        t = (t << places) // (one + isqrt((one << places) + t * t))
    return _odd_series(t, places, True) << 3


@cache
def _pi(places: int) -> int:
    more = places + 16  # Machin's formula
    fifth, other = (1 << more) // 5, (1 << more) // 239
    return 16 * _odd_series(fifth, more, True) - 4 * _odd_series(other, more, True) >> 16


@cache
def _ln2(places: int) -> int:
    return 2 * _odd_series((1 << places + 16) // 3, places + 16, False) >> 16


def _top(number: int, exponent: int) -> int:
    """The exponent of the leading digit."""
    return number.bit_length() + exponent - 1


def _inexact(sign: int, number: int, exponent: int, control: Control) -> Result:
    """A number whose lower digits go on for ever."""
    return F.rounded(sign ^ (number < 0), abs(number) << 1 | 1, exponent - 1, EXTENDED, control)


# -- one operand -----------------------------------------------------------------------------------------------------------------


def _unusual(control: Control, *operands: Number) -> Result | None:
    """The answer where an operand is a NaN or no number."""
    if any(number.kind == "bad" for number in operands):
        return NAN, F.INVALID
    if not any(number.kind == "nan" for number in operands):
        return None
    bits = [number.bits for number in operands]
    return F.add(bits[0], bits[-1], EXTENDED, Control(larger_nan=True))


def _denormal(*operands: Number) -> int:
    return F.DENORMAL if any(number.denormal for number in operands) else 0


def _reduced(x: Number) -> tuple[int, int, int]:
    """(quarter turns, number, exponent): the argument less the quarter turns, exactly; up to an eighth of a turn is left as it is."""
    exponent = min(x.exponent, -66)
    number, quarter = x.significand << x.exponent - exponent, PI_66 << -65 - exponent
    if 2 * number <= quarter:
        return 0, number, exponent
    turns = (2 * number // quarter + 1) // 2
    return turns, number - turns * quarter, exponent


def _circular(number: int, exponent: int, cosine: bool) -> tuple[int, int]:
    """Sine or cosine of a reduced argument as (number, exponent), to be rounded."""
    top = _top(number, exponent)
    if number == 0 or top < TINY:
        if cosine:
            return (1 << DIGITS) - 1, -DIGITS
        return (abs(number) << DIGITS) - 1 if number > 0 else 1 - (abs(number) << DIGITS), exponent - DIGITS
    places = DIGITS - top
    fixed = _fixed(number, exponent, places)
    return (_cosine(fixed, places) if cosine else _sine(fixed, places)), -places


def _angle(x: Number, quarters: int, control: Control) -> Result:
    """The sine of x and some quarter turns more."""
    turns, number, exponent = _reduced(x)
    turns += quarters
    value, power = _circular(number, exponent, bool(turns & 1))
    sign = turns >> 1 & 1 ^ (0 if quarters else x.sign)
    return _inexact(sign, value, power, control)


def _prepared(a: int, control: Control) -> tuple[Number, Result | None]:
    """The argument of a circular function, and the answer where that is no matter of numbers."""
    x = F.take_apart(a, EXTENDED)
    unusual = _unusual(control, x)
    if unusual is None and x.kind == "inf":
        unusual = NAN, F.INVALID
    if unusual is None and _top(x.significand, x.exponent) >= 63:
        unusual = a, NOT_REDUCED
    return x, unusual


def sine(a: int, control: Control) -> Result:
    x, answer = _prepared(a, control)
    if answer is not None:
        return answer
    if not x.significand:
        return a, 0
    bits, flags = _angle(x, 0, control)
    return bits, flags | _denormal(x)


def cosine(a: int, control: Control) -> Result:
    x, answer = _prepared(a, control)
    if answer is not None:
        return answer
    if not x.significand:
        return ONE, 0
    bits, flags = _angle(x, 1, control)
    return bits, flags | _denormal(x)


def tangent(a: int, control: Control) -> Result:
    x, answer = _prepared(a, control)
    if answer is not None:
        return answer
    if not x.significand:
        return a, 0
    turns, number, exponent = _reduced(x)
    if not turns and _top(number, exponent) < TINY:
        bits, flags = F.rounded(x.sign, (number << DIGITS) + 1, exponent - DIGITS, EXTENDED, control)
        return bits, flags | _denormal(x)
    upper, power = _circular(number, exponent, bool(turns & 1))
    lower, other = _circular(number, exponent, not turns & 1)
    sign = x.sign ^ (turns & 1) ^ (upper < 0) ^ (lower < 0)
    bits, flags = _inexact(sign, (abs(upper) << DIGITS) // abs(lower), power - other - DIGITS, control)
    return bits, flags | _denormal(x)


def power_minus_one(a: int, control: Control) -> Result:
    """2**a - 1 for -1 <= a <= 1; anything greater comes back as it is."""
    x = F.take_apart(a, EXTENDED)
    unusual = _unusual(control, x)
    if unusual is not None:
        return unusual
    if x.kind == "inf":
        return (EXTENDED.pack(1, EXTENDED.bias, EXTENDED.unit) if x.sign else a), 0
    top = _top(x.significand, x.exponent)
    if not x.significand:
        return a, 0
    if top > 0 or (top == 0 and x.significand & x.significand - 1):
        return a, F.INEXACT
    if top == 0:
        return (EXTENDED.pack(1, EXTENDED.bias - 1, EXTENDED.unit), F.INEXACT) if x.sign else (a, 0)
    if top < TINY:
        bits, flags = _inexact(x.sign, x.significand * _ln2(DIGITS), x.exponent - DIGITS, control)
        return bits, flags | _denormal(x)
    places = DIGITS - top
    exponent = _fixed(x.signed * _ln2(places), x.exponent, 0)
    return _inexact(0, _power_minus_one(exponent, places), -places, control)


# -- two operands ----------------------------------------------------------------------------------------------------------------


def arctangent(a: int, b: int, control: Control) -> Result:
    """The angle of the point (a, b): ST(1) over ST, in all four quadrants."""
    x, y = F.take_apart(a, EXTENDED), F.take_apart(b, EXTENDED)
    unusual = _unusual(control, x, y)
    if unusual is not None:
        return unusual
    flat = x.kind == "inf" or not y.significand  # along the horizontal, unless y is endless
    if y.kind == "inf":
        eighths = (3 if x.sign else 1) if x.kind == "inf" else 2
    elif x.kind == "inf" or flat:
        if not x.sign:
            return EXTENDED.pack(y.sign, 0, 0), _denormal(x, y)
        eighths = 4
    elif not x.significand:
        eighths = 2
    else:
        bits, flags = _quadrant(x, y, control)
        return bits, flags | _denormal(x, y)
    bits, flags = _inexact(y.sign, eighths * _pi(DIGITS), -DIGITS - 2, control)
    return bits, flags | _denormal(x, y)


def _quadrant(x: Number, y: Number, control: Control) -> Result:
    """Of two finite numbers that are not 0."""
    steep = (y.significand << max(0, y.exponent - x.exponent)) > (x.significand << max(0, x.exponent - y.exponent))
    lower, upper = (x, y) if steep else (y, x)
    distance = _top(lower.significand, lower.exponent) - _top(upper.significand, upper.exponent)
    if not steep and not x.sign and distance < TINY:
        quotient = (lower.significand << 2 * DIGITS) // upper.significand
        return F.rounded(y.sign, quotient - (1 << DIGITS), lower.exponent - upper.exponent - 2 * DIGITS, EXTENDED, control)
    places = DIGITS - min(0, max(distance, TINY))
    ratio = _fixed((lower.significand << places + DIGITS) // upper.significand, lower.exponent - upper.exponent - DIGITS, 0)
    angle, pi = _arctangent(ratio, places), _pi(places)
    if steep:
        angle = pi // 2 + angle if x.sign else pi // 2 - angle
    elif x.sign:
        angle = pi - angle
    return _inexact(y.sign, angle, -places, control)


def _scaled(y: Number, logarithm: int, exponent: int, exact: bool, control: Control) -> Result:
    """y times a logarithm."""
    sign, product = y.sign ^ (logarithm < 0), abs(logarithm) * y.significand
    if exact:
        return F.rounded(sign, product, exponent + y.exponent, EXTENDED, control)
    return _inexact(sign, product, exponent + y.exponent, control)


def _log2(number: int, exponent: int, places: int) -> int:
    """The binary logarithm of a positive number."""
    top = _top(number, exponent)
    scale = number.bit_length() - 1
    mantissa = _fixed(number, -scale, places)
    if mantissa * mantissa >> places > 2 << places:
        mantissa, top = mantissa >> 1, top + 1
    one = 1 << places
    t = ((mantissa - one) << places) // (mantissa + one)
    natural = 2 * (_odd_series(t, places, False) if t >= 0 else -_odd_series(-t, places, False))
    return (top << places) + (natural << places) // _ln2(places)


def logarithm(a: int, b: int, control: Control) -> Result:
    """b * log2(a)."""
    x, y = F.take_apart(a, EXTENDED), F.take_apart(b, EXTENDED)
    unusual = _unusual(control, x, y)
    if unusual is not None:
        return unusual
    zero = x.kind == "number" and not x.significand
    nothing = y.kind == "number" and not y.significand
    if (x.sign and not zero) or (zero and nothing) or (x.kind == "inf" and nothing):
        return NAN, F.INVALID
    flags = _denormal(x, y)
    if zero:
        return EXTENDED.infinity(1 ^ y.sign), flags if y.kind == "inf" else F.ZERO_DIVIDE
    if x.kind == "inf":
        return EXTENDED.infinity(y.sign), flags
    power = not x.significand & x.significand - 1
    top = _top(x.significand, x.exponent)
    below = top < 0
    if y.kind == "inf":
        if power and top == 0:
            return NAN, F.INVALID
        return EXTENDED.infinity(y.sign ^ below), flags
    if power and top == 0:
        return EXTENDED.pack(y.sign, 0, 0), flags
    if nothing:
        return EXTENDED.pack(y.sign ^ below, 0, 0), flags
    places = DIGITS + 80
    value = top << places if power else _log2(x.significand, x.exponent, places)
    bits, more = _scaled(y, value, -places, power, control)
    return bits, flags | more


def logarithm_plus_one(a: int, b: int, control: Control) -> Result:
    """b * log2(a + 1) for a > -1, never called exact; any other comes back as it is."""
    x, y = F.take_apart(a, EXTENDED), F.take_apart(b, EXTENDED)
    unusual = _unusual(control, x, y)
    if unusual is not None:
        return unusual
    zero = x.kind == "number" and not x.significand
    nothing = y.kind == "number" and not y.significand
    flags = _denormal(x, y)
    if x.kind == "inf":
        if x.sign or nothing:
            return NAN, F.INVALID
        return EXTENDED.infinity(y.sign), flags
    if y.kind == "inf":
        return (NAN, F.INVALID) if zero else (EXTENDED.infinity(x.sign ^ y.sign), flags)
    if zero or nothing:
        return EXTENDED.pack(x.sign ^ y.sign, 0, 0), flags
    top = _top(x.significand, x.exponent)
    if top < TINY:
        value = (x.signed << 2 * DIGITS) // _ln2(DIGITS)
        bits, more = _scaled(y, value, x.exponent - DIGITS, False, control)
        return bits, flags | more
    exponent = min(x.exponent, 0)
    number = (1 << -exponent) + (x.signed << x.exponent - exponent)
    if number <= 0:
        return a, flags | F.INEXACT
    places = DIGITS + 80 - min(top, 0)
    power = not number & number - 1
    value = _top(number, exponent) << places if power else _log2(number, exponent, places)
    bits, more = _scaled(y, value, -places, power, control)
    return bits, flags | more | F.INEXACT


UNARY: dict[str, Callable[[int, Control], Result]] = {"sin": sine, "cos": cosine, "tan": tangent, "f2xm1": power_minus_one}
BINARY: dict[str, Callable[[int, int, Control], Result]] = {"atan": arctangent, "yl2x": logarithm, "yl2xp1": logarithm_plus_one}
