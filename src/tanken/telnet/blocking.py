"""The blocking API: a session on a socket, for scripts without asyncio, and a server that gives each session a thread.

RFC 854; the same machine, conversation and profile as the asyncio API.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from tanken.telnet import profile as profiles
from tanken.telnet.conversation import Conversation, Found, SessionError, Speaker, compiled, encoded, reason_of
from tanken.telnet.events import Event
from tanken.telnet.machine import Machine
from tanken.telnet.profile import Profile
from tanken.telnet.serving import check_exposure
from tanken.telnet.stream import LINGER, PATIENCE, PATIENCE_AUTO

PIECE = 1 << 18


class Session(Speaker):
    """One session on a connected socket; `with` closes it. Times are in seconds, None waits for ever."""

    def __init__(self, sock: socket.socket, profile: Profile, hook: Callable[[Event], None] | None = None) -> None:
        self.sock = sock
        self.machine = Machine(profile)
        self.talk = Conversation(self.machine, hook)
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN | select.POLLPRI)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._after(self.machine.start())

    def settle(self) -> Self:
        """Waits until security is settled. Raises SessionError when the session ends before."""
        end = time.monotonic() + (PATIENCE if self.machine.profile.secure == "required" else PATIENCE_AUTO)
        while self.talk.ready is None:
            if self.talk.ended:
                raise self.talk.lost("a session")
            if not self._step(end):
                self._after(self.machine.expire())
        return self

    def _after(self, events: list[Event]) -> None:
        self.talk.take_in(events)
        self.flush()

    def flush(self) -> None:
        """Puts on the wire what was said to the machine."""
        octets = self.machine.take()
        mark, self.machine.outgoing.mark = self.machine.outgoing.mark, None
        try:
            if mark:
                self.sock.sendall(octets[: mark - 1])
                self.sock.send(octets[mark - 1 : mark], socket.MSG_OOB)
                octets = octets[mark:]
            if octets:
                self.sock.sendall(octets)
        except OSError as error:
            self.talk.finish(reason_of(error))

    def _step(self, end: float | None) -> bool:
        """Reads once; False when the time is up."""
        wait = None if end is None else max(0.0, end - time.monotonic()) * 1000
        ready = self._poll.poll(wait)
        if not ready:
            return False
        if ready[0][1] & select.POLLPRI:
            self.machine.urgent()
        try:
            data = self.sock.recv(PIECE)
        except OSError as error:
            self.talk.finish(reason_of(error))
            return True
        if not data:
            self.talk.finish("closed by the other side")
            return True
        self._after(self.machine.receive(data))
        while self.machine.more:
            self._after(self.machine.receive(b""))
        return True

    def read(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """At least one octet of data, at most `limit`; b"" at the end. Raises SessionError when the time is up."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            data = self.talk.read(limit)
            if data or self.talk.ended:
                return data
            if not self._step(end):
                raise self.talk.late("data", timeout or 0)

    def read_available(self) -> bytes:
        """What has arrived, without waiting; b"" when nothing has."""
        while not self.talk.ended and self._step(0.0):
            pass
        pieces = []
        while piece := self.talk.read(PIECE):
            pieces.append(piece)
        return b"".join(pieces)

    def read_all(self) -> bytes:
        """Everything up to the end of the session."""
        pieces = []
        while piece := self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def expect(self, *patterns: bytes | str | re.Pattern[bytes], timeout: float | None = 30) -> Found:
        """Waits for the first of some regular expressions. Raises SessionError when the session ends or the time is up."""
        wanted = [compiled(pattern) for pattern in patterns]
        names = " or ".join(repr(p.pattern) for p in wanted)
        end = None if timeout is None else time.monotonic() + timeout
        while (found := self.talk.find(wanted)) is None:
            if self.talk.ended:
                raise self.talk.lost(names)
            if not self._step(end):
                raise self.talk.late(names, timeout or 0)
        return found

    def read_until(self, separator: bytes | str, timeout: float | None = 30) -> bytes:
        """Everything up to and with `separator`, taken as it is."""
        found = self.expect(re.compile(re.escape(encoded(separator))), timeout=timeout)
        return found.before + found.match

    def read_line(self, timeout: float | None = None) -> bytes:
        """A line without its end."""
        end = None if timeout is None else time.monotonic() + timeout
        while (line := self.talk.line()) is None:
            if self.talk.ended:
                raise self.talk.lost("a line")
            if not self._step(end):
                raise self.talk.late("a line", timeout or 0)
        return line

    def write(self, data: bytes | str) -> None:
        """Sends data; text gets CR LF for LF."""
        if self.talk.ended:
            raise self.talk.lost("an open session")
        self.machine.send(encoded(data))
        self.flush()

    def close(self) -> None:
        """Ends the session."""
        if self.machine.tls is not None and not self.talk.ended:
            self.machine.tls.close()
            self.flush()
        try:
            self.sock.shutdown(socket.SHUT_WR)  # not closed yet: with unread octets that would be a reset, and what was sent last be lost
            end = time.monotonic() + LINGER
            while (left := end - time.monotonic()) > 0 and self._poll.poll(left * 1000) and self.sock.recv(PIECE):
                pass
        except OSError:
            pass
        self.talk.finish("closed")
        self.sock.close()

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def connect(host: str, port: int = 23, *, timeout: float | None = 30, profile: Profile | None = None,
            hook: Callable[[Event], None] | None = None, sock: socket.socket | None = None, **changes: object) -> Session:  # fmt: skip
    """A session as client; keyword arguments are fields of `profile.Profile`. Raises SessionError when there is none."""
    wanted = profile or profiles.client(**changes)
    if wanted.hostname is None:
        wanted = replace(wanted, hostname=host)
    try:
        connected = sock or socket.create_connection((host, port), timeout)
    except OSError as error:
        raise SessionError(reason_of(error), where=f"{host}:{port}") from error
    connected.settimeout(None)
    session = Session(connected, wanted, hook)
    try:
        return session.settle()
    except BaseException:
        session.close()
        raise


def serve(serve_one: Callable[[Session], None], host: str = "127.0.0.1", port: int = 0, **changes: object) -> tuple[socket.socket, threading.Thread]:
    """Listens, and runs `serve_one(session)` in a thread for every session, until the socket that is returned is closed."""
    changes.setdefault("ask_us", ())
    check_exposure(host, profiles.server(**changes))
    listening = socket.create_server((host, port), backlog=128)

    def one(sock: socket.socket) -> None:
        try:
            with Session(sock, profiles.server(**changes)) as session:
                serve_one(session.settle())
        except SessionError:
            pass

    def loop() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return listening, thread
