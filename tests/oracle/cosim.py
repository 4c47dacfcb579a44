"""Co-simulation: every implemented form of the opcode map on the reference machine and on the host, from the same random states.

`python -m tests.oracle.cosim --help`; undefined flags are those of the map's `u=`, refined by SPECIAL below.
"""

from __future__ import annotations

import argparse
import collections
import random
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tanken.engine.integer import Faulted, IntegerMachine
from tanken.engine.memory import READABLE, WRITE, AddressSpace, Miss
from tanken.isa.architecture import Column, Exit, Fault, MemoryMiss
from tanken.isa.x86 import inst as decoder
from tanken.isa.x86 import rows
from tanken.isa.x86.cpuid import ANNOUNCED
from tanken.isa.x86.inst import Inst, Register
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.semantics import find, semantic_of
from tanken.isa.x86.state import FLAG_BITS, GPR_NAMES, RIP, State
from tanken.isa.x86.tables import Form, mnemonics, plain
from tests.oracle.cases import immediate, make
from tests.oracle.encodings import encode
from tests.oracle.host import CODE, DATA, DATA_SIZE, POINTERS, PRISTINE, SELECTORS, Case, Host, Result

# What the host cannot be asked for: it would reach the kernel, answer as itself, or is emulated by Linux (SGDT and the like).
EXCLUDED = frozenset(
    """syscall sysenter int int3 int1 into cpuid rdtsc rdtscp rdpid rdrand rdseed rdpkru wrpkru monitor mwait monitorx mwaitx getsec
    sgdt sgdtw sgdtd sidt sidtw sidtd sldt str smsw xbegin xend xabort xtest rdpmc in out ins outs umonitor umwait tpause rdsspd rdsspq incsspd incsspq
    hlt cli sti lgdt lidt lldt ltr lmsw clts invd wbinvd sysret sysexit ud0""".split()
)
BASELINE = frozenset(("", "x87", "MMX", "SSE", "SSE2", "CMOV", "CX8", "FXSR", "CLFSH"))
# feature of the map -> flag of /proc/cpuinfo, where it is not the name in small letters
FLAGS = {"BMI1": "bmi1", "LZCNT": "abm", "SSE4.1": "sse4_1", "SSE4.2": "sse4_2", "SSE3": "pni", "CLFLUSHOPT": "clflushopt", "PREFETCHW": "3dnowprefetch",
         "SHA": "sha_ni", "PCLMULQDQ": "pclmulqdq", "AVX/AVX2": "avx2", "AES/VAES": "vaes", "PCLMULQDQ/VPCLMULQDQ": "vpclmulqdq", "3DNow": "3dnow"}  # fmt: skip
TRANSCENDENTAL = frozenset("fsin fcos fsincos fptan fpatan f2xm1 fyl2x fyl2xp1".split())
RECIPROCALS = frozenset(v + name + kind for v in ("", "v") for name in ("rcp", "rsqrt") for kind in ("ps", "ss"))
SHIFTS = ("shl", "shr", "sar", "rol", "ror", "rcl", "rcr", "shld", "shrd")


@dataclass(frozen=True, slots=True)
class Difference:
    """One case in which the two are not of one mind."""

    inst: Inst
    case: Case
    what: str


@dataclass(slots=True)
class Outcome:
    """What a run found: cases by the form's number, differences, cases that were near enough, cases that ended in a fault."""

    counted: collections.Counter[int] = field(default_factory=collections.Counter)
    differences: list[Difference] = field(default_factory=list)
    near: int = 0
    faults: int = 0

    def differs(self, ours: Ours, inst: Inst, case: Case, theirs: Result) -> str:
        """What differs from one result of the host."""
        state, exit = ours.run(inst, case)
        self.near += adjusted(inst, state, theirs)
        self.faults += exit is not None
        return compare(inst, case, theirs, state, exit, ours.memory.read(DATA, DATA_SIZE))

    def summary(self, forms: int) -> str:
        covered, lines = sum(1 for count in self.counted.values() if count), len({d.inst.columns[Column.FORM] for d in self.differences})
        return (
            f"{covered} of {forms} forms, {sum(self.counted.values())} states, {self.faults} of them faults, {self.near} near enough, "
            f"{len(self.differences)} differences in {lines} forms"
        )


def host_flags() -> frozenset[str]:
    """The features that the kernel lists for the first processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def chosen_forms(mode: int = 64) -> list[Form]:
    """The forms that the host can run in user mode; outside 64-bit mode those that it does not have, and no others."""
    flags = host_flags()
    return [form for form in rows.forms() if _runs(form, flags) and (mode == 64 or _only_old(form))]


def _only_old(form: Form) -> bool:
    attributes, selectors = form.row.attributes, form.row.selectors
    return "i64" in attributes or "m32" in selectors or "m16" in selectors or form.row.mnemonic.startswith(OLD)


OLD = ("enter", "leave", "push", "pop", "call", "ret", "jmp", "loop", "fxsave", "fxrstor", "xsave", "xrstor", "movs", "cmps", "lods", "stos", "fnstenv", "fldenv")


def _runs(form: Form, flags: frozenset[str]) -> bool:
    row = form.row
    if row.section.startswith("evex") or "cpl0" in row.attributes:
        return False
    return row.feature in BASELINE or FLAGS.get(row.feature, row.feature.lower()) in flags


def cases(form: Form, encodings: int, states: int, seed: int, mode: int = 64) -> Iterator[tuple[Inst, Case]]:
    """Up to `encodings` times `states` cases of a form."""
    rng = random.Random(f"{form.row.section} {form.row.opcode} {form.row.selectors} {seed} {mode}")
    for _ in range(encodings):
        inst = encode(form, rng, mode)
        if inst is None or find(inst) is None or inst.mnemonic in EXCLUDED:
            continue
        for _ in range(states):
            case = make(inst, rng)
            if case is not None:
                yield decoder.decode((case.code + b"\xcc" * 15)[:15], CODE, mode), case


class Ours:
    """The reference machine on a data page like the host's."""

    def __init__(self) -> None:
        self.memory = AddressSpace()
        self.memory.map(DATA, DATA_SIZE, READABLE | WRITE)

    def run(self, inst: Inst, case: Case) -> tuple[State, Exit | None]:
        self.memory.write(DATA, PRISTINE)
        for address, data in case.patches:
            self.memory.write(address, data)
        state = _state(case)
        machine = IntegerMachine(state, self.memory, RIP, lambda: 0)
        processor: Any = Processor()
        exit: Exit | None = None
        try:
            for _ in range(100):
                exit = machine.step(processor, inst)
                if exit is not None or state.rip != CODE:
                    break
            if case.after and state.rip == CODE + inst.length:
                exit = machine.step(processor, decoder.decode(case.after, state.rip, case.mode))
        except Faulted as faulted:
            return state, faulted.exit
        except Miss as miss:
            return state, MemoryMiss(miss.address, miss.size, miss.access)
        except Exception as error:  # a mistake of ours is a difference like any other
            return state, Fault(-1, None, CODE, repr(error))
        return state, exit


def _state(case: Case) -> State:
    state = State()
    state.regs, state.xmm, state.upper = case.regs.copy(), case.xmm.copy(), case.upper.copy()
    state.mxcsr, state.rip = case.mxcsr, CODE
    state.rflags = case.flags
    state.fpu_control, state.fpu_status, state.fpu_top, state.fpu_valid = case.fpu
    if state.fpu_status & ~state.fpu_control & 63:
        state.fpu_status |= 0x8080  # as loading it would
    state.fs_base, state.gs_base = case.bases
    state.segments = [0x2B, SELECTORS[case.mode], 0x2B, 0x2B, 0, 0]
    state.fpu_opcode, state.fpu_ip, state.fpu_dp = POINTERS
    for number, value in enumerate(case.st):
        state.st[state.fpu_top + number & 7] = value
    return state


def undefined_flags(inst: Inst, case: Case) -> int:
    """The bits of RFLAGS that the instruction leaves undefined: the map's `u=`, and for shifts what the count says.

    SDM volume 2, SAL/SAR/SHL/SHR: CF undefined for counts of the width and more, OF for all but 1; SHLD/SHRD: everything for counts above
    the width; RCL/RCR/ROL/ROR: OF for all but 1; a count of 0 changes no flag.
    """
    row = inst.row
    assert row is not None
    bits = {letter + "f": bit for letter, bit in ((name[0], bit) for name, bit in FLAG_BITS.items())}
    undefined = sum(1 << bits[letter + "f"] for letter in row.attributes.get("u", ""))
    if inst.mnemonic in SHIFTS:
        count, width = _count(inst, case), inst.operands[0].size * 8
        if count == 0:
            return 0
        if count == 1:
            undefined &= ~(1 << FLAG_BITS["of"])
        if count >= width and inst.mnemonic in ("shl", "shr"):
            undefined |= 1 << FLAG_BITS["cf"]
    return undefined


def _count(inst: Inst, case: Case) -> int:
    wanted = immediate(inst)
    count = case.regs[1] if wanted is None else wanted
    return count & (63 if inst.operands[0].size == 8 else 31)


def unspecified(inst: Inst, case: Case) -> bool:
    """Whether the result itself is undefined: SHLD and SHRD of 16 bits by more than 16 (SDM volume 2)."""
    return inst.mnemonic in ("shld", "shrd") and _count(inst, case) > inst.operands[0].size * 8


def tolerated(inst: Inst, theirs: Result, exit: Exit | None) -> bool:
    """Whether MASKMOVQ faults for bytes it does not store is left to the processor (SDM volume 2, MASKMOVDQU).

    A gather or POPA that faults has on the host done some of its loads, ours none.
    """
    if inst.mnemonic.startswith(("vgather", "vpgather", "popa")) and theirs.trap == 14 and isinstance(exit, MemoryMiss):
        return True
    return inst.mnemonic in ("maskmovq", "maskmovdqu", "vmaskmovdqu") and theirs.trap == 14 and exit is None


def adjusted(inst: Inst, state: State, theirs: Result) -> bool:
    """Whether results that need not be the same are near enough, and then were made the same in our state.

    Transcendental functions: one unit in the last place, C1, which tells how it was rounded, and whether that was exact (fyl2x of a power of
    two). Reciprocals: the SDM's bound.
    """
    changed = False
    if inst.mnemonic in TRANSCENDENTAL:
        for number in range(8):
            place = state.fpu_top + number & 7
            if state.st[place] != theirs.st[number] and abs(_ordered(state.st[place]) - _ordered(theirs.st[number])) == 1:
                state.st[place], changed = theirs.st[number], True
        if state.fpu_status != theirs.fpu[1] and not (state.fpu_status ^ theirs.fpu[1]) & ~0x82A0:
            state.fpu_status, changed = theirs.fpu[1], True
    if inst.mnemonic in RECIPROCALS:
        for ours, others in ((state.xmm, theirs.xmm), (state.upper, theirs.upper)):
            for number in range(16):
                if ours[number] != others[number] and _all_near(ours[number], others[number]):
                    ours[number], changed = others[number], True
    return changed


def _ordered(bits: int) -> int:
    """80 bits as an integer that grows with the number."""
    size = (bits >> 64 & 0x7FFF) << 63 | bits & (1 << 63) - 1
    return -size if bits >> 79 else size


def _all_near(a: int, b: int) -> bool:
    """Four numbers each, which differ by less than 1.5 * 2**-12 of themselves, and as much again for the other's rounding."""
    lanes = [struct.unpack("<4f", value.to_bytes(16, "little")) for value in (a, b)]
    return all(m == n or abs(m - n) <= abs(n) * 3 / 4096 or (m != m and n != n) for m, n in zip(*lanes, strict=True))


def compare(inst: Inst, case: Case, theirs: Result, state: State, exit: Exit | None, data: bytes) -> str:
    """What differs, "" where nothing does."""
    if unspecified(inst, case) or tolerated(inst, theirs, exit):
        return ""
    found = list(_compare_exit(theirs, exit))
    found += [f"{name} {a:#x} host {b:#x}" for name, a, b in zip(GPR_NAMES, state.regs, theirs.regs, strict=True) if a != b]
    for name, ours, others in (("xmm", state.xmm, theirs.xmm), ("upper", state.upper, theirs.upper)):
        found += [f"{name}{n} {a:#x} host {b:#x}" for n, (a, b) in enumerate(zip(ours, others, strict=True)) if a != b]
    if theirs.trap is None and state.rip != theirs.rip:
        found.append(f"rip {state.rip:#x} host {theirs.rip:#x}")
    changed = (state.rflags ^ theirs.flags) & 0x0020_4DD5 & ~(undefined_flags(inst, case) if theirs.trap is None else 0) & ~0x100
    found += [name for name, bit in FLAG_BITS.items() if changed >> bit & 1]
    if changed >> 21 & 1:
        found.append("id flag")
    if state.segments != theirs.segments:
        found.append(f"segments {state.segments} host {theirs.segments}")
    if (state.fs_base, state.gs_base) != theirs.bases:
        found.append(f"bases {state.fs_base:#x} {state.gs_base:#x} host {theirs.bases}")
    if state.mxcsr != theirs.mxcsr:
        found.append(f"mxcsr {state.mxcsr:#x} host {theirs.mxcsr:#x}")
    data = _with_mask(inst, case, data, theirs.data)
    if data != theirs.data:
        at = _first(data, theirs.data)
        found.append(f"memory at {DATA + at:#x}: {data[at : at + 16].hex()} host {theirs.data[at : at + 16].hex()}")
    return "; ".join([*found, *_compare_x87(inst, state, theirs)])


def _with_mask(inst: Inst, case: Case, ours: bytes, theirs: bytes) -> bytes:
    """Our memory with the host's MXCSR_MASK, which says what its processor has, in a saved area."""
    if "save" in inst.mnemonic and ours != theirs:
        for at in range(28, DATA_SIZE - 3, 16):
            if ours[at : at + 4] == b"\xff\xff\0\0":
                ours = ours[:at] + theirs[at : at + 4] + ours[at + 4 :]
    return ours


def _first(a: bytes, b: bytes) -> int:
    return next(n for n in range(DATA_SIZE) if a[n] != b[n])


def _compare_x87(inst: Inst, state: State, theirs: Result) -> Iterator[str]:
    mmx = any(isinstance(operand, Register) and operand.file == "mm" for operand in inst.operands)
    x87 = inst.code[0] in range(0xD8, 0xE0) or (inst.row is not None and inst.row.feature == "x87")
    if not x87 and not (mmx and theirs.trap is None):  # the host enters MMX state even where some of its instructions then fault
        return
    for number in range(8):
        ours = state.st[state.fpu_top + number & 7]
        if ours != theirs.st[number]:
            yield f"st{number} {ours:#x} host {theirs.st[number]:#x}"
    ours_fpu = (state.fpu_control, state.fpu_status, state.fpu_top, state.fpu_valid)
    if ours_fpu != theirs.fpu:
        yield f"x87 {ours_fpu} host {theirs.fpu}"


def _is_canonical(miss: MemoryMiss) -> bool:
    return all(address + (1 << 47) >> 48 in (0, 1 << 16) for address in (miss.address, miss.address + miss.size - 1))


def _compare_exit(theirs: Result, exit: Exit | None) -> Iterator[str]:
    trap = exit.vector if isinstance(exit, Fault) else 14 if isinstance(exit, MemoryMiss) else None
    if isinstance(exit, MemoryMiss) and not _is_canonical(exit):
        trap = theirs.trap if theirs.trap in (12, 13) else -1  # which of the two the segment says; the engine tells them all as misses
    if trap != theirs.trap:
        yield f"{exit} host trap {theirs.trap}"
    elif isinstance(exit, Fault) and trap in (10, 11, 12, 13) and exit.code != theirs.error:
        yield f"{exit} host error code {theirs.error:#x}"


def run(forms: Iterable[Form], encodings: int, states: int, seed: int = 1, mode: int = 64) -> Outcome:
    """All the forms from `encodings` times `states` cases each.

    A case that differs is run again: where the host is interrupted in it, its kernel loses the pointers to the last x87 instruction.
    """
    outcome = Outcome()
    ours = Ours()
    with Host() as host:
        for form in forms:
            batch = list(cases(form, encodings, states, seed, mode))
            results = host.run([case for _, case in batch]) if batch else []
            outcome.counted[form.number] += len(batch)
            for (inst, case), theirs in zip(batch, results, strict=True):
                what = outcome.differs(ours, inst, case, theirs)
                if what and not any(outcome.differs(ours, inst, case, again) == "" for again in host.run([case] * 3)):
                    outcome.differences.append(Difference(inst, case, what))
    return outcome


def missing() -> int:
    """Print the user-mode rows without semantics, by feature, and whether CPUID announces that."""
    found: dict[str, dict[str, int]] = collections.defaultdict(dict)
    for form in rows.forms():
        name = plain(mnemonics(form.row)[0])
        row = form.row
        if row.section.startswith("evex") or "cpl0" in row.attributes or "BAD" in row.operands or name == "(bad)":
            continue
        if semantic_of(row, name) is None:
            feature = form.row.feature.split()[0] if form.row.feature else "(base)"
            found[feature][name] = found[feature].get(name, 0) + 1
    for feature, names in sorted(found.items()):
        announced = "ANNOUNCED" if feature in ANNOUNCED else "#UD"
        print(f"{feature} ({announced}): {sum(names.values())} rows: {' '.join(sorted(names))}")
    print(f"{sum(sum(names.values()) for names in found.values())} rows of user mode without semantics (EVEX apart), in {len(found)} features")
    return int(any(feature in ANNOUNCED for feature in found))


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tanken's x86 semantics with this processor.")
    parser.add_argument("--states", type=int, default=8, help="random states an encoding")
    parser.add_argument("--encodings", type=int, default=6, help="random encodings a form")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", type=int, default=64, choices=(32, 64), help="32: only what 64-bit mode has not, and what differs there")
    parser.add_argument("--missing", action="store_true", help="list the rows of user mode that no semantics know, by feature")
    parser.add_argument("--only", default="", help="mnemonics, parted by commas")
    parser.add_argument("--show", type=int, default=40, help="forms with differences to show")
    options = parser.parse_args()
    if options.missing:
        return missing()
    forms = chosen_forms(options.mode)
    if options.only:
        wanted = {row.line for name in options.only.split(",") for row in rows.find_rows(name)}
        forms = [form for form in forms if form.row.line in wanted]
    outcome = run(forms, options.encodings, options.states, options.seed, options.mode)
    by_line: dict[int, list[Difference]] = collections.defaultdict(list)
    for difference in outcome.differences:
        assert difference.inst.row is not None
        by_line[difference.inst.row.line].append(difference)
    for line, members in list(by_line.items())[: options.show]:
        first = members[0]
        print(f"{len(members):5} opcodes.map:{line} {first.inst.code.hex(' ')}  {first.inst.text()}\n      {first.what[:400]}")
    print(outcome.summary(len(forms)))
    return int(bool(outcome.differences))


if __name__ == "__main__":
    sys.exit(main())
