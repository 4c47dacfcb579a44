"""The rows of `type2.map`, understood: an operator's opcode, name, operands, group and what it does to the stack.

Adobe Technical Note 5177; OpenType 1.9.1, CFF2 CharString.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar

from tanken.base.records import Record
from tanken.notation.map import parse_map

GROUPS = ("path", "hint", "flex", "arithmetic", "storage", "conditional", "call", "end", "variation", "type1", "mm")


@dataclass(frozen=True, slots=True, repr=False)
class Operator(Record):
    """An operator. `takes`: numbers it needs at least; `clears`: the stack is empty behind it, else `gives` numbers are pushed."""

    HEX: ClassVar[frozenset[str]] = frozenset({"opcode"})

    opcode: int
    mnemonic: str
    operands: tuple[str, ...]
    group: str
    clears: bool
    takes: int
    gives: int
    mask: bool
    formats: tuple[str, ...]
    line: int
    cite: str
    notes: tuple[str, ...]

    @property
    def code(self) -> bytes:
        """The bytes of the operator."""
        return self.opcode.to_bytes(2 if self.opcode > 255 else 1, "big")

    @property
    def legal(self) -> bool:
        """Whether any format has it."""
        return bool(self.formats)


@cache
def operators() -> tuple[Operator, ...]:
    """All rows, in the order of the file."""
    rows = parse_map(files(__package__).joinpath("type2.map").read_text("ascii"), "type2.map")
    found = []
    for row in rows:
        marks = row.attributes
        group = next(group for group in GROUPS if group in marks)
        formats = () if group in ("type1", "mm") else tuple(one for one in ("cff", "cff2") if one in marks) or ("cff", "cff2")
        found.append(Operator(int(row.opcode, 16), row.mnemonic, row.operands, group, "clear" in marks, int(marks.get("takes", 0)), int(marks.get("gives", 0)),
                              "mask" in marks, formats, row.line, row.cite, row.notes))  # fmt: skip
    return tuple(found)


@cache
def by_opcode(cff2: bool) -> dict[int, Operator]:
    """Operators by opcode as a format knows them; leftovers that it does not have are there too, and are not legal."""
    wanted = "cff2" if cff2 else "cff"
    table: dict[int, Operator] = {}
    for row in operators():
        if row.opcode not in table or wanted in row.formats:
            table[row.opcode] = row
    if not cff2:
        table.pop(0x0F, None)
        table[0x10] = next(row for row in operators() if row.opcode == 0x10 and row.group == "mm")
    return table


@cache
def by_name() -> dict[str, Operator]:
    """Operators by mnemonic; `blend` has one opcode in all formats."""
    return {row.mnemonic: row for row in operators()}
