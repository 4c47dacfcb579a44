"""The whole x86-64 processor as a system engine is handed it: how to decode in the mode it is in, execute, and deliver what is met.

See isa.architecture's `Architecture` and the engine's `SystemArchitecture`. Intel SDM volume 3, 6.9 (priority among exceptions), 13.1 (when
x87, SSE and AVX may be used), 17.2 and 17.3 (breakpoints, single step).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NoReturn

from tanken.isa.architecture import Column, Exited, Fault, Faulted, Instruction, Machine, Outside
from tanken.isa.x86 import layout as L
from tanken.isa.x86.cpuid import ANNOUNCED
from tanken.isa.x86.inst import Inst, Memory, decode
from tanken.isa.x86.kernels import walk as W
from tanken.isa.x86.paging import FETCH, IMPLICIT, USER, WRITE, Control
from tanken.isa.x86.semantics import semantic_of
from tanken.isa.x86.semantics.execution import NM, UD
from tanken.isa.x86.system import branches as branches  # enters its functions
from tanken.isa.x86.system import cpuid, debug
from tanken.isa.x86.system import identity as identity
from tanken.isa.x86.system import instructions as instructions  # enters its functions
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import AC, DB, GP, PF, SS, XM, Core, Shutdown, WindowOpen
from tanken.isa.x86.system.events import raised
from tanken.isa.x86.system.execution import SYSTEM, SystemExecution
from tanken.isa.x86.system.state import SystemState

MORE = frozenset({"SMAP", "MSR", "SEP", "PKU", "MONITOR", "INVPCID", "WBNOINVD"})  # what a user program's CPUID does not announce
# Bits of an address that must be clear for an access of so many bytes: SDM volume 3, table 6-8; of 16 and 32, which it leaves open, as AMD's Zen 5 does.
ALIGNED = {2: 1, 4: 3, 6: 3, 8: 7, 10: 7, 16: 15, 32: 15}
XSAVES = ("xsave", "xrstor")
INTERRUPTS = ("int", "int3", "into", "int1")  # their handler clears TF: a step into it is not seen
BY_NEW_FLAGS = ("syscall", "sysret")  # whether they are a step the flags that they leave decide
RESUMING = ("iret", "popf")  # that leave RF as they make it
STACK_USERS = frozenset("push pop pusha popa pushf popf call ret retf enter leave iret".split())


@cache
def unit(form: int, mnemonic: str, section: str, feature: str, files: frozenset[int]) -> str:
    """Which of the units that an operating system turns on an instruction needs: x87, wait, mmx, sse, avx, xsave, or none."""
    if mnemonic in ("wait", "fwait"):
        return "wait"
    if mnemonic.startswith(XSAVES):
        return "xsave"
    if feature == "x87" or mnemonic.startswith(("fxsave", "fxrstor")):
        return "x87"
    if mnemonic == "emms" or (L.R_MM in files and L.R_VEC not in files):
        return "mmx"
    if section.startswith("vex"):
        return "avx" if L.R_VEC in files or mnemonic.startswith(("vzero", "vldmxcsr", "vstmxcsr")) else ""
    return "sse" if L.R_VEC in files or mnemonic in ("ldmxcsr", "stmxcsr") else ""


class SystemProcessor:
    """One processor's instruction set; `translating`: for a machine that records, which looks at units and CPUID apart."""

    def __init__(self, state: SystemState, translating: bool = False) -> None:
        self.state, self.translating = state, translating

    # -- decoding

    def key(self) -> tuple[int, int]:
        """What beside its bytes an instruction depends on."""
        return self.state.mode, self.state.rip

    def fetch_address(self) -> int:
        """The linear address of the next instruction, checked."""
        state = self.state
        if state.rights[S.CS] & S.R_L and state.efer & S.LMA:
            return state.rip
        if state.rip > state.limits[S.CS]:
            raise Faulted(Fault(GP, 0, state.rip, "beyond the code segment"))
        return state.bases[S.CS] + state.rip & 0xFFFF_FFFF

    def decode(self, code: bytes, address: int) -> Inst:
        return decode(code, address, self.state.mode)

    def is_whole(self, instruction: Inst) -> bool:
        """Whether more bytes could not change it."""
        return instruction.columns[Column.FAULT] not in (L.TRUNCATED, L.PREFIXES_ONLY)

    # -- executing

    def execute(self, machine: Machine, instruction: Instruction) -> None:
        """Checks of decoding first, then of privilege, then of units."""
        inst: Any = instruction
        x = SystemExecution(machine, inst, self.state, self.translating)
        fault = inst.columns[Column.FAULT]
        if fault == L.TOO_LONG or (not self.is_whole(inst) and len(inst._window) >= 15):
            return x.fault(GP, "an instruction longer than 15 bytes", code=0)
        if inst.fault:
            return x.fault(UD, f"{inst.code.hex(' ')}: {inst.fault}")
        row = inst.row
        assert row is not None
        if "BAD" in row.operands:
            return x.fault(UD, f"{inst.code.hex(' ')}: {inst.text()} is never valid (opcodes.map:{row.line})")
        if row.feature not in ANNOUNCED and row.feature not in MORE:
            return x.fault(UD, f"{inst.code.hex(' ')}: {inst.text()} belongs to {row.feature}, which CPUID does not announce")
        if not self.translating:
            self._check_unit(x, inst)
        name = row.attributes.get("sem") or inst.mnemonic
        own = SYSTEM.get(name)
        if own is not None:
            return own(x)
        semantic = semantic_of(row, inst.mnemonic)
        if semantic is None:
            return x.fault(UD, f"{inst.code.hex(' ')}: {inst.text()} is not implemented (opcodes.map:{row.line})")
        semantic(x)

    def _check_unit(self, x: SystemExecution, inst: Inst) -> None:
        form, row = inst.form, inst.row
        assert form is not None and row is not None
        need = unit(inst.columns[Column.FORM], inst.mnemonic, row.section, row.feature, frozenset(operand.file for operand in form.operands))
        if not need:
            return
        state = self.state
        cr0 = state.cr0
        if need == "wait":
            if cr0 & S.TS and cr0 & S.MP:
                x.fault(NM, "WAIT while the x87 is another task's")
            return
        if need == "xsave" and not state.cr4 & S.OSXSAVE:
            x.fault(UD, "XSAVE is off")
        if need == "avx" and (not state.cr4 & S.OSXSAVE or state.xcr0 & 6 != 6):
            x.fault(UD, "AVX is off")
        if need in ("mmx", "sse") and cr0 & S.EM:
            x.fault(UD, f"{need.upper()} with emulation on")
        if need == "sse" and not state.cr4 & S.OSFXSR:
            x.fault(UD, "SSE is off")
        if cr0 & S.TS or (need == "x87" and cr0 & S.EM):
            x.fault(NM, "the unit is another task's, or there is none")

    # -- around an instruction

    def before(self, core: Core) -> None:
        """What is pending behind the last instruction; then instruction breakpoints, unless RF says that this one was met already."""
        state = self.state
        if state.pending and state.shadow != state.rip:
            self._trap("what was pending")
        if state.dr7 & debug.ENABLED and not state.system_flags & S.RF:
            linear = state.rip if state.mode == 64 else state.bases[S.CS] + state.rip & 0xFFFF_FFFF
            hit = debug.touched(state, linear, 1, debug.INSTRUCTION)
            if hit:
                state.dr6 = state.dr6 & ~0xF | hit
                raise Faulted(Fault(DB, None, state.rip, "an instruction breakpoint"))

    def _trap(self, why: str) -> NoReturn:
        """A #DB behind an instruction."""
        state = self.state
        if state.pending & 15:
            state.dr6 &= ~15
        state.dr6, state.pending = state.dr6 | state.pending, 0
        raise Faulted(Fault(DB, None, state.rip, why))

    def check_alignment(self, linear: int, size: int, access: int) -> None:
        """#AC where a program's access is not aligned and is to be; it comes before #PF and behind the #GP of an address that is not canonical."""
        state = self.state
        if self.aligns and access & USER and not access & IMPLICIT and linear & ALIGNED.get(size, 0):
            top = 56 if state.cr4 & S.LA57 else 47
            if state.mode != 64 or linear >> top in (0, (1 << 64 - top) - 1):
                raise Faulted(Fault(AC, 0, state.rip, f"{size} bytes at {linear:#x}: not aligned"))

    def observed(self, linear: int, size: int, access: int) -> int:
        """Data breakpoints that an access touches."""
        state = self.state
        if not state.dr7 & debug.ENABLED or access & IMPLICIT:
            return 0
        return debug.touched(state, linear, size, debug.STORE if access & WRITE else debug.LOAD)

    @property
    def aligns(self) -> bool:
        """Whether alignment is checked."""
        state = self.state
        return state.cpl == 3 and bool(state.system_flags & S.AC and state.cr0 & S.AM)

    def after(self, core: Core, instruction: Inst, before: int, hit: int) -> None:
        """Traps behind an instruction whose flags were `before` when it began; behind MOV SS they wait for one more."""
        state, name = self.state, instruction.mnemonic
        if state.shadow != state.rip:
            state.shadow = S.NOWHERE - 1
        if state.system_flags & S.RF and name not in RESUMING:
            state.system_flags &= ~S.RF
        stepped = state.system_flags & S.TF if name in BY_NEW_FLAGS else before & S.TF and name not in INTERRUPTS
        if stepped:
            state.pending |= debug.SINGLE_STEP
        state.pending |= hit
        if state.pending and not (state.shadow == state.rip and name != "sti"):
            self._trap("single step" if stepped else "a data breakpoint")

    def raised(self, core: Core, fault: Fault) -> Shutdown | None:
        """Deliver a fault."""
        if fault.vector == XM and not self.state.cr4 & S.OSXMMEXCPT:
            fault = Fault(UD, None, fault.address, fault.message)
        if fault.vector == GP and fault.message == NOT_CANONICAL and self._through_stack(core.inst):
            fault = Fault(SS, 0, fault.address, fault.message)
        return raised(core, fault)

    @staticmethod
    def _through_stack(inst: Inst | None) -> bool:
        if inst is None or inst.row is None:
            return False
        memories = [operand for operand in inst.operands if isinstance(operand, Memory)]
        return memories[0].segment == S.SS if memories else inst.mnemonic in STACK_USERS

    def window(self) -> WindowOpen | None:
        """An exit, where somebody waits for interrupts to be let in and they are."""
        state = self.state
        return WindowOpen() if state.window and state.system_flags & S.IF and state.shadow != state.rip else None

    @property
    def careful(self) -> bool:
        """Whether each instruction wants a look before or behind it: breakpoints, steps, and the one that STI shadows while somebody waits behind it."""
        state = self.state
        waited = state.window and state.system_flags & S.IF
        return bool(state.dr7 & debug.ENABLED or state.system_flags & S.TF or state.pending or self.aligns or waited)

    # -- memory

    def context(self) -> int:
        """Which set of rights programs' accesses have now: 0 privilege level 3, 1 above it, 2 above it with the user's pages open."""
        state = self.state
        if state.cpl == 3:
            return 0
        return 2 if state.cr4 & S.SMAP and state.system_flags & S.AC else 1

    def access(self, context: int) -> int:
        """The kind of access, as paging names it."""
        return USER if context == 0 else 0

    def control(self) -> Control:
        state = self.state
        return Control(state.cr0, state.cr3, state.cr4, state.efer, state.system_flags, state.pkru)

    def space(self) -> int:
        """What tells the translations of one address space from another's."""
        return self.state.space

    def translate(self, words: Any, limit: int, linear: int, access: int, how: int, size: int) -> int:
        """The physical address; a page fault raises Faulted, with CR2 set."""
        return self.look_up(words, limit, linear, access, how, size)[0]

    def look_up(self, words: Any, limit: int, linear: int, access: int, how: int, size: int) -> tuple[int, int, bool]:
        """The same, with the bits of an address inside its page, and whether the page is global."""
        state = self.state
        if how & W.LEVELS > 3:
            top = 56 if state.cr4 & S.LA57 else 47
            if linear >> top not in (0, (1 << 64 - top) - 1):
                raise Faulted(Fault(GP, 0, state.rip, NOT_CANONICAL))
        root = state.cr3 if how & W.LEVELS > 2 else state.cr3 & 0xFFFF_FFFF
        code, physical, found = W.walk(words, limit, root, how, state.pkru, linear, access, 1)
        if code == W.NOT_BACKED:
            raise Exited(Outside(physical, None, 8, "r"))
        if code >= 0:
            state.cr2 = linear
            raise Faulted(Fault(PF, code, state.rip, f"page fault at {linear:#x}"))
        return physical, found >> W.PAGE_SHIFT & 63, bool(found & W.IS_GLOBAL)

    WRITE, FETCH, IMPLICIT = WRITE, FETCH, IMPLICIT

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        return cpuid.answer(self.state, leaf, subleaf)


NOT_CANONICAL = "no canonical address"
