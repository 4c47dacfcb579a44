"""Glyphs to glyphs: the substitutions of GSUB that need no context: single, multiple, alternate, ligature, by extension too.

OpenType Specification 1.9.1, GSUB and Common Table Formats. Lookups with context (types 5, 6 and 8) are counted and not applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tanken.base.records import Record
from tanken.font.binary import fits, tag, u16, u32

SINGLE, MULTIPLE, ALTERNATE, LIGATURE, EXTENSION = 1, 2, 3, 4, 7
MAX_ENTRIES = 200_000  # substitutions of a table: more are not read
KINDS = {SINGLE: "single", MULTIPLE: "multiple", ALTERNATE: "alternate", LIGATURE: "ligature", 5: "context", 6: "chained context", 8: "reverse context"}


@dataclass
class Lookup:
    """A lookup: what single glyphs become (`one`: to a sequence, `choices`: to one of several), and the ligatures by first glyph."""

    number: int
    kind: int
    one: dict[int, tuple[int, ...]] = field(default_factory=dict)
    choices: dict[int, tuple[int, ...]] = field(default_factory=dict)
    ligatures: dict[int, list[tuple[tuple[int, ...], int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class Substitution(Record):
    """One substitution: the feature and lookup, glyphs before and after, the place in the text where it happened (-1: in general)."""

    feature: str
    lookup: int
    kind: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    at: int = -1


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


class Gsub:
    """The table `data`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.scripts_at, self.features_at, self.lookups_at = u16(data, 4), u16(data, 6), u16(data, 8)
        self.left = MAX_ENTRIES

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
        data, at = self.data, self.lookups_at
        return [self._lookup(i, at + u16(data, at + 2 + 2 * i)) for i in range(fits(data, at + 2, u16(data, at), 2))] if at else []

    def _lookup(self, number: int, at: int) -> Lookup:
        data, kind = self.data, u16(self.data, at)
        lookup = Lookup(number, kind)
        for i in range(fits(data, at + 6, u16(data, at + 4), 2)):
            place = at + u16(data, at + 6 + 2 * i)
            if kind == EXTENSION:
                lookup.kind, place = u16(data, place + 2), place + u32(data, place + 4)
            self._subtable(lookup, lookup.kind, place)
        return lookup

    def _subtable(self, lookup: Lookup, kind: int, at: int) -> None:
        data = self.data
        if kind not in (SINGLE, MULTIPLE, ALTERNATE, LIGATURE) or self.left <= 0:
            return
        covered = coverage(data, at + u16(data, at + 2))
        self.left -= len(covered)
        if kind == SINGLE:
            if u16(data, at) == 1:
                lookup.one = {glyph: (glyph + u16(data, at + 4) & 0xFFFF,) for glyph in covered} | lookup.one
            else:
                count = fits(data, at + 6, u16(data, at + 4), 2)
                lookup.one = {glyph: (u16(data, at + 6 + 2 * i),) for i, glyph in enumerate(covered[:count])} | lookup.one
            return
        for i, glyph in enumerate(covered[: fits(data, at + 6, u16(data, at + 4), 2)]):
            place = at + u16(data, at + 6 + 2 * i)
            if kind == LIGATURE:
                lookup.ligatures.setdefault(glyph, []).extend(self._ligatures(place))
                continue
            sequence = tuple(u16(data, place + 2 + 2 * j) for j in range(fits(data, place + 2, u16(data, place), 2)))
            self.left -= len(sequence)
            (lookup.one if kind == MULTIPLE else lookup.choices).setdefault(glyph, sequence)

    def _ligatures(self, at: int) -> Iterator[tuple[tuple[int, ...], int]]:
        data = self.data
        for i in range(fits(data, at + 2, u16(data, at), 2)):
            place = at + u16(data, at + 2 + 2 * i)
            count = max(u16(data, place + 2) - 1, 0)
            self.left -= count + 1
            if self.left <= 0:
                return
            yield tuple(u16(data, place + 4 + 2 * j) for j in range(fits(data, place + 4, count, 2))), u16(data, place)

    def chosen(self, wanted: Iterable[str], script: str = "DFLT", language: str = "") -> list[tuple[int, str]]:
        """Number of the lookup and feature, in the order in which lookups apply, for a script and language."""
        numbers = self.languages.get((script, language)) or self.languages.get((script, "")) or self.languages.get(("DFLT", language))
        numbers = numbers or self.languages.get(("DFLT", "")) or self.languages.get(("latn", "")) or list(range(len(self.features)))
        tags = set(wanted)
        pairs = {(lookup, self.features[n][0]) for n in numbers if n < len(self.features) and self.features[n][0] in tags for lookup in self.features[n][1]}
        return sorted(pair for pair in pairs if pair[0] < len(self.lookups))

    def apply(self, glyphs: list[int], wanted: Iterable[str], script: str = "DFLT", language: str = "") -> tuple[list[int], list[int], list[Substitution]]:
        """The glyphs that `glyphs` become, the place in `glyphs` that each came from, and what was done."""
        places, done = list(range(len(glyphs))), list[Substitution]()
        for number, feature in self.chosen(wanted, script, language):
            glyphs, places = self._once(self.lookups[number], feature, glyphs, places, done)
        return glyphs, places, done

    def _once(self, lookup: Lookup, feature: str, glyphs: list[int], places: list[int], done: list[Substitution]) -> tuple[list[int], list[int]]:
        out, out_places, i = list[int](), list[int](), 0
        while i < len(glyphs):
            after, count = _matching(lookup, glyphs, i)
            if after is None:
                after = (glyphs[i],)
            else:
                done.append(Substitution(feature, lookup.number, KINDS.get(lookup.kind, "?"), tuple(glyphs[i : i + count]), after, places[i]))
            out += after
            out_places += [places[i]] * len(after)
            i += count
        return out, out_places

    def edges(self) -> Iterator[Substitution]:
        """Every substitution that the table can make, with each feature that asks for it."""
        users: dict[int, list[str]] = {}
        for name, lookups in self.features:
            for number in lookups:
                if name not in users.setdefault(number, []):
                    users[number].append(name)
        for lookup in self.lookups:
            kind = KINDS.get(lookup.kind, "?")
            for feature in users.get(lookup.number, []):
                for glyph, after in lookup.one.items():
                    yield Substitution(feature, lookup.number, kind, (glyph,), after)
                for glyph, choices in lookup.choices.items():
                    for choice in choices:
                        yield Substitution(feature, lookup.number, kind, (glyph,), (choice,))
                for first, rows in lookup.ligatures.items():
                    for rest, ligature in rows:
                        yield Substitution(feature, lookup.number, kind, (first, *rest), (ligature,))


def _matching(lookup: Lookup, glyphs: list[int], i: int) -> tuple[tuple[int, ...] | None, int]:
    for rest, ligature in lookup.ligatures.get(glyphs[i], ()):
        if tuple(glyphs[i + 1 : i + 1 + len(rest)]) == rest:
            return (ligature,), 1 + len(rest)
    if glyphs[i] in lookup.one:
        return lookup.one[glyphs[i]], 1
    choices = lookup.choices.get(glyphs[i])
    return ((choices[0],) if choices else None), 1
