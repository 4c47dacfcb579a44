"""Control, debug and table registers, MSRs, and the instructions that empty the TLB.

Intel SDM volume 3, 2.5 (control registers), 4.10.4 (what empties the TLB), 9.8.5 (turning long mode on), 17.2 (debug registers); volume 4
(MSRs); AMD APM volume 2 for the registers that only AMD has.
"""

from __future__ import annotations

from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import GP, UD, Core, MsrAccess
from tanken.isa.x86.system.debug import GENERAL_DETECT
from tanken.isa.x86.system.events import debug_trap

CR0_BITS = S.PE | S.MP | S.EM | S.TS | S.ET | S.NE | S.WP | S.AM | S.NW | S.CD | S.PG
CR4_BITS = (S.VME | S.PVI | S.TSD | S.DE | S.PSE | S.PAE | S.MCE | S.PGE | S.PCE | S.OSFXSR | S.OSXMMEXCPT | S.UMIP | S.LA57 | S.FSGSBASE | S.PCIDE
            | S.OSXSAVE | S.SMEP | S.SMAP | S.PKE)  # fmt: skip
CR4_PAGING = S.PSE | S.PAE | S.PGE | S.LA57 | S.PCIDE | S.SMEP | S.SMAP | S.PKE
PHYSICAL = (1 << 48) - 1


def read_cr(core: Core, number: int) -> int:
    state = core.state
    if number not in (0, 2, 3, 4, 8):
        core.fault(UD, None, f"there is no CR{number}")
    return int(getattr(state, f"cr{number}"))


def write_cr(core: Core, number: int, value: int) -> None:
    state = core.state
    if number == 0:
        write_cr0(core, value)
    elif number == 2:
        state.cr2 = value
    elif number == 3:
        write_cr3(core, value)
    elif number == 4:
        write_cr4(core, value)
    elif number == 8:
        if value >> 4:
            core.fault(GP, 0, "reserved bits of CR8")
        state.cr8 = value
    else:
        core.fault(UD, None, f"there is no CR{number}")


def write_cr0(core: Core, value: int) -> None:
    """Turns paging, and with it long mode, on and off."""
    state = core.state
    if value >> 32 or (value & S.PG and not value & S.PE) or (value & S.NW and not value & S.CD):
        core.fault(GP, 0, f"CR0 cannot be {value:#x}")
    value = value & CR0_BITS | S.ET
    changed = value ^ state.cr0
    if changed & S.PG:
        if value & S.PG:
            if state.efer & S.LME:
                if not state.cr4 & S.PAE or state.rights[S.CS] & S.R_L:
                    core.fault(GP, 0, "long mode wants PAE, and a code segment that is not of 64 bits")
                state.efer |= S.LMA
        else:
            if state.mode == 64 or state.cr4 & S.PCIDE:
                core.fault(GP, 0, "paging cannot be turned off in 64-bit mode or with PCIDs")
            state.efer &= ~S.LMA
    state.cr0 = value
    if changed & (S.PG | S.WP | S.PE):
        core.memory.flush()
    if changed & S.PE and not value & S.PE:
        state.cpl = 0
    core.memory.changed()


def write_cr3(core: Core, value: int) -> None:
    """Forgets what is of the new address space, but with PCIDs and bit 63; the others' translations stay, and global ones do."""
    state = core.state
    keep = 0
    if state.cr4 & S.PCIDE:
        keep, value = value >> 63, value & ~(1 << 63)
    if value & ~PHYSICAL and state.efer & S.LMA:
        core.fault(GP, 0, "reserved bits of CR3")
    state.cr3 = value if state.mode == 64 else value & 0xFFFF_FFFF
    core.memory.changed()
    if not keep:
        core.memory.flush_space(state.space)


def write_cr4(core: Core, value: int) -> None:
    state = core.state
    if value & ~CR4_BITS:
        core.fault(GP, 0, f"reserved bits of CR4: {value & ~CR4_BITS:#x}")
    changed = value ^ state.cr4
    if state.efer & S.LMA and (changed & S.LA57 or not value & S.PAE):
        core.fault(GP, 0, "PAE and the number of levels cannot be changed in long mode")
    if changed & value & S.PCIDE and (not state.efer & S.LMA or state.cr3 & 0xFFF):
        core.fault(GP, 0, "PCIDs want long mode and PCID 0")
    state.cr4 = value
    if changed & CR4_PAGING:
        core.memory.flush()
    core.memory.changed()


def load_machine_status(core: Core, value: int) -> None:
    """LMSW sets the low four bits of CR0, but does not clear PE."""
    state = core.state
    write_cr0(core, state.cr0 & ~0xE & ~0xF | value & 0xF | state.cr0 & S.PE)


# -- debug registers


def _debug_access(core: Core, number: int) -> int:
    state = core.state
    if number in (4, 5):
        if state.cr4 & S.DE:
            core.fault(UD, None, f"DR{number} with debugging extensions on")
        number += 2
    if state.dr7 & GENERAL_DETECT:
        debug_trap(core, GENERAL_DETECT)
    return number


def read_dr(core: Core, number: int) -> int:
    number = _debug_access(core, number)
    return core.state.dr[number] if number < 4 else core.state.dr6 if number == 6 else core.state.dr7


def write_dr(core: Core, number: int, value: int) -> None:
    state = core.state
    number = _debug_access(core, number)
    if number >= 6 and value >> 32:
        core.fault(GP, 0, f"reserved bits of DR{number}")
    if number < 4:
        state.dr[number] = value
    elif number == 6:
        state.dr6 = value & 0x0000_E00F | 0xFFFF_0FF0
    else:
        state.dr7 = value & 0xFFFF_2BFF | 0x400
    core.memory.changed()


# -- the TLB


def invalidate_page(core: Core, linear: int) -> None:
    """INVLPG: no address that is not canonical has anything to forget."""
    if core.state.mode != 64 or core.is_canonical(linear):
        core.memory.flush_page(linear)


def invalidate_pcid(core: Core, kind: int, linear_of_operand: int) -> None:
    """INVPCID: of one space an address (0) or all (1), of all spaces everything (2) or what is not global (3)."""
    state = core.state
    low, address = core.memory.load(linear_of_operand, 8), core.memory.load(linear_of_operand + 8 & (1 << 64) - 1, 8)
    if kind > 3 or low >> 12 or (kind == 0 and not core.is_canonical(address)):
        core.fault(GP, 0, "an INVPCID kind or descriptor that there is not")
    if not state.cr4 & S.PCIDE and kind < 2 and low & 0xFFF:
        core.fault(GP, 0, "a PCID while PCIDs are off")
    if kind == 0:
        core.memory.flush_page(address, low & 0xFFF, False)
    elif kind == 2:
        core.memory.flush()
    else:
        core.memory.flush_space(low & 0xFFF if kind == 1 else None)


# -- XCR0, base registers


def set_xcr(core: Core, number: int, value: int) -> None:
    """x87 always; AVX only with SSE."""
    if number or not value & 1 or value & ~7 or value & 6 == 4:
        core.fault(GP, 0, f"XCR{number} cannot be {value:#x}")
    core.state.xcr0 = value
    core.memory.changed()


def swap_gs(core: Core) -> None:
    state = core.state
    state.gs_base, state.kernel_gs = state.kernel_gs, state.gs_base


# -- model-specific registers

PLAIN = {0xC000_0081: "star", 0xC000_0082: "lstar", 0xC000_0083: "cstar", 0xC000_0084: "sfmask", 0xC000_0100: "fs_base", 0xC000_0101: "gs_base",
         0xC000_0102: "kernel_gs", 0xC000_0103: "tsc_aux", 0x174: "sysenter_cs", 0x175: "sysenter_esp", 0x176: "sysenter_eip", 0x277: "pat"}  # fmt: skip
ADDRESSES = frozenset((0xC000_0082, 0xC000_0083, 0xC000_0100, 0xC000_0101, 0xC000_0102, 0x175, 0x176))
TSC, EFER = 0x10, 0xC000_0080
# What is kept and means nothing here: microcode, machine checks, memory types, and AMD's configuration, with their values after a reset.
KEPT = {0x8B: 0, 0x17: 0, 0x179: 0, 0x17A: 0, 0x1A0: 1, 0x1D9: 0, 0x2FF: 0xC00, 0xFE: 0x508, 0x48: 0, 0x49: 0, 0x122: 0, 0x3A: 0, 0x140: 0, 0xE1: 0,
        0xC001_0015: 0, 0xC001_001F: 0, 0xC001_0010: 0, 0xC001_1029: 0, 0xC001_1022: 0, 0xC001_1023: 0, 0xC001_0114: 0, 0xC001_011F: 0,
        0x250: 0, 0x258: 0, 0x259: 0, **{0x268 + n: 0 for n in range(8)}, **{0x200 + n: 0 for n in range(16)}}  # fmt: skip


def read_msr(core: Core, number: int) -> int:
    state = core.state
    if number in PLAIN:
        return int(getattr(state, PLAIN[number]))
    if number == EFER:
        return state.efer
    if number == TSC:
        return core.ticks() + state.tsc_offset & (1 << 64) - 1
    if number in KEPT:
        return state.msrs.get(number, KEPT[number])
    core.leave(MsrAccess(number, None, core.following))


def write_msr(core: Core, number: int, value: int) -> None:
    state = core.state
    if number in ADDRESSES and not core.is_canonical(value):
        core.fault(GP, 0, f"MSR {number:#x}: no canonical address")
    if number in PLAIN:
        if number == 0x277 and any((value >> at & 0xFF) not in (0, 1, 4, 5, 6, 7) for at in range(0, 64, 8)):
            core.fault(GP, 0, "a memory type that there is not")
        setattr(state, PLAIN[number], value & 0xFFFF_FFFF if number in (0xC000_0103, 0x174, 0xC000_0084) else value)
    elif number == EFER:
        if value & ~(S.SCE | S.LME | S.LMA | S.NXE) or (state.cr0 & S.PG and (value ^ state.efer) & S.LME):
            core.fault(GP, 0, f"EFER cannot be {value:#x}")
        state.efer = value & ~S.LMA | state.efer & S.LMA
        core.memory.flush()
        core.memory.changed()
    elif number == TSC:
        state.tsc_offset = value - core.ticks() & (1 << 64) - 1
    elif number in KEPT:
        state.msrs[number] = value
    else:
        core.leave(MsrAccess(number, value, core.following))


