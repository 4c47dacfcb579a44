"""Draws a measured disc: the polar map as PNG or SVG, and error rates over the radius as SVG or as lines of text.

Shares of wrong rows are coloured on a logarithmic scale from 1 in 100,000 (dark green) to all (white); what was not read stays grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from tanken.disc.polar import INNER, OUTER, RINGS, SECTORS, Grid
from tanken.view.png import png

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST = -5.0  # log10 of the share where the scale begins
STOPS = ((0.0, (16, 60, 40)), (0.35, (40, 150, 70)), (0.6, (240, 200, 40)), (0.8, (225, 70, 30)), (1.0, (255, 245, 235)))
UNREAD, GROUND, CLEAN = (70, 70, 78), (24, 24, 28), (14, 40, 30)
HUB = 7.5  # mm, the hole
ASIDE = 128  # mm from the middle of one layer's map to that of the next
LINES = ("#b03020", "#2050b0")  # of the layers in a plot


def _colour(level: float) -> tuple[int, int, int]:
    for (low, a), (high, b) in zip(STOPS, STOPS[1:], strict=False):
        if level <= high:
            part = (level - low) / (high - low)
            return tuple(round(x + (y - x) * part) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]
    return STOPS[-1][1]


_TABLE = np.array([_colour(i / 255) for i in range(256)], dtype=np.uint8)


def _levels(grid: Grid) -> NDArray[np.int64]:
    """Of each cell the place on the scale, 0 to 255, -1 for clean, -2 for not read."""
    rate = grid.rate()
    with np.errstate(divide="ignore", invalid="ignore"):
        level = ((np.log10(rate) - LOWEST) / -LOWEST * 255).clip(0, 255)
    out = np.where(rate > 0, level, -1)
    out[np.isnan(rate)] = -2
    return out.astype(np.int64)


def map_png(grids: Sequence[Grid], size: int = 900) -> bytes:
    """The polar maps of the layers, side by side, as a PNG file; angle 0 points to the right and grows against the clock."""
    return png(np.concatenate([_pixels(grid, size) for grid in grids], axis=1))


def _pixels(grid: Grid, size: int) -> NDArray[np.uint8]:
    half = size / 2
    y, x = np.mgrid[0:size, 0:size]
    scale = (OUTER + 2.5) / half
    across, up = (x - half + 0.5) * scale, (half - y - 0.5) * scale
    radius, angle = np.hypot(across, up), np.arctan2(up, across) % (2 * np.pi)
    ring = ((radius - INNER) * RINGS / (OUTER - INNER)).astype(np.int64).clip(0, RINGS - 1)
    cell = (angle * SECTORS / (2 * np.pi)).astype(np.int64).clip(0, SECTORS - 1)
    level = _levels(grid)[ring, cell]
    pixels = _TABLE[level.clip(0, 255)]
    pixels[level == -1] = CLEAN
    pixels[level == -2] = UNREAD
    pixels[(radius < INNER) | (radius > OUTER)] = UNREAD
    pixels[(radius < HUB) | (radius > OUTER + 1.5)] = GROUND
    return np.asarray(pixels, dtype=np.uint8)


def _path(ring: int, first: int, last: int) -> str:
    """A piece of a ring from sector `first` to before `last`, in millimetres."""
    low, high = (INNER + (OUTER - INNER) * n / RINGS for n in (ring, ring + 1))
    a, b = (2 * math.pi * n / SECTORS for n in (first, last))
    wide = int(b - a > math.pi)
    points = [(r * math.cos(t), -r * math.sin(t)) for r, t in ((low, a), (high, a), (high, b), (low, b))]
    p = [f"{px:.2f} {py:.2f}" for px, py in points]
    return f"M{p[0]}L{p[1]}A{high:.2f} {high:.2f} 0 {wide} 0 {p[2]}L{p[3]}A{low:.2f} {low:.2f} 0 {wide} 1 {p[0]}Z"


def map_svg(grids: Sequence[Grid], title: str) -> str:
    """The polar maps of the layers as an SVG file with a scale and a title."""
    wide = 150 + ASIDE * (len(grids) - 1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-64 -70 {wide} 136" font-family="sans-serif" font-size="3">',
           f'<rect x="-64" y="-70" width="{wide}" height="136" fill="rgb{GROUND}"/>', f'<text x="-61" y="-65" fill="white">{escape(title)}</text>']  # fmt: skip
    for number, grid in enumerate(grids):
        name = f'<text x="-4" y="2" fill="white">layer {number}</text>' if len(grids) > 1 else ""
        out += [f'<g transform="translate({ASIDE * number} 0)">', *_disc(grid), name, "</g>"]
    for i in range(6):
        colour = tuple(_TABLE[i * 51].tolist())
        x = wide - 84
        out.append(f'<rect x="{x}" y="{40 - 6 * i}" width="5" height="5" fill="rgb{colour}"/><text x="{x + 7}" y="{44 - 6 * i}" fill="white">1e{i - 5}</text>')
    return "\n".join([*out, "</svg>"])


def _disc(grid: Grid) -> Iterator[str]:
    level = _levels(grid)
    coarse = np.where(level >= 0, level // 16 * 16, level)
    yield f'<circle r="{OUTER + 1.5}" fill="rgb{UNREAD}"/>'
    for ring in range(RINGS):
        row = coarse[ring]
        edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), SECTORS]
        for first, last in zip(edges, edges[1:], strict=False):
            value = int(row[first])
            if value == -2:
                continue
            colour = CLEAN if value == -1 else tuple(_TABLE[value].tolist())
            for start in range(first, last, SECTORS // 3):  # an arc of a whole turn has no direction
                yield f'<path d="{_path(ring, start, min(last, start + SECTORS // 3))}" fill="rgb{colour}"/>'
    yield f'<circle r="{HUB}" fill="rgb{GROUND}"/>'


def plot_svg(grids: Sequence[Grid], title: str) -> str:
    """Shares of wrong rows over the radius, logarithmic, as an SVG file; a colour for each layer."""
    width, height, left, top = 620, 260, 50, 30

    def x(r: float) -> float:
        return left + (r - INNER) / (OUTER - INNER) * width

    def y(share: float) -> float:
        return top + height * (1 - (max(math.log10(max(share, 1e-9)), LOWEST) - LOWEST) / -LOWEST)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 20} {top + height + 45}" font-family="sans-serif" font-size="12">',
           f'<rect width="100%" height="100%" fill="white"/><text x="{left}" y="20">{escape(title)}</text>']  # fmt: skip
    for power in range(int(LOWEST), 1):
        out.append(f'<path d="M{left} {y(10**power):.1f}h{width}" stroke="#ccc"/><text x="10" y="{y(10**power) + 4:.1f}">1e{power}</text>')
    for r in range(25, 59, 5):
        out.append(f'<path d="M{x(r):.1f} {top}v{height}" stroke="#eee"/><text x="{x(r) - 8:.1f}" y="{top + height + 16}">{r}</text>')
    out.append(f'<text x="{left + width / 2 - 40}" y="{top + height + 36}">radius in mm</text>')
    for number, grid in enumerate(grids):
        aside = 0.9 * number
        bars = "".join(f"M{x(r) + aside:.1f} {top + height}V{y(v):.1f}" for r, v in zip(*grid.profile(), strict=True) if v > 0)
        out.append(f'<path d="{bars}" stroke="{LINES[number % 2]}" stroke-width="{1.8 / len(grids)}"/>')
        if len(grids) > 1:
            out.append(f'<text x="{left + width - 60}" y="{top + 16 + 16 * number}" fill="{LINES[number % 2]}">layer {number}</text>')
    return "\n".join([*out, "</svg>"])


def plot_text(grids: Sequence[Grid], rows: int = 23) -> Iterator[str]:
    """The same as lines of text: a bar for each 1.5 mm that was read."""
    for number, grid in enumerate(grids):
        if len(grids) > 1:
            yield f"  layer {number}"
        yield from _bars(grid, rows)


def _bars(grid: Grid, rows: int) -> Iterator[str]:
    radius, rate = grid.profile()
    step = (OUTER - INNER) / rows
    for i in range(rows):
        here = (radius >= INNER + i * step) & (radius < INNER + (i + 1) * step)
        if here.any():
            share = float(rate[here].mean())
            bar = "#" * max(1, round(40 * (math.log10(share) - LOWEST) / -LOWEST)) if share > 0 else ""
            yield f"  {INNER + i * step:5.1f} mm  {share:8.2e}  {bar}"
