"""The `tanken` command: picks the verb, loads its module, and turns errors into one line and an exit status.

A verb's module has `arguments(parser)` and `run(options) -> int`; only the chosen one is imported (design: "Native speed, in Python").
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from tanken.base.errors import TankenError

VERBS = {
    "dis": ("tanken.cli.dis", "disassemble code"),
    "run": ("tanken.cli.run", "run a program"),
}


def parser(verb: str | None) -> argparse.ArgumentParser:
    """The parser of all verbs; the arguments of `verb` alone are filled in."""
    top = argparse.ArgumentParser(prog="tanken", description="An open machine lab: see, run, check, measure and watch the parts of a computer.")
    subparsers = top.add_subparsers(dest="verb", metavar="VERB")
    for name, (module, summary) in VERBS.items():
        sub = subparsers.add_parser(name, help=summary, description=summary)
        if name == verb:
            import_module(module).arguments(sub)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status: 0, 1 for bad input, 2 for a wrong command, 130 when interrupted, else the verb's own."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verb = next((word for word in words if word in VERBS), None)
    options = parser(verb).parse_args(words)
    if verb is None:
        parser(None).print_help()
        return 0
    try:
        status: int = import_module(VERBS[verb][0]).run(options)
        sys.stdout.flush()
    except TankenError as error:
        print(f"tanken {verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    return status


if __name__ == "__main__":
    sys.exit(main())
