"""One decoded x86 instruction as a value: a view of a row of columns, with its row of the map, operands and texts.

Operand order is Intel's (destination first); sizes are in bytes; see `layout` for the packing of the columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tanken.base.errors import UsageError
from tanken.isa.architecture import COLUMNS, Column
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import names as N
from tanken.isa.x86 import rows
from tanken.isa.x86.kernels.decoder import decode_one
from tanken.isa.x86.kernels.fields import resolve
from tanken.isa.x86.kernels.letters import register_name
from tanken.isa.x86.kernels.places import target
from tanken.isa.x86.kernels.text import ROOM, put_text
from tanken.isa.x86.tables import Form, mnemonics, plain
from tanken.notation.map import MapRow

SYNTAXES = {"intel": 0, "att": 1}


@dataclass(frozen=True, slots=True)
class Register:
    """A register operand; `high` marks ah ch dh bh, whose number is that of the register that holds them."""

    file: str
    number: int
    size: int
    access: str
    high: bool = False

    @property
    def name(self) -> str:
        """The name in Intel text."""
        index = register_name(L.FILES.index(self.file), self.size, self.number + (4 if self.high else 0), not self.high, 0)
        return N.REGISTER_NAMES[index]


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory operand: segment register number, base and index register (None if absent; base 16 is rip), displacement."""

    segment: int
    base: int | None
    index: int | None
    scale: int
    displacement: int
    address_size: int
    size: int
    access: str
    index_file: str = "gpr"
    broadcast: int = 0

    @property
    def registers(self) -> tuple[Register, ...]:
        """The base and index registers that the address needs; rip is none of them."""
        found = []
        if self.base is not None and self.base != L.RIP:
            found.append(Register("gpr", self.base, self.address_size, "r"))
        if self.index is not None:
            found.append(Register(self.index_file, self.index, self.address_size if self.index_file == "gpr" else 16, "r"))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Immediate:
    """A constant, as the instruction uses it: sign-extended where it does so, then cut to `size` bytes, never negative."""

    value: int
    size: int
    access: str = "r"


@dataclass(frozen=True, slots=True)
class Relative:
    """A branch target, absolute."""

    target: int
    size: int
    access: str = "r"


@dataclass(frozen=True, slots=True)
class Far:
    """A far pointer in the instruction."""

    selector: int
    offset: int
    size: int
    access: str = "r"


Operand = Register | Memory | Immediate | Relative | Far


class Inst:
    """A decoded instruction, or bytes that are none (`fault` says why)."""

    __slots__ = ("__dict__", "_window", "code", "columns")

    def __init__(self, columns: tuple[int, ...], code: bytes) -> None:
        """`code` holds the instruction's bytes, and may go on behind them."""
        self.columns = columns
        self.code = code[: columns[Column.LENGTH]]
        self._window = code

    @property
    def address(self) -> int:
        return self.columns[Column.ADDRESS]

    @property
    def length(self) -> int:
        return self.columns[Column.LENGTH]

    @cached_property
    def form(self) -> Form | None:
        """The row of the map with its selectors and operand codes understood."""
        number = self.columns[Column.FORM]
        return rows.forms()[number - 1] if number else None

    @property
    def row(self) -> MapRow | None:
        """The row of the map, None where no row fits."""
        form = self.form
        return form.row if form else None

    @cached_property
    def mnemonic(self) -> str:
        """The Intel name without size letter, "(bad)" where no row fits."""
        row = self.row
        return plain(mnemonics(row)[0]) if row else "(bad)"

    @cached_property
    def fault(self) -> str | None:
        """Why these bytes are no instruction, None when they are one."""
        fault = self.columns[Column.FAULT]
        if fault == L.NO_ROW:
            from tanken.isa.x86.reasons import why_no_row

            return why_no_row(self._window, self.mode)
        return L.FAULT_TEXT[fault] if fault else self._lock_fault()

    @property
    def privileged(self) -> bool:
        """Whether privilege level 0 is needed; above it the instruction faults with #GP."""
        row = self.row
        return row is not None and "cpl0" in row.attributes

    @property
    def operand_size(self) -> int:
        return self.columns[Column.SIZES] & 255

    @property
    def address_size(self) -> int:
        return (self.columns[Column.SIZES] >> 8) & 255

    @property
    def vector_length(self) -> int:
        """Bytes of the vectors: 16, 32 or 64."""
        return (self.columns[Column.SIZES] >> 16) & 255

    @property
    def mode(self) -> int:
        return ((self.columns[Column.SIZES] >> 24) & 255) * 8

    @property
    def lock(self) -> bool:
        return bool(self.columns[Column.PREFIXES] & L.LOCK)

    @property
    def atomic(self) -> bool:
        """LOCK, and XCHG with memory (SDM volume 3, 8.1.2.2)."""
        if self.columns[Column.REGISTERS] & L.RM_IS_REGISTER or not (self.lock or self.mnemonic == "xchg"):
            return False
        return not rows.record(self.columns[Column.FORM], L.FLAGS) & L.F_OPC_REG  # 90+r, which fills gaps between loops too

    @property
    def repeat(self) -> str:
        """The acting F3 or F2: "rep", "repz", "repnz" or ""; for rows they select it is ""."""
        bits = self.columns[Column.PREFIXES]
        flags = self._flags
        if flags & (L.F_F3 | L.F_F2):
            return ""
        if bits & L.REPZ:
            return "rep" if flags & L.F_REP else "repz"
        return "repnz" if bits & L.REPNZ else ""

    @property
    def _flags(self) -> int:
        return rows.record(self.columns[Column.FORM], L.FLAGS)

    def _lock_fault(self) -> str | None:
        row = self.row
        if not self.lock or row is None:
            return None
        if "lock" not in row.attributes:
            return "LOCK before an instruction that does not allow it"
        if self.columns[Column.REGISTERS] & L.RM_IS_REGISTER:
            return "LOCK with a register destination"
        return None

    @cached_property
    def operands(self) -> tuple[Operand, ...]:
        """The operands that stand in the text, in Intel's order."""
        form = self.form
        if form is None:
            return ()
        return tuple(self._operand(form, i) for i, operand in enumerate(form.operands) if operand.source != L.O_BAD)

    def _size(self, code: int) -> int:
        wide = self.columns[Column.PREFIXES] & L.REX_W and self.mode == 64
        size = resolve(code, self.operand_size, self.address_size, self.vector_length, int(bool(wide)), self.mode // 8)
        return 16 if size == 17 else size

    def _operand(self, form: Form, i: int) -> Operand:
        operand = form.operands[i]
        source, access = operand.source, operand.access
        registers = self.columns[Column.REGISTERS]
        imm = self.columns[Column.IMMEDIATE]
        if source == L.O_RM and not registers & L.RM_IS_REGISTER:
            return self._memory(form, self._size(operand.memory_size), access)
        size = self._size(operand.register_size)
        if source in (L.O_REG, L.O_RM, L.O_OPC, L.O_VVVV, L.O_FIXED, L.O_IS4, L.O_PORT):
            number = {L.O_REG: registers & 255, L.O_RM: (registers >> 8) & 255, L.O_OPC: (registers >> 8) & 255,
                      L.O_VVVV: (registers >> 16) & 255, L.O_IS4: (imm >> 4) & 15}.get(source, operand.number)  # fmt: skip
            return self._register(operand.file, number, size, access)
        if source in (L.O_IMM, L.O_IMM2, L.O_IMM4, L.O_ONE):
            value = {L.O_IMM: imm, L.O_IMM2: imm >> (16 if rows.record(form.number, L.IMMEDIATE) == L.I_WB else 8),
                     L.O_IMM4: imm & 15, L.O_ONE: 1}[source]  # fmt: skip
            return Immediate(value & ((1 << (8 * size)) - 1), size)
        if source == L.O_REL:
            value = target(rows.tables().numbers, self.columns, 0, form.number)
            return Relative(value & ((1 << 64) - 1), self.operand_size)
        if source == L.O_FAR:
            return Far(imm >> 32, imm & ((1 << (8 * self.operand_size)) - 1), self.operand_size)
        segment = (self.columns[Column.MEMORY] >> 24) & 255
        if source == L.O_MOFFS:
            return Memory(segment, None, None, 1, imm, self.address_size, size, access)
        base = {L.O_SI: 6, L.O_DI: 7, L.O_XLAT: 3}[source]
        return Memory(0 if source == L.O_DI else segment, base, None, 1, 0, self.address_size, size, access)

    def _register(self, file: int, number: int, size: int, access: str) -> Register:
        if file == L.R_GPR and size == 1 and 4 <= number < 8 and not self.columns[Column.PREFIXES] & L.REX:
            return Register("gpr", number - 4, 1, access, True)
        if file in (L.R_ST, L.R_MM):
            number &= 7
        if file == L.R_VEC:
            size = max(size, 16)
        if file == L.R_CR and self.lock and self.mode != 64:
            number |= 8
        return Register(L.FILES[file], number, size, access)

    def _memory(self, form: Form, size: int, access: str) -> Memory:
        packed = self.columns[Column.MEMORY]
        base, index = packed & 255, (packed >> 8) & 255
        vsib = self._flags & L.F_VSIB
        element = rows.record(form.number, L.BROADCAST) if self.columns[Column.PREFIXES] & L.EVEX_B else 0
        return Memory(
            (packed >> 24) & 255, None if base == L.NONE else base, None if index == L.NONE else index,
            1 << ((packed >> 16) & 3), self.columns[Column.DISPLACEMENT], self.address_size, element or size, access,
            "xmm" if vsib else "gpr", element,
        )  # fmt: skip

    def text(self, syntax: str = "intel", comment: bool = True) -> str:
        """The text as objdump prints it; `comment` adds the address of a rip-relative operand."""
        if syntax not in SYNTAXES:
            raise UsageError(f"syntax {syntax!r}", wanted="intel or att")
        buf = bytearray(ROOM)
        tables = rows.tables()
        end = put_text(tables.numbers, tables.letters, self._window, 0, self.columns, 0, SYNTAXES[syntax], int(comment), buf, 0)
        return buf[:end].decode("ascii")

    @property
    def x87_opcode(self) -> int:
        """The eleven bits by which x87 remembers its last instruction: three of the opcode, and the byte behind it (SDM volume 1, 8.1.9)."""
        at = next(n for n, byte in enumerate(self.code) if 0xD8 <= byte <= 0xDF)
        return (self.code[at] & 7) << 8 | self.code[at + 1]

    @cached_property
    def implicit(self) -> tuple[Register | Memory, ...]:
        """The operands that do not stand in the text: those of the row, the stack and its pointer, the counter of a repeat."""
        from tanken.isa.x86.implicit import implicit

        return implicit(self)

    @property
    def reads(self) -> tuple[Operand, ...]:
        """What is read: operands in the text and implicit ones, a mask and what it keeps, and the registers of the addresses of memory operands."""
        every = (*self.operands, *self.implicit, *self._masks)
        return (*(o for o in every if "r" in o.access), *self._kept, *(r for o in every if isinstance(o, Memory) for r in o.registers))

    @property
    def writes(self) -> tuple[Operand, ...]:
        """What is written: operands in the text and implicit ones."""
        return tuple(o for o in (*self.operands, *self.implicit, *self._masks) if "w" in o.access)

    @property
    def _masks(self) -> tuple[Register, ...]:
        """The mask register of an EVEX encoding; gathers and scatters clear it."""
        number = (self.columns[Column.REGISTERS] >> 24) & 7
        return (Register("k", number, 8, "rw" if self._flags & (L.F_GATHER | L.F_SCATTER) else "r"),) if number and self.row else ()

    @property
    def _kept(self) -> tuple[Operand, ...]:
        """The destination, where the elements that the mask leaves out keep their values; vblendm takes them from the first source."""
        first = self.operands[0] if self._masks and self.operands else None
        merged = isinstance(first, Register) and first.file == "xmm" and first.access == "w" and not self.columns[Column.PREFIXES] & L.EVEX_Z
        return (first,) if isinstance(first, Register) and merged and "blendm" not in self.mnemonic else ()

    @property
    def flags(self) -> dict[str, str]:
        """The flags by what happens to them: read, written, undefined, cleared, set; letters o d i t s z a p c."""
        row = self.row
        words = {"r": "read", "w": "written", "u": "undefined", "z": "cleared", "s": "set"}
        return {word: row.attributes[key] for key, word in words.items() if key in row.attributes} if row else {}

    def __repr__(self) -> str:
        return f"<Inst {self.address:#x} [{self.length}B] {self.code.hex(' ')}  {self.text()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inst) and self.columns == other.columns and self.code == other.code

    def __hash__(self) -> int:
        return hash((self.columns, self.code))


MODES = {16: 2, 32: 4, 64: 8}


def mode_bytes(mode: int) -> int:
    """16, 32 or 64 as bytes; raises UsageError for anything else."""
    if mode not in MODES:
        raise UsageError(f"mode {mode}", wanted="16, 32 or 64")
    return MODES[mode]


def decode(code: bytes | bytearray | memoryview, at: int = 0, mode: int = 64) -> Inst:
    """The first instruction of `code`, whose first byte stands at the address `at`.

    Bytes that are no instruction give an Inst whose `fault` says why and whose length is what a disassembler skips.
    Raises UsageError for no bytes at all or an unknown mode.
    """
    size = mode_bytes(mode)
    if not len(code):
        raise UsageError("no bytes to decode", wanted="at least one")
    piece = bytes(code[:16])
    out = [0] * COLUMNS
    decode_one(rows.tables().numbers, piece, 0, len(piece), size, at, out, 0)
    return Inst(tuple(out), piece)


def disassemble(code: bytes | bytearray | memoryview, at: int = 0, mode: int = 64) -> Iterator[Inst]:
    """The instructions of `code` one after the other; yields until the bytes end."""
    size = mode_bytes(mode)
    numbers, pos, end = rows.tables().numbers, 0, len(code)
    while pos < end:
        piece = bytes(code[pos : pos + 16])
        out = [0] * COLUMNS
        length = decode_one(numbers, piece, 0, len(piece), size, at + pos, out, 0)
        yield Inst(tuple(out), piece)
        pos += length
