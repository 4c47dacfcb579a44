"""The filters of PDF streams, decoding: Flate, LZW, ASCII85, ASCIIHex, RunLength, and the predictors of TIFF and PNG.

ISO 32000-1, 7.4; TIFF 6.0, section 14; PNG, section 9. What comes out is bounded by `MOST` bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Callable
from typing import Any

from tanken.base.errors import InputError, UnsupportedError

MOST = 1 << 28
SHORT = {"Fl": "FlateDecode", "LZW": "LZWDecode", "A85": "ASCII85Decode", "AHx": "ASCIIHexDecode", "RL": "RunLengthDecode"}


def decode(raw: bytes, names: list[str], parameters: list[dict[str, Any]], where: str) -> bytes:
    """The bytes behind a chain of filters; raises InputError for what cannot be unpacked, UnsupportedError for a filter of pictures."""
    for i, name in enumerate(names):
        name, options = SHORT.get(name, name), parameters[i] if i < len(parameters) else {}
        if name == "Crypt":
            continue
        if name not in FILTERS:
            raise UnsupportedError(f"filter {name}", wanted=", ".join(FILTERS), where=where)
        try:
            raw = FILTERS[name](raw, options)
        except (zlib.error, binascii.Error, ValueError, IndexError) as error:
            raise InputError(f"{name} data that cannot be unpacked: {error}", where=where) from error
        if len(raw) > MOST:
            raise InputError(f"a stream of more than {MOST} bytes", wanted="a smaller one", where=where)
    return raw


def _number(options: dict[str, Any], name: str, otherwise: int) -> int:
    value = options.get(name, otherwise)
    return value if isinstance(value, int) else otherwise


def flate(raw: bytes, options: dict[str, Any]) -> bytes:
    """zlib; data that is cut short gives what there is, if anything."""
    unpacker = zlib.decompressobj()
    out = unpacker.decompress(raw, MOST + 1)
    if not out and raw and not unpacker.eof:
        raise ValueError("it ends before anything comes out")
    return predicted(out, options)


def lzw(raw: bytes, options: dict[str, Any]) -> bytes:
    """Codes of 9 to 12 bits, 256 clears the table, 257 ends; EarlyChange 1 widens the codes one code early."""
    early = _number(options, "EarlyChange", 1)
    table: list[bytes] = [bytes([i]) for i in range(256)] + [b"", b""]
    out, before, width, held, bits = bytearray(), b"", 9, 0, 0
    for byte in raw:
        held, bits = held << 8 | byte, bits + 8
        if bits < width:
            continue
        code = held >> (bits - width)
        bits -= width
        held &= (1 << bits) - 1
        if code == 257 or len(out) > MOST:
            break
        if code == 256:
            del table[258:]
            before, width = b"", 9
            continue
        if code > len(table) or (code == len(table) and not before):
            raise ValueError(f"code {code} of {len(table)}")
        entry = table[code] if code < len(table) else before + before[:1]
        out += entry
        if before and len(table) < 4096:
            table.append(before + entry[:1])
        before = entry
        width = 9 + sum(len(table) + early >= limit for limit in (512, 1024, 2048))
    return predicted(bytes(out), options)


def ascii85(raw: bytes, options: dict[str, Any]) -> bytes:
    """Five letters for four bytes."""
    return base64.a85decode(raw.partition(b"~")[0].removeprefix(b"<"), ignorechars=b"\0\t\n\f\r\v ")


def asciihex(raw: bytes, options: dict[str, Any]) -> bytes:
    """Two digits a byte."""
    digits = re.sub(rb"[\0\s]", b"", raw.partition(b">")[0])
    return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))


def run_length(raw: bytes, options: dict[str, Any]) -> bytes:
    """A length, then so many bytes, or one byte so often; 128 ends."""
    out, at = bytearray(), 0
    while at < len(raw) and raw[at] != 128 and len(out) <= MOST:
        length = raw[at]
        out += raw[at + 1 : at + 2 + length] if length < 128 else raw[at + 1 : at + 2] * (257 - length)
        at += 2 + length if length < 128 else 2
    return bytes(out)


FILTERS: dict[str, Callable[[bytes, dict[str, Any]], bytes]] = {
    "FlateDecode": flate, "LZWDecode": lzw, "ASCII85Decode": ascii85, "ASCIIHexDecode": asciihex, "RunLengthDecode": run_length,
}  # fmt: skip


def predicted(data: bytes, options: dict[str, Any]) -> bytes:
    """Takes back a predictor: 2 is TIFF's, 10 and above PNG's, each row with its own."""
    predictor = _number(options, "Predictor", 1)
    if predictor < 2:
        return data
    colors, depth, columns = _number(options, "Colors", 1), _number(options, "BitsPerComponent", 8), _number(options, "Columns", 1)
    if not (1 <= colors <= 64 and depth in (1, 2, 4, 8, 16) and 1 <= columns <= MOST):
        raise ValueError(f"a predictor for {colors} colours of {depth} bits in {columns} columns")
    size, step = (colors * depth * columns + 7) // 8, max(colors * depth // 8, 1)
    if predictor == 2:
        if depth != 8:
            raise ValueError(f"the predictor of TIFF for {depth} bits")
        return b"".join(_sub(data[at : at + size], step) for at in range(0, len(data), size))
    out, above = bytearray(), bytes(size)
    for at in range(0, len(data), size + 1):
        above = _row(data[at], data[at + 1 : at + 1 + size], above, step)
        out += above
    return bytes(out)


def _sub(row: bytes, step: int) -> bytes:
    out = bytearray(row)
    for i in range(step, len(out)):
        out[i] = out[i] + out[i - step] & 255
    return bytes(out)


def _row(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """A row of PNG: 0 none, 1 the left one, 2 the one above, 3 their mean, 4 Paeth's choice."""
    if kind == 0:
        return row
    if kind == 1:
        return _sub(row, step)
    if kind == 2:
        return bytes(a + b & 255 for a, b in zip(row, above, strict=False))
    if kind > 4:
        raise ValueError(f"a row of PNG with predictor {kind}")
    out = bytearray(row)
    for i in range(len(out)):
        left, up, corner = out[i - step] if i >= step else 0, above[i], above[i - step] if i >= step else 0
        out[i] = out[i] + ((left + up) // 2 if kind == 3 else _paeth(left, up, corner)) & 255
    return bytes(out)


def _paeth(left: int, up: int, corner: int) -> int:
    near = [abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)]
    return (left, up, corner)[near.index(min(near))]
