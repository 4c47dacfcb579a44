"""Charstring bytes as tokens: numbers, operators, masks, and bytes that are none of them; every byte belongs to one token.

Adobe Technical Note 5177, sections 3.2 and 4; the same ranges hold in CFF2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tanken.base.records import Record
from tanken.isa.charstring.rows import Operator, by_opcode

SHORT, LONG = 28, 255


@dataclass(frozen=True, slots=True, repr=False)
class Token(Record):
    """A token at `offset`: a number (`value`, 16.16), an operator (`operator`, None where nothing is known of `opcode`) with its `mask`, or rest."""

    HEX: ClassVar[frozenset[str]] = frozenset({"offset"})

    offset: int
    raw: bytes
    kind: str  # number, operator, cut
    value: int = 0
    opcode: int = -1
    operator: Operator | None = None
    mask: bytes = b""

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + len(self.raw)

    @property
    def mnemonic(self) -> str:
        """The operator's name, `op:HEX` where it has none."""
        if self.operator is not None:
            return self.operator.mnemonic
        return f"op:{self.opcode:02x}" if self.opcode < 256 else f"op:{self.opcode:04x}"


def number_at(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """The number at `at` as 16.16 and the position behind it; None where the bytes end first."""
    byte = data[at]
    if byte == SHORT:
        return (int.from_bytes(data[at + 1 : at + 3], "big", signed=True) << 16, at + 3) if at + 3 <= end else None
    if byte == LONG:
        return (int.from_bytes(data[at + 1 : at + 5], "big", signed=True), at + 5) if at + 5 <= end else None
    if byte < 247:
        return byte - 139 << 16, at + 1
    if at + 2 > end:
        return None
    low = data[at + 1] + 108
    return ((byte - 247) * 256 + low if byte < 251 else -(byte - 251) * 256 - low) << 16, at + 2


def token_at(data: bytes, at: int, end: int, mask_size: int = 0, cff2: bool = False) -> Token:
    """The token at `at`, before `end`; `mask_size` bytes belong to a hintmask or cntrmask."""
    byte = data[at]
    if byte >= 32 or byte == SHORT:
        number = number_at(data, at, end)
        if number is None:
            return Token(at, data[at:end], "cut")
        return Token(at, data[at : number[1]], "number", number[0])
    opcode, size = byte, 1
    if byte == 12:
        if at + 1 >= end:
            return Token(at, data[at:end], "cut")
        opcode, size = 0x0C00 | data[at + 1], 2
    operator = by_opcode(cff2).get(opcode)
    mask = data[at + size : min(at + size + mask_size, end)] if operator is not None and operator.mask else b""
    return Token(at, data[at : at + size + len(mask)], "operator", 0, opcode, operator, mask)


def tokens(data: bytes, start: int = 0, end: int | None = None, hints: int = 0, cff2: bool = False) -> Iterator[Token]:
    """All tokens of a body, read from top to bottom; calls are taken to leave the hints as they are, and numbers on the stack are counted."""
    pos, stop, depth = start, len(data) if end is None else end, 0
    while pos < stop:
        byte = data[pos]
        if byte in (1, 3, 18, 23, 19, 20):
            hints += depth // 2
        token = token_at(data, pos, stop, (hints + 7) // 8, cff2)
        if token.kind == "number":
            depth += 1
        elif token.operator is not None:
            depth = 0 if token.operator.clears else max(depth - token.operator.takes, 0) + token.operator.gives
        yield token
        pos = token.end
