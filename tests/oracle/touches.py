"""Guests of one instruction that touch a device: every row of the map with a memory operand, on KVM and by our semantics (`hypervisor.mmio`).

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
PLACES = {"aligned": RAM + 0x100, "odd": RAM + 0x203, "pages": RAM + 0x2000 - 3, "straddle": RAM - 3}
MODES = (64, 32)
VECTORS = Path(__file__).parents[1] / "vectors" / "mmio.txt"
SKIP = frozenset("lgdt lidt lldt ltr lmsw vmptrld vmptrst vmclear vmxon xrstor xrstor64 fxrstor fxrstor64 fldenv frstor lss lds les lfs lgs invlpg invept invvpid invpcid invpcid "
                 "rsm sysret sysexit ins outs enter iret xsaves xrstors xsaves64 xrstors64 bound".split())  # fmt: skip  # they would change what the test stands on
ACCEPTED = {
    **dict.fromkeys(("sldt", "str"), "KVM's emulator reads the operand before it writes it"),
    **dict.fromkeys("sgdt sgdtw sgdtd sidt sidtw sidtd lgdtw lgdtd lidtw lidtd fxsave fxsave64".split(), "this KVM's emulator tries for ever where the operand is a device"),
    **dict.fromkeys(("shld", "shrd"), "undefined for 16 bits by more than 16 (SDM volume 2)"),
}  # fmt: skip


@dataclass(frozen=True)
class Touch:
    """An instruction in a mode, with its memory operands at a place."""

    mode: int
    where: str
    code: bytes

    @property
    def inst(self) -> Inst:
        return decode(self.code.ljust(15, b"\x90"), CODE, self.mode)

    def __str__(self) -> str:
        return f"{self.mode} {self.where} {self.code.hex()}"


def start(memory: Memory, mode: int) -> SystemState:
    """Ring 0, flat, all units on."""
    state = place.long_mode(memory, CODE) if mode == 64 else place.protected_mode(memory, CODE)
    state.cr4 |= S.OSFXSR | S.OSXMMEXCPT
    state.cr0 |= S.MP | S.NE
    return state


def prepared(touch: Touch, memory: Memory) -> SystemState | None:
    """The state before the instruction: a function of the touch alone; None where its operand cannot be put there."""
    rng = random.Random(str(touch))
    state = start(memory, touch.mode)
    width = 64 if touch.mode == 64 else 32
    for number in range(16 if touch.mode == 64 else 8):
        state.regs[number] = rng.choice((rng.getrandbits(width), rng.randrange(256), rng.getrandbits(31)))
    state.xmm = [rng.getrandbits(128) for _ in range(16)] if touch.mode == 64 else [rng.getrandbits(128) for _ in range(8)] + [0] * 8
    for name in FLAG_BITS:
        setattr(state, name, rng.getrandbits(1))
    inst, target = touch.inst, PLACES[touch.where]
    if inst.repeat:
        state.regs[1] = rng.randrange(4)
    state.regs[4] = STACK
    found = [operand for operand in (*inst.operands, *inst.implicit) if isinstance(operand, Operand) and operand.base not in (4, None)]
    places = [target, DATA + rng.randrange(64)]
    rng.shuffle(places)
    if len(found) == 1:
        places = [target]
    for operand, at in zip(found, places, strict=False):
        if operand.base == 16 or operand.base is None or operand.index_file != "gpr" or operand.address_size * 8 != width:
            return None
        index = 0 if operand.index is None else state.regs[operand.index] * operand.scale
        if operand.index in (operand.base, 4):
            return None
        state.regs[operand.base] = (at - operand.displacement - index) & (1 << width) - 1
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


def outcome(before: SystemState, after: SystemState, memory: Memory, undefined: int) -> list[str]:
    """What changed: registers (undefined flags apart), bytes of RAM."""
    hidden = {name for name, bit in FLAG_BITS.items() if undefined >> bit & 1}
    changes = [f"{name}={new:x}" for name, _, new in after.changes(before) if name not in hidden and not name.startswith(("fpu_", "st", "system_flags"))]
    ram = [f"[{at:x}]={data.hex()}" for at in (DATA, STACK - 64, RAM - 64) if any(data := memory.read(at, 128 if at != RAM - 64 else 64))]
    return [f"rip={after.rip:x}", *changes, *ram]


def undefined(inst: Inst) -> int:
    row = inst.row
    assert row is not None
    bits = {name[0]: bit for name, bit in FLAG_BITS.items()}
    return sum(1 << bits[letter] for letter in row.attributes.get("u", ""))


def clean(memory: Memory) -> None:
    for at in (DATA, STACK - 0x100, RAM - 0x100):
        memory.write(at, bytes(0x100))


class Ours:
    """Our semantics, replayed, or with `warm` 0 prepared at once."""

    def __init__(self, warm: int = 1 << 30) -> None:
        self.warm = warm
        self.memory = Memory()
        self.memory.add(Region("ram", 0, RAM))
        self.physical = physical_of(self.memory)

    def __call__(self, touch: Touch) -> tuple[list[str], list[str]] | None:
        clean(self.memory)
        state = prepared(touch, self.memory)
        if state is None:
            return None
        self.memory.write(CODE, touch.code + b"\xf4")
        seen: list[str] = []
        now = state.copy()
        for _ in range(5):  # the elements of a repeated string instruction
            emulation = Emulation(now, self.physical, warm=self.warm)
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
            if now.rip != CODE:
                break
        return seen, outcome(state, now, self.memory, undefined(touch.inst))


def _renumbered(step: Callable[[], Any], answer: Callable[[int], None], number: int) -> Iterator[str]:
    while isinstance(exit := step(), E.Mmio):
        value = exit.data if exit.write else device(exit.address, exit.size, number)
        if not exit.write:
            answer(value)
        number += 1
        yield f"{'w' if exit.write else 'r'}{exit.size}@{exit.address:x}={value:x}"


class Theirs:
    """This host's KVM; None in place of what it left to our semantics."""

    def __init__(self) -> None:
        from tanken.hypervisor.kvm.system import Kvm, Vm
        from tanken.hypervisor.kvm.vcpu import KvmVcpu

        self.memory = Memory()
        self.memory.add(Region("ram", 0, RAM))
        self.vcpu = KvmVcpu(Vm(Kvm(), self.memory))

    def __call__(self, touch: Touch) -> tuple[list[str], list[str]] | None:
        clean(self.memory)
        state = prepared(touch, self.memory)
        assert state is not None
        self.memory.write(CODE, touch.code + b"\xf4")
        self.vcpu.set_state(state)
        self.vcpu.assisted.clear()
        seen = run(lambda: self.vcpu.run(100_000_000), self.vcpu.answer)
        if self.vcpu.assisted:
            return None
        after = self.vcpu.get_state()
        after.rip -= 1  # HLT
        return seen, outcome(state, after, self.memory, undefined(touch.inst))


def touches(form: Form, count: int) -> Iterator[Touch]:
    """Up to `count` encodings of a form for each mode and place."""
    if form.row.section.startswith(("evex", "xop")) or form.row.mnemonic.split()[0] in SKIP or "far" in form.row.attributes:
        return
    for mode in MODES:
        rng = random.Random(f"{form.row.section} {form.row.opcode} {form.row.selectors} {mode}")
        made = 0
        for _ in range(12):
            inst = encode(form, rng, mode)
            if inst is None or inst.mnemonic in SKIP or not any(isinstance(operand, Operand) for operand in inst.operands):
                continue
            if inst.mnemonic in ("jmp", "call", "lea", "nop") or inst.mnemonic.startswith("prefetch"):
                break
            for where in PLACES:
                yield Touch(mode, where, inst.code)
            made += 1
            if made == count:
                break


def compare(count: int, out: Any = None) -> tuple[collections.Counter[str], list[str]]:
    """Outcomes by kind, and the differences."""
    ours, theirs = Ours(), Theirs()
    counted: collections.Counter[str] = collections.Counter()
    differences = []
    for form in rows.forms():
        for touch in touches(form, count):
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
            accepted = touch.inst.mnemonic in ACCEPTED
            counted["equal" if mine == his else "different, accepted" if accepted else "different"] += 1
            if mine != his and accepted:
                continue
            if mine != his:
                differences.append(f"{touch} {touch.inst.text()}\n   ours {mine}\n   KVM  {his}")
            elif out is not None:
                out.write(f"{touch} | {' '.join(his[0])} | {' '.join(his[1])}\n")
    return counted, differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    out = VECTORS.open("w") if options.record else None
    if out is not None:
        out.write("# One instruction that touches a device, as KVM's emulator did it (`python -m tests.oracle.touches --record`): mode, place, bytes | accesses | what changed.\n")
    counted, differences = compare(options.count, out)
    print("\n".join(differences[:40]))
    print(dict(counted))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
