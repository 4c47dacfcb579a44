"""Hooks: functions of the user's that an engine runs before an instruction, at the beginning of a block, before an access to memory.

Our own; the same hooks run at the same moments on every engine, whether they were set before or after the code was translated. A block
begins where control arrives by a branch, by falling through one, or at the first instruction after a system call or a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.base.native import CompiledFunction
from tanken.engine.memory import WRITE, AddressSpace

EVERYWHERE = 1 << 64
NOWHERE = (1 << 64) - 1  # no instruction is continued there
MOVED, STOP, LEAVE, UNTIL, FAILED = 1, 2, 4, 8, 16  # why the engine is to leave what it was doing


class Held(Exception):
    """A hook stopped the run, or went elsewhere, in the middle of an instruction, which has not happened."""


class Hook:
    """One function and where it runs; `remove()` takes it away, as leaving its `with` block does."""

    def __init__(self, hooks: Hooks, kind: str, function: Callable[..., object] | CompiledFunction, start: int, end: int, data: Any) -> None:
        self.hooks, self.kind, self.function, self.start, self.end, self.data = hooks, kind, function, start, end, data

    def __repr__(self) -> str:
        where = "" if (self.start, self.end) == (0, EVERYWHERE) else f" {self.start:#x}-{self.end:#x}"
        return f"<Hook {self.kind}{where}{'' if self.active else ', removed'}>"

    @property
    def active(self) -> bool:
        """Whether it still runs."""
        return self in self.hooks.all

    def remove(self) -> None:
        """It runs no more; removing it twice does nothing."""
        if self.active:
            self.hooks.all.remove(self)
            self.hooks.announce(self)

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    @property
    def compiled(self) -> CompiledFunction | None:
        """The function, where it is native code."""
        return self.function if isinstance(self.function, CompiledFunction) else None

    @property
    def data_address(self) -> int:
        """Where the host keeps its data, 0 without any."""
        return 0 if self.data is None else int(self.data.ctypes.data)


class Hooks:
    """All hooks of one processor, in the order in which they were set."""

    def __init__(self, state: Any, general: str) -> None:
        """`general` names the list of the state whose elements compiled hooks are handed."""
        self.state, self.general = state, general
        self.all: list[Hook] = []
        self.changed: Callable[[Hook], None] = lambda hook: None  # the engine's
        self.held = 0  # MOVED | STOP | LEAVE: what a hook asked for
        self.inside = 0  # how many hooks are running
        self.continued = NOWHERE  # the address that was reached without a branch

    def add(self, kind: str, function: Callable[..., object] | CompiledFunction, start: int, end: int, data: Any = None) -> Hook:
        """Set one for addresses in [start, end)."""
        hook = Hook(self, kind, function, start, end, data)
        self.all.append(hook)
        if kind == "block":
            self.continued = NOWHERE
        self.announce(hook)
        return hook

    def announce(self, hook: Hook) -> None:
        """Tell the engine of one that came or went."""
        if self.inside:
            self.held |= LEAVE
        self.changed(hook)

    def of(self, *kinds: str) -> list[Hook]:
        """Those of some kinds."""
        return [hook for hook in self.all if hook.kind in kinds]

    @property
    def watching(self) -> bool:
        """Whether accesses to memory are told."""
        return bool(self.of("read", "write"))

    # -- running them, for engines in Python

    def before(self, address: int) -> bool:
        """Run those of the instruction at `address`; whether it is to be done now."""
        begins = self.continued != address
        found = [hook for hook in self.all if hook.start <= address < hook.end and (hook.kind == "instruction" or (begins and hook.kind == "block"))]
        found.sort(key=lambda hook: hook.kind)  # "block" first
        try:
            for hook in found:
                self._call(hook, address)
                if self.held & (MOVED | STOP):
                    break
        finally:
            self.continued = NOWHERE if begins else address
        return not self.held & (MOVED | STOP)

    def access(self, kind: str, address: int, size: int, value: int) -> None:
        """Run those of an access to memory; Held where it is not to happen."""
        for hook in self.of(kind):
            if hook.start < address + size and address < hook.end:
                self._call(hook, address, size, value)
                if self.held & (MOVED | STOP):
                    raise Held

    def _call(self, hook: Hook, *words: int) -> None:
        self.inside += 1
        try:
            if hook.compiled is None:
                hook.function(*words)
            elif self._call_compiled(hook, hook.compiled, words):
                self.held |= STOP
        finally:
            self.inside -= 1

    def _call_compiled(self, hook: Hook, function: CompiledFunction, words: tuple[int, ...]) -> int:
        if len(words) == 3:
            return function(words[0], words[1], words[2] & NOWHERE, hook.data_address)
        import ctypes

        general = getattr(self.state, self.general)
        copy = (ctypes.c_uint64 * len(general))(*general)
        result = function(words[0], ctypes.addressof(copy), hook.data_address)
        for number, value in enumerate(copy):
            general[number] = value
        return result


class WatchedMemory:
    """Memory as the interpreter's machine sees it while accesses are told; `told` of the next ones were told already."""

    def __init__(self, memory: AddressSpace, hooks: Hooks) -> None:
        self.memory, self.hooks, self.told = memory, hooks, 0
        found = hooks.of("read", "write")
        self.bounds = min(hook.start for hook in found), max(hook.end for hook in found)

    def _tell(self, kind: str, address: int, size: int, value: int) -> None:
        low, high = self.bounds
        if address + size <= low or address >= high:
            return
        if self.told:
            self.told -= 1
        else:
            self.hooks.access(kind, address, size, value)

    def load(self, address: int, size: int) -> int:
        """As AddressSpace's; the hook runs once it is known that the access is allowed."""
        self._tell("read", address, size, self.memory.load(address, size))
        return self.memory.load(address, size)

    def store(self, address: int, size: int, value: int) -> None:
        """The same."""
        self.memory.demand(address, size, WRITE, "w")
        self._tell("write", address, size, value)
        self.memory.store(address, size, value)

    def swap(self, address: int, size: int, old: int, new: int) -> bool:
        """The same."""
        self.memory.demand(address, size, WRITE, "w")
        self._tell("write", address, size, new)
        return self.memory.swap(address, size, old, new)
