"""Where the parts of a CFF table stand, and which of them are the same bytes: overlaps, and DICTs that contain what names them.

Adobe Technical Note 5176, section 1 and figure 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tanken.font.cff import Cff
from tanken.font.problems import ERROR, WARNING, Problem


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its name, the bytes it takes in the table."""

    name: str
    start: int
    end: int


def parts(cff: Cff) -> list[Part]:
    """The parts whose place the table states, in order."""
    found = [Part("header", 0, max(cff.data[2], 4))]
    for name, index in (("Name INDEX", cff.names), ("String INDEX", cff.strings), ("Global Subr INDEX", cff.globals), ("CharStrings INDEX", cff.charstrings)):
        if len(index):
            found.append(Part(name, index.at, index.end))
    if not cff.is_cff2:
        found.append(Part("Top DICT INDEX", cff.names.end, cff.strings.at))
    for number, fd in enumerate(cff.fds):
        size = fd.dict.values.get("Private")
        if size and len(size) >= 2 and fd.private_at:
            found.append(Part(f"Private DICT {number}", fd.private_at, fd.private_at + int(size[-2])))
        if fd.subrs is not None and len(fd.subrs):
            found.append(Part(f"Local Subr INDEX {number}", fd.subrs.at, fd.subrs.end))
    count = len(cff)
    for name, length in (("charset", _charset_size(cff, count)), ("FDArray", 3), ("FDSelect", 1)):
        at = cff.top.offset(name)
        if at is not None and at > 2 and length:
            found.append(Part(name, at, min(at + length, len(cff.data))))
    return sorted(found, key=lambda part: (part.start, part.end))


def _charset_size(cff: Cff, count: int) -> int:
    at = cff.top.offset("charset")
    if cff.is_cff2 or at is None or not 2 < at < len(cff.data):
        return 0
    return 1 + 2 * (count - 1) if cff.data[at] == 0 else 4


def problems(cff: Cff) -> Iterator[Problem]:
    """Overlaps. Parts that are wholly the same bytes are told apart: fonts share Private DICTs and subroutines so on purpose."""
    found = parts(cff)
    reach = found[0]
    for part in found[1:]:
        same = (part.start, part.end) == (reach.start, reach.end) and part.name.split(" ")[0] == reach.name.split(" ")[0]
        if part.start < reach.end and not same:
            pair = {reach.name.rstrip(" 0123456789"), part.name.rstrip(" 0123456789")}
            loop = "Private DICT" in pair and pair & {"Top DICT INDEX", "FDArray"}
            what = f"{reach.name} ({reach.start:#x} to {reach.end:#x}) and {part.name} (from {part.start:#x}) overlap: bytes read as two things"
            rule, level, more = ("dict-loop", ERROR, ", and a DICT that holds what names it") if loop else ("overlap", WARNING, "")
            yield Problem(rule, level, what + more, cff.origin + part.start, fix="write each part in a place of its own")
        if part.end > reach.end:
            reach = part
