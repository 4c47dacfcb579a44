"""The main loop of a machine: run the vcpu, take its exit, let the board do what it means, enter again.

Nothing spins: a halted processor waits on the host for the next timer or for input; with a clock of instructions the time in between is skipped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tanken.base.records import Record
from tanken.board.bus import Bus
from tanken.board.clock import SECOND, Clock
from tanken.board.devices.lapic import LocalApic
from tanken.board.devices.pvclock import PvClock
from tanken.board.devices.uart import Uart
from tanken.board.interrupts import Interrupts
from tanken.board.memory import Memory
from tanken.hypervisor import exits as E
from tanken.hypervisor.vcpu import Vcpu
from tanken.isa.architecture import Budget, Halt
from tanken.machine.console import Far

LAST = 16  # exits that are kept for a report
OK = ("power-off", "reset", "stopped")


@dataclass(frozen=True, slots=True, repr=False)
class Ended(Record):
    """Why a machine stopped: "power-off", "reset", "stopped" (by the user), "halted", "triple-fault" or "failure"; `text` says more."""

    reason: str
    text: str = ""

    @property
    def status(self) -> int:
        """The exit status of a command that ran it."""
        return 0 if self.reason in OK else 1


Hook = Callable[[E.FinalExit], "int | bool | None"]


class Loop:
    """What runs a machine. `hooks` see every exit first: one that gives a number has answered a read, True has done all there is to do."""

    vcpu: Vcpu
    clock: Clock
    memory: Memory
    pio: Bus
    lapic: LocalApic
    pvclock: PvClock
    interrupts: Interrupts
    console: Far
    uarts: list[Uart]
    ended: Ended | None
    slack: int | None = None  # nanoseconds after which the vcpu is made to exit in any case

    def prepare(self) -> None:
        """Called once everything is in place."""
        self.hooks: list[Hook] = []
        self.last: deque[E.FinalExit] = deque(maxlen=LAST)
        self.exits = 0
        self._event = threading.Event()
        self._ending: Ended | None = None
        self.lapic.send_nmi = self.vcpu.inject_nmi
        self.console.arrived = self.wake
        self.console.commands |= {"x": self.stop, "p": self.power_button}
        self._actions: dict[type, Callable[[Any], None]] = {
            E.PortIo: self._port, E.Mmio: self._mmio, E.MsrRead: self._read_msr, E.MsrWrite: self._write_msr, Halt: self._halt,
            E.InterruptWindow: self._nothing, E.Kicked: self._nothing, Budget: self._nothing, E.DebugStop: self._nothing,
            E.TripleFault: lambda exit: self.end(Ended("triple-fault", "the processor shut down")),
            E.EmulationFailure: lambda exit: self.end(Ended("failure", self._stuck(exit))),
            E.EntryFailure: lambda exit: self.end(Ended("failure", f"the processor refuses its state, reason {exit.reason:#x}")),
        }  # fmt: skip

    @staticmethod
    def _stuck(exit: E.EmulationFailure) -> str:
        what = f"nobody here knows the instruction {exit.code.hex(' ')} " if exit.code else ""
        return f"{what}at {exit.rip:#x}: {exit.why}"

    # -- from outside, from any thread

    def wake(self) -> None:
        """Have the loop look at the world: input came, or somebody asked for something."""
        self._event.set()
        self.vcpu.kick()

    def stop(self) -> None:
        """End the run."""
        self._ending = Ended("stopped")
        self.wake()

    def power_button(self) -> None:
        """Press it: ACPI tells the guest, which may turn itself off."""
        self._pressed = True
        self.wake()

    _pressed = False
    halted = False  # the processor waits for an interrupt
    taking: Callable[[], object] | None = None  # what takes a snapshot as soon as the processor is at rest

    def _power_off(self) -> None:
        self.end(Ended("power-off"))

    def _reset(self) -> None:
        self.end(Ended("reset", "the guest reset the machine"))

    def end(self, ended: Ended) -> None:
        """Let the run end by this, unless it ends already."""
        if self.ended is None:
            self.ended = ended

    # -- the loop

    def run(self) -> Ended:
        """Go on until the machine ends; the host's console is as it was afterwards."""
        self.console.start()
        try:
            while self.ended is None:
                self.step()
            return self.ended
        finally:
            self.console.stop()

    def step(self) -> None:
        """Enter the guest once and do what it asks."""
        if self.halted:  # it was put back so, or stopped so
            self._look_around()
            return self._wait()
        exit = self.vcpu.run(self._enter())
        self._left()
        self.exits += 1
        self.last.append(exit)
        self.handle(exit)

    def between(self) -> tuple[bool, int | None]:
        """What a vcpu calls that need not exit for the time, input or interrupts: whether the guest goes on, and for how many nanoseconds at most."""
        self._left()
        limit = self._enter()
        return self.ended is None, limit

    def _enter(self) -> int | None:
        """Before the guest runs: timers that are due, input, the next interrupt. The nanoseconds after which somebody has to look again."""
        vcpu, clock = self.vcpu, self.clock
        self._look_around()
        waits = self.interrupts.pending()
        if waits and vcpu.can_inject():
            vector = self.interrupts.acknowledge()
            if vector is not None:
                vcpu.inject(vector)
            waits = self.interrupts.pending()
        vcpu.request_window(waits)
        if vcpu.cr8 != self.lapic.cr8:
            vcpu.cr8 = self.lapic.cr8
        self.lapic.lend()
        deadline = clock.next_deadline
        limit = self.slack if deadline is None else max(deadline - clock.now(), 0)
        return limit if self.slack is None or limit is None else min(limit, self.slack)

    def _left(self) -> None:
        """After the guest ran: what it did without an exit."""
        vcpu, clock = self.vcpu, self.clock
        if clock.mode == "instructions":
            clock.advance(vcpu.executed - clock.executed)
        for posted in vcpu.drain():
            self._posted(posted)
        if vcpu.cr8 != self.lapic.cr8:
            self.lapic.cr8 = vcpu.cr8
        self.lapic.take_back()

    @property
    def _has_input(self) -> bool:
        """Whether there is input that the guest is ready for."""
        return self.console.has_input and any(uart.listens for uart in self.uarts)

    def _look_around(self) -> None:
        self.clock.run_due()
        if self._has_input:
            for uart in self.uarts:
                uart.poll()
        if self._pressed:
            self._pressed = False
            self.pm.press_power_button()  # type: ignore[attr-defined]  # the PC's
        if self._ending is not None:
            self.end(self._ending)
        if self.taking is not None and getattr(self.vcpu, "at_rest", True):
            take, self.taking = self.taking, None
            take()

    def handle(self, exit: E.FinalExit) -> None:
        """Do what the exit asks for, unless a hook did."""
        for hook in self.hooks:
            answer = hook(exit)
            if answer is not None and answer is not False:
                if answer is not True:
                    self.vcpu.answer(int(answer))
                return
        self._actions[type(exit)](exit)

    def _posted(self, exit: E.Mmio | E.PortIo) -> None:
        if isinstance(exit, E.PortIo):
            self.pio.write(exit.port, exit.data, exit.size)
        else:
            self.memory.bus.write(exit.address, exit.data, exit.size)

    def _port(self, exit: E.PortIo) -> None:
        if exit.write:
            self.pio.write(exit.port, exit.data, exit.size)
        else:
            self.vcpu.answer(self.pio.read(exit.port, exit.size))

    def _mmio(self, exit: E.Mmio) -> None:
        if exit.write:
            self.memory.bus.write(exit.address, exit.data, exit.size)
        else:
            self.vcpu.answer(self.memory.bus.read(exit.address, exit.size))

    def _read_msr(self, exit: E.MsrRead) -> None:
        holder = self._holder(exit.index)
        self.vcpu.answer(None if holder is None else holder.read_msr(exit.index))

    def _write_msr(self, exit: E.MsrWrite) -> None:
        holder = self._holder(exit.index)
        self.vcpu.answer(0 if holder is not None and holder.write_msr(exit.index, exit.value) else None)

    def _holder(self, index: int) -> LocalApic | PvClock | None:
        """Which device keeps the model-specific register."""
        return next((holder for holder in (self.lapic, self.pvclock) if holder.has_msr(index)), None)

    def _nothing(self, exit: E.FinalExit) -> None:
        """All of it is done at the top of the loop."""

    def _halt(self, exit: Halt) -> None:
        """Wait for an interrupt, without spinning."""
        if not self.vcpu.can_inject():
            return self.end(Ended("halted", "HLT with interrupts off"))
        self.halted = True
        self._wait()

    def _wait(self) -> None:
        while not self.interrupts.pending() and self.ended is None:
            self._event.clear()
            self._look_around()
            if self.interrupts.pending() or self.ended is not None:
                break
            deadline = self.clock.next_deadline
            if self.clock.mode == "instructions" and deadline is not None and not self._has_input:
                self.clock.skip(deadline)
            else:
                self._event.wait(None if deadline is None else max(deadline - self.clock.now(), 0) / SECOND)
        self.halted = self.ended is not None
