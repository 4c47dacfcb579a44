"""A program on a pseudo-terminal behind a session: shells, machines' consoles, whatever has a standard input.

RFC 854 for the commands and what they do to a terminal, RFC 1073 for the size of the window; the program gets a small environment, and from
the other side only the names that the profile accepts (CVE-2026-24061, CVE-2026-28372).
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import Awaitable, Callable, Sequence

from tanken.telnet import codes as c
from tanken.telnet.conversation import SessionError
from tanken.telnet.events import Command, Event, Suboption
from tanken.telnet.stream import Session
from tanken.telnet.suboptions import WindowSize

CHARACTERS = {c.IP: termios.VINTR, c.BRK: termios.VINTR, c.EC: termios.VERASE, c.EL: termios.VKILL, c.EOF: termios.VEOF, c.SUSP: termios.VSUSP, c.ABORT: termios.VQUIT}
AT_ONCE = frozenset((c.IP, c.BRK, c.ABORT, c.SUSP))  # these overtake what was typed before; the others stand in their place among it
TERMINAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,39}")
PIECE = 65536
LINGER = 1.0  # seconds that a program has to end after its terminal is gone


async def ready(add: Callable[..., None], remove: Callable[[int], bool], fd: int) -> None:
    """Waits until a descriptor can be read or written; `add` and `remove` are the loop's methods for it."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done() -> None:
        if not future.done():
            future.set_result(None)

    add(fd, done)
    try:
        await future
    finally:
        remove(fd)


class Terminal:
    """One program on one pseudo-terminal."""

    def __init__(self, session: Session, command: Sequence[str], environ: dict[str, str]) -> None:
        self.session = session
        window = session.talk.window or (80, 24)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP):  # a server in the background of a script ignores them
                signal.signal(number, signal.SIG_DFL)
            try:
                os.execvpe(command[0], list(command), environ)
            except OSError as error:
                os.write(2, f"tanken: {command[0]}: {error.strerror}\r\n".encode())
            os._exit(127)
        os.set_blocking(self.fd, False)
        self.resize(*window)
        self._skip_lf = False

    def resize(self, width: int, height: int) -> None:
        """The window of the other side has this size; 0 is not said."""
        if width and height:
            fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def observe(self, event: Event) -> None:
        """Commands become what the program's terminal makes of the character of that meaning."""
        try:
            if isinstance(event, Suboption) and isinstance(event.value, WindowSize):
                self.resize(event.value.width, event.value.height)
            elif isinstance(event, Command) and event.code in CHARACTERS:
                character = termios.tcgetattr(self.fd)[6][CHARACTERS[event.code]]
                octets = character if isinstance(character, bytes) else bytes((character,))
                if event.code in AT_ONCE:
                    self.session.talk.discard()
                    self._write(octets)
                    self.session.machine.synch()
                else:
                    self.session.talk.put(octets)
            elif isinstance(event, Command) and event.code == c.AO:
                termios.tcflush(self.fd, termios.TCOFLUSH)
                self.session.machine.synch()
        except (OSError, termios.error):
            pass  # the program is gone; its end is noticed where its output is read

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0

    async def output(self) -> None:
        """From the program to the session."""
        loop = asyncio.get_running_loop()
        while True:
            await ready(loop.add_reader, loop.remove_reader, self.fd)
            try:
                data = os.read(self.fd, PIECE)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno == errno.EIO:  # every process has closed the terminal
                    return
                raise
            if not data:
                return
            await self.session.write(data)

    async def input(self) -> None:
        """From the session to the program; an end of line is one carriage return, as from a keyboard."""
        loop = asyncio.get_running_loop()
        while data := await self.session.read(4096):
            if self._skip_lf and data[:1] == b"\n":
                data = data[1:]
            self._skip_lf = data[-1:] == b"\r"
            data = data.replace(b"\r\n", b"\r")
            while data:
                sent = self._write(data)
                data = data[sent:]
                if data:
                    await ready(loop.add_writer, loop.remove_writer, self.fd)

    async def end(self) -> int:
        """Hangs up, and waits for the program; its exit status."""
        os.close(self.fd)
        for number in (signal.SIGHUP, signal.SIGKILL):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass
            for _ in range(int(LINGER / 0.02)):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    return os.waitstatus_to_exitcode(status)
                await asyncio.sleep(0.02)
        return -1


def environment(session: Session) -> dict[str, str]:
    """What the program gets: a path, a home, the terminal's type, and what the profile's list accepts."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "SHELL", "PYTHONPATH", "TANKEN_CACHE") if name in os.environ}
    told = {name: text for name, text in session.talk.environ.items() if text.isprintable()}
    term = session.talk.terminal.lower()
    user = {"TELNET_USER": session.machine.user} if session.machine.user else {}
    return {**kept, **told, "TERM": term if TERMINAL.fullmatch(term) else "dumb", **user}


def program(command: Sequence[str]) -> Callable[[Session], Awaitable[None]]:
    """What `serve` runs for each session: `command` on a pseudo-terminal of its own."""

    async def serve_one(session: Session) -> None:
        await session.learn()
        terminal = Terminal(session, command, environment(session))
        session.talk.hook = terminal.observe
        tasks = [asyncio.ensure_future(terminal.output()), asyncio.ensure_future(terminal.input())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            session.talk.hook = None
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await terminal.end()
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, SessionError | OSError):
                    raise result

    return serve_one
