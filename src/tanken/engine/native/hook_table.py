"""The hooks of one native engine: puts their stencils into the translator's tables, and knows what a hook asked for when guest code came out.

Only code in the range of what was set or removed is translated anew; a hook that is set from inside another counts from the next instruction on.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING

from tanken.base.errors import UnsupportedError
from tanken.base.native import CompiledFunction
from tanken.engine.hooks import LEAVE, MOVED, NOWHERE, Hook, Hooks
from tanken.engine.native import hooked, watch
from tanken.engine.native import places as P
from tanken.engine.native.holes import Code

if TYPE_CHECKING:
    from tanken.engine.native.engine import Native
    from tanken.engine.native.hook_body import HookBody

SMALL = 1 << 16  # bytes of code that are looked for among the blocks; for more everything is translated anew


class HookTable:
    """What `Native` asks about its hooks."""

    def __init__(self, engine: Native, hooks: Hooks) -> None:
        self.engine, self.hooks = engine, hooks
        self.block, self.N = engine.block, engine.N
        self.until: int | None = None
        self._stale: list[tuple[int, int]] | None = None  # what is to be translated anew; () where all
        self._places: set[int] = set()  # where a run was to end: their code asks each time
        self._used: list[Hook] = []  # what native code holds addresses of
        self._pieces: list[hooked.Interval] = []
        self._bodies: dict[CompiledFunction, HookBody] = {}
        self.published = 0  # how often
        hooks.changed = self._changed
        hooked.connect(self.block)
        self._put(hooked.UNTIL_AT, NOWHERE)
        self._put(self.N.CONTINUED_AT, NOWHERE)
        for hook in hooks.all:
            self._changed(hook)

    def _put(self, at: int, value: int) -> None:
        struct.pack_into("<Q", self.block, at, value)

    def _word(self, at: int) -> int:
        return int(struct.unpack_from("<Q", self.block, at)[0])

    def _half(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.block, at)[0])

    @property
    def inside(self) -> bool:
        """Whether a hook is running that native code called."""
        return self.block[hooked.INSIDE] != 0

    def hold(self, why: int) -> None:
        """Have native code come out behind the hook that is running."""
        struct.pack_into("<I", self.block, hooked.HELD, self._half(hooked.HELD) | why)

    def _changed(self, hook: Hook) -> None:
        if hook.kind == "exit":
            return
        if self._stale is None:
            self._stale = []
        whole = hook.kind != "instruction" or hook.end - hook.start > SMALL
        self._stale.append((0, hooked.LIMIT) if whole else (hook.start, hook.end))
        if self.inside:
            self.hold(LEAVE)

    def end_at(self, address: int | None) -> None:
        """Where the next run ends."""
        self.until = address
        self._put(hooked.UNTIL_AT, NOWHERE if address is None else address)
        if address is not None and address not in self._places:
            self._places.add(address)
            self._stale = [*(self._stale or []), (address, address + 1)]

    # -- into the tables

    def publish(self) -> None:
        """Give the translator what was set, and take back the code that did not know of it."""
        if self._stale is None:
            return
        engine, N, stale = self.engine, self.N, self._stale
        self._stale = None
        self._numbers: dict[tuple[object, ...], int] = {}
        self._number, self._hole, self._at = N.HOOK_STENCILS, N.HOOK_HOLES, len(engine.maker.blob)
        places = sorted(self._places)
        pieces = hooked.intervals(self.hooks.all, places)
        if len(pieces) > N.MOST_HOOKS:
            raise UnsupportedError(f"{len(pieces)} pieces of code with hooks of their own", wanted=f"at most {N.MOST_HOOKS}")
        for n, piece in enumerate(pieces):
            self._enter(N.HOOKS + n * N.HOOK_FIELDS, piece)
        engine.tab[N.HOOK_COUNT] = len(pieces)
        self._watch()
        self._pieces, self.published = pieces, self.published + 1
        self._used = list(self.hooks.all)
        python = any(hook.compiled is None for hook in self._used if hook.kind != "exit")
        engine.hold_lock(python)
        if any(end - start > SMALL for start, end in stale):
            engine.flush()
        else:
            for start, end in stale:
                engine.forget(start, end)
        engine.hot.begin_anew()

    # -- for regions

    @property
    def settled(self) -> bool:
        """Whether what is published is all there is, and regions may have it: accesses that are told are not for them."""
        return self._stale is None and not self.engine.tab[self.N.WATCHED]

    def at(self, pc: int) -> hooked.Interval | None:
        """The hooks of an address."""
        n = bisect_right(self._pieces, pc, key=lambda piece: piece.start) - 1
        return self._pieces[n] if n >= 0 and pc < self._pieces[n].end else None

    def free(self, start: int, end: int) -> bool:
        """Whether no hook is in [start, end)."""
        n = bisect_right(self._pieces, start, key=lambda piece: piece.end)
        return n == len(self._pieces) or self._pieces[n].start >= end

    def body(self, function: CompiledFunction) -> HookBody:
        """What a compiled hook is, and does."""
        from tanken.engine.native.hook_body import hook_body

        if function not in self._bodies:
            self._bodies[function] = hook_body(function)
        return self._bodies[function]

    def _enter(self, at: int, piece: hooked.Interval) -> None:
        N, tab = self.N, self.engine.tab
        tab[at + N.HOOK_START], tab[at + N.HOOK_END] = piece.start, piece.end
        tab[at + N.HOOK_FIRST] = self._stencil("until", ()) if piece.until else -1
        tab[at + N.HOOK_INSTRUCTION] = self._stencil("instruction", piece.single) if piece.single else -1
        tab[at + N.HOOK_BLOCK] = self._stencil("block", piece.block) if piece.block else -1
        tab[at + N.HOOK_EXACT] = int(piece.until or hooked.exact(piece.single + piece.block))

    def _stencil(self, kind: str, hooks: tuple[Hook, ...]) -> int:
        """The number of the stencil that these hooks are called by."""
        found = self._numbers.get((kind, *hooks))
        if found is None:
            found = self._numbers[kind, *hooks] = self._keep(hooked.stencil(kind, hooks, self.N.CONTINUED_AT))
        return found

    def _keep(self, code: Code) -> int:
        N, engine = self.N, self.engine
        number: int = self._number
        if number >= N.STENCILS_END or self._at + len(code.code) > len(engine.blob):
            raise UnsupportedError("so many different hooks at once", wanted=f"at most {N.STENCILS_END - N.HOOK_STENCILS} sets of functions")
        engine.blob[self._at : self._at + len(code.code)] = code.code
        for hole in code.relocations:
            engine.maker.put_hole(self._hole, hole)
            self._hole += 1
        entry = N.STENCILS + number * N.STENCIL_FIELDS
        engine.tab[entry + N.ONE] = 0
        words = (self._at, len(code.code), self._hole - len(code.relocations), len(code.relocations))
        for offset, word in enumerate(words):
            engine.tab[entry + N.LIVE_AT + offset] = word
        self._at += len(code.code)
        self._number += 1
        return number

    def _watch(self) -> None:
        hooks, engine = self.hooks.of("read", "write"), self.engine
        engine.tab[self.N.WATCHED] = int(bool(hooks))
        engine.watch_interpreted()
        if hooks:
            engine.install_watch(watch.watch(hooks))

    # -- coming in and out

    def begin(self, address: int) -> None:
        """A run begins at `address`."""
        self._put(self.N.CONTINUED_AT, address if self.hooks.continued == address else NOWHERE)
        struct.pack_into("<I", self.block, hooked.HELD, 0)

    def enter(self) -> None:
        """Native code is entered, with a budget that counts from anew."""
        self._put(hooked.BEGAN, NOWHERE)
        self._put(hooked.TOLD_PC, NOWHERE)

    def taken(self) -> int:
        """What was asked for; it is asked for no longer."""
        why = self._half(hooked.HELD)
        struct.pack_into("<II", self.block, hooked.INSIDE, 0, 0)
        return why

    def came_out(self, address: int, arrived: bool, kind: int) -> None:
        """Guest code came out at the instruction there, of a site of that kind: `arrived` where none of its hooks has run."""
        N = self.N
        if kind == N.AT_HEAD:
            began = (self._word(hooked.BEGAN), self._word(hooked.BEGAN_BUDGET)) == (address, self._word(P.BUDGET_AT))
            straight = self._word(N.CONTINUED_AT) == address if arrived else not began
        else:
            straight = kind != N.AT_BRANCH
        self.hooks.continued = address if straight else NOWHERE

    def told(self, address: int) -> int:
        """How many accesses of the instruction there have been told."""
        same = (self._word(hooked.TOLD_PC), self._word(hooked.TOLD_BUDGET)) == (address, self._word(P.BUDGET_AT))
        return self._word(hooked.TOLD) if same else 0

    def settle(self) -> None:
        """Bring the State up to date where a hook that native code called looks at it."""
        if self.inside and not self.block[hooked.PULLED]:
            self.engine.target.pull(self.engine.state, self.block)
            struct.pack_into("<I", self.block, hooked.PULLED, 1)

    def touched(self, moved: bool) -> None:
        """A hook changed the State."""
        if self.inside:
            self.engine.target.push(self.engine.state, self.block)
            if moved:
                self.hold(MOVED)
        elif moved:
            self.hooks.held |= MOVED
            self.hooks.continued = NOWHERE

    @property
    def return_address(self) -> int:
        """Where native code goes on behind the hook that is running."""
        return self._word(hooked.HOST)
