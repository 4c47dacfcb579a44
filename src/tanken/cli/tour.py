"""`tanken tour`: a walk through the parts that exist, each step a command that a person could type, with its real output.

It asks nothing, needs neither root nor a compiler for its first steps, says plainly what cannot be shown here, and ends with a summary.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tanken.base.records import Record

LIMIT = 50  # seconds that a step may take


@dataclass(frozen=True, slots=True, repr=False)
class Step(Record):
    """A step: what it shows, the words of the command (`{folder}` is one for its files), the program it needs on this machine, its status."""

    title: str
    words: tuple[str, ...]
    program: str = ""
    status: int = 0


STEPS = (
    Step("A thing says what it is, and what can be done with it", (sys.executable,)),
    Step("Bytes: the beginning of the Python that runs this", ("show", sys.executable, "--length", "64")),
    Step("Bytes to values: an instruction, and the row of the table that read it", ("show", "x86:480fb10b")),
    Step("The table itself: a mnemonic and all its rows, with what they do to the flags", ("show", "x86:aad")),
    Step("A program's code as objdump prints it, a few bytes of it with the row behind each", ("dis", "--explain", "--hex", "f3 0f 1e fa 55 48 89 e5 c3")),
    Step("A program of this machine in our own kernel: system calls, files and memory are Python", ("run", "busybox", "echo", "hello from inside"), "busybox"),
    Step("The same with a shell", ("run", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; done"), "busybox"),
    Step("A dynamically linked program, with ld.so and libc as they are on this machine", ("run", "date", "-u", "-d", "@0"), "date"),
    Step("A table of another kind: what TELNET calls the number 39", ("show", "telnet:39")),
    Step("A glyph of a CFF font is a program too: a malformed one is made, after the class of attacks of 2010", ("font", "hostile", "stack-moved", "-o", "{folder}/moved.otf")),
    Step("What a charstring machine that checks nothing does with it", ("run", "{folder}/moved.otf", "--glyph", "A", "--unsafe"), status=1),
    Step("The verifier refuses it, with operator and offset, and says who else does", ("check", "{folder}/moved.otf"), status=4),
    Step("What this stands on", ("info",)),
)


@dataclass(frozen=True, slots=True, repr=False)
class Outcome(Record):
    """How a step went: done, skipped or failed; why; seconds."""

    title: str
    state: str
    why: str
    seconds: float


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="only the summary, one JSON object a step")


def run(options: argparse.Namespace) -> int:
    """Walks all steps; 1 when one failed (one that cannot be shown here is no failure)."""
    from tanken.cli.main import present

    outcomes = []
    with tempfile.TemporaryDirectory(prefix="tanken-tour-") as folder:
        for number, step in enumerate(STEPS, 1):
            step = replace(step, words=tuple(word.format(folder=folder) if "{folder}" in word else word for word in step.words))
            if not options.json:
                print(f"\n== {number} of {len(STEPS)}: {step.title}\n$ tanken {shlex.join(step.words)}", flush=True)
            outcomes.append(_walk(step, present(), options.json))
            if outcomes[-1].state != "done" and not options.json:
                print(f"-- {outcomes[-1].state}: {outcomes[-1].why}", flush=True)
    _summary(outcomes, options.json)
    return int(any(outcome.state == "failed" for outcome in outcomes))


def _walk(step: Step, verbs: Mapping[str, tuple[str, str]], quiet: bool) -> Outcome:
    words = list(step.words)
    if step.program:
        path = shutil.which(step.program)
        if words[0] not in verbs:
            return Outcome(step.title, "skipped", f"this version has no verb {words[0]}", 0.0)
        if path is None:
            return Outcome(step.title, "skipped", f"no {step.program} on this machine (Debian: apt-get install {step.program}-static)", 0.0)
        words[words.index(step.program)] = path
    start = time.perf_counter()
    try:
        command = [sys.executable, "-m", "tanken", *words]
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL if quiet else None, timeout=LIMIT).returncode
    except subprocess.TimeoutExpired:
        return Outcome(step.title, "failed", f"not done after {LIMIT} s", float(LIMIT))
    seconds = round(time.perf_counter() - start, 2)
    wrong = status != step.status
    return Outcome(step.title, "failed" if wrong else "done", f"exit status {status}" if wrong else "", seconds)


def _summary(outcomes: list[Outcome], json: bool) -> None:
    if json:
        for outcome in outcomes:
            print(outcome.to_json())
        return
    print("\n== Summary")
    for outcome in outcomes:
        print(f"  {outcome.state:<8} {outcome.seconds:6.2f} s  {outcome.title}{f' ({outcome.why})' if outcome.why else ''}")
    counts = ", ".join(f"{sum(o.state == state for o in outcomes)} {state}" for state in ("done", "skipped", "failed"))
    print(f"  {counts}; {sum(o.seconds for o in outcomes):.1f} s")
