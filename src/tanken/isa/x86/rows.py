"""The rows of the opcode map in memory: read once, compiled to tables, looked up by form, mnemonic or encoding.

The map is `opcodes.map` beside this file; its head comment defines the format.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from tanken.isa.x86 import layout as L
from tanken.isa.x86.tables import Form, Tables, build, mnemonics, plain
from tanken.notation.map import MapRow, parse_map

MAP = "opcodes.map"


@cache
def _compiled() -> tuple[list[Form], Tables]:
    text = (files("tanken.isa.x86") / MAP).read_text(encoding="utf-8")
    return build(parse_map(text, MAP), MAP)


def forms() -> list[Form]:
    """All forms; form number n stands at index n - 1."""
    return _compiled()[0]


def tables() -> Tables:
    """The decoder's tables as lists."""
    return _compiled()[1]


def record(form: int, field: int) -> int:
    """A number of a form's record, see `layout`."""
    return tables().numbers[L.FORMS + form * L.STRIDE + field]


def row_of(form: int) -> MapRow | None:
    """The row behind a form number, None for 0."""
    return forms()[form - 1].row if form else None


def find_rows(mnemonic: str) -> list[MapRow]:
    """The rows whose Intel or AT&T name is `mnemonic`, in the order of the map."""
    wanted = mnemonic.lower()
    return [f.row for f in forms() if wanted in {plain(name) for name in mnemonics(f.row)}]
