"""DICTs: operators behind their operands, read by `dict.map`; also written, with operands of fixed width.

Adobe Technical Note 5176, section 4 and tables 9, 10 and 23; the CFF2 chapter.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from tanken.font.problems import ERROR, WARNING, Problem
from tanken.notation.map import MapRow, parse_map

Number = int | float
NIBBLES = "0123456789.EE -"
STACK = {False: 48, True: 513}


@cache
def operators() -> dict[str, dict[int, MapRow]]:
    """The rows of `dict.map` by section (top, private) and opcode."""
    sections: dict[str, dict[int, MapRow]] = {"top": {}, "private": {}}
    for row in parse_map(files(__package__).joinpath("dict.map").read_text("ascii"), "dict.map"):
        sections[row.section][int(row.opcode, 16)] = row
    return sections


@cache
def opcodes(section: str) -> dict[str, int]:
    """Opcode by name."""
    return {row.mnemonic: code for code, row in operators()[section].items()}


@cache
def defaults(section: str) -> dict[str, list[Number]]:
    """Operands that hold where an operator is absent."""
    rows = operators()[section].values()
    return {row.mnemonic: [float(one) if "." in one else int(one) for one in row.attributes["default"].split(",")] for row in rows if "default" in row.attributes}


class Dict:
    """The operators of a DICT: `values` by name, `places` the offset of each operator; what lies goes to `problems`."""

    def __init__(self, data: bytes, section: str, problems: list[Problem], origin: int = 0, cff2: bool = False) -> None:
        self.section, self.problems, self.cff2 = section, problems, cff2
        self.values: dict[str, list[Number]] = {}
        self.places: dict[str, int] = {}
        self.unknown: list[int] = []
        self._read(data, origin)

    def get(self, name: str) -> list[Number] | None:
        """The operands of `name`, or those that hold by default."""
        return self.values.get(name, defaults(self.section).get(name))

    def number(self, name: str, otherwise: Number = 0) -> Number:
        """The last operand of `name`."""
        values = self.get(name)
        return values[-1] if values else otherwise

    def offset(self, name: str) -> int | None:
        """An offset or a count, None where the operator is absent or its operand is not a whole number."""
        values = self.values.get(name)
        return int(values[-1]) if values and isinstance(values[-1], int) else None

    def _tell(self, rule: str, message: str, at: int, level: str = ERROR) -> None:
        if len(self.problems) < 1000:
            self.problems.append(Problem(rule, level, f"{self.section} DICT: {message}", at))

    def _read(self, data: bytes, origin: int) -> None:
        pos, stack = 0, list[Number]()
        while pos < len(data):
            at, byte = pos, data[pos]
            pos += 1
            if byte <= 25 and not (byte == 23 and self.cff2 and self.section == "private"):
                if byte == 12:
                    byte = 0x0C00 | (data[pos] if pos < len(data) else 0xFF)
                    pos += 1
                self._operator(byte, stack, origin + at)
                stack = []
                continue
            if byte == 23:
                continue  # blend: the defaults stand first; `variation` reads the rest
            value, pos = _operand(data, at)
            if value is None:
                self._tell("dict-operand", f"byte {byte} is no operand" if byte in (26, 27, 31, 255) or byte == 23 else "an operand is cut short", origin + at)
                if pos >= len(data):
                    return
                continue
            stack.append(value)
            if len(stack) == STACK[self.cff2] + 1:
                self._tell("dict-stack", f"more than {STACK[self.cff2]} operands", origin + at)
        if stack:
            self._tell("dict-end", f"{len(stack)} operands without an operator", origin + len(data), WARNING)

    def _operator(self, code: int, stack: list[Number], at: int) -> None:
        row = operators()[self.section].get(code)
        if row is None:
            self.unknown.append(code)
            self._tell("dict-operator", f"operator {code:#x} is unknown here", at, WARNING)
            return
        other = "cff" if self.cff2 else "cff2"
        if other in row.attributes:
            self._tell("dict-operator", f"operator {row.mnemonic} belongs to {other.upper()} only", at, WARNING)
        if row.mnemonic in self.values:
            self._tell("dict-repeated", f"operator {row.mnemonic} stands twice; the last one counts", at, WARNING)
        if not stack:
            self._tell("dict-empty", f"operator {row.mnemonic} without operands", at)
            return
        self.values[row.mnemonic], self.places[row.mnemonic] = stack, at


def _operand(data: bytes, at: int) -> tuple[Number | None, int]:
    byte, left = data[at], len(data) - at - 1
    if byte == 28:
        return (int.from_bytes(data[at + 1 : at + 3], "big", signed=True) if left >= 2 else None), at + 3
    if byte == 29:
        return (int.from_bytes(data[at + 1 : at + 5], "big", signed=True) if left >= 4 else None), at + 5
    if byte == 30:
        return _real(data, at + 1)
    if 32 <= byte <= 246:
        return byte - 139, at + 1
    if 247 <= byte <= 254:
        if not left:
            return None, at + 1
        low = data[at + 1] + 108
        return ((byte - 247) * 256 + low if byte < 251 else -(byte - 251) * 256 - low), at + 2
    return None, at + 1


def _real(data: bytes, at: int) -> tuple[Number | None, int]:
    """A number in packed decimal, which ends with the nibble f; None where it does not end within 32 bytes or is none."""
    text = ""
    for pos in range(at, min(at + 32, len(data))):
        for nibble in (data[pos] >> 4, data[pos] & 15):
            if nibble == 15:
                try:
                    return float(text), pos + 1
                except ValueError:
                    return None, pos + 1
            text += "E-" if nibble == 12 else NIBBLES[nibble]
    return None, min(at + 32, len(data))


def write(section: str, values: Iterable[tuple[str, Iterable[Number]]]) -> bytes:
    """A DICT of these operators, in order; whole numbers take five bytes, so that its size does not depend on them."""
    out = b""
    for name, operands in values:
        code = opcodes(section)[name]
        for operand in operands:
            out += bytes([29]) + int(operand).to_bytes(4, "big", signed=True) if isinstance(operand, int) else _packed(operand)
        out += code.to_bytes(2 if code > 255 else 1, "big")
    return out


def _packed(value: float) -> bytes:
    nibbles = _nibbles(value)
    nibbles.append(15)
    if len(nibbles) % 2:
        nibbles.append(15)
    return bytes([30]) + bytes(a << 4 | b for a, b in zip(nibbles[::2], nibbles[1::2], strict=True))


def _nibbles(value: float) -> list[int]:
    codes = {"E-": 12, "E+": 11, "E": 11, ".": 10, "-": 14} | {str(i): i for i in range(10)}
    text, nibbles = f"{value:.9g}".upper(), []
    while text:
        piece = text[:2] if text[:2] in codes else text[:1]
        nibbles.append(codes[piece])
        text = text[len(piece) :]
    return nibbles
