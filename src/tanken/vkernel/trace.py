"""What a guest does, as lines of text or of JSON: system calls, and instructions with what each changed.

JSON: one object a line (RFC 8259); an instruction has `address`, `bytes`, `text`, `changes` (register -> new value) and `stores`; a system call
has `call`, `arguments`, `result` (negative: an errno), and `error` with its name. Every object has the `pid`.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, TextIO

from tanken.base.records import json_line
from tanken.engine.memory import AddressSpace
from tanken.engine.reference import Interpreter
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.state import State

if TYPE_CHECKING:
    from tanken.isa.x86.inst import Inst
    from tanken.vkernel.calls.table import Call


class TracedSpace(AddressSpace):
    """Memory that notes what is stored to it by instructions."""

    stored: tuple[tuple[int, int, int], ...] = ()

    def store(self, address: int, size: int, value: int) -> None:
        super().store(address, size, value)
        self.stored += ((address, size, value),)


class Trace:
    """Writes to `out`; `engine` makes the engine that is to be traced (the reference one)."""

    def __init__(self, out: TextIO, as_json: bool = False) -> None:
        self.out, self.as_json = out, as_json

    def call(self, number: int, entry: Call | None, shown: list[int | str], result: int) -> None:
        """A system call that was answered; `shown` are its arguments, paths as texts."""
        name = entry.name if entry is not None else f"system call {number}"
        error = errno.errorcode.get(-result, str(-result)) if -4096 < result < 0 else None
        if self.as_json:
            what = {"pid": os.getpid(), "call": name, "number": number, "arguments": shown, "result": result}
            print(json_line(what | ({"error": error} if error else {})), file=self.out)
            return
        texts = ", ".join(repr(word) if isinstance(word, str) or abs(word) < 4096 else hex(word) for word in shown)
        print(f"  = {name}({texts}) -> {f'-{error}' if error else f'{result:#x}'}" + ("" if entry else ": not supported"), file=self.out)

    def engine(self, state: State, memory: AddressSpace) -> Interpreter:
        """The reference engine, telling each instruction."""
        interpreter = Interpreter(state, memory, Processor())
        interpreter.watch = lambda instruction, before: self._instruction(instruction, interpreter.state, before, memory)  # type: ignore[arg-type]
        return interpreter

    def _instruction(self, inst: Inst, state: State, before: State, memory: AddressSpace) -> None:
        stored: tuple[tuple[int, int, int], ...] = ()
        if isinstance(memory, TracedSpace):
            stored, memory.stored = memory.stored, ()
        changes = {name: new for name, _, new in state.changes(before)}
        if self.as_json:
            stores = [{"address": address, "size": size, "value": value} for address, size, value in stored]
            what = {"pid": os.getpid(), "address": inst.address, "bytes": inst.code, "text": inst.text(), "changes": changes, "stores": stores}
            print(json_line(what), file=self.out)
            return
        texts = [f"{name}={new:#x}" for name, new in changes.items()]
        texts += [f"[{address:#x}]{size * 8}={value:#x}" for address, size, value in stored]
        print(f"{inst.address:#x}  {inst.text():40}  {' '.join(texts)}".rstrip(), file=self.out)
