"""Instructions that the usual host of the oracle lacks, by vectors worked out by hand, and what a user program may not do.

Intel SDM volume 2 and Intel Architecture Instruction Set Extensions (RAO-INT, CMPccXADD, AVX-VNNI); AMD APM volume 3 (TBM); FIPS 197.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.oracle.encodings import encode

from tanken.engine.integer import Faulted, IntegerMachine
from tanken.engine.memory import READABLE, WRITE, AddressSpace
from tanken.engine.recorder import Recorder, Unrecordable
from tanken.isa.architecture import Exit
from tanken.isa.x86 import cpuid, rows
from tanken.isa.x86.galois import SBOX
from tanken.isa.x86.inst import decode
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.semantics import find
from tanken.isa.x86.state import RIP, State

AT, DATA = 0x1000, 0x2000


def run(code: str, memory: dict[int, int] | None = None, **values: int) -> tuple[State, AddressSpace, Exit | None]:
    """One instruction; registers by name, `xmm3` and `upper3` too; memory by address in words of 8 bytes."""
    state, space = State(), AddressSpace()
    space.map(DATA, 0x1000, READABLE | WRITE)
    state.rip = AT
    for name, value in values.items():
        field = name.rstrip("0123456789")
        if field in ("xmm", "upper"):
            getattr(state, field)[int(name[len(field) :])] = value
        else:
            setattr(state, name, value)
    for address, word in (memory or {}).items():
        space.store(address, 8, word)
    processor: Any = Processor()
    exit = IntegerMachine(state, space, RIP, lambda: 1234).step(processor, decode(bytes.fromhex(code), AT, 64))
    return state, space, exit


@pytest.mark.parametrize(
    ("code", "before", "after", "word"),
    [
        ("480f38fc07", {"rax": 5}, {"rax": 5, "zf": 0}, 7 + 5),  # aadd
        ("66480f38fc07", {"rax": 5}, {}, 7 & 5),  # aand
        ("f2480f38fc07", {"rax": 8}, {}, 7 | 8),  # aor
        ("f3480f38fc07", {"rax": 5}, {}, 7 ^ 5),  # axor
        ("480f38f907", {"rax": 0x1122_3344_5566_7788}, {}, 0x1122_3344_5566_7788),  # movdiri
        ("c4e2f1e407", {"rax": 7, "rcx": 100}, {"rax": 7, "zf": 1, "cf": 0}, 107),  # cmpzxadd: 7 = 7
        ("c4e2f1e407", {"rax": 9, "rcx": 100}, {"rax": 7, "zf": 0, "cf": 1}, 7),  # 7 < 9
        ("c4e2f1e207", {"rax": 9, "rcx": 100}, {"rax": 7, "cf": 1}, 107),  # cmpbxadd
        ("c4e2f1e307", {"rax": 9, "rcx": 100}, {"rax": 7, "cf": 1}, 7),  # cmpnbxadd
    ],
)
def test_memory(code: str, before: dict[str, int], after: dict[str, int], word: int) -> None:
    state, space, _ = run(code, {DATA + 64: 7}, rdi=DATA + 64, **before)
    assert {name: getattr(state, name) for name in after} == after
    assert space.load(DATA + 64, 8) == word


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        ("8fe978 01 cb", {"rbx": 0b0111}, {"rax": 0, "cf": 0}),  # blcfill eax, ebx
        ("8fe978 02 f3", {"rbx": 0b0111}, {"rax": 0xFFFF_FFF7}),  # blci
        ("8fe978 01 eb", {"rbx": 0b0111}, {"rax": 0b1000}),  # blcic
        ("8fe978 02 cb", {"rbx": 0b0111}, {"rax": 0b1111}),  # blcmsk
        ("8fe978 01 db", {"rbx": 0b0111}, {"rax": 0b1111}),  # blcs
        ("8fe978 01 d3", {"rbx": 0b1000}, {"rax": 0b1111}),  # blsfill
        ("8fe978 01 e3", {"rbx": 0b1000}, {"rax": 0b0111}),  # tzmsk
    ],
)
def test_tbm(code: str, before: dict[str, int], after: dict[str, int]) -> None:
    state, _, _ = run(code.replace(" ", ""), **before)
    assert {name: getattr(state, name) for name in after} == after


def test_bextr_with_immediate() -> None:
    state, _, _ = run("8fea7810c3" + "0408 0000".replace(" ", ""), rbx=0xABCD)
    assert state.rax == 0xBC


def test_random_numbers_can_be_repeated() -> None:
    first, _, _ = run("480fc7f0", entropy=1)
    again, _, _ = run("480fc7f0", entropy=1)
    other, _, _ = run("480fc7f8", entropy=2)
    assert first.rax == again.rax != other.rax
    assert first.cf == 1 and first.entropy != 1
    assert run("0fc7f0", rax=(1 << 64) - 1)[0].rax >> 32 == 0


def test_movdir64b() -> None:
    words = {DATA + 8 * n: 0x0101_0101_0101_0101 * n for n in range(8)}
    _, space, _ = run("660f38f80f", words, rdi=DATA, rcx=DATA + 0x100)
    assert [space.load(DATA + 0x100 + 8 * n, 8) for n in range(8)] == list(words.values())
    with pytest.raises(Faulted) as caught:
        run("660f38f80f", words, rdi=DATA, rcx=DATA + 0x108)
    assert caught.value.exit.vector == 13


def test_waits_end_at_once() -> None:
    state, _, _ = run("660faef3", rbx=1, cf=1, zf=1)  # tpause ebx
    assert (state.cf, state.zf, state.rip) == (0, 0, AT + 4)
    with pytest.raises(Faulted):
        run("f20faef3", rbx=2)  # umwait: reserved bits


def test_gfni_gives_the_sbox_of_aes() -> None:
    matrix = 0xF1E3C78F1F3E7CF8
    values = bytes(range(0x50, 0x60))
    state, _, _ = run("660f3acfc163", xmm0=int.from_bytes(values, "little"), xmm1=matrix << 64 | matrix)
    assert state.xmm[0].to_bytes(16, "little") == bytes(SBOX[value] for value in values)
    assert SBOX[:4] == bytes.fromhex("637c777b")  # FIPS 197, figure 7
    product, _, _ = run("660f38cfc1", xmm0=0x57, xmm1=0x83)
    assert product.xmm[0] == 0xC1  # FIPS 197, 4.2


def test_vnni() -> None:
    bytes_u, bytes_s = 0xFF02_0304, 0xFE01_0203  # 255 * -2 + 2 * 1 + 3 * 2 + 4 * 3 = -490
    state, _, _ = run("c4e26950cb", xmm1=1000, xmm2=bytes_u, xmm3=bytes_s)
    assert state.xmm[1] == 510
    state, _, _ = run("c4e26953cb", xmm1=0x7FFF_FFFF, xmm2=2, xmm3=2)  # vpdpwssds
    assert state.xmm[1] == 0x7FFF_FFFF


@pytest.mark.parametrize(
    ("code", "vector", "words"),
    [
        ("0f01fd", 6, "RDPRU, which CPUID does not announce"),
        ("f20f38f807", 6, "ENQCMD, which CPUID does not announce"),
        ("f30f01ee", 6, "UINTR, which CPUID does not announce"),
        ("f20f01e8", 6, "TSXLDTRK, which CPUID does not announce"),
        ("0f38f607", 6, "CET_SS, which CPUID does not announce"),
        ("c4e36969ca30", 6, "FMA4, which CPUID does not announce"),
        ("62f1744858c2", 6, "AVX512F, which CPUID does not announce (opcodes.map:"),
        ("0f0100", 13, "privilege level 0"),  # sgdt: UMIP
        ("0f00c8", 13, "privilege level 0"),  # str
        ("f4", 13, "privilege level 0"),
        ("0faa", 6, "rsm"),
    ],
)
def test_what_is_not_there_says_why(code: str, vector: int, words: str) -> None:
    with pytest.raises(Faulted) as caught:
        run(code, rax=DATA, rdi=DATA)
    assert caught.value.exit.vector == vector
    assert words in caught.value.exit.message


def test_cpuid_announces_state_of_the_vector_registers() -> None:
    assert cpuid.answer(0xD, 0) == (7, 832, 832, 0)
    assert cpuid.answer(0xD, 2) == (256, 576, 0, 0)
    features = cpuid.answer(1, 0)[2]
    assert features >> 26 & 3 == 3 and features >> 28 & 1 == 1  # XSAVE, OSXSAVE, AVX
    assert run("0f01d0", rcx=0)[0].rax == 7  # xgetbv


def test_semantics_never_look_into_values() -> None:
    """Each form can be recorded without knowing any guest value, or says that it cannot."""
    recorded = 0
    for form in rows.forms():
        inst = encode(form, random.Random(form.number)) if not form.row.section.startswith("evex") else None
        if inst is None or find(inst) is None:
            continue
        processor: Any = Processor()
        try:
            Recorder().record(processor, inst)
            recorded += 1
        except Unrecordable:
            pass
    assert recorded > 1100
