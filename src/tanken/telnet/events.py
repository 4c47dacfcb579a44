"""What comes out of the protocol machine: values, in the order of the octets that caused them.

Each names itself in one line (`text`), in the terms of the RFCs that define what happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tanken.base.records import Record
from tanken.telnet import codes


@dataclass(frozen=True, slots=True, repr=False)
class Data(Record):
    """Octets of the other side's data: 255 unquoted, CR NUL made CR outside BINARY (RFC 854)."""

    data: bytes

    @property
    def text(self) -> str:
        return f"data {len(self.data)} octets"


@dataclass(frozen=True, slots=True, repr=False)
class Command(Record):
    """A command of two octets: IP, AO, AYT, EC, EL, BRK, GA, NOP, EOR, EOF, SUSP, ABORT."""

    code: int

    @property
    def name(self) -> str:
        """Its name in the table."""
        return codes.COMMANDS.name(self.code)

    @property
    def text(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, repr=False)
class Synch(Record):
    """A data mark: the end of a Synch; `discarded` data octets before it were thrown away, none when nothing was urgent."""

    discarded: int

    @property
    def text(self) -> str:
        return f"Synch, {self.discarded} octets discarded"


@dataclass(frozen=True, slots=True, repr=False)
class Negotiation(Record):
    """WILL, WONT, DO or DONT as received, before it is acted on."""

    verb: int
    option: int

    @property
    def text(self) -> str:
        return f"{codes.COMMANDS.name(self.verb)} {codes.option_name(self.option)}"


@dataclass(frozen=True, slots=True, repr=False)
class Option(Record):
    """An option came into or went out of effect on one side: "us" or "him"."""

    option: int
    side: str
    on: bool

    @property
    def name(self) -> str:
        """Its name in the table."""
        return codes.option_name(self.option)

    @property
    def text(self) -> str:
        return f"{self.name} {'on' if self.on else 'off'} for {self.side}"


@dataclass(frozen=True, slots=True, repr=False)
class Refused(Record):
    """The other side refused an option that we asked for."""

    option: int
    side: str

    @property
    def text(self) -> str:
        return f"{codes.option_name(self.option)} refused for {self.side}"


@dataclass(frozen=True, slots=True, repr=False)
class Suboption(Record):
    """A sub-negotiation: its octets with 255 unquoted, and what they say, where this option's form is known."""

    option: int
    payload: bytes
    value: Any = None

    @property
    def text(self) -> str:
        said = self.value if self.value is not None else self.payload.hex(" ")
        return f"SB {codes.option_name(self.option)} {said}"


@dataclass(frozen=True, slots=True, repr=False)
class Violation(Record):
    """The other side broke a rule; `rule` is a short fixed word, `cite` the text that it broke."""

    rule: str
    detail: str
    cite: str

    @property
    def text(self) -> str:
        return f"protocol error, {self.rule}: {self.detail} ({self.cite})"


@dataclass(frozen=True, slots=True, repr=False)
class Warning(Record):
    """What a user should know: an old cipher, a downgrade, encryption that did not come."""

    what: str

    @property
    def text(self) -> str:
        return f"warning: {self.what}"


@dataclass(frozen=True, slots=True, repr=False)
class Encryption(Record):
    """The state of one direction changed: "in" or "out"; the cipher, or "" for clear text."""

    direction: str
    cipher: str

    @property
    def text(self) -> str:
        return f"{'input' if self.direction == 'in' else 'output'} is {'encrypted with ' + self.cipher if self.cipher else 'clear'}"


@dataclass(frozen=True, slots=True, repr=False)
class Tls(Record):
    """The TLS handshake ended; version, cipher suite, SHA-256 of the peer's certificate (hexadecimal, may be empty)."""

    version: str
    suite: str
    certificate: str

    @property
    def text(self) -> str:
        return f"{self.version} {self.suite}"


@dataclass(frozen=True, slots=True, repr=False)
class Authenticated(Record):
    """AUTHENTICATION ended: `user` was accepted by `mechanism`, or not, with the reason."""

    user: str
    mechanism: str
    ok: bool
    reason: str = ""

    @property
    def text(self) -> str:
        return f"{self.mechanism}: {self.user} {'accepted' if self.ok else 'rejected'}{': ' + self.reason if self.reason else ''}"


@dataclass(frozen=True, slots=True, repr=False)
class Closed(Record):
    """The session must end now: the machine sends and receives no more."""

    reason: str

    @property
    def text(self) -> str:
        return f"closed: {self.reason}"


@dataclass(frozen=True, slots=True, repr=False)
class Ready(Record):
    """Security was settled and the session is open for data; `secure` when both directions are encrypted."""

    secure: bool
    user: str = ""

    @property
    def text(self) -> str:
        return f"ready, {'encrypted' if self.secure else 'in clear text'}{', user ' + self.user if self.user else ''}"


Event = Ready | Data | Command | Synch | Negotiation | Option | Refused | Suboption | Violation | Warning | Encryption | Tls | Authenticated | Closed


def merged(events: list[Event]) -> list[Event]:
    """The events with neighbouring data joined: what they are whatever the segments were."""
    result: list[Event] = []
    run: list[bytes] = []
    for event in events:
        if isinstance(event, Data):
            run.append(event.data)
            continue
        if run:
            result.append(Data(b"".join(run)))
            run = []
        result.append(event)
    if run:
        result.append(Data(b"".join(run)))
    return result

def octets_of(events: Iterable[Event]) -> bytes:
    """All data among the events."""
    return b"".join(event.data for event in events if isinstance(event, Data))
