"""Runs the charstrings of a whole font into arrays of outlines: the bulk executor, plain Python that Numba compiles.

Adobe Technical Note 5177 (Type 2) and the OpenType CFF2 CharString chapter; the declared second implementation of `semantics`.

Numbers are 16.16 fixed, kept in 64 bits. Where 5177 says *undefined* and where files break its rules in ways that every
engine forgives, this machine goes on and sets a flag; where going on has no meaning it stops the glyph with a fault.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import kernel

# ways a glyph ends; 0 is well. The sentences stand in `faults`.
(OK, OVERFLOW, UNDERFLOW, NESTING, SUBR, ILLEGAL, HINTS, TRUNCATED, BUDGET, POINTS, RANGE, SEAC, INDEX, ROLL, STORAGE, BLEND, NOT_INTEGER, FULL) = range(18)
# flags: what the glyph got away with
NO_MOVETO, NO_END, SURPLUS, ARITHMETIC, AFTER_END, RANDOM, UNSET, DIVIDED = 1, 2, 4, 8, 16, 32, 64, 128
MOVE, LINE, CURVE, CLOSE = 0, 1, 2, 3
# limits, indexes of the array of that name
MAX_STACK, MAX_NESTING, MAX_HINTS, MAX_STEPS, MAX_POINTS = range(5)
# columns of the integers a glyph leaves behind
OPS_END, XY_END, WIDTH, FAULT, AT, FLAGS, STEPS, DEPTH, HEIGHT, HINT_COUNT, HAS_WIDTH = range(11)
GLYPH_COLUMNS = 11
ONE = 65536
SEED = 0x5DEECE66D


@kernel
def wrap(value: int) -> int:
    """A 16.16 number, wrapped into 32 bits."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@kernel
def multiply(a: int, b: int) -> int:
    """The product of two 16.16 numbers, rounded half away from zero."""
    product = abs(a) * abs(b) + 0x8000 >> 16
    return wrap(product if (a < 0) == (b < 0) else -product)


@kernel
def divide(a: int, b: int) -> int:
    """The quotient of two 16.16 numbers, rounded half away from zero; the largest number where `b` is 0."""
    if b == 0:
        return 0x7FFFFFFF if a >= 0 else -0x7FFFFFFF
    quotient = ((abs(a) << 16) + (abs(b) >> 1)) // abs(b)
    quotient = min(quotient, 0x7FFFFFFF)
    return quotient if (a < 0) == (b < 0) else -quotient


@kernel
def square_root(a: int) -> int:
    """The root of a 16.16 number, rounded down; 0 where it is negative."""
    if a <= 0:
        return 0
    wanted = a << 16
    low, high = 0, 1 << 24
    while low < high:
        middle = (low + high + 1) >> 1
        if middle * middle <= wanted:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def run(
    data: Any, first: int, last: int, starts: Any, ends: Any, fd_of: Any, global_starts: Any, global_ends: Any, local_starts: Any, local_ends: Any,
    local_base: Any, fd_widths: Any, seac_glyphs: Any, cff2: bool, fd_vsindex: Any, region_base: Any, weights: Any, limits: Any,
    stack: Any, frames: Any, storage: Any, ops: Any, xy: Any, glyphs: Any, reached: Any, histogram: Any, watched: bool,
) -> int:  # fmt: skip
    """Runs glyphs `first` to `last`; returns the first one not done, because `ops` or `xy` may be too small for it.

    data            bytes of the CFF table               starts, ends    position of each glyph's charstring
    fd_of           each glyph's font DICT               global_*, local_*  positions of the subroutines
    local_base      where each FD's begin, and the end   fd_widths       default and nominal width, two a FD
    seac_glyphs     glyph of each StandardEncoding code  fd_vsindex, region_base, weights   CFF2: scalars of the regions
    stack frames storage    room for 520, 64 and 32 numbers
    ops xy          the outlines: operators, and one number a coordinate, 16.16 (int32)
    glyphs          GLYPH_COLUMNS numbers a glyph
    reached histogram       with `watched`: calls of each subroutine (global ones first), uses of each operator (escapes from 256 on)
    """
    max_stack, max_nesting, max_hints = limits[MAX_STACK], limits[MAX_NESTING], limits[MAX_HINTS]
    max_steps, max_points = limits[MAX_STEPS], limits[MAX_POINTS]
    global_count = len(global_starts)
    global_bias = 107 if global_count < 1240 else 1131 if global_count < 33900 else 32768
    at_ops, at_xy = 0, 0
    cap_ops, cap_xy = len(ops), len(xy)
    for glyph in range(first, last):
        begin_xy = at_xy
        fault, fault_at, flags, steps, deepest, highest = OK, 0, 0, 0, 0, 0
        seed = SEED  # each glyph draws the same numbers, alone or among others
        width, has_width, first_hints = 0, 0, 0
        out_of_range = 0
        pieces = 1  # charstrings to run: a seac makes it three
        piece = 0
        accent, base, accent_x, accent_y = 0, 0, 0, 0
        full = False
        while piece < pieces and fault == OK and not full:
            now = glyph if piece == 0 else accent if piece == 1 else base
            x, y = (accent_x, accent_y) if piece == 1 else (0, 0)
            pos, end = starts[now], ends[now]
            fd = fd_of[now]
            local_first = local_base[fd]
            local_count = local_base[fd + 1] - local_first
            local_bias = 107 if local_count < 1240 else 1131 if local_count < 33900 else 32768
            vsindex = fd_vsindex[fd] if cff2 else 0
            n, height, hints = 0, 0, 0
            width_open = not cff2
            path_open = False
            done = False
            while not done:
                if pos >= end:
                    if height > 0:
                        height -= 1
                        if not cff2:
                            flags |= NO_END
                        pos, end = frames[2 * height], frames[2 * height + 1]
                        continue
                    if not cff2:
                        flags |= NO_END
                    op = 14
                    token = pos
                else:
                    op = data[pos]
                    token = pos
                    pos += 1
                    if op >= 32:
                        if n >= max_stack:
                            fault, fault_at = OVERFLOW, token
                            break
                        if op < 247:
                            stack[n] = (op - 139) << 16
                        elif op < 255:
                            if pos >= end:
                                fault, fault_at = TRUNCATED, token
                                break
                            value = ((op - 247) << 8) + data[pos] + 108 if op < 251 else -((op - 251) << 8) - data[pos] - 108
                            stack[n] = value << 16
                            pos += 1
                        else:
                            if pos + 4 > end:
                                fault, fault_at = TRUNCATED, token
                                break
                            stack[n] = wrap(((data[pos] * 256 + data[pos + 1]) * 256 + data[pos + 2]) * 256 + data[pos + 3])
                            pos += 4
                        n += 1
                        continue
                    if op == 28:
                        if pos + 2 > end:
                            fault, fault_at = TRUNCATED, token
                            break
                        if n >= max_stack:
                            fault, fault_at = OVERFLOW, token
                            break
                        stack[n] = wrap((data[pos] * 256 + data[pos + 1]) * 65536)
                        pos += 2
                        n += 1
                        continue
                deepest = max(deepest, n)
                steps += 1
                if steps > max_steps:
                    fault, fault_at = BUDGET, token
                    break
                if watched:
                    histogram[op if op != 12 else 256 + (data[pos] if pos < end else 255)] += 1
                # -- calls
                if op == 10 or op == 29:
                    if n < 1:
                        fault, fault_at = UNDERFLOW, token
                        break
                    n -= 1
                    if stack[n] & 0xFFFF:
                        fault, fault_at = NOT_INTEGER, token
                        break
                    if height >= max_nesting:
                        fault, fault_at = NESTING, token
                        break
                    number = stack[n] >> 16
                    frames[2 * height], frames[2 * height + 1] = pos, end
                    if op == 10:
                        number += local_bias
                        if number < 0 or number >= local_count:
                            fault, fault_at = SUBR, token
                            break
                        number += local_first
                        pos, end = local_starts[number], local_ends[number]
                        if watched:
                            reached[global_count + number] += 1
                    else:
                        number += global_bias
                        if number < 0 or number >= global_count:
                            fault, fault_at = SUBR, token
                            break
                        pos, end = global_starts[number], global_ends[number]
                        if watched:
                            reached[number] += 1
                    height += 1
                    highest = max(highest, height)
                    continue
                if op == 11 and not cff2:
                    if height == 0:
                        fault, fault_at = ILLEGAL, token
                        break
                    height -= 1
                    pos, end = frames[2 * height], frames[2 * height + 1]
                    continue
                # -- lines and curves
                if op == 5 or op == 6 or op == 7 or op == 8 or (op >= 24 and op <= 27) or op == 30 or op == 31:
                    if at_ops + n + 4 > cap_ops or at_xy + 3 * n + 8 > cap_xy:
                        full = True
                        break
                    if not path_open:
                        flags |= NO_MOVETO
                        path_open = True
                        ops[at_ops] = MOVE
                        at_ops += 1
                        out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                        xy[at_xy], xy[at_xy + 1] = wrap(x), wrap(y)
                        at_xy += 2
                    i = 0
                    if op == 5:
                        if n < 2 or n & 1:
                            fault, fault_at = UNDERFLOW, token
                            break
                        while i < n:
                            x += stack[i]
                            y += stack[i + 1]
                            out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                            ops[at_ops] = LINE
                            at_ops += 1
                            xy[at_xy], xy[at_xy + 1] = wrap(x), wrap(y)
                            at_xy += 2
                            i += 2
                    elif op == 6 or op == 7:
                        if n < 1:
                            fault, fault_at = UNDERFLOW, token
                            break
                        across = op == 6
                        while i < n:
                            if across:
                                x += stack[i]
                            else:
                                y += stack[i]
                            across = not across
                            out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                            ops[at_ops] = LINE
                            at_ops += 1
                            xy[at_xy], xy[at_xy + 1] = wrap(x), wrap(y)
                            at_xy += 2
                            i += 1
                    elif op == 30 or op == 31:
                        if n < 4:
                            fault, fault_at = UNDERFLOW, token
                            break
                        if n & 2:
                            flags |= SURPLUS
                        across = op == 31
                        while i + 4 <= n:
                            extra = stack[i + 4] if n - i == 5 else 0
                            if across:
                                x1, y1 = x + stack[i], y
                                x2, y2 = x1 + stack[i + 1], y1 + stack[i + 2]
                                y = y2 + stack[i + 3]
                                x = x2 + extra
                            else:
                                x1, y1 = x, y + stack[i]
                                x2, y2 = x1 + stack[i + 1], y1 + stack[i + 2]
                                x = x2 + stack[i + 3]
                                y = y2 + extra
                            across = not across
                            out_of_range |= (x1 + 0x80000000 >> 32) | (y1 + 0x80000000 >> 32) | (x2 + 0x80000000 >> 32) | (y2 + 0x80000000 >> 32)
                            out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                            ops[at_ops] = CURVE
                            at_ops += 1
                            xy[at_xy], xy[at_xy + 1], xy[at_xy + 2], xy[at_xy + 3] = wrap(x1), wrap(y1), wrap(x2), wrap(y2)
                            xy[at_xy + 4], xy[at_xy + 5] = wrap(x), wrap(y)
                            at_xy += 6
                            i += 4
                    elif op == 26 or op == 27:
                        if n < 4:
                            fault, fault_at = UNDERFLOW, token
                            break
                        if n & 2:
                            flags |= SURPLUS
                        side = 0
                        if n & 1:
                            side = stack[0]
                            i = 1
                        while i + 4 <= n:
                            if op == 26:
                                x1, y1 = x + side, y + stack[i]
                                x2, y2 = x1 + stack[i + 1], y1 + stack[i + 2]
                                x, y = x2, y2 + stack[i + 3]
                            else:
                                x1, y1 = x + stack[i], y + side
                                x2, y2 = x1 + stack[i + 1], y1 + stack[i + 2]
                                x, y = x2 + stack[i + 3], y2
                            side = 0
                            out_of_range |= (x1 + 0x80000000 >> 32) | (y1 + 0x80000000 >> 32) | (x2 + 0x80000000 >> 32) | (y2 + 0x80000000 >> 32)
                            out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                            ops[at_ops] = CURVE
                            at_ops += 1
                            xy[at_xy], xy[at_xy + 1], xy[at_xy + 2], xy[at_xy + 3] = wrap(x1), wrap(y1), wrap(x2), wrap(y2)
                            xy[at_xy + 4], xy[at_xy + 5] = wrap(x), wrap(y)
                            at_xy += 6
                            i += 4
                    else:  # rrcurveto, rcurveline, rlinecurve
                        if n < 6 or (op != 8 and n < 8):
                            fault, fault_at = UNDERFLOW, token
                            break
                        lines = 0  # numbers for lines before the curves
                        if op == 25:
                            lines = n - 6
                            if n & 1:
                                fault, fault_at = UNDERFLOW, token
                                break
                        curves_end = n - 2 if op == 24 else n
                        while i < lines:
                            x += stack[i]
                            y += stack[i + 1]
                            out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                            ops[at_ops] = LINE
                            at_ops += 1
                            xy[at_xy], xy[at_xy + 1] = wrap(x), wrap(y)
                            at_xy += 2
                            i += 2
                        while i + 6 <= curves_end:
                            x1, y1 = x + stack[i], y + stack[i + 1]
                            x2, y2 = x1 + stack[i + 2], y1 + stack[i + 3]
                            x, y = x2 + stack[i + 4], y2 + stack[i + 5]
                            out_of_range |= (x1 + 0x80000000 >> 32) | (y1 + 0x80000000 >> 32) | (x2 + 0x80000000 >> 32) | (y2 + 0x80000000 >> 32)
                            out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                            ops[at_ops] = CURVE
                            at_ops += 1
                            xy[at_xy], xy[at_xy + 1], xy[at_xy + 2], xy[at_xy + 3] = wrap(x1), wrap(y1), wrap(x2), wrap(y2)
                            xy[at_xy + 4], xy[at_xy + 5] = wrap(x), wrap(y)
                            at_xy += 6
                            i += 6
                        if op == 24:
                            x += stack[i]
                            y += stack[i + 1]
                            i += 2
                            out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                            ops[at_ops] = LINE
                            at_ops += 1
                            xy[at_xy], xy[at_xy + 1] = wrap(x), wrap(y)
                            at_xy += 2
                        if i != n:
                            flags |= SURPLUS
                    n = 0
                    if at_xy - begin_xy > 2 * max_points:
                        fault, fault_at = POINTS, token
                        break
                    continue
                # -- moves
                if op == 21 or op == 22 or op == 4:
                    wanted = 2 if op == 21 else 1
                    if n < wanted:
                        fault, fault_at = UNDERFLOW, token
                        break
                    if width_open:
                        width_open = False
                        if n > wanted:
                            if piece == 0:
                                width, has_width = stack[0], 1
                            if n > wanted + 1:
                                flags |= SURPLUS
                    elif n > wanted:
                        flags |= SURPLUS
                    if at_ops + 4 > cap_ops or at_xy + 8 > cap_xy:
                        full = True
                        break
                    if path_open:
                        ops[at_ops] = CLOSE
                        at_ops += 1
                    path_open = True
                    if op == 21:
                        x += stack[n - 2]
                        y += stack[n - 1]
                    elif op == 22:
                        x += stack[n - 1]
                    else:
                        y += stack[n - 1]
                    out_of_range |= (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                    ops[at_ops] = MOVE
                    at_ops += 1
                    xy[at_xy], xy[at_xy + 1] = wrap(x), wrap(y)
                    at_xy += 2
                    n = 0
                    if at_xy - begin_xy > 2 * max_points:
                        fault, fault_at = POINTS, token
                        break
                    continue
                # -- hints
                if op == 1 or op == 3 or op == 18 or op == 23 or op == 19 or op == 20:
                    if n < 2 and op != 19 and op != 20:
                        fault, fault_at = UNDERFLOW, token
                        break
                    if n & 1:
                        if width_open:
                            if piece == 0:
                                width, has_width = stack[0], 1
                        else:
                            flags |= SURPLUS
                    width_open = False
                    hints += n >> 1
                    n = 0
                    if hints > max_hints:
                        fault, fault_at = HINTS, token
                        break
                    if op == 19 or op == 20:
                        pos += (hints + 7) >> 3
                        if pos > end:
                            fault, fault_at = TRUNCATED, token
                            break
                    continue
                if op == 14:
                    if cff2 and pos > token:
                        fault, fault_at = ILLEGAL, token
                        break
                    if at_ops + 4 > cap_ops:
                        full = True
                        break
                    if width_open and (n == 1 or n == 5):
                        if piece == 0:
                            width, has_width = stack[0], 1
                    elif n != 0 and n != 4:
                        flags |= SURPLUS
                    if n >= 4 and not cff2:
                        if piece > 0:
                            fault, fault_at = SEAC, token
                            break
                        base_code, accent_code = stack[n - 2] >> 16, stack[n - 1] >> 16
                        if base_code < 0 or base_code > 255 or accent_code < 0 or accent_code > 255:
                            fault, fault_at = SEAC, token
                            break
                        base, accent = seac_glyphs[base_code], seac_glyphs[accent_code]
                        if base < 0 or accent < 0:
                            fault, fault_at = SEAC, token
                            break
                        accent_x, accent_y = stack[n - 4], stack[n - 3]
                        pieces = 3
                    if path_open:
                        ops[at_ops] = CLOSE
                        at_ops += 1
                    if height == 0 and pos < end:
                        flags |= AFTER_END
                    done = True
                    continue
                # -- CFF2
                if cff2 and op == 15:
                    if n < 1:
                        fault, fault_at = UNDERFLOW, token
                        break
                    vsindex = stack[n - 1] >> 16
                    if vsindex < 0 or vsindex >= len(region_base) - 1:
                        fault, fault_at = BLEND, token
                        break
                    n = 0
                    continue
                if cff2 and op == 16:
                    if n < 1:
                        fault, fault_at = UNDERFLOW, token
                        break
                    count = stack[n - 1] >> 16
                    n -= 1
                    if count < 0 or vsindex >= len(region_base) - 1:
                        fault, fault_at = BLEND, token
                        break
                    regions = region_base[vsindex + 1] - region_base[vsindex]
                    if n < count * (regions + 1):
                        fault, fault_at = UNDERFLOW, token
                        break
                    values = n - count * (regions + 1)
                    deltas = values + count
                    for i in range(count):
                        value = stack[values + i]
                        for j in range(regions):
                            value += multiply(weights[region_base[vsindex] + j], stack[deltas + i * regions + j])
                        stack[values + i] = wrap(value)
                    n = deltas
                    continue
                if op != 12:
                    fault, fault_at = ILLEGAL, token
                    break
                # -- escapes
                if pos >= end:
                    fault, fault_at = TRUNCATED, token
                    break
                op = data[pos]
                pos += 1
                if op >= 34 and op <= 37:
                    wanted = 7 if op == 34 else 13 if op == 35 else 9 if op == 36 else 11
                    if n < wanted:
                        fault, fault_at = UNDERFLOW, token
                        break
                    if n > wanted:
                        flags |= SURPLUS
                    if at_ops + 6 > cap_ops or at_xy + 20 > cap_xy:
                        full = True
                        break
                    if not path_open:
                        flags |= NO_MOVETO
                        path_open = True
                        ops[at_ops] = MOVE
                        at_ops += 1
                        xy[at_xy], xy[at_xy + 1] = wrap(x), wrap(y)
                        at_xy += 2
                    start_x, start_y = x, y
                    if op == 34:
                        x1, y1 = x + stack[0], y
                        x2, y2 = x1 + stack[1], y1 + stack[2]
                        x3, y3 = x2 + stack[3], y2
                        x4, y4 = x3 + stack[4], y2
                        x5, y5 = x4 + stack[5], start_y
                        x, y = x5 + stack[6], start_y
                    elif op == 36:
                        x1, y1 = x + stack[0], y + stack[1]
                        x2, y2 = x1 + stack[2], y1 + stack[3]
                        x3, y3 = x2 + stack[4], y2
                        x4, y4 = x3 + stack[5], y2
                        x5, y5 = x4 + stack[6], y4 + stack[7]
                        x, y = x5 + stack[8], start_y
                    else:
                        x1, y1 = x + stack[0], y + stack[1]
                        x2, y2 = x1 + stack[2], y1 + stack[3]
                        x3, y3 = x2 + stack[4], y2 + stack[5]
                        x4, y4 = x3 + stack[6], y3 + stack[7]
                        x5, y5 = x4 + stack[8], y4 + stack[9]
                        if op == 35:
                            x, y = x5 + stack[10], y5 + stack[11]
                        elif abs(x5 - start_x) > abs(y5 - start_y):
                            x, y = x5 + stack[10], start_y
                        else:
                            x, y = start_x, y5 + stack[10]
                    out_of_range |= (x1 + 0x80000000 >> 32) | (y1 + 0x80000000 >> 32) | (x2 + 0x80000000 >> 32) | (y2 + 0x80000000 >> 32)
                    out_of_range |= (x3 + 0x80000000 >> 32) | (y3 + 0x80000000 >> 32) | (x4 + 0x80000000 >> 32) | (y4 + 0x80000000 >> 32)
                    out_of_range |= (x5 + 0x80000000 >> 32) | (y5 + 0x80000000 >> 32) | (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)
                    ops[at_ops], ops[at_ops + 1] = CURVE, CURVE
                    at_ops += 2
                    xy[at_xy], xy[at_xy + 1], xy[at_xy + 2], xy[at_xy + 3] = wrap(x1), wrap(y1), wrap(x2), wrap(y2)
                    xy[at_xy + 4], xy[at_xy + 5], xy[at_xy + 6], xy[at_xy + 7] = wrap(x3), wrap(y3), wrap(x4), wrap(y4)
                    xy[at_xy + 8], xy[at_xy + 9], xy[at_xy + 10], xy[at_xy + 11] = wrap(x5), wrap(y5), wrap(x), wrap(y)
                    at_xy += 12
                    n = 0
                    if at_xy - begin_xy > 2 * max_points:
                        fault, fault_at = POINTS, token
                        break
                    continue
                if cff2:
                    fault, fault_at = ILLEGAL, token
                    break
                if op == 0:  # dotsection
                    if n:
                        flags |= SURPLUS
                    n = 0
                    continue
                flags |= ARITHMETIC
                if op == 3 or op == 4 or op == 10 or op == 11 or op == 12 or op == 15 or op == 24:
                    if n < 2:
                        fault, fault_at = UNDERFLOW, token
                        break
                    a, b = stack[n - 2], stack[n - 1]
                    n -= 1
                    if op == 3:
                        a = ONE if a != 0 and b != 0 else 0
                    elif op == 4:
                        a = ONE if a != 0 or b != 0 else 0
                    elif op == 10:
                        a = wrap(a + b)
                    elif op == 11:
                        a = wrap(a - b)
                    elif op == 12:
                        if b == 0:
                            flags |= DIVIDED
                        a = divide(a, b)
                    elif op == 15:
                        a = ONE if a == b else 0
                    else:
                        a = multiply(a, b)
                    stack[n - 1] = a
                elif op == 5 or op == 9 or op == 14 or op == 26:
                    if n < 1:
                        fault, fault_at = UNDERFLOW, token
                        break
                    a = stack[n - 1]
                    if op == 5:
                        a = ONE if a == 0 else 0
                    elif op == 9:
                        a = wrap(abs(a))
                    elif op == 14:
                        a = wrap(-a)
                    else:
                        if a < 0:
                            flags |= DIVIDED
                        a = square_root(a)
                    stack[n - 1] = a
                elif op == 18:
                    if n < 1:
                        fault, fault_at = UNDERFLOW, token
                        break
                    n -= 1
                elif op == 20 or op == 21:
                    wanted = 2 if op == 20 else 1
                    if n < wanted:
                        fault, fault_at = UNDERFLOW, token
                        break
                    place = stack[n - 1]
                    if place & 0xFFFF:
                        fault, fault_at = NOT_INTEGER, token
                        break
                    place >>= 16
                    if place < 0 or place > 31:
                        fault, fault_at = STORAGE, token
                        break
                    if not storage[32]:
                        for i in range(32):
                            storage[i], storage[33 + i] = 0, 0
                        storage[32] = 1
                    if op == 20:
                        storage[place], storage[33 + place] = stack[n - 2], 1
                        n -= 2
                    else:
                        if not storage[33 + place]:
                            flags |= UNSET
                        stack[n - 1] = storage[place]
                elif op == 22:
                    if n < 4:
                        fault, fault_at = UNDERFLOW, token
                        break
                    n -= 3
                    if stack[n + 1] > stack[n + 2]:
                        stack[n - 1] = stack[n]
                elif op == 23 or op == 27:
                    if op == 27 and n < 1:
                        fault, fault_at = UNDERFLOW, token
                        break
                    if n >= max_stack:
                        fault, fault_at = OVERFLOW, token
                        break
                    if op == 23:
                        flags |= RANDOM
                        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
                        stack[n] = (seed >> 15) % ONE + 1
                    else:
                        stack[n] = stack[n - 1]
                    n += 1
                elif op == 28:
                    if n < 2:
                        fault, fault_at = UNDERFLOW, token
                        break
                    stack[n - 2], stack[n - 1] = stack[n - 1], stack[n - 2]
                elif op == 29:
                    if n < 2:
                        fault, fault_at = UNDERFLOW, token
                        break
                    place = stack[n - 1]
                    if place & 0xFFFF:
                        fault, fault_at = NOT_INTEGER, token
                        break
                    place = max(place >> 16, 0)
                    if place > n - 2:
                        fault, fault_at = INDEX, token
                        break
                    stack[n - 1] = stack[n - 2 - place]
                elif op == 30:
                    if n < 2:
                        fault, fault_at = UNDERFLOW, token
                        break
                    turn, count = stack[n - 1], stack[n - 2]
                    n -= 2
                    if (turn | count) & 0xFFFF:
                        fault, fault_at = NOT_INTEGER, token
                        break
                    turn, count = turn >> 16, count >> 16
                    if count < 0 or count > n:
                        fault, fault_at = ROLL, token
                        break
                    if count > 1:
                        turn %= count
                        # three reversals make a rotation, in time linear in the count
                        low = n - count
                        for part in range(3):
                            if part == 0:
                                i, j = low, n - 1
                            elif part == 1:
                                i, j = low + turn, n - 1
                            else:
                                i, j = low, low + turn - 1
                            while i < j:
                                stack[i], stack[j] = stack[j], stack[i]
                                i += 1
                                j -= 1
                else:
                    fault, fault_at = ILLEGAL, token
                    break
                deepest = max(deepest, n)
            if piece == 0:
                first_hints = hints
            piece += 1
        if full:
            return glyph
        if fault == OK and out_of_range != 0:
            fault, fault_at = RANGE, starts[glyph]
        fd = fd_of[glyph]
        row = (glyph - first) * GLYPH_COLUMNS
        glyphs[row + OPS_END], glyphs[row + XY_END] = at_ops, at_xy
        glyphs[row + WIDTH] = fd_widths[2 * fd + 1] + width if has_width else fd_widths[2 * fd]
        glyphs[row + FAULT], glyphs[row + AT], glyphs[row + FLAGS] = fault, fault_at, flags
        glyphs[row + STEPS], glyphs[row + DEPTH], glyphs[row + HEIGHT] = steps, deepest, highest
        glyphs[row + HINT_COUNT], glyphs[row + HAS_WIDTH] = first_hints, has_width
        storage[32] = 0
    return last
