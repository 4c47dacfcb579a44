"""The words for what can go wrong in a charstring: faults that end a glyph, and flags of what it got away with.

Adobe Technical Note 5177, sections 3 and 4 and appendix B.
"""

from __future__ import annotations

from tanken.isa.charstring.columns import COMPUTED, COMPUTED_CALL, DATA_BLEND, DATA_SUBR, RECURSION, TOO_DEEP
from tanken.isa.charstring.results import (
    AFTER_END,
    ARITHMETIC,
    BLEND,
    BUDGET,
    DIVIDED,
    HINTS,
    ILLEGAL,
    INDEX,
    NESTING,
    NO_END,
    NO_MOVETO,
    NOT_INTEGER,
    OK,
    OVERFLOW,
    POINTS,
    RANDOM,
    RANGE,
    ROLL,
    SEAC,
    STORAGE,
    SUBR,
    SURPLUS,
    TRUNCATED,
    UNDERFLOW,
    UNSET,
)  # fmt: skip

# fault: a name for rules, what happened, what to do
FAULTS: dict[int, tuple[str, str, str]] = {
    OK: ("ok", "ends well", ""),
    OVERFLOW: ("stack-overflow", "more numbers on the stack than are allowed", "split the operator"),
    UNDERFLOW: ("stack-underflow", "too few numbers on the stack, or the wrong count", "an operator that pops unchecked here leaves the stack's memory"),
    NESTING: ("call-depth", "calls nested deeper than is allowed", "inline a subroutine"),
    SUBR: ("subr-number", "a subroutine number outside of its INDEX", "mind the bias: 107, 1131 or 32768"),
    ILLEGAL: ("illegal-operator", "an operator that this format does not have", "operators of Type 1 and Multiple Master reach old code in some engines"),
    HINTS: ("hint-overflow", "more stem hints than are allowed", "96 are the most"),
    TRUNCATED: ("truncated", "the charstring ends inside of an operand or a mask", "mask bytes: one bit a hint"),
    BUDGET: ("cost", "more operators run than are allowed", "subroutines that call each other many times over"),
    POINTS: ("points", "more points than are allowed", "FreeType allows 32767"),
    RANGE: ("coordinate-range", "a coordinate leaves 16.16", "keep coordinates within -32768 and 32767"),
    SEAC: ("seac", "endchar with four numbers names a glyph that is not there, or one that is composed itself", "draw the accented glyph"),
    INDEX: ("index", "index reaches below the stack", "its operand counts from the top"),
    ROLL: ("roll", "roll takes more numbers than there are, or a negative count", "the count is the second operand"),
    STORAGE: ("storage", "put or get outside of the 32 places", "0 to 31"),
    BLEND: ("blend", "vsindex or blend without such variation data", "see the item variation store"),
    NOT_INTEGER: ("not-integer", "a fraction where a whole number is needed", ""),
    RECURSION: ("recursion", "a subroutine that calls itself, at once or through others, and never ends", "no charstring can end a recursion: there is no branch"),
    DATA_SUBR: ("computed-call", "the number of a subroutine that is computed or pushed by a caller", "push the number just before the call"),
    DATA_BLEND: ("computed-blend", "the count of a blend, or a vsindex, that is computed or pushed by a caller", "push it just before the operator"),
    TOO_DEEP: ("proof-limit", "the proof took more than its time, which is linear in the file", ""),
}

# flag: a name, the sentence
FLAGS: dict[int, tuple[str, str]] = {
    NO_MOVETO: ("no-moveto", "a path begins without a moveto"),
    NO_END: ("no-end", "a charstring or subroutine ends without endchar or return"),
    SURPLUS: ("surplus", "an operator finds more numbers than it takes"),
    ARITHMETIC: ("arithmetic", "arithmetic, storage or conditional operators: no font in the wild uses them"),
    AFTER_END: ("after-endchar", "bytes behind endchar that are never run"),
    RANDOM: ("random", "random: the outline is not the same each time"),
    UNSET: ("get-unset", "get from a place that nothing was put to"),
    DIVIDED: ("undefined-arithmetic", "a division by zero or the root of a negative number"),
    COMPUTED: ("computed-place", "a place, index or count that is computed"),
    COMPUTED_CALL: ("computed-call", "a subroutine's number, or a part of a seac, that is computed or pushed by a caller: its bound is that of a run"),
}


def sentence(fault: int) -> str:
    """What the fault is."""
    return FAULTS[fault][1]


def name(fault: int) -> str:
    """The fault's name among rules."""
    return FAULTS[fault][0]


def flag_names(flags: int) -> list[str]:
    """The names of flags that are set."""
    return [words[0] for flag, words in FLAGS.items() if flags & flag]
