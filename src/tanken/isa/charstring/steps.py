"""The values of the watched machine: what it needs of a font, the bodies it is in, the operators that it has run.

Adobe Technical Note 5177; `machine` makes and uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tanken.base.records import Record


class Program(Protocol):
    """What the machine needs of a font; `font.program.Program` satisfies it."""

    data: Any
    starts: Any
    ends: Any
    fd_of: Any
    global_starts: Any
    global_ends: Any
    local_starts: Any
    local_ends: Any
    local_base: Any
    widths: Any
    seac: Any
    cff2: bool
    fd_vsindex: Any
    region_base: Any
    weights: Any


class Stop(Exception):
    """A fault inside an operator; never leaves the machine."""

    def __init__(self, fault: int) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Frame:
    """A body that is being run: its kind (glyph, local, global), its number, where it continues and where it ends."""

    kind: str
    number: int
    pos: int
    end: int

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.kind} {self.number}"


@dataclass(frozen=True, slots=True, repr=False)
class Step(Record):
    """An operator that was run: numbers pushed before it, the stack it found and left, the point it ended at (16.16)."""

    number: int
    offset: int
    raw: bytes
    place: str
    calls: tuple[str, ...]
    mnemonic: str
    mask: str
    pushed: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    x: int
    y: int
    hints: int
    storage: dict[int, int]
    points: int
    fault: int
