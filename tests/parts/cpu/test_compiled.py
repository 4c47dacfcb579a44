"""Hooks that Numba compiled: they see and change registers, stop the run, and do the same on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from tanken import engines
from tanken.cpu import Debug

pytestmark = pytest.mark.skipif(not engines.possible(), reason="compiled hooks need Numba")
numpy = pytest.importorskip("numpy")
from .test_hooks import CODE, DATA, ENGINES, fresh  # noqa: E402


def count(address: int, registers: Any, data: Any) -> None:
    data[0] += 1
    data[1] += registers[1]


def stop(address: int, registers: Any, data: Any) -> Any:
    data[0] += 1
    return registers[1] == data[1]


def change(address: int, registers: Any, data: Any) -> None:
    registers[3] = registers[3] * 3 + address


def average(address: int, registers: Any, data: Any) -> None:
    data[0] = int((data[0] + registers[1]) / 2.0)


def told(address: int, size: int, value: int, data: Any) -> Any:
    data[0] += address + size * 1000 + value
    return value == data[1]


@pytest.mark.parametrize("engine", ENGINES)
def test_it_runs_in_the_block(engine: str) -> None:
    cpu, data = fresh(engine), numpy.zeros(2, numpy.int64)
    with cpu.hook_instructions(count, data=data, compile=True):
        cpu.run(until=CODE + 22)
    assert tuple(data) == (6 * 7 + 3, 150) and cpu.executed == data[0]
    data[:] = 0
    cpu.rip, cpu.rcx = CODE, 6
    with cpu.hook_blocks(count, data=data, compile=True):
        cpu.run(until=CODE + 22)
    assert data[0] == 6 + 3 + 3


@pytest.mark.parametrize("engine", ENGINES)
def test_it_stops_with_the_state_exact(engine: str) -> None:
    cpu, data = fresh(engine), numpy.array([0, 3], numpy.int64)
    cpu.hook_instructions(stop, data=data, compile=True)
    assert cpu.run() == Debug("stopped")
    assert (cpu.rip, cpu.rcx, cpu.executed, cpu.zf, cpu.pf) == (CODE + 20, 3, 7 + 8 + 6, 0, 1)


@pytest.mark.parametrize("function", [change, average])
def test_the_same_on_both_engines(function: Any) -> None:
    results = []
    for engine in ENGINES:
        cpu, data = fresh(engine), numpy.zeros(2, numpy.int64)
        cpu.hook_instructions(function, data=data, compile=True)
        cpu.run()
        results.append((cpu.snapshot(), list(data)))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("engine", ENGINES)
def test_accesses(engine: str) -> None:
    cpu, data = fresh(engine), numpy.array([0, 4], numpy.int64)
    cpu.hook_writes(told, DATA, DATA + 64, data=data, compile=True)
    assert cpu.run() == Debug("stopped")
    assert (cpu.rip, data[0]) == (CODE + 6, 3 * (DATA + 8 + 8000) + 6 + 5 + 4)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_numba_cfunc_made(engine: str) -> None:
    import numba

    cpu, data = fresh(engine), numpy.zeros(1, numpy.int64)
    void = numba.cfunc("void(int64, CPointer(int64), CPointer(int64))")(lambda address, registers, data: None)
    adds = numba.cfunc("int64(int64, CPointer(int64), CPointer(int64))")(_add)
    cpu.hook_instructions(void)
    cpu.hook_instructions(adds, data=data)
    assert cpu.run() == Debug("stopped")
    assert data[0] == 10


def _add(address: int, registers: Any, data: Any) -> int:
    data[0] += 1
    return 1 if data[0] == 10 else 0


def test_what_numba_refuses_is_told_in_one_line() -> None:
    cpu = fresh(ENGINES[-1])
    with pytest.raises(TypeError, match="nothing"):
        cpu.hook_instructions(lambda address, registers, data: registers.nothing, compile=True)
