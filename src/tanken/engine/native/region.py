"""A loop as one function: the blocks that lead back to its head, recorded, lowered to LLVM IR with guest registers in variables.

Facts of the method: before whatever may fault, registers that changed since they were last stored are stored, and the number of the place;
so the state is exact at every fault, and LLVM keeps everything else in the host's registers. Flags are kept as what they are the result of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tanken.engine.graph import Node
from tanken.engine.native import ir
from tanken.engine.native.assemble import MARK
from tanken.engine.native.places import REGION_AT, REGION_BUDGET_AT, SITE_AT
from tanken.engine.native.recording import StencilRecorder
from tanken.engine.recorder import Event, Recording, Unrecordable
from tanken.isa.architecture import Place

MOST_BLOCKS, MOST_INSTRUCTIONS, LONGEST = 40, 600, 80
DIVISIONS = frozenset(("udiv", "urem", "sdiv", "srem"))
ACCESSES = frozenset(("load", "store"))
Values = dict[Place, Node]
Recipe = tuple[int, ...]  # what the flags are the result of, for the instruction set
Site = tuple[int, int, Recipe | None]  # guest address, instructions left in its block (0 where the budget ends), what its flags are
Keys = frozenset[Any]  # pieces of the state: places, and the target's word for all flags


class Lowering(Protocol):
    """What an instruction set does for regions, beside what `ir.Target` asks."""

    graph: Any
    flags: Any  # the key of all flags
    guarded: bool  # whether `unmasked` is a condition under which the region cannot be entered
    unmasked: str

    def changed(self, before: Values, after: Values) -> Keys:
        """The pieces of the state that differ."""

    def prologue(self, body: ir.Body) -> None:
        """Load all variables from the state."""

    def assign(self, body: ir.Body, values: Values) -> None:
        """Put values into the variables, at a block's end."""

    def recipe(self, values: Values, entry: Recipe | None) -> Recipe | None:
        """What the flags are the result of, if registers that still have it, or constants, tell; `entry`: the same when the block began."""

    def sync(self, body: ir.Body, values: Values, keys: Keys, entry: Recipe | None) -> Recipe | None:
        """Store pieces into the state block; flags as what they are the result of: in the block, or as is returned (then they stay unstored)."""

    def settle(self, body: ir.Body, values: Values, keys: Keys) -> None:
        """The same, with flags as other code reads them."""


@dataclass(slots=True)
class Member:
    """A block; `ways` are where it goes on, none where that is known only when it runs."""

    start: int
    end: int
    recording: Recording
    graph: Any
    branch: Node | None = None
    ways: tuple[int, ...] = ()
    dirty: set[Any] = field(default_factory=set)  # of the state, when it begins
    recipe: Recipe | None = None  # of the flags, when it begins


class _Calls:
    def __init__(self, target: Any) -> None:
        self.known = target.known_call


def record(target: Any, fetch: Callable[[int], bytes], start: int, head: int) -> Member | None:
    """The block at `start`, up to the head, what ends it or cannot be recorded; None where not even its first instruction can."""
    recorder = StencilRecorder(_Calls(target), frozenset())
    at = start
    for _ in range(LONGEST):
        if at == head != start:
            break
        inst = target.decode(fetch(at), at)
        recorded = _recorded(target, recorder, inst)
        if recorded is None:
            break
        node, branch = recorded
        following = at + inst.length
        at = following
        if node.constant == following:
            continue
        member = Member(start, at, recorder.recording, recorder.graph)
        if node.constant is not None:
            member.ways = (node.constant,)
        elif branch is not None and branch[1].constant is not None and node.op == "select":
            member.branch, member.ways = branch[0], (branch[1].constant, following)
        return member
    if at == start:
        return None
    return Member(start, at, recorder.recording, recorder.graph, ways=(at,))


def _recorded(target: Any, recorder: StencilRecorder, inst: Any) -> tuple[Node, tuple[Node, Node] | None] | None:
    """What recording the instruction tells; None, and nothing recorded, where it cannot stand in a region."""
    if not target.in_region(inst):
        return None
    done = recorder.recording
    events, values = len(done.events), dict(done.values)
    try:
        found = recorder.record(target.isa, inst)
    except Unrecordable:
        return None
    changed = (place for place, node in done.values.items() if values.get(place) is not node and not (node.op == "get" and node.extra is place))
    if done.exit is None and all(map(target.in_variable, changed)):
        return found
    del done.events[events:]
    done.instructions.pop()
    done.before.pop()
    done.values, done.exit = values, None
    return None


def members(target: Any, fetch: Callable[[int], bytes], known: Callable[[int], bool], head: int) -> dict[int, Member]:
    """The blocks by which `head` is reached again from itself, all of which have run before; none where there is no loop."""
    found: dict[int, Member] = {}
    left, count = [head], 0
    while left and len(found) < MOST_BLOCKS and count < MOST_INSTRUCTIONS:
        start = left.pop(0)
        if start in found or not (start == head or known(start)):
            continue
        member = record(target, fetch, start, head)
        if member is not None:
            found[start] = member
            count += len(member.recording.instructions)
            left += member.ways
    back = {head}
    grown = True
    while grown:
        new = {start for start, member in found.items() if start not in back and back.intersection(member.ways)}
        grown = bool(new)
        back |= new
    chosen = {start: member for start, member in found.items() if start in back}
    return chosen if any(head in member.ways for member in chosen.values()) else {}


class RegionBody(ir.Body):
    """Writes a region; what may fault is told to the region first."""

    def __init__(self, target: Any, region: Region) -> None:
        super().__init__(target)
        self.region = region
        self.budget = "%B"

    def tail(self, symbol: str) -> None:
        self.line(f"musttail call preserve_nonecc void {symbol}(ptr %S, ptr %T, i64 {self.budget})")
        self.line("ret void")

    def leave_if(self, condition: str) -> None:
        out, on = self.label(), self.label()
        self.line(f"br i1 {condition}, label {out}, label {on}, !prof !0")
        self.begin(out)
        names = dict(self.names)
        self.region.leave_slowly()
        self.names = names
        self.begin(on)

    def _event(self, event: Event) -> int:
        if event.kind in ("keep", "side"):
            return 1
        if event.kind in ACCESSES:
            self.line(self.region.mark)
        return super()._event(event)

    def begin_block(self) -> None:
        """Another block: what was computed is known there no more."""
        self.names.clear()
        self.checked.clear()


class Region:
    """The function of some members."""

    def __init__(self, target: Any, chosen: dict[int, Member], head: int) -> None:
        self.members, self.head = chosen, head
        self.first = replace(chosen[head], dirty=set())  # the head as it is entered from outside
        self.exits: list[int] = []
        self.sites: list[Site] = []
        self.target = target
        recordings, conditions = tuple(m.recording for m in chosen.values()), [m.branch for m in chosen.values() if m.branch]
        self._lowering: Lowering = target.region_lowering(chosen[head].graph, recordings, conditions)
        self._dirty_at_start()
        self._recipes_at_start()

    def _recipes_at_start(self) -> None:
        """What the flags are the result of when each member begins, where all ways to it agree."""
        known: dict[int, Recipe | None] = {}
        left: list[tuple[Member, Recipe | None]] = [(self.first, None)]
        while left:
            member, entry = left.pop()
            self._lowering.graph = member.graph
            after = self._lowering.recipe(member.recording.values, entry)
            for way in member.ways:
                if way in self.members and (way not in known or (known[way] is not None and known[way] != after)):
                    known[way] = after if way not in known else None
                    left.append((self.members[way], known[way]))
        for start, member in self.members.items():
            member.recipe = known.get(start)

    def _dirty_at_start(self) -> None:
        """Which pieces of the state are not stored when each member begins."""
        lowering = self._lowering
        self.first.dirty.add(lowering.flags)
        grown = True
        while grown:
            grown = False
            for member in (self.first, *self.members.values()):
                dirty = set(member.dirty)
                for before, after, hazard in _steps(member):
                    dirty = (dirty & {lowering.flags} if hazard else dirty) | lowering.changed(before, after)
                for way in member.ways:
                    if way in self.members and not dirty <= self.members[way].dirty:
                        self.members[way].dirty |= dirty
                        grown = True

    def text(self) -> str:
        """The module."""
        self.body = body = RegionBody(self._lowering, self)
        body.line(f"store ptr @region, ptr {self._at(REGION_AT)}")
        body.line("%Bv = alloca i64")
        body.line("store i64 %B, ptr %Bv")
        self._lowering.prologue(body)
        self._enter()
        for member in (self.first, *self.members.values()):
            self._member(member)
        lines = "\n".join(body.lines)
        text = f"define dso_local preserve_nonecc void @region{ir.ARGUMENTS} #0 {{\n{lines}\n}}\n"
        text += "\n".join(sorted(body.declared)) + "\n" + ir.TAIL + str(self.target.region_support())
        outside = ["REGION", *(f"EXIT{n}" for n in range(len(self.exits)))]
        return text + "".join(f"declare dso_local preserve_nonecc void @{name}(ptr, ptr, i64)\n" for name in outside)

    def _enter(self) -> None:
        """Into the head's block, where nothing forbids it."""
        body, head = self.body, "%first"
        if not self._lowering.guarded:
            return body.line(f"br label {head}")
        out = body.label()
        body.line(f"br i1 {self._lowering.unmasked}, label {out}, label {head}, !prof !0")
        body.begin(out)
        self._site(self.head, 1, self._lowering.sync(body, {}, frozenset((self._lowering.flags,)), None))
        body.budget = body.value("sub i64 %B, 1")
        body.tail("@REGION")
        return None

    def _at(self, offset: int) -> str:
        return self.body.value(f"getelementptr i8, ptr %S, i64 {offset}")

    def _site(self, pc: int, left: int, recipe: Recipe | None) -> None:
        self.body.line(f"store i32 {len(self.sites)}, ptr {self._at(SITE_AT)}")
        self.sites.append((pc, left, recipe))

    def leave_slowly(self) -> None:
        """Let the interpreter do the instruction."""
        recipe = self._lowering.sync(self.body, self._values, frozenset(self._dirty), self._entry)
        self._site(self._pc, self._left, recipe)
        self.body.tail("@REGION")

    def _member(self, member: Member) -> None:
        body, count = self.body, len(member.recording.instructions)
        body.begin_block()
        self._lowering.graph = member.graph
        body.begin("%first" if member is self.first else f"%b{member.start:x}")
        self._entry = member.recipe
        before = body.value("load i64, ptr %Bv")
        self._budget = body.value(f"sub i64 {before}, {count}")
        on, out = body.label(), body.label()
        body.line(f"br i1 {body.value(f'icmp slt i64 {self._budget}, 0')}, label {out}, label {on}, !prof !0")
        body.begin(out)
        saved = dict(body.names)
        self._site(member.start, 0, self._lowering.sync(body, {}, frozenset(member.dirty), self._entry))
        body.budget = before
        body.tail("@REGION")
        body.budget = self._budget
        body.names = saved
        body.begin(on)
        body.line(f"store i64 {self._budget}, ptr %Bv")
        self._dirty, self._stored = set(member.dirty), False
        self._instructions(member)
        self._end(member)

    def _instructions(self, member: Member) -> None:
        recording, body = member.recording, self.body
        left = len(recording.instructions)
        events = list(recording.events)
        for number, (before, after, hazard) in enumerate(_steps(member)):
            self._values, self._pc, self._left = before, recording.instructions[number].address, left
            mine = [event for event in events if event.at == number]
            if hazard:
                recipe = self._lowering.sync(body, before, frozenset(self._dirty), self._entry)
                self._dirty = {self._lowering.flags} if recipe is not None else set()
                self.mark = f'call void asm sideeffect "{MARK}{len(self.sites)}.${{:uid}}:", "~{{memory}}"()'
                self.sites.append((self._pc, left, recipe))
                if not self._stored:
                    body.line(f"store i64 {self._budget}, ptr {self._at(REGION_BUDGET_AT)}")
                    self._stored = True
            body.events(Recording(events=mine))
            for node in _divisions(after, before):
                body.line(self.mark)
                body.use(node, node.result)
            self._dirty |= self._lowering.changed(before, after)
            left -= 1

    def _end(self, member: Member) -> None:
        body, values = self.body, member.recording.values
        self._values = values
        condition = body.use(member.branch, 1) if member.branch is not None else ""
        if any(way in self.members for way in member.ways):
            self._lowering.assign(body, values)
        if not condition:
            return self._go(member.ways[0])
        labels = [body.label() for _ in member.ways]
        body.line(f"br i1 {condition}, label {labels[0]}, label {labels[1]}")
        for way, label in zip(member.ways, labels, strict=True):
            names = dict(body.names)
            body.begin(label)
            self._go(way)
            body.names = names

    def _go(self, way: int) -> None:
        if way in self.members:
            self.body.line(f"br label %b{way:x}")
            return
        self._lowering.settle(self.body, self._values, frozenset(self._dirty))
        if way not in self.exits:
            self.exits.append(way)
        self.body.tail(f"@EXIT{self.exits.index(way)}")


def _steps(member: Member) -> Iterator[tuple[Values, Values, bool]]:
    """(values before, values after, whether it may fault) of each instruction."""
    recording = member.recording
    hazards = {event.at for event in recording.events if event.kind in ACCESSES}
    for number, before in enumerate(recording.before):
        after = recording.before[number + 1] if number + 1 < len(recording.before) else recording.values
        yield before, after, number in hazards or bool(_divisions(after, before))


def _divisions(after: Values, before: Values) -> list[Node]:
    """The divisions by the host's own instruction in what an instruction set."""
    found: list[Node] = []
    left, seen = [node for place, node in after.items() if before.get(place) is not node], set()
    stop = set(before.values())
    while left:
        node = left.pop()
        if node in seen or node in stop:
            continue
        seen.add(node)
        if node.op in DIVISIONS and node.width == 128:
            found.append(node)
        left += node.args
    return found
