"""`tanken THING`: says what a thing is, why that is believed, and which commands fit it.

Kinds, their marks and their verbs stand in `base.kinds`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from tanken.base import kinds
from tanken.base.records import json_line


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thing", metavar="THING", help="a file, - for the standard input, x86:MNEMONIC or x86:HEX")
    parser.add_argument("--as", dest="kind", metavar="KIND", help=f"take it as one of: {', '.join(kinds.KINDS)}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(options: argparse.Namespace, verbs: Mapping[str, tuple[str, str]]) -> int:
    """Explains the thing; `verbs` is the command's table, so that only commands that exist are named."""
    thing = kinds.recognise(options.thing, options.kind)
    fitting = [verb for verb in thing.kind.verbs if verb in verbs]
    if options.json:
        print(json_line({"thing": thing.name, "kind": thing.kind, "why": thing.why, "commands": [f"tanken {verb} {thing.name}" for verb in fitting]}))
        return 0
    print(f"{thing.name}: {thing.kind.what}")
    print(f"  because it {thing.why}; the part that knows it is {thing.kind.owner} (--as KIND overrides)")
    for verb in fitting:
        print(f"  tanken {verb} {thing.name:<24}  {verbs[verb][1]}")
    if not fitting:
        print("  no command fits it yet")
    return 0
