"""Charstrings as text and back: words that say every byte, so that assembling gives the same bytes again.

Operators have the names of `type2.map`. A number without a mark has its shortest form; `:28` and `:255` name a longer one, a decimal
point means 16.16. `#e0` behind a mask are its bytes; `op:HEX` is an operator without a name, `bytes:HEX` what is no token. `;` begins a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from tanken.base.errors import InputError
from tanken.isa.charstring.decode import LONG, SHORT, Token
from tanken.isa.charstring.rows import by_name

NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)(?::(28|255))?")


def number_text(value: int) -> str:
    """A 16.16 number in decimal, exactly."""
    return str(value >> 16) if not value & 0xFFFF else format(Decimal(value) / 65536, "f")


def word(token: Token) -> str:
    """The words of a token."""
    if token.kind == "cut":
        return f"bytes:{token.raw.hex()}"
    if token.kind == "operator":
        return f"{token.mnemonic} #{token.mask.hex()}" if token.mask or (token.operator is not None and token.operator.mask) else token.mnemonic
    if token.raw[0] == LONG:
        return number_text(token.value) + ("" if token.value & 0xFFFF else ":255")
    plain = number_text(token.value)
    return plain if token.raw == shortest(token.value >> 16) else f"{plain}:28"


def shortest(value: int) -> bytes:
    """The shortest form of a whole number of 16 bits."""
    if -107 <= value <= 107:
        return bytes([value + 139])
    if 108 <= value <= 1131:
        return bytes([247 + (value - 108 >> 8), value - 108 & 255])
    if -1131 <= value <= -108:
        return bytes([251 + (-value - 108 >> 8), -value - 108 & 255])
    return bytes([SHORT]) + value.to_bytes(2, "big", signed=True)


def source(tokens: Iterable[Token]) -> str:
    """The text of a body: a line for each operator, its operands in front of it."""
    lines, words = [], list[str]()
    for token in tokens:
        words.append(word(token))
        if token.kind != "number":
            lines.append(" ".join(words))
            words = []
    return "\n".join([*lines, " ".join(words)] if words else lines) + "\n"


def assemble(text: str, name: str = "<text>") -> bytes:
    """The bytes of a charstring's text; raises InputError with line and word."""
    out = b""
    for number, line in enumerate(text.splitlines(), 1):
        for piece in line.split(";")[0].split():
            out += _piece(piece, f"{name}:{number}")
    return out


def _piece(piece: str, where: str) -> bytes:
    operators = by_name()
    if piece in operators:
        return operators[piece].code
    head, mark, digits = piece.partition("#") if piece[0] == "#" else piece.partition(":")
    if mark and head in ("", "op", "bytes"):
        try:
            return bytes.fromhex(digits)
        except ValueError as error:
            raise InputError(f"{piece!r}", where=where, wanted="pairs of hexadecimal digits") from error
    match = NUMBER.fullmatch(piece)
    if match is None:
        raise InputError(f"{piece!r}", where=where, wanted="a number, an operator of type2.map, #MASK, op:HEX or bytes:HEX")
    return _number(match[1], match[2], where)


def _number(digits: str, form: str | None, where: str) -> bytes:
    try:
        value = int(Decimal(digits) * 65536)
    except (InvalidOperation, OverflowError) as error:
        raise InputError(f"number {digits}", where=where, wanted="a number of 16.16") from error
    if not -(1 << 31) <= value < 1 << 31:
        raise InputError(f"number {digits}", where=where, wanted="-32768 to 32767.99998")
    if "." in digits or form == "255":
        return bytes([LONG]) + value.to_bytes(4, "big", signed=True)
    return bytes([SHORT]) + (value >> 16).to_bytes(2, "big", signed=True) if form == "28" else shortest(value >> 16)
