"""Random encodings in the millions: text against GNU objdump in three modes and two syntaxes, lengths against iced-x86 and Capstone.

`make agreement` runs it behind the comparison of whole programs; `python -m tests.oracle.millions --help`. docs/x86-text.md lists the classes
of differences that are left.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.oracle import lengths, objdump
from tests.oracle.objdump import Difference

LIMIT = 100_000  # of so many encodings one may differ outside the listed classes
ESCAPES = [b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a"]
ENCODED = [b"\x62", b"\xc4", b"\xc5", b"\x8f"]
X87 = [bytes([0xD8 + i]) for i in range(8)]


class Family(NamedTuple):
    """Random strings of one shape: how many of a million, what they begin with, up to how many prefixes, perhaps REX."""

    name: str
    share: int
    heads: list[bytes]
    prefixes: int
    rex: bool


FAMILIES = (
    Family("any bytes", 200_000, [b""], 0, False),
    Family("legacy maps behind prefixes", 150_000, ESCAPES, 4, True),
    Family("long runs of prefixes", 100_000, [*ESCAPES, b"\x9b"], 15, True),
    Family("x87", 50_000, [*X87, *(b"\x9b" + head for head in X87)], 2, True),
    Family("VEX and XOP", 150_000, [b"\xc4", b"\xc5", b"\x8f"], 0, False),
    Family("EVEX", 250_000, [b"\x62"], 0, False),
    Family("VEX, XOP and EVEX behind prefixes", 100_000, ENCODED, 2, True),
)


def listed(difference: Difference, mode: int, syntax: str) -> str:
    """The class of docs/x86-text.md that a difference belongs to, "" for none."""
    return next((name for name, fits in LISTED.items() if fits(difference, mode, syntax)), "")


LISTED: dict[str, Callable[[Difference, int, str], bool]] = {}


class Count(NamedTuple):
    """What came of a family: encodings compared, those that differ in listed classes, those outside with their bytes and texts."""

    total: int
    known: int
    found: list[Difference]


def run(family: Family, count: int, seed: int, mode: int, syntax: str) -> Count:
    """Compares `count` encodings of a family."""
    strings = objdump.random_strings(count, seed, family.heads, family.prefixes, family.rex and mode == 64)
    return _count(list(objdump.compare(strings, mode, syntax)), len(strings), mode, syntax)


def _count(differences: list[Difference], total: int, mode: int, syntax: str) -> Count:
    outside = [difference for difference in differences if not listed(difference, mode, syntax)]
    return Count(total, len(differences) - len(outside), outside)


def everything(million: float, seed: int, mode: int, syntax: str) -> Iterator[tuple[str, Count]]:
    """All families, a stream without breaks, and strings that are cut off; `million` scales their numbers."""
    for family in FAMILIES:
        yield family.name, run(family, int(family.share * million), seed, mode, syntax)
    yield "a stream of bytes", _count(*objdump.stream(int(2_500_000 * million), seed, mode, syntax), mode, syntax)
    yield "cut off", _count(list(objdump.truncated(int(200 * million), seed, mode, syntax, [*ESCAPES, *ENCODED])), int(200 * million), mode, syntax)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tanken's text of random encodings with objdump's.")
    parser.add_argument("--million", type=float, default=1, help="how many millions of strings a mode and syntax")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", type=int, choices=(16, 32, 64), action="append")
    parser.add_argument("--syntax", choices=("intel", "att"), action="append")
    parser.add_argument("--show", type=int, default=5, help="classes of differences to show of a family")
    options = parser.parse_args()
    worse = 0
    for mode in options.mode or (64, 32, 16):
        for syntax in options.syntax or ("intel", "att"):
            total = known = found = 0
            for name, count in everything(options.million, options.seed, mode, syntax):
                total, known, found = total + count.total, known + count.known, found + len(count.found)
                print(f"{mode}-bit {syntax:5} {name:34} {len(count.found):6} of {count.total:8} differ, {count.known} in listed classes", flush=True)
                objdump.show(count.found, options.show)
            print(f"{mode}-bit {syntax:5} {'all':34} {found:6} of {total:8} differ, {known} in listed classes", flush=True)
            worse |= found * LIMIT > total
        differing = list(lengths.differences(int(200_000 * options.million), options.seed, mode))
        outside = [d for d in differing if not lengths.listed(d, mode)]
        print(f"{mode}-bit lengths, iced-x86 and Capstone against tanken: {len(outside)} of {int(200_000 * options.million)} differ, "
              f"{len(differing) - len(outside)} in listed classes", flush=True)  # fmt: skip
        lengths.show(outside, mode)
        worse |= len(outside) * LIMIT > 200_000 * options.million
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
