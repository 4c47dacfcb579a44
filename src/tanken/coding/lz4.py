"""LZ4: decompression of blocks and of the legacy frame that Linux kernels are packed in.

LZ4 block format description and LZ4 frame format, section "Legacy frame" (lz4 project documents, version 1.6).
"""

from __future__ import annotations

from tanken.base.errors import InputError

LEGACY_MAGIC = b"\x02\x21\x4c\x18"
LEGACY_LIMIT = 1 << 30  # bytes of a legacy frame that are written at most
LEGACY_BLOCK = 8 << 20  # bytes that a block of the legacy frame holds at most


def _length(data: bytes, pos: int, first: int) -> tuple[int, int]:
    """A length that goes on in further bytes while they are 255."""
    length = first
    if first == 15:
        while True:
            byte = data[pos]
            pos += 1
            length += byte
            if byte != 255:
                break
    return length, pos


def decompress_block(data: bytes, limit: int) -> bytes:
    """The contents of one block, at most `limit` bytes; raises InputError for a broken block."""
    out = bytearray()
    pos = 0
    try:
        while pos < len(data):
            token = data[pos]
            count, pos = _length(data, pos + 1, token >> 4)
            if pos + count > len(data) or len(out) + count > limit:
                raise InputError(f"{count} literals at {pos:#x}", wanted=f"inside the block and below {limit} bytes", where="LZ4 block")
            out += data[pos : pos + count]
            pos += count
            if pos == len(data):
                return bytes(out)
            distance = data[pos] | data[pos + 1] << 8
            count, pos = _length(data, pos + 2, token & 15)
            _copy(out, distance, count + 4, limit, pos)
    except IndexError:
        raise InputError("the bytes end inside a sequence", where=f"LZ4 block, offset {len(data):#x}") from None
    return bytes(out)


def _copy(out: bytearray, distance: int, count: int, limit: int, pos: int) -> None:
    if not 0 < distance <= len(out) or len(out) + count > limit:
        raise InputError(f"a match of {count} bytes {distance} back, {len(out)} bytes written", where=f"LZ4 block, offset {pos:#x}")
    start = len(out) - distance
    if count <= distance:
        out += out[start : start + count]
    else:
        pattern = out[start:]
        out += (pattern * (count // distance + 1))[:count]


def decompress_legacy(data: bytes, limit: int = LEGACY_LIMIT) -> bytes:
    """The contents of a legacy frame, at most `limit` bytes; what follows the last whole block is left alone. Raises InputError for a broken one."""
    if data[:4] != LEGACY_MAGIC:
        raise InputError(f"first bytes {data[:4].hex(' ')}", wanted="02 21 4c 18 (legacy LZ4 frame)", where="LZ4 frame")
    out, pos = [], 4
    while pos + 4 <= len(data):
        size = int.from_bytes(data[pos : pos + 4], "little")
        if data[pos : pos + 4] == LEGACY_MAGIC:
            pos += 4
            continue
        if not size or pos + 4 + size > len(data):
            break
        out.append(decompress_block(data[pos + 4 : pos + 4 + size], min(LEGACY_BLOCK, limit)))
        limit -= len(out[-1])
        pos += 4 + size
    return b"".join(out)
