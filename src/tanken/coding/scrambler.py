"""Scramblers: the bytes that a linear feedback shift register of 15 bits gives, added to data so that it looks random.

DVD: ECMA-267 section 17 (x^15 + x^4 + 1, shifted to the left, its low byte is the output). CD: ECMA-130 annex B (x^15 + x + 1, the lowest bit
is the output, least significant bit of a byte first).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tanken.coding.gf256 import Bytes

PERIOD = 32767


@cache
def dvd_sequence() -> Bytes:
    """One period of low bytes, 8 shifts apart, from the register 0x0001; byte i + 32,767 is byte i."""
    out, register = bytearray(), 1
    for _ in range(PERIOD):
        out.append(register & 0xFF)
        for _ in range(8):
            register = (register << 1 | (register >> 14 ^ register >> 10) & 1) & 0x7FFF
    return np.frombuffer(bytes(out), dtype=np.uint8)


def dvd_mask(number: int, length: int = 2048) -> Bytes:
    """The bytes for initial value `number` (0 to 15): the sequence from byte 2,048 x number on."""
    start = 2048 * number
    return dvd_sequence()[np.arange(start, start + length) % PERIOD]


@cache
def cd_mask(length: int = 2340) -> Bytes:
    """The bytes that are added to bytes 12 to 2351 of a sector, from the register 0x0001."""
    out, register = bytearray(), 1
    for _ in range(length):
        byte = 0
        for bit in range(8):
            byte |= (register & 1) << bit
            register = register >> 1 | ((register ^ register >> 1) & 1) << 14
        out.append(byte)
    return np.frombuffer(bytes(out), dtype=np.uint8)
