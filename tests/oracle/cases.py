"""Cases for the host oracle: encodings of a row of the opcode map, and random states in which they mean something.

Intel SDM volume 2A, chapter 2 (instruction format); memory operands are led into the host's data page by choosing their registers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tanken.isa.architecture import Column
from tanken.isa.x86 import inst as decoder
from tanken.isa.x86 import layout as L
from tanken.isa.x86.inst import Immediate, Inst, Memory, Register
from tanken.isa.x86.tables import Form
from tests.oracle.host import CODE, CODE_PAGE, DATA, DATA_SIZE, Case

ONES = (1 << 64) - 1
EDGES = [0, 1, 2, ONES, ONES - 1, *(n for w in (8, 16, 32, 64) for n in ((1 << w - 1) - 1, 1 << w - 1, (1 << w) - 1)), 0xFFFF_FFFF_8000_0000]
DOUBLES = [0, 1 << 63, 0x3FF << 52, 0xBFF << 52, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48, 0x7FF0_0000_0000_0001, 1, (1 << 52) - 1, 1 << 52,
           0x7FEF_FFFF_FFFF_FFFF, 0x4330 << 48, 0x41DF_FFFF_FFC0_0000, 0xC1E0_0000_0000_0000, 0x43E0 << 48, 0x3FE0 << 48, 0x4004 << 48]  # fmt: skip
SINGLES = [0, 1 << 31, 0x3F80_0000, 0xBF80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7F80_0001, 1, 0x7F_FFFF, 0x80_0000,
           0x7F7F_FFFF, 0x4B00_0000, 0x4F00_0000, 0xCF00_0000, 0x3F00_0000, 0x4020_0000]  # fmt: skip
ESCAPES = {"one": b"", "0f": b"\x0f", "0f38": b"\x0f\x38", "0f3a": b"\x0f\x3a"}
VEX_MAPS = {"vex.0f": 1, "vex.0f38": 2, "vex.0f3a": 3}
MODRM_LETTERS = set("EGRMSCDTPQNVWUkbt")
BRANCHES = ("j", "call", "ret", "loop")


def value(rng: random.Random, bits: int = 64) -> int:
    """An edge value, a power of two, something small or anything."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(EDGES) & (1 << bits) - 1
    if kind == 3:
        return 1 << rng.randrange(bits)
    if kind == 4:
        return rng.choice((rng.randrange(70), -rng.randrange(70))) & (1 << bits) - 1
    return rng.getrandbits(bits)


def _float_lanes(rng: random.Random, width: int) -> int:
    """128 bits as floats: special ones, integers, near ones and anything."""
    specials, count = (DOUBLES, 2) if width == 64 else (SINGLES, 4)
    fraction = 52 if width == 64 else 23
    bias = 0x3FF if width == 64 else 0x7F
    result = 0
    for _ in range(count):
        kind = rng.randrange(4)
        lane = rng.choice(specials)
        if kind == 1:
            lane = rng.getrandbits(width)
        elif kind >= 2:
            lane = rng.getrandbits(1) << width - 1 | bias + rng.randrange(-70, 70) << fraction | rng.choice((0, rng.getrandbits(fraction)))
        result = result << width | lane
    return result


def vector(rng: random.Random) -> int:
    kind = rng.randrange(4)
    if kind < 2:
        return _float_lanes(rng, 64 if kind else 32)
    if kind == 2:
        return sum(value(rng, 16) << 16 * n for n in range(8))
    return rng.getrandbits(128)


def extended(rng: random.Random) -> int:
    """80 bits: mostly numbers, sometimes what is none."""
    kind, sign = rng.randrange(8), rng.getrandbits(1) << 79
    unit = 1 << 63
    if kind == 0:
        return rng.getrandbits(80)
    if kind == 1:
        return sign | rng.choice((0, 1, unit, 0x7FFF << 64 | unit, 0x7FFF << 64 | 0xC << 60, 0x7FFF << 64 | unit | 1, 0x3FFF << 64 | unit, 1 << 64 | unit))
    digits = rng.choice((rng.getrandbits(63), rng.getrandbits(63) >> 40 << 40, rng.getrandbits(8) << 55))
    return sign | 0x3FFF + rng.choice((rng.randrange(-70, 70), rng.randrange(-3, 3), rng.randrange(-1200, 1200))) << 64 | unit | digits


# -- encodings ---------------------------------------------------------------------------------------------------------------


def has_modrm(form: Form) -> bool:
    named = any(word[0] == "/" or word in ("mem", "reg", "rip") or word.startswith("rm=") for word in form.row.selectors)
    letters = [operand.text for operand in form.operands if operand.source not in (L.O_FIXED, L.O_OPC, L.O_PORT, L.O_MOFFS)]
    return named or any(text[0] in MODRM_LETTERS and text not in ("ST",) for text in letters)


def _modrm(form: Form, rng: random.Random) -> bytes:
    selectors = form.row.selectors
    reg = next((int(word[1]) for word in selectors if word[0] == "/"), rng.randrange(8))
    rm = next((int(word[3]) for word in selectors if word.startswith("rm=")), rng.randrange(8))
    memory = "mem" in selectors or ("reg" not in selectors and rng.random() < 0.5)
    if not memory:
        return bytes([0xC0 | reg << 3 | rm])
    mod = rng.randrange(3)
    tail = b""
    if rm == 4:
        tail += bytes([rng.randrange(256)])
    room = DATA + rng.randrange(64, DATA_SIZE - 64)
    if mod == 0 and rm == 5:
        tail += (room - CODE - 12 & 0xFFFF_FFFF).to_bytes(4, "little")
    elif mod == 0 and rm == 4 and tail[0] & 7 == 5:
        tail += room.to_bytes(4, "little")
    elif mod:
        tail += rng.randbytes(1 if mod == 1 else 4)
    return bytes([mod << 6 | reg << 3 | rm]) + tail


def _prefixes(form: Form, rng: random.Random) -> bytes:
    selectors, attributes = form.row.selectors, form.row.attributes
    out = b""
    if "66" in selectors or "o16" in selectors:
        out += b"\x66"
    elif "NP" not in selectors and not any(word in selectors for word in ("o32", "o64", "F3", "F2")) and rng.random() < 0.3:
        out += b"\x66"
    if "a32" in selectors or ("a64" not in selectors and rng.random() < 0.08):
        out += b"\x67"
    for word, byte in (("F3", b"\xf3"), ("F2", b"\xf2")):
        if word in selectors:
            out += byte
    if ("rep" in attributes or "repz" in attributes) and not form.row.mnemonic.startswith("ret") and rng.random() < 0.7:
        out += rng.choice((b"\xf3", b"\xf2"))
    if "lock" in attributes and rng.random() < 0.3:
        out += b"\xf0"
    rex = rng.choice((0, 0x40, 0x48, 0x40 | rng.randrange(16)))
    if "o64" in selectors or "W1" in selectors:
        rex |= 0x48
    return out + (bytes([rex]) if rex else b"")


def _vex(form: Form, rng: random.Random) -> bytes:
    selectors = form.row.selectors
    pp = next((n for n, word in enumerate(("NP", "66", "F3", "F2")) if word in selectors), 0)
    w = 1 if "W1" in selectors else 0 if "W0" in selectors else rng.randrange(2)
    vvvv = rng.randrange(16) if any(operand.source == L.O_VVVV for operand in form.operands) else 15
    high = rng.randrange(8) << 5
    return bytes([0xC4, high | VEX_MAPS[form.row.section], w << 7 | vvvv << 3 | pp])


def _tail(rng: random.Random, branch: bool) -> bytes:
    """Eight bytes for an immediate; a branch distance stays on the code page."""
    if branch:
        return rng.choice((rng.randrange(20, 120), -rng.randrange(20, 120))).to_bytes(8, "little", signed=True)
    return rng.choice((value(rng).to_bytes(8, "little"), rng.randbytes(8), bytes([rng.randrange(66)]) + bytes(7)))


def encode(form: Form, rng: random.Random) -> Inst | None:
    """An instruction of this form, None where none was found by trying."""
    opcode = int(form.row.opcode.rstrip("+"), 16)
    branch = any(operand.text[0] == "J" for operand in form.operands)
    for _ in range(40):
        byte = bytes([opcode + (rng.randrange(8) if form.row.opcode.endswith("+") else 0)])
        head = _vex(form, rng) if form.row.section in VEX_MAPS else _prefixes(form, rng) + ESCAPES[form.row.section]
        code = head + byte + (_modrm(form, rng) if has_modrm(form) else b"") + _tail(rng, branch)
        inst = decoder.decode(code[:15], CODE)
        if inst.fault or inst.columns[Column.FORM] != form.number:
            continue
        if "f64" in form.row.attributes and b"\x66" in code[:3]:
            continue  # Intel ignores the prefix before a branch, AMD does not (AMD APM volume 3, 1.2.7)
        return inst
    return None


# -- states ------------------------------------------------------------------------------------------------------------------


class _Maker:
    """One case in the making."""

    def __init__(self, inst: Inst, rng: random.Random) -> None:
        self.inst, self.rng = inst, rng
        self.memory = next((operand for operand in inst.operands if isinstance(operand, Memory)), None)
        self.case = Case(inst.code, [value(rng) for _ in range(16)])
        self.case.flags = 0x202 | rng.getrandbits(12) & 0xCD5
        self.case.xmm = [vector(rng) for _ in range(16)]
        self.case.regs[4] = self.place()
        self.width = inst.operand_size * 8
        self.case.st = [extended(rng) for _ in range(8)]
        used = rng.choice((255, 0xF0, 0xF0, rng.getrandbits(8)))
        top = rng.choice((0, 4, 4, rng.randrange(8)))
        control = 0x37F if rng.random() < 0.5 else 0x7F | rng.choice((0, 2, 3)) << 8 | rng.randrange(4) << 10
        self.case.fpu = (control, rng.choice((0, rng.getrandbits(6) | rng.getrandbits(3) << 8)), top, used)

    def place(self) -> int:
        """An address in the data page, now and then at its ends."""
        rng = self.rng
        if rng.random() < 0.04:
            return DATA + rng.choice((-3, DATA_SIZE - 3, DATA_SIZE, -40))
        return DATA + (rng.randrange(256, DATA_SIZE - 256) & (-16 if rng.random() < 0.75 else -1))

    def target(self) -> int:
        return CODE_PAGE + self.rng.randrange(64, 4000)

    def patch(self, address: int, data: int, size: int) -> None:
        if DATA <= address <= DATA + DATA_SIZE - size:
            self.case.patches.append((address, (data & (1 << size * 8) - 1).to_bytes(size, "little")))

    def aim(self, operand: Memory, address: int) -> int | None:
        """Choose the operand's registers so that it stands at `address`; its address, or None where that cannot be done."""
        regs, mask = self.case.regs, (1 << operand.address_size * 8) - 1
        base, index = operand.base, operand.index
        if operand.segment in (4, 5) or (base is not None and base == index):
            return None
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

    def floats(self, address: int) -> None:
        """A memory operand of the x87 that means something."""
        size = self.memory.size if self.memory else 0
        if size in (4, 8) and self.inst.mnemonic[1] != "i":
            self.patch(address, _float_lanes(self.rng, size * 8), size)
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
        if address is not None and self.inst.row is not None and self.inst.row.feature == "x87":
            self.floats(address)
        after = AFTER.get(name)
        if after is not None and after(self, address) is False:
            return None
        self.case.regs = [number & ONES for number in self.case.regs]
        return self.case


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
    if "far" in (m.inst.row.attributes if m.inst.row else {}):
        return False
    if isinstance(operand, Register):
        if operand.number == 4:
            return False
        m.case.regs[operand.number] = m.target()
    elif isinstance(operand, Memory) and address is not None:
        m.patch(address, m.target(), 8)
    return None


def _return_target(m: _Maker, address: int | None) -> None:
    m.patch(m.case.regs[4], m.target(), 8)


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
    "leave": _frame, **dict.fromkeys(("maskmovdqu", "maskmovq"), _destination),
}  # fmt: skip
AFTER: dict[str, Callable[[_Maker, int | None], bool | None]] = {
    **dict.fromkeys(("bt", "bts", "btr", "btc"), _bits_kept), "jmp": _jump_target, "call": _jump_target, "ret": _return_target,
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
    if "SSE" in (inst.row.feature if inst.row else ""):
        _rounding(maker)
    return maker.finish()
