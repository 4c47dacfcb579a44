"""`tanken measure ways`: the guest computes the same in every way, what is counted is what it does, and the table says on what."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tanken.hypervisor.kvm.system import missing
from tanken.hypervisor.own import native_is_possible
from tanken.machine import ways
from tanken.machine.ways import Guest

SMALL = Guest(rounds=5, work=7)
EACH = {"out": 1, "in": 1, "cpuid": 1, "wrmsr": 1, "rdmsr": 1, "hlt": 1, "iret": 1, "sti": 1}  # instructions of a round, by mnemonic


def computed(guest: Guest) -> int:
    """What the guest is to compute, said a second time."""
    mask, total = (1 << 64) - 1, 1
    version = ways.machine(guest, None).lapic.read(0x30, 4)
    for count in range(guest.rounds, 0, -1):
        total = total + (count & 0xFF) + version + count & mask
        for left in range(guest.work, 0, -1):
            total = 5 * total + 1 & mask
            total = (total << 7 | total >> 57) & mask ^ left
            total = 2 * total & mask
    return total


def test_interpreted() -> None:
    way = ways.interpreted(SMALL)
    assert way.result == computed(SMALL) and way.interventions == way.instructions > 5 * 7 * 7 and way.exits == 5 * 7 + 4


@pytest.mark.skipif(not native_is_possible(), reason="no native code here")
def test_translated_only_the_sensitive_instructions_are_left_out() -> None:
    way, more = ways.translated(SMALL), ways.translated(Guest(5, 107))
    assert way.result == computed(SMALL) and way.instructions == ways.interpreted(SMALL).instructions
    assert all(way.kinds[name] >= 5 * count for name, count in EACH.items() if name != "sti"), way.kinds
    assert more.instructions - way.instructions == 5 * 100 * 7 and more.interventions - way.interventions < 50  # more work is no more interventions


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_guest_mode() -> None:
    way = ways.on_kvm(SMALL)
    assert way.result == computed(SMALL) and way.kinds["PortIo"] == 2 * 5 + 3 and way.kinds["Mmio"] == 4 * 5 + 1 and way.kinds["Halt"] == 5 and way.interventions >= way.exits


def test_without_kvm_our_own_vcpu_says_what_vt_x_would() -> None:
    way = ways.on_our_own(SMALL)
    assert way.result == computed(SMALL) and "no KVM here" in way.note
    assert way.kinds["IoInstruction"] == 2 * 5 + 3 and way.kinds["Halt"] == 5 and way.kinds["ApicAccess"] == 4 * 5 + 1


def test_the_command() -> None:
    made = subprocess.run([sys.executable, "-m", "tanken", "measure", "ways", "--rounds", "3", "--work", "2", "--json"], capture_output=True, text=True, timeout=300)
    found = [json.loads(line) for line in made.stdout.splitlines()]
    assert made.returncode == 0 and [way["way"] for way in found][:1] == ["interpreted"] and found[-1]["way"] == "guest mode"
    assert len({way["result"] for way in found}) == 1 and all(way["seconds"] > 0 for way in found)
    made = subprocess.run([sys.executable, "-m", "tanken", "measure", "ways", "--rounds", "0"], capture_output=True, text=True, timeout=60)
    assert made.returncode == 2 and made.stderr.count("\n") == 1
