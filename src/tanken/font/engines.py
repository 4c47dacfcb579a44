"""How FreeType, HarfBuzz and OTS go on where a charstring breaks the rules: each as a machine that forgives what that engine forgives.

Behaviour as observed from outside on FreeType 2.13.2, HarfBuzz 15.0.0 and OTS 9.2.0, operator by operator: `python -m tests.oracle.engines`
compares it again, over the fonts of the generator and over mutants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tanken.font.standard import standard_encoding
from tanken.isa.charstring import fixed, results
from tanken.isa.charstring.decode import LONG, SHORT, Token
from tanken.isa.charstring.machine import Machine, Stop
from tanken.isa.charstring.semantics import SEMANTICS

if TYPE_CHECKING:
    from tanken.font.program import Program

KEEPING = ("arithmetic", "storage", "conditional")  # groups of operators that do not clear the stack
STEMS = ("hstem", "vstem", "hstemhm", "vstemhm")
WIDTHS = (*STEMS, "hintmask", "cntrmask", "rmoveto", "hmoveto", "vmoveto", "endchar")
CURVES = ("hhcurveto", "hvcurveto", "vhcurveto", "vvcurveto")
EXACT = {"rmoveto": 2, "hmoveto": 1, "vmoveto": 1, "flex": 13, "hflex": 7, "hflex1": 9, "flex1": 11}
PLACES = ("callsubr", "callgsubr", "index", "roll", "put", "get")
Count = Callable[[int], bool]


class Whole(int):
    """A number that was pushed as a whole one, and is no result of arithmetic."""


@dataclass(frozen=True)
class Rules:
    """What an engine does. `counts`: how many numbers an operator may find, where it is not "as many as it takes, or more".

    clears: groups of operators, beyond those that a format does not have, that do nothing but clear the stack; `refused`: operators that
    end a glyph. `whole`: operators whose place must be pushed as a whole number, in no form that `unlike` names.
    """

    counts: dict[str, Count]
    illegal_clears: bool = True
    clears: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    unlike: Callable[[Token], bool] = lambda token: token.raw[0] == LONG
    forgives: tuple[int, ...] = (results.RANGE,)
    shifts: bool = True  # a width more, where it may stand, is not counted
    opens: bool = False  # a path may not begin before the first operator that may have the width
    ends: bool = False  # a glyph and a subroutine must say where they end
    own: dict[str, Callable[[Judge], None]] = field(default_factory=dict)  # operators that it has its own way with


class Judge(Machine):
    """A machine that behaves as the engine of `rules` does."""

    def __init__(self, program: Program, gid: int, limits: Sequence[int], rules: Rules) -> None:
        self.rules = rules
        super().__init__(program, gid, limits)

    def accepts(self) -> bool | None:
        """Whether the engine takes the glyph; None where its budget is too small to say."""
        for _ in self.run():
            pass
        return None if self.fault == results.BUDGET else not self.fault

    def _token(self) -> Token | None:
        token = super()._token()
        if token is not None and token.kind == "number" and not self.rules.unlike(token):
            return replace(token, value=Whole(token.value))
        return token

    def _implicit(self) -> str:
        if self.rules.ends and not self.program.cff2:
            raise Stop(results.TRUNCATED)
        if len(self.frames) == 1 and not self.program.cff2 and not self._enough("endchar", 0):
            raise Stop(results.UNDERFLOW)
        return super()._implicit()

    def _enough(self, name: str, takes: int) -> bool:
        rule, n = self.rules.counts.get(name), len(self.stack)
        if rule is None:
            return n >= takes
        return rule(n) or (self.rules.shifts and self.width_open and name in WIDTHS and rule(n - 1))

    def _run(self, token: Token) -> None:
        if token.kind == "cut":
            if results.TRUNCATED not in self.rules.forgives:
                raise Stop(results.TRUNCATED)
            self.push(0) if token.raw[0] != 12 else self.stack.clear()
            return
        self._count()
        operator, rules = token.operator, self.rules
        if operator is None or ("cff2" if self.program.cff2 else "cff") not in operator.formats or operator.group in rules.clears:
            if not rules.illegal_clears:
                raise Stop(results.ILLEGAL)
            self.stack.clear()
            return
        name = operator.mnemonic
        if rules.opens and self.width_open and operator.group in ("path", "flex") and name not in WIDTHS:
            raise Stop(results.UNDERFLOW)
        if name in rules.refused or not self._enough(name, operator.takes):
            raise Stop(results.UNDERFLOW)
        if name in rules.whole and not all(isinstance(value, Whole) for value in self.stack[-(2 if name == "roll" else 1) :]):
            raise Stop(results.NOT_INTEGER)
        if name in rules.own:
            rules.own[name](self)
        elif len(self.stack) >= operator.takes:
            if name in ("rlineto", "rlinecurve") and len(self.stack) % 2:
                self.stack.pop()
            SEMANTICS[name](self)
        if operator.group in KEEPING and name not in ("roll", "drop") and operator.gives:
            self.stack[-operator.gives :] = [int(value) for value in self.stack[-operator.gives :]]
        if operator.clears:
            self.width_open = self.width_open and name not in WIDTHS
            self.stack.clear()

    def mask(self) -> None:
        frame, size = self.frames[-1], (self.hints + 7) // 8
        if frame.pos + size > frame.end and results.TRUNCATED in self.rules.forgives:
            self.frames[-1] = replace(frame, pos=frame.end)
            return
        super().mask()

    def fail(self, fault: int) -> None:  # type: ignore[override]
        """Ends the glyph, unless the engine does not mind."""
        if fault not in self.rules.forgives:
            raise Stop(fault)


# -- what FreeType does its own way


def _index(m: Judge) -> None:
    place = m.stack.pop() >> 16
    if m.stack:
        m.stack.append(m.stack[-1] if place < 0 else m.stack[0] if place >= len(m.stack) else m.stack[-1 - place])


def _roll(m: Judge) -> None:
    if m.stack[-2] >> 16 >= 2:
        SEMANTICS["roll"](m)
    else:
        del m.stack[-2:]


def _get(m: Judge) -> None:
    if 0 <= m.stack[-1] >> 16 < 32:
        SEMANTICS["get"](m)
    else:
        m.stack.pop()


def _composed(m: Judge) -> None:
    """FreeType: two numbers or more name parts; a code without a name is the first glyph."""
    if len(m.stack) < 2:
        SEMANTICS["endchar"](m)
        return
    if not all(isinstance(value, Whole) for value in m.stack[-2:]):
        raise Stop(results.NOT_INTEGER)
    names = standard_encoding()
    codes = [value >> 16 for value in m.stack[-2:]]
    if all(0 <= code < 256 and code not in names for code in codes):
        m.end([])
    else:
        SEMANTICS["endchar"](m)


def _masked(m: Judge) -> None:
    """OTS: there must be a hint."""
    if m.hints + len(m.stack) // 2 < 1:
        raise Stop(results.HINTS)
    SEMANTICS[m.mnemonic](m)


def _unsigned(token: Token) -> bool:
    """OTS: a fraction's form, or a number of 16 bits below 0, which it reads as one above."""
    return token.raw[0] == LONG or (token.raw[0] == SHORT and token.value < 0)


def _end(m: Judge) -> None:
    """OTS: the parts of a seac are not looked at."""
    m.end([])


def _truncated_call(m: Judge) -> None:
    """HarfBuzz: a fraction is cut off."""
    m.stack[-1] = int(m.stack[-1] / fixed.ONE) << 16
    SEMANTICS[m.mnemonic](m)


def _blend(m: Judge) -> None:
    """HarfBuzz: where there is no variation data there are no deltas."""
    if m.vsindex < len(m.program.region_base) - 1:
        SEMANTICS["blend"](m)
    else:
        m.stack.pop()


def _each(names: Sequence[str], rule: Count) -> dict[str, Count]:
    return dict.fromkeys(names, rule)


def _any(count: int) -> bool:
    return True


def _exactly(name: str) -> Count:
    return lambda n: n == EXACT[name]


FREETYPE = Rules(
    _each((*STEMS, "hlineto", "vlineto", "rrcurveto"), _any) | _each(CURVES, lambda n: n != 1) | {
        "rlineto": lambda n: n % 2 == 0, "rcurveline": lambda n: n % 6 >= 2, "rlinecurve": lambda n: n == 0 or (n >= 6 and n % 2 == 0), "flex": lambda n: n >= 12,
        "index": lambda n: n >= 1, "endchar": lambda n: n not in (2, 3),
    },
    shifts=False, whole=PLACES, forgives=(results.RANGE, results.TRUNCATED, results.STORAGE), own={"index": _index, "roll": _roll, "get": _get, "endchar": _composed},
)  # fmt: skip
HARFBUZZ = Rules(
    _each((*STEMS, *CURVES, "rlineto", "hlineto", "vlineto", "rrcurveto", "rcurveline", "rlinecurve"), _any)
    | {name: _exactly(name) for name in ("flex", "hflex", "hflex1", "flex1")},
    clears=KEEPING, forgives=(results.RANGE, results.HINTS), ends=True, own={"callsubr": _truncated_call, "callgsubr": _truncated_call, "blend": _blend},
)  # fmt: skip
OTS = Rules(
    _each(STEMS, lambda n: n >= 2 and n % 2 == 0) | _each(("hintmask", "cntrmask"), lambda n: n % 2 == 0) | _each(CURVES, lambda n: n >= 4 and n % 4 < 2)
    | {name: _exactly(name) for name in EXACT}
    | {"rlineto": lambda n: n >= 2 and n % 2 == 0, "rrcurveto": lambda n: n >= 6 and n % 6 == 0, "rcurveline": lambda n: n >= 8 and n % 6 == 2,
       "rlinecurve": lambda n: n >= 8 and n % 2 == 0, "dotsection": lambda n: n == 0, "endchar": _any},
    illegal_clears=False, refused=("index", "roll", "put", "get", "random"), whole=("callsubr", "callgsubr"), unlike=_unsigned,
    ends=True, own={"endchar": _end, "hintmask": _masked, "cntrmask": _masked}, opens=True,
)  # fmt: skip
RULES = {"freetype": FREETYPE, "harfbuzz": HARFBUZZ, "ots": OTS}
