"""`tanken run FONT --glyph G`: runs a glyph's program; `--trace` prints a line an operator, `--debug` stops and takes commands.

Statuses: 0 the glyph ended well, 1 a fault, 124 the budget is used up.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tanken.base.errors import InputError, UsageError
from tanken.base.kinds import Thing
from tanken.base.records import json_line
from tanken.cli import fonts

HELP = """\
s [N]       run N operators (1)              b [N]     take back N operators (1)
c           run to the next breakpoint       r         back to the beginning
break W     stop at an operator's name, at an offset 0x..., in local:N or global:N
p           stacks, point, calls, storage    path      the path so far
q           end"""


def parser() -> argparse.ArgumentParser:
    """The parser of the words behind the font's name."""
    made = argparse.ArgumentParser(prog="tanken run FONT")
    fonts.common(made)
    made.add_argument("--trace", action="store_true", help="a line an operator")
    made.add_argument("--json", action="store_true", help="one object an operator (with --trace) or one at the end")
    made.add_argument("--debug", action="store_true", help="stop at each operator; commands come from the standard input, ? lists them")
    made.add_argument("--break", dest="breaks", action="append", default=[], metavar="W", help="an operator, 0xOFFSET in the file, local:N or global:N")
    made.add_argument("--budget", type=int, default=1_000_000, metavar="N", help="operators at most")
    made.add_argument("--unsafe", action="store_true", help="for teaching: the unchecked machine, whose stack a hostile glyph leaves")
    return made


def run(thing: Thing, words: list[str]) -> int:
    """Runs the glyph that `words` name."""
    from tanken.font.limits import RUN
    from tanken.isa.charstring.machine import Machine

    options = parser().parse_args(words)
    face = fonts.face_of(thing.data, thing.name, options)
    gid = fonts.glyph_of(face, options, "run")
    if options.unsafe:
        return _unsafe(face.lazy_program(), gid, face.cff.origin)
    limits = RUN.numbers()
    limits[3] = options.budget
    if face.cff.is_cff2:
        limits[0] = 513
    machine = Machine(face.lazy_program(), gid, limits)
    session = Session(machine, face.cff.origin, options.json)
    for text in options.breaks:
        session.add_break(text)
    if options.debug:
        session.interact()
    elif options.breaks:
        session.go()
        session.show_state()
        return 0
    else:
        for step in machine.run():
            if options.trace:
                session.show(step)
    return session.ending(face.name, face.glyph_name(gid), not options.trace and not options.debug)


def _unsafe(program: object, gid: int, origin: int) -> int:
    from tanken.font import unsafe
    from tanken.font.program import Program

    assert isinstance(program, Program)
    report = unsafe.run(program, gid, True, origin)
    for line in report.lines():
        print(line)
    return 1 if report.overrun else 0


class Session:
    """A machine with breakpoints, shown on the terminal."""

    def __init__(self, machine: object, origin: int, json: bool) -> None:
        from tanken.isa.charstring.machine import Break, Machine

        assert isinstance(machine, Machine)
        self.machine, self.origin, self.json = machine, origin, json
        self.breaks: list[Break] = []

    def add_break(self, text: str) -> None:
        """A breakpoint; raises UsageError."""
        from tanken.isa.charstring import machine
        from tanken.isa.charstring.rows import by_name

        kind, _, number = text.partition(":")
        if text.startswith("0x"):
            try:
                self.breaks.append(machine.at_offset(int(text, 16) - self.origin))
            except ValueError as error:
                raise UsageError(f"breakpoint {text}", wanted="0x and hexadecimal digits") from error
        elif kind in ("local", "global") and number.isdigit():
            self.breaks.append(machine.in_subroutine(f"{kind} {number}"))
        elif text in by_name():
            self.breaks.append(machine.at_operator(text))
        else:
            raise UsageError(f"breakpoint {text}", wanted="an operator of type2.map, 0xOFFSET, local:N or global:N")

    def go(self) -> None:
        """Runs to the next breakpoint, or to the end."""
        step = self.machine.until(lambda machine: any(stop(machine) for stop in self.breaks))
        if step is not None:
            self.show(step)

    def show(self, step: object) -> None:
        """A step, as a line."""
        from tanken.font.listing import annotation
        from tanken.isa.charstring.machine import Step
        from tanken.isa.charstring.text import number_text

        assert isinstance(step, Step)
        if self.json:
            shown = {name: value for name, value in step.items() if name not in ("pushed", "before", "after", "x", "y", "storage")}
            shown["offset"] = step.offset + self.origin
            shown |= {name: [value / 65536 for value in getattr(step, name)] for name in ("pushed", "before", "after")}
            shown |= {"x": step.x / 65536, "y": step.y / 65536, "storage": {place: value / 65536 for place, value in step.storage.items()}}
            print(json_line(shown))
            return
        before = " ".join(number_text(value) for value in step.before) or "-"
        after = " ".join(number_text(value) for value in step.after) or "-"
        indent = "  " * (len(step.calls) - 1)
        point = f"{number_text(step.x)},{number_text(step.y)}"
        mask = f" #{step.mask}" if step.mask else ""
        where = f"{step.number:>5} {step.offset + self.origin:#08x} {step.place:<12}"
        print(f"{where} {indent}{step.mnemonic}{mask}  [{before}] -> [{after}] at {point}; {annotation(step, self.machine)}".rstrip("; "))

    def show_state(self) -> None:
        """The machine's state."""
        from tanken.isa.charstring.text import number_text

        machine = self.machine
        state = {
            "steps": machine.steps, "next": machine.next_offset + self.origin, "stack": [value / 65536 for value in machine.stack],
            "calls": [frame.name for frame in machine.frames], "point": [machine.x / 65536, machine.y / 65536],
            "storage": {place: value / 65536 for place, value in machine.storage.items()}, "hints": machine.hints, "done": machine.done,
        }  # fmt: skip
        if self.json:
            print(json_line(state))
            return
        print(f"after {machine.steps} operators, next at {machine.next_offset + self.origin:#x}{', ended' if machine.done else ''}")
        print(f"  stack    {' '.join(number_text(value) for value in machine.stack) or 'empty'}")
        print(f"  calls    {' > '.join(frame.name for frame in machine.frames)}")
        print(f"  point    {number_text(machine.x)},{number_text(machine.y)}   hints {machine.hints}")
        if machine.storage:
            print("  storage  " + " ".join(f"{place}={number_text(value)}" for place, value in sorted(machine.storage.items())))

    def interact(self) -> None:
        """Commands from the standard input until it ends."""
        self.show_state()
        while True:
            if sys.stdin.isatty():
                print("(charstring) ", end="", flush=True)
            line = sys.stdin.readline()
            words = line.split()
            if not line or (words and words[0] in ("q", "quit")):
                return
            if words:
                self._command(words)

    def _command(self, words: list[str]) -> None:
        name, rest = words[0], words[1:]
        count = int(rest[0]) if rest and rest[0].isdigit() else 1
        commands: dict[str, Callable[[], None]] = {
            "s": lambda: self._steps(count), "b": lambda: self._back(count), "c": self._continue, "p": self.show_state, "r": lambda: self._back(self.machine.steps),
            "path": self._path, "?": lambda: print(HELP),
        }  # fmt: skip
        try:
            if name == "break" and rest:
                self.add_break(rest[0])
            elif name in commands:
                commands[name]()
            else:
                print(f"no command {name!r}; ? lists them")
        except UsageError as error:
            print(error)

    def _steps(self, count: int) -> None:
        for _ in range(count):
            step = self.machine.step()
            if step is None:
                print("the glyph has ended")
                return
            self.show(step)

    def _back(self, count: int) -> None:
        self.machine.back(count)
        self.show_state()

    def _continue(self) -> None:
        self.go()
        if self.machine.done:
            self.show_state()

    def _path(self) -> None:
        from tanken.font.drawing import units

        for segment in units(self.machine.path):
            print(" ".join(str(value) for value in segment))

    def ending(self, name: str, glyph: str, told: bool) -> int:
        """How it ended; raises InputError for a fault."""
        from tanken.isa.charstring import faults, results

        machine = self.machine
        if machine.fault:
            raise InputError(f"glyph {machine.gid} {glyph}: {faults.sentence(machine.fault)}, in {machine.frames[-1].name} after {machine.steps} operators",
                             where=f"{name}:{machine.fault_at + self.origin:#x}", hint=faults.FAULTS[machine.fault][2])  # fmt: skip
        if told and machine.done:
            facts = {"gid": machine.gid, "name": glyph, "steps": machine.steps, "points": machine.points, "hints": machine.hints, "notes": faults.flag_names(machine.flags)}
            print(json_line(facts) if self.json else f"glyph {machine.gid} {glyph}: {machine.steps} operators, {machine.points} points, {machine.hints} stem hints; ended well")
        return 124 if machine.fault == results.BUDGET else 0
