"""The standard security handler with the empty user password: RC4 and AES, revisions 2 to 6. Documents "with restrictions" are such.

ISO 32000-1, 7.6 (algorithms 1, 2 and 2.A); ISO 32000-2, 7.6.4.3.3 and algorithm 2.B for revisions 5 and 6. The ciphers are those of `cryptography`.
"""

from __future__ import annotations

from hashlib import md5, sha256, sha384, sha512
from typing import Any

from tanken.base.errors import InputError, UnsupportedError

PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def _cipher(name: str) -> Any:
    try:
        from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
    except ImportError as error:
        raise UnsupportedError("an encrypted PDF without the package cryptography", wanted="cryptography", hint="pip install 'tanken[pdf]'") from error
    return ARC4 if name == "RC4" else AES


def rc4(key: bytes, data: bytes) -> bytes:
    """RC4, both ways."""
    from cryptography.hazmat.primitives.ciphers import Cipher

    worker = Cipher(_cipher("RC4")(key), None).encryptor()
    return bytes(worker.update(data) + worker.finalize())


def aes(key: bytes, vector: bytes, data: bytes, encrypt: bool = False) -> bytes:
    """AES in CBC mode, without padding; a last block that is cut is left out."""
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    cipher = Cipher(_cipher("AES")(key), modes.CBC(vector))
    worker = cipher.encryptor() if encrypt else cipher.decryptor()
    return bytes(worker.update(data[: len(data) // 16 * 16]) + worker.finalize())


class Security:
    """What the dictionary /Encrypt says; raises UnsupportedError where another password or handler is wanted."""

    def __init__(self, entries: dict[str, Any], identifier: bytes, where: str) -> None:
        self.entries, self.where = entries, where
        if entries.get("Filter") != "Standard":
            raise UnsupportedError(f"a PDF encrypted by {entries.get('Filter')}", wanted="the standard security handler (ISO 32000-1, 7.6.3)", where=where)
        self.version, self.revision = self._number("V", 0), self._number("R", 0)
        self.method = self._method()
        if self.version not in (1, 2, 4, 5):
            raise UnsupportedError(f"encryption of version {self.version}", wanted="1, 2, 4 or 5", where=where)
        _cipher("AES")
        self.key = self._modern() if self.version == 5 else self._old(identifier)

    def _number(self, name: str, otherwise: int) -> int:
        value = self.entries.get(name, otherwise)
        return value if isinstance(value, int) else otherwise

    def _bytes(self, name: str) -> bytes:
        value = self.entries.get(name)
        if not isinstance(value, bytes):
            raise InputError(f"an encryption dictionary without /{name}", wanted="a string", where=self.where)
        return value

    def _method(self) -> str:
        """How streams are encrypted: RC4, AES or not at all."""
        if self._number("V", 0) < 4:
            return "RC4"
        named = self.entries.get("StmF", "Identity")
        filters = self.entries.get("CF")
        one = filters.get(named) if isinstance(filters, dict) else None
        method = one.get("CFM", "None") if isinstance(one, dict) else "None"
        if named == "Identity" or method == "None":
            return "none"
        if method not in ("V2", "AESV2", "AESV3"):
            raise UnsupportedError(f"the crypt filter {method}", wanted="V2, AESV2 or AESV3", where=self.where)
        return "RC4" if method == "V2" else "AES"

    def _refuse(self) -> UnsupportedError:
        return UnsupportedError("a PDF encrypted with a password", wanted="one that opens without a password", where=self.where, hint="qpdf --password=... --decrypt makes one")

    def _old(self, identifier: bytes) -> bytes:
        """Algorithm 2; the password is tested by algorithms 4 and 5."""
        size = 5 if self.revision < 3 else min(max(self._number("Length", 40 if self.version < 4 else 128) // 8, 5), 16)
        digest = md5(PADDING + self._bytes("O")[:32] + (self._number("P", 0) & 0xFFFFFFFF).to_bytes(4, "little") + identifier, usedforsecurity=False)
        if self.revision >= 4 and self.entries.get("EncryptMetadata") is False:
            digest.update(b"\xff\xff\xff\xff")
        key = digest.digest()
        for _ in range(50 if self.revision >= 3 else 0):
            key = md5(key[:size], usedforsecurity=False).digest()
        key = key[:size]
        if self.revision < 3:
            proof, wanted = rc4(key, PADDING), self._bytes("U")[:32]
        else:
            proof, wanted = md5(PADDING + identifier, usedforsecurity=False).digest(), self._bytes("U")[:16]
            for i in range(20):
                proof = rc4(bytes(byte ^ i for byte in key), proof)
        if proof != wanted:
            raise self._refuse()
        return key

    def _modern(self) -> bytes:
        """Algorithm 2.A: the user key holds a hash, two salts, and the file's key is encrypted with the second hash."""
        user, wrapped = self._bytes("U"), self._bytes("UE")
        if len(user) < 48 or len(wrapped) < 32:
            raise InputError(f"user keys of {len(user)} and {len(wrapped)} bytes", wanted="48 and 32", where=self.where)
        if self._hash(user[32:40]) != user[:32]:
            raise self._refuse()
        return aes(self._hash(user[40:48]), bytes(16), wrapped[:32])

    def _hash(self, salt: bytes) -> bytes:
        """Algorithm 2.B for the empty password; revision 5 stops at its first step."""
        key = sha256(salt).digest()
        if self.revision < 6:
            return key
        block, turn = b"", 0
        while turn < 64 or block[-1] > turn - 32:
            block = aes(key[:16], key[16:32], key * 64, encrypt=True)
            key = (sha256, sha384, sha512)[sum(block[:16]) % 3](block).digest()
            turn += 1
        return key[:32]

    def decrypt(self, data: bytes, number: int, generation: int) -> bytes:
        """The bytes of a stream; algorithm 1: the object's number is part of its key but in version 5."""
        if self.method == "none":
            return data
        key = self.key
        if self.version < 5:
            salt = b"sAlT" if self.method == "AES" else b""
            extended = key + number.to_bytes(3, "little") + generation.to_bytes(2, "little") + salt
            key = md5(extended, usedforsecurity=False).digest()[: min(len(key) + 5, 16)]
        if self.method == "RC4":
            return rc4(key, data)
        if len(data) < 32:
            return b""
        out = aes(key, data[:16], data[16:])
        return out[: -out[-1]] if out and 1 <= out[-1] <= 16 else out
