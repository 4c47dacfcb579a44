"""Random and structured streams for the protocol machine, and ways to cut them.

The structured ones are made of commands, negotiations, sub-negotiations and data as peers send them, some broken.
"""

from __future__ import annotations

import random
import ssl
import tempfile
import zlib
from functools import cache

from tanken.telnet import codes as c
from tanken.telnet import profile, srp, tls
from tanken.telnet.events import Event, merged
from tanken.telnet.machine import Machine

PASSWORD = srp.make_verifier("amy", "secret", b"0123456789abcdef")


def stream(rng: random.Random, pieces: int = 40) -> bytes:
    """One stream of `pieces` parts, some with START_TLS first."""
    verb = rng.choice((0, 0, c.DO, c.WILL, c.DONT, c.WONT))
    begin = bytes((c.IAC, verb, c.START_TLS)) + c.framed(c.START_TLS, b"\1") if verb else b""
    return begin + b"".join(_piece(rng) for _ in range(pieces))


def _piece(rng: random.Random) -> bytes:
    kind = rng.randrange(9)
    option = rng.choice([*c.OPTIONS.by_number, rng.randrange(256)])
    if kind == 0:
        return rng.randbytes(rng.randrange(30))
    if kind == 1:
        return rng.choice((b"text\r\n", b"\r\0", b"\r", b"\xff\xff" * rng.randrange(9), b"a\rb", b"\n", b"\0"))
    if kind == 2:
        return bytes((c.IAC, rng.choice([*c.COMMANDS.by_number])))
    if kind in (3, 4):
        return bytes((c.IAC, rng.choice((c.WILL, c.WONT, c.DO, c.DONT)), option))
    if kind == 5:
        return c.framed(option, rng.randbytes(rng.randrange(40)))
    if kind == 6:
        return bytes((c.IAC, c.SB)) + rng.randbytes(rng.randrange(12))
    if kind == 7:
        return c.framed(c.MCCP2, b"") + zlib.compress(b"inside " * rng.randrange(9))
    return c.framed(option, bytes((rng.randrange(6),)) + rng.randbytes(rng.randrange(8)))


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    with tempfile.TemporaryDirectory() as folder:
        tls.self_signed(f"{folder}/pem", "localhost")
        return tls.client_context(verify=False), tls.server_context(f"{folder}/pem")


def machine(kind: str) -> Machine:
    """A machine with everything switched on; "client TLS" and "server TLS" require encryption."""
    fields: dict[str, object] = {}
    if kind.endswith("TLS"):
        fields = {"tls": _contexts()[kind != "client TLS"], "secure": "required"}
    if kind.startswith("client"):
        return Machine(profile.client(user="amy", password="secret", display=":0", environ={"LANG": "C"}, **fields))
    return Machine(profile.server(verifiers={"amy": PASSWORD}.get, **fields))


def run(kind: str, cuts: list[bytes]) -> tuple[list[Event], bytes]:
    """The events (data joined) and the answers of a fresh machine to the octets in these segments; of TLS, which begins with random octets, none."""
    one = machine(kind)
    events, out = one.start(), one.take()
    for piece in cuts:
        events += one.receive(piece)
        while one.more:
            events += one.receive(b"")
        out += one.take()
    return merged(events), out.split(b"\x16\x03")[0] if kind.endswith("TLS") else out


def cut(data: bytes, rng: random.Random) -> list[bytes]:
    """The data in segments of random length."""
    pieces = []
    pos = 0
    while pos < len(data):
        size = rng.choice((1, 1, 2, 3, 5, 17, 1000))
        pieces.append(data[pos : pos + size])
        pos += size
    return pieces
