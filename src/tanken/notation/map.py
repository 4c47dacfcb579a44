"""Reads `.map` files: opcode maps as text, one record a row, in four cells parted by `|`.

The format of each file stands in its own head comment; common to all are sections (`@map NAME`), inherited settings
(`@cite`, `@feature`), rows `opcode selectors | mnemonic | operands | attributes`, and indented notes below a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tanken.base.errors import InputError
from tanken.notation import lines

SETTINGS = ("cite", "feature")


@dataclass(frozen=True, slots=True)
class MapRow:
    """One row of an opcode map, as written; `line` counts from 1."""

    section: str
    opcode: str
    selectors: tuple[str, ...]
    mnemonic: str
    operands: tuple[str, ...]
    attributes: dict[str, str]
    line: int
    text: str
    cite: str = ""
    feature: str = ""
    notes: tuple[str, ...] = field(default=())


def parse_map(text: str, name: str) -> list[MapRow]:
    """The rows of the map `text`; `name` is the file's name for messages. Raises InputError with file and line."""
    return list(_rows(text, name))


def parse_row(text: str, line: int, section: str, settings: dict[str, str], name: str) -> MapRow:
    """The row that `text` begins with, which stands at `line` and inherits `settings`."""
    found = next(lines.read(text, name))
    found.number = line
    return _row(found, section, settings, name)


def _rows(text: str, name: str) -> Iterator[MapRow]:
    section = ""
    settings = dict.fromkeys(SETTINGS, "")
    for line in lines.read(text, name):
        if line.word == "map":
            section, settings = line.text, dict.fromkeys(SETTINGS, "")
        elif line.word in settings:
            settings[line.word] = line.text
        elif line.word:
            raise InputError(f"@{line.word}", where=f"{name}:{line.number}", wanted="@map, @cite or @feature")
        else:
            yield _row(line, section, settings, name)


def _row(line: lines.Line, section: str, settings: dict[str, str], name: str) -> MapRow:
    where, cells = f"{name}:{line.number}", line.text.split("|")
    if len(cells) != 4 or not section:
        wanted = "four cells parted by |" if section else "@map before the first row"
        raise InputError(f"row {line.text.strip()!r}", where=where, wanted=wanted)
    head = cells[0].split()
    operands = cells[2].replace(" ", "")
    attributes = lines.attributes(cells[3], where)
    feature = attributes.pop("feature", settings["feature"])
    if not head or not cells[1].strip():
        raise InputError(f"row {line.text.strip()!r}", where=where, wanted="an opcode and a mnemonic")
    return MapRow(section, head[0], tuple(head[1:]), cells[1].strip(),
                  tuple(operands.split(",")) if operands else (), attributes, line.number, line.text, settings["cite"], feature, line.notes)  # fmt: skip
