"""The asyncio API: the session, and `connect`, which gives one; `serving` has the server.

RFC 854 over asyncio's transports. Urgent data (Synch) is asked of the socket before each chunk is looked at: TCP stops reading at the urgent octet,
so the data mark is never read before it is known to be urgent.
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from tanken.telnet import profile as profiles
from tanken.telnet.conversation import HIGH, LOW, Conversation, Found, SessionError, Speaker, compiled, encoded, reason_of
from tanken.telnet.events import Event
from tanken.telnet.machine import Machine
from tanken.telnet.profile import Profile

PATIENCE = 10.0  # seconds for security to be settled
PATIENCE_AUTO = 3.0  # the same where clear text will do
LINGER = 1.0  # seconds that the other side has to end its half of the connection after we have ended ours
STALLED = 30.0  # seconds in which it has to take at least something of what we still send
Tap = Callable[[bytes, bool], None]


class Session(Speaker, asyncio.Protocol):
    """One session; `async with` closes it."""

    def __init__(
        self, profile: Profile, hook: Callable[[Event], None] | None = None, tap: Tap | None = None,
        opened: Callable[[Session], None] | None = None, lost: Callable[[Session], None] | None = None,
    ) -> None:  # fmt: skip
        self.machine = Machine(profile)
        self.talk = Conversation(self.machine, hook)
        self.tap = tap  # sees the octets on the wire: (octets, whether we sent them)
        self.peer: tuple[object, ...] = ()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drain: asyncio.Future[None] | None = None
        self._opened, self._lost = opened, lost  # a server's: called when the connection stands, and when it is gone
        self._paused = False
        self._ending = False  # our half of the connection is ended, or about to be
        self._poll: select.poll | None = None
        self._urgent: list[tuple[bytes, int]] = []  # (octets, where the urgent part ends) that wait for the transport to be empty
        self._expire: asyncio.TimerHandle | None = None
        self._gone = asyncio.get_running_loop().create_future()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = transport.get_extra_info("peername") or ()
        sock = transport.get_extra_info("socket")
        if sock is not None and isinstance(self.peer, tuple) and self.peer:  # TCP; asyncio has set TCP_NODELAY
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLPRI)
        events = self.machine.start()
        if self._opened is not None:
            self._opened(self)
        self._after(events)
        if self.talk.ready is None:
            patience = PATIENCE if self.machine.profile.secure == "required" else PATIENCE_AUTO
            self._expire = asyncio.get_running_loop().call_later(patience, self._expired)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        if self._poll is not None and self._poll.poll(0):
            self.machine.urgent()
        if self.tap is not None:
            self.tap(data, False)
        self._after(self.machine.receive(data))
        while self.machine.more:
            self._after(self.machine.receive(b""))

    def connection_lost(self, exc: Exception | None) -> None:
        self.talk.finish(str(exc) if exc else "")
        self._poll = None
        if self._expire is not None:
            self._expire.cancel()
        self._wake()
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        if not self._gone.done():
            self._gone.set_result(None)
        if self._lost is not None:
            self._lost(self)

    def pause_writing(self) -> None:
        self._drain = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._drain = None

    # inside

    def _after(self, events: list[Event]) -> None:
        self.talk.take_in(events)
        self.flush()
        if self.talk.ready is not None and self._expire is not None:
            self._expire.cancel()
            self._expire = None
        if self.machine.closed:
            self.hang_up()
        if self.talk.size > HIGH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expired(self) -> None:
        self._expire = None
        self._after(self.machine.expire())

    def flush(self) -> None:
        """Puts on the wire what was said to the machine."""
        octets = self.machine.take()
        mark, self.machine.outgoing.mark = self.machine.outgoing.mark, None
        if not octets or self._transport is None or self._transport.is_closing():
            return
        if self.tap is not None:
            self.tap(octets, True)
        if mark is not None or self._urgent:
            self._urgent.append((octets, mark or 0))
            self._send_urgent()
        else:
            self._transport.write(octets)

    def _send_urgent(self) -> None:
        """Urgent data goes by the socket itself, so what is before it must have left the transport."""
        transport = self._transport
        while self._urgent and transport is not None and not transport.is_closing():
            octets, mark = self._urgent.pop(0)
            if not mark:
                transport.write(octets)
                continue
            if mark > 1:
                transport.write(octets[: mark - 1])
                octets, mark = octets[mark - 1 :], 1
            if transport.get_write_buffer_size():
                self._urgent.insert(0, (octets, mark))
                asyncio.get_running_loop().call_later(0.01, self._send_urgent)
                return
            with socket.socket(fileno=socket.dup(transport.get_extra_info("socket").fileno())) as raw:
                raw.setblocking(False)
                try:
                    raw.send(octets[:1], socket.MSG_OOB)
                except OSError:
                    transport.write(octets[:1])
            if octets[1:]:
                transport.write(octets[1:])

    def hang_up(self) -> None:
        """Ends our half of the connection, and throws away what still comes until the other side ends its own.

        A socket that is closed at once, with octets in it that nobody read, is reset, and what was sent last is lost.
        """
        transport = self._transport
        if self._ending or transport is None or transport.is_closing():
            return
        if self.machine.tls is not None:
            self.machine.tls.close()
            self.flush()
        self._ending = True
        self._resume()
        if self._expire is not None:
            self._expire.cancel()
        left = transport.get_write_buffer_size()
        self._expire = asyncio.get_running_loop().call_later(STALLED if left else LINGER, self._linger, left)
        self._end_writing()

    def abort(self) -> None:
        """Ends the connection at once, whatever is left to send."""
        if self._transport is not None:
            self._transport.abort()

    def _end_writing(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._urgent:
            asyncio.get_running_loop().call_later(0.01, self._end_writing)
            return
        try:
            transport.write_eof()
        except OSError:  # the other side has reset the connection
            transport.abort()

    def _linger(self, before: int) -> None:
        """Time is up, unless the other side is slow and has taken something since."""
        if self._transport is not None:
            left = self._transport.get_write_buffer_size()
            if left and left < before:
                self._expire = asyncio.get_running_loop().call_later(STALLED, self._linger, left)
            else:
                self._transport.abort()

    async def _more(self) -> None:
        """Waits for the next thing to happen."""
        if self.talk.size < LOW:
            self._resume()
        if self.talk.ended:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # what a program calls

    async def settled(self) -> Self:
        """Waits until security is settled. Raises SessionError when the session ends before."""
        while self.talk.ready is None:
            if self.talk.ended:
                raise self.talk.lost("a session")
            await self._more()
        return self

    async def read(self, limit: int = 65536) -> bytes:
        """At least one octet of data, at most `limit`; b"" at the end."""
        while True:
            data = self.talk.read(limit)
            if data:
                if self.talk.size < LOW:
                    self._resume()
                return data
            if self.talk.ended:
                return b""
            await self._more()

    async def read_all(self) -> bytes:
        """Everything up to the end of the session."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def expect(self, *patterns: bytes | str | re.Pattern[bytes], timeout: float | None = 30) -> Found:
        """Waits for the first of some regular expressions. Raises SessionError when the session ends or the time is up."""
        wanted = [compiled(pattern) for pattern in patterns]
        names = " or ".join(repr(p.pattern) for p in wanted)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    found = self.talk.find(wanted)
                    if found is not None:
                        return found
                    if self.talk.ended:
                        raise self.talk.lost(names)
                    self._resume()
                    await self._more()
        except TimeoutError:
            raise self.talk.late(names, timeout or 0) from None

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    async def read_until(self, separator: bytes | str, timeout: float | None = 30) -> bytes:
        """Everything up to and with `separator`, taken as it is."""
        found = await self.expect(re.compile(re.escape(encoded(separator))), timeout=timeout)
        return found.before + found.match

    async def read_line(self) -> bytes:
        """A line without its end. Raises SessionError at the end of the session."""
        while (line := self.talk.line()) is None:
            if self.talk.ended:
                raise self.talk.lost("a line")
            self._resume()
            await self._more()
        return line

    async def write(self, data: bytes | str) -> None:
        """Sends data, and waits while the other side does not keep up. Text gets CR LF for LF."""
        if self.talk.ended:
            raise self.talk.lost("an open session")
        self.machine.send(encoded(data))
        self.flush()
        if self._drain is not None:
            await self._drain

    async def learn(self, seconds: float = 1.0) -> None:
        """Waits a moment for the other side's terminal type and window size, if it agreed to tell them."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.talk.ended and (not self.talk.terminal or self.talk.window is None):
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(self._more(), left)
            except TimeoutError:
                return

    async def close(self) -> None:
        """Ends the session, and waits for the end of the connection."""
        self.hang_up()
        await asyncio.shield(self._gone)

    async def closed(self) -> None:
        """Waits for the end of the session."""
        await asyncio.shield(self._gone)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data


class _Connecting:
    """What `connect` gives: awaited it is the session, under `async with` it is closed at the end."""

    def __init__(self, start: Callable[[], Awaitable[Session]]) -> None:
        self._start = start
        self._session: Session | None = None

    def __await__(self):  # type: ignore[no-untyped-def]
        return self._start().__await__()

    async def __aenter__(self) -> Session:
        self._session = await self._start()
        return self._session

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()


def connect(
    host: str, port: int = 23, *, profile: Profile | None = None, timeout: float | None = 30, hook: Callable[[Event], None] | None = None,
    tap: Tap | None = None, sock: socket.socket | None = None, **changes: object,
) -> _Connecting:  # fmt: skip
    """A session as client; keyword arguments are fields of `profile.Profile`. Raises SessionError when there is none.

    `hook` is called with every event, `sock` is a connected socket to use instead of a new one.
    """
    wanted = profile or profiles.client(**changes)
    if wanted.hostname is None:
        wanted = replace(wanted, hostname=host)

    async def start() -> Session:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                if sock is not None:
                    _, session = await loop.create_connection(lambda: Session(wanted, hook, tap), sock=sock)
                else:
                    _, session = await loop.create_connection(lambda: Session(wanted, hook, tap), host, port)
                try:
                    return await session.settled()
                except BaseException:
                    await session.close()
                    raise
        except TimeoutError:
            raise SessionError(f"no session after {timeout} s", where=f"{host}:{port}") from None
        except OSError as error:
            if isinstance(error, SessionError):
                raise
            raise SessionError(reason_of(error), where=f"{host}:{port}") from error

    return _Connecting(start)
