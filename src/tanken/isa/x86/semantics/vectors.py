"""Vector operands of the SSE and MMX families: reading with the alignment check, taking apart into lanes and joining again.

Intel SDM volume 1, 10.4.1 and volume 3, 6.15 (#GP): legacy SSE faults on a 16-byte memory operand that is not aligned, unless the
instruction is a move for unaligned data. MMX forms of the same instructions work on 64 bits and need no alignment.
"""

from __future__ import annotations

from collections.abc import Sequence

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Memory, Register
from tanken.isa.x86.semantics.execution import GP, MF, Execution, Location
from tanken.isa.x86.state import FPU_STATUS, FPU_TOP, FPU_VALID


def vector(x: Execution, number: int, aligned: bool = True) -> Location:
    """The operand as a vector of its own size."""
    operand = x.operands[number]
    place = x.location(number)
    if aligned and isinstance(operand, Memory) and place.width == 128 and not x.clears_upper:
        x.fault(GP, "a 16-byte operand at an address that is no multiple of 16", ~(x.address(operand) & 15).is_zero(), 0)
    return place


def uses_mmx(x: Execution) -> bool:
    """Whether an MMX register is among the operands."""
    return any(isinstance(operand, Register) and operand.file == "mm" for operand in x.operands)


def aligned(x: Execution, number: int) -> Location:
    """The operand of a move for aligned data: memory of 16 or 32 bytes at a multiple of them."""
    operand, place = x.operands[number], x.location(number)
    if isinstance(operand, Memory):
        size = place.width // 8
        x.fault(GP, f"a {size}-byte operand at an address that is no multiple of {size}", ~(x.address(operand) & size - 1).is_zero(), 0)
    return place


def wait_for_x87(x: Execution) -> None:
    x.fault(MF, "an x87 exception is pending", x.get(FPU_STATUS).bit(7))


def enter_mmx(x: Execution) -> None:
    """Any MMX instruction but EMMS turns the x87 stack into eight used registers with TOP 0 (SDM volume 1, 9.5.2); it waits."""
    wait_for_x87(x)
    x.set(FPU_TOP, x.constant(0, 3))
    x.set(FPU_VALID, x.constant(255, 8))


def split(value: Value, lane: int) -> list[Value]:
    """The lanes, lowest first."""
    return [value.bits(low, lane) for low in range(0, value.width, lane)]


def join(lanes: Sequence[Value]) -> Value:
    """One value of the lanes, lowest first."""
    width = sum(lane.width for lane in lanes)
    result, low = lanes[0].zext(width), lanes[0].width
    for lane in lanes[1:]:
        result = result | lane.zext(width) << low
        low += lane.width
    return result
