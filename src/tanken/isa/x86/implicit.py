"""Operands that an instruction uses though they do not stand in its text: those its row names, the stack, the counter of a repeat.

The row's `imp=` names registers (SDM Vol. 2 by mnemonic); the stack follows from the mnemonic and the mode (SDM Vol. 1, 6.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tanken.isa.architecture import Column
from tanken.isa.x86 import layout as L

if TYPE_CHECKING:
    from tanken.isa.x86.inst import Inst, Memory, Register

PUSHES = frozenset({"push", "pusha", "pushf", "call", "enter", "int", "int1", "int3", "into"})
POPS = frozenset({"pop", "popa", "popf", "ret", "retf", "iret", "leave"})
NUMBERS = {"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SP": 4, "BP": 5, "SI": 6, "DI": 7}
STORES_AT_RDI = frozenset({"maskmovq", "maskmovdqu", "vmaskmovdqu"})
STORES_AT_ES = frozenset({"movdir64b", "enqcmd", "enqcmds"})  # through the register in ModRM.reg
REPEATED = frozenset({"ins", "outs", "movs", "cmps", "stos", "lods", "scas"})


def implicit(inst: Inst) -> tuple[Register | Memory, ...]:
    """The implicit operands of `inst`: the row's, then stack pointer and stack, then the counter of a repeated string instruction."""
    from tanken.isa.x86.inst import Memory, Register

    row = inst.row
    if row is None:
        return ()
    found: list[Register | Memory] = []
    for word in filter(None, row.attributes.get("imp", "").split(",")):
        name, _, access = word.partition(":")
        if name == "gprs":
            found += [Register("gpr", number, inst.operand_size, access) for number in range(8)]
        elif name == "vectors":
            found += [Register("xmm", number, inst.vector_length, access) for number in range(16 if inst.mode == 64 else 8)]
        elif name == "tiles":
            found += [Register("tmm", number, 64, access) for number in range(8)]
        elif name != "R11" or inst.mode == 64:
            found.append(_register(inst, name, access or "r"))
    name = inst.mnemonic.rstrip("wdlq") if inst.mnemonic.startswith(("sysret", "sysexit")) else inst.mnemonic
    if name in PUSHES or name in POPS:
        width = inst.mode // 8
        if not any(isinstance(o, Register) and o.file == "gpr" and o.number == 4 for o in found):
            found.append(Register("gpr", 4, width, "w" if name == "leave" else "rw"))
        if name in ("leave", "enter"):
            found.append(Register("gpr", 5, width, "rw"))
        size = inst.operand_size * (8 if name in ("pusha", "popa") else 1)
        found.append(Memory(2, 5 if name == "leave" else 4, None, 1, 0, width, size, "w" if name in PUSHES else "r"))
    if name in STORES_AT_RDI:
        segment = (inst.columns[Column.MEMORY] >> 24) & 255 if inst.columns[Column.PREFIXES] & L.SEGMENT else 3
        found.append(Memory(segment, 7, None, 1, 0, inst.address_size, 8 if name == "maskmovq" else 16, "w"))
    if name in STORES_AT_ES and inst.operands:
        first = inst.operands[0]
        assert isinstance(first, Register)
        found.append(Memory(0, first.number, None, 1, 0, inst.address_size, 64, "w"))
    if name in REPEATED and inst.repeat:
        found.append(Register("gpr", 1, inst.address_size, "rw"))
    return tuple(found)


def _register(inst: Inst, name: str, access: str) -> Register:
    from tanken.isa.x86.inst import Register

    if name.startswith(("XMM", "YMM", "ZMM")):
        return Register("xmm", int(name[3:]), {"X": 16, "Y": 32, "Z": 64}[name[0]], access)
    if name.startswith("CR"):
        return Register("cr", int(name[2:]), inst.mode // 8, access)
    if name[0] == "R" and name[1:].isdigit():
        return Register("gpr", int(name[1:]), 8, access)
    if name.startswith("MM"):
        return Register("mm", int(name[2:]), 8, access)
    if name == "ST" or name.startswith("ST"):
        return Register("st", int(name[2:] or "0"), 10, access)
    if name in ("AH", "CH", "DH", "BH"):
        return Register("gpr", "ACDB".index(name[0]), 1, access, True)
    if name in ("AL", "CL", "DL", "BL"):
        return Register("gpr", "ACDB".index(name[0]), 1, access)
    if name in NUMBERS:
        return Register("gpr", NUMBERS[name], 2, access)
    number = NUMBERS[name[1:3]]
    if name[0] == "E":
        return Register("gpr", number, 4, access)
    addressing = number in (6, 7) or name == "rCX"
    size = inst.address_size if addressing and inst.mnemonic != "cmpxchg16b" else inst.operand_size
    if number in (4, 5):
        size = inst.mode // 8
    return Register("gpr", number, size, access)
