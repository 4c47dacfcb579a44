"""Reading and writing descriptors: read write and their forms for several places and given offsets, lseek, sendfile splice tee, fsync, truncate.

Linux man-pages section 2; the descriptors are the host's.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import Fd, Int, Long, Path, Word, call
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Process

LARGEST = 1 << 24  # bytes a call moves at most; more is a short read or write, which callers must expect
VECTORS = 1024  # IOV_MAX


def wait_ready(process: Process, fd: int, event: int = select.POLLIN) -> None:
    """Wait where a signal may interrupt, so that no byte is lost between the host's read or write and ours."""
    if not (process.threads.several or process.signals.actions) or not os.get_blocking(fd) or poll_now(fd, event):
        return
    if process.threads.several:
        process.threads.wait({fd: event})
    else:
        poll = select.poll()
        poll.register(fd, event)
        with process.signals.interruptible():
            poll.poll()


def poll_now(fd: int, event: int) -> bool:
    """Whether the descriptor is ready."""
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(0))


def put(process: Process, fd: int, data: bytes) -> int:
    """Write; while there are threads, no more at once than a pipe that is ready has room for, so that its reader may be one of them."""
    if not process.threads.several or not os.get_blocking(fd) or stat.S_ISREG(os.fstat(fd).st_mode):
        wait_ready(process, fd, select.POLLOUT)
        return os.write(fd, data)
    thread = process.threads.current
    while True:
        wait_ready(process, fd, select.POLLOUT)
        thread.done += os.write(fd, data[thread.done : thread.done + select.PIPE_BUF])
        if thread.done >= len(data):
            return thread.done


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
    return put(process, fd, data)


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
    return _scatter(process, places, os.read(fd, min(sum(length for _, length in places), LARGEST)))


def _scatter(process: Process, places: list[tuple[int, int]], data: bytes) -> int:
    done = 0
    for address, length in places:
        piece = data[done : done + length]
        if piece:
            process.memory.write(address, piece, WRITE)
        done += len(piece)
    return done


def _gather(process: Process, places: list[tuple[int, int]]) -> bytes:
    room, pieces = LARGEST, []
    for address, length in places:
        length = min(length, room)
        room -= length
        pieces.append(process.memory.read(address, length, 7) if length else b"")
    return b"".join(pieces)


@call(20, host=True)
def writev(process: Process, fd: Fd, vector: Word, count: Int) -> int:
    return put(process, fd, _gather(process, vectors(process, vector, count)))


@call(295, host=True)
def preadv(process: Process, fd: Fd, vector: Word, count: Int, offset: Long) -> int:
    places = vectors(process, vector, count)
    return _scatter(process, places, os.pread(fd, min(sum(length for _, length in places), LARGEST), offset))


@call(296, host=True)
def pwritev(process: Process, fd: Fd, vector: Word, count: Int, offset: Long) -> int:
    return os.pwrite(fd, _gather(process, vectors(process, vector, count)), offset)


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


def _moved(process: Process, number: int, source: int, source_offset: int, to: int, to_offset: int, count: int, flags: int) -> int:
    """Between two descriptors, at offsets that stand in memory where they are given, and are moved on there."""
    places = (source_offset, to_offset)
    offsets = [bytearray(process.memory.read(place, 8)) if place else 0 for place in places]
    done = syscall(number, source, offsets[0], to, offsets[1], min(count, 1 << 30), flags)
    for place, offset in zip(places, offsets, strict=True):
        if isinstance(offset, bytearray):
            process.memory.write(place, offset, WRITE)
    return done


@call(326, host=True)
def copy_file_range(process: Process, source: Fd, source_offset: Word, to: Fd, to_offset: Word, count: Word, flags: Int) -> int:
    return _moved(process, 326, source, source_offset, to, to_offset, count, flags)


@call(275, host=True)
def splice(process: Process, source: Fd, source_offset: Word, to: Fd, to_offset: Word, count: Word, flags: Int) -> int:
    return _moved(process, 275, source, source_offset, to, to_offset, count, flags)


@call(276, host=True)
def tee(process: Process, source: Fd, to: Fd, count: Word, flags: Int) -> int:
    return syscall(276, source, to, min(count, 1 << 30), flags)


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
    return syscall(285, fd, mode, offset, length)


@call(162, host=True)
def sync(process: Process) -> int:
    os.sync()
    return 0
