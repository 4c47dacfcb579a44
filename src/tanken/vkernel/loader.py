"""Loading a program: an x86-64 ELF with the interpreter it asks for, or a script whose first line names one, into a fresh address space.

ELF specification (System V gABI, chapter 5), System V ABI AMD64 supplement 3.4.1 (initial stack), execve(2) (scripts, limits).
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tanken import elf
from tanken.base.errors import InputError, UnsupportedError, UsageError
from tanken.engine.memory import EXEC, OFFSET, PAGE, READ, WRITE, AddressSpace

PT_LOAD, PT_INTERP, PT_PHDR = 1, 3, 6
ET_EXEC, ET_DYN, EM_X86_64 = 2, 3, 62
STACK_SIZE = 8 << 20
SIGNAL_STACK = 2048  # bytes that a signal frame needs at most
STACK_GAP = 1 << 20  # below it nothing is mapped
ARGUMENT_LIMIT = 2 << 20  # bytes of arguments and environment: a quarter of the stack
SCRIPT_LINE, SCRIPT_DEPTH = 256, 4
LARGEST_IMAGE = 1 << 32
MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 40: "ARM", 43: "SPARC V9", 183: "AArch64", 243: "RISC-V"}


@dataclass(frozen=True, slots=True)
class Image:
    """A loaded program: where it begins, what it is called, and its memory."""

    memory: AddressSpace
    entry: int
    stack: int
    end: int  # of the highest segment: where the break begins
    path: str
    arguments: tuple[bytes, ...]


def _read_elf(data: bytes, name: str) -> tuple[elf.Elf, int]:
    """A 64-bit x86-64 ELF program, and where its program headers stand in the file."""
    file = elf.read(data, name)
    if file.machine != EM_X86_64 or file.bits != 64:
        raise UnsupportedError(f"a program for {MACHINES.get(file.machine, f'machine {file.machine}')}, {file.bits} bits", wanted="x86-64", where=name)
    if file.type not in (ET_EXEC, ET_DYN):
        raise InputError(f"an ELF of type {file.type}", wanted="a program (type 2 or 3)", where=name)
    return file, int.from_bytes(data[32:40], "little")


def read_program(path: str) -> bytes:
    """The bytes of an executable file; one clear error for what cannot be one."""
    try:
        kind = os.stat(path).st_mode
        data = Path(path).read_bytes() if stat.S_ISREG(kind) else b""
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", wanted="a program", where=path) from error
    except ValueError as error:
        raise UsageError(f"the path {path!r}: {error}") from error
    if not stat.S_ISREG(kind):
        raise InputError("a directory" if stat.S_ISDIR(kind) else "no regular file", wanted="a program", where=path)
    if not data:
        raise InputError("an empty file", wanted="a program", where=path)
    return data


def load(path: str, arguments: Sequence[bytes], environment: Sequence[bytes], space: Callable[[], AddressSpace] = AddressSpace) -> Image:
    """Load `path`, through the interpreters of scripts; InputError for what is no program, UnsupportedError for what is not done yet."""
    arguments = list(arguments)
    for _ in range(SCRIPT_DEPTH):
        data = read_program(path)
        if data[:2] != b"#!":
            break
        line = data[2:SCRIPT_LINE].split(b"\n")[0].strip().split(None, 1)
        if not line:
            raise InputError("#! without an interpreter", where=path)
        arguments = [*line, os.fsencode(path), *arguments[1:]]
        path = os.fsdecode(line[0])
    if data[:4] != b"\x7fELF":
        raise InputError(f"begins with {data[:4].hex(' ')}", wanted="an ELF program, or a script that begins with #!", where=path)
    return _load_elf(data, path, arguments, environment, space())


def _load_elf(data: bytes, path: str, arguments: Sequence[bytes], environment: Sequence[bytes], memory: AddressSpace) -> Image:
    file, headers = _read_elf(data, path)
    base = _pie_base(memory.top) if file.type == ET_DYN else 0
    loads = _place(memory, file, base, data, path)
    end = max(base + segment.address + segment.memory_size for segment in loads)
    table = next((base + s.address + headers - s.offset for s in loads if s.offset <= headers < s.offset + s.file_size), 0)
    memory.map(memory.top - STACK_SIZE, STACK_SIZE, READ | WRITE)
    memory.map(memory.top - STACK_SIZE - STACK_GAP, STACK_GAP, 0)
    linker, entry = _linker(memory, file, data, path) or (0, base + file.entry)
    auxiliary = {3: table, 4: 56, 5: len(file.segments), 6: PAGE, 7: linker, 8: 0, 9: base + file.entry, 17: 100, 23: 0, 26: 0, 51: SIGNAL_STACK}
    stack = _stack(memory, path, arguments, environment, auxiliary)
    return Image(memory, entry, stack, end, os.path.realpath(path), tuple(arguments))


def _linker(memory: AddressSpace, file: elf.Elf, data: bytes, path: str) -> tuple[int, int] | None:
    """Where the dynamic linker that PT_INTERP names was loaded, and where it begins; None for a program that needs none."""
    asked = next((segment for segment in file.segments if segment.type == PT_INTERP), None)
    if asked is None:
        return None
    name = os.fsdecode(data[asked.offset : asked.offset + asked.file_size].split(b"\0")[0])
    code = read_program(name)
    if code[:4] != b"\x7fELF":
        raise InputError(f"begins with {code[:4].hex(' ')}", wanted=f"the dynamic linker of {path}, an ELF", where=name)
    linker, _ = _read_elf(code, name)
    size = max((segment.address + segment.memory_size for segment in linker.segments if segment.type == PT_LOAD), default=0)
    base = memory.find_free(min(size, LARGEST_IMAGE)) if linker.type == ET_DYN and size else 0
    if base is None:
        raise InputError(f"{size:#x} bytes", wanted="a linker that fits", where=name)
    _place(memory, linker, base, code, name)
    return base, base + linker.entry


def _place(memory: AddressSpace, file: elf.Elf, base: int, data: bytes, path: str) -> list[elf.Segment]:
    """Check and map the segments, which are given back."""
    loads = [segment for segment in file.segments if segment.type == PT_LOAD and segment.memory_size]
    if not loads:
        raise InputError("no segment to load", where=path)
    for segment in loads:
        _check(segment, base, len(data), path, memory.top)
    for segment in loads:
        _map(memory, segment, base, data)
    return loads


def _pie_base(top: int) -> int:
    """Where position-independent programs go, as Linux places them when it does not randomise."""
    return top // 3 * 2 & ~OFFSET


def _check(segment: elf.Segment, base: int, size: int, path: str, top: int) -> None:
    where = f"{path}: segment at {segment.address:#x}"
    if segment.offset + segment.file_size > size:
        raise InputError(f"bytes {segment.offset:#x} to {segment.offset + segment.file_size:#x} of a file of {size:#x}", where=where, hint="truncated?")
    if segment.file_size > segment.memory_size:
        raise InputError(f"{segment.file_size:#x} bytes of file for {segment.memory_size:#x} of memory", where=where)
    if segment.memory_size > LARGEST_IMAGE or base + segment.address + segment.memory_size > top - STACK_SIZE - STACK_GAP:
        raise InputError(f"{segment.memory_size:#x} bytes", wanted="addresses of a user program", where=where)
    if (segment.offset - segment.address) & OFFSET:
        raise InputError(f"file offset {segment.offset:#x}", wanted="the same place in a page as the address", where=where)


def _map(memory: AddressSpace, segment: elf.Segment, base: int, data: bytes) -> None:
    start = base + segment.address & ~OFFSET
    before = base + segment.address - start
    rights = (READ if segment.flags & 4 else 0) | (WRITE if segment.flags & 2 else 0) | (EXEC if segment.flags & 1 else 0)
    content = data[segment.offset - before : segment.offset + segment.file_size]
    memory.map(start, before + segment.memory_size, rights, content)


def _stack(memory: AddressSpace, path: str, arguments: Sequence[bytes], environment: Sequence[bytes], auxiliary: dict[int, int]) -> int:
    """Strings at the top, below them the auxiliary vector, environment and arguments; the stack pointer's first value."""
    if sum(map(len, (*arguments, *environment))) + 9 * (len(arguments) + len(environment)) > ARGUMENT_LIMIT:
        raise UsageError("arguments and environment too long", wanted=f"at most {ARGUMENT_LIMIT} bytes")
    at = memory.top - 16

    def put(data: bytes) -> int:
        nonlocal at
        at -= len(data)
        memory.write(at, data)
        return at

    name, platform, random = put(os.fsencode(path) + b"\0"), put(b"x86_64\0"), put(os.urandom(16))
    variables = [put(text + b"\0") for text in environment]
    words = [put(text + b"\0") for text in arguments]
    auxiliary |= {11: os.getuid(), 12: os.geteuid(), 13: os.getgid(), 14: os.getegid(), 15: platform, 16: 0x0788_8111, 25: random, 31: name}
    vector = [len(words), *words, 0, *variables, 0, *(number for pair in auxiliary.items() for number in pair), 0, 0]
    at = (at & ~15) - (len(vector) * 8 + 15 & ~15)
    memory.write(at, struct.pack(f"<{len(vector)}Q", *vector))
    return at
