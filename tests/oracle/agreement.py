"""`make agreement`: the text of whole Debian programs and of the cloud kernel, line by line against `objdump -d`.

Packages are downloaded with apt and unpacked into a temporary directory; `--quick` takes what every machine has.
"""

from __future__ import annotations

import argparse
import collections
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tanken.debug import listing
from tanken.elf import Elf, kernel_image, read

PACKAGES = ("libc6", "python3.11-minimal", "libssl3", "libx265-199", "libavcodec59", "binutils", "binutils-x86-64-linux-gnu", "libbinutils")
KERNEL = "linux-image-cloud-amd64"
SYMBOL = re.compile(r" +# (0x)?[0-9a-f]+( <.*>)?$| <[^>]*>+$")
TARGET = re.compile(r"((?:call|j\w+|loop\w*|xbegin\w*)(?:,p[nt])? +)(?:0x)?([0-9a-f]+)$")


def theirs(path: Path, elf: Elf, syntax: str) -> Iterator[str]:
    """objdump's lines in the form of `tanken dis --plain`; bytes of data symbols left out."""
    data = _data(elf)
    command = ["objdump", "-d", "-w", "--no-show-raw-insn", *(["-M", "intel"] if syntax == "intel" else []), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            head, tab, text = line.rstrip("\n").partition(":\t")
            if tab and text and not text.startswith("file format") and int(head, 16) not in data:
                yield f"{head.strip()}:\t{normal(text)}"


def _data(elf: Elf) -> set[int]:
    found: set[int] = set()
    for section in elf.sections:
        if section.holds_code:
            for region in listing.regions(elf, section):
                if region.data:
                    found.update(range(region.address, region.address + len(region.code)))
    return found


def normal(text: str) -> str:
    """Without symbols and comments; a branch target with 0x."""
    return TARGET.sub(r"\g<1>0x\g<2>", SYMBOL.sub("", text))


def compare(path: Path, elf: Elf, syntax: str) -> tuple[int, collections.Counter[str]]:
    """(instructions, differing ones by class)."""
    sections = [s for s in elf.sections if s.holds_code]
    ours = b"".join(listing.plain_lines(elf, syntax, sections, 0, 1 << 64)).decode("latin-1").splitlines()
    other = list(theirs(path, elf, syntax))
    classes: collections.Counter[str] = collections.Counter()
    if ours != other:
        mine, wanted = (dict(line.split(":\t", 1) for line in lines) for lines in (ours, other))
        for address, text in wanted.items():
            if mine.get(address) != text:
                classes[f"{text.split(' ')[0]} / {mine.get(address, 'no line').split(' ')[0]}: {address}: {text} / {mine.get(address)}"] += 1
    return len(other), classes


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
            head = path.read_bytes()[:0x210]
            if head[:4] == b"\x7fELF" or kernel_image.is_bzimage(head):
                yield path


def check(path: Path, scratch: Path) -> tuple[int, int]:
    """Compares one file in both syntaxes; prints a line, and the differences; returns (instructions, differing)."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF":
        data = kernel_image.vmlinux(data, path.name)
        path = scratch / (path.name + ".elf")
        path.write_bytes(data)
    elf, total, differing = read(data, path.name), 0, 0
    if not any(s.holds_code for s in elf.sections):
        return 0, 0
    for syntax in ("intel", "att"):
        count, classes = compare(path, elf, syntax)
        total, differing = total + count, differing + sum(classes.values())
        print(f"{sum(classes.values()):8} of {count:9} differ  {syntax:5}  {path.name}", flush=True)
        kinds = collections.Counter(name.split(":")[0] for name in classes.elements())
        for kind, number in kinds.most_common(8):
            print(f"           {number:7}  {next(name for name in classes if name.startswith(kind + ':'))}")
    return total, differing


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tanken's text of whole programs with objdump's.")
    parser.add_argument("--quick", action="store_true", help="only the C library and busybox of this machine")
    parser.add_argument("--package", action="append", help="only these packages")
    parser.add_argument("--kernel", action="store_true", help="the cloud kernel too")
    options = parser.parse_args()
    total = differing = 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.quick:
            paths = [Path("/lib/x86_64-linux-gnu/libc.so.6"), Path("/bin/busybox")]
        else:
            for package in options.package or PACKAGES:
                unpack(package, scratch)
            if options.kernel or not options.package:
                shown = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=True).stdout
                unpack(re.findall(r"Depends: (linux-image-\S+)", shown)[0], scratch)
            paths = [p for p in elves(scratch / "root") if not p.name.endswith(".ko")]
        for path in paths:
            count, wrong = check(path, scratch)
            total, differing = total + count, differing + wrong
    print(f"{differing} of {total} lines differ: {100 * (1 - differing / max(total, 1)):.5f} % equal")
    return int(differing * 10000 > total)


if __name__ == "__main__":
    sys.exit(main())
