"""Characters to glyphs: subtables of formats 4, 6, 10, 12 and 13, variation sequences of format 14, forward and back.

OpenType Specification 1.9.1, cmap. A table that lies maps fewer characters, never more than Unicode has.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tanken.base.records import Record
from tanken.font.binary import fits, u8, u16, u24, u32

UNICODE = 0x110000
# platform and encoding, the best first
PREFERENCE = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3), (0, 2), (0, 1), (0, 0), (3, 0), (1, 0))


@dataclass(frozen=True, slots=True)
class Run:
    """Characters `first` to `last` map to `glyph` and following, or with `same` all to `glyph`."""

    first: int
    last: int
    glyph: int
    same: bool = False


class Subtable:
    """A mapping of characters to glyphs."""

    def __init__(self, data: bytes, at: int, platform: int, encoding: int) -> None:
        self.platform, self.encoding, self.format = platform, encoding, u16(data, at)
        reader = {4: _format4, 6: _format6, 10: _format10, 12: _format12, 13: _format12}.get(self.format)
        self.runs = sorted(reader(data, at), key=lambda run: run.first) if reader else []
        self._firsts = [run.first for run in self.runs]

    def __getitem__(self, character: int) -> int:
        """The glyph of a character, 0 where there is none."""
        at = bisect_right(self._firsts, character) - 1
        if at < 0 or character > self.runs[at].last:
            return 0
        run = self.runs[at]
        return run.glyph if run.same else run.glyph + character - run.first & 0xFFFF

    def items(self, glyphs: int = 0x10000) -> Iterator[tuple[int, int]]:
        """All characters and their glyphs, below `glyphs`."""
        for run in self.runs:
            for character in range(run.first, min(run.last + 1, UNICODE)):
                glyph = run.glyph if run.same else run.glyph + character - run.first & 0xFFFF
                if 0 < glyph < glyphs:
                    yield character, glyph


def _format4(data: bytes, at: int) -> Iterator[Run]:
    count = fits(data, at + 14, u16(data, at + 6) // 2, 8)
    ends, starts = at + 14, at + 16 + 2 * count
    deltas, ranges = starts + 2 * count, starts + 4 * count
    left = UNICODE
    for i in range(count):
        start, end, delta, offset = u16(data, starts + 2 * i), u16(data, ends + 2 * i), u16(data, deltas + 2 * i), u16(data, ranges + 2 * i)
        if start > end or start == 0xFFFF:
            continue
        left -= end - start
        if left < 0:
            return
        if not offset:
            if start + delta & 0xFFFF <= end + delta & 0xFFFF:
                yield Run(start, end, start + delta & 0xFFFF)
            else:
                yield from (Run(c, c, c + delta & 0xFFFF) for c in range(start, end + 1))
            continue
        for character in range(start, end + 1):
            glyph = u16(data, ranges + 2 * i + offset + 2 * (character - start))
            if glyph:
                yield Run(character, character, glyph + delta & 0xFFFF)


def _trimmed(data: bytes, first: int, at: int, count: int) -> Iterator[Run]:
    for i in range(fits(data, at, count, 2)):
        glyph = u16(data, at + 2 * i)
        if glyph and first + i < UNICODE:
            yield Run(first + i, first + i, glyph)


def _format6(data: bytes, at: int) -> Iterator[Run]:
    return _trimmed(data, u16(data, at + 6), at + 10, u16(data, at + 8))


def _format10(data: bytes, at: int) -> Iterator[Run]:
    return _trimmed(data, u32(data, at + 12), at + 20, u32(data, at + 16))


def _format12(data: bytes, at: int) -> Iterator[Run]:
    same = u16(data, at) == 13
    before = -1
    for i in range(fits(data, at + 16, u32(data, at + 12), 12)):
        place = at + 16 + 12 * i
        first, last, glyph = u32(data, place), u32(data, place + 4), u32(data, place + 8)
        if before < first <= last < UNICODE and glyph < 0x10000:
            yield Run(first, last, glyph, same)
            before = last


@dataclass(frozen=True, slots=True, repr=False)
class Sequence(Record):
    """A variation sequence: character and selector, and its glyph; None where the character's own glyph is meant."""

    character: int
    selector: int
    glyph: int | None


class Cmap:
    """The table: its subtables, the one that `best` suits Unicode, and the variation sequences."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.records = [(u16(data, 4 + 8 * i), u16(data, 6 + 8 * i), u32(data, 8 + 8 * i)) for i in range(fits(data, 4, u16(data, 2), 8))]

    @cached_property
    def subtables(self) -> list[Subtable]:
        """All but those of format 14, each place in the table read once."""
        read: dict[int, Subtable] = {}
        found = []
        for platform, encoding, at in self.records:
            if u16(self.data, at) == 14 or at >= len(self.data):
                continue
            if at not in read:
                read[at] = Subtable(self.data, at, platform, encoding)
            found.append(read[at])
        return found

    @cached_property
    def best(self) -> Subtable | None:
        """The subtable that maps most of Unicode."""
        def rank(record: tuple[int, int, int]) -> int:
            return PREFERENCE.index(record[:2]) if record[:2] in PREFERENCE else len(PREFERENCE)

        usable = [record for record in self.records if record[2] < len(self.data) and u16(self.data, record[2]) in (4, 6, 10, 12, 13)]
        if not usable:
            return None
        platform, encoding, at = min(usable, key=rank)
        return Subtable(self.data, at, platform, encoding)

    def glyph(self, character: int, selector: int | None = None) -> int:
        """The glyph of a character, with a variation selector where the font has that sequence; 0 where there is none."""
        if selector is not None:
            found = self.sequences.get((character, selector))
            if found is not None and found.glyph is not None:
                return found.glyph
        return self.best[character] if self.best else 0

    @cached_property
    def sequences(self) -> dict[tuple[int, int], Sequence]:
        """The variation sequences of format 14, by character and selector."""
        found: dict[tuple[int, int], Sequence] = {}
        for _, _, at in self.records:
            if u16(self.data, at) != 14:
                continue
            for i in range(fits(self.data, at + 10, u32(self.data, at + 6), 11)):
                place = at + 10 + 11 * i
                for sequence in self._selector(at, u24(self.data, place), u32(self.data, place + 3), u32(self.data, place + 7)):
                    found.setdefault((sequence.character, sequence.selector), sequence)
        return found

    def _selector(self, at: int, selector: int, default: int, own: int) -> Iterator[Sequence]:
        data = self.data
        if default:
            place = at + default
            for i in range(fits(data, place + 4, u32(data, place), 4)):
                first = u24(data, place + 4 + 4 * i)
                for character in range(first, first + u8(data, place + 7 + 4 * i) + 1):
                    yield Sequence(character, selector, None)
        if own:
            place = at + own
            for i in range(fits(data, place + 4, u32(data, place), 5)):
                yield Sequence(u24(data, place + 4 + 5 * i), selector, u16(data, place + 7 + 5 * i))

    @cached_property
    def characters(self) -> dict[int, list[int]]:
        """The characters of each glyph: the way back, which is not one to one."""
        back: dict[int, list[int]] = {}
        for character, glyph in self.best.items() if self.best else ():
            back.setdefault(glyph, []).append(character)
        return back

    def sequences_to(self, glyph: int) -> list[Sequence]:
        """The variation sequences that end at `glyph`, by their own entry or by the character's."""
        return [one for one in self.sequences.values() if (one.glyph if one.glyph is not None else self.glyph(one.character)) == glyph]


