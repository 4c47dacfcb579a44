"""The text of whole Debian programs and of the cloud kernel, line by line against `objdump -d`; `make agreement` runs it before `tests.oracle.millions`.

Packages are downloaded with apt and unpacked into a temporary directory; `--quick` takes what every machine has. What is code and what is
data is taken from objdump's own lines, and a line that only one side has counts as a difference.
"""

from __future__ import annotations

import argparse
import collections
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tanken.debug import listing
from tanken.elf import Elf, kernel_image, read

PACKAGES = ("libc6", "python3.11-minimal", "libssl3", "libx265-199", "libavcodec59", "binutils", "binutils-x86-64-linux-gnu", "libbinutils")
KERNEL = "linux-image-cloud-amd64"
LIMIT = 10_000  # of so many lines one may differ
EXAMPLES = 200  # differences kept of a file
SYMBOL = re.compile(r" +# (0x)?[0-9a-f]+( <.*>)?$| <[^>]*>+$")
TARGET = re.compile(r"((?:call|j\w+|loop\w*|xbegin\w*)(?:,p[nt])? +)(?:0x)?([0-9a-f]+)$")
SECTION = "Disassembly of section "


class Line(NamedTuple):
    """An instruction: the ordinal of its section among those that hold code, its address, its text."""

    section: int
    address: int
    text: str


END = Line(1 << 62, 0, "no line")


def normal(text: str) -> str:
    """Without symbols and comments; a branch target with 0x."""
    if text[-1:] == ">" or "#" in text:
        text = SYMBOL.sub("", text)
    return TARGET.sub(r"\g<1>0x\g<2>", text)


def theirs(path: Path, elf: Elf, syntax: str) -> Iterator[Line]:
    """objdump's instructions; a line of data has bytes and letters, but no second tab."""
    names = [section.name for section in elf.sections if section.holds_code]
    command = ["objdump", "-d", "-w", *(["-M", "intel"] if syntax == "intel" else []), str(path)]
    ordinal = -1
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            cells = line.rstrip("\n").split("\t", 2)
            if len(cells) == 3:
                yield Line(ordinal, int(cells[0].rstrip(":"), 16), normal(cells[2]))
            elif line.startswith(SECTION):
                ordinal = names.index(line[len(SECTION) : -2], ordinal + 1)


def ours(elf: Elf, syntax: str) -> Iterator[Line]:
    """The lines of `tanken dis --plain`."""
    for ordinal, section in enumerate(s for s in elf.sections if s.holds_code):
        rest = b""
        for piece in listing.plain_lines(elf, syntax, [section], 0, 1 << 64):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                address, _, text = line.partition(b":\t")
                yield Line(ordinal, int(address, 16), text.decode("ascii"))


class Comparison(NamedTuple):
    """What came of a file: objdump's lines, those that differ, and some of them as (wanted, met)."""

    lines: int
    differing: int
    examples: list[tuple[Line, Line]]

    def classes(self) -> list[tuple[str, int]]:
        """The examples by mnemonics, the most frequent first."""
        return collections.Counter(f"{a.text.split(' ')[0]} / {b.text.split(' ')[0]}" for a, b in self.examples).most_common()


def compare(path: Path, elf: Elf, syntax: str) -> Comparison:
    """Walks through both in the order of the addresses; a line that one side lacks is a difference."""
    lines = differing = 0
    examples: list[tuple[Line, Line]] = []
    left, right = theirs(path, elf, syntax), ours(elf, syntax)
    a, b = next(left, END), next(right, END)
    while a is not END or b is not END:
        place, other = a[:2], b[:2]
        if a != b:
            differing += 1
            if len(examples) < EXAMPLES:
                examples.append((a if place <= other else END, b if other <= place else END))
        if place <= other:
            lines += 1
            a = next(left, END)
        if other <= place:
            b = next(right, END)
    return Comparison(lines, differing, examples)


def unpack(package: str, into: Path) -> None:
    """Downloads a Debian package and takes it apart."""
    subprocess.run(["apt-get", "-qq", "download", package], cwd=into, check=True)
    for file in into.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(file), str(into / "root")], check=True)
        file.unlink()


def elves(root: Path) -> Iterator[Path]:
    """The ELF files and kernels below a directory."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                head = file.read(0x210)
            if head[:4] == b"\x7fELF" or kernel_image.is_bzimage(head):
                yield path


def check(path: Path, scratch: Path, progress: str = "") -> tuple[int, int]:
    """Compares one file in both syntaxes; prints a line each, and the differences; returns (lines, differing)."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF":
        start = time.perf_counter()
        data = kernel_image.vmlinux(data, path.name)
        print(f"{path.name}: {len(data)} bytes unpacked in {time.perf_counter() - start:.1f} s", flush=True)
        path = scratch / (path.name + ".elf")
        path.write_bytes(data)
    elf, total, differing = read(data, path.name), 0, 0
    if not any(s.holds_code for s in elf.sections):
        return 0, 0
    for syntax in ("intel", "att"):
        start = time.perf_counter()
        found = compare(path, elf, syntax)
        total, differing = total + found.lines, differing + found.differing
        print(f"{progress}{found.differing:8} of {found.lines:9} differ  {syntax:5}  {path.name}  ({time.perf_counter() - start:.0f} s)", flush=True)
        for kind, number in found.classes()[:8]:
            wanted, met = next((a, b) for a, b in found.examples if f"{a.text.split(' ')[0]} / {b.text.split(' ')[0]}" == kind)
            print(f"           {number:7}  {max(wanted.address, met.address):x}: {wanted.text} / {met.text}")
    return total, differing


def programs(options: argparse.Namespace, scratch: Path) -> list[Path]:
    """The files to compare, downloaded where they are not of this machine."""
    if options.quick:
        return [Path("/lib/x86_64-linux-gnu/libc.so.6"), Path("/bin/busybox")]
    packages = list(options.package or (() if options.kernel else PACKAGES))
    if options.kernel or not options.package:
        shown = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=True).stdout
        packages += re.findall(r"Depends: (linux-image-\S+)", shown)[:1]
    for number, package in enumerate(packages, 1):
        print(f"[{number}/{len(packages)}] downloading {package}", flush=True)
        unpack(package, scratch)
    return [p for p in elves(scratch / "root") if p.suffix != ".ko"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tanken's text of whole programs with objdump's.")
    parser.add_argument("--quick", action="store_true", help="only the C library and busybox of this machine")
    parser.add_argument("--package", action="append", help="only these packages")
    parser.add_argument("--kernel", action="store_true", help="only the cloud kernel, or it too")
    options = parser.parse_args()
    total = differing = 0
    with tempfile.TemporaryDirectory() as name:
        paths = programs(options, Path(name))
        for number, path in enumerate(paths, 1):
            count, wrong = check(path, Path(name), f"[{number}/{len(paths)}] ")
            total, differing = total + count, differing + wrong
    print(f"{differing} of {total} lines differ: {100 * (1 - differing / max(total, 1)):.5f} % equal")
    return int(differing * LIMIT > total or not total)


if __name__ == "__main__":
    sys.exit(main())
