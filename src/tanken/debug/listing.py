"""The disassembler's view of an object: which bytes are code, cut at symbols, with runs of zeros and data left out.

The rules are those of GNU objdump 2.40's -d, found by experiment: symbols stop the decoder, eight zeros or more are skipped at the boundary
of an instruction, and what a symbol of type OBJECT covers is data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.errors import UnsupportedError
from tanken.elf import Elf, Section, Symbol
from tanken.elf import names as N
from tanken.isa import x86
from tanken.isa.architecture import Column

ZEROS = re.compile(rb"\0{8,}")
CHUNK = 1 << 20  # bytes decoded at a time in search of boundaries
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


def cuts(elf: Elf, section: Section) -> list[tuple[int, Symbol]]:
    """(address, symbol) of the places of `section` that bear a name, in order, one symbol an address."""
    best: dict[int, Symbol] = {}
    base = 0 if elf.type != 1 else section.address
    for symbol in symbols_of(elf):
        if symbol.section != section.index or symbol.type in (N.STT_SECTION, N.STT_FILE, N.STT_TLS) or not symbol.name or symbol.name.startswith(".L"):
            continue
        address = symbol.value + base
        if section.address <= address < section.address + section.size and (address not in best or _rank(symbol) < _rank(best[address])):
            best[address] = symbol
    return sorted(best.items())


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


def _skip(code: bytes, pos: int) -> int:
    """How many zeros are left out at `pos`, the boundary of an instruction."""
    if code[pos]:
        return 0
    end = pos
    while end < len(code) and not code[end]:
        end += 1
    if end == len(code):
        return end - pos if end - pos >= 8 or end - pos <= 2 else 0
    return (end - pos) & ~3 if end - pos >= 8 else 0


def spans(code: bytes, mode: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the stretches of `code` that are decoded."""
    pos = known = search = 0  # `known` is the last boundary of an instruction that was found, so that nothing is decoded here twice
    while pos < len(code):
        if search <= pos:
            skip = _skip(code, pos)
            if skip:
                pos += skip
                continue
            known = search = pos
        low, high = _candidate(code, search)
        if low < 0:
            yield pos, len(code)
            return
        boundary = next((b for b in _boundaries(code, known, low, min(len(code), high + 16), mode) if b >= high or _skip(code, b)), high)
        if boundary < high:
            yield pos, boundary
            pos = search = boundary
        else:
            known = search = boundary


def _candidate(code: bytes, pos: int) -> tuple[int, int]:
    """The next run of zeros that may be left out, (-1, -1) when there is none."""
    found = ZEROS.search(code, pos)
    if found:
        return found.span()
    tail = len(code) - len(code.rstrip(b"\0"))
    return (max(pos, len(code) - tail), len(code)) if tail and pos < len(code) else (-1, -1)


def _boundaries(code: bytes, start: int, low: int, end: int, mode: int) -> Iterator[int]:
    """Where instructions begin, from `low` up to `end`, when one begins at `start`; memory stays bounded."""
    while start < end:
        stop = min(end, start + CHUNK)
        found = x86.decode_array(code[start:stop], start, mode)[:, Column.ADDRESS]
        if stop < end:  # the last ones may have been cut short
            last = int(found[found <= stop - LONGEST][-1])
            found = found[found < last]
        else:
            last = end
        yield from (int(address) for address in found[found >= low])
        start = last


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
            code = region.code[first:last]
            for start, end in spans(code, mode):
                yield from x86.text_lines(code[start:end], region.address + first + start, mode, syntax, likely=total)
