"""Loops with compiled hooks become regions that do what the reference interpreter does, stopped anywhere, with hooks of every kind.

Programs in AT&T assembler, put together by binutils' as, those of the tests of regions.
"""

from __future__ import annotations

import functools
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tanken import Cpu, engines
from tanken.base.native import compile_hook
from tanken.cpu import Budget, Debug, MemoryMiss
from tanken.engine.native import engine as native
from tanken.engine.native import hot

from ..engine.native.test_regions import CODE, DATA, LOOPS, SIZE, assembled

pytestmark = pytest.mark.skipif(not engines.possible() or shutil.which("as") is None, reason="needs Linux on x86-64, Numba, and binutils")
numpy = pytest.importorskip("numpy")
ENGINES = ("native", "reference")


def count(address: int, registers: Any, data: Any) -> None:
    data[0] += 1


def coverage(address: int, registers: Any, data: Any) -> None:
    data[address & 63] += 1


def look(address: int, registers: Any, data: Any) -> None:
    data[1] = data[1] * 5 + (registers[0] ^ registers[2] ^ registers[3]) + address


def change(address: int, registers: Any, data: Any) -> None:
    registers[2] += 3
    registers[3] ^= 64
    data[2] += registers[2] + address


def stop(address: int, registers: Any, data: Any) -> Any:
    data[3] += 1
    return (data[3] + registers[0]) % 211 == 0


def change_and_stop(address: int, registers: Any, data: Any) -> Any:
    registers[2] += 1
    data[4] += 1
    return data[4] % 197 == 0


def average(address: int, registers: Any, data: Any) -> None:
    data[5] = int((data[5] + (registers[0] & 0xFF)) / 2.0)


HOOKS = (count, coverage, look, change, stop, change_and_stop, average)


compiled_once = functools.cache(compile_hook)


@pytest.fixture(autouse=True)
def _hot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SLICE", 50)
    monkeypatch.setattr(hot, "ENOUGH", 1)
    monkeypatch.setattr(native, "INTERPRETED", 10)
    monkeypatch.setattr(hot, "MOST_TRIED", 2)
    monkeypatch.setattr("tanken.base.native.compile_hook", compiled_once)


class Pair:
    """The same processor on both engines, and what its hooks count in."""

    def __init__(self, code: bytes, seed: str) -> None:
        rng = random.Random(seed)
        memory, words = rng.randbytes(SIZE), [rng.getrandbits(64) for _ in range(48)]
        self.cpus = [Cpu("x86-64", engine=name) for name in ENGINES]
        self.data = [numpy.zeros(64, numpy.int64) for _ in ENGINES]
        for cpu in self.cpus:
            cpu.map(CODE, 4096, "rx", code.ljust(4096, b"\xcc"))
            cpu.map(DATA, SIZE, "rw", memory)
            for number in range(16):
                cpu.state.regs[number], cpu.state.xmm[number], cpu.state.upper[number] = words[number], words[16 + number] >> 10 | 0x3FF0 << 48, words[32 + number]
            cpu.rax, cpu.rbx, cpu.rdi, cpu.r8, cpu.rip, cpu.rsp = 0, 0x1237, 5, DATA + 128, CODE, DATA + 4096

    def hook(self, kind: str, function: Any, *where: int) -> list[Any]:
        made = []
        for cpu, data in zip(self.cpus, self.data, strict=True):
            set_hook = cpu.hook_instructions if kind == "instruction" else cpu.hook_blocks
            made.append(set_hook(function, *where, data=data, compile=True))
        return made

    def run(self, **how: int) -> Any:
        """What both say, which is the same."""
        exits = [cpu.run(**how) for cpu in self.cpus]
        assert exits[0] == exits[1], exits
        fast, slow = self.cpus
        assert fast.executed == slow.executed
        assert list(self.data[0]) == list(self.data[1])
        assert fast.snapshot() == slow.snapshot(), [(name, hex(a), hex(b)) for name, a, b in fast.snapshot().changes(slow.snapshot())]
        return exits[0]

    @property
    def hot(self) -> Any:
        engine: Any = self.cpus[0].engine
        return engine.hot

    def heat(self) -> None:
        """Run until a loop with hooks is a region."""
        for _ in range(40):
            self.run(budget=151)
            self.hot.wait()
            if any(there.compiled.hooks for there in self.hot.installed):
                return
        raise AssertionError("no region was made")


@pytest.mark.parametrize("name", LOOPS)
def test_hooks_in_a_loop(name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    pair = Pair(assembled(LOOPS[name], tmp_path), name)
    chosen = rng.choice(((("instruction", count),), (("block", rng.choice(HOOKS)), ("instruction", rng.choice(HOOKS)))))
    for kind, function in chosen:
        pair.hook(kind, function)
    for _ in range(24):
        pair.run(budget=rng.choice((1, 2, 3, 17, 40, 100, 151, 151, 151, rng.randrange(1, 400))))
        pair.hot.wait()
    assert any(there.compiled.hooks for there in pair.hot.installed), chosen


@pytest.mark.parametrize("function", HOOKS)
@pytest.mark.parametrize("kind", ["instruction", "block"])
def test_every_hook(function: Any, kind: str, tmp_path: Path) -> None:
    pair = Pair(assembled(LOOPS["flags"], tmp_path), "every")
    pair.hook(kind, function)
    rng = random.Random(1)
    seen = set()
    for _ in range(24):
        seen.add(type(pair.run(budget=rng.choice((1, 7, 151, 151, 300)))))
        pair.hot.wait()
    assert pair.hot.installed
    assert (Debug in seen) == ("stop" in function.__name__) and (Budget in seen)


def test_ranges_until_and_changes_of_mind(tmp_path: Path) -> None:
    """Hooks come and go, ends of runs are set in the middle of regions."""
    code = assembled(LOOPS["flags"], tmp_path)
    pair, rng = Pair(code, "ranges"), random.Random(5)
    set_now: list[Any] = []
    for step in range(56):
        if step % 8 == 0:
            if len(set_now) > 1:
                for hook in set_now.pop(rng.randrange(len(set_now))):
                    hook.remove()
            start = CODE + rng.randrange(48)
            where = rng.choice(((), (start, start + rng.randrange(1, 30)), (CODE,)))
            set_now.append(pair.hook(rng.choice(("instruction", "instruction", "block")), rng.choice(HOOKS), *where))
        if step % 5 == 4:
            pair.run(until=CODE + rng.randrange(64), budget=rng.randrange(1, 400))
        else:
            pair.run(budget=rng.choice((3, 60, 151, 400)))
        pair.hot.wait()


def test_python_hooks_beside_compiled_ones(tmp_path: Path) -> None:
    """A region ends where a hook is in Python; that one may set and remove others."""
    pair = Pair(assembled(LOOPS["two loops"], tmp_path), "beside")
    pair.hook("instruction", count)
    told: list[list[tuple[int, int]]] = [[], []]
    for cpu, own in zip(pair.cpus, told, strict=True):

        def tell(address: int, cpu: Cpu = cpu, own: list[tuple[int, int]] = own) -> None:
            own.append((cpu.executed, cpu.rax))

        cpu.hook_instructions(tell, CODE + len(assembled("mov $7, %ecx", tmp_path)) + 13)
    for _ in range(30):
        pair.run(budget=237)
        pair.hot.wait()
    assert told[0] == told[1] and pair.hot.installed


def test_a_fault_in_a_hooked_region(tmp_path: Path) -> None:
    """All hooks up to the instruction that misses have run, none behind it; mapped, it goes on with its hooks again."""
    text = "1: add $3, %rax; sub %rcx, %rbx; mov %rax, (%rdi); inc %dl; movups %xmm1, 8(%rdi); addl $7, (%rdi); add $13, %rdi; jmp 1b"
    for function in (count, change):
        pair = Pair(assembled(text, tmp_path), "fault")
        pair.hook("instruction", function)
        pair.hook("block", coverage)
        for cpu in pair.cpus:
            cpu.rdi = DATA + SIZE - 3000
        pair.heat()
        assert isinstance(pair.run(budget=100_000), MemoryMiss)
        for cpu in pair.cpus:
            cpu.map(DATA + SIZE, 4096, "rw")
        assert isinstance(pair.run(budget=100_000), MemoryMiss)


def test_without_hooks_again(tmp_path: Path) -> None:
    pair = Pair(assembled(LOOPS["store"], tmp_path), "again")
    hooks = pair.hook("instruction", count)
    pair.heat()
    for hook in hooks:
        hook.remove()
    for _ in range(20):
        pair.run(budget=151)
        pair.hot.wait()
    assert pair.hot.installed and not any(there.compiled.hooks for there in pair.hot.installed)
