"""A glyph's program as people read it: offsets, bytes, operands and operators, subroutines by name, width, hints and points annotated.

The bodies that the glyph runs are listed each once, in the order of their first call; bytes that were never reached are listed too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tanken.base.records import Record
from tanken.font.program import Program
from tanken.isa.charstring import faults
from tanken.isa.charstring.decode import Token, token_at, tokens
from tanken.isa.charstring.machine import Machine, Step
from tanken.isa.charstring.text import number_text, source, word


@dataclass(frozen=True, slots=True, repr=False)
class Line(Record):
    """A line of a listing: offset (in the file) and bytes of the operator with its operands, the text, the annotation."""

    HEX: ClassVar[frozenset[str]] = frozenset({"offset"})

    offset: int
    raw: bytes
    text: str
    note: str


@dataclass(frozen=True, slots=True, repr=False)
class Body(Record):
    """A charstring or subroutine: its name, where it stands, how many bytes, its lines."""

    HEX: ClassVar[frozenset[str]] = frozenset({"offset"})

    name: str
    offset: int
    size: int
    lines: tuple[Line, ...]


def point(value: int) -> str:
    """A coordinate."""
    return number_text(value)


def subroutine_bytes(program: Program, name: str, fd: int) -> tuple[int, int]:
    """Where the body `local N` or `global N` stands."""
    kind, number = name.split()
    if kind == "global":
        return int(program.global_starts[int(number)]), int(program.global_ends[int(number)])
    at = int(program.local_base[fd]) + int(number)
    return int(program.local_starts[at]), int(program.local_ends[at])


def annotation(step: Step, machine: Machine) -> str:
    """What an operator did, in a few words."""
    parts = []
    if step.fault:
        return f"FAULT: {faults.sentence(step.fault)}"
    if step.mnemonic in ("callsubr", "callgsubr"):
        parts.append(f"{machine.frames[-1].name}")
    elif machine.token is not None and machine.token.operator is not None and step.mnemonic != "(end)":
        group = machine.token.operator.group
        if group in ("path", "flex"):
            parts.append(f"to {point(step.x)},{point(step.y)}")
        elif group == "hint":
            parts.append(f"{step.hints} hints")
            if step.mask:
                bits = "".join(f"{byte:08b}" for byte in bytes.fromhex(step.mask))[: step.hints]
                parts.append(f"bits {bits}")
        elif group in ("arithmetic", "storage", "conditional", "variation"):
            parts.append("stack " + (" ".join(number_text(value) for value in step.after) or "empty"))
    return ", ".join(parts)


class Listing:
    """The listing of a glyph of `program`; `origin` is where the CFF table begins in the file."""

    def __init__(self, program: Program, gid: int, origin: int = 0, steps: int = 20_000) -> None:
        self.program, self.gid, self.origin, self.limit = program, gid, origin, steps
        self.machine = Machine(program, gid)
        self.notes: dict[int, str] = {}
        self.masks: dict[int, int] = {}
        self.stems: dict[int, str] = {}
        self.order: list[tuple[str, int]] = [(f"glyph {gid}", self.machine.fd)]
        self._run()

    def _run(self) -> None:
        machine, width_told = self.machine, False
        while machine.steps < self.limit:
            stems = len(machine.stem_list)
            step = machine.step()
            if step is None:
                break
            note = annotation(step, machine)
            new = [f"{kind} {number_text(low)}..{number_text(high)}" for kind, low, high in machine.stem_list[stems:]]
            if new:
                note += f": {', '.join(new)}"
            if machine.stated_width is not None and not width_told:
                width_told = True
                note += f"; width {number_text(machine.stated_width)} + nominal"
            if step.offset not in self.notes:
                self.notes[step.offset] = note
            if step.mask:
                self.masks[step.offset] = len(step.mask) // 2
            name = machine.frames[-1].name
            if step.mnemonic in ("callsubr", "callgsubr") and not step.fault and (name, machine.fd) not in self.order:
                self.order.append((name, machine.fd))

    @property
    def width(self) -> tuple[int, int, bool]:
        """The glyph's width, the part of it that the charstring states or the default, and whether it states one (16.16)."""
        fd = int(self.program.fd_of[self.gid])
        default, nominal = int(self.program.widths[2 * fd]), int(self.program.widths[2 * fd + 1])
        stated = self.machine.stated_width
        return (default, default, False) if stated is None else (nominal + stated, stated, True)

    def span(self, name: str, fd: int) -> tuple[int, int]:
        """Where a body stands in the table."""
        if name.startswith("glyph"):
            return int(self.program.starts[self.gid]), int(self.program.ends[self.gid])
        return subroutine_bytes(self.program, name, fd)

    def tokens(self, start: int, end: int) -> Iterator[Token]:
        """The tokens of a body, masks as long as the run found them."""
        raw, pos = self.machine.raw, start
        hints = 0
        while pos < end:
            token = token_at(raw, pos, end, self.masks.get(pos, -1) if pos in self.masks else 0, self.program.cff2)
            if token.operator is not None and token.operator.mask and pos not in self.masks:
                token = token_at(raw, pos, end, (hints + 7) // 8, self.program.cff2)
            elif token.operator is not None and token.operator.mask:
                hints = 8 * len(token.mask)
            yield token
            pos = token.end

    def bodies(self) -> Iterator[Body]:
        """The glyph's charstring and the subroutines it runs."""
        for name, fd in self.order:
            start, end = self.span(name, fd)
            yield Body(name, self.origin + start, end - start, tuple(self._lines(start, end)))

    def _lines(self, start: int, end: int) -> Iterator[Line]:
        words, raw, at = list[str](), b"", start
        for token in self.tokens(start, end):
            words.append(word(token))
            raw += token.raw
            if token.kind != "number":
                yield Line(self.origin + at, raw, " ".join(words), self._note(token.offset))
                words, raw, at = [], b"", token.end
        if words:
            yield Line(self.origin + at, raw, " ".join(words), "numbers at the end")

    def _note(self, offset: int) -> str:
        return self.notes.get(offset, "never run")

    def source(self) -> str:
        """The glyph's own charstring as text that assembles to the same bytes."""
        return source(self.tokens(*self.span(f"glyph {self.gid}", 0)))


def subroutine_source(program: Program, name: str, fd: int) -> str:
    """A subroutine as text that assembles to the same bytes."""
    start, end = subroutine_bytes(program, name, fd)
    return source(tokens(bytes(program.data), start, end, 0, program.cff2))
