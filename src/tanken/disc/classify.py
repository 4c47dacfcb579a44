"""Names what damaged a disc, with a confidence, from the picture of its errors; and finds the speed steps of its burner.

A small network over `disc.features`, learnt from synthetic discs alone (`disc.training`), with one kind of damage or two: how real damage fares with it
is untried. It is asked only for DVDs of which enough of the radius was read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from tanken.base.records import Record
from tanken.disc import features, training
from tanken.disc.measure import Measurement

LEAST_RINGS = 40  # of 69: less of a disc has no picture
LEAST_ROWS = 12  # wrong rows
LEARNT = 350  # ECC blocks spread over the disc: the fewest that `training` shows the networks


@dataclass(frozen=True, slots=True, repr=False)
class Judged(Record):
    """The likeliest kind of damage and its probability (`clean`: none is likely), other kinds that are there too, all weighed against each other, speed steps in mm."""

    kind: str
    confidence: float
    also: dict[str, float] = field(default_factory=dict)
    all: dict[str, float] = field(default_factory=dict)
    steps: list[float] = field(default_factory=list)


@cache
def _model() -> dict[str, Any]:
    with np.load(training.MODEL) as file:
        return {name: file[name].astype(np.float64) for name in file.files}


def speed_steps(made: Measurement) -> list[float]:
    """Radii in mm at which the errors of a drive's log jump, as the steps of a burner's speed make them; none where too little was read."""
    if not made.log or (made.grid.read.sum(axis=1) > 0).sum() < LEAST_RINGS:
        return []
    return [round(radius, 1) for radius, _ in features.steps(made.grid)]


def classify(made: Measurement) -> Judged | None:
    """The damage of a measured DVD, or None where too little was read, or too little is wrong, to say. Of two layers the one with more wrong rows is asked."""
    if made.kind != "dvd" or made.form not in ("dvd2366", "dvd2384", "dvdt"):
        return None
    grid = made.upper if made.upper.wrong.sum() > made.grid.wrong.sum() else made.grid
    if (grid.read.sum(axis=1) > 0).sum() < LEAST_RINGS:
        return None
    if grid.wrong.sum() < LEAST_ROWS:
        return Judged("clean", 1.0)
    found, chances = training.named(_model(), features.features(grid)[None])
    kinds, weighed = found[0], {name: round(float(chance), 4) for name, chance in zip(training.CLASSES, chances[0], strict=True)}
    if not kinds:
        return Judged("clean", weighed["clean"], {}, weighed)
    steps = [round(radius, 1) for radius, _ in features.steps(grid)] if "speed" in kinds else []
    kind, *others = kinds
    return Judged(kind, kinds[kind], {name: kinds[name] for name in others}, weighed, steps)
