"""Loops as regions say what the reference interpreter says, wherever they are stopped: by a budget, a fault, a change of their code.

Programs in AT&T assembler, put together by binutils' as.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tanken.engine.memory import EXEC, READ, WRITE, AddressSpace
from tanken.engine.native import engine as native
from tanken.engine.native import hot
from tanken.engine.native.engine import Native
from tanken.engine.native.space import DirectSpace
from tanken.engine.reference import Interpreter
from tanken.isa.architecture import Budget, Debug, MemoryMiss
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.state import State
from tanken.vkernel import engines

pytestmark = pytest.mark.skipif(not engines.possible() or shutil.which("as") is None, reason="needs Linux on x86-64, Numba, and binutils")
CODE, DATA, SIZE = 0x40_0000, 0x60_0000, 8192

LOOPS = {
    "store": "1: mov %eax, %esi; add %edi, %eax; movb $1, 0x600000(%rsi); cmp $0x1fff, %eax; jbe 1b; xor %eax, %eax; jmp 1b",
    "flags": """1: add $3, %rax; rol $5, %rax; adc %rbx, %rax; setc (%r8); inc %ecx; cmovs %rax, %rdx; dec %esi; sbb %ebx, %ebx
        shl $2, %edx; rcl $1, %edx; mov %edx, 8(%r8); imul %rcx, %rdi; jo 2f; lea 1(%rdi), %rdi; 2: neg %r9w; bt %ecx, %eax; jmp 1b""",
    "flags from before": "1: mov (%r8), %ecx; jc 2f; stc; jmp 3f; 2: clc; 3: mov %ecx, 4(%r8); jmp 1b",
    "parts": "1: movb %ah, %bl; add %bh, %al; mov %ax, 4(%r8); movsbl %cl, %edx; xor %dl, %ah; inc %cx; movzwl 4(%r8), %esi; add %si, %bx; jmp 1b",
    "float": """1: addsd %xmm1, %xmm0; mulpd %xmm2, %xmm0; movsd %xmm0, (%r8); sqrtsd %xmm0, %xmm3; ucomisd %xmm1, %xmm3; jp 2f; jb 2f
        subsd %xmm3, %xmm0; 2: cvttsd2si %xmm0, %rax; movhpd 16(%r8), %xmm2; paddd %xmm1, %xmm4; pxor %xmm4, %xmm5; movups %xmm5, 32(%r8); jmp 1b""",
    "wide": "1: vpaddd (%r8), %ymm1, %ymm2; vpxor %ymm2, %ymm1, %ymm1; vmovdqu %ymm1, 64(%r8); vpshufd $0x1b, %ymm1, %ymm3; vmovdqu %xmm3, (%r8); inc %eax; jmp 1b",
    "division": "1: mov %ecx, %eax; xor %edx, %edx; div %ebx; add %edx, %esi; inc %rcx; mov %rsi, (%r8); mov %rcx, %rax; cqo; idiv %rbx; jmp 1b",
    "count": "1: lea 2(%rax), %rax; jrcxz 2f; loop 1b; 2: mov $20, %cl; call 3f; jmp 1b; 3: add %rcx, %rbx; ret",
    "call": "1: add $3, %eax; mov %rax, %rdi; call 2f; xor %rax, %rdx; jmp 1b; 2: lea 5(%rdi), %rax; imul $3, %rax, %rax; ret",
    "two calls": "1: call 2f; add %rax, %rcx; test $8, %al; jz 1b; call 2f; dec %rax; call 3f; jmp 1b; 2: inc %rax; 3: push %rcx; pop %rdx; ret",
    "recursion": "1: mov $5, %ecx; call 2f; inc %rax; jmp 1b; 2: dec %ecx; jz 3f; push %rcx; call 2b; pop %rcx; add %rcx, %rdx; 3: ret",
    "return elsewhere": """1: inc %eax; call 2f; add %rax, %rbx; jmp 1b; 2: test $7, %al; jnz 3f; addq $17, (%rsp); 3: ret
        nop; nop; 4: sub $3, %rbx; jmp 1b""",
    "a gap": "1: mov $7, %ecx; add %rcx, (%r8); xchg %ax, %ax; 2: xor %rcx, %rax; dec %ecx; jnz 2b; nop; xchg %rax, %rdx; jmp 1b",
    "two loops": "1: mov $7, %ecx; 2: add %ecx, (%r8); xor %rcx, %rax; dec %ecx; jnz 2b; test $4, %al; jz 1b; push %rax; pop %rbx; add $5, %rax; jmp 1b",
}


def assembled(text: str, folder: Path) -> bytes:
    subprocess.run(["as", "--64", "-o", str(folder / "o"), "-"], input=text.replace(";", "\n") + "\n", text=True, check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", str(folder / "o"), str(folder / "b")], check=True)
    return (folder / "b").read_bytes()


def prepared(memory: AddressSpace, code: bytes, rights: int = READ | EXEC) -> State:
    rng = random.Random(7)
    memory.map(CODE, 4096, rights)
    memory.write(CODE, code.ljust(4096, b"\xcc"))
    memory.map(DATA, SIZE, READ | WRITE)
    memory.write(DATA, rng.randbytes(SIZE))
    state = State()
    for number in range(16):
        state.regs[number] = rng.getrandbits(64)
        state.xmm[number] = rng.getrandbits(54) | 0x3FF0 << 48 | 0x3FE1_2345_6789_ABCD << 64
        state.upper[number] = rng.getrandbits(128)
    state.regs[0], state.regs[3], state.regs[7], state.regs[8] = 0, 0x1237, 5, DATA + 128
    state.rip, state.rsp = CODE, DATA + 4096
    return state


def engine(code: bytes, rights: int = READ | EXEC) -> Native:
    memory = DirectSpace()
    return Native(prepared(memory, code, rights), memory, *engines.parts())


def reference(code: bytes, rights: int = READ | EXEC) -> Interpreter:
    memory = AddressSpace()
    return Interpreter(prepared(memory, code, rights), memory, Processor())


def whole(made: Native | Interpreter) -> dict[str, object]:
    state = made.state
    fields: dict[str, object] = {name: getattr(state, name) for name in ("rip", "of", "cf", "pf", "af", "zf", "sf", "mxcsr")}
    fields |= {"regs": list(state.regs), "xmm": list(state.xmm), "upper": list(state.upper)}
    return fields | {"memory": bytes(made.memory.read(DATA, SIZE))}


@pytest.fixture(autouse=True)
def _hot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SLICE", 50)
    monkeypatch.setattr(hot, "ENOUGH", 1)
    monkeypatch.setattr(native, "INTERPRETED", 10)


def heated(made: Native, other: Interpreter) -> None:
    """Run until the loop is a region."""
    for _ in range(40):
        made.run(151)
        other.run(151)
        made.hot.wait()
        if made.hot.installed:
            return
    raise AssertionError("no region was made")


@pytest.mark.parametrize("name", LOOPS)
def test_every_state_of_a_loop(name: str, tmp_path: Path) -> None:
    code = assembled(LOOPS[name], tmp_path)
    fast, slow = engine(code), reference(code)
    heated(fast, slow)
    rng = random.Random(name)
    for _ in range(30):
        budget = rng.choice((1, 2, 3, 5, 17, 40, 100, rng.randrange(1, 400)))
        assert fast.run(budget) == slow.run(budget)
        found, wanted = whole(fast), whole(slow)
        assert found == wanted, {key: (found[key], wanted[key]) for key in found if found[key] != wanted[key]}
        assert fast.executed == slow.executed
    assert fast.hot.installed


@pytest.mark.parametrize("last", range(8))
def test_a_fault_in_a_region_is_precise(last: int, tmp_path: Path) -> None:
    text = "1: add $3, %rax; sub %rcx, %rbx; mov %rax, (%rdi); inc %dl; movups %xmm1, 8(%rdi); paddd %xmm2, %xmm1; addl $7, (%rdi); add $13, %rdi; jmp 1b"
    code = assembled(text, tmp_path)
    fast, slow = engine(code), reference(code)
    for made in (fast, slow):
        made.state.regs[7] = DATA + 8 * last + last
    heated(fast, slow)
    there, wanted = fast.run(100_000), slow.run(100_000)
    assert isinstance(there, MemoryMiss) and there == wanted
    assert whole(fast) == whole(slow) and fast.executed == slow.executed


def test_a_division_by_zero_in_a_region_is_precise(tmp_path: Path) -> None:
    code = assembled("1: mov %rbx, %rax; xor %edx, %edx; inc %rsi; div %rcx; dec %rcx; jmp 1b", tmp_path)
    fast, slow = engine(code), reference(code)
    for made in (fast, slow):
        made.state.regs[1] = 900
    heated(fast, slow)
    assert fast.run(100_000) == slow.run(100_000)
    assert whole(fast) == whole(slow) and fast.executed == slow.executed and fast.state.regs[1] == 0


def test_addresses_out_of_reach_leave_a_region(tmp_path: Path) -> None:
    code = assembled("1: mov (%rdi), %rax; add %rbx, %rdi; shl $1, %rbx; and $0xfff, %ebx; inc %ecx; cmp $500, %ecx; jb 1b; bts $50, %rdi; jmp 1b", tmp_path)
    fast, slow = engine(code), reference(code)
    for made in (fast, slow):
        made.state.regs[7], made.state.regs[3], made.state.regs[1] = DATA, 1, 0
    heated(fast, slow)
    assert fast.run(100_000) == slow.run(100_000)
    assert whole(fast) == whole(slow)


def test_a_region_that_changes_itself(tmp_path: Path) -> None:
    code = assembled("1: add $1, %al; inc %ecx; cmp $2000, %ecx; jne 1b; movb $2, 0x400001; jmp 1b", tmp_path)
    fast, slow = engine(code, READ | WRITE | EXEC), reference(code, READ | WRITE | EXEC)
    for made in (fast, slow):
        made.state.regs[0] = made.state.regs[1] = 0
    heated(fast, slow)
    assert fast.run(20_000) == slow.run(20_000)
    assert whole(fast) == whole(slow)


def test_code_that_the_kernel_changes(tmp_path: Path) -> None:
    code = assembled("1: add $1, %rax; inc %ecx; jmp 1b", tmp_path)
    fast, slow = engine(code), reference(code)
    heated(fast, slow)
    for made in (fast, slow):
        made.memory.write(CODE, assembled("1: add $9, %rax; dec %ecx; jmp 1b", tmp_path))
    assert not fast.hot.installed
    assert fast.run(10_001) == slow.run(10_001)
    assert whole(fast) == whole(slow)
    fast.memory.protect(CODE, 4096, READ)
    assert isinstance(fast.run(10), MemoryMiss)


def test_unmasked_exceptions_stop_it(tmp_path: Path) -> None:
    code = assembled("1: addsd %xmm1, %xmm0; mulsd %xmm0, %xmm2; divsd %xmm3, %xmm2; inc %ecx; jmp 1b", tmp_path)
    fast, slow = engine(code), reference(code)
    heated(fast, slow)
    for made in (fast, slow):
        made.state.mxcsr, made.state.xmm[3] = 0x1D80, 0  # division by zero
        assert not isinstance(made.run(1000), Budget)
    assert whole(fast) == whole(slow)


def test_a_region_is_found_again(tmp_path: Path) -> None:
    code = assembled("1: add $1, %rax; xor %rax, %rbx; inc %ecx; cmp $100000, %ecx; jne 1b; int3", tmp_path)
    first, second = engine(code), engine(code)
    for made in (first, second):
        made.state.regs[1] = 0
    first.run(500)
    first.hot.wait()
    first.save()
    assert any(region.head == CODE and region.image for region in first.store.regions())
    assert second.run(1_000_000) == Debug("int3")
    assert second.hot.installed and not any(region.image for region in second.hot.made)
    assert second.state.rax == 100_000
