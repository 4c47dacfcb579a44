"""What files are: stat fstat lstat newfstatat statx statfs fstatfs getdents64.

stat(2), statx(2), statfs(2), getdents64(2) for the layouts of the x86-64 structures.
"""

from __future__ import annotations

import errno
import os
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.paths import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
from tanken.vkernel.calls.table import Directory, Int, Path, Word, call
from tanken.vkernel.process import Process

STAT = struct.Struct("<QQQIIIIQqqqqqqqqq24x")
SECOND = 1_000_000_000
TYPES = {0o010000: 1, 0o020000: 2, 0o040000: 4, 0o060000: 6, 0o100000: 8, 0o120000: 10, 0o140000: 12}  # S_IFMT -> d_type


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
def fstat(process: Process, fd: Int, buffer: Word) -> int:
    process.memory.write(buffer, _pack(os.fstat(fd)), WRITE)
    return 0


@call(332, host=True)
def statx(process: Process, directory: Directory, path: Path, flags: Int, mask: Int, buffer: Word) -> int:
    """The basic fields; no time of birth."""
    s = _stat(directory, path, flags)
    head = struct.pack("<IIQIIIHxxQQQQ", 0x7FF, s.st_blksize, 0, s.st_nlink, s.st_uid, s.st_gid, s.st_mode, s.st_ino, s.st_size, s.st_blocks, 0)
    times = b"".join(struct.pack("<qIi", *divmod(value, SECOND), 0) for value in (s.st_atime_ns, 0, s.st_ctime_ns, s.st_mtime_ns))
    numbers = [number(device) for device in (s.st_rdev, s.st_dev) for number in (os.major, os.minor)]
    process.memory.write(buffer, (head + times + struct.pack("<4I", *numbers)).ljust(256, b"\0"), WRITE)
    return 0


def _statfs(process: Process, what: bytes | int, buffer: int) -> int:
    """The host's numbers; the type of the file system is not known to Python, and stays 0."""
    s = os.statvfs(what)
    words = (0, s.f_bsize, s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree, s.f_fsid & 0xFFFF_FFFF_FFFF_FFFF, s.f_namemax, s.f_frsize, s.f_flag)
    process.memory.write(buffer, struct.pack("<11Q32x", *words), WRITE)
    return 0


@call(137, host=True)
def statfs(process: Process, path: Path, buffer: Word) -> int:
    return _statfs(process, path, buffer)


@call(138, host=True)
def fstatfs(process: Process, fd: Int, buffer: Word) -> int:
    return _statfs(process, fd, buffer)


def _entry(inode: int, name: bytes, kind: int, offset: int) -> bytes:
    size = 19 + len(name) + 1 + 7 & ~7
    return (struct.pack("<QqHB", inode, offset, size, kind) + name).ljust(size, b"\0")


def _list(fd: int) -> list[bytes]:
    """The records of a directory, in the host's order; the host's position of the descriptor is left at the beginning."""
    found = [_entry(os.fstat(fd).st_ino, name, 4, number + 1) for number, name in enumerate((b".", b".."))]
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                kind = TYPES.get(entry.stat(follow_symlinks=False).st_mode & 0o170000, 0)
            except OSError:
                kind = 0
            found.append(_entry(entry.inode(), os.fsencode(entry.name), kind, len(found) + 1))
    return found


@call(217, host=True)
def getdents64(process: Process, fd: Int, buffer: Word, size: Int) -> int:
    if fd not in process.directories:
        process.directories[fd] = _list(fd)
    left, got = process.directories[fd], bytearray()
    while left and len(got) + len(left[0]) <= size:
        got += left.pop(0)
    if left and not got:
        return -errno.EINVAL
    if got:
        process.memory.write(buffer, got, WRITE)
    return len(got)
