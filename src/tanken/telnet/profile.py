"""What one end of a session is and wants: its role, the options it agrees to, what it tells, how it must be secured, its limits.

The defaults are those of our own client and server; RFC 1123 section 3.2 and 3.3 for what a host must support.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tanken.telnet import codes as c
from tanken.telnet.srp import Verifier

CLIENT_US = frozenset((c.BINARY, c.SGA, c.STATUS, c.TTYPE, c.EOR, c.NAWS, c.TSPEED, c.LFLOW, c.LINEMODE, c.XDISPLOC, c.NEW_ENVIRON, c.CHARSET,
                       c.AUTHENTICATION, c.ENCRYPT, c.START_TLS, c.COM_PORT))  # fmt: skip
CLIENT_HIM = frozenset((c.BINARY, c.ECHO, c.SGA, c.STATUS, c.EOR, c.CHARSET, c.ENCRYPT, c.MCCP2, c.MCCP3, c.COM_PORT, c.LOGOUT))
SERVER_US = frozenset((c.BINARY, c.ECHO, c.SGA, c.STATUS, c.EOR, c.CHARSET, c.ENCRYPT, c.MCCP2, c.MCCP3, c.LOGOUT))
SERVER_HIM = frozenset((c.BINARY, c.SGA, c.STATUS, c.TTYPE, c.EOR, c.NAWS, c.TSPEED, c.LFLOW, c.LINEMODE, c.XDISPLOC, c.NEW_ENVIRON, c.CHARSET,
                        c.AUTHENTICATION, c.ENCRYPT, c.START_TLS))  # fmt: skip
SAFE_NAMES = frozenset(("TERM", "COLORTERM", "LANG", "LC_ALL", "LINES", "COLUMNS", "DISPLAY"))
CIPHERS = (3, 10, 1, 4, 11, 2)  # ENCRYPT types that we offer, best first; the 40-bit ones only when asked for


@dataclass(frozen=True)
class Limits:
    """What the other side can make us keep or do, at most."""

    suboption: int = 65536  # octets of one sub-negotiation
    changes: int = 64  # times that the other side may change one side of one option; then it stays off
    key_id: int = 64  # octets of an ENCRYPT key id (RFC 2946; CVE-2011-4862)
    held: int = 1 << 20  # octets of ours kept back until the session is secure
    inflated: int = 1 << 22  # octets that one `receive` decompresses
    requests: int = 64  # TTYPE, CHARSET and like requests that are answered


@dataclass
class Profile:
    """One end. `us` are options that we perform when asked, `him` those that the other side may perform; `ask_us`, `ask_him` are asked for at the start."""

    role: str  # "client" or "server"
    us: frozenset[int]
    him: frozenset[int]
    ask_us: tuple[int, ...] = ()
    ask_him: tuple[int, ...] = ()
    secure: str = "auto"  # "required", "auto" or "off"
    means: frozenset[str] = frozenset(("tls", "encrypt"))  # "tls" is START_TLS, "implicit" TLS from the first octet, "encrypt" the ENCRYPT option
    tls: ssl.SSLContext | None = None
    hostname: str | None = None
    own_certificate: bytes = b""  # DER, for the server's channel binding (RFC 5929 section 4)
    user: str = ""
    password: str = ""
    verifiers: Callable[[str], Verifier | None] | None = None
    kerberos: bool = False  # a client logs in with its Kerberos ticket
    keytab: str = ""  # the key table of a server that takes Kerberos tickets
    bound: bool = True  # SRP and Kerberos inside TLS must be bound to the channel
    ciphers: tuple[int, ...] = CIPHERS
    ofb_as_bsd: bool = False  # OFB begins with zeros and DES_OFB64 splits like DES_CFB64, as all old peers do and no RFC says
    terminals: tuple[str, ...] = ("XTERM-256COLOR",)
    window: tuple[int, int] = (80, 24)
    speed: tuple[int, int] = (38400, 38400)
    display: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)  # the allow list: nothing else is told
    accept_environ: frozenset[str] = SAFE_NAMES
    charsets: tuple[str, ...] = ("UTF-8", "US-ASCII")
    ask_environ: tuple[str, ...] = ("LANG", "COLORTERM", "DISPLAY")
    linemode: int = 0  # the mode a server asks for
    limits: Limits = field(default_factory=Limits)

    @property
    def authenticates(self) -> bool:
        """Whether a server lets nobody in without authentication."""
        return self.verifiers is not None or bool(self.keytab)


def client(**changes: object) -> Profile:
    """The profile of a client; keyword arguments replace fields."""
    profile = Profile("client", CLIENT_US, CLIENT_HIM, (c.BINARY, c.NAWS, c.TTYPE), (c.BINARY, c.SGA))
    return _changed(profile, changes)


def server(**changes: object) -> Profile:
    """The profile of a server; keyword arguments replace fields."""
    asks = (c.BINARY, c.SGA, c.TTYPE, c.NAWS, c.NEW_ENVIRON)
    return _changed(Profile("server", SERVER_US, SERVER_HIM, (c.ECHO, c.SGA, c.BINARY), asks), changes)


def _changed(profile: Profile, changes: Mapping[str, object]) -> Profile:
    for name, value in changes.items():
        if name not in profile.__dataclass_fields__:
            raise TypeError(f"no field {name} in a profile; there are {', '.join(profile.__dataclass_fields__)}")
        setattr(profile, name, value)
    return profile
