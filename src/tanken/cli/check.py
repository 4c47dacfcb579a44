"""`tanken check`: a thing against its specification; a check never writes, but `--repair` puts what could be corrected into a new file.

The module that checks a kind stands in CHECKS. Statuses of fonts:
0 nothing above a note, 3 warnings, 4 errors; of discs: 1 something is lost; of machines: 1 two processors differ.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from tanken.base import kinds
from tanken.base.errors import UnsupportedError, UsageError
from tanken.cli import machine_check
from tanken.cli.fonts import check as font

DISC = "tanken.cli.disc_check"
FONT = "tanken.cli.fonts.check"
CHECKS = {"telnet": "tanken.cli.telnet_check", "font": FONT, "pdf": FONT, **dict.fromkeys(("iso", "dvd", "cd", "runs"), DISC)}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thing", nargs="+", metavar="THING",
                        help="a font, a PDF with fonts, telnet://HOST:PORT, a machine (.toml), a disc image; more reads of the same disc are merged with it")  # fmt: skip
    parser.add_argument("--as", dest="kind", metavar="KIND", help=f"take it as one of: {', '.join(kinds.KINDS)}")
    parser.add_argument("--repair", action="store_true", help="of a disc: write what could be corrected to a new file")
    parser.add_argument("-o", "--output", metavar="FILE", help="where --repair writes (default: THING.repaired)")
    parser.add_argument("--ecc", metavar="FILE", help="of a disc: an error correction file of dvdisaster (RS01, RS03)")
    parser.add_argument("--format", metavar="NAME", help="of a disc: its format, where it cannot be recognised")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    font.arguments(parser)
    machine_check.arguments(parser)


def run(options: argparse.Namespace) -> int:
    thing = kinds.recognise(options.thing[0], options.kind)
    if options.lockstep or thing.name.endswith(".toml"):
        return machine_check.run(thing, options)
    disc = bool(options.format or options.ecc or thing.name.endswith((".iso", ".cue", ".ccd", ".udf")))
    module = DISC if disc else CHECKS.get(thing.kind.name)
    if module is None:
        raise UnsupportedError(f"nothing checks {thing.kind.what} yet", wanted=f"one of: {', '.join(CHECKS)}", where=thing.name)
    if module != DISC and (options.repair or options.output or len(options.thing) > 1):
        raise UsageError("--repair, -o and more than one thing are for discs", wanted="one thing", where=thing.name)
    status: int = import_module(module).run(thing, options)
    return status
