"""Interrupt lines, and the one question that a processor has: is there an interrupt, and which vector.

A line is a level; who is edge-triggered watches for the change. `Interrupts` joins the pair of 8259s and the local APIC as a PC does
(Intel SDM volume 3, 11.6: LINT0 in ExtINT mode hands over to an external controller; MultiProcessor Specification 1.4, 3.6.2.2: virtual wire).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Line:
    """One wire from a device to whoever connected."""

    __slots__ = ("_sinks", "level", "name")

    def __init__(self, name: str = "") -> None:
        self.name, self.level = name, False
        self._sinks: list[Callable[[bool], None]] = []

    def connect(self, sink: Callable[[bool], None]) -> None:
        """Call `sink` with the level at each change."""
        self._sinks.append(sink)

    def set(self, level: bool) -> None:
        if level != self.level:
            self.level = level
            for sink in self._sinks:
                sink(level)

    def pulse(self) -> None:
        """Low if it was not, high: an edge, and the line stays high."""
        self.set(False)
        self.set(True)


class External(Protocol):
    """An external controller: the pair of 8259s."""

    def pending(self) -> bool: ...

    def acknowledge(self) -> int: ...


class Local(External, Protocol):
    """A local APIC."""

    def takes_external(self) -> bool:
        """Whether interrupts of the external controller come through."""


class Interrupts:
    """What the processor's interrupt input sees; without a local APIC the external controller alone."""

    def __init__(self, external: External | None, local: Local | None = None) -> None:
        self.external, self.local = external, local

    def _outside(self) -> bool:
        return self.external is not None and (self.local is None or self.local.takes_external()) and self.external.pending()

    def pending(self) -> bool:
        """Whether an interrupt waits that the processor would take with IF set."""
        return (self.local is not None and self.local.pending()) or self._outside()

    def acknowledge(self) -> int | None:
        """Take the interrupt: its vector, None where there is none any more."""
        if self._outside():
            assert self.external is not None
            return self.external.acknowledge()
        if self.local is not None and self.local.pending():
            return self.local.acknowledge()
        return None
