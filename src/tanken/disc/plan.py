"""How many copies, on which makers' media, give a stated probability that the data survives.

A disc fails within the years with probability 1 - exp(-rate * years). Copies of one make share their batch and its mistakes: a part of their failures
(`common`) hits all of them together. Copies of different makes fail apart. Both numbers are assumptions unless a history is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tanken.base.errors import UsageError
from tanken.base.records import Record

COMMON = 0.1  # share of failures that hit all discs of a make: our assumption
MOST = 12  # copies
# yearly failure rates that are assumed where no history says better: stated as assumptions, of no named make
ASSUMED = {"make A": 0.02, "make B": 0.02, "make C": 0.03}


@dataclass(frozen=True, slots=True, repr=False)
class Plan(Record):
    """Copies by make, and the probability that at least one can be read after `years`."""

    copies: dict[str, int]
    total: int
    years: float
    survival: float
    wanted: float
    single_best: float  # survival of one disc of the best make
    assumed: bool


def survival(copies: Mapping[str, int], rates: Mapping[str, float], years: float, common: float = COMMON) -> float:
    """The probability that not all copies fail."""
    lost = 1.0
    for make, count in copies.items():
        if count:
            failed = 1 - math.exp(-rates[make] * years)
            lost *= common * failed + (1 - common) * failed**count
    return 1 - lost


def plan(wanted: float, years: float, rates: Mapping[str, float] | None = None, common: float = COMMON) -> Plan:
    """The fewest copies that reach `wanted`, each next one where it helps most. Raises UsageError where no dozen does."""
    if not 0 < wanted < 1 or not 0 < years <= 1000 or not 0 <= common < 1:
        raise UsageError(f"survival {wanted}, {years} years, common {common}", wanted="a probability below 1, years above 0, a share below 1")
    known = dict(rates or ASSUMED)
    if not known or any(not 0 < rate < 10 for rate in known.values()):
        raise UsageError(f"rates {known}", wanted="a yearly failure rate between 0 and 10 for each make")
    copies = dict.fromkeys(known, 0)
    while sum(copies.values()) < MOST:
        best = max(known, key=lambda make: survival({**copies, make: copies[make] + 1}, known, years, common))
        copies[best] += 1
        reached = survival(copies, known, years, common)
        if reached >= wanted:
            single = max(survival({make: 1}, known, years, common) for make in known)
            return Plan({make: count for make, count in copies.items() if count}, sum(copies.values()), years, round(reached, 6), wanted, round(single, 6), rates is None)
    raise UsageError(f"{MOST} copies reach {survival(copies, known, years, common):.4f}", wanted=f"{wanted}", hint="fewer years, or copy again before they end")


def rates_of(rows: list[tuple[str, float, bool]]) -> dict[str, float]:
    """Yearly failure rates by Media ID of (media, years watched, failed): failures + 1/2 over years + 1, so that few discs do not look perfect."""
    sums: dict[str, tuple[float, float]] = {}
    for media, years, failed in rows:
        lost, watched = sums.get(media, (0.0, 0.0))
        sums[media] = lost + failed, watched + years
    return {media: (lost + 0.5) / (watched + 1) for media, (lost, watched) in sums.items()}
