"""The rows that only 16 and 32-bit modes have, by vectors, since a 64-bit host cannot run them.

Intel SDM volume 2: the examples of DAA and DAS, and hand-worked cases of the others.
"""

from __future__ import annotations

from typing import Any

import pytest

from tanken.engine.integer import Faulted, IntegerMachine
from tanken.engine.memory import READABLE, AddressSpace
from tanken.isa.architecture import Exit, Fault
from tanken.isa.x86.inst import decode
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.state import RIP, State

AT, STACK = 0x1000, 0x2000


def run(code: str, **registers: int) -> tuple[State, AddressSpace]:
    state, memory, _ = step(code, **registers)
    return state, memory


def step(code: str, **registers: int) -> tuple[State, AddressSpace, Exit | None]:
    state, memory = State(), AddressSpace()
    memory.map(0x1000, 0x2000, READABLE)
    state.rip, state.rsp = AT, STACK
    for name, value in registers.items():
        setattr(state, name, value)
    processor: Any = Processor()
    memory.store(0x2800, 8, 0x0000_0009_0000_0002)
    exit = IntegerMachine(state, memory, RIP, lambda: 0).step(processor, decode(bytes.fromhex(code), AT, 32))
    return state, memory, exit


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        ("27", {"rax": 0xAE}, {"rax": 0x14, "cf": 1, "af": 1, "sf": 0, "zf": 0, "pf": 1}),  # SDM, DAA
        ("27", {"rax": 0x2E}, {"rax": 0x34, "cf": 0, "af": 1, "sf": 0, "zf": 0, "pf": 0}),  # SDM, DAA
        ("2f", {"rax": 0xEE, "cf": 1, "af": 1}, {"rax": 0x88, "cf": 1, "af": 1, "sf": 1, "zf": 0, "pf": 1}),  # SDM, DAS
        ("37", {"rax": 0x0F}, {"rax": 0x105, "cf": 1, "af": 1}),
        ("37", {"rax": 0xFF}, {"rax": 0x205, "cf": 1, "af": 1}),
        ("37", {"rax": 0x39}, {"rax": 0x09, "cf": 0, "af": 0}),
        ("3f", {"rax": 0x20F}, {"rax": 0x109, "cf": 1, "af": 1}),
        ("d40a", {"rax": 63}, {"rax": 0x603, "zf": 0, "sf": 0, "pf": 1}),
        ("d50a", {"rax": 0x603}, {"rax": 63, "zf": 0, "sf": 0, "pf": 1}),
        ("63c8", {"rax": 0x10, "rcx": 3}, {"rax": 0x13, "zf": 1}),
        ("63c8", {"rax": 0x13, "rcx": 1}, {"rax": 0x13, "zf": 0}),
        ("620500280000", {"rax": 9}, {"rip": AT + 6}),
        ("ce", {"of": 0}, {"rip": AT + 1}),
        ("40", {"rax": 0xFFFF_FFFF}, {"rax": 0, "zf": 1, "af": 1}),
        ("60", {"rax": 1, "rdi": 7}, {"rsp": STACK - 32}),
        ("61", {"rsp": 0x2800 - 28}, {"rsp": 0x2804, "rax": 2}),
        ("e800010000", {}, {"rip": AT + 5 + 0x100, "rsp": STACK - 4}),
    ],
)
def test_vector(code: str, before: dict[str, int], after: dict[str, int]) -> None:
    state, _ = run(code, **before)
    assert {name: getattr(state, name) for name in after} == after


def test_pusha_stores_the_old_stack_pointer() -> None:
    _, memory = run("60", rax=0x11, rbp=0x55, rdi=0x77)
    words = [memory.load(STACK - 4 * n, 4) for n in range(1, 9)]
    assert words == [0x11, 0, 0, 0, STACK, 0x55, 0, 0x77]


@pytest.mark.parametrize(
    ("code", "before", "vector"),
    [("620500280000", {"rax": 10}, 5), ("620500280000", {"rax": 1}, 5), ("d400", {}, 0)],
)
def test_faults(code: str, before: dict[str, int], vector: int) -> None:
    with pytest.raises(Faulted) as caught:
        run(code, **before)
    assert caught.value.exit.vector == vector


def test_into_is_a_trap() -> None:
    state, _, exit = step("ce", of=1)
    assert isinstance(exit, Fault) and exit.vector == 4
    assert state.rip == AT + 1
