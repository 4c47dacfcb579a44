"""The whole state of an x86-64 processor: what user programs see, and behind it control registers, segment caches, tables and MSRs.

Intel SDM volume 3, 2.1 to 2.5 (system registers), 3.4.3 (hidden parts of segment registers), 10.1.1 and table 9-1 (after reset).
"""

from __future__ import annotations

from tanken.isa.architecture import Place
from tanken.isa.x86.state import FLAG_BITS, FS_BASE, GS_BASE, State

ES, CS, SS, DS, FS, GS = range(6)

TF, IF, IOPL, NT, RF, VM, AC, VIF, VIP, ID = 1 << 8, 1 << 9, 3 << 12, 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21
SYSTEM_BITS = TF | IF | IOPL | NT | RF | VM | AC | VIF | VIP | ID
ALWAYS = 2  # bit 1 of RFLAGS

PE, MP, EM, TS, ET, NE, WP, AM, NW, CD, PG = (1 << bit for bit in (0, 1, 2, 3, 4, 5, 16, 18, 29, 30, 31))
(VME, PVI, TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT, UMIP, LA57) = (1 << bit for bit in range(13))
FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE = (1 << bit for bit in (16, 17, 18, 20, 21, 22))
SCE, LME, LMA, NXE = 1 << 0, 1 << 8, 1 << 10, 1 << 11

# Rights of a segment, as VMX keeps them (SDM volume 3, 25.4.1): bytes 5 and 6 of its descriptor without the limit, and "unusable".
R_TYPE, R_S, R_DPL, R_P, R_L, R_DB, R_G, R_UNUSABLE = 0xF, 1 << 4, 3 << 5, 1 << 7, 1 << 13, 1 << 14, 1 << 15, 1 << 16
REAL_DATA, REAL_CODE, VIRTUAL_DATA = 0x93, 0x9B, 0xF3

NOWHERE = 1 << 64  # no address: nothing is shadowed

CR0, CR2, CR3, CR4, CR8 = (Place(name, 64) for name in ("cr0", "cr2", "cr3", "cr4", "cr8"))
EFER, CPL, SHADOW, WINDOW = Place("efer", 64), Place("cpl", 8), Place("shadow", 64), Place("window", 8)
BASE = (*(Place("bases", 64, n) for n in range(4)), FS_BASE, GS_BASE)
LIMIT = tuple(Place("limits", 32, n) for n in range(6))
RIGHTS = tuple(Place("rights", 32, n) for n in range(6))
KERNEL_GS, TSC_AUX, PKRU, XCR0, TSC_OFFSET = Place("kernel_gs", 64), Place("tsc_aux", 32), Place("pkru", 32), Place("xcr0", 64), Place("tsc_offset", 64)

LISTS = ("regs", "segments", "xmm", "upper", "st", "bases", "limits", "rights", "dr")


class SystemState(State):
    """One processor, as it is after a reset; every number is a non-negative int."""

    __slots__ = (
        "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "cpl", "bases", "limits", "rights",
        "gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit",
        "ldtr", "ldtr_base", "ldtr_limit", "ldtr_rights", "tr", "tr_base", "tr_limit", "tr_rights",
        "dr", "dr6", "dr7", "kernel_gs", "star", "lstar", "cstar", "sfmask", "sysenter_cs", "sysenter_esp", "sysenter_eip",
        "tsc_offset", "tsc_aux", "pat", "apic_base", "pkru", "xcr0", "msrs", "shadow", "window", "nmi_blocked", "pending",
    )  # fmt: skip
    ALL = (*State.__slots__, *__slots__)

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """As RESET leaves the processor: real mode, at 16 bytes below 4 GiB."""
        self.regs[:] = [0] * 16
        self.rip = 0xFFF0
        for name in FLAG_BITS:
            setattr(self, name, 0)
        self.system_flags = ALWAYS
        self.segments[:] = [0, 0xF000, 0, 0, 0, 0]
        self.bases, self.limits = [0, 0xFFFF_0000, 0, 0], [0xFFFF] * 6
        self.fs_base = self.gs_base = 0
        self.rights = [REAL_DATA, REAL_CODE, REAL_DATA, REAL_DATA, REAL_DATA, REAL_DATA]
        self.cr0, self.cr2, self.cr3, self.cr4, self.cr8, self.efer, self.cpl = CD | NW | ET, 0, 0, 0, 0, 0, 0
        self.gdtr_base = self.idtr_base = 0
        self.gdtr_limit = self.idtr_limit = 0xFFFF
        self.ldtr = self.ldtr_base = self.tr = self.tr_base = 0
        self.ldtr_limit = self.tr_limit = 0xFFFF
        self.ldtr_rights, self.tr_rights = 0x82, 0x8B
        self.dr, self.dr6, self.dr7 = [0, 0, 0, 0], 0xFFFF_0FF0, 0x400
        self.kernel_gs = self.star = self.lstar = self.cstar = self.sfmask = 0
        self.sysenter_cs = self.sysenter_esp = self.sysenter_eip = 0
        self.tsc_offset = self.tsc_aux = self.pkru = 0
        self.pat, self.apic_base, self.xcr0 = 0x0007_0406_0007_0406, 0xFEE0_0900, 1
        self.msrs: dict[int, int] = {}
        self.shadow = NOWHERE - 1  # the address of the instruction before which no interrupt comes
        self.window = 0  # whether somebody waits for interrupts to be let in
        self.nmi_blocked = 0
        self.pending = 0  # bits of DR6 for a #DB that comes before the next instruction (SDM volume 3, 25.4.2)

    def copy(self) -> SystemState:
        """An equal state that shares nothing."""
        new = SystemState.__new__(SystemState)
        for name in SystemState.ALL:
            value = getattr(self, name)
            setattr(new, name, value.copy() if isinstance(value, dict) else list(value) if name in LISTS else value)
        return new

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SystemState) and all(getattr(self, name) == getattr(other, name) for name in SystemState.ALL)

    __hash__ = None  # mutable

    @property
    def rflags(self) -> int:
        """The packed word."""
        value = self.system_flags | ALWAYS
        for name, bit in FLAG_BITS.items():
            value |= getattr(self, name) << bit
        return value

    @rflags.setter
    def rflags(self, value: int) -> None:
        for name, bit in FLAG_BITS.items():
            setattr(self, name, value >> bit & 1)
        self.system_flags = value & SYSTEM_BITS | ALWAYS

    @property
    def real(self) -> bool:
        """Whether segments are made of selectors alone."""
        return not self.cr0 & PE

    @property
    def virtual(self) -> bool:
        """Whether the program is a virtual 8086."""
        return bool(self.system_flags & VM)

    def load_real(self, number: int, selector: int) -> None:
        """Load a segment register from its selector alone: real mode changes only the base, virtual-8086 mode everything."""
        if self.virtual:
            return self.set_segment(number, selector, selector << 4, 0xFFFF, VIRTUAL_DATA)
        self.set_segment(number, selector, selector << 4, self.limits[number], self.rights[number])

    @property
    def mode(self) -> int:
        """16, 32 or 64: what the code segment says instructions are."""
        rights = self.rights[CS]
        if self.efer & LMA and rights & R_L:
            return 64
        return 32 if rights & R_DB else 16

    @property
    def stack_width(self) -> int:
        """Bits of the stack pointer in use."""
        if self.mode == 64:
            return 64
        return 32 if self.rights[SS] & R_DB else 16

    @property
    def stack_mask(self) -> int:
        return (1 << self.stack_width) - 1

    @property
    def iopl(self) -> int:
        return self.system_flags >> 12 & 3

    @property
    def space(self) -> int:
        """The PCID that translations are tagged by."""
        return self.cr3 & 0xFFF if self.cr4 & PCIDE else 0

    def base(self, number: int) -> int:
        """Of a segment register."""
        return self.bases[number] if number < 4 else self.fs_base if number == FS else self.gs_base

    def set_segment(self, number: int, selector: int, base: int, limit: int, rights: int) -> None:
        """Load a segment register with all that stands behind it."""
        self.segments[number], self.limits[number], self.rights[number] = selector, limit, rights
        if number < 4:
            self.bases[number] = base
        elif number == FS:
            self.fs_base = base
        else:
            self.gs_base = base
