"""TELNET as a third one sees it: both directions of a captured connection as events, with what was agreed and what was broken.

RFC 854, 855, 1143; ENCRYPT is undone with the session key (RFC 2946 and the cipher texts), or left as cipher text; what follows START_TLS is TLS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.records import Record
from tanken.telnet import codes as c
from tanken.telnet import encryption, schedule, suboptions
from tanken.telnet.capture.reassembly import Connection, Piece
from tanken.telnet.capture.screen import Screen
from tanken.telnet.events import Command, Data, Encryption, Event, Negotiation, Option, Suboption, Synch, Violation, Warning
from tanken.telnet.feedback import Feedback
from tanken.telnet.incoming import Incoming
from tanken.telnet.source_route import options_of

SUBOPTION = 65536
LOOP = 10  # changes of one option that look like a loop
SIDES = ("server", "client")
TRIAL = 512  # octets that a key is tried on


@dataclass(frozen=True, slots=True, repr=False)
class Note(Record):
    """What is neither an event of TELNET nor an error: lost octets, where TLS begins, a source route."""

    what: str

    @property
    def text(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True, repr=False)
class Seen(Record):
    """An event of a connection: its number, seconds since the connection's first packet, who caused it."""

    connection: int
    time: float
    sender: str
    event: Event | Note


@dataclass
class Performer:
    """One option at one end: whether it is on, an offer or a request that is open, the number of changes."""

    on: bool = False
    offered: bool = False
    asked: bool = False
    changes: int = 0


class Side:
    """What one end sends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.incoming = Incoming(SUBOPTION)
        self.options: dict[int, Performer] = {}
        self.cipher: Feedback | None = None
        self.kind = 0
        self.iv = b""
        self.encrypted = False  # START was sent
        self.opaque = ""  # why its octets cannot be read
        self.opaque_octets = 0
        self.urgent: set[int] = set()
        self.marks: set[int] = set()
        self.seen = 0  # octets fed before the running piece

    def option(self, number: int) -> Performer:
        return self.options.setdefault(number, Performer())


class Dialogue:
    """One connection; `take` its pieces."""

    def __init__(self, connection: Connection, keys: tuple[bytes, ...] = ()) -> None:
        self.connection = connection
        self.keys = keys
        self.sides = {name: Side(name) for name in SIDES}
        self.screen = Screen()
        self.data_octets = dict.fromkeys(SIDES, 0)
        self.errors = 0
        self._begun: float | None = None
        self._out: list[Event | Note] = []

    def take(self, piece: Piece) -> Iterator[Seen]:
        """The events that a piece of one direction brings."""
        sender = "client" if piece.from_client else "server"
        if self._begun is None:
            self._begun = piece.time
        time = max(0.0, piece.time - self._begun) if piece.time else 0.0
        side = self.sides[sender]
        for route in options_of(piece.options):
            self._out.append(Note(f"source route: {route.text}"))
        if piece.urgent_end is not None:
            side.urgent.add(piece.urgent_end)
        if piece.lost:
            self._out.append(Note(f"{piece.lost} octets are missing in the capture"))
            side.seen += piece.lost
            if side.cipher is not None and side.encrypted:
                self._opaque(side, "cipher text after a hole")
        if piece.data:
            self._feed(side, piece.data)
            side.seen += len(piece.data)
        out, self._out = self._out, []
        for event in out:
            self.errors += isinstance(event, Violation)
            yield Seen(self.connection.number, round(time, 6), sender, event)

    def _feed(self, side: Side, data: bytes) -> None:
        if side.opaque:
            side.opaque_octets += len(data)
            return
        if side.encrypted and side.cipher is None:
            self._choose(side, data)
            if side.opaque:
                side.opaque_octets += len(data)
                return
        for token in side.incoming.feed(data):
            if isinstance(token, Data):
                self._data(side, token)
            elif isinstance(token, Command) and token.code == c.DM:
                self._mark(side)
            elif isinstance(token, Negotiation):
                self._out.append(token)
                self._negotiated(side, token)
            elif isinstance(token, Suboption):
                self._suboption(side, token)
            else:
                self._out.append(token)
        if side.incoming.stopped:
            rest, side.incoming.rest = side.incoming.rest, b""
            side.incoming.stopped = False
            if side.encrypted and not side.opaque:  # START stood in this piece: what follows it is cipher text
                if rest:
                    self._feed(side, rest)
                return
            side.opaque_octets += len(rest)

    def _data(self, side: Side, token: Data) -> None:
        self.data_octets[side.name] += len(token.data)
        self._out.append(token)
        if side.name == "server":
            self.screen.feed(token.data)

    def _mark(self, side: Side) -> None:
        self._out.append(Synch(0))
        if side.incoming.inflating:
            return
        end = side.seen + side.incoming.parser.consumed
        side.marks.add(end)
        if not side.urgent & {end, end - 1}:  # the pointer means the octet behind, or by RFC 1122 the urgent octet itself
            self._out.append(Violation("dm", "data mark that TCP did not mark as urgent", "RFC 854, The TELNET Synch signal"))

    # options

    def _negotiated(self, side: Side, token: Negotiation) -> None:
        other = self.sides[SIDES[side.name == "server"]]
        name = c.option_name(token.option)
        if token.option == c.TIMING_MARK:
            return
        performs = token.verb in (c.WILL, c.WONT)
        state = (side if performs else other).option(token.option)
        performer = side.name if performs else other.name
        if token.verb in (c.WILL, c.DO):
            if state.on:
                self._out.append(Violation("repeat", f"{token.text} although it is in effect", "RFC 854, General considerations"))
            elif state.asked if performs else state.offered:
                self._change(token.option, performer, state, True)
            elif performs:
                state.offered = True
            else:
                state.asked = True
            if token.verb == c.WILL and c.OPTIONS.by_number.get(token.option) and c.OPTIONS.by_number[token.option].attributes.get("will") not in (None, "both", side.name):
                self._out.append(Violation("side", f"WILL {name} from the {side.name}", f"RFC {c.OPTIONS.by_number[token.option].attributes.get('rfc', '')}"))
        elif state.on:
            self._change(token.option, performer, state, False)
        elif not (state.asked if performs else state.offered) and not self._closing(state, performs):
            wrong = self.sides[performer].options[token.option]
            answered = (other if performs else side).option(token.option)
            hint = ""
            if (answered.offered if performs else answered.asked) and wrong is state:
                hint = f"; {'WILL' if performs else 'DO'} {name} is answered by {'DONT' if performs else 'WONT'}"
            self._out.append(Violation("verb", f"{token.text} that nothing asked for{hint}", "RFC 854, General considerations"))
        else:
            state.offered = state.asked = False
            self._out.append(Note(f"{name} is refused"))

    @staticmethod
    def _closing(state: Performer, performs: bool) -> bool:
        """Whether a refusal answers the one that switched the option off just before."""
        closing = state.changes > 0 and not state.on and not state.offered and not state.asked
        return closing

    def _change(self, option: int, performer: str, state: Performer, on: bool) -> None:
        state.on, state.offered, state.asked = on, False, False
        state.changes += 1
        self._out.append(Option(option, performer, on))
        if state.changes == LOOP:
            self._out.append(Violation("loop", f"{c.option_name(option)} changed {LOOP} times", "RFC 1143"))
        if option == c.BINARY:
            self.sides[performer].incoming.parser.binary = on

    def _suboption(self, side: Side, token: Suboption) -> None:
        value = suboptions.decode(token.option, token.payload)
        self._out.append(Suboption(token.option, token.payload, value))
        states = [self.sides[name].option(token.option) for name in SIDES]
        if not any(state.on for state in states):
            self._out.append(Violation("unagreed", f"sub-negotiation of {c.option_name(token.option)} before it is agreed on", "RFC 855"))
        if isinstance(value, suboptions.Malformed):
            self._out.append(Violation("suboption", f"{c.option_name(token.option)}: {value.reason}", "the option's document"))
        elif isinstance(value, suboptions.WindowSize):
            self.screen.resize(value.width, value.height)
        elif isinstance(value, suboptions.Encrypt):
            self._encrypt(side, value)
        elif isinstance(value, suboptions.Follows):
            self._opaque(side, "TLS")  # who sent FOLLOWS sends no more TELNET
        elif isinstance(value, suboptions.Auth) and value.kind == "REPLY" and value.pairs[0][0] == 7 and value.code == 2:
            for one in self.sides.values():
                self._opaque(one, "TLS")
        elif token.option == (c.MCCP2 if side.name == "server" else c.MCCP3) and self.sides["server"].option(token.option).on:
            side.incoming.inflate_from_here()
            self._out.append(Note(f"compressed from here on ({c.option_name(token.option)})"))

    # encryption

    def _opaque(self, side: Side, why: str) -> None:
        if not side.opaque:
            side.opaque = why
            side.incoming.stop_from_here()
            self._out.append(Note(f"the {side.name}'s octets are {why} from here on"))

    def _encrypt(self, side: Side, value: suboptions.Encrypt) -> None:
        if value.kind == "IS" and value.types[0] and value.code == 1 and len(value.data) == 8:
            side.kind, side.iv = value.types[0], value.data
            if side.encrypted and side.cipher is not None:
                side.incoming.restart_from_here(side.cipher, value.data)
            else:
                side.cipher = None
        elif value.kind == "START" and not side.encrypted:
            side.encrypted = True
            name = c.ENCRYPT_TYPES.name(side.kind)
            self._out.append(Encryption("out" if side.name == "client" else "in", name))
            if not self.keys:
                self._opaque(side, f"encrypted with {name} (--key HEX decrypts)")
            elif side.cipher is not None:
                side.incoming.cipher_from_here(side.cipher)
            else:
                side.incoming.stop_from_here()
        elif value.kind == "END" and side.encrypted:
            side.encrypted = False
            side.incoming.cipher_from_here(None)
            self._out.append(Encryption("out" if side.name == "client" else "in", ""))
            self._out.append(Warning("downgrade: clear text from here on"))

    def _choose(self, side: Side, data: bytes) -> None:
        """Picks the key that makes the first octets look like TELNET: peers split session keys in different ways."""
        best: tuple[int, Feedback] | None = None
        starts = (side.iv, bytes(8)) if encryption.is_ofb(side.kind) else (side.iv,)
        for key in self._candidates(side):
            for start in starts:
                cipher = encryption.make_cipher(side.kind, key, start)
                score = plausible(cipher.saved().decrypt(data[:TRIAL]))
                if best is None or score > best[0]:
                    best = score, cipher
        if best is None:
            self._opaque(side, f"encrypted with {c.ENCRYPT_TYPES.name(side.kind)}, for which the key is too short")
            return
        if 2 * best[0] < len(data[:TRIAL]):
            self._out.append(Warning("the key does not fit: what it gives does not look like TELNET"))
        side.cipher = best[1]
        side.incoming.cipher = best[1]

    def _candidates(self, side: Side) -> Iterator[bytes]:
        for key in self.keys:
            if not encryption.usable(side.kind, key):
                continue
            client = side.name == "client"
            for des_key in (False, True):
                for from_client in (client, not client):
                    yield encryption.direction_key(side.kind, key, from_client, des_key)
            need = int(encryption.ROWS[side.kind].attributes["key"])
            if len(key) >= need * 2 and need in (5, 8, 16) and not encryption.ROWS[side.kind].name.startswith("DES3"):
                yield key[need : 2 * need]  # Kermit splits at 16 octets, not above
            if need == 8:
                yield schedule.odd_parity(key[:8])

    def end(self) -> Iterator[Seen]:
        """What is to be said when the capture ends: requests without an answer, urgent data without a mark, unread octets."""
        for side in self.sides.values():
            for number, state in sorted(side.options.items()):
                if state.asked or state.offered:
                    what = "DO" if state.asked else "WILL"
                    yield Seen(self.connection.number, 0.0, side.name, Note(f"{what} {c.option_name(number)} was never answered"))
            for end in sorted(side.urgent):
                if not side.opaque and not side.marks & {end, end + 1}:
                    self.errors += 1
                    detail = f"urgent data up to octet {end} without a data mark there"
                    yield Seen(self.connection.number, 0.0, side.name, Violation("urgent", detail, "RFC 854, The TELNET Synch signal"))
            if side.opaque:
                yield Seen(self.connection.number, 0.0, side.name, Note(f"{side.opaque_octets} octets not read: {side.opaque}"))


def plausible(data: bytes) -> int:
    """How many of the octets look like TELNET: printable, white space, ESC, or part of a command."""
    score, pos = 0, 0
    while pos < len(data):
        octet = data[pos]
        if octet == c.IAC and pos + 1 < len(data) and (data[pos + 1] in c.COMMANDS):
            score += 2
            pos += 2
            continue
        score += 32 <= octet < 127 or octet in (0, 7, 8, 9, 10, 13, 27)
        pos += 1
    return score


def looks_like_telnet(data: bytes) -> bool:
    """Whether the first octets of a direction hold a negotiation."""
    at = data.find(b"\xff")
    return 0 <= at < 512 and data[at + 1 : at + 2] in (b"\xfa", b"\xfb", b"\xfc", b"\xfd", b"\xfe") and len(data) >= at + 3
