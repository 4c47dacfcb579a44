"""The translator: guest bytes to copies of stencils, block by block; plain Python and Numba read this source.

It decodes, looks up the stencil of each instruction by its key, finds where flags are dead, copies, fills holes, links blocks to blocks and
remembers which guest instruction each host address belongs to. What is missing it asks for (`tables.NEED`) and starts again.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86.kernels.decoder import decode_one
from tanken.isa.x86.kernels.fields import (
    C_ADDRESS,
    C_DISPLACEMENT,
    C_FAULT,
    C_FORM,
    C_IMMEDIATE,
    C_LENGTH,
    C_MEMORY,
    C_PREFIXES,
    C_REGISTERS,
    C_SIZES,
    COLUMNS,
)
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native import tables as N
from tanken.isa.x86.native import template as P

R_STENCIL, R_LIVE, R_HOST, R_TARGET, R_COUNT, R_LENGTH, R_LEFT, R_HOOK, R_X87 = range(9)
RECORD = 9
FLAG_BITS = L.LOCK | L.REPZ | L.REPNZ | L.DATA


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
    """Form, sizes, prefixes, register or memory, equal registers, whether a counted shift shifts, and whether a segment is named."""
    sizes, prefixes, registers = tab[row + C_SIZES], tab[row + C_PREFIXES], tab[row + C_REGISTERS]
    key = tab[row + C_FORM] | (sizes & 15) << 14 | ((sizes >> 8) & 15) << 18 | ((sizes >> 16) & 127) << 22
    key |= ((prefixes >> 16) & 15) << 29
    key |= ((prefixes >> 22) & 1) << 33 | (1 if prefixes & L.SEGMENT else 0) << 44
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
    tab[record + R_TARGET] = pc + tab[branch + C_LENGTH] + tab[branch + C_IMMEDIATE]
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


@bare
def put(area: MutableSequence[int], at: int, value: int, size: int) -> None:
    """Little-endian."""
    for i in range(size):
        area[at + i] = value & 255
        value >>= 8


@bare
def site(tab: MutableSequence[int], host: int, pc: int, kind: int, left: int, where: int) -> None:
    """Remember what the code at `host` belongs to."""
    at = N.SITES + tab[N.SITE_COUNT] * N.SITE_FIELDS
    tab[at] = host
    tab[at + 1] = pc
    tab[at + 2] = kind | left << 8
    tab[at + 3] = where
    tab[N.SITE_COUNT] += 1


@bare
def hole_value(tab: Sequence[int], row: int, record: int, kind: int, one: int) -> int:
    """What is put into a hole."""
    registers, memory = tab[row + C_REGISTERS], tab[row + C_MEMORY]
    following = tab[row + C_ADDRESS] + tab[row + C_LENGTH]
    if kind == N.RG:
        return (registers & 255) * 8
    if kind == N.MG:
        return ((registers >> 8) & 255) * 8
    if kind == N.BG:
        return (memory & 255) * 8
    if kind == N.XG:
        return ((memory >> 8) & 255) * 8
    if kind == N.DISP:
        return tab[row + C_DISPLACEMENT]
    if kind == N.IMM or kind == N.IMM64:
        return 1 if one else tab[row + C_IMMEDIATE]
    if kind == N.NPC:
        return following
    if kind == N.FOP:
        return tab[record + R_X87]
    if kind == N.TPC:
        return tab[record + R_TARGET]
    if kind == N.PC:
        return tab[row + C_ADDRESS]
    if kind == N.RIP or kind == N.RIPHOST:
        address = tab[row + C_ADDRESS] + tab[record + R_LENGTH] + tab[row + C_DISPLACEMENT]
        return address if kind == N.RIP else address + tab[N.GUEST_HOST]
    if kind == N.VG:
        return ((registers >> 16) & 255) * 8
    number = registers & 255 if kind == N.RV else (registers >> 8) & 255 if kind == N.MV else (registers >> 16) & 255
    return B.VECTORS + number * B.VECTOR_STRIDE


@bare
def emit(tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], start: int, n: int) -> int:
    """Copy the stencils of the chosen records behind the code so far; where the block begins."""
    at = (tab[N.AREA_AT] + 15) & -16
    block = at
    total = 0
    for i in range(n):
        total += tab[N.RECORDS + i * RECORD + R_COUNT]
    enter_block(tab, start, block)
    site(tab, at, start, N.AT_HEAD, total, 0)
    put(area, at, 0xEE8149, 3)  # sub r14, total
    put(area, at + 3, total, 4)
    put(area, at + 7, 0x880F, 2)  # js: out of budget
    budget_hole = at + 9
    at += 13
    left = total
    for i in range(n):
        row, record = N.ROWS + i * COLUMNS, N.RECORDS + i * RECORD
        site(tab, at, tab[row + C_ADDRESS], came(tab, i), left, 0)
        left -= tab[record + R_COUNT]
        if tab[record + R_HOOK]:
            at = hooked(tab, area, blob, i, at)
        at = copy(tab, area, blob, row, record, at)
    last_row, last = N.ROWS + (n - 1) * COLUMNS, N.RECORDS + (n - 1) * RECORD
    following = tab[last_row + C_ADDRESS] + tab[last_row + C_LENGTH]
    fall = -1
    if tab[last + R_STENCIL] >= 0:
        kind = tab[N.STENCILS + tab[last + R_STENCIL] * N.STENCIL_FIELDS + N.KIND]
        if kind == N.NORMAL or kind == N.BRANCH:
            if tab[last + R_HOOK] and tab[N.STENCILS + tab[last + R_STENCIL] * N.STENCIL_FIELDS + N.AGAIN]:
                put(area, at, 0x2484C749, 4)  # mov [r12 + CONTINUED], -1
                put(area, at + 4, N.CONTINUED_AT, 4)
                put(area, at + 8, -1, 4)
                at += 12
            if not begins_behind(tab, last):
                at = straight(tab, area, following, at)
            put(area, at, 0xE9, 1)
            fall = at + 1
            at += 5
    at = cold(tab, area, start, n, total, at, budget_hole)
    left = total
    for i in range(n):
        left -= tab[N.RECORDS + i * RECORD + R_COUNT]
        tab[N.RECORDS + i * RECORD + R_LEFT] = left
    if fall >= 0:
        at = link(tab, area, fall, following, at)
    return finish_block(tab, area, start, following, block, at, n)


@bare
def finish_block(tab: MutableSequence[int], area: MutableSequence[int], start: int, end: int, block: int, at: int, n: int) -> int:
    """Patch the taken ways, and enter the block into the list."""
    for i in range(n):
        record = N.RECORDS + i * RECORD
        if tab[record + R_STENCIL] >= 0:
            stencil = N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS
            variant = stencil + (N.LIVE_AT if tab[record + R_LIVE] else N.DEAD_AT)
            for h in range(tab[variant + 2], tab[variant + 2] + tab[variant + 3]):
                if tab[N.HOLES + 4 * h + 2] == N.TAKEN:
                    hole = tab[record + R_HOST] + tab[N.HOLES + 4 * h]
                    if tab[record + R_LEFT]:
                        hole, at = side(tab, area, hole, tab[record + R_TARGET], tab[record + R_LEFT], at)
                    at = link(tab, area, hole, tab[record + R_TARGET], at)
    tab[N.AREA_AT] = at
    entry = N.BLOCK_LIST + tab[N.BLOCK_COUNT] * 4
    tab[entry] = start
    tab[entry + 1] = end
    tab[entry + 2] = block
    tab[N.BLOCK_COUNT] += 1
    return block


@bare
def hook_at(tab: Sequence[int], pc: int) -> int:
    """Where the interval of hooks stands that `pc` lies in, 0 where it lies in none."""
    low, high = 0, tab[N.HOOK_COUNT]
    while low < high:
        middle = (low + high) >> 1
        if tab[N.HOOKS + middle * N.HOOK_FIELDS + N.HOOK_END] <= pc:
            low = middle + 1
        else:
            high = middle
    at = N.HOOKS + low * N.HOOK_FIELDS
    return at if low < tab[N.HOOK_COUNT] and tab[at + N.HOOK_START] <= pc else 0


@bare
def begins_behind(tab: Sequence[int], record: int) -> int:
    """Whether what stands behind this instruction begins a block: it is a branch, and not one to itself that a repeated instruction is."""
    if tab[record + R_STENCIL] < 0:
        return 0
    stencil = N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS
    return 1 if tab[stencil + N.KIND] != N.NORMAL and tab[stencil + N.AGAIN] == 0 else 0


@bare
def came(tab: Sequence[int], i: int) -> int:
    """How instruction `i` of the block is come to: the kind of its site."""
    if i == 0:
        return N.AT_HEAD
    return N.AT_BRANCH if begins_behind(tab, N.RECORDS + (i - 1) * RECORD) else N.AT_INSTRUCTION


@bare
def straight(tab: MutableSequence[int], area: MutableSequence[int], pc: int, at: int) -> int:
    """Note that `pc`, whose block hooks would run, is reached without a branch: the end of the code."""
    hook = hook_at(tab, pc)
    if hook == 0 or tab[hook + N.HOOK_BLOCK] < 0:
        return at
    put(area, at, 0xB848, 2)  # mov rax, pc
    put(area, at + 2, pc, 8)
    put(area, at + 10, 0x24848949, 4)  # mov [r12 + CONTINUED], rax
    put(area, at + 14, N.CONTINUED_AT, 4)
    return at + 18


@bare
def hooked(tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], i: int, at: int) -> int:
    """The stencils of the hooks before instruction `i` of the block: the end of the code."""
    row, record = N.ROWS + i * COLUMNS, N.RECORDS + i * RECORD
    hook = tab[record + R_HOOK]
    if tab[hook + N.HOOK_FIRST] >= 0:
        at = place(tab, area, blob, row, record, tab[hook + N.HOOK_FIRST], 1, at)
    if tab[hook + N.HOOK_BLOCK] >= 0:
        if i == 0 or begins_behind(tab, record - RECORD):
            at = place(tab, area, blob, row, record, tab[hook + N.HOOK_BLOCK], 1, at)
        if tab[record + R_STENCIL] >= 0 and tab[N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS + N.AGAIN]:
            at = straight(tab, area, tab[row + C_ADDRESS], at)
    if tab[hook + N.HOOK_INSTRUCTION] >= 0:
        at = place(tab, area, blob, row, record, tab[hook + N.HOOK_INSTRUCTION], 1, at)
    return at


@bare
def copy(tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], row: int, record: int, at: int) -> int:
    """One stencil, with its holes filled; the ways out are left to `cold`, the taken way to `finish_block`."""
    if tab[record + R_STENCIL] < 0:
        put(area, at, 0xE8, 1)
        put(area, at + 1, tab[N.STUBS + N.PYTHON] - (at + 5), 4)
        return at + 5
    tab[record + R_HOST] = at
    return place(tab, area, blob, row, record, tab[record + R_STENCIL], tab[record + R_LIVE], at)


@bare
def place(
    tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], row: int, record: int, number: int, live: int, at: int
) -> int:
    """A copy of stencil `number`, its holes filled for the instruction in `row`: the end of the code."""
    stencil = N.STENCILS + number * N.STENCIL_FIELDS
    variant = stencil + (N.LIVE_AT if live else N.DEAD_AT)
    source, length = tab[variant], tab[variant + 1]
    for i in range(length):
        area[at + i] = blob[source + i]
    for h in range(tab[variant + 2], tab[variant + 2] + tab[variant + 3]):
        hole = N.HOLES + 4 * h
        where, size, kind, more = at + tab[hole], tab[hole + 1], tab[hole + 2], tab[hole + 3]
        if kind == N.NEXT:
            put(area, where, at + length - (where + 4), 4)
        elif kind == N.DISPATCH_WAY:
            put(area, where, tab[N.STUBS + N.DISPATCH] - (where + 4), 4)
        elif kind >= N.HELD_WAY:
            stub = N.HELD if kind == N.HELD_WAY else N.CALL if kind == N.CALL_WAY else N.WATCH
            put(area, where, tab[N.STUBS + stub] - (where + 4), 4)
        elif kind != N.SLOW_WAY and kind != N.TAKEN:
            put(area, where, hole_value(tab, row, record, kind, tab[stencil + N.ONE]) + more, size)
    return at + length


@bare
def cold(tab: MutableSequence[int], area: MutableSequence[int], start: int, n: int, total: int, at: int, budget_hole: int) -> int:
    """Behind the block: calls of the stubs, by whose return address the instruction is known."""
    site(tab, at, start, N.AT_HEAD, total, 0)
    put(area, at, 0xE8, 1)
    put(area, at + 1, tab[N.STUBS + N.OUT_OF_BUDGET] - (at + 5), 4)
    put(area, budget_hole, at - (budget_hole + 4), 4)
    at += 5
    left = total
    for i in range(n):
        row, record = N.ROWS + i * COLUMNS, N.RECORDS + i * RECORD
        if tab[record + R_STENCIL] >= 0:
            stencil = N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS
            variant = stencil + (N.LIVE_AT if tab[record + R_LIVE] else N.DEAD_AT)
            made = 0
            for h in range(tab[variant + 2], tab[variant + 2] + tab[variant + 3]):
                hole = N.HOLES + 4 * h
                if tab[hole + 2] == N.SLOW_WAY:
                    made = 1
                    where = tab[record + R_HOST] + tab[hole]
                    put(area, where, at - (where + 4), 4)
            if made:
                site(tab, at, tab[row + C_ADDRESS], came(tab, i), left, 0)
                put(area, at, 0xE8, 1)
                put(area, at + 1, tab[N.STUBS + N.SLOW] - (at + 5), 4)
                at += 5
        left -= tab[record + R_COUNT]
    return at


@bare
def link(tab: MutableSequence[int], area: MutableSequence[int], hole: int, target: int, at: int) -> int:
    """Let the jump whose distance stands at `hole` go to the block at `target`, by way of the translator while there is none."""
    block = find_block(tab, target)
    if block >= 0:
        put(area, hole, block - (hole + 4), 4)
        return at
    site(tab, at, target, N.AT_LINK, 0, hole)
    put(area, hole, at - (hole + 4), 4)
    put(area, at, 0xE8, 1)
    put(area, at + 1, tab[N.STUBS + N.LINK] - (at + 5), 4)
    return at + 5


@bare
def side(tab: MutableSequence[int], area: MutableSequence[int], hole: int, target: int, left: int, at: int) -> tuple[int, int]:
    """A way out in the middle, which gives back the `left` instructions that were counted: where its own jump's distance stands, and the end."""
    put(area, hole, at - (hole + 4), 4)
    put(area, at, 0xC68149, 3)  # add r14, left
    put(area, at + 3, left, 4)
    put(area, at + 7, 0xE9, 1)
    return at + 8, at + 12


@bare
def find_site(tab: MutableSequence[int], host: int) -> int:
    """The last site at or below `host`: its number."""
    low, high = 0, tab[N.SITE_COUNT]
    while high - low > 1:
        middle = (low + high) >> 1
        if tab[N.SITES + middle * N.SITE_FIELDS] <= host:
            low = middle
        else:
            high = middle
    return low


@bare
def block_at(T: Sequence[int], tab: MutableSequence[int], code: Sequence[int], area: MutableSequence[int], blob: Sequence[int], pc: int) -> int:
    """The code of the block at `pc`, made if need be; -1 where something is missing."""
    block = find_block(tab, pc)
    if block >= 0:
        return block
    full = tab[N.AREA_AT] > tab[N.AREA_SIZE] - 65536 or tab[N.SITE_COUNT] > N.MOST_SITES - 1024 or tab[N.BLOCK_COUNT] > N.MOST_BLOCKS - 16
    if full:
        return ask(tab, N.FULL, pc, 0, 0, 0, 0, 0)
    n = choose(T, tab, code, pc)
    if n < 0:
        return -1
    liveness(tab, n)
    return emit(tab, area, blob, pc, n)


@bare
def answer(S: MutableSequence[int], tab: MutableSequence[int], T: Sequence[int], code: Sequence[int], area: MutableSequence[int], blob: Sequence[int]) -> int:
    """Guest code came out with a reason up to LAST_NATIVE: the host address to go on at, 0 where Python is needed."""
    reason = S[N.REASON_AT >> 3] & 0xFFFFFFFF
    tab[N.NEED] = N.NOTHING
    if reason == N.DISPATCH:
        pc = S[B.RIP >> 3]
        block = block_at(T, tab, code, area, blob, pc)
        if block < 0:
            return 0
        slot = (N.JUMP_CACHE_AT >> 3) + 2 * (pc & (N.JUMP_CACHE - 1))
        S[slot] = pc
        S[slot + 1] = tab[N.AREA_HOST] + block
        return tab[N.AREA_HOST] + block
    number = N.SITES + find_site(tab, S[N.HOST_AT >> 3] - 1 - tab[N.AREA_HOST]) * N.SITE_FIELDS
    pc = tab[number + 1]
    S[B.RIP >> 3] = pc
    block = block_at(T, tab, code, area, blob, pc)
    if block < 0:
        return 0
    if reason == N.LINK:
        hole = tab[number + 3]
        put(area, hole, block - (hole + 4), 4)
    return tab[N.AREA_HOST] + block


@bare
def look_up(tab: MutableSequence[int], host: int) -> int:
    """Put the site of a host address into the context (FOUND): guest address, instructions left, kind."""
    number = N.SITES + find_site(tab, host - tab[N.AREA_HOST]) * N.SITE_FIELDS
    tab[N.FOUND] = tab[number + 1]
    tab[N.FOUND + 1] = tab[number + 2] >> 8
    tab[N.FOUND + 2] = tab[number + 2] & 255
    return 0


@bare
def forget(tab: MutableSequence[int], area: MutableSequence[int], first: int, last: int) -> int:
    """Turn away from the blocks that have bytes in [first, last): their heads lead back to the translator; how many they were."""
    count = 0
    n = 0
    while n < tab[N.BLOCK_COUNT]:
        entry = N.BLOCK_LIST + n * 4
        if tab[entry] < last and tab[entry + 1] > first:
            block = tab[entry + 2]
            put(area, block, 0xE8, 1)
            put(area, block + 1, tab[N.STUBS + N.STALE] - (block + 5), 4)
            enter_block(tab, tab[entry], -1)
            tab[N.BLOCK_COUNT] -= 1
            end = N.BLOCK_LIST + tab[N.BLOCK_COUNT] * 4
            for i in range(4):
                tab[entry + i] = tab[end + i]
            count += 1
        else:
            n += 1
    return count
