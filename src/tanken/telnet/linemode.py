"""LINEMODE: who edits lines, and which characters do what; both ends.

RFC 1184: MODE in section 2.2, FORWARDMASK in 2.3, SLC in 2.4 and, for the rules of agreement, 5.5.
"""

from __future__ import annotations

from typing import Any

from tanken.telnet import codes as c
from tanken.telnet import suboptions as s
from tanken.telnet.handler import KINDS, Handler

ACK, LEVEL, FLUSH_IN, FLUSH_OUT, MODE_ACK = 0x80, 0x03, 0x40, 0x20, 0x04
NOSUPPORT, CANTCHANGE, VALUE, DEFAULT = range(4)
# function: character, flags; those of a Unix terminal
DEFAULTS: dict[int, tuple[int, int]] = {
    1: (0, 0), 2: (0, 0), 3: (3, FLUSH_IN | FLUSH_OUT), 4: (15, 0), 5: (20, 0), 7: (28, FLUSH_IN | FLUSH_OUT), 8: (4, 0), 9: (26, FLUSH_IN),
    10: (127, 0), 11: (21, 0), 12: (23, 0), 13: (18, 0), 14: (22, 0), 15: (17, 0), 16: (19, 0),
}  # fmt: skip


class LineMode(Handler):
    """The mode in force and the table of special characters (function to flags and character)."""

    option = c.LINEMODE

    def __init__(self, machine: Any) -> None:
        super().__init__(machine)
        self.mode = 0
        self.mask = b""
        self.characters = {number: (VALUE | flags, value) for number, (value, flags) in DEFAULTS.items()}

    def changed(self, side: str, on: bool) -> None:
        if side == "him" and on:
            self.set_mode(self.profile.linemode)
            self._send_characters([(number, flags, value) for number, (flags, value) in self.characters.items()])
        elif side == "us" and on:
            self._send_characters([(number, flags, value) for number, (flags, value) in self.characters.items()])
        if not on:
            self.mode = 0

    def set_mode(self, mode: int) -> None:
        """A server asks for a mode."""
        self.mode = mode & ~MODE_ACK
        self.send(bytes((1, self.mode)))

    def _send_characters(self, triplets: list[tuple[int, int, int]]) -> None:
        if triplets:
            self.send(b"\x03" + bytes(octet for triplet in triplets for octet in triplet))

    def received(self, value: Any) -> None:
        if not self.within():
            return
        if isinstance(value, s.Mode):
            self._mode(value.mask)
        elif isinstance(value, s.ForwardMask):
            self._forward_mask(value)
        elif isinstance(value, s.Characters):
            self._slc(value.triplets)

    def _mode(self, mask: int) -> None:
        client, bare = self.machine.client, mask & ~MODE_ACK
        if bare == self.mode:
            return
        if mask & MODE_ACK:
            if not client:
                self.mode = bare
            return
        self.mode = bare & 0x1B if client else bare
        self.send(bytes((1, self.mode | MODE_ACK)))

    def _forward_mask(self, value: s.ForwardMask) -> None:
        if self.machine.client and value.verb in ("DO", "DONT"):
            self.mask = value.mask if value.verb == "DO" else b""
            self.send(bytes((c.WILL if value.verb == "DO" else c.WONT, 2)))

    def _slc(self, triplets: tuple[tuple[int, int, int], ...]) -> None:
        """Reply with at most one triplet a function: no list makes the answer grow (CVE-2026-32746)."""
        replies: dict[int, tuple[int, int]] = {}
        for number, flags, value in triplets:
            if number == 0:
                if not self.machine.client:  # only the client asks for tables
                    if flags & LEVEL == DEFAULT:
                        self.characters = {n: (VALUE | extra, char) for n, (char, extra) in DEFAULTS.items()}
                    replies.update(self.characters)
            elif number in s.SLC:
                answer = self._agree(number, flags, value)
                if answer is not None:
                    replies[number] = answer
            elif flags & LEVEL != NOSUPPORT and not flags & ACK:
                replies[number] = (NOSUPPORT, 0)
            if len(replies) > 40:
                break
        self._send_characters([(number, flags, value) for number, (flags, value) in replies.items()])

    def _agree(self, number: int, flags: int, value: int) -> tuple[int, int] | None:
        mine_flags, mine = self.characters.get(number, (NOSUPPORT, 0))
        level = flags & LEVEL
        if level == mine_flags & LEVEL and (value == mine or level == NOSUPPORT):
            return None
        if flags & ACK:
            if level == mine_flags & LEVEL and not self.machine.client:
                return None
            self.characters[number] = (flags & ~ACK, value)
            return None
        if level == DEFAULT:
            if number in DEFAULTS:
                char, extra = DEFAULTS[number]
                self.characters[number] = (VALUE | extra, char)
                return self.characters[number]
            return NOSUPPORT, 0
        if number not in DEFAULTS and level != NOSUPPORT and number not in self.characters:
            return NOSUPPORT, 0
        self.characters[number] = (flags & ~ACK, value)
        return flags | ACK, value


KINDS[LineMode.option] = LineMode
