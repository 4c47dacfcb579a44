"""What a charstring needs, at most and exactly, without running it: a summary for each subroutine, put together at each call.

Adobe Technical Note 5177; plain Python that Numba compiles. A charstring has no branches, so what a subroutine does depends only on
the stack it finds and on the number of stem hints so far (that is how long a mask is). Its body is cut at the first operator that
clears the stack. What stands before is the *prefix*: numbers needed, highest stack and net effect, all relative to the stack at entry,
the same for every caller. What stands behind, the *suffix*, begins with an empty stack and depends at most on the hint count, which
is 0 to 96. So each body is read once, or once for each hint count where it has masks, however often it is called: time linear in the file.

Calls nest by frames on a stack of our own. A call whose callee has no summary yet puts a frame on top and is read again afterwards.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import kernel
from tanken.isa.charstring.effects import bias, clearing, clears, draws, keeping
from tanken.isa.charstring.fixed import numeral
from tanken.isa.charstring.results import (
    AFTER_END,
    ARITHMETIC,
    BLEND,
    HINTS,
    ILLEGAL,
    INDEX,
    NO_END,
    NO_MOVETO,
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

# faults that only a proof can name, behind those of the kernel
RECURSION, DATA_SUBR, DATA_BLEND, TOO_DEEP = 32, 33, 34, 35
# a flag of its own: an index, a count or a place that is computed, so that a fault is possible
COMPUTED = 256
# another: the number of a subroutine, a blend or a part of a seac came from elsewhere, so that only a run could tell
COMPUTED_CALL = 512
HUGE = 1 << 60
MAX_HINTS = 96
# how a body ends
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
# columns of a frame
(F_KIND, F_SLOT, F_ENTRY, F_POS, F_END, F_CONTEXT, F_DEPTH, F_HINTS, F_MAX, F_MAX_AT, F_NEED, F_NEED_AT, F_STEPS, F_POINTS, F_HEIGHT, F_KNOWN, F_TOP,
 F_TOP1, F_TOP2, F_TOP3, F_FLAGS, F_WIDTH, F_USED, F_FIRST, F_PENDING, F_HINT_AT, F_BEGAN) = range(27)  # fmt: skip
FRAME = 27
ON_PREFIX, ON_SUFFIX, ON_GLYPH = 0, 1, 2


USES = tuple(f"tanken.isa.charstring.{name}" for name in ("fixed", "effects"))  # the kernel modules behind this one


@kernel
def code(value: int) -> int:
    """The code of StandardEncoding that a number is, 256 where it is none."""
    value >>= 16
    return value if value >= 0 and value < 256 else 256


@kernel
def find(table: Any, key: int) -> int:
    """Where `key` stands in a hash table of suffixes, or the free row where it belongs."""
    size = len(table) // SUFFIX
    row = (key * 0x9E3779B1 & 0x7FFFFFFFFFFF) % size
    while table[row * SUFFIX + S_KEY] != 0 and table[row * SUFFIX + S_KEY] != key:
        row += 1
        if row == size:
            row = 0
    return row * SUFFIX


@kernel
def prove(
    data: Any, first: int, last: int, starts: Any, ends: Any, fd_of: Any, global_starts: Any, global_ends: Any, local_starts: Any, local_ends: Any,
    local_base: Any, cff2: bool, fd_vsindex: Any, region_base: Any, slot_base: Any, prefixes: Any, related: Any, table: Any, frames: Any, glyphs: Any,
    work: Any, roots: bool,
) -> int:  # fmt: skip
    """Proves glyphs `first` to `last`, or with `roots` the slots of these numbers; returns the first one not done for want of room in `table`.

    A *context* is a font DICT and, in CFF2, a vsindex: context = FD * (number of item variation data) + vsindex. A *slot* is a
    subroutine in a context: slot_base[context] + global number, or + number of globals + local number.
    prefixes   PREFIX numbers a slot              related    SUFFIX numbers a slot, for suffixes without masks
    table      hash table of the other suffixes   frames     FRAME numbers for each frame there is room for
    glyphs     SUFFIX numbers a glyph             work       [bytes read, bytes that may be read, rows used of `table`]
    """
    variants = max(len(region_base) - 1, 1) if cff2 else 1
    globals_ = len(global_starts)
    global_bias = bias(globals_)
    room = len(frames) // FRAME
    rows = len(table) // SUFFIX
    for root in range(first, last):
        if work[2] * 2 > rows:
            return root
        top = 0
        f = 0
        for i in range(FRAME):
            frames[i] = 0
        if roots:
            if prefixes[root * PREFIX + P_STATE] == 2:
                continue
            context = 0
            while context + 1 < len(slot_base) - 1 and slot_base[context + 1] <= root:
                context += 1
            frames[F_KIND], frames[F_SLOT], frames[F_CONTEXT] = ON_PREFIX, root, context
            number = root - slot_base[context]
            if number < globals_:
                frames[F_POS], frames[F_END] = global_starts[number], global_ends[number]
            else:
                number += local_base[context // variants] - globals_
                frames[F_POS], frames[F_END] = local_starts[number], local_ends[number]
            prefixes[root * PREFIX + P_STATE] = 1
        else:
            fd = fd_of[root]
            frames[F_KIND], frames[F_SLOT], frames[F_CONTEXT] = ON_GLYPH, root, fd * variants + (fd_vsindex[fd] if cff2 else 0)
            frames[F_POS], frames[F_END], frames[F_WIDTH] = starts[root], ends[root], 0 if cff2 else 1
        while top >= 0:
            f = top * FRAME
            kind, slot, context = frames[f + F_KIND], frames[f + F_SLOT], frames[f + F_CONTEXT]
            pos, end = frames[f + F_POS], frames[f + F_END]
            n, hints = frames[f + F_DEPTH], frames[f + F_HINTS]
            high, high_at, need, need_at = frames[f + F_MAX], frames[f + F_MAX_AT], frames[f + F_NEED], frames[f + F_NEED_AT]
            steps, points, height = frames[f + F_STEPS], frames[f + F_POINTS], frames[f + F_HEIGHT]
            known, top0, top1, top2, top3 = frames[f + F_KNOWN], frames[f + F_TOP], frames[f + F_TOP1], frames[f + F_TOP2], frames[f + F_TOP3]
            flags, width, used, drawn = frames[f + F_FLAGS], frames[f + F_WIDTH] == 1, frames[f + F_USED], frames[f + F_FIRST]
            hint_at = frames[f + F_HINT_AT]
            fault, fault_at, fault_depth = OK, 0, 0
            ending = -1  # RETURNS, ENDS, FAILS, UNKNOWN
            clear_op, clear_at, callee, c_known, c_top, c_top1 = -1, 0, -1, 0, 0, 0
            seac_base, seac_accent = -1, -1
            wanted_slot, wanted_hints = -1, -1  # a summary that is missing
            relative = kind == ON_PREFIX
            began = pos
            # -- a suffix begins behind the operator that clears, in this body or in one that it calls
            if kind == ON_SUFFIX and frames[f + F_PENDING] == 1:
                p = slot * PREFIX
                if prefixes[p + P_KIND] == CLEARS:
                    op = prefixes[p + P_OP]
                    if op == 19 or op == 20:
                        used = 1
                        pos += (hints + 7) >> 3
                        if pos > end:
                            ending, fault, fault_at = FAILS, TRUNCATED, prefixes[p + P_OP_AT]
                    elif op == 14:
                        ending = ENDS
                    elif op == 15:
                        if prefixes[p + P_KNOWN] == 0:
                            ending, fault, fault_at = UNKNOWN, DATA_BLEND, prefixes[p + P_OP_AT]
                        else:
                            value = prefixes[p + P_TOP] >> 16
                            if value < 0 or value >= len(region_base) - 1:
                                ending, fault, fault_at = FAILS, BLEND, prefixes[p + P_OP_AT]
                            else:
                                context = context - context % variants + value
                    frames[f + F_PENDING] = 0
                else:
                    inner = prefixes[p + P_CALLEE]
                    s = -1
                    if related[inner * SUFFIX + S_KEY] == 2:
                        s = inner * SUFFIX
                        r_key = 0
                    else:
                        s = find(table, inner * 128 + hints + 1)
                        r_key = table[s + S_KEY]
                    in_related = related[inner * SUFFIX + S_KEY] == 2
                    if not in_related and r_key == 0:
                        wanted_slot, wanted_hints = inner, hints
                    elif not in_related and table[s + S_END] == -1:
                        ending, fault, fault_at = FAILS, RECURSION, prefixes[p + P_OP_AT]
                        frames[f + F_PENDING] = 0
                    else:
                        source = related if in_related else table
                        delta = source[s + S_HINTS]
                        n, high, high_at = source[s + S_DEPTH], source[s + S_MAX], source[s + S_MAX_AT]
                        steps, points, height = source[s + S_STEPS], source[s + S_POINTS], source[s + S_HEIGHT] + 1
                        known, top0, flags, drawn = source[s + S_KNOWN], source[s + S_TOP], source[s + S_FLAGS], source[s + S_FIRST]
                        context = context + source[s + S_CONTEXT]
                        hints = hints + delta
                        hint_at = source[s + S_HINT_AT]
                        used |= source[s + S_USED]
                        seac_base, seac_accent = source[s + S_SEAC_BASE], source[s + S_SEAC_ACCENT]
                        if hints > MAX_HINTS and source[s + S_END] != FAILS:
                            ending, fault, fault_at = FAILS, HINTS, hint_at
                        elif source[s + S_END] != RETURNS:
                            ending = source[s + S_END]
                            fault, fault_at, fault_depth = source[s + S_FAULT], source[s + S_FAULT_AT], source[s + S_FAULT_DEPTH]
                        frames[f + F_PENDING] = 0
            fd = context // variants
            local_first = local_base[fd]
            local_count = local_base[fd + 1] - local_first
            local_bias = bias(local_count)
            while ending < 0 and wanted_slot < 0:
                if pos >= end:
                    if kind == ON_GLYPH:
                        if not cff2:
                            flags |= NO_END
                        steps += 1
                        ending = ENDS
                        if not cff2:
                            bad, _, _, more = clearing(14, n, width)
                            flags |= more
                            if n >= 4:
                                clear_op = 14
                    else:
                        if not cff2:
                            flags |= NO_END
                        ending = RETURNS
                    if clear_op == 14:
                        if known >= 2:
                            seac_accent, seac_base = code(top0), code(top1)
                        else:
                            ending, fault, fault_at = UNKNOWN, SEAC, pos
                    break
                op = data[pos]
                token = pos
                pos += 1
                if op >= 32 or op == 28:
                    value, pos = numeral(data, op, pos, end)
                    if pos < 0:
                        pos = end
                        ending, fault, fault_at, fault_depth = FAILS, TRUNCATED, token, n
                        break
                    top3, top2, top1, top0 = top2, top1, top0, value
                    known = min(known + 1, 4)
                    n += 1
                    if n > high:
                        high, high_at = n, token
                    continue
                if op == 10 or op == 29:
                    if not relative and n < 1:
                        ending, fault, fault_at, fault_depth = FAILS, UNDERFLOW, token, n
                        break
                    if known < 1:
                        ending, fault, fault_at, fault_depth = UNKNOWN, DATA_SUBR, token, n
                        break
                    if top0 & 0xFFFF:
                        ending, fault, fault_at, fault_depth = FAILS, NOT_INTEGER, token, n
                        break
                    number = top0 >> 16
                    if op == 10:
                        number += local_bias
                        outside = number < 0 or number >= local_count
                        target = slot_base[context] + globals_ + number
                    else:
                        number += global_bias
                        outside = number < 0 or number >= globals_
                        target = slot_base[context] + number
                    if outside:
                        ending, fault, fault_at, fault_depth = FAILS, SUBR, token, n
                        break
                    p = target * PREFIX
                    state = prefixes[p + P_STATE]
                    if state == 1:
                        ending, fault, fault_at, fault_depth = FAILS, RECURSION, token, n
                        break
                    if state == 0:
                        wanted_slot = target
                        pos = token
                        break
                    under = n - 1
                    p_kind, p_need = prefixes[p + P_KIND], prefixes[p + P_NEED]
                    if not relative and p_need > under:
                        height = max(height, 1 + prefixes[p + P_HEIGHT])
                        ending, fault, fault_at, fault_depth = FAILS, UNDERFLOW, prefixes[p + P_NEED_AT], under
                        break
                    s = 0
                    in_related = False
                    hints_at_clear, made, c_flags = hints, 0, 0
                    if not relative and (p_kind == CLEARS or p_kind == CALLS):
                        c_op = prefixes[p + P_OP]
                        bad, made, added, c_flags = clearing(c_op, under + prefixes[p + P_NET], width)
                        if bad == OK and c_op == 14 and under + prefixes[p + P_NET] >= 4 and prefixes[p + P_KNOWN] < 2:
                            ending, fault, fault_at, fault_depth = UNKNOWN, SEAC, prefixes[p + P_OP_AT], under + prefixes[p + P_NET]
                            break
                        hints_at_clear = hints + added
                        if bad == OK and hints_at_clear > MAX_HINTS:
                            bad = HINTS
                        if bad != OK:
                            height = max(height, 1 + prefixes[p + P_HEIGHT])
                            if under + prefixes[p + P_GROW] > high:
                                high, high_at = under + prefixes[p + P_GROW], prefixes[p + P_GROW_AT]
                            ending, fault, fault_at, fault_depth = FAILS, bad, prefixes[p + P_OP_AT], under + prefixes[p + P_NET]
                            break
                        in_related = related[target * SUFFIX + S_KEY] == 2
                        s = target * SUFFIX if in_related else find(table, target * 128 + hints_at_clear + 1)
                        if not in_related:
                            if table[s + S_KEY] == 0:
                                wanted_slot, wanted_hints = target, hints_at_clear
                                pos = token
                                break
                            if table[s + S_END] == -1:
                                ending, fault, fault_at, fault_depth = FAILS, RECURSION, token, n
                                break
                    # the callee is known: its prefix
                    steps = min(steps + 1 + prefixes[p + P_STEPS], HUGE)
                    height = max(height, 1 + prefixes[p + P_HEIGHT])
                    flags |= prefixes[p + P_FLAGS]
                    if relative and p_need - under > need:
                        need, need_at = p_need - under, prefixes[p + P_NEED_AT]
                    if under + prefixes[p + P_GROW] > high:
                        high, high_at = under + prefixes[p + P_GROW], prefixes[p + P_GROW_AT]
                    known -= 1
                    top0, top1, top2 = top1, top2, top3
                    n = under + prefixes[p + P_NET]
                    if p_kind == BAD or p_kind == OPEN:
                        ending = FAILS if p_kind == BAD else UNKNOWN
                        fault, fault_at, fault_depth = prefixes[p + P_FAULT], prefixes[p + P_FAULT_AT], under + prefixes[p + P_DEPTH]
                        break
                    if p_kind == NO_CLEAR:
                        taken = p_need
                        left = prefixes[p + P_NET] + p_need
                        if left > 0 or taken >= known:
                            known = 0
                        else:
                            known -= taken
                            for _ in range(min(taken, 3)):
                                top0, top1, top2 = top1, top2, top3
                        if prefixes[p + P_KNOWN] > 0 and left > 0:
                            known, top0 = 1, prefixes[p + P_TOP]
                        continue
                    if relative:
                        clear_op, clear_at, callee = prefixes[p + P_OP], prefixes[p + P_OP_AT], target
                        c_known, c_top, c_top1 = prefixes[p + P_KNOWN], prefixes[p + P_TOP], prefixes[p + P_TOP1]
                        break
                    # ... and its suffix
                    flags |= c_flags
                    width = False
                    if drawn == 0:
                        drawn = draws(prefixes[p + P_OP])
                    source = related if in_related else table
                    points = min(points + made + source[s + S_POINTS], HUGE)
                    steps = min(steps + 1 + source[s + S_STEPS], HUGE)
                    height = max(height, 1 + source[s + S_HEIGHT])
                    if hints_at_clear != hints:
                        hint_at = prefixes[p + P_OP_AT]
                    hints = hints_at_clear + source[s + S_HINTS]
                    if source[s + S_HINTS] > 0:
                        hint_at = source[s + S_HINT_AT]
                    used |= source[s + S_USED]
                    n = source[s + S_DEPTH]
                    if source[s + S_MAX] > high:
                        high, high_at = source[s + S_MAX], source[s + S_MAX_AT]
                    if drawn == 0:
                        drawn = source[s + S_FIRST]
                    flags |= source[s + S_FLAGS]
                    known, top0 = source[s + S_KNOWN], source[s + S_TOP]
                    if source[s + S_CONTEXT] != 0:
                        context += source[s + S_CONTEXT]
                    if hints > MAX_HINTS and source[s + S_END] != FAILS:
                        ending, fault, fault_at = FAILS, HINTS, hint_at
                        break
                    if source[s + S_END] != RETURNS:
                        ending = source[s + S_END]
                        fault, fault_at, fault_depth = source[s + S_FAULT], source[s + S_FAULT_AT], source[s + S_FAULT_DEPTH]
                        seac_base, seac_accent = source[s + S_SEAC_BASE], source[s + S_SEAC_ACCENT]
                        if prefixes[p + P_OP] == 14 and under + prefixes[p + P_NET] >= 4:
                            seac_accent, seac_base = code(prefixes[p + P_TOP]), code(prefixes[p + P_TOP1])
                        break
                    continue
                if op == 11 and not cff2:
                    steps += 1
                    if kind == ON_GLYPH:
                        ending, fault, fault_at, fault_depth = FAILS, ILLEGAL, token, n
                    else:
                        ending = RETURNS
                    break
                if op == 12:
                    if pos >= end:
                        ending, fault, fault_at, fault_depth = FAILS, TRUNCATED, token, n
                        break
                    op = 256 + data[pos]
                    pos += 1
                if clears(op, cff2):
                    if relative:
                        clear_op, clear_at, c_known, c_top, c_top1 = op, token, known, top0, top1
                        break
                    steps += 1
                    bad, made, added, more = clearing(op, n, width)
                    if bad == OK and hints + added > MAX_HINTS:
                        bad = HINTS
                    if bad != OK:
                        ending, fault, fault_at, fault_depth = FAILS, bad, token, n
                        break
                    if op == 14:
                        ending = ENDS
                        if kind == ON_GLYPH and pos < end:
                            flags |= AFTER_END
                        if n >= 4:
                            if known >= 2:
                                seac_accent, seac_base = code(top0), code(top1)
                            else:
                                ending, fault, fault_at, fault_depth = UNKNOWN, SEAC, token, n
                        flags |= more
                        break
                    if op == 15:
                        if known < 1:
                            ending, fault, fault_at, fault_depth = UNKNOWN, DATA_BLEND, token, n
                            break
                        value = top0 >> 16
                        if value < 0 or value >= len(region_base) - 1:
                            ending, fault, fault_at, fault_depth = FAILS, BLEND, token, n
                            break
                        context = context - context % variants + value
                    points += made
                    if added > 0:
                        hint_at = token
                    hints += added
                    flags |= more
                    if drawn == 0:
                        drawn = draws(op)
                    if op == 19 or op == 20:
                        used = 1
                        pos += (hints + 7) >> 3
                        if pos > end:
                            ending, fault, fault_at, fault_depth = FAILS, TRUNCATED, token, n
                            break
                    width = False
                    n, known = 0, 0
                    continue
                # -- operators that keep the stack: numbers taken, numbers left
                steps += 1
                taken, left = -1, 0
                if cff2 and op == 16:
                    if known < 1:
                        if not relative and n < 1:
                            ending, fault, fault_at, fault_depth = FAILS, UNDERFLOW, token, n
                        else:
                            ending, fault, fault_at, fault_depth = UNKNOWN, DATA_BLEND, token, n
                        break
                    count = top0 >> 16
                    now = context % variants
                    if count < 0 or now >= len(region_base) - 1:
                        ending, fault, fault_at, fault_depth = FAILS, BLEND, token, n
                        break
                    taken, left = count * (region_base[now + 1] - region_base[now] + 1) + 1, count
                elif not cff2:
                    taken, left = keeping(op)
                if op == 256 + 29 and not cff2 and known >= 1 and not top0 & 0xFFFF:
                    deep = max(top0 >> 16, 0) + 2
                    if relative:
                        if deep - n > need:
                            need, need_at = deep - n, token
                    elif deep > n:
                        ending, fault, fault_at, fault_depth = FAILS, UNDERFLOW if n < 2 else INDEX, token, n
                        break
                if op == 256 + 30 and not cff2 and known >= 2 and not (top0 | top1) & 0xFFFF:
                    count = top1 >> 16
                    if count < 0 or (not relative and n >= 2 and count + 2 > n):
                        ending, fault, fault_at, fault_depth = FAILS, ROLL, token, n
                        break
                    if relative and count + 2 - n > need:
                        need, need_at = count + 2 - n, token
                if taken < 0:
                    ending, fault, fault_at, fault_depth = FAILS, ILLEGAL, token, n
                    break
                if not (cff2 and op == 16):
                    flags |= ARITHMETIC
                if op == 256 + 23:
                    flags |= RANDOM
                if op == 256 + 20 or op == 256 + 21 or op == 256 + 29:
                    if known < 1:
                        flags |= COMPUTED
                    elif top0 & 0xFFFF:
                        if relative or n >= taken:
                            ending, fault, fault_at, fault_depth = FAILS, NOT_INTEGER, token, n
                            break
                    elif op != 256 + 29 and (top0 < 0 or top0 >> 16 > 31) and (relative or n >= taken):
                        ending, fault, fault_at, fault_depth = FAILS, STORAGE, token, n
                        break
                if op == 256 + 30:
                    if known < 2:
                        flags |= COMPUTED
                    elif (top0 | top1) & 0xFFFF and (relative or n >= 2):
                        ending, fault, fault_at, fault_depth = FAILS, NOT_INTEGER, token, n
                        break
                if relative:
                    if taken - n > need:
                        need, need_at = taken - n, token
                elif n < taken:
                    ending, fault, fault_at, fault_depth = FAILS, UNDERFLOW, token, n
                    break
                n += left - taken
                if n > high:
                    high, high_at = n, token
                # what is still known of the topmost numbers
                if op == 256 + 27 and known > 0:
                    top3, top2, top1 = top2, top1, top0
                    known = min(known + 1, 4)
                elif op == 256 + 28 and known >= 2:
                    top0, top1 = top1, top0
                elif op == 256 + 18:
                    known = max(known - 1, 0)
                    top0, top1, top2 = top1, top2, top3
                elif op == 256 + 20:
                    known = max(known - 2, 0)
                    top0, top1 = top2, top3
                else:
                    known = 0
            work[0] += pos - began + 1
            if work[0] > work[1] and ending < 0 and wanted_slot < 0 and clear_op < 0:
                ending, fault, fault_at = UNKNOWN, TOO_DEEP, pos
            if wanted_hints >= 0 and work[2] * 4 > rows * 3:  # a larger table, and this root again
                for i in range(top + 1):
                    if frames[i * FRAME + F_KIND] == ON_PREFIX:
                        prefixes[frames[i * FRAME + F_SLOT] * PREFIX + P_STATE] = 0
                return root
            if wanted_slot >= 0 and (top + 1 >= room or work[0] > work[1]):
                wanted_slot = -1
                ending, fault, fault_at = UNKNOWN, TOO_DEEP, pos
            if wanted_slot >= 0:  # put it on top, come back
                frames[f + F_POS], frames[f + F_CONTEXT], frames[f + F_DEPTH], frames[f + F_HINTS] = pos, context, n, hints
                frames[f + F_MAX], frames[f + F_MAX_AT], frames[f + F_NEED], frames[f + F_NEED_AT] = high, high_at, need, need_at
                frames[f + F_STEPS], frames[f + F_POINTS], frames[f + F_HEIGHT] = steps, points, height
                frames[f + F_KNOWN], frames[f + F_TOP], frames[f + F_TOP1], frames[f + F_TOP2], frames[f + F_TOP3] = known, top0, top1, top2, top3
                frames[f + F_FLAGS], frames[f + F_WIDTH], frames[f + F_USED], frames[f + F_FIRST] = flags, 1 if width else 0, used, drawn
                frames[f + F_HINT_AT] = hint_at
                top += 1
                f = top * FRAME
                for i in range(FRAME):
                    frames[f + i] = 0
                frames[f + F_SLOT], frames[f + F_CONTEXT] = wanted_slot, context
                number = wanted_slot - slot_base[context]
                if number < globals_:
                    frames[f + F_POS], frames[f + F_END] = global_starts[number], global_ends[number]
                else:
                    number += local_first - globals_
                    frames[f + F_POS], frames[f + F_END] = local_starts[number], local_ends[number]
                if wanted_hints < 0:
                    frames[f + F_KIND] = ON_PREFIX
                    prefixes[wanted_slot * PREFIX + P_STATE] = 1
                else:
                    frames[f + F_KIND], frames[f + F_PENDING], frames[f + F_BEGAN] = ON_SUFFIX, 1, context
                    frames[f + F_HINTS], frames[f + F_ENTRY] = wanted_hints, wanted_hints
                    frames[f + F_POS] = prefixes[wanted_slot * PREFIX + P_POS]
                    s = find(table, wanted_slot * 128 + wanted_hints + 1)
                    if table[s + S_KEY] == 0:
                        work[2] += 1
                    table[s + S_KEY], table[s + S_END] = wanted_slot * 128 + wanted_hints + 1, -1
                continue
            # -- the frame is done: keep what it found
            if kind == ON_PREFIX:
                p = slot * PREFIX
                prefixes[p + P_STATE] = 2
                prefixes[p + P_NEED], prefixes[p + P_NEED_AT], prefixes[p + P_GROW], prefixes[p + P_GROW_AT] = need, need_at, high, high_at
                prefixes[p + P_NET], prefixes[p + P_STEPS], prefixes[p + P_HEIGHT], prefixes[p + P_FLAGS] = n, steps, height, flags
                if clear_op >= 0:
                    prefixes[p + P_KIND] = CALLS if callee >= 0 else CLEARS
                    prefixes[p + P_OP], prefixes[p + P_OP_AT], prefixes[p + P_POS], prefixes[p + P_CALLEE] = clear_op, clear_at, pos, callee
                    prefixes[p + P_KNOWN], prefixes[p + P_TOP], prefixes[p + P_TOP1] = c_known, c_top, c_top1
                elif ending == RETURNS:
                    prefixes[p + P_KIND], prefixes[p + P_KNOWN], prefixes[p + P_TOP] = NO_CLEAR, 1 if known > 0 else 0, top0
                else:
                    prefixes[p + P_KIND] = BAD if ending == FAILS else OPEN
                    prefixes[p + P_FAULT], prefixes[p + P_FAULT_AT], prefixes[p + P_DEPTH] = fault, fault_at, fault_depth
            else:
                row = glyphs
                s = (slot - first) * SUFFIX
                if kind == ON_SUFFIX:
                    s = find(table, slot * 128 + frames[f + F_ENTRY] + 1)
                    row = table
                    if used == 0:
                        row[s + S_END] = 0  # its row stays, but nobody asks for it again
                        s, row = slot * SUFFIX, related
                        row[s + S_KEY] = 2
                row[s + S_END], row[s + S_HINTS], row[s + S_DEPTH] = ending, hints - frames[f + F_ENTRY], n
                row[s + S_MAX], row[s + S_MAX_AT], row[s + S_STEPS], row[s + S_POINTS], row[s + S_HEIGHT] = high, high_at, steps, points, height
                row[s + S_FAULT], row[s + S_FAULT_AT], row[s + S_FAULT_DEPTH], row[s + S_HINT_AT] = fault, fault_at, fault_depth, hint_at
                row[s + S_KNOWN], row[s + S_TOP], row[s + S_FLAGS], row[s + S_USED], row[s + S_FIRST] = 1 if known > 0 else 0, top0, flags, used, drawn
                row[s + S_SEAC_BASE], row[s + S_SEAC_ACCENT] = seac_base, seac_accent
                if kind == ON_SUFFIX:
                    row[s + S_CONTEXT] = context - frames[f + F_BEGAN]
                elif drawn == 2:
                    row[s + S_POINTS] = points + 1
                    row[s + S_FLAGS] = flags | NO_MOVETO
            top -= 1
    return last

