"""Values that instructions are tried on: edges of every width, floats of every kind, and anything.

IEEE 754-2008 and Intel SDM volume 1, 4.2 (formats).
"""

from __future__ import annotations

import random

ONES = (1 << 64) - 1
EDGES = [0, 1, 2, ONES, ONES - 1, *(n for w in (8, 16, 32, 64) for n in ((1 << w - 1) - 1, 1 << w - 1, (1 << w) - 1)), 0xFFFF_FFFF_8000_0000]
DOUBLES = [0, 1 << 63, 0x3FF << 52, 0xBFF << 52, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48, 0x7FF0_0000_0000_0001, 1, (1 << 52) - 1, 1 << 52,
           0x7FEF_FFFF_FFFF_FFFF, 0x4330 << 48, 0x41DF_FFFF_FFC0_0000, 0xC1E0_0000_0000_0000, 0x43E0 << 48, 0x3FE0 << 48, 0x4004 << 48]  # fmt: skip
SINGLES = [0, 1 << 31, 0x3F80_0000, 0xBF80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7F80_0001, 1, 0x7F_FFFF, 0x80_0000,
           0x7F7F_FFFF, 0x4B00_0000, 0x4F00_0000, 0xCF00_0000, 0x3F00_0000, 0x4020_0000]  # fmt: skip


def value(rng: random.Random, bits: int = 64) -> int:
    """An edge value, a power of two, something small or anything."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(EDGES) & (1 << bits) - 1
    if kind == 3:
        return 1 << rng.randrange(bits)
    if kind == 4:
        return rng.choice((rng.randrange(70), -rng.randrange(70))) & (1 << bits) - 1
    return rng.getrandbits(bits)


def float_lanes(rng: random.Random, width: int) -> int:
    """128 bits as floats: special ones, integers, near ones and anything."""
    specials, count = (DOUBLES, 2) if width == 64 else (SINGLES, 4)
    fraction = 52 if width == 64 else 23
    bias = 0x3FF if width == 64 else 0x7F
    result = 0
    for _ in range(count):
        kind = rng.randrange(4)
        lane = rng.choice(specials)
        if kind == 1:
            lane = rng.getrandbits(width)
        elif kind >= 2:
            lane = rng.getrandbits(1) << width - 1 | bias + rng.randrange(-70, 70) << fraction | rng.choice((0, rng.getrandbits(fraction)))
        result = result << width | lane
    return result


def vector(rng: random.Random) -> int:
    kind = rng.randrange(4)
    if kind < 2:
        return float_lanes(rng, 64 if kind else 32)
    if kind == 2:
        return sum(value(rng, 16) << 16 * n for n in range(8))
    return rng.getrandbits(128)


def extended(rng: random.Random) -> int:
    """80 bits: mostly numbers, sometimes what is none."""
    kind, sign = rng.randrange(8), rng.getrandbits(1) << 79
    unit = 1 << 63
    if kind == 0:
        return rng.getrandbits(80)
    if kind == 1:
        return sign | rng.choice((0, 1, unit, 0x7FFF << 64 | unit, 0x7FFF << 64 | 0xC << 60, 0x7FFF << 64 | unit | 1, 0x3FFF << 64 | unit, 1 << 64 | unit))
    digits = rng.choice((rng.getrandbits(63), rng.getrandbits(63) >> 40 << 40, rng.getrandbits(8) << 55))
    return sign | 0x3FFF + rng.choice((rng.randrange(-70, 70), rng.randrange(-3, 3), rng.randrange(-1200, 1200))) << 64 | unit | digits
