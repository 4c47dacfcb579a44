"""Scanning a disc in a drive: start, intervals, end, by the family's table; and the proof that the drive measures at all.

Some drives answer zero whatever the disc (seen by users of several models): a scan is believed only if it repeats and is not all zero on a disc
that other means say is not perfect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tanken.base.errors import InputError, UnsupportedError, UsageError
from tanken.base.progress import Event, Progress, silent
from tanken.base.records import Record
from tanken.disc.drive.scsi import Transport
from tanken.disc.measure import BlockLine, Line, SecondLine
from tanken.notation.table import read_tables

FIRST_PSN = 0x030000
PROOF = 60  # intervals read twice for the proof


@dataclass(frozen=True)
class ReplyField:
    """A field of a reply."""

    name: str
    offset: int
    size: int
    shift: int


@dataclass(frozen=True)
class Command:
    """A row of the table."""

    step: str
    cdb: tuple[str, ...]
    length: int
    fields: tuple[ReplyField, ...]
    what: str

    def bytes_for(self, block: int, count: int) -> bytes:
        """The 12 bytes, with the logical block and the count filled in."""
        place = iter(block.to_bytes(4, "big"))
        out = bytes(next(place) if word == "L" else count if word == "N" else int(word, 16) for word in self.cdb)
        return out.ljust(12, b"\0")


def _field(text: str) -> ReplyField:
    name, _, rest = text.partition("@")
    where, _, shift = rest.partition(">>")
    offset, _, size = where.partition(".")
    return ReplyField(name, int(offset), int(size), int(shift or 0))


@cache
def commands(family: str, kind: str) -> tuple[Command, ...]:
    """The commands of a family for a kind of disc (cd, dvd). Raises UsageError for an unknown family, UnsupportedError where it has none."""
    rows = read_tables(Path(__file__).with_name("commands.table"))["commands"]
    if family not in {row[0] for row in rows}:
        raise UsageError(f"family {family!r}", wanted=", ".join(sorted({row[0] for row in rows})))
    found = tuple(Command(row[2], tuple(row[3].split()), int(row[4]), tuple(map(_field, row[5].split())), row[6]) for row in rows if row[:2] == (family, kind))
    if not found:
        raise UnsupportedError(f"{family} has no commands for a {kind.upper()}", wanted="cd" if kind == "dvd" else "dvd")
    return found


@cache
def interval(family: str, kind: str) -> int:
    """Sectors of an interval."""
    rows = read_tables(Path(__file__).with_name("commands.table"))["intervals"]
    return next(int(row[2]) for row in rows if row[:2] == (family, kind))


class Scanner:
    """One scan of a drive: `start`, `read` for each interval, `end`."""

    def __init__(self, transport: Transport, family: str, kind: str) -> None:
        self.transport, self.family, self.kind = transport, family, kind
        self.table = commands(family, kind)
        self.sectors = interval(family, kind)

    def _steps(self, step: str) -> list[Command]:
        return [command for command in self.table if command.step == step]

    def _send(self, command: Command, block: int) -> bytes | None:
        """The reply's data; None for a medium error. Raises UnsupportedError where the drive refuses."""
        reply = self.transport.command(command.bytes_for(block, self.sectors), command.length)
        if reply.good:
            if len(reply.data) < max((f.offset + f.size for f in command.fields), default=0):
                raise InputError(f"a reply of {len(reply.data)} bytes", where=f"{self.family} {command.step}", wanted=f"{command.length}")
            return reply.data
        if reply.key == 3:
            return None
        raise UnsupportedError(f"{command.what}: {reply.why}", where=f"{self.family} {self.kind} {command.step}", hint="another --family?")

    def start(self, block: int = 0) -> None:
        """Begins the test at a logical block."""
        for command in self._steps("start"):
            self._send(command, block)

    def read(self, block: int) -> dict[str, int]:
        """The counts of the interval that begins at a logical block; `unread` is 1 where sectors could not be read."""
        counts: dict[str, int] = {}
        for command in self.table:
            if command.step not in ("advance", "read", "reset"):
                continue
            data = self._send(command, block)
            if data is None:
                counts["unread"] = 1
                continue
            for f in command.fields:
                counts[f.name] = _ones(data, f, self.sectors) if f.name == "bits" else int.from_bytes(data[f.offset : f.offset + f.size], "big") >> f.shift
        return counts

    def end(self) -> None:
        """Ends the test."""
        for command in self._steps("end"):
            self._send(command, 0)


def _ones(data: bytes, f: ReplyField, sectors: int) -> int:
    size = f.offset + f.size
    return sum(int.from_bytes(data[i * size + f.offset : (i + 1) * size], "big").bit_count() for i in range(min(sectors, len(data) // size)))


def capacity(transport: Transport) -> int:
    """Sectors of the disc, by READ CAPACITY (25h, MMC-6 section 6.25). Raises InputError when there is no disc."""
    reply = transport.command(bytes((0x25,)).ljust(12, b"\0"), 8)
    if not reply.good or len(reply.data) < 8:
        raise InputError(f"READ CAPACITY: {reply.why}", wanted="a disc in the drive")
    return int.from_bytes(reply.data[:4], "big") + 1


def line_of(kind: str, number: int, block: int, counts: dict[str, int]) -> Line:
    """A measurement's line of what a drive reported."""
    lost = counts.get("unread", 0)
    if kind == "dvd":
        return BlockLine(number, FIRST_PSN + block, counts.get("pi", 0), counts.get("pif", 0), counts.get("po"), counts.get("pof", 0) + lost, lost)
    if "bits" in counts:
        return SecondLine(number, None, None, None, lost, None, counts["bits"])
    c1 = {name: counts.get(name, 0) for name in ("e11", "e21", "e31")} if "e11" in counts else {"e11": counts.get("bler", 0), "e21": 0, "e31": 0}
    c2 = {name: counts.get(name, 0) for name in ("e12", "e22", "e32")} | {"cu": counts.get("cu", counts.get("e32", 0)) + lost}
    return SecondLine(number, c1, c2, counts.get("bler", sum(c1.values())), lost, None, None)


def scan(transport: Transport, family: str, kind: str, first: int = 0, count: int | None = None, progress: Progress = silent) -> Iterator[Line]:
    """Lines of a scan from interval `first` on (a scan that was interrupted goes on there), `count` of them at most."""
    scanner = Scanner(transport, family, kind)
    total = -(-capacity(transport) // scanner.sectors)
    last = total if count is None else min(total, first + count)
    scanner.start(first * scanner.sectors)
    try:
        for number in range(first, last):
            yield line_of(kind, number, number * scanner.sectors, scanner.read(number * scanner.sectors))
            progress(Event("scan", number + 1 - first, last - first, f"{last - first} intervals"))
    finally:
        scanner.end()


def levels(lines: list[Line]) -> list[int]:
    """The count that says most of each line."""
    return [(line.pi if isinstance(line, BlockLine) else line.bler if line.bler is not None else line.c2_pointers) or 0 for line in lines]


def alike(first: list[int], second: list[int], sizes: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Counts of intervals of so many sectors, each added up over the same stretches of the disc."""
    common = math.lcm(*sizes)
    parts = []
    for levels, size in zip((first, second), sizes, strict=True):
        step = common // size
        parts.append([sum(levels[i : i + step]) for i in range(0, len(levels) - step + 1, step)])
    return parts[0], parts[1]


@dataclass(slots=True, repr=False)
class Proof(Record):
    """Whether a drive measures: intervals read twice, their totals, correlation, and the reasons against it."""

    intervals: int
    first: int
    second: int
    correlation: float
    believed: bool = True
    reasons: list[str] = field(default_factory=list)


def correlation(a: list[int], b: list[int]) -> float:
    """Pearson's, 0 where one does not vary."""
    n = len(a)
    if n < 2:
        return 0.0
    mean_a, mean_b = sum(a) / n, sum(b) / n
    cov = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))
    return cov / spread if spread else 0.0


def prove(transport: Transport, family: str, kind: str, count: int = PROOF) -> Proof:
    """Reads the same intervals twice: a drive that measures gives about the same, not zero and not one number everywhere."""
    first, second = (levels(list(scan(transport, family, kind, 0, count))) for _ in range(2))
    out = Proof(len(first), sum(first), sum(second), round(correlation(first, second), 3))
    if not any(first) and not any(second):
        pointers = family == "generic"
        out.reasons.append(
            "no C2 pointer anywhere, which a good disc and a drive that reports none have in common: prove it with a damaged disc" if pointers
            else "all reports are zero: this drive or disc shows no error at all, which a real disc never does"
        )
    elif len(set(first)) == 1 and len(first) > 8:
        out.reasons.append(f"every interval reports {first[0]}: a number that does not depend on the disc")
    ratio = (out.second + 1) / (out.first + 1)
    noise = 4 / math.sqrt(max(1, min(out.first, out.second)))
    if not 1 / (1.5 + noise) < ratio < 1.5 + noise:
        out.reasons.append(f"the second reading gave {ratio:.2f} times the first")
    varied = len(first) > 8 and len(set(first)) > 1 and _overdispersed(first)
    if varied and out.correlation < 0.5:
        out.reasons.append(f"two readings of the same places hardly agree (correlation {out.correlation})")
    out.believed = not out.reasons
    return out


def _overdispersed(values: list[int]) -> bool:
    """Whether counts vary more between places than chance alone would make them."""
    mean = sum(values) / len(values)
    return mean > 0 and sum((v - mean) ** 2 for v in values) / len(values) > 4 * mean


@dataclass(frozen=True, slots=True, repr=False)
class Calibration(Record):
    """How a second drive's counts follow a first one's on the same disc: second = factor * first, with a 95 % interval; correlation."""

    intervals: int
    factor: float
    low: float
    high: float
    correlation: float


def calibrate(first: list[int], second: list[int]) -> Calibration:
    """The ratio of sums, its interval from the scatter of ten parts. Raises InputError where one drive counts nothing."""
    n = min(len(first), len(second))
    if n < 10 or not sum(first[:n]) or not sum(second[:n]):
        raise InputError(f"{n} intervals, {sum(first[:n])} and {sum(second[:n])} errors", wanted="at least 10 intervals and errors in both scans")
    parts = [(sum(first[i:n:10]), sum(second[i:n:10])) for i in range(10)]
    total_a, total_b = sum(a for a, _ in parts), sum(b for _, b in parts)
    rest = [(total_b - b) / max(1, total_a - a) for a, b in parts]  # the jackknife
    factor = total_b / total_a
    error = math.sqrt(0.9 * sum((value - sum(rest) / 10) ** 2 for value in rest))
    return Calibration(n, round(factor, 4), round(factor - 2.26 * error, 4), round(factor + 2.26 * error, 4), round(correlation(first[:n], second[:n]), 3))
