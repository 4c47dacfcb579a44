"""The verb `telnet` as a person uses it: a client at a terminal and in a pipe, a server, users, recordings, errors of one line.

docs/telnet.md describes the options.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from tests.parts.cli.command import SOURCE, tanken_command
from tests.parts.telnet.peers import OurServer

from tanken import telnet
from tanken.telnet import codes as c
from tanken.telnet import profile, tls

ENVIRON = {**os.environ, "PYTHONPATH": str(SOURCE), "TANKEN_TELNET_PASSWORD": "secret", "TERM": "vt100"}
COMMAND = (sys.executable, "-m", "tanken", "telnet")


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def start(*words: str) -> tuple[subprocess.Popen[bytes], int, str]:
    """A server of ours in a process of its own: the process, its port, the line that it prints."""
    port = free_port()
    process = subprocess.Popen([*COMMAND, "serve", str(port), *words], stdout=subprocess.PIPE, env=ENVIRON)
    assert process.stdout is not None
    return process, port, process.stdout.readline().decode()


@pytest.fixture(scope="module")
def shell() -> Iterator[tuple[int, str]]:
    process, port, line = start("--", "sh")
    yield port, line
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = str(tmp_path_factory.mktemp("users") / "users")
    assert subprocess.run([*COMMAND, "passwd", path, "amy"], env=ENVIRON, capture_output=True).stdout == f"{path}: amy may log in\n".encode()
    process, port, _ = start("--users", path, "--encrypt", "required", "--", "sh", "-c", "echo user $TELNET_USER; cat")
    yield port
    process.kill()
    process.wait()


def connect(port: int, *words: str, stdin: bytes = b"", **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, "connect", "127.0.0.1", str(port), *words], input=stdin, capture_output=True, timeout=60, env={**ENVIRON, **environ})


def test_in_a_pipe(shell: tuple[int, str]) -> None:
    result = connect(shell[0], stdin=b"echo re$((40+2)); exit\n")
    assert result.returncode == 0 and b"re42\r\n" in result.stdout
    assert b"TLSv1" in result.stderr and b"ready, encrypted" in result.stderr and b"was not verified" in result.stderr


def test_a_pinned_certificate(shell: tuple[int, str]) -> None:
    match = re.search(r"SHA-256 ([0-9a-f]{64})", shell[1])
    assert match is not None
    result = connect(shell[0], "--pin", match[1], "--encrypt", "required", stdin=b"exit\n")
    assert result.returncode == 0 and b"not verified" not in result.stderr
    wrong = connect(shell[0], "--pin", "0" * 64, stdin=b"exit\n")
    assert wrong.returncode == 1 and b"certificate has SHA-256" in wrong.stderr
    unverified = connect(shell[0], "--encrypt", "required", stdin=b"exit\n")
    assert unverified.returncode == 1 and b"TLS failed: self-signed certificate" in unverified.stderr


@pytest.mark.parametrize(("means", "shown"), [("tls", b"ready, encrypted, user amy"), ("encrypt", b"output is encrypted with DES3_CFB64")])
def test_users(users: int, means: str, shown: bytes) -> None:
    result = connect(users, "--user", "amy", "--encrypt", "required", "--means", means, stdin=b"hello\n")
    assert result.returncode == 0 and b"user amy" in result.stdout and shown in result.stderr
    assert (b"old cipher" in result.stderr) is (means == "encrypt")


def test_refusals(users: int) -> None:
    wrong = connect(users, "--user", "amy", "--encrypt", "required", stdin=b"", TANKEN_TELNET_PASSWORD="wrong")
    assert wrong.returncode == 1 and b"the server rejects amy" in wrong.stderr
    clear = connect(users, "--encrypt", "off", stdin=b"hello\n")
    assert b"authentication is required" in clear.stdout and b"user" not in clear.stdout


def test_at_a_terminal(shell: tuple[int, str]) -> None:
    child = pexpect.spawn(COMMAND[0], [*COMMAND[1:], "connect", "127.0.0.1", str(shell[0])], timeout=15, env=ENVIRON, encoding="utf-8", dimensions=(24, 80))
    child.expect("ready, encrypted")
    child.expect("[#$] ")
    child.send("echo $TERM; stty size\r")
    child.expect("vt100\r\n24 80")
    child.setwinsize(30, 100)
    for _ in range(20):
        time.sleep(0.2)
        child.send("stty size\r")
        if child.expect(["30 100", "24 80"]) == 0:
            break
    child.send("sleep 100\r")
    time.sleep(0.3)
    child.send("\x03")
    child.expect("[#$] ")
    child.send("\x1d")
    child.expect("telnet> ")
    child.send("status\r")
    child.expect("options of ours: .*NAWS")
    child.expect("options of the other side: .*ECHO")
    child.expect("input is TLSv1.*output is TLSv1")
    child.send("\x1d")
    child.expect("telnet> ")
    child.send("send AYT\r")
    child.expect(r"\[yes\]")
    child.send("sleep 100\r")
    time.sleep(0.3)
    child.send("\x1d")
    child.expect("telnet> ")
    child.send("break\r")
    time.sleep(0.3)
    child.send("echo on$((1+1))\r")
    child.expect("on2")
    child.send("\x1d")
    child.expect("telnet> ")
    child.send("send NONSENSE\r")
    child.expect("no command 'NONSENSE'")
    child.send("\x1d")
    child.expect("telnet> ")
    child.send("close\r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_recordings(shell: tuple[int, str], tmp_path: Path) -> None:
    pcap, cast = tmp_path / "s.pcap", tmp_path / "s.cast"
    connect(shell[0], "--encrypt", "off", "--record", str(pcap), stdin=b"echo re$((40+2)); exit\n")
    shown = tanken_command("show", str(pcap))
    assert shown.returncode == 0 and b"re42" in shown.stdout and b"NAWS on for client" in shown.stdout and b"0 protocol errors" in shown.stdout
    connect(shell[0], "--record", str(cast), stdin=b"echo re$((40+2)); exit\n")
    lines = [json.loads(line) for line in cast.read_text().splitlines()]
    assert lines[0]["version"] == 2 and "re42" in "".join(line[2] for line in lines[1:]) and cast.stat().st_mode & 0o777 == 0o600


def test_serial_settings() -> None:
    async def port(session: telnet.Session) -> None:
        await session.write("port\n")
        await session.read_all()

    server = OurServer(lambda: profile.server(him=profile.SERVER_HIM | {c.COM_PORT}, ask_us=()), port)
    result = connect(server.port, "--serial", "9600,7E1,xon", "--wait", "0.5", stdin=b"")
    assert result.returncode == 0, result.stderr
    handler = server.sessions.get(timeout=10).machine.handler(c.COM_PORT)
    assert handler.settings == {"SET-BAUDRATE": 9600, "SET-DATASIZE": 7, "SET-PARITY": 3, "SET-STOPSIZE": 1, "SET-CONTROL": 2}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("connect", "127.0.0.1", "1"), 1, "refused"),
        (("connect", "no-such-host.invalid"), 1, "no-such-host.invalid:23"),
        (("connect", "@no-such-hop.invalid@b"), 2, "no-such-hop.invalid: "),
        (("connect", "!host"), 2, "wanted !@hop1@hop2:host"),
        (("connect", "host", "--serial", "fast"), 2, "wanted such as 115200"),
        (("connect", "host", "--means", "magic"), 2, "wanted tls, implicit, encrypt"),
        (("connect", "host", "--escape", "abc"), 2, "wanted one character"),
        (("connect", "host", "--ca", "/nothing"), 1, "/nothing"),
        (("serve", "2323"), 2, "no command"),
        (("serve", "2323", "--", "/no/such/program"), 2, "no program /no/such/program"),
        (("serve", "2323", "--host", "0.0.0.0", "--", "sh"), 2, "without authentication"),
        (("serve", "2323", "--users", "/nothing", "--", "sh"), 1, "/nothing: No such file"),
        (("passwd", "/nothing/there", "amy"), 1, "/nothing/there"),
        (("passwd", "/tmp/x", "a:b"), 2, "wanted a name without colon"),
    ],
)
def test_errors_are_one_line(words: tuple[str, ...], status: int, message: str) -> None:
    result = tanken_command("telnet", *words, TANKEN_TELNET_PASSWORD="x")
    text = result.stderr.decode()
    assert message in text and text.count("\n") == 1 and result.returncode == status, (result.returncode, text)


def test_the_table_of_codes() -> None:
    text = tanken_command("show", "telnet:NAWS").stdout.decode()
    assert re.fullmatch(r"option +31 +NAWS +window size +\(RFC 1073\)\n", text)
    rows = [json.loads(line) for line in tanken_command("show", "--json", "telnet:encrypt-type").stdout.splitlines()]
    assert {row["number"]: row["name"] for row in rows}[3] == "DES3_CFB64"
    assert tanken_command("show", "telnet:nonsense").returncode == 2


def test_a_machine_behind_a_port() -> None:
    """The console of the guest that comes with tanken, over TLS; it turns itself off, and its last words arrive."""
    port = free_port()
    machine = subprocess.Popen([sys.executable, "-m", "tanken", "run", "--console", f"telnet:{port}"], stderr=subprocess.PIPE, env=ENVIRON)
    try:
        assert machine.stderr is not None
        told = machine.stderr.readline().decode()
        assert told.startswith(f"console: telnet 127.0.0.1 {port}, certificate SHA-256 ")
        result = connect(port, "--pin", told.split()[-1], "--encrypt", "required", "--wait", "20", stdin=b"echo over there\noff\n")
        assert b"tanken guest" in result.stdout and b"over there" in result.stdout and b"ready, encrypted" in result.stderr
        assert machine.wait(20) == 0
    finally:
        machine.kill()
        machine.wait()


@pytest.mark.parametrize("where", ["telnet:", "telnet:0", "telnet:99999", "telnet:2323,colour=red", "telnet:2323,host=0.0.0.0", "telnet:2323,users=/nonexistent", "tcp:x"])
def test_consoles_that_cannot_be(where: str) -> None:
    for words in ((), ("busybox", "true")):
        result = tanken_command("run", "--console", where, *words)
        assert result.returncode in (1, 2) and result.stderr.count(b"\n") == 1 and b"wanted" in result.stderr, result


def test_a_program_of_our_own_kernel_behind_a_port() -> None:
    port = free_port()
    command = [sys.executable, "-m", "tanken", "run", "--console", f"telnet:{port}", "busybox", "sh", "-c", "read -r name; echo hello $name; uname -s"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRON)
    try:
        assert process.stdout is not None and b"certificate SHA-256" in process.stdout.readline()
        result = connect(port, "--wait", "30", stdin=b"amy\n")
        assert result.returncode == 0 and b"hello amy\r\nLinux\r\n" in result.stdout
    finally:
        process.kill()
        process.wait()


def test_a_recorded_session_is_decrypted_with_its_logged_key(users: int, tmp_path: Path) -> None:
    pcap, keys = tmp_path / "session.pcap", tmp_path / "keys"
    result = connect(users, "--user", "amy", "--means", "encrypt", "--encrypt", "required", "--record", str(pcap), "--key-log", str(keys), stdin=b"over the wire\n")
    assert result.returncode == 0 and b"over the wire" in result.stdout
    assert keys.stat().st_mode & 0o777 == 0o600
    key = keys.read_text().split()
    assert len(key) == 1 and b"over the wire" not in tanken_command("show", str(pcap)).stdout
    shown = tanken_command("show", str(pcap), "--key", key[0])
    assert b'C>S "over the wire' in shown.stdout and b"0 protocol errors" in shown.stdout


def test_clients_by_certificate(tmp_path: Path) -> None:
    """Off loopback without passwords: only who has a certificate of the authority gets a program."""
    mine, theirs = str(tmp_path / "mine.pem"), str(tmp_path / "theirs.pem")
    tls.self_signed(mine, "amy")
    tls.self_signed(theirs, "bob")
    process, port, line = start("--host", "0.0.0.0", "--client-ca", mine, "--encrypt", "required", "--", "sh", "-c", "echo welcome; cat")
    pin = line.split()[-1]
    try:
        good = connect(port, "--pin", pin, "--certificate", mine, stdin=b"x\n")
        assert good.returncode == 0 and b"welcome" in good.stdout
        for words in (("--certificate", theirs), (), ("--encrypt", "off")):
            assert b"welcome" not in connect(port, "--pin", pin, *words, stdin=b"x\n").stdout
    finally:
        process.kill()
        process.wait()
