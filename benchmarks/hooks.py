"""Hooks on every instruction, beside Unicorn's, in programs of benchmarks/cpu: `python -m benchmarks.hooks [NAME...]`.

Calls a second of processor time, the best of three behind enough instructions for the hot tier, each in a process of its own; the peak of its
memory beside. The ratios are to the same instructions without a hook.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cpu.__main__ import FLAGS, HERE, PAGE

from tanken import Cpu, elf
from tanken.cpu import Exit, Syscall

NAMES = ("sha256", "intloop", "quicksort")
MANY, FEW = 300_000_000, 10_000_000  # instructions: native, with Python
LONGER = ["-DROUNDS=100000", "-DMEGABYTES=400"]  # than any measurement
UNICORN = 2_000_000
STACK = 0x7000_0000


def nothing(address: int) -> None:
    """The hook in Python."""


def count(address: int, registers: Any, data: Any) -> None:
    """The compiled hook."""
    data[0] += 1


def coverage(address: int, registers: Any, data: Any) -> None:
    """One that counts in a word of its own for each address, as fuzzers do."""
    data[address & 0xFFFF] += 1


def stops(address: int, registers: Any, data: Any) -> Any:
    """One that may stop the run, for which the flags must be exact."""
    data[0] += 1
    return data[0] < 0


def ours(path: Path) -> Cpu:
    """The program in a Cpu, its two system calls served."""
    cpu, data = Cpu("x86-64", engine="native"), path.read_bytes()
    for start, size, address, content in segments(path, data):
        cpu.map(start, size, "rwx")
        cpu.write(address, content)
    cpu.map(STACK, 1 << 20, "rw")
    cpu.rip, cpu.rsp = elf.read(data, str(path)).entry, STACK + (1 << 20) - 64

    def call(exit: Exit) -> bool:
        return cpu.rax != 60

    cpu.hook_exits(call, Syscall)
    return cpu


def segments(path: Path, data: bytes) -> list[tuple[int, int, int, bytes]]:
    """(first page, bytes, address, content) of what is loaded."""
    found = []
    for segment in elf.read(data, str(path)).segments:
        if segment.type == 1 and segment.memory_size:
            start, end = segment.address & -PAGE, segment.address + segment.memory_size + PAGE - 1 & -PAGE
            found.append((start, end - start, segment.address, data[segment.offset : segment.offset + segment.file_size]))
    return found


def rate(path: Path, budget: int, hook: Callable[[Cpu], Any]) -> float:
    """Instructions a second."""
    cpu = ours(path)
    hook(cpu)
    engine: Any = cpu.engine
    for _ in range(6):  # its loops become regions
        cpu.run(budget=budget // 3)
        engine.hot.wait()
    best = 0.0
    for _ in range(3):
        began, before = time.process_time(), cpu.executed
        cpu.run(budget=budget // 3)
        best = max(best, (cpu.executed - before) / (time.process_time() - began))
    return best


def unicorn(path: Path, hooked: bool) -> float:
    """Unicorn's, with UC_HOOK_CODE."""
    import unicorn as u
    from unicorn import x86_const as x

    machine = u.Uc(u.UC_ARCH_X86, u.UC_MODE_64)
    data = path.read_bytes()
    for start, size, address, content in segments(path, data):
        machine.mem_map(start, size)
        machine.mem_write(address, content)
    machine.mem_map(STACK, 1 << 20)
    machine.reg_write(x.UC_X86_REG_RSP, STACK + (1 << 20) - 64)
    calls = [0]

    def hook(machine: u.Uc, address: int, size: int, data: object) -> None:
        calls[0] += 1

    machine.hook_add(u.UC_HOOK_INSN, lambda machine, data: None, None, 1, 0, x.UC_X86_INS_SYSCALL)
    if hooked:
        machine.hook_add(u.UC_HOOK_CODE, hook)
    machine.emu_start(elf.read(data, str(path)).entry, 0, count=1000)
    best = 0.0
    for _ in range(3):
        began = time.process_time()
        machine.emu_start(machine.reg_read(x.UC_X86_REG_RIP), 0, count=UNICORN)
        best = max(best, UNICORN / (time.process_time() - began))
    return best


def arrays() -> Any:
    """What compiled hooks count in."""
    import numpy

    return numpy.zeros(1 << 16, numpy.int64)


WAYS: dict[str, Callable[[Path], float]] = {
    "no hook": lambda path: rate(path, MANY, lambda cpu: None),
    "compiled coverage, each instruction": lambda path: rate(path, MANY, lambda cpu: cpu.hook_instructions(coverage, data=arrays(), compile=True)),
    "compiled count, each instruction": lambda path: rate(path, MANY, lambda cpu: cpu.hook_instructions(count, data=arrays(), compile=True)),
    "compiled, may stop": lambda path: rate(path, MANY, lambda cpu: cpu.hook_instructions(stops, data=arrays(), compile=True)),
    "compiled, each block": lambda path: rate(path, MANY, lambda cpu: cpu.hook_blocks(count, data=arrays(), compile=True)),
    "Python, each block": lambda path: rate(path, FEW * 4, lambda cpu: cpu.hook_blocks(nothing)),
    "Python, each instruction": lambda path: rate(path, FEW, lambda cpu: cpu.hook_instructions(nothing)),
    "Python, each write": lambda path: rate(path, FEW, lambda cpu: cpu.hook_writes(lambda address, size, value: None)),
    "Unicorn, Python, each instruction": lambda path: unicorn(path, True),
}


def main() -> int:
    """A table a program; with --one PATH WAY a single measurement as JSON."""
    if sys.argv[1:2] == ["--one"]:
        speed = WAYS[sys.argv[3]](Path(sys.argv[2]))
        print(json.dumps({"rate": speed, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
        return 0
    print(f"load {os.getloadavg()[0]:.1f}; million instructions a second of processor time; times without a hook; peak memory")
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or NAMES:
            path = Path(folder) / name
            subprocess.run(["gcc", *FLAGS, *LONGER, "-o", str(path), str(HERE / f"{name}.c")], check=True)
            speeds: list[float] = []
            for way in WAYS:
                done = subprocess.run([sys.executable, "-m", "benchmarks.hooks", "--one", str(path), way], capture_output=True, text=True, check=True)
                got = json.loads(done.stdout)
                speeds.append(got["rate"])
                print(f"{name:10} {way:36} {got['rate'] / 1e6:9.2f} {speeds[0] / got['rate']:9.2f} {got['peak'] >> 10:5} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
