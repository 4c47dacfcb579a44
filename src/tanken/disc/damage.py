"""Damage of a disc as a probability over radius and angle that a symbol is wrong: what the synthetic drive reads through.

A model, not a measurement: shapes and sizes are those of photographs and quality scans that archivists publish, the numbers are ours. A defect at
the surface is seen through 0.6 mm (DVD) or 1.2 mm (CD) of plastic, so nothing is smaller than about 0.1 mm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base.errors import UsageError
from tanken.disc.geometry import RIM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rng = np.random.Generator

TURN = 2 * np.pi
Piece = tuple[slice, Any, bool]  # rows, probability of each, whether wrong symbols lie together


@dataclass(frozen=True)
class Track:
    """Rows that are read: radius in mm (never falling) and angle of each, and the layer."""

    radius: Floats
    angle: Floats
    layer: int = 0

    def between(self, low: float, high: float) -> slice:
        """The rows from one radius to another."""
        return slice(int(np.searchsorted(self.radius, low)), int(np.searchsorted(self.radius, high)))


def _away(angle: Floats, centre: float | Floats) -> Floats:
    """The angle's distance from a centre, -pi to pi."""
    found: Floats = (angle - centre + np.pi) % TURN - np.pi
    return found


def _spot(track: Track, radius: float, angle: float, size: float, strength: float) -> Iterator[Piece]:
    part = track.between(radius - size, radius + size)
    r = track.radius[part]
    if len(r):
        across = _away(track.angle[part], angle) * r
        inside = (r - radius) ** 2 + across**2 < size**2
        if inside.any():
            yield part, np.where(inside, strength, 0.0), True


def dust(track: Track, rng: Rng, specks: float = 150, size: float = 0.4, strength: float = 0.5) -> Iterator[Piece]:
    """Specks on the surface, anywhere: `specks` of about `size` mm radius."""
    for _ in range(int(specks)):
        radius = np.sqrt(rng.uniform(24.0**2, RIM**2))
        yield from _spot(track, radius, rng.uniform(0, TURN), size * rng.lognormal(0, 0.4), strength * rng.uniform(0.6, 1.2))


def scratch(track: Track, rng: Rng, count: float = 1, width: float = 0.25, length: float = 20, strength: float = 0.8) -> Iterator[Piece]:
    """Radial scratches: lines of `width` mm, `length` mm along the radius."""
    for _ in range(int(count)):
        length_here = min(length, 33.0)
        start = rng.uniform(24.0, RIM - length_here)
        angle, lean = rng.uniform(0, TURN), rng.normal(0, 0.004)
        part = track.between(start, start + length_here)
        r = track.radius[part]
        if len(r):
            across = np.abs(_away(track.angle[part], angle + lean * (r - start))) * r
            yield part, np.where(across < width / 2, strength, 0.0), True


def fingerprint(track: Track, rng: Rng, prints: float = 1, strength: float = 0.06, size: float = 9) -> Iterator[Piece]:
    """Ridges of grease in an oval of about `size` mm half length."""
    for _ in range(int(prints)):
        radius, angle, phase = rng.uniform(32, 50), rng.uniform(0, TURN), rng.uniform(0, TURN)
        part = track.between(radius - size, radius + size)
        r = track.radius[part]
        if len(r):
            along, across = (r - radius) / size, _away(track.angle[part], angle) * r / (0.75 * size)
            distance = along**2 + across**2
            ridges = 0.5 + 0.5 * np.cos(TURN * size * np.hypot(along, across + 0.4) / 0.9 + phase)
            yield part, np.where(distance < 1, strength * ridges * (1 - distance**2), 0.0), False


def rim(track: Track, rng: Rng, start: float = 55, strength: float = 0.15) -> Iterator[Piece]:
    """Damage of the edge all around, growing outwards from radius `start` mm."""
    part = track.between(start, 99)
    r, phase = track.radius[part], rng.uniform(0, TURN)
    if len(r):
        growth = np.clip((r - start) / max(0.5, RIM - start), 0, 1.2) ** 1.5
        yield part, np.clip(strength * growth * (1 + 0.25 * np.cos(track.angle[part] - phase)), 0, 1), False


def delamination(track: Track, rng: Rng, depth: float = 8, width: float = 80, strength: float = 0.7) -> Iterator[Piece]:
    """The halves come apart: from the rim inwards, `width` degrees wide, `depth` mm deep."""
    part = track.between(RIM - depth - 1, 99)
    r, centre = track.radius[part], rng.uniform(0, TURN)
    if len(r):
        half = np.radians(width) / 2
        away = _away(track.angle[part], centre) / half
        wave = 1 + 0.12 * np.cos(7 * away + rng.uniform(0, TURN))
        front = RIM - depth * np.clip(1 - away**2, 0, 1) * wave
        inside = (np.abs(away) < 1) & (r > front)
        yield part, np.where(inside, np.clip(strength * rng.uniform(0.9, 1.1, len(r)), 0, 1), 0.0), True


def adhesion(track: Track, rng: Rng, patches: float = 6, size: float = 4, strength: float = 0.95) -> Iterator[Piece]:
    """Printable faces that stuck together and tore: ragged patches of about `size` mm where nothing is left."""
    for _ in range(int(patches)):
        radius, angle = np.sqrt(rng.uniform(27.0**2, 55.0**2)), rng.uniform(0, TURN)
        shape, size_here = rng.uniform(-0.3, 0.3, 4), size * rng.uniform(0.7, 1.4)
        part = track.between(radius - 1.7 * size_here, radius + 1.7 * size_here)
        r = track.radius[part]
        if len(r):
            along, across = r - radius, _away(track.angle[part], angle) * r
            bearing = np.arctan2(across, along)
            edge = size_here * (1 + shape[0] * np.cos(2 * bearing) + shape[1] * np.sin(3 * bearing) + shape[2] * np.cos(5 * bearing + 1) + shape[3] * np.sin(bearing))
            yield part, np.where(along**2 + across**2 < edge**2, strength, 0.0), True


def ageing(track: Track, rng: Rng, level: float = 0.002, growth: float = 2.5) -> Iterator[Piece]:
    """The dye fades everywhere, and more towards the rim: e^`growth` times as much there as inside."""
    r = track.radius
    yield slice(0, len(r)), np.clip(level * np.exp(growth * (r - 24) / 34 - growth / 2), 0, 1), False


def burst(track: Track, rng: Rng, bands: float = 1, width: float = 0.1, arc: float = 250, strength: float = 0.8) -> Iterator[Piece]:
    """Scratches along the track: `bands` of `width` mm, `arc` degrees long; they hit many rows in a row."""
    for _ in range(int(bands)):
        radius, start = rng.uniform(25, 57), rng.uniform(0, TURN)
        part = track.between(radius - width / 2, radius + width / 2)
        if part.stop > part.start:
            inside = (track.angle[part] - start) % TURN < np.radians(min(arc, 360))
            yield part, np.where(inside, strength, 0.0), True


def jitter(track: Track, rng: Rng, level: float = 0.003) -> Iterator[Piece]:
    """Edges of pits at the wrong time: single symbols, everywhere alike."""
    yield slice(0, len(track.radius)), np.full(len(track.radius), level), False


def defocus(track: Track, rng: Rng, level: float = 0.02, layer: float = -1) -> Iterator[Piece]:
    """A disc that is not flat: the focus is lost once a turn, more towards the rim. `layer` -1: both layers."""
    if layer >= 0 and int(layer) != track.layer:
        return
    r, phase = track.radius, rng.uniform(0, TURN)
    once = (0.5 + 0.5 * np.cos(track.angle - phase)) ** 2
    yield slice(0, len(r)), np.clip(level * once * ((r - 20) / 38) ** 2, 0, 1), False


def speed(track: Track, rng: Rng, level: float = 0.001, steps: float = 3, jump: float = 2.2) -> Iterator[Piece]:
    """A burner that goes faster in steps: `jump` times the errors at each, a spike at the seam, and pauses to calibrate its power in between."""
    r = track.radius
    edges = np.sort(24 + 34 * (np.arange(1, int(steps) + 1) + rng.uniform(-0.25, 0.25, int(steps))) / (int(steps) + 1))
    factor = np.ones(len(r))
    for edge in edges:
        factor[r >= edge] *= jump * rng.uniform(0.85, 1.15)
    yield slice(0, len(r)), np.clip(level * factor, 0, 1), False
    for edge in (*edges, *rng.uniform(25, 57, 3)):
        part = track.between(edge, edge + 0.015)
        if part.stop > part.start:
            yield part, np.full(part.stop - part.start, 0.05), False


Kind = Callable[..., Iterator[Piece]]
KINDS: dict[str, Kind] = {
    function.__name__: function for function in (dust, scratch, fingerprint, rim, delamination, adhesion, ageing, burst, jitter, defocus, speed)
}


def parse(text: str) -> tuple[str, dict[str, float]]:
    """`KIND` or `KIND:name=number,...`; raises UsageError for a kind or parameter that there is not."""
    name, _, rest = text.partition(":")
    if name not in KINDS:
        raise UsageError(f"damage {name!r}", wanted=", ".join(KINDS))
    code = KINDS[name].__code__
    known = code.co_varnames[2 : code.co_argcount]
    parameters: dict[str, float] = {}
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        try:
            parameters[key] = float(value)
        except ValueError:
            raise UsageError(f"{item!r} in --damage {text}", wanted="name=number") from None
        if key not in known or not 0 <= abs(parameters[key]) < 1e6:
            raise UsageError(f"{item!r} in --damage {text}", wanted=f"{', '.join(known)}, below a million")
    return name, parameters


def wrong_symbols(pieces: Iterator[Piece], rows: int, width: int, rng: Rng) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows and places of symbols that the pieces make wrong, for rows of `width` symbols; the same place may come more than once."""
    for part, probability, together in pieces:
        if not together:
            counts = rng.poisson(probability * width)
            index = np.repeat(np.arange(part.start, part.start + len(probability)), np.minimum(counts, width))
            yield index, rng.integers(0, width, len(index))
            continue
        hit = np.flatnonzero(rng.random(len(probability)) < np.minimum(1, 2 * probability))
        if not len(hit):
            continue
        lengths = np.clip((probability[hit] * width * rng.uniform(0.4, 1.6, len(hit))).astype(np.int64), 1, width)
        starts = (rng.random(len(hit)) * (width - lengths + 1)).astype(np.int64)
        index = np.repeat(part.start + hit, lengths)
        first = np.repeat(np.cumsum(lengths) - lengths, lengths)
        yield index, np.repeat(starts, lengths) + np.arange(len(index)) - first
