"""A loop as one function: the blocks that lead back to its head, recorded, lowered to LLVM IR with guest registers in variables.

Facts of the method: before whatever may fault, registers that changed since they were last stored are stored, and the number of the place;
so the state is exact at every fault, and LLVM keeps everything else in the host's registers. Flags are kept as what they are the result of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from tanken.engine.native import ir
from tanken.engine.native.assemble import MARK
from tanken.engine.native.loops import ACCESSES, Member, Recipe, Values, divisions, steps
from tanken.engine.native.places import ARRIVED, REGION_AT, REGION_BUDGET_AT, SITE_AT, STRAIGHT, Site
from tanken.engine.recorder import Event, Recording

if TYPE_CHECKING:
    from tanken.engine.native.region_hooks import RegionHooks

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

    def expose(self, body: ir.Body, values: Values, keys: Keys) -> Keys:
        """Store those that hooks are handed: which they were."""

    def reload(self, body: ir.Body) -> None:
        """Load those variables again."""


# What stands before an access that may fault is not moved behind it; the memory of guest and state is none that hooks count in.
MARKS = """attributes #1 = { nounwind memory(read) }
!20 = !{!"tanken"}
!21 = !{!"guest", !20, i64 0}
!22 = !{!21, !21, i64 0}
!23 = !{!"hook", !20, i64 0}
!24 = !{!23, !23, i64 0}
"""


class RegionBody(ir.Body):
    """Writes a region; what may fault is told to the region first."""

    def __init__(self, target: Any, region: Region) -> None:
        super().__init__(target)
        self.region = region
        self.budget = "%B"

    def line(self, text: str) -> None:
        if self.region.hooks is not None and (text.startswith("store ") or " = load " in text):
            text += ", !tbaa !22"  # not what hooks count in
        super().line(text)

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

    def __init__(self, target: Any, chosen: dict[int, Member], head: int, hooks: RegionHooks | None = None) -> None:
        self.members, self.head, self.hooks = chosen, head, hooks
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
            if self.hooks is not None and self.hooks.changes(member.start):
                entry = None
            self._lowering.graph = member.graph
            after = self._lowering.recipe(member.recording.values, entry)
            for way in member.ways:
                if way in self.members and (way not in known or (known[way] is not None and known[way] != after)):
                    known[way] = after if way not in known else None
                    left.append((self.members[way], known[way]))
        for start, member in self.members.items():
            member.recipe = known.get(start) if self.hooks is None or not self.hooks.changes(start) else None

    def _dirty_at_start(self) -> None:
        """Which pieces of the state are not stored when each member begins."""
        lowering = self._lowering
        self.first.dirty.add(lowering.flags)
        grown = True
        while grown:
            grown = False
            for member in (self.first, *self.members.values()):
                dirty = set(member.dirty)
                for before, after, hazard in steps(member):
                    dirty = (dirty & {lowering.flags} if hazard else dirty) | lowering.changed(before, after)
                for way in member.ways:
                    if way in self.members and not dirty <= self.members[way].dirty:
                        self.members[way].dirty |= dirty
                        grown = True

    def text(self) -> str:
        """The module."""
        self.body = body = RegionBody(self._lowering, self)
        body.line(f"store ptr @region, ptr {self.at(REGION_AT)}")
        body.line("%Bv = alloca i64")
        body.line("store i64 %B, ptr %Bv")
        self._lowering.prologue(body)
        if self.hooks is not None:
            self.hooks.prologue(self)
        self._enter()
        for member in (self.first, *self.members.values()):
            self._member(member)
        lines = "\n".join(body.lines)
        text = f"define dso_local preserve_nonecc void @region{ir.ARGUMENTS} #0 {{\n{lines}\n}}\n"
        if self.hooks is not None:
            text += self.hooks.text(body.declared)
        text += "\n".join(sorted(body.declared)) + "\n" + ir.TAIL + MARKS + str(self.target.region_support())
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
        self.site(self.head, 1, self._lowering.sync(body, {}, frozenset((self._lowering.flags,)), None), ARRIVED)
        body.budget = body.value("sub i64 %B, 1")
        body.tail("@REGION")
        return None

    def at(self, offset: int) -> str:
        """The pointer to a place of the state block."""
        return self.body.value(f"getelementptr i8, ptr %S, i64 {offset}")

    def site(self, pc: int, left: int, recipe: Recipe | None, how: int) -> None:
        """Say in the state block that it stops here."""
        self.body.line(f"store i32 {len(self.sites)}, ptr {self.at(SITE_AT)}")
        self.sites.append(Site(pc, left, recipe, how))

    def leave_slowly(self) -> None:
        """Let the interpreter do the instruction, or the engine what a hook wants."""
        recipe = self._lowering.sync(self.body, self._values, frozenset(self._dirty), self._entry)
        self.site(self._pc, self._left, recipe, self.how)
        self.body.tail("@REGION")

    def expose(self) -> None:
        """Let the state block have what hooks are handed."""
        self._dirty -= self._lowering.expose(self.body, self._values, frozenset(self._dirty))

    def reload(self) -> None:
        """Hooks have changed that."""
        self._lowering.reload(self.body)
        self.body.begin_block()

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
        self.site(member.start, 0, self._lowering.sync(body, {}, frozenset(member.dirty), self._entry), ARRIVED)
        if self.hooks is not None and member is not self.first:
            self.hooks.arrived(self, member.start)
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
        for number, (before, after, hazard) in enumerate(steps(member)):
            self._values, self._pc, self._left = before, recording.instructions[number].address, left
            self.how = STRAIGHT
            if self.hooks is not None:
                self.how = self.hooks.run(self, member, number)
            mine = [event for event in events if event.at == number]
            if hazard:
                recipe = self._lowering.sync(body, before, frozenset(self._dirty), self._entry)
                self._dirty = {self._lowering.flags} if recipe is not None else set()
                self.mark = f'call void asm sideeffect "{MARK}{len(self.sites)}.${{:uid}}:", ""() #1'
                self.sites.append(Site(self._pc, left, recipe, self.how))
                if not self._stored:
                    body.line(f"store i64 {self._budget}, ptr {self.at(REGION_BUDGET_AT)}")
                    self._stored = True
            body.events(Recording(events=mine))
            for node in divisions(after, before):
                body.line(self.mark)
                body.use(node, node.result)
            self._dirty |= self._lowering.changed(before, after)
            left -= 1

    def _end(self, member: Member) -> None:
        body, values = self.body, member.recording.values
        self._values = values
        condition = body.use(member.branch, 1) if member.branch is not None else ""
        target = body.use(member.target, 64) if member.target is not None else ""
        if any(way in self.members for way in member.ways):
            self._lowering.assign(body, values)
        if target:
            return self._return(target, member.ways)
        if not condition:
            return self._go(member.ways[0], member.straight)
        labels = [body.label() for _ in member.ways]
        body.line(f"br i1 {condition}, label {labels[0]}, label {labels[1]}")
        for way, label in zip(member.ways, labels, strict=True):
            names = dict(body.names)
            body.begin(label)
            self._go(way)
            body.names = names
        return None

    def _return(self, target: str, ways: tuple[int, ...]) -> None:
        """Behind the calls of the region, or out of it."""
        body = self.body
        for way in ways:
            here, on = body.label(), body.label()
            body.line(f"br i1 {body.value(f'icmp eq i64 {target}, {way}')}, label {here}, label {on}")
            names = dict(body.names)
            body.begin(here)
            self._go(way)
            body.names = names
            body.begin(on)
        self._lowering.settle(body, self._values, frozenset(self._dirty))
        body.indirect(target)

    def _go(self, way: int, straight: bool = False) -> None:
        if self.hooks is not None:
            self.hooks.going(self, way, straight)
        if way in self.members:
            self.body.line(f"br label %b{way:x}")
            return
        self._lowering.settle(self.body, self._values, frozenset(self._dirty))
        if way not in self.exits:
            self.exits.append(way)
        self.body.tail(f"@EXIT{self.exits.index(way)}")
