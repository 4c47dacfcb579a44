"""SSSE3 and SSE4.1 beyond plain lanes: horizontal sums, signs, blends, widening moves, dot products, sums of differences.

Intel SDM volume 2.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.sse_float import Floats
from tanken.isa.x86.semantics.sse_integer import LANE_BITS, _operands, _saturate
from tanken.isa.x86.semantics.vectors import join, split, vector


@semantic("phaddw", "phaddd", "phaddsw", "phsubw", "phsubd", "phsubsw")
def horizontal(x: Execution) -> None:
    """Neighbours of the first operand, then of the second; the S forms saturate."""
    name = x.mnemonic
    lane, saturating = LANE_BITS[name[-1]], name[5] == "s"
    a, b = _operands(x)
    results = []
    both = [value.sext(2 * lane) for value in split(a, lane) + split(b, lane)]
    for low, high in zip(both[::2], both[1::2], strict=True):
        total = low + high if name[2:5] == "add" else low - high
        results.append(_saturate(total, lane, True) if saturating else total.trunc(lane))
    x.location(0).write(join(results))


@semantic("psignb", "psignw", "psignd")
def psign(x: Execution) -> None:
    lane = LANE_BITS[x.mnemonic[-1]]
    a, b = _operands(x)
    pairs = zip(split(a, lane), split(b, lane), strict=True)
    x.location(0).write(join([sign.is_zero().select(0, sign.sign().select(-value, value)) for value, sign in pairs]))


@semantic("pmaddubsw")
def pmaddubsw(x: Execution) -> None:
    """Unsigned bytes times signed ones, neighbours added with saturation."""
    a, b = _operands(x)
    products = [m.zext(32) * n.sext(32) for m, n in zip(split(a, 8), split(b, 8), strict=True)]
    x.location(0).write(join([_saturate(products[n] + products[n + 1], 16, True) for n in range(0, len(products), 2)]))


@semantic("pmulhrsw")
def pmulhrsw(x: Execution) -> None:
    a, b = _operands(x)
    pairs = zip(split(a, 16), split(b, 16), strict=True)
    x.location(0).write(join([((m.sext(32) * n.sext(32) >> 14) + 1).bits(1, 16) for m, n in pairs]))


@semantic("pblendvb", "blendvps", "blendvpd")
def blend_by_sign(x: Execution) -> None:
    lane = {"b": 8, "s": 32, "d": 64}[x.mnemonic[-1]]
    a, b = x.location(0).read(), vector(x, 1).read()
    chosen = split(x.mask(), lane)
    x.location(0).write(join([mask.sign().select(n, m) for m, n, mask in zip(split(a, lane), split(b, lane), chosen, strict=True)]))


@semantic("pblendw", "blendps", "blendpd")
def blend(x: Execution) -> None:
    lane, order = {"w": 16, "s": 32, "d": 64}[x.mnemonic[-1]], x.immediate(2) or 0
    a, b = x.location(0).read(), vector(x, 1).read()
    pairs = enumerate(zip(split(a, lane), split(b, lane), strict=True))
    x.location(0).write(join([n if order >> number & 1 else m for number, (m, n) in pairs]))


@semantic(*(f"pmov{kind}x{pair}" for kind in "sz" for pair in ("bw", "bd", "bq", "wd", "wq", "dq")))
def widen(x: Execution) -> None:
    name = x.mnemonic
    source, target = LANE_BITS[name[6]], LANE_BITS[name[7]]
    low = x.location(1, 128 * source // target).read()
    lanes = [lane.sext(target) if name[4] == "s" else lane.zext(target) for lane in split(low, source)]
    x.location(0).write(join(lanes))


@semantic("phminposuw")
def phminposuw(x: Execution) -> None:
    """The least word and below it in rank the place where it stands first."""
    lanes = split(vector(x, 1).read(), 16)
    least, place = lanes[0], x.constant(0, 16)
    for number, lane in enumerate(lanes[1:], 1):
        better = lane.below(least)
        least, place = better.select(lane, least), better.select(number, place)
    x.location(0).write(least.below_high(place).zext(128))


@semantic("mpsadbw")
def mpsadbw(x: Execution) -> None:
    """Eight windows of the first operand against one group of four bytes of the second."""
    a, b = _operands(x)
    order = x.immediate(2) or 0
    first, second = split(a, 8)[(order >> 2 & 1) * 4 :], split(b, 8)[(order & 3) * 4 :][:4]
    sums = []
    for start in range(8):
        differences = [_distance(first[start + n], second[n]) for n in range(4)]
        sums.append(differences[0] + differences[1] + differences[2] + differences[3])
    x.location(0).write(join(sums))


def _distance(a: Value, b: Value) -> Value:
    return a.below(b).select(b - a, a - b).zext(16)


@semantic("extractps")
def extractps(x: Execution) -> None:
    target = x.location(0)
    target.write(split(x.location(1).read(), 32)[(x.immediate(2) or 0) & 3].fit(target.width))


@semantic("insertps")
def insertps(x: Execution) -> None:
    """Bits 7-6 choose the source (not of memory), 5-4 the place, 3-0 clear."""
    order, target = x.immediate(2) or 0, x.location(0)
    source = x.location(1, 32).read() if x.is_memory(1) else split(x.location(1).read(), 32)[order >> 6]
    lanes = split(target.read(), 32)
    lanes[order >> 4 & 3] = source
    target.write(join([x.constant(0, 32) if order >> number & 1 else lane for number, lane in enumerate(lanes)]))


@semantic("dpps", "dppd")
def dot_product(x: Execution) -> None:
    """Products chosen by the upper bits, added in pairs, and put where the lower bits say."""
    lane, order, floats = (32 if x.mnemonic == "dpps" else 64), x.immediate(2) or 0, Floats(x)
    zero = x.constant(0, lane)
    a, b = x.location(0).read(), vector(x, 1).read()
    terms = []
    for number, (m, n) in enumerate(zip(split(a, lane), split(b, lane), strict=True)):
        terms.append(floats.apply(f"f{lane}_mul", lane, m, n) if order >> 4 + number & 1 else zero)
    while len(terms) > 1:
        terms = [floats.apply(f"f{lane}_add", lane, m, n) for m, n in zip(terms[::2], terms[1::2], strict=True)]
    floats.end()
    x.location(0).write(join([terms[0] if order >> number & 1 else zero for number in range(128 // lane)]))
