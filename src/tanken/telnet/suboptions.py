"""What sub-negotiations say: pure functions from octets to values and back, shared by the machine and the capture reader.

Each value names its document; octets that do not keep to it become `Malformed`, with the reason.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tanken.base.records import Record
from tanken.telnet import codes
from tanken.telnet.codes import INFO, IS, SEND, TABLE

ENV, MODE_BITS, SLC, CHARSETS, COMPORT, LFLOW = (TABLE[name] for name in ("environ", "mode", "slc", "charset", "comport", "lflow"))
VAR, VALUE, ESC, USERVAR = range(4)
TRIPLETS = 128  # SLC triplets of one sub-negotiation, more are not read (there are 30 functions)
VARIABLES = 256  # variables of one NEW-ENVIRON sub-negotiation
NAMES = 256  # names of one CHARSET REQUEST


@dataclass(frozen=True, slots=True, repr=False)
class Malformed(Record):
    """Octets that do not keep to the option's form."""

    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class WindowSize(Record):
    """NAWS: characters; 0 is not said (RFC 1073)."""

    width: int
    height: int


@dataclass(frozen=True, slots=True, repr=False)
class Asked(Record):
    """SEND: the other side asks for what the option tells (RFC 1091, 1079, 1096; STATUS, RFC 859)."""


@dataclass(frozen=True, slots=True, repr=False)
class Told(Record):
    """IS with text: a terminal type, speeds "out,in", an X display, a location."""

    told: str


@dataclass(frozen=True, slots=True, repr=False)
class Variables(Record):
    """NEW-ENVIRON (RFC 1572): kind IS, SEND or INFO; (VAR or USERVAR, name, value or None when it has none)."""

    kind: str
    variables: tuple[tuple[str, str, str | None], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Charset(Record):
    """CHARSET (RFC 2066): the sub-code's name and the character sets named."""

    kind: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Mode(Record):
    """LINEMODE MODE (RFC 1184 section 2.2): the mask and the names of its bits."""

    mask: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bits that are set."""
        return tuple(row.name for row in MODE_BITS if self.mask & row.number)


@dataclass(frozen=True, slots=True, repr=False)
class ForwardMask(Record):
    """LINEMODE FORWARDMASK (RFC 1184 section 2.3): the verb and the mask, bit 7 of the first octet for code 0."""

    verb: str
    mask: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Characters(Record):
    """LINEMODE SLC (RFC 1184 section 2.4): triplets of function, flags, character."""

    triplets: tuple[tuple[int, int, int], ...]

    def __repr__(self) -> str:
        return "<SLC " + " ".join(f"{SLC.name(f)}={'NCVD'[m & 3]}{'+ack' if m & 0x80 else ''}:{v}" for f, m, v in self.triplets) + ">"


@dataclass(frozen=True, slots=True, repr=False)
class Flow(Record):
    """LFLOW (RFC 1372): OFF, ON, RESTART-ANY or RESTART-XON."""

    mode: str


@dataclass(frozen=True, slots=True, repr=False)
class Status(Record):
    """STATUS IS (RFC 859): the option states as the other side sees them, in words; sub-negotiations as hexadecimal."""

    states: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class ComPort(Record):
    """COM-PORT (RFC 2217): the sub-code's name, whether the server sent it, a number or, for SIGNATURE, text."""

    name: str
    from_server: bool
    value: int | str | None


@dataclass(frozen=True, slots=True, repr=False)
class Auth(Record):
    """AUTHENTICATION (RFC 2941): sub-command, pairs of type and modifier, the mechanism's own code and octets."""

    kind: str
    pairs: tuple[tuple[int, int], ...] = ()
    user: str = ""
    code: int | None = None
    data: bytes = b""

    def __repr__(self) -> str:
        pairs = ",".join(f"{codes.AUTH_TYPES.name(t)}/{m:#04x}" for t, m in self.pairs)
        table = {5: "srp", 2: "kerberos5", 7: "ssl"}.get(self.pairs[0][0]) if self.pairs else None
        code = "" if self.code is None else f" {TABLE[table].name(self.code) if table else self.code}"
        return f"<AUTH {self.kind} {pairs or self.user}{code}{' ' + str(len(self.data)) + ' octets' if self.data else ''}>"


@dataclass(frozen=True, slots=True, repr=False)
class Encrypt(Record):
    """ENCRYPT (RFC 2946): sub-command; types offered or the type meant; the feedback code; key id or octets."""

    kind: str
    types: tuple[int, ...] = ()
    code: int | None = None
    data: bytes = b""

    def __repr__(self) -> str:
        types = " ".join(codes.ENCRYPT_TYPES.name(t) for t in self.types)
        code = "" if self.code is None else " " + TABLE["feedback"].name(self.code)
        return f"<ENCRYPT {self.kind}{' ' + types if types else ''}{code}{' ' + self.data.hex(' ') if self.data else ''}>"


@dataclass(frozen=True, slots=True, repr=False)
class Follows(Record):
    """START_TLS FOLLOWS: the sender sends no more TELNET before TLS."""


def latin(octets: bytes) -> str:
    """Octets as text, UTF-8 where they are that, else Latin-1: nothing is lost."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _naws(payload: bytes) -> Record:
    if len(payload) != 4:
        return Malformed(f"NAWS of {len(payload)} octets, wanted 4")
    return WindowSize(*struct.unpack(">HH", payload))


def _asked_or_told(payload: bytes) -> Record:
    if payload == bytes((SEND,)):
        return Asked()
    if payload[:1] == bytes((IS,)):
        return Told(latin(payload[1:]))
    return Malformed(f"begins with {payload[:1].hex() or 'nothing'}, wanted IS or SEND")


def _status(payload: bytes) -> Record:
    if payload == bytes((SEND,)):
        return Asked()
    if payload[:1] != bytes((IS,)):
        return Malformed("wanted IS or SEND")
    states: list[str] = []
    pos = 1
    while pos < len(payload):
        octet = payload[pos]
        if octet in codes.VERBS and pos + 1 < len(payload):
            states.append(f"{codes.COMMANDS.name(octet)} {codes.option_name(payload[pos + 1])}")
            pos += 2
        elif octet == codes.SB:
            end = payload.find(bytes((codes.SE,)), pos)
            end = len(payload) if end < 0 else end
            states.append(f"SB {codes.option_name(payload[pos + 1]) if pos + 1 < end else ''} {payload[pos + 2 : end].hex(' ')}".rstrip())
            pos = end + 1
        else:
            return Malformed(f"octet {octet} in a status")
    return Status(tuple(states))


def _environ(payload: bytes) -> Record:
    if not payload or payload[0] not in (IS, SEND, INFO):
        return Malformed("wanted IS, SEND or INFO")
    variables: list[tuple[str, str, str | None]] = []
    kind, name, value = "", bytearray(), None
    target: bytearray | None = None
    octets = iter(payload[1:])

    def keep() -> None:
        if kind:
            variables.append((kind, latin(bytes(name)), None if value is None else latin(bytes(value))))

    for octet in octets:
        if octet in (VAR, USERVAR):
            keep()
            kind, name, value = ENV.name(octet), bytearray(), None
            target = name
        elif octet == VALUE:
            if target is None or value is not None:
                return Malformed("VALUE without a variable")
            target = value = bytearray()
        else:
            if octet == ESC:
                octet = next(octets, -1)
            if octet < 0 or target is None:
                return Malformed("octets outside a variable, or ESC at the end")
            target.append(octet)
        if len(variables) > VARIABLES:
            return Malformed(f"more than {VARIABLES} variables")
    keep()
    return Variables(("IS", "SEND", "INFO")[payload[0]], tuple(variables))


def escaped(text: str) -> bytes:
    """A name or a value with ESC before the octets 0 to 3 (RFC 1572 section 2)."""
    return b"".join(bytes((ESC, octet)) if octet < 4 else bytes((octet,)) for octet in text.encode("utf-8", "surrogateescape"))


def environ(kind: int, variables: Iterable[tuple[str, str, str | None]]) -> bytes:
    """The payload of a NEW-ENVIRON sub-negotiation."""
    out = bytearray((kind,))
    for family, name, value in variables:
        out += bytes((USERVAR if family == "USERVAR" else VAR,)) + escaped(name)
        if value is not None:
            out += bytes((VALUE,)) + escaped(value)
    return bytes(out)


def _charset(payload: bytes) -> Record:
    if not payload or payload[0] not in CHARSETS:
        return Malformed("wanted a code from 1 to 7")
    kind, rest = CHARSETS.name(payload[0]), payload[1:]
    if kind == "REQUEST":
        if rest.startswith(b"[TTABLE]"):
            rest = rest[9:]
        if len(rest) < 2:
            return Malformed("a REQUEST without a character set")
        names = rest[1:].split(rest[:1])
        if len(names) > NAMES:
            return Malformed(f"more than {NAMES} names")
        return Charset(kind, tuple(latin(name) for name in names))
    return Charset(kind, (latin(rest),) if kind == "ACCEPTED" else ())


def _linemode(payload: bytes) -> Record:
    if len(payload) == 2 and payload[0] == 1:
        return Mode(payload[1])
    if len(payload) >= 2 and payload[0] in codes.VERBS and payload[1] == 2:
        return ForwardMask(codes.COMMANDS.name(payload[0]), payload[2:]) if len(payload) <= 34 else Malformed("FORWARDMASK of more than 32 octets")
    if payload[:1] == b"\3":
        body = payload[1:]
        if len(body) % 3 or len(body) > 3 * TRIPLETS:
            return Malformed(f"SLC of {len(body)} octets, wanted triplets, at most {TRIPLETS}")
        return Characters(tuple((body[i], body[i + 1], body[i + 2]) for i in range(0, len(body), 3)))
    return Malformed("wanted MODE, FORWARDMASK or SLC")


def _lflow(payload: bytes) -> Record:
    return Flow(LFLOW.name(payload[0])) if len(payload) == 1 and payload[0] in LFLOW else Malformed("wanted one octet, 0 to 3")


def _comport(payload: bytes) -> Record:
    if not payload:
        return Malformed("empty")
    code, server, rest = payload[0] % 100, payload[0] >= 100, payload[1:]
    if code not in COMPORT or payload[0] >= 200:
        return Malformed(f"code {payload[0]}")
    name = COMPORT.name(code)
    if code == 0:
        return ComPort(name, server, latin(rest))
    if code in (8, 9):
        return ComPort(name, server, None)
    wanted = 4 if code == 1 else 1
    if len(rest) != wanted:
        return Malformed(f"{name} of {len(rest)} octets, wanted {wanted}")
    return ComPort(name, server, int.from_bytes(rest, "big"))


def _auth(payload: bytes) -> Record:
    if not payload or payload[0] not in TABLE["auth"]:
        return Malformed("wanted IS, SEND, REPLY or NAME")
    kind, rest = TABLE["auth"].name(payload[0]), payload[1:]
    if kind == "NAME":
        return Auth(kind, user=latin(rest))
    if kind == "SEND":
        if len(rest) % 2:
            return Malformed("half a pair")
        return Auth(kind, tuple((rest[i], rest[i + 1]) for i in range(0, len(rest), 2)))
    if len(rest) < 2:
        return Malformed("no pair of type and modifier")
    return Auth(kind, ((rest[0], rest[1]),), code=rest[2] if len(rest) > 2 else None, data=rest[3:])


def _encrypt(payload: bytes) -> Record:
    if not payload or payload[0] not in TABLE["encrypt"]:
        return Malformed("wanted a code from 0 to 8")
    kind, rest = TABLE["encrypt"].name(payload[0]), payload[1:]
    if kind == "SUPPORT":
        return Encrypt(kind, tuple(rest))
    if kind in ("IS", "REPLY"):
        if not rest:
            return Malformed(f"{kind} without a type")
        return Encrypt(kind, (rest[0],), rest[1] if len(rest) > 1 else None, rest[2:])
    return Encrypt(kind, data=rest)


def _starttls(payload: bytes) -> Record:
    return Follows() if payload == b"\1" else Malformed("wanted FOLLOWS")


def _empty(payload: bytes) -> Record:
    return Asked() if not payload else Malformed("wanted no octets")


DECODERS: dict[int, Callable[[bytes], Record]] = {
    codes.NAWS: _naws, codes.TTYPE: _asked_or_told, codes.TSPEED: _asked_or_told, codes.XDISPLOC: _asked_or_told, codes.STATUS: _status,
    codes.NEW_ENVIRON: _environ, codes.CHARSET: _charset, codes.LINEMODE: _linemode, codes.LFLOW: _lflow, codes.COM_PORT: _comport,
    codes.AUTHENTICATION: _auth, codes.ENCRYPT: _encrypt, codes.START_TLS: _starttls, codes.MCCP2: _empty, codes.MCCP3: _empty,
}  # fmt: skip


def decode(option: int, payload: bytes) -> Record | None:
    """What the sub-negotiation says; None where the option's form is not known here (GMCP and its like)."""
    decoder = DECODERS.get(option)
    return decoder(payload) if decoder else None


def chunks(names: Iterable[str], limit: int = 200) -> Iterator[list[str]]:
    """Names in groups of at most `limit` octets: some clients keep 256 octets of a sub-negotiation."""
    group: list[str] = []
    size = 0
    for name in names:
        if group and size + len(name) + 1 > limit:
            yield group
            group, size = [], 0
        group.append(name)
        size += len(name) + 1
    if group:
        yield group
