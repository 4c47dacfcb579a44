"""Takes the CFF fonts out of a PDF: streams of the subtypes Type1C, CIDFontType0C and OpenType, found by reading through the file.

ISO 32000-1, 7.3.8 (streams), 7.4 (filters), 9.9 (embedded font programs). No cross-reference table is believed; memory is bounded.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.errors import InputError, UnsupportedError

OBJECT = re.compile(rb"(\d+)\s+(\d+)\s+obj\b")
STREAM = re.compile(rb"\bstream\r?\n")
SUBTYPE = re.compile(rb"/Subtype\s*/(Type1C|CIDFontType0C|OpenType)\b")
LENGTH = re.compile(rb"/Length\s+(\d+)(\s+\d+\s+R)?")
FILTER = re.compile(rb"/Filter\s*(\[[^\]]*\]|/[^\s/<>\[\]]+)")
NAME = re.compile(rb"/([A-Za-z0-9]+)")
MAX_FONT = 1 << 28  # bytes of a font when unpacked
DICTIONARY = 1 << 16  # bytes in which a stream's dictionary must end


@dataclass(frozen=True)
class Embedded:
    """An embedded font: the number of its object, where its stream begins, its subtype, its bytes."""

    number: int
    offset: int
    subtype: str
    data: bytes


def fonts(data: bytes, name: str) -> Iterator[Embedded]:
    """The embedded CFF fonts, in the order of the file. Raises InputError where the file is no PDF or a stream cannot be unpacked."""
    if not data.startswith(b"%PDF-"):
        raise InputError(f"first bytes {data[:5].hex(' ')}", wanted="%PDF-", where=name)
    if re.search(rb"/Encrypt\s+\d+\s+\d+\s+R", data):
        raise UnsupportedError("an encrypted PDF", wanted="one without /Encrypt (ISO 32000-1, 7.6)", where=name, hint="qpdf --decrypt makes one")
    for match in OBJECT.finditer(data):
        stream = STREAM.search(data, match.end(), min(match.end() + DICTIONARY, len(data)))
        end = data.find(b"endobj", match.end())
        if stream is None or (0 <= end < stream.start()):
            continue
        head = data[match.end() : stream.start()]
        kind = SUBTYPE.search(head)
        if kind is None:
            continue
        raw = _raw(data, head, stream.end())
        yield Embedded(int(match[1]), stream.end(), kind[1].decode(), _unpacked(raw, head, f"{name}: object {int(match[1])}"))


def _raw(data: bytes, head: bytes, start: int) -> bytes:
    length = LENGTH.search(head)
    if length and length[2] is None:
        stop = start + int(length[1])
        if data[stop : stop + 20].lstrip().startswith(b"endstream"):
            return data[start:stop]
    stop = data.find(b"endstream", start)
    return data[start : stop if stop >= 0 else len(data)]


def _unpacked(raw: bytes, head: bytes, where: str) -> bytes:
    found = FILTER.search(head)
    for name in NAME.findall(found[1]) if found else []:
        try:
            raw = _filtered(raw, name.decode(), where)
        except (zlib.error, binascii.Error, ValueError) as error:
            raise InputError(f"{name.decode()} data that cannot be unpacked: {error}", where=where) from error
    if re.search(rb"/Predictor\s+(?!1\b)\d+", head):
        raise UnsupportedError("a font stream with a predictor", wanted="none (ISO 32000-1, 7.4.4.4)", where=where)
    return raw


def _filtered(raw: bytes, name: str, where: str) -> bytes:
    if name in ("FlateDecode", "Fl"):
        unpacker = zlib.decompressobj()
        out = unpacker.decompress(raw, MAX_FONT)
        if unpacker.unconsumed_tail:
            raise InputError(f"a font of more than {MAX_FONT} bytes", where=where, wanted="a smaller one")
        return out
    if name in ("ASCII85Decode", "A85"):
        text = raw.partition(b"~>")[0]
        return base64.a85decode(text)
    if name in ("ASCIIHexDecode", "AHx"):
        digits = re.sub(rb"\s", b"", raw.partition(b">")[0])
        return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))
    raise UnsupportedError(f"filter {name}", wanted="FlateDecode, ASCII85Decode or ASCIIHexDecode", where=where)
