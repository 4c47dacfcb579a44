"""The three ways of running a guest, measured on one: interpreted, translated with its sensitive instructions replaced, and in guest mode.

Robin and Irvine, "Analysis of the Intel Pentium's ability to support a secure virtual machine monitor" (2000), on what is sensitive; Intel SDM
volume 3, 26.1, on guest mode. The guest is machine/guest/ways.S; what it computes must be the same in all ways.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tanken import elf
from tanken.base.errors import InternalError, UnsupportedError
from tanken.base.progress import Event, Progress, silent
from tanken.base.records import Record
from tanken.hypervisor import exits as E
from tanken.hypervisor.own import OwnVcpu, native_is_possible
from tanken.hypervisor.vcpu import Vcpu
from tanken.machine.console import Memory
from tanken.machine.guest import build
from tanken.machine.pc import Pc

TIMES = 3


@dataclass(frozen=True, slots=True, repr=False)
class Way(Record):
    """A way: on what, processor time in seconds (best of several), instructions (0: nobody counts), how often somebody stepped in, and for what.

    `exits`: how often the machine was asked; `result`: what the guest computed; `note`: what must be known to read the numbers.
    """

    way: str
    on: str
    seconds: float
    instructions: int
    interventions: int
    exits: int
    result: int
    kinds: dict[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Guest:
    """How many rounds, and how many times the loop in each."""

    rounds: int = 100
    work: int = 50


def machine(guest: Guest, make: Callable[[Pc], Vcpu] | None, cpu: str = "own") -> Pc:
    """A PC about to run the guest."""
    made = Pc(far=Memory(), cpu=cpu, clock="real", kernel=str(build.WAYS), coalesce=False, memory="16M", vcpu=make)
    for name in ("rounds", "work"):
        made.memory.write(_place(name), getattr(guest, name).to_bytes(8, "little"))
    return made


def _place(name: str) -> int:
    symbol = elf.read(build.WAYS.read_bytes(), str(build.WAYS)).symbol(name)
    assert symbol is not None
    return symbol.value


def timed(made: Pc) -> tuple[float, int]:
    """Processor time from the first entry to the guest's end, and what it computed."""
    before = time.process_time()
    ended = made.run()
    seconds = time.process_time() - before
    if ended.reason != "power-off":
        raise InternalError(f"the guest ended by {ended.reason}: {ended.text}", wanted="power-off")
    return seconds, int.from_bytes(made.memory.read(_place("result"), 8), "little")


def _best(make: Callable[[], Pc], times: int) -> tuple[float, int]:
    found = []
    for _ in range(times):
        made = make()
        found.append(timed(made))
        made.vcpu.close()
    return min(found)


def interpreted(guest: Guest) -> Way:
    """Every instruction by the reference: somebody steps in at each."""
    made = machine(guest, lambda pc: OwnVcpu(pc.memory, pc.clock))
    seconds, result = timed(made)
    return Way("interpreted", "our reference", seconds, made.vcpu.executed, made.vcpu.executed, made.exits, result, {"each instruction": made.vcpu.executed})


def translated(guest: Guest) -> Way:
    """Our native engine: the guest's code as host code, sensitive instructions left out of it."""
    if not native_is_possible():
        raise UnsupportedError("no native code here", wanted="x86-64 Linux with Numba and llvmlite")

    def make() -> Pc:
        return machine(guest, lambda pc: OwnVcpu(pc.memory, pc.clock, True))

    _best(make, 1)  # what has to be made once is made
    seconds, result = _best(make, TIMES)
    made = make()
    engine: Any = made.vcpu.engine  # type: ignore[attr-defined]  # our own vcpu's
    engine.left = {}
    timed(made)
    kinds = dict(Counter(engine.left).most_common())
    return Way("translated", "our native engine", seconds, made.vcpu.executed, sum(kinds.values()), made.exits, result, kinds)


def tallied(made: Pc) -> Counter[str]:
    """Counts the exits of a machine by kind, as they come."""
    counted: Counter[str] = Counter()

    def note(exit: E.FinalExit) -> None:
        counted[type(exit).__name__] += 1

    made.hooks.append(note)
    return counted


def on_kvm(guest: Guest) -> Way:
    """In KVM's guest mode. KVM's own count of exits is the processor's; those that it does itself no machine sees."""
    from tanken.hypervisor.kvm import statistics
    from tanken.hypervisor.kvm.probe import runs_natively

    seconds, result = _best(lambda: machine(guest, None, "kvm"), TIMES)
    made = machine(guest, None, "kvm")
    kinds = tallied(made)
    timed(made)
    vcpu: Any = made.vcpu
    counted = statistics.read(vcpu.vm.kvm, vcpu.descriptor)
    vcpu.close()
    note = "" if runs_natively() else "this KVM has no VMX or SVM beneath: its emulator runs privileged code"
    if emulated := counted.get("insn_emulation", 0):
        note += f"{'; ' if note else ''}{emulated:,} instructions were emulated"
    return Way("guest mode", "KVM", seconds, 0, counted.get("exits", made.exits), made.exits, result, dict(kinds.most_common()), note)


def on_our_own(guest: Guest) -> Way:
    """Where there is no KVM: the exits that VT-x would give, of our own vcpu; its time is that of the translated way."""

    def make() -> Pc:
        return machine(guest, None, "own")

    seconds, result = _best(make, TIMES if native_is_possible() else 1)
    made = make()
    kinds, raw = Counter[str](), made.vcpu

    def note(exit: E.FinalExit) -> None:
        kinds[type(getattr(raw, "raw", None) or exit).__name__] += 1

    made.hooks.append(note)
    timed(made)
    return Way("guest mode", "our own vcpu", seconds, made.vcpu.executed, sum(kinds.values()), made.exits, result, dict(kinds.most_common()),
               "no KVM here: the exits are those that VT-x would give, CPUID apart; the time is our engine's, no hardware's")  # fmt: skip


def measure(guest: Guest, tell: Progress = silent) -> list[Way]:
    """The three ways; raises InternalError where they do not compute the same."""
    from tanken.hypervisor.kvm.system import missing

    steps = [interpreted, *([translated] if native_is_possible() else []), on_kvm if missing() is None else on_our_own]
    found = []
    for number, step in enumerate(steps):
        tell(Event("ways", number, len(steps), step.__name__.replace("_", " ")))
        found.append(step(guest))
    tell(Event("ways", len(steps), len(steps), "done"))
    if len({way.result for way in found}) != 1:
        raise InternalError("the ways differ in what the guest computed: " + ", ".join(f"{way.way} {way.result:#x}" for way in found))
    return found
