"""Fills outlines by exact area coverage: plain Python that Numba compiles. Each edge adds, cell by cell, how much it covers to its right.

The rule is non-zero winding for contours of one direction; coverage is summed and cut at one, as FreeType's smooth rasteriser does.
Coordinates are 16.16 in arrays; pixels are given by scale and translation, y grows downwards.
"""

from __future__ import annotations

from math import ceil, floor, sqrt
from typing import Any

from tanken.base.native import kernel
from tanken.isa.charstring.results import CLOSE, CURVE, GLYPH_COLUMNS, LINE, MOVE, OPS_END, XY_END

FLATNESS = 0.02  # pixels between a curve and its chords
MAX_CHORDS = 256


@kernel
def edge(acc: Any, stride: int, height: int, x0: float, y0: float, x1: float, y1: float) -> None:
    """Adds one edge, in cells of `acc`; it lies inside of the box."""
    if y0 == y1:
        return
    sign = 1.0
    if y0 > y1:
        x0, y0, x1, y1 = x1, y1, x0, y0
        sign = -1.0
    slope = (x1 - x0) / (y1 - y0)
    row = max(int(y0), 0)
    last = min(int(ceil(y1)), height)
    x = x0
    while row < last:
        low = max(y0, float(row))
        high = min(y1, float(row + 1))
        tall = high - low
        beyond = x + slope * tall
        if high == y1:
            beyond = x1
        a, b = (x, beyond) if x < beyond else (beyond, x)
        x = beyond
        cover = sign * tall
        cell = max(int(a), 0)
        at = row * stride + cell
        if b <= cell + 1:
            right = cover * (0.5 * (a + b) - cell)
            acc[at] += cover - right
            acc[at + 1] += right
        else:
            share = cover / (b - a)
            begin = a
            while begin < b:
                end = min(b, float(cell + 1))
                part = share * (end - begin)
                right = part * (0.5 * (begin + end) - cell)
                acc[at] += part - right
                acc[at + 1] += right
                begin = end
                cell += 1
                at += 1
        row += 1


@kernel
def box(xy: Any, xy_from: int, xy_to: int, scale: float, tx: float, ty: float) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels of the control points' box."""
    if xy_to <= xy_from:
        return 0, 0, 0, 0
    x_low = x_high = xy[xy_from]
    y_low = y_high = xy[xy_from + 1]
    for i in range(xy_from, xy_to, 2):
        x_low = min(x_low, xy[i])
        x_high = max(x_high, xy[i])
        y_low = min(y_low, xy[i + 1])
        y_high = max(y_high, xy[i + 1])
    left, right = int(floor(x_low * scale + tx)), int(ceil(x_high * scale + tx))
    top, bottom = int(floor(ty - y_high * scale)), int(ceil(ty - y_low * scale))
    return left, top, max(right - left, 1), max(bottom - top, 1)


@kernel
def trace(acc: Any, stride: int, height: int, ops: Any, ops_from: int, ops_to: int, xy: Any, xy_from: int, scale: float, tx: float, ty: float) -> None:
    """Adds the edges of a path; `tx` and `ty` move it so that the box begins at 0."""
    at = xy_from
    x = y = start_x = start_y = 0.0
    for i in range(ops_from, ops_to):
        op = ops[i]
        if op == MOVE:
            edge(acc, stride, height, x, y, start_x, start_y)
            x, y = xy[at] * scale + tx, ty - xy[at + 1] * scale
            start_x, start_y = x, y
            at += 2
        elif op == LINE:
            x1, y1 = xy[at] * scale + tx, ty - xy[at + 1] * scale
            edge(acc, stride, height, x, y, x1, y1)
            x, y = x1, y1
            at += 2
        elif op == CURVE:
            x1, y1 = xy[at] * scale + tx, ty - xy[at + 1] * scale
            x2, y2 = xy[at + 2] * scale + tx, ty - xy[at + 3] * scale
            x3, y3 = xy[at + 4] * scale + tx, ty - xy[at + 5] * scale
            at += 6
            # a chord of one of n parts stands off by at most 6/8 of the larger second difference, divided by n squared
            bend_x = max(abs(x - 2 * x1 + x2), abs(x1 - 2 * x2 + x3))
            bend_y = max(abs(y - 2 * y1 + y2), abs(y1 - 2 * y2 + y3))
            parts = min(int(sqrt(0.75 * sqrt(bend_x * bend_x + bend_y * bend_y) / FLATNESS)) + 1, MAX_CHORDS)
            step = 1.0 / parts
            cx, cy = 3 * (x1 - x), 3 * (y1 - y)
            bx, by = 3 * (x2 - x1) - cx, 3 * (y2 - y1) - cy
            ax, ay = x3 - x - cx - bx, y3 - y - cy - by
            px, py = x, y
            for part in range(1, parts):
                t = part * step
                qx, qy = ((ax * t + bx) * t + cx) * t + x, ((ay * t + by) * t + cy) * t + y
                edge(acc, stride, height, px, py, qx, qy)
                px, py = qx, qy
            edge(acc, stride, height, px, py, x3, y3)
            x, y = x3, y3
        elif op == CLOSE:
            edge(acc, stride, height, x, y, start_x, start_y)
            x, y = start_x, start_y


@kernel
def settle(acc: Any, width: int, height: int, out: Any, at: int) -> None:
    """Sums each row from the left into bytes of coverage at `out[at]`, and clears `acc`."""
    stride = width + 2
    for row in range(height):
        total = 0.0
        base = row * stride
        for column in range(width):
            total += acc[base + column]
            acc[base + column] = 0.0
            shown = abs(total)
            out[at] = 255 if shown >= 1.0 else int(shown * 255.0 + 0.5)
            at += 1
        acc[base + width] = 0.0
        acc[base + width + 1] = 0.0


@kernel
def many(ops: Any, xy: Any, glyphs: Any, first: int, last: int, scale: float, boxes: Any, out: Any, acc: Any) -> int:
    """Fills glyphs `first` to `last` of a run of outlines; returns the first one that `out` or `acc` has no room for.

    boxes: left, top, width, height and the place in `out`, five numbers a glyph; the origin is the point (0, 0) of the glyph.
    """
    at = 0
    if first > 0:
        before = (first - 1) * 5
        at = boxes[before + 4] + boxes[before + 2] * boxes[before + 3]
    for glyph in range(first, last):
        row = glyph * GLYPH_COLUMNS
        ops_from = glyphs[row - GLYPH_COLUMNS + OPS_END] if glyph else 0
        xy_from = glyphs[row - GLYPH_COLUMNS + XY_END] if glyph else 0
        ops_to, xy_to = glyphs[row + OPS_END], glyphs[row + XY_END]
        left, top, width, height = box(xy, xy_from, xy_to, scale, 0.0, 0.0)
        if at + width * height > len(out) or (width + 2) * height + 2 > len(acc):
            return glyph
        boxes[5 * glyph], boxes[5 * glyph + 1], boxes[5 * glyph + 2], boxes[5 * glyph + 3], boxes[5 * glyph + 4] = left, top, width, height, at
        if width > 0:
            trace(acc, width + 2, height, ops, ops_from, ops_to, xy, xy_from, scale, -float(left), -float(top))
            settle(acc, width, height, out, at)
            at += width * height
    return last
