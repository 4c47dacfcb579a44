"""Integer vectors, SSE2 and MMX: arithmetic, comparison, packing, interleaving, shuffling, shifts and logic on lanes.

Intel SDM volume 2; the SSSE3 and SSE4.1 instructions that are the same operations on other lanes stand here too.
"""

from __future__ import annotations

from tanken.isa.architecture import LaneOperation, Value
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.vectors import enter_mmx, join, split, uses_mmx, vector, wait_for_x87
from tanken.isa.x86.state import AF, CF, FPU_TOP, FPU_VALID, OF, PF, SF, ZF

# mnemonic -> (operation, bits of a lane)
LANEWISE: dict[str, tuple[LaneOperation, int]] = {
    "paddb": ("add", 8), "paddw": ("add", 16), "paddd": ("add", 32), "paddq": ("add", 64),
    "psubb": ("sub", 8), "psubw": ("sub", 16), "psubd": ("sub", 32), "psubq": ("sub", 64),
    "paddsb": ("add_sat_s", 8), "paddsw": ("add_sat_s", 16), "paddusb": ("add_sat_u", 8), "paddusw": ("add_sat_u", 16),
    "psubsb": ("sub_sat_s", 8), "psubsw": ("sub_sat_s", 16), "psubusb": ("sub_sat_u", 8), "psubusw": ("sub_sat_u", 16),
    "pmullw": ("mul", 16), "pmulld": ("mul", 32), "pmulhw": ("mulhi_s", 16), "pmulhuw": ("mulhi_u", 16),
    "pavgb": ("average_u", 8), "pavgw": ("average_u", 16),
    "pminub": ("min_u", 8), "pminuw": ("min_u", 16), "pminud": ("min_u", 32), "pmaxub": ("max_u", 8), "pmaxuw": ("max_u", 16), "pmaxud": ("max_u", 32),
    "pminsb": ("min_s", 8), "pminsw": ("min_s", 16), "pminsd": ("min_s", 32), "pmaxsb": ("max_s", 8), "pmaxsw": ("max_s", 16), "pmaxsd": ("max_s", 32),
    "pcmpeqb": ("eq", 8), "pcmpeqw": ("eq", 16), "pcmpeqd": ("eq", 32), "pcmpeqq": ("eq", 64),
    "pcmpgtb": ("gt_s", 8), "pcmpgtw": ("gt_s", 16), "pcmpgtd": ("gt_s", 32), "pcmpgtq": ("gt_s", 64),
}  # fmt: skip
LANE_BITS = {"b": 8, "w": 16, "d": 32, "q": 64}


def _operands(x: Execution) -> tuple[Value, Value]:
    """Both values; an MMX form changes the x87 state."""
    if uses_mmx(x):
        enter_mmx(x)
    return x.location(0).read(), vector(x, 1).read()


@semantic(*LANEWISE)
def lanewise(x: Execution) -> None:
    operation, lane = LANEWISE[x.mnemonic]
    a, b = _operands(x)
    x.location(0).write(a.lanes(operation, lane, b))


@semantic("pand", "pandn", "por", "pxor")
def logic(x: Execution) -> None:
    a, b = _operands(x)
    x.location(0).write({"pand": lambda: a & b, "pandn": lambda: ~a & b, "por": lambda: a | b, "pxor": lambda: a ^ b}[x.mnemonic]())


@semantic("pmuludq", "pmuldq")
def multiply_even(x: Execution) -> None:
    """The even 32-bit lanes to 64 bits."""
    a, b = _operands(x)
    products = []
    for first, second in zip(split(a, 64), split(b, 64), strict=True):
        m, n = first.trunc(32), second.trunc(32)
        products.append(m.zext(64) * n.zext(64) if x.mnemonic == "pmuludq" else m.sext(64) * n.sext(64))
    x.location(0).write(join(products))


@semantic("pmaddwd")
def pmaddwd(x: Execution) -> None:
    a, b = _operands(x)
    products = [m.sext(32) * n.sext(32) for m, n in zip(split(a, 16), split(b, 16), strict=True)]
    x.location(0).write(join([products[n] + products[n + 1] for n in range(0, len(products), 2)]))


@semantic("psadbw")
def psadbw(x: Execution) -> None:
    a, b = _operands(x)
    sums = []
    for half in split(a.lanes("difference_u", 8, b), 64):
        total = x.constant(0, 64)
        for byte in split(half, 8):
            total = total + byte.zext(64)
        sums.append(total)
    x.location(0).write(join(sums))


def _saturate(value: Value, lane: int, signed: bool) -> Value:
    """A signed value into the range of `lane` bits, signed or not."""
    high = (1 << (lane - 1 if signed else lane)) - 1
    low = -(1 << lane - 1) if signed else 0
    machine, w = value.machine, value.width
    capped = machine.constant(high, w).less(value).select(high, value)
    return value.less(low).select(machine.constant(low, w), capped).trunc(lane)


@semantic("packsswb", "packssdw", "packuswb", "packusdw")
def pack(x: Execution) -> None:
    a, b = _operands(x)
    source = LANE_BITS[x.mnemonic[-2]]
    signed = x.mnemonic[4] == "s"
    x.location(0).write(join([_saturate(lane, source // 2, signed) for lane in split(a, source) + split(b, source)]))


@semantic("punpcklbw", "punpcklwd", "punpckldq", "punpcklqdq", "punpckhbw", "punpckhwd", "punpckhdq", "punpckhqdq")
def interleave(x: Execution) -> None:
    name = x.mnemonic
    lane = LANE_BITS[name[7]]
    a, b = _operands(x) if x.location(0).width == 128 else _interleave_mmx(x)
    first, second = split(a, lane), split(b, lane)
    half = len(first) // 2
    start = half if name[6] == "h" else 0
    pairs = zip(first[start : start + half], second[start : start + half], strict=True)
    x.location(0).write(join([value for pair in pairs for value in pair]))


def _interleave_mmx(x: Execution) -> tuple[Value, Value]:
    """The low forms read only 32 bits of memory."""
    enter_mmx(x)
    return x.location(0).read(), x.location(1).read().fit(64)


@semantic("pshufd")
def pshufd(x: Execution) -> None:
    lanes, order = split(vector(x, 1).read(), 32), x.immediate(2) or 0
    x.location(0).write(join([lanes[order >> 2 * n & 3] for n in range(4)]))


@semantic("pshuflw", "pshufhw")
def shuffle_half(x: Execution) -> None:
    lanes, order = split(vector(x, 1).read(), 16), x.immediate(2) or 0
    first = 4 if x.mnemonic == "pshufhw" else 0
    chosen = [lanes[first + (order >> 2 * n & 3)] for n in range(4)]
    x.location(0).write(join([*lanes[:first], *chosen, *lanes[first + 4 :]]))


@semantic("pshufw")
def pshufw(x: Execution) -> None:
    enter_mmx(x)
    lanes, order = split(x.location(1).read(), 16), x.immediate(2) or 0
    x.location(0).write(join([lanes[order >> 2 * n & 3] for n in range(4)]))


@semantic("pshufb")
def pshufb(x: Execution) -> None:
    a, b = _operands(x)
    table, count = a, a.width // 8
    chosen = []
    for index in split(b, 8):
        shift = (index & count - 1).zext(a.width) << 3
        chosen.append(index.sign().select(x.constant(0, 8), (table >> shift).trunc(8)))
    x.location(0).write(join(chosen))


@semantic("palignr")
def palignr(x: Execution) -> None:
    a, b = _operands(x)
    count = (x.immediate(2) or 0) * 8
    w = a.width
    x.location(0).write((b.below_high(a) >> count).trunc(w) if count < 2 * w else x.constant(0, w))


@semantic("pabsb", "pabsw", "pabsd")
def absolute(x: Execution) -> None:
    _, b = _operands(x)
    lanes = split(b, LANE_BITS[x.mnemonic[-1]])
    x.location(0).write(join([lane.sign().select(-lane, lane) for lane in lanes]))


@semantic("psllw", "pslld", "psllq", "psrlw", "psrld", "psrlq", "psraw", "psrad")
def shift_lanes(x: Execution) -> None:
    """One count for all lanes, the low 64 bits of the second operand; too large a one gives zeros, or signs."""
    if uses_mmx(x):
        enter_mmx(x)
    name, target = x.mnemonic, x.location(0)
    lane = LANE_BITS[name[-1]]
    wanted = x.immediate(1)
    count = x.constant(wanted, 64) if wanted is not None else vector(x, 1).read().trunc(64)
    fits = count.below(lane)
    amount = count.trunc(lane) & lane - 1
    shifted = []
    for value in split(target.read(), lane):
        if name[3] == "a":
            shifted.append(fits.select(value.ashr(amount), value.ashr(lane - 1)))
        else:
            moved = value << amount if name[2] == "l" else value >> amount
            shifted.append(fits.select(moved, x.constant(0, lane)))
    target.write(join(shifted))


@semantic("pslldq", "psrldq")
def shift_bytes(x: Execution) -> None:
    target, count = x.location(0), (x.immediate(1) or 0) * 8
    a = target.read()
    if count >= 128:
        target.write(x.constant(0, 128))
    else:
        target.write(a << count if x.mnemonic == "pslldq" else a >> count)


@semantic("pinsrw", "pinsrb", "pinsrd", "pinsrq")
def insert(x: Execution) -> None:
    if uses_mmx(x):
        enter_mmx(x)
    target = x.location(0)
    lane = LANE_BITS[x.mnemonic[-1]]
    lanes = split(target.read(), lane)
    lanes[(x.immediate(2) or 0) % len(lanes)] = x.location(1, lane).read()
    target.write(join(lanes))


@semantic("pextrw", "pextrb", "pextrd", "pextrq")
def extract(x: Execution) -> None:
    if uses_mmx(x):
        enter_mmx(x)
    lane = LANE_BITS[x.mnemonic[-1]]
    lanes = split(x.location(1).read(), lane)
    target = x.location(0, lane if x.is_memory(0) else 0)
    target.write(lanes[(x.immediate(2) or 0) % len(lanes)].fit(target.width))


@semantic("ptest")
def ptest(x: Execution) -> None:
    a, b = x.location(0).read(), vector(x, 1).read()
    x.set(ZF, (a & b).is_zero())
    x.set(CF, (~a & b).is_zero())
    for flag in (AF, OF, PF, SF):
        x.set(flag, x.constant(0, 1))


@semantic("emms", "femms")
def emms(x: Execution) -> None:
    """The x87 registers are empty again; TOP becomes 0."""
    x.no_operand_prefix()
    wait_for_x87(x)
    x.set(FPU_TOP, x.constant(0, 3))
    x.set(FPU_VALID, x.constant(0, 8))
