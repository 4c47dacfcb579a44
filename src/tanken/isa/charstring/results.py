"""How a glyph ends, as numbers: faults, flags of what it got away with, the limits that it is run within, and what running leaves behind.

The sentences stand in `faults`; limits and columns are places in arrays of `kernel`.
"""

from __future__ import annotations

# ways a glyph ends; 0 is well
(OK, OVERFLOW, UNDERFLOW, NESTING, SUBR, ILLEGAL, HINTS, TRUNCATED, BUDGET, POINTS, RANGE, SEAC, INDEX, ROLL, STORAGE, BLEND, NOT_INTEGER, FULL) = range(18)
# flags: what the glyph got away with
NO_MOVETO, NO_END, SURPLUS, ARITHMETIC, AFTER_END, RANDOM, UNSET, DIVIDED = 1, 2, 4, 8, 16, 32, 64, 128
# operators of an outline
MOVE, LINE, CURVE, CLOSE = 0, 1, 2, 3
# limits, indexes of the array of that name
MAX_STACK, MAX_NESTING, MAX_HINTS, MAX_STEPS, MAX_POINTS = range(5)
# columns of the integers a glyph leaves behind
OPS_END, XY_END, WIDTH, FAULT, AT, FLAGS, STEPS, DEPTH, HEIGHT, HINT_COUNT, HAS_WIDTH = range(11)
GLYPH_COLUMNS = 11
SEED = 0x5DEECE66D  # of `random`, for each glyph anew
