"""Makes the guests' binaries from their sources: `python -m tanken.machine.guest.build`, with binutils; and gives them.

`kernel.elf`, and `ways.elf` of `tanken measure ways`, are entered by PVH. `bzimage()` puts the same code behind a header of Linux's boot protocol, entered in long mode.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tanken import elf
from tanken.elf.names import PT_LOAD

HERE = Path(__file__).parent
BASE = 0x10_0000
SECTORS = 4
ENTRY = 0x200  # of the 64-bit entry, behind the load address


def assemble(source: Path, out: Path) -> None:
    """Source to ELF; raises CalledProcessError where binutils say no."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "kernel.o"
        subprocess.run(["as", "--64", "-o", str(code), str(source)], check=True, capture_output=True)
        options = ["-m", "elf_x86_64", "-n", "-static", "--build-id=none", "-z", "noexecstack", "--no-warn-rwx-segments", "-e", "start32"]
        subprocess.run(["ld", *options, "-T", str(HERE / "kernel.ld"), "-o", str(out), str(code)], check=True, capture_output=True)


@cache
def kernel() -> bytes:
    """The ELF file that comes with tanken."""
    return (HERE / "kernel.elf").read_bytes()


WAYS = HERE / "ways.elf"


def flat(image: elf.Elf) -> bytes:
    """Its memory from BASE on."""
    parts = [segment for segment in image.segments if segment.type == PT_LOAD]
    out = bytearray(max(part.physical + part.memory_size for part in parts) - BASE)
    for part in parts:
        out[part.physical - BASE : part.physical - BASE + part.file_size] = image.data[part.offset : part.offset + part.file_size]
    return bytes(out)


def bzimage() -> bytes:
    """The guest as a bzImage. Its code is linked for BASE, so the stub at the 64-bit entry copies it down from behind itself and jumps there."""
    image = elf.read(kernel(), "kernel.elf")
    body = flat(image)
    start = image.symbol("start64")
    assert start is not None
    load = 0x100_0000
    stub = b"\x49\x89\xf7\x48\xbe" + (load + 0x1000).to_bytes(8, "little") + b"\x48\xbf" + BASE.to_bytes(8, "little")  # mov r15, rsi: there is no stack; mov rsi, ...; mov rdi, ...
    stub += b"\x48\xc7\xc1" + (len(body) + 7 >> 3).to_bytes(4, "little") + b"\xf3\x48\xa5\x4c\x89\xfe"  # mov rcx, ...; rep movsq; mov rsi, r15
    stub += b"\x48\xb8" + start.value.to_bytes(8, "little") + b"\xff\xe0"  # mov rax, ...; jmp rax
    protected = (bytes(ENTRY) + stub).ljust(0x1000, b"\0") + body.ljust(len(body) + 7 & ~7, b"\0")
    header = bytearray((SECTORS + 1) * 512)
    protected = protected.ljust(len(protected) + 15 & ~15, b"\0")
    header[0x1F1] = SECTORS
    struct.pack_into("<I", header, 0x1F4, len(protected) >> 4)
    header[0x1FE:0x200] = b"\x55\xaa"
    header[0x200:0x202] = b"\xeb\x68"
    header[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", header, 0x206, 0x20F)
    header[0x211] = 1  # LOADED_HIGH
    struct.pack_into("<II", header, 0x214, 0x10_0000, 0)
    struct.pack_into("<IIB", header, 0x22C, 0x7FFF_FFFF, 0x20_0000, 0)
    struct.pack_into("<HII", header, 0x236, 1, 2047, 0)  # xloadflags: a 64-bit entry
    struct.pack_into("<QI", header, 0x258, load, (len(protected) + 0xFFFF & ~0xFFFF) + 0x10_0000)
    return bytes(header) + protected


if __name__ == "__main__":
    for name in ("kernel", "ways"):
        assemble(HERE / f"{name}.S", HERE / f"{name}.elf")
        print(f"{name}.elf: {len((HERE / f'{name}.elf').read_bytes())} bytes", file=sys.stderr)
