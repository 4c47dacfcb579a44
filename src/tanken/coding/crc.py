"""Cyclic redundancy checks of 16 and 32 bits by their parameters: single messages, and rows of equal length in bulk.

The parameters are those of R. N. Williams, "A painless guide to CRC error detection algorithms" (1993): polynomial without its highest
term, initial value, reflection, final inversion. Long rows are folded by carry-less products first where the processor has them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base import native
from tanken.coding import crc_kernel, vector_code
from tanken.coding.lanes import address

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

KERNEL = "tanken.coding.crc_kernel"
SHORT = 64  # bytes below which folding does not pay


def _reverse(value: int, bits: int) -> int:
    return int(f"{value:0{bits}b}"[::-1], 2)


class Crc:
    """A check of `bits` (16 or 32) bits; `of` takes one message, `rows` an array of them."""

    def __init__(self, bits: int, polynomial: int, start: int = 0, reflected: bool = False, final: int = 0) -> None:
        self.bits, self.polynomial, self.start, self.reflected, self.final = bits, polynomial, start, reflected, final
        self.table = self._table()
        self._starts: dict[int, int] = {}

    def _table(self) -> list[int]:
        top, mask = 1 << (self.bits - 1), (1 << self.bits) - 1
        table = []
        for byte in range(256):
            value = (_reverse(byte, 8) if self.reflected else byte) << (self.bits - 8)
            for _ in range(8):
                value = ((value << 1) & mask) ^ (self.polynomial if value & top else 0)
            table.append(_reverse(value, self.bits) if self.reflected else value)
        return table

    @cached_property
    def _table_array(self) -> NDArray[np.int64]:
        return np.array(self.table, dtype=np.int64)

    def _product(self, a: int, b: int) -> int:
        out, top = 0, 1 << self.bits
        while b:
            if b & 1:
                out ^= a
            a <<= 1
            if a & top:
                a ^= top | self.polynomial
            b >>= 1
        return out

    def power(self, exponent: int) -> int:
        """x^exponent modulo the polynomial, not reflected."""
        result, square = 1, 2
        while exponent:
            if exponent & 1:
                result = self._product(result, square)
            square = self._product(square, square)
            exponent >>= 1
        return result

    @cached_property
    def _constants(self) -> Bytes:
        """What `vector_code.fold` wants: by a round, by a vector, by 16 bytes, order of the bytes of a load."""
        width, pairs = vector_code.fold_width(), []
        for shift in (32 * width, 8 * width, 128):
            if self.reflected:  # a product of reflected halves reads as times x: hence one power less
                pairs += [_reverse(self.power(shift + 63), 64), _reverse(self.power(shift - 1), 64)]
            else:
                pairs += [self.power(shift), self.power(shift + 64)]
        order = bytes(range(16)) if self.reflected else bytes(range(15, -1, -1))
        return np.frombuffer(b"".join(pair.to_bytes(8, "little") for pair in pairs) + order, dtype=np.uint8)

    def _start_after(self, length: int) -> int:
        """What the initial value has become after `length` bytes of zeros: start * x^(8 length)."""
        if length not in self._starts:
            value = _reverse(self.start, self.bits) if self.reflected else self.start
            value = self._product(value, self.power(8 * length))
            self._starts[length] = _reverse(value, self.bits) if self.reflected else value
        return self._starts[length]

    def of(self, data: bytes | bytearray | memoryview) -> int:
        """The check of one message."""
        return int(self.rows(np.frombuffer(data, dtype=np.uint8)[None, :])[0]) if len(data) else self.start ^ self.final

    def rows(self, rows: Bytes) -> NDArray[np.uint32]:
        """The checks of all rows (count, length), whose bytes are contiguous."""
        count, length = rows.shape
        module, table = _engine(self)
        if not vector_code.fold_width() or length < SHORT or rows.strides[1] != 1 or not count:
            registers = np.full(count, self.start, dtype=np.int64)
            module.run(rows, count, 0, length, table, self.bits, self.reflected, registers)
            return (registers ^ self.final).astype(np.uint32)
        folded = np.empty((count, 16), dtype=np.uint8)
        vector_code.fold()(address(rows), length // 16, address(self._constants), address(folded), count, rows.strides[0])
        registers = self._reduced(folded)
        module.run(rows, count, length // 16 * 16, length, table, self.bits, self.reflected, registers)
        return (registers ^ self._start_after(length) ^ self.final).astype(np.uint32)

    def gathered(self, strips: Bytes) -> NDArray[np.uint32]:
        """The checks (groups, count) of messages whose bytes lie in strips (groups, count, height, width), each strip contiguous."""
        groups, count, height, width = strips.shape
        length = height * width
        if not vector_code.fold_width() or length % 16 or strips.strides[3] != 1 or not groups * count:
            return self.rows(np.ascontiguousarray(strips).reshape(-1, length)).reshape(groups, count)
        folded = np.empty((groups * count, 16), dtype=np.uint8)
        vector_code.fold_gathered(height, width)(address(strips), address(self._constants), address(folded), groups, strips.strides[0], count, *strips.strides[1:3])
        return (self._reduced(folded) ^ self._start_after(length) ^ self.final).astype(np.uint32).reshape(groups, count)

    def _reduced(self, folded: Bytes) -> NDArray[np.int64]:
        """The registers after 16 bytes that were folded, from register 0."""
        module, table = _engine(self)
        registers = np.zeros(len(folded), dtype=np.int64)
        module.run(folded if self.reflected else folded[:, ::-1], len(folded), 0, 16, table, self.bits, self.reflected, registers)
        return registers


_engines: dict[int, tuple[Any, Any]] = {}


def _engine(crc: Crc) -> tuple[Any, Any]:
    if id(crc) not in _engines:
        compiled = native.twin(KERNEL)
        _engines[id(crc)] = (crc_kernel, crc.table) if compiled is None else (compiled, crc._table_array)
    return _engines[id(crc)]


DVD_EDC = Crc(32, 0x80000011)  # ECMA-267 section 16.3: x^32 + x^31 + x^4 + 1
CD_EDC = Crc(32, 0x8001801B, reflected=True)  # ECMA-130 section 14.3: (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1)
CRC32 = Crc(32, 0x04C11DB7, 0xFFFFFFFF, True, 0xFFFFFFFF)  # IEEE 802.3
CRC32_RAW = Crc(32, 0x04C11DB7, 0xFFFFFFFF, True)  # the same without the final inversion (dvdisaster)
SUBCODE_Q = Crc(16, 0x1021, final=0xFFFF)  # IEC 60908 section 17.5.1: x^16 + x^12 + x^5 + 1, stored inverted
