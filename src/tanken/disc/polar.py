"""The picture of a disc before it is drawn: wrong and read rows counted over radius and angle, and a finer profile over the radius.

Addresses become places by `disc.geometry`; the grid is that of a 120 mm disc, radius 24 to 58.5 mm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

INNER, OUTER = 24.0, 58.5  # mm
RINGS, SECTORS, FINE = 69, 120, 345  # half millimetres, three degrees, tenths of millimetres


def _zeros(*shape: int) -> Floats:
    return np.zeros(shape)


@dataclass
class Grid:
    """Counts over (ring, sector): rows read, rows wrong, wrong symbols, rows lost; and over fine rings: read, wrong."""

    NAMES = ("read", "wrong", "symbols", "lost", "fine", "sizes")

    read: Floats = field(default_factory=lambda: _zeros(RINGS, SECTORS))
    wrong: Floats = field(default_factory=lambda: _zeros(RINGS, SECTORS))
    symbols: Floats = field(default_factory=lambda: _zeros(RINGS, SECTORS))
    lost: Floats = field(default_factory=lambda: _zeros(RINGS, SECTORS))
    fine: Floats = field(default_factory=lambda: _zeros(2, FINE))
    sizes: Floats = field(default_factory=lambda: _zeros(256))  # rows by their count of wrong symbols

    def add(self, radius: Floats, angle: Floats, symbols: NDArray[np.int64], lost: NDArray[np.bool_] | None = None) -> None:
        """Counts rows at these places with so many wrong symbols each."""
        ring = ((radius - INNER) * (RINGS / (OUTER - INNER))).astype(np.int64).clip(0, RINGS - 1)
        cell = ring * SECTORS + (angle * (SECTORS / (2 * np.pi))).astype(np.int64).clip(0, SECTORS - 1)
        fine = ((radius - INNER) * (FINE / (OUTER - INNER))).astype(np.int64).clip(0, FINE - 1)
        self.read += np.bincount(cell, minlength=RINGS * SECTORS).reshape(RINGS, SECTORS)
        self.fine[0] += np.bincount(fine, minlength=FINE)
        bad = np.flatnonzero(symbols)
        if not len(bad):
            return
        self.wrong += np.bincount(cell[bad], minlength=RINGS * SECTORS).reshape(RINGS, SECTORS)
        self.symbols += np.bincount(cell[bad], weights=symbols[bad], minlength=RINGS * SECTORS).reshape(RINGS, SECTORS)
        self.fine[1] += np.bincount(fine[bad], minlength=FINE)
        self.sizes += np.bincount(symbols[bad].clip(0, 255), minlength=256)
        if lost is not None and lost.any():
            self.lost += np.bincount(cell[lost], minlength=RINGS * SECTORS).reshape(RINGS, SECTORS)

    def spread(self, radius: Floats, read: NDArray[np.int64], wrong: NDArray[np.int64]) -> None:
        """Counts rows of which only the radius is known, evenly around."""
        ring = ((radius - INNER) * (RINGS / (OUTER - INNER))).astype(np.int64).clip(0, RINGS - 1)
        fine = ((radius - INNER) * (FINE / (OUTER - INNER))).astype(np.int64).clip(0, FINE - 1)
        self.read += np.bincount(ring, weights=read, minlength=RINGS)[:, None] / SECTORS
        self.wrong += np.bincount(ring, weights=wrong, minlength=RINGS)[:, None] / SECTORS
        self.fine[0] += np.bincount(fine, weights=read, minlength=FINE)
        self.fine[1] += np.bincount(fine, weights=wrong, minlength=FINE)

    def rate(self) -> Floats:
        """The share of wrong rows in each cell, NaN where nothing was read."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.wrong / np.where(self.read > 0, self.read, np.nan)

    def profile(self) -> tuple[Floats, Floats]:
        """Middle radius of each fine ring that was read, and the share of wrong rows there."""
        seen = self.fine[0] > 0
        radius = INNER + (np.arange(FINE) + 0.5) * (OUTER - INNER) / FINE
        return radius[seen], self.fine[1][seen] / self.fine[0][seen]
