"""A block's instructions and the stencils for them: decoding up to what ends it, branches joined to what sets their flags, flags that nobody sees.

Plain Python and Numba read this source, as they do all that `translate` consists of.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86.kernels.decoder import decode_one
from tanken.isa.x86.kernels.fields import C_ADDRESS, C_DISPLACEMENT, C_FAULT, C_FORM, C_IMMEDIATE, C_LENGTH, C_MEMORY, C_PREFIXES, C_REGISTERS, C_SIZES, COLUMNS
from tanken.isa.x86.native import tables as N
from tanken.isa.x86.native import template as P
from tanken.isa.x86.native.emission import hook_at
from tanken.isa.x86.native.keys import R_COUNT, R_HOOK, R_LENGTH, R_LIVE, R_STENCIL, R_TARGET, R_X87, RECORD, ask, code_end, find_key, first_key, second_key


@bare
def choose(T: Sequence[int], tab: MutableSequence[int], code: Sequence[int], start: int) -> int:
    """Decode a block and find its stencils; the number of records, -1 where something is missing."""
    end = code_end(tab, start)
    if end < 0:
        return ask(tab, N.NO_CODE, start, 0, 0, 0, 0, 0)
    pc, n = start, 0
    longest = 1 if tab[N.SINGLE] else N.LONGEST
    while n < longest and pc < end:
        row = N.ROWS + n * COLUMNS
        length = decode_one(T, code, pc, min(pc + 15, end), 8, pc, tab, row)
        record = N.RECORDS + n * RECORD
        tab[record + R_STENCIL] = -1  # the interpreter's
        tab[record + R_COUNT] = 1
        tab[record + R_LENGTH] = length
        hook = hook_at(tab, pc)
        tab[record + R_HOOK] = hook
        stops = hook != 0 and (tab[hook + N.HOOK_INSTRUCTION] >= 0 or tab[hook + N.HOOK_FIRST] >= 0)
        if tab[row + C_FAULT] != L.OK:
            return n + 1
        form = tab[row + C_FORM]
        known = tab[N.FORMS + form]
        if known == 0:
            return ask(tab, N.ANALYSIS, pc, 0, 0, 0, 0, form)
        note_x87(tab, code, pc, row, record)
        if known & P.PYTHON or unreachable(tab, row, known):
            return n + 1
        k0, k1 = first_key(T, tab, row, known), second_key(T, tab, row, known)
        k2 = tab[row + C_IMMEDIATE] if known & P.IMMEDIATE_MATTERS else 0
        condition = known >> P.CONDITION_SHIFT & 31
        if stops and tab[row + C_PREFIXES] & (L.REPZ | L.REPNZ):
            k0 |= N.SINGLY
        if condition and n and not stops:
            fused = fuse(T, tab, n, condition, pc)
            if fused == -1:
                return -1
            if fused == 1:
                if n >= N.LONGEST - 8 or tab[N.RECORDS + (n - 1) * RECORD + R_TARGET] <= pc:
                    return n
                pc += length
                continue
        stencil = find_key(tab, k0, k1, k2)
        if stencil >= 0 and tab[N.WATCHED] and tab[N.STENCILS + stencil * N.STENCIL_FIELDS + N.FAULTS]:
            k0 |= N.WATCHING
            stencil = find_key(tab, k0, k1, k2)
        if stencil < 0:
            return ask(tab, N.STENCIL, pc, k0, k1, k2, 0, form)
        kind = tab[N.STENCILS + stencil * N.STENCIL_FIELDS + N.KIND]
        if kind >= N.INTERPRETED:
            return n + 1
        tab[record + R_STENCIL] = stencil
        again = tab[N.STENCILS + stencil * N.STENCIL_FIELDS + N.AGAIN]
        tab[record + R_TARGET] = pc if again else pc + length + tab[row + C_IMMEDIATE]
        n += 1
        if kind != N.NORMAL and not (kind == N.BRANCH and n < N.LONGEST - 8 and tab[record + R_TARGET] > pc):
            return n
        pc += length
    return n


@bare
def note_x87(tab: MutableSequence[int], code: Sequence[int], at: int, row: int, record: int) -> None:
    """What x87 remembers of an instruction's opcode; its bytes begin at code[at]."""
    opcode = at + (tab[row + C_PREFIXES] >> L.PREFIX_COUNT_SHIFT & 15)
    if code[opcode] & 0xF8 == 0xD8:
        tab[record + R_X87] = (code[opcode] & 7) << 8 | code[opcode + 1]


@bare
def unreachable(tab: Sequence[int], row: int, known: int) -> int:
    """Whether an address in the instruction is beyond what is mapped directly, or a branch is cut to 16 bits."""
    following = tab[row + C_ADDRESS] + tab[row + C_LENGTH]
    if tab[row + C_MEMORY] & 255 == L.RIP and tab[row + C_REGISTERS] & L.RM_IS_REGISTER == 0:
        address = following + tab[row + C_DISPLACEMENT]
        if address < 0 or address >= N.LIMIT - 64:
            return 1
    if known & P.BRANCH:
        target = following + tab[row + C_IMMEDIATE]
        if target < 0 or target >= N.LIMIT or tab[row + C_SIZES] & 15 == 2:
            return 1
    return 0


@bare
def branch_target(tab: Sequence[int], target: int) -> int:
    """An address of code, which wraps at 4 GiB where code is of 32 bits."""
    return target & 0xFFFFFFFF if tab[N.NARROW] else target


@bare
def fuse(T: Sequence[int], tab: MutableSequence[int], n: int, condition: int, pc: int) -> int:
    """Join record n - 1 with the conditional branch in row n: 1 done, 0 not to be joined, -1 asked for."""
    record, row = N.RECORDS + (n - 1) * RECORD, N.ROWS + (n - 1) * COLUMNS
    before = tab[record + R_STENCIL]
    if before < 0 or tab[N.STENCILS + before * N.STENCIL_FIELDS + N.FUSES] == 0:
        return 0
    known = tab[N.FORMS + tab[row + C_FORM]]
    k0, k1 = first_key(T, tab, row, known) | condition << 38, second_key(T, tab, row, known)
    k2 = tab[row + C_IMMEDIATE] if known & P.IMMEDIATE_MATTERS else 0
    stencil = find_key(tab, k0, k1, k2)
    if stencil >= 0 and tab[N.WATCHED] and tab[N.STENCILS + stencil * N.STENCIL_FIELDS + N.FAULTS]:
        k0 |= N.WATCHING
        stencil = find_key(tab, k0, k1, k2)
    if stencil < 0:
        return ask(tab, N.STENCIL, tab[row + C_ADDRESS], k0, k1, k2, pc, tab[row + C_FORM])
    if tab[N.STENCILS + stencil * N.STENCIL_FIELDS + N.KIND] >= N.INTERPRETED:
        return 0
    branch = N.ROWS + n * COLUMNS
    tab[record + R_STENCIL] = stencil
    tab[record + R_COUNT] = 2
    tab[record + R_TARGET] = branch_target(tab, pc + tab[branch + C_LENGTH] + tab[branch + C_IMMEDIATE])
    tab[row + C_LENGTH] += tab[branch + C_LENGTH]  # where it goes on
    return 1


@bare
def liveness(tab: MutableSequence[int], n: int) -> None:
    """Mark the records whose flags somebody may see: a later reader, a fault, or what follows the block."""
    live = N.ALL_FLAGS
    for i in range(n - 1, -1, -1):
        record = N.RECORDS + i * RECORD
        if tab[record + R_STENCIL] < 0:
            tab[record + R_LIVE] = 1
            live = N.ALL_FLAGS
            continue
        hook = tab[record + R_HOOK]
        stencil = N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS
        writes = tab[stencil + N.WRITES]
        if tab[stencil + N.KIND] != N.NORMAL:
            live = N.ALL_FLAGS  # whoever comes out here may look at them
        seen = 1 if writes & live else 0
        tab[record + R_LIVE] = seen
        live = (live & ~writes) | (tab[stencil + N.READS_LIVE] if seen else tab[stencil + N.READS_DEAD])
        if tab[stencil + N.FAULTS] or (hook and tab[hook + N.HOOK_EXACT]):
            live = N.ALL_FLAGS
