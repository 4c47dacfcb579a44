"""The APIC-access page: accesses to the page of the local APIC exit as such, with offset and kind, and a plain MOV needs no emulation.

Intel SDM volume 3, 30.4 (virtualizing memory-mapped APIC accesses; APIC-access VM exits) and table 28-6 (their qualification). The exit tells the offset;
what is stored, or where a load goes, is in the instruction: of MOV between a register or an immediate and 32 bits of memory that is seen at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tanken.engine.physical import PhysicalMemory
from tanken.hypervisor.exits import ApicAccess, EptViolation, Mmio
from tanken.hypervisor.view import PAGE, View
from tanken.isa.architecture import Exited, Faulted
from tanken.isa.x86.inst import Immediate, Inst, Memory, Register
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.processor import SystemProcessor
from tanken.isa.x86.system.state import SystemState

READ, WRITE, FETCH, EVENT, PHYSICAL = 0, 1, 2, 3, 15  # kinds of access, table 28-6
WIDTH = 4  # bytes of the APIC's registers
MASK = (1 << 64) - 1
KEPT = 1024
RIP_BASE = 16


@dataclass(frozen=True, slots=True)
class Move:
    """A MOV of 32 bits in 64-bit mode: where in memory, and the register, or for a store the immediate, at the other side."""

    memory: Memory
    is_store: bool
    register: int | None
    value: int
    following: int

    def linear(self, state: SystemState) -> int:
        """The address, as the registers stand."""
        memory, regs = self.memory, state.regs
        at = memory.displacement
        if memory.base is not None:
            at += self.following if memory.base == RIP_BASE else regs[memory.base]
        if memory.index is not None:
            at += regs[memory.index] * memory.scale
        at &= MASK if memory.address_size == 8 else 0xFFFF_FFFF
        return at + state.base(memory.segment) & MASK if memory.segment in (S.FS, S.GS) else at


def move_of(inst: Inst) -> Move | None:
    """The instruction, where it is such a MOV."""
    if inst.mnemonic not in ("mov", "movabs") or inst.mode != 64 or inst.fault or len(inst.operands) != 2:
        return None
    first, second = inst.operands
    memory, other = (first, second) if isinstance(first, Memory) else (second, first)
    if not isinstance(memory, Memory) or memory.size != WIDTH or memory.index_file != "gpr":
        return None
    following = inst.address + inst.length & MASK
    if isinstance(other, Immediate):
        return Move(memory, True, None, other.value & 0xFFFF_FFFF, following)
    if isinstance(other, Register) and other.file == "gpr" and other.size == WIDTH:
        return Move(memory, memory is first, other.number, 0, following)
    return None


class ApicPage:
    """Of one vcpu. `at` gives the guest-physical address of the page, None while there is none; `waits`: a MOV is to be completed."""

    def __init__(self, state: SystemState, physical: PhysicalMemory, processor: SystemProcessor) -> None:
        self.at: Callable[[], int | None] = lambda: None
        self.waits = False
        self._state, self._processor = state, processor
        self._view = View(processor, physical)
        self._moves: dict[tuple[int, bytes], Move | None] = {}
        self._load: Move | None = None

    def raw(self, physical: int, linear: int | None, access: str, vectoring: int = 0) -> ApicAccess | EptViolation:
        """The exit of an access to where no memory is, as VT-x would tell it."""
        at = self.at()
        if at is None or not at <= physical < at + PAGE:
            return EptViolation(physical, linear, access, vectoring=vectoring)
        kind = EVENT if vectoring else PHYSICAL if linear is None else {"r": READ, "w": WRITE, "x": FETCH}[access]
        return ApicAccess(physical - at, access, kind)

    def begin(self, inst: Any) -> tuple[Mmio, ApicAccess] | None:
        """The access of a plain MOV to the page, and its exit; None for whatever is to be emulated. A store is done then, but for what `complete` does."""
        at = self.at()
        if at is None or inst is None or self._processor.careful:
            return None
        move = self._move(inst)
        if move is None:
            return None
        view = self._view
        view.begin()
        view.refresh()
        try:
            physical = view.place(move.linear(self._state), move.is_store)
        except (Faulted, Exited):
            return None  # emulated, and delivered
        if not at <= physical <= at + PAGE - WIDTH:
            return None
        self.waits = True
        raw = ApicAccess(physical - at, "w" if move.is_store else "r", WRITE if move.is_store else READ)
        if not move.is_store:
            self._load = move
            return Mmio(physical, WIDTH, False), raw
        self._load = None
        value = move.value if move.register is None else self._state.regs[move.register] & 0xFFFF_FFFF
        self._pass(move)
        return Mmio(physical, WIDTH, True, value), raw

    def _move(self, inst: Inst) -> Move | None:
        key = inst.address, inst.code
        if key not in self._moves:
            if len(self._moves) >= KEPT:
                self._moves.clear()
            self._moves[key] = move_of(inst)
        return self._moves[key]

    def _pass(self, move: Move) -> None:
        """Go behind the instruction."""
        state = self._state
        state.rip = move.following
        state.system_flags &= ~S.RF
        if state.shadow != state.rip:
            state.shadow = S.NOWHERE - 1

    def complete(self, value: int) -> None:
        """End the MOV: `value` is what a load got."""
        self.waits = False
        move, self._load = self._load, None
        if move is not None:
            assert move.register is not None
            self._state.regs[move.register] = value & 0xFFFF_FFFF
            self._pass(move)

    def forget(self) -> None:
        """Nothing is under way any more."""
        self.waits, self._load = False, None
