"""The asyncio and the blocking API over real sockets: conveniences, urgent data, pressure, the pseudo-terminal server.

RFC 854; what each call promises stands in its docstring.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from tanken import telnet
from tanken.base.errors import UsageError
from tanken.telnet import codes as c
from tanken.telnet import profile, pty_server, srp
from tanken.telnet.events import Command, Event, Suboption, Synch
from tanken.telnet.serving import Server


async def echo(session: telnet.Session) -> None:
    await session.write("hello\n")
    while (line := await session.read_line()) != b"bye":
        await session.write(b"<" + line + b">\r\n")


def test_a_server_in_a_few_lines() -> None:
    async def main() -> None:
        async with await telnet.serve(echo) as server, telnet.connect("127.0.0.1", server.port) as session:
            assert await session.read_until("hello\n") == b"hello\r\n"
            await session.write("one\n")
            found = await session.expect("<(.*?)>", b"never")
            assert (found.index, found.match, found.groups) == (0, b"<one>", (b"one",))
            await session.write(b"two\rthree\r\0")
            assert (await session.expect("<three>")).before == b"\r\n<two>\r\n"
            await session.write("bye\n")
            assert await session.read_all() == b"\r\n"
            with pytest.raises(telnet.SessionError):
                await session.write("too late")

    asyncio.run(main())


def test_iteration_and_plain_await() -> None:
    async def count(session: telnet.Session) -> None:
        for number in range(3):
            await session.write(f"{number}\n")

    async def main() -> None:
        async with await telnet.serve(count) as server:
            session = await telnet.connect("127.0.0.1", server.port)
            assert b"".join([piece async for piece in session]) == b"0\r\n1\r\n2\r\n"
            await session.close()

    asyncio.run(main())


def test_errors_say_what_was_waited_for() -> None:
    async def silent(session: telnet.Session) -> None:
        await session.write("only this")
        await session.closed()

    async def main() -> None:
        async with await telnet.serve(silent) as server, telnet.connect("127.0.0.1", server.port) as session:
            with pytest.raises(telnet.SessionError, match=r"nothing after 0.1 s; the last octets are b'only this'; wanted b'never'"):
                await session.expect("never", timeout=0.1)
        with pytest.raises(telnet.SessionError, match="127.0.0.1:1: .*refused|Connect call failed"):
            await telnet.connect("127.0.0.1", 1)

    asyncio.run(main())


def test_blocking_sessions() -> None:
    def serve_one(session: telnet.blocking.Session) -> None:
        session.write("name? ")
        session.write(b"hello " + session.read_line(timeout=5) + b"\r\n")

    listening, _ = telnet.blocking.serve(serve_one)
    with listening, telnet.blocking.connect("127.0.0.1", listening.getsockname()[1]) as session:
        session.expect(r"name\? ", timeout=5)
        session.write("amy\n")
        assert session.read_until("amy\n", timeout=5) == b"hello amy\r\n" and session.read_all() == b""


def test_commands_and_suboptions_reach_the_program() -> None:
    seen: list[Event] = []

    async def watch(session: telnet.Session) -> None:
        session.talk.hook = seen.append
        await session.closed()

    async def main() -> None:
        async with await telnet.serve(watch, him=profile.SERVER_HIM | {c.GMCP}, ask_him=(c.GMCP,)) as server:
            async with telnet.connect("127.0.0.1", server.port, us=profile.CLIENT_US | {c.GMCP}) as session:
                session.command("AYT")
                assert (await session.expect("yes", timeout=5)).match == b"yes"
                session.suboption("GMCP", b"Core.Hello {}")
                session.resize(100, 50)
                await asyncio.sleep(0.1)

    asyncio.run(main())
    assert Command(c.AYT) in seen
    assert any(isinstance(event, Suboption) and event.payload == b"Core.Hello {}" for event in seen)


@pytest.mark.parametrize("blocking", [False, True])
def test_synch_is_urgent_and_discards(blocking: bool) -> None:
    """Data that waits before an urgent data mark is thrown away; what follows is kept."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        events: list[Event] = []

        def peer() -> None:
            connected, _ = listening.accept()
            with connected:
                connected.send(b"old" * 1000 + b"\xff\xf2", socket.MSG_OOB)  # at once: who has read the first of it knows that there is a mark
                connected.sendall(b"new")
                time.sleep(0.5)

        thread = threading.Thread(target=peer)
        thread.start()
        time.sleep(0.1)

        async def main() -> bytes:
            async with telnet.connect("127.0.0.1", port, hook=events.append, ask_us=(), ask_him=()) as session:
                return await session.read_all()

        if blocking:
            with telnet.blocking.connect("127.0.0.1", port, hook=events.append, ask_us=(), ask_him=()) as session:
                time.sleep(0.2)
                data = session.read_all()
        else:
            data = asyncio.run(main())
        thread.join()
    assert data == b"new" and Synch(3000) in events


@pytest.mark.parametrize("blocking", [False, True])
def test_synch_is_sent_as_urgent_data(blocking: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        got: list[bytes] = []

        def peer() -> None:
            connected, _ = listening.accept()
            with connected:
                time.sleep(0.3)
                got.append(connected.recv(100, socket.MSG_OOB))
                while piece := connected.recv(100):
                    got.append(piece)

        thread = threading.Thread(target=peer)
        thread.start()

        async def main() -> None:
            async with telnet.connect("127.0.0.1", port, ask_us=(), ask_him=()) as session:
                await session.write("before")
                session.command("SYNCH")
                await session.write("after")
                await asyncio.sleep(0.5)

        if blocking:
            with telnet.blocking.connect("127.0.0.1", port, ask_us=(), ask_him=()) as session:
                session.write("before")
                session.command("SYNCH")
                session.write("after")
                time.sleep(0.4)
        else:
            asyncio.run(main())
        thread.join()
    assert got[0] == b"\xf2" and b"".join(got[1:]) == b"before\xffafter"


def test_a_reader_that_does_not_read_stops_the_writer() -> None:
    sent = 0

    async def flood(session: telnet.Session) -> None:
        nonlocal sent
        for _ in range(400):
            await session.write(bytes(1 << 18))
            sent += 1

    async def main() -> None:
        async with await telnet.serve(flood) as server, telnet.connect("127.0.0.1", server.port) as session:
            await asyncio.sleep(0.4)
            assert sent < 200 and session.talk.size < 4 << 20
            assert len(await session.read_all()) == 400 << 18

    asyncio.run(main())


def test_many_sessions_at_once() -> None:
    async def main() -> None:
        async with await telnet.serve(echo) as server:

            async def one() -> None:
                async with telnet.connect("127.0.0.1", server.port) as session:
                    await session.expect("hello")

            await asyncio.gather(*(one() for _ in range(200)))

    asyncio.run(main())


def test_a_server_off_loopback_wants_authentication() -> None:
    async def main(**fields: object) -> None:
        async with await telnet.serve(echo, "0.0.0.0", **fields) as server:
            assert server.port

    with pytest.raises(UsageError, match="without authentication"):
        asyncio.run(main())
    asyncio.run(main(verifiers={"amy": srp.make_verifier("amy", "x")}.get))


async def shell_session(server: Server) -> telnet.Session:
    session = await telnet.connect("127.0.0.1", server.port, window=(100, 30), terminals=("VT100",), environ={"LANG": "C", "PATH": "/evil"})
    await session.write("PS1='> '; stty size; echo $TERM $LANG; case $PATH in *evil*) echo bad;; esac\r")
    return session


def test_pseudo_terminal() -> None:
    async def main() -> None:
        fields = {"ask_us": (c.ECHO, c.SGA, c.BINARY), "ask_environ": ("LANG", "PATH")}
        async with await telnet.serve(pty_server.program(["/bin/sh"]), **fields) as server:
            session = await shell_session(server)
            before = (await session.expect("vt100 C\r\n", timeout=10)).before
            assert b"30 100" in before and b"\nbad" not in before
            session.resize(90, 20)
            await session.write("stty size\r")
            await session.expect(r"20 90\r\n> ", timeout=20)
            await session.write("cat\r")
            await session.expect("cat\r\n", timeout=20)
            await session.write("half a li")
            session.command("EL")
            await session.write("whole line\r")
            await session.expect("whole line\r\nwhole line\r\n", timeout=20)
            session.command("IP")
            await session.expect("> ", timeout=20)
            await session.write("sleep 60\r")
            await asyncio.sleep(0.3)
            session.command("BRK")
            await session.write("echo back$((1+1))\r")
            await session.expect("back2", timeout=20)
            await session.write("cat\r")
            await asyncio.sleep(0.2)
            session.command("EOF")
            await session.write("echo end$((1+1))\r")
            await session.expect("end2", timeout=20)
            await session.write("exit\r")
            await asyncio.wait_for(session.closed(), 5)

    asyncio.run(main())


def test_the_program_ends_with_its_session() -> None:
    async def main() -> None:
        async with await telnet.serve(pty_server.program(["/bin/sh", "-c", "echo $$; sleep 1000"])) as server:
            async with telnet.connect("127.0.0.1", server.port) as session:
                pid = int((await session.expect(r"(\d+)\r\n", timeout=10)).groups[0] or 0)
            for _ in range(100):
                try:
                    with open(f"/proc/{pid}/stat") as file:
                        if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                            return
                except FileNotFoundError:
                    return
                await asyncio.sleep(0.05)
            raise AssertionError("still there")

    asyncio.run(main())


@pytest.mark.parametrize("blocking", [False, True])
def test_what_was_sent_last_arrives_although_not_all_was_read(blocking: bool) -> None:
    """A socket closed with unread octets in it is reset, and the reset overtakes what was sent."""
    last = b"the end\r\n" * 20000

    async def deaf(session: telnet.Session) -> None:
        await session.write("go\r\n")
        await asyncio.sleep(0.3)
        await session.write(last)

    def deaf_too(session: telnet.blocking.Session) -> None:
        session.write("go\r\n")
        time.sleep(0.3)
        session.write(last)

    def peer(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            got = b""
            while b"go\r\n" not in got:
                got += sock.recv(100)
            sock.settimeout(0.1)
            try:
                sock.sendall(bytes(4 << 20))  # more than the server reads ahead
            except TimeoutError:
                pass
            sock.settimeout(10)
            time.sleep(0.6)
            while data := sock.recv(65536):
                got += data
            return got[-len(last) :]

    async def main() -> None:
        if blocking:
            listening, _ = telnet.blocking.serve(deaf_too)
            with listening:
                assert await asyncio.to_thread(peer, listening.getsockname()[1]) == last
        else:
            async with await telnet.serve(deaf) as server:
                assert await asyncio.to_thread(peer, server.port) == last

    asyncio.run(main())


def test_a_server_ends_although_a_client_takes_nothing() -> None:
    async def flood(session: telnet.Session) -> None:
        while True:
            await session.write(bytes(1 << 16))

    async def main() -> None:
        server = await telnet.serve(flood)
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            await asyncio.to_thread(sock.recv, 100)
            await asyncio.sleep(0.3)
            await asyncio.wait_for(server.close(), 10)

    asyncio.run(main())


def test_a_server_that_is_full_says_so() -> None:
    async def main() -> None:
        async with await telnet.serve(echo, most=1) as server, telnet.connect("127.0.0.1", server.port) as first:
            await first.read_until("hello\n")
            async with telnet.connect("127.0.0.1", server.port) as second:
                assert b"too many sessions" in await second.read_all()

    asyncio.run(main())
