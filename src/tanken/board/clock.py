"""The one clock of a machine, in nanoseconds of its own time, and the timers of its devices.

In mode "real" it goes as the host's monotonic clock; in mode "instructions" it counts instructions at a fixed rate, so that a run repeats
exactly, and idle time is skipped rather than waited for. The time stamp counter (Intel SDM volume 3, 18.17) is read off it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tanken.base.errors import UsageError

SECOND = 1_000_000_000
MODES = ("real", "instructions")


class Timer:
    """Calls `action` when the clock reaches the deadline it was armed with, once."""

    __slots__ = ("action", "clock", "deadline", "name")

    def __init__(self, clock: Clock, name: str, action: Callable[[], None]) -> None:
        self.clock, self.name, self.action = clock, name, action
        self.deadline: int | None = None

    def arm(self, deadline: int) -> None:
        """In nanoseconds of the clock; one that is past is due at once."""
        self.deadline = deadline
        self.clock.rearmed()

    def disarm(self) -> None:
        if self.deadline is not None:
            self.deadline = None
            self.clock.rearmed()

    def __repr__(self) -> str:
        return f"<Timer {self.name} {'off' if self.deadline is None else self.deadline}>"


class Clock:
    """`rate` is the instructions a second of mode "instructions"; `tsc_hz` the frequency of the time stamp counter."""

    def __init__(self, mode: str = "real", rate: int = SECOND, tsc_hz: int = SECOND) -> None:
        if mode not in MODES:
            raise UsageError(f"clock {mode!r}", wanted=" or ".join(MODES))
        if rate <= 0 or tsc_hz <= 0:
            raise UsageError(f"clock with rate {rate} and TSC {tsc_hz} Hz", wanted="positive numbers")
        self.mode, self.rate, self.tsc_hz = mode, rate, tsc_hz
        self.tsc_base = 0  # the time stamp at time 0
        self.executed = 0  # instructions, mode "instructions"
        self._skipped = 0  # nanoseconds that nothing ran
        self._origin = time.monotonic_ns()
        self._timers: list[Timer] = []
        self._next: int | None = None

    def now(self) -> int:
        """Nanoseconds since the machine was made."""
        if self.mode == "real":
            return time.monotonic_ns() - self._origin
        return self._skipped + self.executed * SECOND // self.rate

    def advance(self, instructions: int) -> None:
        """So many were executed; of no effect in mode "real"."""
        self.executed += instructions

    def skip(self, deadline: int) -> None:
        """Nothing runs until `deadline`; mode "instructions" only."""
        self._skipped += max(0, deadline - self.now())

    def instructions_until(self, deadline: int) -> int:
        """How many more are executed before the clock reads `deadline`; at least 1. Mode "instructions"."""
        wanted = (deadline - self._skipped) * self.rate
        return max(1, -(-wanted // SECOND) - self.executed)

    def tsc(self) -> int:
        """The time stamp counter."""
        return self.tsc_at(self.now())

    def tsc_after(self, instructions: int) -> int:
        """The counter when so many more will have been executed; in mode "real" what it is now."""
        if self.mode == "real":
            return self.tsc()
        return self.tsc_at(self._skipped + (self.executed + instructions) * SECOND // self.rate)

    def tsc_at(self, moment: int) -> int:
        return self.tsc_base + moment * self.tsc_hz // SECOND & 0xFFFF_FFFF_FFFF_FFFF

    def moment_of_tsc(self, stamp: int) -> int:
        """When the counter reaches `stamp`."""
        return -(-(stamp - self.tsc_base) * SECOND // self.tsc_hz)

    def timer(self, name: str, action: Callable[[], None]) -> Timer:
        """A new timer, not armed."""
        timer = Timer(self, name, action)
        self._timers.append(timer)
        return timer

    def rearmed(self) -> None:
        """A timer's deadline changed."""
        self._next = min((timer.deadline for timer in self._timers if timer.deadline is not None), default=None)

    @property
    def next_deadline(self) -> int | None:
        """Of the timer that is due first."""
        return self._next

    def run_due(self) -> bool:
        """Call the timers that are due, the earliest first; whether there was one."""
        found = False
        while self._next is not None and self._next <= self.now():
            due = min((timer for timer in self._timers if timer.deadline is not None), key=lambda timer: timer.deadline or 0)
            due.disarm()
            due.action()
            found = True
        return found

    def state(self) -> dict[str, Any]:
        """Time and what it is counted from; the timers' deadlines are the devices' to keep."""
        return {"mode": self.mode, "rate": self.rate, "tsc_hz": self.tsc_hz, "tsc_base": self.tsc_base, "executed": self.executed, "now": self.now()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on at the time of `state`."""
        self.mode, self.rate, self.tsc_hz, self.tsc_base, self.executed = (state[name] for name in ("mode", "rate", "tsc_hz", "tsc_base", "executed"))
        self._origin = time.monotonic_ns() - state["now"]
        self._skipped = state["now"] - self.executed * SECOND // self.rate
