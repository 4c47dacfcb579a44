"""The vcpu contract on every vcpu there is: exits and their answers, state, interrupts, kicks, instructions done for KVM."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tanken.board.clock import Clock
from tanken.board.memory import Memory, Region
from tanken.hypervisor import exits as E
from tanken.hypervisor.coalescing import ROOM, Zones
from tanken.hypervisor.kvm.probe import runs_natively
from tanken.hypervisor.kvm.system import Kvm, Vm, missing
from tanken.hypervisor.kvm.vcpu import KvmVcpu
from tanken.hypervisor.own import OwnVcpu, native_is_possible
from tanken.isa.architecture import Budget, Halt
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.state import SystemState
from tanken.machine.boot import place

SECOND = 1_000_000_000
needs_kvm = pytest.mark.skipif(missing() is not None, reason=str(missing()))
KINDS = [pytest.param("kvm", marks=needs_kvm), "own"]
CODE = 0x10_0000


class Lab:
    """A vcpu on 2 MiB of memory; above it, nothing."""

    def __init__(self, kind: str) -> None:
        self.memory = Memory()
        self.memory.add(Region("ram", 0, 0x20_0000))
        self.vm = Vm(Kvm(), self.memory) if kind == "kvm" else None
        self.vcpu: Any = KvmVcpu(self.vm) if self.vm else OwnVcpu(self.memory, Clock())

    def put(self, code: str, mode: int = 64) -> SystemState:
        """Code in hexadecimal, about to run."""
        self.memory.write(CODE if mode != 16 else 0x1000, bytes.fromhex(code))
        if mode == 16:
            state = SystemState()
            state.set_segment(S.CS, 0, 0, 0xFFFF, S.REAL_CODE)
            state.rip = 0x1000
        else:
            state = place.long_mode(self.memory, CODE) if mode == 64 else place.protected_mode(self.memory, CODE)
        state.regs[4] = 0x3_0000
        self.vcpu.set_state(state)
        return state

    def run(self) -> Any:
        """The next exit that is not the host's."""
        while isinstance(exit := self.vcpu.run(2 * SECOND), E.Kicked | Budget):
            pass
        return exit

    def exits(self, answer: int = 0) -> list[Any]:
        """Until HLT, reads answered."""
        seen = []
        while not isinstance(exit := self.run(), Halt):
            seen.append(exit)
            assert len(seen) < 100 and not isinstance(exit, E.TripleFault | E.EmulationFailure), seen
            if not getattr(exit, "write", True):
                self.vcpu.answer(answer)
        return seen


@pytest.fixture(params=KINDS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    made = Lab(request.param)
    yield made
    made.vcpu.close()


def test_ports_of_all_sizes_and_strings(lab: Lab) -> None:
    lab.put("66baf803" "b041ee" "66ed" "ef" "e4 70" "f4")  # mov dx,3f8; out dx,al; in ax,dx; out dx,eax; in al,70
    seen = lab.exits(0x1234_5678)
    assert seen == [E.PortIo(0x3F8, 1, True, 0x41), E.PortIo(0x3F8, 2, False), E.PortIo(0x3F8, 4, True, 0x5678), E.PortIo(0x70, 1, False)]
    assert lab.vcpu.get_state().regs[0] == 0x5678
    lab.memory.write(0x2_0000, b"abcdef")
    lab.put("be00000200" "66baf803" "b906000000" "f36e" "bf00100200" "b903000000" "f3666d" "f4")  # rep outsb of 6, rep insw of 3
    assert lab.exits(0xBEEF) == [E.PortIo(0x3F8, 1, True, byte) for byte in b"abcdef"] + [E.PortIo(0x3F8, 2, False)] * 3
    assert lab.memory.read(0x2_1000, 8) == b"\xef\xbe" * 3 + b"\0\0"


@pytest.mark.parametrize("mode", [16, 32, 64])
def test_memory_mapped_reads_and_writes(lab: Lab, mode: int) -> None:
    code = {16: "66b8efbeadde", 32: "b8efbeadde", 64: "b8efbeadde"}[mode]
    if mode == 16:  # in real mode a segment ends at 64 KiB: only the ports are there
        lab.put("ba7856" "ef" "f4", 16)
        assert lab.exits() == [E.PortIo(0x5678, 2, True, 0)]
        return
    lab.put(code + "bb00002000" "8903" "8b0b" "668903" "0fb713" "f00103" "f4", mode)  # mov [ebx],eax; mov ecx,[ebx]; mov [ebx],ax; movzx edx; lock add [ebx],eax
    at = 0x20_0000
    assert lab.exits(0x0102_0304) == [
        E.Mmio(at, 4, True, 0xDEAD_BEEF), E.Mmio(at, 4, False), E.Mmio(at, 2, True, 0xBEEF), E.Mmio(at, 2, False),
        E.Mmio(at, 4, False), E.Mmio(at, 4, True, 0x0102_0304 + 0xDEAD_BEEF & 0xFFFF_FFFF),
    ]  # fmt: skip
    state = lab.vcpu.get_state()
    assert (state.regs[1], state.regs[2]) == (0x0102_0304, 0x0304)


def test_a_state_comes_back_as_it_was_put(lab: Lab) -> None:
    state = lab.put("f4")
    state.regs = [n * 0x0101_0101_0101_0101 for n in range(16)]
    state.rflags = 0x8D7
    state.xmm = [n << 100 | n for n in range(16)]
    state.cr2, state.lstar, state.kernel_gs, state.sfmask, state.star = 0x1234, 0xFFFF_8000_0000_1000, 0x5555, 0x47700, 0x0023_0010_0000_0000
    state.dr[0] = 0x1000
    state.mxcsr = 0x1FA0
    state.st[3], state.fpu_top, state.fpu_valid = 0x4000 << 64 | 1 << 63, 3, 8
    lab.vcpu.set_state(state)
    back = lab.vcpu.get_state()
    names = [name for name in SystemState.ALL if name not in ("entropy", "msrs", "tsc_offset", "apic_base", "window", "shadow", "tsc_aux", "fpu_cs", "fpu_ds")]
    differing = {name: (getattr(state, name), getattr(back, name)) for name in names if list_of(state, name) != list_of(back, name)}
    assert not differing


def list_of(state: SystemState, name: str) -> object:
    value = getattr(state, name)
    return list(value) if hasattr(value, "__len__") else value


def test_the_state_is_complete_in_between(lab: Lab) -> None:
    lab.put("bb00002000" "8b03" "89c1" "f4")
    assert lab.run() == E.Mmio(0x20_0000, 4, False)
    before = lab.vcpu.get_state()
    assert before.regs[0] != 0x77 and before.rip == CODE + 5  # not answered yet: it has not happened
    lab.vcpu.answer(0x77)
    assert lab.vcpu.get_state().regs[0] == 0x77  # flushed
    assert isinstance(lab.run(), Halt) and lab.vcpu.get_state().regs[1] == 0x77


def test_looking_at_the_state_loses_no_exit(lab: Lab) -> None:
    state = lab.put("bb00002000" "0f1003" "0f114310" "f4")  # movups xmm0,[rbx]; movups [rbx+16],xmm0: two pieces each
    state.cr4 |= S.OSFXSR
    lab.vcpu.set_state(state)
    at, seen = 0x20_0000, []
    while not isinstance(exit := lab.run(), Halt):
        lab.vcpu.get_state()
        seen.append(exit)
        if not getattr(exit, "write", True):
            lab.vcpu.answer(len(seen))
        lab.vcpu.get_state()
        lab.vcpu.get_state()
        assert len(seen) < 9
    assert seen[:4] == [E.Mmio(at, 8, False), E.Mmio(at + 8, 8, False), E.Mmio(at + 16, 8, True, 1), E.Mmio(at + 24, 8, True, 2)]
    assert lab.vcpu.get_state().xmm[0] == 2 << 64 | 1


def test_what_the_machine_sets_at_an_exit_stays(lab: Lab) -> None:
    lab.put("bb00002000" "8903" "f4")  # mov [rbx],eax: a device that sets the task priority, as the local APIC does
    assert isinstance(lab.run(), E.Mmio)
    lab.vcpu.cr8 = 5
    assert isinstance(lab.run(), Halt) and lab.vcpu.cr8 == 5 and lab.vcpu.get_state().cr8 == 5


@pytest.mark.parametrize("native", [False, True])
def test_an_instruction_that_often_touches_devices_stays_what_it_is(native: bool) -> None:
    if native and not native_is_possible():
        pytest.skip("no native code here")
    lab = Lab("own")
    lab.vcpu = OwnVcpu(lab.memory, Clock(), native)
    lab.put("bb00002000" "b920000000" "488903" "488b13" "4801c2" "48891425 00001100" "ffc9" "75eb" "f4")  # 32 times: a store, a load, and a store to memory
    lab.vcpu.state.regs[0] = 7
    for _ in range(32):
        assert lab.run() == E.Mmio(0x20_0000, 8, True, 7)
        assert lab.vcpu.raw == E.EptViolation(0x20_0000, 0x20_0000, "w")
        assert lab.run() == E.Mmio(0x20_0000, 8, False)
        assert lab.vcpu.raw == E.EptViolation(0x20_0000, 0x20_0000, "r")
        lab.vcpu.answer(9)
    assert isinstance(lab.run(), Halt) and lab.memory.read(0x11_0000, 1) == b"\x10"
    assert lab.vcpu.executed == 2 + 32 * 6 + 1 and lab.vcpu.assisted["mov"] == 64
    lab.put("bb00001200" "488903" "488b13" "f4")  # the same instructions, at other addresses, touch memory
    assert isinstance(lab.run(), Halt)
    lab.put("bb00002000" "b902000000" "488903" "488b13" "bb00001200" "ffc9" "75f1" "f4")  # and the same at the same address touch a device, then memory
    assert isinstance(lab.run(), E.Mmio) and isinstance(lab.run(), E.Mmio) and isinstance(lab.run(), Halt)


def interrupts(lab: Lab) -> None:
    """Long mode with one handler for vector 40h: inc ecx; iretq."""
    lab.memory.write(0x9000 + 0x40 * 16, (0x10_0200 | 0x10 << 16).to_bytes(4, "little")[:2] + b"\x10\x00\x00\x8e" + b"\x10\x00" + bytes(8))
    lab.memory.write(0x10_0200, bytes.fromhex("ffc148cf"))
    lab.memory.write(0xA000, (0xFFF).to_bytes(2, "little") + (0x9000).to_bytes(8, "little"))


def test_interrupts_wait_for_their_window(lab: Lab) -> None:
    interrupts(lab)
    lab.put("0f011c25 00a00000" "31c9" "fa" "e610" "fb" "90" "e611" "ebfe")  # lidt [a000]; xor ecx,ecx; cli; out 10; sti; nop; out 11; jmp .
    assert lab.run() == E.PortIo(0x10, 1, True, 0) and not lab.vcpu.can_inject()
    lab.vcpu.request_window(True)
    exit = lab.run()
    if lab.vcpu.kind == "own":  # exactly behind the instruction that STI shadows; a KVM that emulates looks less often
        assert isinstance(exit, E.InterruptWindow) and lab.vcpu.get_state().rip == CODE + 15
    while not isinstance(exit, E.InterruptWindow):
        exit = lab.run()
    assert lab.vcpu.can_inject()
    lab.vcpu.inject(0x40)
    lab.vcpu.request_window(False)
    lab.vcpu.run(50_000_000)
    state = lab.vcpu.get_state()
    assert state.regs[1] == 1 and state.system_flags & S.IF


def test_time_and_kicks_end_a_loop(lab: Lab) -> None:
    lab.put("ebfe")
    began = time.perf_counter()
    assert isinstance(lab.vcpu.run(30_000_000), E.Kicked | Budget)
    assert time.perf_counter() - began < 5
    threading.Timer(0.05, lab.vcpu.kick).start()
    assert isinstance(lab.vcpu.run(), E.Kicked)
    lab.vcpu.kick()
    assert isinstance(lab.vcpu.run(), E.Kicked)  # a kick before the entry is not lost


def test_a_triple_fault_is_an_exit(lab: Lab) -> None:
    lab.put("0f0b")
    assert isinstance(lab.run(), E.TripleFault)


def test_msrs_that_nobody_keeps(lab: Lab) -> None:
    lab.put("b9efbe0000" "0f32" "0f30" "f4")
    assert lab.run() == E.MsrRead(0xBEEF)
    lab.vcpu.answer(0x1122_3344_5566_7788)
    assert lab.run() == E.MsrWrite(0xBEEF, 0x1122_3344_5566_7788)
    lab.vcpu.answer(0)
    assert isinstance(lab.run(), Halt)
    lab.put("b9efbe0000" "0f32" "f4")
    assert lab.run() == E.MsrRead(0xBEEF)
    lab.vcpu.answer(None)
    assert isinstance(lab.run(), E.TripleFault)  # #GP, and no table to take it


@pytest.mark.parametrize("after", range(4))
def test_a_window_opens_behind_the_instruction_that_sti_shadows(after: int) -> None:
    """Natively too, whatever stands there."""
    if not native_is_possible():
        pytest.skip("no native code here")
    found = []
    for native in (False, True):
        lab = Lab("own")
        lab.vcpu = OwnVcpu(lab.memory, Clock(), native)
        lab.put("fa" + "90" * after + "e610" "fb" "ffc0" "ffc0" "ffc0" "ebf8")
        assert lab.run() == E.PortIo(0x10, 1, True, 0)
        lab.vcpu.request_window(True)
        assert isinstance(lab.run(), E.InterruptWindow)
        found.append((lab.vcpu.executed, lab.vcpu.get_state().rip))
    assert found[0] == found[1] == (after + 4, CODE + after + 6)


@needs_kvm
def test_instructions_that_kvm_does_not_know_are_done_for_it() -> None:
    if runs_natively():
        pytest.skip("this KVM runs privileged code natively: there is nothing to help with")
    lab = Lab("kvm")
    state = lab.put("f30fb8c3" "bf00100200" "f0480fc70f" "0f01f9" "660ffec1" "f4")  # popcnt eax,ebx; mov edi; lock cmpxchg16b [rdi]; rdtscp; paddd
    state.cr4 |= S.OSFXSR
    state.regs[3] = 0xFF
    state.regs[2] = 0
    state.xmm[0], state.xmm[1] = 1 << 32 | 5, 7 << 32 | 6
    lab.vcpu.set_state(state)
    lab.memory.write(0x2_1000, bytes.fromhex("08") + bytes(15))
    assert lab.exits() == []
    assert lab.memory.read(0x2_1000, 16) == (0xFF).to_bytes(8, "little") + state.regs[1].to_bytes(8, "little")
    assert set(lab.vcpu.assisted) == {"popcnt", "cmpxchg16b", "rdtscp", "paddd"} and lab.vcpu.get_state().xmm[0] == 8 << 32 | 11
    interrupts(lab)
    lab.memory.write(0x9000 + 3 * 16, bytes.fromhex("000210000000008e") [:0] + bytes.fromhex("00021000008e1000") + bytes(8))
    lab.put("0f011c25 00a00000" "31c9" "cc" "f4")  # int3 through a gate
    assert lab.exits() == [] and lab.vcpu.get_state().regs[1] == 1
    lab.put("bb00002000" "f30fb803" "f4")  # popcnt eax,[device]
    assert lab.exits(0xF0F) == [E.Mmio(0x20_0000, 4, False)] and lab.vcpu.get_state().regs[0] == 8
    lab.vcpu.close()


def test_an_instruction_that_nobody_knows_is_said_so(lab: Lab) -> None:
    lab.put("62f17c481003" "f4")  # vmovups zmm0, [rbx]
    exit = lab.run()
    if lab.vcpu.kind == "own":
        assert isinstance(exit, E.TripleFault)  # #UD, as on a processor without it, and no table to take it
    elif not runs_natively():
        assert isinstance(exit, E.EmulationFailure) and exit.rip == CODE and exit.code == bytes.fromhex("62f17c481003") and exit.why


@pytest.mark.parametrize("kind", KINDS)
def test_four_hundred_writes_are_at_most_three_exits(kind: str) -> None:
    lab = Lab(kind)
    for zone in ((0x20_1000, 8, False), (0x80, 1, True)):
        if lab.vm:
            lab.vm.coalesce(*zone)
        else:
            lab.vcpu.zones.add(*zone)
    lab.put("bb00102000" "b990010000" "890b" "e680" "ffc9" "75f8" "f4")  # 400 times: mov [ebx],ecx; out 80h
    told, exits = [], 0
    while True:
        exit = lab.vcpu.run(20 * SECOND)
        exits += 1
        told += lab.vcpu.drain()
        if isinstance(exit, Halt):
            break
        if isinstance(exit, E.Mmio | E.PortIo):
            told.append(exit)
    assert [write.data for write in told if isinstance(write, E.Mmio)] == list(range(400, 0, -1))
    assert [type(write) for write in told[:4]] == [E.Mmio, E.PortIo] * 2 and len(told) == 800
    assert exits <= 1 + -(-800 // ROOM)
    lab.put("bb00102000" "b990010000" "890b" "ffc9" "75fa" "f4")
    exits = 0
    while True:
        exits += 1
        ended = isinstance(lab.vcpu.run(20 * SECOND), Halt)
        list(lab.vcpu.drain())
        if ended:
            break
    assert exits <= 3
    lab.vcpu.close()


def test_a_full_ring_takes_no_more() -> None:
    zones = Zones()
    zones.add(0x1000, 4, False)
    assert not zones.take(E.Mmio(0x1002, 4, True, 1)) and not zones.take(E.PortIo(0x1000, 1, True, 1))
    assert all(zones.take(E.Mmio(0x1000, 4, True, n)) for n in range(ROOM)) and not zones.take(E.Mmio(0x1000, 4, True, 0))
    assert [write.data for write in zones.drain()] == list(range(ROOM)) and not zones.is_full


def test_every_exit_has_its_row() -> None:
    rows = E.table()
    named = {name for name in vars(E) if isinstance(vars(E)[name], type) and issubclass(vars(E)[name], E.Record) and name != "Record"}
    assert {row[0] for row in rows} == named | {"Halt"}
    assert all(row[2] == "no" for row in rows if row[1] == "raw") and all(len(row) == 6 and row[5] for row in rows)


def test_an_event_whose_table_is_a_device() -> None:
    """VT-x tells which event was on its way (IDT-vectoring information); here it ends the guest, and the message says so."""
    lab = Lab("own")
    state = lab.put("0f 0b")  # ud2
    state.idtr_base, state.idtr_limit = 0x10_0000_0000, 0xFFF
    state.cr0 &= ~S.PG
    state.efer &= ~S.LMA
    state.rights[S.CS] = 0xC09B
    lab.vcpu.set_state(state)
    exit = lab.run()
    assert isinstance(exit, E.EmulationFailure) and "vector 0x6 cannot be delivered" in exit.why
    assert lab.vcpu.raw == E.EptViolation(0x10_0000_0030, 0x10_0000_0030, "r", vectoring=0x8000_0306)
