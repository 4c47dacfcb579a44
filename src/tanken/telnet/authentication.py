"""AUTHENTICATION: the server offers pairs of mechanism and modifier, the client picks one; SRP is built in, Kerberos where it is installed.

RFC 2941 (the option), RFC 2944 (SRP), RFC 2942 (Kerberos 5, by the system's library). Inside START_TLS our two ends bind both to the channel:
the hash of the server's certificate goes into SRP's proof after K, or into the checksum of the Kerberos authenticator, so that a man in the
middle with another certificate cannot pass the exchange on (RFC 5929 section 4, tls-server-end-point).
"""

from __future__ import annotations

import secrets
from typing import Any

from tanken.base.errors import InputError, UnsupportedError
from tanken.telnet import codes as c
from tanken.telnet import kerberos, srp, tls
from tanken.telnet.events import Authenticated, Violation, Warning
from tanken.telnet.handler import KINDS, Handler

SRP = 5
ONE_WAY, USING_TELOPT = 0x00, 0x04
PAIRS = ((SRP, USING_TELOPT), (SRP, ONE_WAY))
KERBEROS = 2
KERBEROS_PAIRS = ((KERBEROS, 0x02 | USING_TELOPT), (KERBEROS, 0x02))  # mutual only: one-way, the server proves nothing
SSL_PAIR = (7, ONE_WAY)  # netkit's telnet-ssl: START 1 by the client, ACCEPT 2 or REJECT 3 by the server, then TLS; no document describes it
ISSUE = secrets.token_bytes(32)  # makes verifiers of unknown users, the same as long as this process lives


class Authentication(Handler):
    """Both ends; only the server sends DO, SEND and REPLY, only the client WILL, NAME and IS (RFC 2941 section 6)."""

    option = c.AUTHENTICATION

    def __init__(self, machine: Any) -> None:
        super().__init__(machine)
        self.pair: tuple[int, int] | None = None
        self.user = ""
        self.done = False
        self.tls = False  # type SSL is under way
        self.offered = 0
        self._client: srp.Client | None = None
        self._server: srp.Server | None = None
        self._known = False
        self._ticket: kerberos.Client | None = None
        self._confirmed = False  # the server's AP-REP was right

    def agrees(self, side: str) -> bool:
        if self.machine.client:
            return side == "us" and (bool(self.profile.user) or self.machine.security.tls_possible)
        return side == "him" and (self.profile.authenticates or self.machine.security.tls_possible)

    def changed(self, side: str, on: bool) -> None:
        if on and side == "him":
            pairs = self._offered()
            self.send(bytes((c.SEND,)) + bytes(octet for pair in pairs for octet in pair))
        elif not on and not self.done:
            self.machine.security.failed("AUTHENTICATION was withdrawn")

    def _offered(self) -> tuple[tuple[int, int], ...]:
        """A server's pairs, best first."""
        profile = self.profile
        if not profile.authenticates:  # TLS alone does not say who the user is
            return (SSL_PAIR,)
        return self._possible((*(KERBEROS_PAIRS if profile.keytab else ()), *(PAIRS if profile.verifiers is not None else ())))

    def _possible(self, pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """Those of the pairs that can be kept: USING_TELOPT only where ENCRYPT may follow."""
        profile = self.profile
        encrypts = self.machine.tls is None and profile.secure != "off" and "encrypt" in profile.means
        return tuple(pair for pair in pairs if encrypts or not pair[1] & USING_TELOPT)

    def refused(self, side: str) -> None:
        self.machine.security.failed("the other side refuses AUTHENTICATION")

    def received(self, value: Any) -> None:
        if self.machine.client and value.kind in ("SEND", "REPLY"):
            self._offer(value) if value.kind == "SEND" else self._reply(value)
        elif not self.machine.client and value.kind in ("NAME", "IS"):
            if value.kind == "NAME":
                self.user = value.user if not self.user else self.user
            else:
                self._is(value)
        else:
            self._wrong(f"{value.kind} from the wrong side", "RFC 2941 section 6")

    def _wrong(self, what: str, cite: str) -> None:
        self.machine.tell(Violation("authentication", what, cite))

    def _message(self, kind: int, code: int, data: bytes = b"") -> None:
        assert self.pair is not None
        self.send(bytes((kind, *self.pair, code)) + data)

    def _extra(self, bound: bool) -> bytes:
        """What follows K in the proof: the pair where it has more bits than WHO and HOW (RFC 2944 section 4), the channel."""
        assert self.pair is not None
        extra = bytes(self.pair) if self.pair[1] & ~3 else b""
        layer = self.machine.tls
        if bound and layer is not None:
            extra += tls.binding(layer.peer_certificate if self.machine.client else self.profile.own_certificate)
        return extra

    # client

    def _offer(self, value: Any) -> None:
        self.offered += 1
        if self.offered > 8:
            self.machine.security.failed("AUTHENTICATION was offered without end", fatal=True)
            return
        known = () if not self.profile.user else self._possible(KERBEROS_PAIRS if self.profile.kerberos else PAIRS)
        usable = [pair for pair in value.pairs if pair in known]
        if not usable and not self.done and self.machine.security.tls_possible:
            ssl = next((pair for pair in value.pairs if pair[0] == SSL_PAIR[0]), None)
            if ssl is not None:
                self.pair, self.tls = ssl, True
                self._message(c.IS, 1)
                return
        if not usable or self.done:
            self.send(bytes((c.IS, 0, 0, 0)))
            if not self.done:
                offered = " ".join(dict.fromkeys(c.AUTH_TYPES.name(t) for t, _ in value.pairs)) or "nothing"
                self.machine.security.failed(f"the server offers {offered}, none that we know")
            return
        self.pair = usable[0]
        if self.pair[0] == KERBEROS:
            self._use_ticket()
            return
        self._client = srp.Client(self.profile.user, self.profile.password)
        self.send(b"\x03" + self.profile.user.encode())
        self._message(c.IS, 0)

    def _reply(self, value: Any) -> None:
        if self.tls and value.pairs and value.pairs[0] == self.pair:
            self.done = True
            if value.code == 2:
                self.machine.begin_tls(in_auth=True)
            else:
                self.machine.security.failed("the server rejects SSL")
            return
        if self._ticket is not None and value.pairs and value.pairs[0] == self.pair and not self.done:
            self._ticket_reply(self._ticket, value)
            return
        client = self._client
        if client is None or not value.pairs or value.pairs[0] != self.pair or self.done:
            self._wrong("REPLY for another pair than the one under way", "RFC 2941 section 5")
            self.machine.security.failed("AUTHENTICATION was answered wrongly", fatal=True)
            return
        try:
            if value.code == 9:
                self._message(c.IS, 8, srp.octets(client.parameters(*_parameters(value.data))))
            elif value.code == 3:
                self._message(c.IS, 4, client.respond(int.from_bytes(value.data, "big"), self._extra(self.profile.bound)))
            elif value.code == 2:
                self._accepted(client, value.data)
            elif value.code == 1:
                reason = value.data.decode("ascii", "replace")[:200]
                self.machine.tell(Authenticated(self.profile.user, "SRP", False, reason))
                self.machine.security.failed(f"the server rejects {self.profile.user}", fatal=True)
        except InputError as error:
            self._wrong(str(error), "RFC 2944")
            self.machine.security.failed("SRP failed", fatal=True)

    def _accepted(self, client: srp.Client, answer: bytes) -> None:
        if not client.check(answer):
            self.machine.tell(Authenticated(self.profile.user, "SRP", False, "the server does not know the password"))
            self.machine.security.failed("the server is not the one that has the password", fatal=True)
            return
        self._finish(self.profile.user, client.key)

    def _use_ticket(self) -> None:
        assert self.pair is not None
        try:
            self._ticket = kerberos.Client(self.profile.hostname or "localhost")
            request = self._ticket.request(bytes(self.pair) + self._binding())
        except (InputError, UnsupportedError) as error:
            self.machine.tell(Authenticated(self.profile.user, "KERBEROS_V5", False, str(error)))
            self.machine.security.failed(str(error), fatal=True)
            return
        self.send(b"\x03" + self.profile.user.encode())
        self._message(c.IS, 0, request)

    def _binding(self) -> bytes:
        """The channel, where there is TLS and it is to be bound."""
        layer = self.machine.tls
        if layer is None or not self.profile.bound:
            return b""
        return tls.binding(layer.peer_certificate if self.machine.client else self.profile.own_certificate)

    def _ticket_reply(self, ticket: kerberos.Client, value: Any) -> None:
        reason = value.data.decode("utf-8", "replace")[:200]
        if value.code == 3:
            try:
                ticket.confirm(value.data)
                self._confirmed = True
            except InputError as error:
                reason, value = str(error), None
        if value is not None and value.code == 2 and self._confirmed:
            self._finish(self.profile.user, ticket.key, "KERBEROS_V5")
        elif value is None or value.code in (1, 2):  # an ACCEPT without the proof before it is none
            self.machine.tell(Authenticated(self.profile.user, "KERBEROS_V5", False, reason))
            self.machine.security.failed(f"the server rejects {self.profile.user}, or is not the one meant", fatal=True)

    def _finish(self, user: str, key: bytes, mechanism: str = "SRP") -> None:
        self.done = True
        self.machine.user, self.machine.session_key = user, key
        self.machine.security.pledged = self.pair is not None and bool(self.pair[1] & USING_TELOPT)
        self.machine.tell(Authenticated(user, mechanism, True))
        self.machine.security.settled("auth")

    # server

    def _is(self, value: Any) -> None:
        pair = value.pairs[0]
        if pair[0] == 0:
            self.machine.security.failed("the client knows none of the mechanisms")
            return
        if pair[0] == SSL_PAIR[0] and value.code == 1 and not self.profile.authenticates and self.machine.security.tls_possible and not self.done:
            self.pair, self.done = pair, True
            self._message(2, 2)
            self.machine.begin_tls(in_auth=True)
            return
        if self.done or pair not in (*PAIRS, *KERBEROS_PAIRS) or (self.pair is not None and pair != self.pair):
            self._wrong(f"IS for a pair that was not offered or not begun: {pair}", "RFC 2941 section 5")
            self.machine.security.failed("AUTHENTICATION was answered wrongly", fatal=True)
            return
        self.pair = pair
        if pair not in self._offered():
            self._reject("a mechanism that was not offered")
            return
        if pair[0] == KERBEROS:
            self._take_ticket(value)
            return
        try:
            if value.code == 0:
                self._begin()
            elif value.code == 8 and self._server is not None and not self._server.challenged:
                self._message(2, 3, srp.octets(self._server.challenge(int.from_bytes(value.data, "big"))))
            elif value.code == 4 and self._server is not None and self._server.challenged:
                self._verify(value.data)
            else:
                raise InputError(f"SRP code {value.code} out of turn", wanted="AUTH, EXP, RESPONSE in this order")
        except InputError as error:
            self._wrong(str(error), "RFC 2944 section 1")
            self._reject("protocol error")

    def _begin(self) -> None:
        if self._server is not None or not self.user:
            raise InputError("AUTH twice, or before NAME", wanted="NAME, then AUTH")
        verifiers = self.profile.verifiers
        found = verifiers(self.user) if verifiers else None
        self._known = found is not None
        v = found or srp.decoy(self.user, ISSUE)
        self._server = srp.Server(v)
        fields = (srp.octets(v.n), srp.octets(v.g), v.salt)
        self._message(2, 9, b"".join(len(field).to_bytes(2, "big") + field for field in fields))

    def _verify(self, m: bytes) -> None:
        server = self._server
        assert server is not None
        answer = server.check(m, self._extra(True))
        if answer is None and self.machine.tls is not None and not self.profile.bound:
            answer = server.check(m, self._extra(False))
            if answer is not None:
                self.machine.tell(Warning("SRP is not bound to the TLS channel: a man in the middle could have passed it on"))
        if answer is None or not self._known:
            self._reject("wrong user or password")
            return
        self._message(2, 2, answer)
        self._finish(self.user, server.key)

    def _take_ticket(self, value: Any) -> None:
        """The principal must be the user of NAME in our realm."""
        assert self.pair is not None
        plain, bound = bytes(self.pair), bytes(self.pair) + self._binding()
        try:
            if value.code != 0 or not self.user:
                raise InputError(f"Kerberos code {value.code} out of turn", wanted="NAME, then AUTH")
            server = kerberos.Server(self.profile.keytab)
            principal, _ = server.accept(value.data, bound, *(() if self.profile.bound else (plain,)))
            if principal != f"{self.user}@{server.realm()}":
                raise InputError(f"{principal} may not log in as {self.user}", wanted=f"{self.user}@{server.realm()}")
            answer = server.answer()
        except (InputError, UnsupportedError) as error:
            self._reject(str(error))
            return
        self._message(2, 3, answer)
        self._message(2, 2, principal.encode())
        self._finish(self.user, server.key, "KERBEROS_V5")

    def _reject(self, reason: str) -> None:
        if self.pair is not None:
            self._message(2, 1, reason.encode())
        mechanism = c.AUTH_TYPES.name(self.pair[0]) if self.pair else "SRP"
        self.machine.tell(Authenticated(self.user, mechanism, False, reason))
        self.machine.security.failed(f"{self.user or 'a client'} was rejected", fatal=True)


def _parameters(data: bytes) -> tuple[int, int, bytes]:
    """N, g and the salt, each behind its length in two octets."""
    fields = []
    for _ in range(3):
        size = int.from_bytes(data[:2], "big")
        if len(data) < 2 + size or not size:
            raise InputError("PARAMS end inside a field", wanted="N, g and salt, each behind two octets of length")
        fields.append(data[2 : 2 + size])
        data = data[2 + size :]
    return int.from_bytes(fields[0], "big"), int.from_bytes(fields[1], "big"), fields[2]


KINDS[Authentication.option] = Authentication
