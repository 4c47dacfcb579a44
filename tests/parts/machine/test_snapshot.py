"""A whole machine as a value and as a file: a resumed run is the uninterrupted one, and a damaged file is told in one line.

With the guest that comes with tanken on the slow engine; Debian's kernel with TANKEN_BOOT=1 in `test_debian.py`.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.oracle.repeat import digest
from tests.parts.cli.command import tanken_command
from tests.parts.machine.test_pc import Typist

from tanken.base.errors import InputError, TankenError, UnsupportedError, UsageError
from tanken.hypervisor.kvm.system import missing
from tanken.machine.pc import Pc
from tanken.machine.snapshot import CHUNK, HEADER, MAGIC, Snapshot, load, take

SETTINGS: dict[str, Any] = {"cpu": "own", "clock": "instructions", "memory": "16M"}


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tanken.hypervisor.own.native_is_possible", lambda: False)


def whole(machine: Pc) -> tuple[object, ...]:
    """All that the machine is."""
    memory = hashlib.sha256(b"".join(bytes(region.bytes) for region in machine.memory.regions)).hexdigest()
    devices = {name: device.state() for name, device in machine.devices.items()}
    return digest(machine.vcpu.get_state()), machine.vcpu.executed, machine.clock.now(), memory, devices


def until(machine: Pc, nanoseconds: int) -> Snapshot:
    """Run the machine until its clock reads so much."""
    taken: list[Snapshot] = []

    def finish() -> None:
        taken.append(take(machine))
        machine.stop()

    machine.clock.timer("until", lambda: setattr(machine, "taking", finish)).arm(nanoseconds)
    assert machine.run().reason == "stopped"
    return taken[0]


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[object, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tanken.hypervisor.own.native_is_possible", lambda: False)
        machine = Pc(far=Typist("sleep", "fault", "off"), **SETTINGS)
        machine.run()
        return whole(machine)


@pytest.mark.parametrize("moment", [3_000, 130_777, 400_000_000, 999_999_999])
def test_a_resumed_run_is_the_uninterrupted_one(moment: int, uninterrupted: tuple[object, ...], tmp_path: Path) -> None:
    far = Typist("sleep", "fault", "off")
    snapshot = until(Pc(far=far, **SETTINGS), moment)
    snapshot.save(tmp_path / "snapshot")
    assert stat.S_IMODE(os.stat(tmp_path / "snapshot").st_mode) == 0o600
    again = load(tmp_path / "snapshot")
    assert (again.chunks, again.about["processor"]["regs"]) == (snapshot.chunks, snapshot.about["processor"]["regs"])
    rest = Typist(*far._lines)
    rest.output += far.output
    machine = Pc.resumed(again, far=rest)
    assert machine.clock.now() < moment + 1_000_000 and machine.run().reason == "power-off"
    assert whole(machine) == uninterrupted


def test_a_machine_goes_back_to_where_it_was() -> None:
    far = Typist("sleep")
    machine = Pc(far=far, **SETTINGS)
    while b"> sleep" not in far.output:
        machine.step()
    snapshot, ends = machine.snapshot(), []
    assert re.fullmatch(r"<Snapshot at [0-9.]+ s, \d+ instructions, \d+ pages in \d+ bytes>", repr(snapshot))
    for _ in range(2):
        far._lines = ["fault", "off"]
        assert machine.run().reason == "power-off"
        ends.append(whole(machine))
        machine.restore(snapshot)
        machine._ending = None
    assert ends[0] == ends[1] and machine.ended is None
    with pytest.raises(UsageError, match="memory 16777216 instead of 33554432"):
        Pc(far=Typist(), **SETTINGS | {"memory": "32M"}).restore(snapshot)


def test_damaged_files_are_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s"
    until(Pc(far=Typist(), **SETTINGS), 1_000_000).save(path)
    data = path.read_bytes()
    (size, _), header = HEADER.unpack_from(data, len(MAGIC)), len(MAGIC) + HEADER.size
    places = [0, 5, len(MAGIC), len(MAGIC) + 4, header, header + size // 2, header + size, header + size + 9, header + size + CHUNK.size + 40, len(data) - 3]
    for at in places:
        for damaged in (data[:at], data[:at] + bytes((data[at] ^ 0x55,)) + data[at + 1 :], data[:at] + data[at + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(InputError) as told:
                load(path)
            assert str(told.value).count("\n") == 0 and str(path) in str(told.value)
    path.write_bytes(data + b"x")
    with pytest.raises(InputError, match="chunks where"):
        load(path)


@pytest.mark.parametrize("key", ["description", "clock", "devices", "processor", "lines", "halted"])
@pytest.mark.parametrize("value", [None, 7, {}, "x", [1]])
def test_a_strange_snapshot_is_no_bug_of_ours(key: str, value: object) -> None:
    about = STRANGE.setdefault("about", until(Pc(far=Typist(), **SETTINGS), 1000).about if not STRANGE else None)
    if key == "halted":
        about = {name: item for name, item in about.items() if name != key}
        value = ...
    with pytest.raises(TankenError):
        Pc.resumed(Snapshot(about if value is ... else about | {key: value}, ()), far=Typist())


STRANGE: dict[str, Any] = {}


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_kvm_is_refused() -> None:
    machine = Pc(far=Typist(), cpu="kvm")
    with pytest.raises(UnsupportedError, match="a snapshot of a machine on KVM; wanted our own processor"):
        machine.snapshot()
    machine.vcpu.close()


def test_the_command_takes_one_and_goes_on_from_it(tmp_path: Path) -> None:
    slow, path = {"TANKEN_NATIVE": "off"}, str(tmp_path / "s")
    told = tanken_command("run", "--clock", "instructions", "--snapshot", path, "--until", "0.01", **slow)
    assert told.returncode == 0 and f"tanken run: {path}: <Snapshot at 0.01" in told.stderr.decode() and told.stdout.endswith(b"> ")
    told = tanken_command("run", path, stdin=b"echo on\r\x01soff\r", **slow)
    assert told.returncode == 0 and b"no --snapshot" in told.stderr and b"on\r\n> off" in told.stdout, told
    for words, message in (([path, "--memory", "1G"], "--memory with a snapshot, which has its own"), (["--until", "x"], "'x'; wanted seconds"),
                           (["--cpu", "kvm", "--snapshot", path, "--until", "0"], "a snapshot of a machine on KVM|KVM")):  # fmt: skip
        told = tanken_command("run", *words, **slow)
        assert told.returncode and re.search(message, told.stderr.decode()) and told.stderr.count(b"\n") <= 2, told
