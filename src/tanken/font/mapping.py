"""The way from characters to glyphs and back: cmap, variation sequences, GSUB. It is not one to one in either direction.

OpenType Specification 1.9.1, cmap and GSUB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.records import Record
from tanken.font.face import Face
from tanken.font.substitution import Substitution


@dataclass(frozen=True, slots=True, repr=False)
class Link(Record):
    """A step of the way: `how` is cmap, sequence or a feature; `before` and `after` in words."""

    how: str
    before: str
    after: str


def named(face: Face, gid: int) -> str:
    """A glyph in words."""
    return f"{gid} {face.glyph_name(gid)}" if gid < len(face.cff) else f"{gid} (outside of the font)"


def character(code: int) -> str:
    """A character in words."""
    shown = chr(code) if chr(code).isprintable() else ""
    return f"U+{code:04X} {shown}".rstrip()


def _edges(face: Face) -> list[Substitution]:
    return list(face.gsub.edges()) if face.table("GSUB") else []


def forward(face: Face, code: int) -> Iterator[Link]:
    """What becomes of a character: its glyph, those of its variation sequences, and what GSUB makes of each, as far as it goes."""
    glyphs = []
    if gid := face.cmap.glyph(code):
        glyphs.append(gid)
        yield Link("cmap", character(code), named(face, gid))
    for (one, selector), sequence in sorted(face.cmap.sequences.items()):
        if one == code:
            to = sequence.glyph if sequence.glyph is not None else gid
            glyphs.append(to)
            yield Link("sequence", f"{character(code)} U+{selector:04X}", named(face, to) + ("" if sequence.glyph is not None else " (the character's own)"))
    yield from _closure(face, list(dict.fromkeys(glyphs)), False)


def backward(face: Face, gid: int) -> Iterator[Link]:
    """What leads to a glyph: characters, variation sequences, and the glyphs that GSUB makes it from, as far back as it goes."""
    yield from _origins(face, gid)
    reached = [gid]
    for link, before in _steps(face, reached, True):
        yield link
        for one in before:
            yield from _origins(face, one)


def _origins(face: Face, gid: int) -> Iterator[Link]:
    for code in face.cmap.characters.get(gid, []):
        yield Link("cmap", character(code), named(face, gid))
    for sequence in face.cmap.sequences_to(gid):
        yield Link("sequence", f"{character(sequence.character)} U+{sequence.selector:04X}", named(face, gid))


def _closure(face: Face, glyphs: list[int], back: bool) -> Iterator[Link]:
    for link, _ in _steps(face, glyphs, back):
        yield link


def _steps(face: Face, glyphs: list[int], back: bool) -> Iterator[tuple[Link, list[int]]]:
    """Substitutions from (or to) the glyphs reached, each with the glyphs that are new by it; `glyphs` grows."""
    by_side: dict[int, list[Substitution]] = {}
    for edge in _edges(face):
        for gid in set(edge.after if back else edge.before):
            by_side.setdefault(gid, []).append(edge)
    seen = set(glyphs)
    for gid in glyphs:  # grows while it is walked
        for edge in by_side.get(gid, []):
            new = [one for one in (edge.before if back else edge.after) if one not in seen]
            seen.update(new)
            glyphs.extend(new)
            before, after = (" + ".join(named(face, one) for one in side) for side in (edge.before, edge.after))
            yield Link(f"{edge.feature} (lookup {edge.lookup}, {edge.kind})", before, after), new


def substituted(face: Face, gid: int) -> Iterator[Link]:
    """What GSUB makes of a glyph, as far as it goes."""
    yield from _closure(face, [gid], False)
