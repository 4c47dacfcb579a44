"""A glyph drawn large: filled, with its control points, its stem hints, and each piece in the colour of the subroutine that drew it.

SVG 1.1 and PNG from one list of shapes; the PNG is filled by `raster`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from math import hypot
from typing import TYPE_CHECKING, Any

from tanken.font.outlines import number
from tanken.isa.charstring.machine import Machine

if TYPE_CHECKING:
    from tanken.font.raster import Colour

Path = list[tuple[Any, ...]]
INK, PAPER, FILL = (20, 20, 20), (255, 255, 255), (222, 226, 232)
HINT, LEVER, AXIS = (90, 170, 110), (150, 150, 160), (190, 190, 200)
# of the glyph's own charstring, and of subroutines in the order of their first use
PALETTE = ((20, 20, 20), (214, 69, 65), (31, 119, 180), (44, 140, 60), (148, 80, 190), (230, 126, 34), (0, 150, 150), (190, 60, 130), (120, 100, 20))


@dataclass
class Shape:
    """A path in font units, filled or drawn as a line of `width` pixels."""

    path: Path
    colour: Colour
    width: float = 0.0
    strength: float = 1.0


@dataclass
class Picture:
    """Shapes in order, the box in font units that they stand in, and the names of colours."""

    shapes: list[Shape]
    box: tuple[float, float, float, float]
    title: str
    legend: list[tuple[str, Colour]] = field(default_factory=list)


def units(path: Path) -> Path:
    """A path of the machine, 16.16, in font units."""
    return [(segment[0], *map(number, segment[1:])) for segment in path]


def pieces(path: Path, colours: list[str]) -> Iterator[tuple[str, Path]]:
    """Each segment as a path of its own, with the body that drew it."""
    here = start = (0.0, 0.0)
    for segment, colour in zip(path, colours, strict=True):
        if segment[0] == "M":
            here = start = segment[1:]
            continue
        if segment[0] == "Z":
            if here != start:
                yield colour, [("M", *here), ("L", *start)]
            continue
        yield colour, [("M", *here), segment]
        here = segment[-2:]


def picture(machine: Machine, title: str, advance: float, ascender: float, descender: float, overlay: bool = True) -> Picture:
    """The picture of a glyph that `machine` has run; without `overlay` it is only filled, in black."""
    path = units(machine.path)
    points = [(segment[i], segment[i + 1]) for segment in path for i in range(1, len(segment) - 1, 2)]
    xs, ys = [0.0, advance, *(x for x, _ in points)], [descender, ascender, *(y for _, y in points)]
    margin = max(max(xs) - min(xs), max(ys) - min(ys), 1) * 0.06
    box = (min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin)
    if not overlay:
        return Picture([Shape(path, INK)], box, title)
    shapes = [Shape(_line(box[0], y, box[2], y), AXIS, 1) for y in (0, ascender, descender)]
    shapes += [Shape(_line(x, box[1], x, box[3]), AXIS, 1) for x in (0, advance)]
    for kind, low, high in machine.stem_list:
        a, b = sorted((number(low), number(high)))
        shapes.append(Shape(_rectangle(box[0], a, box[2], b) if kind == "h" else _rectangle(a, box[1], b, box[3]), HINT, 0, 0.18))
    shapes.append(Shape(path, FILL))
    names = list(dict.fromkeys(machine.colours))
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
    for name, piece in pieces(path, machine.colours):
        shapes.append(Shape(piece, colours[name], 2.2))
        if piece[1][0] == "C":
            (_, x0, y0), (_, x1, y1, x2, y2, x3, y3) = piece
            shapes += [Shape(_line(x0, y0, x1, y1), LEVER, 1), Shape(_line(x2, y2, x3, y3), LEVER, 1)]
            shapes += [Shape([("M", x, y)], LEVER, 5) for x, y in ((x1, y1), (x2, y2))]
        shapes.append(Shape([("M", *piece[1][-2:])], colours[name], 7))
    legend = [(name, colours[name]) for name in names]
    legend += [("control point", LEVER)] if any(segment[0] == "C" for segment in path) else []
    legend += [("stem hint", HINT)] if machine.stem_list else []
    return Picture(shapes, box, title, legend)


def _line(x0: float, y0: float, x1: float, y1: float) -> Path:
    return [("M", x0, y0), ("L", x1, y1)]


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> Path:
    return [("M", x0, y0), ("L", x1, y0), ("L", x1, y1), ("L", x0, y1), ("Z",)]


def path_data(path: Path, scale: float = 1.0, x: float = 0.0, y: float = 0.0) -> str:
    """The `d` of an SVG path; y turned downwards."""
    out = []
    for segment in path:
        values = (f"{x + value * scale:.6g}" if i % 2 == 0 else f"{y - value * scale:.6g}" for i, value in enumerate(segment[1:]))
        out.append(segment[0] + " ".join(values))
    return "".join(out)


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()


def svg(shown: Picture, size: int) -> str:
    """The picture as SVG, `size` pixels on its longer side."""
    left, bottom, right, top = shown.box
    scale = size / max(right - left, top - bottom)
    width, height = round((right - left) * scale), round((top - bottom) * scale)
    x, y = -left * scale, top * scale
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">', f"<title>{escape(shown.title)}</title>",
           f'<rect width="{width}" height="{height}" fill="{_hex(PAPER)}"/>']  # fmt: skip
    for shape in shown.shapes:
        if len(shape.path) == 1 and shape.width:
            _, px, py = shape.path[0]
            out.append(f'<circle cx="{x + px * scale:.6g}" cy="{y - py * scale:.6g}" r="{shape.width / 2:g}" fill="{_hex(shape.colour)}"/>')
        elif shape.width:
            out.append(f'<path d="{path_data(shape.path, scale, x, y)}" fill="none" stroke="{_hex(shape.colour)}" stroke-width="{shape.width:g}"/>')
        else:
            out.append(f'<path d="{path_data(shape.path, scale, x, y)}" fill="{_hex(shape.colour)}" fill-opacity="{shape.strength:g}"/>')
    for i, (name, colour) in enumerate(shown.legend):
        out.append(f'<rect x="6" y="{6 + 18 * i}" width="14" height="14" fill="{_hex(colour)}"/>')
        out.append(f'<text x="26" y="{18 + 18 * i}" font-family="monospace" font-size="12" fill="{_hex(colour)}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>", ""])


def png(shown: Picture, size: int) -> bytes:
    """The picture as PNG, `size` pixels on its longer side."""
    from tanken.font.raster import Canvas

    left, bottom, right, top = shown.box
    scale = size / max(right - left, top - bottom)
    canvas = Canvas(max(round((right - left) * scale), 1), max(round((top - bottom) * scale), 1), PAPER)
    x, y = -left * scale, top * scale
    for shape in shown.shapes:
        path = shape.path
        if len(path) == 1 and shape.width:
            _, px, py = path[0]
            half = shape.width / 2 / scale
            path = _rectangle(px - half, py - half, px + half, py + half)
        elif shape.width:
            path = stroke(path, shape.width / scale, scale)
        if path:
            canvas.fill(path, shape.colour, scale, x, y, shape.strength)
    for i, (name, colour) in enumerate(shown.legend):
        canvas.pixels[6 + 18 * i : 20 + 18 * i, 6:20] = colour
        canvas.write(name, 26, 6 + 18 * i, colour)
    return canvas.png()


def stroke(path: Path, width: float, scale: float) -> Path:
    """The outline of a line along `path` (one M, then L or C), in font units: a rectangle for each chord, all of one direction."""
    chords: list[tuple[float, float]] = []
    for segment in path:
        if segment[0] == "C":
            x0, y0 = chords[-1]
            x1, y1, x2, y2, x3, y3 = segment[1:]
            count = max(4, min(64, int(hypot(x3 - x0, y3 - y0) * scale / 6)))
            for i in range(1, count + 1):
                t = i / count
                a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                chords.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
        else:
            chords.append(segment[1:3])
    out: Path = []
    for (x0, y0), (x1, y1) in zip(chords, chords[1:], strict=False):
        length = hypot(x1 - x0, y1 - y0)
        if length:
            nx, ny = (y1 - y0) / length * width / 2, (x0 - x1) / length * width / 2
            out += [("M", x0 + nx, y0 + ny), ("L", x1 + nx, y1 + ny), ("L", x1 - nx, y1 - ny), ("L", x0 - nx, y0 - ny), ("Z",)]
    return out
