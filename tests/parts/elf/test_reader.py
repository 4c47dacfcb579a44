"""The ELF reader against pyelftools and readelf, and against files that lie.

System V ABI, chapters 4 and 5.
"""

from __future__ import annotations

import re
import struct
import subprocess
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tanken import elf
from tanken.base.errors import InputError, TankenError
from tanken.debug import listing
from tanken.elf.description import describe

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


@pytest.fixture(scope="module")
def small32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 32-bit program with a symbol table, a note and a shared object's dynamic section."""
    folder = tmp_path_factory.mktemp("elf32")
    source = ".text\n.globl f\n.type f,@function\nf: call g\n ret\n.size f,.-f\n.data\nvalue: .long 7\n.section .note.x,\"a\"\n.long 4,4,9\n.ascii \"abc\\0wxyz\"\n"
    subprocess.run(["as", "--32", "-o", str(folder / "a.o"), "-"], input=source.encode(), check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-shared", "-soname", "libx.so", "-o", str(folder / "libx.so"), str(folder / "a.o")], check=True)
    return folder / "libx.so"


def test_32_bits_equal_pyelftools(small32: Path) -> None:
    ours = elf.open(small32)
    assert ours.bits == 32 and ours.machine_name == "i386"
    with small32.open("rb") as file:
        theirs = ELFFile(file)
        assert ours.entry == theirs["e_entry"]
        assert [(s.name, s.type and s.address, s.size, s.offset) for s in ours.sections] == [
            (s.name, s["sh_addr"], s["sh_size"], s["sh_offset"]) for s in theirs.iter_sections()
        ]
        assert [(s.offset, s.address, s.file_size, s.memory_size, s.flags) for s in ours.segments] == [
            (s["p_offset"], s["p_vaddr"], s["p_filesz"], s["p_memsz"], s["p_flags"]) for s in theirs.iter_segments()
        ]
        for table, symbols in ((".symtab", ours.symbols), (".dynsym", ours.dynamic_symbols)):
            section = theirs.get_section_by_name(table)
            assert section is not None
            assert [(s.name, s.value, s.size) for s in symbols] == [(s.name, s["st_value"], s["st_size"]) for s in section.iter_symbols()]
        dynamic = theirs.get_section_by_name(".dynamic")
        assert dynamic is not None
        assert [value for _, value in ours.dynamic] == [tag["d_val"] for tag in dynamic.iter_tags()][:-1]
        assert [(note.owner, note.type, note.description) for note in ours.notes] == [("abc", 9, b"wxyz")]


@pytest.mark.parametrize("path", [BUSYBOX, LIBC, Path("/bin/true")], ids=str)
def test_described_as_readelf_counts(path: Path) -> None:
    ours = elf.open(path)
    lines = list(describe(ours))
    shown = subprocess.run(["readelf", "-hW", str(path)], capture_output=True, text=True, check=True).stdout
    counts = {title: int(found) for title, found in re.findall(r"Number of (program|section) headers: +(\d+)", shown)}
    assert f"{counts['program']} segments" in lines and f"{counts['section']} sections" in lines
    entries = subprocess.run(["readelf", "-dW", str(path)], capture_output=True, text=True, check=True).stdout
    wanted = re.findall(r"\((NEEDED|SONAME)\).*\[(.*)\]", entries)
    met = [tuple(line.split()) for line in lines if line.strip().startswith(("NEEDED", "SONAME"))]
    assert met == wanted


def _with_sections(count: int, size: int, names: bytes = b"") -> bytes:
    """A file whose `count` sections of code all cover the same `size` bytes, with a string table of `names`."""
    table = 64 + size + len(names)
    header = struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 2, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, count + 1, count)
    code = b"".join(struct.pack("<IIQQQQIIQQ", i, 1, 6, 0x1000, 64, size, 0, 0, 1, 0) for i in range(count))
    return header + b"\x90" * size + names + code + struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 64 + size, len(names), 0, 0, 1, 0)


def test_overlapping_sections_are_refused_at_once() -> None:
    hostile = elf.read(_with_sections(2000, 200_000))
    begin = time.process_time()
    with pytest.raises(InputError, match="overlap"):
        listing.code_sections(hostile)
    assert time.process_time() - begin < 2


def test_overlapping_names_are_refused() -> None:
    with pytest.raises(InputError, match="names that overlap"):
        _ = elf.read(_with_sections(2000, 16, b"a" * 100_000)).sections


def _everything(data: bytes) -> None:
    try:
        object = elf.read(data)
        _ = object.sections, object.segments, object.symbols, object.dynamic_symbols, object.dynamic, object.notes
        for section in object.sections:
            object.contents(section)
        assert all(isinstance(line, str) for line in describe(object))
    except TankenError as error:
        assert "\n" not in str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 0x200), st.integers(0, 255)), min_size=1, max_size=8), cut=st.integers(0, 5000))
def test_damaged_32_bit_files(small32: Path, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(small32.read_bytes())
    for position, value in changes:
        data[position] = value
    _everything(bytes(data))
    _everything(bytes(data[:cut]))


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
