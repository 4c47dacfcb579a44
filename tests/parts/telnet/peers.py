"""The foreign peers: where their programs are, an inetd for those that want a socket as standard input, our server in a thread.

Debian packages: inetutils-telnet, inetutils-telnetd, ckermit, libtelnet-utils, putty-tools, sredird, ser2net; telnet-ssl and telnetd-ssl, which exclude the former, are unpacked
by `.ci/setup` into the folder `peers` of the virtual environment. A program that is missing skips its tests, with the reason.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tanken import telnet
from tanken.telnet.profile import Profile

UNPACKED = Path(sys.prefix) / "peers"


def find(name: str) -> str:
    """The program, or a skipped test."""
    for path in (str(UNPACKED / "usr/bin" / name), str(UNPACKED / "usr/sbin" / name), shutil.which(name), f"/usr/sbin/{name}"):
        if path and os.access(path, os.X_OK):
            return path
    pytest.skip(f"no {name} on this machine (make test as root on Debian installs it)")


def inetd(*command: str) -> int:
    """A port on loopback whose every connection is the standard input and output of a fresh `command`."""
    listening = socket.create_server(("127.0.0.1", 0))

    def loop() -> None:
        while True:
            connected, _ = listening.accept()
            subprocess.Popen(command, stdin=connected, stdout=connected, stderr=connected)
            connected.close()

    threading.Thread(target=loop, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


class OurServer:
    """Our server in a thread of its own; `sessions` has what each session's events and state were at its end."""

    def __init__(self, make: Callable[[], Profile], serve: Callable[[telnet.Session], Awaitable[None]]) -> None:
        self.sessions: queue.Queue[telnet.Session] = queue.Queue()
        started: queue.Queue[int] = queue.Queue()

        async def one(session: telnet.Session) -> None:
            try:
                await serve(session)
            finally:
                self.sessions.put(session)

        async def main() -> None:
            server = await telnet.serve(one, profile=make)
            started.put(server.port)
            await server.forever()

        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        self.port = started.get(timeout=10)


async def greet(session: telnet.Session) -> None:
    """What our server does in the tests: asks for a name and greets."""
    await session.learn(0.3)
    await session.write("name: \n")
    name = await session.read_line()
    await session.write(b"hello " + name.strip() + b"\r\n")
    try:
        await session.expect("never", timeout=1)
    except telnet.SessionError:
        pass


def rsa_certificate(folder: Path) -> str:
    """A certificate with an RSA key, which the old peers want; the path of the PEM file with both."""
    path = folder / "rsa.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "key"), "-out", str(folder / "crt"), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "30"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())
    return str(path)
