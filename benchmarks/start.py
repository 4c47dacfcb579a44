"""How long short programs take from nothing to their end, beside qemu-x86_64 and the host itself: `python -m benchmarks.start`.

Processor time of the whole process and its peak of memory, the best of five, caches warm; each program's output must be the host's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from math import inf

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as a user's shell has it
PROGRAMS = (["/bin/busybox", "true"], ["/bin/ls", "/"], ["/bin/bash", "-c", "echo $((6 * 7))"], ["/usr/bin/perl", "-e", "print 1"], ["/usr/bin/python3", "-c", "1"])
ROUNDS = 5
PROBE = """
import sys
from tanken.cli.main import main
sys.argv[1:] = ["run", "/bin/busybox", "true"]
try:
    main()
finally:
    print("Numba was imported" if "numba" in sys.modules else "Numba was not imported", file=sys.stderr)
"""


def timed(command: list[str]) -> tuple[float, int, bytes]:
    """(processor seconds, kilobytes at the peak, output), the least of each."""
    best, peak, said = inf, 1 << 60, b""
    for _ in range(ROUNDS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
            assert process.stdout is not None
            said = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, command
        best, peak = min(best, used.ru_utime + used.ru_stime), min(peak, used.ru_maxrss)
    return best, peak, said


def main() -> int:
    """A row a program."""
    qemu = shutil.which("qemu-x86_64")
    assert qemu, "qemu-x86_64 is not there: apt-get install qemu-user"
    print(f"load {os.getloadavg()[0]:.1f}\n{'program':26} {'host s':>7} {'qemu s':>7} {'tanken s':>8} {'tanken/qemu':>12} {'qemu MB':>8} {'tanken MB':>10}")
    for program in PROGRAMS:
        ours = [sys.executable, "-m", "tanken", "run", *program]
        for _ in range(2):  # what it lacks is made, and kept
            subprocess.run([*ours[:4], "--engine", "native", *program], capture_output=True, check=True, env=ENVIRONMENT)
        host, theirs, mine = timed(program), timed([qemu, *program]), timed(ours)
        assert host[2] == theirs[2] == mine[2], program
        ratio = mine[0] / theirs[0]
        print(f"{' '.join(program):26} {host[0]:7.3f} {theirs[0]:7.3f} {mine[0]:8.3f} {ratio:12.2f} {theirs[1] / 1024:8.0f} {mine[1] / 1024:10.0f}", flush=True)
    print("busybox true:", subprocess.run([sys.executable, "-c", PROBE], stderr=subprocess.PIPE, text=True, check=True, env=ENVIRONMENT).stderr.strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
