"""The header of error correction data and the block of checksums of RS03: 4,096 and 2,048 bytes with their own CRC.

Codec specifications, appendices A and B. Numbers are little-endian; the CRC is taken with 0x4c5047 in its own place.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import InputError
from tanken.base.records import Record
from tanken.coding.crc import CRC32_RAW
from tanken.coding.reed_solomon import Code, code

if TYPE_CHECKING:
    from tanken.coding.gf256 import Bytes

SECTOR, HEADER = 2048, 4096
COOKIE = b"*dvdisaster*"
SELF = 0x4C5047
FIELDS = struct.Struct("<12s4s4s16s16s16sQiiiiiI16siQQ")
CRC_AT, CRC_FIELDS = 1024, struct.Struct("<12s4s4siii16s16sQiii4xQI")
CREATOR = 7905  # 0.79.5, whose output ours is compared with
NEEDED = {"RS01": 5500, "RS02": 6600, "RS03": 7900}
NEEDED_ODD = 6600  # RS01 of a file whose last sector is not whole
PRINT_SECTOR = 16  # whose MD5 is the medium's fingerprint
MEDIUM_VALID, FILE_FLAG = 1, 2
LEAST_ROOTS, MOST_ROOTS = 8, 170


@dataclass(frozen=True, slots=True, repr=False)
class Header(Record):
    """The fields, in the order in which they stand."""

    method: str
    flags: bytes
    fingerprint: bytes
    medium_sum: bytes
    ecc_sum: bytes
    sectors: int
    data: int
    roots: int
    creator: int
    needed: int
    print_sector: int
    self_crc: int
    crc_sum: bytes
    in_last: int
    layer: int  # sectors per layer, RS03 alone
    added: int  # sectors added, RS02 alone

    def pack(self, checked: bool = True, tail: bytes = b"") -> bytes:
        """The 4,096 bytes; `tail` stands at 2,048; `checked` fills in the CRC."""

        def fields(crc: int) -> bytes:
            head = FIELDS.pack(COOKIE, self.method.encode(), self.flags, self.fingerprint, self.medium_sum, self.ecc_sum, self.sectors, self.data, self.roots,
                               self.creator, self.needed, self.print_sector, crc, self.crc_sum, self.in_last, self.layer, self.added)  # fmt: skip
            return (head.ljust(SECTOR, b"\0") + tail).ljust(HEADER, b"\0")

        return fields(CRC32_RAW.of(fields(SELF))) if checked else fields(0)


def unpack(data: bytes) -> Header | None:
    """The header at the beginning of `data`, or None where there is none or its CRC fails (RS01 has none)."""
    if len(data) < HEADER or data[:12] != COOKIE or data[12:16] not in (b"RS01", b"RS02", b"RS03"):
        return None
    (_, method, flags, *rest) = FIELDS.unpack_from(data)
    found = Header(method.decode(), flags, *rest)
    if found.method != "RS01" and CRC32_RAW.of(data[:96] + struct.pack("<I", SELF) + data[100:HEADER]) != found.self_crc:
        return None
    if not _sane(found):
        return None
    return replace(found, in_last=found.in_last or SECTOR)


def _sane(found: Header) -> bool:
    return (LEAST_ROOTS <= found.roots <= MOST_ROOTS and found.data + found.roots == 255 and 0 < found.sectors < 1 << 32
            and 0 <= found.in_last <= SECTOR and found.layer < 1 << 32 and 0 <= found.print_sector < 1 << 31)  # fmt: skip


def rs(roots: int) -> Code:
    """RS(255, 255 - roots): field 0x187, first root alpha^(11 * 112), primitive element 11 (appendix C)."""
    return code(255, 255 - roots, 112, 11, 0x187)


def check_roots(roots: int, most: int = MOST_ROOTS) -> None:
    """Raises InputError for a redundancy that the formats do not know."""
    if not LEAST_ROOTS <= roots <= most:
        raise InputError(f"{roots} roots", wanted=f"{LEAST_ROOTS} to {most}")


def fingerprint(image: Bytes) -> bytes:
    """The MD5 of sector 16; of nothing where the image is shorter."""
    return hashlib.md5(image[PRINT_SECTOR * SECTOR : (PRINT_SECTOR + 1) * SECTOR].tobytes()).digest()


DEAD = b"dvdisaster dead sector marker\n"
# the text of a padding sector is part of RS03's format: it goes into the parity
PADDING = b"dvdisaster padding sector       This is a padding sector needed for augmenting the image with error correction data."
PADDING_END = b"dvdisaster padding sector end marker"
LABELS = ((0x100, b"Padding sector marker version"), (0x120, b"1.00"), (0x140, b"Padding sector number"), (0x180, b"Medium fingerprint"),
          (0x1C0, b"Medium fingerprint sector"))  # fmt: skip


def padding_sector(number: int, print_of: bytes) -> bytes:
    """The padding sector that stands at this address (RS03)."""
    out = bytearray(SECTOR)
    out[: len(PADDING)] = PADDING
    out[2047 - len(PADDING_END) : 2047] = PADDING_END
    for at, text in (*LABELS, (0x160, b"%d" % number), (0x1A0, print_of), (0x1E0, b"%d" % PRINT_SECTOR)):
        out[at : at + len(text)] = text
    return bytes(out)


def dead(sectors: Bytes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which sectors (count, 2048) hold the mark that stands for one that could not be read."""
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (sectors[:, : len(DEAD)] == np.frombuffer(DEAD, dtype=np.uint8)).all(axis=1)
    return found


def crc_block(checks: Bytes, head: Header) -> bytes:
    """RS03's sector of checksums: 256 of them, the essence of the header, its own CRC."""

    def fields(crc: int) -> bytes:
        body = CRC_FIELDS.pack(COOKIE, b"RS03", head.flags, head.creator, head.needed, head.print_sector, head.fingerprint, head.medium_sum,
                               head.sectors, head.in_last, head.data, head.roots, head.layer, crc)  # fmt: skip
        return (checks.tobytes().ljust(CRC_AT, b"\0") + body).ljust(SECTOR, b"\0")

    return fields(CRC32_RAW.of(fields(SELF)))


def header_of_crc_block(sector: bytes) -> Header | None:
    """The header that a sector of checksums lets one make anew, or None where it is none."""
    if sector[CRC_AT : CRC_AT + 12] != COOKIE or sector[CRC_AT + 12 : CRC_AT + 16] != b"RS03":
        return None
    _, _, flags, creator, needed, print_sector, print_of, medium, sectors, in_last, data, roots, layer, crc = CRC_FIELDS.unpack_from(sector, CRC_AT)
    at = CRC_AT + CRC_FIELDS.size - 4
    if CRC32_RAW.of(sector[:at] + struct.pack("<I", SELF) + sector[at + 4 :]) != crc:
        return None
    found = Header("RS03", flags, print_of, medium, bytes(16), sectors, data, roots, creator, needed, print_sector, 0, bytes(16), in_last or SECTOR, layer, 0)
    return found if _sane(found) else None
