"""Linux's boot protocol: a bzImage, entered by its 64-bit entry.

Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; zero-page.rst for the places in boot_params.
"""

from __future__ import annotations

from typing import Any

from tanken.base.errors import InputError, UnsupportedError, UsageError
from tanken.board.memory import Memory
from tanken.isa.x86.state import RSI
from tanken.isa.x86.system.state import SystemState
from tanken.machine.boot import place
from tanken.machine.boot.place import LAYOUTS, PARAMETERS, Payload

HEADER = 0x1F1
E820_COUNT, E820_TABLE, RSDP, ROOM = 0x1E8, 0x2D0, 0x70, 4096
LOADED_HIGH, KEEP_SEGMENTS, XLF_64 = 1, 1 << 6, 1
UNDEFINED_LOADER = 0xFF


def is_bzimage(data: bytes) -> bool:
    return data[0x202:0x206] == b"HdrS"


def header(payload: Payload) -> dict[str, Any]:
    """The setup header; raises InputError where it is cut off, UnsupportedError where it is too old."""
    name = payload.kernel_name
    values = LAYOUTS["setup_header"].unpack(payload.kernel, HEADER, name)
    version = values["version"]
    if version < 0x20C or not values["xloadflags"] & XLF_64:
        raise UnsupportedError(f"boot protocol {version >> 8}.{version & 255:02} without a 64-bit entry", where=name, wanted="2.12 or later with XLF_KERNEL_64")
    return values


def load(memory: Memory, payload: Payload) -> SystemState:
    """Put it in place; the state at the entry."""
    values, name = header(payload), payload.kernel_name
    start = ((values["setup_sects"] or 4) + 1) * 512
    code = payload.kernel[start:]
    declared = values["syssize"] * 16
    if not code or (declared and len(code) + 15 < declared):
        raise InputError(f"{len(code)} bytes of kernel behind the header", where=name, wanted=f"{declared}: the file is cut off")
    at = values["pref_address"] or 0x100_0000
    need = max(values["init_size"], len(code))
    if at + need > place.low_top(memory):
        raise UsageError(f"{memory.size >> 20} MiB of memory", where=name, wanted=f"{-(-(at + need) >> 20)} MiB for this kernel alone", hint="--memory gives more")
    memory.write(at, code)
    command_line = place.put_command_line(memory, payload, values["cmdline_size"] or 255)
    initrd = place.put_initrd(memory, payload, at + need, values["initrd_addr_max"])
    values |= {"type_of_loader": UNDEFINED_LOADER, "loadflags": values["loadflags"] & ~KEEP_SEGMENTS, "ramdisk_image": initrd,
               "ramdisk_size": len(payload.initrd), "cmd_line_ptr": command_line, "code32_start": at, "vid_mode": 0xFFFF}  # fmt: skip
    parameters = bytearray(ROOM)
    packed = LAYOUTS["setup_header"].pack(values)
    end = 0x202 + payload.kernel[0x201]
    parameters[HEADER:end] = packed[: end - HEADER].ljust(end - HEADER, b"\0")
    parameters[RSDP : RSDP + 8] = payload.rsdp.to_bytes(8, "little")
    rows = place.memory_map(memory)
    parameters[E820_COUNT] = len(rows)
    table = b"".join(LAYOUTS["e820"].pack(dict(zip(("address", "size", "type"), row, strict=True))) for row in rows)
    parameters[E820_TABLE : E820_TABLE + len(table)] = table
    memory.write(PARAMETERS, parameters)
    state = place.long_mode(memory, at + 0x200)
    state.regs[RSI] = PARAMETERS
    return state
