"""The way out: data and commands through the NVT's rules, the compression of MCCP or the cipher of ENCRYPT, and TLS, to the octets of the wire.

RFC 854 ("The NVT printer and keyboard", "TELNET command structure"), RFC 2946 section 3, mudstandards.org MCCP. The counterpart of `incoming`.
"""

from __future__ import annotations

import re
import zlib

from tanken.telnet import codes as c
from tanken.telnet.feedback import Feedback
from tanken.telnet.tls import TlsLayer

LONE_CR = re.compile(rb"\r(?![\n\x00])")


class Outgoing:
    """One direction. What is sent collects until `take`."""

    def __init__(self) -> None:
        self.tls: TlsLayer | None = None
        self.cipher: Feedback | None = None
        self.binary = False  # BINARY is in effect for what we send
        self.silent = False  # nothing more is sent: FOLLOWS went out and TLS does not stand yet, or the session was closed
        self.mark: int | None = None  # where the last taken octets must be urgent: behind a data mark
        self._wire: list[bytes] = []
        self._size = 0  # octets in _wire
        self._cr = False  # the data so far ended with CR
        self._deflate: zlib._Compress | None = None

    def reset(self) -> None:
        """TLS stands: all option state begins anew (draft-altman-telnet-starttls-02)."""
        self.binary = self.silent = self._cr = False

    def data(self, octets: bytes) -> None:
        """Data: 255 doubled, a lone CR made CR NUL outside BINARY (RFC 854)."""
        if not self.binary:
            if self._cr and octets[0] not in (0, 10):
                octets = b"\0" + octets
            self._cr = octets[-1] == 13
            if b"\r" in octets:
                kept = octets[:-1] if self._cr else octets
                octets = LONE_CR.sub(b"\r\0", kept) + (b"\r" if self._cr else b"")
        self.emit(c.quoted(octets))

    def set_binary(self, on: bool) -> None:
        """BINARY came into, or went out of, effect; what CR means begins anew."""
        self.binary, self._cr = on, False

    def emit(self, octets: bytes) -> None:
        """Octets of TELNET as they are."""
        if self.silent:
            return
        if self._deflate is not None:
            octets = self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        elif self.cipher is not None:
            octets = self.cipher.encrypt(octets)
        self._through_tls(octets)

    def synch(self) -> None:
        """A data mark as urgent data (inside TLS it is not urgent, since the octets cannot be told apart)."""
        self.emit(bytes((c.IAC, c.DM)))
        self.mark = self._size if self.tls is None else None

    @property
    def deflating(self) -> bool:
        """Whether what we send is compressed."""
        return self._deflate is not None

    def start_deflate(self) -> None:
        """Compresses what is sent from here on (MCCP)."""
        self._deflate = zlib.compressobj()

    def stop_deflate(self) -> None:
        """Ends the compressed stream."""
        if self._deflate is not None:
            end, self._deflate = self._deflate.flush(), None
            self._through_tls(end)

    def _through_tls(self, octets: bytes) -> None:
        if self.tls is not None:
            self.tls.write(octets)
            self.flush_tls()
        else:
            self._put(octets)

    def flush_tls(self) -> None:
        """What TLS itself has to say goes on the wire."""
        if self.tls is not None:
            self._put(self.tls.take())

    def _put(self, octets: bytes) -> None:
        if octets:
            self._wire.append(octets)
            self._size += len(octets)

    def take(self) -> bytes:
        """The octets to put on the wire now; `mark` says behind which of them urgent data ends."""
        self.flush_tls()
        out = self._wire[0] if len(self._wire) == 1 else b"".join(self._wire)
        self._wire.clear()
        self._size = 0
        return out
