"""What all tables have in common: comments, settings (`@word rest`), rows, and indented notes below a row; attributes as `key=value` words.

The format of each table stands in its own head comment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.errors import InputError


@dataclass(slots=True)
class Line:
    """A setting (`word` is what stands behind the @) or a row (`word` is empty) with its notes; `number` counts from 1."""

    number: int
    word: str
    text: str
    notes: tuple[str, ...] = ()


def read(text: str, name: str) -> Iterator[Line]:
    """The settings and rows of a table; `name` is the file's name for messages. Raises InputError for a note that follows no row."""
    pending: Line | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line[0] == "#" or line.isspace():
            continue
        if line[0] == " ":
            if pending is None:
                raise InputError("a note before any row", where=f"{name}:{number}", wanted="a row above it")
            pending.notes += (line.strip(),)
            continue
        if pending is not None:
            yield pending
            pending = None
        if line[0] == "@":
            word, _, rest = line[1:].partition(" ")
            yield Line(number, word, rest.strip())
        else:
            pending = Line(number, "", line)
    if pending is not None:
        yield pending


def attributes(cell: str, where: str) -> dict[str, str]:
    """The words of a cell by key. Raises InputError for a key that stands there twice."""
    found: dict[str, str] = {}
    for word in cell.split():
        key, _, value = word.partition("=")
        if key in found:
            raise InputError(f"attribute {key} twice", where=where)
        found[key] = value
    return found
