"""An ELF file in words: header, segments, sections, notes, dynamic entries, the number of symbols and the first of them.

System V ABI, chapters 4 and 5; notes and dynamic tags of the GNU extensions after the Linux Standard Base, chapter 10 and 11.
"""

from __future__ import annotations

from collections.abc import Iterator

from tanken.elf import names as N
from tanken.elf.reader import Elf, Note, Section, Segment, Symbol, text

SEGMENTS = {0: "NULL", 1: "LOAD", 2: "DYNAMIC", 3: "INTERP", 4: "NOTE", 5: "SHLIB", 6: "PHDR", 7: "TLS", 0x6474E550: "GNU_EH_FRAME", 0x6474E551: "GNU_STACK",
            0x6474E552: "GNU_RELRO", 0x6474E553: "GNU_PROPERTY"}  # fmt: skip
SECTIONS = {0: "NULL", 1: "PROGBITS", 2: "SYMTAB", 3: "STRTAB", 4: "RELA", 5: "HASH", 6: "DYNAMIC", 7: "NOTE", 8: "NOBITS", 9: "REL", 11: "DYNSYM", 14: "INIT_ARRAY",
            15: "FINI_ARRAY", 16: "PREINIT_ARRAY", 17: "GROUP", 18: "SYMTAB_SHNDX", 19: "RELR", 0x6FFFFFF6: "GNU_HASH", 0x6FFFFFFD: "GNU_VERDEF",
            0x6FFFFFFE: "GNU_VERNEED", 0x6FFFFFFF: "GNU_VERSYM"}  # fmt: skip
TAGS = {1: "NEEDED", 2: "PLTRELSZ", 3: "PLTGOT", 4: "HASH", 5: "STRTAB", 6: "SYMTAB", 7: "RELA", 8: "RELASZ", 9: "RELAENT", 10: "STRSZ", 11: "SYMENT", 12: "INIT", 13: "FINI",
        14: "SONAME", 15: "RPATH", 16: "SYMBOLIC", 17: "REL", 18: "RELSZ", 19: "RELENT", 20: "PLTREL", 21: "DEBUG", 22: "TEXTREL", 23: "JMPREL", 24: "BIND_NOW",
        25: "INIT_ARRAY", 26: "FINI_ARRAY", 27: "INIT_ARRAYSZ", 28: "FINI_ARRAYSZ", 29: "RUNPATH", 30: "FLAGS", 35: "RELRSZ", 36: "RELR", 37: "RELRENT",
        0x6FFFFEF5: "GNU_HASH", 0x6FFFFFF0: "VERSYM", 0x6FFFFFF9: "RELACOUNT", 0x6FFFFFFB: "FLAGS_1", 0x6FFFFFFC: "VERDEF", 0x6FFFFFFD: "VERDEFNUM",
        0x6FFFFFFE: "VERNEED", 0x6FFFFFFF: "VERNEEDNUM"}  # fmt: skip
STRINGS = (1, 14, 15, 29)  # tags whose value is an offset in DT_STRTAB
SYSTEMS = ("Linux", "Hurd", "Solaris", "FreeBSD")
KINDS = {0: "NOTYPE", 1: "OBJECT", 2: "FUNC", 3: "SECTION", 4: "FILE", 5: "COMMON", 6: "TLS", 10: "IFUNC"}
BINDS = {0: "LOCAL", 1: "GLOBAL", 2: "WEAK", 10: "UNIQUE"}
SHOWN = 20  # symbols


def _flags(bits: int, letters: tuple[tuple[int, str], ...]) -> str:
    return "".join(letter if bits & bit else "-" for bit, letter in letters)


def segment_line(segment: Segment) -> str:
    """Type, rights, address, sizes in the file and in memory, offset."""
    rights = _flags(segment.flags, ((4, "r"), (2, "w"), (1, "x")))
    kind = SEGMENTS.get(segment.type, f"{segment.type:#x}")
    return f"{kind:12} {rights}  {segment.address:#014x}  file {segment.file_size:#10x} at {segment.offset:#10x}  memory {segment.memory_size:#10x}"


def section_line(section: Section) -> str:
    """Index, name, type, flags (write, alloc, exec), address, size, offset."""
    flags = _flags(section.flags, ((1, "w"), (2, "a"), (4, "x")))
    kind = SECTIONS.get(section.type, f"{section.type:#x}")
    return f"{section.index:3} {section.name:24} {kind:13} {flags}  {section.address:#014x}  {section.size:#10x} at {section.offset:#10x}"


def symbol_line(symbol: Symbol) -> str:
    """Value, size, kind, binding, name."""
    where = f"in {symbol.section}" if symbol.section else "undefined"
    return f"{symbol.value:#014x} {symbol.size:#8x} {KINDS.get(symbol.type, str(symbol.type)):7} {BINDS.get(symbol.bind, str(symbol.bind)):6} {where:9}  {symbol.name}"


def note_line(note: Note) -> str:
    """Owner and what the note says."""
    words = [int.from_bytes(note.description[i : i + 4], "little") for i in range(0, len(note.description) & ~3, 4)]
    if note.owner == "GNU" and note.type == 1 and len(words) >= 4:
        system = SYSTEMS[words[0]] if words[0] < len(SYSTEMS) else f"system {words[0]}"
        return f"GNU          made for {system} {words[1]}.{words[2]}.{words[3]} or later"
    if note.owner == "GNU" and note.type == 3:
        return f"GNU          build id {note.description.hex()}"
    return f"{note.owner:12} type {note.type:#x}, {len(note.description)} bytes: {note.description[:16].hex(' ')}{' ...' if len(note.description) > 16 else ''}"


def _dynamic_strings(elf: Elf) -> bytes:
    values = dict(elf.dynamic)
    start, size = values.get(5, 0), values.get(10, 0)
    home = next((s for s in elf.segments if s.type == N.PT_LOAD and s.address <= start < s.address + s.file_size), None)
    return elf.data[home.offset + start - home.address :][:size] if home else b""


def dynamic_lines(elf: Elf) -> Iterator[str]:
    """Each entry by its name, a string where its value is one."""
    strings = _dynamic_strings(elf) if elf.dynamic else b""
    for tag, value in elf.dynamic:
        shown = text(strings, value) if tag in STRINGS else f"{value:#x}"
        yield f"{TAGS.get(tag, f'{tag:#x}'):13} {shown}"


def describe(elf: Elf) -> Iterator[str]:
    """The lines of the whole description; raises InputError where a table does not keep to the format."""
    yield f"{elf.bits}-bit {elf.machine_name} {N.TYPES.get(elf.type, f'type {elf.type:#x}')}, entry {elf.entry:#x}"
    symbols = elf.symbols or elf.dynamic_symbols
    named = [symbol for symbol in symbols if symbol.name]
    chapters: tuple[tuple[str, Iterator[str]], ...] = (
        ("segments", (segment_line(s) for s in elf.segments)), ("sections", (section_line(s) for s in elf.sections)), ("notes", (note_line(n) for n in elf.notes)),
        ("dynamic entries", dynamic_lines(elf)), ("symbols", (symbol_line(s) for s in named[:SHOWN])),
    )  # fmt: skip
    counts = (len(elf.segments), len(elf.sections), len(elf.notes), len(elf.dynamic), len(named))
    for (title, lines), count in zip(chapters, counts, strict=True):
        if count:
            yield ""
            yield f"{count} {title}" + (f", the first {SHOWN}" if title == "symbols" and count > SHOWN else "")
            yield from (f"  {line}" for line in lines)
