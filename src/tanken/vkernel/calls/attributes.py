"""Extended attributes: getxattr setxattr listxattr and their forms for links and descriptors.

xattr(7); the host's attributes with the host user's rights.
"""

from __future__ import annotations

import errno

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import Fd, Int, Path, Word, call
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Process

LARGEST = 65536  # XATTR_SIZE_MAX and XATTR_LIST_MAX


def _fill(process: Process, buffer: int, size: int, number: int, *words: int | bytes) -> int:
    """A call whose last arguments are a buffer and its size; the size that is needed where it is 0."""
    room = bytearray(min(size, LARGEST))
    length = syscall(number, *words, room, len(room)) if room else syscall(number, *words, 0, 0)
    if room:
        process.memory.write(buffer, room[:length], WRITE)
    return length


@call(191, host=True)
def getxattr(process: Process, path: Path, name: Path, value: Word, size: Word) -> int:
    return _fill(process, value, size, 191, path, name)


@call(192, host=True)
def lgetxattr(process: Process, path: Path, name: Path, value: Word, size: Word) -> int:
    return _fill(process, value, size, 192, path, name)


@call(193, host=True)
def fgetxattr(process: Process, fd: Fd, name: Path, value: Word, size: Word) -> int:
    return _fill(process, value, size, 193, fd, name)


@call(194, host=True)
def listxattr(process: Process, path: Path, names: Word, size: Word) -> int:
    return _fill(process, names, size, 194, path)


@call(195, host=True)
def llistxattr(process: Process, path: Path, names: Word, size: Word) -> int:
    return _fill(process, names, size, 195, path)


@call(196, host=True)
def flistxattr(process: Process, fd: Fd, names: Word, size: Word) -> int:
    return _fill(process, names, size, 196, fd)


def _set(process: Process, number: int, what: bytes | int, name: bytes, value: int, size: int, flags: int) -> int:
    if size > LARGEST:
        return -errno.E2BIG
    return syscall(number, what, name, process.memory.read(value, size) if size else b"", size, flags)


@call(188, host=True)
def setxattr(process: Process, path: Path, name: Path, value: Word, size: Word, flags: Int) -> int:
    return _set(process, 188, path, name, value, size, flags)


@call(189, host=True)
def lsetxattr(process: Process, path: Path, name: Path, value: Word, size: Word, flags: Int) -> int:
    return _set(process, 189, path, name, value, size, flags)


@call(190, host=True)
def fsetxattr(process: Process, fd: Fd, name: Path, value: Word, size: Word, flags: Int) -> int:
    return _set(process, 190, fd, name, value, size, flags)
