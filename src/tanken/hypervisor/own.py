"""The vcpu on our own processor: the engine's exits become those of `exits`, device accesses through `mmio.Emulation`.

The engine ends its run before an access to where no memory is (`Outside`): that is what VT-x calls an EPT violation. With a clock of instructions
the vcpu stops exactly when a timer is due, so that a run repeats; with the real clock it looks at the time between slices.
"""

from __future__ import annotations

import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tanken.base import native as gate
from tanken.base.errors import InternalError
from tanken.board.clock import Clock
from tanken.board.memory import Memory
from tanken.engine.paged import PagedMemory
from tanken.engine.system import SystemInterpreter, Touching
from tanken.hypervisor import exits as E
from tanken.hypervisor.apic_page import ApicPage
from tanken.hypervisor.coalescing import Zones
from tanken.hypervisor.compiled import native_engine
from tanken.hypervisor.cpuid import cpuid
from tanken.hypervisor.mmio import Done, Emulation, Raised
from tanken.hypervisor.vcpu import wants_answer
from tanken.hypervisor.view import physical_of
from tanken.isa.architecture import Budget, Exited, Fault, Halt, Outside
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import NMI, Core, MsrAccess, PortAccess, Shutdown, WindowOpen
from tanken.isa.x86.system.debug import ended
from tanken.isa.x86.system.events import interrupt
from tanken.isa.x86.system.ports import complete
from tanken.isa.x86.system.processor import SystemProcessor
from tanken.isa.x86.system.state import SystemState

GP = 13
BUS = 1000  # nanoseconds that an access to a device takes, where the clock counts instructions: those that poll would count for ever
SLICE = 5_000_000  # nanoseconds between looks at the real clock
MOST_NATIVE, MOST_SLOW = 2_000_000, 10_000  # instructions between looks at whether somebody kicked
FIRST_SLICE = 2_000  # instructions, before the speed is known
MOST_TOUCHING = 1024  # instructions that are known to touch devices
UNITS = ("regs", "segments", "xmm", "upper", "st", "bases", "limits", "rights", "dr")


class OwnVcpu:
    """One processor on `memory`, timed by `clock`. `raw` is the last exit as VT-x would tell it, where it was one that needed understanding."""

    kind = "own"

    def __init__(self, memory: Memory, clock: Clock, native: bool = False) -> None:
        self.clock = clock
        self.label = "native" if native else "reference"
        self.physical = physical_of(memory)
        memory.on_write.append(self.physical.written)
        self.state = SystemState()
        self.processor = SystemProcessor(self.state)
        self.core = Core(self.state, PagedMemory(self.physical, self.processor), self._ticks)
        self.core.cpuid = self._cpuid
        self.engine: Any = native_engine(self.core, self.processor) if native else SystemInterpreter(self.core, self.processor)
        self._most = MOST_NATIVE if native else MOST_SLOW
        self.zones = Zones()
        self.between: Callable[[], tuple[bool, int | None]] | None = None  # instead of exits for the time, input and interrupts (`Loop.between`)
        self.assisted: Counter[str] = Counter()  # instructions that touched a device
        self.raw: E.RawExit | None = None
        self._vector: int | None = None
        self.nmi = False
        self._kicked = threading.Event()
        self._port: PortAccess | None = None
        self._msr: MsrAccess | None = None
        self.apic = ApicPage(self.state, self.physical, self.processor)
        self._touching = Emulation(self.state, self.physical, self._ticks, self._cpuid)
        self._emulation: Emulation | None = None  # the same, while an instruction is under way
        self._value: int | None = 0
        self._awaits = False  # the last exit is a read that nobody has answered yet
        self._held: E.FinalExit | None = None  # an exit that came up when the last one was completed by `flush`
        self._speed = FIRST_SLICE / SLICE  # instructions a nanosecond
        self.engine.bias = 0

    @property
    def executed(self) -> int:
        return int(self.engine.executed)

    def _ticks(self) -> int:
        """The time stamp counter in the middle of a run: an instruction is a tick."""
        return self.executed + int(self.engine.bias)

    def _set_clock(self) -> None:
        """Before a run. With the host's clock the counter may stand ahead of it for a while: it never goes back."""
        bias = self.clock.tsc_after(self.executed - self.clock.executed) - self.executed
        self.engine.bias = bias if self.clock.mode == "instructions" else max(bias, self.engine.bias)

    def _cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        return cpuid(self.processor, self.clock, leaf, subleaf)

    # -- running

    def run(self, nanoseconds: int | None = None) -> E.FinalExit:
        """Enter the guest until something happens, or for about that long."""
        exit = self._run(nanoseconds)
        self._awaits = wants_answer(exit)
        return exit

    def _run(self, nanoseconds: int | None) -> E.FinalExit:
        self.raw = None
        ended = self._held or self._complete()
        self._held = None
        if ended is not None:
            return ended
        ended = self._deliver()
        if ended is not None:
            return ended
        end = None if nanoseconds is None else self.clock.now() + nanoseconds
        while True:
            exit = self._slice(end)
            if exit is None:
                continue
            if self.between is None or not isinstance(exit, E.Kicked | E.InterruptWindow):
                return exit
            goes_on, nanoseconds = self.between()
            if not goes_on:
                return exit
            ended = self._deliver()
            if ended is not None:
                return ended
            end = None if nanoseconds is None else self.clock.now() + nanoseconds

    def _slice(self, end: int | None) -> E.FinalExit | None:
        """Enter the guest, unless somebody waits already; the exit, None to go on."""
        if self.state.window and self.can_inject():
            return E.InterruptWindow()
        if self._kicked.is_set():
            self._kicked.clear()
            return E.Kicked()
        self._set_clock()
        before = self.executed
        began = time.perf_counter_ns()
        exit = self.engine.run(self._budget(end))
        if not isinstance(exit, Budget):
            return self._understand(exit)
        if self.zones.waits:
            return E.Kicked()  # a slice is as long as a write may wait
        if self.clock.mode == "instructions":
            over = end is not None and self.clock.instructions_until(end) <= self.executed - self.clock.executed
        else:
            ran = self.executed - before
            if ran >= FIRST_SLICE:
                self._speed = ran / max(time.perf_counter_ns() - began, 1)
            over = end is not None and self.clock.now() >= end
        return E.Kicked() if over else None

    def _budget(self, end: int | None) -> int:
        """Instructions of the next slice."""
        if self.clock.mode == "instructions":
            done = self.executed - self.clock.executed
            return self._most if end is None else min(max(1, self.clock.instructions_until(end) - done), self._most)
        left = SLICE if end is None else min(max(end - self.clock.now(), 0), SLICE)
        return max(1, int(left * self._speed), FIRST_SLICE if left > SLICE // 50 else 1)

    def _understand(self, exit: Any) -> E.FinalExit | None:
        """The final exit; None to go on."""
        if isinstance(exit, WindowOpen):
            return None
        if isinstance(exit, Outside) and self.core.vectoring is not None:
            return self._undelivered(exit)
        if isinstance(exit, Outside):
            self.raw = self.apic.raw(exit.physical, exit.linear, exit.access)
            return self._begin(self.core.inst)
        if isinstance(exit, Touching):
            return self._begin(exit.instruction)
        if isinstance(exit, PortAccess):
            self.raw = E.IoInstruction(exit.port, exit.size, not exit.is_in, exit.string, exit.repeated, self._count(exit))
            if not exit.is_in and self.zones.take(E.PortIo(exit.port, exit.size, True, exit.value)):
                complete(self.state, self.core.memory, exit, 0)
                ended(self.state)
                self.engine.executed += 1
                return self._full()
            self._port = exit
            return E.PortIo(exit.port, exit.size, not exit.is_in, 0 if exit.is_in else exit.value)
        if isinstance(exit, MsrAccess):
            self._msr = exit
            return E.MsrRead(exit.number) if exit.value is None else E.MsrWrite(exit.number, exit.value)
        if isinstance(exit, Halt):
            return exit
        if isinstance(exit, Shutdown):
            return E.TripleFault()
        raise InternalError(f"the engine ends by {exit}", wanted="an exit that a whole processor has")

    def _count(self, access: PortAccess) -> int:
        return self.state.regs[1] & (1 << 8 * access.address_size) - 1 if access.repeated else 1

    def _full(self) -> E.FinalExit | None:
        return E.Kicked() if self.zones.is_full else None

    def _begin(self, inst: Any) -> E.FinalExit | None:
        """Take up the instruction at the program counter; it is the engine's, or None where that met none."""
        moved = self.apic.begin(inst)
        if moved is not None:
            access, self.raw = moved
            self._leave_alone(inst)
            if not access.write or not self.zones.take(access):
                return access
            self._move(0)
            return self._full()
        self._emulation = self._touching
        self._touching.begin(inst)
        exit = self._emulate()
        if self.raw is None and (missed := self._touching.missed) is not None:
            self.raw = self.apic.raw(*missed)
        return exit

    def _move(self, value: int) -> None:
        """A plain MOV to or from the local APIC's page is done."""
        self.apic.complete(value)
        self.assisted["mov"] += 1
        self.engine.executed += 1

    def _emulate(self) -> E.FinalExit | None:
        """Take the instruction that touches a device further."""
        emulation = self._emulation
        assert emulation is not None
        while True:
            result = emulation.run()
            if not isinstance(result, E.Mmio) or not result.write or not self.zones.take(result):
                break
        if isinstance(result, Done | Raised):
            self._emulation = None
            self.assisted[result.mnemonic] += 1
            if emulation.flushed:
                self.core.memory.flush()
            elif emulation.plain:
                self._leave_alone(emulation.inst)
            else:
                self.core.memory.changed()
            self.engine.executed += 1
            if isinstance(result, Raised):
                return self._delivered(lambda: self.processor.raised(self.core, result.fault))
            return Halt() if result.halted else self._full()
        if isinstance(result, E.EmulationFailure):
            self._emulation = None
            why = result.why
            return self._delivered(lambda: self.processor.raised(self.core, Fault(6, None, self.state.rip, why)))
        return result

    def _leave_alone(self, inst: Any) -> None:
        """Have the engine end its run before the instruction from now on: it is prepared here, and hardly ever touches memory."""
        touching = self.engine.touching
        if inst not in touching:
            if len(touching) >= MOST_TOUCHING:
                touching.clear()
            touching.add(inst)

    def _delivered(self, deliver: Callable[[], Shutdown | None]) -> E.FinalExit | None:
        """Deliver an event; the exit where that shuts the processor down, or cannot be done."""
        try:
            return None if deliver() is None else E.TripleFault()
        except Exited as exited:
            return self._undelivered(exited.exit)

    def _undelivered(self, exit: Any) -> E.FinalExit:
        """An event's table or stack lies where a device is: VT-x would say which event; nobody here takes it further."""
        vectoring, self.core.vectoring = self.core.vectoring, None
        assert vectoring is not None and isinstance(exit, Outside), exit
        self.raw = self.apic.raw(exit.physical, exit.linear, exit.access, vectoring.word)
        why = f"vector {vectoring.vector:#x} cannot be delivered: no memory at physical address {exit.physical:#x}, where its table or stack is"
        return E.EmulationFailure(self.state.rip, b"", why)

    def _adopt(self, state: SystemState) -> None:
        """Make the processor's state that of `state`: the engine holds the object itself, so it is filled."""
        for name in SystemState.ALL:
            value = getattr(state, name)
            if name in UNITS:
                mine = getattr(self.state, name)  # the engine's own, perhaps a view of native memory
                for n, item in enumerate(value):
                    mine[n] = item
            else:
                setattr(self.state, name, value)
        self.core.memory.flush()

    def _complete(self) -> E.FinalExit | None:
        """End what the last exit began; an exit where the instruction makes another."""
        value, self._value = self._value, 0
        if self.clock.mode == "instructions" and (self._emulation is not None or self._port is not None or self.apic.waits):
            self.clock.skip(self.clock.now() + BUS)
        if self._emulation is not None:
            self._emulation.answer(value)
            return self._emulate()
        if self.apic.waits:
            self._move(value or 0)
        elif self._port is not None:
            access, self._port = self._port, None
            complete(self.state, self.core.memory, access, value or 0)
            ended(self.state)
            self.engine.executed += 1
        elif self._msr is not None:
            asked, self._msr = self._msr, None
            self.engine.executed += 1
            if value is None:
                return self._delivered(lambda: self.processor.raised(self.core, Fault(GP, 0, self.state.rip, f"MSR {asked.number:#x}")))
            if asked.value is None:
                self.state.regs[0], self.state.regs[2] = value & 0xFFFF_FFFF, value >> 32
            self.state.rip = asked.following
            ended(self.state)
        return None

    def _deliver(self) -> E.FinalExit | None:
        """What was injected."""
        vector, self._vector = self._vector, None
        if vector is not None:
            return self._delivered(lambda: interrupt(self.core, vector))
        if self.nmi and not self.state.nmi_blocked:
            self.nmi = False
            return self._delivered(lambda: interrupt(self.core, NMI))
        return None

    def answer(self, value: int | None) -> None:
        """The value of the read that the last exit was; None for #GP of an MSR access."""
        self._value = value
        self._awaits = False

    def flush(self) -> None:
        """Complete the last exit's access without running the guest on; one that nobody has answered yet is not begun."""
        if self._held is None and not self._awaits:
            self._held = self._complete()

    @property
    def at_rest(self) -> bool:
        """Whether the last exit is done, and the state is all there is."""
        begun = self._port is not None or self._msr is not None or self._emulation is not None or self._vector is not None
        return not begun and self._held is None and not self._awaits

    def drain(self) -> Iterator[E.Mmio | E.PortIo]:
        """Writes that waited."""
        return self.zones.drain()

    # -- state

    def get_state(self) -> SystemState:
        self.flush()
        return self.state.copy()

    def set_state(self, state: SystemState) -> None:
        self._emulation = self._port = self._msr = self._held = None
        self._awaits = False
        self.apic.forget()
        self._adopt(state)

    @property
    def cr8(self) -> int:
        return self.state.cr8

    @cr8.setter
    def cr8(self, value: int) -> None:
        self.state.cr8 = value

    # -- interrupts

    def can_inject(self) -> bool:
        """IF is set, and the instruction behind STI or MOV SS has run."""
        state = self.state
        waits = self._emulation is not None or self._vector is not None or self.apic.waits
        return bool(state.system_flags & S.IF) and state.shadow != state.rip and not waits and not state.pending

    def inject(self, vector: int) -> None:
        self._vector = vector

    def inject_nmi(self) -> None:
        self.nmi = True

    def request_window(self, wanted: bool) -> None:
        self.state.window = int(wanted)

    def kick(self) -> None:
        self._kicked.set()

    def close(self) -> None:
        """Keep what was compiled for the next run."""
        self.engine.save()


def native_is_possible() -> bool:
    """Whether this host can run native code, and may (TANKEN_NATIVE)."""
    return gate.available() and platform.machine() == "x86_64" and platform.system() == "Linux"


def vcpu(memory: Memory, clock: Clock) -> OwnVcpu:
    """Our own processor for a machine, by native code where this host can."""
    return OwnVcpu(memory, clock, native_is_possible())


