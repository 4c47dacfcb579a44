"""What can be measured: raw DVD frames, CD sectors, run lengths, user data; recognised by their contents, with what each cannot tell.

Formats: 2,064-byte data frames (friidump, DiscImageCreator), 2,366-byte recording frames (redumper .sdram), 2,384 bytes (MediaTek cache: 18 unknown
bytes behind), 2,352-byte sectors with .sub, .c2, .cue or .ccd beside them, `.efm` run lengths (ld-decode), 2,048-byte user data.
"""

from __future__ import annotations

import mmap
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import InputError, UsageError
from tanken.base.records import Record
from tanken.disc.cd import sector
from tanken.disc.dvd import frame

if TYPE_CHECKING:
    from tanken.coding.gf256 import Bytes

LOOK = 64  # frames that recognition looks at
SHARE = 0.6  # of them that must fit


@dataclass(frozen=True, slots=True, repr=False)
class Format(Record):
    """A format: its name, the bytes of a unit (0: a stream), what it is, what it cannot tell."""

    name: str
    unit: int
    what: str
    silent: str


FORMATS = {
    form.name: form
    for form in (
        Format("dvd2366", 2366, "DVD recording frames with PI and PO", ""),
        Format("dvd2384", 2384, "DVD recording frames with PI and PO and 18 more bytes",
               "whether a drive's cache holds the rows before or after its own correction is unknown"),
        Format("dvd2064", 2064, "DVD data frames after correction", "2,064-byte frames have no parity: PI, PO and bursts cannot be told, only ID checks and EDC"),
        Format("cd2352", 2352, "CD sectors", "sectors have passed CIRC: C1 and C2 cannot be told, only EDC, P and Q (of data sectors)"),
        Format("cd2448", 2448, "CD sectors with subcode", "sectors have passed CIRC: C1 and C2 cannot be told, only EDC, P, Q and the subcode's check"),
        Format("efm", 0, "run lengths of a CD's channel", ""),
        Format("dvdt", 0, "run lengths of a DVD's channel", ""),
        Format("iso", 2048, "user data", "user data has neither parity nor EDC: blocks are made from it to study, nothing is measured"),
    )
}  # fmt: skip


@dataclass
class Source:
    """A recognised input: its bytes, and the files found beside it."""

    name: str
    form: Format
    data: Bytes
    sub: Bytes | None = None
    c2: Bytes | None = None
    audio: bool = False
    tracks: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        """Whole units, or bytes of a stream."""
        return len(self.data) // (self.form.unit or 1)


def read(name: str, forced: str | None = None) -> Source:
    """Opens an image, `-` for the standard input. Raises InputError when it is no format of FORMATS, UsageError for an unknown forced one."""
    if forced is not None and forced not in FORMATS:
        raise UsageError(f"format {forced!r}", wanted=", ".join(FORMATS))
    tracks: tuple[str, ...] = ()
    path = Path(name)
    if path.suffix.lower() in (".cue", ".ccd") and name != "-":
        path, tracks = _sheet(path)
    data = open_bytes(str(path))
    form = FORMATS[forced] if forced else detect(data)
    if form is None and path.suffix.lower() in (".iso", ".udf") and len(data):
        form = FORMATS["iso"]
    if form is None:
        raise InputError(f"{len(data)} bytes of no known disc format", wanted=", ".join(FORMATS), where=name, hint="--format says which")
    source = Source(name, form, data, tracks=tracks)
    if form.name.startswith("cd"):
        source.sub, source.c2 = _beside(path, ".sub"), _beside(path, ".c2")
        source.audio = not _is_cd(data, form.unit)
    return source


def open_bytes(name: str) -> Bytes:
    """The bytes of a file, or of the standard input for `-`. Raises InputError where it cannot be read."""
    if name == "-":
        return np.frombuffer(sys.stdin.buffer.read(), dtype=np.uint8)
    try:
        if not Path(name).stat().st_size:
            return np.zeros(0, dtype=np.uint8)
        return np.memmap(name, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise InputError(getattr(error, "strerror", None) or str(error), where=name, wanted="a disc image") from error


def forget(data: Bytes, end: int) -> None:
    """Gives back the memory of a file's first `end` bytes, which have been read; they are read anew where they are asked for again."""
    pages = getattr(data, "_mmap", None)
    if pages is not None:
        pages.madvise(mmap.MADV_DONTNEED, 0, max(mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE))


def _beside(path: Path, suffix: str) -> Bytes | None:
    for candidate in (path.with_suffix(suffix), path.with_suffix(suffix.upper())):
        if candidate.is_file() and candidate.stat().st_size:
            return np.memmap(candidate, dtype=np.uint8, mode="r")
    return None


def _sheet(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The image that a cue sheet or a .ccd names, and its tracks as text."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(error.strerror or str(error), where=str(path)) from error
    if path.suffix.lower() == ".ccd":
        return path.with_suffix(".img"), tuple(re.findall(r"^\[TRACK (\d+)\]", text, re.MULTILINE))
    files = re.findall(r'^\s*FILE\s+(?:"([^"]+)"|(\S+))', text, re.MULTILINE)
    tracks = tuple(re.findall(r"^\s*TRACK\s+(\d+\s+\S+)", text, re.MULTILINE))
    if not files:
        raise InputError("no FILE line", where=str(path), wanted='FILE "NAME" BINARY')
    if len(files) > 1:
        raise InputError(f"{len(files)} files", where=str(path), wanted="a sheet of one file", hint="measure the files one by one")
    named = files[0][0] or files[0][1]
    if Path(named).name != named:
        raise InputError(f"file {named!r}", where=str(path), wanted="a file beside the sheet")
    return path.with_name(named), tracks


def detect(data: Bytes) -> Format | None:
    """The format of these bytes, by checks that noise does not pass."""
    if not len(data):
        return None
    for name in ("dvd2366", "dvd2384", "dvd2064"):
        if _is_dvd(data, FORMATS[name].unit):
            return FORMATS[name]
    for name in ("cd2352", "cd2448"):
        if _is_cd(data, FORMATS[name].unit):
            return FORMATS[name]
    head = np.asarray(data[:4096])
    if len(data) >= 600 and ((head >= 3) & (head <= 14)).mean() > 0.97:
        return FORMATS["dvdt" if (head == 14).mean() > 0.0005 else "efm"]
    if len(data) > 0x8006 and bytes(data[0x8001:0x8006]) in (b"CD001", b"BEA01"):
        return FORMATS["iso"]
    return None


def _units(data: Bytes, unit: int) -> Bytes:
    """Up to LOOK whole units from the beginning and as many from the middle."""
    count = len(data) // unit
    whole = data[: count * unit].reshape(count, unit)
    return np.concatenate([whole[:LOOK], whole[count // 2 : count // 2 + LOOK]])


def _is_dvd(data: Bytes, unit: int) -> bool:
    if len(data) < unit or len(data) % unit and len(data) < 16 * unit:
        return False
    units = _units(data, unit)
    good = ~frame.id_errors(units) & units[:, :6].any(axis=1)
    return bool(good.mean() > SHARE)


def _is_cd(data: Bytes, unit: int) -> bool:
    if len(data) < unit:
        return False
    return bool((_units(data, unit)[:, :12] == sector.SYNC).all(axis=1).mean() > SHARE)
