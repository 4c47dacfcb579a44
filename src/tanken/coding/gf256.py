"""Fields of 256 elements: tables of powers and logarithms, products of arrays, and linear algebra over them.

A field is named by its polynomial, a bit a power of x: 0x11D (ECMA-267 section 18, ECMA-130 annex A, Linux RAID-6 and RAID-Z),
0x187 (CCSDS 131.0-B, dvdisaster). Every polynomial of degree 8 in which x generates all 255 non-zero elements is accepted.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base import native
from tanken.base.errors import UsageError
from tanken.coding import rs_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

KERNEL = "tanken.coding.rs_kernel"
ORDER = 255  # of the multiplicative group


class Field:
    """GF(2^8) modulo `polynomial`; elements are integers 0 to 255, alpha is 2. Raises UsageError if alpha does not generate the field."""

    def __init__(self, polynomial: int) -> None:
        self.polynomial = polynomial
        exp, log = [0] * (2 * ORDER + 2), [0] * 256
        value = 1
        for power in range(ORDER):
            if power and value == 1:
                raise UsageError(f"polynomial {polynomial:#x}", wanted="a primitive polynomial of degree 8, such as 0x11d")
            exp[power] = exp[power + ORDER] = value
            log[value] = power
            value <<= 1
            if value & 0x100:
                value ^= polynomial
        if value != 1 or not 0x100 <= polynomial < 0x200:
            raise UsageError(f"polynomial {polynomial:#x}", wanted="a primitive polynomial of degree 8, such as 0x11d")
        self.exp, self.log = exp, log

    def __repr__(self) -> str:
        return f"Field({self.polynomial:#x})"

    def mul(self, a: int, b: int) -> int:
        """The product of two elements."""
        return self.exp[self.log[a] + self.log[b]] if a and b else 0

    def inv(self, a: int) -> int:
        """The inverse of `a`; raises ZeroDivisionError for 0."""
        if not a:
            raise ZeroDivisionError("0 has no inverse")
        return self.exp[ORDER - self.log[a]]

    def power(self, exponent: int) -> int:
        """alpha to the power of any integer."""
        return self.exp[exponent % ORDER]

    @cached_property
    def exp_array(self) -> Bytes:
        """Powers 0 to 511 of alpha."""
        return np.array(self.exp, dtype=np.uint8)

    @cached_property
    def log_array(self) -> NDArray[np.int64]:
        """Logarithms; that of 0 is 0 and means nothing."""
        return np.array(self.log, dtype=np.int64)

    @cached_property
    def products(self) -> Bytes:
        """All products, shape (256, 256)."""
        sums = self.log_array[:, None] + self.log_array[None, :]
        table: Bytes = self.exp_array[sums]
        table[0, :] = table[:, 0] = 0
        return table

    @cached_property
    def nibble_tables(self) -> Bytes:
        """For each constant its products with 0 to 15 and with 0, 16 to 240: shape (256, 32). A product is the sum of two look-ups."""
        low, high = self.products[:, :16], self.products[:, ::16]
        return np.ascontiguousarray(np.concatenate([low, high], axis=1))

    def matmul(self, a: Bytes, b: Bytes) -> Bytes:
        """The product of two small matrices."""
        out = np.zeros((a.shape[0], b.shape[1]), dtype=np.uint8)
        for k in range(a.shape[1]):
            out ^= self.products[a[:, k][:, None], b[k][None, :]]
        return out

    def inverse(self, matrix: Bytes) -> Bytes:
        """The inverse of a square matrix; raises ZeroDivisionError for a singular one."""
        module, exp, log = self._linear
        work, out = np.array(matrix, dtype=np.uint8), np.empty(matrix.shape, dtype=np.uint8)
        if not module.invert(work, out, len(work), exp, log):
            raise ZeroDivisionError("the matrix is singular")
        return out

    @cached_property
    def _linear(self) -> tuple[Any, Any, Any]:
        """The kernel of linear algebra and its tables: compiled, or plain with lists."""
        compiled = native.twin(KERNEL)
        if compiled is None:
            return rs_kernel, self.exp, self.log
        return compiled, np.array(self.exp, dtype=np.uint8), self.log_array


@cache
def field(polynomial: int = 0x11D) -> Field:
    """The field of a polynomial, made once."""
    return Field(polynomial)
