"""Arithmetic of binary polynomials on integers: the rounds of AES, products without carries, and affine maps of bytes.

FIPS 197 (AES); Intel SDM volume 2, AESENC to AESKEYGENASSIST, PCLMULQDQ, GF2P8AFFINEQB, GF2P8AFFINEINVQB, GF2P8MULB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import xor

POLYNOMIAL = 0x11B  # x8 + x4 + x3 + x + 1


def product(a: int, b: int) -> int:
    """Of two polynomials over GF(2)."""
    result = 0
    while b:
        result ^= a * (b & -b)
        b &= b - 1
    return result


def multiply(a: int, b: int) -> int:
    """In GF(2^8)."""
    result = product(a, b)
    for bit in range(14, 7, -1):
        if result >> bit & 1:
            result ^= POLYNOMIAL << bit - 8
    return result


def _multiples() -> dict[int, bytes]:
    """The bytes times each of some factors: sums of their doubles."""
    double = [a << 1 ^ (POLYNOMIAL if a & 128 else 0) for a in range(256)]
    quadruple = [double[a] for a in double]
    powers = {1: list(range(256)), 2: double, 4: quadruple, 8: [double[a] for a in quadruple]}
    found = {}
    for factor in (1, 2, 3, 9, 11, 13, 14):
        parts = [table for power, table in powers.items() if factor & power]
        found[factor] = bytes(reduce(xor, (table[a] for table in parts)) for a in range(256))
    return found


TIMES = _multiples()


def _inverses() -> list[int]:
    """In GF(2^8), that of 0 being 0: 3 is a generator, and its power n is the inverse of its power 255 - n (FIPS 197, 4.2)."""
    powers, found = [1], [0] * 256
    while len(powers) < 255:
        powers.append(TIMES[3][powers[-1]])
    for n, power in enumerate(powers):
        found[power] = powers[-n % 255]
    return found


def affine(a: int, matrix: int, constant: int) -> int:
    """The byte `a` times a matrix of 8 rows, the first in the highest byte, plus a constant."""
    return sum(((matrix >> 56 - 8 * bit & 255 & a).bit_count() & 1) << bit for bit in range(8)) ^ constant


INVERSES = _inverses()
SBOX = bytes(affine(inverted, 0xF1E3C78F1F3E7CF8, 0x63) for inverted in INVERSES)
SBOX_INVERSE = bytes(SBOX.index(a) for a in range(256))
FORWARD, BACKWARD = (2, 3, 1, 1), (14, 11, 13, 9)
SHIFT = [(n + 4 * (n % 4)) % 16 for n in range(16)]  # the byte that comes to place n: row n % 4 turns by as many columns
SHIFT_INVERSE = [(n - 4 * (n % 4)) % 16 for n in range(16)]


def _bytes(value: int) -> bytes:
    return value.to_bytes(16, "little")


def _mix(state: Sequence[int], factors: Sequence[int]) -> bytes:
    """Each column times a polynomial."""
    out = bytearray()
    for column in range(0, 16, 4):
        for row in range(4):
            byte = 0
            for other in range(4):
                byte ^= TIMES[factors[(other - row) % 4]][state[column + other]]
            out.append(byte)
    return bytes(out)


def _round(value: int, key: int, order: Sequence[int], box: bytes, factors: Sequence[int]) -> tuple[int]:
    old = _bytes(value)
    state = bytes(box[old[n]] for n in order)
    return (int.from_bytes(_mix(state, factors) if factors else state, "little") ^ key,)


def aesenc(value: int, key: int) -> tuple[int]:
    return _round(value, key, SHIFT, SBOX, FORWARD)


def aesenclast(value: int, key: int) -> tuple[int]:
    return _round(value, key, SHIFT, SBOX, ())


def aesdec(value: int, key: int) -> tuple[int]:
    return _round(value, key, SHIFT_INVERSE, SBOX_INVERSE, BACKWARD)


def aesdeclast(value: int, key: int) -> tuple[int]:
    return _round(value, key, SHIFT_INVERSE, SBOX_INVERSE, ())


def aesimc(value: int) -> tuple[int]:
    return (int.from_bytes(_mix(_bytes(value), BACKWARD), "little"),)


def aeskeygenassist(value: int, constant: int) -> tuple[int]:
    """Of the second and fourth words: substituted, and turned and with the round constant."""
    state, out = _bytes(value), b""
    for at in (4, 12):
        word = bytes(SBOX[byte] for byte in state[at : at + 4])
        out += word + (int.from_bytes(word[1:] + word[:1], "little") ^ constant).to_bytes(4, "little")
    return (int.from_bytes(out, "little"),)


def pclmul(a: int, b: int) -> tuple[int]:
    return (product(a, b),)


def _each(function: Callable[[int, int], int], a: int, b: int) -> tuple[int]:
    """On each byte of `a` with the byte of `b` in its place."""
    return (int.from_bytes(bytes(function(m, n) for m, n in zip(_bytes(a), _bytes(b), strict=True)), "little"),)


def gf2p8mul(a: int, b: int) -> tuple[int]:
    return _each(multiply, a, b)


def _affine(values: Sequence[int], matrices: int, constant: int) -> tuple[int]:
    """Eight bytes to a matrix."""
    out = bytes(affine(byte, matrices >> 64 * (n // 8) & (1 << 64) - 1, constant) for n, byte in enumerate(values))
    return (int.from_bytes(out, "little"),)


def gf2p8affine(a: int, matrices: int, constant: int) -> tuple[int]:
    return _affine(_bytes(a), matrices, constant)


def gf2p8affineinv(a: int, matrices: int, constant: int) -> tuple[int]:
    return _affine([INVERSES[byte] for byte in _bytes(a)], matrices, constant)
