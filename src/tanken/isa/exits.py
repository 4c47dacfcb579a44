"""What ends a run, whatever the instruction set: neutral values, as an engine gives them.

Our own (design: "The narrow waists"); `isa.architecture` hands them on to engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Budget:
    """The instruction budget of the run is used up after `executed` instructions."""

    executed: int


@dataclass(frozen=True, slots=True)
class Halt:
    """The processor stopped until the next interrupt."""


@dataclass(frozen=True, slots=True)
class Syscall:
    """The guest asked its kernel; `kind` names the way in ("syscall", "int80", "sysenter")."""

    kind: str


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception of the processor; the state is that before the instruction at `address`."""

    vector: int
    code: int | None
    address: int
    message: str


@dataclass(frozen=True, slots=True)
class MemoryMiss:
    """No mapping, or not the right, for `access` ("r", "w" or "x") to `size` bytes at `address`."""

    address: int
    size: int
    access: str


@dataclass(frozen=True, slots=True)
class Debug:
    """A breakpoint, single step or watchpoint; `reason` says which."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outside:
    """An access to `size` bytes at the guest-physical address `physical`, where no memory is (a device, or nothing); the state is that before it.

    `linear` is None where the processor walked its own tables.
    """

    physical: int
    linear: int | None
    size: int
    access: str


Exit = Budget | Halt | Syscall | Fault | MemoryMiss | Debug | Outside


class Faulted(Exception):
    """The instruction ends here with `exit`; the engine turns it into the run's exit, or has it delivered."""

    def __init__(self, exit: Fault) -> None:
        super().__init__(exit)
        self.exit = exit


class Exited(Exception):
    """The run ends here with `exit`, one of ours or of the instruction set's own, before the instruction has happened."""

    def __init__(self, exit: Any) -> None:
        super().__init__(exit)
        self.exit = exit
