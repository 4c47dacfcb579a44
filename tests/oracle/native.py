"""The native engine against the reference interpreter: every form that both run, from the same random states, faults included.

`python -m tests.oracle.native --help`; the cases are those of the co-simulation with the host.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
from typing import Any

from tanken.engine.memory import EXEC, READ, READABLE, WRITE, AddressSpace
from tanken.engine.native.engine import Native
from tanken.engine.native.space import DirectSpace
from tanken.engine.native.store import Store
from tanken.engine.reference import Interpreter
from tanken.isa.architecture import Exit
from tanken.isa.x86.inst import decode
from tanken.isa.x86.native.target import X86
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.state import State
from tanken.isa.x86.tables import Form
from tests.oracle.cases import make
from tests.oracle.cosim import _state, chosen_forms
from tests.oracle.encodings import encode
from tests.oracle.host import CODE, DATA, DATA_SIZE, PRISTINE, Case

PAGE = 4096
AT_ONCE = 300  # instructions a case may run: enough for a repeated one
FOREIGN = frozenset("syscall rdtsc rdtscp".split())  # answer by count
TRANSCENDENTAL = frozenset("fsin fcos fsincos fptan fpatan fyl2x fyl2xp1 f2xm1".split())  # the host's own last digit: listed apart


class Pair:
    """Both engines on memory of the same shape."""

    def __init__(self) -> None:
        self.target = X86()
        self.store = Store(self.target)
        self.slow_memory, self.fast_memory = AddressSpace(), DirectSpace()
        for memory in (self.slow_memory, self.fast_memory):
            memory.map(CODE & ~(PAGE - 1), PAGE, READ | EXEC)
            memory.map(DATA, DATA_SIZE, READABLE | WRITE)
        self.fast_state = State()
        self.fast = Native(self.fast_state, self.fast_memory, self.target, self.store)
        self.natively = 0

    def run(self, code: bytes, case: Case) -> tuple[str, str]:
        """What each says: empty where they agree."""
        page = (b"\xcc" * (CODE & PAGE - 1) + code).ljust(PAGE, b"\xcc")
        for memory in (self.slow_memory, self.fast_memory):
            memory.write(CODE & ~(PAGE - 1), page)
            memory.write(DATA, PRISTINE)
            for address, data in case.patches:
                memory.write(address, data)
        slow_state = _state(case)
        copy(_state(case), self.fast_state)
        before = self.fast.interpreted
        slow = Interpreter(slow_state, self.slow_memory, Processor())
        slow_exit, fast_exit = slow.run(AT_ONCE), self.fast.run(AT_ONCE)
        self.natively += self.fast.interpreted - before <= 1  # the breakpoint behind
        return self._differences(slow_state, slow_exit, fast_exit)

    def _differences(self, slow_state: State, slow_exit: Exit, fast_exit: Exit) -> tuple[str, str]:
        changes = slow_state.changes(self.fast_state)
        wrong = [(name, f"{old:#x}", f"{new:#x}") for name, new, old in changes]
        if slow_state.rip != self.fast_state.rip:
            wrong.append(("rip", f"{slow_state.rip:#x}", f"{self.fast_state.rip:#x}"))
        if slow_exit != fast_exit:
            wrong.append(("exit", str(slow_exit), str(fast_exit)))
        if self.slow_memory.read(DATA, DATA_SIZE) != self.fast_memory.read(DATA, DATA_SIZE):
            wrong.append(("memory", "", ""))
        return " ".join(f"{n}={a}" for n, a, _ in wrong), " ".join(f"{n}={b}" for n, _, b in wrong)


def copy(source: State, target: State) -> None:
    """Give `target`, whose lists may be views, the values of `source`."""
    for name in State.__slots__:
        value: Any = getattr(source, name)
        if isinstance(value, list):
            place = getattr(target, name)
            for number, element in enumerate(value):
                place[number] = element
        else:
            setattr(target, name, value)


def sweep(pair: Pair, forms: list[Form], encodings: int, states: int, seed: int) -> dict[str, Any]:
    """Counts, and the first difference of each form that has one."""
    found: dict[str, Any] = collections.OrderedDict()
    counts: collections.Counter[str] = collections.Counter()
    for number, form in enumerate(forms):
        rng = random.Random(f"{form.row.section} {form.row.opcode} {form.row.selectors} {seed}")
        if sys.stderr.isatty():
            print(f"\r{number} of {len(forms)} forms, {counts['states']} states, {len(found)} with differences ", end="", file=sys.stderr)
        for _ in range(encodings):
            inst = encode(form, rng, 64)
            if inst is None or inst.mnemonic in FOREIGN:
                continue
            fused = rng.random() < 0.3
            for _ in range(states):
                case = make(inst, rng)
                if case is None:
                    continue
                code = case.code + (b"\x0f" + bytes([0x80 | rng.randrange(16)]) + b"\x10\0\0\0" if fused else b"")
                slow, fast = pair.run(code, case)
                counts["states"] += 1
                if slow and inst.mnemonic in TRANSCENDENTAL:
                    counts["last digits"] += 1
                elif slow:
                    counts["differences"] += 1
                    key = f"{form.row.section} {form.row.opcode} {inst.mnemonic}"
                    found.setdefault(key, (code.hex(" "), decode(code, CODE).text(), slow, fast))
    return {"counts": counts, "found": found}


def main() -> int:
    """Sweep, print, and say by the status whether there were differences."""
    parser = argparse.ArgumentParser(description="Compare the native engine with the reference interpreter.")
    parser.add_argument("--states", type=int, default=6, help="random states an encoding")
    parser.add_argument("--encodings", type=int, default=4, help="random encodings a form")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="mnemonics, parted by commas")
    parser.add_argument("--show", type=int, default=30, help="forms with differences to show")
    options = parser.parse_args()
    forms = chosen_forms()
    if options.only:
        wanted = set(options.only.split(","))
        forms = [form for form in forms if wanted & set(form.row.mnemonic.lower().split("/"))]
    pair = Pair()
    result = sweep(pair, forms, options.encodings, options.states, options.seed)
    for key, (code, text, slow, fast) in list(result["found"].items())[: options.show]:
        print(f"{key}: {code}: {text}\n    reference {slow}\n    native    {fast}")
    counts = result["counts"]
    stencils = pair.fast.tab[pair.target.tables.STENCIL_COUNT]
    print(f"{len(forms)} forms, {counts['states']} states, {pair.natively} of them in native code ({stencils} stencils), "
          f"{counts['differences']} differences in {len(result['found'])} forms; {counts['last digits']} last digits of transcendental functions")  # fmt: skip
    pair.fast.save()
    return int(bool(counts["differences"]))


if __name__ == "__main__":
    sys.exit(main())
