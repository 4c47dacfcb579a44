"""The ELF reader: every offset and count is checked against the file before it is followed.

System V ABI, chapter 4: ELF header, sections, string tables, symbols; chapter 5: program header, notes, dynamic section.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tanken.base.errors import InputError
from tanken.elf import names as N

if TYPE_CHECKING:
    from os import PathLike

MAXIMUM = 1 << 32  # bytes of a file that is read whole
NAMES = 8  # how often a string table may be read over by the names in it: they share endings, but not much more
SPARE = 1 << 20  # bytes that names may take besides


@dataclass(frozen=True, slots=True)
class Section:
    """A section header; `offset` and `size` say where its bytes stand in the file."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int
    index: int

    @property
    def holds_code(self) -> bool:
        """Executable, with contents in the file."""
        return bool(self.flags & N.SHF_EXECINSTR) and self.type != N.SHT_NOBITS and self.size > 0


@dataclass(frozen=True, slots=True)
class Segment:
    """An entry of the program header; sizes and addresses in bytes."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int
    physical: int = 0


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol; `section` is the index of its section (0: undefined)."""

    name: str
    value: int
    size: int
    type: int
    bind: int
    section: int


@dataclass(frozen=True, slots=True)
class Note:
    """A note: its owner, type and description."""

    owner: str
    type: int
    description: bytes


_HEADER = {32: struct.Struct("<HHIIIIIHHHHHH"), 64: struct.Struct("<HHIQQQIHHHHHH")}
_SECTION = {32: struct.Struct("<10I"), 64: struct.Struct("<IIQQQQIIQQ")}
_SEGMENT = {32: struct.Struct("<8I"), 64: struct.Struct("<IIQQQQQQ")}
_SYMBOL = {32: struct.Struct("<IIIBBH"), 64: struct.Struct("<IBBHQQ")}
_DYNAMIC = {32: struct.Struct("<iI"), 64: struct.Struct("<qQ")}


class Elf:
    """An ELF file in memory; raises InputError, when made or when a table is read, where the bytes do not keep to the format."""

    def __init__(self, data: bytes, name: str = "") -> None:
        self.data, self.name = data, name or "<bytes>"
        if data[:4] != b"\x7fELF":
            met = "an empty file" if not data else f"first bytes {data[:4].hex(' ')}"
            raise InputError(met, wanted="an ELF file (7f 45 4c 46)", where=self.name)
        if len(data) < 16 or data[4] not in (1, 2):
            raise InputError("ELF class " + (str(data[4]) if len(data) > 4 else "missing"), wanted="1 (32-bit) or 2 (64-bit)", where=f"{self.name}, offset 4")
        if data[5] != 1:
            raise InputError(f"byte order {data[5]}", wanted="1 (little-endian)", where=f"{self.name}, offset 5")
        self.bits = 32 * data[4]
        (self.type, self.machine, _, self.entry, self._phoff, self._shoff, self.flags, _, self._phentsize, self._phnum,
         self._shentsize, self._shnum, self._shstrndx) = self._unpack(_HEADER[self.bits], 16, "the ELF header")  # fmt: skip

    def __repr__(self) -> str:
        return f"<Elf {self.name}: {self.bits}-bit {self.machine_name} {N.TYPES.get(self.type, hex(self.type))}, entry {self.entry:#x}>"

    @property
    def machine_name(self) -> str:
        return N.MACHINES.get(self.machine, f"machine {self.machine}")

    def _piece(self, offset: int, size: int, what: str) -> bytes:
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise InputError(f"{what} at {offset:#x}..{offset + size:#x}", wanted=f"inside the file of {len(self.data):#x} bytes", where=self.name)
        return self.data[offset : offset + size]

    def _unpack(self, layout: struct.Struct, offset: int, what: str) -> tuple[int, ...]:
        return layout.unpack(self._piece(offset, layout.size, what))

    def _table(self, layout: struct.Struct, offset: int, count: int, stride: int, what: str) -> Iterator[tuple[int, ...]]:
        if count and stride < layout.size:
            raise InputError(f"{what} of {stride} bytes an entry", wanted=f"at least {layout.size}", where=self.name)
        self._piece(offset, count * stride, what)
        for i in range(count):
            yield layout.unpack_from(self.data, offset + i * stride)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The program header."""
        found = []
        for row in self._table(_SEGMENT[self.bits], self._phoff, self._phnum, self._phentsize, "the program header"):
            if self.bits == 64:
                kind, flags, offset, address, physical, file_size, memory_size, align = row
            else:
                kind, offset, address, physical, file_size, memory_size, flags, align = row
            found.append(Segment(kind, flags, offset, address, file_size, memory_size, align, physical))
        return tuple(found)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The section headers, names resolved."""
        if not self._shoff:
            return ()
        layout = _SECTION[self.bits]
        count = self._shnum or self._unpack(layout, self._shoff, "the first section header")[5]
        rows = list(self._table(layout, self._shoff, count, self._shentsize, "the section headers"))
        strings = b""
        index = rows[0][6] if rows and self._shstrndx == 0xFFFF else self._shstrndx
        if 0 < index < len(rows):
            strings = self._piece(rows[index][4], rows[index][5], "the section names")
        name_of = _Names(strings, f"{self.name}, section names")
        return tuple(Section(name_of(name), *_nine(rest), i) for i, (name, *rest) in enumerate(rows))

    def contents(self, section: Section) -> bytes:
        """The bytes of a section, none for NOBITS."""
        return b"" if section.type == N.SHT_NOBITS else self._piece(section.offset, section.size, f"section {section.name}")

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((s for s in self.sections if s.name == name), None)

    def _symbols(self, kind: int) -> tuple[Symbol, ...]:
        table = next((s for s in self.sections if s.type == kind), None)
        if table is None:
            return ()
        if table.link >= len(self.sections):
            raise InputError(f"string table {table.link} of {table.name}", wanted=f"below {len(self.sections)}", where=self.name)
        name_of, layout = _Names(self.contents(self.sections[table.link]), f"{self.name}, names of {table.name}"), _SYMBOL[self.bits]
        found = []
        for row in self._table(layout, table.offset, table.size // layout.size, layout.size, table.name):
            if self.bits == 64:
                name, info, _, section, value, size = row
            else:
                name, value, size, info, _, section = row
            found.append(Symbol(name_of(name), value, size, info & 15, info >> 4, section))
        return tuple(found)

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbol table of the linker, empty when stripped."""
        return self._symbols(N.SHT_SYMTAB)

    @cached_property
    def dynamic_symbols(self) -> tuple[Symbol, ...]:
        """The symbol table of the dynamic linker."""
        return self._symbols(N.SHT_DYNSYM)

    def symbol(self, name: str) -> Symbol | None:
        """The first defined symbol of that name."""
        return next((s for s in (*self.symbols, *self.dynamic_symbols) if s.name == name and s.section), None)

    @cached_property
    def dynamic(self) -> tuple[tuple[int, int], ...]:
        """Tag and value of the dynamic section, up to DT_NULL."""
        found: list[tuple[int, int]] = []
        segment = next((s for s in self.segments if s.type == N.PT_DYNAMIC), None)
        if segment is not None:
            layout = _DYNAMIC[self.bits]
            for tag, value in self._table(layout, segment.offset, segment.file_size // layout.size, layout.size, "the dynamic section"):
                if tag == 0:
                    break
                found.append((tag, value))
        return tuple(found)

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """The notes of all note segments."""
        segments = [s for s in self.segments if s.type == N.PT_NOTE]
        if sum(s.file_size for s in segments) > 2 * len(self.data):
            raise InputError(f"{len(segments)} note segments that overlap", wanted="fewer bytes of notes than the file has", where=self.name)
        return tuple(note for s in segments for note in self._notes(s))

    def _notes(self, segment: Segment) -> Iterator[Note]:
        data, pos = self._piece(segment.offset, segment.file_size, "a note segment"), 0
        align = 8 if segment.align == 8 else 4
        while pos + 12 <= len(data):
            owner, size, kind = struct.unpack_from("<III", data, pos)
            start = pos + 12 + -(-owner // 4) * 4
            if start + size > len(data):
                raise InputError(f"a note of {size} bytes at {segment.offset + pos:#x}", wanted="inside its segment", where=self.name)
            yield Note(data[pos + 12 : pos + 12 + owner].rstrip(b"\0").decode("latin-1"), kind, data[start : start + size])
            pos = start + -(-size // align) * align


class _Names:
    """Names of a string table; raises InputError when together they are far longer than the table, as no linker makes them."""

    def __init__(self, strings: bytes, where: str) -> None:
        self.strings, self.where, self.left = strings, where, NAMES * len(strings) + SPARE

    def __call__(self, offset: int) -> str:
        name = text(self.strings, offset)
        self.left -= len(name)
        if self.left < 0:
            raise InputError(f"names that overlap in a table of {len(self.strings)} bytes", wanted="names that end in zeros", where=self.where)
        return name


def _nine(numbers: list[int]) -> tuple[int, int, int, int, int, int, int, int, int]:
    a, b, c, d, e, f, g, h, i = numbers
    return a, b, c, d, e, f, g, h, i


def text(strings: bytes, offset: int) -> str:
    """The string at `offset` of a string table, "" outside."""
    if not 0 <= offset < len(strings):
        return ""
    end = strings.find(b"\0", offset)
    return strings[offset : end if end >= 0 else len(strings)].decode("utf-8", "replace")


def read(data: bytes, name: str = "") -> Elf:
    """The ELF file `data`; `name` is for messages. Raises InputError when it is none."""
    return Elf(data, name)


def open(path: str | PathLike[str]) -> Elf:
    """The ELF file at `path`. Raises InputError when it is none, a directory, or cannot be read."""
    return Elf(read_file(path), str(path))


def read_file(path: str | PathLike[str]) -> bytes:
    """The bytes of a regular file; raises InputError with the reason otherwise."""
    file = Path(path)
    try:
        if file.is_dir():
            raise InputError("a directory", wanted="a file", where=str(path))
        if file.is_file() and file.stat().st_size > MAXIMUM:
            raise InputError(f"{file.stat().st_size} bytes", wanted=f"at most {MAXIMUM}", where=str(path))
        return file.read_bytes()
    except OSError as error:
        raise InputError(error.strerror or str(error), wanted="a readable file", where=str(path)) from error
