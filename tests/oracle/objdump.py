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
BATCH = 1 << 16  # strings compared at a time
MACHINES = {16: "i8086", 32: "i386", 64: "i386:x86-64"}
PREFIXES = bytes.fromhex("66 67 f2 f3 f0 2e 36 3e 26 64 65")
ENCODED = frozenset(bytes.fromhex("62 c4 c5 8f"))  # first bytes of EVEX, VEX and XOP
Difference = tuple[bytes, str, str]


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


def compare(strings: Iterable[bytes], mode: int, syntax: str) -> Iterator[Difference]:
    """(bytes, objdump's text, ours) for every string whose first line differs or has another length."""
    slots = [string[:15].ljust(SLOT, b"\x90") for string in strings]
    for begin in range(0, len(slots), BATCH):
        code = b"".join(slots[begin : begin + BATCH])
        theirs, ours = objdump_lines(code, mode, syntax), our_lines(code, mode, syntax)
        for start in range(0, len(code), SLOT):
            a, b = (_first(lines, start) for lines in (theirs, ours))
            if a != b:
                yield code[start : start + 15], a, b


def _first(lines: dict[int, str], start: int) -> str:
    text = lines.get(start, "<no line>")
    length = next((n for n in range(1, SLOT) if start + n in lines), SLOT)
    return f"{text} [{length}]"


def stream(size: int, seed: int, mode: int, syntax: str) -> tuple[list[Difference], int]:
    """Differing lines of `size` random bytes decoded without a break, each decoder going on where its own line ended; and all lines."""
    code = random.Random(seed).randbytes(size)
    theirs, ours = objdump_lines(code, mode, syntax), our_lines(code, mode, syntax)
    found = [(code[at : at + 15], theirs.get(at, "<no line>"), ours.get(at, "<no line>")) for at in sorted(theirs.keys() | ours.keys())
             if theirs.get(at) != ours.get(at)]  # fmt: skip
    return found, len(theirs)


def truncated(count: int, seed: int, mode: int, syntax: str, heads: list[bytes]) -> Iterator[Difference]:
    """Differences over whole files of 1 to 12 bytes: what is printed where the bytes end inside an instruction."""
    rng = random.Random(seed)
    for string in random_strings(count, seed, heads):
        code = string[: rng.randrange(1, 13)]
        theirs, ours = objdump_lines(code, mode, syntax), our_lines(code, mode, syntax)
        if theirs != ours:
            yield code, " | ".join(theirs.values()), " | ".join(ours.values())


def opcode_of(string: bytes, mode: int) -> int:
    """The first byte that is no prefix."""
    for byte in string:
        if byte not in PREFIXES and not (mode == 64 and 0x40 <= byte < 0x50):
            return byte
    return 0


def random_strings(count: int, seed: int, heads: list[bytes], prefixes: int = 0, rex: bool = False) -> list[bytes]:
    """Strings of random bytes behind up to `prefixes` random prefixes, perhaps a REX, and a head chosen from `heads` (b"" for none)."""
    rng = random.Random(seed)
    strings = []
    for _ in range(count):
        front = bytes(rng.choice(PREFIXES) for _ in range(rng.randrange(prefixes + 1))) if prefixes else b""
        if rex and rng.random() < 0.5:
            front += bytes([0x40 + rng.randrange(16)])
        strings.append(front + rng.choice(heads) + rng.randbytes(12))
    return strings


def sweep(maps: list[bytes], fronts: list[bytes], seed: int) -> Iterator[bytes]:
    """Every opcode of the maps that begin with `maps`, with every ModRM byte, behind each of `fronts`; random bytes follow."""
    rng = random.Random(seed)
    for front in fronts:
        for escape in maps:
            for opcode in range(256):
                for modrm in range(256):
                    yield front + escape + bytes([opcode, modrm]) + rng.randbytes(9)


def agreement(count: int, seed: int, mode: int, syntax: str) -> tuple[list[Difference], int]:
    """Differences over `count` random strings of the legacy maps, a third of them behind prefixes; and how many were compared."""
    plain = random_strings(count - count // 3, seed, [b""])
    prefixed = random_strings(count // 3, seed, [b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a"], prefixes=4, rex=mode == 64)
    strings = [string for string in plain + prefixed if opcode_of(string, mode) not in ENCODED]
    return list(compare(strings, mode, syntax)), len(strings)


def show(differences: list[Difference], limit: int) -> int:
    """Prints the classes of differences, the most frequent first, with an example each; returns how many there are."""
    classes: dict[str, list[Difference]] = collections.defaultdict(list)
    for difference in differences:
        classes[difference[1].split("[")[0].split(" ")[0] + " / " + difference[2].split(" ")[0]].append(difference)
    for name, members in sorted(classes.items(), key=lambda item: -len(item[1]))[:limit]:
        code, theirs, ours = members[0]
        print(f"{len(members):6}  {name}\n        {code.hex(' ')}\n        objdump {theirs}\n        tanken  {ours}")
    return len(classes)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tanken's x86 text with objdump's on random encodings.")
    parser.add_argument("--kind", choices=("slots", "stream", "sweep", "truncated"), default="slots")
    parser.add_argument("--count", type=int, default=20000, help="strings; bytes with --kind stream")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", type=int, choices=(16, 32, 64), default=64)
    parser.add_argument("--syntax", choices=("intel", "att"), default="intel")
    parser.add_argument("--head", action="append", default=[], help="hexadecimal bytes that strings begin with, one of several; with sweep the map's escape")
    parser.add_argument("--front", action="append", default=[], help="with sweep: hexadecimal prefixes to try each")
    parser.add_argument("--prefixes", type=int, default=0, help="up to so many random prefixes")
    parser.add_argument("--rex", action="store_true", help="perhaps a REX prefix")
    parser.add_argument("--legacy", action="store_true", help="leave out strings whose opcode byte is 62, c4, c5 or 8f")
    parser.add_argument("--show", type=int, default=25, help="classes of differences to show")
    options = parser.parse_args()
    heads = [bytes.fromhex(head) for head in options.head] or [b""]
    total = options.count
    if options.kind == "stream":
        differences, total = stream(options.count, options.seed, options.mode, options.syntax)
    elif options.kind == "truncated":
        differences = list(truncated(options.count, options.seed, options.mode, options.syntax, heads))
    else:
        strings = random_strings(options.count, options.seed, heads, options.prefixes, options.rex)
        if options.kind == "sweep":
            strings = list(sweep(heads, [bytes.fromhex(front) for front in options.front] or [b""], options.seed))
        if options.legacy:
            strings = [string for string in strings if opcode_of(string, options.mode) not in ENCODED]
        total = len(strings)
        differences = list(compare(strings, options.mode, options.syntax))
    classes = show(differences, options.show)
    print(f"{len(differences)} of {total} differ, {classes} classes, mode {options.mode}, {options.syntax}")
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
