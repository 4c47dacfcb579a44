"""A CFF or CFF2 table: header, INDEXes, DICTs, charset, font DICTs, private DICTs and the programs that glyphs are.

Adobe Technical Note 5176; OpenType 1.9.1, CFF2. What lies is written to `problems`, and reading goes on without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tanken.base.errors import InputError, UsageError
from tanken.font import charset, standard
from tanken.font.dictionary import Dict, Number
from tanken.font.index import Index
from tanken.font.layouts import layout
from tanken.font.problems import ERROR, WARNING, Problem


@dataclass
class FontDict:
    """A font DICT with its private DICT: widths in font units, its subroutines, its matrix where it has one."""

    dict: Dict
    private: Dict
    private_at: int
    subrs: Index | None
    name: str

    @property
    def default_width(self) -> Number:
        """Width of the charstrings that state none."""
        return self.private.number("defaultWidthX")

    @property
    def nominal_width(self) -> Number:
        """What a stated width is added to."""
        return self.private.number("nominalWidthX")


class Cff:
    """The table `data`, which begins at `origin` of the file `name`. Raises InputError only where there is nothing to read at all."""

    def __init__(self, data: bytes, name: str = "<bytes>", origin: int = 0) -> None:
        self.data, self.name, self.origin = data, name, origin
        self.problems: list[Problem] = []
        if len(data) < 5 or data[0] not in (1, 2):
            raise InputError(f"first bytes {data[:4].hex(' ')}" if data else "an empty CFF table", wanted="01 (CFF) or 02 (CFF2)", where=name)
        self.is_cff2 = data[0] == 2
        self._read_cff2() if self.is_cff2 else self._read_cff()
        at = self.top.offset("CharStrings")
        if at is None:
            self._tell("no-charstrings", "the Top DICT names no CharStrings INDEX")
        self.charstrings = self._index(at if at is not None else len(data), "CharStrings") if at is not None else self._nothing()
        self.is_cid = "ROS" in self.top.values
        self.fds = self._font_dicts()
        self.fd_select = self._fd_select()

    def _tell(self, rule: str, message: str, at: int = 0, level: str = ERROR) -> None:
        self.problems.append(Problem(rule, level, message, self.origin + at))

    def _index(self, at: int, name: str) -> Index:
        return Index(self.data, at, name, self.problems, self.origin, self.is_cff2)

    def _nothing(self) -> Index:
        return Index(b"\0\0\0\0", 0, "none", [], 0, self.is_cff2)

    def _dict(self, start: int, end: int, section: str) -> Dict:
        return Dict(self.data[start:end], section, self.problems, self.origin + start, self.is_cff2)

    def _read_cff(self) -> None:
        header = layout("cffHeader").unpack(self.data, 0, self.name)
        if header["hdrSize"] < 4:
            self._tell("header", f"the header says it has {header['hdrSize']} bytes, 4 are the least", 2)
        self.names = self._index(max(header["hdrSize"], 4), "Name")
        tops = self._index(self.names.end, "Top DICT")
        self.strings = self._index(tops.end, "String")
        self.globals = self._index(self.strings.end, "Global Subr")
        if len(tops) != 1:
            self._tell("top-count", f"{len(tops)} Top DICTs; OpenType and PDF want one, the first is used", self.names.end, WARNING if len(tops) else ERROR)
        self.top = self._dict(*(tops.span(0) if len(tops) else (0, 0)), "top")
        if self.top.number("CharstringType", 2) != 2:
            self._tell("charstring-type", f"CharstringType {self.top.number('CharstringType')}: only type 2 is run", self.names.end)

    def _read_cff2(self) -> None:
        header = layout("cff2Header").unpack(self.data, 0, self.name)
        at, size = header["headerSize"], header["topDictLength"]
        if at < 5 or at + size > len(self.data):
            self._tell("header", f"header of {at} bytes and Top DICT of {size} in a table of {len(self.data)}", 2)
        self.names, self.strings = self._nothing(), self._nothing()
        self.top = self._dict(at, at + size, "top")
        self.globals = self._index(at + size, "Global Subr")

    def _font_dicts(self) -> list[FontDict]:
        if not self.is_cid and not self.is_cff2:
            return [self._font_dict(self.top, "")]
        at = self.top.offset("FDArray")
        if at is None:
            self._tell("no-fdarray", "a font with more than one font DICT names no FDArray")
        index = self._index(at, "FDArray") if at is not None else self._nothing()
        dicts = [self._dict(*index.span(i), "top") for i in range(min(len(index), 256 if not self.is_cff2 else 65535))]
        return [self._font_dict(one, self.string(int(one.number("FontName", -1)))) for one in dicts] or [self._font_dict(self._dict(0, 0, "top"), "")]

    def _font_dict(self, one: Dict, name: str) -> FontDict:
        size_offset = one.values.get("Private")
        if not size_offset or len(size_offset) < 2:
            if not self.is_cff2:
                self._tell("no-private", "a font DICT without a Private DICT", level=WARNING)
            return FontDict(one, self._dict(0, 0, "private"), 0, None, name)
        size, at = int(size_offset[-2]), int(size_offset[-1])
        if size < 0 or at < 0 or at + size > len(self.data):
            self._tell("private-outside", f"Private DICT of {size} bytes at {at:#x} in a table of {len(self.data):#x}", one.places["Private"] - self.origin)
            return FontDict(one, self._dict(0, 0, "private"), 0, None, name)
        private = self._dict(at, at + size, "private")
        offset = private.offset("Subrs")
        subrs = None
        if offset is not None:
            if offset < size:
                self._tell("subrs-overlap", f"Subrs at {offset} inside its Private DICT of {size} bytes: bytes read as two things", at + offset, WARNING)
            subrs = self._index(at + offset, "Local Subr")
        return FontDict(one, private, at, subrs, name)

    def _fd_select(self) -> charset.FDSelect | None:
        at = self.top.offset("FDSelect")
        if at is None:
            if self.is_cid or len(self.fds) > 1:
                self._tell("no-fdselect", f"{len(self.fds)} font DICTs and no FDSelect", level=ERROR if len(self.fds) > 1 else WARNING)
            return None
        return charset.FDSelect(self.data, at, len(self.charstrings), len(self.fds), self.problems, self.origin)

    # -- glyphs and names

    def __len__(self) -> int:
        return len(self.charstrings)

    def fd(self, gid: int) -> int:
        """The number of a glyph's font DICT."""
        return self.fd_select[gid] if self.fd_select else 0

    def string(self, sid: int) -> str:
        """A standard string, or one of the String INDEX; "" where there is none."""
        if sid < 0:
            return ""
        known = standard.strings()
        if sid < len(known):
            return known[sid]
        sid -= len(known)
        return self.strings[sid].decode("latin-1") if sid < len(self.strings) else ""

    @cached_property
    def charset(self) -> list[int]:
        """The SID, or in a CID font the CID, of each glyph."""
        if self.is_cff2:
            return list(range(len(self)))
        at = self.top.number("charset")
        where = at if isinstance(at, int) and at >= 0 else len(self.data)
        sids = charset.charset(self.data, where, len(self), self.is_cid, self.problems, self.origin)
        limit = len(standard.strings()) + len(self.strings)
        if not self.is_cid and max(sids, default=0) >= limit:
            self._tell("charset-sid", f"charset: string {max(sids)} of {limit}", where)
        return sids

    @cached_property
    def encoding(self) -> dict[int, int]:
        """Code to glyph, where the font has its own encoding."""
        if self.is_cff2 or self.is_cid:
            return {}
        at = self.top.number("Encoding")
        return charset.encoding(self.data, int(at) if at >= 0 else len(self.data), self.charset, self.problems, self.origin)

    def glyph_name(self, gid: int) -> str:
        """The name; `cid00001` in a CID font, `gid1` in CFF2."""
        if self.is_cff2:
            return f"gid{gid}"
        return f"cid{self.charset[gid]:05}" if self.is_cid and gid else ".notdef" if gid == 0 else self.string(self.charset[gid])

    @cached_property
    def glyphs_by_name(self) -> dict[str, int]:
        """The first glyph of each name."""
        return {self.glyph_name(gid): gid for gid in reversed(range(len(self)))}

    def glyph_named(self, name: str) -> int:
        """The glyph of that name; raises UsageError."""
        if name not in self.glyphs_by_name:
            raise UsageError(f"no glyph {name!r}", wanted="a name of this font, gid:N or U+XXXX", where=self.name)
        return self.glyphs_by_name[name]

    @cached_property
    def seac_glyphs(self) -> list[int]:
        """The glyph of each code of StandardEncoding, -1 where there is none: what endchar with four operands names."""
        names = standard.standard_encoding()
        if self.is_cid or self.is_cff2:
            return [-1] * 256
        return [self.glyphs_by_name.get(names.get(code, ""), -1) for code in range(256)]
