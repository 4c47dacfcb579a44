"""Every glyph's path against FreeType's unscaled outline, for all CFF fonts of this machine: points, kinds of points, contours.

`python -m tests.oracle.outlines [PATTERN]`; the result is one line a font and a sum, and the status is 1 where a glyph differs.

Accepted, since both say the same line: FreeType leaves out lines of no length and a last point that lies on the first one, and
contours of one point; so do we before comparing. FreeType's unscaled points are whole numbers, a fraction is cut as it cuts it.
"""

from __future__ import annotations

import ctypes
import sys
import time

import freetype
import numpy as np

from tanken.font import outlines, program
from tanken.font.cff import Cff
from tanken.isa.charstring.results import CURVE, FAULT, LINE, MOVE, OPS_END, XY_END
from tests.oracle import fonts

LOAD = freetype.FT_LOAD_NO_SCALE | freetype.FT_LOAD_NO_BITMAP
Points = tuple["np.ndarray", "np.ndarray", "np.ndarray"]  # x and y, whether on the curve, glyph and contour


def normal(points: np.ndarray, on: np.ndarray, contour: np.ndarray, line: np.ndarray) -> Points:
    """Without lines of no length, closing points on the first, and contours of one point."""
    keep = np.ones(len(points), bool)
    keep[1:] = ~(line[1:] & (points[1:] == points[:-1]).all(1) & (contour[1:] == contour[:-1]))
    points, on, contour = points[keep], on[keep], contour[keep]
    if len(points):
        first = np.flatnonzero(np.r_[True, contour[1:] != contour[:-1]])
        last = np.r_[first[1:] - 1, len(points) - 1]
        closing = (points[first] == points[last]).all(1) & on[last] & (first != last)
        keep = np.ones(len(points), bool)
        keep[last[closing]] = False
        points, on, contour = points[keep], on[keep], contour[keep]
        sizes = np.bincount(contour, minlength=int(contour[-1]) + 1)
        keep = sizes[contour] > 1
        points, on, contour = points[keep], on[keep], contour[keep]
    return points, on, np.unique(contour, return_inverse=True)[1]


def ours(run: outlines.Outlines) -> tuple[Points, np.ndarray]:
    """Our points in FreeType's terms, and the glyph of each."""
    ops, points = run.ops, run.xy.reshape(-1, 2).astype(np.int64)
    counts = np.asarray([1, 1, 3, 0])[ops]
    ends = np.cumsum(counts)
    kind = np.repeat(ops, counts)
    on = np.ones(len(points), bool)
    curves = ends[ops == CURVE]
    on[curves - 3] = on[curves - 2] = False
    contour = np.repeat(np.cumsum(ops == MOVE), counts)
    whole = (points + 32 >> 6) >> 10
    xy_ends = run.glyphs[:, XY_END] // 2
    glyph = np.repeat(np.arange(len(run)), np.diff(xy_ends, prepend=0))
    x, on, contour = normal(whole, on, contour, kind == LINE)
    return (x, on, contour), glyph


def theirs(face: freetype.Face, first: int, last: int) -> Points:
    """FreeType's points."""
    xs, tags, contours, count = [], [], [], 0
    slot = face._FT_Face.contents.glyph
    for gid in range(first, last):
        error = freetype.raw.FT_Load_Glyph(face._FT_Face, gid, LOAD)
        if error:
            raise SystemExit(f"FreeType: error {error} at glyph {gid}")
        outline = slot.contents.outline
        n, m = outline.n_points, outline.n_contours
        if not n:
            continue
        xs.append(ctypes.string_at(outline.points, 16 * n))
        tags.append(ctypes.string_at(outline.tags, n))
        ends = np.frombuffer(ctypes.string_at(outline.contours, 2 * m), np.int16).astype(np.int64)
        contours.append(count + np.repeat(np.arange(m), np.diff(ends, prepend=-1)))
        count += m
    points = np.frombuffer(b"".join(xs), np.int64).reshape(-1, 2)
    on = np.frombuffer(b"".join(tags), np.uint8) & 3 == 1
    contour = np.concatenate(contours) if contours else np.zeros(0, np.int64)
    line = np.r_[False, on[1:] & on[:-1]] if len(on) else on
    return normal(points, on, contour, line)


def differing(run: outlines.Outlines, face: freetype.Face) -> list[int]:
    """The glyphs of a run that differ."""
    mine, glyph = ours(run)
    other = theirs(face, run.first, run.first + len(run))
    if all(a.shape == b.shape and (a == b).all() for a, b in zip(mine, other, strict=True)):
        return []
    if len(run) == 1:
        return [run.first]
    bad = []
    for i in range(len(run)):
        ops_from, xy_from = (run.glyphs[i - 1, [OPS_END, XY_END]]) if i else (0, 0)
        row = run.glyphs[i : i + 1].copy()
        ops, xy = run.ops[ops_from : row[0, OPS_END]], run.xy[xy_from : row[0, XY_END]]
        row[0, OPS_END] -= ops_from
        row[0, XY_END] -= xy_from
        bad += differing(outlines.Outlines(run.first + i, ops, xy, row), face)
    return bad


def main() -> int:
    glyphs, bad, tables = 0, 0, 0
    began = time.perf_counter()
    fonts.tell_missing()
    for path, index, table, origin in fonts.tables(sys.argv[1] if len(sys.argv) > 1 else "*"):
        cff = Cff(table, str(path), origin)
        executor = outlines.Executor(program.arrays(cff))
        face = freetype.Face(str(path), index)
        faults, wrong = 0, []
        for run in executor.chunks():
            faults += int((run.glyphs[:, FAULT] != 0).sum())
            wrong += differing(run, face)
        glyphs, bad, tables = glyphs + len(cff), bad + len(wrong) + faults, tables + 1
        print(f"{path.name}: {len(cff)} glyphs, {len(wrong)} differ {wrong[:5]}, {faults} faults", flush=True)
    print(f"{tables} CFF tables, {glyphs} glyphs compared with FreeType {'.'.join(map(str, freetype.version()))}, {bad} differ; {time.perf_counter() - began:.0f} s")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
