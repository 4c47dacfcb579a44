"""Booting Debian's cloud kernel to a busybox init that turns the machine off: our own processor beside QEMU's TCG, one run, same initrd and command line.

`python -m benchmarks.boot [--cold]`: processor time of the whole process, best of three; caches warm but with --cold, which empties ours first.
`--exits` counts exits instead, with the parameters that leave the fewest, by both clocks; QEMU's are accesses to registers of its devices.
Both load the unpacked kernel by PVH with 256 MiB; QEMU is `-M q35 -accel tcg,thread=single`, its firmware included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tanken.cli import debian
from tanken.elf.kernel_image import vmlinux
from tanken.machine.console import Memory
from tanken.machine.initrd import busybox
from tanken.machine.pc import Pc

APPEND = "console=ttyS0 quiet 8250.nr_uarts=1 i8042.noaux cryptomgr.notests random.trust_cpu=on tsc_early_khz=1000000 nokaslr panic=-1"
PROMISED, MOST_EXITS = 6.0, 2500


def timed(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float, str]:
    """Processor and clock seconds of a command and its children, and what it wrote."""
    with tempfile.TemporaryFile() as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - began
        out.seek(0)
        text = out.read().decode(errors="replace")
    if os.waitstatus_to_exitcode(status) or "init runs" not in text:
        raise SystemExit(f"{command[0]}: status {status}, no init\n{text[-1500:]}")
    return usage.ru_utime + usage.ru_stime, elapsed, text


def qemu(kernel: Path, initrd: Path, append: str, *more: str) -> list[str]:
    """Its command for the machine that we are compared with."""
    return ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-M", "q35", "-cpu", "max", "-m", "256", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
            "-kernel", str(kernel), "-initrd", str(initrd), "-append", append, *more]  # fmt: skip


def exits(kernel: Path, initrd: Path) -> None:
    """Of a boot to init and off again, as `Loop` counts them."""
    for clock in ("instructions", "real"):
        machine = Pc(far=Memory(), kernel=str(kernel), initrd=str(initrd), append=debian.FEWEST, cpu="own", rtc=False, i8042=False, clock=clock)
        began = time.perf_counter()
        ended = machine.run()
        print(f"exits, --clock {clock}: {machine.exits} (promised: at most {MOST_EXITS}), {ended.reason} after {time.perf_counter() - began:.1f} s by the clock")
        machine.vcpu.close()
    if shutil.which("qemu-system-x86_64") is None:
        return print("QEMU: not measured: apt-get install qemu-system-x86")
    for name, append in (("the same parameters", debian.FEWEST), ("its own", APPEND)):
        with tempfile.NamedTemporaryFile() as log:
            timed(qemu(kernel, initrd, append + " panic=-1", "-trace", "memory_region_ops_*", "-D", log.name))
            lines = subprocess.run(["grep", "-c", "memory_region_ops", log.name], capture_output=True, text=True).stdout.strip()
        print(f"accesses to QEMU's devices on q35, {name}: {lines}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cold", action="store_true", help="empty our caches first, and boot once")
    parser.add_argument("--exits", action="store_true", help="count exits")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    image = debian.kernel()
    with tempfile.TemporaryDirectory() as work:
        kernel, initrd = Path(work, "vmlinux"), Path(work, "initrd")
        kernel.write_bytes(vmlinux(image.read_bytes(), image.name))
        initrd.write_bytes(busybox(then="poweroff -f"))
        if options.exits:
            exits(kernel, initrd)
            return 0
        common = ["--initrd", str(initrd), "--append", APPEND, "--memory", "256M", str(kernel)]
        environment = dict(os.environ, TANKEN_CACHE=f"{work}/cache") if options.cold else None
        times = 1 if options.cold else options.times
        if not options.cold:
            timed([sys.executable, "-m", "tanken", "run", "--cpu", "own", *common])  # makes what is missing
        ours = min(timed([sys.executable, "-m", "tanken", "run", "--cpu", "own", *common], environment)[:2] for _ in range(times))
        print(f"tanken, own processor{', cold' if options.cold else ''}: {ours[0]:.1f} s of processor time, {ours[1]:.1f} s by the clock")
        if shutil.which("qemu-system-x86_64") is None:
            print("QEMU: not measured: apt-get install qemu-system-x86")
            return 0
        theirs = min(timed(qemu(kernel, initrd, APPEND))[:2] for _ in range(times))
        print(f"QEMU TCG: {theirs[0]:.1f} s of processor time, {theirs[1]:.1f} s by the clock")
        print(f"ratio of processor times: {ours[0] / theirs[0]:.1f} (promised: at most {PROMISED}, warm)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
