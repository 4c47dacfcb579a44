"""Who made a disc: its Media ID in the structures that drives report, a table of makers, and groups of discs within one ID.

DVD-R pre-recorded information (READ DVD STRUCTURE 0Eh), DVD+R ADIP (11h), CD-R ATIP (READ TOC/PMA/ATIP 4): MMC-6; places of the ID as public tools
read them. Makers changed the dye under an ID without telling: the other bytes (write strategy, powers, revision) betray it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tanken.base.errors import InputError
from tanken.base.records import Record
from tanken.notation.table import read_tables

SUFFIXES = {".lpp": "dvd-r", ".adip": "dvd+r", ".atip": "cd-r"}
FORMATS = {"dvd-r": 0x0E, "dvd+r": 0x11, "cd-r": 0x104}  # as `simulated.Drive.structures` and `read_structure` number them
APART = 2  # bytes that may differ within a group


@dataclass(frozen=True, slots=True, repr=False)
class Identity(Record):
    """A blank disc's kind, Media ID, maker, what else is known, and the bytes that are its fingerprint."""

    kind: str
    media: str
    maker: str
    details: dict[str, str]
    fingerprint: bytes


def _text(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else " " for byte in data).strip()


def maker_of(media: str) -> str:
    """The maker of a DVD's Media ID by its longest known beginning."""
    rows = [row for row in read_tables(Path(__file__).with_name("makers.table"))["dvd"] if media.startswith(row[0])]
    return max(rows, key=lambda row: len(row[0]))[1] if rows else "unknown"


def _dvd_minus(body: bytes) -> Identity:
    """Pre-recorded information: fields of 8 bytes, the first byte of each its number; the ID is parted over fields 3 and 4 (and 5)."""
    media = " ".join(filter(None, (_text(body[at : at + 6]) for at in (17, 25))))
    details = {"last address of data": f"0x{int.from_bytes(body[5:8], 'big'):06x}", "write strategy": body[9:15].hex(" ")}
    return Identity("dvd-r", media, maker_of(media), details, body[:64])


def _dvd_plus(body: bytes) -> Identity:
    maker, kind = _text(body[19:27]), _text(body[27:30])
    layers = (body[2] >> 5 & 3) + 1
    details = {"revision": str(body[30]), "book type": f"{body[0] >> 4:x}, version {body[0] & 15}", "layers": str(layers)}
    return Identity("dvd+r", f"{maker} {kind}".strip(), maker_of(maker), details, body[:64])


def _cd(body: bytes) -> Identity:
    minute, second, frame = body[4:7]
    start = f"{minute:02d}:{second:02d}:{frame:02d}"
    code = f"{minute:02d}:{second:02d}:{frame // 10 * 10:02d}"
    makers = {row[0]: row[1] for row in read_tables(Path(__file__).with_name("makers.table"))["cd"]}
    if body[2] & 0x40:
        return Identity("cd-rw", f"ATIP {start}", makers.get(code, "unknown"), {"layer": "phase change"}, body[:24])
    dye = "long strategy (cyanine, azo and like)" if frame % 10 <= 4 else "short strategy (phthalocyanine)"
    details = {"dye by the last digit": dye}
    return Identity("cd-r", f"ATIP {start}", makers.get(code, "unknown"), details, body[:24])


READERS: dict[str, tuple[int, Callable[[bytes], Identity]]] = {"dvd-r": (33, _dvd_minus), "dvd+r": (32, _dvd_plus), "cd-r": (8, _cd)}


def identify(kind: str, reply: bytes, where: str = "") -> Identity:
    """The identity in a drive's reply, its header of 4 bytes in front. Raises InputError for one that is too short."""
    least, read = READERS[kind]
    body = reply[4:]
    if len(body) < least:
        raise InputError(f"{len(reply)} bytes of {kind} information", wanted=f"at least {least + 4}", where=where)
    return read(body)


def beside(image: str) -> list[Identity]:
    """The identities in files beside an image that hold drives' replies: NAME.lpp, NAME.adip, NAME.atip; or in the file itself."""
    path = Path(image)
    found = []
    for suffix, kind in SUFFIXES.items():
        candidate = path if path.suffix.lower() == suffix else path.with_suffix(suffix)
        if candidate.is_file():
            found.append(identify(kind, candidate.read_bytes()[:4096], str(candidate)))
    return found


def distance(a: bytes, b: bytes) -> int:
    """Bytes in which two fingerprints differ."""
    return sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))


def groups(discs: list[tuple[str, bytes]]) -> list[list[str]]:
    """Names of discs of one Media ID, parted where fingerprints differ by more than APART bytes; the largest group first."""
    parts: list[list[tuple[str, bytes]]] = []
    for name, mark in discs:
        near = [part for part in parts if any(distance(mark, other) <= APART for _, other in part)]
        joined = [(name, mark), *(item for part in near for item in part)]
        parts = [part for part in parts if part not in near] + [joined]
    return sorted((sorted(name for name, _ in part) for part in parts), key=lambda names: (-len(names), names))
