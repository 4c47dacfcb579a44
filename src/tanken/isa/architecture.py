"""What an engine asks of an instruction set: the columns of a decoded instruction and the neutral exits of a run.

An engine imports only this module of `isa`; whatever is x86, mist32 or charstring stands in the instruction set's own
package (design: "The narrow waists").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Column(IntEnum):
    """The int64 columns of a decoded instruction; an instruction set says how it packs those it packs."""

    ADDRESS = 0  # linear address of the first byte
    FORM = 1  # number of the row of the opcode map, -1 where no row fits
    LENGTH = 2  # bytes, prefixes included
    PREFIXES = 3  # bits: which prefixes were met, and what they selected
    SIZES = 4  # bytes: operand, address, vector, mode
    REGISTERS = 5  # register numbers of the encoding's fields
    MEMORY = 6  # base, index, scale, segment of the memory operand
    DISPLACEMENT = 7  # of the memory operand, sign-extended
    IMMEDIATE = 8  # immediate, branch distance or far pointer
    FAULT = 9  # why this is no instruction, 0 where it is one


COLUMNS = len(Column)


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


Exit = Budget | Halt | Syscall | Fault | MemoryMiss | Debug
