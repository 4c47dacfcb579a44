"""The meaning of x86 instructions, each written once for the abstract machine of isa.architecture.

One small file a family; a function is found by the mnemonic of the instruction's row of the map (or by the row's `sem=`). What no
family knows raises #UD with a message that names the row.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from tanken.isa.architecture import Machine
from tanken.isa.x86.cpuid import ANNOUNCED
from tanken.isa.x86.inst import Inst
from tanken.isa.x86.semantics.execution import UD, Execution
from tanken.isa.x86.semantics.registry import SEMANTICS, Semantic
from tanken.notation.map import MapRow

FAMILIES = (
    "move", "alu", "shift", "multiply", "bits", "string", "descriptors", "control", "stack", "flags", "convert", "system",
    "sse_move", "sse_integer", "sse_float", "legacy", "x87", "x87_state", "x87_more", "x87_functions", "xsave", "sse4", "sse42", "crypto", "vex", "avx", "fma",
)  # fmt: skip


@cache
def _load() -> None:
    """All families; one alone may have been imported before, by whom its functions were asked for."""
    for family in FAMILIES:
        import_module(f"{__name__}.{family}")


def find(inst: Inst) -> Semantic | None:
    """The function that says what `inst` does, None where there is none."""
    return semantic_of(inst.row, inst.mnemonic) if inst.row is not None else None


def semantic_of(row: MapRow, mnemonic: str) -> Semantic | None:
    """The function for a row of the map and the name it has there."""
    _load()
    if row.section.startswith("evex"):
        return None
    return SEMANTICS.get(row.attributes.get("sem") or mnemonic)


def execute(machine: Machine, inst: Inst) -> None:
    """Do `inst` on `machine`; a fault of the decoder, a privileged instruction or one without semantics becomes a fault there."""
    execution = Execution(machine, inst)
    if inst.fault:
        return execution.fault(UD, f"{inst.code.hex(' ')}: {inst.fault}")
    assert inst.row is not None, "what is no row has a fault"
    if "cpl0" in inst.row.attributes:
        return execution.privileged()
    if "BAD" in inst.row.operands:
        return execution.fault(UD, f"{inst.code.hex(' ')}: {inst.text()} is never valid (opcodes.map:{inst.row.line})")
    semantic = find(inst)
    if semantic is None:
        why = "is not implemented" if inst.row.feature in ANNOUNCED else f"belongs to {inst.row.feature}, which CPUID does not announce"
        return execution.fault(UD, f"{inst.code.hex(' ')}: {inst.text()} {why} (opcodes.map:{inst.row.line})")
    semantic(execution)
