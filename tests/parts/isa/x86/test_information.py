"""Reads, writes, flags: every row gives a value that can be shown, and what it says agrees with iced-x86 but for the listed reasons.

tests/oracle/information.py; larger runs: `python -m tests.oracle.information`.
"""

from __future__ import annotations

import random

import pytest
from tests.oracle import information

from tanken.isa import x86
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import rows
from tanken.isa.x86.explain import explain
from tanken.isa.x86.inst import Inst
from tanken.isa.x86.tables import Form

PREFIXES = {0: "", 1: "66", 2: "f3", 3: "f2"}
ESCAPES = {"one": "", "0f": "0f", "0f38": "0f38", "0f3a": "0f3a"}


@pytest.mark.parametrize("mode", [64, 32])
def test_agrees_with_iced(mode: int) -> None:
    unexplained = [d for d in information.differences(6000, 21, mode) if not information.expected(d)]
    assert not unexplained, unexplained[:5]


def candidates(form: Form, rng: random.Random, mode: int) -> bytes:
    """Bytes that may be the form's: its opcode behind what its section and selectors ask for, a random ModRM byte."""
    section, selectors = form.row.section, form.selectors

    def pick(kind: int, most: int) -> int:
        return rng.choice(sorted(selectors.get(kind, frozenset(range(most)))))

    prefix, wide, length = pick(L.N_PREFIX, 4) if L.N_PREFIX in selectors else 0, pick(L.N_W, 2), pick(L.N_L, 3) % 4
    opcode = rng.choice(form.opcodes) & 255
    mod = pick(L.N_MOD, 2)
    modrm = (0xC0 if mod else rng.choice((0, 0x40, 0x80))) | pick(L.N_REG, 8) << 3 | (5 if L.N_RIP in selectors else pick(L.N_RM, 8))
    if L.N_RIP in selectors:
        modrm &= 0x3F
    if {"vsib", "tilesib"} & form.row.attributes.keys():
        modrm = modrm & 0xF8 | 4
    tail = bytes([modrm, *rng.randbytes(12)])
    vvvv = rng.randrange(8) if any(o.source == L.O_VVVV for o in form.operands) else 0
    if section == "3dnow":
        return bytes([0x0F, 0x0F, 0xC1, opcode])
    if section.startswith("evex"):
        number = {"evex.0f": 1, "evex.0f38": 2, "evex.0f3a": 3, "evex.map5": 5, "evex.map6": 6}[section]
        last = 0x08 | length << 5 | (1 if {"gather", "scatter"} & form.row.attributes.keys() else 0)
        return bytes([0x62, 0xF0 | number, wide << 7 | (15 - vvvv) << 3 | 4 | prefix, last, opcode]) + tail
    if section.startswith(("vex", "xop")):
        number = {"vex.0f": 1, "vex.0f38": 2, "vex.0f3a": 3, "xop.8": 8, "xop.9": 9, "xop.a": 10}[section]
        return bytes([0x8F if section[0] == "x" else 0xC4, 0xE0 | number, wide << 7 | (15 - vvvv) << 3 | (length & 1) << 2 | prefix, opcode]) + tail
    out = bytes.fromhex(PREFIXES[prefix])
    native = 8 if mode == 64 else mode // 8
    if L.N_OSIZE in selectors and mode != 64 or L.N_DATA in selectors or L.N_OSIZE in selectors and 0 in selectors[L.N_OSIZE]:
        wants16 = 0 in selectors.get(L.N_OSIZE, frozenset())
        if prefix != 1 and (L.N_DATA in selectors or wants16 != (mode == 16)):
            out += b"\x66"
    if L.N_ASIZE in selectors and {2: 0, 4: 1, 8: 2}[native] not in selectors[L.N_ASIZE]:
        out += b"\x67"
    if mode == 64:
        rex = (8 if 2 in selectors.get(L.N_OSIZE, ()) or selectors.get(L.N_W) == {1} else 0) | (1 if selectors.get(L.N_REXB) == {1} or rng.random() < 0.2 else 0)
        out += bytes([0x40 | rex]) if rex else b""
    return out + bytes.fromhex(ESCAPES[section]) + bytes([opcode]) + tail


def found(form: Form) -> Inst | None:
    """An instruction of this form, found by trying."""
    rng = random.Random(form.number)
    for attempt in range(400):
        mode = (64, 32, 16)[attempt % 3]
        inst = x86.decode(candidates(form, rng, mode)[:15], 0x1000, mode)
        if inst.form is form:
            return inst
    return None


def test_every_row_shows_itself() -> None:
    missing = []
    for form in rows.forms():
        inst = found(form)
        if inst is None:
            missing.append(f"{form.row.line}: {form.row.section} {form.row.text.strip()}")
            continue
        assert str(inst.address)[:1] and inst.text() in repr(inst) and inst.text("att")
        assert inst.reads is not None and inst.writes is not None and inst.flags is not None
        words = explain(form.row)
        assert words.where == f"opcodes.map:{form.row.line}" and words.cite and words.encoding
    assert not missing, f"{len(missing)}\n" + "\n".join(missing[:30])
