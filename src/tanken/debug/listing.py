"""The disassembler's view of an object: which bytes are code, cut at symbols, with runs of zeros and data left out.

The rules are those of GNU objdump 2.40's -d, found by experiment: symbols stop the decoder, eight zeros or more are skipped at the boundary
of an instruction, and what a symbol of type OBJECT covers is data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tanken.base.errors import InputError, UnsupportedError
from tanken.elf import Elf, Section, Symbol
from tanken.elf import names as N
from tanken.isa import x86
from tanken.isa.x86.inst import Inst
from tanken.isa.x86.kernels.text import zeros

LONGEST = 15  # bytes of an instruction
MODES = {N.EM_X86_64: 64, N.EM_386: 32}


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes between two symbols (or ends of the section): `name` is the symbol's, `data` says that it is no code."""

    name: str
    address: int
    code: bytes
    data: bool


def mode_of(elf: Elf) -> int:
    """32 or 64 bits; raises UnsupportedError for another machine."""
    if elf.machine not in MODES:
        raise UnsupportedError(f"an object for {elf.machine_name}", wanted="x86-64 or i386", where=elf.name)
    return MODES[elf.machine]


def _rank(symbol: Symbol) -> tuple[int, int, str]:
    """Which of several symbols at one address names it, the smallest first."""
    kind = {N.STT_FUNC: 0, N.STT_GNU_IFUNC: 0, N.STT_OBJECT: 1}.get(symbol.type, 2)
    return (0 if symbol.bind == N.STB_GLOBAL else 1, kind, symbol.name)


def symbols_of(elf: Elf) -> tuple[Symbol, ...]:
    """The symbols that cut the code: the linker's, or of a stripped file the dynamic linker's."""
    return elf.symbols or elf.dynamic_symbols


@lru_cache(maxsize=1)
def _by_section(elf: Elf) -> dict[int, list[Symbol]]:
    """The symbols that may cut code, by the index of their section."""
    found: dict[int, list[Symbol]] = {}
    for symbol in symbols_of(elf):
        if symbol.type not in (N.STT_SECTION, N.STT_FILE, N.STT_TLS) and symbol.name and not symbol.name.startswith(".L"):
            found.setdefault(symbol.section, []).append(symbol)
    return found


def cuts(elf: Elf, section: Section) -> list[tuple[int, Symbol]]:
    """(address, symbol) of the places of `section` that bear a name, in order, one symbol an address."""
    best: dict[int, Symbol] = {}
    base = 0 if elf.type != 1 else section.address
    for symbol in _by_section(elf).get(section.index, ()):
        address = symbol.value + base
        if section.address <= address < section.address + section.size and (address not in best or _rank(symbol) < _rank(best[address])):
            best[address] = symbol
    return sorted(best.items())


def code_sections(elf: Elf) -> list[Section]:
    """The sections that hold code; raises InputError when they overlap so much that a listing would not end in any useful time."""
    found = [section for section in elf.sections if section.holds_code]
    total = sum(section.size for section in found)
    if total > 2 * len(elf.data):
        raise InputError(f"{len(found)} sections of code with {total} bytes", wanted=f"sections that do not overlap in a file of {len(elf.data)}", where=elf.name,
                         hint="--section names one")  # fmt: skip
    return found


def regions(elf: Elf, section: Section) -> Iterator[Region]:
    """The bytes of a section, cut at its symbols."""
    code, start = elf.contents(section), section.address
    places = cuts(elf, section)
    if not places or places[0][0] != start:
        end = places[0][0] if places else start + len(code)
        yield Region(section.name, start, code[: end - start], False)
    for i, (address, symbol) in enumerate(places):
        end = places[i + 1][0] if i + 1 < len(places) else start + len(code)
        yield Region(symbol.name, address, code[address - start : end - start], symbol.type == N.STT_OBJECT)


def instructions(code: bytes, address: int, mode: int) -> Iterator[Inst]:
    """The instructions of a region, without the zeros that objdump leaves out."""
    pos = 0
    while pos < len(code):
        left_out = zeros(code, pos, len(code))
        if left_out:
            pos += left_out
            continue
        inst = x86.decode(code[pos : pos + LONGEST + 1], address + pos, mode)
        yield inst
        pos += inst.length


def plain_lines(elf: Elf, syntax: str, sections: list[Section], low: int, high: int) -> Iterator[bytes]:
    """`address:<tab>text` lines in pieces, without symbols and comments; only bytes from `low` up to `high`."""
    mode = mode_of(elf)
    total = sum(section.size for section in sections)
    for section in sections:
        for region in regions(elf, section):
            if region.data:
                continue
            first, last = max(low - region.address, 0), min(high - region.address, len(region.code))
            if first >= last:
                continue
            yield from x86.text_lines(region.code[first:last], region.address + first, mode, syntax, likely=total, skip=True)
