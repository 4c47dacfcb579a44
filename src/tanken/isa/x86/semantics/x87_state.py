"""x87 and SSE state: control and status words, the stack's pointer, FXAM, FCMOVcc, FXSAVE and FXRSTOR.

Intel SDM volume 1, 8.1 and 10.5, and volume 2. Instruction and operand pointers are not kept and read as 0.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Memory
from tanken.isa.x86.semantics.execution import GP, Execution
from tanken.isa.x86.semantics.flags import condition
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.x87 import BUSY, C0, C1, C2, C3, ERROR, FUNCTIONS, NAN, Fpu, numbers
from tanken.isa.x86.state import FPU_CONTROL, FPU_STATUS, FPU_TOP, FPU_VALID, MXCSR, XMM

CONDITION = {"b": "b", "e": "e", "be": "be", "u": "p", "nb": "ae", "ne": "ne", "nbe": "a", "nu": "np"}


def _summary(status: Value, control: Value) -> Value:
    """The status word with its summary of unmasked exceptions as the control word has it."""
    pending = ~(status & ~control & 63).is_zero()
    return pending.select(status | (ERROR | BUSY), status & ~(ERROR | BUSY))


@semantic("fldcw")
def fldcw(x: Execution) -> None:
    Fpu(x)
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
    for place, value in ((FPU_CONTROL, 0x37F), (FPU_STATUS, 0), (FPU_TOP, 0), (FPU_VALID, 0)):
        x.set(place, x.constant(value, place.width))


@semantic("fnclex")
def fnclex(x: Execution) -> None:
    x.set(FPU_STATUS, x.get(FPU_STATUS) & 0x7F00)


@semantic("fincstp", "fdecstp")
def turn(x: Execution) -> None:
    fpu = Fpu(x)
    fpu.top = fpu.top + (1 if x.inst.mnemonic == "fincstp" else -1)
    fpu.end()


@semantic("ffree", "ffreep")
def free(x: Execution) -> None:
    fpu = Fpu(x)
    fpu.valid = fpu.valid & ~(x.constant(1, 8) << fpu.index(numbers(x)[0]).zext(8))
    if x.inst.mnemonic == "ffreep":
        fpu.pop()
    fpu.end()


@semantic(*("fcmov" + name for name in CONDITION))
def conditional_move(x: Execution) -> None:
    fpu = Fpu(x)
    other = numbers(x)[-1]
    usable = fpu.need(0, other)
    holds = condition(x, CONDITION[x.inst.mnemonic[5:]])
    fpu.write(0, usable.select(holds.select(fpu.raw(other), fpu.raw(0)), x.constant(NAN, 80)))
    fpu.end()


@semantic("fxam")
def fxam(x: Execution) -> None:
    """An empty register has the sign of what stands in it."""
    fpu = Fpu(x)
    value = fpu.raw(0)
    (conditions,) = x.machine.apply(FUNCTIONS["x87_class"], (16,), value)
    empty = value.sign().zext(16) << 9 | (C3 | C0)
    fpu.end(fpu.is_valid(0).select(conditions, empty), C0 | C1 | C2 | C3)


def _area(x: Execution) -> Value:
    operand = x.operands[0]
    assert isinstance(operand, Memory)
    x.no_operand_prefix()
    address = x.address(operand)
    x.fault(GP, "an FXSAVE area that is no multiple of 16", ~(address & 15).is_zero(), 0)
    x.machine.load(address + 496, 16)
    return address


@semantic("fxsave")
def fxsave(x: Execution) -> None:
    """416 bytes; the rest of the 512 is left alone. The last part is stored first, so that a fault comes before any change."""
    machine, address = x.machine, _area(x)
    for number in reversed(range(16)):
        machine.store(address + (160 + 16 * number), x.get(XMM[number]))
    fpu = Fpu(x, waits=False)
    for number in range(8):
        machine.store(address + (32 + 16 * number), fpu.raw(number).zext(128))
    machine.store(address + 24, x.constant(0xFFFF, 32).zext(64) << 32 | x.get(MXCSR).zext(64))
    machine.store(address + 8, x.constant(0, 128))
    head = x.get(FPU_CONTROL).zext(64) | status_word(x).zext(64) << 16 | x.get(FPU_VALID).zext(64) << 32
    machine.store(address, head)


@semantic("fxrstor")
def fxrstor(x: Execution) -> None:
    machine, address = x.machine, _area(x)
    head, mxcsr = machine.load(address, 8), machine.load(address + 24, 4)
    x.fault(GP, "reserved bits of MXCSR", ~(mxcsr & 0xFFFF_0000).is_zero(), 0)
    control, status = head.trunc(16) & 0x1F7F | 0x40, head.bits(16, 16)
    top = status.bits(11, 3)
    for number in range(8):
        machine.set_at("st", top + number, machine.load(address + (32 + 16 * number), 10))
    for number in range(16):
        x.set(XMM[number], machine.load(address + (160 + 16 * number), 16))
    x.set(MXCSR, mxcsr)
    x.set(FPU_CONTROL, control)
    x.set(FPU_STATUS, _summary(status & ~0x3800, control))
    x.set(FPU_TOP, top)
    x.set(FPU_VALID, head.bits(32, 8))
