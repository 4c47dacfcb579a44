"""The rows of the opcode map in memory: compiled to tables, looked up by form, mnemonic or encoding.

The map is `opcodes.map` beside this file; its head comment defines the format. Compiled tables are kept on disk, and where each row stands, since a
short command would spend most of its time on reading all rows.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import overload

import tanken
from tanken.base.cache import stored
from tanken.isa.x86 import layout as L
from tanken.isa.x86.tables import Form, Tables, build, mnemonics, plain, understand
from tanken.notation.map import SETTINGS, MapRow, parse_map, parse_row

MAP = "opcodes.map"
SOURCES = ("isa/x86/tables.py", "isa/x86/layout.py", "isa/x86/names.py", "isa/x86/notation.py", "notation/map.py", f"isa/x86/{MAP}")


@cache
def _text() -> str:
    return (Path(__file__).parent / MAP).read_text(encoding="utf-8")


@cache
def _rows() -> list[MapRow]:
    return list(parse_map(_text(), MAP))


class _Forms(Sequence[Form]):
    """All forms, each read when it is asked for."""

    def __init__(self) -> None:
        kept = json.loads(stored("x86-rows", _digest(), _places))
        self._places: list[list[int]] = kept["places"]
        self._names: list[str] = kept["names"]
        self._found: dict[int, Form] = {}

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Form: ...
    @overload
    def __getitem__(self, index: slice) -> list[Form]: ...
    def __getitem__(self, index: int | slice) -> Form | list[Form]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        found = self._found.get(index)
        if found is None:
            start, line, *numbers = self._places[index]
            section, *settings = (self._names[n] for n in numbers)
            end = self._places[index + 1][0] if 0 <= index < len(self) - 1 else None
            row = parse_row(_text()[start:end], line, section, dict(zip(SETTINGS, settings, strict=True)), MAP)
            found = self._found[index] = understand([row], MAP, index % len(self) + 1)[0]
        return found



@cache
def forms() -> Sequence[Form]:
    """All forms; form number n stands at index n - 1."""
    return _Forms()


def _places() -> bytes:
    """Where each row begins (characters), its line, and which names it inherits."""
    starts, names = [0], {"": 0}
    for line in _text().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    places = []
    for row in _rows():
        inherited = [names.setdefault(name, len(names)) for name in (row.section, row.cite, row.feature)]
        places.append([starts[row.line - 1], row.line, *inherited])
    return json.dumps({"places": places, "names": list(names)}).encode()


@cache
def _digest() -> str:
    """Of all that tables are made from."""
    digest = hashlib.blake2b(digest_size=12)
    for name in SOURCES:
        digest.update((Path(tanken.__file__).parent / name).read_bytes())
    return digest.hexdigest()


def _packed() -> bytes:
    numbers, letters = build(_rows(), MAP)[1]
    return len(numbers).to_bytes(8, "little") + array("q", numbers).tobytes() + letters


@cache
def _stored() -> tuple[array[int], bytes]:
    packed = stored("x86-tables", _digest(), _packed)
    end = 8 + 8 * int.from_bytes(packed[:8], "little")
    numbers = array("q")
    numbers.frombytes(packed[8:end])
    return numbers, packed[end:]


def numbers() -> array[int]:
    """The decoder's tables as they are handed to compiled code; nobody may change them."""
    return _stored()[0]


@cache
def tables() -> Tables:
    """The decoder's tables as lists."""
    return Tables(numbers().tolist(), _stored()[1])


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
