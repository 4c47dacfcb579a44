"""A relocatable object as one flat run of bytes that works at any address: sections side by side, their references resolved.

ELF-64, System V ABI AMD64 supplement 4.4. References to symbols that the object does not define lead to an illegal instruction: they stand
on paths that a kernel without exceptions never takes.
"""

from __future__ import annotations

import struct

from tanken.base.errors import InternalError

SHT_PROGBITS, SHT_SYMTAB, SHT_RELA, SHF_ALLOC = 1, 2, 4, 2
R_64, R_PC32, R_PLT32, R_GOTPCREL, R_GOTPCRELX, R_REX_GOTPCRELX, R_PC64 = 1, 2, 4, 9, 41, 42, 24
UD2 = b"\x0f\x0b"


class _Object:
    """The parts of an object file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        table, count, names = struct.unpack_from("<Q", data, 0x28)[0], *struct.unpack_from("<HH", data, 0x3C)
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * n) for n in range(count)]
        self.names = [self._name(names, section[0]) for section in self.sections]
        symtab = next(s for s in self.sections if s[1] == SHT_SYMTAB)
        self.symbols = [struct.unpack_from("<IBBHQQ", data, symtab[4] + 24 * n) for n in range(symtab[5] // 24)]
        self.symbol_names = [self._name(symtab[6], symbol[0]) for symbol in self.symbols]

    def _name(self, section: int, at: int) -> str:
        start = self.sections[section][4] + at
        return self.data[start : self.data.index(b"\0", start)].decode()


def flat(data: bytes, outside: list[tuple[int, str]] | None = None, marks: list[tuple[int, str]] | None = None) -> tuple[bytes, dict[str, int]]:
    """The image, and the offset of each global function that is defined in it.

    Where distances to symbols of no section stand goes into `outside`, where its own labels are into `marks`, if these are given.
    """
    file = _Object(data)
    image, bases = bytearray(), {}
    for number, section in enumerate(file.sections):
        if section[1] == SHT_PROGBITS and section[2] & SHF_ALLOC:
            image += bytes(-len(image) % 64)
            bases[number] = len(image)
            image += data[section[4] : section[4] + section[5]]
    nowhere = len(image)
    image += UD2.ljust(8, b"\xcc") + bytes(-len(image) % 8)
    slots = len(image)
    image += bytes(8)  # what a table of addresses would hold for a symbol that is not there
    for section in file.sections:
        if section[1] == SHT_RELA and section[7] in bases:
            _resolve(file, section, bases, image, nowhere, slots, outside)
    offsets = {
        name: bases[symbol[3]] + symbol[4] for symbol, name in zip(file.symbols, file.symbol_names, strict=True) if symbol[3] in bases and symbol[1] >> 4
    }
    if marks is not None:
        marks += [(bases[s[3]] + s[4], name) for s, name in zip(file.symbols, file.symbol_names, strict=True) if s[3] in bases and name and not s[1]]
    return bytes(image), offsets


def _resolve(
    file: _Object, section: tuple[int, ...], bases: dict[int, int], image: bytearray, nowhere: int, slots: int, outside: list[tuple[int, str]] | None
) -> None:
    for n in range(section[5] // 24):
        offset, info, addend = struct.unpack_from("<QQq", file.data, section[4] + 24 * n)
        kind, symbol, name = info & 0xFFFF_FFFF, file.symbols[info >> 32], file.symbol_names[info >> 32]
        at = bases[section[7]] + offset
        if outside is not None and symbol[3] not in bases and kind in (R_PC32, R_PLT32) and addend == -4:
            outside.append((at, name))
        if kind in (R_GOTPCREL, R_GOTPCRELX, R_REX_GOTPCRELX):
            target = slots
        else:
            target = bases[symbol[3]] + symbol[4] if symbol[3] in bases else nowhere
        if kind not in (R_PC32, R_PLT32, R_GOTPCREL, R_GOTPCRELX, R_REX_GOTPCRELX):
            if file.names[section[7]] == ".eh_frame":
                continue
            raise InternalError(f"a relocation of type {kind} in compiled code")
        struct.pack_into("<i", image, at, target + addend - at)
