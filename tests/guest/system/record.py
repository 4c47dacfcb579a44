"""Writes what a guest says into tests/vectors/guest-NAME.txt: `python -m tests.guest.system.record NAME`; a person then reads every line.

A line where QEMU's TCG says something else has it behind ` | qemu: `; a guest whose head comment names TCG's gaps is not compared.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import zip_longest
from pathlib import Path

from tests.guest.system import run

VECTORS = Path(__file__).parents[2] / "vectors"
MARK = " | qemu: "


def expected(name: str) -> tuple[list[str], list[str] | None]:
    """(what our processor says, what QEMU says: None where it is not asked)."""
    lines = (VECTORS / f"guest-{name}.txt").read_text().splitlines()
    qemu = None if "looks away" in (run.HERE / f"{name}.S").read_text().splitlines()[0] else [line.partition(MARK)[2] if MARK in line else line for line in lines]
    return [line.partition(MARK)[0] for line in lines], qemu


def main(names: list[str]) -> int:
    for name in names or run.names():
        with tempfile.TemporaryDirectory() as folder:
            code = run.build(name, Path(folder))
            own = run.on_reference(code).splitlines()
            asked = "looks away" not in (run.HERE / f"{name}.S").read_text().splitlines()[0]
            qemu = run.on_qemu(code, Path(folder)).splitlines() if asked else own
        lines = [a if a == b else f"{a}{MARK}{b}" for a, b in zip_longest(own, qemu, fillvalue="")]
        (VECTORS / f"guest-{name}.txt").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
