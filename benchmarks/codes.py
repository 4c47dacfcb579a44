"""Writes `hypervisor/linux.codes`: the shapes of instructions that a boot of Debian's kernel asks our own processor for.

`python -m benchmarks.codes` boots it by both protocols with nothing made, to a shell and off by the power button. To be done again when a new
kernel asks for many others, or when the promise of the first boot is missed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tanken.cli import debian
from tanken.engine.native.maker import Maker
from tanken.hypervisor import compiled
from tanken.hypervisor.making import CODES, Shape, Stencils
from tanken.isa.x86.inst import disassemble
from tanken.machine.console import Memory
from tanken.machine.initrd import busybox
from tanken.machine.pc import Pc

HEAD = """# Shapes of instructions that a boot of Linux asks our own processor for (`hypervisor.making`), in the order of their bytes.
# A line is an instruction, displacement and immediate at zero where they do not matter, and behind it a branch that is joined to it.
# Written by `python -m benchmarks.codes`.
"""


def recorded() -> list[Shape]:
    """A list that grows by what makers are asked for from now on."""
    asked: list[Shape] = []
    make_one = Maker.make

    def make(self: Maker, form: int, key: tuple[int, int, int], codes: list[tuple[bytes, int]]) -> None:
        asked.append(tuple(self.target.decode(code, address).code for code, address in codes))
        make_one(self, form, key, codes)

    Maker.make = make  # type: ignore[method-assign]
    return asked


def shortest(codes: list[Shape]) -> list[Shape]:
    """The shapes of what a maker was asked for, sorted."""
    made, found = Stencils(), set[Shape]()
    for shape in codes:
        key, first = made.key(shape), shape[0]
        for length in (8, 4, 2, 1):
            zeroed = first[:-length] + bytes(length)
            zeroed = next(iter(disassemble(zeroed, 0, 64))).code
            if len(first) > length and made.key((zeroed, *shape[1:])) == key:
                first = zeroed
                break
        found.add((first, *(code[:-4] + bytes(4) if len(code) > 4 else code[:-1] + b"\0" for code in shape[1:])))
    return sorted(found)


class Shell(Memory):
    """Types a few lines, then presses the power button."""

    machine: Pc
    lines = ("uname -a", "cat /proc/interrupts", "free", "sleep 1", "ls -l /sys")

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.output.endswith(b"/ # \x1b[6n"):
            if self.lines:
                self.type(self.lines[0].encode() + b"\r")
                self.lines = self.lines[1:]
            else:
                self.machine.power_button()


def main() -> int:
    with tempfile.TemporaryDirectory() as work:
        image = debian.kernel()
        os.environ["TANKEN_CACHE"] = work
        Path(work, "initrd").write_bytes(busybox(modules=debian.modules(image)))
        asked = recorded()
        compiled.store()  # the translator alone
        for protocol in ("linux", "pvh"):
            settings: dict[str, Any] = {"kernel": str(image), "initrd": f"{work}/initrd", "append": debian.APPEND, "cpu": "own", "protocol": protocol}
            far = Shell()
            far.machine = Pc(far=far, **settings)
            print(protocol, far.machine.run(), len(asked), file=sys.stderr)
            far.machine.vcpu.close()
        lines = [" ".join(code.hex() for code in shape) for shape in shortest(asked)]
    CODES.write_text(HEAD + "\n".join(lines) + "\n")
    print(f"{len(lines)} shapes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
