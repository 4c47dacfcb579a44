"""Numbers of a charstring: 16.16 fixed, kept in 64 bits; how they stand in its bytes, and arithmetic on them.

Adobe Technical Note 5177, sections 3.2 and 4.4. Plain Python that Numba compiles.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import bare

ONE = 65536


@bare
def wrap(value: int) -> int:
    """A 16.16 number, wrapped into 32 bits."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@bare
def numeral(data: Any, first: int, pos: int, end: int) -> tuple[int, int]:
    """The number that begins with the byte `first` before `pos`, and the position behind it; -1 where the bytes end first."""
    if first >= 32 and first < 247:
        return (first - 139) << 16, pos
    if first == 28:
        return (wrap((data[pos] * 256 + data[pos + 1]) * 65536), pos + 2) if pos + 2 <= end else (0, -1)
    if first < 255:
        if pos >= end:
            return 0, -1
        value = ((first - 247) << 8) + data[pos] + 108 if first < 251 else -((first - 251) << 8) - data[pos] - 108
        return value << 16, pos + 1
    return (wrap(((data[pos] * 256 + data[pos + 1]) * 256 + data[pos + 2]) * 256 + data[pos + 3]), pos + 4) if pos + 4 <= end else (0, -1)


@bare
def multiply(a: int, b: int) -> int:
    """The product of two 16.16 numbers, rounded half away from zero."""
    product = abs(a) * abs(b) + 0x8000 >> 16
    return wrap(product if (a < 0) == (b < 0) else -product)


@bare
def divide(a: int, b: int) -> int:
    """The quotient of two 16.16 numbers, rounded half away from zero; the largest number where `b` is 0."""
    if b == 0:
        return 0x7FFFFFFF if a >= 0 else -0x7FFFFFFF
    quotient = ((abs(a) << 16) + (abs(b) >> 1)) // abs(b)
    quotient = min(quotient, 0x7FFFFFFF)
    return quotient if (a < 0) == (b < 0) else -quotient


@bare
def square_root(a: int) -> int:
    """The root of a 16.16 number, rounded down; 0 where it is negative."""
    if a <= 0:
        return 0
    wanted = a << 16
    low, high = 0, 1 << 24
    while low < high:
        middle = (low + high + 1) >> 1
        if middle * middle <= wanted:
            low = middle
        else:
            high = middle - 1
    return low
