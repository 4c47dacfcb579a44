"""A machine's serial line over TELNET: what a UART asks of its far end, several who look on, a machine that ends.

`board.device.CharDevice` says what the far end of a line is; RFC 854.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tanken import telnet
from tanken.board.device import CharDevice
from tanken.board.devices.uart import Uart
from tanken.board.interrupts import Line as Interrupt
from tanken.telnet import console
from tanken.telnet.console import Line


@pytest.fixture
def line() -> Iterator[Line]:
    with Line() as one:
        yield one


def connect(line: Line) -> telnet.blocking.Session:
    return telnet.blocking.connect("127.0.0.1", line.port, timeout=10)


def wait_for(line: Line, wanted: bytes) -> bytes:
    """What was typed, read as a machine does: woken by `arrived`, without waiting."""
    came, got = threading.Event(), b""
    line.arrived = came.set
    while len(got) < len(wanted):
        assert line.has_input or came.wait(10), got
        came.clear()
        got += line.read(3)
    return got


def test_a_uart_has_it_as_its_far_end(line: Line) -> None:
    far: CharDevice = line
    uart = Uart(Interrupt(), far)
    for octet in b"login: ":
        uart.write(0, octet, 1)
    with connect(line) as session:
        session.expect("login: ", timeout=10)
        session.write("amy\r\n")
        assert session.read_available() == b""  # nothing echoes but the machine
        came = threading.Event()
        line.arrived = came.set
        assert line.has_input or came.wait(10)
        got = b""
        while len(got) < 4:
            uart.poll()
            if uart.read(5, 1) & 1:
                got += bytes((uart.read(0, 1),))
        assert got == b"amy\r" and not line.has_input


def test_who_comes_later_sees_what_was_said(line: Line) -> None:
    line.write(b"booting\r\n")
    with connect(line) as first:
        first.expect("booting", timeout=10)
        line.write(b"# ")
        first.expect("# ", timeout=10)
        with connect(line) as second:
            second.expect("booting\r\n# ", timeout=10)
            second.write("date\r")
            assert wait_for(line, b"date\r") == b"date\r"
            line.write(b"date\r\n")
            for session in (first, second):
                session.expect("date\r\n", timeout=10)


def test_commands_become_characters(line: Line) -> None:
    with connect(line) as session:
        for name in ("IP", "EC", "EOF"):
            session.command(name)
        assert wait_for(line, b"\x03\x7f\x04") == b"\x03\x7f\x04"


def test_output_that_nobody_takes_is_bounded(line: Line) -> None:
    with connect(line) as session:
        line.write(b"first\r\n")
        session.expect("first", timeout=10)
        for _ in range(3000):
            line.write(b"x" * 1000)  # 3 MB; the sockets hold some of it, the line the last 64 KiB and no more
        assert len(line._output) <= 2 * console.KEPT
        line.write(b"last\r\n")
        session.expect("last\r\n", timeout=20)
    with Line() as silent:
        silent.write(b"a" * 10 * console.KEPT + b"end")
        with connect(silent) as session:
            assert b"octets were not kept" in session.expect("end", timeout=10).before


def test_typing_that_the_machine_does_not_read_is_bounded(line: Line) -> None:
    with connect(line) as session:
        session.sock.settimeout(0.3)
        with pytest.raises(telnet.SessionError):
            for _ in range(2000):
                session.write(b"y" * 10000)
    assert len(line._typed) <= console.TYPED + 4096


def test_the_last_words_arrive() -> None:
    line = Line()
    line.start()
    with connect(line) as session, connect(line) as hasty:
        line.write(b"ready\r\n")
        session.expect("ready", timeout=10)
        line.write(b"power off\r\n")
        line.stop()
        hasty.read_all()  # ends, too
        assert session.read_all().endswith(b"power off\r\n")
    line.stop()
    with pytest.raises(telnet.SessionError):
        connect(line)
    Line().stop()  # one that was never started


def test_a_port_in_use(line: Line) -> None:
    with pytest.raises(telnet.SessionError, match="in use"):
        Line(line.port)
