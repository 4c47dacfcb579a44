"""The ACPI tables of the PC: RSDP, XSDT, FADT, FACS, MADT, DSDT, laid out in memory.

ACPI specification 6.5, chapter 5; the numbers come from the addresses that the machine gave its devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tanken.board.devices.acpi_pm import GPE, GPE_BUTTON, RESET_VALUE, SOFT_OFF
from tanken.board.devices.rtc import CENTURY
from tanken.machine.acpi import aml
from tanken.notation.layout import parse_layout

LAYOUTS = parse_layout((Path(__file__).parent / "acpi.layout").read_text(), "acpi.layout")
HEADER = LAYOUTS["header"].size
OEM, PROGRAM = b"TANKEN", b"TANKENPC"
SYSTEM_IO = 1
WBINVD, PROC_C1, RTC_NOT_FIXED, TMR_VAL_EXT, RESET_REG_SUP = 1 << 0, 1 << 2, 1 << 6, 1 << 8, 1 << 10
POWER_BUTTON_NOT_FIXED, SLEEP_BUTTON_NOT_FIXED = 1 << 4, 1 << 5
PRESSED = 0x80  # the notification of a button (5.6.6, table 5.166)
LEGACY_DEVICES, HAS_8042, NO_VGA, NO_ASPM, NO_CMOS_RTC = 1 << 0, 1 << 1, 1 << 2, 1 << 4, 1 << 5
PCAT_COMPAT = 1
EDGE_HIGH, LEVEL_HIGH = 0b0101, 0b1101  # MPS INTI flags, table 5.28


@dataclass(frozen=True)
class Hardware:
    """What the tables tell of. `serial` are (port, interrupt); an address of None is a device that is not there."""

    pm: int
    sci: int
    lapic: int = 0xFEE0_0000
    ioapic: int = 0xFEC0_0000
    processors: int = 1
    serial: tuple[tuple[int, int], ...] = ()
    has_8042: bool = True
    has_rtc: bool = True
    has_pic: bool = True
    has_pit: bool = True
    devices: tuple[bytes, ...] = field(default=())  # AML of further devices, below \_SB


def _sum(data: bytes | bytearray) -> int:
    return -sum(data) & 0xFF


def table(signature: bytes, revision: int, body: bytes) -> bytes:
    """A table with its header and checksum."""
    values = {"signature": signature, "length": HEADER + len(body), "revision": revision, "oem_id": OEM, "oem_table": PROGRAM, "oem_revision": 1,
              "creator": b"TNKN", "creator_revision": 1}  # fmt: skip
    data = bytearray(LAYOUTS["header"].pack(values) + body)
    data[9] = _sum(data)
    return bytes(data)


def _gas(address: int, width: int) -> bytes:
    access = {8: 1, 16: 2, 32: 3}[width]
    return LAYOUTS["gas"].pack({"space": SYSTEM_IO, "width": width, "access": access, "address": address})


def dsdt(hardware: Hardware) -> bytes:
    r"""The devices of the board that cannot be found otherwise, the power button with its event, and what S5 is."""
    devices = []
    for number, (port, interrupt) in enumerate(hardware.serial, 1):
        crs = aml.name("_CRS", aml.resources(aml.io(port, 8), aml.irq(interrupt)))
        devices.append(aml.device(f"COM{number}", aml.name("_HID", aml.eisa_id("PNP0501")), aml.name("_UID", aml.integer(number)),
                                  aml.name("_STA", aml.integer(15)), crs))  # fmt: skip
    if hardware.has_rtc:
        devices.append(aml.device("RTC0", aml.name("_HID", aml.eisa_id("PNP0B00")), aml.name("_CRS", aml.resources(aml.io(0x70, 2), aml.irq(8)))))
    if hardware.has_8042:
        crs = aml.name("_CRS", aml.resources(aml.io(0x60, 1), aml.io(0x64, 1), aml.irq(1)))
        devices.append(aml.device("KBD0", aml.name("_HID", aml.eisa_id("PNP0303")), aml.name("_STA", aml.integer(15)), crs))
    if hardware.has_pit:
        devices.append(aml.device("TMR0", aml.name("_HID", aml.eisa_id("PNP0100")), aml.name("_CRS", aml.resources(aml.io(0x40, 4), aml.irq(0)))))
    reserved = aml.name("_CRS", aml.resources(aml.io(hardware.pm, 32), aml.memory32(hardware.ioapic, 0x1000), aml.memory32(hardware.lapic, 0x1000)))
    devices.append(aml.device("MBRD", aml.name("_HID", aml.eisa_id("PNP0C02")), aml.name("_UID", aml.integer(1)), reserved))
    for number in range(hardware.processors):
        devices.append(aml.device(f"CPU{number:X}", aml.name("_HID", aml.string("ACPI0007")), aml.name("_UID", aml.integer(number))))
    devices.append(aml.device("PWRB", aml.name("_HID", aml.eisa_id("PNP0C0C"))))
    event = aml.scope("_GPE", aml.method(f"_E{GPE_BUTTON:02X}", 0, aml.notify("\\_SB.PWRB", PRESSED)))
    s5 = aml.name("_S5", aml.package(aml.integer(SOFT_OFF), aml.integer(SOFT_OFF), aml.ZERO, aml.ZERO))
    return table(b"DSDT", 2, aml.scope("_SB_", *devices, *hardware.devices) + event + s5)


def fadt(hardware: Hardware, dsdt_at: int, facs_at: int) -> bytes:
    pm = hardware.pm
    arch = (LEGACY_DEVICES | (HAS_8042 if hardware.has_8042 else 0) | NO_VGA | NO_ASPM | (0 if hardware.has_rtc else NO_CMOS_RTC))
    values: Mapping[str, Any] = {
        "firmware_ctrl": facs_at, "dsdt": dsdt_at, "sci_int": hardware.sci, "pm1a_evt": pm, "pm1a_cnt": pm + 4, "pm_tmr": pm + 8, "pm1_evt_len": 4,
        "pm1_cnt_len": 2, "pm_tmr_len": 4, "gpe0": pm + GPE, "gpe0_len": 2,
        "x_gpe0": _gas(pm + GPE, 16), "p_lvl2_lat": 0xFFF, "p_lvl3_lat": 0xFFF, "century": CENTURY if hardware.has_rtc else 0, "boot_arch": arch,
        "flags": WBINVD | PROC_C1 | POWER_BUTTON_NOT_FIXED | SLEEP_BUTTON_NOT_FIXED | RTC_NOT_FIXED | TMR_VAL_EXT | RESET_REG_SUP, "reset_reg": _gas(pm + 12, 8),
        "reset_value": RESET_VALUE, "minor": 5, "x_dsdt": dsdt_at, "x_pm1a_evt": _gas(pm, 32), "x_pm1a_cnt": _gas(pm + 4, 16), "x_pm_tmr": _gas(pm + 8, 32),
        "hypervisor": PROGRAM,
    }  # fmt: skip
    return table(b"FACP", 6, LAYOUTS["fadt"].pack(values))


def madt(hardware: Hardware) -> bytes:
    parts = [LAYOUTS["madt"].pack({"lapic": hardware.lapic, "flags": PCAT_COMPAT if hardware.has_pic else 0})]
    for number in range(hardware.processors):
        parts.append(LAYOUTS["madt_lapic"].pack({"type": 0, "length": 8, "processor": number, "apic": number, "flags": 1}))
    parts.append(LAYOUTS["madt_ioapic"].pack({"type": 1, "length": 12, "id": 0, "address": hardware.ioapic}))
    for source, gsi, flags in ((0, 2, 0), (hardware.sci, hardware.sci, LEVEL_HIGH)):
        parts.append(LAYOUTS["madt_override"].pack({"type": 2, "length": 10, "source": source, "gsi": gsi, "flags": flags}))
    parts.append(LAYOUTS["madt_nmi"].pack({"type": 4, "length": 6, "processor": 0xFF, "lint": 1}))
    return table(b"APIC", 5, b"".join(parts))


def build(hardware: Hardware, at: int) -> tuple[bytes, dict[str, bytes]]:
    """All tables for memory at `at` (a multiple of 64), the RSDP first; and each by its name."""
    rsdp_size, xsdt_size = LAYOUTS["rsdp"].size, HEADER + 2 * 8
    facs_at = at + 64
    xsdt_at = facs_at + 64
    fadt_at = xsdt_at + (xsdt_size + 15 & ~15)
    madt_at = fadt_at + (HEADER + LAYOUTS["fadt"].size + 15 & ~15)
    apic = madt(hardware)
    dsdt_at = madt_at + (len(apic) + 15 & ~15)
    tables = {
        "FACS": (facs_at, LAYOUTS["facs"].pack({"signature": b"FACS", "length": 64, "version": 2})),
        "XSDT": (xsdt_at, table(b"XSDT", 1, fadt_at.to_bytes(8, "little") + madt_at.to_bytes(8, "little"))),
        "FACP": (fadt_at, fadt(hardware, dsdt_at, facs_at)), "APIC": (madt_at, apic), "DSDT": (dsdt_at, dsdt(hardware)),
    }  # fmt: skip
    rsdp = bytearray(LAYOUTS["rsdp"].pack({"signature": b"RSD PTR ", "oem_id": OEM, "revision": 2, "length": rsdp_size, "xsdt": xsdt_at}))
    rsdp[8] = _sum(rsdp[:20])
    rsdp[32] = _sum(rsdp)
    image = bytearray(rsdp)
    for where, data in tables.values():
        image = image.ljust(where - at, b"\0") + data
    return bytes(image), {name: data for name, (_, data) in tables.items()}
