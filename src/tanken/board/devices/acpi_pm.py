"""ACPI's hardware: sleep control (S5 turns the machine off), the timer of 3.579545 MHz, the reset register, and a general-purpose event for the power button.

ACPI specification 6.5, 4.8.3 and 4.8.4.1; the button is a device of the DSDT, whose event this is (4.8.3.2.2.1.2).
The machine is in ACPI mode from the start: SCI_EN reads one, and there is no SMI command port.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.board.clock import SECOND, Clock
from tanken.board.device import Device, table
from tanken.board.interrupts import Line

R = table("acpi_pm")
HZ = 3_579_545
TMR, GBL = 1, 1 << 5
ENABLES = TMR | GBL | 1 << 8 | 1 << 9 | 1 << 10
GPE, GPE_BUTTON = R["GPE0_STS"].offset, 0  # the block, and the number of the button's event
SCI_EN, SLP_EN = R["PM1_CNT"].mask("SCI_EN"), R["PM1_CNT"].mask("SLP_EN")
SOFT_OFF = 5  # SLP_TYP of S5, as the DSDT's _S5 says
RESET_VALUE = 6  # what the FADT tells to write
HALF = 1 << 31  # ticks after which the timer's highest bit changes and TMR_STS is set


class AcpiPm(Device):
    """`sci` is the interrupt; `power_off` and `reset_machine` are what the guest can ask for."""

    name = "acpi_pm"
    registers = R
    largest = 4
    KEPT = ("status", "enable", "control", "halves", "events", "event_enable")

    def __init__(self, clock: Clock, sci: Line, power_off: Callable[[], None], reset_machine: Callable[[], None]) -> None:
        self.clock, self.sci, self.power_off, self.reset_machine = clock, sci, power_off, reset_machine
        self.timer = clock.timer("acpi_pm", self._update)
        self.reset()

    def reset(self) -> None:
        self.status = self.enable = self.events = self.event_enable = 0
        self.control = SCI_EN
        self.halves = self._ticks() // HALF
        self._update()

    def press_power_button(self) -> None:
        """The user pressed it: the guest is told, and may turn itself off."""
        self.events |= 1 << GPE_BUTTON
        self._update()

    def _ticks(self) -> int:
        return self.clock.now() * HZ // SECOND

    def read(self, offset: int, size: int) -> int:
        if offset >= GPE:
            return (self.events | self.event_enable << 8) >> 8 * (offset & 1) & (1 << 8 * size) - 1
        if size == 4 and offset == 8:
            return self._ticks() & 0xFFFF_FFFF
        if offset < 8 and size == 4:
            return self.read(offset, 2) | self.read(offset + 2, 2) << 16
        self._update()
        value = self._ticks() & 0xFFFF_FFFF if offset >= 8 and offset < 12 else (self.status, self.enable, self.control, 0)[min(offset >> 1, 3)]
        inside = offset & 3 if offset >= 8 else offset & 1
        return value >> 8 * inside & (1 << 8 * size) - 1

    def write(self, offset: int, value: int, size: int) -> None:
        if offset >= GPE:
            return self._write_events(offset, value, size)
        if offset == 12:
            if value & 0xFF == RESET_VALUE:
                self.reset_machine()
            return
        if offset >= 8:
            return
        if size == 4:
            self.write(offset, value & 0xFFFF, 2)
            return self.write(offset + 2, value >> 16, 2)
        shift = 8 * (offset & 1)
        value, touched = value << shift, ((1 << 8 * size) - 1) << shift
        register = offset >> 1
        if register == 0:
            self.status &= ~value
        elif register == 1:
            self.enable = (self.enable & ~touched | value & touched) & ENABLES
        elif register == 2:
            self._control(self.control & ~touched | value & touched)
        self._update()

    def _write_events(self, offset: int, value: int, size: int) -> None:
        if offset == GPE:
            self.events &= ~value & 0xFF
        if offset + size > GPE + 1:
            self.event_enable = value >> 8 * (GPE + 1 - offset) & 0xFF
        self._update()

    def _control(self, value: int) -> None:
        self.control = value & 0x1C02 | SCI_EN
        if value & SLP_EN and value >> 10 & 7 == SOFT_OFF:
            self.power_off()

    def _update(self) -> None:
        halves = self._ticks() // HALF
        if halves != self.halves:
            self.status |= TMR
            self.halves = halves
        self.sci.set(bool(self.status & self.enable & ENABLES or self.events & self.event_enable))
        if self.enable & TMR and not self.status & TMR:
            self.timer.arm(-(-(halves + 1) * HALF * SECOND // HZ))
        else:
            self.timer.disarm()

    def restored(self) -> None:
        self._update()
