"""For teaching, and off unless asked for: a charstring machine that checks nothing, and what a hostile glyph does to its memory.

The class is the public one of 2010 (CVE-2010-1797, FreeType 2.4.1 and before: the operand stack was tested before an operator and not
behind it, so that a glyph moved the stack out of its buffer) and of 2015 (CVE-2015-0093: a Multiple Master operator moved the stack
pointer by a number of the font). No memory of the host is touched: the machine's memory is an array of words of its own.

    words 0 to 7      what stands below the stack: the address that the interpreter returns to is word 7
    words 8 to 55     the operand stack, 48 words
    words 56 to 63    what stands above it: the table of the interpreter's handlers
"""

from __future__ import annotations

from dataclasses import dataclass

from tanken.base.errors import UsageError
from tanken.base.records import Record
from tanken.font.program import Program
from tanken.isa.charstring.decode import token_at
from tanken.isa.charstring.rows import by_opcode

BELOW, STACK, ABOVE = 8, 48, 8
RETURN_ADDRESS, HANDLERS = 7, BELOW + STACK
STEPS = 10_000


@dataclass(frozen=True, slots=True, repr=False)
class Write(Record):
    """A word written outside of the stack: by the operator at an offset, to which word, what value (16.16)."""

    offset: int
    operator: str
    word: int
    value: int


@dataclass(frozen=True)
class Report:
    """How the unchecked machine fared: writes outside of its stack, where its stack pointer went, whether it returns to the font's address."""

    writes: tuple[Write, ...]
    lowest: int
    highest: int
    return_address: int
    steps: int

    @property
    def overrun(self) -> bool:
        """Whether memory outside of the stack was written."""
        return bool(self.writes)

    def lines(self) -> list[str]:
        """In words."""
        out = [f"unchecked machine: {self.steps} operators; the stack pointer went from word {self.lowest} to {self.highest}, the stack is words {BELOW} to {BELOW + STACK - 1}"]
        for write in self.writes[:10]:
            what = "the return address" if write.word == RETURN_ADDRESS else "a handler" if write.word >= HANDLERS else "memory below the stack"
            out.append(f"  at {write.offset:#x} {write.operator} wrote {write.value / 65536:g} to word {write.word}: {what}")
        if self.return_address:
            out.append(f"  the interpreter would return to {self.return_address & 0xFFFFFFFF:#010x}, which the font chose")
        return out if self.writes else [*out, "  nothing outside of the stack was written"]


class Unchecked:
    """The machine: `enabled` must be set by who knows what this is. Raises UsageError."""

    def __init__(self, program: Program, gid: int, enabled: bool = False, origin: int = 0) -> None:
        if not enabled:
            raise UsageError("the unchecked charstring machine is off", wanted="enabled=True, or tanken run FONT --glyph G --unsafe")
        self.program, self.gid, self.origin = program, gid, origin
        self.memory = [0] * (BELOW + STACK + ABOVE)
        self.top = self.lowest = self.highest = BELOW  # where the next number goes
        self.writes: list[Write] = []
        self.offset, self.name = 0, ""

    def _store(self, word: int, value: int) -> None:
        if not 0 <= word < len(self.memory):
            return  # the model's memory ends; a process would end too
        self.memory[word] = value
        if not BELOW <= word < BELOW + STACK:
            self.writes.append(Write(self.offset, self.name, word, value))

    def push(self, value: int) -> None:
        """Pushes without a look at the buffer's end."""
        self._store(self.top, value)
        self._move(1)

    def pop(self) -> int:
        """Pops without a look at the buffer's beginning."""
        self._move(-1)
        return self.memory[self.top] if 0 <= self.top < len(self.memory) else 0

    def _move(self, words: int) -> None:
        self.top += words
        self.lowest, self.highest = min(self.lowest, self.top), max(self.highest, self.top)

    def run(self) -> Report:
        """Runs the glyph's own charstring: numbers, and operators as a table of words taken and left."""
        raw, table = bytes(self.program.data), by_opcode(False)
        pos, end, steps = int(self.program.starts[self.gid]), int(self.program.ends[self.gid]), 0
        while pos < end and steps < STEPS:
            token = token_at(raw, pos, end)
            self.offset, self.name, pos = self.origin + token.offset, token.mnemonic, token.end
            if token.kind == "number":
                self.name = "a number"
                self.push(token.value)
                continue
            steps += 1
            operator = table.get(token.opcode)
            if operator is None or operator.group == "end":
                break
            self._operate(operator.mnemonic, operator.group, operator.clears, operator.takes, operator.gives)
        return Report(tuple(self.writes), self.lowest, self.highest, self.memory[RETURN_ADDRESS], steps)

    def _operate(self, name: str, group: str, clears: bool, takes: int, gives: int) -> None:
        if group == "mm":  # the old way: so many words less, as the font says, signed
            self._move(-(self.pop() >> 16))
        elif clears:
            self.top = BELOW
        elif name == "exch":
            a, b = self.pop(), self.pop()
            self.push(a)
            self.push(b)
        else:
            values = [self.pop() for _ in range(takes)]
            for i in range(gives):
                self.push(values[i] if i < len(values) else 0)


def run(program: Program, gid: int, enabled: bool = False, origin: int = 0) -> Report:
    """Runs glyph `gid` unchecked; raises UsageError unless `enabled`. Offsets count from `origin`, where the table begins in the file."""
    return Unchecked(program, gid, enabled, origin).run()
