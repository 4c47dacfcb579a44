"""Makes stencils: an instruction's recording, lowered with and without its flags, compiled, and entered into the translator's tables.

What cannot be left open is learned here: the form's entry in the table says so from then on, and the translator asks again with a
longer key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.engine.graph import Node
from tanken.engine.native import ir
from tanken.engine.native.assemble import SYMBOLS, UnfitError, assemble, compile_functions
from tanken.engine.native.holes import Code, Relocation
from tanken.engine.native.recording import StencilRecorder
from tanken.engine.recorder import Recording, Unrecordable


class _Calls:
    def __init__(self, target: Any) -> None:
        self.known = target.known_call


class Maker:
    """Fills the tables of one engine; `enter_key` puts a key into the translator's own hash table."""

    def __init__(self, target: Any, tab: memoryview, blob: memoryview, block: memoryview, enter_key: Callable[[int, int, int, int], None]) -> None:
        """`block` is the state's, where the stencils' constants stand too."""
        self.target, self.tab, self.blob, self._enter_key = target, tab, blob, enter_key
        self.N = N = target.tables
        self.new_body: Callable[[Any, bool], ir.Body] = ir.Body
        self.new_recorder: Callable[..., StencilRecorder] = StencilRecorder
        self.constants = block[N.CONSTANTS_AT : N.CONSTANTS_AT + 8 * N.MOST_CONSTANTS]
        self.made = 0  # since this engine was made

    def analyse(self, form: int, code: bytes, address: int) -> None:
        """Learn what there is to know of a form from one of its instructions."""
        self.tab[self.N.FORMS + form] = self.target.analyse(self.target.decode(code, address))
        self.made += 1

    def make(self, form: int, key: tuple[int, int, int], codes: list[tuple[bytes, int]]) -> None:
        """The stencil for the first instruction, or for it and the branch behind it; or more to know of the form."""
        self.made += 1
        instructions = [self.target.decode(code, address) for code, address in codes]
        known = self.tab[self.N.FORMS + form]
        recorder = self.new_recorder(_Calls(self.target), self.target.fields)
        if self.target.nonzero(instructions[0], known):
            recorder.graph.nonzero.add("IMM")
        touched: set[str] = set()
        try:
            for instruction in instructions:
                opened = self.target.open(instruction, known)
                try:
                    end = recorder.one(self.target.isa, opened, opened.following, opened.opened)
                finally:
                    touched |= opened.touched
        except Unrecordable:
            more = self.target.widen(known, touched, False)
            self.tab[self.N.FORMS + form] = more
            return self._refuse(key, len(codes) > 1) if more == known else None
        special = self.target.special(instructions[0]) if len(codes) == 1 and not key[0] & (self.N.SINGLY | self.N.WATCHING) else None
        if special is not None:
            return self._enter(key, instructions[0], {"live": assemble(special)["live"]}, "again", True, (0, 0, 0))
        more = self.target.widen(known, touched, recorder.sensitive)
        if more != known:
            self.tab[self.N.FORMS + form] = more
            return
        if not self.target.usable(instructions[0], touched):
            return self._refuse(key, len(codes) > 1)
        try:
            try:
                self._compile(key, recorder, end, known, instructions[0], False)
            except UnfitError:
                self._compile(key, recorder, end, known, instructions[0], True)
        except UnfitError:
            self._refuse(key, len(codes) > 1)

    def _refuse(self, key: tuple[int, int, int], fused: bool) -> None:
        """Leave the instruction to the interpreter, or the two apart."""
        number = self._number()
        self.tab[self._entry(number) + self.N.KIND] = self.N.REFUSED if fused else self.N.INTERPRETED
        self._enter_key(*key, number)

    def _number(self) -> int:
        number = self.tab[self.N.STENCIL_COUNT]
        if number >= self.N.MOST_STENCILS:
            raise MemoryError("the table of stencils is full")
        self.tab[self.N.STENCIL_COUNT] = number + 1
        return int(number)

    def _entry(self, number: int) -> int:
        return int(self.N.STENCILS + number * self.N.STENCIL_FIELDS)

    def _compile(self, key: tuple[int, int, int], recorder: StencilRecorder, end: Node, known: int, instruction: Any, loose: bool) -> None:
        recording = recorder.recording
        flags = {place: node for place, node in recording.values.items() if place in self.target.flags and not (node.op == "get" and node.extra is place)}
        text, declared, kind, slow = "", set(), "", False
        for name, live in (("live", True), ("dead", False)) if flags else (("live", True),):
            body = self.new_body(self.target.lowering(recorder.graph, known), loose)
            body.watched = bool(key[0] & self.N.WATCHING)
            body.atomic = bool(instruction.atomic)
            body.events(recording)
            body.aim(end)
            body.target.put(body, recording.values, live)
            kind = body.finish(end)
            text += ir.function(name, body)
            declared |= body.declared
            slow |= body.slow
        module = text + "\n".join(sorted(declared)) + "\n" + ir.TAIL + SYMBOLS
        codes = compile_functions(module, self._pool, loose=loose)
        if self._foreign(codes):
            raise UnfitError(f"what stands elsewhere: {self._foreign(codes)}")
        without = {place: node for place, node in recording.values.items() if place not in flags}
        read, read_dead = (self._mask(_reads(recording, values, end)) for values in (recording.values.values(), without.values()))
        self._enter(key, instruction, codes, kind, slow, (read, read_dead, self._mask(flags)))

    def _pool(self, data: bytes) -> int:
        """Where the constant is kept, beside an equal one that is kept already."""
        N, words = self.N, data.ljust(-(-len(data) // 32) * 32 if len(data) > 16 else 16, b"\0")
        used = self.tab[N.CONSTANT_COUNT]
        step = len(words)
        kept = self.tab[N.CONSTANTS : N.CONSTANTS + N.MOST_CONSTANTS].cast("B")
        at = next((at for at in range(0, used, step) if kept[at : at + step] == words), -(-used // step) * step)
        if at + step > 8 * N.MOST_CONSTANTS:
            raise UnfitError("no room for more constants")
        if at + step > used:
            self.tab[N.CONSTANT_COUNT] = at + step
            kept[at : at + step] = words
            self.constants[at : at + step] = words
        return int(N.CONSTANTS_AT) + at

    def _foreign(self, codes: dict[str, Code]) -> set[str]:
        """Symbols that no hole can be filled with: library functions, constants that LLVM put elsewhere."""
        return {hole.symbol for code in codes.values() for hole in code.relocations if hole.symbol not in self.N.HOLE_KINDS}

    def _enter(self, key: tuple[int, int, int], instruction: Any, codes: dict[str, Code], kind: str, slow: bool, flags: tuple[int, int, int]) -> None:
        """Put a stencil into the tables; `flags` are masks of those read with and without the written ones, and of these."""
        N, tab, number = self.N, self.tab, self._number()
        entry = self._entry(number)
        self._put(entry + N.LIVE_AT, codes["live"])
        if "dead" in codes:
            self._put(entry + N.DEAD_AT, codes["dead"])
        else:
            tab[entry + N.DEAD_AT : entry + N.DEAD_AT + 4] = tab[entry + N.LIVE_AT : entry + N.LIVE_AT + 4]
        tab[entry + N.READS_LIVE], tab[entry + N.READS_DEAD], tab[entry + N.WRITES] = flags
        kinds = {"next": N.NORMAL, "jump": N.JUMP, "branch": N.BRANCH, "again": N.BRANCH, "indirect": N.INDIRECT}
        tab[entry + N.KIND], tab[entry + N.AGAIN], tab[entry + N.FAULTS] = kinds[kind], int(kind == "again"), int(slow)
        tab[entry + N.FUSES] = int(kind == "next" and self.target.fuses(instruction))
        tab[entry + N.ONE] = int(self.target.counts_one(instruction))
        self._enter_key(*key, number)

    def _mask(self, places: Any) -> int:
        return sum(1 << n for n, place in enumerate(self.target.flags) if place in places)

    def _put(self, variant: int, code: Code) -> None:
        """Bytes into the blob, holes into their table; a jump to what follows anyway is left out."""
        N, data, holes = self.N, code.code, list(code.relocations)
        if holes and holes[-1].symbol == "NEXT" and holes[-1].offset == len(data) - 4 and data[-5] == 0xE9:
            data = data[:-5]
            holes.pop()
        at, first = self.tab[N.BLOB_AT], self.tab[N.HOLE_COUNT]
        if first + len(holes) > N.MOST_HOLES or at + len(data) > len(self.blob):
            raise MemoryError("the table of stencils is full")
        self.blob[at : at + len(data)] = data
        self.tab[N.BLOB_AT] = at + len(data)
        for number, hole in enumerate(holes):
            self.put_hole(first + number, hole)
        self.tab[N.HOLE_COUNT] = first + len(holes)
        self.tab[variant], self.tab[variant + 1] = at, len(data)
        self.tab[variant + 2], self.tab[variant + 3] = first, len(holes)

    def put_hole(self, number: int, hole: Relocation) -> None:
        """An entry of the table of holes."""
        place = self.N.HOLES + 4 * number
        relative = hole.type in (2, 4)
        self.tab[place], self.tab[place + 1] = hole.offset, {1: 8, 14: 1, 12: 2}.get(hole.type, 4)
        self.tab[place + 2], self.tab[place + 3] = self.N.HOLE_KINDS[hole.symbol], hole.addend + 4 if relative else hole.addend


def _reads(recording: Recording, values: Any, end: Node) -> set[Any]:
    """The places whose first values any of this is computed from."""
    found, seen = set(), set()
    left = [end, *values, *(node for event in recording.events for node in (*event.nodes, *([event.guard] if event.guard else [])))]
    while left:
        node = left.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op == "get":
            found.add(node.extra)
        left += node.args
    return found
