"""What files are: stat fstat lstat newfstatat statx statfs fstatfs getdents64.

stat(2), statx(2), statfs(2), getdents64(2) for the layouts of the x86-64 structures.
"""

from __future__ import annotations

import errno
import os
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.paths import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
from tanken.vkernel.calls.table import AT_FDCWD, Directory, Fd, Int, Path, Word, call
from tanken.vkernel.descriptors import Descriptor
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Process

STAT = struct.Struct("<QQQIIIIQqqqqqqqqq24x")
SECOND = 1_000_000_000
LARGEST_LISTING = 1 << 20


def _pack(s: os.stat_result) -> bytes:
    times = [part for value in (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns) for part in divmod(value, SECOND)]
    return STAT.pack(s.st_dev, s.st_ino, s.st_nlink, s.st_mode, s.st_uid, s.st_gid, 0, s.st_rdev, s.st_size, s.st_blksize, s.st_blocks, *times)


@call(262, host=True)
def newfstatat(process: Process, directory: Directory, path: Path, buffer: Word, flags: Int) -> int:
    process.memory.write(buffer, _pack(_stat(directory, path, flags)), WRITE)
    return 0


def _stat(directory: int | None, path: bytes, flags: int) -> os.stat_result:
    if not path and flags & AT_EMPTY_PATH:
        return os.stat("." if directory is None else directory)
    return os.stat(path, dir_fd=directory, follow_symlinks=not flags & AT_SYMLINK_NOFOLLOW)


@call(4, host=True)
def stat(process: Process, path: Path, buffer: Word) -> int:
    return newfstatat(process, None, path, buffer, 0)


@call(6, host=True)
def lstat(process: Process, path: Path, buffer: Word) -> int:
    return newfstatat(process, None, path, buffer, AT_SYMLINK_NOFOLLOW)


@call(5, host=True)
def fstat(process: Process, fd: Fd, buffer: Word) -> int:
    process.memory.write(buffer, _pack(os.fstat(fd)), WRITE)
    return 0


@call(332, host=True)
def statx(process: Process, directory: Directory, path: Path, flags: Int, mask: Int, buffer: Word) -> int:
    answer = bytearray(256)
    syscall(332, AT_FDCWD if directory is None else directory, path + b"\0", flags, mask, answer)
    process.memory.write(buffer, answer, WRITE)
    return 0


def _statfs(process: Process, number: int, what: bytes | int, buffer: int) -> int:
    answer = bytearray(120)
    syscall(number, what, answer)
    process.memory.write(buffer, answer, WRITE)
    return 0


@call(137, host=True)
def statfs(process: Process, path: Path, buffer: Word) -> int:
    return _statfs(process, 137, path + b"\0", buffer)


@call(138, host=True)
def fstatfs(process: Process, fd: Fd, buffer: Word) -> int:
    return _statfs(process, 138, fd, buffer)


@call(217, host=True)
def getdents64(process: Process, fd: Int, buffer: Word, size: Int) -> int:
    entry = process.descriptors.entry(fd)
    got = bytearray(min(max(size, 0), LARGEST_LISTING))
    length = syscall(217, entry.host, got, len(got)) if entry.names is None else _own_descriptors(entry, got)
    if length:
        process.memory.write(buffer, got[:length], WRITE)
    return length


def _own_descriptors(entry: Descriptor, got: bytearray) -> int:
    """/proc/self/fd: the guest's numbers, not ours."""
    at = 0
    while entry.names and at + 32 <= len(got):
        name = entry.names.pop(0)
        kind = 4 if name.startswith(b".") else 10
        got[at : at + 32] = (struct.pack("<QqHB", 1 + at, at + 32, 32, kind) + name).ljust(32, b"\0")
        at += 32
    if entry.names and not at:
        raise OSError(errno.EINVAL, "no room for an entry")
    return at
