"""What only AVX and AVX2 have: broadcasts, permutations, shifts lane by lane, masked moves, gathers, VZEROUPPER.

Intel SDM volume 2. A gather that faults has happened to no element, where the manual would keep those below the one at fault.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Memory, Register
from tanken.isa.x86.semantics.execution import Execution, Location, MemoryOperand, VexRegister
from tanken.isa.x86.semantics.registry import Semantic, semantic
from tanken.isa.x86.semantics.vectors import join, split
from tanken.isa.x86.semantics.vex import Half, halved
from tanken.isa.x86.state import AF, CF, OF, PF, SF, UPPER, XMM, ZF

BITS = {"b": 8, "w": 16, "d": 32, "q": 64, "s": 32}


def semantic_of_halves(*mnemonics: str) -> Callable[[Callable[[Half], None]], Semantic]:
    """Enter a function that does one half."""

    def enter(function: Callable[[Half], None]) -> Semantic:
        return semantic(*mnemonics)(halved(function))  # type: ignore[arg-type]  # what runs it makes halves

    return enter


def _pick(table: Value, index: Value, lane: int) -> Value:
    """The lane whose number stands in the low bits of `index`."""
    count = table.width // lane
    return (table >> ((index & count - 1).zext(table.width) << lane.bit_length() - 1)).trunc(lane)


# -- the whole register ------------------------------------------------------------------------------------------------------------


@semantic("vzeroupper", "vzeroall")
def zero(x: Execution) -> None:
    places = UPPER if x.mnemonic == "vzeroupper" else (*UPPER, *XMM)
    for place in places:
        if x.inst.mode == 64 or (place.index or 0) < 8:
            x.set(place, x.constant(0, 128))


@semantic("vbroadcastss", "vbroadcastsd", "vbroadcastf128", "vbroadcasti128", "vpbroadcastb", "vpbroadcastw", "vpbroadcastd", "vpbroadcastq")
def broadcast(x: Execution) -> None:
    name, target = x.mnemonic, x.location(0)
    width = 128 if name.endswith("128") else {"vbroadcastss": 32, "vbroadcastsd": 64}.get(name) or BITS[name[-1]]
    target.write(join([x.location(1, width).read()] * (target.width // width)))


@semantic("vpermd", "vpermps")
def permute_by_lanes(x: Execution) -> None:
    order, table = x.location(1).read(), x.location(2).read()
    x.location(0).write(join([_pick(table, index, 32) for index in split(order, 32)]))


@semantic("vpermq", "vpermpd")
def permute_by_immediate(x: Execution) -> None:
    lanes, order = split(x.location(1).read(), 64), x.immediate(2) or 0
    x.location(0).write(join([lanes[order >> 2 * n & 3] for n in range(4)]))


@semantic("vperm2f128", "vperm2i128")
def permute_halves(x: Execution) -> None:
    """Four bits a half; bit 3 clears it."""
    halves, order = split(x.location(1).read(), 128) + split(x.location(2).read(), 128), x.immediate(3) or 0
    chosen = [x.constant(0, 128) if code & 8 else halves[code & 3] for code in (order & 15, order >> 4)]
    x.location(0).write(join(chosen))


@semantic("vinsertf128", "vinserti128")
def insert_half(x: Execution) -> None:
    halves = split(x.location(1).read(), 128)
    halves[(x.immediate(3) or 0) & 1] = x.location(2, 128).read()
    x.location(0).write(join(halves))


@semantic("vextractf128", "vextracti128")
def extract_half(x: Execution) -> None:
    x.location(0, 128).write(split(x.location(1).read(), 128)[(x.immediate(2) or 0) & 1])


@semantic("vtestps", "vtestpd")
def test_signs(x: Execution) -> None:
    lane = BITS[x.mnemonic[-1]] if x.mnemonic[-1] == "s" else 64
    a, b = split(x.location(0).read(), lane), split(x.location(1).read(), lane)
    both = join([(m & n).sign() for m, n in zip(a, b, strict=True)])
    only = join([(~m & n).sign() for m, n in zip(a, b, strict=True)])
    x.set(ZF, both.is_zero())
    x.set(CF, only.is_zero())
    for flag in (AF, OF, PF, SF):
        x.set(flag, x.constant(0, 1))


@semantic("vpblendd")
def blend_words(x: Execution) -> None:
    order = x.immediate(3) or 0
    pairs = zip(split(x.location(1).read(), 32), split(x.location(2).read(), 32), strict=True)
    x.location(0).write(join([b if order >> n & 1 else a for n, (a, b) in enumerate(pairs)]))


@semantic("vpsllvd", "vpsllvq", "vpsrlvd", "vpsrlvq", "vpsravd")
def shift_each(x: Execution) -> None:
    """Counts too large give zeros, or signs."""
    lane, kind, shifted = BITS[x.mnemonic[-1]], x.mnemonic[3:5], []
    for value, count in zip(split(x.location(1).read(), lane), split(x.location(2).read(), lane), strict=True):
        fits, amount = count.below(lane), count & lane - 1
        if kind == "ra":
            shifted.append(fits.select(value.ashr(amount), value.ashr(lane - 1)))
        else:
            shifted.append(fits.select(value << amount if kind == "ll" else value >> amount, x.constant(0, lane)))
    x.location(0).write(join(shifted))


# -- half by half ------------------------------------------------------------------------------------------------------------------


@semantic_of_halves("vpermilps", "vpermilpd")
def permute_in_half(x: Half) -> None:
    """By an immediate, or by the low bits of each lane (of doubles bit 1)."""
    double = x.mnemonic[-1] == "d"
    lane = 64 if double else 32
    if x.merges:
        table, orders = x.first, split(x.location(1).read(), lane)
        picked = [_pick(table, order >> 1 if double else order, lane) for order in orders]
    else:
        lanes, number = split(x.source(1), lane), x.immediate(2) or 0
        picked = [lanes[number >> n & 1 if double else number >> 2 * n & 3] for n in range(len(lanes))]
    x.location(0).write(join(picked))


@semantic_of_halves("vpdpbusd", "vpdpbusds", "vpdpwssd", "vpdpwssds")
def accumulate(x: Half) -> None:
    """Products of unsigned and signed bytes, or of signed words, added to each 32 bits; the S forms saturate."""
    lane, sums = 8 if "bus" in x.mnemonic else 16, []
    for old, a, b in zip(*(split(x.source(number), 32) for number in range(3)), strict=True):
        total = old.sext(64)
        for m, n in zip(split(a, lane), split(b, lane), strict=True):
            total = total + (m.zext(64) if lane == 8 else m.sext(64)) * n.sext(64)
        sums.append(_saturated(total) if x.mnemonic.endswith("ds") else total.trunc(32))
    x.location(0).write(join(sums))


def _saturated(total: Value) -> Value:
    low, high = total.machine.constant(-(1 << 31), 64), total.machine.constant((1 << 31) - 1, 64)
    capped = high.less(total).select(high, total)
    return capped.less(low).select(low, capped).trunc(32)


# -- masks -------------------------------------------------------------------------------------------------------------------------


def _load_lane(target: VexRegister, source: Location, low: int) -> None:
    """Put the memory's value into the target at bit `low`."""
    place = (UPPER if low >= 128 else XMM)[target.number]
    value, at = source.read(), low % 128
    target.machine.set(place, target.machine.get(place) & ~((1 << source.width) - 1 << at) | value.zext(128) << at)


def _store_again(place: Location) -> None:
    place.write(place.read())


@semantic("vmaskmovps", "vmaskmovpd", "vpmaskmovd", "vpmaskmovq")
def masked_move(x: Execution) -> None:
    """Lanes whose mask has no sign are neither read nor written; a fault comes before the first change."""
    lane = 64 if x.mnemonic in ("vmaskmovpd", "vpmaskmovq") else 32
    memory = x.operands[0] if x.is_memory(0) else x.operands[2]
    assert isinstance(memory, Memory)
    address = x.address(memory)
    chosen = [mask.sign() for mask in split(x.location(1).read(), lane)]
    places = [MemoryOperand(x.machine, address + number * lane // 8, lane) for number in range(len(chosen))]
    if x.is_memory(0):
        for condition, place in zip(chosen, places, strict=True):
            x.when(condition, partial(_store_again, place))
        for condition, place, value in zip(chosen, places, split(x.location(2).read(), lane), strict=True):
            x.when(condition, partial(place.write, value))
        return
    target = x.location(0)
    assert isinstance(target, VexRegister)
    target.write(x.constant(0, target.width))
    for number, (condition, place) in enumerate(zip(chosen, places, strict=True)):
        x.when(condition, partial(_load_lane, target, place, number * lane))


@semantic(*(f"v{p}gather{index}{data}" for p, kinds in (("p", "dq"), ("", ("ps", "pd"))) for index in "dq" for data in kinds))
def gather(x: Execution) -> None:
    """As many elements as target and index both have room for; the mask ends as zeros."""
    lane = 64 if x.mnemonic[-1] in "q" or x.mnemonic.endswith("pd") else 32
    step = 32 if x.mnemonic[-2 if x.mnemonic[1] == "p" else -3] == "d" else 64
    operand, target, mask = x.operands[1], x.location(0), x.location(2)
    assert isinstance(operand, Memory) and operand.index is not None
    assert isinstance(target, VexRegister)
    wide = any(isinstance(other, Register) and other.size == 32 for other in x.operands) or bool(x.inst.vector_length == 32)
    indexes = split(VexRegister(x.machine, operand.index, 256).read(), step)
    count = (256 if wide else 128) // max(lane, step)
    chosen = [value.sign() for value in split(mask.read(), lane)][:count]
    target.write(join(split(target.read(), lane)[:count]))
    for number, condition in enumerate(chosen):
        place = MemoryOperand(x.machine, x.address(operand, indexes[number].sext(64)), lane)
        x.when(condition, partial(_load_lane, target, place, number * lane))
    mask.write(x.constant(0, 128))
