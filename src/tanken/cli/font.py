"""`tanken font`: what is not done to a font that exists: making malformed ones, and charstrings out of text.

`hostile` lists the patterns or writes one as a font; `assemble` is the way back of `tanken dis FONT --glyph G --plain`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tanken.base.errors import InputError, UsageError
from tanken.base.records import json_line
from tanken.cli import fonts


def arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="noun", metavar="WORD", required=True)
    hostile = words.add_parser("hostile", help="malformed fonts by pattern")
    hostile.add_argument("pattern", nargs="?", help="a pattern (default: list them)")
    hostile.add_argument("-o", "--output", metavar="FILE", help="where the font goes; a folder with --all")
    hostile.add_argument("--all", action="store_true", help="every pattern, into the folder FILE")
    hostile.add_argument("--bare", action="store_true", help="the CFF table alone")
    hostile.add_argument("--json", action="store_true", help="the list as one object a line")
    assemble = words.add_parser("assemble", help="the bytes of a charstring's text")
    assemble.add_argument("source", metavar="FILE", help="text, or - for the standard input")
    assemble.add_argument("-o", "--output", metavar="FILE", help="where the bytes go (default: hexadecimal on the standard output)")


def run(options: argparse.Namespace) -> int:
    return _hostile(options) if options.noun == "hostile" else _assemble(options)


def _hostile(options: argparse.Namespace) -> int:
    from tanken.font import hostile

    if options.all or options.pattern:
        if not options.output:
            raise UsageError("a font without a place", wanted="-o FILE")
        if not options.all:
            fonts.write(options.output, hostile.make(options.pattern, options.bare))
            return 0
        Path(options.output).mkdir(parents=True, exist_ok=True)
        for name in hostile.patterns():
            fonts.write(f"{options.output}/{name}.{'cff' if options.bare else 'otf'}", hostile.make(name, options.bare))
        return 0
    for pattern in hostile.patterns().values():
        print(json_line({"pattern": pattern.name, "what": pattern.what, "rule": pattern.rule}) if options.json else f"{pattern.name:<24} {pattern.rule:<20} {pattern.what}")
    return 0


def _assemble(options: argparse.Namespace) -> int:
    from tanken.isa.charstring.text import assemble

    try:
        text = sys.stdin.read() if options.source == "-" else Path(options.source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(getattr(error, "strerror", None) or "no text", where=options.source, wanted="a file of text") from error
    code = assemble(text, options.source)
    if options.output:
        fonts.write(options.output, code)
    else:
        print(code.hex())
    return 0
