"""Reads `.codes` files: numbers and their names as text, one record a row, in up to three cells parted by `|`.

The format of each file stands in its own head comment; common to all are sections (`@codes NAME`), an inherited setting
(`@cite`), rows `number NAME | title | attributes`, and indented notes below a row.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tanken.base.errors import InputError, UsageError


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
    for row in _rows(text.splitlines(), name):
        rows = sections.setdefault(row.section, [])
        for other in rows:
            if other.number == row.number or other.name == row.name:
                raise InputError(f"{row.number} {row.name} again", where=f"{name}:{row.line}", wanted=f"one row a number and name (see line {other.line})")
        rows.append(row)
    return {section: Codes(section, tuple(rows)) for section, rows in sections.items()}


def _rows(lines: list[str], name: str) -> Iterator[Code]:
    section = cite = ""
    pending: Code | None = None
    notes: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line or line[0] == "#" or line.isspace():
            continue
        if line[0] == " ":
            if pending is None:
                raise InputError("a note before any row", where=f"{name}:{number}", wanted="a row above it")
            notes.append(line.strip())
            continue
        if pending is not None:
            yield _with_notes(pending, notes)
            pending, notes = None, []
        if line[0] == "@":
            word, _, rest = line[1:].partition(" ")
            if word == "codes":
                section, cite = rest.strip(), ""
            elif word == "cite":
                cite = rest.strip()
            else:
                raise InputError(f"@{word}", where=f"{name}:{number}", wanted="@codes or @cite")
            continue
        pending = _row(line, number, section, cite, name)
    if pending is not None:
        yield _with_notes(pending, notes)


def _with_notes(row: Code, notes: list[str]) -> Code:
    return Code(row.section, row.number, row.name, row.title, row.attributes, row.line, row.cite, tuple(notes)) if notes else row


def _row(line: str, number: int, section: str, cite: str, name: str) -> Code:
    cells = [cell.strip() for cell in line.split("|")]
    head = cells[0].split()
    if len(head) != 2 or len(cells) > 3 or not section:
        wanted = "number NAME | title | attributes" if section else "@codes before the first row"
        raise InputError(f"row {line.strip()!r}", where=f"{name}:{number}", wanted=wanted)
    try:
        value = int(head[0], 0)
    except ValueError as error:
        raise InputError(f"{head[0]!r}", where=f"{name}:{number}", wanted="a number, decimal or 0x") from error
    attributes: dict[str, str] = {}
    for word in cells[2].split() if len(cells) > 2 else ():
        key, _, rest = word.partition("=")
        if key in attributes:
            raise InputError(f"attribute {key} twice", where=f"{name}:{number}")
        attributes[key] = rest
    return Code(section, value, head[1], cells[1] if len(cells) > 1 else "", attributes, number, cite)
