"""Capture files: pcap and pcapng to TCP segments, over Ethernet, Linux cooked, loopback and raw IP links, IPv4 and IPv6.

draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; link types: www.tcpdump.org/linktypes.html; RFC 791, 8200, 9293.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tanken.base.errors import InputError

MAGICS = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}
NG_MAGIC = b"\x0a\x0d\x0d\x0a"
BLOCK = 1 << 24  # octets of a packet or block at most
ETHERNET, RAW, RAW_OLD, NULL, LOOP, SLL, SLL2, IPV4, IPV6 = 1, 101, 12, 0, 108, 113, 276, 228, 229
FIN, SYN, RST, ACK, URG = 1, 2, 4, 16, 32


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment: seconds since 1970, the two ends, numbers, flags, urgent pointer, octets, the IPv4 header's options."""

    time: float
    source: tuple[str, int]
    destination: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: int
    urgent: int
    data: bytes
    options: bytes = b""


def is_capture(head: bytes) -> bool:
    """Whether a file begins as a pcap or pcapng file."""
    return head[:4] == NG_MAGIC or any(struct.pack(order + "I", magic) == head[:4] for order in "<>" for magic in MAGICS)


def segments(file: BinaryIO, name: str) -> Iterator[Segment]:
    """The TCP segments of a capture file, in its order. Raises InputError with the offset for what is no capture; a file cut off ends quietly."""
    for time, link, packet in _packets(file, name):
        network = _network(link, packet)
        if network:
            segment = _segment(time, network)
            if segment is not None:
                yield segment


def _packets(file: BinaryIO, name: str) -> Iterator[tuple[float, int, bytes]]:
    head = file.read(4)
    if head == NG_MAGIC:
        yield from _pcapng(file, name)
        return
    for order in "<>":
        if len(head) == 4 and struct.unpack(order + "I", head)[0] in MAGICS:
            unit = MAGICS[struct.unpack(order + "I", head)[0]]
            rest = file.read(20)
            if len(rest) < 20:
                raise InputError("the file ends in its header", where=name, wanted="24 octets")
            yield from _pcap(file, name, order, unit, struct.unpack(order + "I", rest[16:])[0] & 0xFFFF)
            return
    raise InputError(f"begins with {head.hex(' ') or 'nothing'}", where=name, wanted="a pcap or pcapng file")


def _pcap(file: BinaryIO, name: str, order: str, unit: float, link: int) -> Iterator[tuple[float, int, bytes]]:
    offset = 24
    while len(head := file.read(16)) == 16:
        seconds, fraction, size, _ = struct.unpack(order + "IIII", head)
        if size > BLOCK:
            raise InputError(f"a packet of {size} octets", where=f"{name}:{offset:#x}", wanted=f"at most {BLOCK}; the file is damaged")
        data = file.read(size)
        if len(data) < size:
            return
        yield seconds + fraction * unit, link, data
        offset += 16 + size


def _pcapng(file: BinaryIO, name: str) -> Iterator[tuple[float, int, bytes]]:
    order, offset = "<", 0
    links: list[tuple[int, float]] = []
    kind_octets = NG_MAGIC
    while len(kind_octets) == 4:
        size_octets = file.read(4)
        if kind_octets == NG_MAGIC:
            mark = file.read(4)
            order, links = ("<" if mark == b"\x4d\x3c\x2b\x1a" else ">"), []
            head = 12
        else:
            head = 8
        if len(size_octets) < 4:
            return
        (size,), (kind,) = struct.unpack(order + "I", size_octets), struct.unpack(order + "I", kind_octets)
        if size < head + 4 or size > BLOCK or size % 4:
            raise InputError(f"a block of {size} octets", where=f"{name}:{offset:#x}", wanted=f"a multiple of 4, at most {BLOCK}; the file is damaged")
        body = file.read(size - head)[:-4]
        if len(body) < size - head - 4:
            return
        if kind == 1 and len(body) >= 8:
            links.append((struct.unpack(order + "H", body[:2])[0], _resolution(body[8:], order)))
        elif kind == 6 and len(body) >= 20:
            number, high, low, captured = struct.unpack(order + "IIII", body[:16])
            if number < len(links):
                yield (high << 32 | low) * links[number][1], links[number][0], body[20 : 20 + captured]
        elif kind == 3 and links and len(body) >= 4:
            yield 0.0, links[0][0], body[4:]
        offset += size
        kind_octets = file.read(4)


def _resolution(options: bytes, order: str) -> float:
    """The unit of time stamps: option if_tsresol, else microseconds."""
    pos = 0
    while pos + 4 <= len(options):
        code, size = struct.unpack(order + "HH", options[pos : pos + 4])
        if code == 0:
            break
        if code == 9 and size == 1 and pos + 4 < len(options):
            value = options[pos + 4]
            return float(2.0 ** -(value & 127) if value & 128 else 10.0**-value)
        pos += 4 + (size + 3 & ~3)
    return 1e-6


def _network(link: int, packet: bytes) -> bytes:
    """The IP packet inside a link's frame, or b""."""
    if link == ETHERNET:
        at = 12
        while packet[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        return packet[at + 2 :] if packet[at : at + 2] in (b"\x08\x00", b"\x86\xdd") else b""
    if link in (RAW, RAW_OLD, 14, IPV4, IPV6):
        return packet
    if link in (NULL, LOOP):
        return packet[4:]
    if link == SLL:
        return packet[16:] if packet[14:16] in (b"\x08\x00", b"\x86\xdd") else b""
    if link == SLL2:
        return packet[20:] if packet[:2] in (b"\x08\x00", b"\x86\xdd") else b""
    return b""


def _segment(time: float, packet: bytes) -> Segment | None:
    version = packet[0] >> 4
    if version == 4 and len(packet) >= 20:
        head = (packet[0] & 15) * 4
        total, fragment = struct.unpack(">H2xH", packet[2:8])
        if packet[9] != 6 or fragment & 0x3FFF or head < 20:
            return None
        total = total or len(packet)  # 0: the sender left it to the network card
        body, options = packet[head:total], packet[20:head]
        ends = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    elif version == 6 and len(packet) >= 40:
        body, options = _ipv6(packet), b""
        ends = socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(socket.AF_INET6, packet[24:40])
    else:
        return None
    if len(body) < 20:
        return None
    source, destination, sequence, acknowledged, size, flags, urgent = struct.unpack(">HHIIBB4xH", body[:20])
    data = body[(size >> 4) * 4 :] if size >> 4 >= 5 else b""
    return Segment(time, (ends[0], source), (ends[1], destination), sequence, acknowledged, flags, urgent, data, options)


def _ipv6(packet: bytes) -> bytes:
    """The TCP segment behind the extension headers, or b""."""
    following, at = packet[6], 40
    end = min(len(packet), 40 + struct.unpack(">H", packet[4:6])[0]) or len(packet)
    while following in (0, 43, 60) and at + 8 <= end:
        following, at = packet[at], at + 8 + packet[at + 1] * 8
    return packet[at:end] if following == 6 else b""
