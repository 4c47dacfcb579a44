"""`tanken telnet`: connect to a host, serve a program, make a file of users.

Details: docs/telnet.md; what is sent and why: `tanken.telnet`.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import hashlib
import os
import shutil
import ssl
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from tanken.base.errors import InputError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from tanken.telnet.profile import Profile

PASSWORD = "TANKEN_TELNET_PASSWORD"
TOLD_ENVIRON = ("LANG", "COLORTERM", "DISPLAY")  # of our environment, what a client tells when asked


class _BeforeDashes(argparse.ArgumentParser):
    """Leaves what stands behind `--` alone, as the words of a command."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = list(args or ())
        at = words.index("--") if "--" in words else len(words)
        parsed, unknown = super().parse_known_args(words[:at], namespace)
        if at < len(words):
            parsed.command = words[at + 1 :]
        return parsed, unknown


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the three orders."""
    orders = parser.add_subparsers(dest="order", metavar="ORDER", required=True, parser_class=_BeforeDashes)
    connect = orders.add_parser("connect", help="a session with a host", description="A session; ^] gives orders (help, status, break, close).")
    connect.add_argument("host", metavar="HOST", help="a host, or a source route [!]@hop1@hop2:host")
    connect.add_argument("port", metavar="PORT", nargs="?", type=_port, default=23)
    connect.add_argument("--encrypt", choices=("required", "auto", "off"), default="auto", help="refuse clear text, take what is offered (default), or none")
    connect.add_argument("--means", metavar="M", default="tls,encrypt", help="tls (START_TLS), implicit (TLS from the first octet), encrypt (old ciphers); comma between")
    connect.add_argument("--ofb-as-bsd", action="store_true", help="output feedback as old telnets do it, beginning with zeros, and not as the RFCs say")
    connect.add_argument("--user", metavar="NAME", help=f"authenticate by SRP; the password is asked for, or in {PASSWORD}")
    connect.add_argument("--kerberos", action="store_true", help="log in with the Kerberos ticket that kinit got, as --user or as yourself")
    connect.add_argument("--ca", metavar="FILE", help="certificates that vouch for the server's (default: the system's)")
    connect.add_argument("--pin", metavar="SHA256", help="the server's certificate must have this SHA-256")
    connect.add_argument("--certificate", metavar="FILE", help="our own certificate and key, in PEM")
    connect.add_argument("--serial", metavar="SETTING", default="", help="set the serial port behind the host: 9600,8N1,xon (RFC 2217)")
    connect.add_argument("--record", metavar="FILE", help="write the session down: octets of the wire in FILE.pcap, else the screen as an asciicast")
    connect.add_argument("--key-log", metavar="FILE", help="add the session key of the authentication to FILE, for tanken show --key")
    connect.add_argument("--escape", metavar="CHAR", default="^]", help="escape character, such as ^] or ^A; none")
    connect.add_argument("--send-env", metavar="NAMES", default=",".join(TOLD_ENVIRON), help="variables that the server may ask for (default: %(default)s)")
    connect.add_argument("--timeout", metavar="S", type=float, default=20.0, help="seconds for the connection and its security (default: 20)")
    connect.add_argument("--wait", metavar="S", type=float, default=1.0, help="seconds of silence after the standard input has ended (default: 1)")
    connect.add_argument("--quiet", action="store_true", help="only warnings")
    serve = orders.add_parser(
        "serve", help="a program for whoever connects", usage="tanken telnet serve PORT [options] -- COMMAND [argument ...]",
        description="Each session gets the command on a terminal of its own.",
    )  # fmt: skip
    serve.set_defaults(command=[])
    serve.add_argument("port", metavar="PORT", type=_port)
    serving_arguments(serve)
    serve.add_argument("--most", metavar="N", type=int, default=64, help="sessions at a time (default: 64)")
    passwd = orders.add_parser("passwd", help="put a user into a file for --users", description="Writes the user's verifier; the password itself is not kept.")
    passwd.add_argument("file", metavar="FILE")
    passwd.add_argument("user", metavar="USER")


def serving_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen, whom to let in, how to encrypt."""
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="default 127.0.0.1; others want --users, --keytab or --client-ca")
    parser.add_argument("--users", metavar="FILE", help="only these users, by SRP (tanken telnet passwd)")
    parser.add_argument("--keytab", metavar="FILE", help="these users and others of the realm, by Kerberos: the key table of host/NAME")
    parser.add_argument("--encrypt", choices=("required", "auto", "off"), default="auto")
    parser.add_argument("--means", metavar="M", default="tls,encrypt")
    parser.add_argument("--ofb-as-bsd", action="store_true", help="output feedback as old telnets do it")
    parser.add_argument("--certificate", metavar="FILE", help="certificate and key in PEM (default: a fresh self-signed one)")
    parser.add_argument("--client-ca", metavar="FILE", help="clients must have a certificate of this authority")
    parser.add_argument("--compress", action="store_true", help="offer MCCP2 and MCCP3")


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"port {text!r}; wanted 1 to 65535")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Runs the order."""
    return {"connect": _connect, "serve": serve, "passwd": _passwd}[options.order](options)


def _means(text: str) -> frozenset[str]:
    means = frozenset(word for word in text.split(",") if word)
    if not means <= {"tls", "implicit", "encrypt"}:
        raise UsageError(f"--means {text}", wanted="tls, implicit, encrypt, with commas between")
    return means


def _password(user: str, again: bool = False) -> str:
    if PASSWORD in os.environ:
        return os.environ[PASSWORD]
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask for the password", wanted=f"{PASSWORD} in the environment")
    password = getpass.getpass(f"password of {user}: ")
    if again and getpass.getpass("once more: ") != password:
        raise UsageError("the two passwords differ")
    return password


def _escape(text: str) -> int | None:
    if text in ("", "none"):
        return None
    if len(text) == 2 and text[0] == "^":
        return ord(text[1].upper()) & 0x1F
    if len(text) == 1:
        return ord(text)
    raise UsageError(f"--escape {text!r}", wanted="one character, such as ^] or ~, or none")


def client_profile(options: argparse.Namespace) -> Profile:
    """The profile that the options of `connect` ask for."""
    from tanken.telnet import profile, tls

    if options.kerberos and not options.user:
        options.user = getpass.getuser()
    verify = bool(options.ca) or (options.encrypt == "required" and not options.user and not options.pin)
    means = _means(options.means)
    context = None
    if options.encrypt != "off" and means & {"tls", "implicit"}:
        try:
            context = tls.client_context(options.ca, verify, options.certificate)
        except (OSError, ssl.SSLError) as error:
            raise InputError(getattr(error, "strerror", None) or str(error), where=options.ca or "", wanted="certificates in PEM") from error
    size = shutil.get_terminal_size()
    term = os.environ.get("TERM", "")
    names = [name for name in options.send_env.split(",") if name]
    return profile.client(
        secure=options.encrypt, means=means, tls=context, user=options.user or "", password=_password(options.user) if options.user and not options.kerberos else "",
        kerberos=options.kerberos, ofb_as_bsd=options.ofb_as_bsd,
        terminals=(term.upper(),) if term else ("UNKNOWN",), window=(size.columns, size.lines), display=os.environ.get("DISPLAY", "") if "DISPLAY" in names else "",
        environ={name: os.environ[name] for name in names if name in os.environ},
    )  # fmt: skip


def log_key(path: str, key: bytes) -> None:
    """Adds a line to a file for the owner alone. Raises InputError."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="ascii") as file:
            file.write(key.hex() + "\n")
    except OSError as error:
        raise InputError(error.strerror or str(error), where=path, wanted="a file that can be written") from error


def _connect(options: argparse.Namespace) -> int:
    from tanken.telnet import source_route, stream
    from tanken.telnet.events import Event, Tls
    from tanken.telnet.interactive import Client
    from tanken.telnet.recording import open_recording

    route = source_route.parse(options.host)
    profile = client_profile(options)
    recording = open_recording(options.record, *profile.window, options.port) if options.record else None
    client = Client(_escape(options.escape), recording, options.serial, options.quiet, options.wait)
    pin = (options.pin or "").replace(":", "").lower()

    def hook(event: Event) -> None:
        if isinstance(event, Tls) and pin and event.certificate != pin:
            session_error.append(f"the server's certificate has SHA-256 {event.certificate or 'none'}")

    session_error: list[str] = []

    async def main() -> int:
        sock = None
        if route is not None:
            connected = await asyncio.to_thread(source_route.connect, route, options.port, options.timeout)
            sock = connected.sock
            client.say(f"source route {connected.sent.hex(' ')}")
            client.say(f"came back: {connected.came_back.text}" if connected.came_back else connected.why_not)
        tap = recording.wire if recording else None
        host = route.host if route else options.host
        async with stream.connect(host, options.port, profile=profile, hook=hook, tap=tap, sock=sock, timeout=options.timeout) as session:
            if session_error:
                raise InputError(session_error[0], wanted=f"--pin {pin}")
            if not profile.user and session.machine.tls is not None and profile.tls is not None and profile.tls.verify_mode == ssl.CERT_NONE and not pin:
                client.say("warning: the server's certificate was not verified (--encrypt required, --ca or --pin do that)")
            if options.key_log and session.machine.session_key:
                log_key(options.key_log, session.machine.session_key)
            return await client.run(session)

    try:
        return asyncio.run(main())
    finally:
        client.restore()
        if recording is not None:
            recording.close()


def server_profile(options: argparse.Namespace, folder: str) -> dict[str, object]:
    """The fields of the profile that the options of `serve` ask for."""
    from tanken.telnet import codes, kerberos, srp, tls

    fields: dict[str, object] = {"secure": options.encrypt, "means": (means := _means(options.means)), "ofb_as_bsd": options.ofb_as_bsd}
    if options.users:
        users = srp.read_users(options.users)
        fields["verifiers"] = users.get
    if options.keytab:
        if not os.access(options.keytab, os.R_OK):
            raise InputError("cannot be read", where=options.keytab, wanted="a key table (kadmin, ktadd)")
        if not kerberos.available():
            raise UnsupportedError("no Kerberos library", wanted="libkrb5.so.3 (Debian: apt-get install libkrb5-3)")
        fields["keytab"] = options.keytab
    if options.encrypt != "off" and means & {"tls", "implicit"}:
        path = options.certificate
        if path is None:
            path = os.path.join(folder, "certificate.pem")
            try:
                tls.self_signed(path, "localhost" if options.host.startswith("127.") else options.host)
            except UnsupportedError:
                if options.encrypt == "required":
                    raise
                print("no TLS: no --certificate, and no library to make one (pip install tanken[telnet])", file=sys.stderr)
                return fields
        fields["tls"] = tls.server_context(path, None, options.client_ca)
        fields["own_certificate"] = tls.certificate_der(path)
    if options.compress:
        fields["ask_us"] = (codes.ECHO, codes.SGA, codes.BINARY, codes.MCCP2, codes.MCCP3)
    return fields


def serve(options: argparse.Namespace) -> int:
    """Serves `options.command` until it is interrupted."""
    from tanken.telnet import profile, pty_server, serving

    command = options.command
    if not command:
        raise UsageError("no command", wanted="tanken telnet serve PORT -- COMMAND")
    if shutil.which(command[0]) is None:
        raise UsageError(f"no program {command[0]}", wanted="a program in PATH, or its path")

    async def main(fields: dict[str, object]) -> None:
        def make() -> Profile:
            return profile.server(**fields)

        async with await serving.serve(pty_server.program(command), options.host, options.port, profile=make, most=options.most) as server:
            certificate = fields.get("own_certificate")
            pin = f", certificate SHA-256 {hashlib.sha256(certificate).hexdigest()}" if isinstance(certificate, bytes) else ", no TLS"
            print(f"{options.host}:{server.port} serves {' '.join(command)}{pin}", flush=True)
            await server.forever()

    with tempfile.TemporaryDirectory(prefix="tanken-") as folder:
        try:
            asyncio.run(main(server_profile(options, folder)))
        except asyncio.CancelledError:
            pass
    return 0


def _passwd(options: argparse.Namespace) -> int:
    from tanken.telnet import srp

    srp.write_user(options.file, srp.make_verifier(options.user, _password(options.user, again=True)))
    print(f"{options.file}: {options.user} may log in")
    return 0
