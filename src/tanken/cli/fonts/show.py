"""`tanken show FONT`: what the font is, glyphs as JSON and pictures, text set in it, the way from characters to glyphs, coverage.

Formats by the ending of `-o`: .svg or .png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tanken.base import progress
from tanken.base.errors import InputError, UsageError
from tanken.base.kinds import Thing
from tanken.base.records import json_line
from tanken.cli import fonts

if TYPE_CHECKING:
    from tanken.font.face import Face
    from tanken.font.outlines import Outline


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of fonts."""
    group = parser.add_argument_group("fonts")
    fonts.common(group)
    group.add_argument("--all-glyphs", action="store_true", help="with --json: every glyph, one object a line")
    group.add_argument("-o", "--output", metavar="FILE", help="draw the glyph or the text: FILE.svg or FILE.png")
    group.add_argument("--size", type=float, default=0, metavar="N", help="pixels: of the picture of a glyph (600), of an em of text (48)")
    group.add_argument("--bare", action="store_true", help="only the glyph, without control points, hints and colours")
    group.add_argument("--text", metavar="TEXT", help="set TEXT in the font")
    group.add_argument("--vertical", action="store_true", help="from top to bottom")
    group.add_argument("--features", default="", metavar="TAG,...", help="GSUB features to add, -TAG to leave out")
    group.add_argument("--language", default="", metavar="TAG", help="language system of GSUB, such as ZHS")
    group.add_argument("--script", default="", metavar="TAG", help="script of GSUB, such as math (default: that of the first letter)")
    group.add_argument("--mapping", action="store_true", help="with --glyph: what leads to the glyph and what becomes of it; alone: all of cmap")
    group.add_argument("--coverage", action="store_true", help="subroutines never reached, most expensive glyphs, uses of operators")


def run(thing: Thing, options: argparse.Namespace) -> int:
    face = fonts.face_of(thing.data, thing.name, options)
    if options.text is not None:
        return _text(face, options)
    if options.coverage:
        return _coverage(face, options)
    if options.mapping:
        return _mapping(face, options)
    if options.all_glyphs:
        return _all(face, options)
    if options.glyph is None:
        if options.output:
            raise UsageError("-o without --glyph or --text", wanted="one of them", where=face.name)
        return _summary(face, options.json)
    return _glyph(face, fonts.glyph_of(face, options, "show"), options)


# -- a glyph


def record(face: Face, outline: Outline) -> dict[str, Any]:
    """A glyph as JSON has it."""
    from tanken.isa.charstring import faults

    metrics = face.horizontal(outline.gid)
    advance = outline.width if metrics is None else metrics.advance
    found: dict[str, Any] = {"gid": outline.gid, "name": face.glyph_name(outline.gid), "advance": advance, "path": [list(segment) for segment in outline.path]}
    if outline.fault:
        found["fault"] = {"rule": faults.name(outline.fault), "message": faults.sentence(outline.fault), "offset": face.cff.origin + outline.fault_at}
    return found


def _glyph(face: Face, gid: int, options: argparse.Namespace) -> int:
    from tanken.font import outlines
    from tanken.isa.charstring import faults

    outline = outlines.one(face.lazy_program(), gid)
    if options.output:
        fonts.write(options.output, _drawn(face, gid, options))
        if options.output == "-":
            return 0
    if options.json:
        print(json_line(record(face, outline)))
    elif not options.output:
        _describe(face, outline)
    if outline.fault:
        raise InputError(f"glyph {gid} {face.glyph_name(gid)} ends in a fault: {faults.sentence(outline.fault)}", where=f"{face.name}:{face.cff.origin + outline.fault_at:#x}",
                         hint="what was drawn before is shown; tanken run --trace shows each operator")  # fmt: skip
    return 0


def _describe(face: Face, outline: Outline) -> None:
    from tanken.isa.charstring import faults

    gid, metrics, vertical = outline.gid, face.horizontal(outline.gid), face.vertical(outline.gid)
    start, end = face.cff.charstrings.span(gid)
    print(f"glyph {gid} {face.glyph_name(gid)} of {face.name}")
    print(f"  charstring  {end - start} bytes at {face.cff.origin + start:#x}, font DICT {face.cff.fd(gid)}")
    print(f"  width       {outline.width:g} by the charstring ({'stated' if outline.has_width else 'the default'})" + (f", {metrics.advance} by hmtx" if metrics else ""))
    if vertical:
        print(f"  vertical    advance {vertical.advance}, top bearing {vertical.bearing}, origin {face.vertical_origin(gid)}")
    contours = sum(segment[0] == "M" for segment in outline.path)
    print(f"  outline     {contours} contours, {sum(segment[0] != 'Z' for segment in outline.path)} segments")
    print(f"  cost        {outline.steps} operators, {outline.depth} on the stack, {outline.height} nested calls, {outline.hints} stem hints")
    for name in faults.flag_names(outline.flags):
        print(f"  note        {name}")
    for segment in outline.path:
        print("  " + " ".join(str(value) for value in segment))


def _drawn(face: Face, gid: int, options: argparse.Namespace) -> bytes:
    from tanken.font import drawing
    from tanken.isa.charstring.machine import Machine

    machine = Machine(face.lazy_program(), gid)
    for _ in machine.run():
        pass
    metrics = face.horizontal(gid)
    advance = metrics.advance if metrics else face.units_per_em
    shown = drawing.picture(machine, f"{face.glyph_name(gid)}, glyph {gid} of {face.name}", advance, *face.extent, not options.bare)
    size = round(options.size) or 600
    if not 1 <= size <= 8192:
        raise UsageError(f"--size {size}", wanted="1 to 8192 pixels")
    return drawing.svg(shown, size).encode() if _is_svg(options.output) else drawing.png(shown, size)


def _is_svg(path: str) -> bool:
    if path.endswith(".svg") or path == "-":
        return True
    if path.endswith(".png"):
        return False
    raise UsageError(f"-o {path}", wanted="a name that ends in .svg or .png, or - for SVG")


def _all(face: Face, options: argparse.Namespace) -> int:
    from tanken.font.outlines import Executor, one

    tell = progress.to(sys.stderr) if sys.stderr.isatty() and not sys.stdout.isatty() else progress.silent
    if not options.json:
        raise UsageError("--all-glyphs without --json", wanted="both", where=face.name)
    faults = 0
    if len(face.cff) < 64:
        rows: Iterator[Outline] = (one(face.lazy_program(), gid) for gid in range(len(face.cff)))
    else:
        rows = (run[i] for run in Executor(face.program()).chunks(progress=tell) for i in range(len(run)))
    for outline in rows:
        faults += outline.fault != 0
        sys.stdout.write(json_line(record(face, outline)) + "\n")
    if faults:
        raise InputError(f"{faults} of {len(face.cff)} glyphs end in a fault", where=face.name, hint="tanken check says which and why")
    return 0


# -- text


def _text(face: Face, options: argparse.Namespace) -> int:
    from tanken.font import specimen

    if not options.text:
        raise UsageError("--text without a character", wanted="at least one")
    features = [name for name in options.features.split(",") if name]
    line = specimen.shape(face, options.text, options.vertical, features, options.language, options.script)
    size = options.size or 48
    if not 1 <= size <= 4096:
        raise UsageError(f"--size {size:g}", wanted="1 to 4096 pixels")
    if options.output:
        shown = specimen.svg(face, line, size, options.text).encode() if _is_svg(options.output) else specimen.png(face, line, size)
        fonts.write(options.output, shown)
        if not options.json:
            return 0
    if options.json:
        for placed in line.glyphs:
            print(placed.to_json())
        return 0
    for substitution in line.substitutions:
        before, after = (" ".join(face.glyph_name(gid) for gid in side) for side in (substitution.before, substitution.after))
        print(f"{substitution.feature:<5} lookup {substitution.lookup:<3} {substitution.kind:<9} {before} -> {after}")
    for placed in line.glyphs:
        codes = " ".join(f"U+{ord(character):04X}" for character in placed.character)
        print(f"{placed.character}  {codes:<8} glyph {placed.gid:<6} {placed.name:<16} at {placed.x:g},{placed.y:g} advance {placed.advance:g}")
    print(f"{len(line.glyphs)} glyphs, {line.length:g} font units {'down' if line.vertical else 'across'}; -o FILE.png or FILE.svg draws it")
    return 0


# -- the whole font


def _mapping(face: Face, options: argparse.Namespace) -> int:
    from tanken.font import mapping

    if options.glyph is None:
        for one, to in face.cmap.best.items(len(face.cff)) if face.cmap.best else ():
            link = mapping.Link("cmap", mapping.character(one), mapping.named(face, to))
            print(link.to_json() if options.json else f"{link.before:<10} {link.after}")
        return 0
    glyph = fonts.glyph_of(face, options, "show")
    code = int(options.glyph[2:], 16) if options.glyph[:2].upper() == "U+" and "/" not in options.glyph else ord(options.glyph) if len(options.glyph) == 1 else None
    groups = [("what leads to glyph " + mapping.named(face, glyph), mapping.backward(face, glyph))]
    groups.append((f"what becomes of {mapping.character(code)}", mapping.forward(face, code)) if code is not None else
                  (f"what becomes of glyph {mapping.named(face, glyph)}", mapping.substituted(face, glyph)))  # fmt: skip
    for title, links in groups:
        if not options.json:
            print(title)
        found = False
        for link in links:
            found = True
            print(json_line({"direction": title.split()[1], "link": link}) if options.json else f"  {link.how:<28} {link.before} -> {link.after}")
        if not found and not options.json:
            print("  nothing")
    return 0


def _coverage(face: Face, options: argparse.Namespace) -> int:
    from tanken.font import coverage

    report = coverage.report(face)
    print(report.to_json() if options.json else "\n".join(coverage.lines(face, report)))
    return 0


def _summary(face: Face, json: bool) -> int:
    from tanken.font import summary

    facts = summary.facts(face)
    if json:
        print(json_line(facts))
        return 0
    for name, value in facts.items():
        text = " ".join(str(one) for one in value) if isinstance(value, list | tuple) else str(value)
        print(f"{name:<12} {text}")
    return 0
