"""The protocol machine: octets in, events out, octets to send; it touches no socket, no clock and no terminal.

RFC 854, 855, 1123 section 3, 1143. A session passes through phases: TLS (START_TLS), authentication, encryption, open. What the application
sends is kept back until the last, or sent in clear where the profile allows it and the other side offers nothing better.

    wire -> [TLS] -> [cipher | inflate] -> parser -> Q method and handlers -> events
    wire <- [TLS] <- [cipher | deflate] <- octets of commands and data
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from tanken.base.errors import UsageError
from tanken.telnet import authentication, encryption, linemode, suboptions  # noqa: F401  (they add their handlers)
from tanken.telnet import codes as c
from tanken.telnet.events import Closed, Command, Data, Event, Negotiation, Option, Ready, Refused, Suboption, Synch, Violation
from tanken.telnet.handler import KINDS, Handler
from tanken.telnet.incoming import Incoming
from tanken.telnet.outgoing import Outgoing
from tanken.telnet.parser import Token
from tanken.telnet.profile import Profile
from tanken.telnet.qmethod import Outcome, Side, State
from tanken.telnet.security import PHASES, Security
from tanken.telnet.tls import TlsLayer

COMPRESSION = (c.MCCP2, c.MCCP3)


class Machine:
    """One end of a TELNET connection."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.client = profile.role == "client"
        self.limits = profile.limits
        self.incoming = Incoming(self.limits.suboption)
        self.outgoing = Outgoing()
        self.security = Security(self)
        self.tls: TlsLayer | None = None
        self.window = profile.window
        self.user = ""
        self.closed = False
        self.more = False  # `receive(b"")` has more to give
        self.session_key = b""
        self.session_key_is_des = False
        self.us: dict[int, Side] = {}
        self.him: dict[int, Side] = {}
        self._changes: dict[tuple[int, bool], int] = {}
        self._events: list[Event] = []
        self._held: list[bytes] = []
        self._backlog = b""
        self._urgent = False
        self._discarded = 0
        self._clear = False  # data that came too early was told of
        self._tls_in_auth = False  # TLS began by AUTHENTICATION type SSL: option state stays
        self._handlers: dict[int, Handler] = {}

    # what the driver calls

    def start(self) -> list[Event]:
        """Asks for what the profile wants; to be called once, when the connection stands."""
        if "implicit" in self.profile.means:
            self.security.phase = PHASES[0]
            self._tls_begins(b"")
        else:
            self.security.start()
        return self._drained()

    def receive(self, data: bytes) -> list[Event]:
        """Takes octets from the wire. When `more` is set afterwards, `receive(b"")` goes on."""
        if self.closed:
            return []
        self.more = False
        if self._backlog:
            data, self._backlog = self._backlog + data, b""
        if self.tls is not None:
            self._from_tls(data)
        else:
            self._feed(data)
        return self._drained()

    def take(self) -> bytes:
        """The octets to put on the wire now; `outgoing.mark` says behind which of them urgent data ends."""
        return self.outgoing.take()

    def urgent(self) -> None:
        """The driver saw TCP urgent data: data is discarded up to the data mark (RFC 854, Synch)."""
        self._urgent = True

    def expire(self) -> list[Event]:
        """The other side took too long to settle security: go on without, or end, as the profile says."""
        if not self.closed:
            self.security.expire()
        return self._drained()

    # what the application calls

    def send(self, data: bytes) -> None:
        """Sends data: 255 doubled, a lone CR made CR NUL outside BINARY. Kept back until the session is open."""
        if self.closed or not data:
            return
        if self.security.phase != "open":
            if sum(map(len, self._held)) + len(data) > self.limits.held:
                raise UsageError("data sent before the session is ready", wanted=f"at most {self.limits.held} octets until then", hint="wait for Ready")
            self._held.append(data)
        else:
            self.outgoing.data(data)

    def command(self, code: int) -> None:
        """Sends a command of two octets, such as codes.AYT."""
        if code not in c.COMMANDS or code in c.VERBS or code in (c.SB, c.SE, c.IAC):
            raise UsageError(f"command {code}", wanted="a command that stands alone, such as AYT")
        self.emit(bytes((c.IAC, code)))

    def synch(self) -> None:
        """Sends a Synch: a data mark as urgent data (inside TLS or ENCRYPT it is not urgent, since the octets cannot be told apart)."""
        self.outgoing.synch()

    def want(self, option: int, side: str, on: bool = True) -> None:
        """Asks for an option on or off, at "us" or "him"."""
        if option == c.TIMING_MARK:
            self.verb(c.DO if side == "him" else c.WILL, option)
            return
        self._outcome(option, side, self.side(option, side).want(on), asked=False)

    def suboption(self, option: int, payload: bytes) -> None:
        """Sends a sub-negotiation."""
        self.emit(c.framed(option, payload))

    def on(self, option: int, side: str) -> bool:
        """Whether the option is in effect at "us" or "him"."""
        sides = self.us if side == "us" else self.him
        return option in sides and sides[option].on

    def resize(self, width: int, height: int) -> None:
        """Our window has another size: tells it where NAWS is in effect."""
        self.window = (width, height)
        if self.on(c.NAWS, "us"):
            self.handler(c.NAWS).changed("us", True)

    def serial(self, name: str, value: int) -> None:
        """Asks the access server for a setting of its serial port (RFC 2217), such as ("SET-BAUDRATE", 9600); 0 asks what it is."""
        code = suboptions.COMPORT.number(name)
        self.suboption(c.COM_PORT, bytes((code,)) + value.to_bytes(4 if code == 1 else 1, "big"))

    def request_encryption(self, on: bool) -> None:
        """Starts or ends the encryption of both directions while the session runs (RFC 2946)."""
        self.handler(c.ENCRYPT).switch(on)

    @property
    def encrypted(self) -> tuple[bool, bool]:
        """Whether input and output are encrypted."""
        tls = self.tls is not None and self.tls.established
        ways = self.handler(c.ENCRYPT).directions if c.ENCRYPT in self._handlers else (False, False)
        return tls or ways[0], tls or ways[1]

    @property
    def secure(self) -> bool:
        """Whether both directions are encrypted."""
        return all(self.encrypted)

    def status(self) -> list[str]:
        """The options in effect, one line each, and the state of each direction."""
        lines = []
        for side, sides in (("us", self.us), ("him", self.him)):
            names = sorted(c.option_name(option) for option, state in sides.items() if state.on)
            lines.append(f"options of {'ours' if side == 'us' else 'the other side'}: {' '.join(names) or 'none'}")
        for direction, on in zip(("input", "output"), self.encrypted, strict=True):
            lines.append(f"{direction} is {self._protection(direction) if on else 'clear text'}")
        if self.user:
            lines.append(f"user {self.user}")
        return lines

    def _protection(self, direction: str) -> str:
        if self.tls is not None and self.tls.established:
            return self.tls.event().text
        return f"encrypted with {self.handler(c.ENCRYPT).cipher_name('in' if direction == 'input' else 'out')}"

    # what the handlers call

    def tell(self, event: Event) -> None:
        """Adds an event."""
        self._events.append(event)

    def emit(self, octets: bytes) -> None:
        """Octets of TELNET on their way out."""
        self.outgoing.emit(octets)

    def verb(self, verb: int, option: int) -> None:
        """Sends WILL, WONT, DO or DONT as it is; `want` is what keeps the Q method's state."""
        self.emit(bytes((c.IAC, verb, option)))

    def handler(self, option: int) -> Handler:
        """What the option does; made when it is first needed."""
        handler = self._handlers.get(option)
        if handler is None:
            handler = self._handlers[option] = KINDS.get(option, Handler)(self)
        return handler

    def side(self, option: int, side: str) -> Side:
        """The automaton of one side of an option."""
        sides = self.us if side == "us" else self.him
        if option not in sides:
            sides[option] = Side(side == "us")
        return sides[option]

    def begin_tls(self, in_auth: bool = False) -> None:
        """The octets that come from here on are TLS: FOLLOWS went both ways, or AUTHENTICATION type SSL was accepted."""
        self._tls_in_auth = in_auth
        self.incoming.stop_from_here()

    def close(self, reason: str) -> None:
        """Ends the session."""
        if not self.closed:
            if not self.client and self.security.phase not in ("", "open"):
                self.emit(c.quoted(f"\r\ntanken: {reason}\r\n".encode()))  # a person at the other end shall know why
            self.tell(Closed(reason))
            self.closed = self.outgoing.silent = True
            self._held.clear()

    def opened(self) -> None:
        """Security is settled: asks for the profile's options, and sends what was kept back."""
        for option in self.profile.ask_us:
            if option not in COMPRESSION:
                self.want(option, "us")
        for option in self.profile.ask_him:
            self.want(option, "him")
        for option in COMPRESSION:  # last: telnetlib3 5 sends answers to what stands behind them in clear, behind the mark that it compresses
            if option in self.profile.ask_us:
                self.want(option, "us")
        self.tell(Ready(self.secure, self.user))
        held, self._held = self._held, []
        for data in held:
            self.send(data)

    # the way in

    def _from_tls(self, data: bytes) -> None:
        assert self.tls is not None
        before = self.tls.established
        try:
            clear = self.tls.receive(data)
        except ssl.SSLError as error:
            self.outgoing.flush_tls()
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            self.close(f"TLS failed: {reason}")
            return
        self.outgoing.flush_tls()
        if self.tls.established and not before:
            self.tell(self.tls.event())
            if self._tls_in_auth:
                self.incoming.stopped = False
                self.security.settled("auth")
            else:
                self._reset()
                self.security.settled("tls")
        if clear:
            self._feed(clear)
        if self.tls.ended:
            self.close("closed by the other side")

    def _reset(self) -> None:
        """All option state is wiped, and negotiated anew (draft-altman-telnet-starttls-02)."""
        self.incoming = Incoming(self.limits.suboption)
        self.us.clear()
        self.him.clear()
        self.outgoing.reset()
        self._handlers.clear()

    def _feed(self, data: bytes) -> None:
        for token in self._tokens(data):
            if isinstance(token, Data):
                self._data(token)
            else:
                self._token(token)
            if self.closed:
                return
        if self.incoming.failed:
            self.close("compression failed")
        elif self.incoming.stopped and self.tls is None:
            rest, self.incoming.rest = self.incoming.rest, b""
            self._tls_begins(rest)

    def _tokens(self, data: bytes) -> Iterator[Token]:
        """Tokens; compressed octets a bounded piece at a time, so that a small segment cannot grow without limit."""
        if not self.incoming.inflating or len(data) <= self.limits.inflated >> 10:
            return self.incoming.feed(data)
        piece = max(1, self.limits.inflated >> 10)  # deflate expands at most 1,032 times
        self._backlog, data = data[piece:], data[:piece]
        self.more = True
        return self.incoming.feed(data)

    def _tls_begins(self, rest: bytes) -> None:
        profile = self.profile
        if profile.tls is None:
            self.close("no TLS context")
            return
        self.tls = self.outgoing.tls = TlsLayer(profile.tls, not self.client, profile.hostname)
        if self.client:
            self.tls.start()
        self.outgoing.flush_tls()
        if rest:
            self._from_tls(rest)

    def _data(self, token: Data) -> None:
        if self._urgent:
            self._discarded += len(token.data)
        elif self.security.phase != "open" and self.profile.secure == "required":
            if not self._clear:
                self._clear = True
                self.tell(Violation("clear", "data in clear text before encryption, thrown away, and all such data to come", "encryption is required"))
        else:
            self._events.append(token)

    def _token(self, token: Token) -> None:
        if isinstance(token, Command):
            if token.code == c.DM:
                self.tell(Synch(self._discarded))
                self._urgent, self._discarded = False, 0
            else:
                self.tell(token)
        elif isinstance(token, Negotiation):
            self.tell(token)
            self._negotiated(token.verb, token.option)
        elif isinstance(token, Suboption):
            self._suboption(token)
        else:
            self.tell(token)

    def _negotiated(self, verb: int, option: int) -> None:
        if option == c.TIMING_MARK:
            if verb == c.DO:  # RFC 860: answered in order, no state is kept
                self.verb(c.WILL, option)
            return
        side = "him" if verb in (c.WILL, c.WONT) else "us"
        state = self.side(option, side)
        if verb in (c.WILL, c.DO):
            outcome = state.asked(self._agree(option, side))
        else:
            outcome = state.declined()
        self._outcome(option, side, outcome, asked=True)

    def _agree(self, option: int, side: str) -> bool:
        profile = self.profile
        if option not in (profile.us if side == "us" else profile.him):
            return False
        if self._changes.get((option, side == "us"), 0) >= self.limits.changes:
            return False
        return self.security.allows(option) and self.handler(option).agrees(side)

    def _outcome(self, option: int, side: str, outcome: Outcome, asked: bool) -> None:
        if outcome.error:
            self.tell(Violation("negotiation", f"{c.option_name(option)}: {outcome.error}", "RFC 1143 section 7"))
        if outcome.send is not None:
            self.verb(outcome.send, option)
        if outcome.change is not None:
            if asked:
                key = (option, side == "us")
                self._changes[key] = self._changes.get(key, 0) + 1
                if self._changes[key] == self.limits.changes:
                    self.tell(Violation("loop", f"{c.option_name(option)} was changed {self.limits.changes} times; refused from now on", "limit of this implementation"))
            self.tell(Option(option, side, outcome.change))
            if option == c.BINARY:
                if side == "him":
                    self.incoming.parser.binary = outcome.change
                else:
                    self.outgoing.set_binary(outcome.change)
            self.handler(option).changed(side, outcome.change)
        elif outcome.refused and asked and self.side(option, side).state is State.NO and outcome.send is None:
            self.tell(Refused(option, side))
            self.handler(option).refused(side)

    def _suboption(self, token: Suboption) -> None:
        value = suboptions.decode(token.option, token.payload)
        self.tell(Suboption(token.option, token.payload, value))
        name = c.option_name(token.option)
        if not self.on(token.option, "us") and not self.on(token.option, "him"):
            self.tell(Violation("unagreed", f"sub-negotiation of {name}, which is not in effect", "RFC 855"))
        elif isinstance(value, suboptions.Malformed):
            self.tell(Violation("suboption", f"{name}: {value.reason}", c.OPTIONS.by_number[token.option].attributes.get("rfc", "")))
        elif value is not None:
            self.handler(token.option).received(value)

    def _drained(self) -> list[Event]:
        events, self._events = self._events, []
        return events


def connect_machines(one: Machine, other: Machine, rounds: int = 100) -> tuple[list[Event], list[Event]]:
    """Carries octets between two machines until both are silent; for tests, tours and people who want to look. Returns the events of each."""
    events: tuple[list[Event], list[Event]] = (one.start(), other.start())
    for _ in range(rounds):
        first, second = one.take(), other.take()
        if not first and not second:
            break
        events[1].extend(other.receive(first))
        events[0].extend(one.receive(second))
    return events
