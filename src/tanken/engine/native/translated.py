"""The code of one user-mode engine: runtime and translator connected, blocks found, linked and forgotten, code made ahead of its time.

Facts of the method: the area is filled from its beginning, and begun anew when it is full; a child of fork gets one of its own.
"""

from __future__ import annotations

import ctypes
import os
import struct
import weakref
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tanken.base.errors import UnsupportedError
from tanken.engine.native import places as P
from tanken.engine.native.holes import Code
from tanken.engine.native.hot import Hot
from tanken.engine.native.machinery import BLOB, Machinery
from tanken.engine.native.space import DirectSpace
from tanken.engine.native.store import Store

if TYPE_CHECKING:
    from tanken.engine.native.maker import Maker

AREA = 64 << 20
HOOK_BLOB = 2 << 20
WATCH_SPACE = 1 << 16
_all: weakref.WeakSet[Translated] = weakref.WeakSet()


class Translated(Machinery, ABC):
    """What was translated of the code in `memory`, and `hot`, its regions."""

    hot: Hot

    def __init__(self, state: Any, memory: DirectSpace, target: Any, store: Store) -> None:
        super().__init__(target, store, AREA)
        self.state, self.memory = state, memory
        self._ranges_stale = True
        self._code = b""
        places = self.put_runtime(WATCH_SPACE)
        N, base = self.N, self.area.run_at
        self._watch_at = self._first - WATCH_SPACE
        self.tab[N.STUBS + N.CALL] = places["call"]
        kinds = (ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
        self._run_free = self._run = ctypes.CFUNCTYPE(*kinds)(base + places["run"])
        self._run_locked = ctypes.PYFUNCTYPE(*kinds)(base + places["run"])  # holding the interpreter's lock, for hooks in Python
        self._interrupt = base + places["interrupt"]
        self.tab[N.GUEST_HOST] = memory.host
        words = (store.address("answer"), self._tab_at, store.decoder_at, memory.host, self.area.write_at, self._blob_at)
        struct.pack_into("<6Q", self.block, P.ANSWER, *words)
        _all.add(self)

    @cached_property
    def maker(self) -> Maker:
        """Makes stencils; with all stencils there it is never loaded."""
        from tanken.engine.native.maker import Maker

        return Maker(self.target, self.tab, self.blob[: BLOB - HOOK_BLOB], self.block, self._enter_key)

    @abstractmethod
    def needed(self) -> Any:
        """Make what the translator asked for."""

    def hold_lock(self, held: bool) -> None:
        """Whether native code calls Python, for which it needs the interpreter's lock."""
        self._run = self._run_locked if held else self._run_free

    def install_watch(self, code: Code) -> None:
        """Put what is called before each access where all stencils find it."""
        if len(code.code) > WATCH_SPACE:
            raise UnsupportedError(f"hooks of accesses that take {len(code.code)} bytes of code", wanted=f"at most {WATCH_SPACE}")
        self.area.bytes[self._watch_at : self._watch_at + len(code.code)] = code.code
        self.tab[self.N.STUBS + self.N.WATCH] = self._watch_at

    def before_fork(self) -> None:
        """Keep the code as it is now: the parent goes on in the area that both share."""
        self.hot.wait()
        self._code = bytes(self.area.bytes[: self.tab[self.N.AREA_AT]])

    def after_fork(self, child: bool) -> None:
        """In the child: a code area of its own, as the code was."""
        if child:
            self.area.unshare(self._code)
        self._code = b""

    # -- code and its pages

    def _published(self) -> range:
        return range(self.N.RANGES, self.N.RANGES + 2 * self.tab[self.N.RANGE_COUNT], 2)

    def _publish(self) -> None:
        """The executable ranges that nobody can write to unnoticed, for the translator; one page more of the rest at a time."""
        N, at = self.N, self.N.RANGES
        for start, end in self.memory.code_ranges():
            if at < N.RANGES + 2 * N.MOST_RANGES:
                self.tab[at], self.tab[at + 1] = start, end
                at += 2
        self.tab[N.RANGE_COUNT] = (at - N.RANGES) // 2
        self._ranges_stale = False

    def flush(self) -> None:
        """Begin the code area anew."""
        N = self.N
        self.hot.flush()
        self.tab[N.AREA_AT] = self._first
        self.tab[N.SITE_COUNT] = self.tab[N.BLOCK_COUNT] = 0
        ctypes.memset(self._tab_at + 8 * N.BLOCKS, 0, 16 * N.BLOCK_SLOTS)
        ctypes.memset(self._block_at + P.JUMP_CACHE_AT, 0, 16 * P.JUMP_CACHE)

    # -- for regions

    def find_block(self, pc: int) -> int:
        """The offset of the block at `pc` in the code area, -1 where there is none."""
        return int(self.functions["find_block"](self._tab_at, pc))

    def translated(self) -> Callable[[int], bool]:
        """Whether an address is inside a block that was made."""
        N = self.N
        entries = self.tab[N.BLOCK_LIST : N.BLOCK_LIST + 4 * self.tab[N.BLOCK_COUNT]].tolist()
        ranges = sorted(zip(entries[::4], entries[1::4], strict=True))
        starts, ends = [start for start, _ in ranges], list(accumulate((end for _, end in ranges), max))
        return lambda at: (index := bisect_right(starts, at)) > 0 and ends[index - 1] > at

    def link(self, hole: int, target: int, at: int) -> int:
        """Let the jump whose distance stands at `hole` lead to the block at `target`; `at` is the end of the code, the new one is returned."""
        return int(self.functions["link"](self._tab_at, self.area.write_at, hole, target, at))

    def add_region_site(self, at: int, head: int) -> None:
        """Code from the offset `at` on is a region's."""
        N, tab = self.N, self.tab
        entry = N.SITES + tab[N.SITE_COUNT] * N.SITE_FIELDS
        tab[entry], tab[entry + 1], tab[entry + 2], tab[entry + 3] = at, head, N.AT_REGION, 0
        tab[N.SITE_COUNT] += 1

    # -- without running

    def block_length(self) -> int:
        """How many instructions the block at the program counter has, as it is translated."""
        N, tab = self.N, self.tab
        self.target.push(self.state, self.block)
        if self._ranges_stale:
            self._publish()
        while True:
            struct.pack_into("<I", self.block, P.REASON_AT, N.DISPATCH)
            words = struct.unpack_from("<5Q", self.block, P.ANSWER_ARGUMENTS)
            host = self.functions["answer"](self._block_at, *words)
            if host:
                self._look_up(self._tab_at, host)
                return int(tab[N.FOUND + 1])
            if tab[N.NEED] == N.NO_CODE and not self.memory.offer_code(tab[N.NEED_AT]):
                return 1
            self.needed()
            if self._ranges_stale:
                self._publish()

    def singly(self, on: bool) -> None:
        """Blocks of one instruction from now on, or as before."""
        self.tab[self.N.SINGLE] = int(on)
        self.flush()

    def sweep(self, start: int, end: int) -> None:
        """Make what the code in [start, end) needs, one block behind the other; nothing is run."""
        N, tab = self.N, self.tab
        words = struct.unpack_from("<5Q", self.block, P.ANSWER_ARGUMENTS)
        self._publish()
        at = start
        while at < end:
            struct.pack_into("<Q", self.block, P.RIP_AT, at)
            struct.pack_into("<I", self.block, P.REASON_AT, N.DISPATCH)
            if self.functions["answer"](self._block_at, *words):
                at = max(tab[N.BLOCK_LIST + 4 * (tab[N.BLOCK_COUNT] - 1) + 1], at + 1)
            elif tab[N.NEED] == N.NO_CODE:
                return
            else:
                self.needed()


def _before_fork() -> None:
    for code in _all:
        code.before_fork()


def _after_fork(child: bool) -> None:
    for code in _all:
        code.after_fork(child)


os.register_at_fork(before=_before_fork, after_in_parent=lambda: _after_fork(False), after_in_child=lambda: _after_fork(True))
