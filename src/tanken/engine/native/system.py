"""The native engine for a whole processor: copies of stencils whose accesses go through a TLB; the slow engine does what they cannot.

As `engine.native.engine`, the state is exact at every way out. Native code runs where the instruction set says so (64-bit mode, flat 32-bit code);
everything else, and each fault, is an instruction of the slow engine. Time is counted in instructions.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from copy import copy
from typing import Any

from tanken.engine.memory import SHIFT
from tanken.engine.native import host as H
from tanken.engine.native.holes import Code
from tanken.engine.native.machinery import Machinery
from tanken.engine.native.maker import Maker
from tanken.engine.native.paged_ir import PagedBody, PagedRecorder
from tanken.engine.native.places import ANSWER, BUDGET_AT, FAULT_HOST, FAULT_REGISTERS, HOST_AT, KEEPS_BUDGET, KEPT_BUDGET, RIP_AT
from tanken.engine.native.store import Store
from tanken.engine.system import SystemInterpreter
from tanken.isa.architecture import Budget, Exited, Faulted

AREA = 192 << 20


class SystemStore(Store):
    """What is kept for whole processors."""

    signatures = {"answer": "iIIIBBBII", "look_up": "iIi", "forget": "iIBi", "guard": "iIIi", "enter_key": "iIiiii", "drop_page": "iIIiii", "drop_space": "iIIi",
                  "let_go": "iII"}  # fmt: skip
    kind = "system-"

    def assembled(self) -> dict[str, Code]:
        from tanken.engine.native import paged_runtime

        return paged_runtime.assembled(self.N, self.target.around())


class CodeMap:
    """The pages that hold code, as both engines see them: a set of page numbers over the translator's own map."""

    def __init__(self, tab: memoryview, at: int, count: int, guard: Any) -> None:
        self._tab, self._at, self._count, self._guard = tab, at, count, guard
        self._far: set[int] = set()  # pages beyond the map: native code never writes there unseen, for it does not run from there

    def __contains__(self, page: object) -> bool:
        if not isinstance(page, int) or page >= self._count:
            return page in self._far
        return bool(self._tab[self._at + page])

    def add(self, page: int) -> None:
        if page >= self._count:
            self._far.add(page)
        elif not self._tab[self._at + page]:
            self._guard(page)

    def discard(self, page: int) -> None:
        """Pages of the map are left to whoever forgets their code."""
        self._far.discard(page)

    def __iter__(self) -> Iterator[int]:
        yield from (page for page in range(self._count) if self._tab[self._at + page])
        yield from self._far

    def __len__(self) -> int:
        return 1 << 62  # so that nobody goes through it when he can ask page by page


class SystemNative(Machinery):
    """Runs `core`; `executed` counts as the slow engine does."""

    slice = 20_000_000

    def __init__(self, core: Any, isa: Any, target: Any, store: SystemStore) -> None:
        super().__init__(copy(target), store, AREA)  # the width of code is this engine's
        self.core, self.isa, target, functions = core, isa, self.target, self.functions
        self.state, self.memory = core.state, core.memory
        self.interpreter = SystemInterpreter(core, isa)
        N = self.N
        self.bias = 0  # the time stamp less `executed`
        self.interpreted = 0  # instructions that native code left to the slow engine
        self.left: dict[str, int] | None = None  # by mnemonic, quick ones too, where somebody wants to know
        self._contexts_size = N.CONTEXT_COUNT * N.STRIDE
        self._contexts_at = self.map(self._contexts_size)
        self.maker = Maker(target, self.tab, self.blob, self.block, self._enter_key)
        self.maker.new_body = lambda lowering, loose: PagedBody(lowering, N, loose)
        self.maker.new_recorder = PagedRecorder
        self._install()
        target.bind(self.state, self.block)
        self.fill_constants()
        physical, tab = self.memory.physical, ctypes.c_void_p(self._tab_at)
        for page in list(physical.code_pages):
            physical.stale(page)
        physical.code_pages = CodeMap(self.tab, N.CODE_MAP, N.MOST_PAGES, lambda page: functions["guard"](tab, None, page))
        physical.on_code_write.append(self._page_written)
        self._spaces: dict[int, int] = {}  # address spaces by tag, the one that was used last at the end, and the contexts that they have
        self.memory.on_flush.append(self._flushed)
        self._units = target.units(self.state)
        ctypes.memset(self._contexts_at, 0xFF, self._contexts_size)

    @property
    def executed(self) -> int:
        return self.interpreter.executed

    @executed.setter
    def executed(self, value: int) -> None:
        self.interpreter.executed = value

    @property
    def touching(self) -> set[Any]:
        return self.interpreter.touching

    # -- setting up

    def _install(self) -> None:
        """Put the runtime into the code area, and tell the translator where everything is."""
        N, tab, places = self.N, self.tab, self.put_runtime()
        self._run = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 2, ctypes.c_int64)(self.area.run_at + places["run"])
        tab[N.CROSS], tab[N.CROSSED_AT], tab[N.TABLE_HOST], tab[N.CONTEXTS] = places["cross"], places["crossed"], self._tab_at, self._contexts_at
        regions = [region for region in self.memory.physical.regions if region.host]
        first = next((region for region in regions if region.base == 0), None)
        beside = [region.end for region in regions if first and region.host - region.base == first.host]  # tables are read by their distance from the first
        tab[N.RAM_LIMIT], tab[N.SLOT_COUNT] = max(beside, default=0), len(regions)
        for number, region in enumerate(regions):
            place = N.SLOTS + number * N.SLOT_FIELDS
            tab[place], tab[place + 1], tab[place + 2], tab[place + 3] = region.base >> SHIFT, region.end >> SHIFT, region.host, int(region.writable)
        words = (self.store.address("answer"), self._tab_at, self.store.decoder_at, 0, self.area.write_at, self._blob_at, 0, first.host if first else 0)
        struct.pack_into("<8Q", self.block, ANSWER, *words)

    def _flushed(self, linear: int | None, space: int | None, and_global: bool) -> None:
        """Translations were forgotten: of a page or of all, in one address space or in all, the global ones with them or not."""
        if linear is not None:
            top = linear - (1 << 64) if linear >> 63 else linear
            self.functions["drop_page"](self._tab_at, None, top, self._spaces.get(space, -1) if space is not None else -1, int(and_global))
        elif and_global:
            for number in self._spaces.values():
                self._empty(number)
        else:
            for tag, number in self._spaces.items():
                if space is None or tag == space:
                    for context in range(6 * number, 6 * number + 6):
                        self.functions["drop_space"](self._tab_at, None, context)

    def _empty(self, number: int) -> None:
        """Forget what the contexts of an address space hold."""
        N = self.N
        for context in range(6 * number, 6 * number + 6):
            info = N.INFO + context * N.INFO_FIELDS
            if self.tab[info + N.IN_USE]:
                ctypes.memset(self._contexts_at + context * N.STRIDE, 0xFF, N.STRIDE)
                ctypes.memset(self._tab_at + 8 * info, 0, 8 * N.INFO_FIELDS)

    def _space(self, tag: int) -> int:
        """The number of an address space, which takes the place of the one that was not used for longest."""
        number = self._spaces.pop(tag, None)
        if number is None:
            number = len(self._spaces)
            if number == self.N.SPACES:
                number = self._spaces.pop(next(iter(self._spaces)))
                self._empty(number)
        self._spaces[tag] = number
        return number

    def _page_written(self, page: int) -> None:
        if page < self.N.MOST_PAGES:
            self._forget(self._tab_at, self.area.write_at, page)

    def flush_code(self) -> None:
        """Begin the code area anew."""
        N, tab = self.N, self.tab
        tab[N.AREA_AT] = self._first
        tab[N.SITE_COUNT] = tab[N.BLOCK_COUNT] = 0
        ctypes.memset(self._tab_at + 8 * N.BLOCKS, 0, 32 * N.BLOCK_SLOTS)
        ctypes.memset(self._tab_at + 8 * N.PAGE_HEAD, 0, 8 * N.MOST_PAGES)
        self._flushed(None, None, True)

    # -- running

    def run(self, budget: int | None = None) -> Any:
        """Go on until an exit; at most `budget` instructions. The state is exact then."""
        end = self.executed + ((1 << 62) if budget is None else budget)
        native = False
        self._by_ones(False)
        H.handle_faults(self._handler)
        while self.executed < end:
            if not native:
                native = self._enter()
            if native:
                exit, native = self._native(end)
            else:
                exit = self._slowly()
            if exit is not None:
                if native:
                    self.target.pull(self.state, self.block)
                return exit
        if native:
            self.target.pull(self.state, self.block)
        return Budget(budget or 0)

    def _enter(self) -> bool:
        """Move the state into the block, if native code can go on."""
        if not self.target.can_run(self.state) or self.isa.careful:
            return False
        state, tab, N = self.state, self.tab, self.N
        tag = self.target.tag(state)
        units = self.target.units(state)
        if units != self._units:
            self._units = units
            self.flush_code()
        now, narrow = self.memory.context, int(tag != 0)
        place = 6 * self._space(self.memory.space) + 3 * narrow + now
        tab[N.TAG], tab[N.NARROW], tab[N.PLACE], tab[N.INFO + place * N.INFO_FIELDS] = tag, narrow, place, 1
        self.target.width_of_code(32 if narrow else 64)
        tab[N.HOW], tab[N.ROOT], tab[N.KEY_RIGHTS], tab[N.NOW] = self.memory.how, state.cr3, state.pkru, now
        tab[N.OFF] = units
        tab[N.CANONICAL] = self.target.canonical_bits(state)
        self.target.push(state, self.block)
        struct.pack_into("<Q", self.block, N.CONTEXT_AT, self._contexts_at + place * N.STRIDE)
        return True

    def _native(self, end: int) -> tuple[Any, bool]:
        """Native code until it comes out, and what has to be done then: an exit if it is one, and whether the state is still in the block."""
        N = self.N
        left = end - self.executed
        struct.pack_into("<Q", self.block, N.END_AT, end + self.bias & (1 << 64) - 1)
        reason = self._run(self._block_at, self._resume, left)
        if self.tab[N.ALONE]:
            self.functions["let_go"](self._tab_at, None)
        rest = before = struct.unpack_from("<q", self.block, BUDGET_AT)[0]
        if reason <= N.LAST_NATIVE:
            self.executed += left - rest
            return self._needed()
        at = HOST_AT if reason != N.STRUCK else FAULT_HOST
        host = struct.unpack_from("<Q", self.block, at)[0] - (reason != N.STRUCK)
        self._look_up(self._tab_at, host)
        rest += self.tab[N.FOUND + 1]
        if reason == N.STRUCK:
            if struct.unpack_from("<I", self.block, KEEPS_BUDGET)[0]:
                rest += struct.unpack_from("<q", self.block, KEPT_BUDGET)[0] - before
                struct.pack_into("<I", self.block, KEEPS_BUDGET, 0)
            rest += self.target.struck(self.block, 0, struct.unpack_from("<3Q", self.block, FAULT_REGISTERS))
        self.executed += left - rest
        struct.pack_into("<q", self.block, RIP_AT, self.tab[N.FOUND])
        if reason in (N.PYTHON, N.SLOW):
            return self._quick()
        if reason == N.OUT_OF_BUDGET:
            self._by_ones(True)  # less is left than the block has instructions
            return None, True
        return self._interpreted(1)

    def _by_ones(self, on: bool) -> None:
        """From now on blocks are of one instruction, or no longer."""
        self.tab[self.N.BY_ONES] = self.tab[self.N.ALONE] = int(on)

    def _quick(self) -> tuple[Any, bool]:
        """An instruction that native code leaves out: those that come often the instruction set does without more ado."""
        self.target.pull(self.state, self.block)
        rip = self.state.rip
        try:
            entry, offset = self.memory.fetch(rip)
            at = entry[1] + offset
            done = self.target.quick(self.core, bytes(entry[0][at : at + min(4, 4096 - offset)]))
        except Exited as exited:
            return exited.exit, False
        except Faulted:
            done = None  # again, and delivered
        if done is None:
            return self._interpreted(1)
        if self.left is not None:
            self._note(self.isa.decode(bytes(entry[0][at : at + min(15, 4096 - offset)]), rip))
        if done is True:
            self.interpreter.executed += 1
            return self.isa.window(), False
        return done, False

    def _interpreted(self, count: int) -> tuple[Any, bool]:
        """The next instructions by the slow engine."""
        self.target.pull(self.state, self.block)
        for _ in range(count):
            exit = self._slowly()
            if exit is not None:
                return exit, False
        return None, False

    def _slowly(self) -> Any:
        """One instruction by the slow engine, or an exit."""
        self.interpreted += 1
        exit = self.interpreter.step() or self.isa.window()
        if self.left is not None:
            self._note(self.core.inst)
        return exit

    def _note(self, inst: Any) -> None:
        assert self.left is not None
        name = inst.mnemonic if inst is not None else "fetch"
        self.left[name] = self.left.get(name, 0) + 1

    def _needed(self) -> tuple[Any, bool]:
        """What the translator asked for."""
        N, tab = self.N, self.tab
        what, at = tab[N.NEED], tab[N.NEED_AT] & (1 << 64) - 1
        if what == N.FULL:
            self.flush_code()
        elif what == N.NO_CODE:
            return self._interpreted(1)
        elif what == N.ANALYSIS:
            self.maker.analyse(tab[N.NEED_FORM], self._code(at), at)
        else:
            assert what == N.STENCIL, what
            codes = [(self._code(where & (1 << 64) - 1), where & (1 << 64) - 1) for where in (at, tab[N.NEED_SECOND]) if where]
            self.maker.make(tab[N.NEED_FORM], (tab[N.NEED_KEY], tab[N.NEED_KEY1], tab[N.NEED_KEY2]), codes)
        return None, True

    def _code(self, at: int) -> bytes:
        """The bytes of an instruction that the translator has seen."""
        entry, offset = self.memory.fetch(at)
        code = bytes(entry[0][entry[1] + offset : entry[1] + min(offset + 15, 4096)])
        if len(code) < 15 and not self.isa.is_whole(self.isa.decode(code, at)):
            entry, _ = self.memory.fetch(at + len(code) & (1 << 64) - 1)
            code += bytes(entry[0][entry[1] : entry[1] + 15 - len(code)])
        return code

    def save(self) -> None:
        """Keep the stencils that were made for the next run."""
        if self.maker.made:
            self.store.save(self.tab, self.blob)
            self.maker.made = 0
