"""The protocol machine: the Q method's table, the NVT's rules, every option, limits, and the same events whatever the segments.

RFC 854, 855, 1143 and the documents of the options.
"""

import os
import random
import time
import tracemalloc
import zlib

import pytest
from tests.parts.telnet import fuzz

from tanken.telnet import codes as c
from tanken.telnet import profile, suboptions
from tanken.telnet.codes import DO, DONT, IAC, WILL, WONT
from tanken.telnet.events import Command, Data, Event, Option, Ready, Refused, Suboption, Synch, Violation, merged, octets_of
from tanken.telnet.linemode import LineMode
from tanken.telnet.machine import Machine, connect_machines
from tanken.telnet.profile import Limits
from tanken.telnet.qmethod import Side, State

STREAMS = 40  # fuzzed streams of one test run; TANKEN_FUZZ=seconds runs longer


def client(**fields: object) -> Machine:
    """A client that has said nothing yet but is open."""
    machine = Machine(profile.client(ask_us=(), ask_him=(), **fields))
    machine.start()
    assert machine.take() == b"" and machine.security.phase == "open"
    return machine


def feed(machine: Machine, *octets: bytes) -> list[Event]:
    return merged([event for piece in octets for event in machine.receive(piece)])


def rules(events: list[Event]) -> list[str]:
    return [event.rule for event in events if isinstance(event, Violation)]


# RFC 1143 section 7, the table for him: state, queue, what happens -> state, queue, verb sent, error
TABLE = [
    (State.NO, False, "WILL+", State.YES, False, DO, False),
    (State.NO, False, "WILL-", State.NO, False, DONT, False),
    (State.YES, False, "WILL+", State.YES, False, None, False),
    (State.WANTNO, False, "WILL+", State.NO, False, None, True),
    (State.WANTNO, True, "WILL+", State.YES, False, None, True),
    (State.WANTYES, False, "WILL+", State.YES, False, None, False),
    (State.WANTYES, True, "WILL+", State.WANTNO, False, DONT, False),
    (State.NO, False, "WONT", State.NO, False, None, False),
    (State.YES, False, "WONT", State.NO, False, DONT, False),
    (State.WANTNO, False, "WONT", State.NO, False, None, False),
    (State.WANTNO, True, "WONT", State.WANTYES, False, DO, False),
    (State.WANTYES, False, "WONT", State.NO, False, None, False),
    (State.WANTYES, True, "WONT", State.NO, False, None, False),
    (State.NO, False, "on", State.WANTYES, False, DO, False),
    (State.YES, False, "on", State.YES, False, None, False),
    (State.WANTNO, False, "on", State.WANTNO, True, None, False),
    (State.WANTNO, True, "on", State.WANTNO, True, None, False),
    (State.WANTYES, False, "on", State.WANTYES, False, None, False),
    (State.WANTYES, True, "on", State.WANTYES, False, None, False),
    (State.NO, False, "off", State.NO, False, None, False),
    (State.YES, False, "off", State.WANTNO, False, DONT, False),
    (State.WANTNO, False, "off", State.WANTNO, False, None, False),
    (State.WANTNO, True, "off", State.WANTNO, False, None, False),
    (State.WANTYES, False, "off", State.WANTYES, True, None, False),
    (State.WANTYES, True, "off", State.WANTYES, True, None, False),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0].value}{'-opposite' if row[1] else ''} {row[2]}")
def test_q_method(row: tuple[State, bool, str, State, bool, int | None, bool]) -> None:
    state, queued, happens, after, after_queued, verb, error = row
    side = Side(ours=False)
    side.state, side.opposite = state, queued
    outcome = {"WILL+": lambda: side.asked(True), "WILL-": lambda: side.asked(False), "WONT": side.declined,
               "on": lambda: side.want(True), "off": lambda: side.want(False)}[happens]()  # fmt: skip
    assert (side.state, side.opposite, outcome.send, bool(outcome.error)) == (after, after_queued, verb, error)


def test_nvt_data() -> None:
    machine = client()
    assert octets_of(feed(machine, b"a\r\nb\r\0c\xff\xff", b"\r", b"\0d\r", b"\ne")) == b"a\r\nb\rc\xff\rd\r\ne"
    events = feed(client(), b"a\rb\x80c\rd\x81")
    assert rules(events) == ["bare-cr", "8-bit"] and octets_of(events) == b"a\rb\x80c\rd\x81"
    assert rules(feed(client(), b"\xff\x07", b"\xff\xf0", b"\xff\xfa\x18\xff\xf1")) == ["command", "se", "sb"]
    binary = client()
    feed(binary, bytes((IAC, WILL, c.BINARY)))
    events = feed(binary, b"\r\0\r\x80\xff\xff")
    assert octets_of(events) == b"\r\0\r\x80\xff" and rules(events) == []


def test_sending() -> None:
    machine = client()
    machine.send(b"a\rb\r\nc\r")
    machine.send(b"\nd\r")
    machine.send(b"e\xff\0")
    assert machine.take() == b"a\r\0b\r\nc\r\nd\r\0e\xff\xff\0"
    feed(machine, bytes((IAC, DO, c.BINARY)))
    machine.take()
    machine.send(b"a\rb\xff")
    assert machine.take() == b"a\rb\xff\xff"


def test_commands_and_synch() -> None:
    machine = client()
    assert feed(machine, b"a\xff\xf6b\xff\xf9") == [Data(b"a"), Command(c.AYT), Data(b"b"), Command(c.GA)]
    machine.urgent()
    assert feed(machine, b"lost\xff\xf4lost\xff\xf2kept") == [Command(c.IP), Synch(8), Data(b"kept")]
    assert feed(machine, b"x\xff\xf2y") == [Data(b"x"), Synch(0), Data(b"y")]
    machine.send(b"data")
    machine.synch()
    assert machine.take() == b"data\xff\xf2" and machine.outgoing.mark == 6


def test_timing_mark_is_answered_in_order() -> None:
    machine = client()
    machine.receive(bytes((IAC, DO, c.TIMING_MARK)) * 2)
    assert machine.take() == bytes((IAC, WILL, c.TIMING_MARK)) * 2


def options_after(**fields: object) -> tuple[Machine, Machine, tuple[list[Event], list[Event]]]:
    client_fields = {k.removeprefix("c_"): v for k, v in fields.items() if k.startswith("c_")}
    server_fields = {k.removeprefix("s_"): v for k, v in fields.items() if k.startswith("s_")}
    one, other = Machine(profile.client(**client_fields)), Machine(profile.server(**server_fields))
    return one, other, connect_machines(one, other)


def told(events: list[Event], option: int) -> list[object]:
    return [event.value for event in events if isinstance(event, Suboption) and event.option == option]


def test_client_and_server_agree_on_everything() -> None:
    asks = (c.BINARY, c.SGA, c.TTYPE, c.NAWS, c.TSPEED, c.XDISPLOC, c.NEW_ENVIRON, c.LFLOW, c.STATUS, c.CHARSET, c.LINEMODE, c.EOR)
    one, other, (at_client, at_server) = options_after(
        c_display="x:0", c_environ={"LANG": "C", "SECRET": "1"}, c_ask_us=(c.CHARSET,), c_charsets=("UTF-8", "LATIN1"), s_ask_him=asks,
        s_ask_us=(c.ECHO, c.SGA, c.BINARY, c.EOR, c.STATUS, c.CHARSET), s_linemode=3,
        s_ask_environ=("LANG", "HOME"),
    )  # fmt: skip
    assert rules(at_client) == rules(at_server) == []
    for option in asks:
        assert one.on(option, "us") and other.on(option, "him"), c.option_name(option)
    assert told(at_server, c.NAWS) == [suboptions.WindowSize(80, 24)]
    assert told(at_server, c.TSPEED) == [suboptions.Told("38400,38400")] and told(at_server, c.XDISPLOC) == [suboptions.Told("x:0")]
    assert told(at_server, c.NEW_ENVIRON) == [suboptions.Variables("IS", (("USERVAR", "LANG", "C"), ("USERVAR", "HOME", None)))]
    assert suboptions.Charset("ACCEPTED", ("UTF-8",)) in told(at_server, c.CHARSET)
    mode = [value for value in told(at_server, c.LINEMODE) if isinstance(value, suboptions.Mode)]
    assert mode == [suboptions.Mode(3 | 4)]
    one.suboption(c.STATUS, b"\1")
    other.receive(one.take())
    (status,) = told(one.receive(other.take()), c.STATUS)
    assert isinstance(status, suboptions.Status) and "DO NAWS" in status.states and "WILL ECHO" in status.states


def test_terminal_types_come_in_turn() -> None:
    machine = client(terminals=("XTERM", "VT100", "ANSI"))
    feed(machine, bytes((IAC, DO, c.TTYPE)))
    machine.take()
    names = []
    for _ in range(7):
        machine.receive(c.framed(c.TTYPE, b"\1"))
        names.append(machine.take()[4:-2].decode())
    assert names == ["XTERM", "VT100", "MTTS 271", "ANSI", "ANSI", "XTERM", "VT100"]


def test_serial_port() -> None:
    one, other = Machine(profile.client(ask_us=(c.COM_PORT,))), Machine(profile.server(him=profile.SERVER_HIM | {c.COM_PORT}))
    connect_machines(one, other)
    one.serial("SET-BAUDRATE", 255 << 8)
    octets = one.take()
    assert octets == bytes((IAC, c.SB, c.COM_PORT, 1, 0, 0, 255, 255, 0, IAC, c.SE))
    other.receive(octets)
    one.receive(other.take())
    assert one.handler(c.COM_PORT).settings == {"SET-BAUDRATE": 65280}  # type: ignore[attr-defined]


def test_logout() -> None:
    machine = Machine(profile.server())
    machine.start()
    assert any(event.text.startswith("closed") for event in machine.receive(bytes((IAC, DO, c.LOGOUT))))
    assert machine.closed and machine.receive(b"x") == []


def test_compression_both_ways() -> None:
    one, other, _ = options_after(s_ask_us=(c.MCCP2, c.MCCP3, c.ECHO))
    assert one.incoming.inflating and other.incoming.inflating
    text = b"the same words again " * 5000
    other.send(text)
    wire = other.take()
    assert len(wire) < len(text) // 10 and octets_of(one.receive(wire)) == text
    one.send(text)
    assert octets_of(other.receive(one.take())) == text
    other.want(c.MCCP2, "us", False)
    other.send(b"clear again")
    wire = other.take()
    assert octets_of(one.receive(wire)) == b"clear again"
    one.receive(b"")
    other.receive(one.take())
    other.send(b"still clear")
    assert other.take() == b"still clear"


def test_compressed_octets_stay_bounded() -> None:
    machine = client()
    bomb = zlib.compress(bytes(40 << 20), 9)
    feed(machine, bytes((IAC, WILL, c.MCCP2)) + c.framed(c.MCCP2, b""))
    tracemalloc.start()
    total, events, most = 0, machine.receive(bomb), 0
    while True:
        size = sum(len(event.data) for event in events if isinstance(event, Data))
        total, most = total + size, max(most, size)
        if not machine.more:
            break
        events = machine.receive(b"")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 40 << 20 and most <= 5 << 20 and peak < 30 << 20


def test_raw_deflate_and_gzip_are_found_out() -> None:
    for bits in (-15, 31):
        packer = zlib.compressobj(wbits=bits)
        machine = client()
        wire = bytes((IAC, WILL, c.MCCP2)) + c.framed(c.MCCP2, b"") + packer.compress(b"hello") + packer.flush() + b"clear"
        assert octets_of(feed(machine, *(wire[i : i + 1] for i in range(len(wire))))) == b"helloclear"


def test_limits() -> None:
    machine = client(limits=Limits(suboption=100))
    events = feed(machine, bytes((IAC, DO, c.TTYPE)), bytes((IAC, c.SB, c.TTYPE)) + b"x" * 10**6, bytes((IAC, c.SE)) + b"after")
    assert rules(events) == ["length"] and octets_of(events) == b"after"
    loops = feed(client(), bytes((IAC, WILL, c.ECHO, IAC, WONT, c.ECHO)) * 500)
    assert rules(loops) == ["loop"] and sum(isinstance(event, Option) for event in loops) == Limits().changes
    asking = client()
    feed(asking, bytes((IAC, DO, c.TTYPE)))
    asking.take()
    asking.receive(c.framed(c.TTYPE, b"\1") * 10000)
    assert len(asking.take()) < Limits().requests * 40
    slc = client()
    feed(slc, bytes((IAC, DO, c.LINEMODE)))
    slc.take()
    events = feed(slc, c.framed(c.LINEMODE, b"\3" + bytes((99, 2, 3)) * 5000))
    assert rules(events) == ["suboption"] and slc.take() == b""
    events = feed(slc, c.framed(c.LINEMODE, b"\3" + b"".join(bytes((n, 2, 3)) for n in range(31, 31 + 128))))
    assert len(slc.take()) < 150
    nested = feed(client(), bytes((IAC, DO, c.NEW_ENVIRON)), c.framed(c.NEW_ENVIRON, b"\1" + b"\0x" * 300))
    assert rules(nested) == ["suboption"]


def test_environment_allow_list() -> None:
    machine = client(environ={"LANG": "C"})
    feed(machine, bytes((IAC, DO, c.NEW_ENVIRON)))
    machine.take()
    feed(machine, c.framed(c.NEW_ENVIRON, b"\1"))
    assert machine.take() == c.framed(c.NEW_ENVIRON, b"\0\3LANG\1C")
    os.environ["TANKEN_TEST_SECRET"] = "x"
    feed(machine, c.framed(c.NEW_ENVIRON, b"\1\3TANKEN_TEST_SECRET"))
    assert machine.take() == c.framed(c.NEW_ENVIRON, b"\0\3TANKEN_TEST_SECRET")


def test_linemode_agreement() -> None:
    machine = client()
    feed(machine, bytes((IAC, DO, c.LINEMODE)))
    machine.take()
    handler = machine.handler(c.LINEMODE)
    assert isinstance(handler, LineMode)
    for mask, answer in ((1, 5), (1, None), (3, 7), (3 | 4, None), (0, 4)):
        machine.receive(c.framed(c.LINEMODE, bytes((1, mask))))
        assert machine.take() == (b"" if answer is None else c.framed(c.LINEMODE, bytes((1, answer)))), mask
    machine.receive(c.framed(c.LINEMODE, b"\3" + bytes((3, 2, 7))))
    assert machine.take() == c.framed(c.LINEMODE, b"\3" + bytes((3, 2 | 0x80, 7))) and handler.characters[3] == (2, 7)
    machine.receive(c.framed(c.LINEMODE, b"\3" + bytes((3, 2, 7))))
    assert machine.take() == b""  # the same as now: no answer
    machine.receive(c.framed(c.LINEMODE, bytes((DO, 2)) + b"\x80"))
    assert machine.take() == c.framed(c.LINEMODE, bytes((WILL, 2)))


def test_values_of_suboptions() -> None:
    decode = suboptions.decode
    assert decode(c.NAWS, b"\0\x50\0\x18") == suboptions.WindowSize(80, 24)
    assert isinstance(decode(c.NAWS, b"\0"), suboptions.Malformed)
    escaped = suboptions.environ(0, [("VAR", "a\1b", "c\2\3"), ("USERVAR", "empty", ""), ("VAR", "none", None)])
    assert decode(c.NEW_ENVIRON, escaped) == suboptions.Variables("IS", (("VAR", "a\1b", "c\2\3"), ("USERVAR", "empty", ""), ("VAR", "none", None)))
    assert decode(c.CHARSET, b"\1;UTF-8;KOI8-R") == suboptions.Charset("REQUEST", ("UTF-8", "KOI8-R"))
    assert decode(c.COM_PORT, b"\x65\0\0\x25\x80") == suboptions.ComPort("SET-BAUDRATE", True, 9600)
    assert decode(c.GMCP, b"Core.Hello {}") is None


def test_unasked_suboption_is_flagged() -> None:
    events = feed(client(), c.framed(c.NAWS, b"\0\1\0\1"))
    assert rules(events) == ["unagreed"] and told(events, c.NAWS) == [suboptions.WindowSize(1, 1)]
    assert rules(feed(client(), bytes((IAC, WONT, c.ECHO)))) == []


def test_refusal_and_ready() -> None:
    machine = Machine(profile.client(ask_us=(), ask_him=(c.ECHO,)))
    assert machine.start() == [Ready(False)]
    assert Refused(c.ECHO, "him") in feed(machine, bytes((IAC, WONT, c.ECHO)))


@pytest.mark.parametrize("kind", ["client", "server", "client TLS", "server TLS"])
def test_same_events_whatever_the_segments(kind: str) -> None:
    begun, seconds = time.monotonic(), float(os.environ.get("TANKEN_FUZZ", 0))
    seed = 0
    while seed < STREAMS or time.monotonic() - begun < seconds:
        rng = random.Random(seed)
        data = fuzz.stream(rng)
        whole = fuzz.run(kind, [data])
        assert fuzz.run(kind, fuzz.cut(data, rng)) == whole, seed
        assert fuzz.run(kind, [data[i : i + 1] for i in range(len(data))]) == whole, seed
        seed += 1


@pytest.mark.parametrize("kind", ["client", "server", "client TLS", "server TLS"])
def test_cut_at_every_octet(kind: str) -> None:
    data = fuzz.stream(random.Random(99), 25)
    whole = fuzz.run(kind, [data])
    for at in range(len(data)):
        assert fuzz.run(kind, [data[:at], data[at:]]) == whole


def test_dense_data_in_bulk() -> None:
    """The path for many doubled 255 agrees with the slow one, with commands anywhere."""
    rng = random.Random(3)
    for _ in range(30):
        data = b"".join(rng.choice((b"\xff\xff", rng.randbytes(5).replace(b"\xff", b""), b"\xff\xff\xff\xff")) for _ in range(6000))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(data))
            at -= (len(data[:at]) - len(data[:at].rstrip(b"\xff"))) % 2
            data = data[:at] + b"\xff\xf1" + data[at:]
        one, other = client(), client()
        for machine in (one, other):
            machine.receive(bytes((IAC, WILL, c.BINARY)))
        step = rng.randrange(1, 700)
        assert feed(one, data) == feed(other, *(data[i : i + step] for i in range(0, len(data), step)))


def test_flood_stays_bounded() -> None:
    rng = random.Random(1)
    machine = fuzz.machine("server")
    machine.start()
    tracemalloc.start()
    for _ in range(300):
        machine.receive(fuzz.stream(rng, 100))
        machine.take()
    assert tracemalloc.get_traced_memory()[0] < 4 << 20
    tracemalloc.stop()
