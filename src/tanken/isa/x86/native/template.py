"""An instruction with its operands left open: registers by field instead of number, addresses and immediates as Holes.

General and vector registers of the encoding's fields are renamed to numbers that no instruction names by itself; the lowering knows them
for holes. What cannot be left open stays as it is, and the translator's key then says which number it is for.
"""

from __future__ import annotations

from dataclasses import replace

from tanken.isa.architecture import Column, Hole
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import rows
from tanken.isa.x86.inst import Immediate, Inst, Memory, Operand, Register, Relative

REG, RM, VVVV, BASE, INDEX = 8, 9, 10, 12, 13  # the numbers that stand for fields
FIELDS = {REG: "R", RM: "M", VVVV: "V", BASE: "B", INDEX: "X"}
ENCODED = (L.O_REG, L.O_RM, L.O_OPC, L.O_VVVV)
WIDE_IMMEDIATES = (L.I_V, L.I_O)

# What is known of a form, as bits of its entry in the translator's table: 0 is "nothing yet".
KNOWN, CONCRETE, IMMEDIATE_MATTERS, REG_MATTERS, RM_MATTERS, VVVV_MATTERS, PYTHON, BRANCH, COUNTED, SEGMENT_MATTERS = (1 << n for n in range(10))
CONDITION_SHIFT = 12
SHIFTS = frozenset("shl shr sar rol ror shld shrd".split())


class Template(Inst):
    """An Inst whose address, length and operands are Holes where they may be anything."""

    __slots__ = ("touched",)

    def __init__(self, columns: tuple[int, ...], code: bytes, operands: tuple[Operand, ...], touched: set[str]) -> None:
        super().__init__(columns, code)
        self.touched = touched
        self.__dict__["operands"] = operands

    @property
    def opened(self) -> frozenset[tuple[str, int]]:
        """(field of the state, number) of all that stands for something else."""
        found = set()
        for operand in self.operands:
            if isinstance(operand, Register):
                found |= {("regs", operand.number)} if operand.file == "gpr" else {("xmm", operand.number), ("upper", operand.number)}
            elif isinstance(operand, Memory):
                found |= {("regs", number) for number in (operand.base, operand.index) if number is not None}
        return frozenset(pair for pair in found if pair[1] in FIELDS)

    @property
    def address(self) -> int:
        return Address(self.columns[Column.ADDRESS], "PC", 64, self.touched)

    @property
    def x87_opcode(self) -> Hole:
        """The opcode's bits, among them those of the operands."""
        return Hole(super().x87_opcode, "FOP", 16, self.touched)

    @property
    def following(self) -> Hole:
        """The address behind the instruction."""
        return Hole(self.columns[Column.ADDRESS] + self.columns[Column.LENGTH], "NPC", 64, self.touched)


class Address(Hole):
    """The instruction's address: with its length added it is that of the next instruction."""

    __slots__ = ()

    def __add__(self, other: int) -> int:
        return Following(int.__add__(self, other), "NPC", 64, self.touched)


class Following(Hole):
    """The next instruction's address, which is cut to 64 bits wherever it is worked out."""

    __slots__ = ()

    def __and__(self, other: int) -> int:
        return Hole(int.__and__(self, other), self.kind, 64, self.touched) if other == 0xFFFF_FFFF_FFFF_FFFF else int.__and__(self, other)


def what_matters(inst: Inst) -> int:
    """The bits of a form that its operands decide: fields whose number cannot be left open."""
    form, bits = inst.form, KNOWN
    assert form is not None
    for operand in form.operands:
        source = operand.source
        if source in (L.O_FAR, L.O_IMM2, L.O_IMM4, L.O_IS4, L.O_MOFFS):
            bits |= IMMEDIATE_MATTERS
        if source in ENCODED and operand.file not in (L.R_GPR, L.R_VEC):
            bits |= {L.O_REG: REG_MATTERS, L.O_VVVV: VVVV_MATTERS}.get(source, RM_MATTERS)
    return bits


def byte_register(inst: Inst, number: int, source: int) -> bool:
    """Whether the field names ah ch dh bh: then its number is part of the key."""
    flag = {L.O_REG: L.F_BYTE_REG, L.O_RM: L.F_BYTE_RM, L.O_OPC: L.F_BYTE_OPC}.get(source, 0)
    flags = rows.record(inst.columns[Column.FORM], L.FLAGS)
    return bool(flags & flag) and 4 <= number < 8 and not inst.columns[Column.PREFIXES] & L.REX


def template(inst: Inst, known: int) -> Template:
    """`inst` with open operands, as far as `known`, the form's bits, allows."""
    touched: set[str] = set()
    form = inst.form
    assert form is not None
    operands = []
    for operand, field in zip(inst.operands, form.operands, strict=True):
        operands.append(_opened(inst, operand, field.source, known, touched))
    return Template(inst.columns, inst.code, tuple(operands), touched)


def _opened(inst: Inst, operand: Operand, source: int, known: int, touched: set[str]) -> Operand:
    if isinstance(operand, Register):
        return _open_register(inst, operand, source, known)
    if isinstance(operand, Immediate) and source in (L.O_IMM, L.O_ONE) and not known & IMMEDIATE_MATTERS:
        wide = operand.size == 8 and rows.record(inst.columns[Column.FORM], L.IMMEDIATE) in WIDE_IMMEDIATES
        return replace(operand, value=Hole(operand.value, "IMM64" if wide else "IMM", operand.size * 8, touched))
    if isinstance(operand, Relative):
        return replace(operand, target=Hole(operand.target, "TPC", 64, touched))
    if isinstance(operand, Memory) and source == L.O_RM:
        return _open_memory(inst, operand, known, touched)
    return operand


def _open_register(inst: Inst, operand: Register, source: int, known: int) -> Register:
    if source not in ENCODED or operand.file not in ("gpr", "xmm") or known & CONCRETE:
        return operand
    registers = inst.columns[Column.REGISTERS]
    reg, rm, vvvv = registers & 255, registers >> 8 & 255, registers >> 16 & 255
    number = {L.O_REG: reg, L.O_VVVV: vvvv}.get(source, rm)
    if byte_register(inst, number, source):
        return operand
    flags = rows.record(inst.columns[Column.FORM], L.FLAGS)
    has_reg, has_vvvv = bool(flags & L.F_R), bool(flags & L.F_VVVV)
    if source == L.O_REG:
        return replace(operand, number=REG)
    if source == L.O_VVVV:
        return replace(operand, number=REG if has_reg and vvvv == reg else VVVV)
    return replace(operand, number=REG if has_reg and rm == reg else VVVV if has_vvvv and rm == vvvv else RM)


def _open_memory(inst: Inst, operand: Memory, known: int, touched: set[str]) -> Memory:
    if operand.base == L.RIP:
        address = operand.displacement + inst.columns[Column.ADDRESS] + inst.columns[Column.LENGTH] & 0xFFFF_FFFF_FFFF_FFFF
        return replace(operand, base=None, displacement=Hole(address, "RIP", 64, touched))
    displacement = Hole(operand.displacement, "DISP", 64, touched)
    if known & CONCRETE:
        return replace(operand, displacement=displacement)
    return replace(
        operand, displacement=displacement, base=None if operand.base is None else BASE, index=None if operand.index is None else INDEX
    )
