"""The arrays of the proof, column by column: prefixes and suffixes of subroutines, results of glyphs, frames of bodies that are being read.

`proof` says what they mean together; each is a row of so many integers in a flat array.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import bare

# faults that only a proof can name, behind those of `results`
RECURSION, DATA_SUBR, DATA_BLEND, TOO_DEEP = 32, 33, 34, 35
# a flag of its own: an index, a count or a place that is computed, so that a fault is possible
COMPUTED = 256
# another: the number of a subroutine, a blend or a part of a seac came from elsewhere, so that only a run could tell
COMPUTED_CALL = 512
HUGE = 1 << 60
MAX_HINTS = 96
# how a body ends; -1 while it goes on
RETURNS, ENDS, FAILS, UNKNOWN = 0, 1, 2, 3
# columns of a prefix
(P_STATE, P_NEED, P_NEED_AT, P_GROW, P_GROW_AT, P_NET, P_STEPS, P_HEIGHT, P_KIND, P_OP, P_OP_AT, P_POS, P_CALLEE, P_KNOWN, P_TOP, P_FAULT, P_FAULT_AT,
 P_DEPTH, P_FLAGS, P_TOP1) = range(20)  # fmt: skip
PREFIX = 20
# kinds of a prefix
NO_CLEAR, CLEARS, CALLS, BAD, OPEN = 0, 1, 2, 3, 4
# columns of a suffix and of a glyph
(S_KEY, S_END, S_HINTS, S_DEPTH, S_MAX, S_MAX_AT, S_STEPS, S_POINTS, S_HEIGHT, S_FAULT, S_FAULT_AT, S_FAULT_DEPTH, S_CONTEXT, S_KNOWN, S_TOP, S_FLAGS,
 S_USED, S_FIRST, S_HINT_AT, S_SEAC_BASE, S_SEAC_ACCENT) = range(21)  # fmt: skip
SUFFIX = 21
# columns of a frame: what it is and where it stands, what it has found, and from F_ENDING on how it stopped: an ending, an operator that clears
# (C: what is known of the stack before it), or a summary that is wanted first
(F_KIND, F_SLOT, F_ENTRY, F_POS, F_END, F_CONTEXT, F_DEPTH, F_HINTS, F_MAX, F_MAX_AT, F_NEED, F_NEED_AT, F_STEPS, F_POINTS, F_HEIGHT, F_KNOWN, F_TOP,
 F_TOP1, F_TOP2, F_TOP3, F_FLAGS, F_WIDTH, F_USED, F_FIRST, F_PENDING, F_HINT_AT, F_BEGAN, F_ENDING, F_FAULT, F_FAULT_AT, F_FAULT_DEPTH, F_CLEAR_OP,
 F_CLEAR_AT, F_CALLEE, F_C_KNOWN, F_C_TOP, F_C_TOP1, F_BASE, F_ACCENT, F_WANTED, F_WANTED_HINTS) = range(41)  # fmt: skip
FRAME = 41
ON_PREFIX, ON_SUFFIX, ON_GLYPH = 0, 1, 2


@bare
def code(value: int) -> int:
    """The code of StandardEncoding that a number is, 256 where it is none."""
    value >>= 16
    return value if value >= 0 and value < 256 else 256


@bare
def find(table: Any, key: int) -> int:
    """Where `key` stands in a hash table of suffixes, or the free row where it belongs."""
    size = len(table) // SUFFIX
    row = (key * 0x9E3779B1 & 0x7FFFFFFFFFFF) % size
    while table[row * SUFFIX + S_KEY] != 0 and table[row * SUFFIX + S_KEY] != key:
        row += 1
        if row == size:
            row = 0
    return row * SUFFIX


@bare
def stop(w: Any, f: int, ending: int, fault: int, at: int, depth: int) -> None:
    """Ends the body of a frame: how, with which fault and where, and the numbers on the stack there."""
    w[f + F_ENDING], w[f + F_FAULT], w[f + F_FAULT_AT], w[f + F_FAULT_DEPTH] = ending, fault, at, depth


@bare
def rises(w: Any, f: int, height: int, at: int) -> None:
    """The stack is so high at a place."""
    if height > w[f + F_MAX]:
        w[f + F_MAX], w[f + F_MAX_AT] = height, at


@bare
def needs(w: Any, f: int, count: int, at: int) -> None:
    """So many numbers are needed below the frame's own."""
    if count > w[f + F_NEED]:
        w[f + F_NEED], w[f + F_NEED_AT] = count, at


@bare
def drop(w: Any, f: int, count: int) -> None:
    """So many of the topmost numbers are gone."""
    w[f + F_KNOWN] = max(w[f + F_KNOWN] - count, 0)
    for _ in range(min(count, 3)):
        w[f + F_TOP], w[f + F_TOP1], w[f + F_TOP2] = w[f + F_TOP1], w[f + F_TOP2], w[f + F_TOP3]


@bare
def knows(w: Any, f: int, known: int, top: int) -> None:
    """What is known of the topmost numbers: none, or the top one alone."""
    w[f + F_KNOWN], w[f + F_TOP] = known, top
