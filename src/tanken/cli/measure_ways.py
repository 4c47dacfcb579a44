"""What `tanken measure ways` prints: the three ways of running a guest, time and interventions of each.

The measurement stands in `tanken.machine.ways`; docs/machine.md explains it.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tanken.base import progress
from tanken.base.errors import UsageError

if TYPE_CHECKING:
    from tanken.machine.ways import Way

SHOWN = 6  # kinds of interventions
MOST = 1_000_000


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("ways", "`tanken measure ways`: one guest interpreted, translated, and in guest mode")
    group.add_argument("--rounds", metavar="N", type=int, help="rounds of sensitive instructions that the guest makes (default 100)")
    group.add_argument("--work", metavar="N", type=int, help="times that it goes through its loop in each (default 50)")


def run(options: argparse.Namespace) -> int:
    from tanken.machine.ways import Guest, measure

    given = {name: value for name in ("rounds", "work") if (value := getattr(options, name)) is not None}
    for name, value in given.items():
        if not 1 <= value <= MOST:
            raise UsageError(f"--{name} {value}", wanted=f"from 1 to {MOST}")
    guest = Guest(**given)
    found = measure(guest, progress.to(sys.stderr) if sys.stderr.isatty() else progress.silent)
    if options.json:
        for way in found:
            print(way.to_json())
        return 0
    for line in table(found):
        print(line)
    return 0


def table(found: list[Way]) -> list[str]:
    """The ways as lines of text."""
    lines = [f"{'way':<12} {'by':<18} {'ms':>9} {'interventions':>14} {'us each':>8} {'exits':>7}"]
    for way in found:
        each = way.seconds / way.interventions * 1e6 if way.interventions else 0.0
        lines.append(f"{way.way:<12} {way.on:<18} {way.seconds * 1e3:>9.1f} {way.interventions:>14,} {each:>8.2f} {way.exits:>7,}")
    lines.append("")
    for way in found:
        kinds = ", ".join(f"{name} {count:,}" for name, count in list(way.kinds.items())[:SHOWN])
        more = len(way.kinds) - SHOWN
        lines.append(f"{way.way}: {kinds}{f', {more} more kinds' if more > 0 else ''}{f'; {way.note}' if way.note else ''}")
    return lines
