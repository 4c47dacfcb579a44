"""x87, SSE and AVX state in memory: FXSAVE FXRSTOR, XSAVE XSAVEOPT XSAVEC XRSTOR, XGETBV.

Intel SDM volume 1, 10.5 and 13.4 to 13.11, and volume 2; where it leaves the choice, as AMD's processors do (AMD APM volume 2, 11.4.4): the
pointers to the last x87 instruction are stored only while an exception is pending, and a component is in use where its bits say so.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Memory
from tanken.isa.x86.semantics.execution import GP, Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.x87_stack import Fpu
from tanken.isa.x86.semantics.x87_state import POINTERS, _summary, status_word
from tanken.isa.x86.state import (
    FPU_CONTROL,
    FPU_CS,
    FPU_DP,
    FPU_DS,
    FPU_IP,
    FPU_OPCODE,
    FPU_STATUS,
    FPU_TOP,
    FPU_VALID,
    MXCSR,
    RAX,
    RCX,
    RDX,
    UPPER,
    XMM,
)  # fmt: skip

X87, SSE, AVX = 1, 2, 4
ENABLED = X87 | SSE | AVX  # XCR0
HEADER, UPPER_AREA = 512, 576
COMPACT = 1 << 63
MXCSR_MASK = 0xFFFF


def _area(x: Execution, multiple: int, last: int) -> Value:
    """The address, checked; a fault for its last byte comes before any change."""
    operand = x.operands[0]
    assert isinstance(operand, Memory)
    x.no_operand_prefix()
    address = x.address(operand)
    x.fault(GP, f"an area that is no multiple of {multiple}", ~(address & multiple - 1).is_zero(), 0)
    x.machine.load(address + last, 1)
    return address


def _is_wide(x: Execution) -> bool:
    return x.mnemonic.endswith("64")


def _vectors(x: Execution) -> list[int]:
    """Numbers of the vector registers that the mode has."""
    return list(range(16 if x.inst.mode == 64 else 8))


# -- saving ----------------------------------------------------------------------------------------------------------------------


def _store_x87(x: Execution, address: Value) -> None:
    machine, fpu = x.machine, Fpu(x, waits=False, steers=True)
    for number in range(8):
        machine.store(address + (32 + 16 * number), fpu.raw(number).zext(128))
    pending = fpu.status.bit(7)
    opcode, at, data = (pending.select(x.get(place), x.constant(0, place.width)) for place in (FPU_OPCODE, FPU_IP, FPU_DP))
    if not _is_wide(x):
        code, segment = (pending.select(x.get(place), x.constant(0, 16)).zext(32) for place in (FPU_CS, FPU_DS))
        at, data = at.trunc(32).below_high(code), data.trunc(32).below_high(segment)
    machine.store(address + 8, at)
    machine.store(address + 16, data)
    head = x.get(FPU_CONTROL).zext(64) | status_word(x).zext(64) << 16 | x.get(FPU_VALID).zext(64) << 32
    machine.store(address, head | opcode.zext(64) << 48)


def _store_mxcsr(x: Execution, address: Value) -> None:
    x.machine.store(address + 24, x.constant(MXCSR_MASK, 32).zext(64) << 32 | x.get(MXCSR).zext(64))


def _store_sse(x: Execution, address: Value) -> None:
    for number in _vectors(x):
        x.machine.store(address + (160 + 16 * number), x.get(XMM[number]))


def _store_upper(x: Execution, address: Value) -> None:
    for number in _vectors(x):
        x.machine.store(address + (UPPER_AREA + 16 * number), x.get(UPPER[number]))


@semantic("fxsave", "fxsave64")
def fxsave(x: Execution) -> None:
    """416 bytes; the rest of the 512 is left alone."""
    address = _area(x, 16, 511)
    _store_sse(x, address)
    _store_mxcsr(x, address)
    _store_x87(x, address)


def _in_use(x: Execution) -> Value:
    """XINUSE, without MXCSR's say."""
    stack = x.constant(0, 80)
    for number in range(8):
        stack = stack | x.machine.get_at("st", x.constant(number, 3), 80)
    word = x.get(FPU_STATUS) | x.get(FPU_TOP).zext(16) | x.get(FPU_VALID).zext(16) | x.get(FPU_CONTROL) ^ 0x37F
    vectors, upper = x.constant(0, 128), x.constant(0, 128)
    for number in _vectors(x):
        vectors, upper = vectors | x.get(XMM[number]), upper | x.get(UPPER[number])
    x87 = ~stack.is_zero() | ~word.is_zero()
    return x87.zext(64) | (~vectors.is_zero()).zext(64) << 1 | (~upper.is_zero()).zext(64) << 2


def _wanted(x: Execution) -> Value:
    """RFBM: EDX:EAX and XCR0."""
    return (x.register(RAX, 32).read() & ENABLED).zext(64)


def _save_parts(x: Execution, address: Value, parts: Value, mxcsr: Value) -> None:
    x.when(parts.bit(2), lambda: _store_upper(x, address))
    x.when(parts.bit(1), lambda: _store_sse(x, address))
    x.when(mxcsr, lambda: _store_mxcsr(x, address))
    x.when(parts.bit(0), lambda: _store_x87(x, address))


@semantic("xsave", "xsave64", "xsaveopt", "xsaveopt64")
def xsave(x: Execution) -> None:
    """The optimised forms leave out what is in its initial state."""
    address = _area(x, 64, UPPER_AREA - 1)
    wanted, in_use = _wanted(x), _in_use(x)
    old = x.machine.load(address + HEADER, 8)
    parts = wanted & in_use if x.mnemonic.startswith("xsaveopt") else wanted
    _save_parts(x, address, parts, wanted.bit(1) | wanted.bit(2))
    x.machine.store(address + HEADER, old & ~wanted | wanted & in_use)


@semantic("xsavec", "xsavec64")
def xsavec(x: Execution) -> None:
    """Compacted; with these three components that moves nothing. MXCSR belongs to SSE."""
    address = _area(x, 64, UPPER_AREA - 1)
    wanted = _wanted(x)
    in_use = _in_use(x) | (~x.get(MXCSR).equals(0x1F80)).zext(64) << 1
    parts = wanted & in_use
    _save_parts(x, address, parts, parts.bit(1))
    x.machine.store(address + HEADER, parts)
    x.machine.store(address + HEADER + 8, wanted | COMPACT)


# -- restoring -------------------------------------------------------------------------------------------------------------------


def _load_x87(x: Execution, address: Value) -> None:
    machine = x.machine
    head = machine.load(address, 8)
    control, status = head.trunc(16) & 0x1F7F | 0x40, head.bits(16, 16)
    top = status.bits(11, 3)
    for number in range(8):
        machine.set_at("st", top + number, machine.load(address + (32 + 16 * number), 10))
    x.set(FPU_CONTROL, control)
    x.set(FPU_STATUS, _summary(status & ~0x3800, control))
    x.set(FPU_TOP, top)
    x.set(FPU_VALID, head.bits(32, 8))
    at, data = machine.load(address + 8, 8), machine.load(address + 16, 8)
    zero, wide = x.constant(0, 16), _is_wide(x)
    x.set(FPU_OPCODE, head.bits(48, 11).zext(16))
    x.set(FPU_IP, at if wide else at.trunc(32).zext(64))
    x.set(FPU_DP, data if wide else data.trunc(32).zext(64))
    x.set(FPU_CS, zero if wide else at.bits(32, 16))
    x.set(FPU_DS, zero if wide else data.bits(32, 16))


def _checked_mxcsr(x: Execution, address: Value, condition: Value) -> Value:
    mxcsr = x.machine.load(address + 24, 4)
    x.fault(GP, "reserved bits of MXCSR", condition & ~(mxcsr & ~MXCSR_MASK).is_zero(), 0)
    return mxcsr


def _load_sse(x: Execution, address: Value) -> None:
    for number in _vectors(x):
        x.set(XMM[number], x.machine.load(address + (160 + 16 * number), 16))


@semantic("fxrstor", "fxrstor64")
def fxrstor(x: Execution) -> None:
    address = _area(x, 16, 511)
    mxcsr = _checked_mxcsr(x, address, x.constant(1, 1))
    _load_x87(x, address)
    _load_sse(x, address)
    x.set(MXCSR, mxcsr)


def _forget_x87(x: Execution) -> None:
    top = x.get(FPU_TOP)
    for number in range(8):
        x.machine.set_at("st", top + number, x.constant(0, 80))
    x.set(FPU_CONTROL, x.constant(0x37F, 16))
    for place in (FPU_STATUS, FPU_TOP, FPU_VALID, *POINTERS):
        x.set(place, x.constant(0, place.width))


def _clear(x: Execution, upper: bool) -> None:
    for number in _vectors(x):
        x.set((UPPER if upper else XMM)[number], x.constant(0, 128))


def _load_upper(x: Execution, address: Value) -> None:
    for number in _vectors(x):
        x.set(UPPER[number], x.machine.load(address + (UPPER_AREA + 16 * number), 16))


@semantic("xrstor", "xrstor64")
def xrstor(x: Execution) -> None:
    """The standard and the compacted form; components that the area does not have become what they initially are."""
    address = _area(x, 64, UPPER_AREA - 1)
    there, form = x.machine.load(address + HEADER, 8), x.machine.load(address + HEADER + 8, 8)
    compact, wanted = form.bit(63), _wanted(x)
    rest = x.machine.load(address + HEADER + 16, 48)
    bad = compact.select(~(form & ~(COMPACT | ENABLED)).is_zero() | ~(there & ~form).is_zero(), ~form.is_zero() | ~(there & ~ENABLED).is_zero())
    x.fault(GP, "an XSAVE header with reserved bits", bad | ~compact.select(rest, rest & (1 << 64) - 1).is_zero(), 0)
    parts, empty = wanted & there, wanted & ~there
    reads = compact.select(parts.bit(1), wanted.bit(1) | wanted.bit(2))
    mxcsr = _checked_mxcsr(x, address, reads)
    x.when(parts.bit(2), lambda: _load_upper(x, address))
    x.when(empty.bit(2), lambda: _clear(x, True))
    x.when(parts.bit(1), lambda: _load_sse(x, address))
    x.when(empty.bit(1), lambda: _clear(x, False))
    x.when(reads, lambda: x.set(MXCSR, mxcsr))
    x.when(compact & empty.bit(1), lambda: x.set(MXCSR, x.constant(0x1F80, 32)))
    x.when(parts.bit(0), lambda: _load_x87(x, address))
    x.when(empty.bit(0), lambda: _forget_x87(x))


@semantic("xgetbv")
def xgetbv(x: Execution) -> None:
    """XCR0, or with ECX 1 what of it is in use."""
    x.no_operand_prefix()
    which = x.register(RCX, 32).read()
    x.fault(GP, "there are extended control registers 0 and 1", ~which.below(2), 0)
    in_use = _in_use(x).trunc(32)
    x.register(RAX, 32).write(which.is_zero().select(ENABLED, in_use))
    x.register(RDX, 32).write(x.constant(0, 32))
