"""The PC with the guest that comes with tanken, on every vcpu there is: boot protocols, interrupts, power off, reset, crashes, coalescing."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.oracle import repeat

from tanken.hypervisor import exits as E
from tanken.hypervisor.kvm.system import missing
from tanken.machine.console import Keys, Memory
from tanken.machine.crash import describe
from tanken.machine.guest import build
from tanken.machine.loop import Ended
from tanken.machine.pc import Pc
from tanken.machine.report import Recorder

CPUS = [pytest.param("kvm", marks=pytest.mark.skipif(missing() is not None, reason=str(missing()))), "own"]


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own processor by the slow engine, which needs no compiler."""
    monkeypatch.setattr("tanken.hypervisor.own.native_is_possible", lambda: False)


class Typist(Memory):
    """Types the next line when the guest prompts."""

    def __init__(self, *lines: str) -> None:
        super().__init__()
        self._lines = list(lines)

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.output.endswith(b"> ") and self._lines:
            self.type(self._lines.pop(0).encode() + b"\r")


def boot(*lines: str, **settings: Any) -> tuple[Pc, Ended, str]:
    """Run the guest with these lines typed."""
    far = Typist(*lines)
    machine = Pc(far=far, **({"clock": "instructions"} if settings.get("cpu") == "own" else {}) | settings)
    ended = machine.run()
    machine.vcpu.close()
    return machine, ended, far.output.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("cpu", CPUS)
def test_the_guest_boots_and_turns_itself_off(cpu: str) -> None:
    machine, ended, text = boot("echo some words", "fault", "ticks", "off", cpu=cpu, append="quiet x=1", memory="32M")
    assert (ended.reason, ended.status) == ("power-off", 0)
    assert "entered by PVH\nmemory: 32383 KiB\ncommand line: quiet x=1\n" in text
    assert "> echo some words\nsome words\n" in text and "exception 6, error 0000000000000000 at 0000000000100" in text
    assert re.search(r"> ticks\n\d+ ticks of 10 ms\n> off\n$", text)
    assert machine.vcpu.kind == cpu


@pytest.mark.parametrize("cpu", CPUS)
def test_a_bzimage_is_entered_in_long_mode(cpu: str, tmp_path: Path) -> None:
    (tmp_path / "bzimage").write_bytes(build.bzimage())
    _, ended, text = boot("off", cpu=cpu, kernel=str(tmp_path / "bzimage"), memory="64M", append="a")
    assert ended.reason == "power-off" and "entered by Linux's 64-bit entry\nmemory: 65151 KiB\ncommand line: a\n" in text


@pytest.mark.parametrize("cpu", CPUS)
def test_timer_interrupts_wake_a_halted_processor(cpu: str) -> None:
    machine, ended, text = boot("sleep", "ticks", "off", cpu=cpu)
    ticks = re.search(r"(\d+) ticks", text)
    assert ended.reason == "power-off" and ticks is not None and int(ticks[1]) >= 100
    assert machine.clock.now() >= 1_000_000_000


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("line", "reason", "status"), [("triple", "triple-fault", 1), ("reset", "reset", 0), ("halt", "halted", 1)])
def test_other_ends(cpu: str, line: str, reason: str, status: int) -> None:
    machine, ended, _ = boot(line, cpu=cpu)
    assert (ended.reason, ended.status) == (reason, status)
    if reason == "triple-fault":
        machine, _, _ = Pc(far=Typist(line), cpu=cpu), None, None
        machine.run()
        told = describe(machine)
        assert re.search(r"> 10[0-9a-f]+: 0f 0b +ud2", told) and "64-bit code, privilege level 0" in told and "TripleFault" in told
        machine.vcpu.close()


def test_a_run_by_instructions_repeats_exactly(tmp_path: Path) -> None:
    runs = [repeat.run("guest", tmp_path) for _ in range(2)]
    assert runs[0] == runs[1] and len(runs[0]) > 900  # a second of sleep, hashed every millisecond


def test_both_engines_run_the_same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    from tanken.base import native

    if not native.available():
        pytest.skip("no native code here: Numba is missing, or TANKEN_NATIVE=off")
    slow, _, text = boot("sleep", "fault", "off", cpu="own")
    monkeypatch.setattr("tanken.hypervisor.own.native_is_possible", lambda: True)
    fast, _, wanted = boot("sleep", "fault", "off", cpu="own")
    assert (slow.vcpu.executed, slow.clock.now(), text) == (fast.vcpu.executed, fast.clock.now(), wanted)
    assert slow.vcpu.get_state() == fast.vcpu.get_state()


def test_accesses_to_the_local_apic_by_its_page_or_by_emulation_are_the_same() -> None:
    seen: list[list[Any]] = []
    for page in (True, False):
        far = Typist("sleep", "fault", "off")
        machine = Pc(far=far, cpu="own", clock="instructions", memory="16M", apic_page=page)
        exits: list[Any] = []
        kinds: Counter[str] = Counter()

        def note(exit: E.FinalExit, machine: Pc = machine, exits: list[Any] = exits, kinds: Counter[str] = kinds) -> None:
            exits.append(exit)
            kinds[type(getattr(machine.vcpu, "raw", None)).__name__] += 1

        machine.hooks.append(note)
        assert machine.run().reason == "power-off"
        seen.append([exits, machine.vcpu.executed, machine.clock.now(), machine.vcpu.get_state(), bytes(far.output), machine.lapic.state()])
        assert (kinds["ApicAccess"] > 100) == page and kinds["EptViolation"] > 2  # the I/O APIC's
    assert seen[0] == seen[1]


def devices_after(cpu: str, coalesce: bool) -> tuple[Pc, dict[str, Any], str]:
    machine, _, text = boot("echo " + "x" * 30, "off", cpu=cpu, coalesce=coalesce)
    return machine, {name: machine.devices[name].state() for name in ("uart1", "ioapic", "i8042")}, text


@pytest.mark.parametrize("cpu", CPUS)
def test_coalesced_writes_leave_the_same_devices_with_fewer_exits(cpu: str) -> None:
    (fewer, devices, text), (more, wanted, plain) = devices_after(cpu, True), devices_after(cpu, False)
    assert (devices, text) == (wanted, plain)
    assert more.exits - fewer.exits > 40  # a third of the console's


@pytest.mark.parametrize("cpu", CPUS)
def test_nothing_spins_while_a_second_goes_by(cpu: str) -> None:
    machine = Pc(far=Typist("sleep", "off"), cpu=cpu, clock="real")
    machine.run()
    assert machine.clock.now() > 1_000_000_000
    assert machine.exits < 1500 and machine.vcpu.executed < 60_000  # a hundred ticks, a few exits each, and the console's
    machine.vcpu.close()


def test_hooks_see_and_answer_exits() -> None:
    far = Typist("cpuid", "off")
    machine, seen = Pc(far=far, cpu="own", clock="instructions"), []

    def hook(exit: E.FinalExit) -> int | None:
        if isinstance(exit, E.PortIo) and exit.port == 0x3FD and not exit.write:
            seen.append(exit)
            return 0x61 if machine.uarts[0].received else 0x60
        return None

    machine.hooks.append(hook)
    assert machine.run().reason == "power-off" and len(seen) > 100


def test_the_report_names_devices_registers_functions_and_advice(tmp_path: Path) -> None:
    machine = Pc(far=Typist(*["help"] * 7, "off"), cpu="own", clock="instructions")
    with Recorder.attached(machine, str(tmp_path / "exits"), True) as recorder:
        machine.run()
    text = recorder.text()
    assert re.search(r"\d+ +[\d.]+ +uart1 +LSR read", text) and "put_character" in text and 'append "quiet"' in text
    lines = (tmp_path / "exits").read_text().splitlines()
    assert len(lines) == machine.exits and '"device": "lapic", "register": "SVR"' in "".join(lines)


def test_escapes_of_the_console() -> None:
    called: list[str] = []
    keys = Keys({"x": lambda: called.append("x")})
    assert keys.feed(b"ab\x01") + keys.feed(b"xc\x01a\x01\x01d\x01q") == b"abc\x01\x01d" and called == ["x"]


def test_ctrl_a_x_and_the_power_button() -> None:
    far = Memory()
    machine = Pc(far=far, cpu="own", clock="instructions")
    far.wrote = lambda data: machine.stop() if far.output.endswith(b"> ") else None
    assert machine.run().reason == "stopped"
    machine.power_button()
    machine.step()
    assert machine.pm.read(16, 1) == 1


@pytest.mark.skipif(shutil.which("as") is None, reason="binutils are not installed: apt-get install binutils")
@pytest.mark.parametrize("name", ["kernel", "ways"])
def test_the_binary_is_made_from_the_source(name: str, tmp_path: Path) -> None:
    build.assemble(build.HERE / f"{name}.S", tmp_path / f"{name}.elf")
    dumps = [subprocess.run(["objdump", "-s", "-j", ".text", "-j", ".data", str(path)], capture_output=True, text=True).stdout.splitlines()[3:]
             for path in (tmp_path / f"{name}.elf", build.HERE / f"{name}.elf")]  # fmt: skip
    assert dumps[0] == dumps[1] and len(dumps[0]) > 30
