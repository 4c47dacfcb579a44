"""Reads `.codes` files: numbers and their names as text, one record a row, in up to three cells parted by `|`.

The format of each file stands in its own head comment; common to all are sections (`@codes NAME`), an inherited setting
(`@cite`), rows `number NAME | title | attributes`, and indented notes below a row.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tanken.base.errors import InputError, UsageError
from tanken.notation import lines


@dataclass(frozen=True, slots=True)
class Code:
    """One number with its name, as written; `line` counts from 1."""

    section: str
    number: int
    name: str
    title: str
    attributes: Mapping[str, str]
    line: int
    cite: str = ""
    notes: tuple[str, ...] = field(default=())


class Codes:
    """A section: its rows by number and by name."""

    def __init__(self, section: str, rows: tuple[Code, ...]) -> None:
        self.section = section
        self.rows = rows
        self.by_number = {row.number: row for row in rows}
        self.by_name = {row.name: row for row in rows}

    def __contains__(self, number: object) -> bool:
        return number in self.by_number

    def __iter__(self) -> Iterator[Code]:
        return iter(self.rows)

    def name(self, number: int) -> str:
        """The name of `number`, or the number itself in decimal where it has none."""
        row = self.by_number.get(number)
        return row.name if row else str(number)

    def number(self, name: str) -> int:
        """The number of `name` (case and the kind of dash do not matter) or of a decimal; raises UsageError with a near name."""
        if name.isdigit():
            return int(name)
        wanted = name.upper().replace("_", "-")
        for row in self.rows:
            if row.name.replace("_", "-") == wanted:
                return row.number
        near = difflib.get_close_matches(name.upper(), self.by_name, 1)
        raise UsageError(f"no {self.section} {name!r}", wanted="a name or a number", hint=f"did you mean {near[0]}?" if near else "")


def parse_codes(text: str, name: str) -> dict[str, Codes]:
    """The sections of the table `text`; `name` is the file's name for messages. Raises InputError with file and line."""
    sections: dict[str, list[Code]] = {}
    for row in _rows(text, name):
        rows = sections.setdefault(row.section, [])
        for other in rows:
            if other.number == row.number or other.name == row.name:
                raise InputError(f"{row.number} {row.name} again", where=f"{name}:{row.line}", wanted=f"one row a number and name (see line {other.line})")
        rows.append(row)
    return {section: Codes(section, tuple(rows)) for section, rows in sections.items()}


def _rows(text: str, name: str) -> Iterator[Code]:
    section = cite = ""
    for line in lines.read(text, name):
        if line.word == "codes":
            section, cite = line.text, ""
        elif line.word == "cite":
            cite = line.text
        elif line.word:
            raise InputError(f"@{line.word}", where=f"{name}:{line.number}", wanted="@codes or @cite")
        else:
            yield _row(line, section, cite, name)


def _row(line: lines.Line, section: str, cite: str, name: str) -> Code:
    where, cells = f"{name}:{line.number}", [cell.strip() for cell in line.text.split("|")]
    head = cells[0].split()
    if len(head) != 2 or len(cells) > 3 or not section:
        wanted = "number NAME | title | attributes" if section else "@codes before the first row"
        raise InputError(f"row {line.text.strip()!r}", where=where, wanted=wanted)
    try:
        value = int(head[0], 0)
    except ValueError as error:
        raise InputError(f"{head[0]!r}", where=where, wanted="a number, decimal or 0x") from error
    attributes = lines.attributes(cells[2] if len(cells) > 2 else "", where)
    return Code(section, value, head[1], cells[1] if len(cells) > 1 else "", attributes, line.number, cite, line.notes)
