"""Which exceptions while another is delivered make a double fault, and which double fault a shutdown: table 6-5 of the SDM's volume 3, every pair."""

from __future__ import annotations

from typing import Any

import pytest
from tests.guest.system import run

from tanken.isa.architecture import Exited, Fault, Outside
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import DF, NP, PF, Core, Shutdown
from tanken.isa.x86.system.events import HARDWARE, OUTSIDE, SOFTWARE, deliver, interrupt, raised

GDT, IDT, TABLES, STACK, HANDLERS = 0x2000, 0x3000, 0x10000, 0x8000, 0x5000
CONTRIBUTORY = {0, 10, 11, 12, 13}
VECTORS = [vector for vector in range(32) if vector not in (15, 31)]
PRESENT, ABSENT = 0x8E00, 0x0E00


def machine() -> Core:
    """In 32-bit protected mode with paging of two levels, where nothing is above 4 MiB; vector n's handler is at 5000h + 16 n."""
    core, _, physical = run.machine(b"")
    state = core.state
    for n in range(1024):
        physical.write(TABLES + 0x1000 + 4 * n, 4, n << 12 | 3)
    physical.write(TABLES, 4, TABLES + 0x1000 | 3)
    for n, descriptor in enumerate((0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)):
        physical.write(GDT + 8 * n, 8, descriptor)
    state.cr0, state.cr3 = S.PE | S.PG, TABLES
    state.gdtr_base, state.gdtr_limit, state.idtr_base, state.idtr_limit = GDT, 0x17, IDT, 0x7FF
    for number in range(6):
        state.set_segment(number, 0x10, 0, 0xFFFF_FFFF, 0xC093)
    state.set_segment(S.CS, 8, 0, 0xFFFF_FFFF, 0xC09B)
    state.regs[4], state.rip = STACK, 0x1234
    for vector in range(256):
        gate(core, vector, PRESENT)
    core.memory.flush()
    return core


def gate(core: Core, vector: int, kind: int, selector: int = 8) -> None:
    handler = HANDLERS + 16 * vector
    core.memory.physical.write(IDT + 8 * vector, 8, handler >> 16 << 48 | kind << 32 | selector << 16 | handler & 0xFFFF)  # type: ignore[attr-defined]


def went(core: Core) -> int:
    """Whose handler the processor is in."""
    return (core.state.rip - HANDLERS) // 16




def broken(core: Core, vector: int, second: str) -> None:
    """See to it that delivering `vector` meets #NP (its gate is absent), #GP (it is no gate), #TS, #SS or #PF."""
    if second == "np":
        gate(core, vector, ABSENT)
    elif second == "gp":
        gate(core, vector, 0)
    elif second == "pf":
        gate(core, vector, PRESENT, 0x18)  # a descriptor that lies in a page that is not there
        core.state.gdtr_base, core.state.gdtr_limit = 0x40_0000 - 0x18, 0xFFFF
        for n, descriptor in enumerate((0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)):
            core.memory.physical.write(0x40_0000 - 0x18 + 8 * n, 8, descriptor)  # type: ignore[attr-defined]


SECONDS = {"np": NP, "gp": 13, "pf": PF}


@pytest.mark.parametrize("second", SECONDS)
@pytest.mark.parametrize("first", VECTORS)
def test_pairs(first: int, second: str) -> None:
    core = machine()
    broken(core, first, second)
    result = raised(core, Fault(first, 0, core.state.rip, "first"))
    then = SECONDS[second]
    if first == DF:
        assert isinstance(result, Shutdown) and result.first.vector == DF
    elif (first in CONTRIBUTORY and then in CONTRIBUTORY) or (first == PF and (then in CONTRIBUTORY or then == PF)):
        assert result is None and went(core) == DF
        assert core.memory.load(core.state.regs[4], 4) == 0  # the error code
    else:
        assert result is None and went(core) == then


@pytest.mark.parametrize("second", SECONDS)
def test_triple(second: str) -> None:
    """A gate that is broken, and the double fault's is too: the end, and what began it."""
    core, first = machine(), PF if second == "pf" else 13
    broken(core, first, second)
    gate(core, DF, ABSENT)
    result = raised(core, Fault(first, 0, core.state.rip, "first"))
    assert isinstance(result, Shutdown) and result.first.message == "first"


@pytest.mark.parametrize("source", [0x20, 2])
def test_interrupts_are_benign(source: int) -> None:
    """What is met while an interrupt from outside is delivered is its own, with the EXT bit in its code."""
    core = machine()
    gate(core, source, ABSENT)
    assert interrupt(core, source) is None
    assert went(core) == NP and core.memory.load(core.state.regs[4], 4) == source * 8 + 3


def test_third_exception_meets_the_second() -> None:
    """#DE is delivered, whose #PF is delivered, whose #NP makes it a double fault: classes are looked at pair by pair."""
    core = machine()
    broken(core, 1, "pf")  # benign first
    gate(core, PF, ABSENT)
    assert raised(core, Fault(1, None, core.state.rip, "first")) is None
    assert went(core) == DF


@pytest.mark.parametrize(("vector", "code", "source", "word"), [
    (14, 2, HARDWARE, 0x8000_0B0E), (6, None, HARDWARE, 0x8000_0306), (2, None, OUTSIDE, 0x8000_0202), (0x30, None, OUTSIDE, 0x8000_0030), (0x80, None, SOFTWARE, 0x8000_0480),
])  # fmt: skip
def test_vectoring(vector: int, code: int | None, source: int, word: int) -> None:
    """Where a delivery ends by an exit, what was delivered is known as VMX tells it."""
    core = machine()
    core.state.cr0 &= ~S.PG
    core.state.idtr_base = 0x1000_0000
    core.memory.flush()
    with pytest.raises(Exited) as exited:
        deliver(core, vector, code, source)
    assert isinstance(exited.value.exit, Outside) and core.vectoring is not None and core.vectoring.word == word


def test_nothing_is_kept_of_a_failed_delivery() -> None:
    """Registers and stack are as before where the frame cannot be pushed."""
    core = machine()
    core.state.regs[4] = 0x40_0004  # the last push is on the page that is there, the first is not
    before: Any = core.state.copy()
    result = raised(core, Fault(6, None, core.state.rip, "first"))
    assert isinstance(result, Shutdown)  # #UD, then #PF, whose #PF is a double fault, whose #PF ends it
    after = core.state
    assert after.regs[4] == before.regs[4] and after.rip == before.rip and after.rflags == before.rflags
