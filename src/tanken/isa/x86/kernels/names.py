"""The name of an instruction: the row's letters with its markers filled in, size letters, predicates, the marks of a wrong W.

The markers are those of the head comment of `opcodes.map`; GNU objdump 2.40's rules.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.base.wide import copy16, item
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import names as N
from tanken.isa.x86.kernels.fields import C_IMMEDIATE, C_PREFIXES, C_REGISTERS, C_SIZES, resolve
from tanken.isa.x86.kernels.letters import put_word


@bare
def letter(size: int, att: int) -> int:
    """The size letter: b w l q, in Intel text d for l."""
    if size == 1:
        return 98
    if size == 2:
        return 119
    if size == 4:
        return 108 if att else 100
    return 113


@bare
def put_piece(B: Sequence[int], buf: MutableSequence[int], p: int, at: int, length: int) -> int:
    """Copies letters."""
    copy16(buf, p, B, at)
    if length > 16:
        copy16(buf, p + 16, B, at + 16)
    return p + length


@bare
def marked_letter(T: Sequence[int], out: Sequence[int], o: int, form: int, marker: int, att: int) -> int:
    """The letter that a marker stands for, 0 for none."""
    sizes = out[o + C_SIZES]
    osize = sizes & 255
    mode = (sizes >> 24) & 255
    bits = out[o + C_PREFIXES]
    memory = not out[o + C_REGISTERS] & L.RM_IS_REGISTER
    flags = T[L.FORMS + form * L.STRIDE + L.FLAGS]
    if marker == L.K_SMEM:
        return letter(resolve(T[L.FORMS + form * L.STRIDE + L.MEMORY_SIZE], osize, 0, 0, 0, mode), att) if att and memory else 0
    if marker == L.K_SALL:
        first = L.FORMS + form * L.STRIDE + L.SLOTS
        if T[first + L.SOURCE] == L.O_PORT:
            first += L.SLOT
        return letter(resolve(T[first + L.REGISTER_SIZE], osize, 0, 0, 0, mode), att) if att else 0
    if marker == L.K_DMEM or marker == L.K_DALL:
        usual = mode if mode != 8 or flags & L.F_D64 else 4
        shown = marker == L.K_DALL or att and (memory or not flags & L.F_MODRM)
        return letter(osize, att) if osize != usual and shown else 0
    if marker == L.K_Y:
        return (113 if bits & L.REX_W else 108) if att and memory and mode == 8 else 0
    if marker == L.K_XY or marker == L.K_XYZ:
        vector = (sizes >> 16) & 255
        shown = att and memory and not bits & L.EVEX_B and (vector < 64 or marker == L.K_XYZ)
        return (120 if vector == 16 else (121 if vector == 32 else 122)) if shown else 0
    if marker == L.K_N:
        return 0 if bits & L.FWAIT else 110
    if marker == L.K_Q:
        return 113 if bits & L.REX_W and mode == 8 else 0
    return 115 if marker == L.K_WS else (100 if marker == L.K_WD else 104)


@bare
def put_marker(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, marker: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """What a marker of the mnemonic stands for, in this instruction."""
    if marker == L.K_PSEUDO:
        entry = T[L.FORMS + form * L.STRIDE + L.PSEUDO]
        value = predicate(T, form, out[o + C_IMMEDIATE])
        if value >= 0:
            entry += 2 + 2 * value
        return put_piece(B, buf, p, max(T[entry + 2], 0), T[entry + 3])
    if marker >= L.K_WS and wrong_w(T, out, o, form):
        return put_word(B, buf, p, N.W_BAD_MARK)
    character = marked_letter(T, out, o, form, marker, att)
    buf[p] = character
    return p + (1 if character else 0)


@bare
def wrong_w(T: Sequence[int], out: Sequence[int], o: int, form: int) -> int:
    """Whether EVEX.W is not the one that the row wants."""
    flags = T[L.FORMS + form * L.STRIDE + L.FLAGS]
    if not flags & L.F_W_BAD:
        return 0
    return 1 if (1 if out[o + C_PREFIXES] & L.REX_W else 0) != (1 if flags & L.F_W_WANT else 0) else 0


@bare
def predicate(T: Sequence[int], form: int, imm: int) -> int:
    """The number of the predicate name that `imm` selects, -1 where the immediate is shown instead."""
    entry = T[L.FORMS + form * L.STRIDE + L.PSEUDO]
    if imm < T[entry] and T[entry + 4 + 2 * imm] >= 0:
        return imm
    return -1


@bare
def plain_evex(out: Sequence[int], o: int) -> int:
    """Whether nothing in the text shows that the encoding is EVEX."""
    bits = out[o + C_PREFIXES]
    registers = out[o + C_REGISTERS]
    if bits & (L.EVEX_B | L.EVEX_Z) or (registers >> 24) & 7 or (bits >> L.LL_SHIFT) & 3 > 1:
        return 0
    if (registers & 16) or (registers >> 16) & 16:
        return 0
    if registers & L.RM_IS_REGISTER:
        return 0 if (registers >> 8) & 16 else 1
    return 1


@bare
def put_marked(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """A name with markers."""
    h = L.FORMS + form * L.STRIDE + L.HEADS + att * L.HEAD
    at = T[h]
    late = T[h + 2] == L.K_PSEUDO and wrong_w(T, out, o, form)
    for part in range(1, 6):
        n = T[h + part]
        if part & 1:
            p = put_piece(B, buf, p, at, n)
            at += n
        elif n and not late:
            p = put_marker(T, B, out, o, form, n, att, buf, p)
    if late:
        # The predicate goes in before the last two characters, here of {bad}.
        p = put_word(B, buf, p, N.W_BAD_MARK) - 2
        p = put_marker(T, B, out, o, form, L.K_PSEUDO, att, buf, p)
        buf[p] = 100
        buf[p + 1] = 125
        p += 2
    return p


@bare
def put_name(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, flags: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The name behind its mark {evex} or {vex}."""
    if flags & (L.F_TWIN | L.F_VEXMARK):
        if flags & L.F_VEXMARK:
            p = put_word(B, buf, p, N.W_VEX)
        elif out[o + C_PREFIXES] & L.EVEX and plain_evex(out, o):
            p = put_word(B, buf, p, N.W_EVEX)
    h = L.FORMS + form * L.STRIDE + L.HEADS + att * L.HEAD
    if item(T, h + 2):
        return put_marked(T, B, out, o, form, att, buf, p)
    return put_piece(B, buf, p, item(T, h), item(T, h + 1))
