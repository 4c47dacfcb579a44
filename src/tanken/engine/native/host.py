"""Memory of the host as the native engine needs it: reservations, an area that is written through one address and run through another,
and the signals that faults arrive by.

mmap(2), memfd_create(2), mprotect(2), sigaction(2), through ctypes.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any

from tanken.base.interrupt import NUMBERS, python_handler

PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE = 1, 2, 0x10, 0x20, 0x4000
FAILED = 2**64 - 1

_libc = ctypes.CDLL(None, use_errno=True)
_mmap, _munmap, _mprotect = _libc.mmap, _libc.munmap, _libc.mprotect
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_mremap, _msync = _libc.mremap, _libc.msync
_mremap.restype = ctypes.c_void_p
_mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
_msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def map_memory(length: int, protection: int, flags: int, address: int | None = None, fd: int = -1, offset: int = 0) -> int:
    """mmap; OSError where the host refuses."""
    got = _mmap(address, length, protection, flags, fd, offset)
    if got is None or got == FAILED:
        number = ctypes.get_errno()
        raise OSError(number, f"mmap of {length:#x} bytes: {os.strerror(number)}")
    return int(got)


def unmap_memory(address: int, length: int) -> None:
    _munmap(address, length)


def protect_memory(address: int, length: int, protection: int) -> None:
    """mprotect; OSError where the host refuses."""
    if _mprotect(address, length, protection):
        number = ctypes.get_errno()
        raise OSError(number, f"mprotect of {length:#x} bytes at {address:#x}: {os.strerror(number)}")


def remap_memory(address: int, old: int, length: int, to: int | None = None) -> int:
    """mremap, to a given place or anywhere: where it is now; an `old` length of 0 shows shared memory once more. OSError where the host refuses."""
    got = _mremap(address, old, length, 1 if to is None else 3, to)  # MREMAP_MAYMOVE, MREMAP_FIXED
    if got is None or got == FAILED:
        number = ctypes.get_errno()
        raise OSError(number, f"mremap of {length:#x} bytes: {os.strerror(number)}")
    return int(got)


def move_memory(address: int, length: int, to: int) -> None:
    """Let anonymous memory be at another place; zeros remain where it was, so that nobody else comes there. OSError where the host refuses."""
    got = _mremap(address, length, length, 7, to)  # MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP
    if got is None or got == FAILED:
        number = ctypes.get_errno()
        raise OSError(number, f"mremap of {length:#x} bytes: {os.strerror(number)}")


def sync_memory(address: int, length: int, flags: int) -> None:
    """msync; OSError where the host refuses."""
    if _msync(address, length, flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def view(address: int, length: int) -> memoryview:
    """The bytes at `address` as a memoryview; whoever looks into what is not mapped crashes."""
    return memoryview((ctypes.c_ubyte * length).from_address(address)).cast("B")


def function_of(code: bytes, words: int) -> Callable[..., int]:
    """Machine code as a function of so many 64-bit words that gives an int; its page stays."""
    address = map_memory(len(code), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    view(address, len(code))[:] = code
    protect_memory(address, len(code), PROT_READ | PROT_EXEC)
    return ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint64] * words)(address)


class DoubleArea:
    """Memory for code: written at `write_at`, run at `run_at`, never both through one address; a fork gets its own."""

    def __init__(self, size: int) -> None:
        self.size = size
        fd = self._file()
        self.write_at = map_memory(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd=fd)
        self.run_at = map_memory(size, PROT_READ | PROT_EXEC, MAP_SHARED, fd=fd)
        os.close(fd)
        self.bytes = view(self.write_at, size)

    def _file(self) -> int:
        fd = os.memfd_create("tanken-code", os.MFD_CLOEXEC)
        os.ftruncate(fd, self.size)
        return fd

    def unshare(self, data: bytes) -> None:
        """In a forked child: an area of its own at the same addresses, beginning with `data`: not what the parent has made of it meanwhile."""
        fd = self._file()
        map_memory(self.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, self.write_at, fd)
        self.bytes[: len(data)] = data
        map_memory(self.size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, self.run_at, fd)
        os.close(fd)


class _Action(ctypes.Structure):
    _fields_ = (("handler", ctypes.c_void_p), ("mask", ctypes.c_ubyte * 128), ("flags", ctypes.c_int), ("restorer", ctypes.c_void_p))


_now = _Action()
SA_SIGINFO, SA_NODEFER = 4, 0x4000_0000
FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


def handle_faults(handler: int, steps: bool = False) -> None:
    """Let the code at `handler` take the signals of faults, and of single steps; nothing where it has that of SIGSEGV already."""
    _libc.sigaction(int(signal.SIGSEGV), None, ctypes.byref(_now))
    if _now.handler == handler:
        return
    action = _Action(handler=handler, flags=SA_SIGINFO)
    for number in (*FAULTS, signal.SIGTRAP) if steps else FAULTS:
        if _libc.sigaction(int(number), ctypes.byref(action), None):
            raise OSError(ctypes.get_errno(), "sigaction")


_chained: dict[int, object] = {}
_chained_to = [0]
_seen: list[object] = []  # Python's handlers when they were chained last


def chain_interrupts(handler: int, old: int) -> None:
    """Let the code at `handler` see the signals that Python has handlers for, before them; their addresses stand at `old`, by number."""
    handlers = [python_handler(number) for number in NUMBERS]
    if _chained_to[0] != handler:
        _chained.clear()
        _chained_to[0] = handler
    elif handlers == _seen:
        return
    _seen[:] = handlers
    for number, python in zip(NUMBERS, handlers, strict=True):
        if not callable(python):
            _chained.pop(number, None)
        elif _chained.get(number) is not python:
            _chain(number, handler, old)
            _chained[number] = python


def _chain(number: int, handler: int, old: int) -> None:
    before = _Action()
    _libc.sigaction(number, None, ctypes.byref(before))
    if before.handler == handler:
        return
    where = ctypes.c_uint64.from_address(old + 8 * number)
    if before.handler not in _ours:
        where.value = _own[number] = before.handler or 0
    else:  # another engine's
        where.value = _own.get(number, 0)
    _ours.add(handler)
    action = _Action(handler=handler, flags=before.flags | SA_SIGINFO)
    ctypes.memmove(ctypes.addressof(action) + _Action.mask.offset, ctypes.addressof(before) + _Action.mask.offset, 128)
    _libc.sigaction(number, ctypes.byref(action), None)


_ours: set[int | None] = set()  # the addresses of engines' handlers
_own: dict[int, int] = {}  # Python's, by number


def unchain_interrupts(handler: int) -> None:
    """The code at `handler` is going away: Python's own handlers take its signals again."""
    if _chained_to[0] == handler:
        for number in _chained:
            now = _Action()
            _libc.sigaction(number, None, ctypes.byref(now))
            if now.handler == handler:
                now.handler, now.flags = _own.get(number, 0), now.flags & ~SA_SIGINFO
                _libc.sigaction(number, ctypes.byref(now), None)
        _chained.clear()
        _seen.clear()
    _ours.discard(handler)


def libc_address(name: str) -> int:
    """Where a function of the C library is."""
    function: Any = getattr(_libc, name)
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)
