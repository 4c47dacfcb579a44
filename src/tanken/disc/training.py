"""Synthetic discs for the classifier: drawn, seen as a grid of wrong rows, and learnt. `python -m tanken.disc.training` writes `damage.npz`.

Parameters of the damage are drawn anew for each disc from ranges; discs that are judged come from other seeds than those learnt from. The rows'
errors are counted directly (the codes are linear, so what the decoder would count is known): nothing is encoded.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base import progress
from tanken.base.progress import Event
from tanken.disc import damage, geometry
from tanken.disc.damage import KINDS
from tanken.disc.dvd.block import COLUMNS
from tanken.disc.features import features
from tanken.disc.polar import Grid
from tanken.disc.press import dvd_track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rng = np.random.Generator

CLASSES = ("clean", *KINDS)
MODEL = Path(__file__).with_name("damage.npz")
# ranges of each parameter; (low, high, logarithmic)
RANGES: dict[str, dict[str, tuple[float, float, bool]]] = {
    "dust": {"specks": (40, 400, True), "size": (0.2, 0.7, True), "strength": (0.3, 0.9, False)},
    "scratch": {"count": (1, 3, False), "width": (0.12, 0.7, True), "length": (8, 33, False), "strength": (0.5, 1, False)},
    "fingerprint": {"prints": (1, 2.5, False), "strength": (0.015, 0.15, True), "size": (7, 11, False)},
    "rim": {"start": (52, 56.5, False), "strength": (0.02, 0.5, True)},
    "delamination": {"depth": (4, 16, False), "width": (30, 150, False), "strength": (0.4, 0.95, False)},
    "adhesion": {"patches": (3, 10, False), "size": (2.5, 7, True), "strength": (0.75, 1, False)},
    "ageing": {"level": (0.0004, 0.006, True), "growth": (1.6, 3.5, False)},
    "burst": {"bands": (1, 3.5, False), "width": (0.04, 0.4, True), "arc": (120, 360, False), "strength": (0.5, 1, False)},
    "jitter": {"level": (0.0005, 0.012, True)},
    "defocus": {"level": (0.004, 0.06, True)},
    "speed": {"level": (0.0002, 0.002, True), "steps": (2, 5, False), "jump": (1.7, 3, False)},
}
FLOOR = (1e-6, 1e-4)  # share of wrong symbols that every disc has


def draw(kind: str, rng: Rng) -> dict[str, float]:
    """Parameters of a damage, by chance."""
    out = {}
    for name, (low, high, logarithmic) in RANGES.get(kind, {}).items():
        out[name] = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if logarithmic else float(rng.uniform(low, high))
    return out


def disc(kind: str, rng: Rng, stride: int) -> Grid:
    """The grid of a disc of which every `stride`th block was read."""
    blocks = geometry.block_at(geometry.RIM) // stride
    psns = 0x030000 + 16 * stride * np.arange(blocks, dtype=np.int64)
    track = dvd_track(psns)
    wrong = np.zeros((len(track.radius), COLUMNS), dtype=np.bool_)
    items: list[tuple[str, dict[str, float]]] = [("jitter", {"level": float(np.exp(rng.uniform(*np.log(FLOOR))))})]
    if kind != "clean":
        items.append((kind, draw(kind, rng)))
    for name, parameters in items:
        for index, place in damage.wrong_symbols(KINDS[name](track, rng, **parameters), len(wrong), COLUMNS, rng):
            wrong[index, place] = True
    symbols = wrong.sum(axis=1)
    grid = Grid()
    grid.add(track.radius, track.angle, symbols, symbols > 5)
    return grid


def collect(count: int, seed: int, tell: progress.Progress = progress.silent) -> tuple[Floats, NDArray[np.int64]]:
    """Features and classes of `count` discs, all classes alike; every one from a seed of its own."""
    rows, labels = [], []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        label = i % len(CLASSES)
        rows.append(features(disc(CLASSES[label], rng, int(rng.integers(120, 400)))))
        labels.append(label)
        tell(Event("discs", i + 1, count, f"{count} discs"))
    return np.array(rows), np.array(labels, dtype=np.int64)


def learn(rows: Floats, labels: NDArray[np.int64], hidden: int = 48, rounds: int = 1500, seed: int = 0) -> dict[str, Floats]:
    """A network of one hidden layer, by Adam on the cross-entropy with a little decay; inputs are scaled to mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    x, classes = np.clip((rows - mean) / scale, -6, 6), len(CLASSES)
    weights = [rng.normal(0, 1 / np.sqrt(x.shape[1]), (x.shape[1], hidden)), np.zeros(hidden), rng.normal(0, 1 / np.sqrt(hidden), (hidden, classes)), np.zeros(classes)]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    target = np.eye(classes)[labels]
    for step in range(1, rounds + 1):
        pick = rng.permutation(len(x))[:512]
        noisy = x[pick] + rng.normal(0, 0.08, (len(pick), x.shape[1]))
        inner = np.tanh(noisy @ weights[0] + weights[1])
        out = _softmax(inner @ weights[2] + weights[3])
        error = (out - target[pick]) / len(pick)
        back = (error @ weights[2].T) * (1 - inner**2)
        slopes = [noisy.T @ back + 2e-4 * weights[0], back.sum(axis=0), inner.T @ error + 2e-4 * weights[2], error.sum(axis=0)]
        rate = 0.01 * (0.5 + 0.5 * np.cos(np.pi * step / rounds))
        for i, slope in enumerate(slopes):
            first[i] = 0.9 * first[i] + 0.1 * slope
            second[i] = 0.999 * second[i] + 0.001 * slope**2
            weights[i] = weights[i] - rate * (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
    return {"mean": mean, "scale": scale, "w1": weights[0], "b1": weights[1], "w2": weights[2], "b2": weights[3]}


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return found


def probabilities(model: Any, rows: Floats) -> Floats:
    """The classes' probabilities, shape (discs, classes)."""
    x = np.clip((rows - model["mean"]) / model["scale"], -6, 6)
    return _softmax(np.tanh(x @ model["w1"] + model["b1"]) @ model["w2"] + model["b2"])


def confusion(labels: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts: true class down, found class across."""
    size = len(CLASSES)
    return np.bincount(labels * size + found, minlength=size * size).reshape(size, size)


def table(matrix: NDArray[np.int64]) -> str:
    """The matrix in Markdown, with the recall of each class."""
    lines = ["| true \\ found | " + " | ".join(CLASSES) + " | recall |", "|---" * (len(CLASSES) + 2) + "|"]
    for name, row in zip(CLASSES, matrix, strict=True):
        lines.append(f"| {name} | " + " | ".join(str(n) if n else "" for n in row) + f" | {row[CLASSES.index(name)] / max(1, row.sum()):.3f} |")
    return "\n".join(lines)


def save(model: dict[str, Floats]) -> None:
    """Writes the model beside this file."""
    arrays: dict[str, Any] = {name: value.astype(np.float32) for name, value in model.items()}
    np.savez_compressed(MODEL, **arrays)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tanken.disc.training", description="Learn the classifier anew, or judge it on discs it has not seen.")
    parser.add_argument("--judge", type=int, metavar="N", help="judge the model on N discs and print the confusion matrix (1,000 in the docs)")
    parser.add_argument("--learn", type=int, metavar="N", help="learn from N discs and write the model")
    parser.add_argument("--seed", type=int, default=7, help="of the discs; learning uses seed 1, so judge with another")
    options = parser.parse_args()
    tell = progress.to(sys.stderr)
    if options.learn:
        rows, labels = collect(options.learn, 1, tell)
        save(learn(rows, labels))
    if options.judge:
        rows, labels = collect(options.judge, options.seed, tell)
        print(table(confusion(labels, probabilities(np.load(MODEL), rows).argmax(axis=1))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
