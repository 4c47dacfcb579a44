"""The file around a font: the table directory of an OpenType font, or several of them in a collection.

OpenType Specification 1.9.1, OpenType font file. What lies is written down; a table that leaves the file is cut.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import ClassVar

from tanken.base.errors import InputError
from tanken.base.records import Record
from tanken.font.layouts import layout
from tanken.font.problems import ERROR, WARNING, Problem

Data = bytes | memoryview | mmap.mmap
VERSIONS = ("OTTO", "\0\1\0\0", "true", "typ1")
MAX_FACES = 4096


@dataclass(frozen=True, slots=True, repr=False)
class Entry(Record):
    """A table of a directory: where it begins in the file, its bytes, its checksum as stated."""

    HEX: ClassVar[frozenset[str]] = frozenset({"offset", "checksum"})

    tag: str
    offset: int
    length: int
    checksum: int


def directories(data: Data, name: str, problems: list[Problem]) -> list[dict[str, Entry]]:
    """The table directory of each face of the file; raises InputError when it is no OpenType file or ends in its head."""
    head = bytes(data[:12])
    if head[:4] != b"ttcf":
        return [_directory(data, 0, name, problems)]
    count = layout("ttc").unpack(head, 0, name)["faces"]
    room = (len(data) - 12) // 4
    if count > min(room, MAX_FACES):
        problems.append(Problem("ttc-count", ERROR, f"the collection says it has {count} faces, {min(room, MAX_FACES)} fit", 8))
        count = min(room, MAX_FACES)
    if not count:
        raise InputError("a collection without faces", wanted="one or more", where=name)
    return [_directory(data, int.from_bytes(data[12 + 4 * i : 16 + 4 * i], "big"), name, problems) for i in range(count)]


def _directory(data: Data, at: int, name: str, problems: list[Problem]) -> dict[str, Entry]:
    shape, row = layout("directory"), layout("entry")
    head = shape.unpack(bytes(data[at : at + shape.size]), 0, name)
    if head["version"] not in VERSIONS:
        raise InputError(f"a table directory with version {head['version'].encode('latin-1').hex(' ')}", wanted="OTTO or 00 01 00 00", where=f"{name}:{at:#x}")
    entries: dict[str, Entry] = {}
    begin = at + shape.size
    count = min(head["tables"], max(len(data) - begin, 0) // row.size)
    if count < head["tables"]:
        problems.append(Problem("directory-short", ERROR, f"the directory says it has {head['tables']} tables, {count} fit", at + 4))
    raw = bytes(data[begin : begin + count * row.size])
    for i in range(count):
        values = row.unpack(raw, i * row.size)
        entry = Entry(values["tag"], values["offset"], values["length"], values["checksum"])
        place = begin + i * row.size
        if entry.offset + entry.length > len(data):
            left = max(len(data) - entry.offset, 0)
            problems.append(Problem("table-outside", ERROR, f"table {entry.tag!r} of {entry.length} bytes at {entry.offset:#x} in a file of {len(data):#x}", place))
            entry = Entry(entry.tag, min(entry.offset, len(data)), left, entry.checksum)
        if entry.tag in entries:
            problems.append(Problem("table-twice", WARNING, f"table {entry.tag!r} stands twice; the first one counts", place))
            continue
        entries[entry.tag] = entry
    _overlaps(entries, problems)
    return entries


def _overlaps(entries: dict[str, Entry], problems: list[Problem]) -> None:
    rows = sorted((entry for entry in entries.values() if entry.length), key=lambda entry: (entry.offset, entry.length))
    for a, b in zip(rows, rows[1:], strict=False):
        if b.offset < a.offset + a.length and (a.offset, a.length) != (b.offset, b.length):
            problems.append(Problem("table-overlap", WARNING, f"tables {a.tag!r} and {b.tag!r} overlap: bytes read as two things", b.offset))
