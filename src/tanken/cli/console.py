"""`--console telnet:PORT`: a machine's serial line, or a program, for whoever connects by TELNET.

The settings behind the port are the options of `tanken telnet serve`; docs/telnet.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from typing import TYPE_CHECKING

from tanken.base.errors import UsageError

if TYPE_CHECKING:
    from tanken.telnet.console import Line

FORM = "telnet:PORT with ,encrypt=required ,users=FILE ,keytab=FILE ,client-ca=FILE ,certificate=FILE ,host=ADDRESS"


def _parse(text: str) -> tuple[int, argparse.Namespace]:
    """The port and the options of `serve` behind it. Raises UsageError."""
    from tanken.cli import telnet as verb

    port, *settings = text.removeprefix("telnet:").split(",")
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    verb.serving_arguments(parser)
    try:
        options, rest = parser.parse_known_args([f"--{setting}" for setting in settings])
    except (argparse.ArgumentError, SystemExit) as error:
        raise UsageError(f"console {text!r}: {error}", wanted=FORM) from error
    if not text.startswith("telnet:") or rest or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"console {text!r}", wanted=FORM)
    return int(port), options


def serve_program(text: str, words: list[str]) -> int:
    """`tanken run --console telnet:PORT PROGRAM`: each session gets the program on a terminal of its own, as `tanken telnet serve` does it."""
    from tanken.cli import telnet as verb

    port, options = _parse(text)
    options.port, options.most, options.command = port, 64, [sys.executable, "-m", "tanken", "run", *words]
    return verb.serve(options)


def telnet_line(text: str) -> Line:
    """The line that `telnet:PORT,NAME=VALUE...` describes, which listens already; says where, and the certificate, on standard error."""
    from tanken.cli import telnet as verb
    from tanken.telnet import profile
    from tanken.telnet.console import Line

    port, options = _parse(text)
    with tempfile.TemporaryDirectory(prefix="tanken-") as folder:
        fields = verb.server_profile(options, folder)
    line = Line(port, options.host, profile=lambda: profile.server(**fields))
    certificate = fields.get("own_certificate")
    pin = f", certificate SHA-256 {hashlib.sha256(certificate).hexdigest()}" if isinstance(certificate, bytes) else ", no TLS"
    print(f"console: telnet {options.host} {line.port}{pin}", file=sys.stderr, flush=True)
    return line
