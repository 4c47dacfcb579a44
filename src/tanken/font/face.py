"""A font file and its faces: tables by tag, metrics, names, characters, and the CFF table, which faces of a collection may share.

OpenType Specification 1.9.1: head, hhea, vhea, hmtx, vmtx, VORG, maxp, OS/2, post, name. A bare CFF table is a face without the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tanken.base.errors import InputError, UnsupportedError, UsageError
from tanken.base.records import Record
from tanken.font import program, variation
from tanken.font.binary import fits, i16, u16
from tanken.font.cff import Cff
from tanken.font.cmap import Cmap
from tanken.font.gsub import Gsub
from tanken.font.layouts import layout
from tanken.font.problems import Problem
from tanken.font.sfnt import Entry, directories

SFNT = (b"OTTO", b"ttcf", b"\0\1\0\0", b"true")
GLYPH = re.compile(r"(gid|cid):(\d+)|[uU]\+([0-9a-fA-F]{1,6})(?:[/+ ](?:[uU]\+)?([0-9a-fA-F]{1,6}))?")


@dataclass(frozen=True, slots=True, repr=False)
class Metrics(Record):
    """Advance and bearing of a glyph along and against the line, in font units."""

    advance: int
    bearing: int


class FontFile:
    """A file of one or more faces. Raises InputError when it is no font or has no CFF at all."""

    def __init__(self, data: bytes, name: str = "<bytes>") -> None:
        self.data, self.name = data, name
        self.problems: list[Problem] = []
        self._tables: dict[tuple[int, int], Cff] = {}
        self.substitutions: dict[tuple[tuple[int, int], ...], Gsub] = {}
        if data[:4] in SFNT:
            self.faces = [Face(self, number, entries) for number, entries in enumerate(directories(data, name, self.problems))]
        elif data[:1] in (b"\1", b"\2") and data[1:2] == b"\0":
            self.faces = [Face(self, 0, {"CFF " if data[0] == 1 else "CFF2": Entry("CFF ", 0, len(data), 0)})]
        else:
            raise InputError(f"first bytes {data[:4].hex(' ')}" if data else "an empty file", wanted="an OpenType font (OTTO, ttcf) or a CFF table (01 00)", where=name)
        self.bare = data[:4] not in SFNT

    def cff(self, entry: Entry) -> Cff:
        """The CFF table at an entry, read once however many faces share it."""
        key = entry.offset, entry.length
        if key not in self._tables:
            self._tables[key] = Cff(self.data[entry.offset : entry.offset + entry.length], self.name, entry.offset)
        return self._tables[key]

    def face(self, number: int = 0) -> Face:
        """One face; raises UsageError."""
        if not 0 <= number < len(self.faces):
            raise UsageError(f"no face {number}", wanted=f"0 to {len(self.faces) - 1}", where=self.name)
        return self.faces[number]


class Face:
    """One font: what its tables say."""

    def __init__(self, file: FontFile, number: int, entries: dict[str, Entry]) -> None:
        self.file, self.number, self.entries = file, number, entries
        self.coordinates: list[float] = []

    @property
    def name(self) -> str:
        """The file's name, with the number of the face where there are several."""
        return self.file.name if len(self.file.faces) == 1 else f"{self.file.name}#{self.number}"

    def table(self, tag: str) -> bytes:
        """The bytes of a table, none where the font has none."""
        entry = self.entries.get(tag)
        return self.file.data[entry.offset : entry.offset + entry.length] if entry else b""

    @cached_property
    def cff(self) -> Cff:
        """The CFF or CFF2 table; raises UnsupportedError in a font of TrueType outlines."""
        entry = self.entries.get("CFF2") or self.entries.get("CFF ")
        if entry is None:
            what = "TrueType outlines (glyf)" if "glyf" in self.entries else "no CFF table"
            raise UnsupportedError(f"a font with {what}", wanted="a table CFF or CFF2", where=self.name, hint="only charstrings are run here")
        return self.file.cff(entry)

    def _fixed(self, tag: str, shape: str = "") -> dict[str, Any]:
        data, form = self.table(tag), layout(shape or tag)
        return form.unpack(data) if len(data) >= form.size else {}

    @cached_property
    def head(self) -> dict[str, Any]:
        """The fields of head, none where it is missing or short."""
        return self._fixed("head")

    @cached_property
    def hhea(self) -> dict[str, Any]:
        """The fields of hhea."""
        return self._fixed("hhea")

    @cached_property
    def vhea(self) -> dict[str, Any]:
        """The fields of vhea, which has the layout of hhea."""
        return self._fixed("vhea", "hhea")

    @cached_property
    def maxp(self) -> dict[str, Any]:
        """The fields of maxp."""
        return self._fixed("maxp")

    @cached_property
    def os2(self) -> dict[str, Any]:
        """The fields of OS/2 that all versions have."""
        return self._fixed("OS/2")

    @cached_property
    def post(self) -> dict[str, Any]:
        """The fields of post."""
        return self._fixed("post")

    @cached_property
    def names(self) -> dict[int, str]:
        """The strings of name by ID: Windows English first, then any other."""
        data, row = self.table("name"), layout("nameRecord")
        head = self._fixed("name")
        found: dict[int, tuple[int, str]] = {}
        for i in range(fits(data, 6, head.get("count", 0), row.size)):
            one = row.unpack(data, 6 + i * row.size)
            at = head["storageOffset"] + one["offset"]
            raw = data[at : at + one["length"]]
            text = raw.decode("mac-roman" if one["platformID"] == 1 else "utf-16-be", "replace")
            rank = 0 if (one["platformID"], one["languageID"]) == (3, 0x409) else 1 if one["platformID"] == 3 else 2
            if one["nameID"] not in found or rank < found[one["nameID"]][0]:
                found[one["nameID"]] = rank, text
        return {number: text for number, (_, text) in found.items()}

    @property
    def units_per_em(self) -> int:
        """Font units of an em: head, or one divided by the FontMatrix."""
        if self.head:
            return int(self.head["unitsPerEm"]) or 1000
        matrix = self.cff.top.get("FontMatrix") or [0.001]
        return round(1 / matrix[0]) if matrix[0] and 1e-6 < matrix[0] <= 1 else 1000

    def _metrics(self, tag: str, count: int, gid: int) -> Metrics | None:
        data = self.table(tag)
        if not data or not count:
            return None
        if gid < count:
            return Metrics(u16(data, 4 * gid), i16(data, 4 * gid + 2))
        return Metrics(u16(data, 4 * count - 4), i16(data, 4 * count + 2 * (gid - count)))

    def horizontal(self, gid: int) -> Metrics | None:
        """Advance and left bearing by hmtx, at the chosen instance; None without hmtx."""
        found = self._metrics("hmtx", self.hhea.get("numberOfMetrics", 0), gid)
        if found and self.coordinates:
            return Metrics(found.advance + variation.rounded(variation.advance_delta(self.table("HVAR"), gid, self.coordinates)), found.bearing)
        return found

    def vertical(self, gid: int) -> Metrics | None:
        """Advance height and top bearing by vmtx, at the chosen instance; None without vmtx."""
        found = self._metrics("vmtx", self.vhea.get("numberOfMetrics", 0), gid)
        if found and self.coordinates:
            return Metrics(found.advance + variation.rounded(variation.advance_delta(self.table("VVAR"), gid, self.coordinates)), found.bearing)
        return found

    @property
    def extent(self) -> tuple[float, float]:
        """Ascender and descender of a line by hhea, at the chosen instance; without hhea 0.88 and -0.12 of an em."""
        if not self.hhea:
            return 0.88 * self.units_per_em, -0.12 * self.units_per_em
        return self.hhea["ascender"] + self._varied("hasc"), self.hhea["descender"] + self._varied("hdsc")

    def _varied(self, tag: str) -> int:
        return variation.rounded(variation.metric_delta(self.table("MVAR"), tag, self.coordinates)) if self.coordinates else 0

    @cached_property
    def _origins(self) -> dict[int, int]:
        data = self.table("VORG")
        return {u16(data, 8 + 4 * i): i16(data, 10 + 4 * i) for i in range(fits(data, 8, u16(data, 6), 4))}

    def vertical_origin(self, gid: int) -> int:
        """The y of a glyph's vertical origin: VORG, else the typographic ascender of OS/2, else that of hhea, else 880 of 1000."""
        data = self.table("VORG")
        if data:
            return self._origins.get(gid, i16(data, 4))
        if self.os2:
            return int(self.os2["sTypoAscender"]) + self._varied("hasc")
        return int(self.hhea["ascender"]) if self.hhea else round(0.88 * self.units_per_em)

    @cached_property
    def cmap(self) -> Cmap:
        """Characters to glyphs."""
        return Cmap(self.table("cmap"))

    @cached_property
    def gsub(self) -> Gsub:
        """Glyphs to glyphs, read once for all faces that share the tables."""
        entries = [self.entries.get(tag) for tag in ("GSUB", "GDEF")]
        key = tuple((entry.offset, entry.length) if entry else (0, 0) for entry in entries)
        return self.file.substitutions.setdefault(key, Gsub(self.table("GSUB"), self.table("GDEF")))

    def glyph_name(self, gid: int) -> str:
        """The name of a glyph."""
        return self.cff.glyph_name(gid)

    def glyph(self, text: str) -> int:
        """The glyph that the user means: `gid:N`, `cid:N`, `U+XXXX` (`U+XXXX/U+FE00` with a variation selector), a name, a character.

        Raises UsageError.
        """
        cff, match = self.cff, GLYPH.fullmatch(text)
        if match and match[1]:
            gid = int(match[2])
            if match[1] == "cid":
                if gid not in cff.charset:
                    raise UsageError(f"no CID {gid}", wanted="a CID of this font", where=self.name)
                gid = cff.charset.index(gid)
        elif match:
            gid = self.cmap.glyph(int(match[3], 16), int(match[4], 16) if match[4] else None)
            if not gid:
                raise UsageError(f"no glyph for {text}", wanted="a character of the font's cmap", where=self.name)
        elif text in cff.glyphs_by_name:
            gid = cff.glyphs_by_name[text]
        elif len(text) == 1 and self.cmap.glyph(ord(text)):
            gid = self.cmap.glyph(ord(text))
        else:
            gid = cff.glyph_named(text)
        if gid >= len(cff):
            raise UsageError(f"no glyph {gid}", wanted=f"0 to {len(cff) - 1}", where=self.name)
        return gid

    # -- variation

    @cached_property
    def axes(self) -> list[variation.Axis]:
        """The axes of variation."""
        return variation.axes(self.table("fvar"))

    def at(self, place: Mapping[str, float]) -> None:
        """Chooses an instance; empty: the default one."""
        self.coordinates = variation.normalise(place, self.axes, self.table("avar")) if place else []

    def weights(self) -> list[list[int]]:
        """The scalars of the regions of CFF2's item variation store at the chosen instance."""
        offset = self.cff.top.offset("vstore") if self.cff.is_cff2 else None
        if offset is None:
            return []
        return variation.Store(self.cff.data, offset + 2).scalars(self.coordinates or [0.0] * len(self.axes))

    def lazy_program(self) -> program.Program:
        """What runs a few glyphs."""
        return program.lazy(self.cff, self.weights())

    def program(self) -> program.Program:
        """What runs all glyphs."""
        return program.arrays(self.cff, self.weights())
