"""The numbers that translator and engine share: places in the one table of int64, meanings of its fields, kinds of holes and of ways out.

Our own; the table is one mapping that the kernel fills with pages as they are touched.
"""

from __future__ import annotations

# Where each part begins, in int64.
CONTEXT, ROWS, RECORDS, RANGES, FORMS, KEYS, STENCILS, HOLES, BLOCKS, BLOCK_LIST, SITES, END = (
    0, 256, 2048, 4096, 16384, 32768, 1 << 19, 1 << 20, 1 << 22, 5 << 20, 1 << 23, 1 << 25)  # fmt: skip
KEY_SLOTS, BLOCK_SLOTS, MOST_RANGES, MOST_SITES, MOST_BLOCKS = 1 << 16, 1 << 19, 4096, (1 << 22) - 4096, 1 << 18
MOST_STENCILS, MOST_HOLES = 1 << 15, 1 << 19
LONGEST = 48  # instructions of a block
LIMIT = 1 << 44  # the engine maps guest addresses below it

# Of the state block, as the engine's `ir` has them.
REASON_AT, HOST_AT, JUMP_CACHE, JUMP_CACHE_AT = 152, 160, 4096, 8192

# Context.
(AREA_AT, AREA_HOST, GUEST_HOST, SITE_COUNT, BLOCK_COUNT, RANGE_COUNT, AREA_SIZE, STENCIL_COUNT, HOLE_COUNT, BLOB_AT) = range(10)
(NEED, NEED_AT, NEED_KEY, NEED_KEY1, NEED_KEY2, NEED_SECOND, NEED_FORM) = range(10, 17)
STUBS = 32  # offsets in the code area by reason
FOUND = 48  # site lookup: address, instructions left, kind

# What the translator asks for.
NOTHING, ANALYSIS, STENCIL, NO_CODE, FULL = range(5)

# Ways out of guest code.
LINK, DISPATCH, STALE, OUT_OF_BUDGET, SLOW, PYTHON, STRUCK = range(7)
LAST_NATIVE = STALE  # up to here the translator answers

# A stencil: offset, length, first hole, holes with and without flags; flags read with and without; written; kind; ...
STENCIL_FIELDS = 16
(LIVE_AT, LIVE_LENGTH, LIVE_HOLES, LIVE_COUNT, DEAD_AT, DEAD_LENGTH, DEAD_HOLES, DEAD_COUNT, READS_LIVE, READS_DEAD, WRITES, KIND, FAULTS,
 FUSES, ONE, AGAIN) = range(16)  # fmt: skip
NORMAL, JUMP, BRANCH, INDIRECT, INTERPRETED, REFUSED = range(6)
ALL_FLAGS = 63

# Holes.
(RG, MG, VG, BG, XG, RV, MV, VV, DISP, IMM, IMM64, NPC, TPC, PC, RIP, RIPHOST) = range(16)
NEXT, TAKEN, SLOW_WAY, DISPATCH_WAY = 20, 21, 22, 23
HOLE_KINDS = {name: value for name, value in globals().items() if name in (
    "RG", "MG", "VG", "BG", "XG", "RV", "MV", "VV", "DISP", "IMM", "IMM64", "NPC", "TPC", "PC", "RIP", "RIPHOST", "NEXT", "TAKEN")}  # fmt: skip
HOLE_KINDS |= {"SLOW": SLOW_WAY, "DISPATCH": DISPATCH_WAY}

# Sites: host offset, guest address, kind | instructions left << 8, where the jump to patch stands.
SITE_FIELDS = 4
AT_INSTRUCTION, AT_LINK = 0, 1
