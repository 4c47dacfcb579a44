"""GNU objdump as the oracle of x86 text: random and structured byte strings, each in a slot of its own, compared line by line.

`python -m tests.oracle.objdump --help`; a slot is 32 bytes, a string followed by NOPs, so that every string is decoded from its own start.
"""

from __future__ import annotations

import argparse
import collections
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator

from tanken.isa import x86

SLOT = 32
MACHINES = {16: "i8086", 32: "i386", 64: "i386:x86-64"}


def objdump_lines(code: bytes, mode: int, syntax: str) -> dict[int, str]:
    """Address to text, for all lines of objdump over the raw bytes."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(code)
        file.flush()
        command = ["objdump", "-D", "-z", "-w", "-b", "binary", "-m", MACHINES[mode], "--no-show-raw-insn"]
        out = subprocess.run([*command, *(["-M", "intel"] if syntax == "intel" else []), file.name], capture_output=True, check=True).stdout
    lines: dict[int, str] = {}
    for line in out.decode("latin-1").splitlines():
        head, tab, text = line.partition(":\t")
        if tab:
            lines[int(head, 16)] = text.rstrip("\n")
    return lines


def our_lines(code: bytes, mode: int, syntax: str) -> dict[int, str]:
    """The same from tanken."""
    lines: dict[int, str] = {}
    for piece in x86.text_lines(code, 0, mode, syntax, comment=True):
        for line in piece.decode("latin-1").splitlines():
            head, _, text = line.partition(":\t")
            lines[int(head, 16)] = text
    return lines


def compare(strings: Iterable[bytes], mode: int, syntax: str) -> Iterator[tuple[bytes, str, str]]:
    """(bytes, objdump's text, ours) for every string whose first line differs or has another length."""
    code = b"".join(string[:15].ljust(SLOT, b"\x90") for string in strings)
    theirs, ours = objdump_lines(code, mode, syntax), our_lines(code, mode, syntax)
    for start in range(0, len(code), SLOT):
        a, b = (_first(lines, start) for lines in (theirs, ours))
        if a != b:
            yield code[start : start + 15], a, b


def _first(lines: dict[int, str], start: int) -> str:
    text = lines.get(start, "<no line>")
    length = next((n for n in range(1, SLOT) if start + n in lines), SLOT)
    return f"{text} [{length}]"


def random_strings(count: int, seed: int, heads: list[bytes]) -> list[bytes]:
    """Strings of random bytes behind a head chosen from `heads` (b"" for none) and sometimes prefixes."""
    rng = random.Random(seed)
    return [rng.choice(heads) + rng.randbytes(12) for _ in range(count)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tanken's x86 text with objdump's on random encodings.")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", type=int, choices=(16, 32, 64), default=64)
    parser.add_argument("--syntax", choices=("intel", "att"), default="intel")
    parser.add_argument("--head", action="append", default=[], help="hexadecimal bytes that every string begins with; several are chosen from")
    parser.add_argument("--show", type=int, default=25, help="classes of differences to show")
    options = parser.parse_args()
    heads = [bytes.fromhex(head) for head in options.head] or [b""]
    differences = list(compare(random_strings(options.count, options.seed, heads), options.mode, options.syntax))
    classes: dict[str, list[tuple[bytes, str, str]]] = collections.defaultdict(list)
    for difference in differences:
        classes[difference[1].split("[")[0].split(" ")[0] + " / " + difference[2].split(" ")[0]].append(difference)
    for name, members in sorted(classes.items(), key=lambda item: -len(item[1]))[: options.show]:
        code, theirs, ours = members[0]
        print(f"{len(members):6}  {name}\n        {code.hex(' ')}\n        objdump {theirs}\n        tanken  {ours}")
    print(f"{len(differences)} of {options.count} differ, {len(classes)} classes, mode {options.mode}, {options.syntax}")
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
