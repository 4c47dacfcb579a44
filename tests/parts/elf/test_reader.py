"""The ELF reader against pyelftools, and against files that lie.

System V ABI, chapters 4 and 5.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken import elf
from tanken.base.errors import TankenError

BUSYBOX = Path("/bin/busybox")
LIBC = Path("/lib/x86_64-linux-gnu/libc.so.6")
SMALL = Path("/bin/true").read_bytes()


@pytest.mark.parametrize("path", [BUSYBOX, LIBC, Path("/bin/true")], ids=str)
def test_equals_pyelftools(path: Path) -> None:
    ours = elf.open(path)
    with path.open("rb") as file:
        theirs = ELFFile(file)
        assert ours.entry == theirs["e_entry"]
        assert [(s.name, s.address, s.size) for s in ours.sections] == [(s.name, s["sh_addr"], s["sh_size"]) for s in theirs.iter_sections()]
        assert [(s.offset, s.address, s.memory_size) for s in ours.segments] == [(s["p_offset"], s["p_vaddr"], s["p_memsz"]) for s in theirs.iter_segments()]
        table = theirs.get_section_by_name(".dynsym")
        if table is not None:
            assert [(s.name, s.value) for s in ours.dynamic_symbols] == [(s.name, s["st_value"]) for s in table.iter_symbols()]


def _everything(data: bytes) -> None:
    try:
        object = elf.read(data)
        _ = object.sections, object.segments, object.symbols, object.dynamic_symbols, object.dynamic, object.notes
        for section in object.sections:
            object.contents(section)
    except TankenError as error:
        assert "\n" not in str(error)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0x400) | st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, len(SMALL)))
def test_damaged_files(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(SMALL)
    for position, value in changes:
        data[position] = value
    _everything(bytes(data))
    _everything(bytes(data[:length]))


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!/bin/sh\n", b"\x7fELF\x02\x02" + bytes(58), b"MZ" + bytes(100)])
def test_no_elf(data: bytes) -> None:
    with pytest.raises(TankenError):
        elf.read(data, "file")
