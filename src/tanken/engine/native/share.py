"""Stencils made by two processes at once: each goes through the same code and makes those of its own share of the instruction forms; then one has all.

Our own. What belongs to the other share is entered as something the interpreter does, so that the translator goes on behind it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tanken.engine.native.engine import Native
from tanken.engine.native.machinery import BLOB
from tanken.engine.native.maker import Maker
from tanken.engine.native.translated import HOOK_BLOB

SHARES = 2
Key = tuple[int, int, int]


class ShareMaker(Maker):
    """Makes the stencils of one share; constants of the second stand in the second half of their room."""

    def __init__(self, engine: Native, share: int) -> None:
        super().__init__(engine.target, engine.tab, engine.blob[: BLOB - HOOK_BLOB], engine.block, engine._enter_key)
        self.share = share
        self.first = self.tab[self.N.STENCIL_COUNT]
        for kind in (self.N.INTERPRETED, self.N.REFUSED):
            self.tab[self._entry(self._number()) + self.N.KIND] = kind
        if share:
            self.tab[self.N.CONSTANT_COUNT] = max(self.tab[self.N.CONSTANT_COUNT], self.half)

    @property
    def half(self) -> int:
        """Bytes of constants."""
        return int(8 * self.N.MOST_CONSTANTS // SHARES)

    @staticmethod
    def share_of(form: int) -> int:
        """Forms that are much alike, and make much alike work, in turn."""
        return form % SHARES

    def make(self, form: int, key: Key, codes: list[tuple[bytes, int]]) -> None:
        if self.share_of(form) == self.share:
            super().make(form, key, codes)
        else:
            self.made += 1
            self._enter_key(*key, self.first + (len(codes) > 1))

    def keys(self, tab: Any) -> list[tuple[Key, int]]:
        """The keys in a table, with the numbers of their stencils; not those of the other share."""
        N = self.N
        words = tab[N.KEYS : N.KEYS + 4 * N.KEY_SLOTS].tolist()
        rows = zip(*(words[n::4] for n in range(4)), strict=True)
        return [((k0, k1, k2), number - 1) for k0, k1, k2, number in rows if number and number - 1 not in (self.first, self.first + 1)]

    def take(self, tab: memoryview, blob: memoryview) -> bool:
        """Add what the other process made, in tables of its own; False where there was no room for constants."""
        N, mine = self.N, self.tab
        if mine[N.CONSTANT_COUNT] > self.half:
            return False
        kept = self.keys(mine)
        mine[N.KEYS : N.KEYS + 4 * N.KEY_SLOTS] = memoryview(bytes(32 * N.KEY_SLOTS)).cast("q")
        for key, number in kept:
            self._enter_key(*key, number)
        for key, number in self.keys(tab):
            if number > self.first:
                self._enter_key(*key, self._copied(tab, blob, number))
        for form in range(N.KEYS - N.FORMS):
            if self.share_of(form) != self.share:
                mine[N.FORMS + form] = tab[N.FORMS + form]
        half = N.CONSTANTS + self.half // 8
        end = N.CONSTANTS + tab[N.CONSTANT_COUNT] // 8
        if end > half:
            mine[half:end] = tab[half:end]
            mine[N.CONSTANT_COUNT] = tab[N.CONSTANT_COUNT]
        return True

    def _copied(self, tab: memoryview, blob: memoryview, number: int) -> int:
        N, mine, new = self.N, self.tab, self._number()
        old, entry = self._entry(number), self._entry(new)
        mine[entry : entry + N.STENCIL_FIELDS] = tab[old : old + N.STENCIL_FIELDS]
        for variant in (N.LIVE_AT, N.DEAD_AT):
            at, length, first, count = tab[old + variant : old + variant + 4]
            if variant == N.DEAD_AT and at == tab[old + N.LIVE_AT]:
                mine[entry + variant : entry + variant + 4] = mine[entry + N.LIVE_AT : entry + N.LIVE_AT + 4]
                continue
            there, hole = mine[N.BLOB_AT], mine[N.HOLE_COUNT]
            self.blob[there : there + length] = blob[at : at + length]
            mine[N.HOLES + 4 * hole : N.HOLES + 4 * (hole + count)] = tab[N.HOLES + 4 * first : N.HOLES + 4 * (first + count)]
            mine[N.BLOB_AT], mine[N.HOLE_COUNT] = there + length, hole + count
            mine[entry + variant], mine[entry + variant + 2] = there, hole
        return new


def make(engine_for: Callable[[], Native], sweep: Callable[[Native], None]) -> None:
    """Make, and keep, what `sweep` makes an engine need; each process has one of its own. What the other fails to make is left undone."""
    ours, theirs = os.pipe()
    other = os.fork()
    engine = engine_for()
    maker = engine.__dict__["maker"] = ShareMaker(engine, int(not other))
    if not other:
        try:
            os.close(ours)
            sweep(engine)
            with os.fdopen(theirs, "wb") as file:
                file.write(engine.store.packed(engine.tab, engine.blob))
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as file:
        sweep(engine)
        data = file.read()
    os.waitpid(other, 0)
    made = engine_for()
    if engine.store.unpack(memoryview(data), made.tab, made.blob) and maker.take(made.tab, made.blob):
        engine.save()
