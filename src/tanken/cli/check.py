"""`tanken check`: a thing against its specification; a check never writes.

The module that checks a kind stands in CHECKS. Statuses of fonts: 0 nothing above a note, 3 warnings, 4 errors.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from tanken.base import kinds
from tanken.base.errors import UnsupportedError
from tanken.cli.fonts import check as font

CHECKS = {"telnet": "tanken.cli.telnet_check", "font": "tanken.cli.fonts.check", "pdf": "tanken.cli.fonts.check"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thing", metavar="THING", help="a font, a PDF with fonts, telnet://HOST:PORT")
    parser.add_argument("--as", dest="kind", metavar="KIND", help=f"take it as one of: {', '.join(kinds.KINDS)}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    font.arguments(parser)


def run(options: argparse.Namespace) -> int:
    thing = kinds.recognise(options.thing, options.kind)
    if thing.kind.name not in CHECKS:
        raise UnsupportedError(f"nothing checks {thing.kind.what} yet", wanted=f"one of: {', '.join(CHECKS)}", where=thing.name)
    status: int = import_module(CHECKS[thing.kind.name]).run(thing, options)
    return status
