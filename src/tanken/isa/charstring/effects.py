"""What an operator does to the stack, whatever the numbers: how many it takes and leaves, how many points and hints it makes.

The columns `takes` and `gives` of `type2.map`, once more as code that Numba compiles, for the bulk executor and the proof; a test compares them
with the table. Escapes have 256 added to their second byte.
"""

from __future__ import annotations

from tanken.base.native import inlined
from tanken.isa.charstring.results import OK, SURPLUS, UNDERFLOW

ESCAPE = 256
DOTSECTION, HFLEX, FLEX, HFLEX1, FLEX1 = 256, 256 + 34, 256 + 35, 256 + 36, 256 + 37


@inlined
def bias(count: int) -> int:
    """What is added to a subroutine's number (5177 section 4.7)."""
    return 107 if count < 1240 else 1131 if count < 33900 else 32768


@inlined
def clears(op: int, cff2: bool) -> bool:
    """Whether the format has the operator, and it clears the stack."""
    if op < ESCAPE:
        if op == 14:
            return not cff2
        if op == 15:
            return cff2
        return op == 1 or (op >= 3 and op <= 8) or (op >= 18 and op <= 27) or op == 30 or op == 31
    return (op >= HFLEX and op <= FLEX1) or (op == DOTSECTION and not cff2)


@inlined
def hints(op: int) -> bool:
    """Whether it is an operator of stem hints, masks too."""
    return op == 1 or op == 3 or op == 18 or op == 23 or op == 19 or op == 20


@inlined
def draws(op: int) -> int:
    """1 for an operator that moves, 2 for one that draws, 0 for others."""
    if op == 21 or op == 22 or op == 4:
        return 1
    return 2 if (op >= 5 and op <= 8) or (op >= 24 and op <= 27) or op == 30 or op == 31 or (op >= HFLEX and op <= FLEX1) else 0


@inlined
def width_stands(op: int, n: int) -> bool:
    """Whether the first of `n` numbers is a width, if this is the first operator that clears."""
    if op == 14:
        return n == 1 or n == 5
    return n & 1 == 1 if hints(op) else n > (2 if op == 21 else 1)


@inlined
def clearing(op: int, n: int, width: bool) -> tuple[int, int, int, int]:
    """An operator that clears `n` numbers from the stack: fault, points, hints, flags; `width`: one may stand in front."""
    if op == 5:
        return (UNDERFLOW if n < 2 or n & 1 else OK), n >> 1, 0, 0
    if op == 6 or op == 7:
        return (UNDERFLOW if n < 1 else OK), n, 0, 0
    if op == 8:
        return (UNDERFLOW if n < 6 else OK), 3 * (n // 6), 0, SURPLUS if n % 6 else 0
    if op == 26 or op == 27 or op == 30 or op == 31:
        return (UNDERFLOW if n < 4 else OK), 3 * (n // 4), 0, SURPLUS if n & 2 else 0
    if op == 21 or op == 22 or op == 4:
        wanted = 2 if op == 21 else 1
        return (UNDERFLOW if n < wanted else OK), 1, 0, SURPLUS if n > wanted + (1 if width else 0) else 0
    if hints(op):
        return (UNDERFLOW if n < 2 and op != 19 and op != 20 else OK), 0, n >> 1, SURPLUS if n & 1 and not width else 0
    if op == 24:
        return (UNDERFLOW if n < 8 else OK), 3 * ((n - 2) // 6) + 1, 0, SURPLUS if (n - 2) % 6 else 0
    if op == 25:
        return (UNDERFLOW if n < 8 or n & 1 else OK), (n - 6) // 2 + 3, 0, 0
    if op == 14:
        fine = n == 0 or n == 4 or (width and (n == 1 or n == 5))
        return OK, 0, 0, 0 if fine else SURPLUS
    if op == 15:
        return (UNDERFLOW if n < 1 else OK), 0, 0, 0
    if op == DOTSECTION:
        return OK, 0, 0, SURPLUS if n else 0
    wanted = 7 if op == HFLEX else 13 if op == FLEX else 9 if op == HFLEX1 else 11
    return (UNDERFLOW if n < wanted else OK), 6, 0, SURPLUS if n > wanted else 0


@inlined
def keeping(op: int) -> tuple[int, int]:
    """Numbers that an arithmetic, storage or conditional operator takes and leaves; -1 for what is none."""
    op -= ESCAPE
    if op == 3 or op == 4 or op == 10 or op == 11 or op == 12 or op == 15 or op == 24:
        return 2, 1
    if op == 5 or op == 9 or op == 14 or op == 26 or op == 21:
        return 1, 1
    if op == 18:
        return 1, 0
    if op == 20 or op == 30:
        return 2, 0
    if op == 22:
        return 4, 1
    if op == 23:
        return 0, 1
    if op == 27:
        return 1, 2
    if op == 28 or op == 29:
        return 2, 2
    return -1, 0
