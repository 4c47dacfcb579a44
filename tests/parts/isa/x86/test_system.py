"""Micro guests, assembled with binutils, on our own processor and under QEMU's TCG; what they must say stands in tests/vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.guest.system import record, run

pytestmark = pytest.mark.skipif(shutil.which("as") is None, reason="binutils is not installed: apt-get install binutils")


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("guests")
    return {name: run.build(name, folder) for name in run.names()}


@pytest.mark.parametrize("name", run.names())
def test_reference(guests: dict[str, bytes], name: str) -> None:
    assert run.on_reference(guests[name]).splitlines() == record.expected(name)


@pytest.mark.parametrize("name", [name for name in run.names() if record.is_for(name, "qemu")])
def test_qemu(guests: dict[str, bytes], name: str, tmp_path: Path) -> None:
    """The oracle still says what was recorded."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86")
    assert run.on_qemu(guests[name], tmp_path, record.cpu(name)).splitlines() == record.expected(name, "qemu")


@pytest.mark.parametrize("name", record.ON_KVM)
def test_kvm(guests: dict[str, bytes], name: str) -> None:
    from tanken.hypervisor.kvm.probe import runs_natively
    from tanken.hypervisor.kvm.system import missing

    if missing() or runs_natively():
        pytest.skip(missing() or "what is recorded is what KVM without VMX or SVM beneath says")
    assert run.on_kvm(guests[name]).splitlines() == record.expected(name, "kvm")


@pytest.mark.parametrize("name", run.names())
def test_native(guests: dict[str, bytes], name: str) -> None:
    """The native engine says what the slow one does."""
    if run.store() is None:
        pytest.skip("native code is off")
    assert run.on_native(guests[name]).splitlines() == record.expected(name)


@pytest.mark.parametrize(("name", "slice"), [("crossing64", 3), ("protected32", 5), ("repeat64", 7), ("tlb64", 1), ("breaks64", 2)])
def test_native_in_slices(guests: dict[str, bytes], name: str, slice: int) -> None:
    """Native code stops after any number of instructions, inside a block too: the same text, and the same number in all."""
    if run.store() is None:
        pytest.skip("native code is off")
    engine, core = run.native_engine(guests[name])
    assert run.drive(engine, core, 200_000, slice).splitlines() == record.expected(name)
    whole, other = run.native_engine(guests[name])
    run.drive(whole, other, 200_000)
    assert (engine.executed, core.state) == (whole.executed, other.state)


def test_crossings_are_native(guests: dict[str, bytes]) -> None:
    """Accesses over page ends are not the slow engine's, but where a page is missing or holds code; some take two attempts."""
    if run.store() is None:
        pytest.skip("native code is off")
    engine, core = run.native_engine(guests["crossing64"])
    run.drive(engine, core, 200_000)
    splits, crossings = engine.tab[engine.N.SPLITS], engine.tab[engine.N.CROSSINGS]
    assert splits > 300, (splits, crossings)


def test_narrow_code_is_native(guests: dict[str, bytes]) -> None:
    """Flat 32-bit code runs natively too."""
    if run.store() is None:
        pytest.skip("native code is off")
    engine, core = run.native_engine(guests["protected32"])
    engine.left = {}
    run.drive(engine, core, 200_000)
    assert engine.interpreted < engine.executed // 3, (engine.interpreted, engine.executed, engine.left)
