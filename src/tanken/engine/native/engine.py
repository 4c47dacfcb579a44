"""The native engine: runs a state in directly mapped memory by copies of stencils; what they cannot do, the reference interpreter does.

Facts of the method: the state is exact at every way out; a fault, a system call or an instruction without a native form leaves native code
before it happens, and the interpreter then does that one instruction, so that both engines say the same of it.
"""

from __future__ import annotations

import struct
import threading
from array import array
from typing import TYPE_CHECKING, Any, NoReturn

from tanken.engine.hooks import LEAVE, MOVED, NOWHERE, STOP, UNTIL, Hooks
from tanken.engine.native import host as H
from tanken.engine.native import places as P
from tanken.engine.native.hot import INTERPRETED, SLICE, Hot
from tanken.engine.native.space import DirectSpace
from tanken.engine.native.store import Store
from tanken.engine.native.translated import Translated
from tanken.engine.reference import Interpreter
from tanken.isa.architecture import Budget, Debug, Exit

if TYPE_CHECKING:
    from tanken.engine.native.hook_table import HookTable

ENDLESS = 1 << 62
_turn = threading.RLock()
_running: list[Native] = []


class Native(Translated):
    """Runs `state` in `memory`; `executed` counts instructions since the beginning, each iteration of a repeated one as one."""

    slice = 20_000_000
    exact = True

    def __init__(self, state: Any, memory: DirectSpace, target: Any, store: Store) -> None:
        super().__init__(state, memory, target, store)
        self.executed = 0
        self.interpreted = 0  # instructions that native code left to the interpreter
        self.interpreter = Interpreter(state, memory, target.isa)
        self._forget_decoded = memory.on_code_write
        memory.on_code_write = self._page_written
        memory.on_change = self._changed
        target.bind(state, self.block)
        self.fill_constants()
        self.table: HookTable | None = None
        self._hooks: Hooks | None = None
        self._left = 0  # instructions when native code was entered
        self._interpreting = False
        self._late: BaseException | None = None
        self.hot = Hot(self)

    def __del__(self) -> None:
        if hasattr(self, "_interrupt"):
            H.unchain_interrupts(self._interrupt)
        super().__del__()

    # -- hooks

    def attach(self, hooks: Hooks) -> None:
        """Run these hooks, from the first one that is set on; until then all is as without."""
        self._hooks = hooks
        hooks.changed = lambda hook: self._use_hooks() if hook.kind != "exit" else None

    def _use_hooks(self) -> None:
        from tanken.engine.native.hook_table import HookTable

        assert self._hooks is not None
        self.interpreter.attach(self._hooks)
        self.table = HookTable(self, self._hooks)

    def watch_interpreted(self) -> None:
        """Let the interpreter know whether accesses are told."""
        self.interpreter.watch_memory()

    @property
    def until(self) -> int | None:
        """With hooks attached, where runs end."""
        return self.table.until if self.table is not None else None

    @until.setter
    def until(self, address: int | None) -> None:
        if self.table is None:
            if address is None:
                return
            self._use_hooks()
        assert self.table is not None
        self.interpreter.until = address
        if address != self.table.until:
            self.table.end_at(address)

    def settle(self) -> None:
        """Bring the State up to date, for a hook that looks at it."""
        if self.table is not None:
            self.table.settle()

    def touched(self, moved: bool) -> None:
        """The State was changed by hand; `moved`: its program counter."""
        if self.table is not None:
            self.table.touched(moved)

    @property
    def counter(self) -> int:
        """The address of the instruction, inside a hook too."""
        return int(struct.unpack_from("<Q", self.block, P.RIP_AT)[0]) if self.table is not None and self.table.inside else int(self.state.rip)

    @property
    def now(self) -> int:
        """Instructions executed, inside a hook too."""
        if self.table is None or not self.table.inside:
            return self.interpreter.executed if self._interpreting else self.executed
        found = self.tab[self.N.FOUND : self.N.FOUND + 3].tolist()
        self._look_up(self._tab_at, self.table.return_address - 1)
        rest = struct.unpack_from("<q", self.block, P.BUDGET_AT)[0] + self.tab[self.N.FOUND + 1]
        self.tab[self.N.FOUND : self.N.FOUND + 3] = array("q", found)
        return self.executed + self._left - int(rest)

    # -- code and its pages

    def forget(self, start: int, end: int) -> None:
        """The code in [start, end) is to be translated anew."""
        self.hot.forget(start, end)
        self._forget(self._tab_at, self.area.write_at, start, end)
        if self.table is not None and self.table.inside:
            self.table.hold(LEAVE)

    def _page_written(self, page: int) -> None:
        if self._forget_decoded is not None:
            self._forget_decoded(page)
        self.forget(page << 12, page + 1 << 12)
        self._ranges_stale = True

    def _changed(self, start: int, end: int) -> None:
        if any(start < self.tab[at + 1] and end > self.tab[at] for at in self._published()):
            self.forget(start, end)
        self._ranges_stale = True

    # -- running

    def run(self, budget: int | None = None) -> Exit:
        """Go on until an exit; at most `budget` instructions, fewer where a signal came that Python handles, a few less where it
        need not be `exact`. The state is exact then.

        One engine of the process runs at a time: another thread's waits; one that a hook runs lets the outer one wait.
        """
        with _turn:
            _running.append(self)
            try:
                self._take_signals()
                return self._run_on(budget)
            finally:
                _running.pop()
                if _running:
                    _running[-1]._take_signals()

    def _take_signals(self) -> None:
        """Faults and interrupts come to this engine from now on."""
        H.handle_faults(self._handler, steps=True)
        if threading.current_thread() is threading.main_thread():
            H.chain_interrupts(self._interrupt, self._block_at + P.OLD_HANDLERS)

    def _run_on(self, budget: int | None) -> Exit:
        began = self.executed
        end = began + (ENDLESS if budget is None else budget)
        if self.table is not None:
            self.table.begin(self.state.rip)
        self.target.push(self.state, self.block)
        struct.pack_into("<I", self.block, P.KICKED, 0)
        while True:
            left = end - self.executed
            if left <= 0 or self.block[P.KICKED]:
                self.target.pull(self.state, self.block)
                return Budget(self.executed - began)
            exit = self._native(left)
            if self._late is not None:
                self._raise(exit)
            if exit is not None:
                return exit

    def _raise(self, exit: Exit | None) -> NoReturn:
        """A signal's handler raised this when native code had come out; by now the state is exact."""
        if exit is None:
            self.target.pull(self.state, self.block)
        late, self._late = self._late, None
        assert late is not None
        raise late

    def _native(self, left: int) -> Exit | None:
        """Native code until it comes out, and what has to be done then."""
        N, error = self.N, None
        if self._ranges_stale:
            self._publish()
        if self.table is not None:
            self.table.publish()
            self.table.enter()
        self._left = now = min(left, SLICE)
        try:
            reason = self._run(self._block_at, self._resume, now, self.memory.host)
        except BaseException as raised:  # a hook's, or where there are none that of a signal's handler
            error, reason = raised, struct.unpack_from("<i", self.block, P.REASON_AT)[0]
            self._late = raised if self.table is None else None
        before = struct.unpack_from("<q", self.block, P.BUDGET_AT)[0]
        rest = before + left - now
        if reason <= N.LAST_NATIVE:
            self.executed += left - rest
            return self.needed()
        if reason == N.REGION:
            return self._region(left, rest)
        at = P.HOST_AT if reason != N.STRUCK else P.FAULT_HOST
        host = struct.unpack_from("<Q", self.block, at)[0] - (reason != N.STRUCK)
        self._look_up(self._tab_at, host)
        if self.tab[N.FOUND + 2] == N.AT_REGION:
            return self._region(left, struct.unpack_from("<q", self.block, P.REGION_BUDGET_AT)[0] + left - now, host)
        rest += self.tab[N.FOUND + 1]
        saved = struct.unpack_from("<q", self.block, P.KICK_SAVED)[0]
        if saved:
            rest += saved
            struct.pack_into("<q", self.block, P.KICK_SAVED, 0)
        if reason == N.STRUCK:
            if struct.unpack_from("<I", self.block, P.KEEPS_BUDGET)[0]:
                rest += struct.unpack_from("<q", self.block, P.KEPT_BUDGET)[0] - before
                struct.pack_into("<I", self.block, P.KEEPS_BUDGET, 0)
            registers = struct.unpack_from("<3Q", self.block, P.FAULT_REGISTERS)
            rest += self.target.struck(self.block, self.memory.host, registers)
        self.executed += left - rest
        if self.table is not None:
            arrived = reason == N.OUT_OF_BUDGET
            if arrived and left > SLICE and not saved:
                self._slice_ended(self.table, self.tab[N.FOUND])
                return None
            return self._unhooked(self.table, self.tab[N.FOUND], self.tab[N.FOUND + 2], arrived, -1 if saved else rest, error)
        struct.pack_into("<Q", self.block, P.RIP_AT, self.tab[N.FOUND])
        if saved:
            return None
        if reason != N.OUT_OF_BUDGET:
            return (self._left_at_once() if reason == N.PYTHON else None) or self._interpreted(1)
        if left > SLICE:
            self.hot.sample(self.tab[N.FOUND])
            return None
        return self._rest(rest)

    def _left_at_once(self) -> Exit | None:
        """What the next instruction does where it is one that only leaves: a system call need not be interpreted."""
        self.target.pull(self.state, self.block)
        exit: Exit | None = self.target.leaves(self.state, self.memory.peek(self.state.rip, 2))
        if exit is not None:
            self.executed += 1
            self.interpreted += 1
        return exit

    def _region(self, left: int, rest: int, host: int | None = None) -> Exit | None:
        """A region stopped: where its state is exact."""
        N, (pc, more, recipe, how) = self.N, self.hot.site(host)
        self.executed += left - rest - more
        self.target.settle(self.block, recipe)
        if self.table is not None:
            if how == P.ARRIVED and not more and left > SLICE:
                self._slice_ended(self.table, pc)
                return None
            if how == P.EITHER:
                how = P.STRAIGHT if struct.unpack_from("<I", self.block, P.REGION_STRAIGHT)[0] else P.BRANCHED
            kind = {P.ARRIVED: N.AT_HEAD, P.BRANCHED: N.AT_BRANCH, P.STRAIGHT: N.AT_INSTRUCTION}[how]
            return self._unhooked(self.table, pc, kind, how == P.ARRIVED, more and 1 or rest, None)
        struct.pack_into("<Q", self.block, P.RIP_AT, pc)
        if more:
            return self._interpreted(1)
        return None if left > SLICE else self._rest(rest)

    def _rest(self, count: int) -> Exit | None:
        """The budget ends in the middle of a block."""
        if self.exact:
            return self._interpreted(count)
        self.target.pull(self.state, self.block)
        return Budget(count)

    def _slice_ended(self, table: HookTable, address: int) -> None:
        """A slice of instructions is used up, before the hooks of the block at `address`."""
        table.came_out(address, True, self.N.AT_HEAD)
        struct.pack_into("<Q", self.block, P.RIP_AT, address)
        self.hot.sample(address)
        table.begin(address)

    def _unhooked(self, table: HookTable, address: int, kind: int, arrived: bool, rest: int, error: BaseException | None) -> Exit | None:
        """Guest code came out at a site of that kind, with hooks: do what they asked for, else go on."""
        why = table.taken()
        arrived |= bool(why & UNTIL)
        table.came_out(address, arrived, kind)
        if not why & MOVED:
            struct.pack_into("<Q", self.block, P.RIP_AT, address)
        elif error is None and not why & STOP:
            table.begin(NOWHERE)
            return None
        if why & MOVED:
            table.hooks.continued = NOWHERE
        if error is None and not why & (STOP | UNTIL):
            if rest < 0:  # a signal came
                table.begin(address)
                return None
            return self._interpreted(rest if arrived else 1, -1 if arrived else table.told(address))
        self.target.pull(self.state, self.block)
        if error is not None:
            raise error
        return Debug("stopped" if why & STOP else "until")

    def _interpreted(self, count: int, fired: int = -1) -> Exit | None:
        """The next instructions by the interpreter, whose hooks have run as `fired` says."""
        self.target.pull(self.state, self.block)
        slow = self.interpreter
        slow.executed = self.executed
        self._interpreting = True
        try:
            exit = slow.run(count, fired)
        finally:
            self._interpreting = False
            self.executed = slow.executed
        self.interpreted += count
        if isinstance(exit, Budget):
            if self.table is not None:
                self.table.begin(self.state.rip)
            self.target.push(self.state, self.block)
            if self.table is None and self.interpreted % INTERPRETED < count:
                self.hot.sample(self.state.rip)  # whose loop is never in native code for a whole slice
            return None
        return exit

    def needed(self) -> Exit | None:
        """What the translator asked for."""
        N, tab = self.N, self.tab
        what, at = tab[N.NEED], tab[N.NEED_AT]
        tab[N.NEED] = N.NOTHING
        if what == N.FULL:
            self.flush()
        elif what == N.NO_CODE:
            if len(self.memory.offered) >= N.MOST_RANGES // 2:
                self.memory.withdraw_code()
            if not self.memory.offer_code(at):
                return self._interpreted(1)
            self._ranges_stale = True
        elif what == N.ANALYSIS:
            self.maker.analyse(tab[N.NEED_FORM], self.memory.fetch(at), at)
        elif what != N.NOTHING:  # a signal came
            assert what == N.STENCIL, what
            codes = [(self.memory.fetch(where), where) for where in (at, tab[N.NEED_SECOND]) if where]
            self.maker.make(tab[N.NEED_FORM], (tab[N.NEED_KEY], tab[N.NEED_KEY1], tab[N.NEED_KEY2]), codes)
        return None

    def save(self) -> None:
        """Keep the stencils that were made for the next run."""
        self.hot.wait()
        if self.hot.made:
            self.store.keep_regions(self.hot.made)
            self.hot.made = []
        if "maker" in self.__dict__ and self.maker.made:
            self.store.save(self.tab, self.blob)
            self.maker.made = 0
