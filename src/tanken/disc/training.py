"""Synthetic discs for the classifier: drawn, seen as a grid of wrong rows, and learnt. `python -m tanken.disc.training --learn N` writes `damage.npz`,
with `--medium cd` `damage_cd.npz`.

Parameters of the damage are drawn anew for each disc from ranges; discs that are judged come from other seeds than those learnt from. The rows'
errors are counted directly (the codes are linear, so what the decoder would count is known): nothing is encoded. Of CDs the errors of a disc of zeros
go through the decoder of C1 and C2, since what these find is what a measurement sees.

Two networks: `first` knows discs with one kind of damage or none, and weighs the kinds against each other; `each` knows discs with two as well, and
says of each kind by itself whether it is there. Where `each` finds two kinds or more they are named, else `first` has the word.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base import progress
from tanken.base.errors import InputError
from tanken.base.progress import Event
from tanken.disc import damage, geometry
from tanken.disc.cd import circ
from tanken.disc.damage import KINDS
from tanken.disc.dvd.block import COLUMNS
from tanken.disc.features import cd_features, features
from tanken.disc.measure import FRAMES_A_SECOND, classes
from tanken.disc.polar import Grid
from tanken.disc.press import cd_track, damaged, dvd_track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rng = np.random.Generator

NAMES = tuple(KINDS)
CLASSES = ("clean", *NAMES)
SURE = 0.5  # the probability from which on a kind is named
SINGLE, PAIRS = 1, 2  # seeds of what is learnt; judge with others
MODELS = {"dvd": Path(__file__).with_name("damage.npz"), "cd": Path(__file__).with_name("damage_cd.npz")}
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
MARK = "<!-- python -m tanken.disc.training -->"
CD_MARK = "<!-- python -m tanken.disc.training --medium cd -->"
DVD_STRIDE, CD_STRIDE = (120, 400), (80, 500)  # of how many blocks, or frames (here evenly as a logarithm), one is read
FLOOR = (1e-6, 1e-4)  # share of wrong symbols that every disc has


def draw(kind: str, rng: Rng) -> dict[str, float]:
    """Parameters of a damage, by chance."""
    out = {}
    for name, (low, high, logarithmic) in RANGES.get(kind, {}).items():
        out[name] = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if logarithmic else float(rng.uniform(low, high))
    return out


def disc(kinds: Sequence[str], rng: Rng, stride: int) -> Grid:
    """The grid of a disc with these kinds of damage, of which every `stride`th block was read."""
    blocks = geometry.block_at(geometry.RIM) // stride
    psns = 0x030000 + 16 * stride * np.arange(blocks, dtype=np.int64)
    track = dvd_track(psns)
    wrong = np.zeros((len(track.radius), COLUMNS), dtype=np.bool_)
    items: list[tuple[str, dict[str, float]]] = [("jitter", {"level": float(np.exp(rng.uniform(*np.log(FLOOR))))})]
    items += [(kind, draw(kind, rng)) for kind in kinds]
    for name, parameters in items:
        for index, place in damage.wrong_symbols(KINDS[name](track, rng, **parameters), len(wrong), COLUMNS, rng):
            wrong[index, place] = True
    symbols = wrong.sum(axis=1)
    grid = Grid()
    grid.add(track.radius, track.angle, symbols, symbols > 5)
    return grid


def cd(kinds: Sequence[str], rng: Rng, stride: int) -> Floats:
    """The numbers of a CD with these kinds of damage, of which every `stride`th frame was read: as measured from its channel."""
    count = int(geometry.CD.steps_to(geometry.RIM)) // stride
    track = cd_track(count, stride)
    rows = np.zeros((count, 1 + circ.F2), dtype=np.uint8)  # as pressed: the subcode's symbol, then silence
    rows[:, 1:][:, circ.INVERTED] = 0xFF
    items: list[tuple[str, dict[str, float]]] = [("jitter", {"level": float(np.exp(rng.uniform(*np.log(FLOOR))))})]
    items += [(kind, draw(kind, rng)) for kind in kinds]
    damaged(rows, track, items, int(rng.integers(0, 1 << 31)))
    done = circ.decode(np.ascontiguousarray(rows[:, 1:]))
    grid = Grid()
    grid.add(track.radius, track.angle, done.symbols.astype(np.int64), done.c1 < 0)
    return cd_features(grid, [classes(done, second) for second in range(-(-count // FRAMES_A_SECOND))])


def numbers(medium: str, kinds: Sequence[str], rng: Rng, stride: int = 0) -> Floats:
    """The features of a disc drawn by chance, with a stride drawn by chance where it is 0."""
    if medium == "cd":
        return cd(kinds, rng, stride or int(np.exp(rng.uniform(*np.log(CD_STRIDE)))))
    return features(disc(kinds, rng, stride or int(rng.integers(*DVD_STRIDE))))


PAIR_LIST = tuple(combinations(NAMES, 2))


def collect(medium: str, count: int, seed: int, mixed: bool = False, tell: progress.Progress = progress.silent, stride: int = 0) -> tuple[Floats, NDArray[np.bool_]]:
    """Features (discs, features) and which kinds are there (discs, kinds), all classes or all pairs alike; every disc from a seed of its own."""
    rows, labels = [], np.zeros((count, len(NAMES)), dtype=np.bool_)
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        label = CLASSES[i % len(CLASSES)]
        kinds = PAIR_LIST[i % len(PAIR_LIST)] if mixed else () if label == "clean" else (label,)
        labels[i] = [name in kinds for name in NAMES]
        rows.append(numbers(medium, kinds, rng, stride))
        tell(Event("discs", i + 1, count, f"{count} discs"))
    return np.array(rows), labels


Output = Callable[["Floats"], "Floats"]


def train(rows: Floats, target: Floats, hidden: int, rounds: int, output: Output, seed: int = 0) -> dict[str, Floats]:
    """A network of one hidden layer, by Adam on the cross-entropy with a little decay; inputs are scaled to mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    x, width = np.clip((rows - mean) / scale, -6, 6), target.shape[1]
    weights = [rng.normal(0, 1 / np.sqrt(x.shape[1]), (x.shape[1], hidden)), np.zeros(hidden), rng.normal(0, 1 / np.sqrt(hidden), (hidden, width)), np.zeros(width)]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for step in range(1, rounds + 1):
        pick = rng.permutation(len(x))[:512]
        noisy = x[pick] + rng.normal(0, 0.08, (len(pick), x.shape[1]))
        inner = np.tanh(noisy @ weights[0] + weights[1])
        error = (output(inner @ weights[2] + weights[3]) - target[pick]) / len(pick)
        back = (error @ weights[2].T) * (1 - inner**2)
        slopes = [noisy.T @ back + 2e-4 * weights[0], back.sum(axis=0), inner.T @ error + 2e-4 * weights[2], error.sum(axis=0)]
        rate = 0.01 * (0.5 + 0.5 * np.cos(np.pi * step / rounds))
        for i, slope in enumerate(slopes):
            first[i] = 0.9 * first[i] + 0.1 * slope
            second[i] = 0.999 * second[i] + 0.001 * slope**2
            weights[i] = weights[i] - rate * (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
    return {"mean": mean, "scale": scale, "w1": weights[0], "b1": weights[1], "w2": weights[2], "b2": weights[3]}


def softmax(logits: Floats) -> Floats:
    """Probabilities of which one is true."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return found


def sigmoid(logits: Floats) -> Floats:
    """Probabilities by themselves."""
    found: Floats = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    return found


def true_classes(labels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The index in CLASSES of discs with one kind at most."""
    return np.where(labels.any(axis=1), 1 + labels.argmax(axis=1), 0)


def learn(single: tuple[Floats, NDArray[np.bool_]], pairs: tuple[Floats, NDArray[np.bool_]]) -> dict[str, Floats]:
    """Both networks, from discs with one kind of damage or none, and from discs with two."""
    first = train(single[0], np.eye(len(CLASSES))[true_classes(single[1])], 48, 1500, softmax)
    rows, labels = np.concatenate([single[0], pairs[0]]), np.concatenate([single[1], pairs[1]])
    each = train(rows, labels.astype(np.float64), 96, 3000, sigmoid)
    return {f"{name}_{key}": value for name, model in (("first", first), ("each", each)) for key, value in model.items()}


def _answer(model: Any, name: str, rows: Floats, output: Output) -> Floats:
    x = np.clip((rows - model[f"{name}_mean"]) / model[f"{name}_scale"], -6, 6)
    return output(np.tanh(x @ model[f"{name}_w1"] + model[f"{name}_b1"]) @ model[f"{name}_w2"] + model[f"{name}_b2"])


def named(model: Any, rows: Floats) -> tuple[list[dict[str, float]], Floats]:
    """The kinds that are named of each disc with their probabilities, the likeliest first, and the probabilities by `first` (discs, classes)."""
    first, each = _answer(model, "first", rows, softmax), _answer(model, "each", rows, sigmoid)
    out = []
    for weighed, chances in zip(first, each, strict=True):
        found = {NAMES[i]: round(float(chances[i]), 4) for i in np.argsort(-chances).tolist() if chances[i] >= SURE}
        if len(found) < 2:
            best = int(weighed.argmax())
            found = {NAMES[best - 1]: round(float(weighed[best]), 4)} if best else {}
        out.append(found)
    return out, first


def confusion(labels: NDArray[np.bool_], found: Sequence[dict[str, float]]) -> NDArray[np.int64]:
    """Counts of discs with one kind of damage at most: true class down, likeliest class across."""
    size = len(CLASSES)
    answers = np.array([CLASSES.index(next(iter(kinds), "clean")) for kinds in found], dtype=np.int64)
    return np.bincount(true_classes(labels) * size + answers, minlength=size * size).reshape(size, size)


def table(matrix: NDArray[np.int64]) -> str:
    """The matrix in Markdown, with the recall of each class."""
    lines = ["| true \\ found | " + " | ".join(CLASSES) + " | recall |", "|---" * (len(CLASSES) + 2) + "|"]
    for name, row in zip(CLASSES, matrix, strict=True):
        lines.append(f"| {name} | " + " | ".join(str(n) if n else "" for n in row) + f" | {row[CLASSES.index(name)] / max(1, row.sum()):.3f} |")
    return "\n".join(lines)


def pair_table(labels: NDArray[np.bool_], found: Sequence[dict[str, float]]) -> str:
    """Of discs with two kinds, in Markdown: how often each kind was named where it was, and was there where it was named; and three sums."""
    said = np.array([[name in kinds for name in NAMES] for kinds in found])
    lines = ["| two kinds at once | " + " | ".join(NAMES) + " |", "|---" * (len(NAMES) + 1) + "|"]
    recall = (said & labels).sum(axis=0) / np.maximum(1, labels.sum(axis=0))
    right = (said & labels).sum(axis=0) / np.maximum(1, said.sum(axis=0))
    lines += [f"| {text} | " + " | ".join(f"{value:.2f}" for value in values) + " |" for text, values in (("named where it was", recall), ("was where named", right))]
    likeliest = np.mean([bool(kinds) and bool(row[NAMES.index(next(iter(kinds)))]) for row, kinds in zip(labels, found, strict=True)])
    both, exact = (said | ~labels).all(axis=1).mean(), (said == labels).all(axis=1).mean()
    return "\n".join(lines) + f"\n\nThe likeliest kind was one of the two on {likeliest:.1%} of {len(labels)} discs, both were named on {both:.1%}, and no other on {exact:.1%}."


def report(medium: str, count: int, pairs: int, seed: int, tell: progress.Progress, stride: int = 0) -> str:
    """Judges the model on discs that it has not seen, in Markdown."""
    with np.load(MODELS[medium]) as model:
        rows, labels = collect(medium, count, seed, tell=tell, stride=stride)
        text = table(confusion(labels, named(model, rows)[0]))
        if pairs:
            rows, labels = collect(medium, pairs, seed + 1, True, tell, stride)
            text += "\n\n" + pair_table(labels, named(model, rows)[0])
    return text


def put(path: Path, text: str, mark: str = MARK) -> None:
    """Replaces what stands between the two marks in a document. Raises InputError for a document without them."""
    before, _, rest = path.read_text().partition(mark)
    _, second, after = rest.partition(mark)
    if not second:
        raise InputError("no place for the tables", where=str(path), wanted=f"two lines {mark}")
    path.write_text(f"{before}{mark}\n{text}\n{mark}{after}")


def save(model: dict[str, Floats], path: Path) -> None:
    """Writes a model."""
    arrays: dict[str, Any] = {name: value.astype(np.float32) for name, value in model.items()}
    np.savez_compressed(path, **arrays)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tanken.disc.training", description="Learn the classifier anew, or judge it on discs it has not seen.")
    parser.add_argument("--medium", choices=tuple(MODELS), default="dvd", help="which discs (default: dvd)")
    parser.add_argument("--judge", type=int, metavar="N", help="judge the model on N discs and print the confusion matrix (1,000 in the docs)")
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="judge it also on N discs with two kinds of damage")
    parser.add_argument("--write", metavar="FILE", help="put what was judged between the marks in this document instead of printing it")
    parser.add_argument("--learn", type=int, metavar="N", help="learn from N discs and N more with two kinds of damage, and write the model")
    parser.add_argument("--seed", type=int, default=7, help=f"of the discs judged; learning uses seeds {SINGLE} and {PAIRS}, so judge with others")
    parser.add_argument("--stride", type=int, default=0, metavar="N", help="judge discs of which every Nth block (of a CD: frame) was read (default: drawn anew for each)")
    options = parser.parse_args()
    tell = progress.to(sys.stderr)
    if options.learn:
        single, pairs = collect(options.medium, options.learn, SINGLE, tell=tell), collect(options.medium, options.learn, PAIRS, True, tell)
        save(learn(single, pairs), MODELS[options.medium])
    if options.judge:
        text = report(options.medium, options.judge, options.pairs, options.seed, tell, options.stride)
        if options.write:
            put(Path(options.write), text, CD_MARK if options.medium == "cd" else MARK)
        else:
            print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
