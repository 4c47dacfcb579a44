"""Reed-Solomon decoding of single words: error locations and values from syndromes, with or without erasures.

Berlekamp-Massey started from the erasure locator, Chien's search and Forney's formula (R. E. Blahut, "Algebraic Codes for Data
Transmission", chapters 7.2 to 7.5). Plain Python over sequences of integers; `base.native` compiles the same source.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import kernel

FAILED = -1
WORK = 6 * 260  # integers of scratch that `solve` wants


LAM, PREV, TEMP, OMEGA = 0, 260, 520, 780  # places in the scratch of `solve`: locator, its predecessor, scratch, evaluator


@kernel
def solve(syn: Any, roots: int, n: int, erased: Any, erasures: int, exp: Any, log: Any, first: int, prim: int, inverse_prim: int, where: Any, what: Any, work: Any) -> int:
    """Finds the errors of one word of `n` symbols from its `roots` syndromes; returns how many there are or FAILED.

    `erased` holds positions (0 is the first symbol, of the highest power); found positions go to `where`, what to add there to `what`.
    """
    if erasures > roots:
        return FAILED
    length = locator(syn, roots, n, erased, erasures, exp, log, prim, work)
    degree = 0
    for i in range(roots + 1):
        if work[LAM + i]:
            degree = i
    if degree == 0 or degree != length or degree > roots:
        return FAILED
    if places(degree, n, exp, log, prim, where, work) != degree:
        return FAILED
    return values(syn, degree, n, exp, log, first, prim, where, what, work)


@kernel
def locator(syn: Any, roots: int, n: int, erased: Any, erasures: int, exp: Any, log: Any, prim: int, work: Any) -> int:
    """Berlekamp and Massey, from the locator of the erasures on: fills `work` at LAM, returns the length of the shift register."""
    for i in range(roots + 1):
        work[LAM + i] = 0
    work[LAM] = 1
    for e in range(erasures):
        x = prim * (n - 1 - erased[e]) % 255
        for i in range(e + 1, 0, -1):
            if work[LAM + i - 1]:
                work[LAM + i] ^= exp[log[work[LAM + i - 1]] + x]
    for i in range(roots + 1):
        work[PREV + i] = work[LAM + i]
    length = erasures
    for r in range(erasures, roots):
        delta = 0
        for i in range(r + 1):
            if work[LAM + i] and syn[r - i]:
                delta ^= exp[log[work[LAM + i]] + log[syn[r - i]]]
        for i in range(roots, 0, -1):  # the predecessor times x
            work[PREV + i] = work[PREV + i - 1]
        work[PREV] = 0
        if delta == 0:
            continue
        d = log[delta]
        longer = 2 * length <= r + erasures
        for i in range(roots + 1):
            work[TEMP + i] = work[LAM + i]
            if work[PREV + i]:
                work[LAM + i] ^= exp[log[work[PREV + i]] + d]
        if longer:
            for i in range(roots + 1):
                work[PREV + i] = exp[log[work[TEMP + i]] + 255 - d] if work[TEMP + i] else 0
            length = r + 1 + erasures - length
    return length


@kernel
def places(degree: int, n: int, exp: Any, log: Any, prim: int, where: Any, work: Any) -> int:
    """Chien's search: fills `where` with the positions at which the locator is zero, returns how many there are."""
    found = 0
    for i in range(1, degree + 1):  # logarithms of the locator's terms at the inverse of the locator of power 0
        work[TEMP + i] = log[work[LAM + i]] if work[LAM + i] else -1
    for power in range(n):
        total = 1
        for i in range(1, degree + 1):
            t = work[TEMP + i]
            if t >= 0:
                total ^= exp[t]
                t -= i * prim % 255
                work[TEMP + i] = t if t >= 0 else t + 255
        if total == 0:
            where[found] = n - 1 - power
            found += 1
            if found == degree:
                break
    return found


@kernel
def values(syn: Any, degree: int, n: int, exp: Any, log: Any, first: int, prim: int, where: Any, what: Any, work: Any) -> int:
    """Forney's formula: fills `what` for the `degree` positions of `where`; returns their number, FAILED where the locator has a double zero."""
    for i in range(degree):
        total = 0
        for j in range(i + 1):
            if work[LAM + j] and syn[i - j]:
                total ^= exp[log[work[LAM + j]] + log[syn[i - j]]]
        work[OMEGA + i] = total
    for e in range(degree):
        x = prim * (n - 1 - where[e]) % 255
        inverse = 255 - x
        top, bottom = 0, 0
        for i in range(degree):
            if work[OMEGA + i]:
                top ^= exp[(log[work[OMEGA + i]] + inverse * i) % 255]
        for i in range(1, degree + 1, 2):
            if work[LAM + i]:
                bottom ^= exp[(log[work[LAM + i]] + inverse * (i - 1)) % 255]
        if bottom == 0:
            return FAILED
        what[e] = exp[(log[top] + 255 - log[bottom] + x * (256 - first)) % 255] if top else 0
    return degree


@kernel
def single(syn: Any, roots: int, n: int, exp: Any, log: Any, first: int, inverse_prim: int) -> int:
    """If the syndromes are those of one error, its position * 256 + value, else FAILED: syndromes in geometric progression."""
    if syn[0] == 0 or syn[1] == 0:
        return FAILED
    x = log[syn[1]] - log[syn[0]]
    if x < 0:
        x += 255
    expected = log[syn[1]]
    for i in range(2, roots):
        expected += x
        if expected >= 255:
            expected -= 255
        if syn[i] != exp[expected]:
            return FAILED
    power = x * inverse_prim % 255
    if power >= n:
        return FAILED
    found: int = (n - 1 - power) * 256 + exp[(log[syn[0]] + x * (255 - first)) % 255]
    return found


@kernel
def correct(
    words: Any, lanes: Any, touched: Any, count: int, roots: int, n: int, exp: Any, log: Any, first: int, prim: int, inverse_prim: int, status: Any,
    syn: Any, where: Any, what: Any, work: Any,
) -> int:
    """Corrects `count` words (rows of `words`) without erasures from their syndromes `lanes` (roots, count); returns how many failed.

    Words with touched[i] = 0 are left alone; status[i] of the others becomes the number of corrected symbols of word i, FAILED where there
    are more errors than the code can tell.
    """
    failed = 0
    for i in range(count):
        if touched[i] == 0:
            continue
        for j in range(roots):
            syn[j] = int(lanes[j, i])
        one = single(syn, roots, n, exp, log, first, inverse_prim) if roots > 1 else FAILED
        if one != FAILED:
            words[i, one >> 8] ^= one & 255
            status[i] = 1
            continue
        found = solve(syn, roots, n, where, 0, exp, log, first, prim, inverse_prim, where, what, work)
        status[i] = found
        if found == FAILED:
            failed += 1
            continue
        for e in range(found):
            words[i, where[e]] ^= what[e]
    return failed


@kernel
def correct_erased(
    words: Any, lanes: Any, marks: Any, count: int, roots: int, n: int, exp: Any, log: Any, first: int, prim: int, inverse_prim: int, status: Any,
    syn: Any, where: Any, what: Any, erased: Any, work: Any,
) -> int:
    """As `correct`, with erasures: marks[i, p] is not 0 where symbol p of word i is not to be trusted."""
    failed = 0
    for i in range(count):
        some = 0
        for j in range(roots):
            syn[j] = int(lanes[j, i])
            some |= syn[j]
        if some == 0:
            status[i] = 0
            continue
        erasures = 0
        for p in range(n):
            if marks[i, p]:
                if erasures == roots:
                    erasures = roots + 1
                    break
                erased[erasures] = p
                erasures += 1
        found = solve(syn, roots, n, erased, erasures, exp, log, first, prim, inverse_prim, where, what, work) if erasures <= roots else FAILED
        if found == FAILED:
            status[i] = FAILED
            failed += 1
            continue
        changed = 0
        for e in range(found):
            if what[e]:
                words[i, where[e]] ^= what[e]
                changed += 1
        status[i] = changed
    return failed


@kernel
def invert(matrix: Any, out: Any, size: int, exp: Any, log: Any) -> bool:
    """Gauss and Jordan: destroys `matrix`, fills `out` with its inverse; False where it is singular."""
    for i in range(size):
        for j in range(size):
            out[i, j] = 1 if i == j else 0
    for column in range(size):
        pivot = column
        while pivot < size and matrix[pivot, column] == 0:
            pivot += 1
        if pivot == size:
            return False
        if pivot != column:
            for j in range(size):
                a, b = matrix[pivot, j], out[pivot, j]
                matrix[pivot, j], out[pivot, j] = matrix[column, j], out[column, j]
                matrix[column, j], out[column, j] = a, b
        scale = 255 - log[matrix[column, column]]
        for j in range(size):
            if matrix[column, j]:
                matrix[column, j] = exp[log[matrix[column, j]] + scale]
            if out[column, j]:
                out[column, j] = exp[log[out[column, j]] + scale]
        for i in range(size):
            if i != column and matrix[i, column]:
                factor = log[matrix[i, column]]
                for j in range(size):
                    if matrix[column, j]:
                        matrix[i, j] ^= exp[log[matrix[column, j]] + factor]
                    if out[column, j]:
                        out[i, j] ^= exp[log[out[column, j]] + factor]
    return True
