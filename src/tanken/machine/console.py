"""The far end of the serial line on the host: standard input and output, or one TCP connection at a time.

On a terminal the line is raw, and Ctrl-A is the escape: x ends the machine, Ctrl-A or a sends a Ctrl-A, p presses the power button.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import termios
import threading
import tty
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from tanken.base.errors import UsageError

ESCAPE = 1  # Ctrl-A
KEPT = 1 << 16  # bytes that are kept for a TCP client that has not come yet


class Keys:
    """Takes the escape out of what is typed: `commands` by the letter behind it."""

    def __init__(self, commands: dict[str, Callable[[], None]]) -> None:
        self._commands, self._escaped = commands, False

    def feed(self, data: bytes) -> bytes:
        """What goes to the guest."""
        out = bytearray()
        for byte in data:
            if not self._escaped:
                self._escaped = byte == ESCAPE
                if not self._escaped:
                    out.append(byte)
                continue
            self._escaped = False
            if byte == ESCAPE or byte == ord("a"):
                out.append(ESCAPE)
            elif command := self._commands.get(chr(byte)):
                command()
        return bytes(out)


class Far(Protocol):
    """What a machine asks of the far end of its line; a telnet console satisfies it too (`tanken.telnet.console`)."""

    has_input: bool
    arrived: Callable[[], None]
    commands: dict[str, Callable[[], None]]

    def read(self, limit: int) -> bytes: ...

    def write(self, data: bytes) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Console(ABC):
    """Base: bytes that came in wait in a queue; `arrived` is called when there are some. A CharDevice for the board."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self.has_input = False
        self.arrived: Callable[[], None] = lambda: None
        self.commands: dict[str, Callable[[], None]] = {}

    def read(self, limit: int) -> bytes:
        waiting = self._waiting
        data = bytes(waiting.popleft() for _ in range(min(limit, len(waiting))))
        self.has_input = bool(waiting)
        return data

    def _came(self, data: bytes) -> None:
        if data:
            self._waiting.extend(data)
            self.has_input = True
            self.arrived()

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Take what the guest sends."""

    def start(self) -> None:  # noqa: B027  # memory has nothing to do
        """Begin to listen."""

    def stop(self) -> None:  # noqa: B027
        """Leave the host as it was."""


class Memory(Console):
    """For tests and programs: `output` is what the guest wrote; `type` sends."""

    def __init__(self) -> None:
        super().__init__()
        self.output = bytearray()
        self.wrote: Callable[[bytes], None] = lambda data: None

    def write(self, data: bytes) -> None:
        self.output += data
        self.wrote(data)

    def type(self, data: bytes) -> None:
        self._came(data)


class Stdio(Console):
    """Standard input, which may be closed or end, and standard output."""

    def __init__(self, source: int = 0, sink: int = 1) -> None:
        super().__init__()
        self._source = -1 if source == 0 and sys.stdin is None else source  # closed: what is opened now gets its number
        self._sink = sink
        self._before: list[Any] | None = None
        self._wake: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        try:
            os.fstat(self._source)
        except OSError:
            return self.typed(b"")  # closed: nobody types
        if os.isatty(self._source):
            self._before = termios.tcgetattr(self._source)
            tty.setraw(self._source)
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._listen, name="console", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        import select

        keys = Keys(self.commands)
        assert self._wake is not None
        while True:
            try:
                ready, _, _ = select.select([self._source, self._wake[0]], [], [])
                if self._wake[0] in ready:
                    return
                data = os.read(self._source, 4096)
            except (OSError, ValueError):
                return
            self.typed(keys.feed(data))
            if not data:
                return

    def typed(self, data: bytes) -> None:
        """What came on standard input; nothing at its end."""
        self._came(data)

    def write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._sink, data) :]
            except BlockingIOError:
                import select

                select.select([], [self._sink], [])

    def stop(self) -> None:
        if self._wake is not None and self._thread is not None:
            os.write(self._wake[1], b"x")
            self._thread.join(1)
            for end in self._wake:
                os.close(end)
            self._wake = self._thread = None
        if self._before is not None:
            termios.tcsetattr(self._source, termios.TCSADRAIN, self._before)
            self._before = None


class Prompted(Stdio):
    """Standard input that is no terminal, for a shell on the line: a line is typed each time that `prompt` ends the output, at its end `farewell`."""

    def __init__(self, prompt: bytes, farewell: bytes) -> None:
        super().__init__()
        self._prompt, self._farewell = prompt, farewell
        self._lines = b""
        self._tail = b""
        self._ended = self._prompts = False
        self._turn = threading.Lock()

    def typed(self, data: bytes) -> None:
        with self._turn:
            self._lines += data
            self._ended |= not data
            self._next()

    def write(self, data: bytes) -> None:
        super().write(data)
        self._tail = (self._tail + data)[-len(self._prompt) :]
        if self._tail == self._prompt:
            with self._turn:
                self._prompts = True
                self._next()

    def _next(self) -> None:
        """Type a whole line, what is left at the end, or the farewell."""
        if not self._prompts:
            return
        line, newline, rest = self._lines.partition(b"\n")
        if newline or (self._ended and line):
            self._lines = rest
            self._came(line.rstrip(b"\r") + b"\r")
        elif self._ended:
            self._came(self._farewell)
        else:
            return
        self._prompts = False


class Tcp(Console):
    """A port of the loopback interface; one client at a time, and the next when it left."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._server.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            self._server.close()
            raise UsageError(f"port {port}: {getattr(error, 'strerror', None) or error}", wanted="a free TCP port", hint="--console tcp:PORT") from error
        self._server.listen(1)
        self.port = self._server.getsockname()[1]
        self._client: socket.socket | None = None
        self._before_client = deque[int](maxlen=KEPT)
        self._lock = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._serve, name="console", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with self._lock, contextlib.suppress(OSError):
                client.sendall(bytes(self._before_client))
                self._before_client.clear()
                self._client = client
            with contextlib.suppress(OSError):
                while data := client.recv(4096):
                    self._came(data)
            with self._lock:
                self._client = None
                client.close()

    def write(self, data: bytes) -> None:
        with self._lock:
            if self._client is not None:
                with contextlib.suppress(OSError):
                    self._client.sendall(data)
                    return
            self._before_client.extend(data)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            if self._client is not None:
                self._client.close()


def console(text: str) -> Console:
    """`stdio` or `tcp:PORT`; raises UsageError for anything else."""
    kind, colon, port = text.partition(":")
    if text == "stdio":
        return Stdio()
    if kind == "tcp" and colon and port.isdigit():
        return Tcp(int(port))
    raise UsageError(f"console {text!r}", wanted="stdio or tcp:PORT", hint="--console")
