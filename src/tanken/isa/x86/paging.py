"""Paging: what a linear address means under given control registers, as a value; the walk itself is `kernels/walk.py`.

Intel SDM volume 3, chapter 4. PAE's four page-directory pointers are read from memory at each walk, as AMD's processors do (AMD APM volume 2, 5.2.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tanken.isa.x86.kernels import walk as W

READ, WRITE, USER, FETCH, IMPLICIT = 0, W.WRITE, W.USER, W.FETCH, W.IMPLICIT  # kinds of access, to be joined
PAGE_FAULT = 14
PHYSICAL_BITS = 48

CR0_PG, CR0_WP = 1 << 31, 1 << 16
CR4_PSE, CR4_PAE, CR4_PGE, CR4_LA57, CR4_PCIDE, CR4_SMEP, CR4_SMAP, CR4_PKE = 1 << 4, 1 << 5, 1 << 7, 1 << 12, 1 << 17, 1 << 20, 1 << 21, 1 << 22
EFER_LME, EFER_LMA, EFER_NXE = 1 << 8, 1 << 10, 1 << 11
AC_FLAG = 1 << 18
ALL_ONES = (1 << 64) - 1


class PhysicalMemory(Protocol):
    """Physical memory as a walk sees it: little-endian numbers of `size` bytes, aligned."""

    def read(self, address: int, size: int) -> int: ...

    def write(self, address: int, size: int, value: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Control:
    """The registers that decide a walk."""

    cr0: int
    cr3: int
    cr4: int
    efer: int
    rflags: int = 2
    pkru: int = 0
    physical_bits: int = PHYSICAL_BITS
    gigabyte_pages: bool = True

    @property
    def levels(self) -> int:
        """Levels of tables: 0 without paging, 2 (32-bit), 3 (PAE), 4 or 5."""
        if not self.cr0 & CR0_PG:
            return 0
        if not self.cr4 & CR4_PAE:
            return 2
        if not self.efer & EFER_LMA:
            return 3
        return 5 if self.cr4 & CR4_LA57 else 4

    @property
    def how(self) -> int:
        """The word that the walk reads."""
        word = self.levels | self.physical_bits << W.WIDTH_SHIFT
        flags = ((self.cr0 & CR0_WP, W.WP), (self.cr4 & CR4_SMEP, W.SMEP), (self.cr4 & CR4_SMAP, W.SMAP), (self.efer & EFER_NXE, W.NXE),
                 (self.cr4 & CR4_PSE, W.PSE), (self.cr4 & CR4_PGE, W.PGE), (self.cr4 & CR4_PKE and self.levels > 3, W.PKE),
                 (self.rflags & AC_FLAG, W.AC), (self.gigabyte_pages, W.GIGABYTE))  # fmt: skip
        for is_set, bit in flags:
            word |= bit if is_set else 0
        return word


@dataclass(frozen=True, slots=True)
class Translation:
    """Where a linear address is, what may be done with its page, and the page's size in bytes."""

    physical: int
    page_size: int
    writable: bool
    user: bool
    executable: bool
    is_global: bool
    dirty: bool
    key: int


@dataclass(frozen=True, slots=True)
class PageFault:
    """A page fault at `linear`, with the error code of SDM volume 3, 4.7."""

    linear: int
    code: int


@dataclass(frozen=True, slots=True)
class NotBacked:
    """A table entry lies at `physical`, where there is no memory."""

    physical: int


class Words:
    """Physical memory by 8-byte words, as the walk's kernel indexes it."""

    def __init__(self, memory: PhysicalMemory) -> None:
        self._memory = memory

    def __getitem__(self, index: int) -> int:
        return self._memory.read(index << 3, 8)

    def __setitem__(self, index: int, value: int) -> None:
        self._memory.write(index << 3, 8, value & ALL_ONES)


def translate(
    memory: PhysicalMemory, control: Control, linear: int, access: int = READ, update: bool = True, limit: int = 1 << 62
) -> Translation | PageFault | NotBacked:
    """Walk for one access (READ, WRITE or FETCH, with USER for privilege level 3, IMPLICIT for the processor's own); the address is canonical.

    `update`: set accessed and dirty bits in the entries, once the access is known to be allowed; `limit`: where physical memory ends.
    """
    root = control.cr3 if control.levels > 2 else control.cr3 & 0xFFFF_FFFF
    code, physical, found = W.walk(Words(memory), limit, root, control.how, control.pkru, linear, access, int(update))  # type: ignore[arg-type]
    if code == W.NOT_BACKED:
        return NotBacked(physical)
    if code >= 0:
        return PageFault(linear, code)
    size = 1 << (found >> W.PAGE_SHIFT & 63)
    bits = (W.MAY_WRITE, W.MAY_USER, W.MAY_FETCH, W.IS_GLOBAL, W.IS_DIRTY)
    writable, user, executable, is_global, dirty = (bool(found & bit) for bit in bits)
    return Translation(physical, size, writable, user, executable, is_global, dirty, found >> W.KEY_SHIFT & 15)
