"""Time: time gettimeofday clock_gettime clock_getres nanosleep clock_nanosleep times.

clock_gettime(2), nanosleep(2); the clocks are the host's.
"""

from __future__ import annotations

import errno
import os
import struct
import time as host_time

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import Int, Word, call
from tanken.vkernel.process import Process

SECOND = 1_000_000_000
TIMER_ABSTIME = 1


def _put(process: Process, address: int, nanoseconds: int) -> int:
    process.memory.write(address, struct.pack("<qq", *divmod(nanoseconds, SECOND)), WRITE)
    return 0


@call(201, host=True)
def time(process: Process, result: Word) -> int:
    now = int(host_time.time())
    if result:
        process.memory.write(result, now.to_bytes(8, "little"), WRITE)
    return now


@call(96, host=True)
def gettimeofday(process: Process, result: Word, zone: Word) -> int:
    seconds, rest = divmod(host_time.time_ns(), SECOND)
    if result:
        process.memory.write(result, struct.pack("<qq", seconds, rest // 1000), WRITE)
    if zone:
        process.memory.write(zone, bytes(8), WRITE)
    return 0


@call(228, host=True)
def clock_gettime(process: Process, clock: Int, result: Word) -> int:
    return _put(process, result, host_time.clock_gettime_ns(clock))


@call(229, host=True)
def clock_getres(process: Process, clock: Int, result: Word) -> int:
    nanoseconds = int(host_time.clock_getres(clock) * SECOND)
    return _put(process, result, nanoseconds) if result else 0


def _sleep(process: Process, end: int, left: int) -> int:
    if process.threads.several:
        process.threads.wait({}, max(end - host_time.monotonic_ns(), 0) / SECOND)
        return 0
    try:
        with process.signals.interruptible():
            while (rest := end - host_time.monotonic_ns()) > 0:
                host_time.sleep(rest / SECOND)
    except InterruptedError:
        if left:
            _put(process, left, max(end - host_time.monotonic_ns(), 0))
        return -errno.EINTR
    return 0


@call(35, host=True)
def nanosleep(process: Process, wanted: Word, left: Word) -> int:
    return clock_nanosleep(process, host_time.CLOCK_MONOTONIC, 0, wanted, left)


@call(230, host=True)
def clock_nanosleep(process: Process, clock: Int, flags: Int, wanted: Word, left: Word) -> int:
    seconds, rest = struct.unpack("<qq", process.memory.read(wanted, 16))
    if not 0 <= rest < SECOND or seconds < 0:
        return -errno.EINVAL
    now = host_time.monotonic_ns()
    duration = seconds * SECOND + rest
    if flags & TIMER_ABSTIME:
        duration -= host_time.clock_gettime_ns(clock)
        left = 0
    return _sleep(process, now + duration, left)


@call(100, host=True)
def times(process: Process, buffer: Word) -> int:
    used = os.times()
    if buffer:
        process.memory.write(buffer, struct.pack("<4q", *(int(seconds * 100) for seconds in used[:4])), WRITE)
    return int(used[4] * 100)
