"""Mutants of charstrings by the million: no glyph that is proved safe may exceed its bound when it is run, or fail for what was proved.

`python -m tests.oracle.mutants [COUNT [SEED]]`. A base is a small font of random programs that call each other; a mutant has a few bytes changed.
Proof and executor are the compiled ones. What was refused must fail when run, too: the proof is exact in both directions.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass

import numpy as np

from tanken.base import native
from tanken.font.limits import NO_LIMIT, Limits
from tanken.font.outlines import Executor
from tanken.font.program import SMALL, Program
from tanken.font.verifier import Proof
from tanken.isa.charstring import columns, faults, results
from tanken.isa.charstring.rows import operators
from tanken.isa.charstring.text import assemble

GLYPHS, LOCALS, GLOBALS = 3, 5, 4
MUTANTS = 2000  # of one base
# faults that depend on numbers, which the proof does not follow
BY_VALUE = [results.INDEX, results.ROLL, results.STORAGE, results.NOT_INTEGER]
PATHS = [row for row in operators() if row.group in ("path", "flex")]
KEEPING = [row for row in operators() if row.group in ("arithmetic", "storage", "conditional") and "cff" in row.formats]


def number(rng: random.Random) -> str:
    """A number in one of the forms."""
    kind = rng.random()
    if kind < 0.8:
        return str(rng.randint(-5, 35) if kind < 0.5 else rng.randint(-1200, 1200))
    return f"{rng.randint(-300, 300)}:28" if kind < 0.9 else f"{rng.uniform(-99, 99):.3f}"


def body(rng: random.Random, level: int) -> str:
    """A random program: mostly right, calling subroutines of a higher level."""
    words: list[str] = []
    if rng.random() < 0.3 and level == 0:
        words += [number(rng) for _ in range(rng.choice((2, 3, 4, 8)))] + [rng.choice(("hstemhm", "hstem"))]
        if rng.random() < 0.5:
            words += [number(rng), number(rng), "hintmask", f"#{rng.randrange(256):02x}"]
    for _ in range(rng.randint(1, 6)):
        kind = rng.random()
        if kind < 0.45:
            row = rng.choice(PATHS)
            words += [number(rng) for _ in range(row.takes if rng.random() < 0.9 else rng.randint(0, 12))] + [row.mnemonic]
        elif kind < 0.55:
            row = rng.choice(KEEPING)
            words += [str(rng.randint(0, 6)) for _ in range(row.takes)] + [row.mnemonic]
        elif kind < 0.6:
            words += [rng.choice(("hintmask", "cntrmask")), f"#{rng.randrange(256):02x}"]
        elif kind < 0.66:
            words += [number(rng), number(rng), rng.choice(("vstem", "vstemhm", "hstem"))]
        elif kind < 0.72:
            words += [number(rng) for _ in range(rng.randint(1, 6))]
        elif level < LOCALS - 1:
            if rng.random() < 0.6:
                words += [str(rng.randint(level, LOCALS - 1) - 107), "callsubr"]
            else:
                words += [str(rng.randint(min(level, GLOBALS - 1), GLOBALS - 1) - 107), "callgsubr"]
    return " ".join(words)


@dataclass
class Base:
    """A font's programs in one buffer: those of glyphs and local subroutines, which each mutant has of its own, then the global ones."""

    data: np.ndarray
    own: np.ndarray  # first and last byte of each glyph and local subroutine
    shared: np.ndarray  # of each global one
    size: int  # bytes of the first part


def base(seed: int) -> Base:
    """A random font."""
    rng = random.Random(seed)
    pieces = [assemble(body(rng, 0) + " endchar") for _ in range(GLYPHS)]
    pieces += [assemble(body(rng, level + 1) + rng.choice((" return", " return", " return", " endchar", ""))) for level in range(LOCALS)]
    pieces += [assemble(body(rng, level + 1) + " return") for level in range(GLOBALS)]
    ends = np.cumsum([len(piece) for piece in pieces])
    spans = np.stack([ends - [len(piece) for piece in pieces], ends], 1).astype(np.int64)
    cut = GLYPHS + LOCALS
    return Base(np.frombuffer(b"".join(pieces), np.uint8), spans[:cut], spans[cut:], int(spans[cut, 0]))


def mutants(one: Base, count: int, rng: np.random.Generator) -> Program:
    """`count` mutants as one font: each has a font DICT, its glyphs and its local subroutines; the global ones change for all at once."""
    own = np.tile(one.data[: one.size], (count, 1))
    for row in range(1, count):
        changes = rng.integers(1, 5)
        own[row, rng.integers(0, one.size, changes)] = rng.integers(0, 256, changes)
    shared = one.data[one.size :].copy()
    if rng.random() < 0.5 and len(shared):
        shared[rng.integers(0, len(shared), 2)] = rng.integers(0, 256, 2)
    data = np.concatenate([own.reshape(-1), shared, np.zeros(SMALL if count > 50 else 0, np.uint8)])  # large enough for the compiled machines
    data = np.frombuffer(data.tobytes(), np.uint8)  # read-only as that of a file, so that the same code is compiled for both
    shift = np.arange(count)[:, None] * one.size
    at = [one.own[:, side][None, :] + shift for side in (0, 1)]
    glyphs = [np.ascontiguousarray(part[:, :GLYPHS]).reshape(-1) for part in at]
    locals_ = [np.ascontiguousarray(part[:, GLYPHS:]).reshape(-1) for part in at]
    globals_ = [one.shared[:, side] + (count - 1) * one.size for side in (0, 1)]
    zeros = np.zeros(count, np.int64)
    seac = np.asarray([-1] * 65 + [0, 1, 2] + [-1] * 188, np.int64)
    return Program(data, *glyphs, np.repeat(np.arange(count), GLYPHS), *globals_, *locals_, np.arange(count + 1) * LOCALS, np.zeros(2 * count, np.int64), seac, False,
                   zeros, np.zeros(1, np.int64), np.zeros(1, np.int64))  # fmt: skip


def wrong(bounds: np.ndarray, runs: np.ndarray, limits: Limits) -> list[tuple[int, str]]:
    """What proofs and runs of glyphs say against each other: the glyph, and how."""
    b, fault = bounds, runs[:, results.FAULT]
    points = np.diff(runs[:, results.XY_END], prepend=0) // 2
    fits = (b[:, columns.S_MAX] <= limits.stack) & (b[:, columns.S_HEIGHT] <= limits.nesting) & (b[:, columns.S_STEPS] <= limits.steps) & (b[:, columns.S_POINTS] <= limits.points)
    safe = (b[:, columns.S_END] == columns.ENDS) & fits
    well = safe & (fault == results.OK)
    by_value = np.isin(fault, [results.OK, results.RANGE]) | (np.isin(fault, BY_VALUE) & (b[:, columns.S_FLAGS] & columns.COMPUTED != 0))
    found = {"proved safe, ends in a fault": safe & ~by_value, "refused, runs well": (b[:, columns.S_END] == columns.FAILS) & fits & (fault == results.OK)}
    for name, column, value in (("stack", columns.S_MAX, runs[:, results.DEPTH]), ("nesting", columns.S_HEIGHT, runs[:, results.HEIGHT]), ("points", columns.S_POINTS, points),
                                ("steps", columns.S_STEPS, runs[:, results.STEPS]), ("hints", columns.S_HINTS, runs[:, results.HINT_COUNT])):  # fmt: skip
        found[f"{name} above the bound"] = safe & (value > b[:, column])
        if name != "stack":
            found[f"{name} below the bound"] = well & (value != b[:, column])
    return [(int(gid), f"{text} ({faults.name(int(fault[gid]))})") for text, rows in found.items() for gid in np.flatnonzero(rows)]


def campaign(count: int, seed: int = 0) -> tuple[dict[str, int], list[str]]:
    """Runs `count` mutants; counts of verdicts, and what was wrong."""
    assert native.available(), "native code is off"
    rng, limits = np.random.default_rng(seed), Limits("mutants", 48, 10, 96, 4000, 20_000, NO_LIMIT)
    tally = {"mutants": 0, "glyphs": 0, "safe": 0, "refused": 0, "unknown": 0}
    found: list[str] = []
    number_of = seed * 1_000_003
    while tally["mutants"] < count:
        number_of += 1
        made = mutants(base(number_of), min(MUTANTS, count - tally["mutants"]), rng)
        bounds, runs = Proof(made).glyphs, Executor(made, limits).outlines(0, made.glyphs).glyphs
        for gid, text in wrong(bounds, runs, limits):
            code = bytes(made.data[made.starts[gid] : made.ends[gid]]).hex()
            found.append(f"base {number_of}, mutant {gid // GLYPHS}, glyph {gid % GLYPHS}: {text}: {code}")
        ends = bounds[:, columns.S_END]
        for name, which in (("safe", ends == columns.ENDS), ("refused", ends == columns.FAILS), ("unknown", ends == columns.UNKNOWN)):
            tally[name] += int(which.sum())
        tally["mutants"] += made.glyphs // GLYPHS
        tally["glyphs"] += made.glyphs
    return tally, found


def main() -> int:
    count, seed = (int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000), (int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    began = time.perf_counter()
    tally, found = campaign(count, seed)
    print("\n".join(found[:20]))
    print(f"{', '.join(f'{value} {name}' for name, value in tally.items())}; {len(found)} wrong; {time.perf_counter() - began:.0f} s")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
