"""Paging: tables of every mode built at random, judged by rules stated a second time from SDM volume 3, 4.6 and 4.7, compiled and not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken.base import native
from tanken.isa.x86.kernels import walk as W
from tanken.isa.x86.paging import AC_FLAG, FETCH, IMPLICIT, READ, USER, WRITE, Control, NotBacked, PageFault, Translation, translate

PG, WP = 1 << 31, 1 << 16
PSE, PAE, PGE, LA57, SMEP, SMAP, PKE = 1 << 4, 1 << 5, 1 << 7, 1 << 12, 1 << 20, 1 << 21, 1 << 22
LMA, NXE = 1 << 10, 1 << 11
NX = 1 << 63


class Memory:
    """Physical memory of a few pages."""

    def __init__(self, size: int = 0x10000) -> None:
        self.bytes = bytearray(size)

    def read(self, address: int, size: int) -> int:
        return int.from_bytes(self.bytes[address : address + size], "little")

    def write(self, address: int, size: int, value: int) -> None:
        self.bytes[address : address + size] = value.to_bytes(size, "little")


@dataclass
class Path:
    """One path through the tables: entries from the root down, their addresses, and the linear address that takes it."""

    memory: Memory
    control: Control
    linear: int
    places: list[int]
    size: int

    def entry(self, number: int) -> int:
        return self.memory.read(self.places[number], self.size)


def build(levels: int, depth: int, flags: list[int], cr0: int, cr4: int, efer: int, rflags: int, pkru: int, frame: int) -> Path:
    """Tables at 0x1000, 0x2000, ...; each of the `depth` entries on the path gets its flags."""
    size, bits = (4, 10) if levels == 2 else (8, 9)
    indices = [3 if levels == 3 and n == 0 else 5 + n for n in range(depth)]
    memory, linear, places = Memory(), 0, []
    for n, index in enumerate(indices):
        shift = 12 + bits * (levels - 1 - n)
        linear |= index << shift
        place = 0x1000 * (n + 1) + index * size
        last = n == depth - 1
        address = frame if last else 0x1000 * (n + 2)
        memory.write(place, size, (address | flags[n] | (0x80 if last and depth < levels else 0)) & (1 << 8 * size) - 1)
        places.append(place)
    top = 12 + bits * levels
    if levels > 3 and linear >> top - 1 & 1:
        linear |= ((1 << 64) - 1) & ~((1 << top) - 1)
    mode = {2: (0, 0), 3: (PAE, 0), 4: (PAE, LMA), 5: (PAE | LA57, LMA)}[levels]
    control = Control(cr0 | PG, 0x1000, cr4 | mode[0] | (PSE if levels == 2 else 0), efer | mode[1], rflags, pkru)
    return Path(memory, control, linear | 0x123, places, size)


def expected(path: Path, levels: int, flags: list[int], access: int) -> int | None:
    """The error code, None where the access is allowed."""
    control = path.control
    user = bool(access & USER) and not access & IMPLICIT
    code = (2 if access & WRITE else 0) | (4 if user else 0)
    if access & FETCH and (control.cr4 & SMEP or (control.efer & NXE and levels > 2)):
        code |= 16
    counted = flags[1:] if levels == 3 else flags
    for entry in flags:
        if not entry & 1:
            return code
        if entry & NX and not control.efer & NXE and levels > 2:
            return code | 9
    writable, for_user, no_execute = all(f & 2 for f in counted), all(f & 4 for f in counted), levels > 2 and any(f & NX for f in counted)
    code |= 1
    if access & FETCH:
        wrong = no_execute or user != for_user and (user or bool(control.cr4 & SMEP))
        return code if wrong else None
    if user and not for_user:
        return code
    if not user and for_user and control.cr4 & SMAP and (access & IMPLICIT or not control.rflags & AC_FLAG):
        return code
    if access & WRITE and not writable and (user or control.cr0 & WP):
        return code
    if levels > 3 and control.cr4 & PKE and for_user:
        pair = control.pkru >> 2 * (flags[-1] >> 59 & 15) & 3
        if pair & 1 or (pair & 2 and access & WRITE and (user or control.cr0 & WP)):
            return code | 32
    return None


SHAPES = [(2, 2), (2, 1), (3, 3), (3, 2), (4, 4), (4, 3), (4, 2), (5, 5), (5, 4), (5, 3)]


@st.composite
def paths(draw: st.DrawFn) -> tuple[Path, int, list[int], int]:
    levels, depth = draw(st.sampled_from(SHAPES))
    flags = []
    for n in range(depth):
        plain = draw(st.sampled_from([7, 7, 7, 3, 5, 1, 6]))
        high = draw(st.sampled_from([0, 0, 0, NX])) if levels > 2 and not (levels == 3 and n == 0) else 0
        if levels == 3 and n == 0:
            plain &= 1
        if levels > 3 and n == depth - 1:
            high |= draw(st.integers(0, 15)) << 59
        flags.append(plain | high)
    def pick(bit: int) -> int:
        return bit if draw(st.booleans()) else 0

    path = build(levels, depth, flags, pick(WP), pick(SMEP) | pick(SMAP) | pick(PKE) | pick(PGE), pick(NXE), pick(AC_FLAG), draw(st.integers(0, 2**32 - 1)),
                 0x4000_0000 if depth < levels else 0x7000)  # fmt: skip
    access = draw(st.sampled_from([READ, WRITE, FETCH])) | pick(USER) | pick(IMPLICIT)
    return path, levels, flags, access


@settings(max_examples=400, deadline=None)
@given(paths())
def test_rights(case: tuple[Path, int, list[int], int]) -> None:
    path, levels, flags, access = case
    wanted = expected(path, levels, flags, access)
    before = bytes(path.memory.bytes)
    result = translate(path.memory, path.control, path.linear, access)
    if wanted is not None:
        assert result == PageFault(path.linear, wanted)
        assert bytes(path.memory.bytes) == before, "a fault sets no bits"
        return
    assert isinstance(result, Translation)
    base = 0x4000_0000 if len(flags) < levels else 0x7000
    assert result.physical == base | path.linear & result.page_size - 1
    for n in range(len(flags)):
        if levels == 3 and n == 0:
            continue
        assert path.entry(n) & 0x20
        assert bool(path.entry(n) & 0x40) == (n == len(flags) - 1 and bool(access & WRITE))


@settings(max_examples=150, deadline=None)
@given(paths())
def test_compiled(case: tuple[Path, int, list[int], int]) -> None:
    twin = native.twin("tanken.isa.x86.kernels.walk")
    if twin is None:
        pytest.skip("native code is off")
    import numpy as np

    path, _, _, access = case
    words = np.frombuffer(path.memory.bytes, dtype=np.int64)
    signed = path.linear - (1 << 64 if path.linear >> 63 else 0)
    limit = len(path.memory.bytes)
    compiled = twin.walk(words.copy(), limit, path.control.cr3, path.control.how, path.control.pkru, signed, access, 1)
    plain = W.walk([int(word) for word in words], limit, path.control.cr3, path.control.how, path.control.pkru, path.linear, access, 1)
    assert compiled == plain


RESERVED_BITS = [
    (4, 4, 0, 1 << 51), (4, 4, 3, 1 << 48), (4, 4, 0, 1 << 7), (4, 2, 1, 1 << 20), (4, 2, 1, 1 << 13), (4, 3, 2, 1 << 21 - 1), (5, 5, 0, 1 << 7), (5, 5, 1, 1 << 7),
    (3, 3, 0, 1 << 1), (3, 3, 0, 1 << 8), (3, 3, 0, 1 << 63), (3, 3, 2, 1 << 52), (3, 3, 1, 1 << 62), (2, 1, 0, 1 << 21),
]  # fmt: skip


@pytest.mark.parametrize(("levels", "depth", "at", "bit"), RESERVED_BITS)
def test_reserved_bits(levels: int, depth: int, at: int, bit: int) -> None:
    flags = [1 if levels == 3 and n == 0 else 7 for n in range(depth)]
    frame = 0x4000_0000 if depth < levels else 0x7000
    good = build(levels, depth, flags, 0, 0, NXE, 0, 0, frame)
    assert isinstance(translate(good.memory, good.control, good.linear, READ), Translation)
    flags[at] |= bit
    bad = build(levels, depth, flags, 0, 0, NXE, 0, 0, frame)
    assert translate(bad.memory, bad.control, bad.linear, WRITE | USER) == PageFault(bad.linear, 1 | 2 | 4 | 8)


def test_gigabyte_pages_can_be_absent() -> None:
    path = build(4, 2, [7, 7], 0, 0, 0, 0, 0, 0x4000_0000)
    without = Control(path.control.cr0, 0x1000, path.control.cr4, path.control.efer, gigabyte_pages=False)
    assert translate(path.memory, path.control, path.linear) == Translation(0x4000_0000 | path.linear & 0x3FFF_FFFF, 1 << 30, True, True, True, False, False, 0)
    assert translate(path.memory, without, path.linear) == PageFault(path.linear, 9)


def test_without_paging_and_beyond_memory() -> None:
    memory = Memory()
    assert translate(memory, Control(0, 0, 0, 0), 0x1234) == Translation(0x1234, 4096, True, True, True, False, True, 0)
    control = Control(PG, 0x2_0000_0000, PAE, LMA)
    assert translate(memory, control, 0, limit=0x10000) == NotBacked(0x2_0000_0000)


def test_pse36_address() -> None:
    memory = Memory()
    memory.write(0x1000, 4, 0x0040_0083 | 0xAB << 13)
    result = translate(memory, Control(PG, 0x1000, PSE, 0), 0x5678)
    assert isinstance(result, Translation) and result.physical == 0xAB_0040_5678 and result.page_size == 1 << 22
