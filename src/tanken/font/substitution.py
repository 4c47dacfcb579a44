"""Lookups applied to a line of glyphs: from the left, the first subtable that fits, glyphs passed over that the flags leave out.

OpenType Specification 1.9.1, GSUB and Common Table Formats. Nested lookups, and what they do in all, are bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tanken.base.records import Record
from tanken.font.glyphsets import Gdef
from tanken.font.lookups import KINDS, Glyphs, Lookup, Rule

DEPTH, LENGTH = 16, 1 << 16
WORK, WORK_A_GLYPH = 16_384, 64  # rules tried and glyphs put: what a line may cost in all


@dataclass(frozen=True, slots=True, repr=False)
class Substitution(Record):
    """One substitution: the feature and lookup, glyphs before and after, the place in the text where it happened (-1: in general)."""

    feature: str
    lookup: int
    kind: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    at: int = -1


@dataclass
class Line:
    """A line of glyphs that lookups change: `places` are those in the text that glyphs came from, `done` what was done."""

    lookups: Sequence[Lookup]
    gdef: Gdef
    glyphs: list[int]
    places: list[int]
    done: list[Substitution] = field(default_factory=list)
    feature: str = ""
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = max(WORK, WORK_A_GLYPH * len(self.glyphs))

    def apply(self, lookup: Lookup, feature: str) -> None:
        """Applies a lookup along the line; one of type 8 from the end."""
        self.feature = feature
        if lookup.reverse:
            for at in reversed(range(len(self.glyphs))):
                self._reversed(lookup, at)
            return
        at = 0
        while at < len(self.glyphs) and self.left > 0:
            behind = self._at(lookup, at, 0) if self._seen(lookup, at) else None
            at = at + 1 if behind is None else behind

    def _seen(self, lookup: Lookup, at: int) -> bool:
        return self.gdef.passes(self.glyphs[at], lookup.flags, lookup.mark_set)

    def _next(self, lookup: Lookup, at: int, step: int) -> int:
        """The next place that the lookup looks at, -1 behind the ends."""
        at += step
        while 0 <= at < len(self.glyphs):
            if self._seen(lookup, at):
                return at
            at += step
        return -1

    def _matched(self, lookup: Lookup, at: int, wanted: Sequence[Glyphs], step: int) -> list[int] | None:
        """The places of glyphs that fit `wanted`, one after the other from behind `at` on."""
        places = []
        for glyphs in wanted:
            at = self._next(lookup, at, step)
            if at < 0 or self.glyphs[at] not in glyphs:
                return None
            places.append(at)
        return places

    def _fits(self, lookup: Lookup, rule: Rule, at: int) -> list[int] | None:
        """The places of a rule's middle part, where it holds at `at`."""
        self.left -= 1
        middle = self._matched(lookup, at, rule.middle[1:], 1) if self.glyphs[at] in rule.middle[0] else None
        if middle is None or self._matched(lookup, at, rule.before, -1) is None:
            return None
        middle = [at, *middle]
        return middle if self._matched(lookup, middle[-1], rule.behind, 1) is not None else None

    def _put(self, lookup: Lookup, places: Sequence[int], after: tuple[int, ...]) -> None:
        """The glyphs at `places` become `after`, which stand where the first one stood."""
        first = places[0]
        self.done.append(Substitution(self.feature, lookup.number, KINDS.get(lookup.kind, "?"), tuple(self.glyphs[at] for at in places), after, self.places[first]))
        for at in reversed(places[1:]):
            del self.glyphs[at], self.places[at]
        self.glyphs[first : first + 1] = after
        self.places[first : first + 1] = [self.places[first]] * len(after)
        self.left -= 1 + len(after)

    def _at(self, lookup: Lookup, at: int, depth: int) -> int | None:
        """Applies a lookup at a place; where to go on, None where nothing fits."""
        gid = self.glyphs[at]
        if self.left <= 0 or len(self.glyphs) > LENGTH:
            return None
        for rest, ligature in lookup.ligatures.get(gid, ()):
            places = self._matched(lookup, at, [(one,) for one in rest], 1)
            if places is not None:
                self._put(lookup, [at, *places], (ligature,))
                return (places[-1] if places else at) + 1 - len(places)
        if gid in lookup.one:
            self._put(lookup, [at], lookup.one[gid])
            return at + len(lookup.one[gid])
        if lookup.choices.get(gid):
            self._put(lookup, [at], lookup.choices[gid][:1])
            return at + 1
        for context in lookup.contexts:
            for rule in context.of(gid):
                places = self._fits(lookup, rule, at)
                if places is not None:
                    return self._actions(rule, places, depth)
        return self._reversed(lookup, at)

    def _actions(self, rule: Rule, places: list[int], depth: int) -> int:
        """Applies a rule's lookups at its places, which move where glyphs become more or fewer; the place behind the last one."""
        end = places[-1] + 1
        for index, number in rule.actions:
            if index >= len(places) or number >= len(self.lookups) or depth >= DEPTH:
                continue
            at, length = places[index], len(self.glyphs)
            if at >= length or self._at(self.lookups[number], at, depth + 1) is None:
                continue
            change = len(self.glyphs) - length
            end += change
            if end < at:  # the nested one took away more than there was
                change += at - end
                end = at
            if change > 0:
                places[index + 1 :] = [*range(at + 1, at + 1 + change), *(place + change for place in places[index + 1 :])]
            elif change < 0:
                gone = min(-change, len(places) - index - 1)
                places[index + 1 :] = [place - gone for place in places[index + 1 + gone :]]
        return end

    def _reversed(self, lookup: Lookup, at: int) -> int | None:
        """Type 8: one glyph, in a context."""
        gid = self.glyphs[at]
        for after, rule in lookup.reverse:
            if gid in after and self._seen(lookup, at) and self._fits(lookup, rule, at) is not None:
                self._put(lookup, [at], (after[gid],))
                return at + 1
        return None
