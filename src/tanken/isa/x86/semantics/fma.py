"""FMA and F16C: products and sums rounded once, and numbers of 16 bits.

Intel SDM volume 1, 14.4 and 14.5, and volume 2.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.isa.x86 import ieee754 as F
from tanken.isa.x86.semantics.avx import semantic_of_halves
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.sse_float import FORMATS, FUNCTIONS, Floats, control
from tanken.isa.x86.semantics.vectors import join, split
from tanken.isa.x86.semantics.vex import Half

KINDS = {"madd": (0, 0), "msub": (0, 1), "nmadd": (1, 0), "nmsub": (1, 1)}  # whether product and addend are turned around
ORDERS = {"132": (0, 2, 1), "213": (1, 0, 2), "231": (1, 2, 0)}  # operands that are factor, factor, addend


def _enter(name: str, function: Callable[..., tuple[int, ...]]) -> None:
    function.__name__ = function.__qualname__ = name
    FUNCTIONS[name] = function


def _half_control(mxcsr: int, how: int) -> F.Control:
    """VCVTPS2PH: the immediate rounds unless its bit 2 asks MXCSR; results are not flushed."""
    rounding = mxcsr >> 13 & 3 if how & 4 else how & 3
    return F.Control(rounding, bool(mxcsr & 0x40), strict_underflow=not mxcsr & 0x800)


def _to_half(a: int, how: int, mxcsr: int) -> F.Result:
    return F.convert(a, F.SINGLE, F.HALF, _half_control(mxcsr, how))


def _from_half(a: int, mxcsr: int) -> F.Result:
    """Denormal numbers of 16 bits are neither flushed nor told of."""
    bits, flags = F.convert(a, F.HALF, F.SINGLE, F.Control())
    return bits, flags & ~F.DENORMAL


for _width, _form in FORMATS.items():
    for _kind, (_product, _addend) in KINDS.items():
        _enter(
            f"f{_width}_{_kind}",
            lambda a, b, c, mxcsr, f=_form, p=_product, s=_addend: F.multiply_add(a, b, c, f, control(mxcsr), bool(p), bool(s)),
        )
_enter("f32_to_f16", _to_half)
_enter("f16_to_f32", _from_half)

SUFFIXES = ("ps", "pd", "ss", "sd")
FUSED = [f"vf{kind}{order}{suffix}" for kind in KINDS for order in ORDERS for suffix in SUFFIXES]
FUSED += [f"vf{kind}{order}{suffix}" for kind in ("maddsub", "msubadd") for order in ORDERS for suffix in SUFFIXES[:2]]


@semantic_of_halves(*FUSED)
def fused(x: Half) -> None:
    """The digits name the operands that are multiplied and the one that is added. ADDSUB subtracts at even places, SUBADD adds there."""
    name, lane, scalar = x.mnemonic, (64 if x.mnemonic[-1] == "d" else 32), x.mnemonic[-2] == "s"
    kind, digits, floats = name[1:-5], name[-5:-2], Floats(x)
    kinds = {"maddsub": ("msub", "madd"), "msubadd": ("madd", "msub")}.get(kind, (kind, kind))
    sources = [split(x.source(number, lane if scalar else 128), lane) for number in ORDERS[digits]]
    results = []
    for number, (a, b, c) in enumerate(zip(*sources, strict=True)):
        results.append(floats.apply(f"f{lane}_{kinds[number & 1]}", lane, a, b, c))
    floats.end()
    if scalar:
        rest = x.source(0) & ~((1 << lane) - 1)
        x.location(0).write(rest | results[0].zext(128))
    else:
        x.location(0).write(join(results))


@semantic_of_halves("vcvtph2ps")
def from_half(x: Half) -> None:
    floats = Floats(x)
    results = [floats.apply("f16_to_f32", 32, value) for value in split(x.location(1, 64).read(), 16)]
    floats.end()
    x.location(0).write(join(results))


@semantic("vcvtps2ph")
def to_half(x: Execution) -> None:
    """A page fault of the target comes before the exceptions of the numbers."""
    floats, how = Floats(x), x.constant(x.immediate(2) or 0, 8)
    if x.is_memory(0):
        x.location(0).read()
    lanes = split(x.location(1).read(), 32)
    results = join([floats.apply("f32_to_f16", 16, value, how) for value in lanes])
    floats.end()
    x.location(0, results.width).write(results)
