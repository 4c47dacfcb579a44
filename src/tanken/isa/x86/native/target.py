"""x86-64 for the native engine: what it asks of an instruction set, answered.

See the engine's `Target` protocol.
"""

from __future__ import annotations

from array import array
from typing import Any

from tanken.isa.architecture import Architecture, Column, Exit, Syscall
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import rows
from tanken.isa.x86.inst import Immediate, Inst, Relative, decode
from tanken.isa.x86.kernels import DECODER
from tanken.isa.x86.native import block, tables
from tanken.isa.x86.native import template as P
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.semantics import find
from tanken.isa.x86.semantics.flags import CONDITIONS
from tanken.isa.x86.state import State

JUMPS = {"j" + name: number for number, name in enumerate(CONDITIONS)}
FUSING = frozenset("cmp test sub add and or xor inc dec neg bt comisd comiss ucomisd ucomiss".split())
VECTOR_SHIFTS = ("psll", "psrl", "psra", "vpsll", "vpsrl", "vpsra")
SYSCALL = Syscall("syscall")
NONZERO_MASK = {8: 63}


class X86:
    """The target."""

    tables = tables
    flags = block.STATUS
    fields = frozenset(P.FIELDS)
    block_size = block.SIZE
    translator = ("tanken.isa.x86.native.translate", *DECODER, *(f"tanken.isa.x86.native.{name}" for name in ("keys", "choice", "emission")))
    numbers = tuple(f"tanken.{name}" for name in ("isa.x86.layout", "isa.x86.names", "isa.x86.native.block", "isa.x86.native.tables",
                                                  "isa.x86.native.template", "isa.x86.state", "base.native"))  # fmt: skip
    sources = "tanken.isa.x86"

    def __init__(self) -> None:
        self.isa: Architecture = Processor()

    def decoder_tables(self) -> array[int]:
        """The numbers that the translator decodes by."""
        return rows.numbers()

    def bind(self, state: State, memory: memoryview) -> None:
        block.bind(state, memory)

    push = staticmethod(block.push)
    pull = staticmethod(block.pull)

    def leaves(self, state: State, code: bytes) -> Exit | None:
        """Do the instruction of these bytes where it is SYSCALL, as its semantics say."""
        if code != b"\x0f\x05":
            return None
        state.regs[1] = state.rip = state.rip + 2
        state.regs[11] = state.rflags
        return SYSCALL

    def known_call(self, function: str, operands: tuple[Any, ...]) -> tuple[str, tuple[int, ...]] | None:
        """See the recorder's `NativeCalls`."""
        from tanken.isa.x86.native import floats, whole, x87

        if function.startswith("x87_"):
            return x87.known(function)
        return floats.known(function, operands) or whole.known(function, operands)

    def around(self) -> tuple[str, str]:
        """Assembler text for the way into guest code, and out of it."""
        from tanken.isa.x86.native import x87

        return x87.ENTER, x87.LEAVE

    def decode(self, code: bytes, address: int) -> Inst:
        return decode(code, address)

    def analyse(self, inst: Inst) -> int:
        """What the translator must know of the instruction's form."""
        form, row = inst.form, inst.row
        assert form is not None and row is not None
        bits = P.what_matters(inst)
        if "cpl0" in row.attributes or find(inst) is None:
            bits |= P.PYTHON
        if any(operand.source == L.O_REL for operand in form.operands):
            bits |= P.BRANCH
        if 0xD8 <= inst.code[inst.columns[Column.PREFIXES] >> L.PREFIX_COUNT_SHIFT & 15] <= 0xDF:
            bits |= P.SEGMENT_MATTERS  # x87 remembers it
        if any(operand.source == L.O_IS4 for operand in form.operands):
            bits |= P.CONCRETE
        if inst.mnemonic in JUMPS and bits & P.BRANCH:
            bits |= (JUMPS[inst.mnemonic] + 1) << P.CONDITION_SHIFT
        if inst.mnemonic in P.SHIFTS and isinstance(inst.operands[-1], Immediate):
            bits |= P.COUNTED | P.IMMEDIATE_MATTERS  # its flags are cheap only for a count that is known
        if inst.mnemonic.startswith(VECTOR_SHIFTS) and isinstance(inst.operands[-1], Immediate):
            bits |= P.IMMEDIATE_MATTERS  # the host shifts vectors fast by constants only
        return bits

    def open(self, inst: Inst, known: int) -> P.Template:
        """The instruction with its operands left open."""
        return P.template(inst, known)

    def widen(self, known: int, touched: set[str], sensitive: bool) -> int:
        """`known` with what a recording showed to matter."""
        if "IMM" in touched or "IMM64" in touched:
            known |= P.IMMEDIATE_MATTERS
        return known | P.CONCRETE if sensitive else known

    def usable(self, inst: Inst, touched: set[str]) -> bool:
        """Whether only what the key holds decided the recording, and no fault of the decoder's is in it."""
        implied = inst.columns[Column.PREFIXES] & L.SEGMENT and ("maskmov" in inst.mnemonic or inst.mnemonic == "clzero")  # for an operand that stands nowhere
        return not touched - {"IMM", "IMM64"} and inst.fault is None and not implied

    def nonzero(self, inst: Inst, known: int) -> bool:
        """Whether the immediate, which counts, is not zero modulo the operand's size."""
        return bool(known & P.COUNTED and inst.columns[Column.IMMEDIATE] & NONZERO_MASK.get(inst.operand_size, 31)) or self.counts_one(inst)

    def counts_one(self, inst: Inst) -> bool:
        """Whether the immediate is a 1 that no byte holds."""
        return inst.form is not None and any(operand.source == L.O_ONE for operand in inst.form.operands)

    def lowering(self, graph: Any, known: int) -> Any:
        from tanken.isa.x86.native.lower import Lowering

        return Lowering(graph, bool(known & P.CONCRETE))

    # -- regions

    def in_region(self, inst: Inst) -> bool:
        """Whether a region may hold it."""
        bits = self.analyse(inst) if inst.form is not None and inst.fault is None else P.PYTHON
        return not bits & P.PYTHON and not inst.atomic and not (inst.repeat and self.special(inst) is not None)

    def branches(self, inst: Inst) -> str:
        """"call" and "return" where it is that, "branch" where it goes elsewhere otherwise, empty where it does not."""
        if inst.mnemonic in ("call", "ret"):
            return "call" if inst.mnemonic == "call" else "return"
        return "branch" if any(isinstance(operand, Relative) for operand in inst.operands) else ""

    def in_variable(self, place: Any) -> bool:
        """Whether a region may change it."""
        from tanken.isa.x86.native import region

        return region.in_variable(place)

    def region_lowering(self, graph: Any, recordings: tuple[Any, ...], conditions: list[Any]) -> Any:
        from tanken.isa.x86.native.region import RegionLowering

        return RegionLowering(graph, recordings, conditions)

    def region_support(self) -> str:
        """The functions that regions call."""
        from tanken.isa.x86.native import region

        return region.support()

    def settle(self, memory: memoryview, recipe: Any) -> None:
        """Make the flags whole where a region stopped."""
        from tanken.isa.x86.native import region

        region.settle(memory, recipe)

    def special(self, inst: Inst) -> str | None:
        """The assembler text of what the host does better than a recording: repeated copying and filling."""
        from tanken.isa.x86.native import repeated

        return repeated.text(inst)

    def struck(self, block: memoryview, guest: int, registers: tuple[int, int, int]) -> int:
        """A fault came; see `repeated.struck`."""
        from tanken.isa.x86.native import repeated

        return repeated.struck(block, guest, registers)

    def fuses(self, inst: Inst) -> bool:
        """Whether a conditional branch may be joined to it."""
        return inst.mnemonic in FUSING
