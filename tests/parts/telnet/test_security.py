"""Authentication and encryption between our own two ends: what is agreed, what is refused, and what a man in the middle can do.

RFC 2941, 2944, 2945, 2946; draft-altman-telnet-starttls-02; RFC 5929.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.parts.telnet.test_ciphers import STANFORD

from tanken.base.errors import InputError
from tanken.telnet import codes as c
from tanken.telnet import encryption, profile, srp, tls
from tanken.telnet.events import Authenticated, Closed, Data, Encryption, Event, Ready, Suboption, Tls, Violation, Warning, octets_of
from tanken.telnet.machine import Machine, connect_machines

AMY = srp.make_verifier("amy", "secret")
USERS = {"amy": AMY}.get
TYPES = sorted(set(c.ENCRYPT_TYPES.by_number) - {0})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("tls")
    paths = [str(folder / name) for name in ("a.pem", "b.pem")]
    for path in paths:
        tls.self_signed(path, "localhost")
    return paths


def client(**fields: object) -> Machine:
    return Machine(profile.client(**{"user": "amy", "password": "secret", "secure": "required", **fields}))


def server(path: str = "", **fields: object) -> Machine:
    if path:
        fields = {"tls": tls.server_context(path), "own_certificate": tls.certificate_der(path), **fields}
    return Machine(profile.server(**{"verifiers": USERS, **fields}))


def of(events: list[Event], kind: type) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("as_bsd", [False, True], ids=["as written", "as BSD"])
@pytest.mark.parametrize("kind", TYPES, ids=[c.ENCRYPT_TYPES.name(kind) for kind in TYPES])
def test_every_cipher_both_ways(kind: int, as_bsd: bool) -> None:
    one, other = client(ciphers=(kind,), ofb_as_bsd=as_bsd), server(ciphers=(kind,), secure="required", ofb_as_bsd=as_bsd)
    at_client, at_server = connect_machines(one, other)
    name = c.ENCRYPT_TYPES.name(kind)
    for events in (at_client, at_server):
        assert {(e.direction, e.cipher) for e in of(events, Encryption) if isinstance(e, Encryption)} == {("in", name), ("out", name)}
        assert of(events, Ready) == [Ready(True, "amy")] and any("old cipher" in e.text for e in of(events, Warning))
    text = b"secret words \xff " * 300
    other.send(text)
    wire = other.take()
    assert b"secret" not in wire and octets_of(one.receive(wire)) == text
    one.send(text)
    assert octets_of(other.receive(one.take())) == text


def test_encryption_ends_and_goes_on_where_it_stood() -> None:
    one, other = client(secure="auto"), server()
    connect_machines(one, other)
    other.request_encryption(False)
    other.send(b"in clear")
    wire = other.take()
    assert wire.endswith(b"in clear")
    events = one.receive(wire)
    assert octets_of(events) == b"in clear" and any("downgrade" in e.text for e in of(events, Warning))
    assert one.status()[2] == "input is clear text"
    other.receive(one.take())
    other.request_encryption(True)
    other.send(b"hidden again")
    wire = other.take()
    assert b"hidden" not in wire and octets_of(one.receive(wire)) == b"hidden again"


def test_a_new_initial_vector_takes_effect_at_its_octet() -> None:
    one, other = client(secure="auto"), server()
    connect_machines(one, other)
    way = other.handler(c.ENCRYPT)
    assert isinstance(way, encryption.EncryptOption) and way.out.cipher is not None
    other.suboption(c.ENCRYPT, bytes((0, way.out.kind, 1)) + b"newvectr")
    way.out.cipher.restart(b"newvectr")
    other.send(b"after the new vector")
    wire = other.take()
    pieces = [wire[i : i + 3] for i in range(0, len(wire), 3)]
    assert octets_of([event for piece in pieces for event in one.receive(piece)]) == b"after the new vector"


def test_ending_required_encryption_ends_the_session() -> None:
    one, other = client(), server()
    connect_machines(one, other)
    other.request_encryption(False)
    assert any("required" in e.text for e in of(one.receive(other.take()), Closed))
    one, other = client(), server()
    connect_machines(one, other)
    one.receive(other.take())
    other.suboption(c.ENCRYPT, b"\x06")  # REQUEST-END
    assert any("refused" in e.text for e in of(one.receive(other.take()), Warning)) and one.encrypted[1]


def test_encrypted_session_in_any_segments() -> None:
    rng = random.Random(5)
    for step in (1, 2, 3, 7, 50):
        one, other = client(), server(secure="required")
        one.start(), other.start()
        other.send(b"banner " * 50)
        got: list[Event] = []
        for _ in range(60):
            for source, target, events in ((one, other, None), (other, one, got)):
                wire = source.take()
                while wire:
                    size = step if step < 50 else rng.randrange(1, 50)
                    new = target.receive(wire[:size])
                    if events is not None:
                        events.extend(new)
                    wire = wire[size:]
        assert octets_of(got) == b"banner " * 50


def test_start_tls_with_srp(certificates: list[str]) -> None:
    one, other = client(tls=tls.client_context(verify=False)), server(certificates[0], secure="required")
    other.send(b"banner")
    at_client, at_server = connect_machines(one, other)
    assert of(at_client, Ready) == of(at_server, Ready) == [Ready(True, "amy")] and octets_of(at_client) == b"banner"
    assert of(at_client, Tls) and not of(at_client, Violation) and not of(at_server, Violation)
    assert one.on(c.NAWS, "us") and not one.on(c.START_TLS, "us")  # negotiated anew, without START_TLS


def test_client_hello_in_the_segment_of_follows(certificates: list[str]) -> None:
    """Everything that the client has to say in one segment, as C-Kermit does it."""
    one, other = client(tls=tls.client_context(verify=False)), server(certificates[0])
    one.start(), other.start()
    one.receive(other.take())
    first = one.take()
    other.receive(first)
    one.receive(other.take())
    hello = one.take()
    assert hello[:3] == b"\x16\x03\x01"
    fresh = server(certificates[0])
    fresh.start()
    fresh.take()
    fresh.receive(first + hello)
    answer = fresh.take()
    assert b"\x16\x03\x03" in answer  # ServerHello


def test_certificate_is_verified(certificates: list[str]) -> None:
    context = tls.client_context(ca=certificates[0])
    one = client(user="", tls=context, hostname="localhost")
    assert Ready(True) in connect_machines(one, server(certificates[0], verifiers=None))[0]
    bad = client(user="", tls=tls.client_context(ca=certificates[0]), hostname="localhost")
    events = connect_machines(bad, server(certificates[1], verifiers=None))[0]
    assert any("TLS failed" in e.text for e in of(events, Closed)) and not of(events, Ready)


def man_in_the_middle(one: Machine, other: Machine, path: str) -> tuple[list[Event], list[Event]]:
    """Ends TLS on both sides with a certificate of its own, and passes on what is inside."""
    near, far = tls.TlsLayer(tls.server_context(path), True, None), tls.TlsLayer(tls.client_context(verify=False), False, None)
    follows = c.framed(c.START_TLS, b"\1")
    events: tuple[list[Event], list[Event]] = (one.start(), other.start())
    events[0].extend(one.receive(bytes((c.IAC, c.DO, c.START_TLS)) + follows))
    events[1].extend(other.receive(bytes((c.IAC, c.WILL, c.START_TLS)) + follows))
    hello = one.take()
    other.take()
    far.start()
    to_near, to_far = hello[hello.index(b"\x16\x03\x01") :], b""
    for _ in range(40):
        inside, outside = near.receive(to_near), far.receive(to_far)
        if inside and far.established:
            far.write(inside)
        if outside:
            near.write(outside)
        events[0].extend(one.receive(near.take()))
        events[1].extend(other.receive(far.take()))
        to_near, to_far = one.take(), other.take()
    return events


def test_srp_is_bound_to_the_channel(certificates: list[str]) -> None:
    """With another certificate in between, the same password does not log in; unbound it would."""
    one, other = client(tls=tls.client_context(verify=False)), server(certificates[0], secure="required")
    at_client, at_server = man_in_the_middle(one, other, certificates[1])
    assert not of(at_client, Ready) and not any(isinstance(e, Authenticated) and e.ok for e in at_server)
    one, other = client(tls=tls.client_context(verify=False), bound=False), server(certificates[0], secure="required", bound=False)
    at_client, at_server = man_in_the_middle(one, other, certificates[1])
    assert any(isinstance(e, Authenticated) and e.ok for e in at_server) and any("man in the middle" in e.text for e in of(at_server, Warning))


@pytest.mark.parametrize("fields", [{"password": "wrong"}, {"user": "bob"}])
def test_wrong_password_and_unknown_user_look_the_same(fields: dict[str, object]) -> None:
    one, other = client(**fields), server()
    at_client, at_server = connect_machines(one, other)
    (result,) = [e for e in at_client if isinstance(e, Authenticated)]
    assert not result.ok and result.reason == "wrong user or password" and one.closed and other.closed and not of(at_server, Ready)


def test_server_without_the_verifier_is_found_out() -> None:
    """The client checks the server's proof: a server that says ACCEPT without knowing the verifier is left."""
    one = client()
    one.start()
    one.receive(bytes((c.IAC, c.DO, c.AUTHENTICATION)) + c.framed(c.AUTHENTICATION, b"\1\5\0"))
    one.take()
    fields = (srp.octets(srp.N_2048), b"\2", b"salt")
    one.receive(c.framed(c.AUTHENTICATION, b"\2\5\0\x09" + b"".join(len(f).to_bytes(2, "big") + f for f in fields)))
    one.receive(c.framed(c.AUTHENTICATION, b"\2\5\0\3" + b"\5"))
    events = one.receive(c.framed(c.AUTHENTICATION, b"\2\5\0\2" + bytes(20)))
    assert [e.ok for e in events if isinstance(e, Authenticated)] == [False] and one.closed


GROUPS = [(2**512 + 1, 2, "bits"), (srp.N_2048 + 2, 2, "safe prime"), (srp.N_2048, 4, "primitive root")]


@pytest.mark.parametrize(("n", "g", "why"), GROUPS, ids=["short", "not safe", "not primitive"])
def test_groups_that_must_not_be_used(n: int, g: int, why: str) -> None:
    with pytest.raises(InputError, match=why):
        srp.Client("amy", "secret").parameters(n, g, b"salt")


def test_public_keys_that_must_not_be_used() -> None:
    with pytest.raises(InputError, match="A is 0"):
        srp.Server(AMY).challenge(AMY.n * 2)
    one = srp.Client("amy", "secret")
    one.parameters(AMY.n, AMY.g, AMY.salt)
    with pytest.raises(InputError, match="B is 0"):
        one.respond(AMY.n, b"")


def test_srp_by_its_formulas() -> None:
    """Both ends against RFC 2945 written out once more, from the exchange as a third one with the password sees it."""
    import hashlib

    def h(data: bytes) -> bytes:
        return hashlib.sha1(data).digest()

    one, other = srp.Client("amy", "secret"), srp.Server(AMY)
    a_public = one.parameters(AMY.n, AMY.g, AMY.salt)
    b_public = other.challenge(a_public)
    m = one.respond(b_public, b"\5\4")
    x = int.from_bytes(h(AMY.salt + h(b"amy:secret")), "big")
    u = int.from_bytes(h(b_public.to_bytes(256, "big").lstrip(b"\0"))[:4], "big")
    secret = pow(b_public - pow(AMY.g, x, AMY.n), one._a + u * x, AMY.n).to_bytes(256, "big").lstrip(b"\0")
    secret = secret[1:] if len(secret) % 2 else secret
    backwards = secret[::-1]  # libsrp's way; RFC 2945 section 3.1 begins at the front
    key = bytes(octet for pair in zip(h(backwards[::2]), h(backwards[1::2]), strict=True) for octet in pair)
    assert len(key) == 40 and key == one.key
    groups = bytes(p ^ q for p, q in zip(h(AMY.n.to_bytes(256, "big")), h(b"\2"), strict=True))
    public = [n.to_bytes(256, "big").lstrip(b"\0") for n in (a_public, b_public)]
    assert m == h(groups + h(b"amy") + AMY.salt + public[0] + public[1] + key + b"\5\4")
    answer = other.check(m, b"\5\4")
    assert answer == h(public[0] + m + key) and one.check(answer) and other.key == key
    written = bytes(octet for pair in zip(h(secret[::2]), h(secret[1::2]), strict=True) for octet in pair)  # a client that follows the text is let in too
    m = h(groups + h(b"amy") + AMY.salt + public[0] + public[1] + written + b"\5\4")
    assert other.check(m, b"\5\4") == h(public[0] + m + written) and other.key == written


def test_srp_of_a_real_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange of our client with Stanford's telnetd, recorded: A, M and the key from the same secret; its proof is taken."""
    (cells,) = [cells for cells in STANFORD if cells[0] == "srp"]
    salt, secret, a_public, b_public, m, proof, key = map(bytes.fromhex, cells[3:])
    monkeypatch.setattr(srp.secrets, "randbits", lambda bits: int.from_bytes(secret, "big"))
    one = srp.Client(cells[1], cells[2])
    assert srp.octets(one.parameters(srp.N_2048, srp.G_2048, salt)) == a_public
    assert one.respond(int.from_bytes(b_public, "big"), b"\5\4") == m and one.key == key
    assert one.check(proof) and not one.check(proof[:-1] + bytes((proof[-1] ^ 1,)))


def test_refusals_of_a_stripped_offer() -> None:
    """Whoever strips DO START_TLS and WILL AUTHENTICATION gets no session where encryption is required, and a warning where it is not."""
    required = Machine(profile.client(secure="required", tls=tls.client_context(verify=False)))
    plain = Machine(profile.server())
    at_client, _ = connect_machines(required, plain)
    assert required.closed and not of(at_client, Data) and not of(at_client, Ready)
    auto = Machine(profile.client(tls=tls.client_context(verify=False)))
    at_client, _ = connect_machines(auto, Machine(profile.server()))
    assert Ready(False) in at_client and any("clear text" in e.text for e in of(at_client, Warning))


def test_data_before_encryption_is_thrown_away() -> None:
    one = Machine(profile.client(secure="required", tls=tls.client_context(verify=False)))
    one.start()
    events = one.receive(b"password: ")
    assert not of(events, Data) and of(events, Violation)
    one.send(b"typed too early")
    assert b"typed" not in one.take()


def test_environment_is_not_told_before_encryption() -> None:
    one = Machine(profile.client(secure="required", tls=tls.client_context(verify=False), environ={"USER": "amy"}, display="x:0"))
    one.start()
    one.take()
    one.receive(bytes((c.IAC, c.DO, c.NEW_ENVIRON, c.IAC, c.DO, c.XDISPLOC)))
    assert one.take() == bytes((c.IAC, c.WONT, c.NEW_ENVIRON, c.IAC, c.WONT, c.XDISPLOC))


def test_silence_ends_or_goes_on() -> None:
    for secure, closed in (("required", True), ("auto", False)):
        machine = Machine(profile.client(secure=secure, tls=tls.client_context(verify=False)))
        machine.start()
        for _ in range(4):
            machine.expire()
        assert machine.closed is closed and (machine.security.phase == "open") is not closed


def test_key_ids_are_bounded() -> None:
    one, other = client(secure="auto"), server()
    connect_machines(one, other)
    other.suboption(c.ENCRYPT, b"\x07" + bytes(100))
    events = one.receive(other.take())
    assert any("CVE-2011-4862" in e.text for e in of(events, Violation)) and not one.take()


def test_users_file(tmp_path: Path) -> None:
    path = str(tmp_path / "users")
    srp.write_user(path, AMY)
    srp.write_user(path, srp.make_verifier("bob", "x"))
    srp.write_user(path, srp.make_verifier("amy", "other"))
    users = srp.read_users(path)
    assert list(users) == ["amy", "bob"] and users["amy"].v != AMY.v and (tmp_path / "users").stat().st_mode & 0o777 == 0o600
    (tmp_path / "users").write_text("amy:nonsense\n")
    with pytest.raises(InputError, match=r"users:1: no line of a user"):
        srp.read_users(path)


def test_encryption_that_was_agreed_on_with_the_authentication_must_come() -> None:
    """RFC 2941 section 1, ENCRYPT_USING_TELOPT: a client that lets the session go on in clear text after it can be talked down."""
    one, other = client(secure="auto"), server(secure="auto", ciphers=())
    at_client, _ = connect_machines(one, other)
    assert one.closed and "agreed on" in "".join(event.text for event in of(at_client, Closed)) and not of(at_client, Ready)
    one, other = client(secure="auto", means=frozenset()), server(secure="auto")  # who cannot encrypt does not agree to it
    at_client, _ = connect_machines(one, other)
    assert of(at_client, Ready) == [Ready(False, "amy")] and b"\5\0" in b"".join(e.payload for e in of(at_client, Suboption) if e.option == c.AUTHENTICATION)
