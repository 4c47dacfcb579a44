"""Segments: loading selectors, far transfers, and what may be asked about descriptors: LAR LSL VERR VERW.

Intel SDM volume 2 and volume 3, chapter 3. A user program has the descriptors that Linux gives it (arch/x86/include/asm/segment.h): flat
code of 32 and 64 bits, flat data, and one whose limit is the number of the processor. None of them has a local table.
"""

from __future__ import annotations

from dataclasses import dataclass

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Far, Memory
from tanken.isa.x86.semantics.execution import GP, UD, Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import FS_BASE, GS_BASE, SEGMENT, ZF

SS, FS, GS = 2, 4, 5


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What LAR and LSL tell of a selector, without its privilege level."""

    selector: int
    rights: int
    limit: int
    writable: bool = False


DESCRIPTORS = (
    Descriptor(0x20, 0xCFFB00, 0xFFFF_FFFF), Descriptor(0x28, 0xCFF300, 0xFFFF_FFFF, True),
    Descriptor(0x30, 0xAFFB00, 0xFFFF_FFFF), Descriptor(0x78, 0x40F500, 0),
)  # fmt: skip
USER_CODE, USER_DATA = {16: 0x23, 32: 0x23, 64: 0x33}, 0x2B


def _is(selector: Value, descriptor: Descriptor) -> Value:
    return (selector & 0xFFFC).equals(descriptor.selector)


def code_of(selector: Value) -> Value:
    """The error code of an exception over a selector (SDM volume 3, 6.13)."""
    return selector & 0xFFFC


def load_segment(x: Execution, number: int, selector: Value) -> None:
    """Put a selector into a segment register; FS and GS then begin at 0. SS takes only the writable segment, at privilege level 3."""
    usable = (selector & 0xFFFC).is_zero()
    for descriptor in DESCRIPTORS:
        usable = usable | _is(selector, descriptor)
    if number == SS:
        usable = selector.equals(USER_DATA)
    x.fault(GP, "no such segment", ~usable, code_of(selector))
    x.set(SEGMENT[number], selector)
    if number in (FS, GS):
        x.set(FS_BASE if number == FS else GS_BASE, x.constant(0, 64))


@semantic("lss", "lds", "les", "lfs", "lgs")
def load_far(x: Execution) -> None:
    """An offset and above it a selector, which must be one that can be loaded."""
    target, number = x.location(0), {"e": 0, "s": 2, "d": 3, "f": 4, "g": 5}[x.mnemonic[1]]
    pointer = x.location(1, target.width + 16).read()
    load_segment(x, number, pointer.bits(target.width, 16))
    target.write(pointer.trunc(target.width))


@semantic("lar", "lsl")
def describe(x: Execution) -> None:
    target, selector = x.location(0), x.location(1, 16).read()
    result, found = target.read(), x.constant(0, 1)
    for descriptor in DESCRIPTORS:
        value = descriptor.rights if x.mnemonic == "lar" else descriptor.limit
        matches = _is(selector, descriptor)
        result, found = matches.select(value, result), found | matches
    x.when(found, lambda: target.write(result))
    x.set(ZF, found)


@semantic("verr", "verw")
def verify(x: Execution) -> None:
    selector, found = x.location(0, 16).read(), x.constant(0, 1)
    for descriptor in DESCRIPTORS:
        if descriptor.writable or x.mnemonic == "verr":
            found = found | _is(selector, descriptor)
    x.set(ZF, found)


def check_code(x: Execution, selector: Value) -> None:
    """Far transfers stay in the program's own code segment: a change of mode is not supported."""
    x.fault(GP, "no other code segment to go to", ~(selector.trunc(16) | 3).equals(USER_CODE[x.inst.mode]), code_of(selector.trunc(16)))


def far_target(x: Execution) -> Value:
    """Where a far JMP or CALL goes on, its selector checked."""
    operand = x.operands[0]
    if isinstance(operand, Far):
        offset, selector = x.constant(operand.offset, 64), x.constant(operand.selector, 16)
    else:
        pointer = x.location(0, x.width + 16).read()
        offset, selector = pointer.trunc(x.width).zext(64), pointer.bits(x.width, 16)
    check_code(x, selector)
    return offset


def is_far(x: Execution) -> bool:
    """Whether a JMP or CALL names a segment too."""
    return isinstance(x.operands[0], Far) or (x.inst.row is not None and "far" in x.inst.row.attributes)


def to_segment(x: Execution, number: int) -> None:
    """MOV to a segment register."""
    if number == 1:
        return x.fault(UD, "MOV to CS")
    source = x.operands[1]
    load_segment(x, number, x.location(1, 16 if isinstance(source, Memory) else 0).read().trunc(16))
