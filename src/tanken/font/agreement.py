"""The tables that say the same thing twice: where CFF and the tables of OpenType disagree, who reads which, what a PDF would show.

OpenType Specification 1.9.1, recommendations and CFF; Adobe Technical Note 5176; PDF 32000-1, 9.6 to 9.8 for what an embedded CFF is used for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tanken.font.cff import Cff
from tanken.font.face import Face
from tanken.font.problems import ERROR, NOTE, WARNING, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTHS = "CFF: PDF viewers, Acrobat, CoreText; hmtx: FreeType, HarfBuzz, DirectWrite, browsers"
WEIGHTS = {"thin": 100, "hairline": 100, "extralight": 200, "ultralight": 200, "light": 300, "book": 400, "regular": 400, "normal": 400, "roman": 400, "medium": 500,
           "demi": 600, "demibold": 600, "semibold": 600, "bold": 700, "extrabold": 800, "ultrabold": 800, "black": 900, "heavy": 900}  # fmt: skip
BOXES = "CFF: FontBBox of PDF descriptors; head: layout engines, clipping; hhea and OS/2: line spacing"


@dataclass(frozen=True)
class Measured:
    """What running the glyphs gave: widths (font units) and the box of each glyph's points, NaN where a glyph was not run."""

    widths: NDArray[np.float64]
    boxes: NDArray[np.float64]


def problems(face: Face, measured: Measured) -> Iterator[Problem]:
    """All disagreements of a face."""
    if face.file.bare:
        return
    for check in (_counts, _matrix, _names, _weight, _encoding, _pitch, _underline, _references, _vertical):
        yield from check(face)
    yield from _widths(face, measured)
    yield from _boxes(face, measured)


def _counts(face: Face) -> Iterator[Problem]:
    glyphs, maxp, metrics = len(face.cff), face.maxp, face.hhea.get("numberOfMetrics", 0)
    who = "CFF: the rasteriser; maxp: everybody who asks for a glyph: outside of the smaller one is a read out of bounds"
    if not maxp or maxp["numGlyphs"] != glyphs:
        yield Problem("glyph-count", ERROR, f"CFF has {glyphs} glyphs, maxp {maxp.get('numGlyphs', 'is missing')}", readers=who)
    if face.hhea and not 0 < metrics <= glyphs:
        yield Problem("metric-count", ERROR, f"hhea has {metrics} metrics for {glyphs} glyphs", readers="hhea: everybody who asks for a width")
    if metrics and len(face.table("hmtx")) < 4 * metrics + 2 * (glyphs - metrics):
        yield Problem("hmtx-short", ERROR, f"hmtx has {len(face.table('hmtx'))} bytes, {4 * metrics + 2 * max(glyphs - metrics, 0)} are needed",
                      readers="hmtx: everybody who asks for a width; a reader that does not look leaves the table")  # fmt: skip


def matrices(cff: Cff) -> list[float]:
    """The horizontal scale of each font DICT: that of the Top DICT, times its own where both have one (5176, table 10 and section 19)."""
    top = cff.top.values.get("FontMatrix")
    scales = []
    for fd in cff.fds:
        own = fd.dict.values.get("FontMatrix") if fd.dict is not cff.top else None
        parts = [float(matrix[0]) for matrix in (top, own) if matrix]
        scales.append(parts[0] * parts[1] if len(parts) == 2 else parts[0] if parts else 0.001)
    return scales


def _matrix(face: Face) -> Iterator[Problem]:
    em = face.head.get("unitsPerEm", 0)
    if face.head and (not 16 <= em <= 16384):
        yield Problem("units", ERROR, f"head has {em} units an em, 16 to 16384 are allowed", readers="layout engines divide by it")
        return
    for number, scale in enumerate(matrices(face.cff)):
        if em and abs(scale * em - 1) > 1e-3:
            where = f" of font DICT {number}" if len(face.cff.fds) > 1 else ""
            yield Problem("matrix", ERROR, f"FontMatrix {scale:g}{where} means {1 / scale if scale else 0:g} units an em, head says {em}",
                          readers="CFF: PDF; head: layout engines; FreeType joins both")  # fmt: skip
            return


def _weight(face: Face) -> Iterator[Problem]:
    """The Weight of a CFF is a word; OS/2 has a number."""
    sid = face.cff.top.values.get("Weight")
    word = face.cff.string(int(sid[-1])).lower().replace(" ", "").replace("-", "") if sid else ""
    wanted = WEIGHTS.get(word)
    if wanted and face.os2 and abs(wanted - face.os2["usWeightClass"]) > 100:
        yield Problem("weight", NOTE, f"the weight is {word!r} in CFF, about {wanted}, and {face.os2['usWeightClass']} in OS/2",
                      readers="CFF: printers; OS/2: font lists, CSS")  # fmt: skip


def _encoding(face: Face) -> Iterator[Problem]:
    """Codes of StandardEncoding against the cmap, letters and digits of ASCII."""
    cff = face.cff
    if cff.is_cff2 or cff.is_cid or cff.top.number("Encoding") != 0 or face.cmap.best is None:
        return
    wrong = [code for code, gid in cff.encoding.items() if chr(code).isalnum() and code < 128 and face.cmap.glyph(code) not in (0, gid)]
    if wrong:
        code = wrong[0]
        text = f"code {code:#x} is glyph {cff.encoding[code]} by StandardEncoding, cmap sends U+{code:04X} to glyph {face.cmap.glyph(code)}"
        yield Problem("encoding-cmap", WARNING, text + (f", and {len(wrong) - 1} codes more so" if len(wrong) > 1 else ""),
                      readers="CFF: simple fonts of a PDF, seac; cmap: everybody else")  # fmt: skip


def _names(face: Face) -> Iterator[Problem]:
    cff, name = face.cff, face.names.get(6)
    own = cff.names[0].decode("latin-1") if len(cff.names) else ""
    if own and name and own != name:
        shared = len(face.file.faces) > 1
        yield Problem("name", NOTE if shared else WARNING, f"CFF is named {own}, name ID 6 says {name}" + (": a collection's faces share the CFF" if shared else ""),
                      readers="CFF: BaseFont of a PDF; name: systems that install fonts")  # fmt: skip
    if any(not 33 <= ord(letter) <= 126 or letter in "[](){}<>/%" for letter in own):
        yield Problem("name-letters", WARNING, f"the CFF name {own!r} has letters that PostScript names may not have", readers="PDF and PostScript names")


def _pitch(face: Face) -> Iterator[Problem]:
    top, post = face.cff.top, face.post
    if not post or face.cff.is_cff2:
        return
    if bool(top.number("isFixedPitch")) != bool(post["isFixedPitch"]):
        yield Problem("fixed-pitch", WARNING, f"isFixedPitch is {int(top.number('isFixedPitch'))} in CFF and {post['isFixedPitch']} in post",
                      readers="CFF: printers; post: terminals, font lists")  # fmt: skip
    if abs(top.number("ItalicAngle") - post["italicAngle"]) > 0.01:
        yield Problem("italic-angle", WARNING, f"ItalicAngle is {top.number('ItalicAngle'):g} in CFF and {post['italicAngle']:g} in post",
                      readers="CFF: PDF descriptors; post: layout")  # fmt: skip


def _underline(face: Face) -> Iterator[Problem]:
    """CFF places an underline by its middle, post by its upper edge: they agree half a thickness apart."""
    top, post = face.cff.top, face.post
    if not post or face.cff.is_cff2 or "UnderlinePosition" not in top.values:
        return
    middle, thick = float(top.number("UnderlinePosition")), float(top.number("UnderlineThickness"))
    upper = post["underlinePosition"]
    who = "CFF: printers; post: layout engines"
    if abs(thick - post["underlineThickness"]) > 1:
        yield Problem("underline-thickness", NOTE, f"an underline is {thick:g} thick in CFF and {post['underlineThickness']} in post", readers=who)
    if abs(middle + thick / 2 - upper) > 1:
        copied = " (the number was copied: CFF means the middle, post the upper edge)" if abs(middle - upper) <= 1 else ""
        yield Problem("underline-position", NOTE, f"the upper edge of an underline is at {middle + thick / 2:g} by CFF and at {upper} by post{copied}", readers=who)


def _references(face: Face) -> Iterator[Problem]:
    """Glyph numbers behind the last glyph."""
    count = len(face.cff)
    best = face.cmap.best
    wrong = [run for run in best.runs if run.glyph + (0 if run.same else run.last - run.first) >= count] if best else []
    if wrong:
        code = wrong[0].first if wrong[0].same else max(wrong[0].first, wrong[0].first + count - wrong[0].glyph)
        gid = wrong[0].glyph + (0 if wrong[0].same else code - wrong[0].first)
        yield Problem("cmap-glyph", ERROR, f"cmap sends U+{code:04X} to glyph {gid} of {count}, and {len(wrong) - 1} runs of characters more so",
                      readers="an engine that does not look reads out of bounds")  # fmt: skip
    if face.table("GSUB"):
        for edge in face.gsub.edges():
            if max((*edge.before, *edge.after), default=0) >= count:
                yield Problem("gsub-glyph", ERROR, f"GSUB lookup {edge.lookup} ({edge.feature}) has glyph {max(*edge.before, *edge.after)} of {count}")
                break


def _vertical(face: Face) -> Iterator[Problem]:
    has = {tag for tag in ("vhea", "vmtx") if face.table(tag)}
    if len(has) == 1:
        yield Problem("vertical", WARNING, f"{min(has)} without {({'vhea', 'vmtx'} - has).pop()}: both or neither")
    vertical = {"vert", "vrt2"} & {name for name, _ in face.gsub.features} if face.table("GSUB") else set[str]()
    if vertical and not has:
        yield Problem("vertical", NOTE, "GSUB has vertical forms, but there are no vertical metrics: engines make them up, each in its way")


def advances_of(face: Face) -> NDArray[np.float64]:
    """The advance of every glyph by hmtx; glyphs behind its end have 0."""
    import numpy as np

    table, count, glyphs = face.table("hmtx"), face.hhea.get("numberOfMetrics", 0), len(face.cff)
    own = np.frombuffer(table[: 4 * min(count, len(table) // 4)], ">u2")[::2].astype(np.float64)[:glyphs]
    if not len(own):
        return np.zeros(glyphs)
    return np.concatenate([own, np.full(glyphs - len(own), own[-1] if len(own) == count else 0)])


def _widths(face: Face, measured: Measured) -> Iterator[Problem]:
    import numpy as np

    if face.cff.is_cff2 or not face.table("hmtx"):
        return
    advances = advances_of(face)
    with np.errstate(invalid="ignore"):
        different = np.flatnonzero(np.abs(measured.widths - advances) > 1)
    if len(different):
        gid = int(different[0])
        span = face.cff.charstrings.span(gid)
        yield Problem("width", WARNING, f"{len(different)} glyphs have another width in CFF than in hmtx: {measured.widths[gid]:g} and {advances[gid]:g}",
                      face.cff.origin + span[0], gid, face.glyph_name(gid), readers=WIDTHS)  # fmt: skip


def _boxes(face: Face, measured: Measured) -> Iterator[Problem]:
    import numpy as np

    boxes = measured.boxes[~np.isnan(measured.boxes[:, 0])] if len(measured.boxes) else measured.boxes
    real = [*boxes[:, :2].min(0), *boxes[:, 2:].max(0)] if len(boxes) else None
    head = [face.head[name] for name in ("xMin", "yMin", "xMax", "yMax")] if face.head else None
    own = face.cff.top.values.get("FontBBox")
    if real is None:
        return
    for name, box, level in (("head", head, WARNING), ("FontBBox", own, NOTE)):
        if box and len(box) == 4 and (box[0] > real[0] + 1 or box[1] > real[1] + 1 or box[2] < real[2] - 1 or box[3] < real[3] - 1):
            yield Problem("box", level, f"points on the curves reach {_box(real)}, {name} says {_box(list(box))}", readers=BOXES)
    if head and own and len(own) == 4 and any(abs(a - b) > 1 for a, b in zip(head, own, strict=True)):
        yield Problem("boxes-differ", NOTE, f"FontBBox {_box(list(own))} and head {_box(head)} differ", readers=BOXES)


def _box(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def in_pdf(face: Face, measured: Measured | None = None) -> Iterator[str]:
    """What a reader of a PDF that embeds only the CFF part has, and what it has no longer."""
    cff = face.cff
    if cff.is_cff2:
        yield "a PDF cannot embed CFF2: the font must be made an instance first"
        return
    own = cff.names[0].decode("latin-1", "replace") if len(cff.names) else "(no name)"
    other = face.names.get(6)
    yield f"named {own}" + (f", not {other}" if other and other != own else "")
    how = "by CID, through a CMap of the PDF" if cff.is_cid else f"by its own encoding: {len(cff.encoding)} of {len(cff) - 1} glyphs have a code" if not cff.is_cid else ""
    yield f"glyphs are reached {how}; the font's characters (cmap) are gone: search and copy need a ToUnicode map"
    scales = sorted({f"{scale * 1000:g}" for scale in matrices(cff)})
    yield f"glyphs are drawn at {' and '.join(scales)} thousandths of an em a unit, by FontMatrix"
    if measured is not None and face.table("hmtx"):
        import numpy as np

        advances = advances_of(face)
        with np.errstate(invalid="ignore"):
            changed = int((np.abs(measured.widths - advances) > 1).sum())
        yield f"widths are those of the charstrings: {changed} of {len(cff)} differ from hmtx"
    tables = (("GSUB", "substitutions"), ("GPOS", "kerning"), ("vmtx", "vertical metrics"), ("VORG", "vertical origins"))
    gone = [f"{word} ({tag})" for tag, word in tables if face.table(tag)]
    if gone:
        yield f"gone, to be applied before: {', '.join(gone)}"

