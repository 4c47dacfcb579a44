"""Instructions that touch a device, prepared: their semantics recorded once and written as a Python generator, which yields what it wants to read.

As `engine.generated` does with blocks. The generator runs on the guest's state and a View; the state is written at its end, so that a fault or an
end in the middle leaves it as it was. What cannot be recorded, and whatever goes wrong, is done by the slow machine from the log of the accesses made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from types import FunctionType
from typing import Any

from tanken.engine.lanes import quick_lanes
from tanken.engine.operations import MEANING
from tanken.engine.recorder import Event, Recorder, Unrecordable, node_of
from tanken.engine.source import Writer, compiled, write
from tanken.hypervisor.exits import Mmio
from tanken.hypervisor.view import View
from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Inst
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.processor import SystemProcessor
from tanken.isa.x86.system.state import SystemState

WARM = 2  # times that an instruction is done slowly before it is prepared
KEPT = 2048  # functions of one context
LISTS = re.compile(r"\bA_(\w+)")

Steps = Generator[Mmio, int | None, int]
Function = Callable[[SystemState, View], Steps]


class Again(Exception):
    """A fault that the recording only knows to be one: the slow machine is to say which."""


class TouchRecorder(Recorder):
    """Loads that will be stored to are told apart."""

    def load(self, address: Value, size: int, modify: bool = False) -> Value:
        node = self.graph.opaque(size * 8)
        self._event("load", node_of(address), results=(node,), extra=(size, modify))
        return Value(self, size * 8, node)


class TouchWriter(Writer):
    """A generator over the state S and the view V."""

    def _load(self, event: Event, nodes: list[str]) -> None:
        size, modify = event.extra
        name = self.name(event.results[0], f"V.load_now({nodes[0]},{size},{modify})")
        self.line(f"if {name}<0:{name}=yield from V.asking()")

    def _store(self, event: Event, nodes: list[str]) -> None:
        self.line(f"V.store_now({nodes[0]},{event.extra},{nodes[1]})")

    def _fault(self, event: Event, nodes: list[str]) -> None:
        self.line(f"if {nodes[0]}:raise AGAIN")


def prepare(inst: Inst, processor: SystemProcessor) -> Function | None:
    """The instruction in the processor's present context (`context`); None where the slow machine has to do it."""
    recorder = TouchRecorder()
    try:
        target, _ = recorder.record(processor, inst)
    except Unrecordable:
        return None
    recording = recorder.recording
    if recording.exit is not None:
        return None
    recording.target = target
    writer = write(recording, frozenset(), TouchWriter(frozenset()))
    body = [f" A_{name}=S.{name}" for name in sorted({name for line in writer.lines for name in LISTS.findall(line)})]
    code = compiled.__wrapped__("\n".join(["def steps(S,V):", *body, " if 0:yield", *writer.lines]))
    names: dict[str, Any] = {f"F_{name}": function for name, function in MEANING.items()}
    return FunctionType(code, names | {"LANES": quick_lanes, "AGAIN": Again} | writer.objects)


def context(state: SystemState) -> tuple[int, ...]:
    """What a prepared instruction depends on beside its bytes and address: mode, privilege, units, the stack's width."""
    return state.cr0, state.cr4, state.efer, state.xcr0, state.cpl, state.rights[S.CS], state.rights[S.SS], state.system_flags & (S.VM | S.IOPL)


class Prepared:
    """What has been prepared in each context, for all processors: the guests' programs touch devices by few instructions."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[int, ...], dict[tuple[int, bytes], Function | int | None]] = {}
        self._known: tuple[int, ...] = ()
        self._functions: dict[tuple[int, bytes], Function | int | None] = {}

    def find(self, inst: Inst, processor: SystemProcessor, warm: int) -> Function | None:
        """The instruction's function, if it has one or has come often enough to be given one."""
        known = context(processor.state)
        if known != self._known:
            self._known = known
            self._functions = self._contexts.setdefault(known, {})
        functions, key = self._functions, (inst.address, inst.code)
        found = functions.get(key, 0)
        if not isinstance(found, int):
            return found
        if len(functions) >= KEPT:
            functions.clear()
        if found < warm:
            functions[key] = found + 1
            return None
        function = functions[key] = prepare(inst, processor)
        return function


PREPARED = Prepared()
