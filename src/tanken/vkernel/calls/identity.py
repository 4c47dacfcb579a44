"""Who a process is: pids, users, groups, sessions, limits, priorities, prctl.

Linux man-pages section 2; all of it is the host's answer for the host process.
"""

from __future__ import annotations

import errno
import os
import resource
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.processes import pack_usage
from tanken.vkernel.calls.table import Int, Word, call
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Process


@call(39, host=True)
def getpid(process: Process) -> int:
    return os.getpid()


@call(110, host=True)
def getppid(process: Process) -> int:
    return os.getppid()


@call(102, host=True)
def getuid(process: Process) -> int:
    return os.getuid()


@call(104, host=True)
def getgid(process: Process) -> int:
    return os.getgid()


@call(107, host=True)
def geteuid(process: Process) -> int:
    return os.geteuid()


@call(108, host=True)
def getegid(process: Process) -> int:
    return os.getegid()


def _three(process: Process, addresses: tuple[int, int, int], numbers: tuple[int, int, int]) -> int:
    for address, number in zip(addresses, numbers, strict=True):
        process.memory.write(address, struct.pack("<I", number), WRITE)
    return 0


@call(118, host=True)
def getresuid(process: Process, real: Word, effective: Word, saved: Word) -> int:
    return _three(process, (real, effective, saved), os.getresuid())


@call(120, host=True)
def getresgid(process: Process, real: Word, effective: Word, saved: Word) -> int:
    return _three(process, (real, effective, saved), os.getresgid())


@call(105, host=True)
def setuid(process: Process, user: Int) -> int:
    os.setuid(user)
    return 0


@call(106, host=True)
def setgid(process: Process, group: Int) -> int:
    os.setgid(group)
    return 0


@call(115, host=True)
def getgroups(process: Process, size: Int, groups: Word) -> int:
    numbers = os.getgroups()
    if size:
        if size < len(numbers):
            return -errno.EINVAL
        process.memory.write(groups, struct.pack(f"<{len(numbers)}I", *numbers), WRITE)
    return len(numbers)


@call(116, host=True)
def setgroups(process: Process, size: Int, groups: Word) -> int:
    if not 0 <= size <= 65536:
        return -errno.EINVAL
    os.setgroups(struct.unpack(f"<{size}I", process.memory.read(groups, 4 * size)) if size else [])
    return 0


def _capabilities(process: Process, number: int, header: int, data: int, reads: bool) -> int:
    head = bytearray(process.memory.read(header, 8))
    sets = bytearray(process.memory.read(data, 24)) if data and reads else bytearray(24)
    try:
        answer = syscall(number, head, sets if data else 0)
    finally:
        process.memory.write(header, head, WRITE)  # the version that the kernel wants
    if data and not reads:
        process.memory.write(data, sets, WRITE)
    return answer


@call(125, host=True)
def capget(process: Process, header: Word, data: Word) -> int:
    return _capabilities(process, 125, header, data, False)


@call(126, host=True)
def capset(process: Process, header: Word, data: Word) -> int:
    return _capabilities(process, 126, header, data, True)


@call(109, host=True)
def setpgid(process: Process, target: Int, group: Int) -> int:
    os.setpgid(target, group)
    return 0


@call(121, host=True)
def getpgid(process: Process, target: Int) -> int:
    return os.getpgid(target)


@call(111, host=True)
def getpgrp(process: Process) -> int:
    return os.getpgrp()


@call(112, host=True)
def setsid(process: Process) -> int:
    os.setsid()
    return os.getpid()


@call(124, host=True)
def getsid(process: Process, target: Int) -> int:
    return os.getsid(target)


def _limit(value: int) -> int:
    return value & 0xFFFF_FFFF_FFFF_FFFF


@call(302, host=True)
def prlimit64(process: Process, target: Int, which: Int, new: Word, old: Word) -> int:
    """Limits are told as the host's; setting one is accepted and does nothing, because it would limit our interpreter."""
    if target not in (0, os.getpid()):
        return -errno.ESRCH
    pair = resource.getrlimit(which)
    if which == resource.RLIMIT_STACK:
        pair = (8 << 20, pair[1])
    if new:
        process.memory.read(new, 16)
    if old:
        process.memory.write(old, struct.pack("<QQ", *map(_limit, pair)), WRITE)
    return 0


@call(97, host=True)
def getrlimit(process: Process, which: Int, result: Word) -> int:
    return prlimit64(process, 0, which, 0, result)


@call(160)
def setrlimit(process: Process, which: Int, new: Word) -> int:
    return prlimit64(process, 0, which, new, 0)


@call(98, host=True)
def getrusage(process: Process, who: Int, result: Word) -> int:
    process.memory.write(result, pack_usage(resource.getrusage(who)), WRITE)
    return 0


@call(140, host=True)
def getpriority(process: Process, which: Int, who: Int) -> int:
    return 20 - os.getpriority(which, who)


@call(141, host=True)
def setpriority(process: Process, which: Int, who: Int, value: Int) -> int:
    os.setpriority(which, who, value)
    return 0


PR_SET_NAME, PR_GET_NAME = 15, 16
PR_PASSED = {1, 3, 4, 7, 8, 23, 27, 36, 38, 39}  # death signal, dumpable, capabilities, single-bit answers: numbers in and out


@call(157, host=True)
def prctl(process: Process, option: Int, argument: Word, second: Word, third: Word, fourth: Word) -> int:
    """The name is the guest's; what is asked and answered in numbers is the host's."""
    if option == PR_SET_NAME:
        process.name = (process.memory.text(argument, 16) or process.memory.read(argument, 15))[:15]
        return 0
    if option == PR_GET_NAME:
        process.memory.write(argument, process.name.ljust(16, b"\0"), WRITE)
        return 0
    return syscall(157, option, argument, second, third, fourth) if option in PR_PASSED else -errno.EINVAL


@call(135)
def personality(process: Process, wanted: Word) -> int:
    """Linux alone, without variants."""
    return 0 if wanted & 0xFFFF_FFFF in (0, 0xFFFF_FFFF) else -errno.EINVAL


@call(203)
def sched_setaffinity(process: Process, target: Int, size: Word, mask: Word) -> int:
    """The one processor there is must be among them."""
    return 0 if process.memory.load(mask, 1) & 1 else -errno.EINVAL


@call(143, host=True)
def sched_getparam(process: Process, target: Int, parameter: Word) -> int:
    process.memory.write(parameter, struct.pack("<i", os.sched_getparam(target).sched_priority), WRITE)
    return 0


@call(204, host=True)
def sched_getaffinity(process: Process, target: Int, size: Word, result: Word) -> int:
    """One processor."""
    if size < 8:
        return -errno.EINVAL
    process.memory.write(result, (1).to_bytes(8, "little"), WRITE)
    return 8


@call(309)
def getcpu(process: Process, processor: Word, node: Word) -> int:
    for address in (processor, node):
        if address:
            process.memory.write(address, bytes(4), WRITE)
    return 0
