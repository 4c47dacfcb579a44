"""The lexical layer: octets to data, commands, negotiations and sub-negotiations, with the NVT's rules for CR and for 8 bits.

RFC 854 ("TELNET command structure", "The NVT printer and keyboard") and RFC 855. What comes out does not depend on how the octets
were cut into segments, apart from where data is cut. It knows nothing of policy: the protocol machine and the capture reader share it.

Speed: runs without 255 cost a few searches of the C library; runs in which all 255 are doubled are undoubled a window at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tanken.telnet.codes import COMMANDS, IAC, SB, SE, VERBS, WILL
from tanken.telnet.events import Command, Data, Negotiation, Suboption, Violation

BARE_CR = re.compile(rb"\r[^\n\x00]")
NOT_7_BITS = re.compile(rb"[\x80-\xff]")
IAC1, IAC2 = b"\xff", b"\xff\xff"
SMALL, LARGE = 64, 1 << 18  # octets of the window in which doubled 255 are looked for
DENSE = 4096  # octets from which on a window with many 255 is done by NumPy
SUBOPTION = 65536  # octets of a sub-negotiation, default limit
Token = Data | Command | Negotiation | Suboption | Violation
_DATA, _IAC, _VERB, _SB, _SUB, _SUB_IAC = range(6)


class Parser:
    """One direction of a connection; `binary` says whether BINARY is in effect for it."""

    def __init__(self, limit: int = SUBOPTION) -> None:
        self.limit = limit
        self.binary = False
        self.offset = 0  # octets taken in so far: where messages say they stand
        self._state = _DATA
        self._verb = WILL
        self._sub = bytearray()
        self._option = -1
        self._over = False
        self._cr = False
        self._told: set[str] = set()
        self._window = LARGE
        self._data = b""
        self._pos = 0

    def cut(self) -> bytes:
        """Takes back what the running `feed` has not looked at, so that the caller can transform it; the feed then ends."""
        rest, self._data = self._data[self._pos :], self._data[: self._pos]
        return rest

    @property
    def inside(self) -> bool:
        """Whether the octets so far end inside a command or a sub-negotiation."""
        return self._state != _DATA

    @property
    def consumed(self) -> int:
        """Octets of the running feed that were looked at."""
        return self._pos

    def feed(self, data: bytes) -> Iterator[Token]:
        """The tokens of the next octets; between two of them the caller may change `binary` or `cut`."""
        self._data, self._pos = data, 0
        while self._pos < len(self._data):
            start = self._pos
            if self._state == _DATA:
                three = self._data[start : start + 3]
                if len(three) == 3 and three[0] == IAC and three[1] in VERBS:
                    self._pos += 3
                    yield Negotiation(three[1], three[2])
                    continue
                run = self._run()
                if run:
                    yield from self._nvt(run, start)
            elif self._state == _SUB:
                yield from self._gather()
            else:
                self._pos += 1
                yield from self._octet(self._data[self._pos - 1])
        self.offset += self._pos

    def _run(self) -> bytes:
        """Data up to the next command; leaves the position behind the command's 255."""
        data, pos = self._data, self._pos
        at = data.find(IAC1, pos)
        if at < 0:
            self._pos = len(data)
            return data[pos:] if pos else data
        pieces = [data[pos:at]] if at > pos else []
        pos, command = at, False
        while pos < len(data) and not command:
            stop = min(pos + self._window, len(data))
            if stop - pos >= DENSE and data.count(IAC1, pos, stop) * 256 > stop - pos:
                pos, command = _dense(pieces, data, pos, stop)
            else:
                pos, command = self._pairs(pieces, pos, min(stop, pos + DENSE))
            self._window = max(self._window // 8, SMALL) if command else min(2 * self._window, LARGE)
        if command:
            self._state = _IAC
        self._pos = pos
        return b"".join(pieces)

    def _pairs(self, pieces: list[bytes], pos: int, stop: int) -> tuple[int, bool]:
        """Undoubles one 255 after the other until a command begins (the position is behind its 255) or the window ends."""
        data = self._data
        while pos < stop:
            at = data.find(IAC1, pos, stop)
            if at < 0:
                pieces.append(data[pos:stop])
                return stop, False
            if data[at + 1 : at + 2] != IAC1:
                pieces.append(data[pos:at])
                return at + 1, True
            pieces.append(data[pos : at + 1])
            pos = at + 2
        return pos, False

    def _once(self, rule: str, detail: str, cite: str) -> Iterator[Violation]:
        if rule not in self._told:
            self._told.add(rule)
            yield Violation(rule, f"{detail}; the first of its kind, later ones are not repeated", cite)

    def _nvt(self, run: bytes, start: int) -> Iterator[Token]:
        """Data with the rules of the NVT applied (RFC 854: CR LF, CR NUL, 7 bits), unless BINARY is in effect (RFC 856)."""
        if self.binary:
            self._cr = False
            yield Data(run)
            return
        if self._cr:
            self._cr = False
            if run[0] == 0:
                run = run[1:]
                if not run:
                    return
            elif run[0] != 10:
                yield from self._once("bare-cr", f"CR before {run[0]:#04x}", "RFC 854, The NVT printer and keyboard")
        self._cr = run[-1] == 13
        cuts: list[tuple[int, str, str]] = []
        if "8-bit" not in self._told and not run.isascii():
            match = NOT_7_BITS.search(run)
            assert match is not None
            cuts.append((match.start(), "8-bit", f"octet {run[match.start()]:#04x} without BINARY"))
        if "bare-cr" not in self._told:
            match = BARE_CR.search(run)
            if match:
                cuts.append((match.start() + 1, "bare-cr", f"CR before {run[match.start() + 1]:#04x}"))
        begin = 0
        for at, rule, detail in sorted(cuts, key=lambda cut: (cut[0], cut[1] == "8-bit")):
            if at > begin:
                yield Data(self._without_nul(run[begin:at]))
            yield from self._once(rule, detail, "RFC 856" if rule == "8-bit" else "RFC 854, The NVT printer and keyboard")
            begin = at
        yield Data(self._without_nul(run[begin:] if begin else run))

    @staticmethod
    def _without_nul(run: bytes) -> bytes:
        return run.replace(b"\r\0", b"\r") if b"\0" in run else run

    def _octet(self, octet: int) -> Iterator[Token]:
        """An octet of a command."""
        state, self._state = self._state, _DATA
        if state == _IAC:
            if octet == IAC:
                yield from self._nvt(IAC1, self._pos)
            elif octet in VERBS:
                self._state, self._verb = _VERB, octet
            elif octet == SB:
                self._state = _SB
            elif octet == SE:
                yield Violation("se", "SE without SB", "RFC 855")
            elif octet in COMMANDS:
                yield Command(octet)
            else:
                yield Violation("command", f"255 before {octet}: an unknown command, or a data octet 255 that was not doubled", "RFC 854, TELNET command structure")
        elif state == _VERB:
            yield Negotiation(self._verb, octet)
        elif state == _SB and octet == IAC:  # option 255 is sent doubled, as everything in a sub-negotiation
            self._sub.clear()
            self._option, self._over, self._state = -1, False, _SUB_IAC
        elif state == _SB:
            self._sub.clear()
            self._option, self._over, self._state = octet, False, _SUB
        else:
            yield from self._after_iac(octet)

    def _after_iac(self, octet: int) -> Iterator[Token]:
        if octet == IAC:
            if self._option < 0:
                self._option = IAC
            else:
                self._append(IAC1)
            self._state = _SUB
        elif octet == SE:
            yield self._ended()
        else:
            yield Violation("sb", f"sub-negotiation of option {self._option} broken off by 255 {octet}", "RFC 855")
            self._sub.clear()
            self._state = _IAC
            yield from self._octet(octet)

    def _gather(self) -> Iterator[Token]:
        """Octets of a sub-negotiation up to the next 255."""
        at = self._data.find(IAC1, self._pos)
        stop = len(self._data) if at < 0 else at
        self._append(self._data[self._pos : stop])
        self._pos = stop
        if at >= 0:
            self._pos += 1
            self._state = _SUB_IAC
        yield from ()

    def _append(self, octets: bytes) -> None:
        room = self.limit - len(self._sub)
        self._over = self._over or len(octets) > room
        if room > 0:
            self._sub += octets[:room]

    def _ended(self) -> Token:
        payload, option = bytes(self._sub), self._option
        self._sub.clear()
        if option < 0:
            return Violation("sb", "sub-negotiation without an option", "RFC 855")
        if self._over:
            return Violation("length", f"sub-negotiation of option {option} longer than {self.limit} octets, left out", "limit of this implementation")
        return Suboption(option, payload)


def _dense(pieces: list[bytes], data: bytes, pos: int, stop: int) -> tuple[int, bool]:
    """As `_pairs` for data that is full of doubled 255: all at once, up to the first that is not doubled."""
    import numpy as np

    octets = np.frombuffer(data, np.uint8, stop - pos, pos)
    places = np.flatnonzero(octets == IAC)
    first, second = places[: len(places) & ~1 : 2], places[1::2]
    single = np.flatnonzero(second - first != 1)
    if len(single) or len(places) % 2:
        at = int(first[single[0]]) if len(single) else int(places[-1])
        second = second[: np.searchsorted(second, at)]
        pieces.append(np.delete(octets[:at], second).tobytes())
        if pos + at + 1 < len(data) and data[pos + at + 1] == IAC:  # doubled across the end of the window
            pieces.append(IAC1)
            return pos + at + 2, False
        return pos + at + 1, True
    pieces.append(np.delete(octets, second).tobytes())
    return stop, False
