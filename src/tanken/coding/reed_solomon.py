"""Reed-Solomon codes over GF(2^8): encoding, syndromes, decoding with errors and erasures, for any length, first root and field.

A word is c(x), its first symbol the highest power; it is a codeword when c(alpha^(prim (first + i))) = 0 for i below n - k.
R. E. Blahut, "Algebraic Codes for Data Transmission", chapter 6; shortened words leave out leading zeros.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base import native
from tanken.base.errors import UsageError
from tanken.coding import rs_kernel, vector_code
from tanken.coding.gf256 import Field, field
from tanken.coding.lanes import Matrix, address, transpose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

FAILED = rs_kernel.FAILED
KERNEL = "tanken.coding.rs_kernel"


def _inverse(a: int) -> int:
    try:
        return pow(a, -1, 255)
    except ValueError:
        raise UsageError(f"primitive element {a}", wanted="a number without a common divisor with 255") from None


class Code:
    """RS(n, k) with generator polynomial prod (x - alpha^(prim (first + i))), i from 0 to n - k - 1.

    `field` is a Field or its polynomial. Raises UsageError for lengths that no such code has.
    """

    def __init__(self, n: int, k: int, first: int = 0, prim: int = 1, field: Field | int = 0x11D) -> None:
        if not 0 < k < n <= 255:
            raise UsageError(f"RS({n},{k})", wanted="0 < k < n <= 255")
        self.n, self.k, self.roots = n, k, n - k
        self.first, self.prim, self.inverse_prim = first % 255, prim % 255, _inverse(prim)
        self.field = _field(field)

    def __repr__(self) -> str:
        return f"Code(n={self.n}, k={self.k}, first={self.first}, prim={self.prim}, field={self.field.polynomial:#x})"

    @cached_property
    def generator(self) -> list[int]:
        """Coefficients of the generator polynomial, the highest power (1) first."""
        poly = [1]
        for i in range(self.roots):
            root = self.field.power(self.prim * (self.first + i))
            shifted = [*poly, 0]
            for j, value in enumerate(poly):
                shifted[j + 1] ^= self.field.mul(value, root)
            poly = shifted
        return poly

    @cached_property
    def parity_matrix(self) -> Bytes:
        """Shape (roots, k): parity = parity_matrix x data. Column j is the remainder of x^(n - 1 - j)."""
        columns = np.zeros((self.roots, self.k), dtype=np.uint8)
        remainder = [0] * (self.roots - 1) + [1]  # of x^0; multiplied by x until x^roots and further
        for power in range(1, self.n):
            top = remainder[0]
            remainder = [value ^ self.field.mul(top, g) for value, g in zip([*remainder[1:], 0], self.generator[1:], strict=True)]
            if power >= self.roots:
                columns[:, self.n - 1 - power] = remainder
        return columns

    @cached_property
    def check_matrix(self) -> Bytes:
        """Shape (roots, n): syndromes = check_matrix x word."""
        powers = self.prim * (self.first + np.arange(self.roots))[:, None] * np.arange(self.n - 1, -1, -1)[None, :]
        matrix: Bytes = self.field.exp_array[powers % 255]
        return matrix

    @cached_property
    def _encoder(self) -> Matrix:
        return Matrix(self.field, self.parity_matrix)

    @cached_property
    def _checker(self) -> Matrix:
        return Matrix(self.field, self.check_matrix)

    def parity_lanes(self, lanes: Bytes, out: Bytes | None = None) -> Bytes:
        """Parity of many words at once: lanes has shape (k, words), the result (roots, words)."""
        return self._encoder.times(lanes, out)

    def syndrome_lanes(self, lanes: Bytes, out: Bytes | None = None) -> Bytes:
        """Syndromes of many words at once: lanes has shape (n, words), the result (roots, words); a codeword has only zeros."""
        return self._checker.times(lanes, out)

    def first_syndromes(self, blocks: Bytes, count: int) -> Bytes:
        """The first `count` syndromes of the columns of many blocks: blocks has shape (pieces, n, lanes), the result (pieces, count, lanes).

        They are zero for codewords, and for no word that differs from one in 1 to `count` symbols.
        """
        pieces, _, lanes = blocks.shape
        if not pieces or not vector_code.width() or lanes < vector_code.width() or blocks.strides[2] != 1:
            return np.ascontiguousarray(self.syndrome_lanes(blocks)[:, :count])
        out = np.empty((pieces, count, lanes), dtype=np.uint8)
        powers = [self.field.power(self.prim * (self.first + i)) for i in range(count)]
        kernel = vector_code.evaluation(tuple((x, self.field.nibble_tables[x].tobytes()) for x in powers), self.field.polynomial, lanes)
        kernel(address(out), address(blocks), self.n, blocks.strides[1], pieces, blocks.strides[0])
        return out

    def row_parity(self, data: Bytes) -> Bytes:
        """Parity (roots, words), as lanes, of messages (words, k) that lie in rows."""
        return self._encoder.times_rows(data)

    def row_syndromes(self, words: Bytes, out: Bytes | None = None) -> Bytes:
        """Syndromes (roots, words), as lanes, of words (words, n) that lie in rows."""
        return self._checker.times_rows(words, out)

    def encode(self, data: Bytes) -> Bytes:
        """Codewords (words, n) of messages (words, k) or one message (k,)."""
        rows = np.atleast_2d(np.asarray(data, dtype=np.uint8))
        if rows.shape[1] != self.k:
            raise UsageError(f"messages of {rows.shape[1]} symbols", wanted=str(self.k), where=repr(self))
        parity = transpose(self._encoder.times_rows(rows))
        words = np.concatenate([rows, parity], axis=1)
        return words if np.ndim(data) == 2 else words[0]

    def syndromes(self, words: Bytes) -> Bytes:
        """Syndromes, shape (words, roots), of words (words, n)."""
        return transpose(self.row_syndromes(np.ascontiguousarray(words, dtype=np.uint8)))

    def decode(self, words: Bytes, erasures: Bytes | None = None) -> NDArray[np.int16]:
        """Corrects the words (words, n) in place; returns for each the number of symbols changed, FAILED (-1) where that is impossible.

        `erasures`, of the same shape, is not 0 where a symbol is not to be trusted. 2 errors + erasures <= n - k are corrected for sure;
        a word beyond that fails or, rarely, becomes another codeword.
        """
        if words.ndim != 2 or words.shape[1] != self.n or words.dtype != np.uint8:
            raise UsageError(f"words of shape {words.shape} and type {words.dtype}", wanted=f"(any, {self.n}) of uint8", where=repr(self))
        if erasures is not None and erasures.shape != words.shape:
            raise UsageError(f"erasures of shape {erasures.shape}", wanted=str(words.shape), where=repr(self))
        return self.correct(words, self.row_syndromes(words), erasures)

    def correct(self, words: Bytes, lanes: Bytes, erasures: Bytes | None = None) -> NDArray[np.int16]:
        """As `decode`, with the syndromes (roots, words) already there."""
        status = np.zeros(len(words), dtype=np.int16)
        touched = np.bitwise_or.reduce(lanes, axis=0)
        if not touched.any():
            return status
        module, numbers, scratch = _engine(self.field.polynomial)
        rest = (len(words), self.roots, self.n, *numbers, self.first, self.prim, self.inverse_prim, status)
        if erasures is None:
            module.correct(words, lanes, touched, *rest, scratch[0], scratch[1], scratch[2], scratch[4])
        else:
            module.correct_erased(words, lanes, erasures, *rest, *scratch)
        return status

    def filler(self, missing: tuple[int, ...]) -> tuple[Matrix, Matrix]:
        """For words whose symbols `missing` are unknown (and taken as 0): values = first x syndromes, and second x syndromes is 0 if all else was right.

        Raises UsageError when more are missing than there are roots.
        """
        if len(missing) > self.roots:
            raise UsageError(f"{len(missing)} symbols missing", wanted=f"at most {self.roots}", where=repr(self))
        return _filler(self.n, self.k, self.first, self.prim, self.field.polynomial, missing)


def _field(given: Field | int) -> Field:
    return given if isinstance(given, Field) else field(given)


@cache
def code(n: int, k: int, first: int = 0, prim: int = 1, polynomial: int = 0x11D) -> Code:
    """A code, made once."""
    return Code(n, k, first, prim, polynomial)


_fillers: dict[tuple[int, int, int, int, int, tuple[int, ...]], tuple[Matrix, Matrix]] = {}
MOST_FILLERS = 4096


def _filler(n: int, k: int, first: int, prim: int, polynomial: int, missing: tuple[int, ...]) -> tuple[Matrix, Matrix]:
    key = (n, k, first, prim, polynomial, missing)
    if key not in _fillers:
        if len(_fillers) >= MOST_FILLERS:
            _fillers.clear()
        made = code(n, k, first, prim, polynomial)
        check, count = made.check_matrix[:, list(missing)], len(missing)
        values = np.zeros((count, made.roots), dtype=np.uint8)
        values[:, :count] = made.field.inverse(check[:count])
        rest = made.field.matmul(check[count:], values)
        rest[:, count:] ^= np.eye(made.roots - count, dtype=np.uint8)
        _fillers[key] = Matrix(made.field, values), Matrix(made.field, rest)
    return _fillers[key]


@cache
def _engine(polynomial: int) -> tuple[Any, tuple[Any, Any], tuple[Any, ...]]:
    """The kernel, the field's tables and scratch: arrays where it is compiled, lists where it runs as plain Python."""
    made, compiled = field(polynomial), native.twin(KERNEL)
    sizes = (256, 256, 256, 256, rs_kernel.WORK)
    if compiled is None:
        return rs_kernel, (made.exp, made.log), tuple([0] * size for size in sizes)
    tables = np.array(made.exp, dtype=np.int64), made.log_array
    return compiled, tables, tuple(np.zeros(size, dtype=np.int64) for size in sizes)
