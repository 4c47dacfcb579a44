"""Calls as the proof reads them: the summary of what is called joins the frame, or is wanted first.

Adobe Technical Note 5177; plain Python that Numba compiles. `w` is the array of frames, `f` where the frame begins.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import bare
from tanken.isa.charstring import columns as c
from tanken.isa.charstring.columns import code, drop, find, knows, needs, rises, stop
from tanken.isa.charstring.effects import clearing, draws
from tanken.isa.charstring.operators import masked, varies
from tanken.isa.charstring.results import HINTS, NOT_INTEGER, OK, SEAC, SUBR, UNDERFLOW


@bare
def joined(w: Any, f: int, source: Any, s: int) -> None:
    """What a suffix leaves behind: its hints, stack, costs beside those of the frame, and its ending, unless it returns."""
    w[f + c.F_HINTS] += source[s + c.S_HINTS]
    w[f + c.F_USED] |= source[s + c.S_USED]
    w[f + c.F_DEPTH] = source[s + c.S_DEPTH]
    rises(w, f, source[s + c.S_MAX], source[s + c.S_MAX_AT])
    w[f + c.F_POINTS] = min(w[f + c.F_POINTS] + source[s + c.S_POINTS], c.HUGE)
    w[f + c.F_STEPS] = min(w[f + c.F_STEPS] + source[s + c.S_STEPS], c.HUGE)
    w[f + c.F_HEIGHT] = max(w[f + c.F_HEIGHT], 1 + source[s + c.S_HEIGHT])
    if w[f + c.F_FIRST] == 0:
        w[f + c.F_FIRST] = source[s + c.S_FIRST]
    w[f + c.F_FLAGS] |= source[s + c.S_FLAGS]
    knows(w, f, source[s + c.S_KNOWN], source[s + c.S_TOP])
    w[f + c.F_CONTEXT] += source[s + c.S_CONTEXT]
    w[f + c.F_BASE], w[f + c.F_ACCENT] = source[s + c.S_SEAC_BASE], source[s + c.S_SEAC_ACCENT]
    if w[f + c.F_HINTS] > c.MAX_HINTS and source[s + c.S_END] != c.FAILS:
        stop(w, f, c.FAILS, HINTS, w[f + c.F_HINT_AT], 0)
    elif source[s + c.S_END] != c.RETURNS:
        stop(w, f, source[s + c.S_END], source[s + c.S_FAULT], source[s + c.S_FAULT_AT], source[s + c.S_FAULT_DEPTH])


@bare
def begin_suffix(w: Any, f: int, prefixes: Any, related: Any, table: Any, variants: int, count: int) -> None:
    """A suffix begins behind the operator that clears, in this body or in one that it calls."""
    p = w[f + c.F_SLOT] * c.PREFIX
    at = prefixes[p + c.P_OP_AT]
    if prefixes[p + c.P_KIND] == c.CLEARS:
        w[f + c.F_PENDING] = 0
        op = prefixes[p + c.P_OP]
        if op == 19 or op == 20:
            masked(w, f, at)
        elif op == 14:
            stop(w, f, c.ENDS, OK, 0, 0)
        elif op == 15:
            if prefixes[p + c.P_KNOWN] == 0:
                stop(w, f, c.UNKNOWN, c.DATA_BLEND, at, 0)
            else:
                varies(w, f, prefixes[p + c.P_TOP], variants, count, at)
        return
    inner = prefixes[p + c.P_CALLEE]
    shared = related[inner * c.SUFFIX + c.S_KEY] == 2
    s = inner * c.SUFFIX if shared else find(table, inner * 128 + w[f + c.F_HINTS] + 1)
    if not shared and table[s + c.S_KEY] == 0:
        w[f + c.F_WANTED], w[f + c.F_WANTED_HINTS] = inner, w[f + c.F_HINTS]
        return
    w[f + c.F_PENDING] = 0
    if not shared and table[s + c.S_END] == -1:
        stop(w, f, c.FAILS, c.RECURSION, at, 0)
        return
    source = related if shared else table
    w[f + c.F_HINT_AT] = source[s + c.S_HINT_AT]
    joined(w, f, source, s)


@bare
def call(w: Any, f: int, token: int, target: int, prefixes: Any, related: Any, table: Any) -> None:
    """A call of the slot `target`: its summary, or the wish for it; the call is read again then."""
    p = target * c.PREFIX
    under, relative = w[f + c.F_DEPTH] - 1, w[f + c.F_KIND] == c.ON_PREFIX
    kind, need, op, at = prefixes[p + c.P_KIND], prefixes[p + c.P_NEED], prefixes[p + c.P_OP], prefixes[p + c.P_OP_AT]
    deep = under + prefixes[p + c.P_NET]  # numbers at the operator that clears
    if prefixes[p + c.P_STATE] == 1:
        stop(w, f, c.FAILS, c.RECURSION, token, w[f + c.F_DEPTH])
        return
    if prefixes[p + c.P_STATE] == 0:
        w[f + c.F_WANTED], w[f + c.F_POS] = target, token
        return
    if not relative and need > under:
        w[f + c.F_HEIGHT] = max(w[f + c.F_HEIGHT], 1 + prefixes[p + c.P_HEIGHT])
        stop(w, f, c.FAILS, UNDERFLOW, prefixes[p + c.P_NEED_AT], under)
        return
    s, shared, made, added, more = 0, False, 0, 0, 0
    joins = not relative and (kind == c.CLEARS or kind == c.CALLS)
    if joins:
        bad, made, added, more = clearing(op, deep, w[f + c.F_WIDTH] == 1)
        if bad == OK and op == 14 and deep >= 4 and prefixes[p + c.P_KNOWN] < 2:
            stop(w, f, c.UNKNOWN, SEAC, at, deep)
            return
        if bad == OK and w[f + c.F_HINTS] + added > c.MAX_HINTS:
            bad = HINTS
        if bad != OK:
            w[f + c.F_HEIGHT] = max(w[f + c.F_HEIGHT], 1 + prefixes[p + c.P_HEIGHT])
            rises(w, f, under + prefixes[p + c.P_GROW], prefixes[p + c.P_GROW_AT])
            stop(w, f, c.FAILS, bad, at, deep)
            return
        shared = related[target * c.SUFFIX + c.S_KEY] == 2
        s = target * c.SUFFIX if shared else find(table, target * 128 + w[f + c.F_HINTS] + added + 1)
        if not shared and table[s + c.S_KEY] == 0:
            w[f + c.F_WANTED], w[f + c.F_WANTED_HINTS], w[f + c.F_POS] = target, w[f + c.F_HINTS] + added, token
            return
        if not shared and table[s + c.S_END] == -1:
            stop(w, f, c.FAILS, c.RECURSION, token, w[f + c.F_DEPTH])
            return
    # the callee is known: its prefix
    w[f + c.F_STEPS] = min(w[f + c.F_STEPS] + 1 + prefixes[p + c.P_STEPS], c.HUGE)
    w[f + c.F_HEIGHT] = max(w[f + c.F_HEIGHT], 1 + prefixes[p + c.P_HEIGHT])
    w[f + c.F_FLAGS] |= prefixes[p + c.P_FLAGS]
    if relative:
        needs(w, f, need - under, prefixes[p + c.P_NEED_AT])
    rises(w, f, under + prefixes[p + c.P_GROW], prefixes[p + c.P_GROW_AT])
    drop(w, f, 1)
    w[f + c.F_DEPTH] = deep
    if kind == c.BAD or kind == c.OPEN:
        stop(w, f, c.FAILS if kind == c.BAD else c.UNKNOWN, prefixes[p + c.P_FAULT], prefixes[p + c.P_FAULT_AT], under + prefixes[p + c.P_DEPTH])
        return
    if kind == c.NO_CLEAR:
        left = prefixes[p + c.P_NET] + need
        if left > 0 or need >= w[f + c.F_KNOWN]:
            w[f + c.F_KNOWN] = 0
        else:
            drop(w, f, need)
        if prefixes[p + c.P_KNOWN] > 0 and left > 0:
            knows(w, f, 1, prefixes[p + c.P_TOP])
        return
    if relative:
        w[f + c.F_CLEAR_OP], w[f + c.F_CLEAR_AT], w[f + c.F_CALLEE] = op, at, target
        w[f + c.F_C_KNOWN], w[f + c.F_C_TOP], w[f + c.F_C_TOP1] = prefixes[p + c.P_KNOWN], prefixes[p + c.P_TOP], prefixes[p + c.P_TOP1]
        return
    # ... and its suffix
    source = related if shared else table
    w[f + c.F_FLAGS] |= more
    w[f + c.F_WIDTH] = 0
    if w[f + c.F_FIRST] == 0:
        w[f + c.F_FIRST] = draws(op)
    w[f + c.F_POINTS] = min(w[f + c.F_POINTS] + made, c.HUGE)
    w[f + c.F_STEPS] += 1
    if source[s + c.S_HINTS] > 0:
        w[f + c.F_HINT_AT] = source[s + c.S_HINT_AT]
    elif added > 0:
        w[f + c.F_HINT_AT] = at
    w[f + c.F_HINTS] += added
    joined(w, f, source, s)
    if op == 14 and deep >= 4 and w[f + c.F_ENDING] >= 0:
        w[f + c.F_ACCENT], w[f + c.F_BASE] = code(prefixes[p + c.P_TOP]), code(prefixes[p + c.P_TOP1])


@bare
def target(w: Any, f: int, op: int, token: int, base: int, globals_: int, bias: int, count: int) -> int:
    """The slot that a call goes to; -1 where it goes nowhere, `base` is the first slot of the context."""
    n, relative, top = w[f + c.F_DEPTH], w[f + c.F_KIND] == c.ON_PREFIX, w[f + c.F_TOP]
    number = (top >> 16) + bias
    if not relative and n < 1:
        stop(w, f, c.FAILS, UNDERFLOW, token, n)
    elif w[f + c.F_KNOWN] < 1:
        stop(w, f, c.UNKNOWN, c.DATA_SUBR, token, n)
    elif top & 0xFFFF:
        stop(w, f, c.FAILS, NOT_INTEGER, token, n)
    elif number < 0 or number >= count:
        stop(w, f, c.FAILS, SUBR, token, n)
    else:
        slot: int = base + number + (globals_ if op == 10 else 0)
        return slot
    return -1
