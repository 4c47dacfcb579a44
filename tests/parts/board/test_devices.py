"""Devices against vectors from their data sheets, and: a device that was given another's state behaves as that one.

The vectors stand in tests/vectors/devices.txt, whose head says what its lines mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parts.board.worlds import World, step

from tanken.base.errors import InputError
from tanken.board.device import register_name

VECTORS = Path(__file__).parents[2] / "vectors" / "devices.txt"
NAMES = ("uart", "pic", "pit", "rtc", "i8042", "lapic", "ioapic", "acpi_pm")
EXTENT = {"uart": 8, "pic": 6, "pit": 5, "rtc": 2, "i8042": 2, "lapic": 0x400, "ioapic": 0x20, "acpi_pm": 18}


def cases() -> Iterator[tuple[str, str, list[tuple[int, list[str]]]]]:
    name, what, steps = "", "", []
    for number, line in enumerate(VECTORS.read_text().splitlines(), 1):
        if line.startswith("= "):
            if name:
                yield name, what, steps
            name, _, what = line[2:].partition(": ")
            steps = []
        elif line and line[0] != "#":
            steps.append((number, line.split()))
    yield name, what, steps


CASES = list(cases())


@pytest.mark.parametrize("restored", [False, True], ids=["plain", "restored"])
@pytest.mark.parametrize(("name", "what", "steps"), CASES, ids=[f"{name}: {what}" for name, what, _ in CASES])
def test_vectors(name: str, what: str, steps: list[tuple[int, list[str]]], restored: bool) -> None:
    world = World(name)
    for number, words in steps:
        if restored:
            world.exchange()
        met, wanted = step(world, words)
        assert met == wanted, f"devices.txt:{number}: {' '.join(words)}"
    assert not world.events


@st.composite
def doings(draw: st.DrawFn) -> tuple[str, list[list[str]], int]:
    name = draw(st.sampled_from(NAMES))
    wide = EXTENT[name] > 8 and name != "acpi_pm"
    lines = []
    for _ in range(draw(st.integers(1, 40))):
        offset = draw(st.integers(0, EXTENT[name] - 1)) & (~15 if wide else ~0)
        size = 4 if wide else 1
        verb = draw(st.sampled_from("wwwrtoi"))
        if verb == "w":
            lines.append(["w", str(offset), str(draw(st.integers(0, (1 << 8 * size) - 1))), str(size)])
        elif verb == "t":
            lines.append(["t", str(draw(st.sampled_from((1, 838, 15_000, 1_000_000, 40_000_000, 2_000_000_000))))])
        elif verb == "o" and name in ("pic", "ioapic"):
            number = draw(st.sampled_from([n for n in range(16) if n != 2]))
            lines.append([draw(st.sampled_from(("on", "off"))), str(number)])
        elif verb == "i" and name == "uart":
            lines.append(["in", draw(st.sampled_from(("a", "bcd", "x" * 20)))])
        elif verb == "i" and name in ("pic", "lapic"):
            lines.append(["call", "acknowledge"])
        else:
            lines.append(["r", str(offset), "0", str(size)])
    return name, lines, draw(st.integers(0, len(lines)))


def observed(world: World, words: list[str]) -> object:
    met, _ = step(world, words)
    return met, {name: line.level for name, line in world.lines.items()}, list(world.events), bytes(world.far.outgoing), world.clock.next_deadline


@settings(max_examples=150, deadline=None)
@given(doings())
def test_a_restored_device_behaves_the_same(doing: tuple[str, list[list[str]], int]) -> None:
    name, lines, at = doing
    one, other = World(name), World(name)
    for number, words in enumerate(lines):
        if number == at:
            other.exchange()
        assert observed(one, words) == observed(other, words), (number, words)
        assert one.device.state() == other.device.state()


def test_a_state_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="state of device uart: .*missing"):
        World("uart").device.restore({"ram": []})


def test_registers_have_names() -> None:
    uart, rtc, ioapic = World("uart").device, World("rtc").device, World("ioapic").device
    assert register_name(uart, 0, "w") == "THR"
    uart.write(3, 0x80, 1)
    assert register_name(uart, 0, "w") == "DLL"
    rtc.write(0, 0x0A, 1)
    assert register_name(rtc, 1, "r") == "DATA.STATUS_A"
    ioapic.write(0, 0x13, 4)
    assert register_name(ioapic, 0x10, "w") == "IOWIN.IOREDTBL[3]"
    assert register_name(World("lapic").device, 0x210, "r") == "IRR[1]"
    assert uart.registers["IER"].words(5) == "ELSI ERBFI"
