"""KERBEROS_V5 against telnet and telnetd of MIT's krb5-appl, with a realm on loopback: tickets, checksums, mutual proof, both ends.

`python -m tests.oracle.krb5_appl SOURCE`; SOURCE is its source tree (https://github.com/krb5/krb5-appl), of 2012, RFC 2942. It is built into the folder
`peers` of the virtual environment (Debian: gcc, make, autoconf, libkrb5-dev, libncurses-dev, krb5-kdc, krb5-admin-server, krb5-user); root on Linux only.
Two numbers in it are changed, since it has never met a session key other than DES: the type of ticket that its client asks for, and the
usage of the key under which its server checks the checksum (RFC 4120 section 7.5.1). Its ENCRYPT has DES alone, which today's Kerberos has not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pexpect

from tanken import telnet
from tanken.telnet import profile
from tests.oracle.stanford import greet, run, telnetd
from tests.parts.telnet.peers import OurServer, inetd
from tests.parts.telnet.realm import Realm

HOME = Path(sys.prefix) / "peers" / "krb5-appl"
CHANGES = (("creds.keyblock.enctype=ENCTYPE_DES_CBC_CRC;", "creds.keyblock.enctype=0;"), ("cksum->checksum_type,", "10,"))


def build(source: Path) -> None:
    """telnet and telnetd."""
    if (HOME / "telnet/telnetd/telnetd").exists():
        return
    print(f"building in {HOME}", flush=True)
    shutil.copytree(source, HOME, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
    path = HOME / "telnet/libtelnet/kerberos5.c"
    text = path.read_text()
    for old, new in CHANGES:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)
    run(HOME, "autoreconf", "-fi")
    run(HOME, "./configure", "CC=gcc -std=gnu89 -fcommon -w")
    for folder in ("libmissing", "libpty", "telnet/libtelnet", "telnet/telnetd", "telnet/telnet"):
        run(HOME / folder, "make", "CFLAGS=-O2 -w -fcommon", "CC=gcc -std=gnu89 -w")


def our_client() -> str:
    """Our client with their server: a shell behind it."""
    port = inetd(*telnetd(HOME))
    try:
        with telnet.blocking.connect("127.0.0.1", port, kerberos=True, user="amy", hostname="localhost", means=frozenset(("tls",))) as session:
            session.expect("hello from login", timeout=10)
            session.write("echo $((6*7))\r")
            session.expect("42\r?\n", timeout=10)
            return f"yes, as {session.machine.user}"
    except telnet.SessionError as error:
        return f"no: {error}"


def their_client(keytab: str) -> str:
    """Their client with our server."""
    server = OurServer(lambda: profile.server(keytab=keytab, means=frozenset(("tls",))), greet)
    child = pexpect.spawn(str(HOME / "telnet/telnet/telnet"), ["-a", "-l", "amy", "localhost", str(server.port)], timeout=10, encoding="latin-1")
    try:
        child.expect("name: ")
        child.send("bob\r")
        child.expect("hello bob")
    except (pexpect.TIMEOUT, pexpect.EOF):
        return f"no: {str(child.before)[-300:]!r}"
    finally:
        child.close(force=True)
    return f"yes, as {server.sessions.get(timeout=10).machine.user}"


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("source", type=Path)
    build(parser.parse_args().source)
    with tempfile.TemporaryDirectory() as folder:
        realm = Realm(Path(folder))
        os.environ.update(realm.environ)
        try:
            results = {"our client, their server": our_client(), "their client, our server": their_client(realm.keytab)}
        finally:
            realm.close()
    for name, result in results.items():
        print(f"{name}: {result}")
    return 0 if all(result == "yes, as amy" for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
