"""Outlines: the bulk executor against FreeType's unscaled outlines, JSON, drawing, and filling against exact areas.

All glyphs of all fonts: `python -m tests.oracle.outlines`; here a font in plain Python and a part of one compiled.
"""

import zlib

import numpy as np
import pytest
from tests.parts.font import fonts

from tanken.font import area, drawing, outlines, program, raster, specimen
from tanken.font.builder import Recipe, cff
from tanken.font.cff import Cff
from tanken.isa.charstring.machine import Machine
from tanken.isa.charstring.text import assemble

freetype = pytest.importorskip("freetype", reason="no freetype-py to compare with")
from tests.oracle.outlines import differing  # noqa: E402


@pytest.mark.parametrize(("name", "first", "last"), [("lmroman10-regular", 0, 821), ("texgyretermes-regular", 0, 300), ("NotoSansCJK-Regular", 9000, 11000)])
def test_paths_equal_freetype(name: str, first: int, last: int) -> None:
    face = fonts.file(name).face()
    run = outlines.Executor(face.program()).outlines(first, last)
    assert not run.glyphs[:, outlines.FAULT].any()
    assert differing(run, freetype.Face(str(fonts.path(name)))) == []


def test_fractions_and_composites_equal_freetype(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from tanken.font.builder import opentype

    programs = ["endchar", "10 20 rmoveto 30 40 rlineto 0 -50.5 rlineto endchar", "5 5 rmoveto 9 hlineto 9 vlineto endchar", "100 200 65 66 endchar",
                "1.25 2.75 rmoveto 7 2 div 100 rlineto 3.3 1.1 mul 50 rlineto endchar"]  # fmt: skip
    table = cff(Recipe([assemble(one) for one in programs], names=["A", "B", "C", "D"]))
    path = tmp_path / "x.otf"
    path.write_bytes(opentype(table, [500] * 5, {65: 1}))
    run = outlines.Executor(program.arrays(Cff(table))).outlines(0, 5)
    assert differing(run, freetype.Face(str(path))) == []


def test_large_runs_grow_their_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    face = fonts.file("lmroman10-regular").face()
    made = face.program()
    plain = outlines.Executor(made).outlines(0, 200)
    monkeypatch.setattr(program, "SMALL", 0)
    executor = outlines.Executor(made)
    executor.buffers = executor._buffers(512)
    monkeypatch.setattr(executor, "_buffers", outlines.Executor._buffers.__get__(executor))
    small = outlines.Executor._buffers(executor, 512)
    executor.buffers = small
    run = executor.outlines(0, 200)
    assert (run.glyphs == plain.glyphs).all() and (run.xy == plain.xy).all() and (run.ops == plain.ops).all()


def square(size: float) -> list[tuple[object, ...]]:
    return [("M", 0.25, 0.5), ("L", size + 0.25, 0.5), ("L", size + 0.25, size + 0.5), ("L", 0.25, size + 0.5), ("Z",)]


def test_filling_a_square_is_exact() -> None:
    canvas = raster.Canvas(4, 4)
    canvas.fill(square(2), (0, 0, 0), 1.0, 0.0, 4.0)
    grey = 255 - canvas.pixels[:, :, 0].astype(int)
    across, down = np.asarray([0.75, 1, 0.25, 0]), np.asarray([0, 0.5, 1, 0.5])
    assert np.abs(grey - np.outer(down, across) * 255).max() <= 1


def test_filling_covers_what_small_pixels_cover() -> None:
    """Coverage of a pixel equals the mean of 16 times 16 pixels in it."""
    face = fonts.file("lmroman10-regular").face()
    run = outlines.Executor(face.program()).outlines(face.glyph("S"), face.glyph("S") + 1)
    coarse, fine = raster.Rasteriser(20, 1000).fill(run), raster.Rasteriser(320, 1000).fill(run)
    left, top, width, height, _ = coarse.boxes[0].tolist()
    fine_left, fine_top, fine_width, fine_height, _ = fine.boxes[0].tolist()
    big = np.zeros((height * 16, width * 16))
    y, x = fine_top - top * 16, fine_left - left * 16
    big[y : y + fine_height, x : x + fine_width] = fine[0]
    mean = big.reshape(height, 16, width, 16).mean((1, 3))
    assert np.abs(mean - coarse[0]).max() <= 4


def test_bitmaps_are_near_those_of_freetype() -> None:
    face = fonts.file("texgyretermes-regular").face()
    run = outlines.Executor(face.program()).outlines(0, 120)
    ours, theirs = raster.Rasteriser(32, 1000).fill(run), freetype.Face(str(fonts.path("texgyretermes-regular")))
    theirs.set_pixel_sizes(0, 32)
    total = count = 0
    for gid in range(120):
        theirs.load_glyph(gid, freetype.FT_LOAD_RENDER | freetype.FT_LOAD_NO_HINTING)
        bitmap, box = theirs.glyph.bitmap, ours.boxes[gid].tolist()
        a, b = np.zeros((100, 140)), np.zeros((100, 140))
        a[50 + box[1] : 50 + box[1] + box[3], 50 + box[0] : 50 + box[0] + box[2]] = ours[gid]
        if bitmap.rows:
            rows = np.asarray(bitmap.buffer, np.uint8).reshape(bitmap.rows, bitmap.pitch)[:, : bitmap.width]
            y, x = 50 - theirs.glyph.bitmap_top, 50 + theirs.glyph.bitmap_left
            b[y : y + bitmap.rows, x : x + bitmap.width] = rows
        total, count = total + np.abs(a - b)[(a > 0) | (b > 0)].sum(), count + ((a > 0) | (b > 0)).sum()
    assert total / count < 4  # of 255, over the pixels that either covers


def test_pictures() -> None:
    face = fonts.file("lmroman10-regular").face()
    machine = Machine(face.lazy_program(), face.glyph("A"))
    for _ in machine.run():
        pass
    shown = drawing.picture(machine, "A < B", 750, 800, -200)
    assert [name for name, _ in shown.legend][0].startswith("local") and len(shown.legend) > 1
    text = drawing.svg(shown, 300)
    assert text.startswith("<svg") and "A &lt; B" in text and text.count("<path") > 30 and "circle" in text
    data = drawing.png(shown, 300)
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and len(zlib.decompress(data[41:-16])) == (int.from_bytes(data[16:20], "big") * 3 + 1) * int.from_bytes(data[20:24], "big")


def test_specimen_places_glyphs() -> None:
    face = fonts.file("NotoSansCJK-Regular").face()
    across, down = specimen.shape(face, "日、"), specimen.shape(face, "日、", True)
    assert [placed.x for placed in across.glyphs] == [0, 1000] and across.length == 2000 and not across.substitutions
    assert [placed.y for placed in down.glyphs] == [-880, -1880] and down.substitutions[0].feature == "vert"
    assert specimen.shape(face, "葛\U000e0100").glyphs[0].gid != specimen.shape(face, "葛").glyphs[0].gid
    assert specimen.png(face, across, 24)[:4] == b"\x89PNG" and specimen.svg(face, down, 24).count("<use") == 2


def test_area_outside_of_a_canvas_is_cut() -> None:
    canvas = raster.Canvas(3, 3)
    canvas.fill(square(50), (0, 0, 0), 1.0, -20.0, 30.0)
    assert (canvas.pixels == 0).all()
    canvas.fill(square(5), (255, 0, 0), 1.0, 100.0, 0.0)
    assert (canvas.pixels == 0).all()
    assert area.box([], 0, 0, 1.0, 0.0, 0.0) == (0, 0, 0, 0)
