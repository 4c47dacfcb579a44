"""Takes the kernel's ELF file out of a bzImage, whatever it is packed with.

Linux documentation, x86 boot protocol: "The real-mode kernel header" (setup_sects, HdrS, payload_offset, payload_length).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable

from tanken.base.errors import InputError, UnsupportedError
from tanken.coding.lz4 import LEGACY_MAGIC, decompress_legacy

MAXIMUM = 1 << 30  # bytes of an unpacked kernel


def is_bzimage(data: bytes) -> bool:
    """Whether the boot protocol's signature stands where it should."""
    return data[0x202:0x206] == b"HdrS"


def vmlinux(data: bytes, name: str) -> bytes:
    """The kernel's ELF file inside the bzImage `data`; raises InputError or, for another packing, UnsupportedError."""
    sectors = data[0x1F1] or 4
    version = int.from_bytes(data[0x206:0x208], "little")
    if version < 0x208 or len(data) < 0x250:
        raise InputError(f"boot protocol {version >> 8}.{version & 255}", wanted="2.08 or later", where=name)
    start = (sectors + 1) * 512 + int.from_bytes(data[0x248:0x24C], "little")
    length = int.from_bytes(data[0x24C:0x250], "little")
    payload = data[start : start + length]
    if len(payload) != length or length < 8:
        raise InputError(f"a payload of {length} bytes at {start:#x}", wanted=f"inside the file of {len(data)} bytes", where=name)
    return _unpack(payload, f"{name}, payload at {start:#x}")


def _bounded(make: Callable[[], zlib._Decompress | lzma.LZMADecompressor | bz2.BZ2Decompressor], payload: bytes, where: str) -> bytes:
    try:
        machine = make()
        out = machine.decompress(payload, MAXIMUM)
    except (zlib.error, lzma.LZMAError, OSError) as error:
        raise InputError(str(error), where=where) from error
    if len(out) >= MAXIMUM:
        raise InputError("a kernel that does not end", wanted=f"below {MAXIMUM} bytes", where=where)
    if not machine.eof:
        raise InputError("the payload ends too early", wanted="a whole packed kernel", where=where)
    return out


def _unpack(payload: bytes, where: str) -> bytes:
    if payload[:4] == b"\x7fELF":
        return payload
    if payload[:2] == b"\x1f\x8b":
        return _bounded(lambda: zlib.decompressobj(31), payload, where)
    if payload[:6] == b"\xfd7zXZ\0" or payload[:3] == b"\x5d\0\0":
        return _bounded(lzma.LZMADecompressor, payload, where)
    if payload[:3] == b"BZh":
        return _bounded(bz2.BZ2Decompressor, payload, where)
    if payload[:4] == LEGACY_MAGIC:
        return decompress_legacy(payload[:-4])  # the kernel's build appends the unpacked size
    if payload[:4] == b"\x28\xb5\x2f\xfd":
        return _zstd(payload, where)
    raise UnsupportedError(f"packing {payload[:4].hex(' ')}", wanted="gzip, xz, lzma, bzip2, LZ4 or zstd", where=where)


def _zstd(payload: bytes, where: str) -> bytes:
    """A Zstandard frame (RFC 8878), by the library zstandard where it is installed."""
    try:
        import zstandard
    except ImportError:
        raise UnsupportedError("a kernel packed with zstd", wanted="the Python library zstandard", where=where, hint="pip install tanken[zstd]") from None
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(payload) as reader:
            out = reader.read(MAXIMUM)
    except zstandard.ZstdError as error:
        raise InputError(str(error), where=where) from error
    if len(out) >= MAXIMUM:
        raise InputError("a kernel that does not end", wanted=f"below {MAXIMUM} bytes", where=where)
    if out[:4] != b"\x7fELF":
        raise InputError("the payload is no whole kernel", wanted="an ELF file", where=where)
    return bytes(out)
