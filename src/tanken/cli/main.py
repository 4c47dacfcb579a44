"""The `tanken` command: picks the verb, loads its module, and turns errors into one line and an exit status.

A verb's module has `arguments(parser)` and `run(options) -> int`; only the chosen one is imported (design: "Native speed, in Python").
"""

from __future__ import annotations

import argparse
import difflib
import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

from tanken import __version__
from tanken.base.errors import TankenError, UnsupportedError, UsageError

VERBS = {
    "show": ("tanken.cli.show", "bytes as values: hexdump, x86 rows and instructions"),
    "dis": ("tanken.cli.dis", "disassemble code"),
    "measure": ("tanken.cli.measure", "the errors of a disc, measured down to the symbol; ways to run a guest"),
    "disc": ("tanken.cli.disc", "press synthetic discs, protect images, plan copies, scan in drives"),
    "run": ("tanken.cli.run", "run a program"),
    "check": ("tanken.cli.check", "a thing against its specification; --repair writes what can be put right"),
    "font": ("tanken.cli.font", "make malformed fonts, assemble charstrings"),
    "telnet": ("tanken.cli.telnet", "TELNET: connect to a host, serve a program"),
    "tour": ("tanken.cli.tour", "a walk through the parts"),
    "info": ("tanken.cli.info", "version, native code, cache folder"),
    "warm": ("tanken.cli.warm", "compile the native code ahead of time"),
}
EPILOG = "`tanken THING` alone says what a thing is, why, and which verbs fit it. `tanken VERB --help` explains a verb."


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that says what is wrong in one line, without the usage of all options."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help)\n")


def parser(verb: str | None) -> argparse.ArgumentParser:
    """The parser of all verbs; the arguments of `verb` alone are filled in."""
    about = "An open machine lab: see, run, check, measure and watch the parts of a computer."
    top = Parser(prog="tanken", description=about, epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"tanken {__version__}")
    subparsers = top.add_subparsers(dest="verb", metavar="VERB")
    for name, (module, summary) in present().items():
        sub = subparsers.add_parser(name, help=summary, description=summary)
        if name == verb:
            import_module(module).arguments(sub)
    return top


def _thing(words: list[str]) -> int:
    """`tanken THING`: the words begin with no verb."""
    module = import_module("tanken.cli.thing")
    top = Parser(prog="tanken", description="Say what a thing is and which verbs fit it.")
    module.arguments(top)
    options = top.parse_args(words)
    name: str = options.thing
    if not options.kind and name.isidentifier() and not os.path.exists(name):
        near = difflib.get_close_matches(name, VERBS, 1)
        raise UsageError(f"no verb and no file {name!r}", wanted=", ".join(VERBS), hint=f"did you mean {near[0]}?" if near else "see tanken --help")
    status: int = module.run(options, present())
    return status


def present() -> dict[str, tuple[str, str]]:
    """The verbs whose module is there."""
    return {name: row for name, row in VERBS.items() if find_spec(row[0]) is not None}


def _verb(words: list[str]) -> int:
    if words[0] not in present():
        raise UnsupportedError(f"this version has no {words[0]} yet", wanted=", ".join(present()))
    options = parser(words[0]).parse_args(words)
    status: int = import_module(VERBS[words[0]][0]).run(options)
    return status


def guarded(name: str, action: Callable[[list[str]], int], words: list[str]) -> int:
    """The status of `action`; what it raises becomes a line of the command `name`, and a status."""
    try:
        status = action(words)
        sys.stdout.flush()
    except TankenError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        if os.environ.get("TANKEN_DEBUG"):
            raise
        text = " ".join(str(error).split())
        print(f"{name}: our own bug: {type(error).__name__}: {text} (TANKEN_DEBUG=1 shows where)", file=sys.stderr)
        return 70
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status: 0, 1 for bad input, 2 for a wrong command, 70 for a bug, 130 when interrupted, else the verb's own."""
    gc.set_threshold(50_000)  # modules and tables are no garbage: looking for some would cost a short command a tenth of its time
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in VERBS:
        return guarded(f"tanken {words[0]}", _verb, words)
    if not words or words[0] in ("-h", "--help", "--version"):
        parser(None).parse_args(words)
        parser(None).print_help()
        return 0
    return guarded("tanken", _thing, words)


if __name__ == "__main__":
    sys.exit(main())
