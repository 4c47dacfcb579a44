"""SSE and SSE2 arithmetic on floats, scalar and packed: + - * / square root, minimum, maximum, comparison, conversion, rounding.

Intel SDM volume 1, 11.5 (exceptions, MXCSR) and volume 2. The numbers are worked out by `ieee754`, through the machine's `apply`.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.isa.architecture import Value
from tanken.isa.x86 import ieee754 as F
from tanken.isa.x86.semantics.execution import XM, Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.vectors import enter_mmx, join, split, uses_mmx, vector
from tanken.isa.x86.state import AF, CF, MXCSR, OF, PF, SF, ZF

FORMATS = {32: F.SINGLE, 64: F.DOUBLE}
EARLY = F.INVALID | F.DENORMAL | F.ZERO_DIVIDE
ARITHMETIC = {"add": F.add, "sub": F.sub, "mul": F.mul, "div": F.div, "min": F.smaller, "max": F.larger, "order": F.order}
Function = Callable[..., tuple[int, ...]]


def control(mxcsr: int) -> F.Control:
    """What MXCSR says; results are flushed only while underflow is masked."""
    return F.Control(mxcsr >> 13 & 3, bool(mxcsr & 0x40), mxcsr & 0x8800 == 0x8800, strict_underflow=not mxcsr & 0x800)


def _truncating(mxcsr: int) -> F.Control:
    return F.Control(F.TO_ZERO, bool(mxcsr & 0x40))


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> width - 1 else value


def _reciprocal(a: int, root: bool) -> F.Result:
    """RCPSS and RSQRTSS, exactly rounded where processors give 12 digits; no exceptions, denormal numbers count as zeros."""
    x = F.take_apart(a, F.SINGLE, True)
    if x.kind == "nan":
        return a | F.SINGLE.quiet, 0
    if x.kind == "number" and not x.significand:
        return F.SINGLE.infinity(x.sign), 0
    if root and x.sign:
        return F.SINGLE.default_nan(), 0
    divisor = F.sqrt(a, F.SINGLE, F.Control())[0] if root else a
    return F.div(0x3F80_0000, divisor, F.SINGLE, F.Control(flush_to_zero=True))[0], 0


def _loud(relation: F.Result) -> F.Result:
    """A comparison that objects to any NaN, not only to signaling ones."""
    return relation[0], relation[1] | (F.INVALID if relation[0] == F.UNORDERED else 0)


# of the predicates 0 to 15: for which of less, equal, greater, unordered they hold; 16 to 31 are the same and object to what those do not
HOLDS = (2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15)
OBJECTING = frozenset((1, 2, 5, 6, 9, 10, 13, 14))  # to any NaN


def _mask(relation: F.Result, predicate: int, form: F.Format) -> F.Result:
    """All ones where the predicate holds (SDM volume 2, CMPPS and VCMPPS)."""
    if (predicate & 15 in OBJECTING) != (predicate > 15):
        relation = _loud(relation)
    ones = (1 << form.width) - 1
    return ones if HOLDS[predicate & 15] >> relation[0] & 1 else 0, relation[1]


def _without_inexact(result: F.Result) -> F.Result:
    return result[0], result[1] & ~F.INEXACT


def _functions() -> dict[str, Function]:
    """All pure functions by name: f64_add(a, b, mxcsr), f64_to_i32(a, mxcsr), ...; each gives result and exceptions."""
    found: dict[str, Function] = {}

    def enter(name: str, function: Function) -> None:
        function.__name__ = function.__qualname__ = name
        found[name] = function

    enter("f32_rcp", lambda a, mxcsr: _reciprocal(a, False))
    enter("f32_rsqrt", lambda a, mxcsr: _reciprocal(a, True))
    for width, form in FORMATS.items():
        for name, operation in ARITHMETIC.items():
            enter(f"f{width}_{name}", lambda a, b, mxcsr, o=operation, f=form: o(a, b, f, control(mxcsr)))
        enter(f"f{width}_order_loud", lambda a, b, mxcsr, f=form: _loud(F.order(a, b, f, control(mxcsr))))
        enter(f"f{width}_integral_quiet", lambda a, mxcsr, f=form: _without_inexact(F.integral(a, f, control(mxcsr))))
        enter(f"f{width}_compare", lambda a, b, predicate, mxcsr, f=form: _mask(F.order(a, b, f, control(mxcsr)), predicate, f))
        enter(f"f{width}_sqrt", lambda a, mxcsr, f=form: F.sqrt(a, f, control(mxcsr)))
        enter(f"f{width}_integral", lambda a, mxcsr, f=form: F.integral(a, f, control(mxcsr)))
        other = F.SINGLE if width == 64 else F.DOUBLE
        enter(f"f{width}_to_f{96 - width}", lambda a, mxcsr, f=form, t=other: F.convert(a, f, t, control(mxcsr)))
        for size in (32, 64):
            enter(f"f{width}_to_i{size}", lambda a, mxcsr, f=form, n=size: F.to_integer(a, f, control(mxcsr), n))
            enter(f"f{width}_cut_i{size}", lambda a, mxcsr, f=form, n=size: F.to_integer(a, f, _truncating(mxcsr), n))
            enter(f"i{size}_to_f{width}", lambda a, mxcsr, f=form, n=size: F.from_integer(_signed(a, n), f, control(mxcsr)))
    return found


FUNCTIONS = _functions()


class Floats:
    """The floating-point work of one instruction; `end` raises or records the exceptions of all its lanes."""

    def __init__(self, x: Execution) -> None:
        self.x, self.mxcsr, self.control = x, x.get(MXCSR), x.get(MXCSR)
        self.flags = x.constant(0, 32) if x.exceptions is None else x.exceptions

    def apply(self, name: str, width: int, *operands: Value) -> Value:
        result, flags = self.x.machine.apply(FUNCTIONS[name], (width, 32), *operands, self.control)
        self.flags = self.flags | flags
        return result

    def end(self) -> None:
        """Where an unmasked one is found before computing, those found after it are not recorded (SDM volume 1, 11.5.3).

        A part of an instruction that others follow hands its exceptions on to them.
        """
        if self.x.is_followed:
            self.x.exceptions = self.flags
            return
        x, unmasked = self.x, self.flags & ~(self.mxcsr >> 7) & 63
        early = (unmasked & EARLY).is_zero().select(self.flags & 63, self.flags & EARLY)
        x.fault(XM, "an unmasked floating-point exception", ~unmasked.is_zero(), keep=((MXCSR, self.mxcsr | early),))
        x.set(MXCSR, self.mxcsr | self.flags & 63)


def _lane(x: Execution) -> tuple[int, bool]:
    """(bits of a lane, whether there is only one) by the last two letters of the mnemonic."""
    name = x.mnemonic
    return (64 if name[-1] == "d" else 32), name[-2] == "s"


def _sources(x: Execution, number: int) -> list[Value]:
    """The lanes of an operand, the one of a scalar instruction."""
    lane, scalar = _lane(x)
    if scalar:
        return [x.location(number, lane).read()]
    return split(vector(x, number).read(), lane)


def _write(x: Execution, lanes: list[Value]) -> None:
    lane, scalar = _lane(x)
    x.location(0, lane if scalar else 128).write(lanes[0] if scalar else join(lanes))


SUFFIXES = ("ps", "pd", "ss", "sd")


@semantic(*(name + suffix for name in ("add", "sub", "mul", "div", "min", "max") for suffix in SUFFIXES))
def arithmetic(x: Execution) -> None:
    floats, (lane, _) = Floats(x), _lane(x)
    a, b = _sources(x, 0), _sources(x, 1)
    results = [floats.apply(f"f{lane}_{x.mnemonic[:3]}", lane, m, n) for m, n in zip(a, b, strict=True)]
    floats.end()
    _write(x, results)


@semantic(*("sqrt" + suffix for suffix in SUFFIXES))
def sqrt(x: Execution) -> None:
    floats, (lane, _) = Floats(x), _lane(x)
    results = [floats.apply(f"f{lane}_sqrt", lane, value) for value in _sources(x, 1)]
    floats.end()
    _write(x, results)


@semantic("rcpps", "rcpss", "rsqrtps", "rsqrtss")
def reciprocal(x: Execution) -> None:
    floats = Floats(x)
    _write(x, [floats.apply(f"f32_{x.mnemonic[:-2]}", 32, value) for value in _sources(x, 1)])


@semantic("haddps", "haddpd", "hsubps", "hsubpd", "addsubps", "addsubpd")
def paired(x: Execution) -> None:
    """Horizontally: neighbours of the first, then of the second operand; or lanes, subtracted at even places."""
    floats, (lane, _) = Floats(x), _lane(x)
    a, b, name = _sources(x, 0), _sources(x, 1), x.mnemonic
    if name[0] == "h":
        both = a + b
        pairs = [(both[n], both[n + 1], name[1:4]) for n in range(0, len(both), 2)]
    else:
        pairs = [(m, n, "add" if number & 1 else "sub") for number, (m, n) in enumerate(zip(a, b, strict=True))]
    results = [floats.apply(f"f{lane}_{operation}", lane, m, n) for m, n, operation in pairs]
    floats.end()
    _write(x, results)


@semantic("comiss", "comisd", "ucomiss", "ucomisd")
def compare(x: Execution) -> None:
    floats, lane = Floats(x), 64 if x.mnemonic[-1] == "d" else 32
    order = "order_loud" if x.mnemonic[0] == "c" else "order"
    relation = floats.apply(f"f{lane}_{order}", 2, x.location(0, lane).read(), x.location(1, lane).read())
    unordered = relation.equals(F.UNORDERED)
    floats.end()
    x.set(ZF, relation.equals(F.EQUAL) | unordered)
    x.set(CF, relation.equals(F.LESS) | unordered)
    x.set(PF, unordered)
    for flag in (OF, SF, AF):
        x.set(flag, x.constant(0, 1))


@semantic(*("cmp" + suffix for suffix in SUFFIXES))
def compare_mask(x: Execution) -> None:
    """SSE has the first eight predicates, AVX all (SDM volume 2, CMPPS and VCMPPS)."""
    floats, (lane, _), predicate = Floats(x), _lane(x), (x.immediate(2) or 0) & (31 if x.clears_upper else 7)
    masks = []
    for a, b in zip(_sources(x, 0), _sources(x, 1), strict=True):
        masks.append(floats.apply(f"f{lane}_compare", lane, a, b, x.constant(predicate, 8)))
    floats.end()
    _write(x, masks)


@semantic("cvtsi2ss", "cvtsi2sd")
def from_integer(x: Execution) -> None:
    floats, (lane, _) = Floats(x), _lane(x)
    source = x.location(1).read()
    result = floats.apply(f"i{source.width}_to_f{lane}", lane, source)
    floats.end()
    x.location(0, lane).write(result)


@semantic("cvtss2si", "cvtsd2si", "cvttss2si", "cvttsd2si")
def to_integer(x: Execution) -> None:
    floats, name = Floats(x), x.mnemonic
    lane, target = 64 if "sd" in name else 32, x.location(0)
    kind = "cut" if name.startswith("cvtt") else "to"
    result = floats.apply(f"f{lane}_{kind}_i{target.width}", target.width, x.location(1, lane).read())
    floats.end()
    target.write(result)


@semantic("cvtss2sd", "cvtsd2ss")
def resize(x: Execution) -> None:
    floats, lane = Floats(x), 32 if x.mnemonic == "cvtss2sd" else 64
    result = floats.apply(f"f{lane}_to_f{96 - lane}", 96 - lane, x.location(1, lane).read())
    floats.end()
    x.location(0, 96 - lane).write(result)


# mnemonic -> (bits of a source lane, bits of a result lane, function, lanes)
PACKED = {
    "cvtdq2ps": (32, 32, "i32_to_f32", 4), "cvtdq2pd": (32, 64, "i32_to_f64", 2), "cvtps2dq": (32, 32, "f32_to_i32", 4),
    "cvttps2dq": (32, 32, "f32_cut_i32", 4), "cvtpd2dq": (64, 32, "f64_to_i32", 2), "cvttpd2dq": (64, 32, "f64_cut_i32", 2),
    "cvtps2pd": (32, 64, "f32_to_f64", 2), "cvtpd2ps": (64, 32, "f64_to_f32", 2), "cvtpi2ps": (32, 32, "i32_to_f32", 2),
    "cvtpi2pd": (32, 64, "i32_to_f64", 2), "cvtps2pi": (32, 32, "f32_to_i32", 2), "cvttps2pi": (32, 32, "f32_cut_i32", 2),
    "cvtpd2pi": (64, 32, "f64_to_i32", 2), "cvttpd2pi": (64, 32, "f64_cut_i32", 2),
}  # fmt: skip


@semantic(*PACKED)
def convert_lanes(x: Execution) -> None:
    """Two lanes that leave the upper half of a vector register free clear it; CVTPI2PS leaves it as it was."""
    source, wide, function, count = PACKED[x.mnemonic]
    floats = Floats(x)
    if uses_mmx(x):
        enter_mmx(x)
    read = vector(x, 1).read() if source * count == 128 else x.location(1, 64).read()
    results = [floats.apply(function, wide, lane) for lane in split(read.trunc(source * count), source)]
    floats.end()
    whole = join(results)
    target = x.location(0, 64 if x.mnemonic == "cvtpi2ps" else 0)
    target.write(whole.fit(target.width))


@semantic(*("round" + suffix for suffix in SUFFIXES))
def round_(x: Execution) -> None:
    """Immediate bits 0-1 round unless bit 2 asks MXCSR; bit 3 keeps quiet about what was lost."""
    floats, (lane, _), how = Floats(x), _lane(x), x.immediate(2) or 0
    if not how & 4:
        floats.control = floats.mxcsr & ~0x6000 | (how & 3) << 13
    results = [floats.apply(f"f{lane}_{'integral_quiet' if how & 8 else 'integral'}", lane, value) for value in _sources(x, 1)]
    floats.end()
    _write(x, results)
