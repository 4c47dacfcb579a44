"""Sessions with foreign clients and servers on loopback: inetutils, netkit's telnet-ssl, C-Kermit, libtelnet, telnetlib3, serial ports of ser2net.

What each can do stands in docs/telnet.md, "Peers".
"""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import socket
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import telnetlib3
from tests.parts.cli.command import SOURCE
from tests.parts.telnet.peers import OurServer, find, greet, inetd, rsa_certificate

from tanken import telnet
from tanken.telnet import codes as c
from tanken.telnet import profile, tls
from tanken.telnet.events import Event, Option, Tls
from tanken.telnet.handler import SerialPort

SHELL = "/bin/sh"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    return rsa_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(certificate: str) -> OurServer:
    context, own = tls.server_context(certificate), tls.certificate_der(certificate)
    return OurServer(lambda: profile.server(tls=context, own_certificate=own), greet)


def agreed(events: list[Event]) -> set[tuple[str, str]]:
    return {(event.name, event.side) for event in events if isinstance(event, Option) and event.on}


def run_shell(port: int, **fields: object) -> telnet.Session:
    """Our client runs a command in the shell behind the port."""

    async def main() -> telnet.Session:
        async with telnet.connect("127.0.0.1", port, **fields) as session:
            await session.write("echo re$((40+2))\r")
            await session.expect("re42", timeout=10)
            await session.expect("[#$] ", timeout=10)
            await session.write("exit\r")
            return session

    return asyncio.run(main())


def test_inetutils_telnetd() -> None:
    session = run_shell(inetd(find("telnetd"), "-h", "-E", SHELL))
    names = agreed(list(session.talk.events))
    assert {("TTYPE", "us"), ("NAWS", "us"), ("TSPEED", "us"), ("NEW-ENVIRON", "us"), ("LFLOW", "us"), ("SGA", "him"), ("STATUS", "him")} <= names
    assert not session.machine.secure


def test_inetutils_telnetd_refuses_clear_text() -> None:
    """The server offers AUTHENTICATION and ENCRYPT, but nothing of it can be used: a client that requires encryption must end."""
    with pytest.raises(telnet.SessionError, match="encryption is required"):
        run_shell(inetd(find("telnetd"), "-h", "-E", SHELL), secure="required", tls=tls.client_context(verify=False))


def test_netkit_telnetd_ssl(certificate: str, tmp_path: Path) -> None:
    login = tmp_path / "login"  # it is called with arguments of login(1)
    login.write_text(f"#!/bin/sh\nexec {SHELL}\n")
    login.chmod(0o755)
    command = (find("in.telnetd"), "-h", "-N", "-L", str(login), "-z", f"cert={certificate}", "-z", f"key={certificate}")
    session = run_shell(inetd(*command), secure="required", tls=tls.client_context(certificate))
    assert any(isinstance(event, Tls) for event in session.talk.events)  # by AUTHENTICATION type SSL
    session = run_shell(inetd(*command, "-z", "ssl"), means={"implicit"}, tls=tls.client_context(certificate))
    assert session.machine.secure
    assert not run_shell(inetd(*command), secure="off").machine.secure


def drive(command: list[str]) -> None:
    """A foreign client at a terminal, greeted by our server."""
    child = pexpect.spawn(command[0], command[1:], timeout=10, encoding="latin-1", env={**os.environ, "TERM": "xterm"})
    try:
        child.expect("name: ")
        child.send("amy\r")
        child.expect("hello amy")
    finally:
        child.close(force=True)


def test_inetutils_telnet(server: OurServer) -> None:
    drive([find("telnet"), "127.0.0.1", str(server.port)])
    session = server.sessions.get(timeout=10)
    assert {("NAWS", "him"), ("TTYPE", "him"), ("BINARY", "us"), ("ECHO", "us")} <= agreed(list(session.talk.events))
    assert session.talk.terminal.lower() == "xterm" and session.talk.window == (80, 24) and not session.machine.secure


def test_netkit_telnet_ssl(server: OurServer) -> None:
    drive([find("telnet-ssl"), "127.0.0.1", str(server.port)])
    session = server.sessions.get(timeout=10)
    assert session.machine.secure and session.talk.terminal.lower() == "xterm"


def test_libtelnet_client(server: OurServer) -> None:
    drive([find("telnet-client"), "127.0.0.1", str(server.port)])
    assert ("TTYPE", "him") in agreed(list(server.sessions.get(timeout=10).talk.events))


def test_plink(server: OurServer) -> None:
    drive([find("plink"), "-telnet", "-P", str(server.port), "127.0.0.1"])
    session = server.sessions.get(timeout=10)
    assert {("NAWS", "him"), ("TTYPE", "him"), ("ECHO", "us")} <= agreed(list(session.talk.events))
    assert session.talk.terminal.lower() == "xterm" and session.talk.window == (80, 24)


@pytest.fixture(scope="module")
def compressing() -> OurServer:
    return OurServer(lambda: profile.server(ask_us=(c.ECHO, c.SGA, c.BINARY, c.MCCP2, c.MCCP3)), greet)


def test_libtelnet_client_compressed(compressing: OurServer) -> None:
    drive([find("telnet-client"), "127.0.0.1", str(compressing.port)])
    session = compressing.sessions.get(timeout=10)
    assert ("MCCP2", "us") in agreed(list(session.talk.events)) and session.machine.outgoing.deflating


def test_telnetlib3_client_compressed(compressing: OurServer) -> None:
    async def main() -> bytes:
        reader, writer = await telnetlib3.open_connection("127.0.0.1", compressing.port, encoding=False, connect_minwait=0.1)
        await asyncio.wait_for(reader.readuntil(b"name: "), 10)
        writer.write(b"amy\r\n")
        text = await asyncio.wait_for(reader.readuntil(b"hello amy"), 10)
        writer.close()
        return bytes(text)

    assert b"hello amy" in asyncio.run(main())
    session = compressing.sessions.get(timeout=10)
    assert {("MCCP2", "us"), ("MCCP3", "us"), ("TTYPE", "him")} <= agreed(list(session.talk.events))
    assert session.machine.outgoing.deflating and session.machine.incoming.inflating and not session.talk.warnings


def test_kermit_start_tls(server: OurServer, tmp_path: Path) -> None:
    """C-Kermit requires START_TLS; its ClientHello comes right behind FOLLOWS."""
    script = tmp_path / "script"
    script.write_text(
        "set quiet on\nset telopt /client start-tls required\nset authentication tls verify no\nset telnet prompt-for-userid off\n"
        f"set host 127.0.0.1 {server.port} /telnet\nif fail exit 3\n"
        "input 10 {name: }\nif fail exit 4\nlineout amy\ninput 10 {hello amy}\nif fail exit 5\nclose\nexit 0\n"
    )
    result = subprocess.run([find("kermit"), "-Y", "-y", str(script)], capture_output=True, timeout=40, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result
    session = server.sessions.get(timeout=10)
    events = list(session.talk.events)
    assert session.machine.secure and any(isinstance(event, Tls) and event.version.startswith("TLS") for event in events)
    assert {("TTYPE", "him"), ("NAWS", "him")} <= agreed(events)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def connected(port: int) -> telnet.blocking.Session:
    for _ in range(50):
        try:
            return telnet.blocking.connect("127.0.0.1", port)
        except telnet.SessionError:
            time.sleep(0.1)
    raise AssertionError("no server")


def test_libtelnet_chat_server() -> None:
    port = free_port()
    process = subprocess.Popen([find("telnet-chatd"), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connected(port) as session:
            session.expect("name", timeout=10)
            session.write("amy\n")
            session.write("hi\n")
            session.expect("amy", timeout=10)
    finally:
        process.kill()
        process.wait()


def test_libtelnet_proxy(server: OurServer) -> None:
    port = free_port()
    process = subprocess.Popen([find("telnet-proxy"), "127.0.0.1", str(server.port), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connected(port) as session:
            session.expect("name: ", timeout=10)
            session.write("amy\n")
            session.expect("hello amy", timeout=10)
    finally:
        process.kill()
        process.wait()
        server.sessions.get(timeout=10)


def test_telnetlib3_client(server: OurServer) -> None:
    async def main() -> str:
        reader, writer = await telnetlib3.open_connection("127.0.0.1", server.port, encoding="utf8", connect_minwait=0.1)
        text = await asyncio.wait_for(reader.readuntil(b"name: "), 10)
        writer.write("amy\r\n")
        text += await asyncio.wait_for(reader.readuntil(b"hello amy"), 10)
        writer.close()
        return text if isinstance(text, str) else text.decode()

    assert "hello amy" in asyncio.run(main())
    names = agreed(list(server.sessions.get(timeout=10).talk.events))
    assert {("TTYPE", "him"), ("BINARY", "us"), ("BINARY", "him")} <= names


@pytest.mark.parametrize("compression", [False, True])
def test_telnetlib3_server(compression: bool) -> None:
    port, running = free_port(), threading.Event()
    loop = asyncio.new_event_loop()

    async def shell(reader: telnetlib3.TelnetReader, writer: telnetlib3.TelnetWriter) -> None:
        writer.write("name: ")
        name = await reader.readline()
        writer.write(f"hello {name.strip()}\r\n")
        await writer.drain()
        writer.close()

    def thread() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(telnetlib3.create_server("127.0.0.1", port, shell=shell, connect_maxwait=0.5, compression=compression))
        running.set()
        loop.run_forever()
        server.close()

    worker = threading.Thread(target=thread, daemon=True)
    worker.start()
    assert running.wait(10)
    try:
        with telnet.blocking.connect("127.0.0.1", port, him=profile.CLIENT_HIM - {c.MCCP3}) as session:  # its MCCP3 loses what is in the segment of the mark
            session.expect("name: ", timeout=10)
            session.write("amy\n")
            session.expect("hello amy", timeout=10)
            assert {("TTYPE", "us"), ("NAWS", "us")} <= agreed(list(session.talk.events))
            assert session.machine.incoming.inflating is compression
    finally:
        loop.call_soon_threadsafe(loop.stop)
        worker.join(10)


@pytest.fixture
def serial_port() -> Iterator[tuple[int, int, str]]:
    """A terminal that plays a serial port: its far end, itself, its name."""
    far, near = pty.openpty()
    tty.setraw(near)
    yield far, near, os.ttyname(near)
    os.close(far)
    os.close(near)


def set_over(port: int, near: int) -> telnet.blocking.Session:
    """Our command line sets the port; it is 9600 with XON then (a pseudo-terminal has always 8 bits). A session that asks what it is now."""
    command = [sys.executable, "-m", "tanken", "telnet", "connect", "127.0.0.1", str(port), "--serial", "9600,7E1,xon", "--wait", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(SOURCE)}) as process:
        assert process.stdin is not None
        process.stdin.write(b"AT\n")
        process.stdin.flush()
        for _ in range(200):
            modes = termios.tcgetattr(near)
            if modes[4] == modes[5] == termios.B9600 and modes[0] & termios.IXON:
                break
            time.sleep(0.05)
        else:
            raise AssertionError(modes)
        process.communicate()
    session = telnet.blocking.connect("127.0.0.1", port)
    session.want("COM-PORT", "us")
    return session


def answers(session: telnet.blocking.Session, wanted: dict[str, int]) -> bool:
    """Sends the settings; whether the server says that they are in force."""
    settings = session.machine.handler(c.COM_PORT)
    assert isinstance(settings, SerialPort)
    for name, value in wanted.items():
        session.serial(name, value)
    for _ in range(50):
        session.read_available()
        if all(settings.settings.get(name) == value for name, value in wanted.items()):
            return True
        time.sleep(0.1)
    return False


def test_ser2net(serial_port: tuple[int, int, str], tmp_path: Path) -> None:
    far, near, name = serial_port
    port = free_port()
    config = tmp_path / "ser2net.yaml"
    config.write_text(f"connection: &one\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{port}\n  connector: serialdev,{name},2400n81,local\n  options:\n    kickolduser: true\n")
    process = subprocess.Popen([find("ser2net"), "-n", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connected(port).close()
        with set_over(port, near) as session:
            assert os.read(far, 100) == b"AT\r\n"
            assert answers(session, {"SET-BAUDRATE": 19200, "SET-DATASIZE": 7, "SET-PARITY": 3, "SET-STOPSIZE": 2, "SET-CONTROL": 3})
            os.write(far, b"OK\xff\r\n")
            assert session.read_until(b"\r\n", timeout=10).endswith(b"OK\xff\r\n")
    finally:
        process.kill()
        process.wait()


def test_sredird(serial_port: tuple[int, int, str], tmp_path: Path) -> None:
    """It answers SET-BAUDRATE with eight octets on machines of 64 bits, which is a protocol error; the others are right."""
    far, near, name = serial_port
    with set_over(inetd(find("sredird"), "0", name, str(tmp_path / "lock")), near) as session:
        assert os.read(far, 100) == b"AT\r\n"
        assert answers(session, {"SET-STOPSIZE": 2, "SET-CONTROL": 1})  # it tells what the terminal made of it: no parity there
        session.serial("SET-BAUDRATE", 9600)
        os.write(far, b"OK\r\n")
        session.read_until("OK\r\n", timeout=10)
        assert any("SET-BAUDRATE of 8 octets" in text for text in session.talk.warnings)
