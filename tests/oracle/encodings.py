"""Encodings of a row of the opcode map, found by trying: random prefixes, operands and immediates that decode as the row's form.

Intel SDM volume 2A, chapter 2 (instruction format).
"""

from __future__ import annotations

import random

from tanken.isa.architecture import Column
from tanken.isa.x86 import inst as decoder
from tanken.isa.x86 import layout as L
from tanken.isa.x86.inst import Inst
from tanken.isa.x86.tables import Form
from tests.oracle.host import CODE, DATA, DATA_SIZE
from tests.oracle.values import value

ESCAPES = {"one": b"", "0f": b"\x0f", "0f38": b"\x0f\x38", "0f3a": b"\x0f\x3a", "3dnow": b"\x0f\x0f"}
VEX_MAPS = {"vex.0f": 1, "vex.0f38": 2, "vex.0f3a": 3, "xop.8": 8, "xop.9": 9, "xop.a": 10}
MODRM_LETTERS = set("EGRMSCDTPQNVWUkbt")


def has_modrm(form: Form) -> bool:
    named = any(word[0] == "/" or word in ("mem", "reg", "rip") or word.startswith("rm=") for word in form.row.selectors)
    letters = [operand.text for operand in form.operands if operand.source not in (L.O_FIXED, L.O_OPC, L.O_PORT, L.O_MOFFS)]
    return named or any(text[0] in MODRM_LETTERS and text not in ("ST",) for text in letters)


def _modrm(form: Form, rng: random.Random, mode: int) -> bytes:
    selectors = form.row.selectors
    reg = next((int(word[1]) for word in selectors if word[0] == "/"), rng.randrange(8))
    rm = next((int(word[3]) for word in selectors if word.startswith("rm=")), rng.randrange(8))
    if "vsib" in form.row.attributes:
        rm = 4
    memory = "mem" in selectors or ("reg" not in selectors and rng.random() < 0.5)
    if not memory:
        return bytes([0xC0 | reg << 3 | rm])
    mod = rng.randrange(3)
    tail = b""
    if rm == 4:
        tail += bytes([rng.randrange(256)])
    room = DATA + rng.randrange(64, DATA_SIZE - 64)
    if mod == 0 and rm == 5:
        tail += (room - (CODE + 12 if mode == 64 else 0) & 0xFFFF_FFFF).to_bytes(4, "little")
    elif mod == 0 and rm == 4 and tail[0] & 7 == 5:
        tail += room.to_bytes(4, "little")
    elif mod:
        tail += rng.randbytes(1 if mod == 1 else 4)
    return bytes([mod << 6 | reg << 3 | rm]) + tail


def _prefixes(form: Form, rng: random.Random, mode: int) -> bytes:
    selectors, attributes = form.row.selectors, form.row.attributes
    out = b""
    if mode == 64 and rng.random() < 0.06:
        out += rng.choice((b"\x64", b"\x65"))
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
    if mode != 64:
        return out
    rex = rng.choice((0, 0x40, 0x48, 0x40 | rng.randrange(16)))
    if "o64" in selectors or "W1" in selectors:
        rex |= 0x48
    return out + (bytes([rex]) if rex else b"")


def _vex(form: Form, rng: random.Random, mode: int) -> bytes:
    selectors = form.row.selectors
    pp = next((n for n, word in enumerate(("NP", "66", "F3", "F2")) if word in selectors), 0)
    w = 1 if "W1" in selectors else 0 if "W0" in selectors else rng.randrange(2)
    length = 1 if "L1" in selectors else 0 if "L0" in selectors else rng.randrange(2)
    vvvv = rng.randrange(16 if mode == 64 else 8) ^ 15 if any(operand.source == L.O_VVVV for operand in form.operands) else 15
    high = (rng.randrange(8) if mode == 64 else 7) << 5
    head = 0x8F if form.row.section.startswith("xop") else 0xC4
    segment = rng.choice((b"\x64", b"\x65")) if mode == 64 and rng.random() < 0.06 else b""
    return segment + bytes([head, high | VEX_MAPS[form.row.section], w << 7 | vvvv << 3 | length << 2 | pp])


def _tail(rng: random.Random, branch: bool) -> bytes:
    """Eight bytes for an immediate; a branch distance stays on the code page."""
    if branch:
        return rng.choice((rng.randrange(20, 120), -rng.randrange(20, 120))).to_bytes(8, "little", signed=True)
    return rng.choice((value(rng).to_bytes(8, "little"), rng.randbytes(8), bytes([rng.randrange(66)]) + bytes(7)))


def encode(form: Form, rng: random.Random, mode: int = 64) -> Inst | None:
    """An instruction of this form, None where none was found by trying."""
    row = form.row
    opcode = int(row.opcode.rstrip("+"), 16)
    branch = any(operand.text[0] == "J" for operand in form.operands)
    for _ in range(60):
        byte = bytes([opcode + (rng.randrange(8) if row.opcode.endswith("+") else 0)])
        head = _vex(form, rng, mode) if row.section in VEX_MAPS else _prefixes(form, rng, mode) + ESCAPES[row.section]
        modrm = _modrm(form, rng, mode) if has_modrm(form) else b""
        code = head + (modrm + byte if row.section == "3dnow" else byte + modrm) + _tail(rng, branch)
        inst = decoder.decode(code[:15], CODE, mode)
        if inst.fault or inst.columns[Column.FORM] != form.number:
            continue
        if "f64" in row.attributes and b"\x66" in code[:3]:
            continue  # Intel ignores the prefix before a branch, AMD does not (AMD APM volume 3, 1.2.7)
        return inst
    return None
