"""A guest process: registers, memory, break, descriptors, signals; one guest process is one host process.

Linux man-pages section 2; what ends a process comes out of `run` as a value.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tanken.engine.memory import OFFSET, AddressSpace, Miss
from tanken.isa.architecture import Budget, Debug, Exit, Fault, MemoryMiss, Syscall
from tanken.isa.x86.state import State
from tanken.vkernel import signals
from tanken.vkernel.descriptors import Descriptors
from tanken.vkernel.loader import Image, load
from tanken.vkernel.surroundings import Surroundings
from tanken.vkernel.threads import Threads
from tanken.vkernel.trace import Trace

VECTOR_SIGNAL = {0: signal.SIGFPE, 3: signal.SIGTRAP, 6: signal.SIGILL, 16: signal.SIGFPE, 17: signal.SIGBUS, 19: signal.SIGFPE}


class Engine(Protocol):
    """What runs a state in a memory."""

    executed: int
    slice: int  # instructions between two looks at the signals that came in: some milliseconds

    exact: bool  # whether a budget is to be used up; a slice need not be

    def run(self, budget: int | None = None) -> Exit: ...

    def save(self) -> None:
        """Keep what the next run can use."""


EngineFactory = Callable[[State, AddressSpace], Engine]


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is over: its exit status, or the signal that killed it and why in one line."""

    status: int = 0
    signal: int = 0
    reason: str = ""


class Exited(Exception):
    """exit or exit_group was called."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Process:
    """One process; `create` loads a program, `run` runs it to its end."""

    make_engine: EngineFactory
    space: Callable[[], AddressSpace] = AddressSpace
    trace: Trace | None = None
    state: State = field(default_factory=State)
    memory: AddressSpace = field(default_factory=AddressSpace)
    path: str = ""
    name: bytes = b""
    break_start: int = 0
    break_end: int = 0
    is_child: bool = False
    executed: int = 0  # instructions before the last execve
    signals: signals.Signals = field(default_factory=signals.Signals)
    descriptors: Descriptors = field(default_factory=Descriptors.inherit)
    waiting_parent: int | None = None  # vfork: the end of a pipe whose closing wakes the parent
    between: Callable[[Process], None] | None = None  # what to do between two slices
    on_replace: Callable[[], None] | None = None  # vfork: what to do before an execve or exit
    surroundings: Surroundings | None = None  # between two runs
    engine: Engine = field(init=False)
    threads: Threads = field(init=False)

    def __post_init__(self) -> None:
        self.threads = Threads(self)

    def become(self, path: str, arguments: Sequence[bytes], environment: Sequence[bytes]) -> None:
        """Replace the program by another, as execve does; the errors of `load` leave the process as it was."""
        image = load(path, arguments, environment, self.space)
        if self.on_replace is not None:
            self.on_replace()
        if hasattr(self, "engine"):
            self.executed += self.engine.executed
            self.engine.save()
        self._take(image)
        self.threads.alone()
        self.threads.current.clear = self.threads.current.robust = 0
        self.signals.forget_handlers()
        self.engine = self.make_engine(self.state, self.memory)

    def _take(self, image: Image) -> None:
        self.memory, self.path = image.memory, image.path
        self.name = os.path.basename(os.fsencode(image.path))[:15]
        self.break_start = self.break_end = image.end + OFFSET & ~OFFSET
        self.state = State()
        self.state.rip, self.state.rsp = image.entry, image.stack

    @property
    def instructions(self) -> int:
        """Executed since the beginning."""
        return self.executed + self.engine.executed

    def run(self, budget: int | None = None) -> Ended | Budget:
        """Run to the end or until `budget` instructions are used up; a forked child never returns from here.

        The caller's own descriptors, signals, working directory and umask are as they were afterwards.
        """
        before = Surroundings.take()
        if self.surroundings is not None:
            self.surroundings.put()
        try:
            ended = self._run(budget)
            self.surroundings = Surroundings.take() if isinstance(ended, Budget) else None
        finally:
            before.put()
        return ended

    def _run(self, budget: int | None) -> Ended | Budget:
        from tanken.vkernel.calls import serve

        try:
            while True:
                left = self.threads.left() if budget is None else min(self.threads.left(), budget - self.instructions)
                if left <= 0:
                    return Budget(self.instructions) if not self.is_child else self._leave(Ended(124))
                if self.memory.shared_code:
                    self.memory.refresh()
                self.engine.exact = budget is not None or self.threads.several  # whose turns are to end at the same place in every run
                exit = self.engine.run(left)
                if isinstance(exit, Syscall) and exit.kind == "syscall":
                    serve(self)
                elif not isinstance(exit, Budget):
                    ended = self._struck(exit)
                    if ended is not None:
                        return self._leave(ended)
                elif self.between is not None and budget is None:
                    self.between(self)
                self.threads.turn()
                if self.signals.pending:  # the blocked ones stay
                    signals.deliver(self)
        except Exited as exited:
            return self._leave(Ended(exited.status))
        except signals.Killed as killed:
            return self._leave(Ended(128 + killed.number, killed.number, f"killed by {signal.Signals(killed.number).name}"))
        except Exception:
            if self.is_child:  # our own bug, in a forked child: tell it here, nobody above may go on
                sys.excepthook(*sys.exc_info())
                os._exit(70)
            raise

    def _struck(self, exit: Exit) -> Ended | None:
        """The processor stopped with a fault: the guest's handler sees it, or the process ends."""
        code = 1
        if isinstance(exit, MemoryMiss):
            number, reason = signal.SIGSEGV, f"no {({'r': 'reading', 'w': 'writing', 'x': 'executing'})[exit.access]} at {exit.address:#x}"
            if self.memory.beyond(exit.address):
                number, code, reason = signal.SIGBUS, 2, f"{exit.address:#x} is behind the end of its file"  # BUS_ADRERR
        elif isinstance(exit, Fault):
            number, reason = VECTOR_SIGNAL.get(exit.vector, signal.SIGSEGV), exit.message
        elif isinstance(exit, Debug):
            number, reason = signal.SIGTRAP, exit.reason
        elif isinstance(exit, Syscall):
            number, reason = signal.SIGSEGV, f"system calls by {exit.kind} are not supported"
        else:
            number, reason = signal.SIGSEGV, f"{exit}"
        address = exit.address if isinstance(exit, MemoryMiss) else self.state.rip
        if signals.strike(self, number, address, code):
            return None
        instruction = self._instruction()
        named = reason[:2] == instruction[:2] and ": " in reason  # by the message itself: its bytes, and the row of the map
        what = reason if named else f"{instruction}: {reason}"
        return Ended(128 + number, number, f"{number.name} at {self.state.rip:#x}: {what}")

    def _instruction(self) -> str:
        from tanken.isa.x86.inst import decode

        try:
            inst = decode(self.memory.fetch(self.state.rip), self.state.rip)
        except Miss:
            return "no code there"
        row = inst.row
        return f"{inst.code.hex(' ')} {inst.text()}" + (f" (opcodes.map:{row.line})" if row is not None else "")

    def complain(self, text: str) -> None:
        """One line on the guest's standard error, if it has one."""
        entry = self.descriptors.table.get(2)
        if entry is not None:
            with suppress(OSError):
                os.write(entry.host, os.fsencode(f"tanken run: {self.path}[{os.getpid()}]: {text}\n"))

    def _leave(self, ended: Ended) -> Ended:
        """A child leaves the host process here, with the same status or by the same signal."""
        if self.on_replace is not None:
            self.on_replace()
        self.engine.save()
        if not self.is_child:
            self.descriptors.close_range(iter(self.descriptors.table))
            return ended
        if ended.reason and ended.signal in signals.SYNCHRONOUS:
            self.complain(ended.reason)
        if self.trace is not None:
            self.trace.out.flush()
        if ended.signal:
            signals.die(ended.signal)
        os._exit(ended.status)


def create(path: str, arguments: Sequence[bytes], environment: Sequence[bytes], make_engine: EngineFactory, **options: object) -> Process:
    """A process about to run the first instruction of `path`."""
    process = Process(make_engine, **options)  # type: ignore[arg-type]
    process.become(path, arguments, environment)
    return process
