"""How much a charstring may ask for: the limits of the specification and of the engines, by name.

Adobe Technical Note 5177, appendix B; OpenType CFF2; the constants of FreeType 2.13.2, HarfBuzz and OTS as they are public,
and as they behave on generated fonts and mutants (`tests.oracle.engines`).
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
    refuses: tuple[str, ...] = ()  # rules that it refuses a font for, beyond faults of programs

    def numbers(self) -> list[int]:
        """In the order that `isa.charstring.kernel` wants."""
        return [self.stack, self.nesting, self.hints, self.steps, self.points]


STRUCTURE = ("index-offsize", "index-order", "index-first", "index-count", "index-outside", "private-outside", "fdselect", "fdselect-order", "fdselect-fd",
             "fdselect-sentinel", "charset-sid", "dict-stack", "dict-operand", "dict-loop", "no-charstrings", "no-glyphs")  # fmt: skip
SPECIFICATION = Limits("specification", 48, 10, 96, NO_LIMIT, NO_LIMIT, 65535, refuses=(*STRUCTURE, "charset-range", "no-end", "no-moveto"))
# what the engines do where a program breaks the rules stands in `engines`
FREETYPE = Limits("freetype", 48, 16, 96, 20_000_000, 32767, NO_LIMIT,
                  refuses=("index-offsize", "index-count", "private-outside", "fdselect-fd", "charset", "no-charstrings", "no-glyphs"))  # fmt: skip
HARFBUZZ = Limits("harfbuzz", 513, 10, NO_LIMIT, 200_000, NO_LIMIT, NO_LIMIT,
                  refuses=("index-offsize", "private-outside", "fdselect", "fdselect-order", "fdselect-fd", "fdselect-sentinel", "charset", "charset-range",
                           "dict-operand", "no-charstrings", "no-glyphs"))  # fmt: skip
OTS = Limits("ots", 48, 10, 96, NO_LIMIT, NO_LIMIT, 65535, refuses=(*STRUCTURE, "overlap"))
STRICT = Limits("strict", 48, 10, 96, 100_000, 32767, 65535, False,
                (*STRUCTURE, "charset-range", "overlap", "subrs-overlap", "no-end", "no-moveto", "surplus", "after-endchar", "get-unset", "undefined-arithmetic"))  # fmt: skip
PROFILES = {limits.name: limits for limits in (SPECIFICATION, FREETYPE, HARFBUZZ, OTS, STRICT)}
# what our own machine runs: the limits of the specification, and an end to glyphs that would run for ever
RUN = Limits("run", 48, 10, 96, 1_000_000, 1_000_000, NO_LIMIT)


def for_format(limits: Limits, cff2: bool, maxstack: int = 513) -> Limits:
    """The limits for CFF2, whose stack is that of the Top DICT's maxstack."""
    return replace(limits, stack=max(1, min(maxstack, 513))) if cff2 else limits
