"""x87 state: control and status words, the stack's pointer, FXAM, FCMOVcc.

Intel SDM volume 1, 8.1, and volume 2.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.flags import condition
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.vectors import wait_for_x87
from tanken.isa.x86.semantics.x87 import numbers
from tanken.isa.x86.semantics.x87_numbers import BUSY, C0, C1, C2, C3, ERROR, FUNCTIONS, NAN
from tanken.isa.x86.semantics.x87_stack import Fpu
from tanken.isa.x86.state import FPU_CONTROL, FPU_CS, FPU_DP, FPU_DS, FPU_IP, FPU_OPCODE, FPU_STATUS, FPU_TOP, FPU_VALID

POINTERS = (FPU_OPCODE, FPU_IP, FPU_CS, FPU_DP, FPU_DS)
CONDITION = {"b": "b", "e": "e", "be": "be", "u": "p", "nb": "ae", "ne": "ne", "nbe": "a", "nu": "np"}


def _summary(status: Value, control: Value) -> Value:
    """The status word with its summary of unmasked exceptions as the control word has it."""
    pending = ~(status & ~control & 63).is_zero()
    return pending.select(status | (ERROR | BUSY), status & ~(ERROR | BUSY))


@semantic("fldcw")
def fldcw(x: Execution) -> None:
    Fpu(x, steers=True)
    control = x.location(0).read() & 0x1F7F | 0x40
    x.set(FPU_CONTROL, control)
    x.set(FPU_STATUS, _summary(x.get(FPU_STATUS), control))


@semantic("fnstcw")
def fnstcw(x: Execution) -> None:
    x.location(0).write(x.get(FPU_CONTROL))


def status_word(x: Execution) -> Value:
    return x.get(FPU_STATUS) | x.get(FPU_TOP).zext(16) << 11


@semantic("fnstsw")
def fnstsw(x: Execution) -> None:
    x.location(0).write(status_word(x))


@semantic("fninit")
def fninit(x: Execution) -> None:
    reset(x)


def reset(x: Execution) -> None:
    """What FNINIT leaves; the registers keep their bits but are empty."""
    x.set(FPU_CONTROL, x.constant(0x37F, 16))
    for place in (FPU_STATUS, FPU_TOP, FPU_VALID, *POINTERS):
        x.set(place, x.constant(0, place.width))


@semantic("fnclex")
def fnclex(x: Execution) -> None:
    x.set(FPU_STATUS, x.get(FPU_STATUS) & 0x7F00)


@semantic("fwait")
def fwait(x: Execution) -> None:
    wait_for_x87(x)


@semantic("fnop")
def fnop(x: Execution) -> None:
    Fpu(x).end(mask=0)


@semantic("fincstp", "fdecstp")
def turn(x: Execution) -> None:
    fpu = Fpu(x)
    fpu.top = fpu.top + (1 if x.mnemonic == "fincstp" else -1)
    fpu.end()


@semantic("ffree", "ffreep")
def free(x: Execution) -> None:
    fpu = Fpu(x)
    fpu.valid = fpu.valid & ~(x.constant(1, 8) << fpu.index(numbers(x)[0]).zext(8))
    if x.mnemonic == "ffreep":
        fpu.pop()
    fpu.end()


@semantic(*("fcmov" + name for name in CONDITION))
def conditional_move(x: Execution) -> None:
    """C1 stays, a stack fault apart."""
    fpu = Fpu(x)
    other = numbers(x)[-1]
    usable = fpu.need(0, other)
    holds = condition(x, CONDITION[x.mnemonic[5:]])
    fpu.write(0, usable.select(holds.select(fpu.raw(other), fpu.raw(0)), x.constant(NAN, 80)))
    fpu.keep_c1()
    fpu.end(mask=0)


@semantic("fxam")
def fxam(x: Execution) -> None:
    """An empty register has the sign of what stands in it."""
    fpu = Fpu(x)
    value = fpu.raw(0)
    (conditions,) = x.machine.apply(FUNCTIONS["x87_class"], (16,), value)
    empty = value.sign().zext(16) << 9 | (C3 | C0)
    fpu.end(fpu.is_valid(0).select(conditions, empty), C0 | C1 | C2 | C3)
