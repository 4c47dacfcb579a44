"""Speed of x86 disassembly on real code: tanken, iced-x86, Capstone and objdump side by side, one process, one thread, CPU time.

`python -m benchmarks.dis [FILE]` (not as a script: its name hides the module dis); the default is the .text of libpython3.11; best of three after a warm-up.
"""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import capstone
import iced_x86

from tanken.isa import x86

LIBRARY = "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0"


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
    code, at = text_section(sys.argv[1] if len(sys.argv) > 1 else LIBRARY)
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    engine.skipdata = True
    with tempfile.NamedTemporaryFile() as file:
        file.write(code)
        file.flush()
        command = ["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", file.name]
        rows: list[tuple[str, float]] = [
            ("tanken decode_array", best(lambda: x86.decode_array(code, at))),
            ("tanken text_lines", best(lambda: sum(map(len, x86.text_lines(code, at))))),
            ("iced-x86 Decoder", best(lambda: sum(1 for _ in iced_x86.Decoder(64, code, ip=at)))),
            ("iced-x86 FastFormatter", best(lambda: iced_text(code, at))),
            ("Capstone disasm_lite", best(lambda: sum(1 for _ in engine.disasm_lite(code, at)))),
            ("objdump -D", best(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True), children)),
        ]
    print(f"{len(code) / 1e6:.2f} MB of .text")
    for name, seconds in rows:
        print(f"{name:24} {seconds:8.3f} s {len(code) / 1e6 / seconds:9.2f} MB/s {seconds / rows[1][1]:8.2f} x the time of text_lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
