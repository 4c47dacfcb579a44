"""Reads one body for the proof: a glyph's charstring or a subroutine, from where its frame stands to its end or to what must be known first.

Adobe Technical Note 5177; plain Python that Numba compiles. `w` is the array of frames, `f` where the frame begins.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import bare
from tanken.isa.charstring.columns import (
    BAD,
    CALLS,
    CLEARS,
    COMPUTED,
    DATA_BLEND,
    DATA_SUBR,
    ENDS,
    F_ACCENT,
    F_BASE,
    F_C_KNOWN,
    F_C_TOP,
    F_C_TOP1,
    F_CALLEE,
    F_CLEAR_AT,
    F_CLEAR_OP,
    F_CONTEXT,
    F_DEPTH,
    F_END,
    F_ENDING,
    F_FIRST,
    F_FLAGS,
    F_HEIGHT,
    F_HINT_AT,
    F_HINTS,
    F_KIND,
    F_KNOWN,
    F_PENDING,
    F_POINTS,
    F_POS,
    F_SLOT,
    F_STEPS,
    F_TOP,
    F_TOP1,
    F_TOP2,
    F_TOP3,
    F_USED,
    F_WANTED,
    F_WANTED_HINTS,
    F_WIDTH,
    FAILS,
    HUGE,
    MAX_HINTS,
    NO_CLEAR,
    ON_GLYPH,
    ON_PREFIX,
    OPEN,
    P_CALLEE,
    P_DEPTH,
    P_FAULT,
    P_FAULT_AT,
    P_FLAGS,
    P_GROW,
    P_GROW_AT,
    P_HEIGHT,
    P_KIND,
    P_KNOWN,
    P_NEED,
    P_NEED_AT,
    P_NET,
    P_OP,
    P_OP_AT,
    P_STATE,
    P_STEPS,
    P_TOP,
    P_TOP1,
    PREFIX,
    RECURSION,
    RETURNS,
    S_CONTEXT,
    S_DEPTH,
    S_END,
    S_FAULT,
    S_FAULT_AT,
    S_FAULT_DEPTH,
    S_FIRST,
    S_FLAGS,
    S_HEIGHT,
    S_HINT_AT,
    S_HINTS,
    S_KEY,
    S_KNOWN,
    S_MAX,
    S_MAX_AT,
    S_POINTS,
    S_SEAC_ACCENT,
    S_SEAC_BASE,
    S_STEPS,
    S_TOP,
    S_USED,
    SUFFIX,
    UNKNOWN,
    code,
    drop,
    find,
    knows,
    needs,
    rises,
    stop,
)  # fmt: skip
from tanken.isa.charstring.effects import ESCAPE, clearing, draws, keeping
from tanken.isa.charstring.fixed import numeral
from tanken.isa.charstring.results import (
    AFTER_END,
    ARITHMETIC,
    BLEND,
    HINTS,
    ILLEGAL,
    INDEX,
    NO_END,
    NOT_INTEGER,
    OK,
    RANDOM,
    ROLL,
    SEAC,
    STORAGE,
    SUBR,
    TRUNCATED,
    UNDERFLOW,
)  # fmt: skip

GET, PUT, INDEX_OP, ROLL_OP, RANDOM_OP, DUP, EXCH, DROP = (ESCAPE + code for code in (21, 20, 29, 30, 23, 27, 28, 18))


@bare
def varies(w: Any, f: int, value: int, variants: int, count: int, at: int) -> None:
    """vsindex: the context becomes that of another item variation data, of `count`."""
    number = value >> 16
    if number < 0 or number >= count:
        stop(w, f, FAILS, BLEND, at, w[f + F_DEPTH])
    else:
        w[f + F_CONTEXT] += number - w[f + F_CONTEXT] % variants


@bare
def masked(w: Any, f: int, at: int) -> None:
    """The bytes of a mask."""
    w[f + F_USED] = 1
    w[f + F_POS] += (w[f + F_HINTS] + 7) >> 3
    if w[f + F_POS] > w[f + F_END]:
        stop(w, f, FAILS, TRUNCATED, at, w[f + F_DEPTH])


@bare
def joined(w: Any, f: int, source: Any, s: int) -> None:
    """What a suffix leaves behind: its hints, stack, costs beside those of the frame, and its ending, unless it returns."""
    w[f + F_HINTS] += source[s + S_HINTS]
    w[f + F_USED] |= source[s + S_USED]
    w[f + F_DEPTH] = source[s + S_DEPTH]
    rises(w, f, source[s + S_MAX], source[s + S_MAX_AT])
    w[f + F_POINTS] = min(w[f + F_POINTS] + source[s + S_POINTS], HUGE)
    w[f + F_STEPS] = min(w[f + F_STEPS] + source[s + S_STEPS], HUGE)
    w[f + F_HEIGHT] = max(w[f + F_HEIGHT], 1 + source[s + S_HEIGHT])
    if w[f + F_FIRST] == 0:
        w[f + F_FIRST] = source[s + S_FIRST]
    w[f + F_FLAGS] |= source[s + S_FLAGS]
    knows(w, f, source[s + S_KNOWN], source[s + S_TOP])
    w[f + F_CONTEXT] += source[s + S_CONTEXT]
    w[f + F_BASE], w[f + F_ACCENT] = source[s + S_SEAC_BASE], source[s + S_SEAC_ACCENT]
    if w[f + F_HINTS] > MAX_HINTS and source[s + S_END] != FAILS:
        stop(w, f, FAILS, HINTS, w[f + F_HINT_AT], 0)
    elif source[s + S_END] != RETURNS:
        stop(w, f, source[s + S_END], source[s + S_FAULT], source[s + S_FAULT_AT], source[s + S_FAULT_DEPTH])


@bare
def begin_suffix(w: Any, f: int, prefixes: Any, related: Any, table: Any, variants: int, count: int) -> None:
    """A suffix begins behind the operator that clears, in this body or in one that it calls."""
    p = w[f + F_SLOT] * PREFIX
    at = prefixes[p + P_OP_AT]
    if prefixes[p + P_KIND] == CLEARS:
        w[f + F_PENDING] = 0
        op = prefixes[p + P_OP]
        if op == 19 or op == 20:
            masked(w, f, at)
        elif op == 14:
            stop(w, f, ENDS, OK, 0, 0)
        elif op == 15:
            if prefixes[p + P_KNOWN] == 0:
                stop(w, f, UNKNOWN, DATA_BLEND, at, 0)
            else:
                varies(w, f, prefixes[p + P_TOP], variants, count, at)
        return
    inner = prefixes[p + P_CALLEE]
    shared = related[inner * SUFFIX + S_KEY] == 2
    s = inner * SUFFIX if shared else find(table, inner * 128 + w[f + F_HINTS] + 1)
    if not shared and table[s + S_KEY] == 0:
        w[f + F_WANTED], w[f + F_WANTED_HINTS] = inner, w[f + F_HINTS]
        return
    w[f + F_PENDING] = 0
    if not shared and table[s + S_END] == -1:
        stop(w, f, FAILS, RECURSION, at, 0)
        return
    source = related if shared else table
    w[f + F_HINT_AT] = source[s + S_HINT_AT]
    joined(w, f, source, s)


@bare
def finish(w: Any, f: int, cff2: bool) -> None:
    """The bytes are over: a return, or the end of the glyph, which may be a seac."""
    if not cff2:
        w[f + F_FLAGS] |= NO_END
    if w[f + F_KIND] != ON_GLYPH:
        stop(w, f, RETURNS, OK, 0, 0)
        return
    w[f + F_STEPS] += 1
    stop(w, f, ENDS, OK, 0, 0)
    if not cff2:
        _, _, _, more = clearing(14, w[f + F_DEPTH], w[f + F_WIDTH] == 1)
        w[f + F_FLAGS] |= more
        composed(w, f, w[f + F_END])


@bare
def composed(w: Any, f: int, at: int) -> None:
    """An end of a glyph with four numbers names two parts."""
    if w[f + F_DEPTH] >= 4:
        if w[f + F_KNOWN] >= 2:
            w[f + F_ACCENT], w[f + F_BASE] = code(w[f + F_TOP]), code(w[f + F_TOP1])
        else:
            stop(w, f, UNKNOWN, SEAC, at, w[f + F_DEPTH])


@bare
def call(w: Any, f: int, token: int, target: int, prefixes: Any, related: Any, table: Any) -> None:
    """A call of the slot `target`: its summary, or the wish for it; the call is read again then."""
    p = target * PREFIX
    under, relative = w[f + F_DEPTH] - 1, w[f + F_KIND] == ON_PREFIX
    kind, need, op, at = prefixes[p + P_KIND], prefixes[p + P_NEED], prefixes[p + P_OP], prefixes[p + P_OP_AT]
    deep = under + prefixes[p + P_NET]  # numbers at the operator that clears
    if prefixes[p + P_STATE] == 1:
        stop(w, f, FAILS, RECURSION, token, w[f + F_DEPTH])
        return
    if prefixes[p + P_STATE] == 0:
        w[f + F_WANTED], w[f + F_POS] = target, token
        return
    if not relative and need > under:
        w[f + F_HEIGHT] = max(w[f + F_HEIGHT], 1 + prefixes[p + P_HEIGHT])
        stop(w, f, FAILS, UNDERFLOW, prefixes[p + P_NEED_AT], under)
        return
    s, shared, made, added, more = 0, False, 0, 0, 0
    joins = not relative and (kind == CLEARS or kind == CALLS)
    if joins:
        bad, made, added, more = clearing(op, deep, w[f + F_WIDTH] == 1)
        if bad == OK and op == 14 and deep >= 4 and prefixes[p + P_KNOWN] < 2:
            stop(w, f, UNKNOWN, SEAC, at, deep)
            return
        if bad == OK and w[f + F_HINTS] + added > MAX_HINTS:
            bad = HINTS
        if bad != OK:
            w[f + F_HEIGHT] = max(w[f + F_HEIGHT], 1 + prefixes[p + P_HEIGHT])
            rises(w, f, under + prefixes[p + P_GROW], prefixes[p + P_GROW_AT])
            stop(w, f, FAILS, bad, at, deep)
            return
        shared = related[target * SUFFIX + S_KEY] == 2
        s = target * SUFFIX if shared else find(table, target * 128 + w[f + F_HINTS] + added + 1)
        if not shared and table[s + S_KEY] == 0:
            w[f + F_WANTED], w[f + F_WANTED_HINTS], w[f + F_POS] = target, w[f + F_HINTS] + added, token
            return
        if not shared and table[s + S_END] == -1:
            stop(w, f, FAILS, RECURSION, token, w[f + F_DEPTH])
            return
    # the callee is known: its prefix
    w[f + F_STEPS] = min(w[f + F_STEPS] + 1 + prefixes[p + P_STEPS], HUGE)
    w[f + F_HEIGHT] = max(w[f + F_HEIGHT], 1 + prefixes[p + P_HEIGHT])
    w[f + F_FLAGS] |= prefixes[p + P_FLAGS]
    if relative:
        needs(w, f, need - under, prefixes[p + P_NEED_AT])
    rises(w, f, under + prefixes[p + P_GROW], prefixes[p + P_GROW_AT])
    drop(w, f, 1)
    w[f + F_DEPTH] = deep
    if kind == BAD or kind == OPEN:
        stop(w, f, FAILS if kind == BAD else UNKNOWN, prefixes[p + P_FAULT], prefixes[p + P_FAULT_AT], under + prefixes[p + P_DEPTH])
        return
    if kind == NO_CLEAR:
        left = prefixes[p + P_NET] + need
        if left > 0 or need >= w[f + F_KNOWN]:
            w[f + F_KNOWN] = 0
        else:
            drop(w, f, need)
        if prefixes[p + P_KNOWN] > 0 and left > 0:
            knows(w, f, 1, prefixes[p + P_TOP])
        return
    if relative:
        w[f + F_CLEAR_OP], w[f + F_CLEAR_AT], w[f + F_CALLEE] = op, at, target
        w[f + F_C_KNOWN], w[f + F_C_TOP], w[f + F_C_TOP1] = prefixes[p + P_KNOWN], prefixes[p + P_TOP], prefixes[p + P_TOP1]
        return
    # ... and its suffix
    source = related if shared else table
    w[f + F_FLAGS] |= more
    w[f + F_WIDTH] = 0
    if w[f + F_FIRST] == 0:
        w[f + F_FIRST] = draws(op)
    w[f + F_POINTS] = min(w[f + F_POINTS] + made, HUGE)
    w[f + F_STEPS] += 1
    if source[s + S_HINTS] > 0:
        w[f + F_HINT_AT] = source[s + S_HINT_AT]
    elif added > 0:
        w[f + F_HINT_AT] = at
    w[f + F_HINTS] += added
    joined(w, f, source, s)
    if op == 14 and deep >= 4 and w[f + F_ENDING] >= 0:
        w[f + F_ACCENT], w[f + F_BASE] = code(prefixes[p + P_TOP]), code(prefixes[p + P_TOP1])


@bare
def clear(w: Any, f: int, op: int, token: int, variants: int, count: int) -> None:
    """An operator that clears the stack; a prefix ends with it."""
    n = w[f + F_DEPTH]
    if w[f + F_KIND] == ON_PREFIX:
        w[f + F_CLEAR_OP], w[f + F_CLEAR_AT] = op, token
        w[f + F_C_KNOWN], w[f + F_C_TOP], w[f + F_C_TOP1] = w[f + F_KNOWN], w[f + F_TOP], w[f + F_TOP1]
        return
    w[f + F_STEPS] += 1
    bad, made, added, more = clearing(op, n, w[f + F_WIDTH] == 1)
    if bad == OK and w[f + F_HINTS] + added > MAX_HINTS:
        bad = HINTS
    if bad != OK:
        stop(w, f, FAILS, bad, token, n)
        return
    w[f + F_FLAGS] |= more
    if op == 14:
        stop(w, f, ENDS, OK, 0, 0)
        if w[f + F_KIND] == ON_GLYPH and w[f + F_POS] < w[f + F_END]:
            w[f + F_FLAGS] |= AFTER_END
        composed(w, f, token)
        return
    if op == 15:
        if w[f + F_KNOWN] < 1:
            stop(w, f, UNKNOWN, DATA_BLEND, token, n)
            return
        varies(w, f, w[f + F_TOP], variants, count, token)
    w[f + F_POINTS] += made
    if added > 0:
        w[f + F_HINT_AT] = token
        w[f + F_HINTS] += added
    if w[f + F_FIRST] == 0:
        w[f + F_FIRST] = draws(op)
    if op == 19 or op == 20:
        masked(w, f, token)
    w[f + F_WIDTH], w[f + F_DEPTH], w[f + F_KNOWN] = 0, 0, 0


@bare
def misplaced(w: Any, f: int, op: int, token: int) -> int:
    """index and roll by numbers that are known: a fault, or how far down they reach; 0 of neither."""
    n, relative, top, below = w[f + F_DEPTH], w[f + F_KIND] == ON_PREFIX, w[f + F_TOP], w[f + F_TOP1]
    if op == INDEX_OP and w[f + F_KNOWN] >= 1 and not top & 0xFFFF:
        deep = max(top >> 16, 0) + 2
        if relative:
            needs(w, f, deep - n, token)
        elif deep > n:
            return UNDERFLOW if n < 2 else INDEX
    if op == ROLL_OP and w[f + F_KNOWN] >= 2 and not (top | below) & 0xFFFF:
        count = below >> 16
        if count < 0 or (not relative and n >= 2 and count + 2 > n):
            return ROLL
        if relative:
            needs(w, f, count + 2 - n, token)
    return OK


@bare
def placed(w: Any, f: int, op: int, taken: int) -> int:
    """A place, an index or a count: a fault where what is known of it is wrong, a flag where nothing is known."""
    enough, known, top = w[f + F_KIND] == ON_PREFIX or w[f + F_DEPTH] >= taken, w[f + F_KNOWN], w[f + F_TOP]
    if op == PUT or op == GET or op == INDEX_OP:
        if known < 1:
            w[f + F_FLAGS] |= COMPUTED
        elif top & 0xFFFF:
            return NOT_INTEGER if enough else OK
        elif op != INDEX_OP and (top < 0 or top >> 16 > 31) and enough:
            return STORAGE
    if op == ROLL_OP:
        if known < 2:
            w[f + F_FLAGS] |= COMPUTED
        elif (top | w[f + F_TOP1]) & 0xFFFF and enough:
            return NOT_INTEGER
    return OK


@bare
def keep(w: Any, f: int, op: int, token: int, cff2: bool, region_base: Any, variants: int) -> None:
    """An operator that keeps the stack: numbers taken, numbers left, what is still known of the topmost ones."""
    n, relative = w[f + F_DEPTH], w[f + F_KIND] == ON_PREFIX
    w[f + F_STEPS] += 1
    taken, left = -1, 0
    if cff2 and op == 16:
        now, count = w[f + F_CONTEXT] % variants, w[f + F_TOP] >> 16
        if w[f + F_KNOWN] < 1:
            stop(w, f, FAILS if not relative and n < 1 else UNKNOWN, UNDERFLOW if not relative and n < 1 else DATA_BLEND, token, n)
            return
        if count < 0 or now >= len(region_base) - 1:
            stop(w, f, FAILS, BLEND, token, n)
            return
        taken, left = count * (region_base[now + 1] - region_base[now] + 1) + 1, count
    elif not cff2:
        taken, left = keeping(op)
    bad = ILLEGAL if taken < 0 else OK
    if bad == OK and not cff2:
        bad = misplaced(w, f, op, token)
        w[f + F_FLAGS] |= ARITHMETIC if bad == OK else 0
        if op == RANDOM_OP:
            w[f + F_FLAGS] |= RANDOM
        if bad == OK:
            bad = placed(w, f, op, taken)
    if bad == OK and not relative and n < taken:
        bad = UNDERFLOW
    if bad != OK:
        stop(w, f, FAILS, bad, token, n)
        return
    if relative:
        needs(w, f, taken - n, token)
    w[f + F_DEPTH] = n + left - taken
    rises(w, f, n + left - taken, token)
    if op == DUP and w[f + F_KNOWN] > 0:
        w[f + F_TOP3], w[f + F_TOP2], w[f + F_TOP1] = w[f + F_TOP2], w[f + F_TOP1], w[f + F_TOP]
        w[f + F_KNOWN] = min(w[f + F_KNOWN] + 1, 4)
    elif op == EXCH and w[f + F_KNOWN] >= 2:
        w[f + F_TOP], w[f + F_TOP1] = w[f + F_TOP1], w[f + F_TOP]
    elif op == DROP or op == PUT:
        drop(w, f, taken)
    else:
        w[f + F_KNOWN] = 0


@bare
def numbers(data: Any, w: Any, f: int) -> int:
    """Numbers, as many as stand here; the operator's first byte behind them, -1 at the end of the bytes or of a number that is cut."""
    pos, end, n, known = w[f + F_POS], w[f + F_END], w[f + F_DEPTH], w[f + F_KNOWN]
    top, top1, top2, top3 = w[f + F_TOP], w[f + F_TOP1], w[f + F_TOP2], w[f + F_TOP3]
    token, before = pos, n
    while pos < end and pos >= 0 and (data[pos] >= 32 or data[pos] == 28):
        token = pos
        value, pos = numeral(data, data[pos], pos + 1, end)
        top3, top2, top1, top = top2, top1, top, value
        n += 1
    if n > before:
        w[f + F_KNOWN], w[f + F_DEPTH] = min(known + n - before, 4), n
        w[f + F_TOP], w[f + F_TOP1], w[f + F_TOP2], w[f + F_TOP3] = top, top1, top2, top3
        if pos < 0:
            stop(w, f, FAILS, TRUNCATED, token, n - 1)
            n -= 1
            pos = end
        rises(w, f, n, token)
    w[f + F_POS] = pos
    return -1 if pos >= end else int(data[pos])


@bare
def target(w: Any, f: int, op: int, token: int, base: int, globals_: int, bias: int, count: int) -> int:
    """The slot that a call goes to; -1 where it goes nowhere, `base` is the first slot of the context."""
    n, relative, top = w[f + F_DEPTH], w[f + F_KIND] == ON_PREFIX, w[f + F_TOP]
    number = (top >> 16) + bias
    if not relative and n < 1:
        stop(w, f, FAILS, UNDERFLOW, token, n)
    elif w[f + F_KNOWN] < 1:
        stop(w, f, UNKNOWN, DATA_SUBR, token, n)
    elif top & 0xFFFF:
        stop(w, f, FAILS, NOT_INTEGER, token, n)
    elif number < 0 or number >= count:
        stop(w, f, FAILS, SUBR, token, n)
    else:
        slot: int = base + number + (globals_ if op == 10 else 0)
        return slot
    return -1
