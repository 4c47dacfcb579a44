"""The text of bytes that are no instruction: `.byte`, lone prefixes, (bad) with what objdump leaves standing behind it.

GNU objdump 2.40, found by experiment.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import names as N
from tanken.isa.x86.kernels.fields import C_ADDRESS, C_DISPLACEMENT, C_FAULT, C_FORM, C_LENGTH, C_MEMORY, C_PREFIXES, C_REGISTERS, C_SIZES
from tanken.isa.x86.kernels.letters import put_hex, put_prefixes, put_word
from tanken.isa.x86.kernels.operands import put_decoration


@bare
def put_comment(B: Sequence[int], out: Sequence[int], o: int, buf: MutableSequence[int], p: int) -> int:
    """The comment with the address of a rip-relative operand."""
    p = put_word(B, buf, p, N.W_COMMENT)
    return put_hex(buf, p, out[o + C_ADDRESS] + out[o + C_LENGTH] + out[o + C_DISPLACEMENT], 8)


@bare
def put_strange(
    T: Sequence[int], B: Sequence[int], code: Sequence[int], pos: int, out: Sequence[int], o: int, att: int, comment: int, buf: MutableSequence[int], p: int
) -> int:
    """The text of a row without a form, or of one that is too long."""
    bits = out[o + C_PREFIXES]
    fault = out[o + C_FAULT]
    mode = (out[o + C_SIZES] >> 24) & 255
    begin = p
    if fault == L.TRUNCATED:
        byte = code[pos] & 255
        if T[byte + (256 if mode == 8 else 0)] == L.P_NONE:
            p = put_word(B, buf, p, N.W_BYTE_DATA)
            return put_hex(buf, p, byte, 1)
    p = put_prefixes(B, code, pos, out, o, T[L.FORMS + out[o + C_FORM] * L.STRIDE + L.FLAGS], att, buf, p)
    if fault == L.TRUNCATED or fault == L.PREFIXES_ONLY:
        return p - 1
    p = put_word(B, buf, p, N.W_BAD)
    if not bits & L.EVEX:
        return put_comment(B, out, o, buf, p) if comment and out[o + C_MEMORY] & 255 == L.RIP else p
    registers = out[o + C_REGISTERS]
    mask = (registers >> 24) & 7 or bits & L.EVEX_Z
    rounding = registers & L.RM_IS_REGISTER and bits & L.EVEX_B
    if mask or rounding:
        buf[p] = 32
        p += 1
        if p - begin < 7:
            buf[p] = 32
            p += 1
    if rounding and att:
        p = put_word(B, buf, p, N.W_RN_BAD + ((bits >> L.LL_SHIFT) & 3))
        if mask:
            buf[p] = 44
            p += 1
    p = put_decoration(T, B, out, o, 0, 0, att, buf, p)
    if rounding and not att:
        if mask:
            buf[p] = 44
            p += 1
        p = put_word(B, buf, p, N.W_RN_BAD + ((bits >> L.LL_SHIFT) & 3))
    return p
