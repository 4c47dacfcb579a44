"""The native engine on six small programs of our own, beside the host itself, qemu-x86_64 and Unicorn: `python -m benchmarks.cpu [NAME...]`.

Built by gcc -O2 -static; processor time of the whole process, its start included, the best of three; Unicorn's is that of the emulation alone.
Each program prints one checksum, which must be the host's.
"""

from __future__ import annotations

import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tanken import elf

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as a user's shell has it
FLAGS = "-O2 -static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie -fno-math-errno -fcf-protection=none".split()
HERE = Path(__file__).parent
NAMES = ("sha256", "intloop", "sieve", "quicksort", "nbody", "copy")
APART = ("longdouble",)  # x87: not in the means
ROUNDS = 3
PAGE = 4096


def timed(command: list[str]) -> tuple[float, bytes]:
    """(processor seconds, output), the best of three."""
    best = math.inf
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, check=True, env=ENVIRONMENT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best, done.stdout


def unicorn(path: Path) -> tuple[float, bytes]:
    """The same program in Unicorn, once; its two system calls are served here."""
    import unicorn as u
    from unicorn import x86_const as x

    machine, said = u.Uc(u.UC_ARCH_X86, u.UC_MODE_64), bytearray()
    data = path.read_bytes()
    for segment in elf.read(data, str(path)).segments:
        if segment.type == 1 and segment.memory_size:
            start, end = segment.address & -PAGE, segment.address + segment.memory_size + PAGE - 1 & -PAGE
            machine.mem_map(start, end - start)
            machine.mem_write(segment.address, data[segment.offset : segment.offset + segment.file_size])
    machine.mem_map(0x7000_0000, 1 << 20)
    machine.reg_write(x.UC_X86_REG_RSP, 0x7000_0000 + (1 << 20) - 64)

    def call(machine: u.Uc, _: object) -> None:
        if machine.reg_read(x.UC_X86_REG_RAX) == 60:
            machine.emu_stop()
        else:
            said.extend(machine.mem_read(machine.reg_read(x.UC_X86_REG_RSI), machine.reg_read(x.UC_X86_REG_RDX)))

    machine.hook_add(u.UC_HOOK_INSN, call, None, 1, 0, x.UC_X86_INS_SYSCALL)
    start_time = time.process_time()
    machine.emu_start(elf.read(data, str(path)).entry, 0)
    return time.process_time() - start_time, bytes(said)


def main() -> int:
    """Build, run, print a row a program and the geometric means."""
    names = sys.argv[1:] or (*NAMES, *APART)
    qemu = shutil.which("qemu-x86_64")
    rows: dict[str, list[float]] = {}
    print(f"load {os.getloadavg()[0]:.1f}\n{'program':10} {'native s':>9} {'qemu':>8} {'unicorn':>8} {'tanken':>8}   times native; tanken/qemu")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / name
            subprocess.run(["gcc", *FLAGS, "-o", str(path), str(HERE / f"{name}.c")], check=True)
            ours = [sys.executable, "-m", "tanken", "run", "--engine", "native", str(path)]
            for _ in range(3):  # its stencils and regions are made, and kept
                subprocess.run(ours, capture_output=True, check=True, env=ENVIRONMENT)
            runs = {"native": timed([str(path)]), "tanken": timed(ours)}
            runs |= {"qemu": timed([qemu, str(path)])} if qemu else {}
            try:
                runs["unicorn"] = unicorn(path)
            except ImportError:
                pass
            assert len({said for _, said in runs.values()}) == 1, f"{name}: {runs}"
            native = runs["native"][0]
            ratio = {who: seconds / native for who, (seconds, _) in runs.items()}
            for who, times in ratio.items():
                if name not in APART or len(names) == 1:
                    rows.setdefault(who, []).append(times)
            cells = [f"{ratio[who]:8.1f}" if who in ratio else "       -" for who in ("qemu", "unicorn", "tanken")]
            print(f"{name:10} {native:9.3f} {' '.join(cells)}   {ratio['tanken'] / ratio['qemu']:.2f}" if qemu else f"{name:10} {native:9.3f} {' '.join(cells)}")
    means = {who: math.exp(sum(map(math.log, times)) / len(times)) for who, times in rows.items()}
    print("geometric mean " + ", ".join(f"{who} {mean:.1f}" for who, mean in means.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
