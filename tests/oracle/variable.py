"""Instances of CFF2 fonts against FreeType: every glyph's outline, advances by HVAR, ascender and descender by MVAR, at several places.

`python -m tests.oracle.variable FOLDER [PLACES]`: all OpenType files below FOLDER that have CFF2 and axes (Debian has none; those of HarfBuzz's
own tests will do). The first place is the default one, the others are drawn.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import freetype

from tanken.base.errors import TankenError
from tanken.font import outlines
from tanken.font.face import Face, FontFile
from tanken.font.verifier import Proof
from tanken.isa.charstring.columns import ENDS, S_END
from tests.oracle.outlines import differing

RAW = freetype.FT_LOAD_NO_SCALE


def wrong(path: Path, face: Face, place: dict[str, float]) -> list[str]:
    """What differs at a place."""
    face.at(place)
    theirs = freetype.Face(str(path))
    theirs.set_var_design_coords([place[axis.tag] for axis in face.axes])
    run = outlines.Executor(face.program()).outlines(0, len(face.cff))
    found = [f"glyph {gid} has another outline" for gid in differing(run, theirs)]
    for gid in range(len(face.cff)):
        theirs.load_glyph(gid, RAW)
        metrics = face.horizontal(gid)
        if metrics is None or metrics.advance % 65536 != theirs.glyph.metrics.horiAdvance:  # FreeType keeps 16 bits
            found.append(f"glyph {gid}: advance {metrics.advance if metrics else 'missing'}, FreeType {theirs.glyph.metrics.horiAdvance}")
    if face.extent != (theirs.ascender, theirs.descender):
        found.append(f"extent {face.extent}, FreeType {theirs.ascender, theirs.descender}")
    return found


def main() -> int:
    rng, places = random.Random(0), int(sys.argv[2]) if len(sys.argv) > 2 else 6
    fonts = glyphs = bad = open_ = 0
    for path in sorted(Path(sys.argv[1]).rglob("*.otf")):
        try:
            face = FontFile(path.read_bytes(), str(path)).face()
            if not face.cff.is_cff2 or not face.axes:
                continue
        except TankenError:
            continue
        fonts += 1
        open_ += int((Proof(face.program()).glyphs[:, S_END] != ENDS).sum())
        for number in range(places):
            place = {axis.tag: round(rng.uniform(axis.least, axis.most), 2) if number else axis.default for axis in face.axes}
            found = wrong(path, face, place)
            glyphs, bad = glyphs + len(face.cff), bad + len(found)
            for line in found[:3]:
                print(f"{path.name} at {place}: {line}", flush=True)
    print(f"{fonts} fonts, {glyphs} glyphs at their places compared with FreeType {'.'.join(map(str, freetype.version()))}, {bad} differ, {open_} not proved to end")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
