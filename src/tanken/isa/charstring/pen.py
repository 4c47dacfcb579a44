"""The operators that draw, into arrays of an outline: plain Python that Numba compiles.

Adobe Technical Note 5177, section 4.1. The pen is five integers: the point (16.16), where the next operator and the next coordinate go, and
bits that are set once a coordinate has left 32 bits. How many numbers there are was tested before (`effects`).
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import inlined
from tanken.isa.charstring.effects import FLEX, HFLEX, HFLEX1
from tanken.isa.charstring.fixed import wrap
from tanken.isa.charstring.results import CLOSE, CURVE, LINE, MOVE

X, Y, AT_OPS, AT_XY, OUT = range(5)
SIZE = 5


@inlined
def outside(x: int, y: int) -> int:
    """0 where both fit into 32 bits."""
    return (x + 0x80000000 >> 32) | (y + 0x80000000 >> 32)


@inlined
def move(pen: Any, ops: Any, xy: Any, dx: int, dy: int, close: bool) -> None:
    """Begins a contour; with `close` the one before ends."""
    if close:
        ops[pen[AT_OPS]] = CLOSE
        pen[AT_OPS] += 1
    x, y, at = pen[X] + dx, pen[Y] + dy, pen[AT_XY]
    ops[pen[AT_OPS]] = MOVE
    xy[at], xy[at + 1] = wrap(x), wrap(y)
    pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT] = x, y, pen[AT_OPS] + 1, at + 2, pen[OUT] | outside(x, y)


@inlined
def lines(stack: Any, i: int, last: int, pen: Any, ops: Any, xy: Any) -> None:
    """Lines, two numbers each."""
    x, y, at_ops, at, out = pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT]
    while i < last:
        x += stack[i]
        y += stack[i + 1]
        out |= outside(x, y)
        ops[at_ops] = LINE
        xy[at], xy[at + 1] = wrap(x), wrap(y)
        at_ops += 1
        at += 2
        i += 2
    pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT] = x, y, at_ops, at, out


@inlined
def straight(stack: Any, n: int, across: bool, pen: Any, ops: Any, xy: Any) -> None:
    """hlineto and vlineto: lines along the axes in turn."""
    x, y, at_ops, at, out = pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT]
    for i in range(n):
        if across:
            x += stack[i]
        else:
            y += stack[i]
        across = not across
        out |= outside(x, y)
        ops[at_ops] = LINE
        xy[at], xy[at + 1] = wrap(x), wrap(y)
        at_ops += 1
        at += 2
    pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT] = x, y, at_ops, at, out


@inlined
def put(ops: Any, xy: Any, at_ops: int, at: int, x1: int, y1: int, x2: int, y2: int, x3: int, y3: int) -> int:
    """A curve; what leaves 32 bits."""
    ops[at_ops] = CURVE
    xy[at], xy[at + 1], xy[at + 2], xy[at + 3], xy[at + 4], xy[at + 5] = wrap(x1), wrap(y1), wrap(x2), wrap(y2), wrap(x3), wrap(y3)
    return outside(x1, y1) | outside(x2, y2) | outside(x3, y3)


@inlined
def curves(stack: Any, i: int, last: int, pen: Any, ops: Any, xy: Any) -> None:
    """Curves, six numbers each."""
    x, y, at_ops, at, out = pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT]
    while i + 6 <= last:
        x1, y1 = x + stack[i], y + stack[i + 1]
        x2, y2 = x1 + stack[i + 2], y1 + stack[i + 3]
        x, y = x2 + stack[i + 4], y2 + stack[i + 5]
        out |= put(ops, xy, at_ops, at, x1, y1, x2, y2, x, y)
        at_ops += 1
        at += 6
        i += 6
    pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT] = x, y, at_ops, at, out


@inlined
def turning(stack: Any, n: int, across: bool, pen: Any, ops: Any, xy: Any) -> None:
    """hvcurveto and vhcurveto: curves that begin along one axis and end along the other, in turn."""
    x, y, at_ops, at, out = pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT]
    i = 0
    while i + 4 <= n:
        last = stack[i + 4] if n - i == 5 else 0
        x1, y1 = (x + stack[i], y) if across else (x, y + stack[i])
        x2, y2 = x1 + stack[i + 1], y1 + stack[i + 2]
        x, y = (x2 + last, y2 + stack[i + 3]) if across else (x2 + stack[i + 3], y2 + last)
        across = not across
        out |= put(ops, xy, at_ops, at, x1, y1, x2, y2, x, y)
        at_ops += 1
        at += 6
        i += 4
    pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT] = x, y, at_ops, at, out


@inlined
def flat(stack: Any, n: int, across: bool, pen: Any, ops: Any, xy: Any) -> None:
    """hhcurveto and vvcurveto: curves that begin and end along one axis, but for a first step aside."""
    x, y, at_ops, at, out = pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT]
    i = n & 1
    side = stack[0] if i else 0
    while i + 4 <= n:
        x1, y1 = (x + stack[i], y + side) if across else (x + side, y + stack[i])
        x2, y2 = x1 + stack[i + 1], y1 + stack[i + 2]
        x, y = (x2 + stack[i + 3], y2) if across else (x2, y2 + stack[i + 3])
        side = 0
        out |= put(ops, xy, at_ops, at, x1, y1, x2, y2, x, y)
        at_ops += 1
        at += 6
        i += 4
    pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT] = x, y, at_ops, at, out


@inlined
def flex(op: int, stack: Any, pen: Any, ops: Any, xy: Any) -> None:
    """The four flexes: two curves, of which some coordinates are not written."""
    x, y, at_ops, at = pen[X], pen[Y], pen[AT_OPS], pen[AT_XY]
    if op == HFLEX:
        x1, y1 = x + stack[0], y
        x2, y2 = x1 + stack[1], y1 + stack[2]
        x3, x4 = x2 + stack[3], x2 + stack[3] + stack[4]
        y3, y4 = y2, y2
        x5, y5 = x4 + stack[5], y
        x6, y6 = x5 + stack[6], y
    elif op == HFLEX1:
        x1, y1 = x + stack[0], y + stack[1]
        x2, y2 = x1 + stack[2], y1 + stack[3]
        x3, x4 = x2 + stack[4], x2 + stack[4] + stack[5]
        y3, y4 = y2, y2
        x5, y5 = x4 + stack[6], y4 + stack[7]
        x6, y6 = x5 + stack[8], y
    else:
        x1, y1 = x + stack[0], y + stack[1]
        x2, y2 = x1 + stack[2], y1 + stack[3]
        x3, y3 = x2 + stack[4], y2 + stack[5]
        x4, y4 = x3 + stack[6], y3 + stack[7]
        x5, y5 = x4 + stack[8], y4 + stack[9]
        if op == FLEX:
            x6, y6 = x5 + stack[10], y5 + stack[11]
        elif abs(x5 - x) > abs(y5 - y):
            x6, y6 = x5 + stack[10], y
        else:
            x6, y6 = x, y5 + stack[10]
    out = put(ops, xy, at_ops, at, x1, y1, x2, y2, x3, y3) | put(ops, xy, at_ops + 1, at + 6, x4, y4, x5, y5, x6, y6)
    pen[X], pen[Y], pen[AT_OPS], pen[AT_XY], pen[OUT] = x6, y6, at_ops + 2, at + 12, pen[OUT] | out


@inlined
def draw(op: int, stack: Any, n: int, pen: Any, ops: Any, xy: Any) -> None:
    """Any operator that draws."""
    if op == 5:
        lines(stack, 0, n, pen, ops, xy)
    elif op == 6 or op == 7:
        straight(stack, n, op == 6, pen, ops, xy)
    elif op == 8:
        curves(stack, 0, n, pen, ops, xy)
    elif op == 30 or op == 31:
        turning(stack, n, op == 31, pen, ops, xy)
    elif op == 26 or op == 27:
        flat(stack, n, op == 27, pen, ops, xy)
    elif op == 24:
        last = (n - 2) // 6 * 6
        curves(stack, 0, last, pen, ops, xy)
        lines(stack, last, last + 2, pen, ops, xy)
    elif op == 25:
        lines(stack, 0, n - 6, pen, ops, xy)
        curves(stack, n - 6, n, pen, ops, xy)
    else:
        flex(op, stack, pen, ops, xy)
