"""CPUID of the whole processor: what user programs are told, what operating systems need to know besides, and what their control registers say.

Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E.
"""

from __future__ import annotations

from tanken.isa.x86 import cpuid as user
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.state import SystemState

# Beside `user.FEATURES`: (leaf, subleaf) -> register -> bits.
PSE, MSR, PAE, MCE, APIC, SEP, MTRR, PGE, MCA, PAT, PSE36 = 3, 5, 6, 7, 9, 11, 12, 13, 14, 16, 17
VME, DE_FEATURE = 1, 2
X2APIC, TSC_DEADLINE, HYPERVISOR, PCID, LA57 = 21, 24, 31, 17, 16
MORE = {
    (1, 0): {user.D: sum(1 << bit for bit in (VME, DE_FEATURE, PSE, MSR, PAE, APIC, MTRR, PGE, PAT, PSE36)), user.C: 1 << PCID | 1 << X2APIC | 1 << TSC_DEADLINE | 1 << HYPERVISOR},
    (7, 0): {user.B: 1 << 7 | 1 << 10 | 1 << 20, user.C: 1 << 3 | 1 << LA57},  # SMEP, INVPCID, SMAP; PKU
    (0x8000_0001, 0): {user.D: 1 << 26},  # pages of 1 GiB
    (0x8000_0007, 0): {user.D: 1 << 8},  # the time stamp counter never changes its rate
}  # fmt: skip


def answer(state: SystemState, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """EAX, EBX, ECX, EDX; OSXSAVE and OSPKE as CR4 is."""
    words = list(user.answer(leaf, subleaf))
    for register, bits in MORE.get((leaf, subleaf if leaf in (7, 0xD) else 0), {}).items():
        words[register] |= bits
    if leaf == 1 and not state.cr4 & S.OSXSAVE:
        words[user.C] &= ~(1 << 27)
    if leaf == 7 and subleaf == 0:
        words[user.C] = words[user.C] & ~(1 << 4) | (1 << 4 if state.cr4 & S.PKE else 0)
    if leaf == 0x8000_0008:
        words[user.A] = words[user.A] & ~0xFF00 | 57 << 8  # bits of a linear address: Linux asks these what is canonical
    if leaf == 0x8000_0001:
        words[user.D] |= (words_of_basic() & user.SHARED)
    return words[0], words[1], words[2], words[3]


def words_of_basic() -> int:
    """EDX of leaf 1, much of which AMD repeats."""
    return user.answer(1, 0)[user.D] | MORE[1, 0][user.D]
