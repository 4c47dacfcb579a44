"""The native engine says what the reference interpreter says: form by form, and where programs change themselves, fault or run out of budget."""

from __future__ import annotations

import pytest
from tests.oracle.cosim import chosen_forms
from tests.oracle.native import Pair, sweep

from tanken.engine.memory import EXEC, READ, WRITE
from tanken.engine.native.engine import Native
from tanken.engine.native.space import LIMIT, DirectSpace
from tanken.isa.architecture import Budget, Debug, Exit, MemoryMiss
from tanken.isa.x86.state import State
from tanken.vkernel import engines

pytestmark = pytest.mark.skipif(not engines.possible(), reason="the native engine needs Linux on x86-64, with Numba")
CODE, DATA = 0x40_0000, 0x60_0000


def machine(code: str, rights: int = READ | EXEC) -> Native:
    """A fresh engine with `code` (hexadecimal) at CODE, breakpoints behind it, and two pages of data."""
    memory = DirectSpace()
    memory.map(CODE, 4096, rights)
    memory.write(CODE, bytes.fromhex(code).ljust(4096, b"\xcc"))
    memory.map(DATA, 8192, READ | WRITE)
    state = State()
    state.rip, state.rsp = CODE, DATA + 4096
    return Native(state, memory, *engines.parts())


def ended(exit: Exit) -> bool:
    return exit == Debug("int3")


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair()


@pytest.mark.parametrize("number", range(8))
def test_forms(pair: Pair, number: int) -> None:
    result = sweep(pair, chosen_forms()[number * 5 :: 40], 1, 2, 7)
    assert not result["found"]
    assert result["counts"]["states"] > 20


def test_most_cases_ran_in_native_code(pair: Pair) -> None:
    sweep(pair, chosen_forms()[::60], 1, 1, 3)
    assert pair.natively > 10


def test_budget_is_exact() -> None:
    engine = machine("48 ff c0 eb fb")  # inc rax; jmp
    for budget in (1, 2, 3, 47, 48, 1000, 100_001):
        before = engine.executed
        assert engine.run(budget) == Budget(budget)
        assert engine.executed == before + budget
    total = engine.executed
    assert engine.state.rax == (total + 1) // 2


def test_repeated_copy_counts_its_elements() -> None:
    engine = machine("f3 a4")
    engine.state.regs[1], engine.state.regs[6], engine.state.regs[7] = 100, DATA, DATA + 1000
    engine.memory.write(DATA, bytes(range(100)))
    assert engine.run(40) == Budget(40)
    assert (engine.state.regs[1], engine.state.regs[6], engine.state.regs[7]) == (60, DATA + 40, DATA + 1040)
    assert ended(engine.run(1000))
    assert engine.executed == 101
    assert engine.memory.read(DATA + 1000, 100) == bytes(range(100))


def test_fault_in_a_repeated_copy_is_precise() -> None:
    engine = machine("f3 48 ab")  # rep stosq across the end of the data
    engine.state.regs[1], engine.state.regs[7] = 100, DATA + 8192 - 80
    exit = engine.run(1000)
    assert exit == MemoryMiss(DATA + 8192, 8, "w")
    assert (engine.state.regs[1], engine.state.regs[7], engine.state.rip, engine.executed) == (90, DATA + 8192, CODE, 10)


def test_store_across_the_end_leaves_nothing_written() -> None:
    engine = machine("48 01 d8 48 89 07")  # add rax, rbx; mov [rdi], rax
    engine.state.regs[0], engine.state.regs[3], engine.state.regs[7] = (1 << 64) - 1, 1, DATA + 8188
    assert isinstance(engine.run(100), MemoryMiss)
    assert engine.memory.read(DATA + 8188, 4) == bytes(4)
    state = engine.state
    assert (state.rip, state.rax, state.cf, state.zf, state.pf, state.af) == (CODE + 3, 0, 1, 1, 1, 1)


@pytest.mark.parametrize("address", [LIMIT, LIMIT - 4, 1 << 46, (1 << 64) - 8, 0x7FFF_0000_0000, 8])
def test_no_address_reaches_the_emulator(address: int) -> None:
    for code in ("48 8b 07", "48 89 07", "f3 a4", "ff 37", "f2 0f 10 07"):
        engine = machine(code)
        engine.state.regs[7], engine.state.regs[6], engine.state.regs[1] = address, DATA, 64
        assert isinstance(engine.run(100), MemoryMiss)
        assert engine.state.rip == CODE


def test_code_that_changes_its_own_block() -> None:
    # mov byte [rip+1], 0x7f: the immediate of the next instruction; mov al, 1
    engine = machine("c6 05 01 00 00 00 7f b0 01", READ | WRITE | EXEC)
    assert ended(engine.run(100))
    assert engine.state.rax & 255 == 0x7F


def test_code_changed_by_a_loop_and_by_the_kernel() -> None:
    # again: mov al, 0; add byte [rip-7], 3; dec ecx; jnz again
    engine = machine("b0 00 80 05 f8 ff ff ff 03 ff c9 75 f3", READ | WRITE | EXEC)
    engine.state.regs[1] = 5
    assert ended(engine.run(1000))
    assert engine.state.rax & 255 == 12
    engine.memory.write(CODE, bytes.fromhex("b0 63 cc"))
    engine.state.rip = CODE
    assert ended(engine.run(1000))
    assert engine.state.rax & 255 == 0x63


def test_flags_are_there_where_a_branch_leaves_a_block_in_its_middle() -> None:
    # cmp edx, 1; jbe L; test rsp, rsp; int3; L: jb M; mov al, 7; M:
    for edx, al in ((0, 0), (1, 7), (2, 0)):
        engine = machine("83 fa 01 76 04 48 85 e4 cc 72 02 b0 07")
        engine.state.regs[2] = edx
        assert ended(engine.run(100))
        assert engine.state.rax & 255 == al


def test_unmapped_code_is_gone() -> None:
    engine = machine("eb fe")
    assert isinstance(engine.run(10), Budget)
    engine.memory.unmap(CODE, 4096)
    assert engine.run(10) == MemoryMiss(CODE, 1, "x")


def test_a_sweep_makes_what_a_run_needs() -> None:
    code = "d9 e8 d9 eb de c1 dd 1f c5 fb 59 c1 48 0f c7 0f"  # fld1; fldpi; faddp; fstp [rdi]; vmulsd; cmpxchg16b [rdi]
    engine = machine(code)
    engine.state.regs[7] = DATA
    engine.sweep(CODE, CODE + len(bytes.fromhex(code)))
    made = engine.maker.made
    assert ended(engine.run(100))
    assert (engine.maker.made, engine.interpreted) == (made, 1)  # the breakpoint
    assert engine.state.fpu_top == engine.state.fpu_valid == 0


def test_x87_leaves_stack_faults_to_the_reference() -> None:
    engine = machine("d9 e8 de c1 d9 c9")  # fld1; faddp: the second is empty; fxch
    assert ended(engine.run(100))
    assert engine.state.fpu_status & 0x41 == 0x41 and engine.interpreted == 3


def test_constants_and_many_registers_need_no_interpreter() -> None:
    # 128-bit idiv; vpinsrb; repe cmpsb: constants of LLVM's own, and more registers than there are
    engine = machine("48 f7 fb c4 e3 71 20 c2 05 f3 a6")
    engine.state.regs[0], engine.state.regs[3], engine.state.regs[1] = 1000, 7, 3
    engine.state.regs[6], engine.state.regs[7] = DATA, DATA + 16
    assert ended(engine.run(100))
    assert (engine.state.regs[0], engine.state.regs[1], engine.interpreted) == (142, 0, 1)
