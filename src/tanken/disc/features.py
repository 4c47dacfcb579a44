"""Numbers that describe the picture of a disc, for naming what damaged it: how errors are spread over radius, angle, rows and spots.

Ours alone; each is written so that it hardly depends on how much damage there is, but one that says that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tanken.disc.polar import FINE, INNER, OUTER, RINGS, SECTORS, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TINY = 1e-9
NAMES = (
    "rate", "clean cells", "top 1 %", "top 5 %", "by radius", "by angle", "slope", "curve", "rim share", "outer share", "first harmonic", "peak angle", "angles above",
    "symbols a row", "rows of one", "rows over 5", "rows over 60", "rows full", "spots", "largest spot", "spot height", "spot width", "spot at rim",
    "second spot", "fine peak", "fine peaks", "steps", "largest step", "step sum", "local noise", "flatness", "middle share", "hot rate", "spot fill", "small spots",
    "line", "second line", "narrow", "medium", "wide outside", "wide inside", "symbols in narrow", "symbols in medium", "symbols elsewhere", "blob", "blob height", "blob width",
)  # fmt: skip
CD_NAMES = (*NAMES, "E21 share", "E31 share", "bad at C2", "worse at C2", "CU", "BLER spread", "worst second")
NARROW, MEDIUM = 3, 15  # sectors: a scratch or a speck; a print, a patch


def _spots(hot: NDArray[np.bool_]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Connected groups of hot cells, largest first; angles wrap around."""
    todo = hot.copy()
    found = []
    for ring, sector in zip(*np.nonzero(hot), strict=True):
        if not todo[ring, sector]:
            continue
        todo[ring, sector] = False
        stack, cells = [(int(ring), int(sector))], []
        while stack:
            r, s = stack.pop()
            cells.append((r, s))
            for dr in (-1, 0, 1):
                for ds in (-1, 0, 1):
                    a, b = r + dr, (s + ds) % SECTORS
                    if 0 <= a < RINGS and todo[a, b]:
                        todo[a, b] = False
                        stack.append((a, b))
        places = np.array(cells, dtype=np.int64)
        found.append((places[:, 0], places[:, 1]))
    return sorted(found, key=lambda spot: -len(spot[0]))


def _wide(sectors: NDArray[np.int64]) -> int:
    """Sectors that a spot spans, by the widest gap between those it has."""
    seen = np.unique(sectors)
    if len(seen) == 1:
        return 1
    gaps = np.diff(np.concatenate([seen, seen[:1] + SECTORS]))
    return int(SECTORS - gaps.max() + 1)


def _explained(rate: Floats, weight: Floats, axis: int) -> float:
    """The share of the variance that the mean over one axis explains."""
    total = weight.sum()
    mean = (rate * weight).sum() / max(total, TINY)
    spread = (weight * (rate - mean) ** 2).sum()
    along = (rate * weight).sum(axis=axis) / np.maximum(weight.sum(axis=axis), TINY)
    part = (weight.sum(axis=axis) * (along - mean) ** 2).sum()
    return float(part / max(spread, TINY))


def _above(grid: Grid) -> NDArray[np.bool_]:
    """Cells clearly worse than the middle of their own ring, so that what is on top of damage all around is seen."""
    read, wrong = grid.read, grid.wrong
    rate = np.where(read > 0, wrong / np.maximum(read, 1), np.nan)
    middle = np.zeros(RINGS)
    some = (read > 0).any(axis=1)
    middle[some] = np.nanmedian(rate[some], axis=1)
    expected = read * middle[:, None]
    found: NDArray[np.bool_] = (wrong > expected + 3 * np.sqrt(expected + 0.3)) & (wrong > 2 * expected + 0.05 * read)
    return found


def _widths(hot: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each hot cell how many sectors in a row are hot in its ring, around; a gap of one does not count. 0 elsewhere."""
    out = np.zeros(hot.shape, dtype=np.int64)
    closed = hot | (np.roll(hot, 1, axis=1) & np.roll(hot, -1, axis=1))
    for ring in np.flatnonzero(hot.any(axis=1)):
        row = closed[ring]
        if row.all():
            out[ring] = SECTORS
            continue
        turn = int(np.flatnonzero(~row)[0])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], np.roll(row, -turn), [False]]).astype(np.int8)))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            out[ring, (np.arange(first, last) + turn) % SECTORS] = last - first
    return np.where(hot, out, 0)


def _lines(hot: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Of each sector the longest run of hot rings; a gap of two does not count."""
    closed = hot.copy()
    for gap in (1, 2):
        closed[1:-gap] |= hot[: -gap - 1] & hot[gap + 1 :]
        if gap == 2:
            closed[2:-1] |= hot[:-3] & hot[3:]
    out = np.zeros(hot.shape[1], dtype=np.int64)
    run = np.zeros(hot.shape[1], dtype=np.int64)
    for row in closed:
        run = np.where(row, run + 1, 0)
        out = np.maximum(out, run)
    return out


def _layers(grid: Grid) -> list[float]:
    """The numbers of NAMES from "line" on: what stands out of each ring, by how wide it is."""
    hot = _above(grid)
    width = _widths(hot)
    narrow, medium, wide = (width > 0) & (width <= NARROW), (width > NARROW) & (width <= MEDIUM), width > MEDIUM
    rings = max(1, int((grid.read > 0).any(axis=1).sum()))
    column = _lines(narrow | np.roll(narrow, 1, axis=1)) / rings
    first = int(column.argmax())
    away = np.minimum((np.arange(SECTORS) - first) % SECTORS, (first - np.arange(SECTORS)) % SECTORS) > 4
    outer = INNER + (np.arange(RINGS) + 0.5) * (OUTER - INNER) / RINGS > 48
    seen = grid.read > 0

    def share(cells: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
        return float((cells & where[:, None]).sum() / max(1, (seen & where[:, None]).sum()))

    def symbols(cells: NDArray[np.bool_]) -> float:
        return float(np.log10(grid.symbols[cells].sum() / max(grid.wrong[cells].sum(), 1.0) + 0.1))

    spots = _spots(medium | wide)
    blob = spots[0] if spots else (np.array([0]), np.array([0]))
    return [
        float(column[first]), float(column[away].max()), float(np.log10((narrow & away[None, :]).sum() + 1)), float(np.log10(medium.sum() + 1)),
        share(wide, outer), share(wide, ~outer),
        symbols(narrow), symbols(medium), symbols(seen & (width == 0)), float(np.log10(len(blob[0]))) if spots else 0.0,
        (blob[0].max() - blob[0].min() + 1) / RINGS if spots else 0.0, _wide(blob[1]) / SECTORS if spots else 0.0,
    ]  # fmt: skip


def radial(grid: Grid, width: int = 5) -> tuple[Floats, Floats]:
    """Radius and logarithm of the share of wrong rows, in bins of `width` tenths of a millimetre that were read."""
    count = FINE // width
    read = grid.fine[0, : count * width].reshape(count, width).sum(axis=1)
    wrong = grid.fine[1, : count * width].reshape(count, width).sum(axis=1)
    seen = read > 20
    radius = INNER + (np.arange(count) + 0.5) * width * (OUTER - INNER) / FINE
    rate = (wrong[seen] + 0.5) / (read[seen] + 1)
    return radius[seen], np.log(rate)


def steps(grid: Grid) -> list[tuple[float, float]]:
    """Places where the radial curve jumps and stays: radius in mm, height as a logarithm. Medians of 4 mm on either side, against the noise."""
    radius, level = radial(grid)
    found: list[tuple[float, float]] = []
    reach = 6
    if len(level) < 4 * reach:
        return found
    jumps, scores = np.zeros(len(level)), np.zeros(len(level))
    for i in range(reach, len(level) - reach):
        left, right = level[i - reach : i], level[i : i + reach]
        noise = 0.5 * (np.median(np.abs(np.diff(left))) + np.median(np.abs(np.diff(right)))) + 0.02
        trend = 0.5 * (np.polyfit(np.arange(reach), left, 1)[0] + np.polyfit(np.arange(reach), right, 1)[0]) * reach
        jumps[i] = np.median(right) - np.median(left) - trend
        scores[i] = jumps[i] / noise
    order = np.argsort(-np.abs(jumps))
    taken: list[int] = []
    for i in order.tolist():
        if abs(jumps[i]) < 0.3 or abs(scores[i]) < 4 or len(taken) > 8:
            break
        if all(abs(i - other) >= reach for other in taken):
            taken.append(i)
            found.append((float(radius[i] - 0.25), float(jumps[i])))
    return sorted(found)


def features(grid: Grid) -> Floats:
    """One number for each of NAMES. The grid must have at least one wrong row."""
    read, wrong = grid.read, grid.wrong
    seen = read > 0
    total = max(wrong.sum(), 1.0)
    mean = total / max(read.sum(), 1.0)
    rate = np.where(seen, (wrong + 0.0) / np.maximum(read, 1), 0.0)
    smooth = np.where(seen, np.minimum(rate, 20 * mean), 0.0)
    ranked = np.sort(wrong[seen])[::-1]
    cells = max(int(seen.sum()), 1)
    by_ring = wrong.sum(axis=1) / np.maximum(read.sum(axis=1), 1)
    by_sector = wrong.sum(axis=0) / np.maximum(read.sum(axis=0), 1)
    rings = read.sum(axis=1) > 0
    radius = INNER + (np.arange(RINGS) + 0.5) * (OUTER - INNER) / RINGS
    logs = np.log(by_ring[rings] + 0.1 * mean)
    slope, curve = 0.0, 0.0
    if rings.sum() > 4:
        x = (radius[rings] - 41) / 17
        fit = np.polyfit(x, logs, 2)
        slope, curve = float(fit[1]), float(fit[0])
    middle = np.median(by_ring[rings]) if rings.any() else 0.0
    rim = rings & (radius > 56)
    outer = rings & (radius > 50)
    angle = 2 * np.pi * (np.arange(SECTORS) + 0.5) / SECTORS
    limited = np.minimum(by_sector, np.median(by_sector) * 5 + TINY)
    harmonic = np.abs((limited * np.exp(1j * angle)).sum()) / max(limited.sum(), TINY)
    sizes = grid.sizes
    rows = max(sizes.sum(), 1.0)
    base = max(3 * float(np.median(rate[seen])), 0.0) if seen.any() else 0.0
    hot = seen & (rate > max(base, 0.25 * float(rate.max()) if rate.max() > 0 else 1.0, 3 * mean)) & (wrong >= 3)
    spots = _spots(hot)
    first = spots[0] if spots else (np.array([0]), np.array([0]))
    second = len(spots[1][0]) if len(spots) > 1 else 0
    height = (first[0].max() - first[0].min() + 1) / RINGS
    width = _wide(first[1]) / SECTORS
    area = max(height * RINGS * width * SECTORS, 1)
    fine = grid.fine[1] / np.maximum(grid.fine[0], 1)
    fine = fine[grid.fine[0] > 0]
    local = np.convolve(fine, np.ones(21) / 21, "same") if len(fine) > 21 else fine
    peaks = fine / np.maximum(local, TINY)
    jumped = steps(grid)
    _, level = radial(grid)
    noise = float(np.median(np.abs(np.diff(level)))) if len(level) > 2 else 0.0
    values = (
        np.log10(mean), (wrong[seen] == 0).mean(), ranked[: max(1, cells // 100)].sum() / total, ranked[: max(1, cells // 20)].sum() / total,
        _explained(smooth, read, 1), _explained(smooth, read, 0), slope, curve,
        np.log10((by_ring[rim].mean() if rim.any() else mean) / mean + 0.01), np.log10((by_ring[outer].mean() if outer.any() else mean) / max(middle, 0.02 * mean) + 0.01),
        harmonic, np.log10(by_sector.max() / mean + TINY), (by_sector > 3 * mean).mean(),
        np.log10((sizes * np.arange(256)).sum() / rows + 0.1), sizes[1] / rows, sizes[6:].sum() / rows, sizes[60:].sum() / rows, sizes[170:].sum() / rows,
        np.log10(len(spots) + 1), np.log10(len(first[0])) if spots else 0.0, height, width, float(first[0].max() >= RINGS - 4), np.log10(second + 1),
        np.log10(peaks.max() + TINY) if len(peaks) else 0.0, np.log10((peaks > 4).sum() + 1), len(jumped), max((abs(j) for _, j in jumped), default=0.0),
        sum(j for _, j in jumped), noise, np.log10(np.median(by_ring[rings]) / mean + 1e-3) if rings.any() else 0.0,
        by_ring[rings & (radius > 30) & (radius < 50)].sum() / max(by_ring[rings].sum(), TINY), np.log10(rate.max() + 1e-6), len(first[0]) / area,
        np.log10(sum(len(spot[0]) <= 3 for spot in spots) + 1), *_layers(grid),
    )  # fmt: skip
    return np.array([float(np.nan_to_num(value, posinf=9, neginf=-9)) for value in values])


def cd_features(grid: Grid, seconds: Sequence[tuple[dict[str, int], dict[str, int]]]) -> Floats:
    """One number for each of CD_NAMES: the picture of the frames, and C1 and C2 of each second."""
    c1 = np.array([[first[name] for name in ("e11", "e21", "e31")] for first, _ in seconds], dtype=np.float64)
    c2 = np.array([[second[name] for name in ("e12", "e22", "e32", "cu")] for _, second in seconds], dtype=np.float64)
    bler = c1.sum(axis=1)
    total, outer = max(bler.sum(), 1.0), c2.sum(axis=0)
    whole = bler[:-1] if len(bler) > 1 else bler
    middle = np.median(whole) + 1
    more = (
        c1[:, 1].sum() / total, c1[:, 2].sum() / total, np.log10(outer[:3].sum() / total + 1e-4), np.log10(outer[2] / max(outer[:3].sum(), 1.0) + 1e-3),
        np.log10(outer[3] + 1), np.log10(whole.std() / middle + 1e-3), np.log10((whole.max() + 1) / middle),
    )  # fmt: skip
    return np.concatenate([features(grid), np.array([float(value) for value in more])])
