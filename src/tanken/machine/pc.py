"""The PC: a board with its devices at their usual addresses, a kernel in its memory, and a vcpu.

Ports and interrupts: IBM PC/AT Technical Reference; local and I/O APIC where Intel's chipsets have them (SDM volume 3, 11.4.1; 82093AA).

    0x00000000  RAM, up to 3 GiB           0xfec00000  I/O APIC
    0x100000000 the rest of it             0xfee00000  local APIC

    Pc(kernel="vmlinuz", initrd="initrd.gz", append="console=ttyS0", memory="256M").run()
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tanken.base.errors import InputError, UsageError
from tanken.base.progress import Progress, silent
from tanken.board.bus import Bus, Window
from tanken.board.clock import Clock
from tanken.board.device import Device
from tanken.board.devices.acpi_pm import AcpiPm
from tanken.board.devices.i8042 import I8042
from tanken.board.devices.ioapic import IoApic
from tanken.board.devices.lapic import LocalApic
from tanken.board.devices.pic import Pic
from tanken.board.devices.pit import Pit
from tanken.board.devices.pvclock import PvClock
from tanken.board.devices.rtc import Rtc
from tanken.board.devices.uart import Uart
from tanken.board.interrupts import Interrupts, Line
from tanken.board.memory import Memory, side_by_side
from tanken.hypervisor.vcpu import Vcpu
from tanken.isa.x86.system.state import SystemState
from tanken.machine.acpi.tables import Hardware, build
from tanken.machine.boot import linux, place, pvh
from tanken.machine.boot.place import Payload
from tanken.machine.console import Far, console
from tanken.machine.description import Description
from tanken.machine.guest.build import kernel as embedded
from tanken.machine.loop import Ended, Loop
from tanken.machine.snapshot import Snapshot, put, take

LOW_MOST, HIGH = 0xC000_0000, 1 << 32
SERIAL = ((0x3F8, 4), (0x2F8, 3))
PM, SCI = 0x600, 9
IOAPIC, LAPIC_SIZE = 0xFEC0_0000, 0x1000
LAPIC_HZ = 25_000_000  # the crystal that CPUID leaf 15h tells of
FIXED_TIME = 1_735_689_600  # 2025-01-01, where the clock counts instructions
EMBEDDED = "the guest that comes with tanken"
SLACK = 10_000_000  # nanoseconds that a coalesced write waits at most


class Pc(Loop):
    """A machine that is ready to `run`. Settings are those of Description.

    `far` is a far end of the serial line instead of one that `console` names, `vcpu` makes another processor than `cpu` names; `tell` is told how
    far our own processor is, where that has to be made first.
    """

    def __init__(
        self, description: Description | None = None, *, far: Far | None = None, vcpu: Callable[[Pc], Vcpu] | None = None, tell: Progress = silent,
        resumed: Snapshot | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.description = description or Description(**settings)
        self._tell = tell
        self.console: Far = far if far is not None else console(self.description.console)
        self.clock = Clock(self.description.clock)
        self.pio = Bus("pio", 16)
        self.memory = Memory()
        self.devices: dict[str, Device] = {}
        self._add_memory()
        self._add_devices()
        self.payload = self._payload(resumed is not None)
        self.entry = self._load() if resumed is None else SystemState()
        self.vcpu = vcpu(self) if vcpu is not None else self._make_vcpu()
        self.vcpu.set_state(self.entry)
        self.prepare()
        if resumed is not None:
            put(self, resumed)

    # -- snapshots

    @classmethod
    def resumed(cls, snapshot: Snapshot, **more: Any) -> Pc:
        """A machine that goes on where the snapshot was taken; `more` as for a new one, and `console` instead of that of its description."""
        try:
            settings = {**snapshot.about["description"], "cpu": "own"}
            settings |= {name: more.pop(name) for name in ("console",) if name in more}
            description = Description(**settings)
        except (KeyError, TypeError) as error:
            raise InputError(f"a snapshot that is none: {error}", wanted="one that this version took") from error
        return cls(description, resumed=snapshot, **more)

    def snapshot(self) -> Snapshot:
        """The whole machine as a value; it runs on until its processor is at rest, if need be."""
        taken: list[Snapshot] = []
        self.taking = lambda: taken.append(take(self))
        if getattr(self.vcpu, "at_rest", True):
            self.taking()
            self.taking = None
        while not taken and self.ended is None:
            self.wake()
            self.step()
        if not taken:
            raise UsageError("a snapshot of a machine that has ended", wanted="one that runs")
        return taken[0]

    def restore(self, snapshot: Snapshot) -> None:
        """Go on where the snapshot was taken, of this machine or one with the same hardware."""
        put(self, snapshot)

    # -- the board

    def _add_memory(self) -> None:
        size = self.description.memory
        wanted = [("ram", 0, min(size, LOW_MOST)), *([("high ram", HIGH, size - LOW_MOST)] if size > LOW_MOST else [])]
        for region in side_by_side(wanted):
            self.memory.add(region)

    def _add_devices(self) -> None:
        wanted = self.description
        self.ended: Ended | None = None
        self.output = Line("intr")
        self.pic = Pic(self.output)
        self.lapic = LocalApic(self.clock, LAPIC_HZ, memory=self.memory)
        self.ioapic = IoApic(self._message)
        self.lapic.broadcast_eoi = self.ioapic.end
        self.interrupts = Interrupts(self.pic, self.lapic)
        self.isa_lines = [self._isa_line(number) for number in range(16)]
        self.pm = AcpiPm(self.clock, self.isa_lines[SCI], self._power_off, self._reset)
        base = int(time.time()) if wanted.clock == "real" else FIXED_TIME
        self.pvclock = self.devices["pvclock"] = PvClock(self.clock, self.memory, base)
        self._place("pic", self.pic, (0x20, 2, 0), (0xA0, 2, 2), (0x4D0, 2, 4))
        self._place("acpi_pm", self.pm, (PM, 18, 0))
        if wanted.pit:
            self._place("pit", Pit(self.clock, self.isa_lines[0]), (0x40, 4, 0), (0x61, 1, 4))
        if wanted.rtc:
            self._place("rtc", Rtc(self.clock, self.isa_lines[8], base), (0x70, 2, 0))
        if wanted.i8042:
            self._place("i8042", I8042(self.isa_lines[1], self.isa_lines[12], self._reset), (0x60, 1, 0), (0x64, 1, 1))
        self.uarts = []
        for number in range(wanted.serial):
            port, interrupt = SERIAL[number]
            uart = Uart(self.isa_lines[interrupt], self.console if number == 0 else None)
            self.uarts.append(uart)
            self._place(f"uart{number + 1}", uart, (port, 8, 0))
        self.devices["ioapic"], self.devices["lapic"] = self.ioapic, self.lapic
        self.memory.bus.attach(IOAPIC, 0x20, self.ioapic)
        self._lapic_window: Window | None = None
        self.lapic.rebased = self._rebase
        self._rebase(self.lapic.base)
        self.lapic.virtual_wire()
        self.pic.write(5, 1 << SCI - 8, 1)

    def _isa_line(self, number: int) -> Line:
        line = Line(f"irq{number}")
        line.connect(self.ioapic.inputs[2 if number == 0 else number].set)
        if number != 2:
            line.connect(self.pic.inputs[number].set)
        return line

    def _place(self, name: str, device: Device, *windows: tuple[int, int, int]) -> None:
        self.devices[name] = device
        for port, size, offset in windows:
            self.pio.attach(port, size, device, offset)

    def _message(self, mode: int, vector: int, level: bool, destination: int, logical: bool) -> None:
        if self.lapic.is_addressed(destination, logical):
            self.lapic.deliver(mode, vector, level)

    def _rebase(self, base: int) -> None:
        """The local APIC answers where its base register says, while it is on."""
        if self._lapic_window is not None:
            self.memory.bus.detach(self._lapic_window)
            self._lapic_window = None
        self.lapic_at: int | None = None
        at = base & ~0xFFF
        if base & 0x800 and not self.memory.bus.touches(at, LAPIC_SIZE):
            self._lapic_window, self.lapic_at = self.memory.bus.attach(at, LAPIC_SIZE, self.lapic), at

    def posted(self) -> list[tuple[int, int, bool]]:
        """(address, size, is a port) of the registers whose writes may wait (`posted` in their tables), and of port 80h, where nobody listens."""
        zones = [(0x80, 1, True)]
        for bus, port in ((self.pio, True), (self.memory.bus, False)):
            for window in bus.windows:
                for register in window.device.registers.spaces[""]:
                    at = window.base + register.offset - window.offset
                    if register.posted and window.base <= at < window.end:
                        zones.append((at, register.size, port))
        return zones

    # -- what is booted

    def _payload(self, is_resumed: bool) -> Payload:
        wanted = self.description
        if is_resumed:  # the kernel's file is for the names of its functions alone
            return Payload(read_file(wanted.kernel) if Path(wanted.kernel).is_file() else b"" if wanted.kernel else embedded(), wanted.kernel or EMBEDDED)
        data, name = (read_file(wanted.kernel), wanted.kernel) if wanted.kernel else (embedded(), EMBEDDED)
        payload = Payload(data, name, append=wanted.append)
        if wanted.initrd:
            payload.initrd, payload.initrd_name = read_file(wanted.initrd), wanted.initrd
            place.check_initrd(payload.initrd, wanted.initrd)
        return payload

    def _load(self) -> SystemState:
        wanted, payload = self.description, self.payload
        hardware = Hardware(PM, SCI, serial=SERIAL[: wanted.serial], has_8042=wanted.i8042, has_rtc=wanted.rtc, has_pit=wanted.pit, ioapic=IOAPIC)
        image, self.acpi = build(hardware, place.ACPI)
        self.memory.write(place.ACPI, image)
        payload.rsdp = place.ACPI
        if linux.is_bzimage(payload.kernel):
            if wanted.protocol == "pvh":
                from tanken.elf.kernel_image import vmlinux

                payload.kernel = vmlinux(payload.kernel, payload.kernel_name)
                return pvh.load(self.memory, payload)
            return linux.load(self.memory, payload)
        if payload.kernel[:4] != b"\x7fELF":
            raise InputError(f"begins with {payload.kernel[:4].hex(' ') or 'nothing'}", where=payload.kernel_name,
                             wanted="a Linux kernel: a bzImage, or an ELF file with a PVH entry")
        if wanted.protocol == "linux":
            raise UsageError("an ELF file by Linux's protocol", where=payload.kernel_name, wanted="a bzImage", hint="--protocol pvh")
        return pvh.load(self.memory, payload)

    # -- the processor

    def _make_vcpu(self) -> Vcpu:
        kind = self.description.cpu
        if kind == "auto":
            kind = automatic(self.description)
        if kind == "own":
            return self._own()
        if self.description.clock == "instructions":
            raise UsageError("--clock instructions with KVM, which counts none", wanted="--cpu own")
        from tanken.hypervisor.kvm.probe import cpuid
        from tanken.hypervisor.kvm.system import Kvm, Vm
        from tanken.hypervisor.kvm.vcpu import KvmVcpu

        kvm = Kvm()
        vm = Vm(kvm, self.memory)
        vm.filter_msrs([0x1B, 0x6E0])
        vcpu = KvmVcpu(vm, cpuid(kvm, apic=True))
        self.clock.tsc_hz = vcpu.tsc_hz()
        self.clock.tsc_base = vcpu.read_tsc() - self.clock.now() * self.clock.tsc_hz // 1_000_000_000
        if self.description.coalesce:
            for address, size, port in self.posted():
                vm.coalesce(address, size, port)
            self.slack = SLACK
        return vcpu

    def _own(self) -> Vcpu:
        from tanken.hypervisor import making
        from tanken.hypervisor.own import native_is_possible, vcpu

        if native_is_possible():
            making.make(self._tell)
        made = vcpu(self.memory, self.clock)
        made.between = self.between
        if self.description.apic_page:
            made.apic.at = lambda: self.lapic_at
        if self.description.coalesce:
            for address, size, port in self.posted():
                made.zones.add(address, size, port)
        return made


def automatic(description: Description) -> str:
    """KVM where it runs systems natively; where it emulates them, only for the guest that comes with tanken; else our own processor."""
    from tanken.hypervisor.kvm.probe import runs_natively
    from tanken.hypervisor.kvm.system import missing

    if description.clock == "real" and missing() is None and (not description.kernel or runs_natively()):
        return "kvm"
    return "own"


def read_file(name: str) -> bytes:
    """Raises InputError where it cannot be read."""
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(getattr(error, "strerror", None) or str(error), where=name, wanted="a file that can be read") from error
