"""One row of columns to Intel or AT&T text, byte for byte as GNU objdump 2.40 prints it; and whole runs of bytes to lines.

The rules were found by experiment with objdump; docs/x86-text.md lists the classes that still differ.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.base.wide import item, store8
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import names as N
from tanken.isa.x86.kernels.decoder import decode_one
from tanken.isa.x86.kernels.fields import C_FAULT, C_FORM, C_IMMEDIATE, C_MEMORY, C_PREFIXES, C_REGISTERS, COLUMNS
from tanken.isa.x86.kernels.letters import hint_of, put_digits, put_prefixes, put_word
from tanken.isa.x86.kernels.names import predicate, put_name
from tanken.isa.x86.kernels.operands import put_clash, put_decoration, put_operand
from tanken.isa.x86.kernels.strange import put_comment, put_strange

SPACES = 0x2020202020202020
COLON_TAB = 0x093A
WIDTH = 7  # of the name with its prefixes and the space behind
ROOM = 256  # bytes that a line takes at most, with what is clobbered behind it


@bare
def put_text(
    T: Sequence[int], B: Sequence[int], code: Sequence[int], pos: int, out: Sequence[int], o: int, att: int, comment: int, buf: MutableSequence[int], p: int
) -> int:
    """The text of the row at `out[o:]`, whose bytes stand at `code[pos:]`; returns the end. `buf` has ROOM bytes from `p` on."""
    form = out[o + C_FORM]
    if form == 0 or out[o + C_FAULT] == L.TOO_LONG:
        return put_strange(T, B, code, pos, out, o, att, comment, buf, p)
    record = L.FORMS + form * L.STRIDE
    flags = item(T, record + L.FLAGS)
    begin = p
    bits = out[o + C_PREFIXES]
    if bits & 0x7FFF:
        p = put_prefixes(B, code, pos, out, o, flags, att, buf, p)
    if flags & L.F_PAD:
        begin = p
    p = put_name(T, B, out, o, form, flags, att, buf, p)
    if flags & L.F_HINT and att and bits & 0x7FFF:
        hint = hint_of(code, pos, (bits >> L.PREFIX_COUNT_SHIFT) & 15)
        if hint:
            p = put_word(B, buf, p, N.W_NOT_TAKEN if hint == 0x2E else N.W_TAKEN)
    last = item(T, record + L.COUNTS + att)
    if flags & L.F_PSEUDO and predicate(T, form, out[o + C_IMMEDIATE]) >= 0:
        last -= 1
    if last == 0:
        return p
    store8(buf, p, SPACES)
    p = max(p + 1, begin + WIDTH)
    if bits & (L.EVEX | L.VEX):
        p = put_encoded_operands(T, B, out, o, form, flags, last, att, buf, p)
    else:
        for j in range(last):
            if j:
                buf[p] = 44
                p += 1
            p = put_operand(T, B, out, o, form, flags, last - 1 - j if att and not flags & L.F_KEEP else j, att, buf, p)
    if comment and out[o + C_MEMORY] & 255 == L.RIP and flags & L.F_MODRM and not flags & L.F_NO_RIP:
        p = put_comment(B, out, o, buf, p)
    return p


@bare
def rounding_word(out: Sequence[int], o: int, flags: int) -> int:
    """The word of a rounding mode or of suppressed exceptions, -1 where EVEX.b means none."""
    bits = out[o + C_PREFIXES]
    if not bits & L.EVEX_B or not out[o + C_REGISTERS] & L.RM_IS_REGISTER:
        return -1
    mode = (bits >> L.LL_SHIFT) & 3
    if flags & L.F_ER_BAD or not flags & (L.F_ER | L.F_SAE):
        return N.W_RN_BAD + mode
    return N.W_RN + mode if flags & L.F_ER else N.W_SAE


@bare
def put_encoded_operands(
    T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, flags: int, last: int, att: int, buf: MutableSequence[int], p: int
) -> int:
    """The operands of a VEX or EVEX encoding in the order of the syntax, with masks, rounding and marks of registers named twice."""
    bits = out[o + C_PREFIXES]
    word = rounding_word(out, o, flags)
    refused = word >= 0 and not flags & (L.F_ER | L.F_SAE)
    place = -1
    if word >= 0 and not refused:
        slot = L.FORMS + form * L.STRIDE + L.SLOTS
        for i in range(last):
            if T[slot + L.SLOT * i + L.SOURCE] < L.O_IMM and (not att or T[slot + L.SLOT * i + L.FILE] == L.R_VEC):
                place = i
    if refused and att:
        p = put_word(B, buf, p, word)
        buf[p] = 44
        p += 1
    for j in range(last):
        i = last - 1 - j if att and not flags & L.F_KEEP else j
        if j:
            buf[p] = 44
            p += 1
        if att and i == place:
            p = put_word(B, buf, p, word)
            buf[p] = 44
            p += 1
        p = put_operand(T, B, out, o, form, flags, i, att, buf, p)
        if flags & (L.F_GATHER | L.F_TILES) and bits & L.VEX:
            p = put_clash(T, B, out, o, form, i, buf, p)
        if bits & L.EVEX:
            p = put_decoration(T, B, out, o, form, i, att, buf, p)
        if not att and i == place:
            p = put_word(B, buf, p, word)
    if refused and not att:
        buf[p] = 44
        p = put_word(B, buf, p + 1, word)
    return p


@bare
def zeros(code: Sequence[int], pos: int, end: int) -> int:
    """How many zeros objdump leaves out at `pos`, the boundary of an instruction, when the symbol's bytes end at `end`.

    Eight or more, a multiple of four when others follow; at the end one or two too.
    """
    if item(code, pos):
        return 0
    behind = pos + 1
    while behind < end and item(code, behind) == 0:
        behind += 1
    count = behind - pos
    if behind == end:
        return count if count >= 8 or count <= 2 else 0
    return count & ~3 if count >= 8 else 0


@bare
def text_run(
    T: Sequence[int], B: Sequence[int], code: Sequence[int], start: int, end: int, mode: int, address: int, att: int, comment: int, line: int, skip: int,
    buf: MutableSequence[int], room: int, where: MutableSequence[int],
) -> int:  # fmt: skip
    """Decodes and prints from `start` until `end` or until `buf` (of `room` bytes) is nearly full.

    Each instruction makes a line: its address in hexadecimal, colon and tab where `line` is set, text, newline.
    `skip` leaves zeros out as objdump does. `where[0]` becomes the position reached, `where[1]` the instructions printed; a row is kept behind them. Returns the bytes written.
    """
    pos = start
    n = 0
    p = 0
    o = len(where) - COLUMNS  # no literal, for which Numba would compile the decoder a second time
    while pos < end and p + ROOM < room:
        if skip:
            left_out = zeros(code, pos, end)
            if left_out:
                pos += left_out
                continue
        length = decode_one(T, code, pos, end, mode, address + pos - start, where, o)
        if line:
            p = put_digits(buf, p, address + pos - start)
            store8(buf, p, COLON_TAB)
            p += 2
        p = put_text(T, B, code, pos, where, o, att, comment, buf, p)
        buf[p] = 10
        p += 1
        pos += length
        n += 1
    where[0] = pos
    where[1] = n
    return p
