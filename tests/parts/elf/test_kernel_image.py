"""The kernel inside a bzImage, whatever it is packed with, and images that are broken.

Linux documentation, x86 boot protocol: payload_offset, payload_length.
"""

from __future__ import annotations

import bz2
import gzip
import lzma

import lz4.block
import pytest
import zstandard

from tanken.base.errors import InputError, UnsupportedError
from tanken.coding.lz4 import LEGACY_MAGIC, decompress_legacy
from tanken.elf import kernel_image

KERNEL = b"\x7fELF" + bytes(range(256)) * 20
BLOCK = lz4.block.compress(KERNEL, store_size=False)
FRAME = LEGACY_MAGIC + len(BLOCK).to_bytes(4, "little") + BLOCK
PACKED = {"gzip": gzip.compress(KERNEL), "xz": lzma.compress(KERNEL), "bzip2": bz2.compress(KERNEL), "lz4": FRAME,
          "zstd": zstandard.compress(KERNEL), "none": KERNEL}


def image(payload: bytes) -> bytes:
    head = bytearray(1024)
    head[0x1F1], head[0x202:0x208] = 1, b"HdrS\x0f\x02"
    head[0x24C:0x250] = len(payload).to_bytes(4, "little")
    return bytes(head) + payload


@pytest.mark.parametrize("packing", PACKED)
def test_unpacks(packing: str) -> None:
    size = b"" if packing == "none" else len(KERNEL).to_bytes(4, "little")
    assert kernel_image.vmlinux(image(PACKED[packing] + size), "vmlinuz") == KERNEL


@pytest.mark.parametrize("packing", ["gzip", "xz", "bzip2", "zstd"])
def test_cut_short(packing: str) -> None:
    with pytest.raises(InputError):
        kernel_image.vmlinux(image(PACKED[packing][:-20]), "vmlinuz")
    with pytest.raises(InputError):
        kernel_image.vmlinux(image(PACKED[packing])[:-20], "vmlinuz")


def test_other_packing() -> None:
    with pytest.raises(UnsupportedError):
        kernel_image.vmlinux(image(b"\x89LZO" + bytes(20)), "vmlinuz")


def test_limit_of_a_frame() -> None:
    with pytest.raises(InputError):
        decompress_legacy(FRAME, len(KERNEL) - 1)
