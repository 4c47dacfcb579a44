"""TCP connections out of segments: octets in order, each once, with the places of urgent data and of what the capture lost.

RFC 9293 sections 3.4 and 3.8.5 (urgent); a hole is given up when the other side has acknowledged what is behind it, or when too much waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tanken.telnet.capture.packets import ACK, FIN, RST, SYN, URG, Segment

WAITING = 1 << 22  # octets of one direction kept behind a hole
CONNECTIONS = 4096  # followed at a time
M32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets of one direction in order; `lost` octets are missing before them; `urgent_end` is the place, from the stream's start, where urgency ends."""

    time: float
    from_client: bool
    data: bytes
    lost: int = 0
    urgent_end: int | None = None
    options: bytes = b""


@dataclass
class Way:
    """One direction of a connection."""

    expected: int | None = None  # sequence number of the next octet
    delivered: int = 0
    waiting: dict[int, bytes] = field(default_factory=dict)
    size: int = 0
    finished: bool = False


def after(a: int, b: int) -> int:
    """a - b in sequence space, from -2^31 to 2^31 - 1."""
    return ((a - b + 0x80000000) & M32) - 0x80000000


class Connection:
    """One connection; the client is who sent the SYN, or, where that was missed, the end with the higher port."""

    def __init__(self, number: int, client: tuple[str, int], server: tuple[str, int], whole: bool) -> None:
        self.number = number
        self.client = client
        self.server = server
        self.whole = whole  # its beginning was captured
        self.ways = {True: Way(), False: Way()}

    def take(self, segment: Segment) -> Iterator[Piece]:
        """The pieces that a segment completes, of both directions."""
        ours = segment.source == self.client
        way, other = self.ways[ours], self.ways[not ours]
        sequence = segment.sequence
        if segment.flags & SYN:
            sequence = sequence + 1 & M32
            if way.expected is None:
                way.expected = sequence
            if segment.options:
                yield Piece(segment.time, ours, b"", options=segment.options)
        if way.expected is None:
            way.expected = sequence
        urgent = None
        if segment.flags & URG and segment.urgent:
            urgent = way.delivered + after((sequence + segment.urgent) & M32, way.expected)
        if segment.data and len(segment.data) > len(way.waiting.get(sequence, b"")):
            way.size += len(segment.data) - len(way.waiting.get(sequence, b""))
            way.waiting[sequence] = segment.data
        yield from self._ready(way, segment.time, ours, urgent, way.size > WAITING)
        if segment.flags & ACK and other.waiting and other.expected is not None and after(segment.acknowledged, other.expected) > 0:
            yield from self._ready(other, segment.time, not ours, None, True)
        if segment.flags & (FIN | RST):
            way.finished = True

    def _ready(self, way: Way, time: float, ours: bool, urgent: int | None, give_up: bool) -> Iterator[Piece]:
        if urgent is not None:
            yield Piece(time, ours, b"", urgent_end=urgent)
        while way.waiting and way.expected is not None:
            expected = way.expected
            first = min(way.waiting, key=lambda sequence: after(sequence, expected))
            distance = after(first, expected)
            if distance > 0 and not give_up:
                return
            data = way.waiting.pop(first)
            way.size -= len(data)
            fresh = data[-distance:] if distance < 0 else data
            if not fresh or -distance >= len(data) > 0 > distance:
                continue
            lost = max(0, distance)
            way.expected = (expected + lost + len(fresh)) & M32
            way.delivered += lost + len(fresh)
            yield Piece(time, ours, fresh, lost)

    def rest(self) -> Iterator[Piece]:
        """What still waits behind holes at the end of the capture."""
        for ours, way in self.ways.items():
            yield from self._ready(way, 0.0, ours, None, True)


def connections(segments: Iterable[Segment]) -> Iterator[tuple[Connection, Piece]]:
    """Pieces in the order in which the capture has them, each with its connection."""
    known: dict[frozenset[tuple[str, int]], Connection] = {}
    count = 0
    for segment in segments:
        ends = frozenset((segment.source, segment.destination))
        connection = known.get(ends)
        opens = segment.flags & (SYN | ACK) == SYN
        if opens and connection is not None and all(way.finished for way in connection.ways.values()):
            yield from ((connection, piece) for piece in connection.rest())
            connection = None
        if connection is None:
            if not opens and not segment.data and not segment.flags & SYN:
                continue
            count += 1
            client, server = segment.source, segment.destination
            if not opens and (segment.flags & SYN or client[1] < server[1]):
                client, server = server, client
            if len(known) >= CONNECTIONS:
                oldest = known.pop(next(iter(known)))
                yield from ((oldest, piece) for piece in oldest.rest())
            connection = known[ends] = Connection(count, client, server, opens)
        for piece in connection.take(segment):
            yield connection, piece
    for connection in known.values():
        yield from ((connection, piece) for piece in connection.rest())
