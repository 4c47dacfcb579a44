"""Captures: file forms and links, reassembly of broken streams, protocol errors, decryption, the screen.

draft-ietf-opsawg-pcap and -pcapng; RFC 9293; the vectors of the fact sheet's session.
"""

from __future__ import annotations

import io
import json
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parts.cli.command import tanken_command
from tests.parts.telnet.test_ciphers import CLEAR, IV, KEY, SESSIONS, WIRE

from tanken.base.errors import InputError
from tanken.telnet import codes as c
from tanken.telnet import profile, srp
from tanken.telnet.capture.dialogue import Note, Seen
from tanken.telnet.capture.packets import SYN, Segment, segments
from tanken.telnet.capture.reader import Reader
from tanken.telnet.capture.reassembly import connections
from tanken.telnet.capture.screen import Screen
from tanken.telnet.codes import DO, DONT, IAC, WILL, WONT
from tanken.telnet.events import Data, Option, Synch, Violation
from tanken.telnet.machine import Machine
from tanken.telnet.parser import Parser
from tanken.telnet.recording import Capture

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 23)


def tcp(ours: bool, sequence: int, data: bytes = b"", flags: int = 16, acknowledged: int = 0, urgent: int = 0) -> Segment:
    ends = (CLIENT, SERVER) if ours else (SERVER, CLIENT)
    return Segment(1.0, *ends, sequence, acknowledged, flags | (32 if urgent else 0), urgent, data)


OPENING = [tcp(True, 100, flags=SYN), tcp(False, 500, flags=SYN | 16)]


def seen(packets: list[Segment], *keys: bytes) -> list[Seen]:
    return list(Reader(keys, (23,), None).events(connections([*OPENING, *packets]), None))


def rules(found: list[Seen]) -> list[str]:
    return [one.event.rule for one in found if isinstance(one.event, Violation)]


def data_of(found: list[Seen], sender: str) -> bytes:
    return b"".join(one.event.data for one in found if isinstance(one.event, Data) and one.sender == sender)


def exchange(*turns: tuple[str, bytes]) -> list[Segment]:
    """Turns of "C" and "S" as segments."""
    packets, places = [], {True: 101, False: 501}
    for who, data in turns:
        packets.append(tcp(who == "C", places[who == "C"], data))
        places[who == "C"] += len(data)
    return packets


def test_agreement_is_followed_on_both_sides() -> None:
    found = seen(exchange(("S", bytes((IAC, DO, c.TTYPE, IAC, WILL, c.ECHO))), ("C", bytes((IAC, WILL, c.TTYPE, IAC, DO, c.ECHO)))))
    assert [one.event for one in found if isinstance(one.event, Option)] == [Option(c.TTYPE, "client", True), Option(c.ECHO, "server", True)]
    assert rules(found) == []


@pytest.mark.parametrize(
    ("turns", "rule"),
    [
        ([("S", bytes((IAC, DO, c.AUTHENTICATION))), ("C", bytes((IAC, DONT, c.AUTHENTICATION)))], "verb"),
        ([("S", bytes((IAC, WILL, c.ECHO))), ("C", bytes((IAC, DO, c.ECHO))), ("S", bytes((IAC, WILL, c.ECHO)))], "repeat"),
        ([("S", c.framed(c.TTYPE, b"\1"))], "unagreed"),
        ([("S", b"caf\xc3\xa9")], "8-bit"),
        ([("S", b"a\rb")], "bare-cr"),
        ([("S", b"data \xff data")], "command"),
        ([("S", bytes((IAC, WILL, c.NAWS)))], "side"),
        ([("C", b"\xff\xf2")], "dm"),
        ([("S", bytes((IAC, DO, c.NAWS))), ("C", bytes((IAC, WILL, c.NAWS)) + c.framed(c.NAWS, b"\1"))], "suboption"),
    ],
)
def test_errors_are_flagged(turns: list[tuple[str, bytes]], rule: str) -> None:
    assert rules(seen(exchange(*turns))) == [rule]


def test_loops_are_flagged() -> None:
    turns = [("S", bytes((IAC, WILL, c.ECHO, IAC, WONT, c.ECHO))), ("C", bytes((IAC, DO, c.ECHO, IAC, DONT, c.ECHO)))] * 12
    assert "loop" in rules(seen(exchange(*turns)))


def test_binary_follows_the_agreement() -> None:
    agreed = [("S", bytes((IAC, DO, c.BINARY))), ("C", bytes((IAC, WILL, c.BINARY)) + b"\r\0\x80")]
    found = seen(exchange(*agreed))
    assert data_of(found, "client") == b"\r\0\x80" and rules(found) == []


def test_synch_and_urgent_are_checked_against_each_other() -> None:
    marked = seen([tcp(True, 101, b"abc\xff\xf2def", urgent=5)])
    assert rules(marked) == [] and any(isinstance(one.event, Synch) for one in marked)
    assert rules(seen([tcp(True, 101, b"abc\xff\xf2def", urgent=4)])) == []  # the pointer as RFC 1122 reads it
    assert rules(seen([tcp(True, 101, b"abc", urgent=3)])) == ["urgent"]
    assert rules(seen([tcp(True, 101, b"abc\xff\xf2")])) == ["dm"]
    early = seen([tcp(True, 101, b"a", urgent=5), tcp(True, 102, b"bc\xff\xf2", urgent=4)])  # urgency is told before its end comes
    assert rules(early) == []


def test_order_doubles_and_holes() -> None:
    data = bytes(range(32, 127)) * 20
    whole = [tcp(False, 501 + i, data[i : i + 100]) for i in range(0, len(data), 100)]
    shuffled = whole[1:] + whole[:1] + whole[5:9]
    overlapping = [tcp(False, 501 + i, data[i : i + 150]) for i in range(0, len(data), 100)]
    for packets in (whole, shuffled, overlapping, overlapping[::-1]):
        assert data_of(seen(packets), "server") == data
    lost = whole[:3] + whole[4:] + [tcp(True, 101, acknowledged=501 + len(data))]
    found = seen(lost)
    assert data_of(found, "server") == data[:300] + data[400:]
    assert Note("100 octets are missing in the capture") in [one.event for one in found]


def test_sequence_numbers_wrap() -> None:
    packets = [tcp(False, 0xFFFFFFF0, flags=SYN), tcp(False, 0xFFFFFFF1, b"x" * 30), tcp(False, 0x0F, b"y" * 5)]
    found = list(Reader((), (23,), None).events(connections([tcp(True, 1, flags=SYN), *packets]), None))
    assert data_of(found, "server") == b"x" * 30 + b"y" * 5


@given(st.randoms(use_true_random=False), st.integers(1, 30))
@settings(max_examples=40)
def test_any_order_of_segments_gives_the_same_octets(rng: random.Random, count: int) -> None:
    data = rng.randbytes(400).replace(b"\xff", b"x").replace(b"\r", b"y").replace(b"\0", b"z")
    packets = [tcp(False, 501, data[:1])]
    for _ in range(count):
        at = rng.randrange(len(data))
        packets.append(tcp(False, 501 + at, data[at : at + rng.randrange(1, 200)]))
    packets += [tcp(False, 501 + i, data[i : i + 40]) for i in range(0, len(data), 40)]
    rng.shuffle(packets)
    assert data_of(seen(packets), "server") == data


def session_with_encrypt(turns_behind: bytes = b"") -> list[Segment]:
    """The fact sheet's session: DES_CFB64 from the server, nothing encrypted from the client."""
    server = bytes((IAC, WILL, c.ENCRYPT)) + c.framed(c.ENCRYPT, b"\0\1\1" + IV)
    start = c.framed(c.ENCRYPT, b"\7\0") + c.framed(c.ENCRYPT, b"\3\0")
    return exchange(("S", server), ("C", bytes((IAC, DO, c.ENCRYPT)) + c.framed(c.ENCRYPT, b"\1\1\2")), ("S", start + WIRE[:7]),
                    ("C", b"marker-plaintext-secret\r\n"), ("S", WIRE[7:] + turns_behind))  # fmt: skip


def test_decryption_with_the_session_key() -> None:
    found = seen(session_with_encrypt(), KEY)
    assert data_of(found, "server").endswith(b"got:marker-plaintext-secret\r\n") and b"HELLO-FROM-LOGIN" in data_of(found, "server")
    assert data_of(found, "client") == b"marker-plaintext-secret\r\n"  # this direction went in clear
    assert len(CLEAR) == len(WIRE)
    hidden = seen(session_with_encrypt())
    assert data_of(hidden, "server") == b"" and any(f"{len(WIRE)} octets not read" in one.event.text for one in hidden)
    wrong = seen(session_with_encrypt(), bytes(8))
    assert any("does not fit" in one.event.text for one in wrong)


def test_decryption_tries_both_halves() -> None:
    """Kermit splits 16 octets, inetutils does not: whichever fits is taken."""
    for key in (KEY + bytes(8), bytes(8) + KEY, KEY + bytes(32), bytes(8) + KEY + bytes(24)):
        assert b"HELLO-FROM-LOGIN" in data_of(seen(session_with_encrypt(), key), "server")


@pytest.mark.parametrize("session", SESSIONS, ids=[f"{c.ENCRYPT_TYPES.name(one[0])}-{one[1]}" for one in SESSIONS])
def test_decryption_of_real_sessions(session: tuple[int, str, bytes, bytes, bytes, bytes]) -> None:
    """With the session key alone every cipher of Stanford's telnetd is undone, OFB too, which does not do what the RFC says."""
    kind, sender, key, iv, wire, clear = session
    who, other = ("C", "S") if sender == "client" else ("S", "C")
    turns = ((who, bytes((IAC, WILL, c.ENCRYPT)) + c.framed(c.ENCRYPT, bytes((0, kind, 1)) + iv)), (other, bytes((IAC, DO, c.ENCRYPT))),
             (who, c.framed(c.ENCRYPT, b"\7\0") + c.framed(c.ENCRYPT, b"\3\0") + wire))  # fmt: skip
    text = b"".join(token.data for token in Parser().feed(clear) if isinstance(token, Data))
    assert data_of(seen(exchange(*turns), key), sender) == text


def test_recorded_session_with_srp_and_3des(tmp_path: Path) -> None:
    path = tmp_path / "session.pcap"
    recording = Capture(str(path))
    amy = srp.make_verifier("amy", "secret")
    one, other = Machine(profile.client(user="amy", password="secret", secure="required")), Machine(profile.server(verifiers={"amy": amy}.get))
    one.start(), other.start()
    other.send("größe\r\n\x1b[3;5Hcentre\r\n".encode())
    one.send(b"typed\r\n")
    for _ in range(30):
        for source, target in ((one, other), (other, one)):
            wire = source.take()
            recording.wire(wire, source is one)
            target.receive(wire)
    recording.close()
    for key in (one.session_key.hex(), "00" * 40):
        result = tanken_command("show", str(path), "--key", key)
        text = result.stdout.decode()
        assert result.returncode == 0 and "ENCRYPT START 00" in text and "SRP/0x04 PARAMS" in text
        assert ('"typed\\r\\n"' in text and "|    centre" in text and "größe" in text and "0 protocol errors" in text) is (key != "00" * 40)
    lines = [json.loads(line) for line in tanken_command("show", str(path), "--json", "--key", one.session_key.hex()).stdout.splitlines()]
    assert lines[-1]["screen"][2] == "    centre" and lines[-1]["errors"] == 0 and {line["connection"] for line in lines} == {1}


def test_tls_is_left_alone() -> None:
    follows = c.framed(c.START_TLS, b"\1")
    found = seen(exchange(("S", bytes((IAC, DO, c.START_TLS))), ("C", bytes((IAC, WILL, c.START_TLS)) + follows + b"\x16\x03\x01"), ("S", follows), ("S", b"\x16\3\3")))
    assert rules(found) == [] and sum("octets not read: TLS" in one.event.text for one in found) == 2


def test_compression_is_undone() -> None:
    import zlib

    wire = c.framed(c.MCCP2, b"") + zlib.compress(b"inside\r\n" + bytes((IAC, WILL, c.ECHO))) + b"outside"
    found = seen(exchange(("S", bytes((IAC, WILL, c.MCCP2))), ("C", bytes((IAC, DO, c.MCCP2))), ("S", wire[:9]), ("S", wire[9:])))
    assert data_of(found, "server") == b"inside\r\noutside" and rules(found) == []


def pcap(frames: list[bytes], link: int, order: str = "<", nano: bool = False) -> bytes:
    head = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack(order + "IIII", 1, 5, len(frame), len(frame)) + frame for frame in frames)


def pcapng(frames: list[bytes], link: int, order: str = "<") -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(order + "I", len(body) + 12)
        return struct.pack(order + "I", kind) + size + body + size

    packets = b"".join(block(6, struct.pack(order + "IIIII", 0, 0, 10**6, len(f), len(f)) + f) for f in frames)
    options = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0)
    section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    return section + block(1, struct.pack(order + "HHI", link, 0, 0) + options) + block(11, b"unknown") + packets


def ip4(payload: bytes) -> bytes:
    body = struct.pack(">HHIIBBHHH", 40000, 23, 1, 1, 0x50, 24, 100, 0, 0) + payload
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 6, 0) + bytes((10, 0, 0, 1, 10, 0, 0, 2)) + body


def ip6(payload: bytes) -> bytes:
    body = struct.pack(">HHIIBBHHH", 40000, 23, 1, 1, 0x50, 24, 100, 0, 0) + payload
    return struct.pack(">IHBB", 6 << 28, len(body) + 8, 60, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + bytes((6, 0)) + bytes(6) + body


ETHER = bytes(12)
FRAMES = [(1, ETHER + b"\x08\x00"), (1, ETHER + b"\x81\x00\0\1\x08\x00"), (101, b""), (0, b"\2\0\0\0"), (113, bytes(14) + b"\x08\x00"), (276, b"\x08\x00" + bytes(18))]


@pytest.mark.parametrize(("link", "head"), FRAMES)
@pytest.mark.parametrize("form", [pcap, pcapng])
@pytest.mark.parametrize("order", ["<", ">"])
def test_file_forms_and_links(link: int, head: bytes, form: object, order: str) -> None:
    assert callable(form)
    (segment,) = segments(io.BytesIO(form([head + ip4(b"hello") + b"padding"], link, order)), "x")
    assert (segment.source, segment.destination, segment.data) == (("10.0.0.1", 40000), ("10.0.0.2", 23), b"hello")
    assert segment.time == pytest.approx(1.000005 if form is pcap else 0.001)


def test_ipv6_with_extension_header() -> None:
    (segment,) = segments(io.BytesIO(pcap([ETHER + b"\x86\xdd" + ip6(b"six")], 1, nano=True)), "x")
    assert segment.source == ("::1", 40000) and segment.data == b"six" and segment.time == pytest.approx(1.000000005)


def test_damaged_files() -> None:
    whole = pcap([ETHER + b"\x08\x00" + ip4(b"hello")] * 3, 1)
    for cut in range(24, len(whole)):
        assert len(list(segments(io.BytesIO(whole[:cut]), "x"))) <= 3
    with pytest.raises(InputError, match="x:0x18: a packet of"):
        list(segments(io.BytesIO(whole[:24] + b"\xff" * 16 + whole[40:]), "x"))
    with pytest.raises(InputError, match="wanted a pcap"):
        list(segments(io.BytesIO(b"nonsense"), "x"))


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=60)
def test_random_files_never_break_the_reader(junk: bytes, ng: bool) -> None:
    base = (pcapng if ng else pcap)([ETHER + b"\x08\x00" + ip4(b"\xff\xfd\x18")], 1)
    for data in (base + junk, base[:20] + junk, base[:60] + junk + base[60:]):
        try:
            list(Reader((KEY,), (23,), None).events(connections(segments(io.BytesIO(data), "x")), None))
        except InputError:
            pass


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=30))
@settings(max_examples=60)
def test_random_streams_never_break_the_dialogue(turns: list[tuple[bool, bytes]]) -> None:
    setup = [("S", bytes((IAC, WILL, c.ENCRYPT))), ("C", bytes((IAC, DO, c.ENCRYPT))), ("S", c.framed(c.ENCRYPT, b"\0\1\1" + IV) + c.framed(c.ENCRYPT, b"\3\0"))]
    found = seen(exchange(*setup, *(("C" if ours else "S", data) for ours, data in turns if data)), KEY)
    assert all(one.event.text for one in found)


def test_connections_that_are_not_telnet() -> None:
    packets = [Segment(1.0, ("1.1.1.1", 5), ("2.2.2.2", 80), 1, 0, 24, 0, b"GET / HTTP/1.0\r\n\r\n" + b"x" * 2000)]
    reader = Reader((), (23,), None)
    assert list(reader.events(connections(packets), None)) == [] and list(reader.ends(False)) == ["1 other TCP connection without TELNET (--port N takes port N as TELNET)"]
    found = Segment(1.0, ("1.1.1.1", 5), ("2.2.2.2", 4000), 1, 0, 24, 0, b"hello \xff\xfb\x18")
    assert [one.event.text for one in Reader((), (23,), None).events(connections([found]), None)][:2] == ["data 6 octets", "WILL TTYPE"]


def test_screen() -> None:
    screen = Screen(10, 4)
    screen.feed(b"one\r\ntwo\r\nthree\x1b[1;5Hx\x1b[2J\x1b[H0123456789AB\r\n\x1b(0lqk\x1b(B")
    assert screen.rows == ["0123456789", "AB", "┌─┐", ""]
    screen.feed(b"\x1b[2;1H\x1b[K\x1b[1;3H\x1b[2P\x1b[1;1H\x1b[@>")
    assert screen.rows[0] == ">01456789" and screen.rows[1] == ""
    screen.feed("\x1b[?1049h\x1b[Halt größe 漢\x1b[?1049l".encode())
    assert screen.rows[0] == ">01456789"
    screen.feed(b"\x1b[2;3r\x1b[3;1Hlast\nnew\x1b]0;title\x07")
    assert screen.title == "title" and screen.rows[1:3] == ["last", "    new"]
    screen.resize(6, 2)
    assert screen.rows == [">01456", "last"]


@given(st.binary(max_size=400))
@settings(max_examples=80)
def test_screen_takes_anything(octets: bytes) -> None:
    screen = Screen(20, 5)
    screen.feed(octets.replace(b"x", b"\x1b["))
    assert len(screen.rows) == 5 and all(len(row) == 20 for row in screen.cells)


def test_errors_alone(tmp_path: Path) -> None:
    result = tanken_command("show", "--errors", str(tmp_path / "none.pcap"))
    assert result.returncode == 1 and result.stderr.count(b"\n") == 1
    (tmp_path / "bad.pcap").write_bytes(pcap([ETHER + b"\x08\x00" + ip4(b"\xff\xf0")], 1))
    result = tanken_command("show", "--errors", str(tmp_path / "bad.pcap"))
    assert result.returncode == 1 and b"SE without SB" in result.stdout
    assert tanken_command("show", "--key", "xyz", str(tmp_path / "bad.pcap")).returncode == 2
