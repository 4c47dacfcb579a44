"""The I/O APIC: 24 inputs, each sent as a message by its entry of the redirection table.

Intel 82093AA data sheet (290566-001), 3.2.4: what happens at a masked input is ignored; a level stays with its remote IRR until the EOI.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.board.device import Device, table
from tanken.board.interrupts import Line

R = table("ioapic")
PINS = 24
VERSION = 0x11 | PINS - 1 << 16
MASK, LEVEL, REMOTE, LOW, PENDING, LOGICAL = 1 << 16, 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11
READ_ONLY = REMOTE | PENDING
Deliver = Callable[[int, int, bool, int, bool], None]  # delivery mode, vector, is level, destination, is logical


class IoApic(Device):
    """`inputs` are its pins; `deliver` sends a message."""

    name = "ioapic"
    registers = R
    largest = 4
    KEPT = ("selected", "identity", "entries", "levels")

    def __init__(self, deliver: Deliver, identity: int = 0) -> None:
        self.deliver, self._identity = deliver, identity
        self.inputs = [Line(f"gsi{number}") for number in range(PINS)]
        for number, line in enumerate(self.inputs):
            line.connect(lambda level, number=number: self._input(number, level))  # type: ignore[misc]  # mypy: a lambda's default
        self.levels = 0
        self.reset()

    def reset(self) -> None:
        self.selected = 0
        self.identity = self._identity
        self.entries = [MASK] * PINS

    def index(self) -> int:
        return self.selected

    def _input(self, number: int, level: bool) -> None:
        self.levels = self.levels & ~(1 << number) | level << number
        entry = self.entries[number]
        if level and not entry & MASK:
            if not entry & LEVEL:
                self._send(entry)
            elif not entry & REMOTE:
                self._send_level(number)

    def _send_level(self, number: int) -> None:
        self.entries[number] |= REMOTE
        self._send(self.entries[number])

    def _send(self, entry: int) -> None:
        self.deliver(entry >> 8 & 7, entry & 0xFF, bool(entry & LEVEL), entry >> 56, bool(entry & LOGICAL))

    def end(self, vector: int) -> None:
        """A local APIC's EOI of a level-triggered interrupt; an input that is still high is sent again."""
        for number, entry in enumerate(self.entries):
            if entry & 0xFF == vector and entry & LEVEL and entry & REMOTE:
                self.entries[number] = entry & ~REMOTE
                self._again(number)

    def _again(self, number: int) -> None:
        entry = self.entries[number]
        if self.levels >> number & 1 and entry & LEVEL and not entry & (MASK | REMOTE):
            self._send_level(number)

    def read(self, offset: int, size: int) -> int:
        return self._read(offset & ~3) >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def _read(self, offset: int) -> int:
        if offset == 0:
            return self.selected
        if offset != 0x10:
            return 0
        at = self.selected
        if 0x10 <= at < 0x10 + 2 * PINS:
            return self.entries[at - 0x10 >> 1] >> 32 * (at & 1) & 0xFFFF_FFFF
        return {0: self.identity << 24, 1: VERSION, 2: self.identity << 24}.get(at, 0)

    def write(self, offset: int, value: int, size: int) -> None:
        if offset == 0:
            self.selected = value & 0xFF
        elif offset == 0x10 and size == 4:
            self._write(self.selected, value)

    def _write(self, at: int, value: int) -> None:
        if at == 0:
            self.identity = value >> 24 & 15
        elif 0x10 <= at < 0x10 + 2 * PINS:
            number = at - 0x10 >> 1
            entry = self.entries[number]
            if at & 1:
                entry = entry & 0xFFFF_FFFF | value << 32
            else:
                entry = entry & ~0xFFFF_FFFF | value & 0x1_FFFF & ~READ_ONLY | entry & READ_ONLY
                if not entry & LEVEL:
                    entry &= ~REMOTE  # an entry made edge-triggered forgets it; Linux relies on this for controllers without an EOI register
            self.entries[number] = entry
            self._again(number)

    def restored(self) -> None:
        for number, line in enumerate(self.inputs):
            line.level = bool(self.levels >> number & 1)
