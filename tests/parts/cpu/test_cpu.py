"""A processor from Python: registers by name, memory by slices, snapshots as values, and errors of one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tanken import Cpu
from tanken.base.errors import InputError, UsageError
from tanken.cpu import Budget, Debug
from tanken.isa.x86.registers import REGISTERS

from .test_hooks import CODE, DATA, ENGINES, fresh


@pytest.mark.parametrize("engine", ENGINES)
def test_every_register_keeps_what_is_written(engine: str) -> None:
    cpu = fresh(engine)
    for name, register in REGISTERS.items():
        if name in ("rflags", "eflags"):
            continue
        value = 0x5AA5_0FF0_1234_5678_9ABC_DEF0_1122_3344_5566_7788_99AA_BBCC_DDEE_FF01 & (1 << register.width) - 1
        setattr(cpu, name, value)
        assert getattr(cpu, name) == value, name
    cpu.rflags = 0x8D5
    assert (cpu.cf, cpu.pf, cpu.af, cpu.zf, cpu.sf, cpu.of, cpu.df, cpu.eflags) == (1, 1, 1, 1, 1, 1, 0, 0xAD7)


@pytest.mark.parametrize("engine", ENGINES)
def test_parts_of_registers(engine: str) -> None:
    cpu = fresh(engine)
    cpu.rax = 0x1122_3344_5566_7788
    cpu.al, cpu.ah = 1, 2
    assert (cpu.rax, cpu.ax, cpu.eax) == (0x1122_3344_5566_0201, 0x201, 0x5566_0201)
    cpu.ax = 0xFFFF
    assert cpu.rax == 0x1122_3344_5566_FFFF
    cpu.eax = 5
    assert cpu.rax == 5
    cpu.ymm2 = 3 << 200 | 7
    assert (cpu.xmm2, cpu.state.upper[2]) == (7, 3 << 72)
    with pytest.raises(AttributeError):
        cpu.rzx  # noqa: B018


@pytest.mark.parametrize("engine", ENGINES)
def test_memory(engine: str) -> None:
    cpu = fresh(engine)
    cpu[DATA:] = b"abc"
    assert cpu[DATA : DATA + 4] == b"abc\0"
    cpu[DATA + 1] = 0x7A
    assert cpu[DATA + 1] == 0x7A
    cpu.protect(DATA, 4096, "r")
    cpu.rdi = DATA
    assert cpu.run() != Debug("int3")
    assert cpu.rip == CODE + 6
    cpu.unmap(DATA, 4096)
    for what in (lambda: cpu[DATA : DATA + 1], lambda: cpu.write(DATA, b"x"), lambda: cpu.map(1, 4096), lambda: cpu.protect(DATA, 4096, "r"),
                 lambda: cpu.map(0x1000, 4096, "rwx", bytes(5000)), lambda: cpu.map(0, 0)):  # fmt: skip
        with pytest.raises(InputError):
            what()
    for what in (lambda: cpu[DATA:], lambda: Cpu("z80"), lambda: Cpu(engine="fast"), lambda: cpu.map(0, 4096, "q"), lambda: cpu.hook_blocks(3)):
        with pytest.raises(UsageError):
            what()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_snapshot_is_a_value(engine: str) -> None:
    cpu = fresh(engine)
    first = cpu.snapshot()
    cpu.run(budget=17)
    second = cpu.snapshot()
    assert first != second and second.changes(first)[0][0] == "rip"
    assert second.memory.differences(first.memory) == [(DATA + 8, 1)]
    cpu.map(0x90_0000, 4096, "rw", b"new")
    cpu.unmap(DATA + 4096, 4096)
    cpu.restore(first)
    assert cpu.snapshot() == first and cpu.executed == 0
    with pytest.raises(InputError):
        cpu.read(0x90_0000, 1)
    assert cpu.run(budget=17) == Budget(17)
    assert cpu.snapshot() == second


def test_snapshots_go_from_engine_to_engine() -> None:
    cpu, other = fresh(ENGINES[-1]), Cpu(engine="reference")
    cpu.run(budget=9)
    other.restore(cpu.snapshot())
    assert cpu.run() == other.run()
    assert cpu.snapshot() == other.snapshot() and cpu.executed == other.executed


@pytest.mark.parametrize("engine", ENGINES)
def test_code_written_after_it_ran_and_restored(engine: str) -> None:
    cpu = fresh(engine, "b8 01 00 00 00 cc")
    start = cpu.snapshot()
    cpu.run()
    cpu.write(CODE + 1, b"\x02")
    cpu.rip = CODE
    cpu.run()
    assert cpu.rax == 2
    cpu.restore(start)
    cpu.run()
    assert cpu.rax == 1


def test_importing_tanken_is_light() -> None:
    code = "import tanken, sys; print([n for n in ('numpy', 'numba', 'llvmlite', 'tanken.cpu', 'ctypes') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
