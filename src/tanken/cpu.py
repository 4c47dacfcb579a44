"""`Cpu("x86-64")`: a processor with its memory, to be mapped, set, hooked and run from Python in a few lines.

The engines are `engine.native` and `engine.reference`; what stops a run is a value of `isa.architecture`, docs/hooks.md says what each hook
promises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tanken import engines
from tanken.base import native
from tanken.base.errors import InputError, UsageError
from tanken.base.interrupt import deferred
from tanken.engine import snapshot
from tanken.engine.hooks import EVERYWHERE, STOP, Hook, Hooks
from tanken.engine.memory import AddressSpace, Miss
from tanken.engine.reference import Interpreter
from tanken.isa.architecture import Budget, Debug, Exit, Fault, Halt, MemoryMiss, Syscall
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.registers import REGISTERS, Register
from tanken.isa.x86.state import State

if TYPE_CHECKING:
    from tanken.engine.native.engine import Native

__all__ = ["Budget", "Cpu", "Debug", "Exit", "Fault", "Halt", "Hook", "MemoryMiss", "Snapshot", "Syscall"]
RIGHTS = {"r": 1, "w": 2, "x": 4, "-": 0}
SLICE = 50_000_000  # instructions between two looks at what else happened
WORDS = 64  # of the state that a compiled hook can reach


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Registers, memory and count of instructions at one moment; equal ones compare equal."""

    state: State
    memory: snapshot.MemoryImage
    executed: int
    continued: int

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        """By registers and memory."""
        return isinstance(other, Snapshot) and self.state == other.state and self.memory == other.memory

    def changes(self, before: Snapshot) -> list[tuple[str, int, int]]:
        """(register, old, new) of each that differs."""
        moved = [("rip", before.state.rip, self.state.rip)] if before.state.rip != self.state.rip else []
        return moved + self.state.changes(before.state)


class Cpu:
    """One processor in user mode: registers are attributes, `cpu[start:end]` is memory, `run` gives what stopped it.

    `engine` is "native" or "reference"; without one, native where this host can.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> int: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __init__(self, name: str = "x86-64", engine: str | None = None) -> None:
        if name != "x86-64":
            raise UsageError(f"no processor {name!r}", wanted="x86-64")
        if engine not in (None, "native", "reference"):
            raise UsageError(f"no engine {engine!r}", wanted="native or reference")
        self.name, self.state = name, State()
        self.memory: AddressSpace
        self.engine: Native | Interpreter
        if engine == "native" or (engine is None and engines.possible()):
            from tanken.engine.native.engine import Native
            from tanken.engine.native.space import DirectSpace

            target, store = engines.parts()
            self.memory = space = DirectSpace()
            self.engine = Native(self.state, space, target, store)
        else:
            self.memory = AddressSpace()
            self.engine = Interpreter(self.state, self.memory, Processor())
        self.hooks = Hooks(self.state, "regs")
        self.engine.attach(self.hooks)
        self._running = self._stop = False
        self._captured: snapshot.MemoryImage | None = None

    def __repr__(self) -> str:
        self.engine.settle()
        kind = "reference" if isinstance(self.engine, Interpreter) else "native"
        return f"<Cpu {self.name} {kind} {self.executed} instructions {repr(self.state)[7:]}"

    # -- memory

    def map(self, address: int, size: int, rights: str = "rwx", data: bytes = b"") -> None:
        """Map whole pages, zeros or `data` and zeros, in place of what was there; `rights` of the letters r, w, x."""
        if len(data) > size:
            raise InputError(f"{len(data)} bytes of data", wanted=f"at most the {size} that are mapped", where=f"{address:#x}")
        self._change(self.memory.map, address, size, _rights(rights))
        if data:
            self.write(address, data)

    def unmap(self, address: int, size: int) -> None:
        """Take pages away; what is not mapped may be among them."""
        self._change(self.memory.unmap, address, size)

    def protect(self, address: int, size: int, rights: str) -> None:
        """Give mapped pages other rights."""
        self._change(self.memory.protect, address, size, _rights(rights))

    @staticmethod
    def _change(what: Callable[..., None], address: int, size: int, *more: int) -> None:
        try:
            what(address, size, *more)
        except ValueError as error:
            raise InputError(str(error), wanted="whole pages of 4096 bytes") from error
        except Miss as miss:
            raise InputError("not mapped", where=f"{miss.address:#x}", hint="map it first") from miss

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory, whatever the rights."""
        try:
            return self.memory.read(address, size)
        except Miss as miss:
            raise InputError(f"{size} bytes that are not all mapped", where=f"{miss.address:#x}", hint="map them first") from miss

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes into memory, whatever the rights; code that was run there is made anew."""
        try:
            self.memory.write(address, data)
        except Miss as miss:
            raise InputError(f"{len(data)} bytes that are not all mapped", where=f"{miss.address:#x}", hint="map them first") from miss

    def __getitem__(self, where: slice | int) -> Any:
        """`cpu[start:end]` is bytes, `cpu[address]` one byte as a number."""
        if isinstance(where, slice):
            start, end = _range(where)
            return self.read(start, end - start)
        return self.read(where, 1)[0]

    def __setitem__(self, where: slice | int, data: bytes | bytearray | memoryview | int) -> None:
        """`cpu[start:end] = data`, where the end may be left out; `cpu[address] = byte`."""
        if isinstance(where, slice):
            assert not isinstance(data, int)
            start, end = _range(where, len(data))
            if end - start != len(data):
                raise InputError(f"{len(data)} bytes for a range of {end - start}", where=f"{start:#x}")
            self.write(start, data)
        else:
            assert isinstance(data, int)
            self.write(where, bytes([data]))

    # -- hooks

    def hook_instructions(
        self, function: Callable[..., object], start: int | None = None, end: int | None = None, *, data: Any = None, compile: bool = False
    ) -> Hook:
        """Call `function(address)` before each instruction at an address in [start, end); with a start alone at that one.

        The registers are exact, and may be changed, rip too; an exception comes out of `run` with the instruction not yet done. With `compile`
        Numba makes native code of `function(address, registers, data)`, arrays of int64, that runs inside the block and stops the run by a result
        that is not 0; what `numba.cfunc` made is taken as it is.
        """
        return self._hook("instruction", function, start, end, data, compile)

    def hook_blocks(
        self, function: Callable[..., object], start: int | None = None, end: int | None = None, *, data: Any = None, compile: bool = False
    ) -> Hook:
        """The same before the first instruction of each block: where a branch, taken or not, or a system call led to."""
        return self._hook("block", function, start, end, data, compile)

    def hook_reads(
        self, function: Callable[..., object], start: int | None = None, end: int | None = None, *, data: Any = None, compile: bool = False
    ) -> Hook:
        """Call `function(address, size, value)` before a read that is allowed and touches [start, end); compiled with `data` as fourth argument."""
        return self._hook("read", function, start, end, data, compile)

    def hook_writes(
        self, function: Callable[..., object], start: int | None = None, end: int | None = None, *, data: Any = None, compile: bool = False
    ) -> Hook:
        """The same before a write; `value` is what is about to be written."""
        return self._hook("write", function, start, end, data, compile)

    def hook_exits(self, function: Callable[[Any], object], *kinds: type) -> Hook:
        """Call `function(exit)` when a run stops by itself, for all exits or those of some kinds; where it gives true, the run goes on."""
        return self.hooks.add("exit", function, 0, EVERYWHERE, kinds)

    def _hook(self, kind: str, function: Callable[..., object], start: int | None, end: int | None, data: Any, compile: bool) -> Hook:
        if start is None:
            start, end = 0, EVERYWHERE if end is None else end
        elif end is None:
            end = start + 1
        if end <= start:
            raise UsageError(f"a hook from {start:#x} to {end:#x}", wanted="an end above the start")
        made: Callable[..., object] | native.CompiledFunction = function
        if native.is_cfunc(function):
            made = native.from_cfunc(function)
        elif compile:
            length = 0 if data is None else data.size
            access = kind in ("read", "write")
            made = native.compile_hook(function, "iiiI" if access else "iII", (length,) if access else (WORDS, length))
        elif not callable(function):
            raise UsageError(f"a hook that is {function!r}", wanted="a function")
        if data is not None and (data.dtype != "int64" or not data.flags.c_contiguous):
            raise UsageError(f"data of {data.dtype}", wanted="a contiguous array of int64")
        return self.hooks.add(kind, made, start, end, data)

    # -- running

    @property
    def executed(self) -> int:
        """Instructions so far; each round of a repeated one counts."""
        return self.engine.now

    def run(self, until: int | None = None, budget: int | None = None) -> Exit:
        """Go on at rip until an exit: at the address `until`, at once too, after `budget` instructions, or whatever comes first.

        `Debug("until")`, `Budget`, `Debug("stopped")`, `Syscall`, `MemoryMiss`, `Fault`, ...; the registers are exact. A hook's exception comes out.
        """
        if self._running:
            raise UsageError("a run inside a run", wanted="a hook that returns", hint="a hook may change rip, or stop the run")
        self.engine.until = until
        self._running, self._stop = True, False
        end = None if budget is None else self.executed + budget
        try:
            with deferred(self._in_hook) as handle:  # signals come between two instructions: the state is exact when a handler raises
                while True:
                    exit = self._part(end, handle)
                    if exit is not None:
                        return exit if not isinstance(exit, Budget) else Budget(budget or 0)
        finally:
            self._running = False

    def _part(self, end: int | None, handle: Callable[[], None]) -> Exit | None:
        """Up to SLICE instructions; None where it goes on."""
        left = SLICE if end is None else min(SLICE, end - self.executed)
        exit = self.engine.run(left)
        handle()
        if self._stop:
            return Debug("stopped")
        if isinstance(exit, Budget):
            return exit if end is not None and self.executed >= end else None
        if exit == Debug("until") or exit == Debug("stopped"):
            return exit
        for hook in self.hooks.of("exit"):
            function: Any = hook.function
            if (not hook.data or isinstance(exit, hook.data)) and function(exit):
                return Debug("stopped") if self._stop else None
        return exit

    def stop(self) -> None:
        """From a hook: end the run before the instruction that is hooked, or after the exit; from another thread: soon."""
        self._stop = True
        table = getattr(self.engine, "table", None)
        if table is not None and table.inside:
            table.hold(STOP)
        else:
            self.hooks.held |= STOP

    def _in_hook(self) -> bool:
        table = getattr(self.engine, "table", None)
        return bool(self.hooks.inside or (table is not None and table.inside))

    # -- snapshots

    def snapshot(self) -> Snapshot:
        """Registers and memory as a value; hooks are no part of it."""
        self.engine.settle()
        self._captured = snapshot.capture(self.memory, self._captured)
        return Snapshot(self.state.copy(), self._captured, self.executed, self.hooks.continued)

    def restore(self, saved: Snapshot) -> None:
        """Be what it was when the snapshot was taken, of this or another Cpu."""
        if self._running:
            raise UsageError("a snapshot put back in the middle of a run", wanted="a hook that stops the run first")
        snapshot.restore(self.memory, saved.memory)
        self.state.assign(saved.state)
        self.engine.executed = saved.executed
        self.engine.touched(True)
        self.hooks.continued = saved.continued


def _rights(letters: str) -> int:
    if not letters or not set(letters) <= RIGHTS.keys():
        raise UsageError(f"rights {letters!r}", wanted="of the letters r, w, x, or - for none")
    return sum({RIGHTS[letter] for letter in letters})


def _range(where: slice, length: int | None = None) -> tuple[int, int]:
    start, stop = where.start, where.stop
    if start is None or where.step is not None or (stop is None and length is None):
        raise UsageError("a slice of memory without a start or an end, or with a step", wanted="cpu[start:end]")
    return start, start + length if stop is None and length is not None else stop


def _property(register: Register) -> property:
    """The attribute of a register: what stands in lists is always there, the rest is fetched where a hook of native code runs."""
    read, write, mask, moves, lists = register.read, register.write, (1 << register.width) - 1, register.name == "rip", register.listed

    def get_listed(self: Cpu) -> int:
        return read(self.state)

    def get(self: Cpu) -> int:
        self.engine.settle()
        return read(self.state)

    def get_counter(self: Cpu) -> int:
        return self.engine.counter

    def set_listed(self: Cpu, value: int) -> None:
        write(self.state, value & mask)

    def set(self: Cpu, value: int) -> None:
        self.engine.settle()
        write(self.state, value & mask)
        self.engine.touched(moves)

    if lists:
        return property(get_listed, set_listed, doc=f"{register.name}, {register.width} bits.")
    return property(get_counter if moves else get, set, doc=f"{register.name}, {register.width} bits.")


for _register in REGISTERS.values():
    setattr(Cpu, _register.name, _property(_register))
