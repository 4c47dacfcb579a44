"""Where a loader puts what a kernel is handed, the map of memory that it tells of, and the tables for protected and long mode.

    0x01000  GDT                     0x02000  boot_params or start_info
    0x03000  page tables (6 pages)   0x10000  command line         0xe0000  ACPI tables
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tanken.base.errors import InputError, UsageError
from tanken.board.memory import Memory
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.state import SystemState
from tanken.notation.layout import parse_layout

LAYOUTS = parse_layout((Path(__file__).parent / "boot.layout").read_text(), "boot.layout")
GDT, PARAMETERS, PAGE_TABLES, COMMAND_LINE, ACPI = 0x1000, 0x2000, 0x3000, 0x1_0000, 0xE_0000
LOW_END, HIGH_START, BIOS = 0x9_FC00, 0x10_0000, 0xE_0000
RAM, RESERVED = 1, 2
CODE64, CODE32, DATA = 0x00AF_9A00_0000_FFFF, 0x00CF_9A00_0000_FFFF, 0x00CF_9200_0000_FFFF
SELECT_CODE, SELECT_DATA = 0x10, 0x18
PAGE = 4096


@dataclass
class Payload:
    """What is to be booted, as bytes, with the names that messages tell."""

    kernel: bytes
    kernel_name: str
    initrd: bytes = b""
    initrd_name: str = ""
    append: str = ""
    rsdp: int = 0


def memory_map(memory: Memory) -> list[tuple[int, int, int]]:
    """(address, size, type) of everything a kernel may or may not use."""
    rows = [(0, LOW_END, RAM), (LOW_END, 0xA_0000 - LOW_END, RESERVED), (BIOS, HIGH_START - BIOS, RESERVED)]
    for region in memory.regions:
        start = max(region.base, HIGH_START)
        if region.writable and start < region.end:
            rows.append((start, region.end - start, RAM))
    return rows


def low_top(memory: Memory) -> int:
    """Where RAM below 4 GiB ends."""
    return max(region.end for region in memory.regions if region.writable and region.end <= 1 << 32)


def put_command_line(memory: Memory, payload: Payload, longest: int) -> int:
    """Its address; raises UsageError for one that is too long."""
    text = payload.append.encode()
    if len(text) > longest:
        raise UsageError(f"a command line of {len(text)} bytes", wanted=f"at most {longest}", hint="--append")
    memory.write(COMMAND_LINE, text + b"\0")
    return COMMAND_LINE


def put_initrd(memory: Memory, payload: Payload, after: int, highest: int) -> int:
    """As high as it may stand, above the kernel, which ends at `after`. Raises UsageError where there is no room."""
    size = len(payload.initrd)
    if not size:
        return 0
    at = min(low_top(memory), highest + 1) - size & -PAGE
    if at < after:
        raise UsageError(f"no room for the initrd of {size} bytes above the kernel's end at {after:#x}", where=payload.initrd_name,
                         wanted=f"{-(-(after + size) >> 20)} MiB of memory", hint="--memory gives more")  # fmt: skip
    memory.write(at, payload.initrd)
    return at


def check_initrd(data: bytes, name: str) -> None:
    """Raises InputError for an archive that ends too early (Linux Documentation/driver-api/early-userspace/buffer-format.rst)."""
    import bz2
    import lzma
    import zlib

    if not data:
        raise InputError("an empty initrd", where=name, wanted="a cpio archive, packed or not")
    try:
        if data[:2] == b"\x1f\x8b":
            machine = zlib.decompressobj(31)
            rest = data
            while rest:  # 1 MiB at a time: an archive may unpack to gigabytes
                machine.decompress(rest, 1 << 20)
                rest = machine.unconsumed_tail
            ended = machine.eof
        elif data[:6] == b"\xfd7zXZ\0":
            ended = data[-2:] == b"YZ"
            lzma.LZMADecompressor().decompress(data[: 1 << 16], 1)
        elif data[:3] == b"BZh":
            bz2.BZ2Decompressor().decompress(data[: 1 << 16], 1)
            ended = True
        elif data[:6] in (b"070701", b"070702"):
            ended = b"TRAILER!!!" in data
        elif data[:4] in (b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18"):
            ended = True
        else:
            raise InputError(f"begins with {data[:6].hex(' ')}", where=name, wanted="a cpio archive (070701), packed by gzip, xz, bzip2, LZ4 or zstd, or not")
    except (zlib.error, lzma.LZMAError, OSError) as error:
        raise InputError(str(error), where=name, wanted="a whole initrd") from error
    if not ended:
        raise InputError(f"{len(data)} bytes, then the archive ends too early", where=name, wanted="a whole initrd")


# -- the state at the entry


def _flat(state: SystemState, code_rights: int) -> None:
    state.set_segment(S.CS, SELECT_CODE, 0, 0xFFFF_FFFF, code_rights)
    for number in (S.ES, S.SS, S.DS, S.FS, S.GS):
        state.set_segment(number, SELECT_DATA, 0, 0xFFFF_FFFF, 0xC093)
    state.tr, state.tr_base, state.tr_limit, state.tr_rights = 0, 0, 0x67, 0x8B
    state.ldtr, state.ldtr_base, state.ldtr_limit, state.ldtr_rights = 0, 0, 0xFFFF, 0x82
    state.gdtr_base, state.gdtr_limit = GDT, 4 * 8 - 1
    state.idtr_base = state.idtr_limit = 0


def _put_gdt(memory: Memory, code: int) -> None:
    memory.write(GDT, b"".join(value.to_bytes(8, "little") for value in (0, 0, code, DATA)))


def protected_mode(memory: Memory, entry: int) -> SystemState:
    """32 bits, no paging, flat segments, interrupts off."""
    _put_gdt(memory, CODE32)
    state = SystemState()
    _flat(state, 0xC09B)
    state.cr0 = S.PE | S.ET
    state.rip, state.rflags = entry, 2
    return state


def long_mode(memory: Memory, entry: int) -> SystemState:
    """64 bits, the first 4 GiB mapped one to one by pages of 2 MiB, interrupts off."""
    _put_gdt(memory, CODE64)
    pml4, pdpt, pd = PAGE_TABLES, PAGE_TABLES + PAGE, PAGE_TABLES + 2 * PAGE
    tables = bytearray(6 * PAGE)
    tables[0:8] = (pdpt | 3).to_bytes(8, "little")
    for number in range(4):
        tables[PAGE + 8 * number : PAGE + 8 * number + 8] = (pd + number * PAGE | 3).to_bytes(8, "little")
    for number in range(2048):
        tables[2 * PAGE + 8 * number : 2 * PAGE + 8 * number + 8] = (number << 21 | 0x83).to_bytes(8, "little")
    memory.write(pml4, tables)
    state = SystemState()
    _flat(state, 0xA09B)
    state.cr0, state.cr3, state.cr4, state.efer = S.PE | S.ET | S.NE | S.PG, pml4, S.PAE, S.LME | S.LMA
    state.rip, state.rflags = entry, 2
    return state
