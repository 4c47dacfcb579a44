"""Descriptors that tell of events: epoll_ctl epoll_wait epoll_pwait signalfd4 timerfd_settime timerfd_gettime.

epoll(7), signalfd(2), timerfd_create(2); the host's, whose events carry the guest's own words unchanged. What makes such a descriptor from
numbers alone stands in `passed`.
"""

from __future__ import annotations

import errno
import os
import select
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import Fd, Int, Word, call
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Process

EVENT = 12  # bytes of struct epoll_event, packed on x86-64
LARGEST = 4096
EPOLL_CTL_DEL = 2
TIMER = struct.Struct("<4q")


@call(233, host=True)
def epoll_ctl(process: Process, epoll: Fd, operation: Int, fd: Fd, event: Word) -> int:
    data = process.memory.read(event, EVENT) if operation != EPOLL_CTL_DEL else bytes(EVENT)
    return syscall(233, epoll, operation, fd, data)


@call(232, host=True)
def epoll_wait(process: Process, epoll: Fd, events: Word, count: Int, timeout: Int) -> int:
    if count <= 0:
        return -errno.EINVAL
    room = bytearray(EVENT * min(count, LARGEST))
    if process.threads.several:
        found = syscall(232, epoll, room, min(count, LARGEST), 0)
        if not found and timeout:
            process.threads.wait({epoll: select.POLLIN}, None if timeout < 0 else timeout / 1000)
    else:
        with process.signals.interruptible():
            found = syscall(232, epoll, room, min(count, LARGEST), timeout)
    if found:
        process.memory.write(events, room[: EVENT * found], WRITE)
    return found


@call(281, host=True)
def epoll_pwait(process: Process, epoll: Fd, events: Word, count: Int, timeout: Int, mask: Word) -> int:
    """The mask counts from before the wait to its end."""
    with process.signals.masked(process.memory.load(mask, 8) if mask else None):
        return epoll_wait(process, epoll, events, count, timeout)


@call(289, host=True)
def signalfd4(process: Process, fd: Int, mask: Word, size: Word, flags: Int) -> int:
    if size != 8:
        return -errno.EINVAL
    host = -1 if fd == -1 else process.descriptors.host(fd)
    answer = syscall(289, host, process.memory.read(mask, 8), 8, flags | os.O_CLOEXEC)
    return fd if fd != -1 else process.descriptors.add(answer, bool(flags & os.O_CLOEXEC))


@call(282, host=True)
def signalfd(process: Process, fd: Int, mask: Word, size: Word) -> int:
    return signalfd4(process, fd, mask, size, 0)


@call(286, host=True)
def timerfd_settime(process: Process, fd: Fd, flags: Int, new: Word, old: Word) -> int:
    before = bytearray(TIMER.size)
    syscall(286, fd, flags, process.memory.read(new, TIMER.size), before)
    if old:
        process.memory.write(old, before, WRITE)
    return 0


@call(287, host=True)
def timerfd_gettime(process: Process, fd: Fd, current: Word) -> int:
    now = bytearray(TIMER.size)
    syscall(287, fd, now)
    process.memory.write(current, now, WRITE)
    return 0
