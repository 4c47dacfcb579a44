"""GNU objdump as the oracle of x86 text: random and structured byte strings, each in a slot of its own, compared line by line.

`python -m tests.oracle.objdump --help`; a slot is 32 bytes, a string followed by NOPs, so that every string is decoded from its own start.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator

from tanken.isa import x86

SLOT = 32
BATCH = 1 << 16  # strings compared at a time
STREAM = 1 << 20  # bytes compared at a time without a break
LEADING = re.compile(rb"^ +", re.MULTILINE)
FIRST = re.compile(rb"^([0-9a-f]*[02468ace]0|0):\t(.*)\n(?=([0-9a-f]+):)", re.MULTILINE)  # of a slot: address, text, address of the next line
MACHINES = {16: "i8086", 32: "i386", 64: "i386:x86-64"}
PREFIXES = bytes.fromhex("66 67 f2 f3 f0 2e 36 3e 26 64 65")
ENCODED = frozenset(bytes.fromhex("62 c4 c5 8f"))  # first bytes of EVEX, VEX and XOP
Difference = tuple[bytes, str, str]


def objdump_text(code: bytes, mode: int, syntax: str) -> bytes:
    """objdump's lines over the raw bytes in the form of `text_lines`: address, colon, tab, text."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(code)
        file.flush()
        command = ["objdump", "-D", "-z", "-w", "-b", "binary", "-m", MACHINES[mode], "--no-show-raw-insn"]
        out = subprocess.run([*command, *(["-M", "intel"] if syntax == "intel" else []), file.name], capture_output=True, check=True).stdout
    return LEADING.sub(b"", out[out.index(b"<.data>:\n") + 9 :])


def our_text(code: bytes, mode: int, syntax: str) -> bytes:
    """The same from tanken."""
    return b"".join(x86.text_lines(code, 0, mode, syntax, comment=True))


def compare(strings: Iterable[bytes], mode: int, syntax: str) -> Iterator[Difference]:
    """(bytes, objdump's text, ours) for every string whose first line differs or has another length."""
    slots = [string[:15].ljust(SLOT, b"\x90") for string in strings]
    for begin in range(0, len(slots), BATCH):
        code = b"".join(slots[begin : begin + BATCH])
        theirs, ours = (FIRST.findall(text + b"0:") for text in (objdump_text(code, mode, syntax), our_text(code, mode, syntax)))
        if theirs == ours:
            continue
        both = [{int(at, 16): (text, after) for at, text, after in lines} for lines in (theirs, ours)]
        for start in range(0, len(code), SLOT):
            a, b = both[0].get(start), both[1].get(start)
            if a != b:
                yield code[start : start + 15], _shown(a, start), _shown(b, start)


def _shown(line: tuple[bytes, bytes] | None, start: int) -> str:
    return f"{line[0].decode('latin-1')} [{int(line[1], 16) - start}]" if line else "<no line>"


def stream(size: int, seed: int, mode: int, syntax: str) -> tuple[list[Difference], int]:
    """Differing lines of `size` random bytes decoded without a break, each decoder going on where its own line ended; and all lines."""
    rng = random.Random(seed)
    found: list[Difference] = []
    lines = 0
    for begin in range(0, size, STREAM):
        code = rng.randbytes(min(STREAM, size - begin))
        theirs, ours = (text(code, mode, syntax).splitlines() for text in (objdump_text, our_text))
        lines += len(theirs)
        if theirs != ours:
            common = set(theirs) & set(ours)
            left, right = ({int(line.split(b":")[0], 16): line.decode("latin-1").partition("\t")[2] for line in text if line not in common} for text in (theirs, ours))
            found += [(code[at : at + 15], left.get(at, "<no line>"), right.get(at, "<no line>")) for at in sorted(left.keys() | right.keys())]
    return found, lines


def truncated(count: int, seed: int, mode: int, syntax: str, heads: list[bytes]) -> Iterator[Difference]:
    """Differences over whole files of 1 to 12 bytes: what is printed where the bytes end inside an instruction."""
    rng = random.Random(seed)
    for string in random_strings(count, seed, heads):
        code = string[: rng.randrange(1, 13)]
        theirs, ours = objdump_text(code, mode, syntax), our_text(code, mode, syntax)
        if theirs != ours:
            yield code, *(" | ".join(line.partition("\t")[2] for line in text.decode("latin-1").splitlines()) for text in (theirs, ours))


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
