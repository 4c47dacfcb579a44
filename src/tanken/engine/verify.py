"""Two engines in lockstep from one state: block by block they must give the same registers, memory and exits; the first difference is pinned
to its instruction.

Our own; what a kernel does to the first engine's memory is done to the second's too (`mirrored`), so that real programs can be run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tanken.base.errors import InternalError
from tanken.engine.memory import PAGE, SHIFT, AddressSpace, Mapping, Miss
from tanken.engine.shared import Object, Shared
from tanken.isa.architecture import Exit, Instruction

AT_ONCE = 24  # instructions, where the engine has no blocks of its own
WHOLE = 500_000  # instructions between two comparisons of all memory
FIRST, SECOND = "native", "reference"


class Engine(Protocol):
    """What is compared."""

    state: Any
    memory: AddressSpace
    executed: int

    def run(self, budget: int | None = None) -> Exit: ...


class LoggedSpace(AddressSpace):
    """Memory that keeps what was overwritten by instructions: (address, old bytes)."""

    def __init__(self, top: int) -> None:
        super().__init__(top)
        self.log: list[tuple[int, bytes]] = []

    def store(self, address: int, size: int, value: int) -> None:
        try:
            old = self.read(address, size)
        except Miss:
            old = b""
        super().store(address, size, value)
        self.log.append((address, old))


def mirrored(base: type[AddressSpace]) -> type[AddressSpace]:
    """A kind of `base` whose kernel's side works on a second space, `twin`, as well."""

    class Mirrored(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.twin = LoggedSpace(self.top)
            self.copies: dict[Object, Shared] = {}

        def map(self, address: int, length: int, prot: int, content: bytes | None = None, *, offset: int = 0, shared: Shared | None = None) -> None:
            super().map(address, length, prot, content, offset=offset, shared=shared)
            own = shared and self.copies.get(shared.object)
            if shared is not None and (own is None or own.length < offset + length):
                own = self.copies[shared.object] = shared.copy()
            self.twin.map(address, length, prot, content, offset=offset, shared=own)

        def unmap(self, address: int, length: int) -> None:
            super().unmap(address, length)
            self.twin.unmap(address, length)

        def _move_private(self, part: Mapping, new: int, length: int) -> None:
            super()._move_private(part, new, length)
            self.twin._move_private(part, new, length)

        def protect(self, address: int, length: int, prot: int) -> None:
            super().protect(address, length, prot)
            self.twin.protect(address, length, prot)

        def write(self, address: int, data: bytes | bytearray | memoryview, need: int = 0) -> None:
            super().write(address, data, need)
            self.twin.write(address, data, need)

    return Mirrored


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs first: the instruction, as the instruction set tells it, and (what, by the first, by the second)."""

    executed: int
    instruction: str
    wrong: tuple[tuple[str, str, str], ...]
    alone: bool  # whether the instruction differs when it is run by itself

    def lines(self) -> list[str]:
        """The report."""
        head = f"the engines differ after {self.executed} instructions{'' if self.alone else ', in a block, not in its instructions one by one'}:"
        width = max(len(what) for what, _, _ in self.wrong)
        return [head, f"  {self.instruction}", *(f"  {what:{width}}  {FIRST} {mine}, {SECOND} {theirs}" for what, mine, theirs in self.wrong)]


class DifferenceError(InternalError):
    """Two engines do not agree."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.lines()[0][:-1], where=difference.instruction, wanted="the same registers, memory and exit")
        self.difference = difference


class Lockstep:
    """An engine made of two: `first` runs a block, `second` as many instructions; DifferenceError at the first difference."""

    slice = 20_000
    exact = True

    def __init__(self, first: Engine, second: Engine, describe: Callable[[Instruction], str]) -> None:
        """`first.memory` is a `mirrored` space, its twin the memory of `second`; `describe` gives the line of an instruction."""
        self.first, self.second, self.describe = first, second, describe
        self.state, self.memory = first.state, first.memory
        assert isinstance(second.memory, LoggedSpace)
        self.log = second.memory.log
        self.executed = first.executed
        self.compared = 0  # blocks
        self._whole = 0

    def save(self) -> None:
        """Keep what the next run can use."""
        getattr(self.first, "save", lambda: None)()

    def run(self, budget: int | None = None) -> Exit:
        """Both, until an exit that both give."""
        self.second.state.assign(self.first.state)
        left = 1 << 62 if budget is None else budget
        while True:
            before, executed = self.first.state.copy(), self.first.executed
            count = min(left, self._length())
            exit, other = self._both(count)
            self.compared += 1
            wrong = self._wrong(exit, other)
            if wrong:
                raise DifferenceError(self._pinned(before, executed, count, wrong))
            self.executed = self.first.executed
            left -= self.executed - executed
            if left <= 0 or self.first.executed - executed < count or type(exit).__name__ != "Budget":
                if self.first.executed - self._whole > WHOLE:
                    self._compare_all()
                return exit

    def _length(self) -> int:
        length: Callable[[], int] | None = getattr(self.first, "block_length", None)
        return AT_ONCE if length is None else length()

    def _both(self, count: int) -> tuple[Exit, Exit]:
        self.log.clear()
        self.second.executed = self.first.executed
        return self.first.run(count), self.second.run(count)

    def _wrong(self, exit: Exit, other: Exit) -> tuple[tuple[str, str, str], ...]:
        """What differs now: registers, what was stored, the exit."""
        mine, theirs = self.first.state, self.second.state
        found = [("rip", f"{mine.rip:#x}", f"{theirs.rip:#x}")] if mine.rip != theirs.rip else []
        found += [(name, f"{new:#x}", f"{old:#x}") for name, old, new in mine.changes(theirs)]
        for address, old in dict.fromkeys(self.log):
            try:
                stored = self.memory.read(address, len(old)), self.second.memory.read(address, len(old))
            except Miss:
                continue
            if stored[0] != stored[1]:
                found.append((f"[{address:#x}]", stored[0].hex(), stored[1].hex()))
        if exit != other:
            found.append(("exit", str(exit), str(other)))
        if self.first.executed != self.second.executed:
            found.append(("instructions", str(self.first.executed), str(self.second.executed)))
        return tuple(found)

    def _compare_all(self) -> None:
        """All memory: what the first engine stored where the second did not."""
        self._whole = self.first.executed
        for number in sorted({*self.memory.touched(), *self.second.memory.touched()}):
            mine, theirs = self.memory.read(number << SHIFT, PAGE), self.second.memory.read(number << SHIFT, PAGE)
            if mine != theirs:
                at = next(n for n in range(PAGE) if mine[n] != theirs[n])
                wrong = ((f"[{(number << SHIFT) + at:#x}]", f"{mine[at]:#04x}", f"{theirs[at]:#04x}"),)
                raise DifferenceError(Difference(self.first.executed, f"one of the last {WHOLE}, which only stored", wrong, False))

    # -- pinning it to an instruction

    def _rewind(self, before: Any, executed: int) -> None:
        for address, old in reversed(self.log):
            if old:
                AddressSpace.write(self.memory, address, old)
                self.second.memory.write(address, old)
        self.first.state.assign(before)
        self.second.state.assign(before)
        self.first.executed = self.second.executed = executed

    def _pinned(self, before: Any, executed: int, count: int, wrong: tuple[tuple[str, str, str], ...]) -> Difference:
        self._rewind(before, executed)
        singly: Callable[[bool], None] = getattr(self.first, "singly", lambda on: None)
        singly(True)
        undo: list[tuple[int, bytes]] = []
        try:
            for _ in range(count):
                instruction, at = self._instruction(), self.first.executed
                exit, other = self._both(1)
                undo += self.log
                found = self._wrong(exit, other)
                if found:
                    return Difference(at, instruction, found, True)
                if self.first.executed == at:
                    break
        finally:
            singly(False)
        self.log[:] = undo
        self._rewind(before, executed)
        return self._blamed(executed, count, wrong)

    def _blamed(self, executed: int, count: int, wrong: tuple[tuple[str, str, str], ...]) -> Difference:
        """The first of the last writers of what differs at the block's end."""
        names, writers = {what for what, _, _ in wrong}, dict[str, tuple[int, str]]()
        for number in range(count):
            before, instruction = self.second.state.copy(), self._instruction()
            self.log.clear()
            self.second.run(1)
            changed = {name for name, _, _ in self.second.state.changes(before)} | {f"[{address:#x}]" for address, _ in self.log}
            writers.update(dict.fromkeys(changed & names, (number, instruction)) | {"rip": (number, instruction)})
        number, instruction = min((writers[what] for what in names if what in writers), default=writers["rip"])
        return Difference(executed + number, instruction, wrong, False)

    def _instruction(self) -> str:
        decode: Callable[[int], Instruction] = self.second.decode  # type: ignore[attr-defined]
        try:
            return self.describe(decode(self.second.state.rip))
        except Miss:
            return f"{self.second.state.rip:#x}: no code there"
