"""Operators of a body as the proof reads them: what each takes from the stack, what is known of what it leaves, and how a body ends.

Adobe Technical Note 5177; plain Python that Numba compiles. `w` is the array of frames, `f` where the frame begins.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import bare
from tanken.isa.charstring import columns as c
from tanken.isa.charstring.columns import code, drop, needs, rises, stop
from tanken.isa.charstring.effects import ESCAPE, clearing, draws, keeping
from tanken.isa.charstring.fixed import numeral
from tanken.isa.charstring.results import AFTER_END, ARITHMETIC, BLEND, HINTS, ILLEGAL, INDEX, NO_END, NOT_INTEGER, OK, RANDOM, ROLL, SEAC, STORAGE, TRUNCATED, UNDERFLOW

GET, PUT, INDEX_OP, ROLL_OP, RANDOM_OP, DUP, EXCH, DROP = (ESCAPE + code for code in (21, 20, 29, 30, 23, 27, 28, 18))


@bare
def varies(w: Any, f: int, value: int, variants: int, count: int, at: int) -> None:
    """vsindex: the context becomes that of another item variation data, of `count`."""
    number = value >> 16
    if number < 0 or number >= count:
        stop(w, f, c.FAILS, BLEND, at, w[f + c.F_DEPTH])
    else:
        w[f + c.F_CONTEXT] += number - w[f + c.F_CONTEXT] % variants


@bare
def masked(w: Any, f: int, at: int) -> None:
    """The bytes of a mask."""
    w[f + c.F_USED] = 1
    w[f + c.F_POS] += (w[f + c.F_HINTS] + 7) >> 3
    if w[f + c.F_POS] > w[f + c.F_END]:
        stop(w, f, c.FAILS, TRUNCATED, at, w[f + c.F_DEPTH])


@bare
def composed(w: Any, f: int, at: int) -> None:
    """An end of a glyph with four numbers names two parts."""
    if w[f + c.F_DEPTH] >= 4:
        if w[f + c.F_KNOWN] >= 2:
            w[f + c.F_ACCENT], w[f + c.F_BASE] = code(w[f + c.F_TOP]), code(w[f + c.F_TOP1])
        else:
            stop(w, f, c.UNKNOWN, SEAC, at, w[f + c.F_DEPTH])


@bare
def finish(w: Any, f: int, cff2: bool) -> None:
    """The bytes are over: a return, or the end of the glyph, which may be a seac."""
    if not cff2:
        w[f + c.F_FLAGS] |= NO_END
    if w[f + c.F_KIND] != c.ON_GLYPH:
        stop(w, f, c.RETURNS, OK, 0, 0)
        return
    w[f + c.F_STEPS] += 1
    stop(w, f, c.ENDS, OK, 0, 0)
    if not cff2:
        _, _, _, more = clearing(14, w[f + c.F_DEPTH], w[f + c.F_WIDTH] == 1)
        w[f + c.F_FLAGS] |= more
        composed(w, f, w[f + c.F_END])


@bare
def clear(w: Any, f: int, op: int, token: int, variants: int, count: int) -> None:
    """An operator that clears the stack; a prefix ends with it."""
    n = w[f + c.F_DEPTH]
    if w[f + c.F_KIND] == c.ON_PREFIX:
        w[f + c.F_CLEAR_OP], w[f + c.F_CLEAR_AT] = op, token
        w[f + c.F_C_KNOWN], w[f + c.F_C_TOP], w[f + c.F_C_TOP1] = w[f + c.F_KNOWN], w[f + c.F_TOP], w[f + c.F_TOP1]
        return
    w[f + c.F_STEPS] += 1
    bad, made, added, more = clearing(op, n, w[f + c.F_WIDTH] == 1)
    if bad == OK and w[f + c.F_HINTS] + added > c.MAX_HINTS:
        bad = HINTS
    if bad != OK:
        stop(w, f, c.FAILS, bad, token, n)
        return
    w[f + c.F_FLAGS] |= more
    if op == 14:
        stop(w, f, c.ENDS, OK, 0, 0)
        if w[f + c.F_KIND] == c.ON_GLYPH and w[f + c.F_POS] < w[f + c.F_END]:
            w[f + c.F_FLAGS] |= AFTER_END
        composed(w, f, token)
        return
    if op == 15:
        if w[f + c.F_KNOWN] < 1:
            stop(w, f, c.UNKNOWN, c.DATA_BLEND, token, n)
            return
        varies(w, f, w[f + c.F_TOP], variants, count, token)
    w[f + c.F_POINTS] += made
    if added > 0:
        w[f + c.F_HINT_AT] = token
        w[f + c.F_HINTS] += added
    if w[f + c.F_FIRST] == 0:
        w[f + c.F_FIRST] = draws(op)
    if op == 19 or op == 20:
        masked(w, f, token)
    w[f + c.F_WIDTH], w[f + c.F_DEPTH], w[f + c.F_KNOWN] = 0, 0, 0


@bare
def misplaced(w: Any, f: int, op: int, token: int) -> int:
    """index and roll by numbers that are known: a fault, or how far down they reach; 0 of neither."""
    n, relative, top, below = w[f + c.F_DEPTH], w[f + c.F_KIND] == c.ON_PREFIX, w[f + c.F_TOP], w[f + c.F_TOP1]
    if op == INDEX_OP and w[f + c.F_KNOWN] >= 1 and not top & 0xFFFF:
        deep = max(top >> 16, 0) + 2
        if relative:
            needs(w, f, deep - n, token)
        elif deep > n:
            return UNDERFLOW if n < 2 else INDEX
    if op == ROLL_OP and w[f + c.F_KNOWN] >= 2 and not (top | below) & 0xFFFF:
        count = below >> 16
        if count < 0 or (not relative and n >= 2 and count + 2 > n):
            return ROLL
        if relative:
            needs(w, f, count + 2 - n, token)
    return OK


@bare
def placed(w: Any, f: int, op: int, taken: int) -> int:
    """A place, an index or a count: a fault where what is known of it is wrong, a flag where nothing is known."""
    enough, known, top = w[f + c.F_KIND] == c.ON_PREFIX or w[f + c.F_DEPTH] >= taken, w[f + c.F_KNOWN], w[f + c.F_TOP]
    if op == PUT or op == GET or op == INDEX_OP:
        if known < 1:
            w[f + c.F_FLAGS] |= c.COMPUTED
        elif top & 0xFFFF:
            return NOT_INTEGER if enough else OK
        elif op != INDEX_OP and (top < 0 or top >> 16 > 31) and enough:
            return STORAGE
    if op == ROLL_OP:
        if known < 2:
            w[f + c.F_FLAGS] |= c.COMPUTED
        elif (top | w[f + c.F_TOP1]) & 0xFFFF and enough:
            return NOT_INTEGER
    return OK


@bare
def keep(w: Any, f: int, op: int, token: int, cff2: bool, region_base: Any, variants: int) -> None:
    """An operator that keeps the stack: numbers taken, numbers left, what is still known of the topmost ones."""
    n, relative = w[f + c.F_DEPTH], w[f + c.F_KIND] == c.ON_PREFIX
    w[f + c.F_STEPS] += 1
    taken, left = -1, 0
    if cff2 and op == 16:
        now, count = w[f + c.F_CONTEXT] % variants, w[f + c.F_TOP] >> 16
        if w[f + c.F_KNOWN] < 1:
            stop(w, f, c.FAILS if not relative and n < 1 else c.UNKNOWN, UNDERFLOW if not relative and n < 1 else c.DATA_BLEND, token, n)
            return
        if count < 0 or now >= len(region_base) - 1:
            stop(w, f, c.FAILS, BLEND, token, n)
            return
        taken, left = count * (region_base[now + 1] - region_base[now] + 1) + 1, count
    elif not cff2:
        taken, left = keeping(op)
    bad = ILLEGAL if taken < 0 else OK
    if bad == OK and not cff2:
        bad = misplaced(w, f, op, token)
        w[f + c.F_FLAGS] |= ARITHMETIC if bad == OK else 0
        if op == RANDOM_OP:
            w[f + c.F_FLAGS] |= RANDOM
        if bad == OK:
            bad = placed(w, f, op, taken)
    if bad == OK and not relative and n < taken:
        bad = UNDERFLOW
    if bad != OK:
        stop(w, f, c.FAILS, bad, token, n)
        return
    if relative:
        needs(w, f, taken - n, token)
    w[f + c.F_DEPTH] = n + left - taken
    rises(w, f, n + left - taken, token)
    if op == DUP and w[f + c.F_KNOWN] > 0:
        w[f + c.F_TOP3], w[f + c.F_TOP2], w[f + c.F_TOP1] = w[f + c.F_TOP2], w[f + c.F_TOP1], w[f + c.F_TOP]
        w[f + c.F_KNOWN] = min(w[f + c.F_KNOWN] + 1, 4)
    elif op == EXCH and w[f + c.F_KNOWN] >= 2:
        w[f + c.F_TOP], w[f + c.F_TOP1] = w[f + c.F_TOP1], w[f + c.F_TOP]
    elif op == DROP or op == PUT:
        drop(w, f, taken)
    else:
        w[f + c.F_KNOWN] = 0


@bare
def numbers(data: Any, w: Any, f: int) -> int:
    """Numbers, as many as stand here; the operator's first byte behind them, -1 at the end of the bytes or of a number that is cut."""
    pos, end, n, known = w[f + c.F_POS], w[f + c.F_END], w[f + c.F_DEPTH], w[f + c.F_KNOWN]
    top, top1, top2, top3 = w[f + c.F_TOP], w[f + c.F_TOP1], w[f + c.F_TOP2], w[f + c.F_TOP3]
    token, before = pos, n
    while pos < end and pos >= 0 and (data[pos] >= 32 or data[pos] == 28):
        token = pos
        value, pos = numeral(data, data[pos], pos + 1, end)
        top3, top2, top1, top = top2, top1, top, value
        n += 1
    if n > before:
        w[f + c.F_KNOWN], w[f + c.F_DEPTH] = min(known + n - before, 4), n
        w[f + c.F_TOP], w[f + c.F_TOP1], w[f + c.F_TOP2], w[f + c.F_TOP3] = top, top1, top2, top3
        if pos < 0:
            stop(w, f, c.FAILS, TRUNCATED, token, n - 1)
            n -= 1
            pos = end
        rises(w, f, n, token)
    w[f + c.F_POS] = pos
    return -1 if pos >= end else int(data[pos])
