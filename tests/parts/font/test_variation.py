"""CFF2: variations by blend and vsindex against FreeType at several places of two axes, and the proof of them.

OpenType Specification 1.9.1, CFF2 CharString, fvar and item variation stores; the font is made here, byte by byte.
"""

import io
import struct

import pytest

from tanken.base.errors import UsageError
from tanken.font import outlines, program, variation
from tanken.font.builder import Recipe, cff2, opentype
from tanken.font.face import Face, FontFile
from tanken.font.layouts import layout
from tanken.font.verifier import Proof
from tanken.isa.charstring.machine import Machine
from tanken.isa.charstring.text import assemble

freetype = pytest.importorskip("freetype", reason="no freetype-py to compare with")
from tests.oracle.outlines import differing  # noqa: E402

PROGRAMS = [
    "",
    "0 15 30 1 blend 10 20 3 7 -5 9 2 blend rmoveto 100 hlineto 50 10.5 -3.25 1 blend vlineto",
    "1 vsindex 10 40 1 blend hmoveto 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 6 blend rrcurveto",
    "-107 callsubr 33 hlineto",
    "10 100 0 0 1 blend hstemhm 3 hmoveto hintmask #80 44 4 -4 1 blend hlineto 7 vlineto",
]
PLACES = [{}, {"wght": 900}, {"wght": 650.5}, {"wght": 100}, {"wdth": 125}, {"wght": 700, "wdth": 110}, {"wght": 5000, "wdth": -3}]


def f2dot14(*values: float) -> bytes:
    return b"".join(struct.pack(">h", round(value * 16384)) for value in values)


def store() -> bytes:
    """Two item variation data: one of regions 0 and 1, one of region 2."""
    regions = struct.pack(">HH", 2, 3) + f2dot14(0, 1, 1, 0, 0, 0) + f2dot14(-1, -1, 0, 0, 0, 0) + f2dot14(0, 0.5, 1, 0, 1, 1)
    first, second = struct.pack(">HHHHH", 0, 0, 2, 0, 1), struct.pack(">HHHH", 0, 0, 1, 2)
    at = 8 + 8
    return struct.pack(">HIHII", 1, at, 2, at + len(regions), at + len(regions) + len(first)) + regions + first + second


def made() -> Face:
    table = cff2(Recipe([assemble(one) for one in PROGRAMS], locals=[assemble("10 20 30 2 -2 5 -5 2 blend rmoveto drop".replace("drop", ""))], store=store()))
    axes = b"".join(struct.pack(">4siiiHH", tag, low << 16, mid << 16, high << 16, 0, 256) for tag, low, mid, high in ((b"wght", 100, 400, 900), (b"wdth", 75, 100, 125)))
    fvar = struct.pack(">HHHHHHHH", 1, 0, 16, 2, 2, 20, 0, 12) + axes
    avar = struct.pack(">HHHH", 1, 0, 0, 2) + struct.pack(">H", 4) + f2dot14(-1, -1, 0, 0, 0.5, 0.75, 1, 1) + struct.pack(">H", 3) + f2dot14(-1, -1, 0, 0, 1, 1)
    data = opentype(table, [500] * len(PROGRAMS), {65: 1}, tag="CFF2", more={"fvar": fvar, "avar": avar})
    return FontFile(data, "x").face()


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_instances_equal_freetype(place: dict[str, float]) -> None:
    face = made()
    face.at(place)
    run = outlines.Executor(face.program()).outlines(0, len(PROGRAMS))
    assert not run.glyphs[:, outlines.FAULT].any()
    theirs = freetype.Face(io.BytesIO(face.file.data))
    theirs.set_var_design_coords([place.get("wght", 400), place.get("wdth", 100)])
    assert differing(run, theirs) == []
    for gid in range(len(PROGRAMS)):
        machine = Machine(face.lazy_program(), gid, (513, 10, 96, 9999, 9999))
        for _ in machine.run():
            pass
        assert not machine.fault and [(s[0], *map(outlines.number, s[1:])) for s in machine.path] == run[gid].path


def test_the_stack_of_cff2_has_513_places() -> None:
    """Wherever a glyph is run: in bulk, watched, drawn, listed."""
    from tanken.font.listing import Listing

    face = FontFile(opentype(cff2(Recipe([b"", assemble("5 hmoveto " + "1 2 " * 200 + "rlineto")])), [500] * 2, {65: 1}, tag="CFF2"), "x").face()
    assert outlines.one(face.lazy_program(), 1).depth == 400 and not outlines.Executor(face.program()).outlines(0, 2).glyphs[:, outlines.FAULT].any()
    machine = Machine(face.lazy_program(), 1)
    assert len(list(machine.run())) == 3 and not machine.fault and len(machine.path) == 202
    assert "FAULT" not in "".join(line.note for body in Listing(face.lazy_program(), 1).bodies() for line in body.lines)


def test_the_proof_knows_blend_and_vsindex(monkeypatch: pytest.MonkeyPatch) -> None:
    face = made()
    proof, run = Proof(face.program()), outlines.Executor(face.program()).outlines(0, len(PROGRAMS))
    for gid in range(len(PROGRAMS)):
        bound, ran = proof.bound(gid), run[gid]
        assert bound.verdict == "safe" and (bound.steps, bound.nesting, bound.hints) == (ran.steps, ran.height, ran.hints) and bound.stack >= ran.depth
    monkeypatch.setattr(program, "SMALL", 0)
    assert (Proof(face.program()).glyphs == proof.glyphs).all()


def deltas(*rows: tuple[int, int]) -> bytes:
    """An item variation store of one axis' two regions: a pair of deltas a row, the first of 16 bits."""
    regions = struct.pack(">HH", 1, 2) + f2dot14(0, 1, 1) + f2dot14(-1, -1, 0)
    data = struct.pack(">HHHHH", len(rows), 1, 2, 0, 1) + b"".join(struct.pack(">hb", *row) for row in rows)
    return struct.pack(">HIHI", 1, 12, 1, 12 + len(regions)) + regions + data


def test_metrics_vary_as_in_freetype_and_fonttools() -> None:
    """HVAR with a map and without one, VVAR, MVAR, made by hand; fontTools' instancer takes part."""
    instancer = pytest.importorskip("fontTools.varLib.instancer", reason="no fontTools to compare with")
    from fontTools.ttLib import TTFont

    store = deltas((30, -7), (-40, 12), (0, 5))
    axis = struct.pack(">4siiiHH", b"wght", 100 << 16, 400 << 16, 900 << 16, 0, 256)
    fvar = struct.pack(">HHHHHHHH", 1, 0, 16, 2, 1, 20, 0, 8) + axis
    plain, mapped = struct.pack(">HHIIII", 1, 0, 20, 0, 0, 0) + store, struct.pack(">HHIIII", 1, 0, 26, 20, 0, 0) + struct.pack(">BBH", 0, 0x01, 2) + b"\2\0" + store
    mvar = struct.pack(">HHHHHH", 1, 0, 0, 8, 2, 28) + b"hasc" + struct.pack(">HH", 0, 0) + b"hdsc" + struct.pack(">HH", 0, 1) + store
    vhea = layout("hhea").pack({"major": 1, "numberOfMetrics": 3, "caretSlopeRun": 1})
    table = cff2(Recipe([b"", assemble("10 10 rmoveto 20 hlineto 20 vlineto"), b""]))
    for hvar in (plain, mapped):
        vvar = struct.pack(">HHIIIII", 1, 0, 24, 0, 0, 0, 0) + store
        more = {"fvar": fvar, "HVAR": hvar, "MVAR": mvar, "VVAR": vvar, "vhea": vhea, "vmtx": struct.pack(">HhHhHh", 1000, 0, 900, 0, 800, 0)}
        data = opentype(table, [500, 600, 700], {65: 1}, tag="CFF2", more=more)
        face = FontFile(data, "x").face()
        for weight in (100, 222, 400, 650, 900):
            face.at({"wght": weight})
            theirs = freetype.Face(io.BytesIO(data))  # a new one: FreeType 2.13.2 adds MVAR's deltas to those of the place before
            theirs.set_var_design_coords([weight])
            assert face.extent == (theirs.ascender, theirs.descender)
            for gid in range(3):
                theirs.load_glyph(gid, freetype.FT_LOAD_NO_SCALE)
                metrics, height = face.horizontal(gid), face.vertical(gid)
                assert metrics is not None and height is not None and metrics.advance == theirs.glyph.metrics.horiAdvance, (weight, gid)
                assert height.advance == theirs.glyph.metrics.vertAdvance, (weight, gid)
    face.at({"wght": 650})
    made = instancer.instantiateVariableFont(TTFont(io.BytesIO(data)), {"wght": 650})
    assert [made["hmtx"][name][0] for name in made.getGlyphOrder()] == [face.horizontal(gid).advance for gid in range(3)]  # type: ignore[union-attr]
    assert (made["OS/2"].sTypoAscender, made["OS/2"].sTypoDescender) == face.extent and face.vertical_origin(1) == face.extent[0]


def test_places_that_make_no_sense() -> None:
    axes = made().axes
    assert [axis.tag for axis in axes] == ["wght", "wdth"]
    assert variation.parse_place("wght=700, wdth=80", axes) == {"wght": 700, "wdth": 80}
    for text in ("wght", "wght=x", "ital=1"):
        with pytest.raises(UsageError):
            variation.parse_place(text, axes)
