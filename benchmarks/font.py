"""Speed on a CFF font: outlines, filling and the proof, beside FreeType and fontTools; one process, one thread, CPU time, the best of several, warm.

`python -m benchmarks.font [FILE]`; the default is the first face of NotoSansCJK-Regular (Debian's fonts-noto-cjk). Rivals: FreeType by freetype-py
(bare load without scaling; rendering at 32 pixels), fontTools (RecordingPen, every 16th glyph).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import freetype
from fontTools.pens.recordingPen import RecordingPen
from fontTools.ttLib import TTFont

from tanken.font.face import FontFile
from tanken.font.outlines import Executor
from tanken.font.raster import Rasteriser
from tanken.font.verifier import Proof

FONT = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
SIZE = 32
RAW = freetype.FT_LOAD_NO_SCALE | freetype.FT_LOAD_NO_BITMAP
UNHINTED = freetype.FT_LOAD_RENDER | freetype.FT_LOAD_NO_HINTING


def best(run: Callable[[], object], times: int = 3) -> float:
    """Seconds of CPU time, the best of several after one that does not count."""
    run()
    seconds = []
    for _ in range(times):
        before = time.process_time()
        run()
        seconds.append(time.process_time() - before)
    return min(seconds)


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else FONT
    data = Path(path).read_bytes()
    face = FontFile(data, path).face()
    program, count = face.program(), len(face.cff)
    executor, filler = Executor(program), Rasteriser(SIZE, face.units_per_em)
    theirs = freetype.Face(path)
    glyphs = TTFont(path, fontNumber=0, lazy=True).getGlyphSet()
    some = list(glyphs.keys())[::16]

    def load(flags: int) -> None:
        for gid in range(count):
            theirs.load_glyph(gid, flags)

    def pens() -> None:
        for name in some:
            glyphs[name].draw(RecordingPen())

    ours = best(lambda: [len(run) for run in executor.chunks()], 5)
    bare, tools = best(lambda: load(RAW)), best(pens, 1) * count / len(some)
    theirs.set_pixel_sizes(0, SIZE)
    filled = best(lambda: [len(filler.fill(run).boxes) for run in executor.chunks()])
    unhinted, hinted = best(lambda: load(UNHINTED), 2), best(lambda: load(freetype.FT_LOAD_RENDER), 2)
    proved, parsed = best(lambda: Proof(program)), best(lambda: FontFile(data, path).face().program())
    print(f"{path}: {count} glyphs, {len(program.data)} bytes of CFF; FreeType {'.'.join(map(str, freetype.version()))}")
    rows = [("outlines: tanken", ours, ours), ("outlines: FreeType, bare load", bare, ours), ("outlines: fontTools (every 16th glyph)", tools, ours),
            (f"filling at {SIZE} px: tanken", filled, filled), ("filling: FreeType, no hinting", unhinted, filled), ("filling: FreeType, hinted", hinted, filled)]  # fmt: skip
    for name, seconds, base in rows:
        print(f"{name:40} {seconds:8.3f} s {count / seconds:12,.0f} glyphs/s {seconds / base:8.2f} x the time of tanken")
    print(f"{'reading the font, arrays of its program':40} {parsed:8.3f} s")
    print(f"{'verifying the whole font':40} {proved:8.3f} s {count / proved:12,.0f} glyphs/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
