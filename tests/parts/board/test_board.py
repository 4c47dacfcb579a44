"""The board apart from its devices: buses, the memory map, the clock, interrupt routing."""

import pytest
from tests.parts.board.worlds import World

from tanken.base.errors import InternalError, UsageError
from tanken.board.bus import Bus
from tanken.board.clock import SECOND, Clock
from tanken.board.device import Device
from tanken.board.interrupts import Interrupts, Line
from tanken.board.memory import Memory, Region, side_by_side


class Recorder(Device):
    """Notes each access; a read gives the offset's low byte in each byte."""

    name = "recorder"
    KEPT = ("seen",)

    def __init__(self, largest: int) -> None:
        self.largest = largest  # type: ignore[misc]  # one class for devices of several widths
        self.seen: list[tuple[object, ...]] = []

    def read(self, offset: int, size: int) -> int:
        self.seen.append(("r", offset, size))
        return sum((offset + at & 0xFF) << 8 * at for at in range(size))

    def write(self, offset: int, value: int, size: int) -> None:
        self.seen.append(("w", offset, value, size))

    def reset(self) -> None:
        self.seen.clear()


def test_a_wide_access_to_a_narrow_device_is_split() -> None:
    bus, narrow, wide = Bus("pio", 16), Recorder(1), Recorder(4)
    bus.attach(0x70, 2, narrow)
    bus.attach(0x72, 8, wide, offset=0x10)
    bus.write(0x70, 0x1234, 2)
    assert narrow.seen == [("w", 0, 0x34, 1), ("w", 1, 0x12, 1)]
    assert bus.read(0x70, 4) == 0x1110_0100
    assert wide.seen == [("r", 0x10, 2)]
    assert bus.read(0x78, 4) == 0xFFFF_1716
    assert bus.read(0x6F, 1) == 0xFF


def test_windows_do_not_overlap() -> None:
    bus = Bus("pio", 16)
    bus.attach(0x60, 4, Recorder(1))
    with pytest.raises(UsageError, match="addresses that <0x60-0x63 recorder> has not"):
        bus.attach(0x63, 1, Recorder(1))
    with pytest.raises(UsageError, match="16 bits"):
        bus.attach(0xFFFF, 2, Recorder(1))


def test_memory_rom_and_devices_share_one_map() -> None:
    memory, device = Memory(), Recorder(8)
    ram = memory.add(Region("ram", 0, 0x2000))
    memory.add(Region("rom", 0x4000, 0x1000, writable=False))
    memory.bus.attach(0x2000, 0x1000, device)
    memory.write(0x4000, b"ROM!")
    memory.store(0x4000, 0xFF, 1)
    assert memory.load(0x4000, 4) == int.from_bytes(b"ROM!", "little")
    memory.store(0x1FFE, 0x44332211, 4)
    assert ram.bytes[0x1FFE:0x2000] == b"\x11\x22"
    assert device.seen == [("w", 0, 0x33, 1), ("w", 1, 0x44, 1)]
    assert memory.load(0x1FFF, 2) == 0x0022
    assert memory.load(0x9000, 4) == 0xFFFF_FFFF
    assert memory.holds(0, 0x2000, write=True) and not memory.holds(0x1000, 0x1001) and not memory.holds(0x4000, 1, write=True)
    with pytest.raises(InternalError):
        memory.read(0x2000, 1)
    with pytest.raises(UsageError, match="<ram"):
        memory.add(Region("more", 0x1000, 0x1000))


def test_timers_come_in_order_and_time_can_be_skipped() -> None:
    clock, seen = Clock("instructions", rate=SECOND // 2), []
    late, early = clock.timer("late", lambda: seen.append(("late", clock.now()))), clock.timer("early", lambda: seen.append(("early", clock.now())))
    late.arm(100)
    early.arm(50)
    assert clock.instructions_until(50) == 25
    clock.advance(25)
    assert clock.run_due() and seen == [("early", 50)]
    clock.skip(clock.next_deadline or 0)
    clock.run_due()
    assert seen[-1] == ("late", 100) and clock.next_deadline is None
    other = Clock()
    other.restore(clock.state())
    assert (other.mode, other.now(), other.tsc()) == ("instructions", 100, 100)
    assert other.moment_of_tsc(other.tsc_at(12345)) == 12345


def test_the_real_clock_goes_on_by_itself() -> None:
    clock = Clock()
    first = clock.now()
    assert clock.now() > first


def test_external_interrupts_come_through_lint0() -> None:
    apic, pic = World("lapic").device, World("pic").device
    both = Interrupts(pic, apic)
    for offset, value in ((0, 0x11), (1, 0x20), (1, 4), (1, 1)):
        pic.write(offset, value, 1)
    pic.inputs[3].set(True)
    assert not both.pending()
    apic.virtual_wire()
    assert both.pending() and both.acknowledge() == 0x23 and both.acknowledge() is None
    apic.write(0x300, 0x40044, 4)
    assert both.acknowledge() == 0x44


def test_a_line_tells_changes_only() -> None:
    line, seen = Line("x"), []
    line.connect(seen.append)
    line.set(True)
    line.set(True)
    line.pulse()
    assert seen == [True, False, True]


def test_regions_side_by_side_lie_in_the_host_as_in_the_guest() -> None:
    low, high = side_by_side([("low", 0, 0x3000), ("high", 0x1_0000_0000, 0x2000)])
    assert high.host_address - low.host_address == 0x1_0000_0000 and (low.end, high.end) == (0x3000, 0x1_0000_2000)
    memory = Memory()
    for region in (low, high):
        memory.add(region)
    memory.write(0x2FF0, b"x" * 16)
    memory.write(0x1_0000_0000, b"y" * 0x2000)
    assert memory.read(0x2FFF, 1) == b"x" and not memory.holds(0x3000, 1) and memory.size == 0x5000
    high.clear()
    assert memory.read(0x1_0000_1FFF, 1) == b"\0" and memory.read(0x2FFF, 1) == b"x"
