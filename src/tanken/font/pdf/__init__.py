"""Takes the CFF fonts out of a PDF: streams of the subtypes Type1C, CIDFontType0C and OpenType, and what a font descriptor calls FontFile3.

ISO 32000-1, 9.9 (embedded font programs). `syntax`, `filters`, `security` and `document` read what stands around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.errors import TankenError
from tanken.font.pdf.document import Document
from tanken.font.pdf.syntax import Reference

SUBTYPES = ("Type1C", "CIDFontType0C", "OpenType")
OTHERS = {"FontFile": "Type 1", "FontFile2": "TrueType"}


@dataclass(frozen=True)
class Embedded:
    """An embedded font: the number of its object, where its stream begins, its subtype, its bytes; or why they could not be had."""

    number: int
    offset: int
    subtype: str
    data: bytes
    problem: str = ""


@dataclass(frozen=True)
class Fonts:
    """The embedded fonts of a PDF: those of CFF in the order of the file; how many of other kinds; what stayed closed, a line each."""

    cff: list[Embedded]
    others: dict[str, int]
    unread: list[str]

    def lines(self) -> Iterator[str]:
        """What was not checked, in words."""
        for kind, count in self.others.items():
            yield f"{count} embedded font{'s' if count > 1 else ''} of {kind}: no charstrings of Type 2, not checked"
        yield from self.unread


def fonts(data: bytes, name: str) -> Fonts:
    """The embedded fonts. Raises InputError where the file is no PDF, UnsupportedError where it opens with a password only."""
    document = Document(data, name)
    wanted = {number for number, stream in document.by_number.items() if stream.entries.get("Subtype") in SUBTYPES}
    others: dict[str, set[int]] = {}
    for dictionary in document.dictionaries():
        for key, reference in dictionary.items():
            if isinstance(reference, Reference) and reference.number in document.by_number:
                if key == "FontFile3":
                    wanted.add(reference.number)
                elif key in OTHERS:
                    others.setdefault(OTHERS[key], set()).add(reference.number)
    found = []
    for stream in document.streams:
        if stream.number in wanted:
            subtype = str(stream.entries.get("Subtype", "FontFile3"))
            try:
                found.append(Embedded(stream.number, stream.start, subtype, document.unpacked(stream)))
            except TankenError as error:
                found.append(Embedded(stream.number, stream.start, subtype, b"", str(error)))
    return Fonts(found, {kind: len(numbers) for kind, numbers in others.items()}, document.unread)
