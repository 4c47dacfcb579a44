"""Descriptors: close close_range dup dup2 dup3 fcntl ioctl pipe pipe2 flock.

Linux man-pages section 2; numbers and close-on-exec are the guest's own (`vkernel.descriptors`), the open files are the host's.
"""

from __future__ import annotations

import errno
import fcntl as host_fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.paths import O_CLOEXEC
from tanken.vkernel.calls.table import Fd, Int, Word, call
from tanken.vkernel.process import Process

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 5, 6, 7, 1030
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_GETPIPE_SZ, F_SETPIPE_SZ, F_GET_SEALS = 36, 37, 38, 1032, 1031, 1034
LOCKS = (F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW)
NUMBERS = (F_GETFL, F_SETFL, F_GETPIPE_SZ, F_SETPIPE_SZ, F_GET_SEALS)
FD_CLOEXEC = 1
CLOSE_RANGE_CLOEXEC = 4
# ioctl(2) requests by number: (bytes read from the guest, bytes written to it), as in ioctl_tty(2)
REQUESTS = {
    0x5401: (0, 36), 0x5402: (36, 0), 0x5403: (36, 0), 0x5404: (36, 0),  # TCGETS TCSETS TCSETSW TCSETSF
    0x540F: (0, 4), 0x5410: (4, 0), 0x5413: (0, 8), 0x5414: (8, 0), 0x541B: (0, 4), 0x5429: (0, 4),  # TIOCGPGRP TIOCSPGRP TIOCGWINSZ TIOCSWINSZ FIONREAD TIOCGSID
    0x5421: (4, 0),  # FIONBIO
    0x8004_5430: (0, 4), 0x4004_5431: (4, 0),  # TIOCGPTN TIOCSPTLCK
}  # fmt: skip
VALUES = frozenset((0x5409, 0x540A, 0x540B, 0x540E, 0x5422, 0x5425))  # TCSBRK TCXONC TCFLSH TIOCSCTTY TIOCNOTTY TCSBRKP: the argument is a number
FIOCLEX, FIONCLEX, TIOCGPTPEER = 0x5451, 0x5450, 0x5441


@call(3, host=True)
def close(process: Process, fd: Int) -> int:
    process.descriptors.close(fd)
    return 0


@call(436, host=True)
def close_range(process: Process, first: Int, last: Int, flags: Int) -> int:
    first, last = first & 0xFFFF_FFFF, last & 0xFFFF_FFFF
    if first > last or flags & ~(CLOSE_RANGE_CLOEXEC | 2):
        return -errno.EINVAL
    inside = [number for number in process.descriptors.table if first <= number <= last]
    if flags & CLOSE_RANGE_CLOEXEC:
        for number in inside:
            process.descriptors.table[number].close_on_exec = True
    else:
        process.descriptors.close_range(iter(inside))
    return 0


@call(32, host=True)
def dup(process: Process, fd: Int) -> int:
    return process.descriptors.duplicate(fd)


@call(33, host=True)
def dup2(process: Process, old: Int, new: Int) -> int:
    if old == new:
        process.descriptors.host(old)
        return old
    return process.descriptors.replace(old, new)


@call(292, host=True)
def dup3(process: Process, old: Int, new: Int, flags: Int) -> int:
    if old == new or flags & ~O_CLOEXEC:
        return -errno.EINVAL
    return process.descriptors.replace(old, new, bool(flags))


@call(72, host=True)
def fcntl(process: Process, fd: Int, command: Int, argument: Word) -> int:
    entry, number = process.descriptors.entry(fd), argument & 0xFFFF_FFFF
    if command in (F_DUPFD, F_DUPFD_CLOEXEC):
        return process.descriptors.duplicate(fd, command == F_DUPFD_CLOEXEC, number)
    if command == F_GETFD:
        return FD_CLOEXEC if entry.close_on_exec else 0
    if command == F_SETFD:
        entry.close_on_exec = bool(number & FD_CLOEXEC)
        return 0
    if command in NUMBERS:
        return int(host_fcntl.fcntl(entry.host, command, number))
    if command in LOCKS:
        data = process.memory.read(argument, 32)
        if command in (F_SETLKW, F_OFD_SETLKW):
            return _wait_for_lock(process, lambda now: host_fcntl.fcntl(entry.host, command - now, data))
        answer = host_fcntl.fcntl(entry.host, command, data)
        if command in (F_GETLK, F_OFD_GETLK):
            process.memory.write(argument, answer, WRITE)
        return 0
    return -errno.EINVAL


@call(73, host=True)
def flock(process: Process, fd: Fd, operation: Int) -> int:
    if operation & host_fcntl.LOCK_NB:
        host_fcntl.flock(fd, operation)
        return 0
    return _wait_for_lock(process, lambda now: host_fcntl.flock(fd, operation | host_fcntl.LOCK_NB * now))


def _wait_for_lock(process: Process, take: Callable[[bool], object]) -> int:
    """`take(True)` gives up where somebody has the lock, as the calls that do not wait do."""

    def attempt() -> bool:
        with suppress(OSError):
            take(True)
            return True
        return False

    if not process.threads.several:
        with process.signals.interruptible():
            take(False)
        return 0
    try:
        take(True)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        process.threads.attempt(attempt)
    return 0


@call(16, host=True)
def ioctl(process: Process, fd: Int, request: Word, argument: Word) -> int:
    """Terminal requests go to the host's descriptor; all others are refused as on a file that is no terminal."""
    entry, request = process.descriptors.entry(fd), request & 0xFFFF_FFFF
    if request in (FIOCLEX, FIONCLEX):
        entry.close_on_exec = request == FIOCLEX
        return 0
    if request in VALUES:
        return host_fcntl.ioctl(entry.host, request, argument & 0x7FFF_FFFF)
    if request == TIOCGPTPEER:
        peer = host_fcntl.ioctl(entry.host, request, argument & 0x7FFF_FFFF | O_CLOEXEC)
        return process.descriptors.add(peer, bool(argument & O_CLOEXEC))
    if request not in REQUESTS:
        return -errno.ENOTTY
    taken, given = REQUESTS[request]
    data = process.memory.read(argument, taken) if taken else bytes(given)
    answer = host_fcntl.ioctl(entry.host, request, data)
    if given:
        process.memory.write(argument, answer, WRITE)
    return 0


@call(293, host=True)
def pipe2(process: Process, ends: Word, flags: Int) -> int:
    process.memory.write(ends, bytes(8), WRITE)
    descriptors, closing = process.descriptors, bool(flags & O_CLOEXEC)
    source, sink = os.pipe2(flags | O_CLOEXEC)
    try:
        first = descriptors.add(source, closing)
    except OSError:
        os.close(sink)
        raise
    try:
        second = descriptors.add(sink, closing)
    except OSError:
        descriptors.close(first)
        raise
    process.memory.write(ends, struct.pack("<ii", first, second), WRITE)
    return 0


@call(22, host=True)
def pipe(process: Process, ends: Word) -> int:
    return pipe2(process, ends, 0)
