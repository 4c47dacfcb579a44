"""The rows of the opcode map in memory: read once, compiled to tables, looked up by form, mnemonic or encoding.

The map is `opcodes.map` beside this file; its head comment defines the format. Compiled tables are kept on disk, since a short command would spend
most of its time on them.
"""

from __future__ import annotations

import hashlib
from array import array
from functools import cache
from importlib.resources import files

from tanken.base.cache import stored
from tanken.isa.x86 import layout as L
from tanken.isa.x86.tables import Form, Tables, build, mnemonics, plain, understand
from tanken.notation.map import MapRow, parse_map

MAP = "opcodes.map"
SOURCES = (("tanken.isa.x86", "tables.py"), ("tanken.isa.x86", "layout.py"), ("tanken.isa.x86", "names.py"), ("tanken.isa.x86", "notation.py"),
           ("tanken.notation", "map.py"), ("tanken.isa.x86", MAP))  # fmt: skip


@cache
def _rows() -> list[MapRow]:
    return list(parse_map((files("tanken.isa.x86") / MAP).read_text(encoding="utf-8"), MAP))


@cache
def forms() -> list[Form]:
    """All forms; form number n stands at index n - 1."""
    return understand(_rows(), MAP)


def _packed() -> bytes:
    numbers, letters = build(_rows(), MAP)[1]
    return len(numbers).to_bytes(8, "little") + array("q", numbers).tobytes() + letters


@cache
def tables() -> Tables:
    """The decoder's tables as lists."""
    digest = hashlib.blake2b(digest_size=12)
    for package, name in SOURCES:
        digest.update((files(package) / name).read_bytes())
    packed = stored("x86-tables", digest.hexdigest(), _packed)
    end = 8 + 8 * int.from_bytes(packed[:8], "little")
    numbers = array("q")
    numbers.frombytes(packed[8:end])
    return Tables(numbers.tolist(), packed[end:])


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
