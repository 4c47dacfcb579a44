"""Writes that wait: zones of addresses whose writes need no answer are kept in a ring while the guest goes on, and told later, in order.

As KVM's coalesced MMIO does for its vcpus (linux/Documentation/virt/kvm/api.rst, KVM_REGISTER_COALESCED_MMIO), here for our own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tanken.hypervisor.exits import Mmio, PortIo

ROOM = 169  # as many as KVM's ring


class Zones:
    """The zones, and the writes that wait."""

    def __init__(self) -> None:
        self._ports: set[int] = set()
        self._ranges: list[tuple[int, int]] = []
        self._waiting: deque[Mmio | PortIo] = deque()

    def add(self, address: int, size: int, port: bool) -> None:
        """Let writes inside of these addresses wait."""
        if port:
            self._ports.update(range(address, address + size))
        else:
            self._ranges.append((address, address + size))

    @property
    def waits(self) -> bool:
        """Whether there is a write that waits."""
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= ROOM

    def take(self, access: Mmio | PortIo) -> bool:
        """Keep a write that may wait; False where it may not, or there is no room."""
        if self.is_full:
            return False
        if isinstance(access, PortIo):
            may = all(port in self._ports for port in range(access.port, access.port + access.size))
        else:
            may = any(start <= access.address and access.address + access.size <= end for start, end in self._ranges)
        if may:
            self._waiting.append(access)
        return may

    def drain(self) -> Iterator[Mmio | PortIo]:
        """The writes in order; each is gone when the next is asked for."""
        while self._waiting:
            yield self._waiting.popleft()
