"""Instructions that touch a device, by our semantics against what KVM's emulator did (tests/vectors/mmio.txt), and what vectors do not say.

The vectors are made by `python -m tests.oracle.touches --record`; TANKEN_TOUCHES=1 runs all of them, else every eleventh.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest
from tests.oracle.touches import BOTH, CODE, DATA, PLACES, RAM, SETTINGS, STACK, VECTORS, Ours, Theirs, Touch, prepared, start

from tanken.board.memory import Memory, Region
from tanken.hypervisor.exits import Mmio
from tanken.hypervisor.kvm.system import missing
from tanken.hypervisor.mmio import Done, Emulation, Raised
from tanken.hypervisor.view import physical_of

LINES = [line for line in VECTORS.read_text().splitlines() if line[0] != "#"]
CHOSEN = LINES if os.environ.get("TANKEN_TOUCHES") else LINES[::11]


def touch_of(line: str) -> tuple[Touch, list[str], list[str]]:
    head, accesses, changes = (cell.split() for cell in line.split(" | "))
    return Touch(head[0], head[1], bytes.fromhex(head[2])), accesses, changes


@pytest.mark.parametrize("warm", [1 << 30, 0], ids=["replayed", "prepared"])
def test_as_kvm_did(warm: int) -> None:
    ours = Ours(warm)
    for line in CHOSEN:
        touch, accesses, changes = touch_of(line)
        assert ours(touch) == (accesses, changes), f"{touch}: {touch.inst.text()}"
    touches = [touch_of(line)[0] for line in LINES]
    assert {touch.where for touch in touches} == set(PLACES) and {touch.mode for touch in touches} == set(SETTINGS)
    assert Counter(touch.mode for touch in touches if touch.mode not in BOTH).most_common()[-1][1] > 400


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_as_kvm_does() -> None:
    theirs = Theirs()
    for line in LINES[::100]:
        touch, accesses, changes = touch_of(line)
        assert theirs(touch) in ((accesses, changes), None), f"{touch}: {touch.inst.text()}"


@pytest.fixture(params=[1 << 30, 0], ids=["replayed", "prepared"], autouse=True)
def warm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows holds for replayed and for prepared instructions."""
    monkeypatch.setattr(sys.modules[__name__], "WARM", request.param)


WARM = 0


def emulation(code: str, mode: str = "64") -> Emulation:
    memory = Memory()
    memory.add(Region("ram", 0, RAM))
    state = start(memory, mode)
    memory.write(CODE, bytes.fromhex(code))
    state.regs[4] = STACK
    return Emulation(state, physical_of(memory), warm=WARM)


def test_nothing_is_visible_before_the_instruction_is_done() -> None:
    made = emulation("f3a5")  # rep movsd, from a device to a device
    made.state.regs[1], made.state.regs[6], made.state.regs[7] = 2, RAM, RAM + 0x1000
    before = made.state.copy()
    assert made.run() == Mmio(RAM, 4, False) and made.state == before
    made.answer(0x1234)
    assert made.run() == Mmio(RAM + 0x1000, 4, True, 0x1234)  # a write is told when all is done, as KVM does
    assert isinstance(made.run(), Done) and made.state.regs[1] == 1 and made.state.rip == CODE


def test_accesses_come_in_the_order_of_the_instruction() -> None:
    made = emulation("a4")  # movsb: read, then write
    made.state.regs[6], made.state.regs[7] = RAM, RAM + 1
    order = []
    while not isinstance(result := made.run(), Done):
        order.append(result)
        made.answer(9)
    assert order == [Mmio(RAM, 1, False), Mmio(RAM + 1, 1, True, 9)]


def test_a_fault_on_the_way_leaves_no_half() -> None:
    made = emulation("ff33")  # push qword [rbx], where the stack is not mapped
    made.state.regs[3], made.state.regs[4] = RAM, 1 << 40
    assert made.run() == Mmio(RAM, 8, False)
    result = made.run()
    assert isinstance(result, Raised) and (result.fault.vector, result.fault.code) == (14, 2) and made.state.cr2 == (1 << 40) - 8
    assert made.state.regs[4] == 1 << 40 and made.state.rip == CODE


def test_a_write_that_is_forbidden_reads_no_device() -> None:
    made = emulation("0103")  # add [rbx], eax, in a page that is read-only, with WP
    made.state.cr0 |= 1 << 16
    made.state.regs[3] = RAM
    pd = made.physical.read(0x3000 + 2 * 4096 + 8, 8)
    made.physical.write(0x3000 + 2 * 4096 + 8, 8, pd & ~2)
    result = made.run()
    assert isinstance(result, Raised) and (result.fault.vector, result.fault.code) == (14, 3)


def test_wide_registers_are_told_in_eights() -> None:
    made = emulation("0f1003")  # movups xmm0, [rbx]
    made.state.regs[3] = RAM + 4
    assert made.run() == Mmio(RAM + 4, 8, False)
    made.answer(1)
    assert made.run() == Mmio(RAM + 12, 8, False)
    made.answer(2)
    assert isinstance(made.run(), Done) and made.state.xmm[0] == 2 << 64 | 1


def test_an_operand_is_where_the_instruction_says() -> None:
    assert prepared(Touch("64", "straddle", bytes.fromhex("8b03")), Ours().memories[RAM][0]).regs[3] == RAM - 3  # type: ignore[union-attr]  # it can be put there
    seen, changes = Ours()(Touch("64", "straddle", bytes.fromhex("8b03"))) or ([], [])
    assert len(seen) == 1 and seen[0].startswith(f"r1@{RAM:x}=") and any(change.startswith("rax=") for change in changes)
    assert DATA > CODE


def test_a_fault_that_depends_on_the_device() -> None:
    made = emulation("f733")  # div dword [rbx], which reads 0
    made.state.regs[3] = RAM
    before = made.state.copy()
    assert made.run() == Mmio(RAM, 4, False)
    made.answer(0)
    result = made.run()
    assert isinstance(result, Raised) and result.fault.vector == 0 and made.state == before


def test_a_store_is_seen_by_the_same_instruction() -> None:
    made = emulation("8f0424")  # pop [rsp]: the stack pointer has moved when the address is computed
    made.state.regs[4] = RAM - 8
    made.physical.write(RAM - 8, 8, 0x1234)
    assert made.run() == Mmio(RAM, 8, True, 0x1234) and isinstance(made.run(), Done)


def test_what_is_in_no_place_follows_a_prepared_instruction() -> None:
    made = emulation("8b03")
    made.state.regs[3] = RAM
    made.state.shadow, made.state.system_flags = CODE, made.state.system_flags | 1 << 16  # behind STI, with RF
    made.run()
    assert isinstance(made.run(), Done) and made.state.shadow != CODE + 2 and not made.state.system_flags >> 16 & 1


def test_single_steps_and_data_breakpoints_are_taken_behind_the_instruction() -> None:
    made = emulation("8903")
    made.state.regs[3] = RAM
    made.state.dr[0], made.state.dr7 = RAM, 0xD_0001  # writes of 4 bytes there
    assert isinstance(made.run(), Mmio)
    result = made.run()
    assert isinstance(result, Raised) and result.fault.vector == 1 and made.state.dr6 & 15 == 1 and made.state.rip == CODE + 2
