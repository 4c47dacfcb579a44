"""Whether two runs by instructions are the same all the way: registers hashed every million instructions, memory at the end.

`python -m tests.oracle.repeat [--kernel debian]` boots Debian's cloud kernel twice (minutes), without it the guest that comes with tanken.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

from tanken.isa.x86.system.state import SystemState
from tanken.machine.console import Memory
from tanken.machine.pc import Pc

EVERY = 1_000_000  # nanoseconds of the clock, as many as instructions while the processor is not halted


def digest(state: SystemState) -> str:
    """Of all registers."""
    values = [(name, list(value) if name in ("regs", "segments", "xmm", "upper", "st", "bases", "limits", "rights", "dr") else value)
              for name in SystemState.ALL if (value := getattr(state, name)) is not None]  # fmt: skip
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def fingerprints(machine: Pc) -> list[str]:
    """Run it to its end: the hashes on the way, and that of its memory."""
    found: list[str] = []

    def look() -> None:
        found.append(digest(machine.vcpu.get_state()))
        timer.arm(machine.clock.now() + EVERY)

    timer = machine.clock.timer("fingerprint", look)
    timer.arm(EVERY)
    machine.run()
    memory = hashlib.sha256()
    for region in machine.memory.regions:
        memory.update(region.bytes)
    return [*found, f"{machine.vcpu.executed} instructions", memory.hexdigest()]


class Off(Memory):
    """Turns the small guest off when it prompts."""

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.output.endswith(b"> "):
            self.type(b"off\r" if b"sleep" in self.output else b"sleep\r")


def run(kernel: str, folder: Path) -> list[str]:
    """One run of the guest, or of Debian's kernel."""
    if kernel == "guest":
        return fingerprints(Pc(far=Off(), cpu="own", clock="instructions", memory="16M"))
    from tanken.cli import debian
    from tanken.machine.initrd import busybox

    (folder / "initrd").write_bytes(busybox(then="poweroff -f"))
    machine = Pc(far=Memory(), kernel=str(debian.kernel()), initrd=str(folder / "initrd"), append=debian.APPEND + " nokaslr", cpu="own", clock="instructions", protocol="pvh")
    return fingerprints(machine)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kernel", choices=("guest", "debian"), default="guest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first, second = (run(options.kernel, Path(folder)) for _ in range(2))
    different = next((number for number, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
    print(f"{len(first) - 2} and {len(second) - 2} hashes, {first[-2]} and {second[-2]}, the first difference: {different}")
    return int(different is not None or len(first) != len(second))


if __name__ == "__main__":
    sys.exit(main())
