"""The conformance tester: against our own server, inetutils' telnetd, and a server that breaks the rules one by one.

RFC 854, 1123, 1143; what each test asks stands in `tanken.telnet.conformance`.
"""

from __future__ import annotations

import shutil
import socket
import threading
from pathlib import Path

import pytest
from tests.parts.cli.command import tanken_command
from tests.parts.telnet.peers import OurServer, find, inetd, rsa_certificate

from tanken import telnet
from tanken.base.errors import UsageError
from tanken.telnet import codes as c
from tanken.telnet import conformance, probe, profile
from tanken.telnet.codes import DO, DONT, IAC, WILL
from tanken.telnet.conformance import Examination, Report


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback the waits of the wide world are not needed."""
    monkeypatch.setattr(probe, "QUIET", 0.15)


def verdicts(report: Report) -> dict[str, str]:
    return {finding.name: finding.verdict for finding in report.findings}


async def linger(session: telnet.Session) -> None:
    await session.write("ready\n")
    await session.read_all()


def test_our_server_keeps_every_rule() -> None:
    report = Examination(("127.0.0.1", OurServer(profile.server, linger).port)).run()
    assert report.broken == 0, [finding for finding in report.findings if finding.verdict == "broken"]
    assert {row.option for row in report.options} >= {"BINARY", "ECHO", "SGA", "STATUS", "TTYPE", "NAWS", "LINEMODE", "CHARSET"}


def test_inetutils_telnetd() -> None:
    report = Examination(("127.0.0.1", inetd(find("telnetd"), "-h", "-E", "/bin/sh"))).run()
    names = verdicts(report)
    assert report.broken == 0 and names["AYT is answered"] == "kept" and names["STATUS tells the truth"] == "kept"
    assert names["AUTHENTICATION"] == "offered" and names["ENCRYPT"] == "offered" and names["TLS"] == "absent" and names["clear text"] == "accepted"
    assert names["CVE-2011-4862"] == names["CVE-2026-32746"] == "surface"


def test_netkit_telnetd_ssl(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    certificate, login = rsa_certificate(tmp_path), tmp_path / "login"
    login.write_text("#!/bin/sh\nexec /bin/sh\n")
    login.chmod(0o755)
    command = (find("in.telnetd"), "-h", "-N", "-L", str(login), "-z", f"cert={certificate}", "-z", f"key={certificate}")
    report = Examination(("127.0.0.1", inetd(*command))).run()
    names = verdicts(report)
    assert report.broken == 0 and names["TLS"] == names["AUTHENTICATION"] == "offered" and names["CVE-2011-4862"] == "absent"


class Rude:
    """A server that answers every request by `answer(verb, option)`, and sends `greeting`."""

    def __init__(self, greeting: bytes) -> None:
        self.greeting = greeting
        self.listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self) -> None:
        while True:
            connected, _ = self.listening.accept()
            threading.Thread(target=self._one, args=(connected,), daemon=True).start()

    def _one(self, connected: socket.socket) -> None:
        connected.sendall(self.greeting)
        with connected:
            while data := connected.recv(4096):
                out = b""
                for at in range(len(data) - 2):
                    verb, option = data[at + 1], data[at + 2]
                    if data[at] == IAC and verb == DO:
                        out += bytes((IAC, DONT if option == c.STATUS else WILL, option))
                    elif data[at] == IAC and verb == WILL and option < 40:
                        out += bytes((IAC, DONT, option)) * 2
                connected.sendall(out)


def test_a_rude_server_is_found_out() -> None:
    server = Rude(b"caf\xe9\rmenu \xff\x05\xff\xfa\x18\xff\xf1")
    report = Examination(("127.0.0.1", server.listening.getsockname()[1])).run()
    broken = {finding.name for finding in report.findings if finding.verdict == "broken"}
    assert broken >= {
        "every request is answered", "requests are answered with the right verb", "a request is answered once", "unknown options are refused",
        "an agreed option is not acknowledged again", "a request to switch off is obeyed", "AYT is answered", "a command in three segments is understood",
        "CR is followed by LF or NUL", "data has 7 bits without BINARY", "255 is doubled, commands are known", "sub-negotiations end with IAC SE",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["telnet://10.0.0.0/8", "telnet://224.0.0.1", "telnet://a,b", "telnet://", "telnet://host:0", "telnet://0.0.0.0", "telnet://*"])
def test_only_one_host(text: str) -> None:
    with pytest.raises(UsageError):
        conformance.address_of(text)


def test_addresses() -> None:
    assert conformance.address_of("telnet://host") == ("host", 23) and conformance.address_of("telnet://[::1]:2323") == ("::1", 2323)
    assert conformance.address_of("telnet://::1") == ("::1", 23) and conformance.address_of("telnet://127.0.0.1:99/") == ("127.0.0.1", 99)


def test_no_server() -> None:
    result = tanken_command("check", "telnet://127.0.0.1:1")
    assert result.returncode == 1 and result.stderr.count(b"\n") == 1 and b"wanted a TELNET server" in result.stderr
    assert tanken_command("telnet://127.0.0.1:1").stdout.count(b"tanken check") == 1
