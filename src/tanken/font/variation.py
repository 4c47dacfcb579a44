"""Variation: axes, the normalised place of an instance, and the scalars that CFF2's blend and HVAR multiply deltas with.

OpenType Specification 1.9.1, fvar, avar, HVAR, VVAR, MVAR and Font variations common table formats. Scalars are 16.16, rounded as FreeType does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import floor

from tanken.base.errors import UsageError
from tanken.base.records import Record
from tanken.font.binary import fits, i8, i16, u16, u32
from tanken.font.layouts import layout


@dataclass(frozen=True, slots=True, repr=False)
class Axis(Record):
    """An axis of variation, in its own units."""

    tag: str
    least: float
    default: float
    most: float


def axes(data: bytes) -> list[Axis]:
    """The axes of a fvar table."""
    shape, row = layout("fvar"), layout("axis")
    if len(data) < shape.size:
        return []
    head = shape.unpack(data)
    size = max(head["axisSize"], row.size)
    rows = [row.unpack(data, head["axesOffset"] + i * size) for i in range(fits(data, head["axesOffset"], head["axisCount"], size))]
    return [Axis(one["tag"], one["minValue"], one["defaultValue"], one["maxValue"]) for one in rows]


def parse_place(text: str, known: list[Axis]) -> dict[str, float]:
    """`wght=700,wdth=80` as values of axes; raises UsageError."""
    place = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            place[name.strip()] = float(value)
        except ValueError as error:
            raise UsageError(f"{part!r}", wanted="AXIS=NUMBER") from error
    unknown = set(place) - {axis.tag for axis in known}
    if unknown:
        raise UsageError(f"no axis {min(unknown)}", wanted=", ".join(f"{axis.tag} {axis.least:g} to {axis.most:g}" for axis in known) or "a font with axes")
    return place


def normalise(place: Mapping[str, float], known: list[Axis], avar: bytes) -> list[float]:
    """The coordinates between -1 and 1 of a place; axes not named stand at their default."""
    coordinates = []
    for axis in known:
        value = min(max(place.get(axis.tag, axis.default), axis.least), axis.most)
        span = axis.default - axis.least if value < axis.default else axis.most - axis.default
        coordinates.append(round((value - axis.default) / span * 65536) / 65536 if span else 0.0)
    return [_mapped(value, segments) for value, segments in zip(coordinates, _segments(avar, len(known)), strict=True)]


def _segments(avar: bytes, count: int) -> list[list[tuple[float, float]]]:
    maps: list[list[tuple[float, float]]] = []
    at = 8
    for _ in range(count):
        pairs = fits(avar, at + 2, u16(avar, at), 4)
        maps.append([(i16(avar, at + 2 + 4 * i) / 16384, i16(avar, at + 4 + 4 * i) / 16384) for i in range(pairs)])
        at += 2 + 4 * pairs
    return maps


def _mapped(value: float, pairs: list[tuple[float, float]]) -> float:
    for (x0, y0), (x1, y1) in zip(pairs, pairs[1:], strict=False):
        if x0 <= value <= x1:
            value = y0 if x0 == x1 else y0 + (y1 - y0) * (value - x0) / (x1 - x0)
            break
    return round(value * 65536) / 65536


class Store:
    """An ItemVariationStore: regions, and for each item variation data the numbers of its regions and its rows of deltas."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        places = [at + u32(data, at + 8 + 4 * i) for i in range(fits(data, at + 8, u16(data, at + 6), 4))]
        self.items = [(place, [u16(data, place + 6 + 2 * j) for j in range(fits(data, place + 6, u16(data, place + 4), 2))]) for place in places]

    @cached_property
    def regions(self) -> list[list[tuple[float, float, float]]]:
        """Start, peak and end on each axis, of each region."""
        data, at = self.data, self.at + u32(self.data, self.at + 2)
        count, size = u16(data, at), 6 * u16(data, at)
        return [[(i16(data, p) / 16384, i16(data, p + 2) / 16384, i16(data, p + 4) / 16384) for p in range(at + 4 + i * size, at + 4 + (i + 1) * size, 6)]
                for i in range(fits(data, at + 4, u16(data, at + 2), size) if count else 0)]  # fmt: skip

    def scalars(self, coordinates: list[float]) -> list[list[int]]:
        """For each item variation data the scalar of each of its regions, 16.16."""
        known = [_scalar(region, coordinates) for region in self.regions]
        return [[known[number] if number < len(known) else 0 for number in regions] for _, regions in self.items]

    def delta(self, outer: int, inner: int, coordinates: list[float]) -> float:
        """The sum of an item's deltas, each times its region's scalar."""
        if outer >= len(self.items):
            return 0.0
        place, regions = self.items[outer]
        words, count = u16(self.data, place + 2), len(regions)
        wide, words = words & 0x8000, words & 0x7FFF
        if inner >= u16(self.data, place) or words > count:
            return 0.0
        row = place + 6 + 2 * count + inner * (words + count) * (2 if wide else 1)
        total, at = 0.0, row
        for i, scalar in enumerate(self.scalars(coordinates)[outer]):
            long = i < words
            size = (4 if long else 2) if wide else (2 if long else 1)
            value = (u32(self.data, at) + (1 << 31)) % (1 << 32) - (1 << 31) if size == 4 else i16(self.data, at) if size == 2 else i8(self.data, at)
            total += value * scalar / 65536
            at += size
        return total


def _scalar(region: list[tuple[float, float, float]], coordinates: list[float]) -> int:
    scalar = 65536
    for (start, peak, end), value in zip(region, coordinates, strict=False):
        if peak == 0 or start > peak or peak > end or (start < 0 < end):
            continue
        if value < start or value > end or (value in (start, end) and value != peak):
            return 0
        if value != peak:
            part = _divide(value - start, peak - start) if value < peak else _divide(end - value, end - peak)
            scalar = scalar * part + 0x8000 >> 16
    return scalar


def _divide(a: float, b: float) -> int:
    """A quotient of two numbers of 16.16, rounded to 16.16."""
    top, bottom = round(a * 65536), round(b * 65536)
    return ((top << 16) + bottom // 2) // bottom


def rounded(delta: float) -> int:
    """A delta as a whole number, halves upwards."""
    return floor(delta + 0.5)


def advance_delta(hvar: bytes, gid: int, coordinates: list[float]) -> float:
    """What HVAR adds to a glyph's advance, or VVAR, which begins as HVAR does, to its height."""
    shape = layout("HVAR")
    if len(hvar) < shape.size:
        return 0.0
    head = shape.unpack(hvar)
    outer, inner = (0, gid) if not head["advanceOffset"] else _mapping(hvar, head["advanceOffset"], gid)
    return Store(hvar, head["storeOffset"]).delta(outer, inner, coordinates)


def metric_delta(mvar: bytes, tag: str, coordinates: list[float]) -> float:
    """What MVAR adds to the metric of this tag (hasc, hdsc, vasc, ...)."""
    shape = layout("MVAR")
    if len(mvar) < shape.size:
        return 0.0
    head = shape.unpack(mvar)
    size = max(head["recordSize"], 8)
    for at in range(shape.size, shape.size + fits(mvar, shape.size, head["recordCount"], size) * size, size):
        if mvar[at : at + 4] == tag.encode("latin-1"):
            return Store(mvar, head["storeOffset"]).delta(u16(mvar, at + 4), u16(mvar, at + 6), coordinates)
    return 0.0


def _mapping(data: bytes, at: int, gid: int) -> tuple[int, int]:
    form, entry = data[at] if at < len(data) else 0, data[at + 1] if at + 1 < len(data) else 0
    count, begin = (u32(data, at + 2), at + 6) if form else (u16(data, at + 2), at + 4)
    size, bits = (entry >> 4 & 3) + 1, (entry & 15) + 1
    place = begin + min(gid, max(count - 1, 0)) * size
    value = int.from_bytes(data[place : place + size], "big")
    return value >> bits, value & (1 << bits) - 1
