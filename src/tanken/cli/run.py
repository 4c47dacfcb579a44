"""`tanken run PROGRAM [ARGS...]`: runs a static x86-64 Linux program in the vkernel, with the program's own exit status.

`--trace` prints each instruction and what it changed; `--engine reference` runs the slow, obvious interpreter.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from tanken.base.errors import UsageError
from tanken.engine.generated import Generated
from tanken.engine.memory import AddressSpace
from tanken.engine.reference import Interpreter
from tanken.isa.architecture import Budget, Instruction
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.state import AF, CF, OF, PF, SF, ZF, State
from tanken.vkernel import signals
from tanken.vkernel.process import Engine, EngineFactory, create

OUT_OF_BUDGET = 124  # as timeout(1)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own options stand before PROGRAM; all behind it is the program's."""
    parser.add_argument("--trace", action="store_true", help="print each instruction and what it changed (to standard error)")
    parser.add_argument("--calls", action="store_true", help="print system calls (to standard error)")
    parser.add_argument("--budget", type=int, metavar="N", help="stop after N instructions, with status 124")
    parser.add_argument("--engine", choices=("python", "reference"), default="python", help="python: generated code; reference: the slow, obvious one")
    parser.add_argument("--stats", action="store_true", help="print instructions and speed at the end (to standard error)")
    parser.add_argument("program", metavar="PROGRAM", help="an executable file, or a name to be found in PATH")
    parser.add_argument("words", metavar="ARGS", nargs=argparse.REMAINDER, help="the program's arguments")


class TracedSpace(AddressSpace):
    """Memory that notes what is stored to it."""

    stored: tuple[tuple[int, int, int], ...] = ()

    def store(self, address: int, size: int, value: int) -> None:
        super().store(address, size, value)
        self.stored += ((address, size, value),)


def engine(name: str) -> EngineFactory:
    """How engines of this name are made."""
    if name == "reference":
        return lambda state, memory: Interpreter(state, memory, Processor())
    return lambda state, memory: Generated(state, memory, Processor(), (CF, PF, AF, ZF, SF, OF))


def tracing(state: State, memory: AddressSpace) -> Engine:
    """The reference engine, printing."""
    interpreter = Interpreter(state, memory, Processor())

    def show(instruction: Instruction, before: State) -> None:
        changes = [f"{name}={new:#x}" for name, _, new in interpreter.state.changes(before)]
        if isinstance(memory, TracedSpace):
            changes += [f"[{address:#x}]{size * 8}={value:#x}" for address, size, value in memory.stored]
            memory.stored = ()
        print(f"{instruction.address:#x}  {instruction.text():40}  {' '.join(changes)}", file=sys.stderr)  # type: ignore[attr-defined]

    interpreter.watch = show
    return interpreter


def find(name: str) -> str:
    """The program's path; a name without a slash is looked for in PATH."""
    if os.path.exists(name) or "/" in name:
        return name
    found = shutil.which(name)
    if found is None:
        raise UsageError(f"no program {name!r}", wanted="a file, or a name in PATH")
    return found


def run(options: argparse.Namespace) -> int:
    """Run the program; its exit status, 128 + n where a signal ended it."""
    import time

    signals.start()
    words = [os.fsencode(word) for word in (options.program, *options.words)]
    environment = [name + b"=" + value for name, value in os.environb.items()]
    make = tracing if options.trace else engine(options.engine)
    space = TracedSpace if options.trace else AddressSpace
    trace = sys.stderr if options.trace or options.calls else None
    process = create(find(options.program), words, environment, make, space=space, trace=trace)
    began = time.perf_counter()
    ended = process.run(options.budget)
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
