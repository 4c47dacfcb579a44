"""A tester for TELNET servers: which options they know, which rules they keep, what they offer to protect a session, what they are exposed to.

RFC 854, 855, 856, 859, 860, 1091, 1123 section 3, 1143. Nothing is exploited: what a vulnerability needs is looked for (an option that is offered,
a variable that is asked for), and no message is sent that a correct server could not get from a correct client, apart from single octets out of
place. One host at a time, never a range.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tanken.base.errors import UsageError
from tanken.base.progress import Event as Step
from tanken.base.progress import Progress, silent
from tanken.base.records import Record
from tanken.telnet import blocking, suboptions, tls
from tanken.telnet import codes as c
from tanken.telnet.codes import DO, DONT, IAC, WILL, WONT
from tanken.telnet.conversation import SessionError
from tanken.telnet.events import Command, Data, Event, Negotiation, Suboption, Violation
from tanken.telnet.events import Tls as TlsEvent
from tanken.telnet.probe import LIMIT, Probe, marked

UNASSIGNED = 77
APART = (c.LOGOUT, c.START_TLS, 85, c.MCCP2, c.MCCP3, c.TIMING_MARK, 255)  # asked for on connections of their own, or not at all
ANSWER = {DO: (WILL, WONT), WILL: (DO, DONT)}
NUMBERS = tuple(sorted({*range(50), *c.OPTIONS.by_number, UNASSIGNED} - set(APART)))


@dataclass(frozen=True, slots=True, repr=False)
class Support(Record):
    """One option: whether the server performs it when asked, lets us perform it, asks for it by itself. "yes", "no", "silent" or "-"."""

    option: str
    number: int
    performs: str
    lets: str
    opens: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Finding(Record):
    """One rule, or one question: kept, broken, untested, or what was found."""

    group: str
    name: str
    verdict: str
    detail: str
    cite: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Report(Record):
    """Everything about one server."""

    address: str
    options: tuple[Support, ...]
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> int:
        """Rules that were broken."""
        return sum(finding.verdict == "broken" for finding in self.findings)


def address_of(text: str) -> tuple[str, int]:
    """Host and port of `telnet://host[:port]`. Raises UsageError for what is no single host."""
    rest = text.removeprefix("telnet://").rstrip("/")
    host, colon, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = rest, "23"
    host = host.strip("[]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or any(character in host for character in "/*,@ "):
        raise UsageError(f"address {text!r}", wanted="telnet://HOST or telnet://HOST:PORT, one host by name or address")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host, int(port)
    if address.is_multicast or address.is_unspecified:
        raise UsageError(f"address {text!r}", wanted="one host, not a group")
    return host, int(port)


class Examination:
    """Runs all tests against one server."""

    def __init__(self, address: tuple[str, int], tell: Progress = silent) -> None:
        self.address = address
        self.tell = tell
        self.opening: list[Event] = []
        self.findings: list[Finding] = []
        self.violations: dict[str, Violation] = {}
        self.performs: dict[int, str] = {}
        self.lets: dict[int, str] = {}
        self.marks = False  # the server answers timing marks

    def run(self) -> Report:
        """Everything; takes some ten seconds, mostly of waiting. Raises InputError when there is no server."""
        tests = (
            self._opening, self._options, self._agreement, self._commands, self._robustness, self._informing, self._protection, self._exposure, self._data,
        )  # fmt: skip
        for number, test in enumerate(tests):
            self.tell(Step("check", number, len(tests), test.__name__.strip("_")))
            self.findings.extend(test())
        self.tell(Step("check", len(tests), len(tests), "done"))
        return Report(f"telnet://{self.address[0]}:{self.address[1]}", tuple(self._table()), tuple(self.findings))

    def _probe(self, *accept: int) -> Probe:
        return Probe(self.address, frozenset(accept))

    def _keep(self, probe: Probe) -> None:
        """Remembers what the server did wrong on this connection."""
        for token in probe.tokens:
            if isinstance(token, Violation):
                self.violations.setdefault(token.rule, token)

    @staticmethod
    def _verdict(kept: bool) -> str:
        return "kept" if kept else "broken"

    # the tests, each a generator of findings

    def _opening(self) -> Iterator[Finding]:
        with self._probe(c.TTYPE, c.NAWS, c.NEW_ENVIRON, c.AUTHENTICATION) as probe:
            self.opening = probe.hear(quiet=1.0)
            self.opening += probe.hear(quiet=0.3)
            self.marks = marked(probe.fence(True))
            self._keep(probe)
        said = [token for token in self.opening if isinstance(token, Negotiation)]
        yield Finding("session", "opening", "found", " ".join(token.text for token in said)[:300] or "no negotiation; it may not be TELNET")
        if not said and not any(isinstance(token, Data) for token in self.opening):
            yield Finding("session", "greeting", "found", "nothing at all")

    def _options(self) -> Iterator[Finding]:
        silent_to: list[str] = []
        wrong: list[str] = []
        twice: list[str] = []
        for verb, kept in ((DO, self.performs), (WILL, self.lets)):
            with self._probe() as probe:
                probe.hear()
                for start in range(0, len(NUMBERS), 16):
                    group = NUMBERS[start : start + 16]
                    before = [token for token in probe.tokens if isinstance(token, Negotiation)]
                    probe.verb(*((verb, option) for option in group))
                    heard = [token for token in probe.fence(self.marks, quiet=0.2) if isinstance(token, Negotiation)]
                    for option in group:
                        answers = [token.verb for token in heard if token.option == option and token.verb in ANSWER[verb]]
                        asked = any(token.option == option and token.verb == ANSWER[verb][0] for token in before)
                        kept[option] = "yes" if answers[:1] == [ANSWER[verb][0]] or (asked and not answers) else "no" if answers else "silent"
                        if not answers and not asked:
                            silent_to.append(f"{c.COMMANDS.name(verb)} {c.option_name(option)}")
                            refused = (DONT if verb == DO else WONT, option)
                            if any((token.verb, token.option) == refused for token in heard):
                                wrong.append(f"{c.COMMANDS.name(verb)} {c.option_name(option)} by {c.COMMANDS.name(refused[0])}")
                        if len(answers) > 1:
                            twice.append(c.option_name(option))
                self._keep(probe)
        cite = "RFC 854, General considerations; RFC 1123 section 3.2.1"
        yield Finding("rules", "every request is answered", self._verdict(not silent_to), _list(silent_to) or f"{2 * len(NUMBERS)} requests", cite)
        yield Finding("rules", "requests are answered with the right verb", self._verdict(not wrong), _list(wrong), "RFC 854, General considerations")
        yield Finding("rules", "a request is answered once", self._verdict(not twice), _list(twice), "RFC 1143 section 4")
        unknown = self.performs.get(UNASSIGNED) == "no" and self.lets.get(UNASSIGNED) == "no"
        yield Finding("rules", "unknown options are refused", self._verdict(unknown), f"option {UNASSIGNED}", "RFC 854; RFC 1123 section 3.2.1")

    def _agreement(self) -> Iterator[Finding]:
        on = next((option for option in (c.SGA, c.ECHO, c.BINARY, c.STATUS) if self.performs.get(option) == "yes"), None)
        if on is None:
            for name in ("an agreed option is not acknowledged again", "a request to switch off is obeyed", "an option can be asked for again"):
                yield Finding("rules", name, "untested", "the server performs none of SGA, ECHO, BINARY, STATUS")
            return
        name = c.option_name(on)
        with self._probe(on) as probe:
            probe.hear()
            probe.ask(DO, on, self.marks)
            again = probe.ask(DO, on, self.marks)
            yield Finding("rules", "an agreed option is not acknowledged again", self._verdict(not again), f"DO {name} twice", "RFC 854, General considerations")
            off = probe.ask(DONT, on, self.marks)
            yield Finding("rules", "a request to switch off is obeyed", self._verdict(off[:1] == [WONT]), f"DONT {name}", "RFC 854, General considerations")
            probe.asked.discard((DO, on))
            back = probe.ask(DO, on, self.marks)
            itself = off[1:] == [WILL]  # the server asked for it again at once, and our DO was its answer
            detail = f"DO {name}" + (", after the server's own WILL" if itself else "")
            yield Finding("rules", "an option can be asked for again", self._verdict(itself or len(back) == 1), detail, "RFC 854, General considerations")
            self._keep(probe)

    def _commands(self) -> Iterator[Finding]:
        with self._probe() as probe:
            probe.hear()
            probe.send(b"\xff\xf6")
            heard = probe.hear(quiet=0.8)
            shown = b"".join(token.data for token in heard if isinstance(token, Data))
            yield Finding("rules", "AYT is answered", self._verdict(bool(shown) and not probe.closed), _octets(shown) if shown else "no visible sign", "RFC 854, Are You There")
            probe.verb((DO, c.TIMING_MARK))
            marks = [t.verb for t in probe.hear() if isinstance(t, Negotiation) and t.option == c.TIMING_MARK]
            yield Finding("rules", "a timing mark is answered", self._verdict(len(marks) == 1 and marks[0] in (WILL, WONT)), " ".join(c.COMMANDS.name(v) for v in marks), "RFC 860")
            for octets, name, cite in (
                (b"\xff\xf1", "NOP does no harm", "RFC 854"),
                (b"\xff\xf9", "GA does no harm", "RFC 1123 section 3.2.2"),
            ):
                probe.send(octets)
                yield Finding("rules", name, self._verdict(probe.alive()), "", cite)
            self._synch(probe)
            yield Finding("rules", "a Synch does no harm", self._verdict(probe.alive()), "", "RFC 854, The TELNET Synch signal")
            self._keep(probe)
            probe.send(b"\xff\xff")  # behind _keep: an echo of it has 8 bits by our doing
            yield Finding("rules", "a doubled 255 does no harm", self._verdict(probe.alive()), "", "RFC 854")

    @staticmethod
    def _synch(probe: Probe) -> None:
        probe.send(b"\xff")
        try:
            probe.sock.send(b"\xf2", socket.MSG_OOB)
        except OSError:
            probe.closed = True

    def _robustness(self) -> Iterator[Finding]:
        with self._probe() as probe:
            probe.hear()
            for octet in (IAC, DO, UNASSIGNED):
                probe.send(bytes((octet,)))
                time.sleep(0.03)
            answers = [token.verb for token in probe.fence(self.marks) if isinstance(token, Negotiation) and token.option == UNASSIGNED]
            yield Finding("rules", "a command in three segments is understood", self._verdict(answers == [WONT]), f"DO {UNASSIGNED}, octet by octet", "RFC 854 over TCP")
            probe.send(c.framed(UNASSIGNED, b"\1x"))
            yield Finding("rules", "a sub-negotiation that was not agreed on does no harm", self._verdict(probe.alive()), f"SB {UNASSIGNED}", "RFC 855")
            probe.send(b"\xff\x07")
            yield Finding("rules", "an unknown command does no harm", self._verdict(probe.alive()), "255 7", "RFC 854; RFC 1123 section 3.2")
            probe.verb(*((verb, c.ECHO) for verb in (DO, DONT) * 8))
            answers, later = (
                [token.verb for token in heard if isinstance(token, Negotiation) and token.option == c.ECHO] for heard in (probe.fence(self.marks), probe.hear())
            )
            kept = len(answers) <= 2 * 16 and not (self.marks and later) and not probe.closed
            detail = f"16 requests for ECHO, {len(answers)} answers" + (f", {len(later)} more after them" if later else "")
            yield Finding("rules", "no loop", self._verdict(kept), detail, "RFC 1143")
            self._keep(probe)

    def _informing(self) -> Iterator[Finding]:
        asked = {token.option for token in self.opening if isinstance(token, Negotiation) and token.verb == DO}
        sends = [token for token in self.opening if isinstance(token, Suboption)]
        if c.TTYPE in asked:
            wanted = any(token.option == c.TTYPE and token.payload == b"\1" for token in sends)
            yield Finding("rules", "TTYPE: the type is asked for after WILL", self._verdict(wanted), "", "RFC 1091")
        if self.performs.get(c.STATUS) == "yes":
            with self._probe(c.STATUS, c.SGA) as probe:
                probe.hear()
                probe.ask(DO, c.STATUS)
                probe.ask(DO, c.SGA)
                probe.send(c.framed(c.STATUS, b"\1"))
                told = [suboptions.decode(token.option, token.payload) for token in probe.hear() if isinstance(token, Suboption) and token.option == c.STATUS]
                states = told[0].states if told and isinstance(told[0], suboptions.Status) else ()
                sga = self.performs.get(c.SGA) != "yes" or "WILL SGA" in states
                yield Finding("rules", "STATUS tells the truth", self._verdict(bool(states) and sga), ", ".join(states)[:200] or "no answer", "RFC 859")
                self._keep(probe)

    def _protection(self) -> Iterator[Finding]:
        yield self._start_tls()
        types: list[str] = []
        with self._probe(c.AUTHENTICATION, c.ENCRYPT) as probe:
            heard = probe.hear(quiet=0.6)
            if not any(isinstance(t, Negotiation) and (t.verb, t.option) == (DO, c.AUTHENTICATION) for t in heard):
                probe.verb((WILL, c.AUTHENTICATION))
            heard += probe.hear(quiet=0.6)
            for token in heard:
                value = suboptions.decode(token.option, token.payload) if isinstance(token, Suboption) else None
                if isinstance(value, suboptions.Auth) and value.kind == "SEND":
                    types += [f"{c.AUTH_TYPES.name(kind)}/{modifier:#04x}" for kind, modifier in value.pairs]
            if types:
                probe.send(c.framed(c.AUTHENTICATION, bytes(4)))  # NULL: we know none of them
                heard += probe.hear(quiet=0.6)
            ciphers = [suboptions.decode(t.option, t.payload) for t in heard if isinstance(t, Suboption) and t.option == c.ENCRYPT]
            names = [c.ENCRYPT_TYPES.name(kind) for value in ciphers if isinstance(value, suboptions.Encrypt) and value.kind == "SUPPORT" for kind in value.types]
            offers = any(isinstance(t, Negotiation) and t.option == c.ENCRYPT and t.verb in (WILL, DO) for t in heard)
            data = b"".join(token.data for token in heard if isinstance(token, Data))
            clear = not probe.closed
            self._keep(probe)
        yield Finding("protection", "AUTHENTICATION", "offered" if types else "absent", " ".join(types), "RFC 2941")
        detail = " ".join(names) or ("offered, no cipher named before authentication" if offers else "")
        yield Finding("protection", "ENCRYPT", "offered" if offers else "absent", detail, "RFC 2946")
        verdict = "accepted" if clear and data else "unknown" if clear else "refused"
        yield Finding("protection", "clear text", verdict, _octets(data[-60:]) if data else "", "RFC 2946 section 6")

    def _start_tls(self) -> Finding:
        context = tls.client_context(verify=False)
        try:
            with blocking.connect(*self.address, timeout=LIMIT, secure="required", means=frozenset(("tls",)), tls=context) as session:
                event = next((event for event in session.talk.events if isinstance(event, TlsEvent)), None)
                if event is not None:
                    how = "AUTHENTICATION SSL" if session.machine.on(c.AUTHENTICATION, "us") else "START_TLS"
                    return Finding("protection", "TLS", "offered", f"by {how}: {event.text}, certificate {event.certificate[:16]}...", "draft-altman-telnet-starttls-02")
        except (SessionError, OSError, ssl.SSLError):
            pass
        return Finding("protection", "TLS", "absent", "neither START_TLS nor AUTHENTICATION SSL", "draft-altman-telnet-starttls-02")

    def _exposure(self) -> Iterator[Finding]:
        """What a known vulnerability needs; whether the server is patched is not tried out."""
        encrypt = any(isinstance(t, Negotiation) and t.option == c.ENCRYPT and t.verb in (WILL, DO) for t in self.opening) or "yes" in (
            self.performs.get(c.ENCRYPT),
            self.lets.get(c.ENCRYPT),
        )
        yield self._surface("CVE-2011-4862", encrypt, "ENCRYPT before authentication: key ids longer than 64 octets must be cut off")
        linemode = self.lets.get(c.LINEMODE) == "yes"
        yield self._surface("CVE-2026-32746", linemode, "LINEMODE: a long list of SLC triplets must not overrun the answer")
        asked = {token.option for token in self.opening if isinstance(token, Negotiation) and token.verb == DO}
        names = [suboptions.decode(t.option, t.payload) for t in self.opening if isinstance(t, Suboption) and t.option == c.NEW_ENVIRON]
        lists = [value for value in names if isinstance(value, suboptions.Variables) and value.kind == "SEND"]
        everything = any(not value.variables or any(name in ("", "USER") for _, name, _ in value.variables) for value in lists)
        yield self._surface("CVE-2026-24061", everything, "NEW-ENVIRON: USER is asked for, and must not reach the login program as an argument")
        yield self._surface("CVE-2026-28372", any(not value.variables for value in lists), "NEW-ENVIRON: any variable is asked for, and may reach the login program")
        old = {c.TTYPE, c.TSPEED, c.XDISPLOC} <= asked
        yield self._surface("CVE-2020-10188", old, "opens like a telnetd of BSD descent: urgent data while it writes must not overrun its buffer")
        if linemode:
            yield self._slc()

    @staticmethod
    def _surface(name: str, there: bool, what: str) -> Finding:
        return Finding("exposure", name, "surface" if there else "absent", what if there else "", "")

    def _slc(self) -> Finding:
        """Ten functions that do not exist, as any client of a later version might send them: a bounded answer, and a server that lives on."""
        with self._probe(c.LINEMODE) as probe:
            probe.hear()
            if WILL not in {verb for verb, option in probe.asked if option == c.LINEMODE}:
                probe.verb((WILL, c.LINEMODE))
            probe.hear()
            probe.send(c.framed(c.LINEMODE, b"\3" + b"".join(bytes((number, 2, 3)) for number in range(31, 41))))
            answers = [len(token.payload) // 3 for token in probe.hear() if isinstance(token, Suboption) and token.option == c.LINEMODE]
            alive = probe.alive()
            self._keep(probe)
        verdict = self._verdict(alive and sum(answers) <= 45)
        return Finding("rules", "SLC of unknown functions is answered in bounds", verdict, f"{sum(answers)} triplets", "RFC 1184 section 5.5")

    def _data(self) -> Iterator[Finding]:
        """What the server's own octets did wrong on all the connections."""
        for rule, name, cite in (
            ("bare-cr", "CR is followed by LF or NUL", "RFC 854, The NVT printer and keyboard"),
            ("8-bit", "data has 7 bits without BINARY", "RFC 856"),
            ("command", "255 is doubled, commands are known", "RFC 854"),
            ("sb", "sub-negotiations end with IAC SE", "RFC 855"),
        ):
            violation = self.violations.get(rule)
            yield Finding("rules", name, self._verdict(violation is None), violation.detail if violation else "", cite)
        commands = sorted({token.name for token in self.opening if isinstance(token, Command)})
        if commands:
            yield Finding("session", "commands sent by itself", "found", " ".join(commands))

    def _table(self) -> Iterator[Support]:
        opens: dict[int, list[str]] = {}
        for token in self.opening:
            if isinstance(token, Negotiation):
                opens.setdefault(token.option, []).append(c.COMMANDS.name(token.verb))
        for option in sorted({*NUMBERS, *opens}):
            row = Support(c.option_name(option), option, self.performs.get(option, "-"), self.lets.get(option, "-"), " ".join(opens.get(option, ())))
            if "yes" in (row.performs, row.lets) or row.opens:
                yield row


def _list(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _octets(data: bytes) -> str:
    return repr(data[:80])[2:-1]
