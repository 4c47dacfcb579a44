"""Sockets: bind connect accept accept4 getsockname getpeername socketpair sendto recvfrom sendmsg recvmsg setsockopt getsockopt.

socket(2) and its neighbours; the host's sockets. Descriptors are not passed over them (SCM_RIGHTS): ancillary data is left out.
"""

from __future__ import annotations

import errno
import os
import select
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.files import LARGEST, poll_now, vectors, wait_ready
from tanken.vkernel.calls.table import Fd, Int, Word, call
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Process

SOL_SOCKET, SO_ERROR = 1, 4
UNDER_WAY, CONNECTED = 1, 2  # what a thread has done of connect
ADDRESS = 128  # sizeof(struct sockaddr_storage)
SOCK_CLOEXEC = os.O_CLOEXEC
MESSAGE = struct.Struct("<QI4xQQQQi4x")  # struct msghdr: name, its length, vectors, their number, control, its length, flags


def _address(process: Process, address: int, length: int) -> bytes:
    if not 0 <= length <= ADDRESS:
        raise OSError(errno.EINVAL, "address too long")
    return process.memory.read(address, length) if length else b""


def _put(process: Process, place: int, size: int, data: bytes | bytearray, length: int) -> None:
    """Store an address, cut to the room there is, and its length, as accept(2) says; nothing where none is wanted."""
    if place and size:
        room = struct.unpack("<I", process.memory.read(size, 4))[0]
        process.memory.write(place, data[: min(room, length)], WRITE)
        process.memory.write(size, struct.pack("<I", length), WRITE)


def _ask(process: Process, number: int, fd: int, place: int, size: int, *flags: int) -> int:
    room, length = bytearray(ADDRESS), bytearray(struct.pack("<I", ADDRESS))
    answer = syscall(number, fd, room, length, *flags)
    _put(process, place, size, room, int.from_bytes(length, "little"))
    return answer


@call(49, host=True)
def bind(process: Process, fd: Fd, address: Word, length: Int) -> int:
    return syscall(49, fd, _address(process, address, length), length)


@call(42, host=True)
def connect(process: Process, fd: Fd, address: Word, length: Int) -> int:
    data, thread = _address(process, address, length), process.threads.current
    if not thread.done and (not process.threads.several or not os.get_blocking(fd)):
        with process.signals.interruptible():
            return syscall(42, fd, data, length)
    if thread.done == UNDER_WAY:
        if not poll_now(fd, select.POLLOUT):
            process.threads.wait({fd: select.POLLOUT})
        return -int.from_bytes(_option(fd, SOL_SOCKET, SO_ERROR), "little")

    def attempt() -> bool:
        os.set_blocking(fd, False)
        try:
            syscall(42, fd, data, length)
        except BlockingIOError as error:
            thread.done = UNDER_WAY if error.errno == errno.EINPROGRESS else 0
        except OSError:
            return True  # which the host will say again
        else:
            thread.done = CONNECTED
        finally:
            os.set_blocking(fd, True)
        return thread.done > 0

    if thread.done != CONNECTED:
        process.threads.attempt(attempt)
    if thread.done == UNDER_WAY:
        process.threads.wait({fd: select.POLLOUT})
    return 0 if thread.done == CONNECTED else syscall(42, fd, data, length)


def _option(fd: int, level: int, option: int) -> bytearray:
    room = bytearray(4)
    syscall(55, fd, level, option, room, bytearray(struct.pack("<I", 4)))
    return room


@call(288, host=True)
def accept4(process: Process, fd: Fd, address: Word, length: Word, flags: Int) -> int:
    wait_ready(process, fd)
    return process.descriptors.add(_ask(process, 288, fd, address, length, flags | SOCK_CLOEXEC), bool(flags & SOCK_CLOEXEC))


@call(43, host=True)
def accept(process: Process, fd: Fd, address: Word, length: Word) -> int:
    return accept4(process, fd, address, length, 0)


@call(51, host=True)
def getsockname(process: Process, fd: Fd, address: Word, length: Word) -> int:
    return _ask(process, 51, fd, address, length)


@call(52, host=True)
def getpeername(process: Process, fd: Fd, address: Word, length: Word) -> int:
    return _ask(process, 52, fd, address, length)


@call(53, host=True)
def socketpair(process: Process, family: Int, kind: Int, protocol: Int, ends: Word) -> int:
    pair = bytearray(8)
    syscall(53, family, kind | SOCK_CLOEXEC, protocol, pair)
    numbers = [process.descriptors.add(host, bool(kind & SOCK_CLOEXEC)) for host in struct.unpack("<ii", pair)]
    process.memory.write(ends, struct.pack("<ii", *numbers), WRITE)
    return 0


@call(44, host=True)
def sendto(process: Process, fd: Fd, buffer: Word, count: Word, flags: Int, address: Word, length: Int) -> int:
    data = process.memory.read(buffer, min(count, LARGEST), 7) if count else b""
    wait_ready(process, fd, select.POLLOUT)
    name = _address(process, address, length) if address else b""
    return syscall(44, fd, data, len(data), flags, name or 0, len(name))


@call(45, host=True)
def recvfrom(process: Process, fd: Fd, buffer: Word, count: Word, flags: Int, address: Word, length: Word) -> int:
    wait_ready(process, fd)
    data, room, size = bytearray(min(count, LARGEST) or 1), bytearray(ADDRESS), bytearray(struct.pack("<I", ADDRESS))
    got = syscall(45, fd, data, min(count, LARGEST), flags, room, size)
    if got:
        process.memory.write(buffer, data[: min(got, count)], WRITE)
    _put(process, address, length, room, int.from_bytes(size, "little"))
    return got


@call(46, host=True)
def sendmsg(process: Process, fd: Fd, message: Word, flags: Int) -> int:
    name, length, places, count, *_ = MESSAGE.unpack(process.memory.read(message, MESSAGE.size))
    data = b"".join(process.memory.read(at, size) for at, size in vectors(process, places, count) if size)
    address = _address(process, name, length) if name else b""
    wait_ready(process, fd, select.POLLOUT)
    return syscall(44, fd, data, len(data), flags, address or 0, len(address))


@call(47, host=True)
def recvmsg(process: Process, fd: Fd, message: Word, flags: Int) -> int:
    name, length, places, count, control, *_ = MESSAGE.unpack(process.memory.read(message, MESSAGE.size))
    room = vectors(process, places, count)
    wait_ready(process, fd)
    total = min(sum(size for _, size in room), LARGEST)
    data, sender, size = bytearray(total or 1), bytearray(ADDRESS), bytearray(struct.pack("<I", ADDRESS))
    got, done = syscall(45, fd, data, total, flags, sender, size), 0
    for at, part in room:
        piece = data[done : min(done + part, got)]
        if piece:
            process.memory.write(at, piece, WRITE)
        done += part
    known = int.from_bytes(size, "little") if name else 0
    if name:
        process.memory.write(name, sender[: min(known, length)], WRITE)
    process.memory.write(message, MESSAGE.pack(name, known, places, count, control, 0, 0), WRITE)
    return got


@call(54, host=True)
def setsockopt(process: Process, fd: Fd, level: Int, option: Int, value: Word, length: Int) -> int:
    if not 0 <= length <= ADDRESS:
        return -errno.EINVAL
    return syscall(54, fd, level, option, process.memory.read(value, length) if length else 0, length)


@call(55, host=True)
def getsockopt(process: Process, fd: Fd, level: Int, option: Int, value: Word, length: Word) -> int:
    room = bytearray(min(process.memory.load(length, 4), ADDRESS) or 1)
    size = bytearray(struct.pack("<I", len(room)))
    syscall(55, fd, level, option, room, size)
    _put(process, value, length, room, int.from_bytes(size, "little"))
    return 0
