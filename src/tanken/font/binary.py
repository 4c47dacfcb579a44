"""Big-endian numbers out of tables that may end too early: what is not there reads as 0, and never raises.

OpenType Specification 1.9.1, data types.
"""

from __future__ import annotations


def u8(data: bytes, at: int) -> int:
    """uint8."""
    return data[at] if 0 <= at < len(data) else 0


def u16(data: bytes, at: int) -> int:
    """uint16."""
    return int.from_bytes(data[at : at + 2], "big") if 0 <= at <= len(data) - 2 else 0


def i16(data: bytes, at: int) -> int:
    """int16."""
    return (u16(data, at) + 0x8000) % 0x10000 - 0x8000


def u24(data: bytes, at: int) -> int:
    """uint24."""
    return int.from_bytes(data[at : at + 3], "big") if 0 <= at <= len(data) - 3 else 0


def u32(data: bytes, at: int) -> int:
    """uint32."""
    return int.from_bytes(data[at : at + 4], "big") if 0 <= at <= len(data) - 4 else 0


def i8(data: bytes, at: int) -> int:
    """int8."""
    return (u8(data, at) + 0x80) % 0x100 - 0x80


def tag(data: bytes, at: int) -> str:
    """Four letters."""
    return data[at : at + 4].decode("latin-1")


def fits(data: bytes, at: int, count: int, size: int) -> int:
    """How many of `count` elements of `size` bytes stand in `data` from `at` on."""
    return max(0, min(count, (len(data) - at) // size)) if at >= 0 else 0
