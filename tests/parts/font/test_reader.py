"""The reader against fontTools: names, characters, metrics, DICTs, subroutines, substitutions; and collections that share a table.

Fonts of Debian's packages.
"""

import pytest
from tests.parts.font import fonts

from tanken.font import standard
from tanken.font.face import FontFile
from tanken.font.index import Index

ttlib = pytest.importorskip("fontTools.ttLib", reason="no fontTools to compare with")


@pytest.mark.parametrize("name", ["lmroman10-regular", "texgyretermes-regular"])
def test_a_font_says_what_fonttools_says(name: str) -> None:
    theirs, face = ttlib.TTFont(fonts.path(name)), fonts.file(name).face()
    order = theirs.getGlyphOrder()
    top = theirs["CFF "].cff.topDictIndex[0]
    assert [face.glyph_name(gid) for gid in range(len(face.cff))] == order
    assert face.cff.names[0].decode() == theirs["CFF "].cff.fontNames[0]
    assert len(face.cff.globals) == len(theirs["CFF "].cff.GlobalSubrs) and len(face.cff.fds[0].subrs or ()) == len(top.Private.Subrs)
    assert face.cff.fds[0].private.number("defaultWidthX") == top.Private.defaultWidthX
    assert face.cff.top.get("FontBBox") == top.FontBBox and face.cff.string(int(face.cff.top.number("FullName"))) == top.FullName
    codes = {code: order.index(name) for code, name in enumerate(top.Encoding if isinstance(top.Encoding, list) else []) if name != ".notdef"}
    assert not codes or face.cff.encoding == codes
    assert dict(face.cmap.best.items() if face.cmap.best else ()) == {code: theirs.getGlyphID(glyph) for code, glyph in theirs.getBestCmap().items()}
    for gid, glyph in enumerate(order):
        metrics = face.horizontal(gid)
        assert metrics is not None and (metrics.advance, metrics.bearing) == theirs["hmtx"][glyph]
    assert face.head["unitsPerEm"] == theirs["head"].unitsPerEm and face.os2["sTypoAscender"] == theirs["OS/2"].sTypoAscender
    assert face.post["italicAngle"] == theirs["post"].italicAngle and face.names[6] == theirs["name"].getDebugName(6)
    assert face.maxp["numGlyphs"] == len(order) and face.hhea["ascender"] == theirs["hhea"].ascender


def test_a_collection_reads_a_shared_table_once() -> None:
    file = fonts.file("NotoSansCJK-Regular")
    assert len(file.faces) == 10 and all(face.cff is file.faces[0].cff for face in file.faces)
    face = file.face()
    theirs = ttlib.TTFont(fonts.path("NotoSansCJK-Regular"), fontNumber=0, lazy=True)
    assert face.cff.is_cid and len(face.cff.fds) == len(theirs["CFF "].cff.topDictIndex[0].FDArray)
    select = theirs["CFF "].cff.topDictIndex[0].FDSelect
    assert all(face.cff.fd(gid) == select[gid] for gid in range(0, 65535, 101))
    assert face.vertical_origin(100) == theirs["VORG"].defaultVertOriginY and face.vertical(100).advance == theirs["vmtx"]["cid00100"][0]
    sequences = next(table for table in theirs["cmap"].tables if table.format == 14).uvsDict
    assert {(code, selector) for selector, rows in sequences.items() for code, _ in rows} == set(face.cmap.sequences)
    assert all(one.glyph == (theirs.getGlyphID(glyph) if glyph else None) for selector, rows in sequences.items() for code, glyph in rows[:50]
               for one in [face.cmap.sequences[code, selector]])  # fmt: skip


def test_standard_strings_and_encodings() -> None:
    lib = pytest.importorskip("fontTools.cffLib")
    encodings = pytest.importorskip("fontTools.encodings.StandardEncoding").StandardEncoding
    assert list(standard.strings()) == lib.cffStandardStrings
    assert standard.standard_encoding() == {code: name for code, name in enumerate(encodings) if name != ".notdef"}
    for number, theirs in ((1, lib.cffIExpertStrings), (2, lib.cffExpertSubsetStrings)):
        assert [standard.strings()[sid] for sid in standard.predefined_charset(number, 999)] == theirs
    assert standard.expert_encoding()[0xFF] == 378 and len(standard.expert_encoding()) == 165


def test_characters_by_format(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from tanken.font.cmap import Cmap

    subtable = pytest.importorskip("fontTools.ttLib.tables._c_m_a_p").CmapSubtable
    glyphs = {32: "g1", 33: "g2", 40: "g1", 65: "g3", 66: "g4"}
    order = {f"g{i}": i for i in range(6)}

    class Names:
        def getGlyphID(self, name: str) -> int:  # noqa: N802
            return order[name]

        def getReverseGlyphMap(self) -> dict[str, int]:  # noqa: N802
            return order

    for form in (4, 6, 12, 13):
        table = subtable.newSubtable(form)
        table.platformID, table.platEncID, table.language, table.cmap = 3, 1, 0, glyphs
        table.format, table.reserved, table.length = form, 0, 0
        data = table.compile(Names())
        made = Cmap(b"\0\0\0\1\0\3\0\1\0\0\0\x0c" + data)
        assert made.best is not None and dict(made.best.items()) == {code: order[name] for code, name in glyphs.items()}
    ten = b"\0\x0a\0\0" + (28).to_bytes(4, "big") + bytes(4) + (65).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"\0\3\0\4"
    made = Cmap(b"\0\0\0\1\0\3\0\x0a\0\0\0\x0c" + ten)
    assert made.glyph(65) == 3 and made.glyph(66) == 4 and made.glyph(67) == 0


def test_substitutions() -> None:
    face = fonts.file("NotoSansCJK-Regular").face()
    comma = face.glyph("U+3001")
    after, _, done = face.gsub.apply([comma], ["vert"])
    theirs = ttlib.TTFont(fonts.path("NotoSansCJK-Regular"), fontNumber=0, lazy=True)
    lookups = {index for record in theirs["GSUB"].table.FeatureList.FeatureRecord if record.FeatureTag == "vert" for index in record.Feature.LookupListIndex}
    tables = [getattr(sub, "ExtSubTable", sub) for index in lookups for sub in theirs["GSUB"].table.LookupList.Lookup[index].SubTable]
    wanted = next(table.mapping["cid01397"] for table in tables if "cid01397" in table.mapping)
    assert [face.glyph_name(gid) for gid in after] == [wanted] and done[0].feature == "vert"
    roman = fonts.file("lmroman10-regular").face()
    f, i = roman.glyph("f"), roman.glyph("i")
    assert [roman.glyph_name(gid) for gid in roman.gsub.apply([f, i], ["liga"])[0]] == ["f_i"]


def test_what_is_no_font_is_refused() -> None:
    from tanken.base.errors import InputError, UnsupportedError, UsageError

    for data in (b"", b"\x7fELF", b"OTTO", b"ttcf" + bytes(20)):
        with pytest.raises(InputError):
            FontFile(data, "x")
    with pytest.raises(UsageError, match="no glyph"):
        fonts.file("lmroman10-regular").face().glyph("nothing-like-it")
    with pytest.raises(UnsupportedError, match="TrueType"):
        FontFile(b"\0\1\0\0\0\1" + bytes(6) + b"glyf" + bytes(12), "x").face().cff  # noqa: B018


def test_an_index_that_lies_reads_as_nothing() -> None:
    problems: list = []  # type: ignore[type-arg]
    index = Index(b"\0\2\1\1\x09\2ab", 0, "x", problems)
    assert [bytes(one) for one in index] == [b"", b""] and index.spans()[1].tolist() == [0, 0]
    assert {problem.rule for problem in problems} == {"index-order"}
