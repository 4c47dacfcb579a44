"""Two processors in lockstep: equal ones to the machine's end; a planted difference is found, in registers, in an exit, in memory; the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.parts.machine.test_pc import Typist

from tanken.base.errors import UnsupportedError, UsageError
from tanken.board.clock import Clock
from tanken.board.memory import Memory, Region
from tanken.hypervisor.exits import Kicked, PortIo
from tanken.hypervisor.kvm.system import missing
from tanken.hypervisor.lockstep import DifferenceError, Pair, twin_of
from tanken.hypervisor.own import OwnVcpu, native_is_possible
from tanken.machine import lockstep
from tanken.machine.boot import place
from tanken.machine.pc import Pc

needs_kvm = pytest.mark.skipif(missing() is not None, reason=str(missing()))
needs_native = pytest.mark.skipif(not native_is_possible(), reason="no native code here")
PAIRS = [
    pytest.param("kvm,reference", marks=needs_kvm),
    pytest.param("kvm,native", marks=[needs_kvm, needs_native]),
    pytest.param("native,reference", marks=needs_native),
]


def machine(pair: str, *lines: str, most: int | None = None) -> tuple[Pc, Pair]:
    made = Pc(far=Typist(*lines), clock=lockstep.clock_of(pair), memory="16M", vcpu=lockstep.maker(pair, most))
    assert isinstance(made.vcpu, Pair)
    return made, made.vcpu


@pytest.mark.parametrize("pair", PAIRS)
def test_equal_processors_run_to_the_end(pair: str) -> None:
    made, vcpu = machine(pair, "cpuid", "sleep", "fault", "ticks", "off")
    ended = made.run()
    vcpu.compare(memory=True)
    vcpu.close()
    assert ended.reason == "power-off" and vcpu.exits > 400 and vcpu.compared > 400 and vcpu.flags == 0
    assert b"exception 6" in made.console.output  # type: ignore[attr-defined]  # a Typist


def until_difference(made: Pc) -> Any:
    with pytest.raises(DifferenceError) as error:
        made.run()
        made.vcpu.compare(memory=True)  # type: ignore[attr-defined]
    made.vcpu.close()
    return error.value.difference


@pytest.mark.parametrize("pair", PAIRS)
def test_a_planted_register_is_found_at_the_next_exit(pair: str) -> None:
    made, vcpu = machine(pair, "off")
    second: Any = vcpu.second

    def plant(exit: object) -> None:
        if vcpu.exits == 100:
            second.state.regs[13] ^= 0x40

    made.hooks.append(plant)
    found = until_difference(made)
    assert (found.kind, found.exits) == ("registers", 100) and [what for what, _, _ in found.wrong] == ["r13"]
    text = "\n".join(found.lines())
    assert "r13" in text and "the last 12 exits of both:" in text and "PortIo" in text and found.second in text


@pytest.mark.parametrize("pair", PAIRS)
def test_a_planted_instruction_is_found_by_its_effect(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second processor's OUT puts out another value."""
    made, vcpu = machine(pair, "off")
    run = vcpu.second.run

    def wrong(nanoseconds: int | None = None) -> Any:
        exit = run(nanoseconds)
        return PortIo(exit.port, exit.size, True, exit.data ^ 1) if isinstance(exit, PortIo) and exit.write and vcpu.exits >= 50 else exit

    monkeypatch.setattr(vcpu.second, "run", wrong)
    found = until_difference(made)
    assert found.kind == "exit" and found.exits >= 50 and found.wrong[0][1] != found.wrong[0][2] and "PortIo" in found.wrong[0][1]


@pytest.mark.parametrize("pair", PAIRS[:1] if missing() is None else PAIRS[2:])
def test_a_planted_byte_of_memory_is_found(pair: str) -> None:
    made, vcpu = machine(pair, "off")
    vcpu.memories[1].regions[0].bytes[0x80_0000] = 7  # nobody reads it
    found = until_difference(made)
    assert found.kind == "memory" and found.wrong[0] == ("[0x800000]", "00 00 00 00 00 00 00 00", "07 00 00 00 00 00 00 00")


def test_without_any_exit_they_are_compared_too() -> None:
    memory = Memory()
    memory.add(Region("ram", 0, 0x20_0000))
    memory.write(0x10_0000, bytes.fromhex("ffc0ebfc"))  # inc eax, for ever
    state = place.long_mode(memory, 0x10_0000)
    memories, clocks = (memory, twin_of(memory)), (Clock("instructions"), Clock("instructions"))
    pair = Pair(*(OwnVcpu(each, clock) for each, clock in zip(memories, clocks, strict=True)), memories, clocks, True)  # type: ignore[misc]  # two of them
    pair.set_state(state)
    assert isinstance(pair.run(5_000), Kicked) and pair.executed == pair.second.executed == 5_000
    clocks[0].advance(5_000)  # as the machine's loop does
    assert isinstance(pair.run(1_000), Kicked) and pair.compared == 1 and pair.get_state().regs[0] == 3_000
    clocks[0].advance(1_000)
    pair.second.state.regs[3] ^= 1  # type: ignore[attr-defined]  # our own vcpu's
    with pytest.raises(DifferenceError, match="registers after 0 equal exits"):
        pair.run(1_000)


def test_it_stops_after_so_many_exits() -> None:
    made, vcpu = machine(lockstep.automatic() if missing() is None or native_is_possible() else "native,reference", "off", most=60)
    assert made.run().reason == "stopped" and vcpu.exits == 60
    vcpu.close()


def test_what_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="kvm,native or"):
        lockstep.clock_of("kvm,kvm")
    monkeypatch.setattr("tanken.machine.lockstep.native_is_possible", lambda: False)
    monkeypatch.setattr("tanken.hypervisor.kvm.system.missing", lambda: "no KVM")
    with pytest.raises(UnsupportedError, match="with itself"):
        lockstep.automatic()


def tanken(*words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "tanken", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.skipif(missing() is not None and not native_is_possible(), reason="neither KVM nor native code")
def test_the_command(tmp_path: Path) -> None:
    toml = tmp_path / "machine.toml"
    toml.write_text('[machine]\nmemory = "16M"\n')
    made = tanken("check", str(toml), "--lockstep", "--json")
    out, err = made.communicate("\roff\r", timeout=60)  # the first is lost: the guest turns its line on
    found = json.loads(out)
    assert made.returncode == 0 and found["ended"] == "power-off" and found["difference"] is None and found["exits"] > 100 and "tanken guest" in err
    made = tanken("check", str(toml), "--lockstep", "--exits", "30")
    out, _ = made.communicate("", timeout=120)
    assert made.returncode == 0 and "stopped after 30 equal exits" in out
    made = tanken("check", str(toml))
    assert made.communicate()[1].count("\n") == 1 and made.returncode == 2


@pytest.mark.skipif(missing() is not None and not native_is_possible(), reason="neither KVM nor native code")
def test_it_can_be_interrupted(tmp_path: Path) -> None:
    (tmp_path / "machine.toml").write_text('[machine]\nmemory = "16M"\n')
    made = tanken("check", str(tmp_path / "machine.toml"), "--lockstep")
    assert made.stdout is not None
    seen = ""
    while "> " not in seen:
        seen += os.read(made.stdout.fileno(), 100).decode()
    time.sleep(0.2)
    made.send_signal(signal.SIGINT)
    assert "interrupted after" in made.communicate(timeout=30)[0] and made.returncode == 130
