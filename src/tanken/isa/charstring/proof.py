"""What a charstring needs, at most and exactly, without running it: a summary for each subroutine, put together at each call.

Adobe Technical Note 5177; plain Python that Numba compiles. A charstring has no branches, so what a subroutine does depends only on
the stack it finds and on the number of stem hints so far (that is how long a mask is). Its body is cut at the first operator that
clears the stack. What stands before is the *prefix*: numbers needed, highest stack and net effect, all relative to the stack at entry,
the same for every caller. What stands behind, the *suffix*, begins with an empty stack and depends at most on the hint count, which
is 0 to 96. So each body is read once, or once for each hint count where it has masks, however often it is called: time linear in the file.

Calls nest by frames on a stack of our own. A call whose callee has no summary yet puts a frame on top and is read again afterwards.
`operators` and `calls` read a body, `columns` (here `c`) names what stands in the arrays.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import bare
from tanken.isa.charstring import columns as c
from tanken.isa.charstring.calls import begin_suffix, call, target
from tanken.isa.charstring.columns import find, stop
from tanken.isa.charstring.effects import ESCAPE, bias, clears
from tanken.isa.charstring.operators import clear, finish, keep, numbers
from tanken.isa.charstring.results import ILLEGAL, NO_MOVETO, OK, TRUNCATED

USES = tuple(f"tanken.isa.charstring.{name}" for name in ("fixed", "effects", "columns", "operators", "calls"))  # the kernel modules behind this one


@bare
def open_frame(w: Any, f: int, kind: int, slot: int, context: int, start: int, end: int) -> None:
    """A new frame for the body between two positions."""
    for i in range(c.FRAME):
        w[f + i] = 0
    w[f + c.F_KIND], w[f + c.F_SLOT], w[f + c.F_CONTEXT], w[f + c.F_POS], w[f + c.F_END] = kind, slot, context, start, end


@bare
def goes_on(w: Any, f: int) -> bool:
    """Whether the body of a frame is to be read on."""
    return bool(w[f + c.F_ENDING] < 0 and w[f + c.F_WANTED] < 0 and w[f + c.F_CLEAR_OP] < 0)


@bare
def read(
    data: Any, w: Any, f: int, prefixes: Any, related: Any, table: Any, local_base: Any, slot_base: Any, region_base: Any, cff2: bool, variants: int, globals_: int,
) -> None:  # fmt: skip
    """Reads the body of a frame as far as it goes."""
    w[f + c.F_ENDING], w[f + c.F_FAULT], w[f + c.F_FAULT_AT], w[f + c.F_FAULT_DEPTH] = -1, OK, 0, 0
    w[f + c.F_CLEAR_OP], w[f + c.F_CALLEE], w[f + c.F_BASE], w[f + c.F_ACCENT], w[f + c.F_WANTED], w[f + c.F_WANTED_HINTS] = -1, -1, -1, -1, -1, -1
    if w[f + c.F_KIND] == c.ON_SUFFIX and w[f + c.F_PENDING] == 1:
        begin_suffix(w, f, prefixes, related, table, variants, len(region_base) - 1)
    while goes_on(w, f):
        op = numbers(data, w, f)
        token = w[f + c.F_POS]
        if w[f + c.F_ENDING] >= 0:
            break
        if op < 0:
            finish(w, f, cff2)
            break
        w[f + c.F_POS] = token + 1
        if op == 10 or op == 29:
            fd = w[f + c.F_CONTEXT] // variants
            count = local_base[fd + 1] - local_base[fd] if op == 10 else globals_
            slot = target(w, f, op, token, slot_base[w[f + c.F_CONTEXT]], globals_, bias(count), count)
            if slot >= 0:
                call(w, f, token, slot, prefixes, related, table)
            continue
        if op == 11 and not cff2:
            w[f + c.F_STEPS] += 1
            on_top = w[f + c.F_KIND] == c.ON_GLYPH
            stop(w, f, c.FAILS if on_top else c.RETURNS, ILLEGAL if on_top else OK, token, w[f + c.F_DEPTH])
            break
        if op == 12:
            if token + 1 >= w[f + c.F_END]:
                stop(w, f, c.FAILS, TRUNCATED, token, w[f + c.F_DEPTH])
                break
            op = ESCAPE + int(data[token + 1])
            w[f + c.F_POS] = token + 2
        if clears(op, cff2):
            clear(w, f, op, token, variants, len(region_base) - 1)
        else:
            keep(w, f, op, token, cff2, region_base, variants)


@bare
def keep_prefix(w: Any, f: int, prefixes: Any) -> None:
    """A prefix is known."""
    p = w[f + c.F_SLOT] * c.PREFIX
    prefixes[p + c.P_STATE] = 2
    prefixes[p + c.P_NEED], prefixes[p + c.P_NEED_AT], prefixes[p + c.P_GROW], prefixes[p + c.P_GROW_AT] = w[f + c.F_NEED], w[f + c.F_NEED_AT], w[f + c.F_MAX], w[f + c.F_MAX_AT]
    prefixes[p + c.P_NET], prefixes[p + c.P_STEPS], prefixes[p + c.P_HEIGHT], prefixes[p + c.P_FLAGS] = w[f + c.F_DEPTH], w[f + c.F_STEPS], w[f + c.F_HEIGHT], w[f + c.F_FLAGS]
    if w[f + c.F_CLEAR_OP] >= 0:
        prefixes[p + c.P_KIND] = c.CALLS if w[f + c.F_CALLEE] >= 0 else c.CLEARS
        prefixes[p + c.P_OP], prefixes[p + c.P_OP_AT], prefixes[p + c.P_POS], prefixes[p + c.P_CALLEE] = w[f + c.F_CLEAR_OP], w[f + c.F_CLEAR_AT], w[f + c.F_POS], w[f + c.F_CALLEE]
        prefixes[p + c.P_KNOWN], prefixes[p + c.P_TOP], prefixes[p + c.P_TOP1] = w[f + c.F_C_KNOWN], w[f + c.F_C_TOP], w[f + c.F_C_TOP1]
    elif w[f + c.F_ENDING] == c.RETURNS:
        prefixes[p + c.P_KIND], prefixes[p + c.P_KNOWN], prefixes[p + c.P_TOP] = c.NO_CLEAR, 1 if w[f + c.F_KNOWN] > 0 else 0, w[f + c.F_TOP]
    else:
        prefixes[p + c.P_KIND] = c.BAD if w[f + c.F_ENDING] == c.FAILS else c.OPEN
        prefixes[p + c.P_FAULT], prefixes[p + c.P_FAULT_AT], prefixes[p + c.P_DEPTH] = w[f + c.F_FAULT], w[f + c.F_FAULT_AT], w[f + c.F_FAULT_DEPTH]


@bare
def keep_row(w: Any, f: int, row: Any, s: int) -> None:
    """A suffix or a glyph is known."""
    row[s + c.S_END], row[s + c.S_HINTS], row[s + c.S_DEPTH] = w[f + c.F_ENDING], w[f + c.F_HINTS] - w[f + c.F_ENTRY], w[f + c.F_DEPTH]
    row[s + c.S_MAX], row[s + c.S_MAX_AT], row[s + c.S_STEPS] = w[f + c.F_MAX], w[f + c.F_MAX_AT], w[f + c.F_STEPS]
    row[s + c.S_POINTS], row[s + c.S_HEIGHT], row[s + c.S_HINT_AT] = w[f + c.F_POINTS], w[f + c.F_HEIGHT], w[f + c.F_HINT_AT]
    row[s + c.S_FAULT], row[s + c.S_FAULT_AT], row[s + c.S_FAULT_DEPTH] = w[f + c.F_FAULT], w[f + c.F_FAULT_AT], w[f + c.F_FAULT_DEPTH]
    row[s + c.S_KNOWN], row[s + c.S_TOP], row[s + c.S_FLAGS] = 1 if w[f + c.F_KNOWN] > 0 else 0, w[f + c.F_TOP], w[f + c.F_FLAGS]
    row[s + c.S_USED], row[s + c.S_FIRST], row[s + c.S_SEAC_BASE], row[s + c.S_SEAC_ACCENT] = w[f + c.F_USED], w[f + c.F_FIRST], w[f + c.F_BASE], w[f + c.F_ACCENT]
    if w[f + c.F_KIND] == c.ON_SUFFIX:
        row[s + c.S_CONTEXT] = w[f + c.F_CONTEXT] - w[f + c.F_BEGAN]
    elif w[f + c.F_FIRST] == 2:  # a path without a moveto begins at a point of its own
        row[s + c.S_POINTS] += 1
        row[s + c.S_FLAGS] |= NO_MOVETO


@bare
def keep_suffix(w: Any, f: int, related: Any, table: Any) -> None:
    """A suffix is known: for all hint counts, where it has no masks, else for this one."""
    s = find(table, w[f + c.F_SLOT] * 128 + w[f + c.F_ENTRY] + 1)
    if w[f + c.F_USED] == 0:
        table[s + c.S_END] = 0  # its row stays, but nobody asks for it again
        s = w[f + c.F_SLOT] * c.SUFFIX
        related[s + c.S_KEY] = 2
        keep_row(w, f, related, s)
    else:
        keep_row(w, f, table, s)


@bare
def begin(w: Any, f: int, slot: int, hints: int, context: int, prefixes: Any, table: Any, work: Any) -> None:
    """Marks a frame that was opened for a summary as begun: a prefix, or with a hint count the suffix for it."""
    if hints < 0:
        prefixes[slot * c.PREFIX + c.P_STATE] = 1
        return
    w[f + c.F_KIND], w[f + c.F_PENDING], w[f + c.F_BEGAN], w[f + c.F_HINTS], w[f + c.F_ENTRY] = c.ON_SUFFIX, 1, context, hints, hints
    w[f + c.F_POS] = prefixes[slot * c.PREFIX + c.P_POS]
    s = find(table, slot * 128 + hints + 1)
    if table[s + c.S_KEY] == 0:
        work[2] += 1
    table[s + c.S_KEY], table[s + c.S_END] = slot * 128 + hints + 1, -1


@bare
def prove(
    data: Any, first: int, last: int, starts: Any, ends: Any, fd_of: Any, global_starts: Any, global_ends: Any, local_starts: Any, local_ends: Any,
    local_base: Any, cff2: bool, fd_vsindex: Any, region_base: Any, slot_base: Any, prefixes: Any, related: Any, table: Any, frames: Any, glyphs: Any,
    work: Any, roots: bool,
) -> int:  # fmt: skip
    """Proves glyphs `first` to `last`, or with `roots` the slots of these numbers; returns the first one not done for want of room in `table`.

    A *context* is a font DICT and, in CFF2, a vsindex: context = FD * (number of item variation data) + vsindex. A *slot* is a
    subroutine in a context: slot_base[context] + global number, or + number of globals + local number.
    prefixes   c.PREFIX numbers a slot              related    c.SUFFIX numbers a slot, for suffixes without masks
    table      hash table of the other suffixes   frames     c.FRAME numbers for each frame there is room for
    glyphs     c.SUFFIX numbers a glyph             work       [bytes read, bytes that may be read, rows used of `table`]
    """
    variants = max(len(region_base) - 1, 1) if cff2 else 1
    globals_ = len(global_starts)
    room, rows = len(frames) // c.FRAME, len(table) // c.SUFFIX
    for root in range(first, last):
        if work[2] * 2 > rows:
            return root
        slot, hints, context, top = -1, -1, 0, 0
        if roots:
            if prefixes[root * c.PREFIX + c.P_STATE] == 2:
                continue
            while context + 1 < len(slot_base) - 1 and slot_base[context + 1] <= root:
                context += 1
            slot = root
        else:
            fd = fd_of[root]
            open_frame(frames, 0, c.ON_GLYPH, root, fd * variants + (fd_vsindex[fd] if cff2 else 0), starts[root], ends[root])
            frames[c.F_WIDTH] = 0 if cff2 else 1
        while top >= 0:
            f = top * c.FRAME
            if slot >= 0:  # a summary is wanted: its frame goes on top
                number = slot - slot_base[context]
                local = number - globals_ + local_base[context // variants]
                start, end = (global_starts[number], global_ends[number]) if number < globals_ else (local_starts[local], local_ends[local])
                open_frame(frames, f, c.ON_PREFIX, slot, context, start, end)
                begin(frames, f, slot, hints, context, prefixes, table, work)
            began = frames[f + c.F_POS]
            read(data, frames, f, prefixes, related, table, local_base, slot_base, region_base, cff2, variants, globals_)
            slot, hints, context = frames[f + c.F_WANTED], frames[f + c.F_WANTED_HINTS], frames[f + c.F_CONTEXT]
            work[0] += max(frames[f + c.F_POS] - began, 0) + 1
            if work[0] > work[1] and goes_on(frames, f):
                stop(frames, f, c.UNKNOWN, c.TOO_DEEP, frames[f + c.F_POS], 0)
            if hints >= 0 and work[2] * 4 > rows * 3:  # a larger table, and this root again
                for i in range(top + 1):
                    if frames[i * c.FRAME + c.F_KIND] == c.ON_PREFIX:
                        prefixes[frames[i * c.FRAME + c.F_SLOT] * c.PREFIX + c.P_STATE] = 0
                return root
            if slot >= 0 and (top + 1 >= room or work[0] > work[1]):
                slot = -1
                stop(frames, f, c.UNKNOWN, c.TOO_DEEP, frames[f + c.F_POS], 0)
            if slot >= 0:
                top += 1
                continue
            if frames[f + c.F_KIND] == c.ON_PREFIX:
                keep_prefix(frames, f, prefixes)
            elif frames[f + c.F_KIND] == c.ON_SUFFIX:
                keep_suffix(frames, f, related, table)
            else:
                keep_row(frames, f, glyphs, (root - first) * c.SUFFIX)
            top -= 1
    return last
