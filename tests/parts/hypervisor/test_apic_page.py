"""The APIC-access page of our own vcpu: exits with offset and kind, plain MOVs in all their forms, and what is emulated all the same."""

from __future__ import annotations

import pytest
from tests.parts.hypervisor.test_vcpu import CODE, Lab

from tanken.hypervisor import exits as E
from tanken.hypervisor.own import OwnVcpu
from tanken.isa.architecture import Halt
from tanken.isa.x86.system import state as S

APIC = 0x20_3000  # behind the memory


def lab(at: int | None = APIC) -> Lab:
    made = Lab("own")
    assert isinstance(made.vcpu, OwnVcpu)
    made.vcpu.apic.at = lambda: at
    return made


MOVES = [  # code, whether it is a store, what is stored, register of a load
    ("c783b000000078563412", True, 0x1234_5678, None),  # mov dword [rbx+b0], imm
    ("8983b0000000", True, 0x1111_0000, None),  # mov [rbx+b0], eax
    ("898c8bac000000", True, 1, None),  # mov [rbx+rcx*4+ac], ecx
    ("64898398000000", True, 0x1111_0000, None),  # mov fs:[rbx+98], eax: FS begins at 18h
    ("678983b0000000", True, 0x1111_0000, None),  # with addresses of 32 bits
    ("8b83b0000000", False, 0, 0),  # mov eax, [rbx+b0]
    ("448bbbb0000000", False, 0, 15),  # mov r15d, [rbx+b0]
    ("a1b030200000000000", False, 0, 0),  # mov eax, [2030b0]
]


@pytest.mark.parametrize(("code", "store", "data", "register"), MOVES)
def test_plain_moves(code: str, store: bool, data: int, register: int | None) -> None:
    made = lab()
    state = made.put(code + "f4")
    state.regs[3], state.regs[0], state.regs[1], state.fs_base = APIC, 0xFFFF_FFFF_1111_0000, 1, 0x18
    state.regs[15], state.shadow = 1 << 63, CODE  # as if behind STI
    made.vcpu.set_state(state)
    for _ in range(2):  # met by the engine, then left to us at once
        made.vcpu.state.rip = CODE
        made.vcpu.state.regs[0] = 0xFFFF_FFFF_1111_0000
        assert made.run() == E.Mmio(APIC + 0xB0, 4, store, data)
        assert made.vcpu.raw == E.ApicAccess(0xB0, "w" if store else "r", int(store)) and made.vcpu.raw.qualification == 0xB0 | store << 12
        assert not made.vcpu.can_inject()
        made.vcpu.answer(0x9876_5432)
        after = made.vcpu.get_state()
        assert after.rip == CODE + len(code) // 2 and after.shadow != after.rip
        assert register is None or after.regs[register] == 0x9876_5432
        assert isinstance(made.run(), Halt)
    assert made.vcpu.assisted.total() == 2 and made.vcpu.executed == 4


@pytest.mark.parametrize("code", ["668983b0000000", "8803", "488903", "0903", "8703", "660f6e03", "f30f1103", "8b03"])
def test_other_instructions_are_emulated(code: str) -> None:
    """Exits are the same without the page, but for what VT-x calls them."""
    told = []
    for at in (APIC, None):
        made = lab(at)
        state = made.put(code + "f4")
        state.regs[3], state.cr4 = APIC, state.cr4 | S.OSFXSR
        made.vcpu.set_state(state)
        seen = []
        while not isinstance(exit := made.run(), Halt):
            seen.append((exit, type(made.vcpu.raw)))
            made.vcpu.answer(5)
        told.append((seen, made.vcpu.get_state()))
    assert [exit for exit, _ in told[0][0]] == [exit for exit, _ in told[1][0]] and told[0][1] == told[1][1]
    assert told[0][0][0][1] is E.ApicAccess and told[1][0][0][1] is E.EptViolation


def test_the_edges_of_the_page_and_other_kinds() -> None:
    made = lab()
    state = made.put("8903" "f4")
    for at, kind in ((APIC - 4, E.EptViolation), (APIC + 0x1000, E.EptViolation), (APIC + 0xFFC, E.ApicAccess), (APIC, E.ApicAccess)):
        state.regs[3] = at
        made.vcpu.set_state(state)
        assert made.run() == E.Mmio(at, 4, True, 0) and type(made.vcpu.raw) is kind
    state.regs[3] = APIC + 0xFFE  # over its end
    made.vcpu.set_state(state)
    assert made.run() == E.Mmio(APIC + 0xFFE, 2, True, 0) and made.run() == E.Mmio(APIC + 0x1000, 2, True, 0)
    assert made.vcpu.apic.raw(APIC + 8, None, "r") == E.ApicAccess(8, "r", 15) and made.vcpu.apic.raw(APIC + 8, 8, "w", 0x8000_0020) == E.ApicAccess(8, "w", 3)
    assert made.vcpu.apic.raw(APIC + 8, 8, "x") == E.ApicAccess(8, "x", 2)


def test_breakpoints_see_it() -> None:
    made = lab()
    state = made.put("8903" "f4")
    state.regs[3], state.dr[0], state.dr7 = APIC, APIC, 0xD_0001  # writes of 4 bytes there
    made.vcpu.set_state(state)
    assert made.run() == E.Mmio(APIC, 4, True, 0)
    assert isinstance(made.run(), E.TripleFault)  # #DB behind it, and no table to take it
