"""A line of text set in a font: characters to glyphs by cmap and GSUB, places by the metrics, across or from top to bottom; drawn as PNG or SVG.

OpenType Specification 1.9.1: cmap, GSUB, hmtx, vmtx, VORG. No kerning (GPOS) and no reordering: what that would take is not here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from tanken.base.records import Record
from tanken.font import drawing, outlines
from tanken.font.face import Face
from tanken.font.substitution import Substitution

SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
# the features that HarfBuzz turns on, but for those of marks and of single scripts
ALWAYS, ACROSS, DOWN = ("ccmp", "locl", "rlig"), ("liga", "clig", "calt", "rclt"), ("vert",)
# Unicode ranges whose script has a tag of its own; others are taken as the default script
SCRIPTS = (("hani", 0x4E00, 0x9FFF), ("hani", 0x3400, 0x4DBF), ("kana", 0x3040, 0x30FF), ("hang", 0xAC00, 0xD7A3), ("cyrl", 0x400, 0x52F), ("grek", 0x370, 0x3FF),
           ("latn", 0x41, 0x24F))  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class Placed(Record):
    """A glyph of a line: its origin in font units (y upwards, the line begins at 0, 0) and the character that it came from."""

    gid: int
    name: str
    x: float
    y: float
    advance: float
    character: str


@dataclass(frozen=True)
class Line:
    """A line of text: its glyphs, what GSUB did, and its length in font units."""

    glyphs: tuple[Placed, ...]
    substitutions: tuple[Substitution, ...]
    length: float
    vertical: bool


def selector(character: str) -> bool:
    """Whether it is a variation selector."""
    return any(ord(character) in rows for rows in SELECTORS)


def script_of(text: str) -> str:
    """The tag of the first character's script that has one here."""
    return next((tag for character in text for tag, first, last in SCRIPTS if first <= ord(character) <= last), "DFLT")


def to_glyphs(face: Face, text: str) -> tuple[list[int], list[str]]:
    """Glyphs by cmap alone, a variation selector joined with the character before, and the characters of each."""
    glyphs, characters = list[int](), list[str]()
    for i, character in enumerate(text):
        if selector(character) and i and characters:
            found = face.cmap.sequences.get((ord(text[i - 1]), ord(character)))
            if found and found.glyph is not None:
                glyphs[-1] = found.glyph
            characters[-1] += character
            continue
        glyphs.append(face.cmap.glyph(ord(character)))
        characters.append(character)
    return glyphs, characters


def shape(face: Face, text: str, vertical: bool = False, features: Iterable[str] = (), language: str = "", script: str = "") -> Line:
    """Sets a line; `features` are added to those that always apply, one with `-` in front is left out."""
    glyphs, characters = to_glyphs(face, text)
    wanted = {*ALWAYS, *(DOWN if vertical else ACROSS), *(name for name in features if name[0] != "-")} - {name[1:] for name in features if name[0] == "-"}
    after, places, done = face.gsub.apply(glyphs, wanted, script or script_of(text), language)
    out, pen = [], 0.0
    for gid, place in zip(after, places, strict=True):
        gid = gid if gid < len(face.cff) else 0
        across = advance_of(face, gid)
        if vertical:
            metrics = face.vertical(gid)
            advance: float = metrics.advance if metrics else face.units_per_em
            out.append(Placed(gid, face.glyph_name(gid), -across / 2, -pen - face.vertical_origin(gid), advance, characters[place]))
        else:
            advance = across
            out.append(Placed(gid, face.glyph_name(gid), pen, 0.0, advance, characters[place]))
        pen += advance
    return Line(tuple(out), tuple(done), pen, vertical)


def advance_of(face: Face, gid: int) -> float:
    """The advance of a glyph: hmtx, else the charstring's width."""
    metrics = face.horizontal(gid)
    return metrics.advance if metrics else outlines.one(face.lazy_program(), gid).width


def _geometry(face: Face, line: Line, size: float) -> tuple[float, int, int, float, float]:
    """Scale, width and height in pixels, and the pixel where the line begins."""
    scale, margin = size / face.units_per_em, size / 4
    if line.vertical:
        return scale, round(size + 2 * margin), max(round(line.length * scale + 2 * margin), 1), size / 2 + margin, margin
    top, bottom = face.extent
    return scale, max(round(line.length * scale + 2 * margin), 1), max(round((top - bottom) * scale + 2 * margin), 1), margin, top * scale + margin


def paths(face: Face, line: Line) -> dict[int, outlines.Outline]:
    """The outline of each glyph of a line, once."""
    program = face.lazy_program()
    return {gid: outlines.one(program, gid) for gid in {placed.gid for placed in line.glyphs}}


def png(face: Face, line: Line, size: float) -> bytes:
    """The line as PNG, `size` pixels an em."""
    from tanken.font.raster import Canvas

    scale, width, height, x, y = _geometry(face, line, size)
    canvas, drawn = Canvas(width, height), paths(face, line)
    for placed in line.glyphs:
        canvas.fill(drawn[placed.gid].path, drawing.INK, scale, x + placed.x * scale, y - placed.y * scale)
    return canvas.png()


def svg(face: Face, line: Line, size: float, title: str = "") -> str:
    """The line as SVG, `size` pixels an em; each glyph is defined once."""
    scale, width, height, x, y = _geometry(face, line, size)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">', f"<title>{escape(title)}</title>", "<defs>"]
    out += [f'<path id="g{gid}" d="{drawing.path_data(outline.path)}"/>' for gid, outline in paths(face, line).items()]
    out.append("</defs>")
    out += [f'<use href="#g{placed.gid}" transform="translate({x + placed.x * scale:.6g} {y - placed.y * scale:.6g}) scale({scale:.6g})"/>' for placed in line.glyphs]
    return "\n".join([*out, "</svg>", ""])
