"""Hooks: the same functions run at the same moments on both engines, before and after translation, and what they ask for happens exactly there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tanken import Cpu, engines
from tanken.base.errors import UsageError
from tanken.cpu import Budget, Debug, MemoryMiss, Syscall

ENGINES = ["reference", *(["native"] if engines.possible() else [])]
CODE, DATA = 0x40_0000, 0x60_0000
# again: mov rax, [rdi]; add rax, rcx; mov [rdi+8], rax; test cl, 1; jz even; inc rbx; even: dec ecx; jnz again; then rep movsb, push, ud2
LOOP = "48 8b 07  48 01 c8  48 89 47 08  f6 c1 01  74 03  48 ff c3  ff c9  75 ea  b9 05 00 00 00  48 89 fe  f3 a4  50  90  cc"


@pytest.fixture(params=ENGINES)
def cpu(request: pytest.FixtureRequest) -> Iterator[Cpu]:
    yield fresh(request.param)


def fresh(engine: str, code: str = LOOP) -> Cpu:
    cpu = Cpu("x86-64", engine=engine)
    cpu.map(CODE, 4096, "rx", bytes.fromhex(code).ljust(4096, b"\xcc"))
    cpu.map(DATA, 8192, "rw")
    cpu.rip, cpu.rsp, cpu.rdi, cpu.rcx = CODE, DATA + 4096, DATA, 6
    return cpu


def everything(cpu: Cpu, words: list[Any]) -> None:
    """Hooks of all kinds that note what they see."""
    cpu.hook_instructions(lambda at: words.append(("instruction", at, cpu.rip, cpu.rax, cpu.rflags, cpu.executed)))
    cpu.hook_blocks(lambda at: words.append(("block", at, cpu.rip)))
    cpu.hook_reads(lambda *what: words.append(("read", *what, cpu.rip, cpu.executed)))
    cpu.hook_writes(lambda *what: words.append(("write", *what, cpu.rip)))


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.skipif(len(ENGINES) < 2, reason="the native engine needs Linux on x86-64, with Numba")
def test_the_same_hooks_run_on_both_engines(warm: bool) -> None:
    seen = []
    for engine in ENGINES:
        cpu, words = fresh(engine), []
        if warm:  # set behind the translation
            start = cpu.snapshot()
            assert cpu.run() == Debug("int3")
            cpu.restore(start)
        everything(cpu, words)
        assert cpu.run() == Debug("int3")
        seen.append(words)
    assert seen[0] == seen[1]
    assert len([word for word in seen[0] if word[0] == "instruction"]) == 6 * 7 + 3 + 4 + 5 + 1
    blocks = [word[1] - CODE for word in seen[0] if word[0] == "block"]
    assert blocks == [0, 18, 0, 15] * 3 + [22]
    assert [word[2] for word in seen[0] if word[0] == "write"].count(1) == 5


@pytest.mark.skipif(len(ENGINES) < 2, reason="the native engine needs Linux on x86-64, with Numba")
def test_pieces_of_a_run_have_the_hooks_of_the_whole() -> None:
    for engine in ENGINES:
        whole, parts = [], []
        cpu = fresh(engine)
        everything(cpu, whole)
        cpu.run()
        cpu = fresh(engine)
        everything(cpu, parts)
        while isinstance(cpu.run(budget=1 + len(parts) % 5), Budget):
            pass
        assert parts == whole


def test_a_hook_costs_nothing_where_it_is_not_set(cpu: Cpu) -> None:
    seen: list[int] = []
    hook = cpu.hook_instructions(seen.append, CODE + 15)
    cpu.run()
    assert seen == [CODE + 15] * 3
    assert hook.active
    hook.remove()
    cpu.rip, cpu.rcx = CODE, 6
    cpu.run()
    assert len(seen) == 3 and not hook.active
    with cpu.hook_blocks(seen.append):
        pass
    assert not cpu.hooks.all


def test_an_exception_arrives_with_the_state_before_the_instruction(cpu: Cpu) -> None:
    def refuse(*_: int) -> None:
        raise ValueError("refused")

    with cpu.hook_instructions(refuse, CODE + 15), pytest.raises(ValueError, match="refused"):
        cpu.run()
    assert (cpu.rip, cpu.rbx, cpu.executed, cpu.zf) == (CODE + 15, 0, 12, 0)
    with cpu.hook_writes(refuse), pytest.raises(ValueError, match="refused"):
        cpu.run()
    assert (cpu.rip, cpu.rbx, cpu.executed, cpu.rax) == (CODE + 6, 1, 17, 4)
    assert cpu.read(DATA + 8, 8) == (5).to_bytes(8, "little")
    with cpu.hook_reads(refuse), pytest.raises(ValueError, match="refused"):
        cpu.run()
    assert (cpu.rip, cpu.executed) == (CODE, 22)
    assert cpu.run() == Debug("int3")


def test_a_hook_changes_registers_and_memory(cpu: Cpu) -> None:
    def change(address: int) -> None:
        cpu.rcx += 1 if cpu.rcx == 2 and not cpu.rdx else 0
        cpu.rdx = 1
        cpu.xmm3 = 1 << 100
        cpu[DATA:] = b"\x09"
        cpu.cf = 1

    cpu.hook_instructions(change, CODE + 18)
    cpu.run(until=CODE + 22)
    assert (cpu.xmm3, cpu.ymm3, cpu.cf, cpu.rax) == (1 << 100, 1 << 100, 1, 9 + 1)


def test_a_hook_changes_the_flow(cpu: Cpu) -> None:
    seen: list[int] = []

    def skip(address: int) -> None:
        seen.append(address)
        cpu.rip = CODE + 18

    cpu.hook_instructions(skip, CODE + 15)
    cpu.run(until=CODE + 22)
    assert (cpu.rbx, len(seen), cpu.executed) == (0, 3, 6 * 7)


def test_a_hook_stops_the_run(cpu: Cpu) -> None:
    hook = cpu.hook_instructions(lambda at: cpu.stop(), CODE + 15)
    assert cpu.run() == Debug("stopped")
    assert (cpu.rip, cpu.rbx) == (CODE + 15, 0)
    hook.remove()
    cpu.hook_writes(lambda *what: cpu.stop(), DATA + 8, DATA + 16)
    assert cpu.run() == Debug("stopped")
    assert (cpu.rip, cpu.rbx) == (CODE + 6, 1)


def test_hooks_set_and_removed_by_hooks(cpu: Cpu) -> None:
    seen: list[Any] = []

    def first(address: int) -> None:
        hook.remove()
        cpu.hook_instructions(lambda at: seen.append(at - CODE), CODE, CODE + 20)

    hook = cpu.hook_instructions(first, CODE + 3)
    cpu.run(until=CODE + 20)
    assert seen == [6, 10, 13, 18]


def test_a_hook_that_rewrites_the_code_ahead(cpu: Cpu) -> None:
    cpu.hook_instructions(lambda at: cpu.write(CODE + 15, b"\x48\xff\xcb"), CODE + 13)  # dec rbx
    cpu.run(until=CODE + 22)
    assert cpu.rbx == 2**64 - 3


def test_ranges_of_accesses(cpu: Cpu) -> None:
    seen: list[tuple[int, ...]] = []
    cpu.hook_writes(lambda *what: seen.append(what), DATA + 15, DATA + 16)
    cpu.hook_reads(lambda *what: seen.append(what), DATA + 4096, DATA + 8192)
    cpu.run()
    assert seen == [(DATA + 8, 8, 6 - n) for n in range(6)]


@pytest.mark.parametrize("code, access", [("48 8b 07", "r"), ("48 89 07", "w"), ("48 f7 37", "")])
def test_no_access_is_told_that_faults_and_none_twice(cpu: Cpu, code: str, access: str) -> None:
    seen: list[Any] = []
    cpu.hook_reads(lambda *what: seen.append(what))
    cpu.hook_writes(lambda *what: seen.append(what))
    cpu.write(CODE, bytes.fromhex(code))
    cpu.rdi = DATA + 8188 if access else DATA + 64
    exit = cpu.run(budget=1)
    if access:
        assert exit == MemoryMiss(DATA + 8192, 8, access) or exit == MemoryMiss(DATA + 8188, 8, access)
        assert not seen
    else:  # divided by what was read: zero
        assert exit.vector == 0 and seen == [(DATA + 64, 8, 0)]  # type: ignore[union-attr]


@pytest.mark.parametrize("code, size", [("0f 10 07", 16), ("c5 fc 10 07", 32), ("dd 07", 8), ("66 8b 07", 2), ("8a 07", 1), ("db 2f", 10)])
def test_values_of_any_width(cpu: Cpu, code: str, size: int) -> None:
    seen: list[Any] = []
    cpu[DATA : DATA + 64] = bytes(range(1, 65))
    cpu.write(CODE, bytes.fromhex(code))
    cpu.hook_reads(lambda *what: seen.append(what))
    assert cpu.run(budget=1) == Budget(1)
    assert b"".join(value.to_bytes(length, "little") for _, length, value in seen) == bytes(range(1, size + 1))


def test_exits_that_are_answered(cpu: Cpu) -> None:
    cpu.write(CODE, bytes.fromhex("0f 05 0f 05 48 8b 04 25 00 00 70 00 cc"))
    seen: list[Any] = []

    def call(exit: Syscall) -> bool:
        seen.append((exit.kind, cpu.rip - CODE))
        cpu.rax = 7
        return True

    def fill(exit: MemoryMiss) -> bool:
        seen.append((exit.access, exit.address))
        cpu.map(exit.address & -4096, 4096, "rw", b"\x2a")
        return True

    cpu.hook_exits(call, Syscall)
    cpu.hook_exits(fill, MemoryMiss)
    assert cpu.run() == Debug("int3")
    assert seen == [("syscall", 2), ("syscall", 4), ("r", 0x70_0000)]
    assert cpu.rax == 42


def test_a_run_inside_a_run_is_refused(cpu: Cpu) -> None:
    cpu.hook_instructions(lambda at: cpu.run())
    with pytest.raises(UsageError, match="a run inside a run"):
        cpu.run()


def test_another_processor_runs_inside_a_hook(cpu: Cpu) -> None:
    other = fresh(ENGINES[-1])
    other.hook_writes(lambda *what: None)
    other.memory.unmap(DATA + 4096, 4096)
    other.rdi = DATA + 4090

    def inner(address: int) -> None:
        assert isinstance(other.run(), MemoryMiss)

    hook = cpu.hook_instructions(inner, CODE)
    cpu.rdi = DATA + 8192 - 16  # it faults behind the hook
    cpu.run(budget=3)
    hook.remove()
    cpu.rdi = DATA + 8190
    assert isinstance(cpu.run(), MemoryMiss)


def test_until_is_exact_and_may_change(cpu: Cpu) -> None:
    for until in (CODE + 15, CODE + 18, CODE + 15, CODE + 6, CODE + 13):
        assert cpu.run(until=until) == Debug("until")
        assert cpu.rip == until
        assert cpu.run(until=until) == Debug("until")  # at once
    assert cpu.run() == Debug("int3")


def test_a_jump_to_itself_begins_a_block_each_time(cpu: Cpu) -> None:
    seen: list[int] = []
    cpu.write(CODE, b"\xeb\xfe")
    cpu.hook_blocks(seen.append)
    cpu.run(budget=5)
    assert seen == [CODE] * 5
