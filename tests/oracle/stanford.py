"""SRP and every cipher of ENCRYPT against telnet and telnetd of Stanford's SRP distribution 2.1.2, by the author of RFC 2944, 2945 and 2947 to 2950.

`python -m tests.oracle.stanford SOURCE [--record]`; SOURCE is its source tree (https://github.com/secure-remote-password/stanford-srp). It is built
into the folder `peers` of the virtual environment against today's OpenSSL and GMP (Debian: gcc, make, libssl-dev, libgmp-dev, libncurses-dev);
root on Linux only, since telnetd wants a terminal and a utmp of its own. `--record` writes tests/vectors/telnet-stanford.txt anew.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pexpect

from tanken import telnet
from tanken.telnet import codes as c
from tanken.telnet import encryption, profile, srp
from tanken.telnet.events import Event, Suboption
from tests.parts.telnet.peers import OurServer, inetd

HOME = Path(sys.prefix) / "peers" / "stanford"
VECTORS = Path(__file__).parents[1] / "vectors" / "telnet-stanford.txt"
KINDS = (1, 2, 3, 4, 8, 9, 10, 11)
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz./"  # libsrp's base 64: a number, most significant digit first
CONFIG = "".join(f"#define {name} 1\n" for name in ("ENCRYPTION", "DES_ENCRYPTION", "CAST_ENCRYPTION", "OPENSSL_DES", "OPENSSL_CAST"))
OLD_DES = """\
#include <openssl/des.h>
#include <openssl/rand.h>
void des_random_key(void *k) { DES_random_key(k); }
void des_random_seed(void *k) { RAND_seed(k, 8); }
void des_fixup_key_parity(void *k) { DES_set_odd_parity(k); }
int des_key_sched(void *k, void *s) { DES_set_key_unchecked(k, s); return 0; }
void des_ecb_encrypt(void *i, void *o, void *s, int e) { DES_ecb_encrypt(i, o, s, e); }
void des_ecb3_encrypt(void *i, void *o, void *a, void *b, void *c, int e) { DES_ecb3_encrypt(i, o, a, b, c, e); }
"""
INSIDE = """#!/bin/sh
mount -t tmpfs none /run && : > /run/utmp && exec "$@"
"""
LOGIN = """#!/bin/sh
echo hello from login
exec /bin/sh
"""


def build(source: Path) -> None:
    """libsrp, telnet and telnetd; today's compilers want to be told that this is old C, today's OpenSSL has other names for DES."""
    if (HOME / "telnet/telnetd/telnetd").exists():
        return
    print(f"building in {HOME}", flush=True)
    shutil.copytree(source, HOME, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
    for path in HOME.rglob("*"):
        if path.name in ("configure", "install-sh", "mkinstalldirs", "missing", "config.guess", "config.sub"):
            path.chmod(0o755)
    header = HOME / "libsrp/t_pwd.h"
    header.write_text(header.read_text().replace('"/etc/tpasswd', f'"{HOME}/tpasswd'))
    (HOME / "olddes.c").write_text(OLD_DES)
    (HOME / "old.h").write_text("#include <stdlib.h>\n#include <openssl/des.h>\n#include <openssl/cast.h>\n")
    compiler = f"CC=gcc -std=gnu89 -fcommon -w -include {HOME}/old.h"
    run(HOME / "libsrp", "./configure", "--with-gmp", compiler.replace(f" -include {HOME}/old.h", ""))
    run(HOME / "libsrp", "make", "libsrp.a", compiler)
    run(HOME, "gcc", "-w", "-c", "olddes.c")
    run(HOME, "ar", "cr", "libolddes.a", "olddes.o")
    for name in ("cast.c", "cast.h"):
        shutil.copy(HOME / "cast" / name, HOME / "telnet/libtelnet" / name)
    run(HOME / "telnet", "./configure", "--with-gmp", f"--with-srp={HOME}/libsrp", compiler.replace(f" -include {HOME}/old.h", ""))
    with (HOME / "telnet/config.h").open("a") as file:
        file.write(CONFIG)
    run(HOME / "telnet", "make", compiler, f"LIBS=-L{HOME}/libsrp -lsrp -L{HOME} -lolddes -lgmp -lcrypto -lutil -lresolv -ldl -lncurses")


def run(folder: Path, *command: str) -> None:
    """Runs a step of a build; a last word CC=... goes to configure by the environment."""
    *words, last = command
    environ = dict(os.environ)
    if last.startswith("CC=") and words[0] == "./configure":
        environ["CC"] = last[3:]
        command = tuple(words)
    result = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=600)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} in {folder}: {result.stderr[-2000:]}")


def base64(data: bytes) -> str:
    """A number in libsrp's digits."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        text, number = DIGITS[number & 63] + text, number >> 6
    return text


def prepare() -> list[str]:
    """The password file of user amy; the command of telnetd, in a mount namespace where it finds a utmp."""
    verifier = srp.make_verifier("amy", "secret")
    (HOME / "tpasswd").write_text(f"amy:{base64(srp.octets(verifier.v))}:{base64(verifier.salt)}:1\n")
    (HOME / "tpasswd.conf").write_text(f"1:{base64(srp.octets(verifier.n))}:{base64(srp.octets(verifier.g))}:2048\n")
    return telnetd(HOME)


def telnetd(home: Path) -> list[str]:
    """The command of the telnetd that was built in a folder, with a utmp and a login of its own; users must authenticate."""
    for name, text in (("inside", INSIDE), ("login", LOGIN)):
        (home / name).write_text(text)
        (home / name).chmod(0o755)
    return ["unshare", "-m", str(home / "inside"), str(home / "telnet/telnetd/telnetd"), "-h", "-a", "user", "-L", str(home / "login")]


class Watched:
    """A session of our client with telnetd under one cipher, and what passed."""

    def __init__(self, command: list[str], kind: int) -> None:
        self.kind = kind
        self.wire: dict[bool, bytearray] = {False: bytearray(), True: bytearray()}
        self.parameters: dict[int, bytes] = {}
        self.ivs: dict[str, bytes] = {}
        self.secrets: list[int] = []
        asyncio.run(self._run(inetd(*command)))

    def _hook(self, event: Event) -> None:
        if isinstance(event, Suboption) and event.option == c.AUTHENTICATION and event.payload[0] == 2:
            self.parameters[event.payload[3]] = event.payload[4:]

    async def _run(self, port: int) -> None:
        real = srp.secrets.randbits

        def randbits(bits: int) -> int:
            self.secrets.append(real(bits) | 1 << 255)
            return self.secrets[-1]

        def tap(octets: bytes, sent: bool) -> None:
            self.wire[sent] += octets

        with mock.patch.object(srp.secrets, "randbits", randbits):
            session = await telnet.connect("127.0.0.1", port, user="amy", password="secret", secure="required", ciphers=(self.kind,), ofb_as_bsd=True,
                                           hook=self._hook, tap=tap)  # fmt: skip
        await session.expect("hello from login", timeout=10)
        await session.write("echo $((6*7))\r")
        await session.expect("42\r?\n", timeout=10)
        self.key = session.machine.session_key
        self.encrypted = session.machine.encrypted
        await session.write("exit\r")
        await session.close()

    def vectors(self) -> list[str]:
        """One line a direction: type, who sends, session key, initial vector, cipher octets, clear octets."""
        lines = []
        for sent in (False, True):
            wire = bytes(self.wire[sent]).replace(b"\xff\xff", b"\xff")  # doubled only before START
            mark = c.framed(c.ENCRYPT, b"\3\0")
            raw = bytes(self.wire[sent])
            cipher = raw[raw.index(mark) + len(mark) :][:96]
            at = wire.index(bytes((c.IAC, c.SB, c.ENCRYPT, 0, self.kind, 1))) + 6
            iv = wire[at : at + 8]
            key = encryption.direction_key(self.kind, self.key, sent, as_bsd=True)
            clear = encryption.make_cipher(self.kind, key, bytes(8) if encryption.is_ofb(self.kind) else iv).decrypt(cipher)
            lines.append(f"cipher {self.kind} {'client' if sent else 'server'} {self.key.hex()} {iv.hex()} {cipher.hex()} {clear.hex()}")
        return lines

    def exchange(self) -> str:
        """The line of the SRP exchange: salt, our secret, A, B, M, the server's proof, the session key."""
        salt = self.parameters[9][-16:] if self.parameters[9][-18:-16] == b"\0\x10" else b""
        client = srp.Client("amy", "secret")
        with mock.patch.object(srp.secrets, "randbits", lambda bits: self.secrets[0]):
            a_public = client.parameters(srp.N_2048, srp.G_2048, salt)
        b_public = int.from_bytes(self.parameters[3], "big")
        m = client.respond(b_public, b"\5\4")
        assert client.check(self.parameters[2])
        cells = (salt, srp.octets(self.secrets[0]), srp.octets(a_public), self.parameters[3], m, self.parameters[2], client.key)
        return "srp amy secret " + " ".join(cell.hex() for cell in cells)


async def greet(session: telnet.Session) -> None:
    """What our server does."""
    await session.write("name: \n")
    await session.write(b"hello " + (await session.read_line()).strip() + b"\r\n")
    await session.read_all()


def their_client(kind: int) -> str:
    """Stanford's telnet with our server: its name of the cipher, or why not (it takes no OFB unless told to)."""
    verifier = srp.make_verifier("amy", "secret")

    server = OurServer(lambda: profile.server(verifiers={"amy": verifier}.get, secure="required", ciphers=(kind,), ofb_as_bsd=True), greet)
    child = pexpect.spawn(str(HOME / "telnet/telnet/telnet"), ["-x", "-l", "amy", "127.0.0.1", str(server.port)], timeout=8, encoding="latin-1")
    try:
        child.expect("assword: ")
        time.sleep(0.3)
        child.send("secret\n")
        child.expect("name: ")
        child.send("bob\r")
        child.expect("hello bob")
        return "yes"
    except (pexpect.TIMEOUT, pexpect.EOF):
        return "no" if "no cipher in common" not in str(child.before) else "not offered by their client"
    finally:
        child.close(force=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    build(options.source)
    command = prepare()
    lines: list[str] = []
    failed = 0
    print("cipher            our client, their server   their client, our server")
    for kind in KINDS:
        try:
            watched = Watched(command, kind)
            mine = "yes" if all(watched.encrypted) else "no"
            lines += [*([] if lines else [watched.exchange()]), *watched.vectors()]
        except telnet.SessionError as error:
            mine = f"no: {error}"
        theirs = their_client(kind)
        failed += (mine != "yes") + (theirs == "no")
        print(f"{c.ENCRYPT_TYPES.name(kind):17} {mine:26} {theirs}", flush=True)
    if options.record:
        head = VECTORS.read_text().split("srp amy", 1)[0] if VECTORS.exists() else ""
        VECTORS.write_text(head + "\n".join(lines) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
