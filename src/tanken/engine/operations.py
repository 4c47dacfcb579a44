"""What the abstract machine's pure operations mean on Python integers: the definition that every engine is compared with.

Values are non-negative ints below 2**width; the operations are those of isa.architecture's `Operation` and `LaneOperation`.
"""

from __future__ import annotations

from collections.abc import Callable

UNSPECIFIED = 0x5A5A_5A5A_5A5A_5A5A_5A5A_5A5A_5A5A_5A5A  # what nobody may use: shifts too far, division by zero


def signed(value: int, width: int) -> int:
    """The two's complement meaning of `value`."""
    return value - (1 << width) if value >> width - 1 else value


def mask(width: int) -> int:
    """`width` ones."""
    return (1 << width) - 1


def quotient(a: int, b: int, width: int) -> int:
    """Signed division towards zero; unspecified by zero."""
    a, b = signed(a, width), signed(b, width)
    if b == 0:
        return UNSPECIFIED & mask(width)
    return (abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)) & mask(width)


def remainder(a: int, b: int, width: int) -> int:
    """What signed division leaves, with the dividend's sign; unspecified by zero."""
    a, b = signed(a, width), signed(b, width)
    if b == 0:
        return UNSPECIFIED & mask(width)
    return (abs(a) % abs(b) * (-1 if a < 0 else 1)) & mask(width)


def ctz(a: int, width: int) -> int:
    return (a & -a).bit_length() - 1 if a else width


def bswap(a: int, width: int) -> int:
    return int.from_bytes(a.to_bytes(width // 8, "little"), "big")


def rotl(a: int, n: int, width: int) -> int:
    n %= width
    return (a << n | a >> width - n) & mask(width)


def ashr(a: int, n: int, width: int) -> int:
    return signed(a, width) >> n & mask(width) if n < width else UNSPECIFIED & mask(width)


# name -> function(operands..., width of the first operand, width of the result)
MEANING: dict[str, Callable[..., int]] = {
    "add": lambda a, b, w, r: (a + b) & mask(w),
    "sub": lambda a, b, w, r: (a - b) & mask(w),
    "mul": lambda a, b, w, r: a * b & mask(w),
    "udiv": lambda a, b, w, r: a // b if b else UNSPECIFIED & mask(w),
    "urem": lambda a, b, w, r: a % b if b else UNSPECIFIED & mask(w),
    "sdiv": lambda a, b, w, r: quotient(a, b, w),
    "srem": lambda a, b, w, r: remainder(a, b, w),
    "and": lambda a, b, w, r: a & b,
    "or": lambda a, b, w, r: a | b,
    "xor": lambda a, b, w, r: a ^ b,
    "shl": lambda a, b, w, r: (a << b if b < w else UNSPECIFIED) & mask(w),
    "lshr": lambda a, b, w, r: a >> b if b < w else UNSPECIFIED & mask(w),
    "ashr": lambda a, b, w, r: ashr(a, b, w),
    "rotl": lambda a, b, w, r: rotl(a, b, w),
    "rotr": lambda a, b, w, r: rotl(a, -b % w, w),
    "eq": lambda a, b, w, r: int(a == b),
    "ult": lambda a, b, w, r: int(a < b),
    "slt": lambda a, b, w, r: int(signed(a, w) < signed(b, w)),
    "select": lambda c, a, b, w, r: a if c else b,
    "zext": lambda a, w, r: a,
    "sext": lambda a, w, r: signed(a, w) & mask(r),
    "trunc": lambda a, w, r: a & mask(r),
    "popcount": lambda a, w, r: a.bit_count(),
    "ctz": lambda a, w, r: ctz(a, w),
    "clz": lambda a, w, r: w - a.bit_length(),
    "bswap": lambda a, w, r: bswap(a, w),
}


def _clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def _saturated(value: int, width: int) -> int:
    return _clamp(value, -(1 << width - 1), mask(width - 1)) & mask(width)


# name -> function(a, b, width of a lane)
LANE_MEANING: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda a, b, w: (a + b) & mask(w),
    "sub": lambda a, b, w: (a - b) & mask(w),
    "mul": lambda a, b, w: a * b & mask(w),
    "mulhi_u": lambda a, b, w: a * b >> w,
    "mulhi_s": lambda a, b, w: signed(a, w) * signed(b, w) >> w & mask(w),
    "add_sat_u": lambda a, b, w: min(a + b, mask(w)),
    "add_sat_s": lambda a, b, w: _saturated(signed(a, w) + signed(b, w), w),
    "sub_sat_u": lambda a, b, w: max(a - b, 0),
    "sub_sat_s": lambda a, b, w: _saturated(signed(a, w) - signed(b, w), w),
    "average_u": lambda a, b, w: (a + b + 1) >> 1,
    "min_u": lambda a, b, w: min(a, b),
    "max_u": lambda a, b, w: max(a, b),
    "min_s": lambda a, b, w: min(signed(a, w), signed(b, w)) & mask(w),
    "max_s": lambda a, b, w: max(signed(a, w), signed(b, w)) & mask(w),
    "eq": lambda a, b, w: mask(w) if a == b else 0,
    "gt_s": lambda a, b, w: mask(w) if signed(a, w) > signed(b, w) else 0,
    "difference_u": lambda a, b, w: abs(a - b),
}


def lanewise(operation: str, lane: int, width: int, a: int, b: int) -> int:
    """`operation` on each `lane` bits of two vectors of `width` bits."""
    meaning, ones, result = LANE_MEANING[operation], mask(lane), 0
    for low in range(0, width, lane):
        result |= meaning(a >> low & ones, b >> low & ones, lane) << low
    return result
