"""The asyncio server: listening sockets, a function that runs for every session, and the refusal to serve others without authentication.

RFC 854 over asyncio's transports; the session itself stands in `stream`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from tanken.base.errors import UsageError
from tanken.telnet import profile as profiles
from tanken.telnet.conversation import SessionError, reason_of
from tanken.telnet.profile import Profile
from tanken.telnet.stream import LINGER, Session


class Server:
    """Listening sockets and the sessions that run; `async with` closes all."""

    def __init__(self, serve_one: Callable[[Session], Awaitable[None]], make: Callable[[], Profile], most: int) -> None:
        self._serve_one = serve_one
        self._make = make
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions: set[Session] = set()  # those whose connection stands
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int, sock: socket.socket | None = None) -> Server:
        """Begins to listen. Raises SessionError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            if sock is not None:
                self._server = await loop.create_server(self._accept, sock=sock)
            else:
                self._server = await loop.create_server(self._accept, host, port, backlog=1024)
        except OSError as error:
            raise SessionError(reason_of(error), where=f"{host}:{port}", wanted="an address and port that are free") from error
        return self

    @property
    def port(self) -> int:
        """The port of the first listening socket."""
        assert self._server is not None
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    def _accept(self) -> Session:
        return Session(self._make(), opened=self._opened, lost=self._sessions.discard)

    def _opened(self, session: Session) -> None:
        if len(self._sessions) >= self._most:
            session.machine.send(b"\r\ntanken: too many sessions\r\n")
            session.machine.close("too many sessions")
        self._sessions.add(session)
        task = asyncio.get_running_loop().create_task(self._run(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, session: Session) -> None:
        try:
            await session.settled()
            await self._serve_one(session)
        except SessionError:
            pass  # the other side went away: its right
        finally:
            session.hang_up()

    async def forever(self) -> None:
        """Serves until it is cancelled."""
        assert self._server is not None
        await self._server.serve_forever()

    async def idle(self, seconds: float) -> None:
        """Waits until the sessions that run have ended, at most so long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def close(self) -> None:
        """Stops listening and ends the sessions."""
        if self._server is not None:
            self._server.close()
        for _ in range(4):  # what was accepted a moment ago becomes a session first: asyncio would leave its socket open
            await asyncio.sleep(0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        waiting = [asyncio.ensure_future(session.closed()) for session in self._sessions]
        if waiting:
            await asyncio.wait(waiting, timeout=2 * LINGER)
            for session in list(self._sessions):
                session.abort()  # one that takes nothing of what is left for it
            await asyncio.gather(*waiting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


async def serve(
    serve_one: Callable[[Session], Awaitable[None]], host: str = "127.0.0.1", port: int = 0, *, profile: Callable[[], Profile] | None = None,
    most: int = 4096, sock: socket.socket | None = None, **changes: object,
) -> Server:  # fmt: skip
    """A server: `serve_one(session)` runs for every session; keyword arguments are fields of `profile.Profile`.

    Off loopback it wants authentication (`verifiers`, `keytab`, or a TLS context that asks for certificates). Raises UsageError without.
    """
    changes.setdefault("ask_us", ())
    shared = profiles.server(**changes)
    make = profile or (lambda: shared)
    check_exposure(host if sock is None else sock.getsockname()[0], make())
    return await Server(serve_one, make, most).listen(host, port, sock)


def check_exposure(host: str, profile: Profile) -> None:
    """Raises UsageError when a server would be open to others without authentication."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    by_certificate = profile.tls is not None and profile.tls.verify_mode == ssl.CERT_REQUIRED and profile.secure == "required"
    if not loopback and not profile.authenticates and not by_certificate:
        raise UsageError(f"a server on {host or 'all addresses'} without authentication", wanted="127.0.0.1, or users, a key table, or certificates of clients",
                         hint="tanken telnet passwd FILE USER, then --users FILE")  # fmt: skip
