"""PVH: an ELF file with Xen's note of a 32-bit entry, which skips a kernel's own decompressor.

Xen docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h; `note` finds the entry.
"""

from __future__ import annotations

from tanken import elf
from tanken.base.errors import InputError, UsageError
from tanken.board.memory import Memory
from tanken.elf.names import PT_LOAD
from tanken.isa.x86.state import RBX
from tanken.isa.x86.system.state import SystemState
from tanken.machine.boot import place
from tanken.machine.boot.note import entry
from tanken.machine.boot.place import LAYOUTS, PARAMETERS, Payload

MAGIC, VERSION = 0x336E_C578, 1
LONGEST = 2047
MODULES, MAP = PARAMETERS + 0x100, PARAMETERS + 0x200


def load(memory: Memory, payload: Payload) -> SystemState:
    """Put it in place; the state at the entry."""
    image = elf.read(payload.kernel, payload.kernel_name)
    start = entry(image)
    if start is None:
        raise InputError("no note of a PVH entry", where=payload.kernel_name,
                         wanted="a bzImage, or an ELF file with Xen's note 18")
    parts = [segment for segment in image.segments if segment.type == PT_LOAD and segment.memory_size]
    if not parts:
        raise InputError("no segment to load", where=payload.kernel_name, wanted="PT_LOAD")
    end = max(part.physical + part.memory_size for part in parts)
    if end > place.low_top(memory):
        raise UsageError(f"{memory.size >> 20} MiB of memory", where=payload.kernel_name, wanted=f"{-(-end >> 20)} MiB for this kernel alone", hint="--memory gives more")
    for part in parts:
        if part.physical < place.HIGH_START:
            raise InputError(f"a segment at {part.physical:#x}", where=payload.kernel_name, wanted=f"from {place.HIGH_START:#x} on: below are tables of the machine")
        if part.offset + part.file_size > len(image.data) or part.file_size > part.memory_size:
            raise InputError(f"a segment of {part.file_size:#x} bytes at offset {part.offset:#x}", where=payload.kernel_name, wanted="inside the file: it is cut off")
        memory.write(part.physical, memoryview(image.data)[part.offset : part.offset + part.file_size])
    initrd = place.put_initrd(memory, payload, end, 0x7FFF_FFFF)
    values = {"magic": MAGIC, "version": VERSION, "cmdline": place.put_command_line(memory, payload, LONGEST), "rsdp": payload.rsdp, "memmap": MAP}
    if initrd:
        values |= {"nr_modules": 1, "modlist": MODULES}
        memory.write(MODULES, LAYOUTS["module"].pack({"address": initrd, "size": len(payload.initrd)}))
    rows = place.memory_map(memory)
    memory.write(MAP, b"".join(LAYOUTS["memmap_entry"].pack(dict(zip(("address", "size", "type"), row, strict=True))) for row in rows))
    memory.write(PARAMETERS, LAYOUTS["start_info"].pack(values | {"memmap_entries": len(rows)}))
    state = place.protected_mode(memory, start)
    state.regs[RBX] = PARAMETERS
    return state
