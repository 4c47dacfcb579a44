"""Memory: brk mmap munmap mprotect mremap madvise msync mincore mlock.

mmap(2), mremap(2), msync(2), brk(2). Memory of the process's own, anonymous or begun with a file's bytes; shared memory, nobody's or a file's
(`engine.shared`), is the host's.
"""

from __future__ import annotations

import errno
import os
from fcntl import F_GETFL, fcntl
from zlib import crc32

from tanken.engine.memory import EXEC, OFFSET, PAGE, READ, WRITE, AddressSpace, Mapping
from tanken.vkernel.calls.table import Int, Long, Word, call
from tanken.vkernel.process import Process

MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE = 1, 2, 0x10, 0x20, 0x100000
MREMAP_MAYMOVE, MREMAP_FIXED = 1, 2
MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
ST_NOEXEC = 8
LARGEST_VIEW = 1 << 28  # bytes of a file that are taken in at once
LARGEST_BREAK = 1 << 34
SLOT, SLOTS = 1 << 26, 1 << 13  # places for files: 512 GiB of address space


def _rights(prot: int) -> int:
    return (READ if prot & 1 else 0) | (WRITE if prot & 2 else 0) | (EXEC if prot & 4 else 0)


@call(12)
def brk(process: Process, wanted: Word) -> int:
    """The break, moved if that can be done."""
    start, old, memory = process.break_start, process.break_end, process.memory
    if not start <= wanted <= start + LARGEST_BREAK:
        return old
    before, after = old + OFFSET & ~OFFSET, wanted + OFFSET & ~OFFSET
    if after > before:
        if memory.find_free(after - before, before) != before:
            return old
        memory.map(before, after - before, READ | WRITE)
    elif after < before:
        memory.unmap(after, before - after)
    process.break_end = wanted
    return wanted


@call(9)
def mmap(process: Process, address: Word, length: Word, prot: Int, flags: Int, fd: Int, offset: Long) -> int:
    if not length or offset < 0 or offset & OFFSET or flags & 3 == 0:
        return -errno.EINVAL
    length = length + OFFSET & ~OFFSET
    if length > process.memory.top:
        return -errno.ENOMEM
    content = shared = None
    hint, is_shared = address, flags & 1  # MAP_SHARED, MAP_SHARED_VALIDATE
    if flags & MAP_ANONYMOUS:
        offset = 0
    else:
        host = _mappable(process, fd, prot)
        hint = address or _usual_place(process, host)
        if not is_shared:
            size = os.fstat(host).st_size
            if min(length, size - offset) > LARGEST_VIEW:
                return -errno.ENOMEM
            content, offset = os.pread(host, max(min(length, size - offset), 0), offset), 0
    at = _place(process, hint, length, flags)
    if at > 0:
        if is_shared:
            from tanken.engine.shared import Shared

            shared = Shared.anonymous(length) if flags & MAP_ANONYMOUS else Shared.of_file(host, offset, length, bool(prot & 2))
        process.memory.map(at, length, _rights(prot), content, offset=offset, shared=shared)
    return at


def _mappable(process: Process, fd: int, prot: int) -> int:
    """The host's descriptor of a file that may be read, and run where that is wanted."""
    host = process.descriptors.host(fd)
    if fcntl(host, F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
        raise OSError(errno.EACCES, "not open for reading")
    if prot & 4 and os.fstatvfs(host).f_flag & ST_NOEXEC:
        raise OSError(errno.EPERM, "nothing is run from there")
    return host


def _usual_place(process: Process, host: int) -> int:
    """A file of this name always goes to the same address, if that is free: what engines keep of a library serves all programs."""
    slot = crc32(os.fsencode(os.readlink(f"/proc/self/fd/{host}"))) % SLOTS
    return process.memory.top // 8 * 5 + slot * SLOT & ~OFFSET


def _place(process: Process, address: int, length: int, flags: int) -> int:
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
        if address & OFFSET or address < PAGE or address + length > process.memory.top:
            return -errno.EINVAL if address & OFFSET else -errno.EPERM if address < PAGE else -errno.ENOMEM
        if flags & MAP_FIXED_NOREPLACE and process.memory.find_free(length, address) != address:
            return -errno.EEXIST
        return address
    return process.memory.find_free(length, address) or -errno.ENOMEM


@call(11)
def munmap(process: Process, address: Word, length: Word) -> int:
    if address & OFFSET or not length or address + length > process.memory.top:
        return -errno.EINVAL
    process.memory.unmap(address, length)
    return 0


@call(10)
def mprotect(process: Process, address: Word, length: Word, prot: Int) -> int:
    if address & OFFSET:
        return -errno.EINVAL
    if not length:
        return 0
    if address + length > process.memory.top or any(not _mapped(process, page) for page in (address, address + length - 1 & ~OFFSET)):
        return -errno.ENOMEM
    process.memory.protect(address, length, _rights(prot))
    return 0


def _mapped(process: Process, address: int) -> bool:
    return any(mapping.start <= address < mapping.end for mapping in process.memory.mappings())


@call(25)
def mremap(process: Process, old: Word, old_length: Word, new_length: Word, flags: Int, new: Word) -> int:
    """Shrinking in place, growing there or by moving; to a given place; shared memory to a second place."""
    memory = process.memory
    old_length, new_length = old_length + OFFSET & ~OFFSET, new_length + OFFSET & ~OFFSET
    if old & OFFSET or not new_length or flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) or flags & 3 == MREMAP_FIXED:
        return -errno.EINVAL
    if max(old_length, new_length) > memory.top - old:
        return -errno.ENOMEM if old < memory.top else -errno.EFAULT
    mapping = next((m for m in memory.mappings() if m.start <= old < m.end), None)
    if flags & MREMAP_FIXED:
        if new & OFFSET or new + new_length > memory.top or (old < new + new_length and new < old + old_length):
            return -errno.EINVAL
        if old_length > new_length:
            memory.unmap(old + new_length, old_length - new_length)
            old_length = new_length
    elif old_length and new_length <= old_length:
        if mapping is None:
            return -errno.EFAULT
        if new_length < old_length:
            memory.unmap(old + new_length, old_length - new_length)
        return old
    if mapping is None or old + old_length > mapping.end:
        return -errno.EFAULT
    if not old_length and mapping.shared is None:
        return -errno.EINVAL
    return _moved(memory, mapping, old, old_length, new if flags & MREMAP_FIXED else 0, new_length, bool(flags & MREMAP_MAYMOVE))


def _moved(memory: AddressSpace, mapping: Mapping, old: int, old_length: int, to: int, length: int, may_move: bool) -> int:
    """Grown where it is, if it need not go `to` a place, or moved there or anywhere."""
    end, more = old + old_length, length - old_length
    if not to and old_length and end == mapping.end and memory.find_free(more, end) == end:
        memory.extend(end, more)
        return old
    if not may_move:
        return -errno.ENOMEM
    at = to or memory.find_free(length)
    if at is None:
        return -errno.ENOMEM
    memory.move(old, old_length, at, length)
    return at


@call(28)
def madvise(process: Process, address: Word, length: Word, advice: Int) -> int:
    """MADV_DONTNEED (4) of anonymous memory gives zeros again; other advice is not needed."""
    if advice == 4 and length:
        for mapping in process.memory.mappings():
            start, end = max(mapping.start, address), min(mapping.end, address + length + OFFSET & ~OFFSET)
            if start < end and mapping.content is None and mapping.shared is None:
                process.memory.map(start, end - start, mapping.prot)
    return 0


@call(26)
def msync(process: Process, address: Word, length: Word, flags: Int) -> int:
    if flags & ~7 or flags & MS_ASYNC and flags & MS_SYNC or address & OFFSET:
        return -errno.EINVAL
    end, reached = address + length + OFFSET & ~OFFSET, address
    for mapping in process.memory.mappings():
        start, last = max(mapping.start, address), min(mapping.end, end)
        if start < last:
            if start != reached:
                break
            reached = last
            if mapping.shared is not None:
                mapping.shared.sync(mapping.place(start >> 12), last - start, flags)
    return -errno.ENOMEM if reached < end else 0


@call(27)
def mincore(process: Process, address: Word, length: Word, result: Word) -> int:
    """Everything that is mapped is there."""
    if address & OFFSET:
        return -errno.EINVAL
    pages = (length + OFFSET) >> 12
    if any(not _mapped(process, address + (number << 12)) for number in range(pages)):
        return -errno.ENOMEM
    if pages:
        process.memory.write(result, b"\1" * pages, WRITE)
    return 0


@call(151)
def mlockall(process: Process, flags: Int) -> int:
    return 0 if 0 < flags < 8 else -errno.EINVAL


@call(152)
def munlockall(process: Process) -> int:
    return 0


@call(149)
def mlock(process: Process, address: Word, length: Word) -> int:
    return 0


@call(150)
def munlock(process: Process, address: Word, length: Word) -> int:
    return 0
