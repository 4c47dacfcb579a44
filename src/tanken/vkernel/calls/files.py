"""Reading and writing descriptors: read write readv writev pread64 pwrite64 lseek sendfile copy_file_range fsync truncate.

Linux man-pages section 2; the descriptors are the host's.
"""

from __future__ import annotations

import errno
import os
import select
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import Fd, Int, Long, Path, Word, call
from tanken.vkernel.process import Process

LARGEST = 1 << 24  # bytes a call moves at most; more is a short read or write, which callers must expect
VECTORS = 1024  # IOV_MAX


def wait_ready(process: Process, fd: int, event: int = select.POLLIN) -> None:
    """Wait where a signal may interrupt, so that no byte is lost between the host's read or write and ours."""
    if process.signals.actions and os.get_blocking(fd):
        poll = select.poll()
        poll.register(fd, event)
        with process.signals.interruptible():
            poll.poll()


def vectors(process: Process, address: int, count: int) -> list[tuple[int, int]]:
    """The (address, length) pairs of an iovec array."""
    if not 0 <= count <= VECTORS:
        raise OSError(errno.EINVAL, "too many vectors")
    words = struct.unpack(f"<{2 * count}Q", process.memory.read(address, 16 * count)) if count else ()
    return list(zip(words[::2], words[1::2], strict=True))


@call(0, host=True)
def read(process: Process, fd: Fd, buffer: Word, count: Word) -> int:
    wait_ready(process, fd)
    data = os.read(fd, min(count, LARGEST))
    if data:
        process.memory.write(buffer, data, WRITE)
    return len(data)


@call(1, host=True)
def write(process: Process, fd: Fd, buffer: Word, count: Word) -> int:
    data = process.memory.read(buffer, min(count, LARGEST), 7) if count else b""
    wait_ready(process, fd, select.POLLOUT)
    return os.write(fd, data)


@call(17, host=True)
def pread64(process: Process, fd: Fd, buffer: Word, count: Word, offset: Long) -> int:
    data = os.pread(fd, min(count, LARGEST), offset)
    if data:
        process.memory.write(buffer, data, WRITE)
    return len(data)


@call(18, host=True)
def pwrite64(process: Process, fd: Fd, buffer: Word, count: Word, offset: Long) -> int:
    return os.pwrite(fd, process.memory.read(buffer, min(count, LARGEST), 7) if count else b"", offset)


@call(19, host=True)
def readv(process: Process, fd: Fd, vector: Word, count: Int) -> int:
    places = vectors(process, vector, count)
    wait_ready(process, fd)
    data = os.read(fd, min(sum(length for _, length in places), LARGEST))
    done = 0
    for address, length in places:
        piece = data[done : done + length]
        if piece:
            process.memory.write(address, piece, WRITE)
        done += len(piece)
    return done


@call(20, host=True)
def writev(process: Process, fd: Fd, vector: Word, count: Int) -> int:
    places, room, pieces = vectors(process, vector, count), LARGEST, []
    for address, length in places:
        length = min(length, room)
        room -= length
        pieces.append(process.memory.read(address, length, 7) if length else b"")
    wait_ready(process, fd, select.POLLOUT)
    return os.write(fd, b"".join(pieces))


@call(8, host=True)
def lseek(process: Process, fd: Fd, offset: Long, whence: Int) -> int:
    return os.lseek(fd, offset, whence)


@call(40, host=True)
def sendfile(process: Process, to: Fd, source: Fd, offset: Word, count: Word) -> int:
    if not offset:
        return os.sendfile(to, source, None, min(count, 1 << 30))
    at = int.from_bytes(process.memory.read(offset, 8), "little")
    done = os.sendfile(to, source, at, min(count, 1 << 30))
    process.memory.write(offset, (at + done).to_bytes(8, "little"), WRITE)
    return done


@call(74, "fsync", host=True)
def sync_file(process: Process, fd: Fd) -> int:
    os.fsync(fd)
    return 0


@call(75, host=True)
def fdatasync(process: Process, fd: Fd) -> int:
    os.fdatasync(fd)
    return 0


@call(76, host=True)
def truncate(process: Process, path: Path, length: Long) -> int:
    os.truncate(path, length)
    return 0


@call(77, host=True)
def ftruncate(process: Process, fd: Fd, length: Long) -> int:
    os.ftruncate(fd, length)
    return 0


@call(221, host=True)
def fadvise64(process: Process, fd: Fd, offset: Long, length: Long, advice: Int) -> int:
    os.posix_fadvise(fd, offset, length, advice)
    return 0


@call(285, host=True)
def fallocate(process: Process, fd: Fd, mode: Int, offset: Long, length: Long) -> int:
    if mode:
        return -errno.EOPNOTSUPP
    os.posix_fallocate(fd, offset, length)
    return 0


@call(162, host=True)
def sync(process: Process) -> int:
    os.sync()
    return 0
