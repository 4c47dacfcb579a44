"""What an image is: type, layers, size, volume, error correction data and media identity, without measuring it.

ISO 9660 (ECMA-119 section 8.4) primary volume descriptor; DVD sector numbers tell layers and track path (ECMA-267 section 16.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tanken.disc import geometry, inputs, media
from tanken.disc.cd import sector
from tanken.disc.dvd import block, frame
from tanken.disc.dvdisaster import repair
from tanken.disc.inputs import Source

if TYPE_CHECKING:
    from tanken.coding.gf256 import Bytes

PIECE = 1 << 14  # sectors at a time
DESCRIPTOR = 16  # sector of the primary volume descriptor
BOOKS = {0: "DVD-ROM", 1: "DVD-RAM", 2: "DVD-R", 3: "DVD-RW", 9: "DVD+RW", 10: "DVD+R", 13: "DVD+RW of two layers", 14: "DVD+R of two layers"}


def describe(source: Source) -> dict[str, object]:
    """Facts by name, in the order in which to show them."""
    out: dict[str, object] = {"source": source.name, "format": source.form.name, "what": source.form.what}
    if source.form.silent:
        out["cannot tell"] = source.form.silent
    name = source.form.name
    if name == "iso":
        out |= _volume(np.asarray(source.data[DESCRIPTOR * 2048 : (DESCRIPTOR + 1) * 2048])) | {"sectors": source.units}
        found = repair.find_header(source.data)
        if found is not None:
            out["error correction"] = f"{found.method}, {found.roots} roots, {found.sectors} sectors protected"
    elif name.startswith("dvd") and name != "dvdt":
        out |= _dvd(source)
    elif name in ("cd2352", "cd2448"):
        out |= _cd(source)
    else:
        out["runs"] = len(source.data)
    identities = media.beside(source.name) if source.name != "-" else []
    for identity in identities:
        out |= {"disc": identity.kind, "media id": identity.media, "maker": identity.maker} | identity.details
    if not identities:
        out["media id"] = "not in the image: put a drive's reply beside it (NAME.adip, NAME.lpp, NAME.atip)"
    return out


def _volume(descriptor: Bytes) -> dict[str, object]:
    data = descriptor.tobytes()
    if len(data) < 2048 or data[1:6] != b"CD001":
        return {"volume": "no ISO 9660 descriptor"}
    places = {"volume": (40, 72), "system": (8, 40), "publisher": (318, 446)}
    text = {name: "".join(c if c.isprintable() else "?" for c in data[a:b].decode("latin-1").strip(" \0")) for name, (a, b) in places.items()}
    found: dict[str, object] = {name: value for name, value in text.items() if value}
    return found | {"volume sectors": int.from_bytes(data[80:84], "little"), "written": _stamp(data[813:829])}


def _stamp(field: bytes) -> str:
    """A date of ECMA-119 section 8.4.26.1: digits of year, month, day, hour, minute, second and hundredths."""
    text = field.decode("latin-1")
    if not text.isdigit() or not int(text[:14] or 0):
        return "not told"
    return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]}:{text[12:14]}"


def _dvd(source: Source) -> dict[str, object]:
    unit, count = source.form.unit, source.units
    heads = np.empty((count, 6), dtype=np.uint8)
    for start in range(0, count, PIECE):
        stop = min(start + PIECE, count)
        heads[start:stop] = source.data[start * unit : stop * unit].reshape(-1, unit)[:, :6]
        inputs.forget(source.data, stop * unit)
    good = ~frame.id_errors(heads)
    numbers = frame.psns(heads)[good]
    out: dict[str, object] = {"sectors": count, "ecc blocks": count // 16, "sector IDs that fail": int((~good).sum())}
    if not len(numbers):
        return out
    layers = np.unique(heads[good][:, 0] & 1).tolist()
    inward = bool((numbers >= geometry.INWARD).any())
    out |= {"first sector number": f"0x{int(numbers[0]):06x}", "last sector number": f"0x{int(numbers[-1]):06x}"}
    path = ", opposite track path" if inward else ", parallel track path" if len(layers) > 1 else ""
    out["layers"] = f"{len(layers)} in the image ({', '.join(str(layer) for layer in layers)}){path}"
    gaps = int((np.diff(numbers) != 1).sum())
    if gaps:
        out["gaps in the sector numbers"] = gaps
    lead_in = numbers < frame.FIRST_PSN
    if lead_in.any() and source.form.name != "dvd2064":
        out["lead-in"] = f"{int(lead_in.sum())} sectors: {_book(source, int(np.flatnonzero(good)[np.flatnonzero(lead_in)[0]]))}"
    place = np.flatnonzero(numbers == frame.FIRST_PSN + DESCRIPTOR)
    if len(place) and source.form.unit >= 2064:
        at = int(np.flatnonzero(good)[place[0]])
        out |= _volume(_user(source, at))
    return out


def _user(source: Source, at: int) -> Bytes:
    """The user data of a raw sector as it stands, not corrected."""
    unit = source.form.unit
    raw = np.asarray(source.data[at * unit : (at + 1) * unit])
    if unit >= 2366:
        raw = raw[:2366].reshape(block.RECORDED_ROWS, block.COLUMNS)[:12, : block.DATA_COLUMNS].reshape(-1)
    user: Bytes = frame.user_data(np.ascontiguousarray(raw[None, : frame.FRAME]))[0]
    return user


def _book(source: Source, at: int) -> str:
    kind = int(_user(source, at)[0])
    return f"{BOOKS.get(kind >> 4, f'book type {kind >> 4:x}')}, version {kind & 15}"


def _cd(source: Source) -> dict[str, object]:
    unit, count = source.form.unit, source.units
    sectors = np.asarray(source.data[: min(count, 4096) * unit].reshape(-1, unit)[:, : sector.SECTOR])
    found = sector.modes(np.ascontiguousarray(sectors))
    names = {0: "audio or unchecked", 1: "mode 1", 2: "mode 2 form 1"}
    counts = {names[mode]: int((found == mode).sum()) for mode in (0, 1, 2) if (found == mode).any()}
    out: dict[str, object] = {"sectors": count, "length": f"{count // 4500}:{count // 75 % 60:02d}:{count % 75:02d}", "modes of the first": counts}
    if source.tracks:
        out["tracks"] = ", ".join(source.tracks)
    out["beside it"] = ", ".join(name for name, data in (("subcode", source.sub), ("C2 pointers", source.c2)) if data is not None) or "neither subcode nor C2 pointers"
    if found[:1].any():
        start = sector.block_of(sectors[0, 12:15])
        out["first block"] = "unreadable header" if start is None else start
    if count > DESCRIPTOR and len(sectors) > DESCRIPTOR:
        out |= _volume(sector.user_data(sectors[DESCRIPTOR : DESCRIPTOR + 1])[0])
    return out

