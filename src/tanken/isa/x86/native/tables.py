"""The numbers that translator and engine share: places in the one table of int64, meanings of its fields, kinds of holes and of ways out.

Our own; the table is one mapping that the kernel fills with pages as they are touched.
"""

from __future__ import annotations

# Where each part begins, in int64.
CONTEXT, ROWS, RECORDS, RANGES, FORMS, KEYS, STENCILS, HOLES, BLOCKS, BLOCK_LIST, SITES, END = (
    0, 256, 2048, 4096, 16384, 32768, 1 << 19, 1 << 20, 1 << 22, 5 << 20, 1 << 23, 1 << 25)  # fmt: skip
CONSTANTS, MOST_CONSTANTS = 12288, 4096
KEY_SLOTS, BLOCK_SLOTS, MOST_RANGES, MOST_SITES, MOST_BLOCKS = 1 << 16, 1 << 19, 4096, (1 << 22) - 4096, 1 << 18
MOST_STENCILS, MOST_HOLES = 28 << 10, 1 << 19
LONGEST = 48  # instructions of a block
LIMIT = 1 << 44  # the engine maps guest addresses below it

# Of the state block, as the engine's `ir` has them.
REASON_AT, HOST_AT, JUMP_CACHE, JUMP_CACHE_AT = 152, 160, 4096, 8192
CONTINUED_AT = 2048  # the address that is about to be reached without a branch, else -1
CONSTANTS_AT = JUMP_CACHE_AT + 16 * JUMP_CACHE  # what stencils keep there

# Context.
(AREA_AT, AREA_HOST, GUEST_HOST, SITE_COUNT, BLOCK_COUNT, RANGE_COUNT, AREA_SIZE, STENCIL_COUNT, HOLE_COUNT, BLOB_AT, CONSTANT_COUNT) = range(11)
(NEED, NEED_AT, NEED_KEY, NEED_KEY1, NEED_KEY2, NEED_SECOND, NEED_FORM) = range(11, 18)
HOOK_COUNT, WATCHED, SINGLE = 18, 19, 20  # intervals of hooks; whether accesses of memory are watched; whether a block is one instruction
NARROW = 21  # 1 where code is of 32 bits
STUBS = 32  # offsets in the code area by reason
FOUND = 48  # site lookup: address, instructions left, kind

# What the translator asks for.
NOTHING, ANALYSIS, STENCIL, NO_CODE, FULL = range(5)

# Ways out of guest code.
LINK, DISPATCH, STALE, OUT_OF_BUDGET, SLOW, PYTHON, STRUCK, HELD = range(8)
LAST_NATIVE = STALE  # up to here the translator answers
CALL, WATCH = 8, 9  # of STUBS: a Python function to be called before an instruction, an access to be told
REGION = 10  # a region stopped

# A stencil: offset, length, first hole, holes with and without flags; flags read with and without; written; kind; ...
STENCIL_FIELDS = 16
(LIVE_AT, LIVE_LENGTH, LIVE_HOLES, LIVE_COUNT, DEAD_AT, DEAD_LENGTH, DEAD_HOLES, DEAD_COUNT, READS_LIVE, READS_DEAD, WRITES, KIND, FAULTS,
 FUSES, ONE, AGAIN) = range(16)  # fmt: skip
NORMAL, JUMP, BRANCH, INDIRECT, INTERPRETED, REFUSED = range(6)
ALL_FLAGS = 63

# Holes.
(RG, MG, VG, BG, XG, RV, MV, VV, DISP, IMM, IMM64, NPC, TPC, PC, RIP, RIPHOST) = range(16)
FOP = 16
NEXT, TAKEN, SLOW_WAY, DISPATCH_WAY, HELD_WAY, CALL_WAY, WATCH_WAY = range(20, 27)
HOLE_KINDS = {name: value for name, value in globals().items() if name in (
    "RG", "MG", "VG", "BG", "XG", "RV", "MV", "VV", "DISP", "IMM", "IMM64", "NPC", "TPC", "PC", "RIP", "RIPHOST", "FOP", "NEXT", "TAKEN")}  # fmt: skip
HOLE_KINDS |= {"SLOW": SLOW_WAY, "DISPATCH": DISPATCH_WAY, "HELD": HELD_WAY, "CALL": CALL_WAY, "WATCH": WATCH_WAY}

# Hooks: sorted intervals of addresses, each with the stencils that run before an instruction and at the beginning of a block, which
# the store does not keep.
HOOKS, HOOK_FIELDS, MOST_HOOKS = (3 << 20) + (1 << 19), 8, 1 << 15
(HOOK_START, HOOK_END, HOOK_FIRST, HOOK_INSTRUCTION, HOOK_BLOCK, HOOK_EXACT) = range(6)
HOOK_STENCILS, STENCILS_END, HOOK_HOLES = MOST_STENCILS, 1 << 15, MOST_HOLES
SINGLY, WATCHING = 1 << 60, 1 << 61  # of a key: one element of a repeated instruction; accesses are told

# Sites: host offset, guest address, kind | instructions left << 8, where the jump to patch stands.
SITE_FIELDS = 4
AT_INSTRUCTION, AT_LINK, AT_BRANCH, AT_HEAD, AT_REGION = range(5)  # straight on from the one before, a way on, behind a branch, where a block begins, a region
