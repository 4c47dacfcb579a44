"""Compiled hooks in a region: called, or inlined, before each instruction that has some, with the registers they ask for; the region ends where others are.

Facts of the method: a hook that reads registers finds those stored that changed; before one that changes them a block begins, so that all are
loaded again; one that stops the run leaves as a fault does. Where a block was come to without a branch, hooks of blocks are passed by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tanken.engine.hooks import NOWHERE, STOP, Hook
from tanken.engine.native import places as P
from tanken.engine.native.hook_body import HookBody
from tanken.engine.native.hooked import HELD, Interval
from tanken.engine.native.places import BRANCHED, EITHER, STRAIGHT

if TYPE_CHECKING:
    from tanken.engine.native.hook_table import HookTable
    from tanken.engine.native.loops import Member
    from tanken.engine.native.region import Region

NOTHING = Interval(0, 0, (), (), False)


class RegionHooks:
    """The hooks of a table, for one region; asked while its blocks are chosen, and while it is written."""

    def __init__(self, table: HookTable, continued_at: int) -> None:
        self._table, self._continued_at = table, continued_at
        self._names: dict[Hook, str] = {}
        self._either: set[int] = set()

    # -- of blocks, see `loops.Hooks`

    def _at(self, pc: int) -> Interval:
        return self._table.at(pc) or NOTHING

    def _body(self, hook: Hook) -> HookBody | None:
        return None if hook.compiled is None else self._table.body(hook.compiled)

    def parts(self, pc: int, first: bool) -> bool:
        found = self._at(pc)
        bodies = [self._body(hook) for hook in (*found.single, *(found.block if first else ()))]
        return found.until or None in bodies or (not first and any(body is not None and body.changes for body in bodies))

    def begins(self, pc: int) -> bool:
        return bool(self._at(pc).block)

    def changes(self, pc: int) -> bool:
        bodies = [self._body(hook) for hook in (*self._at(pc).single, *self._at(pc).block)]
        return any(body is not None and body.changes for body in bodies)

    # -- in the text

    def prologue(self, region: Region) -> None:
        """Whether the region was come to straight on."""
        straight = {way for member in region.members.values() if member.straight for way in member.ways}
        self._either = {start for start in straight if start in region.members and self.begins(start)}
        if not self._either and not self.begins(region.head):
            return
        body, came = region.body, "false"
        if self.begins(region.head):
            word = body.value(f"load i64, ptr {region.at(self._continued_at)}")
            came = body.value(f"icmp eq i64 {word}, {region.head}")
        body.line("%straight = alloca i1")
        body.line(f"store i1 {came}, ptr %straight")

    def arrived(self, region: Region, start: int) -> None:
        """The budget ends before the block: say how it was come to."""
        if start in self._either:
            came = region.body.value("load i1, ptr %straight")
            word = region.body.value(f"select i1 {came}, i64 {start}, i64 {NOWHERE}")
            region.body.line(f"store i64 {word}, ptr {region.at(self._continued_at)}")

    def going(self, region: Region, way: int, straight: bool) -> None:
        """Control passes on to another block."""
        if way in region.members:
            if way in self._either:
                region.body.line(f"store i1 {'true' if straight else 'false'}, ptr %straight")
        elif straight and self.begins(way):
            region.body.line(f"store i64 {way}, ptr {region.at(self._continued_at)}")

    def run(self, region: Region, member: Member, number: int) -> int:
        """Those of an instruction; how it is come to, for whoever stops there."""
        pc = member.recording.instructions[number].address
        found, body = self._at(pc), region.body
        either = number == 0 and bool(found.block) and (member is region.first or pc in self._either)
        region.how = EITHER if either else BRANCHED if number == 0 and found.block else STRAIGHT
        if number == 0 and found.block:
            if either:
                came = body.value("load i1, ptr %straight")
                body.line(f"store i32 {body.value(f'zext i1 {came} to i32')}, ptr {region.at(P.REGION_STRAIGHT)}")
                if member is region.first:
                    body.line(f"store i64 {NOWHERE}, ptr {region.at(self._continued_at)}")
                if self._touching(found.block):
                    region.expose()
                names, inside, on = dict(body.names), body.label(), body.label()
                body.line(f"br i1 {came}, label {on}, label {inside}")
                body.begin(inside)
                self._call_all(region, pc, found.block)
                body.line(f"br label {on}")
                body.names = names
                body.begin(on)
            else:
                self._call_all(region, pc, found.block)
        self._call_all(region, pc, found.single)
        if number == 0 and self.changes(pc):
            region.reload()
        return region.how

    def _touching(self, hooks: tuple[Hook, ...]) -> bool:
        return any(body is not None and body.reads for body in map(self._body, hooks))

    def _call_all(self, region: Region, pc: int, hooks: tuple[Hook, ...]) -> None:
        for hook in hooks:
            self._call(region, pc, hook)

    def _call(self, region: Region, pc: int, hook: Hook) -> None:
        body, function, made = region.body, hook.compiled, self._body(hook)
        assert made is not None and function is not None, "`parts` keeps the others out"
        if made.reads:
            region.expose()
        if made.text:
            name = self._names.setdefault(hook, f"@hook{len(self._names)}")
        else:
            name = f"inttoptr (i64 {function.address} to ptr)"
        state = [f'call void asm sideeffect "{{}} ($0)", "r,~{{{{memory}}}}"(ptr {region.at(at)})' for at in (P.MXCSR, P.HOST_MXCSR)] if made.floats else []
        for text, instruction in zip(state, ("stmxcsr", "ldmxcsr"), strict=False):
            body.line(text.format(instruction))
        answer = "" if made.void else body.fresh() + " = "
        body.line(f"{answer}call {'void' if made.void else 'i64'} {name}(i64 {pc}, ptr %S, ptr inttoptr (i64 {hook.data_address} to ptr)) #2")
        for text in state[:1]:
            body.line(text.format("ldmxcsr"))
        if function.answers and answer:
            self._stop_if(region, body.value(f"icmp ne i64 {answer[:-3]}, 0"))

    @staticmethod
    def _stop_if(region: Region, condition: str) -> None:
        """Leave before the instruction."""
        body, out, on = region.body, region.body.label(), region.body.label()
        body.line(f"br i1 {condition}, label {out}, label {on}, !prof !0")
        body.begin(out)
        names = dict(body.names)
        held = body.value(f"load i32, ptr {region.at(HELD)}")
        body.line(f"store i32 {body.value(f'or i32 {held}, {STOP}')}, ptr {region.at(HELD)}")
        region.leave_slowly()
        body.names = names
        body.begin(on)

    def text(self, declared: set[str]) -> str:
        """The functions that were brought into the region; what of LLVM's they use is put to `declared`."""
        text = "attributes #2 = { nounwind }\n"
        for hook, name in self._names.items():
            made = self._body(hook)
            assert made is not None
            text += made.text.replace("@NAME", name)
            declared |= {line for line in made.declared if line.split("@")[1].split("(")[0] in made.text}
        return text
