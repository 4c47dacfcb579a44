"""Reads `.table` files: plain tables of numbers and names as text, one record a row, in cells parted by `|`, in sections `@table NAME`.

What the cells mean stands in each file's own head comment.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tanken.base.errors import InputError

Row = tuple[str, ...]


def parse_tables(text: str, name: str) -> dict[str, list[Row]]:
    """The rows of each section; `name` is the file's name for messages. Raises InputError with file and line."""
    tables: dict[str, list[Row]] = {}
    rows: list[Row] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line[0] == "#" or line.isspace():
            continue
        if line[0] == "@":
            word, _, rest = line[1:].partition(" ")
            if word != "table" or not rest.strip():
                raise InputError(f"section {line!r}", where=f"{name}:{number}", wanted="@table NAME")
            rows = tables.setdefault(rest.strip(), [])
            continue
        if rows is None:
            raise InputError("a row before any section", where=f"{name}:{number}", wanted="@table NAME above it")
        rows.append(tuple(cell.strip() for cell in line.split("|")))
    return tables


@cache
def read_tables(path: str | Path) -> dict[str, list[Row]]:
    """The rows of the sections of a file that comes with tanken."""
    return parse_tables(Path(path).read_text(encoding="utf-8"), Path(path).name)
