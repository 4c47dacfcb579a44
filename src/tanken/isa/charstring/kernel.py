"""Runs the charstrings of a whole font into arrays of outlines: the bulk executor, plain Python that Numba compiles.

Adobe Technical Note 5177 (Type 2) and the OpenType CFF2 CharString chapter; the declared second implementation of `semantics`. Here stand
tokens, calls, widths and hints; `effects` knows how many numbers an operator takes, `pen` draws, `keeping` computes.

Where 5177 says *undefined* and where files break its rules in ways that every engine forgives, this machine goes on and sets a flag;
where going on has no meaning it stops the glyph with a fault.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import bare
from tanken.isa.charstring.effects import bias, clearing, clears, draws, hints, keeping, width_stands
from tanken.isa.charstring.fixed import numeral
from tanken.isa.charstring.keeping import CLEARED, THE_SEED, blend, compute
from tanken.isa.charstring.pen import AT_OPS, AT_XY, OUT, X, Y, draw, move
from tanken.isa.charstring.results import (
    AFTER_END,
    ARITHMETIC,
    AT,
    BLEND,
    BUDGET,
    CLOSE,
    DEPTH,
    FAULT,
    FLAGS,
    GLYPH_COLUMNS,
    HAS_WIDTH,
    HEIGHT,
    HINT_COUNT,
    HINTS,
    ILLEGAL,
    MAX_HINTS,
    MAX_NESTING,
    MAX_POINTS,
    MAX_STACK,
    MAX_STEPS,
    NESTING,
    NO_END,
    NO_MOVETO,
    NOT_INTEGER,
    OK,
    OPS_END,
    OVERFLOW,
    POINTS,
    RANGE,
    SEAC,
    SEED,
    STEPS,
    SUBR,
    TRUNCATED,
    UNDERFLOW,
    WIDTH,
    XY_END,
)  # fmt: skip

USES = tuple(f"tanken.isa.charstring.{name}" for name in ("fixed", "effects", "pen", "keeping"))  # the kernel modules behind this one, in their order


@bare
def parts(stack: Any, n: int, seac_glyphs: Any) -> tuple[int, int]:
    """The accent and the base that the last two of `n` numbers name by StandardEncoding; -1 where one is not there."""
    base, accent = stack[n - 2] >> 16, stack[n - 1] >> 16
    if base < 0 or base > 255 or accent < 0 or accent > 255 or seac_glyphs[base] < 0 or seac_glyphs[accent] < 0:
        return -1, -1
    return seac_glyphs[accent], seac_glyphs[base]


@bare
def run(
    data: Any, first: int, last: int, starts: Any, ends: Any, fd_of: Any, global_starts: Any, global_ends: Any, local_starts: Any, local_ends: Any,
    local_base: Any, fd_widths: Any, seac_glyphs: Any, cff2: bool, fd_vsindex: Any, region_base: Any, weights: Any, limits: Any,
    stack: Any, frames: Any, storage: Any, pen: Any, ops: Any, xy: Any, glyphs: Any, reached: Any, histogram: Any, watched: bool,
) -> int:  # fmt: skip
    """Runs glyphs `first` to `last`; returns the first one not done, because `ops` or `xy` may be too small for it.

    data            bytes of the CFF table               starts, ends    position of each glyph's charstring
    fd_of           each glyph's font DICT               global_*, local_*  positions of the subroutines
    local_base      where each FD's begin, and the end   fd_widths       default and nominal width, two a FD
    seac_glyphs     glyph of each StandardEncoding code  fd_vsindex, region_base, weights   CFF2: scalars of the regions
    stack frames storage pen    room for 520, 64, 66 and 5 numbers
    ops xy          the outlines: operators, and one number a coordinate, 16.16 (int32)
    glyphs          GLYPH_COLUMNS numbers a glyph
    reached histogram       with `watched`: calls of each subroutine (global ones first), uses of each operator (escapes from 256 on)
    """
    max_stack, max_nesting, max_hints = limits[MAX_STACK], limits[MAX_NESTING], limits[MAX_HINTS]
    max_steps, max_points = limits[MAX_STEPS], limits[MAX_POINTS]
    global_count = len(global_starts)
    global_bias = bias(global_count)
    cap_ops, cap_xy = len(ops), len(xy)
    pen[AT_OPS], pen[AT_XY] = 0, 0
    for glyph in range(first, last):
        begin_xy = pen[AT_XY]
        fault, fault_at, flags, steps, deepest, highest = OK, 0, 0, 0, 0, 0
        storage[CLEARED], storage[THE_SEED] = 0, SEED  # each glyph draws the same numbers, alone or among others
        width, has_width, first_hints = 0, 0, 0
        pen[OUT] = 0
        piece, pieces = 0, 1  # charstrings to run: a seac makes it three
        accent, base, accent_x, accent_y = 0, 0, 0, 0
        full = False
        while piece < pieces and fault == OK and not full:
            now = glyph if piece == 0 else accent if piece == 1 else base
            pen[X], pen[Y] = (accent_x, accent_y) if piece == 1 else (0, 0)
            pos, end = starts[now], ends[now]
            fd = fd_of[now]
            local_first = local_base[fd]
            local_count = local_base[fd + 1] - local_first
            local_bias = bias(local_count)
            vsindex = fd_vsindex[fd] if cff2 else 0
            n, height, stems = 0, 0, 0
            width_open, path_open, done = not cff2, False, False
            while not done:
                token = pos
                implicit = pos >= end
                if implicit:
                    if not cff2:
                        flags |= NO_END
                    if height > 0:
                        height -= 1
                        pos, end = frames[2 * height], frames[2 * height + 1]
                        continue
                    op = 14
                else:
                    op = data[pos]
                    pos += 1
                    if op >= 32 or op == 28:
                        if op >= 32 and op < 247:  # most numbers: what `numeral` says, but at once
                            value = (op - 139) << 16
                        else:
                            value, pos = numeral(data, op, pos, end)
                        if pos < 0 or n >= max_stack:
                            fault, fault_at = TRUNCATED if pos < 0 else OVERFLOW, token
                            break
                        stack[n] = value
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
                    if n < 1 or stack[n - 1] & 0xFFFF or height >= max_nesting:
                        fault, fault_at = UNDERFLOW if n < 1 else NOT_INTEGER if stack[n - 1] & 0xFFFF else NESTING, token
                        break
                    n -= 1
                    called = (stack[n] >> 16) + (local_bias if op == 10 else global_bias)
                    if called < 0 or called >= (local_count if op == 10 else global_count):
                        fault, fault_at = SUBR, token
                        break
                    frames[2 * height], frames[2 * height + 1] = pos, end
                    height += 1
                    highest = max(highest, height)
                    if op == 10:
                        called += local_first
                        pos, end = local_starts[called], local_ends[called]
                    else:
                        pos, end = global_starts[called], global_ends[called]
                    if watched:
                        reached[called if op == 29 else global_count + called] += 1
                    continue
                if op == 11 and not cff2:
                    if height == 0:
                        fault, fault_at = ILLEGAL, token
                        break
                    height -= 1
                    pos, end = frames[2 * height], frames[2 * height + 1]
                    continue
                if op == 12:
                    if pos >= end:
                        fault, fault_at = TRUNCATED, token
                        break
                    op = 256 + data[pos]
                    pos += 1
                # -- operators that keep the stack
                kind = draws(op)
                if kind == 0 and not implicit and not clears(op, cff2):
                    if cff2 and op == 16 and n > 0:
                        known = vsindex < len(region_base) - 1
                        fault, n = blend(stack, n, region_base[vsindex] if known else 0, region_base[vsindex + 1] if known else -1, weights)
                    else:
                        taken, left = keeping(op)
                        if (cff2 and op != 16) or (not cff2 and taken < 0):
                            fault = ILLEGAL
                        elif n < max(taken, 1 if cff2 else 0):
                            fault = UNDERFLOW
                        elif n + left - taken > max_stack:
                            fault = OVERFLOW
                        else:
                            fault, more = compute(op - 256, stack, n, storage)
                            flags |= more | ARITHMETIC
                            n += left - taken
                            deepest = max(deepest, n)
                    if fault != OK:
                        fault_at = token
                        break
                    continue
                # -- operators that clear it
                fault, _, added, more = clearing(op, n, width_open)
                flags |= more if not (implicit and cff2) else 0
                stem = kind == 0 and hints(op)
                if fault == OK and stem and stems + added > max_hints:
                    fault = HINTS
                if fault != OK:
                    fault_at = token
                    break
                if pen[AT_OPS] + n + 6 > cap_ops or pen[AT_XY] + 3 * n + 20 > cap_xy:
                    full = True
                    break
                if width_open and kind != 2 and (kind == 1 or stem or op == 14):
                    if piece == 0 and width_stands(op, n):
                        width, has_width = stack[0], 1
                    width_open = False
                if kind == 1:
                    move(pen, ops, xy, stack[n - 2] if op == 21 else 0 if op == 4 else stack[n - 1], 0 if op == 22 else stack[n - 1], path_open)
                    path_open = True
                elif kind == 2:
                    if not path_open:
                        flags |= NO_MOVETO
                        path_open = True
                        move(pen, ops, xy, 0, 0, False)
                    draw(op, stack, n, pen, ops, xy)
                elif stem:
                    stems += added
                    if op == 19 or op == 20:
                        pos += (stems + 7) >> 3
                        if pos > end:
                            fault, fault_at = TRUNCATED, token
                            break
                elif op == 15:
                    vsindex = stack[n - 1] >> 16
                    if vsindex < 0 or vsindex >= len(region_base) - 1:
                        fault, fault_at = BLEND, token
                        break
                elif op == 14:
                    if n >= 4 and not cff2:
                        accent, base = parts(stack, n, seac_glyphs) if piece == 0 else (-1, -1)
                        if accent < 0:
                            fault, fault_at = SEAC, token
                            break
                        accent_x, accent_y, pieces = stack[n - 4], stack[n - 3], 3
                    if path_open:
                        ops[pen[AT_OPS]] = CLOSE
                        pen[AT_OPS] += 1
                    if height == 0 and pos < end:
                        flags |= AFTER_END
                    done = True
                n = 0
                if pen[AT_XY] - begin_xy > 2 * max_points:
                    fault, fault_at = POINTS, token
                    break
            if piece == 0:
                first_hints = stems
            piece += 1
        if full:
            return glyph
        if fault == OK and pen[OUT] != 0:
            fault, fault_at = RANGE, starts[glyph]
        fd = fd_of[glyph]
        row = (glyph - first) * GLYPH_COLUMNS
        glyphs[row + OPS_END], glyphs[row + XY_END] = pen[AT_OPS], pen[AT_XY]
        glyphs[row + WIDTH] = fd_widths[2 * fd + 1] + width if has_width else fd_widths[2 * fd]
        glyphs[row + FAULT], glyphs[row + AT], glyphs[row + FLAGS] = fault, fault_at, flags
        glyphs[row + STEPS], glyphs[row + DEPTH], glyphs[row + HEIGHT] = steps, deepest, highest
        glyphs[row + HINT_COUNT], glyphs[row + HAS_WIDTH] = first_hints, has_width
    return last
