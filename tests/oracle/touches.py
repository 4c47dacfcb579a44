"""Guests of one instruction that touch a device: every row of the map with a memory operand, on KVM and by our semantics (`hypervisor.mmio`), in six modes.

`python -m tests.oracle.touches` compares on this host's KVM; `--record` writes tests/vectors/mmio.txt, by which every host compares. What KVM's own
emulator does not know is counted: there it is our semantics on both sides.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tanken.board.memory import Memory, Region
from tanken.hypervisor import exits as E
from tanken.hypervisor.mmio import Done, Emulation
from tanken.hypervisor.view import physical_of
from tanken.isa.x86 import rows
from tanken.isa.x86.inst import Inst, decode
from tanken.isa.x86.inst import Memory as Operand
from tanken.isa.x86.state import FLAG_BITS
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.state import SystemState
from tanken.isa.x86.tables import Form
from tanken.machine.boot import place
from tests.oracle.encodings import encode

RAM = 0x20_0000
CODE, STACK, DATA = 0x10_0000, 0x11_0000, 0x12_0000
PLACES = {"aligned": 0x100, "odd": 0x203, "pages": 0x2000 - 3, "straddle": -3}  # from the end of the memory
LOW = 0xA_0000  # where it ends for programs of 16 bits
VECTORS = Path(__file__).parents[1] / "vectors" / "mmio.txt"
SKIP = frozenset("lgdt lidt lldt ltr lmsw vmptrld vmptrst vmclear vmxon xrstor xrstor64 fxrstor fxrstor64 fldenv frstor lss lds les lfs lgs invlpg invept invvpid invpcid invpcid "
                 "rsm sysret sysexit ins outs enter iret xsaves xrstors xsaves64 xrstors64 bound".split())  # fmt: skip  # they would change what the test stands on
ACCEPTED = {
    **dict.fromkeys(("sldt", "str"), "KVM's emulator reads the operand before it writes it"),
    **dict.fromkeys("sgdt sgdtw sgdtd sidt sidtw sidtd lgdtw lgdtd lidtw lidtd fxsave fxsave64".split(), "this KVM's emulator tries for ever where the operand is a device"),
    "movbe": "this KVM's emulator says #UD in some modes",
    "tzcnt": "this KVM's emulator takes it for BSF",
    "lzcnt": "this KVM's emulator takes it for BSR",
    **dict.fromkeys(("shld", "shrd"), "undefined for 16 bits by more than 16 (SDM volume 2)"),
}  # fmt: skip


def is_accepted(inst: Inst) -> bool:
    """Whether the instruction may differ; a segment register to memory with REX.W too, of which KVM's emulator stores 8 bytes."""
    return inst.mnemonic in ACCEPTED or (inst.mnemonic == "mov" and getattr(inst.operands[1], "file", "") == "seg" and inst.operand_size == 8)


@dataclass(frozen=True)
class Setting:
    """A mode of the processor: bits of its code; where memory ends, code, data and stack are (linear), and the data segments begin."""

    bits: int
    make: Callable[[Memory], SystemState]
    ram: int = RAM
    code: int = CODE
    data: int = DATA
    stack: int = STACK
    base: int = 0
    rip: int = CODE
    ends: bytes = b"\xf4"  # what stands behind the instruction

    @property
    def width(self) -> int:
        """Bits of a register that the mode knows."""
        return 64 if self.bits == 64 else 32


def _level3(memory: Memory) -> SystemState:
    """Privilege level 3 in 64-bit mode, all pages open, ports too: HLT is forbidden, OUT ends the case."""
    state = place.long_mode(memory, CODE)
    for at in range(place.PAGE_TABLES, place.PAGE_TABLES + 6 * 4096, 8):
        entry = int.from_bytes(memory.read(at, 8), "little")
        memory.write(at, (entry | 4 if entry & 1 else entry).to_bytes(8, "little"))
    state.set_segment(S.CS, 0x33, 0, 0xFFFF_FFFF, 0xA0FB)
    for number in (S.ES, S.SS, S.DS, S.FS, S.GS):
        state.set_segment(number, 0x2B, 0, 0xFFFF_FFFF, 0xC0F3)
    state.cpl, state.system_flags = 3, state.system_flags | S.IOPL
    return state


def _compatibility(memory: Memory) -> SystemState:
    """32-bit code in long mode."""
    state = place.long_mode(memory, CODE)
    state.rights[S.CS] = 0xC09B
    return state


SEGMENT = 0x9_F000  # of data and stack of the modes with 16 bits: its 64 KiB reach behind the memory


def _segmented(state: SystemState) -> SystemState:
    state.set_segment(S.CS, 0x1000, 0x1_0000, 0xFFFF, S.REAL_CODE)
    for number in (S.ES, S.SS, S.DS, S.FS, S.GS):
        state.set_segment(number, SEGMENT >> 4, SEGMENT, 0xFFFF, S.REAL_DATA)
    state.rip, state.rflags = 0x100, 2
    return state


def _real(memory: Memory) -> SystemState:
    """Real mode; without a table, so that an exception ends the case."""
    state = SystemState()
    state.cr0, state.idtr_limit = state.cr0 & ~(S.CD | S.NW), 0
    return _segmented(state)


def _protected16(memory: Memory) -> SystemState:
    """Protected mode with 16-bit code and stack."""
    state = place.protected_mode(memory, CODE)
    return _segmented(state)


SIXTEEN = {"ram": LOW, "code": 0x1_0100, "data": SEGMENT + 0x800, "stack": SEGMENT + 0x600, "base": SEGMENT, "rip": 0x100}
SETTINGS = {
    "64": Setting(64, lambda memory: place.long_mode(memory, CODE)),
    "32": Setting(32, lambda memory: place.protected_mode(memory, CODE)),
    "level3": Setting(64, _level3, ends=b"\xe6\x80"),
    "compat": Setting(32, _compatibility),
    "16": Setting(16, _protected16, **SIXTEEN),
    "real": Setting(16, _real, **SIXTEEN),
}
BOTH = ("64", "32")  # the modes in which every place is tried; in the others two of them


@dataclass(frozen=True)
class Touch:
    """An instruction in a mode, with its memory operands at a place."""

    mode: str
    where: str
    code: bytes

    @property
    def setting(self) -> Setting:
        return SETTINGS[self.mode]

    @property
    def inst(self) -> Inst:
        return decode(self.code.ljust(15, b"\x90"), self.setting.rip, self.setting.bits)

    def __str__(self) -> str:
        return f"{self.mode} {self.where} {self.code.hex()}"


def start(memory: Memory, mode: str) -> SystemState:
    """Before any instruction, all units on."""
    state = SETTINGS[mode].make(memory)
    state.cr4 |= S.OSFXSR | S.OSXMMEXCPT
    state.cr0 |= S.MP | S.NE
    return state


def prepared(touch: Touch, memory: Memory) -> SystemState | None:
    """The state before the instruction: a function of the touch alone; None where its operand cannot be put there."""
    rng = random.Random(str(touch))
    state, setting = start(memory, touch.mode), touch.setting
    width = setting.width
    for number in range(16 if width == 64 else 8):
        state.regs[number] = rng.choice((rng.getrandbits(width), rng.randrange(256), rng.getrandbits(31)))
    state.xmm = [rng.getrandbits(128) for _ in range(16)] if width == 64 else [rng.getrandbits(128) for _ in range(8)] + [0] * 8
    for name in FLAG_BITS:
        setattr(state, name, rng.getrandbits(1))
    inst, target = touch.inst, setting.ram + PLACES[touch.where]
    if inst.repeat:
        state.regs[1] = rng.randrange(4)
    state.regs[4] = setting.stack - setting.base
    found = [operand for operand in (*inst.operands, *inst.implicit) if isinstance(operand, Operand) and operand.base not in (4, None)]
    places = [target, setting.data + rng.randrange(64)]
    rng.shuffle(places)
    if len(found) == 1:
        places = [target]
    for operand, at in zip(found, places, strict=False):
        if operand.base == 16 or operand.base is None or operand.index_file != "gpr" or operand.address_size * 8 != setting.bits:
            return None
        index = 0 if operand.index is None else state.regs[operand.index] * operand.scale
        if operand.index in (operand.base, 4):
            return None
        mask = (1 << setting.bits) - 1
        state.regs[operand.base] = state.regs[operand.base] & ~mask & (1 << width) - 1 | (at - setting.base - operand.displacement - index) & mask
    if not found or inst.mnemonic.startswith(("bt", "xlat")):
        return state if found and inst.mnemonic.startswith("xlat") else state if found and _bits_near(state, inst) else None
    return state


def _bits_near(state: SystemState, inst: Inst) -> bool:
    """BT with a register as its bit offset reaches far away: keep it near."""
    second = inst.operands[1]
    if hasattr(second, "file"):
        state.regs[second.number] &= 31
        memory = inst.operands[0]
        return isinstance(memory, Operand) and second.number not in (memory.base, memory.index)
    return True


def device(address: int, size: int, number: int) -> int:
    """What the n-th read of a case gives."""
    return random.Random(f"{address:x} {size} {number}").getrandbits(8 * size)


def run(step: Callable[[], Any], answer: Callable[[int], None]) -> list[str]:
    """The device accesses until the instruction is done: "r4@200100=value"."""
    seen: list[str] = []
    kicks = 0
    while len(seen) < 64 and kicks < 3:
        exit = step()
        if isinstance(exit, E.Kicked):  # one may be left over
            kicks += 1
            continue
        if not isinstance(exit, E.Mmio):
            return seen
        value = exit.data if exit.write else device(exit.address, exit.size, len(seen))
        if not exit.write:
            answer(value)
        seen.append(f"{'w' if exit.write else 'r'}{exit.size}@{exit.address:x}={value:x}")
    return [*seen, "endless"]


def outcome(before: SystemState, after: SystemState, memory: Memory, undefined: int, setting: Setting) -> list[str]:
    """What changed: registers (undefined flags apart), bytes of RAM."""
    hidden = {name for name, bit in FLAG_BITS.items() if undefined >> bit & 1}
    changes = [f"{name}={new:x}" for name, _, new in after.changes(before) if name not in hidden and not name.startswith(("fpu_", "st", "system_flags"))]
    ram = [f"[{at:x}]={data.hex()}" for at in (setting.data, setting.stack - 64, setting.ram - 64)
           if any(data := memory.read(at, 128 if at != setting.ram - 64 else 64))]  # fmt: skip
    return [f"rip={after.rip:x}", *changes, *ram]


def undefined(inst: Inst) -> int:
    row = inst.row
    assert row is not None
    bits = {name[0]: bit for name, bit in FLAG_BITS.items()}
    return sum(1 << bits[letter] for letter in row.attributes.get("u", ""))


def clean(memory: Memory, setting: Setting) -> None:
    for at in (setting.data, setting.stack - 0x100, setting.ram - 0x100):
        memory.write(at, bytes(0x100))


def memories() -> dict[int, Memory]:
    """By where they end."""
    made = {}
    for size in (RAM, LOW):
        made[size] = Memory()
        made[size].add(Region("ram", 0, size))
    return made


class Ours:
    """Our semantics, replayed, or with `warm` 0 prepared at once."""

    def __init__(self, warm: int = 1 << 30) -> None:
        self.warm = warm
        self.memories = {end: (memory, physical_of(memory)) for end, memory in memories().items()}

    def __call__(self, touch: Touch) -> tuple[list[str], list[str]] | None:
        setting = touch.setting
        memory, physical = self.memories[setting.ram]
        clean(memory, setting)
        state = prepared(touch, memory)
        if state is None:
            return None
        memory.write(setting.code, touch.code + setting.ends)
        seen: list[str] = []
        now = state.copy()
        for _ in range(5):  # the elements of a repeated string instruction
            emulation = Emulation(now, physical, warm=self.warm)
            results: list[Any] = []
            numbered = len(seen)

            def step(emulation: Emulation = emulation, results: list[Any] = results) -> Any:
                results.append(emulation.run())
                return results[-1]

            for text in _renumbered(step, emulation.answer, numbered):
                seen.append(text)
            if not isinstance(results[-1], Done):
                return [*seen, repr(results[-1])], []
            now = emulation.state
            if now.rip != setting.rip:
                break
        return seen, outcome(state, now, memory, undefined(touch.inst), setting)


def _renumbered(step: Callable[[], Any], answer: Callable[[int], None], number: int) -> Iterator[str]:
    while isinstance(exit := step(), E.Mmio):
        value = exit.data if exit.write else device(exit.address, exit.size, number)
        if not exit.write:
            answer(value)
        number += 1
        yield f"{'w' if exit.write else 'r'}{exit.size}@{exit.address:x}={value:x}"


class Theirs:
    """This host's KVM; None in place of what it left to our semantics, and of what the host's processor does not know (`refused`, at level 3)."""

    def __init__(self) -> None:
        from tanken.hypervisor.kvm.system import Kvm, Vm
        from tanken.hypervisor.kvm.vcpu import KvmVcpu

        self.kvm = Kvm()
        self.refused: collections.Counter[str] = collections.Counter()
        self.vcpus = {end: (memory, KvmVcpu(Vm(self.kvm, memory))) for end, memory in memories().items()}

    def __call__(self, touch: Touch) -> tuple[list[str], list[str]] | None:
        setting = touch.setting
        memory, vcpu = self.vcpus[setting.ram]
        clean(memory, setting)
        state = prepared(touch, memory)
        assert state is not None
        memory.write(setting.code, touch.code + setting.ends)
        vcpu.set_state(state)
        vcpu.assisted.clear()
        seen = run(lambda: vcpu.run(100_000_000), vcpu.answer)
        if vcpu.assisted:
            return None
        after = vcpu.get_state()
        if touch.mode == "level3" and not seen and after.rip == setting.rip:  # it runs natively there, and faulted
            self.refused[touch.inst.mnemonic] += 1
            return None
        after.rip -= len(setting.ends)
        return seen, outcome(state, after, memory, undefined(touch.inst), setting)


def touches(form: Form, count: int, modes: tuple[str, ...] = tuple(SETTINGS)) -> Iterator[Touch]:
    """Up to `count` encodings of a form for each mode and place."""
    if form.row.section.startswith(("evex", "xop")) or form.row.mnemonic.split()[0] in SKIP or "far" in form.row.attributes:
        return
    for mode in modes:
        setting = SETTINGS[mode]
        rng = random.Random(f"{form.row.section} {form.row.opcode} {form.row.selectors} {mode}")
        made = 0
        for _ in range(12):
            inst = encode(form, rng, setting.bits)
            if inst is None or inst.mnemonic in SKIP or not any(isinstance(operand, Operand) for operand in inst.operands):
                continue
            if inst.mnemonic in ("jmp", "call", "lea", "nop") or inst.mnemonic.startswith("prefetch"):
                break
            for where in PLACES if mode in BOTH else rng.sample(sorted(PLACES), 2):
                yield Touch(mode, where, inst.code)
            made += 1
            if made == count:
                break


def compare(count: int, out: Any = None, modes: tuple[str, ...] = tuple(SETTINGS)) -> tuple[collections.Counter[str], list[str]]:
    """Outcomes by kind, and the differences."""
    ours, theirs = Ours(), Theirs()
    counted: collections.Counter[str] = collections.Counter()
    differences = []
    for form in rows.forms():
        for touch in touches(form, count, modes):
            mine = ours(touch)
            if mine is None:
                continue
            if not mine[1]:
                counted["a fault or unknown to us"] += 1
                continue
            his = theirs(touch)
            if his is None:
                counted["unknown to KVM"] += 1
                continue
            accepted = is_accepted(touch.inst)
            how = "equal" if mine == his else "different, accepted" if accepted else "different"
            counted[how] += 1
            counted[f"{how} in {touch.mode}"] += 1
            if mine != his and accepted:
                continue
            if mine != his:
                differences.append(f"{touch} {touch.inst.text()}\n   ours {mine}\n   KVM  {his}")
            elif out is not None:
                out.write(f"{touch} | {' '.join(his[0])} | {' '.join(his[1])}\n")
    counted.update({f"unknown to this host's processor: {name}": count for name, count in theirs.refused.items()})
    return counted, differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--modes", default=",".join(SETTINGS), help="some of " + ",".join(SETTINGS))
    options = parser.parse_args()
    out = VECTORS.open("w") if options.record else None
    if out is not None:
        out.write("# One instruction that touches a device, as KVM's emulator did it (`python -m tests.oracle.touches --record`): mode, place, bytes | accesses | what changed.\n")
    counted, differences = compare(options.count, out, tuple(options.modes.split(",")))
    print("\n".join(differences[:40]))
    print(dict(counted))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
