"""What KVM counted of one vcpu, by name: exits of the processor that never left the kernel, instructions that it emulated, ...

linux/Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD: a header, descriptors with names, the numbers.
"""

from __future__ import annotations

import os
import struct

from tanken.hypervisor.kvm import abi
from tanken.hypervisor.kvm.system import Kvm, call

HEADER = struct.Struct("<6I")  # flags, bytes of a name, descriptors, offsets of the id, the descriptors and the data
DESCRIPTOR = struct.Struct("<IhHII")  # flags, exponent, numbers, offset in the data, bucket size; the name follows


def read(kvm: Kvm, vcpu: int) -> dict[str, int]:
    """Single numbers of the vcpu with this file descriptor; empty where this KVM counts none."""
    if not kvm.has(abi.CAP_BINARY_STATS_FD):
        return {}
    descriptor = call(vcpu, abi.GET_STATS_FD, what="KVM_GET_STATS_FD")
    try:
        _, name_size, count, _, descriptors_at, data_at = HEADER.unpack(os.pread(descriptor, HEADER.size, 0))
        found = {}
        size = DESCRIPTOR.size + name_size
        raw = os.pread(descriptor, size * count, descriptors_at)
        for at in range(0, size * count, size):
            _, _, numbers, offset, _ = DESCRIPTOR.unpack_from(raw, at)
            name = raw[at + DESCRIPTOR.size : at + size].split(b"\0")[0].decode()
            if numbers == 1:
                found[name] = int.from_bytes(os.pread(descriptor, 8, data_at + offset), "little")
        return found
    finally:
        os.close(descriptor)
