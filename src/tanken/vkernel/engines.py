"""The engines that a guest process can be run by, by name, and the memory that each works on.

auto       native, or python until native is made (`vkernel.upgrade`)
native     stencils made by LLVM, memory mapped directly; made once by `tanken warm`, or at the first run that asks for it
python     generated Python, needs nothing
reference  the slow, obvious interpreter
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from tanken.engine.memory import AddressSpace
from tanken.engine.reference import Interpreter
from tanken.engines import parts, possible
from tanken.isa.architecture import Instruction
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.state import AF, CF, OF, PF, SF, ZF, State
from tanken.vkernel.process import Engine, EngineFactory

__all__ = ["NAMES", "factory", "parts", "possible", "space"]
NAMES = ("auto", "native", "python", "reference")


def made() -> bool:
    """Whether the native engine can start at once."""
    return possible() and _translator_path().exists()


@cache
def _translator_path() -> Path:
    from tanken.engine.native import store
    from tanken.isa.x86.native.target import X86

    return store.translator_path(X86())


def lock_path() -> Path:
    """The file that whoever makes the native engine holds a lock on."""
    return _translator_path().with_name("translator.lock")


def native(state: State, memory: AddressSpace) -> Engine:
    """The native engine; `memory` is mapped directly."""
    from tanken.engine.native.engine import Native
    from tanken.engine.native.space import DirectSpace

    assert isinstance(memory, DirectSpace), "the native engine needs directly mapped memory"
    return Native(state, memory, *parts())


def factory(name: str) -> EngineFactory:
    """How engines of this name are made."""
    if name == "native":
        return native
    if name == "auto":
        return lambda state, memory: (factory("python") if type(memory) is AddressSpace else native)(state, memory)
    if name == "reference":
        return lambda state, memory: Interpreter(state, memory, Processor())
    from tanken.engine.generated import Generated

    return lambda state, memory: Generated(state, memory, Processor(), (CF, PF, AF, ZF, SF, OF))


def space(name: str) -> Callable[[], AddressSpace]:
    """How the memory for engines of this name is made."""
    if name not in ("native", "auto"):
        return AddressSpace
    from tanken.engine.native.space import TOP, DirectSpace

    if name == "native":
        return DirectSpace
    return lambda: DirectSpace() if made() else AddressSpace(TOP)  # which can be mapped directly later


def lockstep(name: str) -> tuple[EngineFactory, Callable[[], AddressSpace]]:
    """The engine of this name beside the reference, as one engine, and its memory (`engine.verify`)."""
    from tanken.engine.verify import Lockstep, mirrored

    name = ("native" if made() else "python") if name == "auto" else name
    kind = space(name)
    assert isinstance(kind, type)

    def make(state: State, memory: AddressSpace) -> Engine:
        return Lockstep(factory(name)(state, memory), Interpreter(State(), memory.twin, Processor()), describe)  # type: ignore[attr-defined, arg-type]

    return make, mirrored(kind)


def watched(make: EngineFactory, tell: Callable[[list[str]], None]) -> EngineFactory:
    """Engines that `make` makes, which tell when the guest is stuck (`engine.stuck`)."""
    from tanken.engine.stuck import Stuck, Watched
    from tanken.isa.x86.state import place_name

    def told(stuck: Stuck) -> None:
        tell(stuck.lines(describe, place_name))

    return lambda state, memory: Watched(make(state, memory), state, memory, Processor(), told)


def describe(instruction: Instruction) -> str:
    """The line of an instruction and its row of the opcode map."""
    from tanken.isa.x86.inst import Inst

    assert isinstance(instruction, Inst)
    row = instruction.row
    cells = "" if row is None else f"  (opcodes.map:{row.line}: {' '.join(row.text.split())})"
    return f"{instruction.address:#x}: {instruction.code.hex(' ')}  {' '.join(instruction.text().split())}{cells}"
