"""AUTHENTICATION by Kerberos 5 with a realm of MIT krb5 on loopback: our two ends, and inetutils' telnetd as the foreign one.

RFC 2942.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.parts.telnet.peers import find, inetd
from tests.parts.telnet.realm import Realm

from tanken import telnet
from tanken.base.errors import InputError
from tanken.telnet import kerberos, profile, tls
from tanken.telnet.events import Authenticated, Encryption, Event, Ready
from tanken.telnet.machine import Machine, connect_machines


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    if not kerberos.available():
        pytest.skip("no libkrb5.so.3 on this machine")
    made = Realm(tmp_path_factory.mktemp("realm"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def environment(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in realm.environ.items():
        monkeypatch.setenv(name, text)


def ends(realm: Realm, user: str = "amy", **fields: object) -> tuple[Machine, Machine]:
    one = Machine(profile.client(user=user, kerberos=True, hostname="localhost", secure="required", **fields))
    return one, Machine(profile.server(keytab=realm.keytab, secure="required"))


def outcome(events: list[Event]) -> list[tuple[str, str, bool]]:
    return [(event.user, event.mechanism, event.ok) for event in events if isinstance(event, Authenticated)]


def test_both_directions_are_encrypted_with_the_subkey(realm: Realm) -> None:
    one, other = ends(realm)
    at_client, at_server = connect_machines(one, other)
    assert outcome(at_client) == outcome(at_server) == [("amy", "KERBEROS_V5", True)]
    assert Ready(True, "amy") in at_client and Ready(True, "amy") in at_server and len(one.session_key) == 32
    assert {event.cipher for event in at_client if isinstance(event, Encryption)} == {"DES3_CFB64"}


def test_another_user_is_rejected(realm: Realm) -> None:
    one, other = ends(realm, user="root")
    at_client, at_server = connect_machines(one, other)
    assert outcome(at_client) == outcome(at_server) == [("root", "KERBEROS_V5", False)] and one.closed and other.closed


def test_no_ticket(realm: Realm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
    one, other = ends(realm)
    (failure,) = [event for event in connect_machines(one, other)[0] if isinstance(event, Authenticated)]
    assert not failure.ok and "Kerberos: " in failure.reason and one.closed


def test_a_changed_pair_and_a_changed_channel(realm: Realm) -> None:
    for sent, wanted in ((b"\2\2", b"\2\0"), (b"\2\2" + b"one", b"\2\2" + b"other")):
        with pytest.raises(InputError, match="changed on the way"):
            kerberos.Server(realm.keytab).accept(kerberos.Client("localhost").request(sent), wanted)
    request = kerberos.Client("localhost").request(b"\2\2")
    assert kerberos.Server(realm.keytab).accept(request, b"\2\6", b"\2\2") == ("amy@TN.TEST", 1)
    with pytest.raises(InputError, match="Replay|Request is a replay"):
        kerberos.Server(realm.keytab).accept(request, b"\2\2")
    for junk in (b"", b"junk", request[:50]):
        with pytest.raises(InputError, match="Kerberos"):
            kerberos.Server(realm.keytab).accept(junk, b"\2\2")


def test_bound_to_tls(realm: Realm, tmp_path: Path) -> None:
    path = str(tmp_path / "a.pem")
    tls.self_signed(path, "localhost")
    one, _ = ends(realm, tls=tls.client_context(verify=False))
    fields = {"keytab": realm.keytab, "tls": tls.server_context(path), "own_certificate": tls.certificate_der(path)}
    at_client, _ = connect_machines(one, Machine(profile.server(**fields)))
    assert outcome(at_client) == [("amy", "KERBEROS_V5", True)] and one.secure
    loose, _ = ends(realm, tls=tls.client_context(verify=False), bound=False)
    assert outcome(connect_machines(loose, Machine(profile.server(**fields)))[1]) == [("amy", "KERBEROS_V5", False)]


def test_inetutils_telnetd_opens_the_ticket(realm: Realm) -> None:
    """A foreign server reads our messages and decrypts the ticket; then telnetd 2.4 fails in its own checking of the checksum.

    It gives the library a key without a type, which MIT krb5 1.20 refuses, whatever kind the checksum is. A later telnetd may accept.
    """
    port = inetd(find("telnetd"), "-a", "valid", "-h", "-E", "/bin/sh")
    events: list[Event] = []

    async def main() -> None:
        async with telnet.connect("127.0.0.1", port, user="amy", kerberos=True, hostname=realm.host, hook=events.append):
            pass

    try:
        asyncio.run(main())
    except telnet.SessionError:
        pass
    (result,) = [event for event in events if isinstance(event, Authenticated)]
    assert result.ok or result.reason == "checksum verification failed: Bad encryption type"
