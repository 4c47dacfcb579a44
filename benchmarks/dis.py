"""Speed of x86 disassembly on real code: tanken, iced-x86, Capstone and objdump side by side, one process, one thread, CPU time.

`python -m benchmarks.dis [FILE]` (not as a script: its name hides the module dis); the default is the .text of libpython3.11; best of three after a warm-up.
"""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import capstone
import iced_x86

from tanken.isa import x86

LIBRARY = "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0"
PROMISED = (
    ("tanken decode_array", "iced-x86 Decoder", 1.0), ("tanken decode_array", "Capstone disasm_lite", 8.0), ("tanken text_lines", "iced-x86 FastFormatter", 1.5),
    ("tanken text_lines", "Capstone disasm_lite", 3.0), ("tanken text_lines", "objdump -d", 2.0),
)  # fmt: skip


def text_section(path: str) -> tuple[bytes, int]:
    """The bytes and the address of .text of a 64-bit ELF file."""
    data = Path(path).read_bytes()
    (table,) = struct.unpack_from("<Q", data, 40)
    entry, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * entry) for i in range(count)]
    for header in headers:
        start = headers[names][4] + header[0]
        if data[start : data.index(0, start)] == b".text":
            return data[header[4] : header[4] + header[5]], header[3]
    raise SystemExit(f"{path}: no .text")


def best(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of CPU time, the best of three after one run that does not count."""
    run()
    times = []
    for _ in range(3):
        before = clock()
        run()
        times.append(clock() - before)
    return min(times)


def children() -> float:
    """CPU seconds of the processes waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def iced_text(code: bytes, at: int) -> None:
    """Every instruction formatted by iced-x86's fastest formatter."""
    formatter = iced_x86.FastFormatter()
    for inst in iced_x86.Decoder(64, code, ip=at):
        formatter.format(inst)


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else LIBRARY
    code, at = text_section(path)
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    engine.skipdata = True
    listing = ["objdump", "-d", "-M", "intel", "-j", ".text", path]
    ours = [sys.executable, "-m", "tanken", "dis", "--plain", "--section", ".text", path]
    seconds = {
        "tanken decode_array": best(lambda: x86.decode_array(code, at)),
        "tanken text_lines": best(lambda: sum(map(len, x86.text_lines(code, at)))),
        "iced-x86 Decoder": best(lambda: sum(1 for _ in iced_x86.Decoder(64, code, ip=at))),
        "iced-x86 FastFormatter": best(lambda: iced_text(code, at)),
        "Capstone disasm_lite": best(lambda: sum(1 for _ in engine.disasm_lite(code, at))),
        "objdump -d": best(lambda: subprocess.run(listing, stdout=subprocess.DEVNULL, check=True), children),
        "tanken dis --plain": best(lambda: subprocess.run(ours, stdout=subprocess.DEVNULL, check=True), children),
    }
    print(f"{len(code) / 1e6:.2f} MB of .text of {path}; CPU seconds, the best of three")
    for name, time_taken in seconds.items():
        print(f"{name:24} {time_taken:8.3f} s {len(code) / 1e6 / time_taken:9.2f} MB/s")
    missed = 0
    for ours_name, rival, wanted in PROMISED:
        ratio = seconds[rival] / seconds[ours_name]
        missed += ratio < wanted
        print(f"{ours_name} is {ratio:.2f} times as fast as {rival} (promised {wanted}){'' if ratio >= wanted else ': UNMET'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
