"""The way in: octets from the wire through the cipher of ENCRYPT or the decompression of MCCP to the parser, changing at the exact octet.

RFC 2946 section 3 (cipher text begins with the octet after START's IAC SE), mudstandards.org MCCP, draft-altman-telnet-starttls-02.
The machine and the capture reader share it. A cipher and a compression at once are refused: the texts do not say which lies inside.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator

from tanken.telnet.events import Violation
from tanken.telnet.feedback import Feedback
from tanken.telnet.parser import Parser, Token

STEP = 1 << 18  # octets that decompression gives at a time
RAW, ZLIB, GZIP = -zlib.MAX_WBITS, zlib.MAX_WBITS, zlib.MAX_WBITS | 16


class Incoming:
    """One direction. While `feed` runs, the consumer of a token may call one of the three `..._from_here`."""

    def __init__(self, limit: int) -> None:
        self.parser = Parser(limit)
        self.cipher: Feedback | None = None
        self.rest = b""  # what follows `stop_from_here`
        self.stopped = False
        self.failed = False  # the compressed octets made no sense, and nothing behind them can
        self._inflate: zlib._Decompress | None = None
        self._head = b""
        self._switch: Callable[[], None] | None = None

    @property
    def inflating(self) -> bool:
        """Whether compressed octets come in."""
        return self._inflate is not None

    def cipher_from_here(self, cipher: Feedback | None) -> None:
        """The octets behind the present token are under `cipher` (None: clear)."""

        def switch() -> None:
            self.cipher = cipher

        self._switch = switch

    def restart_from_here(self, cipher: Feedback, iv: bytes) -> None:
        """The octets behind the present token are under `cipher`, begun anew with `iv`."""

        def switch() -> None:
            cipher.restart(iv)
            self.cipher = cipher

        self._switch = switch

    def inflate_from_here(self) -> None:
        """The octets behind the present token are compressed: zlib, gzip or raw deflate, found out from the first two."""

        def switch() -> None:
            self._inflate, self._head = zlib.decompressobj(), b""

        self._switch = switch

    def stop_from_here(self) -> None:
        """The octets behind the present token are not TELNET; they are kept in `rest`."""

        def switch() -> None:
            self.stopped = True

        self._switch = switch

    def feed(self, data: bytes) -> Iterator[Token]:
        """The tokens of the next octets."""
        while data:
            if self.stopped:
                self.rest += data
                return
            if self._inflate is not None:
                data = yield from self._inflated(data, self._inflate)
                continue
            cipher = self.cipher
            saved = cipher.saved() if cipher else None
            clear = cipher.decrypt(data) if cipher else data
            behind = b""
            for token in self.parser.feed(clear):
                yield token
                if self._switch is not None:
                    used = len(clear) - len(self.parser.cut())
                    if cipher and saved:
                        cipher.__dict__.update(saved.__dict__)
                        cipher.decrypt(data[:used])
                    behind = data[used:]
                    self._switch()
                    self._switch = None
            data = behind

    def _inflated(self, data: bytes, inflate: zlib._Decompress) -> Generator[Token, None, bytes]:
        """Tokens of compressed octets, a bounded piece at a time; returns what follows the end of the stream."""
        if self._head is not None and len(self._head) < 2:
            self._head += data
            if len(self._head) < 2:
                return b""
            data, head = self._head, self._head
            if head[0] & 15 != 8 or (head[0] << 8 | head[1]) % 31:
                inflate = self._inflate = zlib.decompressobj(GZIP if head[:2] == b"\x1f\x8b" else RAW)
        while data:
            try:
                clear = inflate.decompress(data, STEP)
            except zlib.error as error:
                self._inflate = None
                yield Violation("compression", str(error), "MCCP; RFC 1950")
                self.stopped = self.failed = True
                return b""
            data = inflate.unconsumed_tail
            for token in self.parser.feed(clear):
                yield token
                if self._switch is not None:
                    self._switch = None
                    yield Violation("nested", "encryption, TLS or compression begun inside compressed octets", "limit of this implementation")
            if inflate.eof:
                self._inflate = None
                return inflate.unused_data
            if not clear and not data:
                break
        return b""
