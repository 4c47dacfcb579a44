"""The reader of a capture: which connections are TELNET, their events in order, and what is to be said at the end.

A connection is TELNET by its port, or because a negotiation stands among its first octets.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from tanken.base.records import json_line
from tanken.telnet.capture.dialogue import Dialogue, Seen, looks_like_telnet
from tanken.telnet.capture.reassembly import Connection, Piece
from tanken.telnet.events import Data

PORTS = (23, 992)
UNDECIDED = 1024  # octets of a connection within which a negotiation must come, where the port says nothing


class Reader:
    """Follows the connections of a capture that are TELNET."""

    def __init__(self, keys: tuple[bytes, ...], ports: tuple[int, ...], only: int | None) -> None:
        self.keys = keys
        self.ports = ports
        self.only = only
        self.dialogues: dict[int, Dialogue] = {}
        self._early: dict[int, list[Piece]] = {}
        self.others: dict[int, tuple[Connection, int]] = {}

    def events(self, pieces: Iterator[tuple[Connection, Piece]], until: float | None) -> Iterator[Seen]:
        """The events of all of them, in the order of the capture."""
        for connection, piece in pieces:
            number = connection.number
            if self.only is not None and number != self.only:
                continue
            dialogue = self.dialogues.get(number)
            if dialogue is not None:
                yield from self._until(dialogue.take(piece), until)
            elif number in self.others:
                self.others[number] = connection, self.others[number][1] + len(piece.data)
            else:
                yield from self._until(self._decide(connection, piece), until)
        for dialogue in self.dialogues.values():
            if until is None:
                yield from dialogue.end()

    @staticmethod
    def _until(seen: Iterator[Seen], until: float | None) -> Iterator[Seen]:
        for one in seen:
            if until is None or one.time <= until:
                yield one
            elif isinstance(one.event, Data):
                return

    def _decide(self, connection: Connection, piece: Piece) -> Iterator[Seen]:
        """TELNET by its port, or by a negotiation among the first octets."""
        early = self._early.setdefault(connection.number, [])
        early.append(piece)
        by_port = connection.server[1] in self.ports or connection.client[1] in self.ports
        first = {way: b"".join(one.data for one in early if one.from_client is way) for way in (True, False)}
        if by_port or any(looks_like_telnet(data) for data in first.values()):
            dialogue = self.dialogues[connection.number] = Dialogue(connection, self.keys)
            for one in self._early.pop(connection.number):
                yield from dialogue.take(one)
        elif sum(map(len, first.values())) > UNDECIDED or len(early) > 64:
            self._early.pop(connection.number)
            self.others[connection.number] = connection, sum(map(len, first.values()))

    def ends(self, json: bool) -> Iterator[str]:
        """What is left to say: the screens, and the connections that are not TELNET."""
        for number, dialogue in self.dialogues.items():
            client, server = (f"{host}:{port}" for host, port in (dialogue.connection.client, dialogue.connection.server))
            screen = dialogue.screen
            if json:
                yield json_line({"connection": number, "client": client, "server": server, "data": dialogue.data_octets, "errors": dialogue.errors,
                                 "complete": dialogue.connection.whole, "screen": screen.rows, "title": screen.title})  # fmt: skip
                continue
            octets = ", ".join(f"{dialogue.data_octets[name]} octets of data from the {name}" for name in ("client", "server"))
            errors = f"{dialogue.errors} protocol error{'' if dialogue.errors == 1 else 's'}"
            yield f"connection {number}: {client} to {server}: {octets}; {errors}{'' if dialogue.connection.whole else '; its beginning is missing'}"
            if any(screen.rows):
                yield f"+{'-' * screen.width}+"
                yield from (f"|{row}{' ' * (screen.width - _width(row))}|" for row in screen.rows)
                yield f"+{'-' * screen.width}+"
        undecided = {number: sum(len(piece.data) for piece in pieces) for number, pieces in self._early.items()}
        total = len(self.others) + len(undecided)
        if total and not json:
            yield f"{total} other TCP connection{'' if total == 1 else 's'} without TELNET (--port N takes port N as TELNET)"
        if not self.dialogues and not total and not json:
            yield "no TCP connections"


def _width(row: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1 for character in row)
