"""The file descriptors of KVM: the device, and a machine with its memory, its coalesced zones and its filter of MSRs.

linux/Documentation/virt/kvm/api.rst, by the name of each ioctl.
"""

from __future__ import annotations

import ctypes
import os
import struct

from tanken.base.errors import InternalError, UnsupportedError
from tanken.board.memory import Memory
from tanken.hypervisor.kvm import abi

DEVICE = "/dev/kvm"
EINTR, EAGAIN = 4, 11
_libc = ctypes.CDLL(None, use_errno=True)
_ioctl = _libc.ioctl
_ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
TSS, IDENTITY_MAP = 0xFFFB_D000, 0xFFFB_C000  # pages that old processors want kept free for real mode


def call(descriptor: int, code: int, argument: object = 0, *, what: str = "") -> int:
    """One ioctl; raises InternalError naming it where the kernel refuses."""
    result: int = _ioctl(descriptor, code, argument)
    if result < 0:
        error = ctypes.get_errno()
        raise InternalError(f"KVM refuses {what or hex(code)}: {os.strerror(error)}")
    return result


def buffer(data: bytes | bytearray) -> ctypes.Array[ctypes.c_char]:
    """Bytes that the kernel reads or writes."""
    return ctypes.create_string_buffer(bytes(data), len(data))


def missing() -> str | None:
    """Why KVM cannot be used here, None where it can."""
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    try:
        version = _ioctl(descriptor, abi.GET_API_VERSION, 0)
        return None if version == abi.API_VERSION else f"{DEVICE}: API version {version}, not {abi.API_VERSION}"
    finally:
        os.close(descriptor)


class Kvm:
    """The device. Raises UnsupportedError where it is not there."""

    def __init__(self) -> None:
        if reason := missing():
            raise UnsupportedError(reason, wanted="a Linux host with KVM", hint="--cpu own runs without")
        self.descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
        self.run_size = call(self.descriptor, abi.GET_VCPU_MMAP_SIZE)

    def has(self, capability: int) -> int:
        """What CHECK_EXTENSION says."""
        return call(self.descriptor, abi.CHECK_EXTENSION, capability)

    def supported_cpuid(self) -> list[tuple[int, ...]]:
        """Rows of function, index, flags, eax, ebx, ecx, edx."""
        room = 256
        data = buffer(struct.pack("<II", room, 0) + bytes(room * abi.CPUID_ENTRY.size))
        call(self.descriptor, abi.GET_SUPPORTED_CPUID, data, what="KVM_GET_SUPPORTED_CPUID")
        count = struct.unpack_from("<I", data.raw)[0]
        return [abi.CPUID_ENTRY.unpack_from(data.raw, 8 + n * abi.CPUID_ENTRY.size) for n in range(count)]

    def close(self) -> None:
        os.close(self.descriptor)


class Vm:
    """A machine: its memory is what `memory`'s regions are when it is made."""

    def __init__(self, kvm: Kvm, memory: Memory) -> None:
        self.kvm, self.memory = kvm, memory
        self.descriptor = call(kvm.descriptor, abi.CREATE_VM)
        call(self.descriptor, abi.SET_TSS_ADDR, TSS, what="KVM_SET_TSS_ADDR")
        call(self.descriptor, abi.SET_IDENTITY_MAP_ADDR, buffer(struct.pack("<Q", IDENTITY_MAP)), what="KVM_SET_IDENTITY_MAP_ADDR")
        for slot, region in enumerate(memory.regions):
            flags = 0 if region.writable else abi.READ_ONLY
            packed = abi.REGION.pack(slot, flags, region.base, region.size, region.host_address)
            call(self.descriptor, abi.SET_USER_MEMORY_REGION, buffer(packed), what=f"memory {region}")
        for capability, value in ((abi.CAP_USER_SPACE_MSR, abi.MSR_REASONS), (abi.CAP_EXIT_ON_EMULATION_FAILURE, 1)):
            if kvm.has(capability):
                call(self.descriptor, abi.ENABLE_CAP, buffer(abi.CAPABILITY.pack(capability, 0, value, 0, 0, 0)), what=f"capability {capability}")

    def filter_msrs(self, numbers: list[int]) -> None:
        """Have accesses to these MSRs exit instead of being KVM's own affair."""
        bitmap = buffer(b"\0")  # one register each, denied
        self._bitmap = bitmap
        ranges = b"".join(struct.pack("<IIIxxxxQ", 3, 1, number, ctypes.addressof(bitmap)) for number in numbers[:16])
        packed = struct.pack("<I4x", 0) + ranges.ljust(16 * 24, b"\0")
        call(self.descriptor, abi.SET_MSR_FILTER, buffer(packed), what="KVM_X86_SET_MSR_FILTER")

    def coalesce(self, address: int, size: int, port: bool) -> None:
        """Keep writes there in the ring until something else makes the vcpu exit."""
        call(self.descriptor, abi.REGISTER_COALESCED, buffer(abi.ZONE.pack(address, size, int(port))), what="KVM_REGISTER_COALESCED_MMIO")

    def close(self) -> None:
        os.close(self.descriptor)
