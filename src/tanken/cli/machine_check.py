"""What `tanken check machine.toml --lockstep` prints: two processors run the machine, and the first difference is shown.

The comparison stands in `tanken.hypervisor.lockstep`; docs/machine.md says what is compared.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from tanken.base import progress
from tanken.base.errors import InputError, UsageError
from tanken.base.kinds import Thing
from tanken.base.records import json_line

EVERY = 50  # comparisons between two events of progress


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of machines."""
    group = parser.add_argument_group("machines")
    group.add_argument("--lockstep", action="store_true", help="of a machine (.toml): run it on two processors, and show the first difference")
    group.add_argument("--cpus", metavar="A,B", help="which two: kvm,native (where there is KVM), kvm,reference or native,reference")
    group.add_argument("--exits", metavar="N", type=int, help="stop after so many equal exits (default: when the machine ends, or Ctrl-A x, or Ctrl-C)")


def description_of(thing: Thing, **settings: Any) -> Any:
    """The machine that the file describes; raises InputError."""
    from tanken.machine.description import Description, parse

    try:
        return Description(**({"where": thing.name} | parse(thing.data.decode(), thing.name) | settings))
    except UnicodeDecodeError as error:
        raise InputError(str(error), where=thing.name, wanted="a description of a machine in TOML") from error


def run(thing: Thing, options: argparse.Namespace) -> int:
    """0 where nothing differed, 1 where something did, 130 when interrupted."""
    if not options.lockstep:
        raise UsageError("a machine", where=thing.name, wanted="--lockstep", hint="tanken check machine.toml --lockstep")
    if options.exits is not None and options.exits < 1:
        raise UsageError(f"{options.exits} exits", wanted="at least 1", hint="--exits")
    from tanken.hypervisor.lockstep import DifferenceError
    from tanken.machine import lockstep
    from tanken.machine.console import Stdio
    from tanken.machine.pc import Pc

    pair = options.cpus or lockstep.automatic()
    wanted = description_of(thing, clock=lockstep.clock_of(pair), coalesce=False)
    draw = progress.to(sys.stderr) if sys.stderr.isatty() and not sys.stdin.isatty() else progress.silent

    def tell(exits: int, compared: int) -> None:
        if compared % EVERY == 0:
            draw(progress.Event("lockstep", exits, options.exits or 0, f"{exits} equal exits, {compared} comparisons"))

    far = Stdio(sink=2 if options.json else 1) if wanted.console == "stdio" else None
    machine = Pc(wanted, far=far, vcpu=lockstep.maker(pair, options.exits, tell))
    vcpu: Any = machine.vcpu
    why, difference, status = "", None, 0
    try:
        why = machine.run().reason
        vcpu.compare(memory=True)
    except DifferenceError as error:
        difference, why, status = error.difference, "difference", 1
    except KeyboardInterrupt:
        why, status = "interrupted", 130
    finally:
        vcpu.close()
    found = {"cpus": pair, "ended": why, "exits": vcpu.exits, "compared": vcpu.compared, "flags": vcpu.flags, "hash": vcpu.digest(), "difference": difference}
    if options.json:
        print(json_line(found))
    else:
        print("\n".join(_text(pair, why, vcpu, difference)))
    return status


def _text(pair: str, why: str, vcpu: Any, difference: Any) -> list[str]:
    first, second = pair.split(",")
    if difference is not None:
        return [f"{first} beside {second}:", *difference.lines()]
    lines = [f"{first} beside {second}: {why} after {vcpu.exits} equal exits, registers compared {vcpu.compared} times (last hash {vcpu.digest()})"
             + (", memory too" if why != "interrupted" else "")]  # fmt: skip
    if vcpu.flags:
        lines.append(f"arithmetic flags alone differed {vcpu.flags} times, which instructions may leave undefined")
    return lines
