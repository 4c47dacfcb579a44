"""The MC146818 real-time clock and its memory of 128 bytes, behind the PC's index and data port.

Motorola MC146818 data sheet (ADI856R2). The century stands at 32h, where the FADT says so (ACPI 6.5, 5.2.9). The time is that of the clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tanken.board.clock import SECOND, Clock
from tanken.board.device import Device, table
from tanken.board.interrupts import Line

R = table("rtc")
A, B, C, D = (R[f"STATUS_{letter}"].offset for letter in "ABCD")
UIP = R["STATUS_A"].mask("UIP")
SET, PIE, AIE, UIE, DM, HOURS24 = (R["STATUS_B"].mask(name) for name in ("SET", "PIE", "AIE", "UIE", "DM", "HOURS24"))
IRQF, PF, AF, UF = (R["STATUS_C"].mask(name) for name in ("IRQF", "PF", "AF", "UF"))
CENTURY = 0x32
CRYSTAL = 32_768
RUNNING = 2  # the divider's setting for that crystal
UPDATE = 244_000  # nanoseconds that UIP is set before an update ("Update cycle": at least 244 us)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DONT_CARE = 0xC0


class Rtc(Device):
    """`base` is the time of the clock's zero, in seconds since 1970 (UTC)."""

    name = "rtc"
    registers = R
    KEPT = ("selected", "ram", "offset", "stopped", "flags", "periods", "update_seen")

    def __init__(self, clock: Clock, irq: Line, base: int = 0) -> None:
        self.clock, self.irq, self.base = clock, irq, base
        self.timer = clock.timer("rtc", self._due)
        self.ram = [0] * 128
        self.offset = 0  # nanoseconds that the guest set the clock ahead
        self.stopped: int | None = None  # the time at which SET stopped it
        self.reset()

    def reset(self) -> None:
        """The RESET pin clears interrupt enables and flags; time and memory stay."""
        self.selected = 0
        self.flags = 0
        self.periods = self.update_seen = 0
        self.ram[A] = self.ram[A] or R["STATUS_A"].reset
        self.ram[B] = self.ram[B] & ~(PIE | AIE | UIE) | HOURS24 if self.ram[B] == 0 else self.ram[B] & ~(PIE | AIE | UIE)
        self.ram[D] = R["STATUS_D"].reset
        self._update()

    def index(self) -> int:
        return self.selected

    # -- time

    def _nanoseconds(self) -> int:
        return self.stopped if self.stopped is not None else self.clock.now() + self.offset

    def _now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.base + self._nanoseconds() // SECOND)

    def _encode(self, value: int) -> int:
        return value if self.ram[B] & DM else value // 10 << 4 | value % 10

    def _decode(self, value: int) -> int:
        return value if self.ram[B] & DM else (value >> 4) * 10 + (value & 15)

    def _hour(self, hour: int) -> int:
        if self.ram[B] & HOURS24:
            return self._encode(hour)
        return self._encode(hour % 12 or 12) | (0x80 if hour >= 12 else 0)

    def _time_byte(self, index: int) -> int:
        now = self._now()
        if index == R["HOURS"].offset:
            return self._hour(now.hour)
        plain = {0: now.second, 2: now.minute, 6: now.isoweekday() % 7 + 1, 7: now.day, 8: now.month, 9: now.year % 100, CENTURY: now.year // 100}
        return self._encode(plain[index])

    def _set_time(self, index: int, value: int) -> None:
        """Move the clock so that the byte at `index` is `value`; impossible dates leave it."""
        now = self._now()
        number = self._decode(value & 0x7F if index == 4 else value)
        if index == 4 and not self.ram[B] & HOURS24:
            number = number % 12 + (12 if value & 0x80 else 0)
        try:
            changed = {
                0: lambda: now.replace(second=number), 2: lambda: now.replace(minute=number), 4: lambda: now.replace(hour=number), 6: lambda: now,
                7: lambda: now.replace(day=number), 8: lambda: now.replace(month=number), 9: lambda: now.replace(year=now.year // 100 * 100 + number),
                CENTURY: lambda: now.replace(year=number * 100 + now.year % 100),
            }[index]()  # fmt: skip
        except (ValueError, OverflowError):
            return
        moved = int((changed - now).total_seconds()) * SECOND
        if self.stopped is not None:
            self.stopped += moved
        else:
            self.offset += moved

    # -- ports

    def read(self, offset: int, size: int) -> int:
        if offset == 0:
            return 0xFF  # the index cannot be read back
        index = self.selected
        if index in (0, 2, 4, 6, 7, 8, 9, CENTURY):
            return self._time_byte(index)
        if index == A:
            return self.ram[A] | (UIP if self._updating() else 0)
        if index == C:
            self._collect()
            flags, self.flags = self.flags, 0
            self._update()
            return flags
        return self.ram[index]

    def _updating(self) -> bool:
        return self.stopped is None and self._nanoseconds() % SECOND >= SECOND - UPDATE

    def write(self, offset: int, value: int, size: int) -> None:
        if offset == 0:
            self.selected = value & 0x7F
            return
        index = self.selected
        if index in (0, 2, 4, 6, 7, 8, 9, CENTURY):
            self._set_time(index, value)
        elif index == A:
            self._collect()
            self.ram[A] = value & 0x7F
            self.periods = self._periods()
        elif index == B:
            self._control(value)
        elif index not in (C, D):
            self.ram[index] = value
        self._update()

    def _control(self, value: int) -> None:
        self._collect()
        if value & SET and self.stopped is None:
            self.stopped = self._nanoseconds()
        elif not value & SET and self.stopped is not None:
            self.offset = self.stopped - self.clock.now()
            self.stopped = None
            self.update_seen = self._nanoseconds() // SECOND
        self.ram[B] = value & ~UIE if value & SET else value

    # -- interrupts

    def _interval(self) -> int:
        """Nanoseconds between periodic interrupts, 0 for none (table 5 of the data sheet)."""
        rate = self.ram[A] & 15
        if rate == 0 or self.ram[A] >> 4 & 7 != RUNNING:
            return 0
        shift = rate - 1 if rate > 2 else rate + 6
        return (SECOND << shift) // CRYSTAL

    def _periods(self) -> int:
        interval = self._interval()
        return self.clock.now() // interval if interval else 0

    def _alarm_matches(self) -> bool:
        now = self._now()
        wanted = ((1, self._encode(now.second)), (3, self._encode(now.minute)), (5, self._hour(now.hour)))
        return all(self.ram[index] >= DONT_CARE or self.ram[index] == value for index, value in wanted)

    def _collect(self) -> None:
        """Set the flags of what happened since the last look."""
        periods, second = self._periods(), self._nanoseconds() // SECOND
        if periods != self.periods:
            self.flags |= PF
            self.periods = periods
        if self.stopped is None and second != self.update_seen:
            self.flags |= UF
            if self._alarm_matches():
                self.flags |= AF
            self.update_seen = second

    def _due(self) -> None:
        self._collect()
        self._update()

    def _update(self) -> None:
        enabled = self.ram[B] & (PIE | AIE | UIE)
        self.flags = self.flags & ~IRQF | (IRQF if self.flags & enabled else 0)
        self.irq.set(bool(self.flags & IRQF))
        now = self.clock.now()
        due = []
        if enabled & PIE and (interval := self._interval()):
            due.append((now // interval + 1) * interval)
        if enabled & (AIE | UIE) and self.stopped is None:
            due.append(now + SECOND - self._nanoseconds() % SECOND)
        if due and not self.flags & IRQF:
            self.timer.arm(min(due))
        else:
            self.timer.disarm()

    def restored(self) -> None:
        self._update()
