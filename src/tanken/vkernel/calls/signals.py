"""Signals: rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigpending rt_sigtimedwait sigaltstack kill tkill tgkill pause alarm setitimer.

Linux man-pages section 2; signals are sent and blocked by the host.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import time

from tanken.engine.memory import WRITE
from tanken.vkernel import signals
from tanken.vkernel.calls.table import Int, Word, call
from tanken.vkernel.process import Process

PATIENCE = 0.002  # seconds between two looks at signals, while there are threads


@call(13)
def rt_sigaction(process: Process, number: Int, new: Word, old: Word, size: Word) -> int:
    if size != 8 or not 1 <= number < signal.NSIG or (new and number in signals.UNCATCHABLE):
        return -errno.EINVAL
    before = process.signals.actions.get(number) or signals.Action(_inherited(number))
    if new:
        handler, flags, restorer, mask = struct.unpack("<4Q", process.memory.read(new, 32))
        process.signals.install(number, signals.Action(handler, flags, restorer, mask))
    if old:
        process.memory.write(old, struct.pack("<4Q", before.handler, before.flags, before.restorer, before.mask), WRITE)
    return 0


def _inherited(number: int) -> int:
    return int(number not in (32, 33) and signal.getsignal(number) == signal.SIG_IGN)


@call(14)
def rt_sigprocmask(process: Process, how: Int, new: Word, old: Word, size: Word) -> int:
    if size != 8:
        return -errno.EINVAL
    before = process.signals.mask
    if new:
        mask = process.memory.load(new, 8)
        if how not in (0, 1, 2):
            return -errno.EINVAL
        process.signals.block((before | mask, before & ~mask, mask)[how])
    if old:
        process.memory.write(old, before.to_bytes(8, "little"), WRITE)
    return 0


@call(15)
def rt_sigreturn(process: Process) -> int:
    return signals.leave(process)


@call(127)
def rt_sigpending(process: Process, result: Word, size: Word) -> int:
    mask = sum(1 << number - 1 for number in signal.sigpending())
    process.memory.write(result, mask.to_bytes(8, "little"), WRITE)
    return 0


def _wait(process: Process, mask: int) -> int:
    """Take the next signal that `mask` lets through from the host while all are blocked, so that none is missed."""
    old = process.signals.mask
    if process.threads.several:
        return _suspend(process, mask)
    came = {number for number in process.signals.pending if not mask >> number - 1 & 1}
    if came:
        process.signals.let_through |= came
        return -errno.EINTR
    process.signals.block((1 << 64) - 1)
    while True:
        number = signal.sigwait([n for n in range(1, signal.NSIG) if not mask >> n - 1 & 1 and n not in (*signals.UNCATCHABLE, *signals.SYNCHRONOUS, 32, 33)])
        action = process.signals.actions.get(number, signals.Action())
        if action.handler == signals.SIG_DFL and number not in signals.HARMLESS:
            raise signals.Killed(number)
        if action.handler not in (signals.SIG_DFL, signals.SIG_IGN):
            process.signals.pending.append(number)
            process.signals.let_through.add(number)
            process.signals.block(old)
            return -errno.EINTR


def _suspend(process: Process, mask: int) -> int:
    """The same while other threads may run."""
    here = [number for number in process.signals.pending + process.threads.current.pending if not mask >> number - 1 & 1]
    if here:
        process.signals.let_through |= set(here)
        process.signals.pending += [n for n in here if n not in process.signals.pending]
        process.threads.current.pending = [n for n in process.threads.current.pending if n not in here]
        return -errno.EINTR
    process.threads.look_again(PATIENCE)
    return 0


@call(130)
def rt_sigsuspend(process: Process, mask: Word, size: Word) -> int:
    return _wait(process, process.memory.load(mask, 8))


@call(34)
def pause(process: Process) -> int:
    return _wait(process, process.signals.mask)


@call(128)
def rt_sigtimedwait(process: Process, wanted: Word, info: Word, timeout: Word, size: Word) -> int:
    mask = process.memory.load(wanted, 8)
    numbers = [n for n in range(1, signal.NSIG) if mask >> n - 1 & 1]
    seconds, nanoseconds = struct.unpack("<qq", process.memory.read(timeout, 16)) if timeout else (1 << 30, 0)
    if process.threads.several:
        return _taken(process, numbers, info, seconds + nanoseconds / 1e9)
    got = signal.sigtimedwait(numbers, seconds + nanoseconds / 1e9)
    if got is None:
        return -errno.EAGAIN
    if info:
        process.memory.write(info, struct.pack("<iii", got.si_signo, got.si_errno, got.si_code).ljust(128, b"\0"), WRITE)
    return got.si_signo


def _taken(process: Process, numbers: list[int], info: int, seconds: float) -> int:
    """While other threads may run: what has come, for this thread alone or for all, or to look again."""
    thread = process.threads.current
    found = next((number for place in (thread.pending, process.signals.pending) for number in place if number in numbers), 0)
    if found:
        (thread.pending if found in thread.pending else process.signals.pending).remove(found)
    elif (got := signal.sigtimedwait([n for n in numbers if n not in signals.INTERNAL], 0)) is not None:
        found = got.si_signo
    else:
        thread.deadline = time.monotonic() + seconds if thread.deadline is None else thread.deadline
        if time.monotonic() >= thread.deadline:
            return -errno.EAGAIN
        process.threads.look_again(PATIENCE)
    if info:
        process.memory.write(info, struct.pack("<iii", found, 0, 0).ljust(128, b"\0"), WRITE)
    return found


@call(131)
def sigaltstack(process: Process, new: Word, old: Word) -> int:
    base, flags, size = process.signals.stack
    if new:
        process.signals.stack = struct.unpack("<QI4xQ", process.memory.read(new, 24))
    if old:
        process.memory.write(old, struct.pack("<QI4xQ", base, flags, size), WRITE)
    return 0


@call(62, host=True)
def kill(process: Process, target: Int, number: Int) -> int:
    if target == os.getpid() and number > 0:
        return _to_itself(process, number)
    os.kill(target, number)
    return 0


def _to_itself(process: Process, number: int) -> int:
    """What would end the host process, or would be a fault of its own, ends the guest alone; the rest goes through the host."""
    action = process.signals.actions.get(number) or signals.Action(_inherited(number) if number not in signals.UNCATCHABLE else 0)
    blocked = process.signals.mask >> number - 1 & 1
    fatal = action.handler == signals.SIG_DFL and number not in (*signals.HARMLESS, *signals.STOPPING) and number < signal.NSIG
    if number in signals.SYNCHRONOUS and (blocked or not fatal):
        process.signals.pending.append(number)
    elif fatal and not blocked:
        raise signals.Killed(number)
    else:
        os.kill(os.getpid(), number)
    return 0


@call(200, host=True)
def tkill(process: Process, target: Int, number: Int) -> int:
    """A thread's own signals stay here, as do those that the C library's threads send each other."""
    thread = process.threads.find(target)
    if thread is None or not 0 <= number < signal.NSIG:
        return kill(process, target, number) if number not in signals.INTERNAL else -errno.EINVAL
    if number in signals.INTERNAL or (process.threads.several and number not in signals.STOPPING):
        if number:
            process.threads.send(thread, number)
        return 0
    return kill(process, os.getpid(), number)


@call(234, host=True)
def tgkill(process: Process, group: Int, target: Int, number: Int) -> int:
    if group == os.getpid() and process.threads.find(target) is None:
        return -errno.ESRCH
    return tkill(process, target, number)


@call(37, host=True)
def alarm(process: Process, seconds: Int) -> int:
    return signal.alarm(seconds)


@call(36, host=True)
def getitimer(process: Process, which: Int, current: Word) -> int:
    first, interval = signal.getitimer(which)
    parts = [part for value in (interval, first) for part in divmod(int(value * 1e6), 1_000_000)]
    process.memory.write(current, struct.pack("<4q", *parts), WRITE)
    return 0


@call(129, host=True)
def rt_sigqueueinfo(process: Process, target: Int, number: Int, info: Word) -> int:
    """The number arrives; what is sent with it does not yet."""
    process.memory.read(info, 128)
    return kill(process, target, number)


@call(38, host=True)
def setitimer(process: Process, which: Int, new: Word, old: Word) -> int:
    interval, more, first, rest = struct.unpack("<4q", process.memory.read(new, 32)) if new else (0, 0, 0, 0)
    before = signal.setitimer(which, first + rest / 1e6, interval + more / 1e6)
    if old:
        parts = [part for value in (before[1], before[0]) for part in divmod(int(value * 1e6), 1_000_000)]
        process.memory.write(old, struct.pack("<4q", *parts), WRITE)
    return 0
