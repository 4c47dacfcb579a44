"""The Q method: two small automata an option, so that negotiation never loops whatever the other side sends.

RFC 1143 section 7; the table of the text is written for `him`, and serves `us` with the verbs exchanged.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from tanken.telnet.codes import DO, DONT, WILL, WONT


class State(Enum):
    """Where one side of an option stands; it is in effect only in YES."""

    NO = "no"
    YES = "yes"
    WANTNO = "wantno"
    WANTYES = "wantyes"


class Outcome(NamedTuple):
    """What a step asks for: the answer to send, the change that took effect (None: no change), and a protocol error."""

    send: int | None = None
    change: bool | None = None
    error: str = ""
    refused: bool = False


class Side:
    """One side of one option: `him` when the other end performs it, `us` when we do.

    `yes` and `no` are the verbs that we send (DO and DONT for him, WILL and WONT for us).
    """

    __slots__ = ("state", "opposite", "yes", "no")

    def __init__(self, ours: bool) -> None:
        self.state = State.NO
        self.opposite = False
        self.yes, self.no = (WILL, WONT) if ours else (DO, DONT)

    @property
    def on(self) -> bool:
        """Whether the option is in effect."""
        return self.state is State.YES

    def asked(self, agree: bool) -> Outcome:
        """The other end sent WILL (for him) or DO (for us); `agree` says whether we want it."""
        state, queued = self.state, self.opposite
        if state is State.NO:
            if agree:
                self.state = State.YES
                return Outcome(self.yes, True)
            return Outcome(self.no, refused=True)
        if state is State.YES:
            return Outcome()
        self.opposite = False
        if state is State.WANTNO:
            self.state = State.YES if queued else State.NO
            return Outcome(None, queued or None, "a refusal was answered by an agreement")
        self.state = State.WANTNO if queued else State.YES
        return Outcome(self.no) if queued else Outcome(None, True)

    def declined(self) -> Outcome:
        """The other end sent WONT (for him) or DONT (for us)."""
        state, queued = self.state, self.opposite
        self.opposite = False
        if state is State.NO:
            return Outcome()
        if state is State.YES:
            self.state = State.NO
            return Outcome(self.no, False)
        if state is State.WANTNO and queued:
            self.state = State.WANTYES
            return Outcome(self.yes)
        self.state = State.NO
        return Outcome(None, None, refused=state is State.WANTYES)

    def want(self, on: bool) -> Outcome:
        """We want the option on or off; a request that is open is not repeated, the opposite one is queued."""
        if self.state in (State.WANTNO, State.WANTYES):
            self.opposite = on is (self.state is State.WANTNO)
            return Outcome()
        if on is self.on:
            return Outcome()
        self.state = State.WANTYES if on else State.WANTNO
        return Outcome(self.yes if on else self.no, None if on else False)
