"""Names what damaged a disc, with a confidence, from the picture of its errors; and finds the speed steps of its burner.

A small network over `disc.features`, learnt from synthetic discs alone (`disc.training`), with one kind of damage or two: how real damage fares with it
is untried. DVDs and CDs have networks of their own; they are asked only where enough of the radius was read and each error has its place on a turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base.records import Record
from tanken.disc import features, training
from tanken.disc.measure import Measurement, SecondLine
from tanken.disc.polar import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_RINGS = 40  # of 69: less of a disc has no picture
LEAST_ROWS = 12  # wrong rows
LEARNT = {"dvd": 350, "cd": 8}  # ECC blocks, seconds spread over the disc: the fewest that `training` shows the networks
MEASURED = {"dvd": ("dvd2366", "dvd2384", "dvdt"), "cd": ("efm",)}  # formats that have the errors of each row or frame


@dataclass(frozen=True, slots=True, repr=False)
class Judged(Record):
    """The likeliest kind of damage and its probability (`clean`: none is likely), other kinds that are there too, all weighed against each other, speed steps in mm."""

    kind: str
    confidence: float
    also: dict[str, float] = field(default_factory=dict)
    all: dict[str, float] = field(default_factory=dict)
    steps: list[float] = field(default_factory=list)


@cache
def _model(medium: str) -> dict[str, Any]:
    with np.load(training.MODELS[medium]) as file:
        return {name: file[name].astype(np.float64) for name in file.files}


def speed_steps(made: Measurement) -> list[float]:
    """Radii in mm at which the errors of a drive's log jump, as the steps of a burner's speed make them; none where too little was read."""
    if not made.log or (made.grid.read.sum(axis=1) > 0).sum() < LEAST_RINGS:
        return []
    return [round(radius, 1) for radius, _ in features.steps(made.grid)]


def _worse(made: Measurement) -> Grid:
    return made.upper if made.upper.wrong.sum() > made.grid.wrong.sum() else made.grid


def silent(made: Measurement) -> str:
    """Why the damage cannot be named; empty where it can."""
    if made.log:
        return "a log has sums over whole turns: where on a turn the errors lie, and so what damaged the disc, cannot be told from it"
    if made.form not in MEASURED[made.kind]:
        rows = "C1 and C2 of each frame" if made.kind == "cd" else "the wrong bytes of each row"
        return f"what damaged the disc cannot be told: {rows} are not in this format"
    rings = int((_worse(made).read.sum(axis=1) > 0).sum())
    if rings < LEAST_RINGS:
        return f"what damaged the disc cannot be told: {rings} of 69 rings of half a millimetre were read, {LEAST_RINGS} are wanted"
    return ""


def unsure(made: Measurement) -> str:
    """What to say of a name that comes from less than the networks learnt from; empty where it is enough."""
    least, unit = LEARNT[made.kind], "seconds" if made.kind == "cd" else "blocks"
    if len(made.lines) >= least:
        return ""
    return f"named by {len(made.lines)} {unit}, fewer than the {least} that the classifier learnt from at least: less sure than it says"


def numbers(made: Measurement, grid: Grid) -> Floats:
    """The features that the networks of this kind of disc ask for."""
    if made.kind == "dvd":
        return features.features(grid)
    seconds = [(line.c1, line.c2) for line in made.lines if isinstance(line, SecondLine) and line.c1 is not None and line.c2 is not None]
    return features.cd_features(grid, seconds)


def classify(made: Measurement) -> Judged | None:
    """The damage of a measured disc, or None where `silent` says why it cannot be told. Of two layers the one with more wrong rows is asked."""
    if silent(made):
        return None
    grid = _worse(made)
    if grid.wrong.sum() < LEAST_ROWS:
        return Judged("clean", 1.0)
    found, chances = training.named(_model(made.kind), numbers(made, grid)[None])
    kinds, weighed = found[0], {name: round(float(chance), 4) for name, chance in zip(training.CLASSES, chances[0], strict=True)}
    if not kinds:
        return Judged("clean", weighed["clean"], {}, weighed)
    steps = [round(radius, 1) for radius, _ in features.steps(grid)] if "speed" in kinds else []
    kind, *others = kinds
    return Judged(kind, kinds[kind], {name: kinds[name] for name in others}, weighed, steps)
