"""The charstring machine that can be watched: operator by operator, with breakpoints, and backwards.

Adobe Technical Note 5177; the meaning of operators stands in `semantics`. `kernel` is the fast second implementation, compared with this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from tanken.isa.charstring import results
from tanken.isa.charstring.decode import Token, token_at
from tanken.isa.charstring.rows import Operator
from tanken.isa.charstring.semantics import SEMANTICS
from tanken.isa.charstring.steps import Frame, Program, Step, Stop

CHECKPOINT = 256  # steps between two states kept for going back
Break = Callable[["Machine"], bool]


class Machine:
    """Runs glyph `gid` of a program step by step; `limits` are those of `kernel` (stack, nesting, hints, steps, points), by default the format's."""

    def __init__(self, program: Program, gid: int, limits: Sequence[int] = ()) -> None:
        self.program, self.gid = program, gid
        self.limits = tuple(limits) or (513 if program.cff2 else 48, 10, 96, 1_000_000, 1_000_000)
        self.raw = bytes(program.data)
        self._kept: list[tuple[Any, ...]] = []
        self._reset()

    def _reset(self) -> None:
        self.stack: list[int] = []
        self.storage: dict[int, int] = {}
        self.path: list[tuple[Any, ...]] = []
        self.colours: list[str] = []  # the body that drew each piece of the path
        self.stem_list: list[tuple[str, int, int]] = []
        self.masks: list[tuple[int, str, bytes]] = []  # pieces of path before it, the operator, the bits
        self.x = self.y = self.stem_x = self.stem_y = self.hints = self.points = self.steps = self.flags = self.fault = self.fault_at = 0
        self.seed = results.SEED
        self.stated_width: int | None = None
        self.done = self.path_open = self.composing = False  # composing: the glyph has ended as a seac, its parts run
        self.pieces: list[tuple[int, int, int]] = []
        self.token: Token | None = None
        self._begin(self.gid, 0, 0)
        self._kept = []

    def _begin(self, gid: int, x: int, y: int) -> None:
        p = self.program
        self.current, self.x, self.y = gid, x, y
        self.fd = int(p.fd_of[gid])
        self.frames = [Frame("glyph", gid, int(p.starts[gid]), int(p.ends[gid]))]
        self.hints, self.stem_x, self.stem_y, self.path_open = 0, 0, 0, False
        self.vsindex = int(p.fd_vsindex[self.fd]) if p.cff2 else 0
        self.width_open = not p.cff2
        self.stack = []

    # -- what semantics call

    @property
    def operator(self) -> Operator:
        """The operator being run."""
        assert self.token is not None and self.token.operator is not None
        return self.token.operator

    @property
    def mnemonic(self) -> str:
        """Its name."""
        return self.operator.mnemonic

    def fail(self, fault: int) -> NoReturn:
        """Ends the glyph."""
        raise Stop(fault)

    def note(self, flag: int) -> None:
        """Remembers what the glyph got away with."""
        self.flags |= flag

    def surplus(self, count: int) -> None:
        """`count` numbers more than the operator takes."""
        if count:
            self.note(results.SURPLUS)

    def push(self, value: int) -> None:
        """A number onto the stack."""
        if len(self.stack) >= self.limits[results.MAX_STACK]:
            self.fail(results.OVERFLOW)
        self.stack.append(value)

    def width(self, wanted: int) -> None:
        """Takes the width off the bottom, where this is the first operator that clears and there is a number more than `wanted`."""
        more = len(self.stack) - wanted
        if self.width_open and more > 0:
            if not self.composing:
                self.stated_width = self.stack[0]
            more -= 1
        self.surplus(more)
        self.width_open = False

    def _to(self, x: int, y: int) -> None:
        self.x, self.y = x, y
        self.points += 1

    def _add(self, segment: tuple[Any, ...]) -> None:
        self.path.append(segment)
        self.colours.append(self.frames[-1].name)
        if self.points > self.limits[results.MAX_POINTS]:
            self.fail(results.POINTS)

    def close(self) -> None:
        """Ends the contour."""
        if self.path_open:
            self.path.append(("Z",))
            self.colours.append(self.frames[-1].name)

    def move(self, dx: int, dy: int) -> None:
        """Begins a contour."""
        self.close()
        self.path_open = True
        self._to(self.x + dx, self.y + dy)
        self._add(("M", self.x, self.y))

    def _opened(self) -> None:
        if not self.path_open:
            self.note(results.NO_MOVETO)
            self.path_open = True
            self._to(self.x, self.y)
            self._add(("M", self.x, self.y))

    def line(self, dx: int, dy: int) -> None:
        """A line."""
        self._opened()
        self._to(self.x + dx, self.y + dy)
        self._add(("L", self.x, self.y))

    def curve(self, ax: int, ay: int, bx: int, by: int, cx: int, cy: int) -> None:
        """A cubic curve, differences throughout."""
        self._opened()
        x1, y1 = self.x + ax, self.y + ay
        x2, y2 = x1 + bx, y1 + by
        self.points += 2
        self._to(x2 + cx, y2 + cy)
        self._add(("C", x1, y1, x2, y2, self.x, self.y))

    def lines(self, values: Sequence[int]) -> None:
        """Lines, two numbers each."""
        for i in range(0, len(values) - 1, 2):
            self.line(values[i], values[i + 1])

    def curves(self, values: Sequence[int]) -> None:
        """Curves, six numbers each."""
        for i in range(0, len(values) - 5, 6):
            self.curve(*values[i : i + 6])

    def stems(self, kind: str, values: Sequence[int]) -> None:
        """Stem hints, two numbers each: distance from the edge before, width."""
        edge = self.stem_y if kind == "h" else self.stem_x
        for i in range(0, len(values) - 1, 2):
            low = edge + values[i]
            edge = low + values[i + 1]
            self.stem_list.append((kind, low, edge))
        if kind == "h":
            self.stem_y = edge
        else:
            self.stem_x = edge
        self.hints += len(values) // 2
        if self.hints > self.limits[results.MAX_HINTS]:
            self.fail(results.HINTS)

    def mask(self) -> None:
        """The bytes behind hintmask and cntrmask."""
        frame, size = self.frames[-1], (self.hints + 7) // 8
        if frame.pos + size > frame.end:
            self.fail(results.TRUNCATED)
        assert self.token is not None
        self.token = token_at(self.raw, self.token.offset, frame.end, size, self.program.cff2)
        self.masks.append((len(self.path), self.mnemonic, self.token.mask))
        self.frames[-1] = Frame(frame.kind, frame.number, frame.pos + size, frame.end)

    def call(self, kind: str, number: int) -> None:
        """Calls a subroutine; the bias is added here (5177 section 4.7)."""
        p = self.program
        if len(self.frames) - 1 >= self.limits[results.MAX_NESTING]:
            self.fail(results.NESTING)
        first = int(p.local_base[self.fd]) if kind == "local" else 0
        count = int(p.local_base[self.fd + 1]) - first if kind == "local" else len(p.global_starts)
        number += 107 if count < 1240 else 1131 if count < 33900 else 32768
        if not 0 <= number < count:
            self.fail(results.SUBR)
        starts, ends = (p.local_starts, p.local_ends) if kind == "local" else (p.global_starts, p.global_ends)
        self.frames.append(Frame(kind, number, int(starts[first + number]), int(ends[first + number])))

    def leave(self) -> None:
        """Returns from a subroutine."""
        if len(self.frames) == 1:
            self.fail(results.ILLEGAL)
        self.frames.pop()

    def end(self, seac: Sequence[int]) -> None:
        """Ends the charstring; with four numbers the accent and the base follow."""
        if seac:
            codes = [value >> 16 for value in seac[2:]]
            glyphs = [int(self.program.seac[code]) if 0 <= code < 256 else -1 for code in codes]
            if self.composing or min(glyphs) < 0:
                self.fail(results.SEAC)
            self.pieces, self.composing = [(glyphs[1], seac[0], seac[1]), (glyphs[0], 0, 0)], True
        self.close()
        if len(self.frames) == 1 and self.frames[0].pos < self.frames[0].end:
            self.note(results.AFTER_END)
        if self.pieces:
            self._begin(*self.pieces.pop(0))
        else:
            self.done = True

    # -- running

    def _token(self) -> Token | None:
        """The next token; None where the body is over."""
        frame = self.frames[-1]
        if frame.pos >= frame.end:
            return None
        token = token_at(self.raw, frame.pos, frame.end, 0, self.program.cff2)
        self.frames[-1] = Frame(frame.kind, frame.number, token.end, frame.end)
        return token

    def _state(self) -> tuple[Any, ...]:
        return (list(self.stack), dict(self.storage), len(self.path), list(self.frames), self.x, self.y, self.hints, self.points, self.steps, self.flags, self.seed,
                self.stated_width, self.path_open, list(self.pieces), self.current, self.fd, self.vsindex, self.width_open, self.stem_x, self.stem_y,
                len(self.stem_list), len(self.masks), self.composing)  # fmt: skip

    def _restore(self, state: tuple[Any, ...]) -> None:
        (stack, storage, path, frames, self.x, self.y, self.hints, self.points, self.steps, self.flags, self.seed, self.stated_width, self.path_open, pieces,
         self.current, self.fd, self.vsindex, self.width_open, self.stem_x, self.stem_y, stems, masks, self.composing) = state  # fmt: skip
        self.stack, self.storage, self.frames, self.pieces = list(stack), dict(storage), list(frames), list(pieces)
        del self.path[path:], self.colours[path:], self.stem_list[stems:], self.masks[masks:]
        self.done, self.fault, self.fault_at = False, 0, 0

    def step(self) -> Step | None:
        """Runs up to and with the next operator; None once the glyph has ended."""
        if self.done:
            return None
        if self.steps % CHECKPOINT == 0 and len(self._kept) == self.steps // CHECKPOINT:
            self._kept.append(self._state())
        pushed: list[int] = []
        before: tuple[int, ...] = tuple(self.stack)
        calls = tuple(frame.name for frame in self.frames)
        offset, raw, mnemonic, mask = self.frames[-1].pos, b"", "", ""
        try:
            while True:
                calls = tuple(frame.name for frame in self.frames)
                offset = self.frames[-1].pos
                token = self._token()
                if token is None:
                    mnemonic, offset = self._implicit(), self.frames[-1].end if self.frames else offset
                    if not mnemonic:
                        continue
                    break
                raw = token.raw
                if token.kind != "number":
                    self.token, mnemonic, before = token, token.mnemonic if token.kind == "operator" else "cut", tuple(self.stack)
                    self._run(token)
                    mask, raw = (self.token.mask.hex(), self.token.raw) if self.token.mask else ("", raw)
                    break
                self.push(token.value)
                pushed.append(token.value)
        except Stop as stop:
            self.fault, self.fault_at, self.done = stop.fault, offset, True
        return Step(self.steps, offset, raw, calls[-1], calls, mnemonic, mask, tuple(pushed), before, tuple(self.stack), self.x, self.y, self.hints,
                    dict(self.storage), self.points, self.fault)  # fmt: skip

    def _implicit(self) -> str:
        """The end of a body without return or endchar: a return, silent, or the end of the glyph."""
        if not self.program.cff2:
            self.note(results.NO_END)
        if len(self.frames) > 1:
            self.frames.pop()
            return ""
        self._count()
        if self.program.cff2:
            self.end([])
        else:
            n = len(self.stack)
            if self.width_open and n in (1, 5) and not self.composing:
                self.stated_width = self.stack[0]
            elif n not in (0, 4):
                self.note(results.SURPLUS)
            self.end(self.stack[-4:] if n >= 4 else [])
        return "(end)"

    def _count(self) -> None:
        self.steps += 1
        if self.steps > self.limits[results.MAX_STEPS]:
            self.fail(results.BUDGET)

    def _run(self, token: Token) -> None:
        self._count() if token.kind == "operator" else self.fail(results.TRUNCATED)
        operator = token.operator
        if operator is None or ("cff2" if self.program.cff2 else "cff") not in operator.formats:
            self.fail(results.ILLEGAL)
        if len(self.stack) < operator.takes:
            self.fail(results.UNDERFLOW)
        if operator.group in ("arithmetic", "storage", "conditional"):
            self.note(results.ARITHMETIC)
        SEMANTICS[operator.mnemonic](self)
        if operator.clears:
            self.stack.clear()

    def run(self) -> Iterator[Step]:
        """All steps up to the end of the glyph or its fault."""
        while (step := self.step()) is not None:
            yield step

    def until(self, stop: Break) -> Step | None:
        """Runs until `stop` says so of the state behind a step; None where the glyph has ended before."""
        while (step := self.step()) is not None:
            if stop(self):
                return step
        return None

    def to(self, steps: int) -> None:
        """Goes to the state behind so many steps, forwards or backwards; a state kept before is taken up and run on from."""
        if steps < self.steps or self.done:
            at = min(max(steps, 0) // CHECKPOINT, len(self._kept) - 1)
            if at < 0:
                self._reset()
            else:
                self._restore(self._kept[at])
                del self._kept[at + 1 :]
        while self.steps < steps and self.step() is not None:
            pass

    def back(self, steps: int = 1) -> None:
        """Takes back so many steps."""
        self.to(max(self.steps - steps, 0))

    @property
    def next_offset(self) -> int:
        """Where the next token stands."""
        return self.frames[-1].pos


def at_offset(offset: int) -> Break:
    """A breakpoint at a byte of the table."""
    return lambda machine: not machine.done and machine.next_offset == offset


def at_operator(name: str) -> Break:
    """A breakpoint behind an operator."""
    return lambda machine: machine.token is not None and machine.token.mnemonic == name


def in_subroutine(name: str) -> Break:
    """A breakpoint at the entry of a subroutine: `local 7`, `global 3`."""
    return lambda machine: machine.frames[-1].name == name


__all__ = ["Break", "Frame", "Machine", "Program", "Step", "Stop", "at_offset", "at_operator", "in_subroutine"]
