"""The whole x86-64 processor for the native engine: what it asks of an instruction set, answered.

Native code is 64-bit mode with paging on, and 32-bit code in flat segments; its vector units are as an operating system has them: all on.
"""

from __future__ import annotations

import struct
from typing import Any

from tanken.isa.x86.inst import Inst, decode
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native import paged_tables, quick, repeated_paged
from tanken.isa.x86.native import template as P
from tanken.isa.x86.native.target import X86
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.execution import SYSTEM
from tanken.isa.x86.system.processor import SystemProcessor, unit
from tanken.isa.x86.system.state import SystemState
from tanken.isa.x86.system.syscalls import FLAT_CODE, FLAT_DATA

WALK = "tanken.isa.x86.kernels.walk"
# What is written for the abstract machine but wants the slow engine all the same: it changes what native code relies on.
SLOW = frozenset({"popf", "clac", "stac", "xsetbv", "rdpkru", "wrpkru"})
UNITS = {"x87": 1 << 20, "wait": 1 << 20, "mmx": 1 << 21, "sse": 1 << 22, "avx": 1 << 23, "xsave": 1 << 24}
EXTRA = struct.Struct("<BB2xIQQQQQ")  # CPL, WINDOW, TSC_AUX, SHADOW, CR0, CR4, TSC_OFFSET, XCR0


def _long() -> SystemState:
    """The state that recordings are made for."""
    state = SystemState()
    state.cr0, state.efer, state.rights[S.CS] = S.PE | S.PG, S.LMA | S.LME, S.R_L | S.R_P | 0x1B
    return state


def _flat() -> SystemState:
    """The same for 32-bit code."""
    state = SystemState()
    state.cr0, state.segments[S.CS] = S.PE, 8
    state.bases, state.limits = [0] * 4, [0xFFFF_FFFF] * 6
    state.rights = [FLAT_DATA, FLAT_CODE, FLAT_DATA, FLAT_DATA, FLAT_DATA, FLAT_DATA]
    return state


def is_flat(state: SystemState, number: int) -> bool:
    """Whether a segment lets every address pass, as far as reads and writes of a program go; of FS and GS the base may be anything."""
    rights = state.rights[number]
    if state.limits[number] != 0xFFFF_FFFF or rights & S.R_UNUSABLE or (number < S.FS and state.bases[number]):
        return False
    return bool(rights & 0xA == 0xA) if number == S.CS else bool(rights & 0xE == 2)


class SystemX86(X86):
    """The target."""

    tables = paged_tables
    own = tuple(f"tanken.isa.x86.native.{name}" for name in ("paged_tlb", "paged_crossing", "paged_emission"))
    translator = ("tanken.isa.x86.native.paged", *X86.translator[1:], WALK, *own, X86.translator[0])

    def __init__(self) -> None:
        self._isas = {64: SystemProcessor(_long(), translating=True), 32: SystemProcessor(_flat(), translating=True)}
        self.width_of_code(64)

    def width_of_code(self, bits: int) -> None:
        """From now on instructions are those of 64 or of 32 bits."""
        self.bits, self.isa = bits, self._isas[bits]

    def decode(self, code: bytes, address: int) -> Inst:
        return decode(code, address, self.bits)

    def analyse(self, inst: Inst) -> int:
        bits, row, form = super().analyse(inst), inst.row, inst.form
        assert row is not None and form is not None
        files = frozenset(operand.file for operand in form.operands)
        bits |= UNITS.get(unit(form.number, inst.mnemonic, row.section, row.feature, files), 0)
        name = row.attributes.get("sem") or inst.mnemonic
        return bits | P.PYTHON if name in SLOW else bits & ~P.PYTHON if name in SYSTEM and "cpl0" not in row.attributes else bits

    def special(self, inst: Inst) -> str | None:
        return repeated_paged.text(inst)

    numbers = (*X86.numbers, "tanken.isa.x86.native.paged_tables")

    # -- the state

    @staticmethod
    def push(state: Any, memory: memoryview) -> None:
        B.push(state, memory)
        s = state
        EXTRA.pack_into(memory, B.CPL, s.cpl, s.window, s.tsc_aux, s.shadow, s.cr0, s.cr4, s.tsc_offset, s.xcr0)

    @staticmethod
    def pull(state: Any, memory: memoryview) -> None:
        B.pull(state, memory)
        state.shadow = struct.unpack_from("<Q", memory, B.SHADOW)[0]

    def quick(self, core: Any, code: bytes) -> Any:
        """What native code leaves out and comes often: an exit, True where it is done, None for any other instruction."""
        return quick.done(core, code)

    def can_run(self, state: SystemState) -> bool:
        """Whether native code can go on from here."""
        if state.mode == 64:
            return bool(state.cr0 & S.PG) and not self._aligns(state)
        flat = state.mode == 32 and state.cr0 & S.PE and not state.system_flags & S.VM
        return bool(flat) and all(is_flat(state, number) for number in range(4)) and not self._aligns(state)

    @staticmethod
    def _aligns(state: SystemState) -> bool:
        """Whether alignment is checked, which the slow engine does."""
        return state.cpl == 3 and bool(state.system_flags & S.AC and state.cr0 & S.AM)

    def tag(self, state: SystemState) -> int:
        """What tells the code of this mode apart from any other at the same address."""
        if state.mode == 64:
            return 0
        return paged_tables.OF_32_BITS | (0 if is_flat(state, S.FS) and is_flat(state, S.GS) else paged_tables.OF_SEGMENTS)

    def canonical_bits(self, state: SystemState) -> int:
        return 56 if state.cr4 & S.LA57 else 47

    def units(self, state: SystemState) -> int:
        """The units that are off, as bits of what is known of a form: their instructions are left to the slow engine, which faults."""
        off = 0
        if state.cr0 & S.TS:
            off |= 0x1F << 20
        if state.cr0 & S.EM:
            off |= UNITS["x87"] | UNITS["mmx"] | UNITS["sse"]
        if not state.cr4 & S.OSFXSR:
            off |= UNITS["sse"]
        if not state.cr4 & S.OSXSAVE:
            off |= UNITS["xsave"] | UNITS["avx"]
        return off | (UNITS["avx"] if state.xcr0 & 6 != 6 else 0)
