"""Threads and what they wait for each other by: futex, set_tid_address, robust lists, gettid, sched_yield, exit.

futex(2), set_tid_address(2), get_robust_list(2), exit(2). Operations of futex: wait, wake, both with a set of bits, requeue, wake after an
operation, and the locks that inherit priorities, of which there are none here.
"""

from __future__ import annotations

import errno
import struct
import time

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import Int, Word, call, signed
from tanken.vkernel.process import Exited, Process
from tanken.vkernel.threads import OWNER_DIED, TID, WAITERS, Wait

WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_BITSET, WAKE_BITSET = 0, 1, 3, 4, 5, 6, 7, 8, 9, 10
PRIVATE, CLOCK_REALTIME, ALL = 128, 256, 0xFFFF_FFFF
PATIENCE = 0.001  # seconds between two looks at a word that another process may change


@call(186)
def gettid(process: Process) -> int:
    return process.threads.current.number


@call(24)
def sched_yield(process: Process) -> int:
    process.threads.give_way()
    return 0


@call(60)
def exit(process: Process, status: Int) -> int:
    """Of one thread; the last one ends the process."""
    if not process.threads.end():
        raise Exited(status & 255)
    return 0


@call(218)
def set_tid_address(process: Process, address: Word) -> int:
    process.threads.current.clear = address
    return process.threads.current.number


@call(273)
def set_robust_list(process: Process, head: Word, length: Word) -> int:
    if length != 24:
        return -errno.EINVAL
    process.threads.current.robust = head
    return 0


@call(274)
def get_robust_list(process: Process, target: Int, head: Word, length: Word) -> int:
    thread = process.threads.find(target) if target else process.threads.current
    if thread is None:
        return -errno.EPERM
    process.memory.write(head, struct.pack("<Q", thread.robust), WRITE)
    process.memory.write(length, struct.pack("<Q", 24), WRITE)
    return 0


@call(202)
def futex(process: Process, address: Word, operation: Int, value: Int, timeout: Word, other: Word, third: Int) -> int:
    """A wait of the only thread ends by its time, a signal, or another process that changes a shared word."""
    kind, value = operation & 127, value & ALL
    if address & 3:
        return -errno.EINVAL
    if kind in (WAIT, WAIT_BITSET):
        mask = third & ALL if kind == WAIT_BITSET else ALL
        return _wait(process, address, operation, value, timeout, mask) if mask else -errno.EINVAL
    if kind in (WAKE, WAKE_BITSET):
        process.memory.load(address, 4)
        return process.threads.wake(address, value, third & ALL if kind == WAKE_BITSET else ALL)
    if kind in (REQUEUE, CMP_REQUEUE):
        if kind == CMP_REQUEUE and process.memory.load(address, 4) != third & ALL:
            return -errno.EAGAIN
        return _requeue(process, address, other, signed(value, 32), signed(timeout, 32))
    if kind == WAKE_OP:
        return _wake_op(process, address, other, value, timeout & ALL, third & ALL)
    if kind in (LOCK_PI, TRYLOCK_PI):
        return _lock(process, address, operation, timeout, kind == TRYLOCK_PI)
    return _unlock(process, address) if kind == UNLOCK_PI else -errno.ENOSYS


def _wait(process: Process, address: int, operation: int, value: int, timeout: int, mask: int) -> int:
    if process.memory.load(address, 4) != value:
        return -errno.EAGAIN
    end = _deadline(process, operation, timeout)
    if not process.threads.several:
        return _wait_for_change(process, address, value, end)
    changed = None if operation & PRIVATE else lambda: process.memory.load(address, 4) != value
    process.threads.sleep(Wait(deadline=end, futex=address, mask=mask, changed=changed))
    return 0


def _deadline(process: Process, operation: int, timeout: int) -> float | None:
    """On the monotonic clock; FUTEX_WAIT's time counts from now, that of the others is a point on their clock, LOCK_PI's is the real one."""
    if not timeout:
        return None
    seconds, rest = struct.unpack("<qq", process.memory.read(timeout, 16))
    if not 0 <= rest < 1_000_000_000 or seconds < 0:
        raise OSError(errno.EINVAL, "no time")
    left: float = seconds + rest / 1e9
    if operation & 127 != WAIT:
        left -= time.time() if operation & CLOCK_REALTIME or operation & 127 == LOCK_PI else time.monotonic()
    return time.monotonic() + left


def _wait_for_change(process: Process, address: int, value: int, deadline: float | None) -> int:
    with process.signals.interruptible():
        while process.memory.load(address, 4) == value:
            if deadline is not None and time.monotonic() >= deadline:
                return -errno.ETIMEDOUT
            time.sleep(PATIENCE)
    return 0


def _requeue(process: Process, address: int, other: int, wakes: int, moves: int) -> int:
    """Wake some and let others wait for another word; how many both were."""
    threads = process.threads
    if wakes < 0 or moves < 0:
        return -errno.EINVAL
    woken = threads.wake(address, wakes)
    moved = threads.sleepers(address)[:moves]
    for thread in moved:
        assert thread.wait is not None
        thread.wait.futex, thread.wait.changed = other, None
    return woken + len(moved)


def _wake_op(process: Process, address: int, other: int, wakes: int, more: int, coded: int) -> int:
    """Change the other word, wake those of the first, and those of the other where its old value compares so."""
    memory, operation = process.memory, coded >> 28 & 15
    argument, wanted = signed(coded >> 12, 12), signed(coded, 12)
    if operation & 8:
        argument = 1 << (argument & 31)
    old = memory.load(other, 4)
    results = (argument, old + argument, old | argument, old & ~argument, old ^ argument)
    compare = coded >> 24 & 15
    if operation & 7 > 4 or compare > 5:
        return -errno.ENOSYS
    memory.write(other, (results[operation & 7] & ALL).to_bytes(4, "little"), WRITE)
    number = signed(old, 32)
    holds = (number == wanted, number != wanted, number < wanted, number <= wanted, number > wanted, number >= wanted)[compare]
    return process.threads.wake(address, wakes) + (process.threads.wake(other, more) if holds else 0)


def _lock(process: Process, address: int, operation: int, timeout: int, tries: bool) -> int:
    """The word holds who has the lock; who unlocks it hands it to the first that waits."""
    me, word = process.threads.current.number, process.memory.load(address, 4)
    if not word & TID:
        process.memory.write(address, (me | word & OWNER_DIED).to_bytes(4, "little"), WRITE)
        return 0
    if word & TID == me:
        return -errno.EDEADLK
    if tries:
        return -errno.EAGAIN
    if process.threads.find(word & TID) is None:
        return -errno.ESRCH
    process.memory.write(address, (word | WAITERS).to_bytes(4, "little"), WRITE)
    process.threads.sleep(Wait(deadline=_deadline(process, operation, timeout), futex=address))
    return 0


def _unlock(process: Process, address: int) -> int:
    threads = process.threads
    if process.memory.load(address, 4) & TID != threads.current.number:
        return -errno.EPERM
    waiting = threads.sleepers(address)
    word = waiting[0].number | (WAITERS if len(waiting) > 1 else 0) if waiting else 0
    process.memory.write(address, word.to_bytes(4, "little"), WRITE)
    threads.wake(address, 1)
    return 0


@call(334)
def rseq(process: Process, area: Word, length: Int, flags: Int, signature: Int) -> int:
    """Not there: threads change at system calls and ends of turns, and libraries do without."""
    return -errno.EINVAL if flags & ~1 else -errno.ENOSYS
