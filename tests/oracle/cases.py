"""Cases for the host oracle: random states in which an instruction means something.

Memory operands are led into the host's data page by choosing their registers; Intel SDM volume 1, 3.7.5.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tanken.isa.architecture import Column
from tanken.isa.x86 import layout as L
from tanken.isa.x86.inst import Far, Immediate, Inst, Memory, Register
from tests.oracle.host import CODE, CODE_PAGE, DATA, DATA_SIZE, Case
from tests.oracle.values import ONES, extended, float_lanes, value, vector


class _Maker:
    """One case in the making."""

    def __init__(self, inst: Inst, rng: random.Random) -> None:
        self.inst, self.rng = inst, rng
        self.memory = next((operand for operand in inst.operands if isinstance(operand, Memory)), None)
        self.case = Case(inst.code, [value(rng, 64 if inst.mode == 64 else 32) for _ in range(16)], mode=inst.mode)
        self.case.bases = (DATA, DATA + 64) if inst.mode == 64 else (0, 0)
        self.case.flags = 0x202 | rng.getrandbits(12) & 0xCD5
        self.case.xmm, self.case.upper = ([vector(rng) for _ in range(16)] for _ in range(2))
        self.case.regs[4] = self.place()
        self.width = inst.operand_size * 8
        self.case.st = [extended(rng) for _ in range(8)]
        used = rng.choice((255, 0xF0, 0xF0, rng.getrandbits(8)))
        top = rng.choice((0, 4, 4, rng.randrange(8)))
        control = 0x37F if rng.random() < 0.5 else 0x7F | rng.choice((0, 2, 3)) << 8 | rng.randrange(4) << 10
        if rng.random() < 0.2:
            control &= ~rng.choice((rng.getrandbits(6), 1 << rng.randrange(6)))
        self.case.fpu = (control, rng.choice((0, rng.getrandbits(6) | rng.getrandbits(3) << 8)), top, used)

    def place(self) -> int:
        """An address in the data page, now and then at its ends."""
        rng = self.rng
        if self.inst.row is not None and self.inst.row.feature == "SHA":
            return DATA + (rng.randrange(256, DATA_SIZE - 256) & -16)
        if rng.random() < 0.04:
            return DATA + rng.choice((-3, DATA_SIZE - 3, DATA_SIZE, -40))
        return DATA + (rng.randrange(256, DATA_SIZE - 256) & (-16 if rng.random() < 0.75 else -1))

    def target(self) -> int:
        return CODE_PAGE + self.rng.choice((self.rng.randrange(64, 2000), self.rng.randrange(2100, 4000)))

    def selector(self) -> int:
        """Of a code segment, mostly the mode's own."""
        own = 0x33 if self.inst.mode == 64 else 0x23
        return self.rng.choice((own, own, own, own & ~3, 0x2B, 0x10, 0))

    def patch(self, address: int, data: int, size: int) -> None:
        if DATA <= address <= DATA + DATA_SIZE - size:
            self.case.patches.append((address, (data & (1 << size * 8) - 1).to_bytes(size, "little")))

    def aim(self, operand: Memory, address: int) -> int | None:
        """Choose the operand's registers so that it stands at `address`; its address, or None where that cannot be done."""
        regs, mask = self.case.regs, (1 << operand.address_size * 8) - 1
        base, index = operand.base, operand.index
        if operand.index_file == "xmm":
            return self.aim_elements(operand, address)
        if base is not None and base == index:
            return None
        if operand.segment in (4, 5):
            return self.aim_from_base(operand, address)
        if index is not None and base is None:
            regs[index] = (address - operand.displacement) // operand.scale
        offset = operand.displacement + (regs[index] * operand.scale if index is not None else 0)
        if base == 16:
            return operand.displacement + CODE + self.inst.length & mask
        if base is not None:
            regs[base] = address - offset & ONES
            if operand.address_size == 4:
                regs[base] = regs[base] & mask | self.rng.getrandbits(32) << 32
            offset += regs[base]
        return offset & mask

    def aim_elements(self, operand: Memory, address: int) -> int | None:
        """A vector of indices that stay on the page around `address`."""
        if operand.segment in (4, 5) or operand.address_size != 8:
            return None
        step = 32 if "gatherd" in self.inst.mnemonic else 64
        for registers in (self.case.xmm, self.case.upper):
            indexes = [self.rng.randrange(-40, 40) & (1 << step) - 1 for _ in range(128 // step)]
            assert operand.index is not None
            registers[operand.index] = sum(value << step * n for n, value in enumerate(indexes))
        if operand.base is None:
            return operand.displacement & ONES
        self.case.regs[operand.base] = address - operand.displacement
        return address

    def aim_from_base(self, operand: Memory, address: int) -> int | None:
        """With FS and GS, whose bases move so that the operand stands there."""
        if self.inst.mode != 64 or operand.address_size != 8 or operand.base == 16:
            return None
        regs, offset = self.case.regs, operand.displacement
        for number, scale in ((operand.base, 1), (operand.index, operand.scale)):
            if number is not None:
                regs[number] &= 0xFFFF
                offset += regs[number] * scale
        bases = [DATA, DATA]
        bases[operand.segment - 4] = address - offset & ONES
        if not (bases[0] >> 47 in (0, 0x1FFFF) and bases[1] >> 47 in (0, 0x1FFFF)):
            return None
        self.case.bases = bases[0], bases[1]
        return address

    def floats(self, address: int) -> None:
        """A memory operand of the x87 that means something."""
        size = self.memory.size if self.memory else 0
        if size in (4, 8) and self.inst.mnemonic[1] != "i":
            self.patch(address, float_lanes(self.rng, size * 8), size)
        elif size == 10:
            self.patch(address, extended(self.rng), 10)

    def finish(self) -> Case | None:
        name = self.inst.mnemonic
        before = BEFORE.get(name)
        if before is not None:
            before(self)
        address = None
        if self.memory is not None and name not in STRINGS and name != "xlat":
            address = self.aim(self.memory, self.place())
            if address is None:
                return None
            if address & 15 and self.inst.row is not None and self.inst.row.feature == "SHA":
                return None  # the host's, against the SDM, are content with any address
        if address is not None and self.inst.row is not None and self.inst.row.feature == "x87":
            self.floats(address)
        after = AFTER.get(name)
        if after is not None and after(self, address) is False:
            return None
        mask = ONES if self.inst.mode == 64 else 0xFFFF_FFFF
        self.case.regs = [number & mask for number in self.case.regs]
        if self.inst.mode != 64:
            self.case.regs[8:] = [0] * 8
        if self.inst.row is not None and self.inst.row.feature == "x87" and name not in ROUGH and self.rng.random() < 0.3:
            self.case.after = ENVIRONMENT[self.inst.mode]
        return self.case


# fnstenv [DATA + 0xf00] behind an x87 instruction shows its pointers
ENVIRONMENT = {64: bytes.fromhex("d93425000f0010"), 32: bytes.fromhex("d935000f0010")}
ROUGH = ("fsin", "fcos", "fsincos", "fptan", "fpatan", "f2xm1", "fyl2x", "fyl2xp1")  # C1 is the processor's own affair
SELECTORS = (0, 0, 0x23, 0x2B, 0x2B, 0x2B, 0x33, 0x28, 0x20, 0x30, 0x7B, 0x10, 0x18, 0x53, 0x88)
STRINGS = ("movs", "cmps", "stos", "lods", "scas")


def _strings(m: _Maker) -> None:
    regs = m.case.regs
    regs[1] = m.rng.choice((0, 1, 2, 5, m.rng.randrange(12)))
    regs[6], regs[7] = m.place(), m.place()
    if m.inst.address_size == 4:
        for number in (1, 6, 7):
            regs[number] |= m.rng.getrandbits(32) << 32
    m.case.flags = m.case.flags & ~0x400 | m.rng.choice((0, 0x400))
    if m.rng.random() < 0.6:  # so that comparisons go on for a while
        byte = m.rng.randrange(256)
        regs[0] = byte * 0x0101_0101_0101_0101
        for pointer in regs[6:8]:
            start = pointer & 0xFFFF_FFFF
            for n in range(-16, 24, 8):
                m.patch(start + n, regs[0], 8)


def _divisor(m: _Maker) -> None:
    regs, w = m.case.regs, m.memory.size * 8 if m.memory else m.inst.operands[0].size * 8
    if m.rng.random() < 0.7:
        regs[2] = m.rng.choice((0, ONES, m.rng.randrange(16)))
        if w == 8:
            regs[0] = m.rng.choice((m.rng.randrange(1024), -m.rng.randrange(1024) & 0xFFFF))


def _count(m: _Maker) -> None:
    m.case.regs[1] = m.rng.choice((0, 1, 2, 1 << 32, m.rng.getrandbits(64), m.rng.getrandbits(6)))


def _bits(m: _Maker) -> None:
    """A bit offset that stays on the page."""
    operand = m.inst.operands[1]
    if m.memory is not None and isinstance(operand, Register):
        m.case.regs[operand.number] = m.rng.randrange(-1500, 1500) & ONES


def _bits_kept(m: _Maker, address: int | None) -> bool | None:
    operand = m.inst.operands[1]
    taken = (m.memory.base, m.memory.index) if m.memory else ()
    return False if isinstance(operand, Register) and operand.number in taken else None


def _jump_target(m: _Maker, address: int | None) -> bool | None:
    operand = m.inst.operands[0] if m.inst.operands else None
    size = m.inst.operand_size
    far = m.inst.row is not None and "far" in m.inst.row.attributes
    if far and m.inst.columns[Column.PREFIXES] & L.REX_W:
        return False  # AMD's processors have no 64-bit far pointers (AMD APM volume 3, JMP far)
    if isinstance(operand, Far) or far:
        pointer = (m.target() & (1 << size * 8) - 1).to_bytes(size, "little") + m.selector().to_bytes(2, "little")
        if isinstance(operand, Far):
            m.case.code = m.inst.code[: -size - 2] + pointer
        elif address is not None:
            m.patch(address, int.from_bytes(pointer, "little"), size + 2)
        return None
    if isinstance(operand, Register):
        if operand.number == 4:
            return False
        m.case.regs[operand.number] = m.target()
    elif isinstance(operand, Memory) and address is not None:
        m.patch(address, m.target(), 8)
    return None


def _return_target(m: _Maker, address: int | None) -> None:
    m.patch(m.case.regs[4], m.target(), 8 if m.inst.mode == 64 else 4)


def _far_return(m: _Maker, address: int | None) -> None:
    size, stack = m.inst.operand_size, m.case.regs[4]
    m.patch(stack, m.target(), size)
    m.patch(stack + size, m.selector() if not m.inst.operands else 0x33 if m.inst.mode == 64 else 0x23, size)
    m.patch(stack + 2 * size, m.rng.getrandbits(32) & 0x0020_0CD5, size)
    m.patch(stack + 3 * size, m.place(), size)
    m.patch(stack + 4 * size, m.rng.choice((0x2B, 0x2B, 0x2B, 0x23, 0)), size)


def _selector(m: _Maker, address: int | None) -> bool | None:
    """A selector where one is read: in the source, or behind an offset."""
    pointer = m.inst.mnemonic in ("lds", "les", "lss", "lfs", "lgs")
    if pointer and m.inst.operand_size == 8:
        return False  # as in `_jump_target`
    operand, number = m.inst.operands[-1], m.rng.choice(SELECTORS)
    if m.inst.mnemonic == "lsl" and number >> 3 == 15:
        number = 0x2B  # its limit is the number of the processor
    if isinstance(operand, Register) and operand.file == "gpr":
        m.case.regs[operand.number] = m.case.regs[operand.number] & ~0xFFFF | number
    elif address is not None:
        m.patch(address + (m.inst.operand_size if pointer else 0), number, 2)
    return None


def _popped_selector(m: _Maker, address: int | None) -> None:
    if isinstance(operand := m.inst.operands[0], Register) and operand.file == "seg":
        m.patch(m.case.regs[4], m.rng.choice(SELECTORS), 2)


def _moved_selector(m: _Maker, address: int | None) -> None:
    if isinstance(operand := m.inst.operands[0], Register) and operand.file == "seg":
        _selector(m, address)


def _bounds(m: _Maker, address: int | None) -> None:
    operand, size = m.inst.operands[0], m.inst.operand_size
    if address is not None and isinstance(operand, Register):
        index = m.case.regs[operand.number]
        m.patch(address, index - m.rng.choice((0, 1, 5, -1)), size)
        m.patch(address + size, index + m.rng.choice((0, 1, 5, -1)), size)


def _base(m: _Maker, address: int | None) -> None:
    operand = m.inst.operands[0]
    if isinstance(operand, Register) and m.rng.random() < 0.7:
        m.case.regs[operand.number] = m.rng.choice((m.rng.getrandbits(47), -m.rng.getrandbits(47), 1 << 47, ~(1 << 47)))


def _parts(m: _Maker) -> None:
    """XSAVE's mask, and registers that are often in their initial state."""
    m.case.regs[0] = m.rng.choice((7, 7, m.rng.randrange(8), m.rng.getrandbits(64)))
    for name in ("xmm", "upper", "st"):
        if m.rng.random() < 0.4:
            setattr(m.case, name, [0] * (8 if name == "st" else 16))
    if m.rng.random() < 0.4:
        m.case.fpu = (0x37F, 0, 0, 0)
    if m.rng.random() < 0.5:
        m.case.mxcsr = 0x1FA0


def _saved(m: _Maker, address: int | None) -> bool | None:
    """An area of 64-byte alignment with a header that mostly means something."""
    assert m.memory is not None
    address = m.aim(m.memory, DATA + 256 + m.rng.choice((0, 64, 512, 64 * 40, 16)))
    if address is None:
        return False
    rng = m.rng
    _control(m, address + 24)
    there = rng.choice((7, rng.randrange(8), rng.randrange(16)))
    form = rng.choice((0, 0, 1 << 63 | 7, 1 << 63 | rng.randrange(8), rng.getrandbits(64)))
    m.patch(address + 512, there, 8)
    m.patch(address + 520, form, 8)
    for at in range(528, 576, 8):
        m.patch(address + at, int(rng.random() < 0.01), 8)
    return None


def _line(m: _Maker) -> None:
    """Registers of instructions that work on 64 bytes."""
    m.case.regs[0] = m.place()
    m.case.bases = (0, 64)


def _extended_control(m: _Maker) -> None:
    m.case.regs[1] = m.rng.choice((0, 0, 1, 2, 1 << 32))


def _frame(m: _Maker) -> None:
    m.case.regs[5] = m.place()


def _popf(m: _Maker, address: int | None) -> None:
    m.patch(m.case.regs[4], m.rng.getrandbits(32) & 0x0020_0ED5, 8)


def _enter(m: _Maker, address: int | None) -> bool | None:
    m.case.regs[5] = m.case.regs[4] = DATA + 2048
    size, level = m.rng.randrange(600), m.rng.choice((0, 1, 2, 5, 31, 32, 33))
    at = len(m.inst.code) - 3
    m.case.code = m.inst.code[:at] + size.to_bytes(2, "little") + bytes([level])
    return None


def _xlat(m: _Maker) -> None:
    m.case.regs[3] = m.place() - (m.case.regs[0] & 255)
    if m.inst.address_size == 4:
        m.case.regs[3] |= m.rng.getrandbits(32) << 32


def _exchange(m: _Maker, address: int | None) -> None:
    """Half of the comparisons hold."""
    if m.rng.random() < 0.5:
        return
    target, regs = m.inst.operands[0], m.case.regs
    size = target.size
    wide = regs[0] | regs[2] << 64 if size == 16 else regs[0] & 0xFFFF_FFFF | (regs[2] & 0xFFFF_FFFF) << 32
    if address is not None:
        m.patch(address, wide if "8b" in m.inst.mnemonic or "16b" in m.inst.mnemonic else regs[0], size)
    elif isinstance(target, Register) and target.number not in (0, 4):
        regs[target.number] = regs[0]


def _destination(m: _Maker) -> None:
    m.case.regs[7] = m.place()
    m.case.bases = (0, 64)


def _rounding(m: _Maker) -> None:
    m.case.mxcsr = 0x1F80 | m.rng.choice((0, 0, m.rng.randrange(4) << 13)) | m.rng.choice((0, m.rng.randrange(64)))
    if m.rng.random() < 0.25:
        m.case.mxcsr ^= m.rng.choice((0x40, 0x8000, 0x8040, 0x80 << m.rng.randrange(6), 0x1F80))


def _image(m: _Maker, address: int | None) -> None:
    if address is not None:
        _control(m, address + 24)


def _control(m: _Maker, address: int | None) -> None:
    if address is not None:
        m.patch(address, 0x1F80 | m.rng.randrange(4) << 13 | m.rng.choice((0, m.rng.randrange(64), 0x10000)), 4)


BEFORE: dict[str, Callable[[_Maker], None]] = {
    **dict.fromkeys(STRINGS, _strings), **dict.fromkeys(("div", "idiv"), _divisor), "xlat": _xlat,
    **dict.fromkeys(("loop", "loope", "loopne", "jecxz", "jrcxz"), _count), **dict.fromkeys(("bt", "bts", "btr", "btc"), _bits),
    "leave": _frame, "clzero": _line, "xgetbv": _extended_control,
    **dict.fromkeys(("xsave", "xsave64", "xsaveopt", "xsaveopt64", "xsavec", "xsavec64", "xrstor", "xrstor64"), _parts),
    **dict.fromkeys(("maskmovdqu", "maskmovq", "vmaskmovdqu"), _destination),
}  # fmt: skip
AFTER: dict[str, Callable[[_Maker, int | None], bool | None]] = {
    **dict.fromkeys(("bt", "bts", "btr", "btc"), _bits_kept), "jmp": _jump_target, "call": _jump_target, "ret": _return_target, "retf": _far_return, "iret": _far_return,
    **dict.fromkeys(("lar", "lsl", "verr", "verw", "lds", "les", "lss", "lfs", "lgs"), _selector), "mov": _moved_selector, "pop": _popped_selector,
    "bound": _bounds, **dict.fromkeys(("wrfsbase", "wrgsbase"), _base),
    **dict.fromkeys(("xsave", "xsave64", "xsaveopt", "xsaveopt64", "xsavec", "xsavec64", "xrstor", "xrstor64"), _saved),
    "popf": _popf, "enter": _enter, **dict.fromkeys(("cmpxchg", "cmpxchg8b", "cmpxchg16b"), _exchange), "ldmxcsr": _control,
    **dict.fromkeys(("fxrstor", "fxrstor64"), _image),
}  # fmt: skip


def immediate(inst: Inst) -> int | None:
    """The value of the last operand where it is an immediate."""
    operand = inst.operands[-1] if inst.operands else None
    return operand.value if isinstance(operand, Immediate) else None


def make(inst: Inst, rng: random.Random) -> Case | None:
    """A case for `inst`, None where this encoding lets none be made."""
    maker = _Maker(inst, rng)
    if inst.row is not None and inst.row.feature.startswith(("SSE", "AVX", "FMA", "F16C")):
        _rounding(maker)
    return maker.finish()
