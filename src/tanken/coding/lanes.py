"""Linear algebra over GF(2^8) on lanes of bytes: every row of a block of memory is a vector, multiplied and added as a whole.

Parity, syndromes and the filling of erasures are all one product: matrix times lanes. Vector code does it where the processor has it
(`vector_code`), NumPy look-ups elsewhere; the pool's parity and the disc's codes stand on this one function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import UsageError
from tanken.coding import vector_code
from tanken.coding.gf256 import Field

if TYPE_CHECKING:
    from tanken.coding.gf256 import Bytes


class Matrix:
    """A constant matrix over a field, of shape (rows, columns), prepared for multiplying lanes."""

    def __init__(self, field: Field, matrix: Bytes) -> None:
        self.field = field
        self.matrix = np.ascontiguousarray(matrix, dtype=np.uint8)
        self.rows, self.columns = self.matrix.shape
        self._tiles: list[tuple[int, int, Bytes]] | None = None

    def tiles(self) -> list[tuple[int, int, Bytes]]:
        """First row, count of rows and look-up tables (columns, rows, 32) of each group of rows that is done at once."""
        if self._tiles is None:
            groups = -(-self.rows // vector_code.MOST_ROWS)
            bounds = [self.rows * i // groups for i in range(groups + 1)] if groups else [0]
            self._tiles = [
                (first, last - first, np.ascontiguousarray(self.field.nibble_tables[self.matrix[first:last].T]))
                for first, last in zip(bounds, bounds[1:], strict=False)
            ]
        return self._tiles

    def times(self, lanes: Bytes, out: Bytes | None = None) -> Bytes:
        """matrix x lanes: lanes of shape (columns, length), rows contiguous; the result has shape (rows, length).

        A third axis in front, of lanes and result, means that many products at once.
        """
        if lanes.ndim not in (2, 3) or lanes.shape[-2] != self.columns:
            raise UsageError(f"lanes of shape {lanes.shape}", wanted=f"({self.columns}, any)", where="coding.lanes")
        if out is None:
            out = np.empty((*lanes.shape[:-2], self.rows, lanes.shape[-1]), dtype=np.uint8)
        length, size = lanes.shape[-1], vector_code.width()
        if not lanes.size or not out.size:
            out[:] = 0
        elif not size or lanes.strides[-1] != 1 or out.strides[-1] != 1:
            self._look_up(lanes, out)
        elif length < size:
            self._short(lanes, out, size)
        else:
            whole = length // size * size
            self._vectors(lanes, out, 0, whole)
            if whole < length:  # the last vector overlaps the one before it
                self._vectors(lanes, out, length - size, size)
        return out

    def times_rows(self, rows: Bytes, out: Bytes | None = None) -> Bytes:
        """The products with vectors that lie in rows: rows of shape (count, columns), the result (self.rows, count) as lanes."""
        if rows.ndim != 2 or rows.shape[1] != self.columns:
            raise UsageError(f"rows of shape {rows.shape}", wanted=f"(any, {self.columns})", where="coding.lanes")
        count = len(rows)
        if out is None:
            out = np.empty((self.rows, count), dtype=np.uint8)
        if not vector_code.width() or count < vector_code.CHUNK or self.columns < vector_code.TILE or rows.strides[1] != 1 or out.strides[1] != 1:
            return self.times(transpose(rows), out)
        buffer = np.empty(vector_code.CHUNK * self.columns, dtype=np.uint8)
        for first, height, tables in self.tiles():
            target = address(out) + first * out.strides[0]
            vector_code.row_matrix(height)(target, address(rows), address(tables), self.columns, count, rows.strides[0], out.strides[0], address(buffer))
        return out

    def _vectors(self, lanes: Bytes, out: Bytes, start: int, length: int) -> None:
        source, target = address(lanes) + start, address(out) + start
        pieces, step, out_step = (len(lanes), lanes.strides[0], out.strides[0]) if lanes.ndim == 3 else (1, 0, 0)
        stride, out_stride = lanes.strides[-2], out.strides[-2]
        for first, count, tables in self.tiles():
            vector_code.matrix(count)(target + first * out_stride, source, address(tables), self.columns, length, stride, out_stride, pieces, step, out_step)

    def _short(self, lanes: Bytes, out: Bytes, size: int) -> None:
        """Fewer lanes than a vector holds, in a vector of their own."""
        padded = np.zeros((*lanes.shape[:-1], size), dtype=np.uint8)
        padded[..., : lanes.shape[-1]] = lanes
        result = np.empty((*out.shape[:-1], size), dtype=np.uint8)
        self._vectors(padded, result, 0, size)
        out[:] = result[..., : lanes.shape[-1]]

    def _look_up(self, lanes: Bytes, out: Bytes) -> None:
        """The same by NumPy alone: the slow, obvious way."""
        out[:] = 0
        for column in range(self.columns):
            source = lanes[..., column, :]
            for row in np.flatnonzero(self.matrix[:, column]):
                out[..., row, :] ^= self.field.products[self.matrix[row, column]][source]


def transpose(data: Bytes) -> Bytes:
    """The transpose of a matrix of bytes, contiguous."""
    rows, columns = data.shape
    if not _fits(rows, columns) or data.strides[1] != 1:
        return np.ascontiguousarray(data.T)
    out = np.empty((columns, rows), dtype=np.uint8)
    transpose_into(out, data)
    return out


def transpose_into(out: Bytes, data: Bytes) -> None:
    """Writes the transpose of `data` into `out`, whose rows may be longer apart; rows are contiguous."""
    rows, columns = data.shape
    if not _fits(rows, columns):
        out[:columns, :rows] = data.T
        return
    vector_code.transpose()(address(out), address(data), rows, columns, data.strides[0], out.strides[0])


def _fits(rows: int, columns: int) -> bool:
    size = vector_code.width()
    return size > 0 and rows >= size and columns >= vector_code.TILE


def address(array: Bytes) -> int:
    """Where an array's first element lies."""
    found: int = array.__array_interface__["data"][0]
    return found
