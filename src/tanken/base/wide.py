"""Bytes several at a time: what a kernel does with one machine instruction where plain indexing would go byte by byte.

In plain Python these are slices; in a kernel's compiled twin each is one unaligned load, store or bit count, unchecked: the caller keeps inside the arrays.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Any

from tanken.base.native import primitive


@primitive
def copy16(to: MutableSequence[int], at: int, source: Sequence[int], position: int) -> None:
    """Copies 16 bytes of `source` from `position` on to `to` at `at`; both have as many there."""
    to[at : at + 16] = source[position : position + 16]


@primitive
def store8(to: MutableSequence[int], at: int, word: int) -> None:
    """Stores the 8 bytes of `word`, the lowest first, at `at`."""
    to[at : at + 8] = (word & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "little")


@primitive
def load8(source: Any, position: int) -> int:
    """The 8 bytes at `position` as a signed number, the first byte the lowest."""
    return int.from_bytes(source[position : position + 8], "little", signed=True)


@primitive
def bit_length(word: int) -> int:
    """Bits of the number without leading zeros; of a negative one 64."""
    return word.bit_length() if word >= 0 else 64


@primitive
def put(table: MutableSequence[int], index: int, value: int) -> None:
    """`table[index] = value` for an index that is never negative."""
    table[index] = value


@primitive
def item(table: Sequence[int], index: int) -> int:
    """`table[index]` for an index that is never negative."""
    return table[index]
