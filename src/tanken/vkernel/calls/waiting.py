"""Waiting for descriptors: poll ppoll select pselect6.

poll(2), select(2); the host waits.
"""

from __future__ import annotations

import errno
import select as host_select
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import Int, Word, call
from tanken.vkernel.process import Process

LARGEST = 4096
POLLNVAL = 32


def _poll(process: Process, address: int, count: int, milliseconds: float | None) -> int:
    if count > LARGEST:
        return -errno.EINVAL
    rows = [struct.unpack("<ihh", process.memory.read(address + 8 * n, 8)) for n in range(count)]
    poll = host_select.poll()
    table, wanted = process.descriptors.table, dict[int, int]()
    for fd, events, _ in rows:
        if fd in table:
            host = table[fd].host
            wanted[host] = wanted.get(host, 0) | events & 0x7FFF
            poll.register(host, wanted[host])
        elif fd >= 0:
            milliseconds = 0  # it is ready: with POLLNVAL
    if process.threads.several:
        found = dict(poll.poll(0))
        if not found and milliseconds != 0:
            process.threads.wait(wanted, None if milliseconds is None else milliseconds / 1000)
    else:
        with process.signals.interruptible():
            found = dict(poll.poll(milliseconds))
    ready = 0
    for n, (fd, events, _) in enumerate(rows):
        result = (found.get(table[fd].host, 0) & (events | 0x38) if fd in table else POLLNVAL) if fd >= 0 else 0
        ready += bool(result)
        process.memory.write(address + 8 * n + 6, struct.pack("<h", result), WRITE)
    return ready


def _timeout(process: Process, address: int, unit: int) -> float | None:
    if not address:
        return None
    seconds, rest = struct.unpack("<qq", process.memory.read(address, 16))
    return float(max(seconds * 1000 + rest * 1000 / unit, 0))


@call(7, host=True)
def poll(process: Process, rows: Word, count: Word, timeout: Int) -> int:
    return _poll(process, rows, count, None if timeout < 0 else timeout)


@call(271, host=True)
def ppoll(process: Process, rows: Word, count: Word, timeout: Word, mask: Word) -> int:
    with process.signals.masked(process.memory.load(mask, 8) if mask else None):
        return _poll(process, rows, count, _timeout(process, timeout, 1_000_000_000))


def _select(process: Process, count: int, sets: tuple[int, int, int], milliseconds: float | None) -> int:
    if not 0 <= count <= 1024:
        return -errno.EINVAL
    size = (count + 63) // 64 * 8
    asked = [int.from_bytes(process.memory.read(address, size), "little") if address and size else 0 for address in sets]
    readable, writable, special = lists = [{process.descriptors.host(fd): fd for fd in range(count) if bits >> fd & 1} for bits in asked]
    seconds = None if milliseconds is None else milliseconds / 1000
    if process.threads.several:
        found = host_select.select(readable, writable, special, 0)
        if not any(found) and seconds != 0:
            process.threads.wait(_events(readable, writable, special), seconds)
    else:
        with process.signals.interruptible():
            found = host_select.select(readable, writable, special, seconds)
    for address, numbers, ready in zip(sets, lists, found, strict=True):
        if address and size:
            process.memory.write(address, sum(1 << numbers[host] for host in ready).to_bytes(size, "little"), WRITE)
    return sum(map(len, found))


def _events(*lists: dict[int, int]) -> dict[int, int]:
    """As poll has them, for the host's descriptors."""
    wanted = dict[int, int]()
    for numbers, event in zip(lists, (host_select.POLLIN, host_select.POLLOUT, host_select.POLLPRI), strict=True):
        for host in numbers:
            wanted[host] = wanted.get(host, 0) | event
    return wanted


@call(23, host=True)
def select(process: Process, count: Int, readable: Word, writable: Word, special: Word, timeout: Word) -> int:
    return _select(process, count, (readable, writable, special), _timeout(process, timeout, 1_000_000))


@call(270, host=True)
def pselect6(process: Process, count: Int, readable: Word, writable: Word, special: Word, timeout: Word, mask: Word) -> int:
    place = process.memory.load(mask, 8) if mask else 0  # of a pair: where the set is, and its size
    with process.signals.masked(process.memory.load(place, 8) if place else None):
        return _select(process, count, (readable, writable, special), _timeout(process, timeout, 1_000_000_000))
