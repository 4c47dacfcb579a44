"""How the translator finds what it has: blocks by address, stencils by the key of an instruction; and how it asks for what is missing.

Plain Python and Numba read this source, as they do all that `translate` consists of.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86.kernels.fields import C_FORM, C_IMMEDIATE, C_MEMORY, C_PREFIXES, C_REGISTERS, C_SIZES
from tanken.isa.x86.native import tables as N
from tanken.isa.x86.native import template as P

R_STENCIL, R_LIVE, R_HOST, R_TARGET, R_COUNT, R_LENGTH, R_LEFT, R_HOOK, R_X87 = range(9)  # of a record: one chosen instruction
RECORD = 9


@bare
def hashed(value: int) -> int:
    """Bits of `value` mixed, without a product beyond 63 bits: what LLVM makes of one depends on what it knows around."""
    folded = (value ^ (value >> 23) ^ (value >> 41)) & 0x7FFFFFFF
    return (folded * 0x5BD1E995) >> 9


@bare
def find_block(tab: Sequence[int], pc: int) -> int:
    """The code of the block at `pc`, -1 where there is none."""
    slot = hashed(pc) & (N.BLOCK_SLOTS - 1)
    while tab[N.BLOCKS + 2 * slot] != 0:
        if tab[N.BLOCKS + 2 * slot] == pc + 1:
            return tab[N.BLOCKS + 2 * slot + 1] - 1
        slot = (slot + 1) & (N.BLOCK_SLOTS - 1)
    return -1


@bare
def enter_block(tab: MutableSequence[int], pc: int, at: int) -> None:
    """Remember, or with -1 forget, the code of the block at `pc`."""
    slot = hashed(pc) & (N.BLOCK_SLOTS - 1)
    while tab[N.BLOCKS + 2 * slot] != 0 and tab[N.BLOCKS + 2 * slot] != pc + 1:
        slot = (slot + 1) & (N.BLOCK_SLOTS - 1)
    tab[N.BLOCKS + 2 * slot] = pc + 1
    tab[N.BLOCKS + 2 * slot + 1] = at + 1


@bare
def find_key(tab: Sequence[int], k0: int, k1: int, k2: int) -> int:
    """The number of the stencil with this key, -1 where there is none."""
    slot = hashed(k0 ^ hashed(k1 ^ hashed(k2))) & (N.KEY_SLOTS - 1)
    while tab[N.KEYS + 4 * slot + 3] != 0:
        at = N.KEYS + 4 * slot
        if tab[at] == k0 and tab[at + 1] == k1 and tab[at + 2] == k2:
            return tab[at + 3] - 1
        slot = (slot + 1) & (N.KEY_SLOTS - 1)
    return -1


@bare
def enter_key(tab: MutableSequence[int], k0: int, k1: int, k2: int, number: int) -> int:
    """Give a key its stencil; the slot it stands in."""
    slot = hashed(k0 ^ hashed(k1 ^ hashed(k2))) & (N.KEY_SLOTS - 1)
    while tab[N.KEYS + 4 * slot + 3] != 0:
        slot = (slot + 1) & (N.KEY_SLOTS - 1)
    at = N.KEYS + 4 * slot
    tab[at] = k0
    tab[at + 1] = k1
    tab[at + 2] = k2
    tab[at + 3] = number + 1
    return slot


@bare
def first_key(T: Sequence[int], tab: Sequence[int], row: int, known: int) -> int:
    """Form, sizes, prefixes, register or memory, equal registers, whether a counted shift shifts, whether a segment is named, the width of code."""
    sizes, prefixes, registers = tab[row + C_SIZES], tab[row + C_PREFIXES], tab[row + C_REGISTERS]
    key = tab[row + C_FORM] | (sizes & 15) << 14 | ((sizes >> 8) & 15) << 18 | ((sizes >> 16) & 127) << 22
    key |= ((prefixes >> 16) & 15) << 29
    key |= ((prefixes >> 22) & 1) << 33 | (1 if prefixes & L.SEGMENT else 0) << 44 | tab[N.NARROW] << 45
    reg, rm, vvvv = registers & 255, (registers >> 8) & 255, (registers >> 16) & 255
    flags = T[L.FORMS + tab[row + C_FORM] * L.STRIDE + L.FLAGS]
    has_reg, has_vvvv = flags & L.F_R != 0, flags & L.F_VVVV != 0
    if registers & L.RM_IS_REGISTER or flags & L.F_OPC_REG:
        key |= 1 << 34 | (1 if has_reg and reg == rm else 0) << 35 | (1 if has_vvvv and rm == vvvv else 0) << 36
    key |= (1 if has_reg and has_vvvv and reg == vvvv else 0) << 37
    if known & P.COUNTED:
        mask = 63 if sizes & 15 == 8 else 31
        key |= (1 if tab[row + C_IMMEDIATE] & mask else 0) << 43
    return key


@bare
def second_key(T: Sequence[int], tab: Sequence[int], row: int, known: int) -> int:
    """The shape of the memory operand, and the register numbers that matter."""
    registers, memory = tab[row + C_REGISTERS], tab[row + C_MEMORY]
    flags = T[L.FORMS + tab[row + C_FORM] * L.STRIDE + L.FLAGS]
    base, index, segment = memory & 255, (memory >> 8) & 255, (memory >> 24) & 255
    reg, rm, vvvv = registers & 255, (registers >> 8) & 255, (registers >> 16) & 255
    is_register = registers & L.RM_IS_REGISTER or flags & L.F_OPC_REG
    key = (0 if base == L.NONE else 2 if base == L.RIP else 1) | (0 if index == L.NONE else 1) << 2
    key |= ((memory >> 16) & 3) << 3 | (segment if segment >= 4 or known & P.SEGMENT_MATTERS else 0) << 5
    no_rex = (tab[row + C_PREFIXES] & L.REX) == 0
    concrete = known & P.CONCRETE
    if concrete or known & P.REG_MATTERS or (no_rex and flags & L.F_BYTE_REG and 4 <= reg < 8):
        key |= (reg + 1) << 8
    if is_register and (concrete or known & P.RM_MATTERS or (no_rex and flags & (L.F_BYTE_RM | L.F_BYTE_OPC) and 4 <= rm < 8)):
        key |= (rm + 1) << 14
    if concrete or known & P.VVVV_MATTERS:
        key |= (vvvv + 1) << 20
    if concrete:
        key |= (base & 31) << 26 | (index & 31) << 32
    return key


@bare
def ask(tab: MutableSequence[int], what: int, at: int, k0: int, k1: int, k2: int, second: int, form: int) -> int:
    """Say what is missing."""
    tab[N.NEED] = what
    tab[N.NEED_AT] = at
    tab[N.NEED_KEY] = k0
    tab[N.NEED_KEY1] = k1
    tab[N.NEED_KEY2] = k2
    tab[N.NEED_SECOND] = second
    tab[N.NEED_FORM] = form
    return -1


@bare
def code_end(tab: Sequence[int], pc: int) -> int:
    """Where the executable bytes around `pc` end, -1 where it cannot be executed."""
    for n in range(tab[N.RANGE_COUNT]):
        if tab[N.RANGES + 2 * n] <= pc < tab[N.RANGES + 2 * n + 1]:
            return tab[N.RANGES + 2 * n + 1]
    return -1
