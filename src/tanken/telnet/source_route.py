"""Source routing: LSRR and SSRR options from the old notation `@hop1@hop2:host`, and the route that came back.

RFC 791 section 3.1 (options 131 and 137: type, length, pointer, addresses). Linux takes the hops in the order of travel and puts the destination
last by itself; the SYN-ACK that comes back carries the route the answer took, written down by every router on the way.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.errors import UsageError
from tanken.base.records import Record
from tanken.telnet.conversation import SessionError

LSRR, SSRR = 131, 137
MOST = 9  # addresses: 40 octets of options, three of them the head
KINDS = {LSRR: "LSRR", SSRR: "SSRR", 7: "RR"}


@dataclass(frozen=True, slots=True, repr=False)
class Route(Record):
    """What the user asked for: the hops in the order of travel, the host behind them, strict or loose."""

    strict: bool
    hops: tuple[str, ...]
    host: str


@dataclass(frozen=True, slots=True, repr=False)
class Recorded(Record):
    """A route option of a packet: its kind, the addresses already written down, those still to come."""

    kind: str
    recorded: tuple[str, ...]
    ahead: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.kind} recorded {' '.join(self.recorded) or 'nothing'}{', ahead ' + ' '.join(self.ahead) if self.ahead else ''}"


def parse(text: str) -> Route | None:
    """The route of `[!]@hop1@hop2:host` (`@` or `,` may stand for the colon); None for a plain host. Raises UsageError."""
    strict = text.startswith("!")
    rest = text[1:] if strict else text
    if not rest.startswith("@"):
        if strict:
            raise UsageError(f"host {text!r}", wanted="!@hop1@hop2:host")
        return None
    parts = rest[1:].replace(":", "@").replace(",", "@").split("@")
    if len(parts) < 2 or not all(parts):
        raise UsageError(f"source route {text!r}", wanted="[!]@hop1@hop2:host")
    if len(parts) - 1 > MOST:
        raise UsageError(f"{len(parts) - 1} hops", wanted=f"at most {MOST}: an IP header has no room for more (RFC 791 section 3.1)")
    return Route(strict, tuple(parts[:-1]), parts[-1])


def _address(name: str) -> str:
    try:
        return str(socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}", wanted="a host with an IPv4 address (IPv6 has no source routes left, RFC 5095)") from error


def option(route: Route) -> bytes:
    """The option as the socket takes it: type, length, pointer 4, the hops, one NOP to align."""
    hops = b"".join(socket.inet_aton(_address(hop)) for hop in route.hops)
    return bytes((SSRR if route.strict else LSRR, 3 + len(hops), 4)) + hops + b"\x01"


def options_of(octets: bytes) -> Iterator[Recorded]:
    """The route options among the options of an IP header."""
    pos = 0
    while pos < len(octets) and octets[pos] != 0:
        if octets[pos] == 1:
            pos += 1
            continue
        size = octets[pos + 1] if pos + 1 < len(octets) else 0
        if size < 2 or pos + size > len(octets):
            return
        if octets[pos] in KINDS and size >= 3:
            body = octets[pos + 3 : pos + size]
            addresses = [socket.inet_ntoa(body[i : i + 4]) for i in range(0, len(body) & ~3, 4)]
            done = max(0, (octets[pos + 2] - 4) // 4)
            yield Recorded(KINDS[octets[pos]], tuple(addresses[:done]), tuple(addresses[done:]))
        pos += size


class Connected:
    """A connected socket, the octets of the option it was opened with, and the route that came back (None: not to be seen)."""

    def __init__(self, sock: socket.socket, sent: bytes, came_back: Recorded | None, why_not: str) -> None:
        self.sock = sock
        self.sent = sent
        self.came_back = came_back
        self.why_not = why_not


def connect(route: Route, port: int, timeout: float = 10.0) -> Connected:
    """Connects along the route. Raises SessionError when the connection or the option is refused.

    The route that came back stands in the SYN-ACK, which only a raw socket shows; without the right to open one the connection is made all the same.
    """
    sent = option(route)
    host = _address(route.host)
    raw, why_not = _raw_socket()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, sent)
        sock.connect((host, port))
    except OSError as error:
        sock.close()
        raise SessionError(
            f"{error.strerror or error} along {' '.join(route.hops)}", where=f"{route.host}:{port}",
            hint="routers and hosts must accept source routes (Linux: net.ipv4.conf.*.accept_source_route)",
        ) from error  # fmt: skip
    finally:
        came_back = None
        if raw is not None:
            came_back = _answer(raw, host, port, sock)
            raw.close()
    sock.settimeout(None)
    return Connected(sock, sent, came_back, why_not if raw is None else "" if came_back else "the answer carried no route")


def _raw_socket() -> tuple[socket.socket | None, str]:
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    except PermissionError:
        return None, "the route that came back is seen only with the right to open raw sockets (CAP_NET_RAW)"
    raw.setblocking(False)
    return raw, ""


def _answer(raw: socket.socket, host: str, port: int, sock: socket.socket) -> Recorded | None:
    """The route option of the SYN-ACK among the packets that the raw socket has."""
    try:
        mine = sock.getsockname()[1]
    except OSError:
        return None
    wanted = socket.inet_aton(host)
    while True:
        try:
            packet = raw.recv(65535)
        except OSError:
            return None
        size = (packet[0] & 15) * 4
        source, destination = struct.unpack_from(">HH", packet, size)
        if packet[12:16] == wanted and (source, destination) == (port, mine) and packet[size + 13] & 0x12 == 0x12:
            return next(options_of(packet[20:size]), None)


def reverse_route(sock: socket.socket) -> Recorded | None:
    """On a server's socket: the route back that the kernel built from the one that came in (RFC 1122 section 3.2.1.8)."""
    try:
        octets = sock.getsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, 44)
    except OSError:
        return None
    return next(options_of(octets), None)
