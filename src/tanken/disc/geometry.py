"""Where on the disc an address lies: radius and angle from the length of the spiral track, for DVD and CD.

ECMA-267 sections 10 and 24 (data from radius 24.0 mm, track pitch 0.74 um, channel bit 133.3 nm on one layer, 146.7 nm on two), IEC 60908 section 8
(program area from 25.0 mm, pitch 1.6 um, 1.2 to 1.4 m/s). Angle 0 is where the data zone begins; the true angle of that place is unknown,
on a second layer as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.records import Record
from tanken.disc.dvd.block import ROWS
from tanken.disc.dvd.frame import FIRST_PSN, SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RIM = 58.0  # mm, outer radius of the data zone of a 120 mm disc


@dataclass(frozen=True, slots=True, repr=False)
class Spiral(Record):
    """A track: inner radius and pitch in mm, length in mm of a step (a row of a DVD's ECC block, a frame of a CD)."""

    inner: float
    pitch: float
    step: float

    def radius(self, steps: Floats) -> Floats:
        """Radius in mm at a count of steps from the beginning: r^2 = r0^2 + pitch * length / pi."""
        found: Floats = np.sqrt(self.inner**2 + np.maximum(steps, 0) * (self.step * self.pitch / np.pi))
        return found

    def angle(self, steps: Floats) -> Floats:
        """Angle in radians, 0 to 2 pi."""
        turns = (self.radius(steps) - self.inner) / self.pitch
        found: Floats = (turns % 1.0) * (2 * np.pi)
        return found

    def steps_to(self, radius: float) -> float:
        """Steps from the beginning to a radius."""
        return (radius**2 - self.inner**2) * np.pi / (self.step * self.pitch)


CHANNEL_BITS = 38688  # of a DVD sector
DVD = Spiral(24.0, 0.74e-3, CHANNEL_BITS * 133.3e-6 * SECTORS / ROWS)
DVD_DUAL = Spiral(24.0, 0.74e-3, CHANNEL_BITS * 146.7e-6 * SECTORS / ROWS)  # of each layer of two
CD = Spiral(25.0, 1.6e-3, 1300 / 7350)  # 1.3 m/s, the middle of what is allowed
INWARD = 0x800000  # from here on sector numbers are those of a layer that is read inwards


def dvd(layers: int) -> Spiral:
    """The track of a layer of a DVD, by how many layers there are."""
    return DVD_DUAL if layers > 1 else DVD


def psn_steps(psns: NDArray[np.int64]) -> Floats:
    """Rows from the beginning of the data zone; numbers of a layer read inwards (opposite track path) are the complement of those at the same radius."""
    physical = np.where(psns >= INWARD, 0xFFFFFF - psns, psns)
    steps: Floats = (physical - FIRST_PSN) * (ROWS / SECTORS)
    return steps


def dvd_places(psns: NDArray[np.int64], layers: int, offsets: Floats) -> tuple[Floats, Floats]:
    """Radius and angle of rows `offsets` behind these sectors, each of shape (sectors, offsets).

    A layer read inwards begins at the outer end of what the complement covers, and turns the same way, so its angle falls as the radius grows.
    """
    inward, spiral = psns >= INWARD, dvd(layers)
    steps = psn_steps(psns)[:, None] + np.where(inward[:, None], ROWS / SECTORS - offsets[None, :], offsets[None, :])
    angle = spiral.angle(steps)
    return spiral.radius(steps), np.where(inward[:, None], (2 * np.pi - angle) % (2 * np.pi), angle)


def inverse(psn: int) -> int:
    """The number of the sector of the other layer at the same radius, where the track path is opposite."""
    return 0xFFFFFF - psn


def block_at(radius: float, spiral: Spiral = DVD) -> int:
    """The ECC block that lies at a radius."""
    return int(spiral.steps_to(radius) // ROWS)
