"""A connection of the conformance tester: it says only what a test wants, refuses what it is asked, and keeps what came.

RFC 854, RFC 1143 section 4 (an answer is never answered); what is asked and why stands in `conformance`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from tanken.base.errors import InputError
from tanken.telnet import codes as c
from tanken.telnet.codes import DO, DONT, IAC, WILL, WONT
from tanken.telnet.events import Event, Negotiation
from tanken.telnet.incoming import Incoming

QUIET = 0.35  # seconds of silence after which an answer is complete
LIMIT = 4.0  # seconds for an answer
OCTETS = 1 << 20  # octets of one answer


class Probe:
    """A connection that says only what a test wants, and refuses whatever it is asked, apart from the options in `accept`."""

    def __init__(self, address: tuple[str, int], accept: frozenset[int] = frozenset()) -> None:
        try:
            self.sock = socket.create_connection(address, LIMIT)
        except OSError as error:
            raise InputError(error.strerror or str(error), where=f"telnet://{address[0]}:{address[1]}", wanted="a TELNET server") from error
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self.incoming = Incoming(65536)
        self.accept = accept
        self.closed = False
        self.asked: set[tuple[int, int]] = set()  # what we sent: its answer is not answered
        self.tokens: list[Event] = []

    def send(self, octets: bytes) -> None:
        try:
            self.sock.sendall(octets)
        except OSError:
            self.closed = True

    def verb(self, *pairs: tuple[int, int]) -> None:
        """Sends WILL, WONT, DO, DONT."""
        self.asked.update(pairs)
        self.send(b"".join(bytes((IAC, verb, option)) for verb, option in pairs))

    def hear(self, quiet: float | None = None, until: Callable[[list[Event]], bool] = lambda tokens: False) -> list[Event]:
        """What comes until nothing does for `quiet` seconds, or `until` is content."""
        heard: list[Event] = []
        end, octets = time.monotonic() + LIMIT, 0
        while not self.closed and time.monotonic() < end and octets < OCTETS and not until(heard):
            self.sock.settimeout(QUIET if quiet is None else quiet)
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
                break
            octets += len(data)
            for token in self.incoming.feed(data):
                heard.append(token)
                if isinstance(token, Negotiation):
                    self._answer(token)
        self.tokens += heard
        return heard

    def _answer(self, token: Negotiation) -> None:
        if token.verb in (WONT, DONT) or token.option == c.TIMING_MARK:
            return
        mine = (DO if token.verb == WILL else WILL, token.option)
        if mine in self.asked:
            return
        if token.option not in self.accept:
            mine = (DONT if token.verb == WILL else WONT, token.option)
        self.asked.add(mine)
        self.send(bytes((IAC, *mine)))

    def fence(self, marks: bool, quiet: float | None = None) -> list[Event]:
        """All that comes in answer to what was sent: up to the answer to a timing mark behind it (RFC 860), where the server gives one (`marks`).

        A slow server, or a slow way, does not look like silence then.
        """
        if not marks:
            return self.hear(quiet)
        self.verb((DO, c.TIMING_MARK))
        return self.hear(LIMIT, until=marked)

    def alive(self) -> bool:
        """Whether the server still answers a timing mark, or at least keeps the connection."""
        self.verb((DO, c.TIMING_MARK))
        self.hear(until=marked)
        return not self.closed

    def ask(self, verb: int, option: int, marks: bool = False) -> list[int]:
        """The verbs about `option` that come back."""
        self.verb((verb, option))
        return [token.verb for token in self.fence(marks) if isinstance(token, Negotiation) and token.option == option]

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def marked(tokens: list[Event]) -> bool:
    """Whether a timing mark was answered."""
    return any(isinstance(token, Negotiation) and token.option == c.TIMING_MARK for token in tokens)
