"""Sets and classes of glyphs as the layout tables write them: Coverage, ClassDef, and the classes of GDEF.

OpenType Specification 1.9.1, Common Table Formats and GDEF. What leaves the table reads as nothing.
"""

from __future__ import annotations

from functools import cached_property

from tanken.font.binary import fits, u16, u32

BASE, LIGATURE, MARK = 1, 2, 3
IGNORE_BASES, IGNORE_LIGATURES, IGNORE_MARKS, USE_MARK_SET = 2, 4, 8, 16


def coverage(data: bytes, at: int) -> list[int]:
    """The glyphs of a Coverage table, in order of index."""
    form, count = u16(data, at), u16(data, at + 2)
    if form == 1:
        return [u16(data, at + 4 + 2 * i) for i in range(fits(data, at + 4, count, 2))]
    glyphs: list[int] = []
    if form == 2:
        for i in range(fits(data, at + 4, count, 6)):
            first, last = u16(data, at + 4 + 6 * i), u16(data, at + 6 + 6 * i)
            glyphs.extend(range(first, last + 1))
            if len(glyphs) > 0x10000:
                break
    return glyphs


def classes(data: bytes, at: int) -> dict[int, int]:
    """The class of each glyph of a ClassDef table; glyphs that are not there have class 0."""
    form = u16(data, at)
    if form == 1:
        first = u16(data, at + 2)
        return {first + i: u16(data, at + 6 + 2 * i) for i in range(fits(data, at + 6, u16(data, at + 4), 2))}
    found: dict[int, int] = {}
    left = 0x10000
    if form == 2:
        for i in range(fits(data, at + 4, u16(data, at + 2), 6)):
            place = at + 4 + 6 * i
            left -= max(u16(data, place + 2) - u16(data, place), 0)
            if left < 0:
                break
            found.update(dict.fromkeys(range(u16(data, place), u16(data, place + 2) + 1), u16(data, place + 4)))
    return found


class Gdef:
    """The table `data`: what kind each glyph is, so that lookups can pass over marks."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def kinds(self) -> dict[int, int]:
        """Base, ligature, mark or component (4) of each glyph that has a class."""
        at = u16(self.data, 4)
        return classes(self.data, at) if at else {}

    @cached_property
    def attachments(self) -> dict[int, int]:
        """The mark attachment class of each mark."""
        at = u16(self.data, 10)
        return classes(self.data, at) if at else {}

    @cached_property
    def mark_sets(self) -> list[frozenset[int]]:
        """The mark glyph sets, of version 1.2."""
        at = u16(self.data, 12) if u16(self.data, 2) >= 2 else 0
        return [frozenset(coverage(self.data, at + u32(self.data, at + 4 + 4 * i))) for i in range(fits(self.data, at + 4, u16(self.data, at + 2), 4))] if at else []

    def passes(self, gid: int, flags: int, mark_set: int) -> bool:
        """Whether a lookup with these flags looks at the glyph at all."""
        if not flags & ~1:
            return True
        kind = self.kinds.get(gid, 0)
        if (kind == BASE and flags & IGNORE_BASES) or (kind == LIGATURE and flags & IGNORE_LIGATURES) or (kind == MARK and flags & IGNORE_MARKS):
            return False
        if kind != MARK:
            return True
        if flags & USE_MARK_SET:
            return mark_set < len(self.mark_sets) and gid in self.mark_sets[mark_set]
        return not flags >> 8 or self.attachments.get(gid, 0) == flags >> 8
