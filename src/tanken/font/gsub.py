"""Glyphs to glyphs: the table GSUB, its features by script and language, what it makes of a line, and what it can make at all.

OpenType Specification 1.9.1, GSUB and Common Table Formats; `lookups` reads it, `substitution` applies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from tanken.font.binary import fits, tag, u16
from tanken.font.glyphsets import Gdef
from tanken.font.lookups import KINDS, Lookup, Reader
from tanken.font.substitution import Line, Substitution


class Gsub:
    """The table `data`, with the classes of glyphs that GDEF has."""

    def __init__(self, data: bytes, gdef: bytes = b"") -> None:
        self.data, self.gdef = data, Gdef(gdef)
        self.scripts_at, self.features_at, self.lookups_at = u16(data, 4), u16(data, 6), u16(data, 8)

    @cached_property
    def features(self) -> list[tuple[str, list[int]]]:
        """Tag and lookups of each feature."""
        data, at = self.data, self.features_at
        found = []
        for i in range(fits(data, at + 2, u16(data, at), 6)):
            place = at + u16(data, at + 6 + 6 * i)
            found.append((tag(data, at + 2 + 6 * i), [u16(data, place + 4 + 2 * j) for j in range(fits(data, place + 4, u16(data, place + 2), 2))]))
        return found

    @cached_property
    def languages(self) -> dict[tuple[str, str], list[int]]:
        """The features, by number, of each script and language; "" is the default one."""
        data, at = self.data, self.scripts_at
        found: dict[tuple[str, str], list[int]] = {}
        for i in range(fits(data, at + 2, u16(data, at), 6)):
            script, place = tag(data, at + 2 + 6 * i), at + u16(data, at + 6 + 6 * i)
            if u16(data, place):
                found[script, ""] = self._language(place + u16(data, place))
            for j in range(fits(data, place + 4, u16(data, place + 2), 6)):
                found[script, tag(data, place + 4 + 6 * j).strip()] = self._language(place + u16(data, place + 8 + 6 * j))
        return found

    def _language(self, at: int) -> list[int]:
        wanted = u16(self.data, at + 2)
        rest = [u16(self.data, at + 6 + 2 * i) for i in range(fits(self.data, at + 6, u16(self.data, at + 4), 2))]
        return ([wanted] if wanted != 0xFFFF else []) + rest

    @cached_property
    def lookups(self) -> list[Lookup]:
        """All lookups, read."""
        return Reader(self.data, self.lookups_at).all()

    def chosen(self, wanted: Iterable[str], script: str = "DFLT", language: str = "") -> list[tuple[int, str]]:
        """Number of the lookup and feature, in the order in which lookups apply, for a script and language."""
        known = {one for one, _ in self.languages}
        found = next((one for one in (script, "DFLT", "dflt", "latn") if one in known), "")
        numbers = self.languages.get((found, language)) or self.languages.get((found, "")) or []
        tags, features = set(wanted), dict[int, str]()
        for number in numbers:
            if number < len(self.features) and self.features[number][0] in tags:
                for lookup in self.features[number][1]:
                    features.setdefault(lookup, self.features[number][0])
        return sorted((lookup, feature) for lookup, feature in features.items() if lookup < len(self.lookups))

    def apply(self, glyphs: list[int], wanted: Iterable[str], script: str = "DFLT", language: str = "") -> tuple[list[int], list[int], list[Substitution]]:
        """The glyphs that `glyphs` become, the place in `glyphs` that each came from, and what was done."""
        line = Line(self.lookups, self.gdef, list(glyphs), list(range(len(glyphs))))
        for number, feature in self.chosen(wanted, script, language):
            line.apply(self.lookups[number], feature)
        return line.glyphs, line.places, line.done

    def _users(self) -> dict[int, dict[str, bool]]:
        """The features that ask for each lookup, and whether only in a context."""
        users: dict[int, dict[str, bool]] = {}
        todo = [(number, name, False) for name, lookups in self.features for number in lookups]
        while todo:
            number, name, nested = todo.pop()
            known = users.setdefault(number, {})
            if number >= len(self.lookups) or known.get(name, True) is False or known.get(name) is nested:
                continue
            known[name] = nested
            todo += [(inner, name, True) for inner in self.lookups[number].called()]
        return users

    def edges(self) -> Iterator[Substitution]:
        """Every substitution that the table can make, with each feature that asks for it."""
        users = self._users()
        for lookup in self.lookups:
            for feature, nested in sorted(users.get(lookup.number, {}).items()):
                kind = KINDS.get(lookup.kind, "?") + (" in a context" if nested else "")
                for before, after in _pairs(lookup):
                    yield Substitution(feature, lookup.number, kind, before, after)


def _pairs(lookup: Lookup) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    for glyph, after in lookup.one.items():
        yield (glyph,), after
    for glyph, choices in lookup.choices.items():
        yield from (((glyph,), (choice,)) for choice in choices)
    for first, rows in lookup.ligatures.items():
        yield from (((first, *rest), (ligature,)) for rest, ligature in rows)
    for table, _ in lookup.reverse:
        yield from (((glyph,), (one,)) for glyph, one in table.items())
