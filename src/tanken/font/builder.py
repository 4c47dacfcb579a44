"""Writes fonts from charstrings: CFF and CFF2 tables, and OpenType files around them. It writes whatever it is told, right or wrong.

Adobe Technical Note 5176; OpenType Specification 1.9.1. Used by the generator of hostile fonts and by tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tanken.font.dictionary import Number, write
from tanken.font.layouts import layout
from tanken.font.standard import strings

Values = Mapping[str, Sequence[Number]]


def index(objects: Sequence[bytes], off_size: int = 0, wide: bool = False) -> bytes:
    """An INDEX, with offsets of `off_size` bytes (0: as few as will do); `wide` has the count of CFF2."""
    count = len(objects).to_bytes(4 if wide else 2, "big")
    if not objects:
        return count
    offsets = [1]
    for one in objects:
        offsets.append(offsets[-1] + len(one))
    size = off_size or max(1, (offsets[-1].bit_length() + 7) // 8)
    return count + bytes([size]) + b"".join(offset.to_bytes(size, "big") for offset in offsets) + b"".join(objects)


@dataclass
class Recipe:
    """What goes into a CFF table. `names`: of glyphs but the first; `top`, `private`: operators more than the usual ones.

    `cut`: parts that are written as given, by name (charset, Encoding, FDSelect, CharStrings, Subrs, globals), to tell lies with.
    """

    glyphs: Sequence[bytes]
    globals: Sequence[bytes] = ()
    locals: Sequence[bytes] = ()
    names: Sequence[str] = ()
    font_name: str = "Tanken"
    top: Values = field(default_factory=dict)
    private: Values = field(default_factory=dict)
    cid: bool = False
    fds: int = 1
    cut: Mapping[str, bytes] = field(default_factory=dict)
    store: bytes = b""  # CFF2: the item variation store


def cff(recipe: Recipe) -> bytes:
    """A CFF table."""
    names = list(recipe.names) or [f"g{i}" for i in range(1, len(recipe.glyphs))]
    known = {name: sid for sid, name in enumerate(strings())}
    extra = [name for name in dict.fromkeys(names) if name not in known]
    if recipe.cid:
        extra, names = ["Adobe", "Identity"], []
    sids = {name: len(strings()) + i for i, name in enumerate(extra)} | {name: known[name] for name in names if name in known}
    ids = [sids[name] for name in names] if not recipe.cid else list(range(1, len(recipe.glyphs)))
    head = b"\1\0\4\4" + index([recipe.font_name.encode("latin-1")])
    tail = index([name.encode("latin-1") for name in extra]) + recipe.cut.get("globals", index(recipe.globals))
    charset = recipe.cut.get("charset", b"\0" + b"".join(sid.to_bytes(2, "big") for sid in ids))
    parts = {
        "charset": charset,
        "Encoding": recipe.cut.get("Encoding", b""),
        "FDSelect": recipe.cut.get("FDSelect", b"\3\0\1\0\0\0" + len(recipe.glyphs).to_bytes(2, "big")) if recipe.cid else b"",
        "CharStrings": recipe.cut.get("CharStrings", index(recipe.glyphs)),
    }
    return _joined(recipe, head, tail, parts)


def _joined(recipe: Recipe, head: bytes, tail: bytes, parts: dict[str, bytes]) -> bytes:
    """Header, Top DICT with offsets, and the parts; two rounds, since whole numbers of a DICT take five bytes whatever they are."""
    places = dict.fromkeys([*parts, "Private", "FDArray"], 0)
    table = b""
    for _ in range(2):
        private, subrs = _private(recipe)
        values: list[tuple[str, Sequence[Number]]] = [("ROS", [len(strings()), len(strings()) + 1, 0])] if recipe.cid else []
        values += [(name, [places[name]]) for name, data in parts.items() if data and name not in recipe.top]
        if recipe.cid:
            values.append(("FDArray", [places["FDArray"]]))
        elif "Private" not in recipe.top:
            values.append(("Private", [len(private), places["Private"]]))
        values += recipe.top.items()
        table = head + index([write("top", values)]) + tail
        for name, data in parts.items():
            places[name] = len(table)
            table += data
        places["Private"] = len(table)
        table += private + subrs
        places["FDArray"] = len(table)
        if recipe.cid:
            table += recipe.cut.get("FDArray", index([write("top", [("Private", [len(private), places["Private"]])])] * recipe.fds))
    return table


def _private(recipe: Recipe, wide: bool = False) -> tuple[bytes, bytes]:
    values: list[tuple[str, Sequence[Number]]] = list(recipe.private.items())
    subrs = recipe.cut.get("Subrs", index(recipe.locals, wide=wide) if recipe.locals else b"")
    if subrs and "Subrs" not in recipe.private:
        values.append(("Subrs", [len(write("private", [*values, ("Subrs", [0])]))]))
    return write("private", values), subrs


def cff2(recipe: Recipe) -> bytes:
    """A CFF2 table."""
    private, subrs = _private(recipe, True)
    globals_ = index(recipe.globals, wide=True)
    charstrings = recipe.cut.get("CharStrings", index(recipe.glyphs, wide=True))
    places = {"CharStrings": 0, "FDArray": 0, "vstore": 0}
    table = b""
    for _ in range(2):
        values: list[tuple[str, Sequence[Number]]] = [(name, [place]) for name, place in places.items() if name != "vstore" or recipe.store]
        top = write("top", [*values, *recipe.top.items()])
        table = b"\2\0\5" + len(top).to_bytes(2, "big") + top + globals_
        places["vstore"] = len(table)
        table += len(recipe.store).to_bytes(2, "big") + recipe.store if recipe.store else b""
        places["CharStrings"] = len(table)
        table += charstrings
        at = len(table)
        table += private + subrs
        places["FDArray"] = len(table)
        table += index([write("top", [("Private", [len(private), at])])] * recipe.fds, wide=True)
    return table


def opentype(table: bytes, advances: Sequence[int], characters: Mapping[int, int], name: str = "Tanken", units: int = 1000, tag: str = "CFF ",
             more: Mapping[str, bytes] | None = None) -> bytes:  # fmt: skip
    """An OpenType file around a CFF table: the tables that any reader wants, and `more` in place of them or beside them."""
    count = len(advances)
    box = {"xMin": 0, "yMin": -200, "xMax": 1000, "yMax": 800}
    tables = {
        tag: table,
        "OS/2": layout("OS/2").pack({"xAvgCharWidth": 500, "usWeightClass": 400, "usWidthClass": 5, "sTypoAscender": 800, "sTypoDescender": -200,
                                     "usWinAscent": 800, "usWinDescent": 200, "achVendID": "TNKN", "fsSelection": 64,
                                     "firstChar": min(min(characters, default=0), 0xFFFF), "lastChar": min(max(characters, default=0), 0xFFFF)}),
        "cmap": _cmap(characters),
        "head": layout("head").pack({"major": 1, "magic": 0x5F0F3CF5, "flags": 3, "unitsPerEm": units, "fontRevision": 1, "lowestRecPPEM": 8, **box}),
        "hhea": layout("hhea").pack({"major": 1, "ascender": 800, "descender": -200, "advanceMax": max(advances, default=0), "caretSlopeRise": 1,
                                     "numberOfMetrics": count}),
        "hmtx": b"".join(advance.to_bytes(2, "big") + b"\0\0" for advance in advances),
        "maxp": layout("maxp").pack({"version": 0x5000, "numGlyphs": count}),
        "name": _names({1: name, 2: "Regular", 4: name, 6: name}),
        "post": layout("post").pack({"version": 0x30000, "underlinePosition": -75, "underlineThickness": 50}),
    } | dict(more or {})  # fmt: skip
    return sfnt(tables)


def sfnt(tables: Mapping[str, bytes], version: str = "OTTO") -> bytes:
    """The file of these tables."""
    count = len(tables)
    power = 1 << max(count.bit_length() - 1, 0)
    values = {"version": version, "tables": count, "searchRange": 16 * power, "entrySelector": power.bit_length() - 1, "rangeShift": 16 * (count - power)}
    head, body = layout("directory").pack(values), b""
    begin = len(head) + count * layout("entry").size
    for tag, data in sorted(tables.items()):
        padded = data + bytes(-len(data) % 4)
        words = sum(int.from_bytes(padded[i : i + 4], "big") for i in range(0, len(padded), 4))
        head += layout("entry").pack({"tag": tag, "checksum": words & 0xFFFFFFFF, "offset": begin + len(body), "length": len(data)})
        body += padded
    return head + body


def _cmap(characters: Mapping[int, int]) -> bytes:
    rows = sorted(characters.items())
    table = b"".join(code.to_bytes(4, "big") * 2 + gid.to_bytes(4, "big") for code, gid in rows)
    twelve = b"\0\x0c\0\0" + (16 + len(table)).to_bytes(4, "big") + bytes(4) + len(rows).to_bytes(4, "big") + table
    return b"\0\0\0\1" + layout("cmapRecord").pack({"platformID": 3, "encodingID": 10, "offset": 12}) + twelve


def _names(texts: Mapping[int, str]) -> bytes:
    records, storage = b"", b""
    for number, text in sorted(texts.items()):
        raw = text.encode("utf-16-be")
        record = {"platformID": 3, "encodingID": 1, "languageID": 0x409, "nameID": number, "length": len(raw), "offset": len(storage)}
        records, storage = records + layout("nameRecord").pack(record), storage + raw
    return layout("name").pack({"count": len(texts), "storageOffset": 6 + len(records)}) + records + storage
