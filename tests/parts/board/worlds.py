"""Devices with everything around them that a test looks at: a clock that goes by hand, lines, a far end, what was asked of the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.board.clock import Clock
from tanken.board.device import Device
from tanken.board.devices.acpi_pm import AcpiPm
from tanken.board.devices.i8042 import I8042
from tanken.board.devices.ioapic import IoApic
from tanken.board.devices.lapic import LocalApic
from tanken.board.devices.pic import Pic
from tanken.board.devices.pit import Pit
from tanken.board.devices.pvclock import PvClock
from tanken.board.devices.rtc import Rtc
from tanken.board.devices.uart import Uart
from tanken.board.interrupts import Line
from tanken.board.memory import Memory, Region


class Far:
    """The other end of a serial line."""

    def __init__(self) -> None:
        self.incoming, self.outgoing = bytearray(), bytearray()

    def read(self, limit: int) -> bytes:
        data = bytes(self.incoming[:limit])
        del self.incoming[:limit]
        return data

    def write(self, data: bytes) -> None:
        self.outgoing += data


class World:
    """One device; `exchange` replaces it by a fresh one with its state."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock = Clock("instructions")
        self.far = Far()
        self.memory = Memory()
        self.memory.add(Region("ram", 0, 0x2000))
        self.events: list[str] = []
        self.edges: dict[str, int] = {}
        self.device = self._make()

    def _line(self, name: str) -> Line:
        line = self.lines[name] = Line(name)
        line.connect(lambda level: self.edges.__setitem__(name, self.edges.get(name, 0) + level))
        return line

    def _make(self) -> Device:
        self.lines: dict[str, Line] = {}
        self.clock._timers.clear()
        note: Callable[[str], Callable[[], None]] = lambda word: lambda: self.events.append(word)  # noqa: E731
        makers: dict[str, Callable[[], Device]] = {
            "uart": lambda: Uart(self._line("irq"), self.far),
            "pic": lambda: Pic(self._line("intr")),
            "pit": lambda: Pit(self.clock, self._line("irq")),
            "rtc": lambda: Rtc(self.clock, self._line("irq"), 999_999_969),
            "i8042": lambda: I8042(self._line("irq"), self._line("aux"), note("reset")),
            "lapic": lambda: LocalApic(self.clock, 25_000_000, memory=self.memory),
            "ioapic": lambda: IoApic(lambda *message: self.events.append(",".join(hex(m) if i == 1 else str(m) for i, m in enumerate(message)))),
            "pvclock": lambda: PvClock(self.clock, self.memory, 1_000_000_000),
            "acpi_pm": lambda: AcpiPm(self.clock, self._line("sci"), note("off"), note("reset")),
        }
        return makers[self.name]()

    def exchange(self) -> None:
        """A fresh device goes on with the state of the present one."""
        state, edges, events = self.device.state(), dict(self.edges), list(self.events)
        self.device = self._make()
        self.device.restore(state)
        self.edges, self.events = edges, events

    def wait(self, nanoseconds: int) -> None:
        end = self.clock.now() + nanoseconds
        while (due := self.clock.next_deadline) is not None and due <= end:
            self.clock.skip(due)
            self.clock.run_due()
        self.clock.skip(end)

    def input(self, number: int, level: bool) -> None:
        self.device.inputs[number].set(level)  # type: ignore[attr-defined]


def step(world: World, words: list[str]) -> tuple[Any, Any]:
    """Do one line of a vector: (met, wanted)."""
    verb, *rest = words
    if verb == "w":
        size = int(rest[2]) if len(rest) > 2 else 1
        world.device.write(int(rest[0], 0), int(rest[1], 0), size)
    elif verb == "r":
        size = int(rest[2]) if len(rest) > 2 else 1
        return hex(world.device.read(int(rest[0], 0), size)), hex(int(rest[1], 0))
    elif verb == "line":
        return world.lines[rest[0]].level, rest[1] == "1"
    elif verb == "edges":
        return world.edges.pop(rest[0], 0), int(rest[1])
    elif verb == "t":
        world.wait(int(rest[0]))
    elif verb == "call":
        wanted = rest[rest.index("->") + 1] if "->" in rest else None
        numbers = [int(word, 0) for word in rest[1 : rest.index("->") if wanted else None]]
        result = getattr(world.device, rest[0])(*numbers)
        return (result, {"True": True, "False": False, "None": None}.get(wanted, int(wanted, 0) if wanted[0].isdigit() else 0)) if wanted else (0, 0)
    elif verb == "in":
        world.far.incoming += rest[0].encode()
        world.device.poll()  # type: ignore[attr-defined]
    elif verb == "out":
        sent = bytes(world.far.outgoing)
        world.far.outgoing.clear()
        return sent.decode(), rest[0] if rest else ""
    elif verb in ("on", "off"):
        world.input(int(rest[0]), verb == "on")
    elif verb == "mem":
        return world.memory.read(int(rest[0], 0), len(rest[1]) // 2).hex(), rest[1]
    elif verb == "put":
        world.memory.write(int(rest[0], 0), bytes.fromhex(rest[1]))
    elif verb == "event":
        return world.events.pop(0) if world.events else None, rest[0]
    else:
        raise AssertionError(words)
    return 0, 0
