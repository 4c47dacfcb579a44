"""Descriptors: close dup dup2 dup3 fcntl ioctl pipe pipe2 flock.

Linux man-pages section 2; a descriptor's close-on-exec flag is kept on the host's descriptor and acted on by our execve.
"""

from __future__ import annotations

import errno
import fcntl as host_fcntl
import os
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.paths import O_CLOEXEC
from tanken.vkernel.calls.table import Int, Word, call
from tanken.vkernel.process import Process

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 5, 6, 7, 1030
# ioctl(2) requests by number: (bytes read from the guest, bytes written to it), as in ioctl_tty(2)
REQUESTS = {
    0x5401: (0, 36), 0x5402: (36, 0), 0x5403: (36, 0), 0x5404: (36, 0),  # TCGETS TCSETS TCSETSW TCSETSF
    0x540F: (0, 4), 0x5410: (4, 0), 0x5413: (0, 8), 0x5414: (8, 0), 0x541B: (0, 4),  # TIOCGPGRP TIOCSPGRP TIOCGWINSZ TIOCSWINSZ FIONREAD
}  # fmt: skip


@call(3, host=True)
def close(process: Process, fd: Int) -> int:
    process.directories.pop(fd, None)
    os.close(fd)
    return 0


@call(32, host=True)
def dup(process: Process, fd: Int) -> int:
    return int(host_fcntl.fcntl(fd, F_DUPFD, 0))


@call(33, host=True)
def dup2(process: Process, old: Int, new: Int) -> int:
    if new < 0:
        return -errno.EBADF
    process.directories.pop(new, None)
    return os.dup2(old, new, inheritable=True) if old != new else host_fcntl.fcntl(old, F_GETFD) * 0 + old


@call(292, host=True)
def dup3(process: Process, old: Int, new: Int, flags: Int) -> int:
    if old == new or flags & ~O_CLOEXEC:
        return -errno.EINVAL
    process.directories.pop(new, None)
    return os.dup2(old, new, inheritable=not flags)


@call(72, host=True)
def fcntl(process: Process, fd: Int, command: Int, argument: Word) -> int:
    if command in (F_DUPFD, F_SETFD, F_SETFL, F_DUPFD_CLOEXEC):
        return int(host_fcntl.fcntl(fd, command, argument & 0x7FFF_FFFF))
    if command in (F_GETFD, F_GETFL):
        return int(host_fcntl.fcntl(fd, command))
    if command in (F_GETLK, F_SETLK, F_SETLKW):
        answer = host_fcntl.fcntl(fd, command, process.memory.read(argument, 32))
        if command == F_GETLK:
            process.memory.write(argument, answer, WRITE)
        return 0
    return -errno.EINVAL


@call(73, host=True)
def flock(process: Process, fd: Int, operation: Int) -> int:
    host_fcntl.flock(fd, operation)
    return 0


@call(16, host=True)
def ioctl(process: Process, fd: Int, request: Word, argument: Word) -> int:
    """Terminal requests go to the host's descriptor; all others are refused as on a file that is no terminal."""
    if request & 0xFFFF_FFFF not in REQUESTS:
        os.fstat(fd)
        return -errno.ENOTTY
    taken, given = REQUESTS[request & 0xFFFF_FFFF]
    data = process.memory.read(argument, taken) if taken else bytes(given)
    answer = host_fcntl.ioctl(fd, request & 0xFFFF_FFFF, data)
    if given:
        process.memory.write(argument, answer, WRITE)
    return 0


@call(293, host=True)
def pipe2(process: Process, ends: Word, flags: Int) -> int:
    process.memory.write(ends, bytes(8), WRITE)
    pair = os.pipe2(flags)
    process.memory.write(ends, struct.pack("<ii", *pair), WRITE)
    return 0


@call(22, host=True)
def pipe(process: Process, ends: Word) -> int:
    return pipe2(process, ends, 0)
