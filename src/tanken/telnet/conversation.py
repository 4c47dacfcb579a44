"""What a blocking and an asyncio session share: the data that came and was not read, the events, and looking for a pattern in them.

No socket here. Data is kept as the chunks that came, so that reading in bulk copies nothing.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tanken.base.errors import InputError, TankenError
from tanken.base.records import Record
from tanken.telnet import codes as c
from tanken.telnet.events import Closed, Command, Data, Event, Ready, Suboption, Violation, Warning
from tanken.telnet.machine import Machine
from tanken.telnet.suboptions import Told, Variables, WindowSize

HIGH, LOW = 1 << 20, 1 << 18  # octets kept unread at which reading from the socket stops, and goes on
SEARCH = 1 << 20  # octets in which a pattern is looked for
EVENTS = 1000  # events kept
LINE = re.compile(rb"\r[\n\0]?|\n")  # with BINARY in effect CR NUL comes as it is
NEWLINE = re.compile(rb"(?<!\r)\n")


class SessionError(TankenError, ConnectionError):
    """The session ended, or what was waited for did not come."""


@dataclass(frozen=True, slots=True, repr=False)
class Found(Record):
    """What `expect` found: which pattern, what stood before it, the text that matched and its groups."""

    index: int
    before: bytes
    match: bytes
    groups: tuple[bytes | None, ...]


def reason_of(error: OSError) -> str:
    """Why a call of the operating system failed, in its own words (asyncio puts others in their place)."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def encoded(data: bytes | str) -> bytes:
    """Text as UTF-8 with the NVT's ends of line (RFC 854); octets as they are."""
    if isinstance(data, str):
        return NEWLINE.sub(b"\r\n", data.encode())
    return data


def compiled(pattern: bytes | str | re.Pattern[bytes]) -> re.Pattern[bytes]:
    """A pattern: octets and text are regular expressions."""
    if isinstance(pattern, re.Pattern):
        return pattern
    try:
        return re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.DOTALL)
    except re.error as error:
        raise InputError(f"pattern {pattern!r}: {error}", wanted="a regular expression") from error


class Conversation:
    """The side of a session that is turned to the program."""

    def __init__(self, machine: Machine, hook: Callable[[Event], None] | None = None) -> None:
        self.machine = machine
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.ready: Ready | None = None
        self.reason = ""  # why it ended
        self.ended = False
        self.size = 0
        self._chunks: deque[bytes] = deque()
        self._skip_lf = False
        self.hook = hook
        # what the other side told of itself
        self.terminal = ""
        self.window: tuple[int, int] | None = None
        self.environ: dict[str, str] = {}

    def take_in(self, events: Sequence[Event]) -> None:
        """Files what the machine said."""
        for event in events:
            if isinstance(event, Data):
                self._chunks.append(event.data)
                self.size += len(event.data)
            else:
                self.events.append(event)
                if isinstance(event, Ready):
                    self.ready = event
                elif isinstance(event, Closed):
                    self.reason, self.ended = event.reason, True
                elif isinstance(event, Suboption):
                    self._learn(event)
                elif isinstance(event, Command) and event.code == c.AYT and not self.machine.client:
                    self.machine.send(b"\r\n[yes]\r\n")
            if self.hook is not None:
                self.hook(event)

    def _learn(self, event: Suboption) -> None:
        value = event.value
        if isinstance(value, WindowSize):
            self.window = value.width, value.height
        elif isinstance(value, Told) and event.option == c.TTYPE and not self.terminal:
            self.terminal = value.told[:40]
        elif isinstance(value, Variables) and value.kind != "SEND":
            for _, name, text in value.variables:
                if name in self.machine.profile.accept_environ and text is not None:
                    self.environ[name] = text[:1024]

    def finish(self, reason: str) -> None:
        """The connection has ended."""
        self.ended = True
        self.reason = self.reason or reason

    @property
    def warnings(self) -> list[str]:
        """What was wrong or weak so far, in words."""
        return [event.text for event in self.events if isinstance(event, Violation | Warning)]

    def read(self, limit: int) -> bytes:
        """What is there, at most `limit` octets; b"" when nothing is."""
        if not self._chunks:
            return b""
        first = self._chunks.popleft()
        if len(first) > limit:
            self._chunks.appendleft(first[limit:])
            first = first[:limit]
        self.size -= len(first)
        return first

    def put(self, data: bytes) -> None:
        """Adds data as if it had come now: what a command means to a terminal, in its place among the data."""
        self._chunks.append(data)
        self.size += len(data)

    def discard(self) -> None:
        """Throws away what was not read."""
        self._chunks.clear()
        self.size = 0

    def find(self, patterns: Sequence[re.Pattern[bytes]]) -> Found | None:
        """The first of the patterns that matches earliest; what stands up to its end is taken out."""
        if len(self._chunks) > 1:
            whole = b"".join(self._chunks)
            self._chunks.clear()
            self._chunks.append(whole)
        data = self._chunks[0] if self._chunks else b""
        best: tuple[int, int, re.Match[bytes]] | None = None
        for index, pattern in enumerate(patterns):
            match = pattern.search(data, 0, SEARCH)
            if match and (best is None or match.start() < best[0]):
                best = match.start(), index, match
        if best is None:
            if len(data) >= SEARCH:
                raise SessionError(f"{len(data)} octets without a match", wanted=", ".join(repr(p.pattern) for p in patterns))
            return None
        start, index, match = best
        self._chunks.clear()
        if data[match.end() :]:
            self._chunks.append(data[match.end() :])
        self.size -= match.end()
        return Found(index, data[:start], match[0], match.groups())

    def line(self) -> bytes | None:
        """A whole line without its end (CR LF, CR NUL, CR or LF), or None; a LF or NUL that follows a CR later belongs to it."""
        if self._skip_lf and self._chunks:
            first = self._chunks.popleft()
            if first[:1] in (b"\n", b"\0"):
                self.size -= 1
                first = first[1:]
            if first:
                self._chunks.appendleft(first)
            self._skip_lf = False
        found = self.find((LINE,)) if self._chunks else None
        if found is None:
            return None
        self._skip_lf = found.match == b"\r"
        return found.before

    def lost(self, wanted: str) -> SessionError:
        """The error for a session that ended before `wanted` came."""
        return SessionError(f"the session ended: {self.reason or 'closed by the other side'}", wanted=wanted)

    def late(self, wanted: str, seconds: float) -> SessionError:
        """The error for what did not come in time, with the last octets that did."""
        tail = b"".join(self._chunks)[-60:]
        return SessionError(f"nothing after {seconds:g} s; the last octets are {tail!r}", wanted=wanted)


class Speaker(ABC):
    """What a program says besides data; asyncio and blocking sessions share it."""

    machine: Machine

    @abstractmethod
    def flush(self) -> None:
        """Puts on the wire what was said to the machine."""

    def command(self, name: str) -> None:
        """Sends a command by its name: "AYT", "IP", "BRK"; "SYNCH" is a data mark as urgent data."""
        if name.upper() == "SYNCH":
            self.machine.synch()
        else:
            self.machine.command(c.COMMANDS.number(name))
        self.flush()

    def want(self, option: str, side: str, on: bool = True) -> None:
        """Asks for an option by its name, at "us" or "him"."""
        self.machine.want(c.OPTIONS.number(option), side, on)
        self.flush()

    def suboption(self, option: str, payload: bytes) -> None:
        """Sends a sub-negotiation, such as GMCP's."""
        self.machine.suboption(c.OPTIONS.number(option), payload)
        self.flush()

    def serial(self, name: str, value: int) -> None:
        """Asks the access server for a setting of its serial port, such as ("SET-BAUDRATE", 9600); COM-PORT must be in effect (RFC 2217)."""
        self.machine.serial(name, value)
        self.flush()

    def resize(self, width: int, height: int) -> None:
        """Our window has another size."""
        self.machine.resize(width, height)
        self.flush()
