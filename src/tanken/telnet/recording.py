"""Writing down a session: what the screen showed as an asciicast, or the octets of the wire as a capture.

asciicast version 2 (docs.asciinema.org); the classic pcap format (draft-ietf-opsawg-pcap) with TCP over IPv4 made up around the octets, link type RAW.
"""

from __future__ import annotations

import json
import os
import struct
import time
from typing import BinaryIO

from tanken.base.errors import InputError

RAW_IP = 101
PIECE = 32768


def _open(path: str) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    except OSError as error:
        raise InputError(error.strerror or str(error), where=path, wanted="a file that can be written") from error


class Recording:
    """`shown` takes what was shown or typed, `wire` the octets sent and received; each kind of file keeps its own."""

    def __init__(self, path: str, width: int = 80, height: int = 24) -> None:
        self.file = _open(path)
        self.started = time.time()

    def shown(self, data: bytes) -> None:
        """Output on the screen."""

    def wire(self, octets: bytes, ours: bool) -> None:
        """Octets on the wire, and whether we sent them."""

    def close(self) -> None:
        """Ends the file."""
        self.file.close()


class Cast(Recording):
    """An asciicast."""

    def __init__(self, path: str, width: int = 80, height: int = 24) -> None:
        super().__init__(path, width, height)
        head = {"version": 2, "width": width, "height": height, "timestamp": int(self.started)}
        self.file.write(json.dumps(head).encode() + b"\n")

    def shown(self, data: bytes) -> None:
        line = [round(time.time() - self.started, 6), "o", data.decode("utf-8", "replace")]
        self.file.write(json.dumps(line).encode() + b"\n")


class Capture(Recording):
    """A pcap file."""

    def __init__(self, path: str, width: int = 80, height: int = 24, port: int = 23) -> None:
        super().__init__(path, width, height)
        self.port = port
        self.next = [1000, 2000]  # sequence numbers: server's, client's
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP))
        self._packet(True, 0x02, b"")
        self.next[1] += 1
        self._packet(False, 0x12, b"")
        self.next[0] += 1
        self._packet(True, 0x10, b"")

    def _packet(self, ours: bool, flags: int, data: bytes) -> None:
        ports = (50000, self.port) if ours else (self.port, 50000)
        addresses = b"\x0a\0\0\1\x0a\0\0\2" if ours else b"\x0a\0\0\2\x0a\0\0\1"
        tcp = struct.pack(">HHIIBBHHH", *ports, self.next[ours], self.next[not ours], 0x50, flags, 65535, 0, 0) + data
        ip = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + addresses)
        total = sum(struct.unpack(">10H", ip))
        total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into(">H", ip, 10, ~(total + (total >> 16)) & 0xFFFF)
        now = time.time()
        size = len(ip) + len(tcp)
        self.file.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), size, size) + ip + tcp)

    def wire(self, octets: bytes, ours: bool) -> None:
        for pos in range(0, len(octets), PIECE):
            piece = octets[pos : pos + PIECE]
            self._packet(ours, 0x18, piece)
            self.next[ours] = (self.next[ours] + len(piece)) & 0xFFFFFFFF

    def close(self) -> None:
        self._packet(True, 0x11, b"")
        super().close()


def open_recording(path: str, width: int, height: int, port: int) -> Recording:
    """A capture where the name ends in .pcap, else an asciicast."""
    return Capture(path, width, height, port) if path.endswith(".pcap") else Cast(path, width, height)
