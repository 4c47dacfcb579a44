"""Drawing by area coverage: bitmaps of many glyphs at once, and a canvas that paths of any kind are filled on, as PNG.

The filling is `area`, compiled for many glyphs and plain for one; PNG: ISO/IEC 15948.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tanken.base import native
from tanken.base.errors import UsageError
from tanken.font import area, letters
from tanken.font.outlines import Outlines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AREA = "tanken.font.area"
MAX_PIXELS = 1 << 26
Colour = tuple[int, int, int]
INDEX = {"M": 0, "L": 1, "C": 2, "Z": 3}


@dataclass(frozen=True)
class Bitmaps:
    """Coverage of glyphs: `boxes` has left, top, width, height (pixels, y downwards from the baseline) and the place in `pixels` of each."""

    boxes: NDArray[np.int64]
    pixels: NDArray[np.uint8]

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """The coverage of one glyph, shape (height, width)."""
        _, _, width, height, at = self.boxes[i].tolist()
        return self.pixels[at : at + width * height].reshape(height, width)


class Rasteriser:
    """Fills runs of outlines at `size` pixels an em of `units` font units; its arrays are used again by the next run."""

    def __init__(self, size: float, units: int) -> None:
        import numpy as np

        compiled = native.twin(AREA)
        self._many = compiled.many if compiled else area.many
        self.scale = size / units / 65536
        self.pixels = np.empty(1 << 20, np.uint8)
        self.acc = np.zeros(1 << 14, np.float32)

    def fill(self, run: Outlines) -> Bitmaps:
        """The bitmaps of a run; raises UsageError when a glyph is larger than any bitmap may be."""
        import numpy as np

        boxes = np.zeros((len(run), 5), np.int64)
        done = 0
        while done < len(run):
            now = self._many(run.ops, run.xy, run.glyphs.reshape(-1), done, len(run), self.scale, boxes.reshape(-1), self.pixels, self.acc)
            if now == done or now < len(run):
                self._larger()
            done = now
        return Bitmaps(boxes, self.pixels)

    def _larger(self) -> None:
        import numpy as np

        if len(self.acc) >= MAX_PIXELS and len(self.pixels) >= 4 * MAX_PIXELS:
            raise UsageError("a glyph that does not fit", wanted=f"at most {MAX_PIXELS} pixels", hint="choose a smaller size")
        larger = np.empty(min(2 * len(self.pixels), 4 * MAX_PIXELS), np.uint8)
        larger[: len(self.pixels)] = self.pixels
        self.pixels, self.acc = larger, np.zeros(min(2 * len(self.acc), MAX_PIXELS), np.float32)


class Canvas:
    """A picture of `width` times `height` pixels in red, green and blue, white at first. Raises UsageError when it is too large."""

    def __init__(self, width: int, height: int, paper: Colour = (255, 255, 255)) -> None:
        import numpy as np

        if not (0 < width and 0 < height and width * height <= MAX_PIXELS):
            raise UsageError(f"a picture of {width} times {height} pixels", wanted=f"1 to {MAX_PIXELS} pixels", hint="choose another --size")
        self.width, self.height = width, height
        self.pixels = np.empty((height, width, 3), np.uint8)
        self.pixels[:] = paper

    def fill(self, path: Sequence[tuple[Any, ...]], colour: Colour, scale: float = 1.0, x: float = 0.0, y: float = 0.0, strength: float = 1.0) -> None:
        """Fills a path (M, L, C, Z; y upwards) with its origin at pixel `x`, `y`; parts outside of the picture are cut off."""
        import numpy as np

        ops = [INDEX[segment[0]] for segment in path]
        xy = [round(value * 65536) for segment in path for value in segment[1:]]
        left, top, width, height = area.box(xy, 0, len(xy), scale / 65536, x, y)
        if left >= self.width or top >= self.height or left + width <= 0 or top + height <= 0:
            return
        if width * height > MAX_PIXELS:
            raise UsageError(f"a shape of {width} times {height} pixels", wanted=f"at most {MAX_PIXELS}", hint="choose a smaller --size")
        compiled = native.twin(AREA) if len(ops) > 20_000 else None
        module: Any = compiled or area
        acc: Any = [0.0] * ((width + 2) * height + 2)
        out: Any = [0] * (width * height)
        if compiled:
            acc, out, ops, xy = np.asarray(acc, np.float32), np.asarray(out, np.uint8), np.asarray(ops, np.uint8), np.asarray(xy, np.int64)  # type: ignore[assignment]
        module.trace(acc, width + 2, height, ops, 0, len(ops), xy, 0, scale / 65536, x - left, y - top)
        module.settle(acc, width, height, out, 0)
        self.blend(np.asarray(out, np.uint8).reshape(height, width), left, top, colour, strength)

    def blend(self, coverage: NDArray[np.uint8], left: int, top: int, colour: Colour, strength: float = 1.0) -> None:
        """Lays `colour` over the picture as strongly as `coverage` (shape height, width) says."""
        import numpy as np

        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + coverage.shape[1], self.width), min(top + coverage.shape[0], self.height)
        if x0 >= x1 or y0 >= y1:
            return
        part = coverage[y0 - top : y1 - top, x0 - left : x1 - left, None].astype(np.float32) * (strength / 255)
        below = self.pixels[y0:y1, x0:x1].astype(np.float32)
        self.pixels[y0:y1, x0:x1] = np.rint(below + (np.asarray(colour, np.float32) - below) * part)

    def write(self, text: str, left: int, top: int, colour: Colour, size: int = 2) -> None:
        """Writes a legend, each point of its letters a square of `size` pixels."""
        for x, y in letters.points(text):
            self.pixels[top + y * size : top + (y + 1) * size, left + x * size : left + (x + 1) * size] = colour

    def png(self) -> bytes:
        """The picture as a PNG file."""
        return png(self.pixels.tobytes(), self.width, self.height, 3)


def png(pixels: bytes, width: int, height: int, channels: int) -> bytes:
    """A PNG file of 8 bits a channel; `channels` is 1 (grey) or 3 (red, green, blue)."""
    row = width * channels
    lines = b"".join(b"\0" + pixels[i * row : (i + 1) * row] for i in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
