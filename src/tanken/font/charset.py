"""Charset, Encoding and FDSelect: which name, which code and which font DICT a glyph has.

Adobe Technical Note 5176, sections 12, 13 and 19; FDSelect format 4 from the CFF2 chapter.
"""

from __future__ import annotations

from bisect import bisect_right

from tanken.font import standard
from tanken.font.problems import ERROR, Problem


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _tell(problems: list[Problem], rule: str, message: str, at: int) -> None:
    problems.append(Problem(rule, ERROR, message, at))


def charset(data: bytes, at: int, count: int, cid: bool, problems: list[Problem], origin: int) -> list[int]:
    """The SID or CID of each glyph; glyphs that the table does not reach have 0."""
    if at <= 2:
        return list(range(count)) if cid else (standard.predefined_charset(at, count) + [0] * count)[:count]
    ids = [0]
    where = origin + at
    if at >= len(data) or data[at] > 2:
        what = f"format {data[at]}, 0 to 2 exist" if at < len(data) else "it stands outside of the table"
        _tell(problems, "charset", f"charset: {what}", where)
        return [0] * count
    if data[at] == 0:
        raw = data[at + 1 : at + 1 + 2 * (count - 1)]
        ids += [_u16(raw, i) for i in range(0, len(raw) - 1, 2)]
    else:
        width, pos = data[at], at + 1
        while len(ids) < count and pos + 2 + width <= len(data):
            first, left = _u16(data, pos), int.from_bytes(data[pos + 2 : pos + 2 + width], "big")
            pos += 2 + width
            if len(ids) + left + 1 > count:
                _tell(problems, "charset-range", f"charset: a range of {left + 1} glyphs begins at glyph {len(ids)} of {count}", origin + pos)
            ids.extend(range(first, first + min(left + 1, count - len(ids))))
    if len(ids) < count:
        _tell(problems, "charset-short", f"charset: it ends at glyph {len(ids)} of {count}", where)
    return (ids + [0] * count)[:count]


def encoding(data: bytes, at: int, sids: list[int], problems: list[Problem], origin: int) -> dict[int, int]:
    """Code to glyph."""
    glyph_of = {sid: gid for gid, sid in reversed(list(enumerate(sids)))}
    if at == 0:
        names = {name: sid for sid, name in enumerate(standard.strings())}
        pairs = ((code, names[name]) for code, name in standard.standard_encoding().items())
        return {code: glyph_of[sid] for code, sid in pairs if sid in glyph_of}
    if at == 1:
        return {code: glyph_of[sid] for code, sid in standard.expert_encoding().items() if sid in glyph_of}
    if at + 1 >= len(data) or data[at] & 0x7F > 1:
        _tell(problems, "encoding", "Encoding: it stands outside of the table or has another format than 0 and 1", origin + at)
        return {}
    codes: dict[int, int] = {}
    count, pos, gid = data[at + 1], at + 2, 1
    for _ in range(count):
        left = data[pos + 1] if data[at] & 0x7F and pos + 1 < len(data) else 0
        for code in range(data[pos] if pos < len(data) else 0, (data[pos] if pos < len(data) else 0) + left + 1):
            if gid >= len(sids) or code > 255:
                _tell(problems, "encoding-range", f"Encoding: code {code} for glyph {gid} of {len(sids)}", origin + pos)
                return codes
            codes[code] = gid
            gid += 1
        pos += 2 if data[at] & 0x7F else 1
    if data[at] & 0x80 and pos < len(data):
        for i in range(data[pos]):
            place = pos + 1 + 3 * i
            if place + 3 <= len(data) and _u16(data, place + 1) in glyph_of:
                codes[data[place]] = glyph_of[_u16(data, place + 1)]
    return codes


class FDSelect:
    """The font DICT of each glyph: `ranges` of first glyph and FD; a lie is written down and its glyphs get FD 0."""

    def __init__(self, data: bytes, at: int, glyphs: int, fds: int, problems: list[Problem], origin: int) -> None:
        self.firsts, self.fds = [0], [0]
        where = origin + at
        if at < 0 or at >= len(data) or data[at] not in (0, 3, 4):
            _tell(problems, "fdselect", "FDSelect: outside of the table, or a format that is not 0, 3 or 4", where)
            return
        if data[at] == 0:
            raw = data[at + 1 : at + 1 + glyphs]
            if len(raw) < glyphs:
                _tell(problems, "fdselect-short", f"FDSelect: it ends at glyph {len(raw)} of {glyphs}", where)
            changes = [i for i in range(len(raw)) if i == 0 or raw[i] != raw[i - 1]]
            self.firsts, self.fds = changes or [0], [raw[i] for i in changes] or [0]
        else:
            self._ranges(data, at, glyphs, problems, where)
        for first, fd in zip(self.firsts, self.fds, strict=True):
            if fd >= fds:
                _tell(problems, "fdselect-fd", f"FDSelect: glyph {first} has font DICT {fd} of {fds}", where)
                break
        self.fds = [fd if fd < fds else 0 for fd in self.fds]

    def _ranges(self, data: bytes, at: int, glyphs: int, problems: list[Problem], where: int) -> None:
        wide = 2 if data[at] == 4 else 1
        count, pos = int.from_bytes(data[at + 1 : at + 1 + 2 * wide], "big"), at + 1 + 2 * wide
        count = min(count, (len(data) - pos) // (3 * wide))
        rows = [(int.from_bytes(data[p : p + 2 * wide], "big"), int.from_bytes(data[p + 2 * wide : p + 3 * wide], "big"))
                for p in range(pos, pos + count * 3 * wide, 3 * wide)]  # fmt: skip
        end = pos + count * 3 * wide
        sentinel = int.from_bytes(data[end : end + 2 * wide], "big")
        if sentinel != glyphs:
            _tell(problems, "fdselect-sentinel", f"FDSelect: it ends with glyph {sentinel}, the font has {glyphs}", where)
        firsts = [first for first, _ in rows]
        if not rows or firsts[0] != 0 or any(a >= b for a, b in zip(firsts, firsts[1:], strict=False)):
            _tell(problems, "fdselect-order", "FDSelect: the ranges do not begin with glyph 0 or are out of order", where)
            rows = sorted(({0: 0} | dict(reversed(rows))).items())
        self.firsts, self.fds = [first for first, _ in rows], [fd for _, fd in rows]

    def __getitem__(self, gid: int) -> int:
        return self.fds[bisect_right(self.firsts, gid) - 1]
