"""Writes what a guest says into tests/vectors/guest-NAME.txt: `python -m tests.guest.system.record NAME`; a person then reads every line.

A line where QEMU's TCG or KVM says something else has it behind ` | qemu: ` or ` | kvm: `. A guest whose first line says that TCG looks away is not
compared with it; KVM's are those that its instruction emulator (PVM, without VMX or SVM beneath) can run to their end.
"""

from __future__ import annotations

import re
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path

from tests.guest.system import run

VECTORS = Path(__file__).parents[2] / "vectors"
ON_KVM = ("aligned64", "control64", "crossing64", "faults64", "order64", "real16", "tlb64")


def is_for(name: str, oracle: str) -> bool:
    """Whether the oracle is asked about a guest."""
    return name in ON_KVM if oracle == "kvm" else "looks away" not in (run.HERE / f"{name}.S").read_text().splitlines()[0]


def cpu(name: str) -> str:
    """QEMU's processor for a guest: what its first line says, or all that TCG has."""
    found = re.search(r"\(QEMU: ([^)]*)\)", (run.HERE / f"{name}.S").read_text().splitlines()[0])
    return found[1] if found else "max"


def expected(name: str, oracle: str = "") -> list[str]:
    """What our processor says, or an oracle."""
    found = []
    for line in (VECTORS / f"guest-{name}.txt").read_text().splitlines():
        own, *others = line.split(" | ")
        said = {who: text for who, _, text in (other.partition(":") for other in others)}
        if others and not own and oracle not in said:
            continue  # somebody else goes on
        found.append(said[oracle].removeprefix(" ") if oracle in said else own)
    return found


def main(names: list[str]) -> int:
    for name in names or run.names():
        with tempfile.TemporaryDirectory() as folder:
            code = run.build(name, Path(folder))
            lines = own = run.on_reference(code).splitlines()
            for who in ("qemu", "kvm"):
                if is_for(name, who):
                    said = (run.on_kvm(code) if who == "kvm" else run.on_qemu(code, Path(folder), cpu(name))).splitlines()
                    lines = [line if a == b else f"{line} | {who}: {b}" for line, a, b in zip_longest(lines, own, said, fillvalue="")]
        (VECTORS / f"guest-{name}.txt").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
