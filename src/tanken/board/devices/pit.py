"""The 8254 programmable interval timer: three counters of six modes, and port 61h, by which a PC gates and reads the third.

Intel 8254 data sheet (231164-005). Nothing ticks: what a counter holds is computed from the clock when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tanken.board.clock import SECOND, Clock
from tanken.board.device import Device, State, table
from tanken.board.interrupts import Line

R = table("pit")
HZ = 1_193_182  # a third of the colour burst, IBM PC/AT Technical Reference
REFRESH = 15_085  # nanoseconds of half a period of the refresh request that port 61h shows
PERIODIC = (2, 3)


def _from_bcd(value: int) -> int:
    return sum((value >> 4 * digit & 15) * 10**digit for digit in range(4))


def _to_bcd(value: int) -> int:
    return sum(value // 10**digit % 10 << 4 * digit for digit in range(4))


class Counter:
    """One counter. `start` is the clock tick at which it was loaded, None while it waits for a count or a trigger."""

    KEPT = ("access", "mode", "bcd", "gate", "count", "start", "held", "latch", "latched_status", "low_next", "low_written", "null")

    def __init__(self, gate: bool) -> None:
        self.access, self.mode, self.bcd = 3, 3, False
        self.gate = gate
        self.count = 0x10000  # what it counts down from
        self.start: int | None = None
        self.held: int | None = None  # the value at which a low gate stopped it
        self.latch: list[int] = []  # bytes that a latch command keeps for reading
        self.latched_status: int | None = None
        self.low_next = True  # of two bytes, the low one is read next
        self.low_written: int | None = None
        self.null = True

    def control(self, value: int) -> None:
        """A control word for this counter: it stops until a count is written."""
        self.access, self.mode, self.bcd = value >> 4 & 3, value >> 1 & 7, bool(value & 1)
        if self.mode > 5:
            self.mode -= 4
        self.start = self.held = self.low_written = None
        self.low_next, self.null = True, True
        self.latch, self.latched_status = [], None

    def write(self, value: int, tick: int) -> bool:
        """A byte of the count; whether the count is whole."""
        if self.access == 3:
            if self.low_written is None:
                self.low_written = value
                if self.mode == 0:
                    self.start = None  # "writing the first byte disables counting"
                return False
            value = self.low_written | value << 8
            self.low_written = None
        elif self.access == 2:
            value <<= 8
        self._load(value, tick)
        return True

    def _load(self, value: int, tick: int) -> None:
        whole = 10_000 if self.bcd else 0x10000
        count = (_from_bcd(value) if self.bcd else value) or whole
        if self.mode in PERIODIC and self.start is not None and self.gate and not self.null:
            # the new count is taken up at the end of the present period
            self.start += (tick - self.start) // self.count * self.count
            if self.mode == 3 or self.mode == 2:
                self.start += self.count if tick > self.start else 0
        elif self.mode in (1, 5):
            pass  # a trigger loads it
        else:
            self.start = tick + 1
        self.count, self.null = count, False
        if not self.gate and self.mode in (0, 4):
            self.held = count

    def set_gate(self, level: bool, tick: int) -> None:
        if level == self.gate:
            return
        if level:
            if self.mode in (1, 5) or self.mode in PERIODIC:
                if not self.null:
                    self.start = tick + 1
            elif self.held is not None:
                self.start = tick - (self.count - self.held)
            self.held = None
        elif self.mode in (0, 4) and self.start is not None:
            self.held = self.value(tick)
        self.gate = level

    def running(self) -> bool:
        return self.start is not None and (self.gate or self.mode in (1, 5))

    def value(self, tick: int) -> int:
        """What the counting element holds."""
        if self.held is not None:
            return self.held
        if self.start is None or not self.running():
            return self.count & 0xFFFF if not self.bcd else self.count % 10_000
        gone = max(0, tick - self.start)
        if self.mode == 3:  # two at a time
            half = gone % self.count
            high = (self.count + 1) // 2
            left = self.count - 2 * (half if half < high else half - high)
            return max(left & ~1, 0)
        left = self.count - gone % self.count if self.mode == 2 else self.count - gone
        return left % 10_000 if self.bcd else left & 0xFFFF

    def output(self, tick: int) -> bool:
        """The level of OUT."""
        if self.start is None:
            return self.mode != 0
        gone = tick - self.start
        if self.mode in PERIODIC and not self.gate:
            return True
        if self.mode in (0, 1):
            left = self.held if self.held is not None else self.count - gone
            return left <= 0 or (self.mode == 1 and gone < 0)
        if self.mode == 2:
            return gone < 0 or gone % self.count != self.count - 1
        if self.mode == 3:
            return gone < 0 or gone % self.count < (self.count + 1) // 2
        return gone != self.count

    def next_rise(self, tick: int) -> int | None:
        """The next tick after `tick` at which OUT goes from low to high."""
        if not self.running() or self.held is not None:
            return None
        assert self.start is not None
        if self.mode in PERIODIC:
            done = max(0, (tick - self.start) // self.count + 1) if tick >= self.start else 1
            return self.start + max(done, 1) * self.count
        rise = self.start + self.count + (1 if self.mode in (4, 5) else 0)
        return rise if rise > tick else None

    def read(self, tick: int) -> int:
        """A byte for the bus: of the latched status, the latched count or the running one."""
        if self.latched_status is not None:
            status, self.latched_status = self.latched_status, None
            return status
        if self.latch:
            return self.latch.pop(0)
        value = self._shown(tick)
        if self.access == 1:
            return value & 0xFF
        if self.access == 2:
            return value >> 8
        byte = value & 0xFF if self.low_next else value >> 8
        self.low_next = not self.low_next
        return byte

    def _shown(self, tick: int) -> int:
        value = self.value(tick)
        return _to_bcd(value) if self.bcd else value

    def latch_count(self, tick: int) -> None:
        if not self.latch:
            value = self._shown(tick)
            self.latch = {1: [value & 0xFF], 2: [value >> 8]}.get(self.access, [value & 0xFF, value >> 8])

    def latch_status(self, tick: int) -> None:
        if self.latched_status is None:
            self.latched_status = self.output(tick) << 7 | self.null << 6 | self.access << 4 | self.mode << 1 | self.bcd


class Pit(Device):
    """Counter 0 drives `irq`; counters 1 and 2 are there to be read."""

    name = "pit"
    registers = R

    def __init__(self, clock: Clock, irq: Line) -> None:
        self.clock, self.irq = clock, irq
        self.timer = clock.timer("pit", self._rise)
        self.reset()

    def reset(self) -> None:
        self.counters = [Counter(True), Counter(True), Counter(False)]
        self.speaker = 0  # bits 1 to 3 of port 61h
        self.irq.set(False)
        self._arm()

    def _tick(self) -> int:
        return self.clock.now() * HZ // SECOND

    def _arm(self) -> None:
        counter = self.counters[0]
        rise = counter.next_rise(self._tick())
        if rise is None:
            self.timer.disarm()
        else:
            self.timer.arm(-(-rise * SECOND // HZ))

    def _rise(self) -> None:
        """OUT of counter 0 rose: an edge. Periods that went by unseen are lost, as where an interrupt is not taken in time."""
        self.irq.pulse()
        self._arm()

    def read(self, offset: int, size: int) -> int:
        tick = self._tick()
        if offset < 3:
            return self.counters[offset].read(tick)
        if offset == 3:
            return 0xFF  # "no operation": the bus floats
        refresh = self.clock.now() // REFRESH & 1
        return self.speaker | self.counters[2].gate | refresh << 4 | self.counters[2].output(tick) << 5

    def write(self, offset: int, value: int, size: int) -> None:
        tick = self._tick()
        if offset < 3:
            if self.counters[offset].write(value, tick) and offset == 0:
                self.irq.set(self.counters[0].output(tick))
                self._arm()
        elif offset == 3:
            self._control(value, tick)
        else:
            self.speaker = value & 0xE
            self.counters[2].set_gate(bool(value & 1), tick)

    def _control(self, value: int, tick: int) -> None:
        number = value >> 6
        if number == 3:  # read-back
            for index, counter in enumerate(self.counters):
                if value >> 1 + index & 1:
                    if not value & 0x20:
                        counter.latch_count(tick)
                    if not value & 0x10:
                        counter.latch_status(tick)
        elif not value & 0x30:
            self.counters[number].latch_count(tick)
        else:
            self.counters[number].control(value)
            if number == 0:
                self.irq.set(self.counters[0].output(tick))
                self._arm()

    def state(self) -> State:
        counters = [{name: getattr(counter, name) for name in Counter.KEPT} for counter in self.counters]
        return {"counters": counters, "speaker": self.speaker, "irq": self.irq.level}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.reset()
        for counter, kept in zip(self.counters, state["counters"], strict=True):
            for name in Counter.KEPT:
                setattr(counter, name, list(kept[name]) if isinstance(kept[name], list) else kept[name])
        self.speaker = state["speaker"]
        self.irq.set(state["irq"])
        self._arm()
