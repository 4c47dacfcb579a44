"""Finds a guest that is stuck: a loop all of whose ways out are decided by registers and memory that no longer change.

Our own. Now and then some thousand instructions are run one by one; where they repeat, the loop is recorded as an engine records it, and what its
exit branches are computed from is compared over several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tanken.engine.graph import Node, evaluate
from tanken.engine.memory import AddressSpace, Miss
from tanken.engine.recorder import Event, Recorder, Unrecordable
from tanken.isa.architecture import Architecture, Budget, Exit, Instruction, Place

STEPS = 2000  # instructions of a sample
LONGEST = 600  # of a loop
ROUNDS = 6
FIRST, SHARE, MOST = 0.3, 20, 2.0  # seconds before the first sample; between two, so many times what one costs, at most so many


class Engine(Protocol):
    """What runs the guest."""

    executed: int
    slice: int

    def run(self, budget: int | None = None) -> Exit: ...
    def save(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Way:
    """A way out of the loop: its branch, the places it reads, and what these come from with its value."""

    branch: Instruction
    reads: tuple[Place, ...]
    sources: tuple[tuple[Place | int, int, int], ...]  # (place or address, bytes or 0, value)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A loop that does not end unless somebody else changes what its ways out read."""

    executed: int
    loop: tuple[Instruction, ...]
    ways: tuple[Way, ...]

    def lines(self, line: Callable[[Instruction], str], name: Callable[[Place], str]) -> list[str]:
        """The report."""
        start, end = min(i.address for i in self.loop), max(i.address + i.length for i in self.loop)
        found = [f"stuck after {self.executed} instructions in the loop at {start:#x}-{end:#x}, {len(self.loop)} instructions a round:"]
        marks = {way.branch.address for way in self.ways}
        found += [f"  {'*' if i.address in marks else ' '} {line(i)}" for i in self.loop[:40]]
        for way in self.ways:
            flags = ", ".join(sorted(map(name, way.reads))) or "nothing"
            sources = ", ".join(f"{name(what) if isinstance(what, Place) else f'[{what:#x}]'} = {value:#x}" for what, _, value in way.sources)
            found.append(f"  the way out at {way.branch.address:#x} reads {flags}, from {sources or 'constants alone'}: no longer changing")
        return found if self.ways else [*found, "  it has no way out"]


class Watched:
    """An engine that looks now and then whether the guest is stuck, and tells each such loop once."""

    exact = True

    def __init__(self, inner: Engine, state: Any, memory: AddressSpace, isa: Architecture, tell: Callable[[Stuck], None]) -> None:
        """`inner` runs `state` in `memory`; `tell` is called for each loop."""
        self.inner, self.state, self.memory, self.isa, self.tell = inner, state, memory, isa, tell
        self.slice, self.executed = inner.slice, inner.executed
        self._next = time.perf_counter() + FIRST
        self._before: tuple[object, ...] = ()
        self._suspected = False  # once: the next sample comes soon
        self._told: set[int] = set()

    def save(self) -> None:
        """Keep what the next run can use."""
        self.inner.save()

    def run(self, budget: int | None = None) -> Exit:
        """As the engine does."""
        end = None if budget is None else self.inner.executed + budget
        exit = None
        if time.perf_counter() >= self._next and (budget is None or budget > STEPS + LONGEST * (ROUNDS + 1)):
            exit = self._sample()
        if exit is None:
            exit = self.inner.run(None if end is None else end - self.inner.executed)
        self.executed = self.inner.executed
        return exit

    # -- sampling

    def _sample(self) -> Exit | None:
        began, self._suspected = time.perf_counter(), False
        path: list[int] = []
        exit = self._steps(STEPS, lambda: path.append(self.state.rip))
        if exit is None:
            loop = _period(path)
            if loop:
                head = loop.index(min(loop))
                exit = self._steps(head, lambda: None) or self._judge(loop[head:] + loop[:head])
        now = time.perf_counter()
        self._next = now + (now - began if self._suspected else min(SHARE * (now - began), MOST))
        return exit

    def _steps(self, count: int, before: Callable[[], None]) -> Exit | None:
        """So many instructions, one by one; the exit that came in between."""
        for _ in range(count):
            before()
            exit = self.inner.run(1)
            if not isinstance(exit, Budget):
                return exit
        return None

    def _judge(self, loop: list[int]) -> Exit | None:
        rounds: list[Any] = []
        seen: list[int] = []
        found = self._ways(loop)

        def look() -> None:
            if len(seen) % len(loop) == 0 and found is not None:
                rounds.append(self._sources(found[1], found[2]))
            seen.append(self.state.rip)

        exit = self._steps(len(loop) * ROUNDS, look)
        if exit is not None or found is None or seen != loop * ROUNDS:
            return exit
        key = (min(loop), str(rounds[0]))
        if all(values == rounds[0] for values in rounds):
            again, self._before = key == self._before, key
            self._suspected = not again
            if again and min(loop) not in self._told:
                self._told.add(min(loop))
                ways = tuple(Way(branch, reads, sources) for (branch, _, reads), sources in zip(found[1], rounds[0], strict=True))
                self.tell(Stuck(self.inner.executed, tuple(found[0]), ways))
        return None

    def _ways(self, loop: list[int]) -> tuple[list[Instruction], list[tuple[Instruction, Node, tuple[Place, ...]]], dict[Node, Event]] | None:
        """The loop's instructions, its ways out with what decides them, and the loads."""
        recorder, inside, ways, code = Recorder(), set(loop), [], []
        try:
            for number, at in enumerate(loop):
                instruction = self.isa.decode(self.memory.fetch(at), at)
                code.append(instruction)
                target, branch = recorder.record(self.isa, instruction)
                following = loop[(number + 1) % len(loop)]
                if branch is not None and branch[1].constant is not None:
                    sides = {branch[1].constant, at + instruction.length} - {following}
                    if sides - inside:
                        ways.append((instruction, branch[0], self._reads(instruction)))
                elif target.op != "const":
                    ways.append((instruction, target, self._reads(instruction)))
        except (Unrecordable, Miss):
            return None
        loads = {event.results[0]: event for event in recorder.recording.events if event.kind == "load"}
        return code, ways, loads

    def _reads(self, instruction: Instruction) -> tuple[Place, ...]:
        """What decides the branch, taken by itself."""
        recorder = Recorder()
        target, branch = recorder.record(self.isa, instruction)
        return tuple(node.extra for node in _leaves(branch[0] if branch is not None else target) if node.op == "get")

    def _sources(self, ways: list[tuple[Instruction, Node, tuple[Place, ...]]], loads: dict[Node, Event]) -> list[tuple[tuple[Place | int, int, int], ...]]:
        """What each way out is computed from, with its value now, at the beginning of a round."""
        return [tuple(self._source(node, loads)) for _, node, _ in ways]

    def _source(self, root: Node, loads: dict[Node, Event]) -> list[tuple[Place | int, int, int]]:
        found: list[tuple[Place | int, int, int]] = []
        known: dict[Node, int] = {}

        def value(node: Node) -> int:
            for leaf in _leaves(node):
                if leaf.op == "get":
                    found.append((leaf.extra, 0, self._read(leaf.extra)))
                elif leaf not in known:
                    event = loads[leaf]
                    address = value(event.nodes[0])
                    known[leaf] = int.from_bytes(self.memory.read(address, event.extra), "little")
                    found.append((address, event.extra, known[leaf]))
            return evaluate(node, known, self._read)

        try:
            value(root)
        except (KeyError, Miss):
            return [(0, -1, time.perf_counter_ns())]  # what nobody knows is taken to change
        return list(dict.fromkeys(found))

    def _read(self, place: Place) -> int:
        held = getattr(self.state, place.field)
        return int(held if place.index is None else held[place.index])


def _leaves(root: Node) -> list[Node]:
    """The places and loaded values that a node is computed from."""
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    left = [root]
    while left:
        node = left.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op in ("get", "opaque"):
            found[node] = None
        left += node.args
    return list(found)


def _period(path: list[int]) -> list[int]:
    """The shortest piece that the path ends with three times, [] where there is none."""
    for length in (n for n in range(1, min(LONGEST, len(path) // 3) + 1) if path[-1] == path[-1 - n] == path[-1 - 2 * n]):
        if path[-length:] == path[-2 * length : -length] == path[-3 * length : -2 * length]:
            return path[-length:]
    return []
