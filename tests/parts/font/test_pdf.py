"""Fonts out of PDFs: documents made by PyMuPDF and rewritten by qpdf in every way, filters and predictors against qpdf, damage.

`python -m tests.oracle.pdfs` takes documents of Typst, WeasyPrint, Cairo and Ghostscript too.
"""

import base64
import random
import zlib
from pathlib import Path

import pytest
from tests.parts.font import fonts

from tanken.base.errors import InputError, TankenError, UnsupportedError
from tanken.font import hostile, pdf
from tanken.font.pdf import filters

TABLE = hostile.make("recursion", bare=True)


def document(*streams: bytes) -> bytes:
    return b"%PDF-1.7\n" + b"".join(b"%d 0 obj\n<<%s\nendobj\n" % (i, one) for i, one in enumerate(streams, 5)) + b"trailer << >>\n%%EOF"


def stream(head: bytes, data: bytes, length: bytes | None = None) -> bytes:
    return head + b" /Length " + (b"%d" % len(data) if length is None else length) + b" >>\nstream\r\n" + data + b"\nendstream"


def taken(data: bytes) -> list[tuple[int, str, bytes]]:
    return [(one.number, one.subtype, one.data) for one in pdf.fonts(data, "x.pdf").cff]


def test_streams_written_by_hand() -> None:
    data = document(
        b"/Type /Page >>", stream(b"/Subtype /Type1C /Filter /FlateDecode", zlib.compress(TABLE)), stream(b"/Subtype/CIDFontType0C", TABLE, b"9 0 R"),
        stream(b"/Filter [/A85 /Fl] /Subtype /OpenType", base64.a85encode(zlib.compress(TABLE)) + b"~>"),
        stream(b"/Subtype /Type1#43 /Filter /ASCIIHexDecode", TABLE.hex().encode() + b">"), stream(b"/Subtype /Image", b"abc"),
        b"/FontFile2 10 0 R /FontFile3 12 0 R >>", stream(b"/Filter % a comment\n /RunLengthDecode", b"\x02\x01\x00\x04\x80"),
    )  # fmt: skip
    found = taken(data)
    assert [(number, subtype) for number, subtype, _ in found] == [(6, "Type1C"), (7, "CIDFontType0C"), (8, "OpenType"), (9, "Type1C"), (12, "FontFile3")]
    assert all(one == TABLE for _, _, one in found[:4]) and found[4][2] == b"\1\0\4"
    assert list(pdf.fonts(data, "x").lines()) == ["1 embedded font of TrueType: no charstrings of Type 2, not checked"]


def test_what_cannot_be_had_is_told() -> None:
    with pytest.raises(InputError, match="%PDF-"):
        pdf.fonts(b"no", "x.pdf")
    with pytest.raises(InputError, match="encryption dictionary"):
        pdf.fonts(b"%PDF-1.4\ntrailer << /Encrypt 3 0 R >>", "x.pdf")
    with pytest.raises(UnsupportedError, match="standard security handler"):
        pdf.fonts(b"%PDF-1.4\ntrailer << /Encrypt << /Filter /Other >> >>", "x.pdf")
    for bad, word in ((b"/Filter /FlateDecode", "cannot be unpacked"), (b"/Filter /LZWDecode", "cannot be unpacked"), (b"/Filter /DCTDecode", "filter DCTDecode")):
        (found,) = pdf.fonts(document(stream(b"/Subtype /Type1C " + bad, b"\xff\xff\xff")), "x.pdf").cff
        assert word in found.problem and found.data == b""


def lzw(data: bytes, early: int) -> bytes:
    """Encodes, as the filter wants it."""
    table, width, out, bits, held = {bytes([i]): i for i in range(256)}, 9, bytearray(), 0, 0
    codes: list[tuple[int, int]] = [(256, 9)]
    size, word = 258, b""
    for i in range(len(data) + 1):
        longer = word + data[i : i + 1]
        if i < len(data) and longer in table:
            word = longer
            continue
        if word:
            codes.append((table[word], width))
        table[longer], size = size, size + 1
        width = 9 + sum(size - 1 + early >= limit for limit in (512, 1024, 2048))
        if size >= 4094:
            codes.append((256, width))
            table, size, width = {bytes([j]): j for j in range(256)}, 258, 9
        word = data[i : i + 1]
    codes.append((257, width))
    for code, wide in codes:
        held, bits = held << wide | code, bits + wide
        while bits >= 8:
            out.append(held >> (bits - 8) & 255)
            bits -= 8
            held &= (1 << bits) - 1
    return bytes(out) + (bytes([held << (8 - bits)]) if bits else b"")


def png(data: bytes, columns: int, step: int) -> bytes:
    """Rows with the predictors of PNG, another one each."""
    out, above = bytearray(), bytes(columns)
    for number, at in enumerate(range(0, len(data), columns)):
        row, kind = data[at : at + columns], number % 5
        out.append(kind)
        for i, byte in enumerate(row):
            left, up, corner = row[i - step] if i >= step else 0, above[i], above[i - step] if i >= step else 0
            near = [abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)]
            out.append(byte - (0, left, up, (left + up) // 2, (left, up, corner)[near.index(min(near))])[kind] & 255)
        above = row.ljust(columns, b"\0")
    return bytes(out)


def test_filters_and_predictors_equal_qpdf(tmp_path: Path) -> None:
    pikepdf = pytest.importorskip("pikepdf", reason="no pikepdf to compare with")
    data = (fonts.path("lmroman10-regular").read_bytes()[4000:24000] + bytes(500) * 4)[:21600]
    tiff = b"".join(bytes(row[i] - (row[i - 3] if i >= 3 else 0) & 255 for i in range(len(row))) for row in (data[at : at + 60] for at in range(0, len(data), 60)))
    cases = [
        (lzw(data, 1), "LZWDecode", {}), (lzw(data, 0), "LZWDecode", {"EarlyChange": 0}), (lzw(b"ab" * 9000, 1), "LZWDecode", {}),
        (zlib.compress(png(data, 12, 1)), "FlateDecode", {"Predictor": 15, "Columns": 12}),
        (zlib.compress(png(data, 60, 3)), "FlateDecode", {"Predictor": 12, "Columns": 20, "Colors": 3}),
        (lzw(png(data, 12, 1), 1), "LZWDecode", {"Predictor": 10, "Columns": 12}), (zlib.compress(tiff), "FlateDecode", {"Predictor": 2, "Columns": 20, "Colors": 3}),
        (base64.a85encode(data, wrapcol=70) + b"~>", "ASCII85Decode", {}), (data.hex().encode() + b">", "ASCIIHexDecode", {}),
        (b"".join(bytes([127]) + data[i : i + 128] for i in range(0, 1280, 128)) + b"\xfa\x07\x80", "RunLengthDecode", {}),
    ]  # fmt: skip
    made = pikepdf.new()
    for raw, name, options in cases:
        one = pikepdf.Stream(made, raw)
        one.Subtype = pikepdf.Name("/Type1C")
        one.Filter = pikepdf.Name("/" + name)
        if options:
            one.DecodeParms = pikepdf.Dictionary({"/" + key: value for key, value in options.items()})
        made.pages.append(pikepdf.Page(pikepdf.Dictionary(Type=pikepdf.Name.Page, Font=made.make_indirect(one))))
    path = tmp_path / "x.pdf"
    made.save(path, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)
    with pikepdf.open(path) as again:
        theirs = sorted(one.read_bytes(pikepdf.StreamDecodeLevel.specialized) for one in again.objects if isinstance(one, pikepdf.Stream) and one.get("/Subtype") == "/Type1C")
    ours = pdf.fonts(path.read_bytes(), "x.pdf").cff
    assert not [one.problem for one in ours if one.problem] and sorted(one.data for one in ours) == theirs
    assert len(ours) == len(cases) and sum(one.data == data for one in ours) == 8


def test_documents_of_tools_however_they_are_rewritten(tmp_path: Path) -> None:
    pytest.importorskip("pikepdf", reason="no pikepdf to compare with")
    pytest.importorskip("pymupdf", reason="no PyMuPDF to make PDFs with")
    from tests.oracle import pdfs

    fonts.path("lmroman10-regular")
    made = tmp_path / "mupdf.pdf"
    pdfs.by_mupdf(made)
    for path in (made, *pdfs.rewritten(made, tmp_path)):
        assert pdfs.differing(path) == "" and len(pdf.fonts(path.read_bytes(), "x").cff) == 1, path


def test_a_password_is_wanted(tmp_path: Path) -> None:
    pikepdf = pytest.importorskip("pikepdf", reason="no pikepdf to encrypt with")
    made = pikepdf.new()
    for revision in (2, 3, 4, 6):
        made.save(tmp_path / "x.pdf", encryption=pikepdf.Encryption(owner="a", user="secret", R=revision, aes=revision >= 4, metadata=revision >= 4))
        with pytest.raises(UnsupportedError, match="password"):
            pdf.fonts((tmp_path / "x.pdf").read_bytes(), "x.pdf")


def test_damaged_documents_never_fall(tmp_path: Path) -> None:
    seeds = [document(stream(b"/Subtype /Type1C /Filter /FlateDecode", zlib.compress(TABLE)), b"/FontFile3 5 0 R >>",
                      stream(b"/Type /ObjStm /N 2 /First 10", b"7 0 8 3    (a)<</FontFile 5 0 R>>"))]  # fmt: skip
    try:
        import pikepdf

        made = pikepdf.new()
        made.save(tmp_path / "x.pdf", encryption=pikepdf.Encryption(owner="a", user="", R=6), object_stream_mode=pikepdf.ObjectStreamMode.generate)
        seeds.append((tmp_path / "x.pdf").read_bytes())
    except ImportError:
        pass
    for number in range(600):
        rng = random.Random(number)
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data))
            if rng.random() < 0.7:
                data[at] = rng.choice(b"<>[]()/0 9R\\" + bytes([rng.randrange(256)]))
            else:
                del data[at : at + rng.randint(1, 40)]
        try:
            pdf.fonts(bytes(data), "x")
        except TankenError as error:
            assert str(error)
    for bad in (b"<" * 5000, b"[" * 5000, b"(" * 5000, b"<<" * 5000):
        assert pdf.fonts(b"%PDF-1.7\n1 0 obj\n" + bad, "x").cff == []
    for name in filters.FILTERS:
        for number in range(200):
            rng = random.Random(number)
            try:
                filters.decode(rng.randbytes(40), [name], [{"Predictor": rng.randrange(16), "Columns": rng.randrange(9)}], "x")
            except InputError:
                pass
