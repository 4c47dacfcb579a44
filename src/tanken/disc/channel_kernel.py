"""Channel bits: modulation of both discs with the choice that keeps the signal balanced, and the search for frames in a stream of bits.

IEC 60908 section 15 (EFM, merging bits), ECMA-267 sections 20 and 21 (8-16 modulation, sync codes). The standards leave part of the choice
to the encoder: here each is taken for itself, by the smaller running digital sum after it.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import kernel

CD_FRAME, CD_SYMBOLS = 588, 33  # channel bits and symbols of a CD frame
DVD_FRAME, DVD_SYMBOLS = 1488, 91  # of a DVD sync frame


@kernel
def _put(out: Any, at: int, word: int, bits: int) -> None:
    for i in range(bits):
        out[at + i] = word >> (bits - 1 - i) & 1


@kernel
def _sum(word: int, bits: int, level: int) -> int:
    """The digital sum of a word, the level after it in the lowest bit: 2 sum + (level is up)."""
    total = 0
    for i in range(bits - 1, -1, -1):
        if word >> i & 1:
            level = -level
        total += level
    return 2 * total + (1 if level > 0 else 0)


@kernel
def _leading(word: int, bits: int) -> int:
    count = 0
    while count < bits and not word >> (bits - 1 - count) & 1:
        count += 1
    return count


@kernel
def _trailing(word: int, bits: int) -> int:
    count = 0
    while count < bits and not word >> count & 1:
        count += 1
    return count


SYNC, SYNC_BITS = 0b100000000001000000000010, 24
SYNC_ROW = 258  # of the table of words, behind 256 bytes and two sync words of the subcode
FALSE_SYNC, FALSE_BITS = 0b10000000000100000000001, 23  # two runs of 11 in a row


def efm_words(words: list[int]) -> list[int]:
    """What `efm_encode` asks of each word and of the sync, five numbers in a row: itself, its digital sum, the level after it, zeros at either end."""
    out: list[int] = []
    for word, bits in (*((word, 14) for word in words), (SYNC, SYNC_BITS)):
        reached = _sum(word, bits, 1)
        out += [word, reached >> 1, 1 if reached & 1 else -1, _leading(word, bits), _trailing(word, bits)]
    return out


@kernel
def efm_encode(symbols: Any, frames: int, table: Any, out: Any, state: Any) -> int:
    """Channel bits of `frames` frames of 33 symbols (0 to 255, 256 and 257 the sync words of the subcode), one bit a byte of `out`; returns their count.

    A frame: 24 bits of sync, 3 of merging, then 33 times a word of 14 and 3 merging bits, which join it to what follows. `state` goes from piece
    to piece of a stream: whether it has begun, level, digital sum, zeros at the end, the last 24 bits.
    """
    begun, level, total, trailing, before, at = state[0], state[1], state[2], state[3], state[4], 0
    for f in range(frames):
        for s in range(-1, CD_SYMBOLS):
            row = 5 * (SYNC_ROW if s < 0 else symbols[f, s])
            word, bits = table[row], SYNC_BITS if s < 0 else 14
            merge, length = 0, 0
            if begun:
                merge = _merge(table, row, s >= 0, level, total, trailing, before)
                length = 3
                total += _merge_sum(merge, level)
                level = -level if merge else level
            total += level * table[row + 1]
            level *= table[row + 2]
            trailing = table[row + 4]
            before = (before << (length + bits) | merge << bits | word) & 0xFFFFFF
            _put(out, at, merge << bits | word, length + bits)
            at += length + bits
            begun = 1
    state[0], state[1], state[2], state[3], state[4] = begun, level, total, trailing, before
    return at


@kernel
def _merge_sum(merge: int, level: int) -> int:
    """The digital sum of three merging bits: 0, or a one at one of their places."""
    if merge == 0:
        return 3 * level
    return -3 * level if merge == 4 else -level if merge == 2 else level


@kernel
def _merge(table: Any, row: int, checked: bool, level: int, total: int, trailing: int, before: int) -> int:
    """The merging bits before a word that keep runs of 3 to 11 and make no false sync; among them those with the smallest digital sum after the word."""
    lead, best, best_sum = table[row + 3], -1, 0
    for choice in range(4):
        merge = 0 if choice == 0 else 1 << (choice - 1)
        if merge == 0:
            if not 2 <= trailing + 3 + lead <= 10:
                continue
        elif not 2 <= trailing + 3 - choice <= 10 or not 2 <= choice - 1 + lead <= 10:
            continue
        if checked and _false_sync(before << 17 | merge << 14 | table[row]):
            continue
        after = total + _merge_sum(merge, level) + (-level if merge else level) * table[row + 1]
        if best < 0 or abs(after) < abs(best_sum):
            best, best_sum = merge, after
    return max(0, best)  # a frame always has a legal merge by construction of the code


@kernel
def _false_sync(bits: int) -> bool:
    """Whether two runs of 11 in a row end within the last 17 of these bits."""
    for place in range(17):
        if bits >> place & ((1 << FALSE_BITS) - 1) == FALSE_SYNC:
            return True
    return False


@kernel
def run_lengths(bits: Any, count: int, before: int, out: Any) -> int:
    """Distances between ones, 255 at most; `before` bits stand behind the last one of the piece before, -1 where there was none. Returns how many."""
    found, last = 0, -before - 1 if before >= 0 else count
    for i in range(count):
        if bits[i]:
            if last < i:
                out[found] = min(255, i - last)
                found += 1
            last = i
    return found


@kernel
def efm_frames(bits: Any, count: int, starts: Any, most: int, state: Any) -> int:
    """Finds frames by their sync pattern; where one is missing, 588 bits after the last. Fills `starts` (negative - 1: without sync).

    `state` goes from piece to piece of a stream: where to go on (two bits before it must still be there), frames in a row without sync, and whether
    the place is known. A frame is found when all of its bits are there.
    """
    found, at, misses, known = 0, state[0], state[1], state[2]
    while at + CD_FRAME <= count and found < most:
        place = -1
        if known:  # at the expected place, or up to two bits beside it
            for slip in (0, -1, 1, -2, 2):
                if at + slip >= 0 and _is_sync(bits, at + slip, count):
                    place = at + slip
                    break
            if place < 0 and misses < 3:
                starts[found] = -at - 1
                found += 1
                misses += 1
                at += CD_FRAME
                continue
        if place < 0:
            place = at
            while place + CD_FRAME <= count and not _is_sync(bits, place, count):
                place += 1
            if place + CD_FRAME > count:
                at, known = place, 0
                break
        misses = 0
        starts[found] = place
        found += 1
        known = 1
        at = place + CD_FRAME
    state[0], state[1], state[2] = at, misses, known
    return found


@kernel
def _is_sync(bits: Any, at: int, count: int) -> bool:
    if at + 24 > count or not (bits[at] and bits[at + 11] and bits[at + 22]):
        return False
    for i in range(24):
        if bits[at + i] != (1 if i == 0 or i == 11 or i == 22 else 0):
            return False
    return True


@kernel
def efm_symbols(bits: Any, starts: Any, frames: int, table: Any, out: Any) -> None:
    """The 33 symbols of each frame: 0 to 255, 256 and 257, or -1 for a word that is none."""
    for f in range(frames):
        start = starts[f] if starts[f] >= 0 else -starts[f] - 1
        for s in range(CD_SYMBOLS):
            at = start + 27 + 17 * s
            word = 0
            for i in range(14):
                word = word << 1 | int(bits[at + i])
            out[f, s] = table[word]


@kernel
def plus_encode(rows: Any, frames: int, main: Any, substitute: Any, sync: Any, order: Any, out: Any) -> None:
    """Channel bits of `frames` DVD sync frames of 91 bytes and the sync that follows; `order` gives the sync code of each, `sync` two variants for low and high states.

    main[state, byte] and substitute[state, byte] are word * 8 + next state; a substitute of -1 does not exist.
    """
    level, total, state, trailing, at = 1, 0, 1, 9, 0
    for f in range(frames):
        low = 0 if state <= 2 else 1
        best, best_sum, best_state = -1, 0, 0
        for variant in range(2):
            word = sync[order[f], low, variant] << 16 | 0x0011
            lead = _leading(word, 32)
            if f and not 2 <= trailing + lead <= 10:
                continue
            reached = _sum(word, 32, level)
            after = total + (reached >> 1)
            if best < 0 or abs(after) < abs(best_sum):
                best, best_sum, best_state = word, after, reached
        if best < 0:
            best = sync[order[f], low, 0] << 16 | 0x0011
            best_state = _sum(best, 32, level)
            best_sum = total + (best_state >> 1)
        _put(out, at, best, 32)
        at += 32
        total, level, state, trailing = best_sum, (1 if best_state & 1 else -1), 1, 0
        for i in range(DVD_SYMBOLS):
            byte = rows[f, i]
            best, best_sum, best_state = -1, 0, 0
            for choice in range(3):
                if choice == 0:
                    entry = main[state, byte]
                elif choice == 1:
                    entry = substitute[state, byte]
                elif state == 1 and substitute[state, byte] < 0:
                    entry = main[4, byte]
                elif state == 4 and substitute[state, byte] < 0:
                    entry = main[1, byte]
                else:
                    continue
                if entry < 0:
                    continue
                word = entry >> 3
                run = trailing + _leading(word, 16)
                if choice and not 2 <= run <= 10:
                    continue
                reached = _sum(word, 16, level)
                after = total + (reached >> 1)
                if best < 0 or abs(after) < abs(best_sum):
                    best, best_sum, best_state = entry, after, reached
            _put(out, at, best >> 3, 16)
            at += 16
            total, level, state, trailing = best_sum, (1 if best_state & 1 else -1), best & 7, _trailing(best >> 3, 16)
    _put(out, at, sync[order[0], 0 if state <= 2 else 1, 0] << 16 | 0x0011, 32)  # the last word is known by what follows it


@kernel
def plus_frames(bits: Any, count: int, codes: Any, starts: Any, found_codes: Any, most: int, state: Any) -> int:
    """Finds DVD sync frames; `codes` maps the high half of a sync to its number or -1. A missing sync is taken at 1,488 bits, code -1.

    `state` goes from piece to piece of a stream, as with `efm_frames`.
    """
    found, at, misses, known = 0, state[0], state[1], state[2]
    while at + DVD_FRAME <= count and found < most:
        place = -1
        if known:
            for slip in (0, -1, 1, -2, 2):
                if at + slip >= 0 and _plus_sync(bits, at + slip, count, codes) >= 0:
                    place = at + slip
                    break
            if place < 0 and misses < 4:
                starts[found], found_codes[found] = at, -1
                found += 1
                misses += 1
                at += DVD_FRAME
                continue
        if place < 0:
            place = at
            while place + DVD_FRAME <= count and _plus_sync(bits, place, count, codes) < 0:
                place += 1
            if place + DVD_FRAME > count:
                at, known = place, 0
                break
        starts[found], found_codes[found] = place, _plus_sync(bits, place, count, codes)
        found += 1
        misses, known = 0, 1
        at = place + DVD_FRAME
    state[0], state[1], state[2] = at, misses, known
    return found


@kernel
def _word(bits: Any, at: int, count: int) -> int:
    word = 0
    for i in range(16):
        word = word << 1 | (int(bits[at + i]) if at + i < count else 0)
    return word


@kernel
def _plus_sync(bits: Any, at: int, count: int, codes: Any) -> int:
    if at + 32 > count or not (bits[at + 27] and bits[at + 31]):
        return -1
    if _word(bits, at + 16, count) != 0x0011:
        return -1
    code: int = codes[_word(bits, at, count)]
    return code


@kernel
def plus_symbols(bits: Any, count: int, starts: Any, frames: int, table: Any, out: Any) -> None:
    """The 91 bytes of each frame, -1 where a word is none; table[word, next word begins state 2 (0) or 3 (1)]."""
    for f in range(frames):
        at = starts[f] + 32
        word = _word(bits, at, count)
        for i in range(DVD_SYMBOLS):
            following = _word(bits, at + 16, count)
            out[f, i] = table[word, 1 if following & 0x8008 else 0]
            word = following
            at += 16
