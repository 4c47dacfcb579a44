"""`tanken run PROGRAM [ARGS...]`: runs an x86-64 Linux program in the vkernel, with the program's own exit status; a font's glyph; or boots a kernel.

`--trace` prints each instruction and what it changed, `--calls` system calls (`vkernel.trace`); `--engine reference` runs the slow, obvious
interpreter.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from tanken.base import kinds
from tanken.base.errors import InputError, UsageError
from tanken.cli import boot
from tanken.cli.console import serve_program
from tanken.isa.architecture import Budget
from tanken.vkernel import engines, signals
from tanken.vkernel.process import Ended, Process, create
from tanken.vkernel.trace import Trace, TracedSpace

OUT_OF_BUDGET = 124  # as timeout(1)
OUR_BUG = 70


def arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own options stand before PROGRAM; all behind it is the program's."""
    parser.add_argument("--trace", action="store_true", help="print each instruction and what it changed, and system calls; by the reference engine")
    parser.add_argument("--calls", action="store_true", help="print system calls")
    parser.add_argument("--json", action="store_true", help="print these as one object a line")
    parser.add_argument("--to", metavar="FILE", help="print these to FILE instead of standard error")
    parser.add_argument("--budget", type=int, metavar="N", help="stop after N instructions, with status 124")
    parser.add_argument("--engine", choices=engines.NAMES, default="auto", help="native code, generated Python, or the slow, obvious one; auto: native, and Python until that is made")
    parser.add_argument("--verify", action="store_true", help="run the engine beside the reference, block by block, and tell the first difference")
    parser.add_argument("--stuck", action="store_true", help="tell of loops that nothing can end any more: their branches, and what these read")
    parser.add_argument("--stats", action="store_true", help="print instructions and speed at the end (to standard error)")
    boot.arguments(parser)
    parser.add_argument("program", metavar="PROGRAM", nargs="?", help="an executable file, a name to be found in PATH, a kernel, a machine's .toml file, or nothing: a small guest")
    parser.add_argument("words", metavar="ARGS", nargs=argparse.REMAINDER, help="the program's arguments")


def find(name: str) -> str:
    """The program's path; a name without a slash is looked for in PATH."""
    if os.path.exists(name) or "/" in name:
        return name
    found = shutil.which(name)
    if found is None:
        raise UsageError(f"no program {name!r}", wanted="a file, or a name in PATH")
    return found


def run(options: argparse.Namespace) -> int:
    """Run the program; its exit status, 128 + n where a signal ended it. A glyph is a program too (`cli.fonts.run`), and so is a machine (`cli.boot`)."""
    if options.program is None:
        return boot.run(options, "", options.words)
    if os.path.isfile(options.program):
        thing = kinds.recognise(options.program)
        if thing.kind.name == "font":
            from tanken.cli.fonts import run as font

            return font.run(thing, [*options.words, *(["--trace"] if options.trace else []), *(["--json"] if options.json else [])])
        if boot.is_bootable(thing) or boot.asks_for_machine(options, thing):
            return boot.run(options, options.program, options.words)
    if options.console not in (None, "stdio"):
        if not os.path.isfile(find(options.program)):
            raise UsageError(f"no program {options.program!r}", wanted="a file, or a name in PATH")
        return serve_program(options.console, ["--engine", options.engine, *(["--budget", str(options.budget)] if options.budget else []), options.program, *options.words])
    signals.start()
    words = [os.fsencode(word) for word in (options.program, *options.words)]
    environment = [name + b"=" + value for name, value in os.environb.items()]
    path = find(options.program)
    with _output(options.to) as out:
        trace = Trace(out, options.json) if options.trace or options.calls else None
        name = options.engine
        make = trace.engine if trace is not None and options.trace else engines.factory(name)
        space = TracedSpace if options.trace else engines.space(name)
        if options.verify:
            if name == "reference" or options.trace:
                raise UsageError("--verify with the engine that verifies" if name == "reference" else "--verify with --trace", wanted="--engine native or python, alone")
            make, space = engines.lockstep(name)
        between = _upgrade() if name == "auto" and not (options.trace or options.verify or options.stuck) else None
        if options.stuck:
            make = engines.watched(make, lambda lines: print("\n".join(["tanken run: " + lines[0], *lines[1:]]), file=sys.stderr, flush=True))
        process = create(path, words, environment, make, space=space, trace=trace, between=between)
        _let_go()
        return _finish(process, options)


def _upgrade() -> Callable[[Process], None] | None:
    """What lets a first run go over to native code as soon as that is made."""
    if engines.made() or not engines.possible():
        return None
    from tanken.vkernel import upgrade

    upgrade.begin()
    return upgrade.Upgrade()


def _output(name: str | None) -> AbstractContextManager[TextIO]:
    if name is None:
        return nullcontext(sys.stderr)
    try:
        return open(name, "w")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=name) from error


def _let_go() -> None:
    """The guest has its own copies of standard input and output: when it closes them, they are to be closed."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(null, stream)
    os.close(null)


def _finish(process: Process, options: argparse.Namespace) -> int:
    import time

    began = time.perf_counter()
    ended = _verified(process, options.budget) if options.verify else process.run(options.budget)
    if ended is None:
        return OUR_BUG
    if options.stats:
        seconds = time.perf_counter() - began
        print(
            f"tanken run: {process.instructions} instructions in {seconds:.2f} s: {process.instructions / seconds / 1e6:.3f} million a second", file=sys.stderr
        )
    if isinstance(ended, Budget):
        print(f"tanken run: {process.path}: the budget of {options.budget} instructions is used up at {process.state.rip:#x}", file=sys.stderr)
        return OUT_OF_BUDGET
    if ended.signal:
        print(f"tanken run: {process.path}: {ended.reason}", file=sys.stderr)
    return ended.status


def _verified(process: Process, budget: int | None) -> Ended | Budget | None:
    """Two engines run it (`engine.verify`): None where they differ, which is told."""
    from tanken.engine.verify import DifferenceError, Lockstep

    try:
        ended = process.run(budget)
    except DifferenceError as error:
        print("\n".join(["tanken run: " + error.difference.lines()[0], *error.difference.lines()[1:]]), file=sys.stderr)
        return None
    engine = process.engine
    assert isinstance(engine, Lockstep)
    print(f"tanken run: the engines agree: {engine.executed} instructions in {engine.compared} blocks", file=sys.stderr)
    return ended
