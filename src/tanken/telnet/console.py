"""A machine's serial line whose far end is whoever connects by TELNET: it is there before anybody comes, and stays when they leave.

RFC 854. What a machine asks of the far end is stated in `board.device.CharDevice` and `machine.console`; this satisfies it by shape. The server runs
in a thread of its own; whoever connects sees the same output, and all may type, as on a console with several screens.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Self

from tanken.telnet import codes as c
from tanken.telnet.events import Command, Event
from tanken.telnet.profile import Profile
from tanken.telnet.serving import Server, serve
from tanken.telnet.stream import Session

KEPT = 1 << 16  # octets of the machine's output that are kept for who comes later or reads slowly
SHOWN = 1024  # of them, those that a newcomer is shown although others have seen them
TYPED = 1 << 14  # octets typed and not yet read by the machine, at which a session is no longer read from
LAST = 2.0  # seconds in which sessions take what is left when the machine ends
# what commands are on a serial line: the characters that Linux gives these meanings (termios(3))
CHARACTERS = {c.IP: b"\x03", c.EC: b"\x7f", c.EL: b"\x15", c.EOF: b"\x04", c.SUSP: b"\x1a", c.ABORT: b"\x1c"}


class Line:
    """A line that listens at once; `start` begins to serve. `read` and `write` never wait. Raises SessionError when the port cannot be had."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1", *, profile: Callable[[], Profile] | None = None, most: int = 8) -> None:
        self.has_input = False
        self.arrived: Callable[[], None] = lambda: None  # called when there is input, in the server's thread
        self.commands: dict[str, Callable[[], None]] = {}  # a machine's own orders; nobody gives them from afar
        self._typed = bytearray()
        self._output = bytearray()  # the last octets of the output, at most twice KEPT
        self._total = 0  # octets of output so far
        self._seen = 0  # up to where somebody has seen it
        self._lock = threading.Lock()
        self._awake = False  # the server's thread was already told of new output
        self._waiters: set[asyncio.Event] = set()
        self._ending = False
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        try:
            self._server: Server = self._loop.run_until_complete(serve(self._session, host, port, profile=profile, most=most, ask_us=(c.ECHO, c.SGA, c.BINARY)))
        except BaseException:
            self._loop.close()
            raise
        self.port = self._server.port

    # what the machine calls, from any thread

    def read(self, limit: int) -> bytes:
        """At most `limit` octets that were typed; b"" when there are none."""
        with self._lock:
            data = bytes(self._typed[:limit])
            del self._typed[:limit]
            self.has_input = bool(self._typed)
        return data

    def write(self, data: bytes) -> None:
        """Output of the machine, to everybody who is connected; the last of it is kept for who comes."""
        with self._lock:
            self._output += data
            self._total += len(data)
            if len(self._output) > 2 * KEPT:
                del self._output[:-KEPT]
            tell, self._awake = not self._awake, True
        if tell and self._thread is not None:
            self._loop.call_soon_threadsafe(self._news)

    def start(self) -> None:
        """Begins to serve."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, name="telnet console", daemon=True)
            self._thread.start()
            self._loop.call_soon_threadsafe(self._news)

    def stop(self) -> None:
        """Shows what is left, ends the sessions and gives the port back."""
        if self._loop.is_closed():
            return
        if self._thread is None:
            self._loop.run_until_complete(self._server.close())
        else:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._thread = None
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # the server's thread

    async def _end(self) -> None:
        self._ending = True
        self._news()
        await self._server.idle(LAST)
        await self._server.close()

    def _news(self) -> None:
        self._awake = False
        for waiter in self._waiters:
            waiter.set()

    async def _session(self, session: Session) -> None:
        session.talk.hook = lambda event: self._command(session, event)
        keyboard = asyncio.ensure_future(self._keyboard(session))
        screen = asyncio.ensure_future(self._screen(session))
        try:
            await asyncio.wait((keyboard, screen), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (keyboard, screen):
                task.cancel()
            await asyncio.gather(keyboard, screen, return_exceptions=True)

    async def _screen(self, session: Session) -> None:
        """The output to one session, as fast as it takes it; what was kept no longer is said to be lost."""
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        at = max(0, min(self._seen, self._total - SHOWN))
        try:
            while True:
                waiter.clear()
                with self._lock:
                    first = self._total - len(self._output)
                    lost, piece = max(0, first - at), bytes(self._output[max(0, at - first) :])
                    at = self._total
                if lost:
                    await session.write(f"\r\n[{lost} octets were not kept]\r\n")
                if piece:
                    await session.write(piece)
                    self._seen = max(self._seen, at)
                elif self._ending:
                    return
                else:
                    await waiter.wait()
        finally:
            self._waiters.discard(waiter)

    async def _keyboard(self, session: Session) -> None:
        """What one session types; an end of line is one carriage return, as from a keyboard."""
        skip = False
        while data := await session.read(4096):
            if skip and data[:1] in (b"\n", b"\0"):
                data = data[1:]
            skip = data[-1:] == b"\r"
            self._arrive(data.replace(b"\r\n", b"\r").replace(b"\r\0", b"\r"))
            while len(self._typed) > TYPED:
                await asyncio.sleep(0.02)

    def _command(self, session: Session, event: Event) -> None:
        if isinstance(event, Command) and event.code in CHARACTERS:
            session.talk.put(CHARACTERS[event.code])

    def _arrive(self, data: bytes) -> None:
        if data:
            with self._lock:
                self._typed += data
                self.has_input = True
            self.arrived()
