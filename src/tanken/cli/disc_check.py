"""What `tanken check` does with discs: counts what is wrong, merges reads, and with --repair writes what the codes could correct.

The work is done by `tanken.disc.saving`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tanken.base import progress
from tanken.base.errors import UsageError
from tanken.base.kinds import Thing


def run(thing: Thing, options: argparse.Namespace) -> int:
    """0 when nothing is lost."""
    from tanken.disc import saving
    from tanken.disc.dvdisaster import create

    if options.output and not options.repair:
        raise UsageError("-o without --repair", wanted="--repair, since a check never writes")
    target = options.output or options.thing[0] + ".repaired"
    inputs = [Path(name).resolve() for name in (*options.thing, *filter(None, [options.ecc]))]
    if options.repair and Path(target).resolve() in inputs:
        raise UsageError(f"output {target}", wanted="a file that is not read from")
    if options.repair and options.thing[0] == "-" and not options.output:
        raise UsageError("no output", wanted="-o FILE with the standard input")
    tell = progress.to(sys.stderr) if sys.stderr.isatty() else progress.silent
    if options.repair:
        with create.written(target) as put:
            out, file = saving.save(options.thing, options.format, options.ecc, tell, put)
        if file is not None and out.ecc_bad:
            create.write_whole(options.ecc + ".repaired", file)
            out.notes.append(f"the error correction file was damaged too: {options.ecc}.repaired")
    else:
        out, _ = saving.save(options.thing, options.format, options.ecc, tell)
    if options.json:
        print(out.to_json())
        return int(out.lost > 0)
    what = f"{out.source}: {out.form}{f', {out.reads} reads' if out.reads > 1 else ''}{f', {out.ecc} data' if out.ecc else ''}"
    print(what)
    print(f"  {out.sectors:,} sectors, {out.bad:,} bad{f', {out.ecc_bad:,} of the error correction' if out.ecc_bad else ''}; {out.lost:,} stay lost")
    if out.corrected_symbols:
        print(f"  {out.corrected_symbols:,} bytes corrected")
    if out.lost_sectors:
        print(f"  lost: {_ranges(out.lost_sectors)}{' ...' if out.lost > len(out.lost_sectors) else ''}")
    for note in out.notes:
        print(f"  note: {note}")
    if options.repair:
        print(f"  written to {target}")
    elif out.bad and not out.lost:
        print("  all of it can be corrected: --repair writes it")
    return int(out.lost > 0)


def _ranges(numbers: list[int]) -> str:
    out: list[list[int]] = []
    for number in numbers:
        if out and number == out[-1][1] + 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in out)
