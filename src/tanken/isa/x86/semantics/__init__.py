"""The meaning of x86 instructions, each written once for the abstract machine of isa.architecture.

One small file a family; a function is found by the mnemonic of the instruction's row of the map (or by the row's `sem=`). What no
family knows raises #UD with a message that names the row.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from tanken.isa.architecture import Machine
from tanken.isa.x86.inst import Inst
from tanken.isa.x86.semantics.execution import UD, Execution
from tanken.isa.x86.semantics.registry import SEMANTICS, Semantic

FAMILIES = (
    "move", "alu", "shift", "multiply", "bits", "string", "control", "stack", "flags", "convert", "system",
    "sse_move", "sse_integer", "sse_float", "legacy", "x87", "x87_state", "x87_more", "sse4",
)  # fmt: skip
VEX_INTEGER = frozenset("andn bextr blsi blsmsk blsr bzhi mulx pdep pext rorx sarx shlx shrx".split())


@cache
def _load() -> None:
    """All families; one alone may have been imported before, by whom its functions were asked for."""
    for family in FAMILIES:
        import_module(f"{__name__}.{family}")


def find(inst: Inst) -> Semantic | None:
    """The function that says what `inst` does, None where there is none."""
    _load()
    row = inst.row
    if row is None or ("vex" in row.section and inst.mnemonic not in VEX_INTEGER) or "xop" in row.section:
        return None
    return SEMANTICS.get(row.attributes.get("sem") or inst.mnemonic)


def execute(machine: Machine, inst: Inst) -> None:
    """Do `inst` on `machine`; a fault of the decoder, a privileged instruction or one without semantics becomes a fault there."""
    execution = Execution(machine, inst)
    if inst.fault:
        return execution.fault(UD, f"{inst.code.hex(' ')}: {inst.fault}")
    assert inst.row is not None, "what is no row has a fault"
    if "cpl0" in inst.row.attributes:
        return execution.privileged()
    semantic = find(inst)
    if semantic is None:
        return execution.fault(UD, f"{inst.code.hex(' ')}: {inst.text()} is not implemented (opcodes.map:{inst.row.line})")
    semantic(execution)
