"""The Secure Remote Password exchange of TELNET: SRP-3 with SHA-1, and the file of verifiers.

RFC 2945 (the computation) and RFC 2944 (how TELNET carries it). This is not SRP-6: B = v + g^b, without a multiplier.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tanken.base.errors import InputError, UsageError
from tanken.base.records import Record

# RFC 5054 Appendix A, the 2,048-bit group: a safe prime of which 2 is a primitive root
N_2048 = int(
    "AC6BDB41324A9A9BF166DE5E1389582FAF72B6651987EE07FC3192943DB56050A37329CBB4A099ED8193E0757767A13DD52312AB4B03310DCD7F48A9DA04FD5"
    "0E8083969EDB767B0CF6095179A163AB3661A05FBD5FAAAE82918A9962F0B93B855F97993EC975EEAA80D740ADBF4FF747359D041D5C33EA71D281E446B14773"
    "BCA97B43A23FB801676BD207A436C6481F1D2B9078717461A5B9D32E688F87748544523B524B0D57D5EA77A2775D2ECFA032CFBDBF52FB3786160279004E57AE"
    "6AF874E7303CE53299CCC041C7BC308D82A5698F3A8D0C38271AE35F8E9DBFBB694B5C803D89F7AE435DE236D525F54759B65E372FCD68EF20FA7111F9E4AFF73", 16,
)  # fmt: skip
G_2048 = 2
MINIMUM = 1024  # bits of N that we accept; RFC 2944 section 5 rejects below 512 and recommends 1,024
MAXIMUM = 8192


@dataclass(frozen=True, slots=True, repr=False)
class Verifier(Record):
    """What a server keeps of a user's password: v = g^x mod N, and the salt."""

    user: str
    n: int
    g: int
    salt: bytes
    v: int


def octets(value: int) -> bytes:
    """Big-endian, without leading zeros (RFC 2944 section 2)."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def sha1(*parts: bytes) -> bytes:
    """SHA-1 of the parts in a row."""
    return hashlib.sha1(b"".join(parts), usedforsecurity=True).digest()


def private_key(user: str, password: str, salt: bytes) -> int:
    """x = SHA1(s | SHA1(U ":" P)) (RFC 2945 section 3)."""
    return int.from_bytes(sha1(salt, sha1(user.encode(), b":", password.encode())), "big")


def make_verifier(user: str, password: str, salt: bytes | None = None, n: int = N_2048, g: int = G_2048) -> Verifier:
    """The verifier of a password, with a fresh salt unless one is given."""
    salt = salt or secrets.token_bytes(16)
    return Verifier(user, n, g, salt, pow(g, private_key(user, password, salt), n))


@cache
def check_group(n: int, g: int) -> str:
    """Why the group must not be used (RFC 2944 section 5), or "": size, safe prime, primitive root."""
    if not MINIMUM <= n.bit_length() <= MAXIMUM:
        return f"N of {n.bit_length()} bits, wanted {MINIMUM} to {MAXIMUM}"
    if (n, g) == (N_2048, G_2048):
        return ""
    if not _prime(n) or not _prime((n - 1) // 2):
        return "N is not a safe prime"
    if not 1 < g < n - 1 or pow(g, (n - 1) // 2, n) == 1:
        return "g is not a primitive root"
    return ""


def _prime(n: int) -> bool:
    """Miller and Rabin's test, 24 random bases."""
    if n < 4 or n % 2 == 0:
        return n in (2, 3)
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(24):
        x = pow(secrets.randbelow(n - 3) + 2, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def session_key(secret: int, as_written: bool = False) -> bytes:
    """The 40 octets of SHA_Interleave(S), as libsrp does it: every second octet from the end backwards.

    RFC 2945 section 3.1 takes them from the front (`as_written`); its own author's library, which is what telnetd, telnet and Kermit are linked
    with, never did, so that a key made by the text alone is refused by all of them.
    """
    data = octets(secret)
    data = data[len(data) % 2 :]
    halves = (data[::2], data[1::2]) if as_written else (data[::-2], data[-2::-2])
    return bytes(octet for pair in zip(sha1(halves[0]), sha1(halves[1]), strict=True) for octet in pair)


def proof(user: str, salt: bytes, n: int, g: int, a: int, b: int, key: bytes, extra: bytes) -> bytes:
    """M (RFC 2945 section 3); `extra` follows K (RFC 2944 section 2 and 4: type and modifier; here also the channel's binding)."""
    groups = bytes(x ^ y for x, y in zip(sha1(octets(n)), sha1(octets(g)), strict=True))
    return sha1(groups, sha1(user.encode()), salt, octets(a), octets(b), key, extra)


class Client:
    """The client's part: `a_public`, then `respond`, then `check`."""

    def __init__(self, user: str, password: str) -> None:
        self.user, self.password = user, password
        self.key = b""
        self._n = self._g = self._a = self.a_public = 0
        self._salt = self._m = b""

    def parameters(self, n: int, g: int, salt: bytes) -> int:
        """Takes PARAMS, gives A. Raises InputError for a group that must not be used."""
        reason = check_group(n, g)
        if reason:
            raise InputError(reason, wanted="a group as RFC 2944 section 5 asks for")
        self._n, self._g, self._salt = n, g, salt
        self._a = secrets.randbits(256) | 1 << 255
        self.a_public = pow(g, self._a, n)
        return self.a_public

    def respond(self, b_public: int, extra: bytes) -> bytes:
        """Takes B, gives M. Raises InputError when B is 0 modulo N."""
        n = self._n
        if not n or b_public % n == 0:
            raise InputError("B is 0 modulo N, or came before the parameters", wanted="a challenge (RFC 2945 section 3)")
        u = int.from_bytes(sha1(octets(b_public))[:4], "big")
        x = private_key(self.user, self.password, self._salt)
        secret = pow((b_public - pow(self._g, x, n)) % n, self._a + u * x, n)
        self.key = session_key(secret)
        self._m = proof(self.user, self._salt, n, self._g, self.a_public, b_public, self.key, extra)
        return self._m

    def check(self, answer: bytes) -> bool:
        """Whether the server's proof is right: it knows the verifier."""
        return bool(self._m) and hmac.compare_digest(answer, sha1(octets(self.a_public), self._m, self.key))


class Server:
    """The server's part for one verifier: `challenge`, then `check`."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier
        self.key = b""  # once `check` is content
        self._keys: tuple[bytes, ...] = ()  # as libsrp interleaves, as RFC 2945 is written
        self._a = self._b_public = 0

    def challenge(self, a_public: int) -> int:
        """Takes A, gives B. Raises InputError when A is 0 modulo N."""
        v = self.verifier
        if a_public % v.n == 0:
            raise InputError("A is 0 modulo N", wanted="a public key (RFC 2945 section 3)")
        while True:
            b = secrets.randbits(256) | 1 << 255
            b_public = (v.v + pow(v.g, b, v.n)) % v.n
            if b_public:
                break
        u = int.from_bytes(sha1(octets(b_public))[:4], "big")
        secret = pow(a_public * pow(v.v, u, v.n) % v.n, b, v.n)
        self._keys = session_key(secret), session_key(secret, as_written=True)
        self._a, self._b_public = a_public, b_public
        return b_public

    @property
    def challenged(self) -> bool:
        """Whether B went out."""
        return bool(self._keys)

    def check(self, m: bytes, extra: bytes) -> bytes | None:
        """The server's own proof, or None when the client's is wrong. Either way of interleaving is taken."""
        v = self.verifier
        for key in self._keys:
            if hmac.compare_digest(m, proof(v.user, v.salt, v.n, v.g, self._a, self._b_public, key, extra)):
                self.key = key
                return sha1(octets(self._a), m, key)
        return None


def decoy(user: str, secret: bytes) -> Verifier:
    """A verifier for a user that does not exist, the same each time: an answer tells nobody who has an account."""
    salt = hmac.digest(secret, user.encode(), "sha256")[:16]
    return Verifier(user, N_2048, G_2048, salt, pow(G_2048, int.from_bytes(hmac.digest(secret, salt, "sha256"), "big"), N_2048))


def read_users(path: str) -> dict[str, Verifier]:
    """The verifiers of a file: lines `user:g:salt:v:N`, hexadecimal, N left out for the 2,048-bit group. Raises InputError."""
    users: dict[str, Verifier] = {}
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(getattr(error, "strerror", None) or str(error), where=path, wanted="a file that tanken telnet passwd made") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split(":")
        try:
            user, g, salt, v = cells[0], int(cells[1], 16), bytes.fromhex(cells[2]), int(cells[3], 16)
            n = int(cells[4], 16) if len(cells) > 4 and cells[4] else N_2048
        except (ValueError, IndexError) as error:
            raise InputError("no line of a user", where=f"{path}:{number}", wanted="user:g:salt:v:N in hexadecimal") from error
        users[user] = Verifier(user, n, g, salt, v)
    return users


def write_user(path: str, verifier: Verifier) -> None:
    """Puts the verifier into the file, in place of an older one of this user; the file is for its owner alone."""
    if not verifier.user or any(c in ":\n\r#" or ord(c) < 32 for c in verifier.user):
        raise UsageError(f"user {verifier.user!r}", wanted="a name without colon, # and control characters")
    users = read_users(path) if os.path.exists(path) else {}
    users[verifier.user] = verifier
    lines = [f"{u.user}:{u.g:x}:{u.salt.hex()}:{u.v:x}:{'' if u.n == N_2048 else format(u.n, 'x')}\n" for u in users.values()]
    fresh = f"{path}.{os.getpid()}.new"
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(lines)
        os.replace(fresh, path)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=path, wanted="a file that can be written") from error
