"""The blocks of a loop: those that lead back to its head, each recorded as far as a region can hold it.

Facts of the method: a block ends where a branch stands, at the loop's head, before what cannot be recorded, and before what hooks keep out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from tanken.engine.graph import Node
from tanken.engine.native.recording import StencilRecorder
from tanken.engine.recorder import Recording, Unrecordable
from tanken.isa.architecture import Place

MOST_BLOCKS, MOST_INSTRUCTIONS, LONGEST = 40, 600, 80
DIVISIONS = frozenset(("udiv", "urem", "sdiv", "srem"))
ACCESSES = frozenset(("load", "store"))
Values = dict[Place, Node]
Recipe = tuple[int, ...]  # what the flags are the result of, for the instruction set


class Hooks(Protocol):
    """What hooks ask of a region."""

    def parts(self, pc: int, first: bool) -> bool:
        """Whether the instruction there cannot follow another one in its block, or, being the `first`, cannot be in a region."""

    def begins(self, pc: int) -> bool:
        """Whether hooks of blocks run there."""

    def changes(self, pc: int) -> bool:
        """Whether a hook there may change registers."""


@dataclass(slots=True)
class Member:
    """A block; `ways` are where it goes on, `back` the way behind the call that ends it, `target` where a return goes."""

    start: int
    end: int
    recording: Recording
    graph: Any
    branch: Node | None = None
    ways: tuple[int, ...] = ()
    straight: bool = False  # it goes on without a branch
    back: int | None = None
    target: Node | None = None
    dirty: set[Any] = field(default_factory=set)  # of the state, when it begins
    recipe: Recipe | None = None  # of the flags, when it begins


class _Calls:
    def __init__(self, target: Any) -> None:
        self.known = target.known_call


def record(target: Any, fetch: Callable[[int], bytes], start: int, head: int, hooks: Hooks | None = None) -> Member | None:
    """The block at `start`, up to the head, what ends it or cannot be recorded; None where not even its first instruction can."""
    recorder = StencilRecorder(_Calls(target), frozenset())
    at = start
    for _ in range(LONGEST):
        if at == head != start or (hooks is not None and hooks.parts(at, at == start)):
            break
        inst = target.decode(fetch(at), at)
        recorded = _recorded(target, recorder, inst)
        if recorded is None:
            break
        node, branch = recorded
        following = at + inst.length
        at = following
        branches = target.branches(inst)
        if node.constant == following and not (branches and hooks is not None and hooks.begins(following)):
            continue
        member = Member(start, at, recorder.recording, recorder.graph)
        if node.constant is not None:
            member.ways = (node.constant,)
            member.back = following if branches == "call" else None
        elif branch is not None and branch[1].constant is not None and node.op == "select":
            member.branch, member.ways = branch[0], (branch[1].constant, following)
        elif branches == "return":
            member.target = node
        return member
    if at == start:
        return None
    return Member(start, at, recorder.recording, recorder.graph, ways=(at,), straight=True)


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


def members(target: Any, fetch: Callable[[int], bytes], known: Callable[[int], bool], head: int, hooks: Hooks | None = None) -> dict[int, Member]:
    """The blocks by which `head` is reached again from itself, all of which have run before; none where there is no loop."""
    found: dict[int, Member] = {}
    left, called, count = [head], list[int](), 0
    while (left or called) and len(found) < MOST_BLOCKS and count < MOST_INSTRUCTIONS:
        start = left.pop(0) if left else called.pop(0)
        if start in found or not (start == head or known(start)):
            continue
        member = record(target, fetch, start, head, hooks)
        if member is not None:
            found[start] = member
            count += len(member.recording.instructions)
            if member.back is None:
                left += member.ways
            else:  # what is called comes behind what is here
                left.append(member.back)
                called += member.ways
    _return(found)
    back = {head}
    grown = True
    while grown:
        new = {start for start, member in found.items() if start not in back and back.intersection(member.ways)}
        grown = bool(new)
        back |= new
    chosen = {start: member for start, member in found.items() if start in back}
    for member in chosen.values():
        if member.target is not None:
            member.ways = tuple(way for way in member.ways if way in chosen)
    return chosen if any(head in member.ways for member in chosen.values()) else {}


def _return(found: dict[int, Member]) -> None:
    """Let returns lead behind all calls of the same region: behind which of them is asked when it runs."""
    behind = tuple(sorted({member.back for member in found.values() if member.back in found}))
    for member in found.values():
        if member.target is not None:
            member.ways = behind


def steps(member: Member) -> Iterator[tuple[Values, Values, bool]]:
    """(values before, values after, whether it may fault) of each instruction."""
    recording = member.recording
    hazards = {event.at for event in recording.events if event.kind in ACCESSES}
    for number, before in enumerate(recording.before):
        after = recording.before[number + 1] if number + 1 < len(recording.before) else recording.values
        yield before, after, number in hazards or bool(divisions(after, before))


def divisions(after: Values, before: Values) -> list[Node]:
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
