"""KVM's ring of coalesced writes: a page that the kernel fills while the guest goes on, and that is drained before anybody looks at the device.

linux/Documentation/virt/kvm/api.rst, KVM_REGISTER_COALESCED_MMIO; struct kvm_coalesced_mmio_ring.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from tanken.hypervisor.exits import Mmio, PortIo
from tanken.hypervisor.kvm import abi

SLOTS = (mmap.PAGESIZE - abi.RING.size) // abi.RING_ENTRY.size


class Ring:
    """The ring in the mapping of a vcpu."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page
        self._at = abi.COALESCED_PAGE * mmap.PAGESIZE

    def drain(self) -> Iterator[Mmio | PortIo]:
        """The writes in order; each leaves the ring when the next is asked for."""
        page, at = self._page, self._at
        first, last = abi.RING.unpack_from(page, at)
        while first != last:
            address, length, is_pio, data = abi.RING_ENTRY.unpack_from(page, at + abi.RING.size + first * abi.RING_ENTRY.size)
            value = int.from_bytes(data[:length], "little")
            yield PortIo(address, length, True, value) if is_pio else Mmio(address, length, True, value)
            first = (first + 1) % SLOTS
            page[at : at + 4] = first.to_bytes(4, "little")
            last = abi.RING.unpack_from(page, at)[1]
