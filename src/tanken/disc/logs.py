"""Scan logs of drives: qpxtool's .qpx, CSV of K-Probe, DiscSpeed and others, as measurements of lower resolution.

qpxtool: XML, `errc` with one `d` an interval, attributes named after the counts. CSV as test houses exchange it (cdrinfo.com, "Media quality tests"):
position, PI or C1, PIF (which K-Probe calls PO) or C2; a header names the columns.
"""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from tanken.base.errors import InputError
from tanken.disc.measure import BlockLine, Measurement, SecondLine

HEAD = 4096  # bytes that recognition looks at
LARGEST = 256 << 20  # bytes of a log
FIRST_PSN = 0x030000
MOST = 1 << 40  # of any count
NAMES = {
    "lba": ("lba", "sector", "position", "sec", "time", "block", "gb", "mb", "psn"),
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


def _value(attributes: dict[str, str], *names: str) -> int | None:
    for name in names:
        text = attributes.get(name)
        if text is not None:
            try:
                return min(max(0, round(float(text))), MOST)
            except (ValueError, OverflowError):
                return None
    return None


def _qpx(text: str) -> Measurement:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"broken XML: {error}", wanted="a .qpx file of qpxtool") from error
    identity = root.find("./media/identify")
    media = identity.get("type", "") if identity is not None else ""
    made = _new(root.get("name", "qpxtool log"), "cd" if media.startswith("CD") else "dvd", f"qpxtool log of {media or 'an unknown disc'}: counts as that drive reported them")
    for count, item in enumerate(root.findall(".//errc/d")):
        values = dict(item.attrib)
        lba = _value(values, "lba") or 0
        if made.kind == "cd":
            c1 = {name: _value(values, name) or 0 for name in ("e11", "e21", "e31")}
            c2 = {name: _value(values, other) or 0 for name, other in (("e12", "e12"), ("e22", "e22"), ("e32", "e32"), ("cu", "uncr"))}
            made.lines.append(SecondLine(lba // 75, c1, c2, _value(values, "bler"), 0, None, None))
        else:
            pie, pif, poe, pof = (_value(values, name) or 0 for name in ("pie", "pif", "poe", "pof"))
            made.lines.append(BlockLine(count, FIRST_PSN + lba, pie, pif, poe, pof, 0))
    if not made.lines:
        raise InputError("no error-correction test in the log", wanted="an errc element with measurements")
    return made


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
        lba = round(row[columns["lba"]]) if "lba" in columns else index * 16
        made.lines.append(BlockLine(index, FIRST_PSN + lba, pi, pif, po, pof, 0))
    return made


def _cd_rows(rows: list[list[float]], columns: dict[str, int], name: str) -> Measurement:
    made = _new(name, "cd", "scan log: counts as that drive reported them; the classes E11 to E31 are not in it")
    for index, row in enumerate(rows):
        bler, c2, cu = (round(row[columns[key]]) if key in columns else 0 for key in ("bler", "c2", "cu"))
        made.lines.append(SecondLine(index, {"e11": bler, "e21": 0, "e31": 0}, {"e12": 0, "e22": c2, "e32": cu, "cu": cu}, bler, 0, None, None))
    return made


def _rows(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    yield from csv.reader((line for line in lines if line.strip() and not line.lstrip().startswith(("#", "//"))), delimiter=delimiter)
