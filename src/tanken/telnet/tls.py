"""TLS as one more layer between octets: no socket, so that a ClientHello in the segment of FOLLOWS is read like any other octets.

The standard library's `ssl` over memory; draft-altman-telnet-starttls-02; RFC 5929 section 4 for the channel binding.
"""

from __future__ import annotations

import hashlib
import ssl

from tanken.base.errors import InputError, UnsupportedError
from tanken.telnet.events import Tls

PIECE = 1 << 16


class TlsLayer:
    """One end of a TLS connection."""

    def __init__(self, context: ssl.SSLContext, server: bool, hostname: str | None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=None if server else hostname)
        self.established = False
        self.ended = False

    def receive(self, data: bytes) -> bytes:
        """Takes octets from the wire, gives clear ones. Raises ssl.SSLError when the handshake or a record fails."""
        self._in.write(data)
        if not self.established:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.established = True
        pieces = []
        while True:
            try:
                piece = self._object.read(PIECE)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                self.ended = True
                break
            if not piece:
                self.ended = True
                break
            pieces.append(piece)
        return b"".join(pieces)

    def start(self) -> None:
        """Begins the handshake."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            pass

    def write(self, data: bytes) -> None:
        """Encrypts octets of ours."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]

    def close(self) -> None:
        """Says that we send no more."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            pass

    def take(self) -> bytes:
        """Octets for the wire."""
        return self._out.read()

    @property
    def peer_certificate(self) -> bytes:
        """The other side's certificate in DER, or b""."""
        return self._object.getpeercert(binary_form=True) or b""

    def event(self) -> Tls:
        """What was agreed on."""
        cipher = self._object.cipher()
        certificate = self.peer_certificate
        return Tls(self._object.version() or "", cipher[0] if cipher else "", hashlib.sha256(certificate).hexdigest() if certificate else "")


def binding(certificate: bytes) -> bytes:
    """tls-server-end-point: the SHA-256 of the server's certificate (certificates signed with SHA-384 or 512 are hashed so too, unlike RFC 5929)."""
    return b"tls-server-end-point:" + hashlib.sha256(certificate).digest()


def client_context(ca: str | None = None, verify: bool = True, certificate: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """A client's context: verifies the server's certificate unless something else (SRP, a pin) vouches for it."""
    context = ssl.create_default_context(cafile=ca)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        _load(context, certificate, key)
    return context


def server_context(certificate: str, key: str | None = None, ca: str | None = None) -> ssl.SSLContext:
    """A server's context; with `ca` clients must have a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, certificate, key)
    if ca:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(getattr(error, "strerror", None) or str(error), where=certificate, wanted="a certificate and its key in PEM") from error


def certificate_der(path: str) -> bytes:
    """The first certificate of a PEM file, in DER. Raises InputError."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read()
        begin = text.index("-----BEGIN CERTIFICATE-----")
        end = text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
        return ssl.PEM_cert_to_DER_cert(text[begin:end])
    except (OSError, ValueError) as error:
        raise InputError(str(error), where=path, wanted="a certificate in PEM") from error


def self_signed(path: str, name: str, days: int = 30) -> None:
    """Writes a fresh key and a certificate that it signs into `path` (PEM, for the owner alone). Raises UnsupportedError without the library."""
    try:
        import datetime
        import os

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise UnsupportedError("no library to make a certificate with", wanted="--certificate FILE, or pip install tanken[telnet]") from error
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=days)).add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    certificate = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(pem + certificate.public_bytes(serialization.Encoding.PEM))
