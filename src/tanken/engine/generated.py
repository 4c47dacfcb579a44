"""The engine of generated Python: blocks of instructions become Python functions, made once they are warm and kept until their page changes.

The reference engine runs what is cold and what cannot be recorded, and is the oracle: both give the same state at every exit. A fault inside
a block finds its instruction by the line it came from, and computes that instruction's state from the locals of the function.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType, TracebackType
from typing import Any

from tanken.engine.block_cache import PageFile, Record, page_file
from tanken.engine.graph import Node, evaluate
from tanken.engine.lanes import quick_lanes
from tanken.engine.memory import EXEC, PAGE, SHIFT, AddressSpace, Miss
from tanken.engine.operations import MEANING
from tanken.engine.recorder import Event, Recorder, Recording, Unrecordable, node_of
from tanken.engine.reference import Interpreter
from tanken.engine.source import CLOCK, FILE, Writer, compiled, write
from tanken.isa.architecture import Architecture, Budget, Exit, Faulted, Instruction, MemoryMiss, Place, Value

WARM = 1  # visits before a block is made
LONGEST = 24  # instructions of a block


class Modified(Exception):
    """The store about to happen goes to a page of code, or another process came before a swap: the reference engine does it."""


class BlockRecorder(Recorder):
    """Blocks that begin by asking the time are run apart, when it is exact. The store of an atomic instruction becomes a swap."""

    has_clock = True
    atomic = False

    def store(self, address: Value, value: Value) -> None:
        loaded = next((event for event in self._events if event.kind == "load" and event.nodes[0] is node_of(address)), None)
        if self.atomic and loaded is not None:
            self._event("swap", node_of(address), node_of(value), loaded.results[0], extra=value.width // 8)
        else:
            super().store(address, value)


@dataclass(slots=True)
class Translation:
    """A block made here: what a fault in the middle needs."""

    code: CodeType
    writer: Writer
    recording: Recording


Entry = tuple[Callable[[], int], int, Exit | None]  # function, instructions, exit at its end


class Generated:
    """As `Interpreter`, with the same exits; `lazy` are the places of one bit that are mostly written and seldom read."""

    slice = 200_000
    exact = True  # always

    def __init__(self, state: Any, memory: AddressSpace, isa: Architecture, lazy: tuple[Place, ...] = ()) -> None:
        self.state, self.memory, self.isa, self.lazy = state, memory, isa, frozenset(lazy)
        self.executed = 0
        self._slow = Interpreter(state, memory, isa)
        self._forget_decoded = memory.on_code_write
        memory.on_code_write = self._forget
        self._blocks: dict[int, Entry] = {}
        self._timed: dict[int, Entry] = {}  # those that ask for the time: `executed` must be right when they begin
        self._made: dict[int, Record] = {}
        self._translations: dict[int, Translation] = {}
        self._files: dict[int, PageFile] = {}
        self._on_page: dict[int, set[int]] = {}
        self._heat: dict[int, int] = {}
        self._pending: list[Any] = [None]
        self._skipped = [0]
        self._names = self._namespace()

    def _namespace(self) -> dict[str, object]:
        state, memory = self.state, self.memory
        names: dict[str, object] = {f"F_{name}": function for name, function in MEANING.items()}
        names |= {f"A_{name}": getattr(state, name) for name in state.__slots__ if isinstance(getattr(state, name), list)}
        for size, letter in ((1, "B"), (2, "H"), (4, "I"), (8, "Q")):
            plain = struct.Struct("<" + letter)
            names |= {f"U{size}": plain.unpack_from, f"P{size}": plain.pack_into}
        readable, writable = memory.fast_pages()
        names |= {"S": state, "RD": readable, "WR": writable, "MISS": (KeyError, struct.error), "LOAD": memory.load, "STORE": self._store, "SWAP": self._swap}
        names[CLOCK] = lambda: self.executed
        return names | {"FAULTED": Faulted, "LANES": quick_lanes, "LAZY": self._pending, "SETTLE": self._settle, "SKIP": self._skipped}

    def _store(self, address: int, size: int, value: int) -> None:
        holds = self.memory.holds_code
        if holds(address >> SHIFT) or holds(address + size - 1 >> SHIFT):
            raise Modified
        self.memory.store(address, size, value)

    def _swap(self, address: int, size: int, old: int, new: int) -> None:
        holds = self.memory.holds_code
        if holds(address >> SHIFT) or holds(address + size - 1 >> SHIFT) or not self.memory.swap(address, size, old, new):
            raise Modified

    # -- running

    def save(self) -> None:
        """Nothing is kept from run to run."""

    def run(self, budget: int | None = None) -> Exit:
        """Go on until an exit; at most `budget` instructions. The state is exact then."""
        end = (1 << 62) if budget is None else self.executed + budget
        while True:
            exit = self._run(end - self.executed)
            if exit is not None:
                self._settle()
                return exit
            if self.executed >= end:
                self._settle()
                assert budget is not None
                return Budget(budget)

    def _run(self, left: int) -> Exit | None:
        """Up to `left` instructions, perhaps fewer."""
        state, got, at = self.state, self._blocks.get, self.state.rip
        start = left
        self._skipped[0] = 0
        if at in self._timed:
            return self._run_timed(at, left)
        try:
            while True:
                entry = got(at)
                if entry is None or entry[1] > left:
                    break
                at = entry[0]()
                left -= entry[1]
                if at < 0:  # the complement: the block's exit was reached, not a way out before it
                    state.rip = at = ~at
                    self.executed += start - left - self._skipped[0]
                    return entry[2]
        except (Miss, Faulted, Modified) as error:
            self.executed += start - left - self._skipped[0]
            return self._recover(error, at)
        state.rip = at
        self.executed += start - left - self._skipped[0]
        return self._cold(at, entry is not None) if left else None

    def _run_timed(self, at: int, left: int) -> Exit | None:
        """The one block there, which may look at the clock."""
        function, length, exit = self._timed[at]
        if length > left:
            return self._one()
        try:
            to = function()
        except (Miss, Faulted, Modified) as error:
            return self._recover(error, at)
        self.state.rip = to if to >= 0 else ~to
        self.executed += length - self._skipped[0]
        return exit if to < 0 else None

    def _cold(self, at: int, made: bool) -> Exit | None:
        """One instruction by the reference engine, or a block made that will run next."""
        if not made:
            heat = self._heat[at] = self._heat.get(at, 0) + 1
            if heat <= WARM and self._make(at, heat == WARM):
                return None
        return self._one()

    def _one(self) -> Exit | None:
        self._settle()
        slow = self._slow
        slow.executed = self.executed
        exit = slow.run(1)
        self.executed = slow.executed
        return None if isinstance(exit, Budget) else exit

    def _settle(self) -> None:
        """Compute the flags that the last block left as a recipe."""
        pending = self._pending[0]
        if pending is not None:
            self._pending[0] = None
            FunctionType(pending[0].code, self._names)(*pending[1:])

    def _recover(self, error: Miss | Faulted | Modified, at: int) -> Exit | None:
        """Bring the state to the beginning of the instruction that the block at `at` stopped in."""
        block, trace = self._translations.get(at) or self._again(self._made[at]), error.__traceback__
        frame = _frame(trace)
        local = frame.tb_frame.f_locals
        index = block.writer.instruction[frame.tb_lineno - 2]
        self._settle()
        known: dict[Node, int] = {node: local[name] for node, name in block.writer.all_names.items() if name in local}
        values = {place: evaluate(node, known, self._read) for place, node in block.recording.before[index].items()}
        for place, value in values.items():
            if place.index is None:
                setattr(self.state, place.field, value)
            else:
                getattr(self.state, place.field)[place.index] = value
        self.state.rip = block.recording.instructions[index].address
        self.executed += index
        if isinstance(error, Modified | Faulted):
            return self._one()
        return MemoryMiss(error.address, error.size, error.access)

    def _read(self, place: Place) -> int:
        value = getattr(self.state, place.field)
        return int(value if place.index is None else value[place.index])

    # -- making blocks

    def _make(self, at: int, warm: bool) -> bool:
        """A block that begins there: one that was kept, or, where it is `warm`, a new one."""
        block = self._kept(at) or (self._new(at) if warm else None)
        if block is None:
            return False
        self._made[at] = block
        blocks = self._timed if CLOCK in block.code.co_names else self._blocks
        blocks[at] = FunctionType(block.code, self._names | block.objects), block.length, block.exit
        for address, code in block.pieces:
            for page in range(address >> SHIFT, (address + len(code) - 1 >> SHIFT) + 1):
                self._on_page.setdefault(page, set()).add(at)
                self.memory.code_pages.add(page)
        return True

    def _file(self, at: int) -> PageFile:
        number = at >> SHIFT
        if number not in self._files:
            self.memory.fetch(at)  # from now on a store to the page is told
            self.memory.code_pages.add(number)
            self._files[number] = page_file(type(self.isa).__module__, number << SHIFT, self.memory.read(number << SHIFT, PAGE, EXEC))
        return self._files[number]

    def _kept(self, at: int) -> Record | None:
        """A block of the same bytes made before, here or by another process."""
        try:
            block = self._file(at).get(at)
            if block is None or any(self.memory.read(address, len(code), EXEC) != code for address, code in block.pieces):
                return None
            for address, code in block.pieces:
                if address + len(code) - 1 >> SHIFT != at >> SHIFT:
                    self.memory.fetch(address)
                    self.memory.fetch(address + len(code) - 1)
            return block
        except Miss:
            return None

    def _new(self, at: int) -> Record | None:
        made = self._translate(at, LONGEST)
        if made is None:
            return None
        self._translations[at] = made
        instructions = made.recording.instructions
        pieces = _joined([(instruction.address, instruction.code) for instruction in instructions])
        record = Record(at, pieces, len(instructions), made.recording.exit, made.writer.objects, made.code)
        self._file(at).add(record)
        return record

    def _again(self, block: Record) -> Translation:
        """The translation of a block that was kept by another process: the same, because its code is."""
        for short in (False, True):  # whether it ended because it came to a block that there was then
            made = self._translate(block.at, block.length, short)
            if made is not None and made.code == block.code:
                break
        else:
            raise AssertionError(f"the block at {block.at:#x} was kept by another version")
        self._translations[block.at] = made
        return made

    def _translate(self, at: int, longest: int, short: bool | None = None) -> Translation | None:
        """At most `longest` instructions; fewer where it comes to a block that there is, or, where `short` says so, as many and no step further."""
        recorder, seen = BlockRecorder(), {at}
        recording, here = recorder.recording, at
        while len(recording.instructions) < longest:
            try:
                instruction = self._slow.decode(here)
                recorder.atomic = instruction.atomic
                target, branch = recorder.record(self.isa, instruction)
            except (Unrecordable, Miss):
                break
            recording.target = target
            following = _straight(recording, target, branch, instruction)
            count = len(recording.instructions)
            ends = count >= 8 and following in self._blocks if short is None else short and count == longest
            if following is None or following in seen or ends:
                break
            if branch is not None and branch[1].constant is not None and target.op == "select":
                recording.events.append(Event("side", len(recording.instructions) - 1, None, (branch[0],), (), (branch[1].extra, dict(recording.values))))
                recording.target = recorder.graph.const(following)
            here = following
            seen.add(here)
        if not recording.instructions:
            return None
        writer = write(recording, self.lazy)
        return Translation(compiled.__wrapped__("def block():\n" + "\n".join(writer.lines)), writer, recording)

    def _forget(self, page: int) -> None:
        if self._forget_decoded is not None:
            self._forget_decoded(page)
        for at in self._on_page.pop(page, ()):
            self._blocks.pop(at, None)
            self._timed.pop(at, None)
            self._translations.pop(at, None)
            self._heat.pop(at, None)
        self._files.pop(page, None)


def _straight(recording: Recording, target: Node, branch: tuple[Node, Node] | None, instruction: Instruction) -> int | None:
    """Where the block goes on: behind a conditional branch, at the target of an unconditional one; None where it ends."""
    if recording.exit is not None:
        return None
    if target.op == "const":
        return int(target.extra)
    if branch is not None and target.op == "select" and target.args[0] is branch[0] and target.args[1].op == target.args[2].op == "const":
        return int(target.args[2].extra)
    return None


def _joined(pieces: list[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """Neighbours in one piece."""
    joined: list[tuple[int, bytes]] = []
    for address, code in pieces:
        if joined and joined[-1][0] + len(joined[-1][1]) == address:
            joined[-1] = joined[-1][0], joined[-1][1] + code
        else:
            joined.append((address, code))
    return tuple(joined)


def _frame(trace: TracebackType | None) -> TracebackType:
    while trace is not None and trace.tb_frame.f_code.co_filename != FILE:
        trace = trace.tb_next
    assert trace is not None, "blocks raise from inside"
    return trace
