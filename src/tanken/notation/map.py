"""Reads `.map` files: opcode maps as text, one record a row, in four cells parted by `|`.

The format of each file stands in its own head comment; common to all are sections (`@map NAME`), inherited settings
(`@cite`, `@feature`), rows `opcode selectors | mnemonic | operands | attributes`, and indented notes below a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tanken.base.errors import InputError

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
    return list(_rows(text.splitlines(), name))


def _rows(lines: list[str], name: str) -> Iterator[MapRow]:
    section = ""
    settings = dict.fromkeys(SETTINGS, "")
    pending: MapRow | None = None
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
            if word == "map":
                section, settings = rest.strip(), dict.fromkeys(SETTINGS, "")
            elif word in settings:
                settings[word] = rest.strip()
            else:
                raise InputError(f"@{word}", where=f"{name}:{number}", wanted="@map, @cite or @feature")
            continue
        pending = _row(line, number, section, settings, name)
    if pending is not None:
        yield _with_notes(pending, notes)


def _with_notes(row: MapRow, notes: list[str]) -> MapRow:
    if not notes:
        return row
    return MapRow(row.section, row.opcode, row.selectors, row.mnemonic, row.operands, row.attributes, row.line,
                  row.text, row.cite, row.feature, tuple(notes))  # fmt: skip


def _row(line: str, number: int, section: str, settings: dict[str, str], name: str) -> MapRow:
    cells = line.split("|")
    if len(cells) != 4 or not section:
        wanted = "four cells parted by |" if section else "@map before the first row"
        raise InputError(f"row {line.strip()!r}", where=f"{name}:{number}", wanted=wanted)
    head = cells[0].split()
    operands = cells[2].replace(" ", "")
    attributes: dict[str, str] = {}
    for word in cells[3].split():
        key, _, value = word.partition("=")
        if key in attributes:
            raise InputError(f"attribute {key} twice", where=f"{name}:{number}")
        attributes[key] = value
    feature = attributes.pop("feature", settings["feature"])
    if not head or not cells[1].strip():
        raise InputError(f"row {line.strip()!r}", where=f"{name}:{number}", wanted="an opcode and a mnemonic")
    return MapRow(section, head[0], tuple(head[1:]), cells[1].strip(),
                  tuple(operands.split(",")) if operands else (), attributes, number, line, settings["cite"], feature)  # fmt: skip
