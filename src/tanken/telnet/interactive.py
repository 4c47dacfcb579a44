"""The interactive client: the keyboard and the screen on one side, a session on the other, and an escape character to give orders.

RFC 854, 1184 (who edits lines), 2217 (serial ports). The terminal is raw while the other side echoes, and edits lines itself otherwise.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any

from tanken.base.errors import TankenError, UsageError
from tanken.telnet import codes as c
from tanken.telnet.events import Authenticated, Closed, Encryption, Event, Option, Ready, Tls, Violation, Warning
from tanken.telnet.handler import SerialPort
from tanken.telnet.linemode import LineMode
from tanken.telnet.pty_server import ready
from tanken.telnet.recording import Recording
from tanken.telnet.stream import Session

ESCAPE = 0x1D  # ^]
SERIAL = re.compile(r"(\d+)(?:,([5-8])([NOEMS])(1|2|1\.5))?(?:,(none|xon|hardware))?", re.IGNORECASE)
PARITY = {"N": 1, "O": 2, "E": 3, "M": 4, "S": 5}
STOP = {"1": 1, "2": 2, "1.5": 3}
FLOW = {"none": 1, "xon": 2, "hardware": 3}
TOLD = (Warning, Encryption, Tls, Authenticated, Closed)
HELP = """\
orders, after the escape character:
  (nothing)      back to the session       close, quit     end the session
  status         options and encryption    warnings        what was wrong or weak
  break          send a break              send NAME       send AYT IP AO EC EL BRK GA NOP EOF SUSP ABORT EOR SYNCH
  encrypt        encrypt both directions   do|dont|will|wont NAME   ask for an option
  decrypt        send clear text again     serial SETTING  9600,8N1,xon: the serial port (RFC 2217)
  escape         send the escape character itself"""


def serial_settings(text: str) -> list[tuple[str, int]]:
    """RFC 2217 settings of `9600,8N1,hardware`. Raises UsageError."""
    match = SERIAL.fullmatch(text)
    if match is None:
        raise UsageError(f"serial setting {text!r}", wanted="such as 115200 or 9600,8N1 or 9600,7E1,xon")
    speed, size, parity, stop, flow = match.groups()
    settings = [("SET-BAUDRATE", int(speed))]
    if size:
        settings += [("SET-DATASIZE", int(size)), ("SET-PARITY", PARITY[parity.upper()]), ("SET-STOPSIZE", STOP[stop])]
    return settings + ([("SET-CONTROL", FLOW[flow.lower()])] if flow else [])


class Client:
    """One person at one terminal."""

    def __init__(self, escape: int | None = ESCAPE, recording: Recording | None = None, serial: str = "", quiet: bool = False, wait: float = 1.0) -> None:
        self.escape = escape
        self.recording = recording
        self.settings = serial_settings(serial) if serial else []
        self.quiet = quiet
        self.wait = wait
        self.session: Session | None = None
        self.is_tty = os.isatty(0)
        self._saved: list[Any] | None = termios.tcgetattr(0) if self.is_tty else None
        self._mode = ""
        self._line_start = True
        self._done = False

    # what the session says

    def observe(self, event: Event) -> None:
        """Called with every event."""
        if isinstance(event, Option) and event.option in (c.ECHO, c.LINEMODE):
            self._set_mode()
        elif isinstance(event, Option) and event.option == c.COM_PORT and event.side == "us" and event.on:
            self._set_serial()
        if isinstance(event, TOLD) or (isinstance(event, Violation) and event.rule not in ("8-bit", "bare-cr")):
            self.say(event.text)
        elif isinstance(event, Ready) and not self.quiet:
            self.say(event.text)

    def _ask_serial(self) -> None:
        """Sends the settings, at once where the server has asked for COM-PORT already, else when it agrees to it."""
        assert self.session is not None
        if self.session.machine.on(c.COM_PORT, "us"):
            self._set_serial()
        else:
            self.session.machine.want(c.COM_PORT, "us")
        self.session.flush()

    def _set_serial(self) -> None:
        if self.session is not None:
            for name, value in self.settings:
                self.session.machine.serial(name, value)

    def say(self, text: str) -> None:
        """A line to the person, beside the session."""
        if not self.quiet or text.startswith(("closed", "warning")):
            os.write(2, f"[{text}]{chr(13) if self._mode == 'raw' else ''}\n".encode())

    # the terminal

    def _set_mode(self, restore: bool = False) -> None:
        if self._saved is None or self.session is None:
            return
        machine = self.session.machine
        handler = machine.handler(c.LINEMODE)
        edits = isinstance(handler, LineMode) and machine.on(c.LINEMODE, "us") and handler.mode & 1
        wanted = "" if restore else "raw" if machine.on(c.ECHO, "him") and not edits else "lines"
        if wanted == self._mode:
            return
        self._mode = wanted
        termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
        if wanted == "raw":
            tty.setraw(0, termios.TCSADRAIN)
        elif wanted == "lines" and self.escape is not None:
            attributes = termios.tcgetattr(0)
            attributes[6][termios.VEOL] = bytes((self.escape,))  # the line ends at the escape character too
            if machine.on(c.ECHO, "him"):
                attributes[3] &= ~termios.ECHO
            termios.tcsetattr(0, termios.TCSADRAIN, attributes)

    def restore(self) -> None:
        """The terminal as it was."""
        self._set_mode(restore=True)

    # the two ways

    async def run(self, session: Session) -> int:
        """Until one side ends; the exit status."""
        self.session = session
        session.talk.hook = self.observe
        for event in list(session.talk.events):
            if not isinstance(event, Option):
                self.observe(event)
        if self.settings:
            self._ask_serial()
        self._set_mode()
        loop = asyncio.get_running_loop()
        self._signals(loop)
        keyboard = asyncio.ensure_future(self._keyboard())
        screen = asyncio.ensure_future(self._screen())
        try:
            await asyncio.wait((keyboard, screen), return_when=asyncio.FIRST_COMPLETED)
            if keyboard.done() and not keyboard.cancelled() and not self._done and not screen.done():
                await self._quiet(screen)
        finally:
            self.restore()
            for task in (keyboard, screen):
                task.cancel()
            results = await asyncio.gather(keyboard, screen, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, TankenError | ConnectionError):
                    raise result
        if session.talk.reason not in ("", "closed by the other side") and not self._done:
            if not any(isinstance(event, Closed) for event in session.talk.events):
                self.say(f"closed: {session.talk.reason}")
            return 1
        return 0

    def _signals(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self.session is not None
        session = self.session

        def command(name: str) -> Callable[[], None]:
            return lambda: session.command(name) if not session.talk.ended else None

        if self.is_tty:
            loop.add_signal_handler(signal.SIGINT, command("IP"))
            loop.add_signal_handler(signal.SIGQUIT, command("ABORT"))
            loop.add_signal_handler(signal.SIGWINCH, lambda: session.resize(*shutil.get_terminal_size()))

    async def _quiet(self, screen: asyncio.Future[None]) -> None:
        """The keyboard has ended: show what still comes, until nothing came for a while."""
        assert self.session is not None
        while not screen.done():
            before = self._seen
            await asyncio.wait((screen,), timeout=self.wait)
            if self._seen == before:
                return

    _seen = 0

    async def _screen(self) -> None:
        assert self.session is not None
        while data := await self.session.read():
            self._seen += len(data)
            if self.recording is not None:
                self.recording.shown(data)
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(1, view) :]
                except BlockingIOError:
                    await asyncio.sleep(0.005)

    async def _keyboard(self) -> None:
        assert self.session is not None
        loop = asyncio.get_running_loop()
        while not self._done:
            data = await _readable(loop)
            if not data:
                return
            await self._typed(data)

    async def _typed(self, data: bytes) -> None:
        assert self.session is not None
        if self.is_tty and self.escape is not None and self.escape in data:
            at = data.index(self.escape)
            await self._send(data[:at])
            self._order()
            if not self._done and data[at + 1 :]:
                await self._typed(data[at + 1 :])
            return
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        assert self.session is not None
        if not data:
            return
        machine = self.session.machine
        if self._mode == "raw":
            # Return is CR; outside BINARY that is CR NUL (RFC 854)
            data = data if machine.on(c.BINARY, "us") else data.replace(b"\r", b"\r\0")
        else:
            data = re.sub(rb"(?<!\r)\n", b"\r\n", data)
        await self.session.write(data)

    # orders

    def _order(self) -> None:
        self.restore()
        sys.stdout.write("\ntelnet> ")
        sys.stdout.flush()
        line = sys.stdin.readline().strip()
        try:
            self._obey(line.split())
        except TankenError as error:
            print(error)
        if not self._done:
            self._set_mode()

    def _obey(self, words: list[str]) -> None:
        assert self.session is not None
        session = self.session
        word = words[0].lower() if words else ""
        if word in ("close", "quit", "q"):
            self._done = True
        elif word == "status":
            print("\n".join(session.machine.status()))
            port = session.machine.handler(c.COM_PORT)
            if isinstance(port, SerialPort) and port.settings:
                print("serial port: " + " ".join(f"{name}={value}" for name, value in port.settings.items()))
        elif word == "warnings":
            print("\n".join(session.talk.warnings) or "none")
        elif word == "break":
            session.command("BRK")
        elif word == "send" and len(words) == 2:
            session.command(words[1])
        elif word in ("do", "dont", "will", "wont") and len(words) == 2:
            session.want(words[1], "him" if word in ("do", "dont") else "us", word in ("do", "will"))
        elif word in ("encrypt", "decrypt"):
            session.machine.request_encryption(word == "encrypt")
            session.flush()
        elif word == "serial" and len(words) == 2:
            self.settings = serial_settings(words[1])
            self._ask_serial()
        elif word == "escape" and self.escape is not None:
            session.machine.send(bytes((self.escape,)))
            session.flush()
        elif word:
            print(HELP)


async def _readable(loop: asyncio.AbstractEventLoop) -> bytes:
    """Octets of the standard input, when there are some; b"" at its end."""
    try:
        await ready(loop.add_reader, loop.remove_reader, 0)
    except (OSError, ValueError):  # a plain file is always readable, and epoll refuses it
        pass
    return os.read(0, 65536)
