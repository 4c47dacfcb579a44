"""Makes malformed fonts, one for each pattern of attack: small files that are right but for the one thing.

Patterns after public reports: CVE-2010-1797 (FreeType 2.4.1: stack moved out of its buffer), CVE-2015-0093 and CVE-2015-3052 (Multiple
Master operators), OTS pull request 330 (cost), the limits of Adobe Technical Note 5177. No byte of a public exploit is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tanken.base.errors import UsageError
from tanken.font import builder
from tanken.font.builder import Recipe
from tanken.isa.charstring.rows import operators
from tanken.isa.charstring.text import assemble

NOTDEF = assemble("endchar")
SQUARE = assemble("100 hmoveto 300 hlineto 700 vlineto -300 hlineto endchar")
BIAS = 107
WIDTH = {"defaultWidthX": [500]}
MANY_HINTS = "1 1 " * 24 + "hstemhm " + ("1 1 " * 24 + "vstemhm ") * 3 + "1 1 vstemhm 0 hmoveto endchar"


@dataclass(frozen=True)
class Pattern:
    """A pattern: its name, what is wrong in one sentence, the rule of `check` that must find it, how it is made."""

    name: str
    what: str
    rule: str
    make: Callable[[], Recipe]
    cff2: bool = False


def glyph(text: str, globals_: tuple[str, ...] = (), locals_: tuple[str, ...] = ()) -> Recipe:
    """A font whose glyph A is the program `text`."""
    return Recipe([NOTDEF, assemble(text), SQUARE], [assemble(one) for one in globals_], [assemble(one) for one in locals_], ["A", "B"], private=WIDTH)


def bomb(levels: int, calls: int, body: str) -> Recipe:
    """Each of `levels` subroutines calls the next `calls` times; the last one is `body`."""
    subrs = [" ".join([f"{i + 1 - BIAS} callsubr"] * calls) + " return" for i in range(levels - 1)] + [body + " return"]
    return glyph(f"0 0 rmoveto {-BIAS} callsubr endchar", (), tuple(subrs))


def _nested(depth: int) -> Recipe:
    subrs = [f"{i + 1 - BIAS} callsubr return" for i in range(depth - 1)] + ["return"]
    return glyph(f"{-BIAS} callsubr 0 hmoveto endchar", (), tuple(subrs))


def _lied(part: str, change: Callable[[bytes], bytes], cid: bool = False) -> Recipe:
    """A font with one part changed."""
    recipe = replace(glyph("10 10 rmoveto 50 50 rlineto endchar", (), ("return",)), cid=cid)
    good = {"CharStrings": builder.index(recipe.glyphs), "Subrs": builder.index(recipe.locals), "charset": b"\0\0\x22\0\x23", "FDSelect": b"\3\0\1\0\0\0\0\3"}
    return replace(recipe, cut={part: change(good[part])})


def _top(**values: list[int | float]) -> Recipe:
    return replace(glyph("10 10 rmoveto endchar"), top=values)


def _underflows() -> list[Pattern]:
    """Each operator that takes numbers, with one too few."""
    found = []
    for row in operators():
        if "cff" in row.formats and row.takes > 0 and row.mnemonic not in ("callsubr", "callgsubr"):
            numbers = " ".join(["1"] * (row.takes - 1))
            text = f"0 hmoveto {numbers} {row.mnemonic} endchar" if row.mnemonic not in ("hmoveto", "vmoveto", "rmoveto") else f"{numbers} {row.mnemonic} endchar"
            found.append(Pattern(f"underflow-{row.mnemonic}", f"{row.mnemonic} with {row.takes - 1} numbers of {row.takes}", "stack-underflow",
                                 lambda text=text: glyph(text)))  # type: ignore[misc]
    return found


def _leftovers() -> list[Pattern]:
    """Each operator of Type 1 and Multiple Master fonts."""
    return [Pattern(f"{row.group}-{row.mnemonic}", f"the {'Type 1' if row.group == 'type1' else 'Multiple Master'} operator {row.mnemonic} in a Type 2 charstring",
                    "illegal-operator", lambda row=row: glyph(f"1 2 3 4 5 6 7 {row.mnemonic} endchar"))  # type: ignore[misc]
            for row in operators() if row.group in ("type1", "mm")]  # fmt: skip


def _endless() -> bytes:
    return builder.index([b"\x1e\x12\x34\x56"])


def _twice() -> bytes:
    return builder.index([b"\x8b\x02\x8b\x02"])


def _overlapped() -> Recipe:
    recipe = glyph("10 10 rmoveto endchar")
    table = builder.cff(recipe)
    at = table.index(builder.index(recipe.glyphs)) if builder.index(recipe.glyphs) in table else 0
    return replace(recipe, top={"charset": [at], "CharStrings": [at]}, cut={"charset": b"\0" * 5})


FULL = " ".join(["1"] * 48)  # a full stack
# Calls and what they cost.
CALLS = (
    Pattern("recursion", "a subroutine calls itself", "recursion", lambda: glyph("-107 callsubr endchar", (), ("-107 callsubr return",))),
    Pattern("mutual-recursion", "two subroutines call each other", "recursion",
            lambda: glyph("-107 callsubr endchar", (), ("-106 callsubr return", "-107 callsubr return"))),
    Pattern("nesting-11", "calls nested eleven deep, one more than the specification allows", "call-depth", lambda: _nested(11)),
    Pattern("nesting-17", "calls nested seventeen deep, more than FreeType allows", "call-depth", lambda: _nested(17)),
    Pattern("nesting-64", "calls nested sixty-four deep", "call-depth", lambda: _nested(64)),
    Pattern("call-bomb", "nine levels of eight calls: 16.8 million calls in a file of 900 bytes", "cost", lambda: bomb(9, 8, "1 drop")),
    Pattern("call-bomb-20", "nine levels of twenty calls: 25.6 thousand million", "cost", lambda: bomb(9, 20, "1 drop")),
    Pattern("point-bomb", "the same, drawing", "cost", lambda: bomb(9, 8, "1 1 rlineto")),
    Pattern("points", "more than 40,000 points", "points", lambda: bomb(4, 12, "1 1 -1 -1 " * 12 + "rlineto")),
    Pattern("computed-call", "the number of a subroutine is computed", "computed-call", lambda: glyph("-108 1 add callsubr endchar", (), ("return",))),
    Pattern("subr-number", "a subroutine that is not there", "subr-number", lambda: glyph("500 callsubr endchar", (), ("return",))),
    Pattern("subr-empty", "a call where there are no subroutines", "subr-number", lambda: glyph("-107 callgsubr endchar")),
    Pattern("fraction", "a subroutine number with a fraction", "not-integer", lambda: glyph("-106.5 callsubr endchar", (), ("return",))),
    Pattern("return-at-top", "return outside of a subroutine", "illegal-operator", lambda: glyph("0 hmoveto return")),
)  # fmt: skip
# The stack, the storage, arithmetic.
STACK = (
    Pattern("overflow-49", "49 numbers on the stack", "stack-overflow", lambda: glyph(f"0 hmoveto {FULL} 1 hlineto endchar")),
    Pattern("overflow-dup", "dup on a full stack", "stack-overflow", lambda: glyph(f"0 hmoveto {FULL} dup hlineto endchar")),
    Pattern("overflow-513", "600 numbers on the stack", "stack-overflow", lambda: glyph("0 hmoveto " + "1 " * 600 + "rlineto endchar")),
    Pattern("stack-moved", "drop moves the stack below its buffer, then numbers are written there: the class of CVE-2010-1797", "stack-underflow",
            lambda: glyph("drop 16705.16962 0 hmoveto endchar")),
    Pattern("stack-moved-mm", "a Multiple Master operator moves the stack by a number of the font: the class of CVE-2015-0093", "illegal-operator",
            lambda: glyph("1 blend 16705.16962 0 hmoveto endchar")),
    Pattern("index-huge", "index far below the stack", "index", lambda: glyph("1 2 30000 index hmoveto endchar")),
    Pattern("index-computed", "index by a number that is computed", "index", lambda: glyph("1 2 30000 1 add index hmoveto endchar")),
    Pattern("roll-huge", "roll of more numbers than there are", "roll", lambda: glyph("1 2 3 32767 1 roll hmoveto endchar")),
    Pattern("roll-negative", "roll of a negative count", "roll", lambda: glyph("1 2 3 -3 1 roll hmoveto endchar")),
    Pattern("put-outside", "put outside of the 32 places", "storage", lambda: glyph("7 32 put 0 hmoveto endchar")),
    Pattern("put-negative", "put before the first place", "storage", lambda: glyph("7 -1 put 0 hmoveto endchar")),
    Pattern("get-unset", "get from a place that nothing was put to", "get-unset", lambda: glyph("5 get hmoveto endchar")),
    Pattern("arithmetic", "arithmetic, which no font in the wild uses", "arithmetic", lambda: glyph("1 2 add hmoveto endchar")),
    Pattern("divide-by-zero", "a division by zero", "undefined-arithmetic", lambda: glyph("1 0 div hmoveto endchar")),
)  # fmt: skip
# Hints, masks, and where a charstring ends.
HINTS_AND_ENDS = (
    Pattern("hints-97", "97 stem hints, one too many", "hint-overflow", lambda: glyph(MANY_HINTS)),
    Pattern("mask-cut", "a mask that goes on behind the end of the charstring", "truncated", lambda: glyph("1 1 1 1 hstemhm 1 1 " + "1 1 " * 15 + "hintmask #ff")),
    Pattern("number-cut", "a number that goes on behind the end", "truncated", lambda: glyph("0 hmoveto bytes:ff0001")),
    Pattern("no-endchar", "a charstring without an end", "no-end", lambda: glyph("0 hmoveto 5 hlineto")),
    Pattern("after-endchar", "code behind endchar", "after-endchar", lambda: glyph("0 hmoveto endchar 5 hlineto endchar")),
    Pattern("no-moveto", "a path without a moveto", "no-moveto", lambda: glyph("5 hlineto endchar")),
    Pattern("coordinates", "a coordinate outside of 16.16", "coordinate-range", lambda: glyph("32767 hmoveto 32767 hlineto endchar")),
    Pattern("seac-missing", "an accented glyph whose parts are not there", "seac", lambda: glyph("0 0 200 201 endchar")),
    Pattern("seac-recursion", "an accented glyph that is its own part", "seac", lambda: glyph("0 0 65 66 endchar")),
)  # fmt: skip
# INDEXes, DICTs and the tables beside them.
STRUCTURE = (
    Pattern("index-offsize-0", "an INDEX whose offsets have no bytes", "index-offsize", lambda: _lied("CharStrings", lambda b: b[:2] + b"\0" + b[3:])),
    Pattern("index-offsize-5", "an INDEX whose offsets have five bytes", "index-offsize", lambda: _lied("CharStrings", lambda b: b[:2] + b"\5" + b[3:])),
    Pattern("index-order", "an INDEX whose offsets go backwards", "index-order", lambda: _lied("CharStrings", lambda b: b[:4] + b"\xff" + b[5:])),
    Pattern("index-first", "an INDEX that does not begin with offset 1", "index-first", lambda: _lied("CharStrings", lambda b: b[:3] + b"\2" + b[4:])),
    Pattern("index-count", "an INDEX of 65,535 objects in a few bytes", "index-count", lambda: _lied("Subrs", lambda b: b"\xff\xff\4" + b[3:])),
    Pattern("private-outside", "a Private DICT outside of the table", "private-outside", lambda: _top(Private=[100, 1 << 24])),
    Pattern("private-size", "a Private DICT of a negative size", "private-outside", lambda: _top(Private=[-5, 40])),
    Pattern("subrs-overlap", "subroutines inside of their Private DICT", "subrs-overlap", lambda: replace(glyph("0 hmoveto endchar"), private={**WIDTH, "Subrs": [1]})),
    Pattern("dict-loop", "a Private DICT that is the Top DICT which names it", "dict-loop", lambda: _top(Private=[40, 12])),
    Pattern("overlap", "charset and CharStrings are the same bytes", "overlap", lambda: _overlapped()),
    Pattern("fdselect-order", "FDSelect ranges out of order", "fdselect-order", lambda: _lied("FDSelect", lambda b: b"\3\0\2\0\2\0\0\1\0\0\3", True)),
    Pattern("fdselect-fd", "a font DICT that is not there", "fdselect-fd", lambda: _lied("FDSelect", lambda b: b"\3\0\1\0\0\7\0\3", True)),
    Pattern("fdselect-sentinel", "FDSelect without its sentinel", "fdselect-sentinel", lambda: _lied("FDSelect", lambda b: b[:-2] + b"\xff\xff", True)),
    Pattern("charset-range", "a charset range past the last glyph", "charset-range", lambda: _lied("charset", lambda b: b"\2\0\x22\xff\xff")),
    Pattern("charset-sid", "a name behind the last string", "charset-sid", lambda: _lied("charset", lambda b: b"\0\xff\xf0\0\x23")),
    Pattern("dict-stack", "60 operands in a DICT", "dict-stack", lambda: _top(XUID=[1] * 60)),
    Pattern("dict-real", "a real number without an end", "dict-operand", lambda: replace(glyph("0 hmoveto endchar"), cut={"FDArray": _endless()}, cid=True)),
    Pattern("dict-repeated", "an operator of a DICT twice", "dict-repeated", lambda: replace(glyph("0 hmoveto endchar"), cut={"FDArray": _twice()}, cid=True)),
)  # fmt: skip
# CFF2.
OF_CFF2 = (
    Pattern("cff2-endchar", "endchar in CFF2, which has none", "illegal-operator", lambda: Recipe([b"", assemble("0 hmoveto endchar")]), True),
    Pattern("cff2-overflow", "514 numbers on the stack of CFF2", "stack-overflow", lambda: Recipe([b"", assemble("0 hmoveto " + "1 " * 514 + "rlineto")]), True),
    Pattern("cff2-blend", "blend without variation data", "blend", lambda: Recipe([b"", assemble("1 2 1 blend hmoveto")]), True),
    Pattern("cff2-recursion", "a subroutine of CFF2 that calls itself", "recursion",
            lambda: Recipe([b"", assemble("-107 callgsubr")], [assemble("-107 callgsubr")]), True),
)  # fmt: skip


def patterns() -> dict[str, Pattern]:
    """All patterns by name."""
    return {one.name: one for one in [*CALLS, *STACK, *HINTS_AND_ENDS, *STRUCTURE, *OF_CFF2, *_underflows(), *_leftovers()]}


def make(name: str, bare: bool = False) -> bytes:
    """The font of a pattern: an OpenType file, or the CFF table alone. Raises UsageError."""
    known = patterns()
    if name not in known:
        raise UsageError(f"no pattern {name!r}", wanted="a name of the list that tanken font hostile prints")
    pattern = known[name]
    table = builder.cff2(pattern.make()) if pattern.cff2 else builder.cff(pattern.make())
    if bare:
        return table
    advances = [500] * 3 if not pattern.cff2 else [500] * 2
    return builder.opentype(table, advances, {65: 1, 66: 2} if not pattern.cff2 else {65: 1}, tag="CFF2" if pattern.cff2 else "CFF ")
