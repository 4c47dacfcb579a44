"""Threads of one guest on one processor: who runs, who waits for what, and in which order, which is the same in every run.

clone(2), futex(2), set_tid_address(2), get_robust_list(2). A thread runs until it has used up its turn, a number of instructions, or has to
wait; then the next in the order of their beginning does. While all wait, so does the host.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tanken.engine.memory import WRITE, Miss
from tanken.vkernel import signals as S

if TYPE_CHECKING:
    from tanken.isa.x86.state import State
    from tanken.vkernel.process import Process

SI_TKILL = -6
TURN = 200_000  # instructions, whatever the engine: the order is the same by all of them
SYSCALL = 2  # bytes of the instruction
TID, OWNER_DIED, WAITERS = 0x3FFF_FFFF, 0x4000_0000, 0x8000_0000  # of a futex's word that says who holds a lock
LONGEST_LIST = 2048  # entries of a robust list that are looked at


@dataclass(slots=True)
class Wait:
    """What a thread waits for: descriptors, a point of time (monotonic seconds), a futex; `again`: when to look again of its own accord.

    A call that waits is made again afterwards; that of a futex gets its `answer` by who wakes it.
    """

    fds: dict[int, int] = field(default_factory=dict)
    deadline: float | None = None
    again: float | None = None
    futex: int | None = None
    mask: int = 0xFFFF_FFFF  # of FUTEX_WAIT_BITSET
    number: int = 0  # in the order of those that wait
    changed: Callable[[], bool] | None = None  # whether another process has changed the futex
    ready: Callable[[], bool] | None = None  # asked whenever another thread may run: what the host cannot be asked about with other things
    answer: int | None = None
    call: str = ""
    interrupted: bool = False


class Blocked(Exception):
    """The call cannot be answered yet."""

    def __init__(self, wait: Wait) -> None:
        super().__init__()
        self.wait = wait


@dataclass(slots=True)
class Thread:
    """What belongs to one thread; `state` are its registers while another one runs."""

    number: int
    state: State | None = None
    clear: int = 0  # where 0 is put, and a futex woken, when it ends
    robust: int = 0
    mask: int = 0
    stack: tuple[int, int, int] = (0, 2, 0)
    pending: list[int] = field(default_factory=list)  # signals for it alone
    wait: Wait | None = None
    deadline: float | None = None  # of the call that is being made again and again
    done: int = 0  # bytes that it has moved
    held: int | None = None  # a descriptor of the host that a call opens, before its answer

    def begin(self) -> None:
        """Another call, of which nothing is done yet."""
        self.deadline, self.done = None, 0
        if self.held is not None:
            os.close(self.held)
            self.held = None


class Threads:
    """All threads of a process, the main one first; `current` runs."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.current = Thread(os.getpid())
        self.all = [self.current]
        self._begun = 0  # threads so far
        self._waits = 0  # waits so far
        self._gone = -1  # before which of them the one that ended stood
        self._until = 0  # instructions at which the turn of the current one ends

    @property
    def several(self) -> bool:
        return len(self.all) > 1

    def alone(self) -> None:
        """After fork and execve: the current thread is the main and only one."""
        self.current.number, self.current.wait = os.getpid(), None
        self.all = [self.current]

    def add(self, stack: int, tls: int | None) -> Thread:
        """A thread that goes on behind the current one's system call, with its answer 0."""
        state, signals = self.process.state, self.process.signals
        before = state.copy()
        state.rax, state.rsp = 0, stack or state.rsp
        if tls is not None:
            state.fs_base = tls
        self._begun += 1
        thread = Thread(self.all[0].number + self._begun, state.copy(), mask=signals.mask)
        state.assign(before)
        if not self.several:
            self._until = self.process.instructions + TURN
        self.all.append(thread)
        return thread

    def left(self) -> int:
        """Instructions that the current thread may run before somebody else's turn."""
        slice = self.process.engine.slice
        return min(max(self._until - self.process.instructions, 1), slice) if self.several else slice

    # -- waiting

    def wait(self, fds: dict[int, int], seconds: float | None = None) -> None:
        """Blocked until one of the host's descriptors is ready or the time is over: then, and only then, this returns when called again."""
        thread = self.current
        if seconds is not None:
            thread.deadline = time.monotonic() + seconds if thread.deadline is None else thread.deadline
            if time.monotonic() >= thread.deadline:
                return
        raise Blocked(Wait(fds, thread.deadline))

    def attempt(self, attempt: Callable[[], bool]) -> None:
        """Blocked until the attempt succeeds, which it may do more than once; it is made in turn with those of other threads, whatever the time."""
        if not attempt():
            raise Blocked(Wait(ready=attempt))

    def look_again(self, seconds: float) -> None:
        """Blocked, to try again soon: what it waits for cannot be waited for together with other things."""
        raise Blocked(Wait(again=time.monotonic() + seconds))

    def sleep(self, wait: Wait) -> None:
        """Let the current thread wait for a futex."""
        self._waits += 1
        wait.number = self._waits
        self.current.wait = wait

    def sleepers(self, address: int, mask: int = 0xFFFF_FFFF) -> list[Thread]:
        """Who waits for a futex, the first to come first."""
        found = [t for t in self.all if t.wait is not None and t.wait.futex == address and t.wait.answer is None and t.wait.mask & mask]
        return sorted(found, key=lambda thread: thread.wait.number if thread.wait else 0)

    def wake(self, address: int, count: int, mask: int = 0xFFFF_FFFF) -> int:
        """Answer the first `count` who wait for a futex; how many they were."""
        chosen = self.sleepers(address, mask)[:count]
        for thread in chosen:
            assert thread.wait is not None
            thread.wait.answer = 0
        return len(chosen)

    # -- who runs

    def turn(self) -> None:
        """Between two runs of the engine: another thread's turn, where it is."""
        thread, signals = self.current, self.process.signals
        if not self.several and self.all[0] is thread and thread.wait is None and not thread.pending:
            return
        if thread not in self.all or thread.wait is not None or self.process.instructions >= self._until:
            self._next()
        if signals.pending and not signals.ready():
            self._find_taker()
        thread = self.current
        for number in [n for n in thread.pending if not thread_blocks(signals.mask, n)]:
            thread.pending.remove(number)
            signals.pending.append(number)
            signals.told[number] = (SI_TKILL, os.getpid() | os.getuid() << 32)

    def _next(self) -> None:
        at = self.all.index(self.current) if self.current in self.all else self._gone
        while True:
            for thread in self.all[at + 1 :] + self.all[: at + 1]:
                if self._is_ready(thread):
                    return self._switch(thread)
            self._idle()

    def _is_ready(self, thread: Thread) -> bool:
        wait = thread.wait
        if wait is None or wait.answer is not None or wait.interrupted:
            return True
        if any(not thread_blocks(thread.mask, number) for number in thread.pending):
            wait.interrupted = True
            return True
        if wait.changed is not None and wait.changed():
            wait.answer = 0
            return True
        if wait.ready is not None and wait.ready():
            return True
        now = time.monotonic()
        if wait.deadline is not None and now >= wait.deadline:
            wait.answer = -errno.ETIMEDOUT if wait.futex is not None else None
            return True
        return (wait.again is not None and now >= wait.again) or bool(wait.fds and poller([wait]).poll(0))

    def _idle(self) -> None:
        """All wait: so does the host, for whatever comes first."""
        waits = [thread.wait for thread in self.all if thread.wait is not None]
        times = [at for wait in waits for at in (wait.deadline, wait.again) if at is not None]
        times += [time.monotonic() + 0.001 for wait in waits if wait.changed is not None or wait.ready is not None]
        limit = max(min(times) - time.monotonic(), 0) * 1000 + 0.5 if times else None
        signals = self.process.signals
        common = -1
        for thread in self.all:
            common &= signals.mask if thread is self.current else thread.mask
        with suppress(InterruptedError), signals.masked(common), signals.interruptible():
            poller(waits).poll(limit)
        if signals.pending:
            self._find_taker()

    def _find_taker(self) -> None:
        """Interrupt the first thread that does not block a signal that has come."""
        signals = self.process.signals
        for thread in self.all:
            mask = signals.mask if thread is self.current else thread.mask
            if any(number in signals.let_through or not thread_blocks(mask, number) for number in signals.pending):
                if thread.wait is not None:
                    thread.wait.interrupted = True
                if thread is not self.current or thread.wait is not None:
                    self._switch(thread)
                return

    def _switch(self, thread: Thread) -> None:
        """Let `thread`, which need not wait any more, go on."""
        process, before = self.process, self.current
        signals, state = process.signals, process.state
        if thread is not before:
            if before in self.all:
                before.state, before.mask, before.stack = state.copy(), signals.mask, signals.stack
            assert thread.state is not None
            state.assign(thread.state)
            signals.stack = thread.stack
            if signals.mask != thread.mask:
                signals.block(thread.mask)
            self.current = thread
        self._until = process.instructions + TURN
        wait, thread.wait = thread.wait, None
        if wait is None:
            return
        if wait.answer is not None:
            state.rax = wait.answer & 0xFFFF_FFFF_FFFF_FFFF
        elif wait.interrupted and wait.futex is not None:
            state.rax = -errno.EINTR & 0xFFFF_FFFF_FFFF_FFFF
        elif wait.interrupted and not (wait.call in S.RESTARTED and signals.restarts(n for n in thread.pending if not thread_blocks(thread.mask, n))):
            state.rip += SYSCALL
            state.rax = thread.done or -errno.EINTR & 0xFFFF_FFFF_FFFF_FFFF
            thread.begin()

    def give_way(self) -> None:
        """The current thread's turn is over."""
        self._until = 0

    # -- the end, and signals for one alone

    def end(self) -> bool:
        """The current thread ends; whether there are others, who go on."""
        thread = self.current
        self._release(thread)
        if thread.clear and self.several:
            with suppress(Miss):
                self.process.memory.write(thread.clear, bytes(4), WRITE)
                self.wake(thread.clear, 1)
        if not self.several:
            return False
        self._gone = self.all.index(thread) - 1
        self.all.remove(thread)
        return True

    def _release(self, thread: Thread) -> None:
        """The locks of its robust list, whose holder is gone now."""
        if not thread.robust:
            return
        memory = self.process.memory
        with suppress(Miss):
            entry, offset, last = (memory.load(thread.robust + 8 * n, 8) for n in range(3))
            for _ in range(LONGEST_LIST):
                if entry == thread.robust:
                    break
                if entry != last:
                    self._died(thread, entry + offset & 0xFFFF_FFFF_FFFF_FFFF)
                entry = memory.load(entry & ~1, 8)
            if last:
                self._died(thread, last + offset & 0xFFFF_FFFF_FFFF_FFFF)

    def _died(self, thread: Thread, word: int) -> None:
        value = self.process.memory.load(word, 4)
        if value & TID == thread.number:
            self.process.memory.write(word, (value & WAITERS | OWNER_DIED).to_bytes(4, "little"), WRITE)
            if value & WAITERS:
                self.wake(word, 1)

    def find(self, number: int) -> Thread | None:
        return next((thread for thread in self.all if thread.number == number), None)

    def send(self, thread: Thread, number: int) -> None:
        """A signal for one thread: its handler runs there; Killed where it ends them all."""
        signals = self.process.signals
        action = signals.actions.get(number, S.Action())
        if action.handler == S.SIG_IGN or (action.handler == S.SIG_DFL and number in S.HARMLESS):
            return
        blocked = thread_blocks(signals.mask if thread is self.current else thread.mask, number)
        if action.handler == S.SIG_DFL and not blocked:
            raise S.Killed(number)
        thread.pending.append(number)


def thread_blocks(mask: int, number: int) -> bool:
    """Whether the set holds the signal."""
    return bool(mask >> number - 1 & 1) and number not in (signal.SIGKILL, signal.SIGSTOP)


def poller(waits: list[Wait]) -> select.poll:
    """What the host is asked about all their descriptors."""
    wanted: dict[int, int] = {}
    for wait in waits:
        for fd, events in wait.fds.items():
            wanted[fd] = wanted.get(fd, 0) | events
    poll = select.poll()
    for fd, events in wanted.items():
        poll.register(fd, events)
    return poll
