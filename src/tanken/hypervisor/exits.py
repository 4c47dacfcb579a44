"""Exits as values: why a virtual processor stopped, in the words of VT-x (raw) and in those a machine consumes (final).

`exits.table` says which vcpu gives which, with the source. Reads are answered by `vcpu.answer(value)`, and complete when the vcpu is run again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tanken.base.records import Record
from tanken.isa.architecture import Budget, Halt
from tanken.notation.table import read_tables

HEX = frozenset({"address", "linear", "port", "data", "index", "value", "code", "offset", "reason", "rip", "vectoring"})


@dataclass(frozen=True, slots=True, repr=False)
class EptViolation(Record):
    """An access ("r", "w", "x") to guest-physical `address` that second-level paging forbids; `linear` is None for a walk of the guest's own tables.

    `rights` are what the page has: "", "r", "rw", ...; `vectoring` is not 0 where an event was being delivered (SDM volume 3, table 25-19).
    """

    HEX: ClassVar[frozenset[str]] = HEX
    address: int
    linear: int | None
    access: str
    rights: str = ""
    vectoring: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class ApicAccess(Record):
    """An access ("r", "w", "x") to `offset` in the page of the local APIC, of a `kind` of SDM volume 3, table 28-6.

    0 linear read, 1 linear write, 2 linear fetch, 3 linear while an event is delivered, 15 guest-physical.
    """

    HEX: ClassVar[frozenset[str]] = HEX
    offset: int
    access: str
    kind: int

    @property
    def qualification(self) -> int:
        """The word of table 28-6."""
        return self.offset | self.kind << 12


@dataclass(frozen=True, slots=True, repr=False)
class IoInstruction(Record):
    """IN, OUT, INS or OUTS; `count` is rCX where it is repeated, else 1."""

    HEX: ClassVar[frozenset[str]] = HEX
    port: int
    size: int
    write: bool
    string: bool = False
    repeated: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True, repr=False)
class PortIo(Record):
    """One access to `port`; `data` is what is written, 0 for a read, which wants an answer."""

    HEX: ClassVar[frozenset[str]] = HEX
    port: int
    size: int
    write: bool
    data: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Mmio(Record):
    """One access of 1 to 8 bytes to guest-physical `address`, inside a page; `data` as in PortIo."""

    HEX: ClassVar[frozenset[str]] = HEX
    address: int
    size: int
    write: bool
    data: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class MsrRead(Record):
    """RDMSR; the answer None is #GP."""

    HEX: ClassVar[frozenset[str]] = HEX
    index: int


@dataclass(frozen=True, slots=True, repr=False)
class MsrWrite(Record):
    """WRMSR; the answer None is #GP, any number accepts it."""

    HEX: ClassVar[frozenset[str]] = HEX
    index: int
    value: int


@dataclass(frozen=True, slots=True, repr=False)
class InterruptWindow(Record):
    """An interrupt could be injected now, as was asked for."""


@dataclass(frozen=True, slots=True, repr=False)
class Kicked(Record):
    """Somebody on the host wanted the vcpu to stop, or its time is up; nothing happened in the guest."""


@dataclass(frozen=True, slots=True, repr=False)
class TripleFault(Record):
    """The processor shut down."""


@dataclass(frozen=True, slots=True, repr=False)
class EmulationFailure(Record):
    """The instruction at `rip` whose bytes begin with `code` is known to nobody here, or an event cannot be delivered; `why` says what was missing."""

    HEX: ClassVar[frozenset[str]] = HEX
    rip: int
    code: bytes
    why: str


@dataclass(frozen=True, slots=True, repr=False)
class EntryFailure(Record):
    """The processor refused the state, with the hardware's `reason`."""

    HEX: ClassVar[frozenset[str]] = HEX
    reason: int


@dataclass(frozen=True, slots=True, repr=False)
class DebugStop(Record):
    """A breakpoint or single step that the host set, at `rip`."""

    HEX: ClassVar[frozenset[str]] = HEX
    rip: int


RawExit = EptViolation | ApicAccess | IoInstruction
FinalExit = PortIo | Mmio | MsrRead | MsrWrite | Halt | InterruptWindow | Kicked | TripleFault | EmulationFailure | EntryFailure | DebugStop | Budget


def table() -> list[tuple[str, ...]]:
    """The rows of `exits.table`: name, level, whether KVM gives it, whether our own does, what it is, source."""
    return read_tables(Path(__file__).parent / "exits.table")["exits"]
