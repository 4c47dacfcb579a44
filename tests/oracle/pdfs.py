"""PDFs as tools write them, and the fonts that `tanken check` takes out of each: the same bytes as pikepdf (qpdf) takes out.

`python -m tests.oracle.pdfs [FOLDER]`. Makers: PyMuPDF, Typst, WeasyPrint, Cairo, Ghostscript, where they are on this machine; each document also
as qpdf rewrites it: object streams, linearised, encrypted by RC4 and AES with an empty password, unpacked, with other filters and predictors.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from tanken.font import pdf
from tests.oracle import fonts

TEXT = "Affine fields: 0123 éß"
FONT = "lmroman10-regular"


def font_path(name: str = FONT) -> Path:
    """A font of Debian's."""
    return fonts.files(name)[0]


def by_mupdf(path: Path) -> None:
    import pymupdf

    document = pymupdf.open()
    page = document.new_page()
    page.insert_font(fontname="F0", fontfile=str(font_path()))
    page.insert_text((72, 100), TEXT, fontname="F0", fontsize=20)
    document.save(str(path), deflate=True)


def by_typst(path: Path) -> None:
    import typst

    source = path.with_suffix(".typ")
    source.write_text(f'#set text(font: "Latin Modern Roman")\n{TEXT} $integral x^2$\n')
    typst.compile(str(source), output=str(path), font_paths=[str(font_path().parent)])


def by_weasyprint(path: Path) -> None:
    import weasyprint

    html = f'<style>@font-face{{font-family:x;src:url("file://{font_path()}")}} body{{font-family:x}}</style><p>{TEXT}'
    weasyprint.HTML(string=html).write_pdf(str(path))


def by_cairo(path: Path) -> None:
    import cairocffi

    surface = cairocffi.PDFSurface(str(path), 400, 200)
    context = cairocffi.Context(surface)
    context.select_font_face("Cantarell")
    context.set_font_size(24)
    context.move_to(20, 50)
    context.show_text(TEXT)
    surface.finish()


def by_ghostscript(path: Path) -> None:
    before = path.with_name("before-gs.pdf")
    by_mupdf(before)
    subprocess.run(["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=pdfwrite", "-o", str(path), str(before)], check=True, capture_output=True)


MAKERS: dict[str, Callable[[Path], None]] = {"mupdf": by_mupdf, "typst": by_typst, "weasyprint": by_weasyprint, "cairo": by_cairo, "ghostscript": by_ghostscript}


def rewritten(source: Path, folder: Path) -> Iterator[Path]:
    """The document as qpdf rewrites it."""
    import pikepdf

    modes = pikepdf.ObjectStreamMode
    ways = {
        "objstm": {"object_stream_mode": modes.generate}, "plain": {"object_stream_mode": modes.disable, "compress_streams": False,
                                                                    "stream_decode_level": pikepdf.StreamDecodeLevel.generalized},
        "linear": {"linearize": True}, "linear-objstm": {"linearize": True, "object_stream_mode": modes.generate},
    }  # fmt: skip
    for revision in (2, 3, 4, 5, 6):
        ways[f"encrypted-r{revision}"] = {"encryption": pikepdf.Encryption(owner="owner", user="", R=revision, aes=revision >= 4, metadata=revision >= 4)}
    ways["encrypted-rc4-r4"] = {"encryption": pikepdf.Encryption(owner="owner", user="", R=4, aes=False, metadata=False)}
    ways["encrypted-objstm"] = {"encryption": pikepdf.Encryption(owner="owner", user="", R=6), "object_stream_mode": modes.generate}
    for name, options in ways.items():
        with pikepdf.open(source) as document:
            path = folder / f"{source.stem}-{name}.pdf"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # revision 5 is deprecated
                document.save(path, **options)
            yield path


def wanted(path: Path) -> list[bytes]:
    """The fonts by pikepdf."""
    import pikepdf

    found = {}
    with pikepdf.open(path) as document:
        for one in document.objects:
            if isinstance(one, pikepdf.Dictionary) and "/FontFile3" in one:
                found[one.FontFile3.objgen] = one.FontFile3.read_bytes()
    return sorted(found.values())


def documents(folder: Path) -> Iterator[Path]:
    """All documents that can be made here."""
    for name, make in MAKERS.items():
        path = folder / f"{name}.pdf"
        try:
            make(path)
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            print(f"{name}: not here ({error})")
            continue
        yield path
        yield from rewritten(path, folder)


def differing(path: Path) -> str:
    """What is wrong with the fonts taken out of a document; "" where nothing is."""
    found = pdf.fonts(path.read_bytes(), path.name)
    ours, theirs = sorted(one.data for one in found.cff), wanted(path)
    problems = [one.problem for one in found.cff if one.problem] + found.unread
    return "" if ours == theirs and not problems else f"{len(ours)} fonts, {len(theirs)} by pikepdf; {problems}"


def main() -> int:
    with contextlib.ExitStack() as stack:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        count = bad = with_fonts = 0
        for path in documents(folder):
            text = differing(path)
            count, bad, with_fonts = count + 1, bad + bool(text), with_fonts + bool(wanted(path))
            print(f"{path.name}: {text or 'the same'}; {[(one.subtype, len(one.data)) for one in pdf.fonts(path.read_bytes(), path.name).cff]}")
    print(f"{count} documents, {with_fonts} with CFF fonts, {bad} differ")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
