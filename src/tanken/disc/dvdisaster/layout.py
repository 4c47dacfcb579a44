"""Where everything lies: layers, checksums, parity and copies of the header in RS01 files, RS02 images and RS03 images and files.

Codec specifications, chapters 2 to 4; all counts are sectors of 2,048 bytes, layers and indices count from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import InputError
from tanken.disc.dvdisaster.header import LEAST_ROOTS, MOST_ROOTS, Header

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

MEDIA = (359_424, 2_295_104, 4_171_712, 11_826_176, 23_652_352)  # CD, DVD, DVD of two layers, BD, BD of two layers
CHECKS = 512  # CRCs in a sector


@dataclass(frozen=True)
class Layout:
    """A method's layout: image sectors, data layers (with RS03's layer of checksums), roots, sectors of a layer."""

    method: str
    sectors: int
    data: int
    roots: int
    layer: int
    power: int = 0  # RS02: copies of the header stand at multiples of 2^power
    in_file: bool = False  # RS03: in a file of its own

    @property
    def check_sectors(self) -> int:
        """RS02: sectors of checksums."""
        return -(-self.sectors // CHECKS)

    @property
    def protected(self) -> int:
        """RS02: sectors that the parity covers."""
        return self.sectors + 2 + self.check_sectors

    @property
    def first_check(self) -> int:
        """RS03: the first sector of checksums; in a file, behind the header."""
        return 2 if self.in_file else (self.data - 1) * self.layer

    @property
    def total(self) -> int:
        """Sectors of the whole: image with its parity, or the file of RS03."""
        if self.method == "RS02":
            return self.protected + self.roots * self.layer + 2 * self.copies
        return 2 + (self.roots + 1) * self.layer if self.in_file else 255 * self.layer

    @property
    def first_copy(self) -> int:
        """RS02: the first multiple of 2^power behind what is protected."""
        return -(-self.protected // (1 << self.power)) << self.power

    @property
    def copies(self) -> int:
        """RS02: copies of the header among the parity."""
        space = self.protected + self.roots * self.layer - self.first_copy
        return space // ((1 << self.power) - 2) + 1

    def parity_sector(self, root: int, index: Numbers | int) -> Numbers:
        """Where sector `index` of a layer of parity lies, in the image or the RS03 file."""
        linear = root * self.layer + np.asarray(index, dtype=np.int64)
        if self.method == "RS03":
            return linear + (2 + self.layer if self.in_file else self.data * self.layer)
        before = self.first_copy - self.protected
        copies = (linear - before) // ((1 << self.power) - 2)
        found: Numbers = np.where(linear < before, self.protected + linear, self.protected + linear + 2 * copies + 2)
        return found

    @cached_property
    def header_places(self) -> list[int]:
        """RS02: where the header stands: behind the image, and its copies."""
        return [self.sectors, *(self.first_copy + (i << self.power) for i in range(self.copies))]

    @cached_property
    def first_row(self) -> int:
        """RS02: the row of sectors whose checksums stand in the header."""
        return (self.sectors + 2) % self.layer

    @cached_property
    def check_order(self) -> Numbers:
        """RS02: the image sectors in the order of their checksums: row by row from the one after `first_row` on, in each by layer."""
        rows = (self.first_row + 1 + np.arange(self.layer)) % self.layer
        sectors = (rows[:, None] + self.layer * np.arange(self.data)[None, :]).reshape(-1)
        return sectors[sectors < self.sectors]


def rs01(sectors: int, roots: int) -> Layout:
    """The layout of an RS01 file."""
    data = 255 - roots
    return Layout("RS01", sectors, data, roots, -(-sectors // data))


def _rs02(sectors: int, roots: int, power: int) -> Layout:
    protected = sectors + 2 + -(-sectors // CHECKS)
    return Layout("RS02", sectors, 255 - roots, roots, -(-protected // (255 - roots)), power)


def _power(parity: int) -> int:
    power = 5
    while parity / (1 << power) > 40:
        power += 1
    return power


def rs02(sectors: int, roots: int | None = None, capacity: int | None = None) -> Layout:
    """The layout of an RS02 image: by roots, or the most that fits the capacity (default: the smallest medium). Raises InputError if nothing fits."""
    protected = sectors + 2 + -(-sectors // CHECKS)
    if roots is None:
        room = capacity or medium(sectors)
        roots = min(MOST_ROOTS, 255 * (room - protected) // room)
        power = _power(max(1, roots) * -(-protected // (255 - max(1, roots))))
        while roots >= LEAST_ROOTS:
            made = _rs02(sectors, roots, power)
            if made.total < room:
                return made
            roots -= 1
        raise InputError(f"{sectors} sectors leave no room for {LEAST_ROOTS} roots", wanted=f"fewer than {room}", hint="RS01 or RS03 keep the data in a file")
    return _rs02(sectors, roots, _power(roots * -(-protected // (255 - roots))))


def medium(sectors: int) -> int:
    """The capacity of the smallest medium that an image fits on."""
    for capacity in MEDIA:
        if sectors < capacity:
            return capacity
    raise InputError(f"{sectors} sectors", wanted=f"at most {MEDIA[-1]}: a Blu-ray disc of two layers")


def rs03_image(sectors: int, capacity: int | None = None) -> Layout:
    """The layout of an RS03 image, which always fills its medium."""
    layer = (capacity or medium(sectors)) // 255
    data = max(-(-(sectors + 2) // layer), 255 - MOST_ROOTS - 1) + 1
    if 255 - data < LEAST_ROOTS:
        raise InputError(f"{sectors} sectors leave no room for {LEAST_ROOTS} roots", wanted="a larger medium, or a file of its own")
    return Layout("RS03", sectors, data, 255 - data, layer)


def rs03_file(sectors: int, roots: int) -> Layout:
    """The layout of an RS03 file: the data layers cover the image alone."""
    data = 255 - roots
    return Layout("RS03", sectors, data, roots, -(-sectors // (data - 1)), in_file=True)


def of_header(found: Header, in_file: bool) -> Layout:
    """The layout that a header tells. Raises InputError where its numbers do not fit each other."""
    if found.method == "RS01":
        return rs01(found.sectors, found.roots)
    if found.method == "RS02":
        return rs02(found.sectors, found.roots)
    made = Layout("RS03", found.sectors, found.data, found.roots, found.layer, in_file=in_file)
    if not found.layer or found.sectors + (0 if in_file else 2) > (found.data - 1) * found.layer:
        raise InputError(f"{found.layer} sectors a layer for {found.sectors}", wanted="layers that hold the image", where="RS03 header")
    return made
