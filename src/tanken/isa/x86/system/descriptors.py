"""Descriptors: found in their tables, taken apart, checked, and put into segment registers; LLDT, LTR, LAR, LSL, VERR, VERW.

Intel SDM volume 3, 3.4.5 (segment descriptors), 3.5 (system descriptors), 5.5 to 5.8 (checks), and volume 2 by instruction.
"""

from __future__ import annotations

from dataclasses import dataclass

from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import GP, NP, SS, Core

ACCESSED = 1
CODE, CONFORMING, READ_CODE, WRITE_DATA, EXPAND_DOWN = 8, 4, 2, 2, 4
TSS16, LDT, TSS16_BUSY, CALL16, TASK_GATE, INT16, TRAP16, TSS32, TSS32_BUSY, CALL32, INT32, TRAP32 = 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 14, 15
BUSY = 2


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor of 8 bytes (`high`: the next 8, of system descriptors in long mode) at the linear address `at`."""

    raw: int
    at: int
    high: int = 0

    @property
    def rights(self) -> int:
        return self.raw >> 40 & 0xF0FF

    @property
    def type(self) -> int:
        return self.raw >> 40 & 15

    @property
    def is_segment(self) -> bool:
        """Whether it is code or data."""
        return bool(self.raw >> 44 & 1)

    @property
    def is_code(self) -> bool:
        return bool(self.is_segment and self.type & CODE)

    @property
    def conforming(self) -> bool:
        return bool(self.type & CONFORMING)

    @property
    def dpl(self) -> int:
        return self.raw >> 45 & 3

    @property
    def present(self) -> bool:
        return bool(self.raw >> 47 & 1)

    @property
    def base(self) -> int:
        return self.raw >> 16 & 0xFF_FFFF | self.raw >> 32 & 0xFF00_0000 | (self.high & 0xFFFF_FFFF) << 32

    @property
    def limit(self) -> int:
        limit = self.raw & 0xFFFF | self.raw >> 32 & 0xF_0000
        return limit << 12 | 0xFFF if self.raw >> 55 & 1 else limit

    # of gates

    @property
    def selector(self) -> int:
        return self.raw >> 16 & 0xFFFF

    @property
    def offset(self) -> int:
        return self.raw & 0xFFFF | self.raw >> 32 & 0xFFFF_0000 | (self.high & 0xFFFF_FFFF) << 32


def table_of(core: Core, selector: int) -> tuple[int, int]:
    """Base and limit of the table that the selector names; a missing local table has the limit -1."""
    state = core.state
    if not selector & 4:
        return state.gdtr_base, state.gdtr_limit
    if state.ldtr_rights & S.R_UNUSABLE:
        return 0, -1
    return state.ldtr_base, state.ldtr_limit


def find(core: Core, selector: int) -> Descriptor | None:
    """The descriptor of a selector that is not null, None where it is beyond its table."""
    base, limit = table_of(core, selector)
    if (selector & 0xFFF8) + 7 > limit:
        return None
    at = base + (selector & 0xFFF8) & (S.NOWHERE - 1)
    return Descriptor(core.load_system(at, 8), at)


def read(core: Core, selector: int, vector: int = GP, external: int = 0) -> Descriptor:
    """The same, a fault where there is none."""
    found = find(core, selector)
    if found is None:
        core.fault(vector, selector & 0xFFFC | external, "a selector beyond its table")
    return found


def upper_half(core: Core, descriptor: Descriptor, selector: int, vector: int = GP) -> Descriptor:
    """A system descriptor with its second half, in long mode."""
    if not core.state.efer & S.LMA:
        return descriptor
    base, limit = table_of(core, selector)
    if (selector & 0xFFF8) + 15 > limit:
        core.fault(vector, selector & 0xFFFC, "a descriptor of 16 bytes beyond its table")
    high = core.load_system(descriptor.at + 8, 8)
    if high >> 40 & 0x1F:
        core.fault(vector, selector & 0xFFFC, "a descriptor of 16 bytes whose upper half has a type")
    return Descriptor(descriptor.raw, descriptor.at, high)


def mark_accessed(core: Core, descriptor: Descriptor, bits: int = ACCESSED) -> Descriptor:
    """Set the accessed (of a TSS the busy) bit in memory."""
    if descriptor.raw >> 40 & bits != bits:
        core.store_system(descriptor.at + 5, 1, descriptor.raw >> 40 & 0xFF | bits)
    return Descriptor(descriptor.raw | bits << 40, descriptor.at, descriptor.high)


def put(core: Core, number: int, selector: int, descriptor: Descriptor) -> None:
    """Into a segment register, checked before."""
    core.state.set_segment(number, selector, descriptor.base, descriptor.limit, descriptor.rights)


def load_segment(core: Core, number: int, selector: int) -> None:
    """MOV, POP, LSS and the others to a data segment register."""
    state = core.state
    if state.real or state.virtual:
        return state.load_real(number, selector)
    if not selector & 0xFFFC:
        null_segment(core, number, selector)
        return
    descriptor = read(core, selector)
    if number == S.SS:
        check_stack(core, selector, descriptor, state.cpl, GP)
    else:
        readable_code = descriptor.is_code and descriptor.type & READ_CODE
        if not descriptor.is_segment or (descriptor.is_code and not readable_code):
            core.fault(GP, selector & 0xFFFC, "a segment that cannot be read")
        privilege = max(selector & 3, state.cpl)
        if not (descriptor.is_code and descriptor.conforming) and privilege > descriptor.dpl:
            core.fault(GP, selector & 0xFFFC, "a segment of higher privilege")
        if not descriptor.present:
            core.fault(NP, selector & 0xFFFC, "a segment that is not present")
    put(core, number, selector, mark_accessed(core, descriptor))


def null_segment(core: Core, number: int, selector: int) -> None:
    """A null selector makes a segment unusable; SS takes it only in 64-bit mode below privilege level 3."""
    state = core.state
    if number == S.SS and (state.mode != 64 or state.cpl == 3 or selector & 3 != state.cpl):
        core.fault(GP, 0, "a null selector for the stack")
    rights = S.R_UNUSABLE | (state.cpl << 5 if number == S.SS else 0)
    base = state.base(number) if number < 4 else 0
    state.set_segment(number, selector, base, state.limits[number], rights)


def check_stack(core: Core, selector: int, descriptor: Descriptor, cpl: int, vector: int, external: int = 0) -> None:
    """The checks of a stack segment for a privilege level; `vector` is GP for a load, TS for a new stack."""
    code = selector & 0xFFFC | external
    if selector & 3 != cpl or descriptor.dpl != cpl:
        core.fault(vector, code, "a stack segment of another privilege level")
    if not descriptor.is_segment or descriptor.is_code or not descriptor.type & WRITE_DATA:
        core.fault(vector, code, "a stack segment that cannot be written")
    if not descriptor.present:
        core.fault(SS, code, "a stack segment that is not present")


def check_code(core: Core, selector: int, descriptor: Descriptor, cpl: int, rpl_matters: bool = True) -> None:
    """The checks of a code segment that a JMP or CALL goes to directly."""
    code = selector & 0xFFFC
    if not descriptor.is_code:
        core.fault(GP, code, "no code segment")
    if descriptor.conforming:
        if descriptor.dpl > cpl:
            core.fault(GP, code, "a conforming segment of lower privilege")
    elif descriptor.dpl != cpl or (rpl_matters and selector & 3 > cpl):
        core.fault(GP, code, "a code segment of another privilege level")
    check_long_code(core, selector, descriptor)
    if not descriptor.present:
        core.fault(NP, code, "a code segment that is not present")


def check_long_code(core: Core, selector: int, descriptor: Descriptor, external: int = 0) -> None:
    """L and D together are reserved in long mode."""
    if core.state.efer & S.LMA and descriptor.rights & S.R_L and descriptor.rights & S.R_DB:
        core.fault(GP, selector & 0xFFFC | external, "a code segment of 64 and of 32 bits")


# -- LLDT, LTR and the instructions that ask -----------------------------------------------------------------------------------


def lldt(core: Core, selector: int) -> None:
    state = core.state
    if not selector & 0xFFFC:
        state.ldtr, state.ldtr_rights = selector, S.R_UNUSABLE
        return
    if selector & 4:
        core.fault(GP, selector & 0xFFFC, "a local table in a local table")
    descriptor = read(core, selector)
    if descriptor.is_segment or descriptor.type != LDT:
        core.fault(GP, selector & 0xFFFC, "no local descriptor table")
    if not descriptor.present:
        core.fault(NP, selector & 0xFFFC, "a local table that is not present")
    descriptor = upper_half(core, descriptor, selector)
    state.ldtr, state.ldtr_base, state.ldtr_limit, state.ldtr_rights = selector, descriptor.base, descriptor.limit, descriptor.rights


def ltr(core: Core, selector: int) -> None:
    state = core.state
    if not selector & 0xFFFC:
        core.fault(GP, 0, "a null selector for the task")
    if selector & 4:
        core.fault(GP, selector & 0xFFFC, "a task state segment in a local table")
    descriptor = read(core, selector)
    if descriptor.is_segment or descriptor.type not in (TSS16, TSS32) or (state.efer & S.LMA and descriptor.type != TSS32):
        core.fault(GP, selector & 0xFFFC, "no available task state segment")
    if not descriptor.present:
        core.fault(NP, selector & 0xFFFC, "a task state segment that is not present")
    descriptor = mark_accessed(core, upper_half(core, descriptor, selector), BUSY)
    state.tr, state.tr_base, state.tr_limit, state.tr_rights = selector, descriptor.base, descriptor.limit, descriptor.rights


LAR_TYPES = {False: frozenset((TSS16, LDT, TSS16_BUSY, CALL16, TASK_GATE, TSS32, TSS32_BUSY, CALL32)), True: frozenset((LDT, TSS32, TSS32_BUSY, CALL32))}
LSL_TYPES = {False: frozenset((TSS16, LDT, TSS16_BUSY, TSS32, TSS32_BUSY)), True: frozenset((LDT, TSS32, TSS32_BUSY))}


def seen(core: Core, selector: int, types: dict[bool, frozenset[int]]) -> Descriptor | None:
    """The descriptor if LAR or LSL may tell of it."""
    if not selector & 0xFFFC:
        return None
    descriptor = find(core, selector)
    if descriptor is None or (not descriptor.is_segment and descriptor.type not in types[bool(core.state.efer & S.LMA)]):
        return None
    free = descriptor.is_code and descriptor.conforming
    if not free and max(core.state.cpl, selector & 3) > descriptor.dpl:
        return None
    return descriptor


def may_access(core: Core, selector: int, write: bool) -> bool:
    """VERR and VERW."""
    if not selector & 0xFFFC:
        return False
    descriptor = find(core, selector)
    if descriptor is None or not descriptor.is_segment:
        return False
    free = descriptor.is_code and descriptor.conforming
    if not free and max(core.state.cpl, selector & 3) > descriptor.dpl:
        return False
    if write:
        return not descriptor.is_code and bool(descriptor.type & WRITE_DATA)
    return not descriptor.is_code or bool(descriptor.type & READ_CODE)
