"""What each option does when it comes into effect and when it is talked about; the machine owns one handler an option.

Terminal type (RFC 1091, MTTS), window size (1073), speed (1079), display (1096), environment (1572), character set (2066), status (859),
flow control (1372), logout (727), serial port (2217), compression (MCCP), START_TLS. The larger ones have files of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tanken.telnet import codes as c
from tanken.telnet import suboptions as s
from tanken.telnet.codes import IS, SEND
from tanken.telnet.events import Warning

if TYPE_CHECKING:
    from tanken.telnet.machine import Machine

# MTTS bits (mudstandards.org): 1 ANSI 2 VT100 4 UTF-8 8 256 colours 256 true colour
MTTS = "MTTS 271"


class Handler:
    """One option of one machine."""

    option = -1

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.profile = machine.profile
        self.answered = 0

    def agrees(self, side: str) -> bool:
        """Whether the option may come into effect now."""
        return True

    def changed(self, side: str, on: bool) -> None:
        """It came into, or went out of, effect."""

    def refused(self, side: str) -> None:
        """The other side refused our request."""

    def received(self, value: Any) -> None:
        """A well-formed sub-negotiation came."""

    def switch(self, on: bool) -> None:
        """ENCRYPT alone: starts or ends encryption on request."""

    def cipher_name(self, direction: str) -> str:
        """ENCRYPT alone: the cipher of a direction."""
        return ""

    @property
    def directions(self) -> tuple[bool, bool]:
        """ENCRYPT alone: whether input and output are encrypted."""
        return False, False

    def send(self, payload: bytes) -> None:
        """Sends a sub-negotiation of this option."""
        self.machine.suboption(self.option, payload)

    def within(self) -> bool:
        """Whether one more request may be answered: a side that asks without end gets no answer without end."""
        self.answered += 1
        return self.answered <= self.machine.limits.requests


class WindowSize(Handler):
    option = c.NAWS

    def changed(self, side: str, on: bool) -> None:
        if side == "us" and on:
            width, height = (min(max(n, 0), 65535) for n in self.machine.window)
            self.send(width.to_bytes(2, "big") + height.to_bytes(2, "big"))


class TerminalType(Handler):
    """Tells the list of types one after the other, MTTS third; the last is told twice, then the list begins again (RFC 1091)."""

    option = c.TTYPE
    told = 0

    def _list(self) -> list[str]:
        types = [name for name in self.profile.terminals if name]
        return [*types[:1], *(types[1:2] or types[:1]), MTTS, *types[2:]]

    def changed(self, side: str, on: bool) -> None:
        self.told = 0
        if side == "him" and on:
            self.send(bytes((SEND,)))

    def received(self, value: Any) -> None:
        if isinstance(value, s.Asked) and self.machine.on(self.option, "us") and self.within():
            types = self._list()
            if not types or types == [MTTS]:
                types = ["UNKNOWN"]
            self.send(bytes((IS,)) + types[min(self.told, len(types) - 1)].encode("ascii", "replace"))
            self.told = 0 if self.told >= len(types) else self.told + 1


class Text(Handler):
    """An option that tells one text when asked."""

    def text(self) -> str:
        return ""

    def changed(self, side: str, on: bool) -> None:
        if side == "him" and on:
            self.send(bytes((SEND,)))

    def received(self, value: Any) -> None:
        if isinstance(value, s.Asked) and self.machine.on(self.option, "us") and self.within():
            self.send(bytes((IS,)) + self.text().encode("ascii", "replace"))


class Speed(Text):
    option = c.TSPEED

    def text(self) -> str:
        return f"{self.profile.speed[0]},{self.profile.speed[1]}"


class Display(Text):
    option = c.XDISPLOC

    def agrees(self, side: str) -> bool:
        return side == "him" or bool(self.profile.display)

    def text(self) -> str:
        return self.profile.display


class Environment(Handler):
    """Tells only what the profile's allow list holds (CVE-2026-32772); a server keeps only names on its own list (CVE-2026-24061)."""

    option = c.NEW_ENVIRON

    def changed(self, side: str, on: bool) -> None:
        if side == "him" and on:
            for names in s.chunks(self.profile.ask_environ):
                self.send(s.environ(SEND, [("VAR" if name in ("DISPLAY", "USER") else "USERVAR", name, None) for name in names]))

    def received(self, value: Any) -> None:
        if value.kind != "SEND":
            kept = [name for _, name, _ in value.variables if name not in self.profile.accept_environ]
            if kept and self.machine.on(self.option, "him"):
                self.machine.tell(Warning(f"variables not on the list of those accepted: {' '.join(kept)[:200]}"))
            return
        if self.machine.on(self.option, "us") and self.within():
            allowed = self.profile.environ
            asked = [(kind, name) for kind, name, _ in value.variables if name]
            families = {kind for kind, name, _ in value.variables if not name}
            if not value.variables or families:
                wanted = families or {"VAR", "USERVAR"}
                asked += [(family, name) for name in allowed if (family := _family(name)) in wanted]
            self.send(s.environ(IS, [(kind, name, allowed.get(name)) for kind, name in asked]))


def _family(name: str) -> str:
    return "VAR" if name in ("USER", "JOB", "ACCT", "PRINTER", "SYSTEMTYPE", "DISPLAY") else "USERVAR"


class CharacterSet(Handler):
    """The side that performs the option asks; the first of the names that we also know is accepted (RFC 2066)."""

    option = c.CHARSET
    asking = False
    agreed = ""

    def changed(self, side: str, on: bool) -> None:
        if side == "us" and on and self.machine.client is False:
            self.asking = True
            self.send(b"\x01;" + ";".join(self.profile.charsets).encode("ascii", "replace"))

    def received(self, value: Any) -> None:
        if value.kind == "REQUEST":
            if not self.within():
                return
            known = {name.upper(): name for name in self.profile.charsets}
            chosen = next((name for name in value.names if name.upper() in known), None)
            if chosen is None or (self.asking and not self.machine.client):
                self.send(b"\x03")
            else:
                self.agreed = chosen
                self.send(b"\x02" + chosen.encode("ascii", "replace"))
        elif value.kind == "ACCEPTED":
            self.asking, self.agreed = False, value.names[0] if value.names[0].upper() in {n.upper() for n in self.profile.charsets} else self.agreed
        elif value.kind == "TTABLE-IS" and self.within():
            self.send(b"\x05")
        elif value.kind == "REJECTED":
            self.asking = False


class Status(Handler):
    """Answers SEND with the state of all options (RFC 859)."""

    option = c.STATUS

    def received(self, value: Any) -> None:
        if isinstance(value, s.Asked) and self.machine.on(self.option, "us") and self.within():
            out = bytearray((IS,))
            for verb, sides in ((c.WILL, self.machine.us), (c.DO, self.machine.him)):
                for option, side in sorted(sides.items()):
                    if side.on:
                        out += bytes((verb, option))
            self.send(bytes(out))


class Logout(Handler):
    """DO LOGOUT asks us to end the session (RFC 727)."""

    option = c.LOGOUT

    def changed(self, side: str, on: bool) -> None:
        if side == "us" and on:
            self.machine.close("the other side asked for a logout")


class Flow(Handler):
    """A terminal's flow control is on when the option comes into effect (RFC 1372)."""

    option = c.LFLOW
    on, any_key = True, False

    def received(self, value: Any) -> None:
        if self.machine.on(self.option, "us"):
            if value.mode in ("OFF", "ON"):
                self.on = value.mode == "ON"
            else:
                self.any_key = value.mode == "RESTART-ANY"


class SerialPort(Handler):
    """As a client: what the access server says of its port; as a server: accepts settings only where a port is given (RFC 2217)."""

    option = c.COM_PORT

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.settings: dict[str, int | str] = {}
        self.suspended = False

    def received(self, value: Any) -> None:
        if value.name.startswith("FLOWCONTROL"):
            self.suspended = value.name.endswith("SUSPEND")
        elif value.value is not None and value.from_server and len(self.settings) < 32:
            self.settings[value.name] = value.value
        elif not value.from_server and not self.machine.client and self.within():
            self.answer(value)

    def answer(self, value: Any) -> None:
        """A server's answer: the value that is in force, code + 100."""
        code = s.COMPORT.number(value.name)
        if code == 0:
            self.send(bytes((100,)) + b"tanken")
            return
        if value.value:
            self.settings[value.name] = value.value
        now = self.settings.get(value.name, {1: 9600, 2: 8, 3: 1, 4: 1}.get(code, 0))
        assert isinstance(now, int)
        self.send(bytes((code + 100,)) + now.to_bytes(4 if code == 1 else 1, "big"))


class Compress2(Handler):
    """Compression of the server's output; refused beside encryption, whose length would tell what is inside."""

    option = c.MCCP2

    def agrees(self, side: str) -> bool:
        performer = "us" if not self.machine.client else "him"
        return side == performer and not any(self.machine.encrypted)

    def changed(self, side: str, on: bool) -> None:
        if side == "us" and on:
            self.send(b"")
            self.machine.outgoing.start_deflate()
        elif side == "us":
            self.machine.outgoing.stop_deflate()

    def received(self, value: Any) -> None:
        if self.machine.client and self.machine.on(self.option, "him"):
            self.machine.incoming.inflate_from_here()


class Compress3(Handler):
    """Compression of the client's output: the server offers it, the client begins."""

    option = c.MCCP3

    def agrees(self, side: str) -> bool:
        performer = "us" if not self.machine.client else "him"
        return side == performer and not any(self.machine.encrypted)

    def changed(self, side: str, on: bool) -> None:
        if self.machine.client and side == "him":
            if on:
                self.send(b"")
                self.machine.outgoing.start_deflate()
            else:
                self.machine.outgoing.stop_deflate()

    def received(self, value: Any) -> None:
        if not self.machine.client and self.machine.on(self.option, "us"):
            self.machine.incoming.inflate_from_here()


class StartTls(Handler):
    """DO and WILL, then FOLLOWS both ways, then TLS (draft-altman-telnet-starttls-02); refused once TLS stands."""

    option = c.START_TLS
    sent = got = False

    def agrees(self, side: str) -> bool:
        machine, profile = self.machine, self.profile
        able = profile.tls is not None and profile.secure != "off" and "tls" in profile.means
        return able and machine.tls is None and side == ("us" if machine.client else "him")

    def changed(self, side: str, on: bool) -> None:
        if on:
            self._follows()
        elif not self.got:
            self.machine.security.failed("START_TLS was withdrawn")

    def _follows(self) -> None:
        if not self.sent:
            self.sent = True
            self.send(b"\x01")
            self.machine.outgoing.silent = True

    def refused(self, side: str) -> None:
        self.machine.security.failed("the other side refuses START_TLS")

    def received(self, value: Any) -> None:
        if self.sent and not self.got:
            self.got = True
            self.machine.begin_tls()


KINDS: dict[int, type[Handler]] = {
    kind.option: kind
    for kind in (WindowSize, TerminalType, Speed, Display, Environment, CharacterSet, Status, Logout, Flow, SerialPort, Compress2, Compress3, StartTls)
}  # the larger ones add themselves
