"""The vcpu contract: what a machine asks of a virtual processor, whoever runs it.

The state is complete and consistent at every exit. A read's answer takes effect when the vcpu is run again; `flush`, and `get_state` by it, completes
it without running the guest, for a snapshot or a debugger in between; before the answer the state is that before the access.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tanken.base.errors import InternalError
from tanken.hypervisor.exits import FinalExit, Mmio, MsrRead, MsrWrite, PortIo
from tanken.isa.x86.system.state import SystemState


class UnderWay(InternalError):
    """The state cannot be had now: the elements of a string access are still to be told."""


def wants_answer(exit: FinalExit) -> bool:
    """Whether the exit is a read, or an access to an MSR, that `answer` is for."""
    return isinstance(exit, MsrRead | MsrWrite) or (isinstance(exit, Mmio | PortIo) and not exit.write)


class Vcpu(Protocol):
    """One virtual processor."""

    kind: str
    cr8: int  # the task priority

    @property
    def executed(self) -> int:
        """Instructions since the beginning where they are counted, else 0."""

    def run(self, nanoseconds: int | None = None) -> FinalExit:
        """Enter the guest until something happens, or for about that long (Kicked)."""

    def drain(self) -> Iterator[Mmio | PortIo]:
        """Writes to coalesced zones that were made before the last exit, in order; to be done before anything looks at a device."""

    def answer(self, value: int | None) -> None:
        """The value of the read that the last exit was; None for #GP of an MSR access."""

    def flush(self) -> None:
        """Complete the last exit's access, if it was answered, without running the guest on; raises UnderWay inside of a string access."""

    def get_state(self) -> SystemState:
        """A copy of all registers."""

    def set_state(self, state: SystemState) -> None:
        """Put all registers."""

    def can_inject(self) -> bool:
        """Whether an interrupt would be taken at the next entry."""

    def inject(self, vector: int) -> None:
        """Have the external interrupt delivered at the next entry; `can_inject` must hold."""

    def inject_nmi(self) -> None:
        """Have an NMI delivered as soon as NMIs are not blocked."""

    def request_window(self, wanted: bool) -> None:
        """Whether to exit with InterruptWindow as soon as an interrupt could be injected."""

    def kick(self) -> None:
        """Make `run` return soon; from any thread or signal handler."""

    def close(self) -> None:
        """Let go of the host's resources."""
