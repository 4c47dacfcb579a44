"""Scan logs of drives: qpxtool's .qpx, CSV of K-Probe, DiscSpeed and others, as measurements of lower resolution.

qpxtool (gui/src/resultsio.cpp): XML, in `errc` one `d` an interval: address, speed and eight counts, with commas between; the bits of `data` say which
counts the drive gave. CSV as test houses exchange it (cdrinfo.com, "Media quality tests"): position, PI or C1, PIF (which K-Probe calls PO) or C2; a
header names the columns.
"""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tanken.base.errors import InputError, UnsupportedError
from tanken.disc import geometry
from tanken.disc.dvd.block import ROWS
from tanken.disc.dvd.frame import FIRST_PSN, SECTORS
from tanken.disc.measure import FRAMES_A_SECOND, BlockLine, Measurement, SecondLine

HEAD = 4096  # bytes that recognition looks at
LARGEST = 256 << 20  # bytes of a log
MOST = 1 << 40  # of any count
QPX_CD = ("bler", "e11", "e21", "e31", "e12", "e22", "e32", "cu")
QPX_DVD = ("", "pi", "pi8", "pif", "po", "po8", "pof", "lost")
NAMES = {
    "lba": ("lba", "sector", "position", "sec", "time"), "block": ("block", "ecc block"), "psn": ("psn",), "mb": ("mb", "position (mb)"), "gb": ("gb", "position (gb)"),
    "pi": ("pie", "pi", "pi errors", "pi error", "pierrors", "pi sum8"), "pif": ("pif", "pi failures", "pi failure", "pifailures", "po"),
    "po": ("poe", "po errors"), "pof": ("pof", "po failures", "pouncorrectable"),
    "bler": ("c1", "bler", "c1 errors"), "c2": ("c2", "e22", "c2 errors"), "cu": ("cu", "e32", "uncr"),
}  # fmt: skip


def read(name: str) -> Measurement | None:
    """The measurement of a log; None where the file is no log. Raises InputError for a broken one."""
    path = Path(name)
    if name == "-" or not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head or b"\0" in head:
        return None
    if b"<qpxdata" in head:
        return _qpx(_text(path))
    lines = head.decode("utf-8", "replace").splitlines()
    if path.suffix.lower() in (".csv", ".txt", ".kpb") or lines and _columns(lines[0]):
        return _csv(_text(path), name)
    return None


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path.stat().st_size} bytes", where=str(path), wanted=f"a log of at most {LARGEST} bytes")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("a document type in a log", where=str(path), wanted="plain XML without entities")
    return text


def _new(name: str, kind: str, note: str) -> Measurement:
    made = Measurement(name, "log", kind, [note])
    made.log = True
    return made


def _count(text: str) -> int:
    try:
        return min(max(0, round(float(text))), MOST)
    except (ValueError, OverflowError):
        raise InputError(f"{text!r} in a log", wanted="a number") from None


def _qpx(text: str) -> Measurement:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"broken XML: {error}", wanted="a .qpx file of qpxtool") from error
    identity, test = root.find("./media/identify"), root.find(".//errc")
    media = identity.get("type", "") if identity is not None else ""
    made = _new(root.get("name", "qpxtool log"), "cd" if media.startswith("CD") else "dvd", f"qpxtool log of {media or 'an unknown disc'}: counts as that drive reported them")
    rows = [item.text.split(",") for item in (test if test is not None else ()) if item.tag == "d" and item.text]
    if test is None or not rows:
        raise InputError("no error-correction test in the log", wanted="an errc element with measurements")
    if media.startswith("BD"):
        raise UnsupportedError(f"a log of {media}", wanted="CD or DVD", hint="LDC and BIS of a Blu-ray disc are not judged")
    given = _count(test.get("data", "0")) or 0xFF
    names = QPX_CD if made.kind == "cd" else QPX_DVD
    for count, row in enumerate(rows):
        if len(row) != 10:
            raise InputError(f"{len(row)} numbers in a measurement", wanted="10: address, speed and eight counts", where=f"errc, measurement {count + 1}")
        values = {name: _count(cell) for bit, (name, cell) in enumerate(zip(names, row[2:], strict=True)) if given >> bit & 1}
        _add(made, count, _count(row[0]), values)
    _picture(made)
    return made


def _add(made: Measurement, count: int, lba: int, values: dict[str, int]) -> None:
    """One measurement of a .qpx file; what the drive did not give stays unknown, but for PI and C1, without which there is nothing."""
    if made.kind == "cd":
        c1 = {name: values.get(name, 0) for name in ("e11", "e21", "e31")}
        if not any(name in values for name in c1):
            c1["e11"] = values.get("bler", 0)
        c2 = {name: values.get(name, 0) for name in ("e12", "e22", "e32", "cu")}
        made.lines.append(SecondLine(lba // 75, c1, c2, values.get("bler", sum(c1.values())), 0, None, None))
        return
    pi = values.get("pi8", 0) if "pi" not in values or not values["pi"] else values["pi"]
    made.lines.append(BlockLine(count, FIRST_PSN + lba, pi, values.get("pif", 0), values.get("po"), values.get("pof", 0) + values.get("lost", 0), 0))


def _picture(made: Measurement) -> None:
    """How many ECC blocks a line stands for, and the errors over the radius: where on a turn they lie no log tells."""
    if not made.lines:
        return
    if made.kind == "cd":
        bler, seconds = made.column("bler").clip(0), np.arange(len(made.lines), dtype=np.float64) + 0.5
        made.grid.spread(geometry.CD.radius(seconds * FRAMES_A_SECOND), np.full(len(bler), FRAMES_A_SECOND), bler)
        return
    steps = np.diff(made.column("psn"))
    steps = steps[steps > 0]
    made.span = max(1, round(float(np.median(steps)) / SECTORS)) if len(steps) else 1
    psns, rows = made.column("psn"), made.span * ROWS
    made.grid.spread(geometry.DVD.radius(geometry.psn_steps(psns) + rows / 2), np.full(len(psns), rows), made.column("pi").clip(0))
    if made.span > 1:
        made.notes.append(f"each line of the log stands for {made.span} ECC blocks")


def _columns(line: str) -> dict[str, int]:
    """Which column is what, by the names in a header; empty where it is none."""
    cells = [cell.strip().strip('"').lower() for cell in next(csv.reader([line], delimiter=_delimiter(line)), [])]
    found: dict[str, int] = {}
    for key, names in NAMES.items():
        for index, cell in enumerate(cells):
            if cell in names and key not in found:
                found[key] = index
    return found if {"pi", "bler", "pif", "c2"} & set(found) else {}


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _numbers(row: list[str]) -> list[float] | None:
    try:
        return [float(cell.replace(",", ".")) if cell.strip() else 0.0 for cell in row]
    except ValueError:
        return None


def _csv(text: str, name: str) -> Measurement | None:
    lines = text.splitlines()
    header = next((i for i, line in enumerate(lines[:60]) if _columns(line)), None)
    columns = _columns(lines[header]) if header is not None else {"lba": 0, "pi": 1, "pif": 2}
    start = 0 if header is None else header + 1
    delimiter = _delimiter(lines[header if header is not None else 0]) if lines else ","
    rows = [row for row in (_numbers(row) for row in _rows(lines[start:], delimiter)) if row is not None and len(row) > max(columns.values())]
    if not rows:
        if header is None:
            return None
        raise InputError("no row of numbers under the header", where=f"{name}:{start}", wanted="position and counts")
    if any(not 0 <= value < MOST for row in rows for value in row):
        raise InputError("a count that is negative or no number", where=name, wanted="counts from 0 on")
    if "bler" in columns or "c2" in columns:
        return _cd_rows(rows, columns, name)
    made = _new(name, "dvd", "scan log: counts as that drive reported them; a drive's `PO` is what the standard calls PI failures")
    for index, row in enumerate(rows):
        pi, pif, po, pof = (round(row[columns[key]]) if key in columns else 0 for key in ("pi", "pif", "po", "pof"))
        made.lines.append(BlockLine(index, FIRST_PSN + _lba(row, columns, index), pi, pif, po, pof, 0))
    _picture(made)
    return made


def _lba(row: list[float], columns: dict[str, int], index: int) -> int:
    """The address by whichever column tells it; MB and GB as powers of two, which is what those programs show."""
    for key, factor, first in (("lba", 1.0, 0), ("psn", 1.0, FIRST_PSN), ("block", SECTORS, 0), ("mb", (1 << 20) / 2048, 0), ("gb", (1 << 30) / 2048, 0)):
        if key in columns:
            return max(0, round(row[columns[key]] * factor) - first)
    return index * SECTORS


def _cd_rows(rows: list[list[float]], columns: dict[str, int], name: str) -> Measurement:
    made = _new(name, "cd", "scan log: counts as that drive reported them; the classes E11 to E31 are not in it")
    for index, row in enumerate(rows):
        bler, c2, cu = (round(row[columns[key]]) if key in columns else 0 for key in ("bler", "c2", "cu"))
        made.lines.append(SecondLine(index, {"e11": bler, "e21": 0, "e31": 0}, {"e12": 0, "e22": c2, "e32": cu, "cu": cu}, bler, 0, None, None))
    _picture(made)
    return made


def _rows(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    yield from csv.reader((line for line in lines if line.strip() and not line.lstrip().startswith(("#", "//"))), delimiter=delimiter)
