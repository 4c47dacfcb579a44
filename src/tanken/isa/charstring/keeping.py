"""The operators that keep the stack: arithmetic, storage, conditionals, and CFF2's blend, on arrays; plain Python that Numba compiles.

Adobe Technical Note 5177, sections 4.4 to 4.6; OpenType 1.9.1, CFF2 CharString. How many numbers there are was tested before (`effects`).
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import bare
from tanken.isa.charstring.fixed import ONE, divide, multiply, square_root, wrap
from tanken.isa.charstring.results import BLEND, DIVIDED, INDEX, NOT_INTEGER, OK, RANDOM, ROLL, STORAGE, UNDERFLOW, UNSET

# of the array `storage`: 32 numbers, whether it has been cleared for this glyph, whether each was put, the seed of random
CLEARED, WAS_PUT, THE_SEED = 32, 33, 65
ROOM = 66


@bare
def two(op: int, a: int, b: int) -> int:
    """What an operator of two numbers makes of them; `op` is the second byte."""
    if op == 3:
        return ONE if a != 0 and b != 0 else 0
    if op == 4:
        return ONE if a != 0 or b != 0 else 0
    if op == 10:
        return wrap(a + b)
    if op == 11:
        return wrap(a - b)
    if op == 12:
        return divide(a, b)
    if op == 15:
        return ONE if a == b else 0
    return multiply(a, b)


@bare
def one(op: int, a: int) -> int:
    """What an operator of one number makes of it."""
    if op == 5:
        return ONE if a == 0 else 0
    if op == 9:
        return wrap(abs(a))
    return wrap(-a) if op == 14 else square_root(a)


@bare
def stored(op: int, stack: Any, n: int, storage: Any) -> tuple[int, int]:
    """put and get: fault and flags."""
    place = stack[n - 1]
    if place & 0xFFFF:
        return NOT_INTEGER, 0
    place >>= 16
    if place < 0 or place > 31:
        return STORAGE, 0
    if not storage[CLEARED]:
        for i in range(32):
            storage[i], storage[WAS_PUT + i] = 0, 0
        storage[CLEARED] = 1
    if op == 20:
        storage[place], storage[WAS_PUT + place] = stack[n - 2], 1
        return OK, 0
    stack[n - 1] = storage[place]
    return OK, 0 if storage[WAS_PUT + place] else UNSET


@bare
def indexed(stack: Any, n: int) -> int:
    """index: fault."""
    place = stack[n - 1]
    if place & 0xFFFF:
        return NOT_INTEGER
    place = max(place >> 16, 0)
    if place > n - 2:
        return INDEX
    stack[n - 1] = stack[n - 2 - place]
    return OK


@bare
def rolled(stack: Any, n: int) -> int:
    """roll of the numbers below its own two: fault. Three reversals make a rotation, in time linear in the count."""
    turn, count = stack[n - 1], stack[n - 2]
    if (turn | count) & 0xFFFF:
        return NOT_INTEGER
    turn, count = turn >> 16, count >> 16
    if count < 0 or count > n - 2:
        return ROLL
    if count > 1:
        turn %= count
        low, high = n - 2 - count, n - 3
        for part in range(3):
            i = low + turn if part == 1 else low
            j = low + turn - 1 if part == 2 else high
            while i < j:
                stack[i], stack[j] = stack[j], stack[i]
                i += 1
                j -= 1
    return OK


@bare
def compute(op: int, stack: Any, n: int, storage: Any) -> tuple[int, int]:
    """Runs an operator (its second byte) on the `n` numbers of the stack: fault and flags. What it leaves stands from where it took."""
    if op == 3 or op == 4 or op == 10 or op == 11 or op == 12 or op == 15 or op == 24:
        b = stack[n - 1]
        stack[n - 2] = two(op, stack[n - 2], b)
        return OK, DIVIDED if op == 12 and b == 0 else 0
    if op == 5 or op == 9 or op == 14 or op == 26:
        a = stack[n - 1]
        stack[n - 1] = one(op, a)
        return OK, DIVIDED if op == 26 and a < 0 else 0
    if op == 20 or op == 21:
        return stored(op, stack, n, storage)
    if op == 22:
        if stack[n - 2] > stack[n - 1]:
            stack[n - 4] = stack[n - 3]
    elif op == 23:
        storage[THE_SEED] = (storage[THE_SEED] * 1103515245 + 12345) & 0x7FFFFFFF
        stack[n] = (storage[THE_SEED] >> 15) % ONE + 1
        return OK, RANDOM
    elif op == 27:
        stack[n] = stack[n - 1]
    elif op == 28:
        stack[n - 2], stack[n - 1] = stack[n - 1], stack[n - 2]
    elif op == 29:
        return indexed(stack, n), 0
    elif op == 30:
        return rolled(stack, n), 0
    return OK, 0


@bare
def blend(stack: Any, n: int, first: int, last: int, weights: Any) -> tuple[int, int]:
    """CFF2's blend, with the scalars `first` to `last` of the regions: fault, and how many numbers are left. `last` is -1 without variation data."""
    count = stack[n - 1] >> 16
    n -= 1
    if count < 0 or last < 0:
        return BLEND, n
    regions = last - first
    if n < count * (regions + 1):
        return UNDERFLOW, n
    values = n - count * (regions + 1)
    deltas = values + count
    for i in range(count):
        value = stack[values + i]
        for j in range(regions):
            value += multiply(weights[first + j], stack[deltas + i * regions + j])
        stack[values + i] = wrap(value)
    return OK, deltas
