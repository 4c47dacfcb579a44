"""What the native engine promises of exactness: budgets, faults in the middle of accesses, code that changes, signals between instructions."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest

from tanken import Cpu, engines
from tanken.cpu import Budget, Debug, MemoryMiss

from .test_hooks import CODE, DATA, ENGINES, fresh

pytestmark = pytest.mark.skipif(not engines.possible(), reason="the native engine needs Linux on x86-64, with Numba")


def both(code: str, **registers: int) -> list[Cpu]:
    """The same on both engines."""
    made = [fresh(engine, code) for engine in ENGINES]
    for cpu in made:
        for name, value in registers.items():
            setattr(cpu, name, value)
    return made


def test_every_budget_gives_the_state_of_the_reference() -> None:
    reference, native = fresh("reference"), fresh("native")
    start = native.snapshot()
    for budget in range(56):
        native.restore(start)
        exit = native.run(budget=budget)
        assert native.snapshot() == reference.snapshot() and native.executed == reference.executed
        assert exit == Budget(budget) or exit == Debug("int3")
        reference.run(budget=1)


@pytest.mark.parametrize("code", ["48 89 07", "48 01 07", "48 87 07", "0f 11 07", "c5 fc 11 07", "dd 1f", "db 3f", "f0 48 0f c1 07"])
def test_a_store_over_the_end_writes_nothing(code: str) -> None:
    for back in (1, 3):
        for cpu in both(code, rdi=DATA + 8192 - back, rax=2**64 - 1, xmm0=2**128 - 1):
            cpu[DATA + 4096 : DATA + 8192] = bytes([0x5A]) * 4096
            before = cpu.snapshot()
            assert isinstance(cpu.run(), MemoryMiss)
            after = cpu.snapshot()
            assert after.memory == before.memory
            assert not [name for name, _, _ in after.changes(before)]


@pytest.mark.parametrize("code", ["48 89 07 48 8b 1f", "0f 11 07 0f 10 0f", "c5 fc 11 07 c5 fc 10 0f", "48 01 07 48 8b 1f", "dd 1f dd 07", "57 5b", "f3 a4"])
def test_accesses_over_a_border(code: str) -> None:
    results = []
    for cpu in both(code, rdi=DATA + 4096 - 3, rsi=DATA + 4096 - 9, rsp=DATA + 4096 + 5, rax=0x0102_0304_0506_0708, xmm0=2**127 - 5, rcx=20):
        assert cpu.run() == Debug("int3")
        results.append(cpu.snapshot())
    assert results[0] == results[1]


def test_a_repeated_copy_goes_on_where_it_faulted() -> None:
    results = []
    for cpu in both("f3 a4", rsi=DATA, rdi=DATA + 8192 - 10, rcx=5000):
        cpu[DATA:] = bytes(range(256)) * 16
        seen: list[Any] = []

        def grow(exit: MemoryMiss, cpu: Cpu = cpu, seen: list[Any] = seen) -> bool:
            seen.append((exit.address, cpu.rcx, cpu.rdi, cpu.rsi, cpu.rip))
            cpu.map(exit.address, 4096, "rw")
            return True

        cpu.hook_exits(grow, MemoryMiss)
        assert cpu.run() == Debug("int3")
        results.append((seen, cpu.snapshot(), cpu.executed))
    assert results[0] == results[1]
    assert results[0][2] == 5001 and len(results[0][0]) == 2


def test_a_block_that_others_lead_to_is_left_when_it_changes() -> None:
    # a: jmp b; b: mov al, 1; ret-like jmp back through c, which rewrites b
    for cpu in both("eb 0e" + " 90" * 14 + " b0 01 fe c3 80 fb 05 74 0a c6 05 f1 ff ff ff 07 eb de 90 90 cc"):
        cpu.protect(CODE, 4096, "rwx")
        assert cpu.run() == Debug("int3")
        assert (cpu.al, cpu.bl) == (7, 5)


def test_code_and_data_on_one_page() -> None:
    results = []
    for cpu in both("48 89 0d 79 00 00 00 48 03 05 72 00 00 00 ff c9 75 ee cc", rcx=200):
        cpu.protect(CODE, 4096, "rwx")
        assert cpu.run() == Debug("int3")
        results.append(cpu.snapshot())
    assert results[0] == results[1] and results[0].state.rax == 200 * 201 // 2


def test_an_instruction_over_the_border_of_pages_changes_in_its_second_half() -> None:
    for cpu in both("cc"):
        cpu.map(CODE + 4096, 4096, "rwx", b"\xcc" * 4096)
        cpu.write(CODE + 4094, bytes.fromhex("b8 01 00 00 00 cc"))  # mov eax, 1
        for value in (1, 2):
            cpu.write(CODE + 4095, bytes([value]))
            cpu.rip = CODE + 4094
            assert cpu.run() == Debug("int3")
            assert cpu.eax == value
        cpu.write(CODE + 4097, b"\x09")
        cpu.rip = CODE + 4094
        cpu.run()
        assert cpu.eax == 0x9_0002


LONG = "48 ff c0  48 0f af d8  48 01 c3  f3 a4  b9 10 00 00 00  48 89 f7  48 81 e7 00 f0 ff ff  48 89 fe  eb e1"


@pytest.mark.parametrize("hooked", [False, True])
def test_signals_come_between_instructions_and_change_nothing(hooked: bool) -> None:
    results, came = [], []
    for interrupted in (False, True):
        cpu = fresh("native", LONG)
        cpu.rsi = cpu.rdi = DATA
        if hooked:
            cpu.hook_blocks(lambda at: None)
            cpu.hook_writes(lambda *what: None, DATA + 3)
        cpu.run(budget=1000)
        before = signal.signal(signal.SIGALRM, lambda *_: came.append(1))
        if interrupted:
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0007)
        try:
            for _ in range(4):
                assert cpu.run(budget=500_000 if hooked else 30_000_000) == Budget(500_000 if hooked else 30_000_000)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        results.append((cpu.snapshot(), cpu.executed))
    assert results[0] == results[1]
    assert came


@pytest.mark.parametrize("code", ["48 ff c0 eb fb", "d9 fe d9 ff eb fa", "b9 00 00 00 03 48 89 de 48 89 df f3 a4 eb f1"])
def test_ctrl_c_arrives_soon_and_the_run_goes_on(code: str) -> None:
    cpu = fresh("native", code)
    cpu.map(0x1000_0000, 64 << 20, "rw")
    cpu.rbx = 0x1000_0000
    cpu.run(budget=1000)
    sent: list[float] = []

    def press() -> None:
        time.sleep(0.05)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(3):
        thread = threading.Thread(target=press)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            cpu.run()
        assert time.perf_counter() - sent[-1] < 1  # on a quiet machine below 1 ms; without care for it 4 s
        thread.join()
        executed = cpu.executed
        assert cpu.run(budget=3) == Budget(3) and cpu.executed == executed + 3


class Rang(Exception):
    """What a signal's handler raises."""


@pytest.mark.parametrize("code", ["48 01 d8 48 31 c1 48 ff ca 75 f5 eb f3", "d9 fe d9 ff eb fa"])
def test_what_a_handler_raises_arrives_and_the_state_is_exact(code: str) -> None:
    def ring(number: int, frame: object) -> None:
        raise Rang

    cpu = fresh("native", code)
    cpu.rbx, cpu.rdx = 3, 1 << 62
    cpu.run(budget=20_000_000)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for delay in (0.001, 0.0173, 0.05, 0.0111):
            signal.setitimer(signal.ITIMER_REAL, delay)
            with pytest.raises(Rang):
                cpu.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    again = fresh("native", code)
    again.rbx, again.rdx = 3, 1 << 62
    assert again.run(budget=cpu.executed) == Budget(cpu.executed)
    assert again.snapshot() == cpu.snapshot()


def test_an_inner_engine_leaves_the_faults_to_the_outer_one() -> None:
    outer, inner = fresh("native"), fresh("native", "eb fe")
    outer.hook_instructions(lambda at: inner.run(budget=100), CODE)
    outer.rdi = DATA + 8190
    for _ in range(2):
        assert isinstance(outer.run(), MemoryMiss)
        assert outer.rip == CODE
