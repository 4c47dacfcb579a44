"""The lookups of GSUB, read: what single glyphs become, ligatures, and rules that hold in a context.

OpenType Specification 1.9.1, GSUB (types 1 to 8) and Common Table Formats (sequence context and chained sequence context, formats 1 to 3).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

from tanken.font.binary import fits, u16, u32
from tanken.font.glyphsets import USE_MARK_SET, classes, coverage

SINGLE, MULTIPLE, ALTERNATE, LIGATURE, CONTEXT, CHAINED, EXTENSION, REVERSE = 1, 2, 3, 4, 5, 6, 7, 8
KINDS = {SINGLE: "single", MULTIPLE: "multiple", ALTERNATE: "alternate", LIGATURE: "ligature", CONTEXT: "context", CHAINED: "chained context", REVERSE: "reverse context"}
MAX_ENTRIES = 200_000  # substitutions and glyphs of rules of a table: more are not read


@dataclass(frozen=True)
class OfClass:
    """The glyphs of a class."""

    classes: dict[int, int]
    number: int

    def __contains__(self, gid: object) -> bool:
        return self.classes.get(gid, 0) == self.number  # type: ignore[call-overload, no-any-return]


Glyphs = Container[int]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: glyphs before (the nearest first), from the place on, and behind; then lookups to apply, at a place of the middle part each."""

    before: tuple[Glyphs, ...]
    middle: tuple[Glyphs, ...]
    behind: tuple[Glyphs, ...]
    actions: tuple[tuple[int, int], ...]


@dataclass
class Context:
    """A subtable with a context: the rules that a first glyph has, in order."""

    covered: frozenset[int]
    rules: dict[int, list[Rule]]  # by glyph, or by class
    class_of: Callable[[int], int]

    def of(self, gid: int) -> list[Rule]:
        """The rules of a glyph."""
        return self.rules.get(self.class_of(gid), []) if gid in self.covered else []


@dataclass
class Lookup:
    """A lookup: what single glyphs become (`one`: a sequence, `choices`: one of several), ligatures by first glyph, contexts; `reverse`: rules of type 8."""

    number: int
    kind: int
    flags: int = 0
    mark_set: int = 0
    one: dict[int, tuple[int, ...]] = field(default_factory=dict)
    choices: dict[int, tuple[int, ...]] = field(default_factory=dict)
    ligatures: dict[int, list[tuple[tuple[int, ...], int]]] = field(default_factory=dict)
    contexts: list[Context] = field(default_factory=list)
    reverse: list[tuple[dict[int, int], Rule]] = field(default_factory=list)

    def called(self) -> set[int]:
        """The lookups that its rules apply."""
        return {number for context in self.contexts for rules in context.rules.values() for rule in rules for _, number in rule.actions}


def _same(gid: int) -> int:
    return gid


class Reader:
    """Reads the lookups of `data`, whose LookupList stands at `at`."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at, self.left = data, at, MAX_ENTRIES
        self._sets: dict[int, frozenset[int]] = {}
        self._classes: dict[int, dict[int, int]] = {}

    def all(self) -> list[Lookup]:
        """Every lookup."""
        data, at = self.data, self.at
        return [self._lookup(i, at + u16(data, at + 2 + 2 * i)) for i in range(fits(data, at + 2, u16(data, at), 2))] if at else []

    def _lookup(self, number: int, at: int) -> Lookup:
        data, count = self.data, u16(self.data, at + 4)
        lookup = Lookup(number, u16(data, at), u16(data, at + 2))
        if lookup.flags & USE_MARK_SET:
            lookup.mark_set = u16(data, at + 6 + 2 * count)
        for i in range(fits(data, at + 6, count, 2)):
            place = at + u16(data, at + 6 + 2 * i)
            if u16(data, at) == EXTENSION:
                lookup.kind, place = u16(data, place + 2), place + u32(data, place + 4)
            self._subtable(lookup, place)
        return lookup

    def _subtable(self, lookup: Lookup, at: int) -> None:
        if self.left <= 0 or lookup.kind not in KINDS:
            return
        if lookup.kind in (CONTEXT, CHAINED):
            context = self._by_sets(lookup.kind, at) if u16(self.data, at) == 3 else self._by_first(lookup.kind, at)
            if context:
                lookup.contexts.append(context)
        elif lookup.kind == REVERSE:
            lookup.reverse.append(self._reverse(at))
        elif lookup.kind == SINGLE:
            self._single(lookup, at)
        else:
            self._sequences(lookup, at)

    def covered(self, at: int) -> frozenset[int]:
        """The glyphs of a Coverage table, read once."""
        if at not in self._sets:
            self._sets[at] = frozenset(coverage(self.data, at))
            self.left -= len(self._sets[at])
        return self._sets[at]

    def _class(self, at: int) -> dict[int, int]:
        if at not in self._classes:
            self._classes[at] = classes(self.data, at)
            self.left -= len(self._classes[at])
        return self._classes[at]

    def _single(self, lookup: Lookup, at: int) -> None:
        data = self.data
        covered = coverage(data, at + u16(data, at + 2))
        self.left -= len(covered)
        if u16(data, at) == 1:
            lookup.one = {glyph: (glyph + u16(data, at + 4) & 0xFFFF,) for glyph in covered} | lookup.one
        elif u16(data, at) == 2:
            count = fits(data, at + 6, u16(data, at + 4), 2)
            lookup.one = {glyph: (u16(data, at + 6 + 2 * i),) for i, glyph in enumerate(covered[:count])} | lookup.one

    def _sequences(self, lookup: Lookup, at: int) -> None:
        """Multiple, alternate and ligature: an offset for each covered glyph."""
        data = self.data
        covered = coverage(data, at + u16(data, at + 2))
        self.left -= len(covered)
        for i, glyph in enumerate(covered[: fits(data, at + 6, u16(data, at + 4), 2)]):
            place = at + u16(data, at + 6 + 2 * i)
            if lookup.kind == LIGATURE:
                lookup.ligatures.setdefault(glyph, []).extend(self._ligatures(place))
                continue
            sequence = self._numbers(place + 2, u16(data, place))
            (lookup.one if lookup.kind == MULTIPLE else lookup.choices).setdefault(glyph, sequence)

    def _ligatures(self, at: int) -> Iterator[tuple[tuple[int, ...], int]]:
        data = self.data
        for i in range(fits(data, at + 2, u16(data, at), 2)):
            place = at + u16(data, at + 2 + 2 * i)
            if self.left <= 0:
                return
            yield self._numbers(place + 4, max(u16(data, place + 2) - 1, 0)), u16(data, place)

    def _numbers(self, at: int, count: int) -> tuple[int, ...]:
        found = tuple(u16(self.data, at + 2 * i) for i in range(fits(self.data, at, count, 2)))
        self.left -= len(found) + 1
        return found

    # -- contexts

    def _actions(self, at: int, count: int) -> tuple[tuple[int, int], ...]:
        return tuple((u16(self.data, at + 4 * i), u16(self.data, at + 4 * i + 2)) for i in range(fits(self.data, at, count, 4)))

    def _parts(self, kind: int, at: int, first: bool) -> tuple[list[tuple[int, ...]], int, int]:
        """Before, middle and behind as numbers, where the actions stand, how many; `first`: the middle's first glyph is not written."""
        data, parts = self.data, []
        if kind == CONTEXT:
            count, actions = u16(data, at), u16(data, at + 2)
            middle = self._numbers(at + 4, count - first if count else 0)
            return [(), middle, ()], at + 4 + 2 * len(middle), actions
        for part in range(3):
            count = u16(data, at)
            parts.append(self._numbers(at + 2, count - (first and part == 1) if count else 0))
            at += 2 + 2 * len(parts[-1])
        return parts, at + 2, u16(data, at)

    def _by_first(self, kind: int, at: int) -> Context | None:
        """Formats 1 (glyphs) and 2 (classes): sets of rules by the first glyph."""
        data, form = self.data, u16(self.data, at)
        if form not in (1, 2):
            return None
        covered = coverage(data, at + u16(data, at + 2))
        self.left -= len(covered)
        tables: list[dict[int, int]] = []
        sets = at + 4
        if form == 2:
            own = [u16(data, at + 4 + 2 * i) for i in range(1 if kind == CONTEXT else 3)]
            tables, sets = [self._class(at + offset) if offset else {} for offset in own], at + 4 + 2 * len(own)
            tables = tables * 3 if kind == CONTEXT else tables
        rules: dict[int, list[Rule]] = {}
        for i in range(fits(data, sets + 2, u16(data, sets), 2)):
            offset = u16(data, sets + 2 + 2 * i)
            if offset and (form == 2 or i < len(covered)):
                rules[covered[i] if form == 1 else i] = list(self._rules(kind, at + offset, covered[i] if form == 1 else i, tables))
        table = tables[1] if tables else {}
        return Context(frozenset(covered), rules, (lambda gid: table.get(gid, 0)) if form == 2 else _same)

    def _rules(self, kind: int, at: int, first: int, tables: list[dict[int, int]]) -> Iterator[Rule]:
        def glyphs(part: int, numbers: tuple[int, ...]) -> tuple[Glyphs, ...]:
            return tuple(OfClass(tables[part], number) if tables else (number,) for number in numbers)

        data = self.data
        for i in range(fits(data, at + 2, u16(data, at), 2)):
            parts, actions, count = self._parts(kind, at + u16(data, at + 2 + 2 * i), True)
            if self.left <= 0:
                return
            yield Rule(glyphs(0, parts[0]), glyphs(1, (first, *parts[1])), glyphs(2, parts[2]), self._actions(actions, count))

    def _by_sets(self, kind: int, at: int) -> Context | None:
        """Format 3: one rule, a Coverage for each place."""
        parts, actions, count = self._parts(kind, at + 2, False)
        before, middle, behind = (tuple(self.covered(at + offset) for offset in part) for part in parts)
        if not middle:
            return None
        rule = Rule(before, middle, behind, self._actions(actions, count))
        return Context(middle[0], {0: [rule]}, lambda gid: 0)

    def _reverse(self, at: int) -> tuple[dict[int, int], Rule]:
        data = self.data
        covered, place = coverage(data, at + u16(data, at + 2)), at + 4
        sides: list[tuple[Glyphs, ...]] = []
        for _ in range(2):
            offsets = self._numbers(place + 2, u16(data, place))
            sides.append(tuple(self.covered(at + offset) for offset in offsets))
            place += 2 + 2 * len(offsets)
        after = self._numbers(place + 2, u16(data, place))
        return dict(zip(covered, after, strict=False)), Rule(sides[0], (frozenset(covered),), sides[1], ())
