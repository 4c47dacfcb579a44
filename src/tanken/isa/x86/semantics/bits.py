"""Bits: BT BTS BTR BTC, BSF BSR TZCNT LZCNT POPCNT, CRC32, and BMI1/BMI2/TBM: ANDN BEXTR BLSI BLSMSK BLSR BZHI PDEP PEXT.

Intel SDM volume 2. BSF and BSR of 0 leave the target as it was, all 64 bits (AMD APM volume 3), and change only ZF.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Immediate, Memory
from tanken.isa.x86.semantics.execution import Execution, Location, MemoryOperand
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import AF, CF, OF, PF, SF, ZF


def _bit_operand(x: Execution) -> tuple[Location, Value]:
    """Where the bit stands and its number there: a register offset reaches beyond a memory operand, signed."""
    target = x.location(0)
    offset = x.location(1, target.width if isinstance(x.operands[1], Immediate) else 0).read()
    operand = x.operands[0]
    if isinstance(operand, Memory) and not isinstance(x.operands[1], Immediate):
        step = offset.sext(64).ashr(target.width.bit_length() - 1) * (target.width // 8)
        inside = (x.offset(operand) + step).trunc(operand.address_size * 8).zext(64)
        target = MemoryOperand(x.machine, x.address(operand) - x.offset(operand) + inside, target.width)
    return target, offset & target.width - 1


@semantic("bt", "bts", "btr", "btc")
def bit_test(x: Execution) -> None:
    """OF, SF, AF and PF, undefined, stay; ZF always does."""
    target, number = _bit_operand(x)
    value = target.read()
    bit = x.constant(1, target.width) << number
    changed = {"bt": None, "bts": value | bit, "btr": value & ~bit, "btc": value ^ bit}[x.mnemonic]
    if changed is not None:
        target.write(changed)
    x.set(CF, value.bit(number))


@semantic("bsf", "bsr")
def bit_scan(x: Execution) -> None:
    target, value = x.location(0), x.location(1).read()
    found = value.ctz() if x.mnemonic == "bsf" else value.clz() ^ target.width - 1
    x.when(~value.is_zero(), lambda: target.write(found))
    x.set(ZF, value.is_zero())


@semantic("tzcnt", "lzcnt")
def count_zeros(x: Execution) -> None:
    target, value = x.location(0), x.location(1).read()
    count = value.ctz() if x.mnemonic == "tzcnt" else value.clz()
    target.write(count)
    x.set(CF, value.is_zero())
    x.set(ZF, count.is_zero())


@semantic("popcnt")
def popcnt(x: Execution) -> None:
    target, value = x.location(0), x.location(1).read()
    target.write(value.popcount())
    for flag in (OF, SF, AF, CF, PF):
        x.set(flag, x.constant(0, 1))
    x.set(ZF, value.is_zero())


@semantic("crc32")
def crc32(x: Execution) -> None:
    """CRC-32C (polynomial 11EDC6F41, reflected), a bit at a time."""
    target, data = x.location(0), x.location(1).read()
    crc = x.location(0, 32).read().zext(64) ^ data.zext(64)
    for _ in range(data.width):
        crc = crc >> 1 ^ (crc & 1) * 0x82F63B78
    target.write(crc.trunc(32).zext(target.width))


def _bmi_flags(x: Execution, result: Value, carry: Value) -> None:
    """SF and ZF from the result, OF clear; AF and PF, undefined, stay."""
    x.set(SF, result.sign())
    x.set(ZF, result.is_zero())
    x.set(OF, x.constant(0, 1))
    x.set(CF, carry)


@semantic("andn")
def andn(x: Execution) -> None:
    result = ~x.location(1).read() & x.location(2).read()
    x.location(0).write(result)
    _bmi_flags(x, result, x.constant(0, 1))


@semantic("blsi", "blsmsk", "blsr", "blcfill", "blci", "blcic", "blcmsk", "blcs", "blsfill", "blsic", "t1mskc", "tzmsk")
def lowest(x: Execution) -> None:
    """Around the lowest one (bls) or zero (blc); carry: whether there is none to be found."""
    target, a = x.location(0), x.location(1).read()
    up, down = a + 1, a - 1
    result = {
        "blsi": a & -a, "blsmsk": a ^ down, "blsr": a & down, "blsfill": a | down, "blsic": ~a | down, "tzmsk": ~a & down,
        "blcfill": a & up, "blci": a | ~up, "blcic": ~a & up, "blcmsk": a ^ up, "blcs": a | up, "t1mskc": ~a | up,
    }[x.mnemonic]  # fmt: skip
    target.write(result)
    upwards = x.mnemonic.startswith("blc") or x.mnemonic == "t1mskc"
    carry = up.is_zero() if upwards else a.is_zero()
    _bmi_flags(x, result, ~carry if x.mnemonic == "blsi" else carry)


@semantic("bextr")
def bextr(x: Execution) -> None:
    """Starts and lengths beyond the width give what shifting by them would: nothing, and everything."""
    target, value = x.location(0), x.location(1).read()
    control = x.location(2).read().fit(64)
    start, length = control & 255, control >> 8 & 255
    w = value.width
    wide = value.zext(64)
    shifted = start.below(w).select(wide >> (start & w - 1), x.constant(0, 64))
    kept = length.below(w).select(shifted & ~(x.constant(-1, 64) << (length & 63)), shifted)
    result = kept.trunc(w)
    target.write(result)
    x.set(ZF, result.is_zero())
    x.set(CF, x.constant(0, 1))
    x.set(OF, x.constant(0, 1))


@semantic("bzhi")
def bzhi(x: Execution) -> None:
    target, value = x.location(0), x.location(1).read()
    w = value.width
    index = x.location(2).read() & 255
    inside = index.below(w)
    result = inside.select(value & ~(x.constant(-1, w) << (index & w - 1)), value)
    target.write(result)
    _bmi_flags(x, result, ~inside)


def _moves(mask: Value) -> list[Value]:
    """For each power of two, the mask's bits that a compression moves right by it (Warren, Hacker's Delight, 7-4)."""
    w = mask.width
    moves = []
    zeros_below = ~mask << 1
    for step in range(w.bit_length() - 1):
        parity = zeros_below
        for shift in range(w.bit_length() - 1):
            parity = parity ^ parity << (1 << shift)
        move = parity & mask
        moves.append(move)
        mask = (mask ^ move) | move >> (1 << step)
        zeros_below = zeros_below & ~parity
    return moves


@semantic("pext")
def pext(x: Execution) -> None:
    target, value, mask = x.location(0), x.location(1).read(), x.location(2).read()
    value = value & mask
    for step, move in enumerate(_moves(mask)):
        moving = value & move
        value = (value ^ moving) | moving >> (1 << step)
    target.write(value)


@semantic("pdep")
def pdep(x: Execution) -> None:
    target, value, mask = x.location(0), x.location(1).read(), x.location(2).read()
    for step, move in reversed(list(enumerate(_moves(mask)))):
        value = value & ~move | value << (1 << step) & move
    target.write(value & mask)
