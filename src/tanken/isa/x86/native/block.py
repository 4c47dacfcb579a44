"""Where the native engine keeps each register: offsets into the state block, and the State whose lists are views of one.

The seven status flags stand as LAHF and SETO give them (Intel SDM volume 2, LAHF): OF in bit 0, CF 8, PF 10, AF 12, ZF 14, SF 15 of one
16-bit word.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, MutableSequence
from typing import Any, overload

from tanken.isa.architecture import Place
from tanken.isa.x86.native.tables import CONSTANTS_AT, MOST_CONSTANTS
from tanken.isa.x86.state import AF, CF, OF, PF, SF, ZF, State

FLAGS, DIRECTION = 128, 130
RIP, MXCSR, HOST_MXCSR = 136, 168, 172
FS_BASE, GS_BASE, SEGMENTS, SYSTEM_FLAGS = 176, 184, 192, 204
FPU_CONTROL, FPU_STATUS, FPU_TOP, FPU_VALID = 208, 210, 212, 213
SAVED_STACK = 248
LAZY_KIND, LAZY_A, LAZY_B = 1816, 1824, 1832  # what the flags are the result of, in a region
ST, VECTORS, VECTOR_STRIDE = 256, 512, 32
FPU_OPCODE, FPU_CS, FPU_DS, FPU_IP, FPU_DP, ENTROPY = 1104, 1106, 1108, 1112, 1120, 1128
CPL, WINDOW, TSC_AUX, SHADOW, CR0, CR4, TSC_OFFSET, XCR0 = 1144, 1145, 1148, 1152, 1160, 1168, 1176, 1184  # of a whole processor
SIZE = CONSTANTS_AT + 8 * MOST_CONSTANTS

STATUS = (CF, PF, AF, ZF, SF, OF)
FLAG_BIT = {"of": 0, "cf": 8, "pf": 10, "af": 12, "zf": 14, "sf": 15}
SCALARS = {"fs_base": (FS_BASE, 64), "gs_base": (GS_BASE, 64), "system_flags": (SYSTEM_FLAGS, 32), "mxcsr": (MXCSR, 32), "df": (DIRECTION, 8),
           "fpu_opcode": (FPU_OPCODE, 16), "fpu_cs": (FPU_CS, 16), "fpu_ds": (FPU_DS, 16), "fpu_ip": (FPU_IP, 64), "fpu_dp": (FPU_DP, 64),
           "entropy": (ENTROPY, 64), "fpu_control": (FPU_CONTROL, 16), "fpu_status": (FPU_STATUS, 16), "fpu_top": (FPU_TOP, 8), "fpu_valid": (FPU_VALID, 8),
           "cpl": (CPL, 8), "window": (WINDOW, 8), "tsc_aux": (TSC_AUX, 32), "shadow": (SHADOW, 64), "cr0": (CR0, 64), "cr4": (CR4, 64),
           "tsc_offset": (TSC_OFFSET, 64), "xcr0": (XCR0, 64)}  # fmt: skip
LISTS = {"regs": (0, 8), "segments": (SEGMENTS, 2), "st": (ST, 16), "xmm": (VECTORS, VECTOR_STRIDE), "upper": (VECTORS + 16, VECTOR_STRIDE)}


def where(place: Place) -> tuple[int, int]:
    """(byte offset, bits it is stored in) of a place that is no status flag."""
    if place.index is None:
        return SCALARS[place.field]
    first, stride = LISTS[place.field]
    return first + stride * place.index, place.width


class Wide(MutableSequence[int]):
    """Elements of up to 16 bytes in the state block, as a list of ints."""

    def __init__(self, block: memoryview, first: int, stride: int, size: int, count: int) -> None:
        self._block, self._first, self._stride, self._size, self._count = block, first, stride, size, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        at = self._first + self._stride * (index % self._count)
        return int.from_bytes(self._block[at : at + self._size], "little")

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            for n, element in zip(range(*index.indices(self._count)), value, strict=True):
                self[n] = element
            return
        at = self._first + self._stride * (index % self._count)
        self._block[at : at + self._size] = value.to_bytes(self._size, "little")

    def __delitem__(self, index: Any) -> None:
        raise TypeError("registers cannot be removed")

    def insert(self, index: int, value: int) -> None:
        raise TypeError("registers cannot be added")

    def __iter__(self) -> Iterator[int]:
        return (self[n] for n in range(self._count))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (list, Wide)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


_FLAG_WORD = struct.Struct("<HB")
_BASES = struct.Struct("<QQ")
_REST = struct.Struct("<IHHBB")  # system flags, x87
_LAST = struct.Struct("<HHHxxQQQ")  # of the last x87 instruction; entropy


def bind(state: State, block: memoryview) -> None:
    """Move the registers into the block; the lists of `state` are views of it from here on."""
    views: dict[str, Any] = {
        "regs": block[0:128].cast("Q"), "segments": block[SEGMENTS : SEGMENTS + 12].cast("H"),
        "st": Wide(block, ST, 16, 10, 8), "xmm": Wide(block, VECTORS, VECTOR_STRIDE, 16, 16),
        "upper": Wide(block, VECTORS + 16, VECTOR_STRIDE, 16, 16),
    }  # fmt: skip
    for name, view in views.items():
        for number, value in enumerate(getattr(state, name)):
            view[number] = value
        setattr(state, name, view)
    push(state, block)


def push(state: State, block: memoryview) -> None:
    """The registers that are no lists, into the block."""
    s = state
    _FLAG_WORD.pack_into(block, FLAGS, s.of | s.cf << 8 | s.pf << 10 | s.af << 12 | s.zf << 14 | s.sf << 15, s.df)
    struct.pack_into("<Q", block, RIP, s.rip)
    struct.pack_into("<I", block, MXCSR, s.mxcsr)
    _BASES.pack_into(block, FS_BASE, s.fs_base, s.gs_base)
    _REST.pack_into(block, SYSTEM_FLAGS, s.system_flags, s.fpu_control, s.fpu_status, s.fpu_top, s.fpu_valid)
    _LAST.pack_into(block, FPU_OPCODE, s.fpu_opcode, s.fpu_cs, s.fpu_ds, s.fpu_ip, s.fpu_dp, s.entropy)


def pull(state: State, block: memoryview) -> None:
    """The registers that are no lists, out of the block."""
    s = state
    word, s.df = _FLAG_WORD.unpack_from(block, FLAGS)
    s.of, s.cf, s.pf, s.af, s.zf, s.sf = word & 1, word >> 8 & 1, word >> 10 & 1, word >> 12 & 1, word >> 14 & 1, word >> 15 & 1
    s.rip = struct.unpack_from("<Q", block, RIP)[0]
    s.mxcsr = struct.unpack_from("<I", block, MXCSR)[0]
    s.fs_base, s.gs_base = _BASES.unpack_from(block, FS_BASE)
    s.system_flags, s.fpu_control, s.fpu_status, s.fpu_top, s.fpu_valid = _REST.unpack_from(block, SYSTEM_FLAGS)
    s.fpu_opcode, s.fpu_cs, s.fpu_ds, s.fpu_ip, s.fpu_dp, s.entropy = _LAST.unpack_from(block, FPU_OPCODE)
