"""What a process has of its host process beside descriptors: signal handlers and mask, working directory, file creation mask.

Taken before a guest runs and put back afterwards, so that a program that runs guests keeps its own, and the guest finds its again.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

CATCHABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, 32, 33}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`take` them, `put` them back once."""

    handlers: dict[int, Any]
    blocked: set[Any]
    directory: int
    mode: int

    @classmethod
    def take(cls) -> Surroundings:
        mode = os.umask(0o77)
        os.umask(mode)
        handlers: dict[int, Any] = {number: signal.getsignal(number) for number in CATCHABLE}
        return cls(handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.open(".", os.O_PATH), mode)

    def put(self) -> None:
        for number, handler in self.handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        os.fchdir(self.directory)
        os.close(self.directory)
        os.umask(self.mode)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)
