"""How much a charstring may ask for: the limits of the specification and of the engines, by name.

Adobe Technical Note 5177, appendix B; OpenType CFF2; the constants of FreeType 2.13.2, HarfBuzz and OTS as they are public, each
tried on generated fonts where it can be (`tests/parts/font/test_engines`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tanken.base.records import Record

NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True, repr=False)
class Limits(Record):
    """Numbers on the stack, nested calls, stem hints, operators run and points made for one glyph, bytes of a charstring."""

    name: str
    stack: int
    nesting: int
    hints: int
    steps: int
    points: int
    size: int
    arithmetic: bool = True  # whether arithmetic and storage are accepted
    forgives: tuple[str, ...] = ()  # faults that it goes on past, by rule
    forgives_underflow: tuple[str, ...] = ()  # operators that it lets have too few numbers
    refuses: tuple[str, ...] = ()  # rules that it refuses a font for, beyond faults of programs

    def numbers(self) -> list[int]:
        """In the order that `isa.charstring.kernel` wants."""
        return [self.stack, self.nesting, self.hints, self.steps, self.points]


STRUCTURE = ("index-offsize", "index-order", "index-first", "index-count", "index-outside", "private-outside", "fdselect", "fdselect-order", "fdselect-fd",
             "fdselect-sentinel", "charset-sid", "dict-stack", "dict-operand", "dict-loop", "no-charstrings", "no-glyphs")  # fmt: skip
CURVES = ("hstem", "vstem", "hstemhm", "vstemhm", "hlineto", "vlineto", "rrcurveto", "hhcurveto", "hvcurveto", "vhcurveto", "vvcurveto", "flex", "index")
SPECIFICATION = Limits("specification", 48, 10, 96, NO_LIMIT, NO_LIMIT, 65535, refuses=(*STRUCTURE, "charset-range", "no-end", "no-moveto"))
FREETYPE = Limits("freetype", 48, 16, 96, 20_000_000, 32767, NO_LIMIT, True, ("illegal-operator", "truncated", "storage", "index", "roll", "coordinate-range"), CURVES,
                  ("index-offsize", "index-count", "private-outside", "fdselect-fd", "no-charstrings", "no-glyphs"))  # fmt: skip
# HarfBuzz tells no one: what it refuses is drawn in part or not at all, so that only its public constants stand here
HARFBUZZ = Limits("harfbuzz", 513, 10, NO_LIMIT, 200_000, NO_LIMIT, NO_LIMIT, refuses=("no-charstrings", "no-glyphs"))
OTS = Limits("ots", 48, 10, 96, NO_LIMIT, NO_LIMIT, 65535, True, ("seac", "coordinate-range"), (), (*STRUCTURE, "overlap", "no-end", "no-moveto", "get-unset"))
STRICT = Limits("strict", 48, 10, 96, 100_000, 32767, 65535, False, (), (),
                (*STRUCTURE, "charset-range", "overlap", "subrs-overlap", "no-end", "no-moveto", "surplus", "after-endchar", "get-unset", "undefined-arithmetic"))  # fmt: skip
PROFILES = {limits.name: limits for limits in (SPECIFICATION, FREETYPE, HARFBUZZ, OTS, STRICT)}
# what our own machine runs: the limits of the specification, and an end to glyphs that would run for ever
RUN = Limits("run", 48, 10, 96, 1_000_000, 1_000_000, NO_LIMIT)


def for_format(limits: Limits, cff2: bool, maxstack: int = 513) -> Limits:
    """The limits for CFF2, whose stack is that of the Top DICT's maxstack."""
    return replace(limits, stack=max(1, min(maxstack, 513))) if cff2 else limits
