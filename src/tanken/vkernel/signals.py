"""Signals: the host's signals are the guest's; handlers run in the guest on a frame as Linux lays it out.

signal(7), sigaction(2), and the ucontext of the x86-64 kernel ABI (struct rt_sigframe: return address, ucontext, siginfo, XSAVE image).
"""

from __future__ import annotations

import os
import resource
import signal
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from tanken.engine.memory import WRITE, Miss

if TYPE_CHECKING:
    from tanken.vkernel.process import Process

SIG_DFL, SIG_IGN = 0, 1
SA_SIGINFO, SA_ONSTACK, SA_RESTART, SA_NODEFER, SA_RESETHAND = 4, 0x0800_0000, 0x1000_0000, 0x4000_0000, 0x8000_0000
UNCATCHABLE = (signal.SIGKILL, signal.SIGSTOP)
SYNCHRONOUS = (signal.SIGSEGV, signal.SIGFPE, signal.SIGILL, signal.SIGBUS, signal.SIGTRAP)
HARMLESS = (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH)  # without a handler they do nothing
STOPPING = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
# calls that are made again after a handler that was installed with SA_RESTART: signal(7)
RESTARTED = frozenset("read readv write writev ioctl open openat wait4 waitid accept accept4 connect recvfrom recvmsg sendto sendmsg flock fcntl".split())
INTERNAL = (32, 33)  # the C library's own, for its threads: they never leave the guest
RED_ZONE = 128
FLOATS, UPPER, PARTS = 832, 576, 7  # bytes of the XSAVE area, where the upper halves of vector registers are, x87 and SSE and AVX
MAGIC, MAGIC_END = 0x4650_5853, 0x4650_5845  # asm/sigcontext.h: an XSAVE area, and its end
ORDER = (8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 3, 2, 0, 1, 4)  # registers as struct sigcontext has them, RIP and flags follow
CONTEXT = struct.Struct("<QQQIIQ 18Q 4H 4Q 8Q Q Q")  # flags, link, stack; sigcontext; fpstate and reserved; mask


class Killed(Exception):
    """A signal whose default is to end the process."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True, slots=True)
class Action:
    """What the guest asked for: handler's address, flags, restorer, mask."""

    handler: int = SIG_DFL
    flags: int = 0
    restorer: int = 0
    mask: int = 0


@dataclass
class Signals:
    """Of one process: actions by number, what is blocked, what waits; `waiting` is true while a call may be interrupted."""

    actions: dict[int, Action] = field(default_factory=dict)
    mask: int = 0
    pending: list[int] = field(default_factory=list)
    waiting: bool = False
    let_through: set[int] = field(default_factory=set)  # came while a call waited with another mask: their handlers run all the same
    stack: tuple[int, int, int] = (0, 2, 0)  # sigaltstack: address, flags (disabled), size
    told: dict[int, tuple[int, int]] = field(default_factory=dict)  # code, and pid and uid of the sender, of those that have come

    def arrive(self, number: int, _frame: object = None) -> None:
        """The host's handler."""
        self.pending.append(number)
        if self.waiting:
            self.waiting = False
            raise InterruptedError(4, "interrupted")

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """InterruptedError from inside where a signal has come or comes."""
        self.waiting = True  # first: from here on a signal that comes raises
        try:
            if self.ready():
                raise InterruptedError(4, "interrupted")
            yield
        finally:
            self.waiting = False

    @contextmanager
    def masked(self, mask: int | None) -> Iterator[None]:
        """Another blocked set meanwhile, where one is given."""
        before = self.mask
        if mask is not None:
            self.block(mask)
        try:
            yield
        finally:
            if mask is not None:
                self.let_through |= {number for number in self.pending if not mask >> number - 1 & 1}
                self.block(before)

    def ready(self) -> list[int]:
        """What has come and is not blocked."""
        return [number for number in self.pending if number in self.let_through or not self.mask >> number - 1 & 1]

    def restarts(self, more: Iterable[int] = ()) -> bool:
        """Whether the handlers that are about to run, those of `more` signals too, let a call go on."""
        return all(self.actions.get(number, Action()).flags & SA_RESTART for number in (*self.ready(), *more))

    def install(self, number: int, action: Action) -> None:
        """Let the host do the same, or tell us."""
        self.actions[number] = action
        if number in SYNCHRONOUS or number in INTERNAL:
            return
        if action.handler in (SIG_DFL, SIG_IGN):
            signal.signal(number, signal.SIG_IGN if action.handler else signal.SIG_DFL)
        else:
            signal.signal(number, self.arrive)

    def forget_handlers(self) -> None:
        """execve: what was caught becomes default, what was ignored stays."""
        for number, action in list(self.actions.items()):
            if action.handler not in (SIG_DFL, SIG_IGN):
                self.install(number, Action())

    def block(self, mask: int) -> None:
        """The blocked set, here and on the host."""
        self.mask = mask & ~(1 << signal.SIGKILL - 1 | 1 << signal.SIGSTOP - 1)
        numbers = {n for n in range(1, signal.NSIG) if self.mask >> n - 1 & 1 and n not in SYNCHRONOUS and n not in (32, 33)}
        signal.pthread_sigmask(signal.SIG_SETMASK, numbers)


def start() -> None:
    """Undo what Python's start did to signals."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def die(number: int) -> NoReturn:
    """End the host process by this signal."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in UNCATCHABLE:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def deliver(process: Process) -> None:
    """Enter the guest's handlers for what has arrived, the last one first to run."""
    signals = process.signals
    for number in signals.ready():
        if number not in signals.ready():
            continue  # blocked by a handler that was just entered
        signals.pending.remove(number)
        signals.let_through.discard(number)
        action = signals.actions.get(number, Action())
        if action.handler == SIG_IGN or (action.handler == SIG_DFL and number in HARMLESS):
            continue
        if action.handler == SIG_DFL:
            raise Killed(number)
        if not _enter(process, number, action, *signals.told.pop(number, (0, 0))):
            raise Killed(signal.SIGSEGV)


def strike(process: Process, number: int, address: int, code: int = 1) -> bool:
    """A fault of the guest's own: true where its handler was entered."""
    action = process.signals.actions.get(number, Action())
    blocked = process.signals.mask >> number - 1 & 1
    return action.handler not in (SIG_DFL, SIG_IGN) and not blocked and _enter(process, number, action, code, address)


def _enter(process: Process, number: int, action: Action, code: int, address: int) -> bool:
    state, signals, memory = process.state, process.signals, process.memory
    base, flags, size = signals.stack
    top = state.rsp - RED_ZONE
    if action.flags & SA_ONSTACK and not flags & 2 and not base <= state.rsp < base + size:
        top = base + size
    floats = top - FLOATS - 4 & ~63
    frame = (floats - 8 - CONTEXT.size - 128 & ~15) - 8
    if frame < 0:
        return False
    registers = [state.regs[n] for n in ORDER]
    context = CONTEXT.pack(0, 0, base, flags, 0, size, *registers, state.rip, state.rflags, 0x33, 0, 0, 0x2B, 0, 0, signals.mask, address, floats, *[0] * 8, signals.mask)
    info = struct.pack("<iii4xQ", number, 0, code, address).ljust(128, b"\0")
    try:
        memory.write(floats, _floats(process), WRITE)
        memory.write(frame, struct.pack("<Q", action.restorer) + context + info, WRITE)
    except Miss:
        return False
    state.rsp, state.rip, state.df = frame, action.handler, 0
    state.rdi, state.rsi, state.rdx, state.rax = number, frame + 8 + len(context), frame + 8, 0
    signals.block(signals.mask | action.mask | (0 if action.flags & SA_NODEFER else 1 << number - 1))
    if action.flags & SA_RESETHAND:
        signals.install(number, Action())
    return True


def _floats(process: Process) -> bytes:
    """The XSAVE image in its standard form (SDM volume 1, 10.5.1 and 13.4), its size and parts in the bytes that Linux uses for them."""
    state = process.state
    head = struct.pack("<HHB3x16xII", state.fpu_control, state.fpu_status | state.fpu_top << 11, state.fpu_valid, state.mxcsr, 0xFFFF)
    stack = [state.st[(state.fpu_top + n) % 8] for n in range(8)]
    legacy = (head + _halves((*stack, *state.xmm))).ljust(464, b"\0") + struct.pack("<IIQI28x", MAGIC, FLOATS + 4, PARTS, FLOATS)
    return legacy + struct.pack("<Q56x", PARTS) + _halves(state.upper) + struct.pack("<I", MAGIC_END)


def _halves(values: Iterable[int]) -> bytes:
    return b"".join(value.to_bytes(16, "little") for value in values)


def leave(process: Process) -> int:
    """rt_sigreturn: everything as the frame says; the value of RAX."""
    state = process.state
    words = CONTEXT.unpack(process.memory.read(state.rsp, CONTEXT.size))
    for number, value in zip(ORDER, words[6:22], strict=True):
        state.regs[number] = value
    state.rip, state.rflags = words[22], words[23]
    floats = words[32]
    with suppress(Miss):
        image = process.memory.read(floats, FLOATS)
        state.fpu_control, status, state.fpu_valid, state.mxcsr = struct.unpack_from("<HHB3x16xI", image)
        state.fpu_status, state.fpu_top = status & ~0x3800, status >> 11 & 7
        for n in range(8):
            state.st[(state.fpu_top + n) % 8] = int.from_bytes(image[32 + 16 * n : 42 + 16 * n], "little")
        state.xmm[:] = [int.from_bytes(image[160 + 16 * n : 176 + 16 * n], "little") for n in range(16)]
        magic, *_, there = struct.unpack_from("<I44xQ", image, 464)
        if magic == MAGIC:
            state.upper[:] = [int.from_bytes(image[UPPER + 16 * n : UPPER + 16 + 16 * n], "little") if there & 4 else 0 for n in range(16)]
    process.signals.block(words[-1])
    return state.rax
