"""Making error correction data: checksums of all sectors, parity of all layers, headers; byte for byte what dvdisaster writes.

Codec specifications, chapters 2 to 4. Parity is a product of lanes (`coding.lanes`): a lane is a byte of a sector, a row a layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import InputError
from tanken.base.progress import Event, Progress, silent
from tanken.coding.crc import CRC32_RAW
from tanken.coding.lanes import transpose
from tanken.disc.dvdisaster import header, layout
from tanken.disc.dvdisaster.header import HEADER, SECTOR, Header
from tanken.disc.dvdisaster.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

CHUNK = 4  # sectors of each layer at a time: 255 layers of them stay in the second-level cache
Rows = Callable[[int, int], "Bytes"]  # sectors first to last of all data layers, shape (layers, bytes)
GPL = b"GPL\0"  # what fills the rest of the last sector of checksums


def open_image(path: str) -> Bytes:
    """The bytes of an image. Raises InputError when it cannot be read or is empty."""
    try:
        if not Path(path).stat().st_size:
            raise InputError("an empty image", where=path, wanted="user data")
        return np.memmap(path, dtype=np.uint8, mode="r")
    except OSError as error:
        raise InputError(error.strerror or str(error), where=path, wanted="an image") from error


def whole_sectors(image: Bytes) -> tuple[Bytes, int]:
    """The image as sectors (count, 2048), the last filled up with zeros, and how many bytes of that one are real."""
    count, last = -(-len(image) // SECTOR), len(image) % SECTOR or SECTOR
    if last == SECTOR:
        return image.reshape(count, SECTOR), last
    whole = np.zeros((count, SECTOR), dtype=np.uint8)
    whole.reshape(-1)[: len(image)] = image
    return whole, last


def _md5(data: Bytes) -> bytes:
    return hashlib.md5(data.data).digest()


def layered(sectors: Bytes, layers: int, layer: int) -> Rows:
    """Rows of sectors that are cut into layers; what is behind the last sector is zero."""
    flat = sectors.reshape(-1)
    full = len(sectors) // layer  # layers that are whole
    head = flat[: full * layer * SECTOR].reshape(full, layer * SECTOR)

    def rows(first: int, last: int) -> Bytes:
        out = np.zeros((layers, (last - first) * SECTOR), dtype=np.uint8)
        out[:full] = head[:, first * SECTOR : last * SECTOR]
        if full < layers:
            piece = flat[(full * layer + first) * SECTOR : (full * layer + last) * SECTOR]
            out[full, : len(piece)] = piece
        return out

    return rows


def checks(sectors: Bytes) -> NDArray[np.uint32]:
    """The CRC of each sector."""
    out = np.empty(len(sectors), dtype=np.uint32)
    for start in range(0, len(sectors), 1 << 14):
        out[start : start + (1 << 14)] = CRC32_RAW.rows(sectors[start : start + (1 << 14)])
    return out


def _head(method: str, made: Layout, image: Bytes, last: int, **more: bytes | int) -> Header:
    needed = header.NEEDED_ODD if method == "RS01" and last != SECTOR else header.NEEDED[method]
    fields: dict[str, bytes | int] = {"flags": bytes(4), "medium_sum": bytes(16), "ecc_sum": bytes(16), "crc_sum": bytes(16), "layer": 0, "added": 0, **more}
    return Header(method=method, fingerprint=header.fingerprint(image), sectors=made.sectors, data=made.data, roots=made.roots, creator=header.CREATOR,
                  needed=needed, print_sector=header.PRINT_SECTOR, self_crc=0, in_last=last, **fields)  # type: ignore[arg-type]  # fmt: skip


def rs01(path: str, target: str, roots: int = 32, progress: Progress = silent) -> Header:
    """Writes the RS01 file `target` of an image."""
    header.check_roots(roots, 100)
    image = open_image(path)
    sectors, last = whole_sectors(image)
    made = layout.rs01(len(sectors), roots)
    rows, code = layered(sectors, made.data, made.layer), header.rs(roots)
    digest = hashlib.md5()
    part = Path(target + ".part")
    try:
        with part.open("wb") as file:
            file.write(bytes(HEADER))
            table = checks(sectors).tobytes()
            digest.update(table)
            file.write(table)
            for first in range(0, made.layer, CHUNK):
                parity = transpose(code.parity_lanes(rows(first, min(first + CHUNK, made.layer)))).tobytes()
                digest.update(parity)
                file.write(parity)
                progress(Event("RS01", min(first + CHUNK, made.layer), made.layer, f"{made.roots} roots"))
            head = _head("RS01", made, image, last, flags=b"\1\0\0\0", medium_sum=_md5(image), ecc_sum=digest.digest())
            file.seek(0)
            file.write(head.pack(checked=False))
        part.replace(target)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=target, wanted="a file that can be written") from error
    finally:
        part.unlink(missing_ok=True)
    return head


def rs02(path: str, target: str, roots: int | None = None, capacity: int | None = None, progress: Progress = silent) -> Header:
    """Writes the image with RS02 data behind it to `target`."""
    if roots is not None:
        header.check_roots(roots)
    image = open_image(path)
    _refuse_augmented(image, path)
    sectors, last = whole_sectors(image)
    made = layout.rs02(len(sectors), roots, capacity)
    out = np.zeros((made.total, SECTOR), dtype=np.uint8)
    out[: made.sectors] = sectors
    table = checks(sectors)
    area = out[made.sectors + 2 : made.protected].reshape(-1)
    area[:] = np.frombuffer(GPL * (len(area) // 4), dtype=np.uint8)
    area[: 4 * made.sectors] = table[made.check_order].view(np.uint8)
    rows, code = layered(out[: made.protected], made.data, made.layer), header.rs(made.roots)
    for first in range(0, made.layer, CHUNK):
        past = min(first + CHUNK, made.layer)
        parity = code.parity_lanes(rows(first, past)).reshape(made.roots, past - first, SECTOR)
        for root in range(made.roots):
            out[made.parity_sector(root, np.arange(first, past))] = parity[root]
        progress(Event("RS02", past, made.layer, f"{made.roots} roots"))
    sums = b"".join(_md5(out[made.parity_sector(root, np.arange(made.layer))]) for root in range(made.roots))
    head = _head("RS02", made, image, last, medium_sum=_md5(image), ecc_sum=hashlib.md5(sums).digest(),
                 crc_sum=_md5(area), added=made.total - made.sectors)  # fmt: skip
    packed = np.frombuffer(head.pack(tail=_first_checks(table, made)), dtype=np.uint8).reshape(2, SECTOR)
    for place in made.header_places:
        out[place : place + 2] = packed
    write_whole(target, out)
    return head


def _first_checks(table: NDArray[np.uint32], made: Layout) -> bytes:
    """The checksums of the row of sectors from which a repair begins."""
    row = made.first_row + made.layer * np.arange(made.data)
    return table[row[row < made.sectors]].tobytes()


def _refuse_augmented(image: Bytes, path: str) -> None:
    from tanken.disc.dvdisaster.repair import find_header

    if find_header(image) is not None:
        raise InputError("the image has error correction data already", where=path, wanted="an image without")


def rs03_rows(sectors: Bytes, made: Layout, head: Header) -> Rows:
    """Rows of all layers but that of the checksums: image, then (in an image) the header and padding sectors, or (for a file) padding."""
    extra = (made.data - 1) * made.layer - len(sectors)
    pads = np.zeros((extra, SECTOR), dtype=np.uint8)
    skip = 0
    if not made.in_file:
        pads[:2] = np.frombuffer(head.pack(), dtype=np.uint8).reshape(2, SECTOR)
        skip = 2
    for i in range(skip, extra):
        pads[i] = np.frombuffer(header.padding_sector(len(sectors) + i, head.fingerprint), dtype=np.uint8)
    return _joined(sectors, pads, made.data - 1, made.layer)


def _joined(sectors: Bytes, pads: Bytes, layers: int, layer: int) -> Rows:
    full = len(sectors) // layer
    head = sectors[: full * layer].reshape(full, layer, SECTOR)
    rest = np.concatenate([sectors[full * layer :], pads]).reshape(layers - full, layer, SECTOR)

    def rows(first: int, last: int) -> Bytes:
        return np.concatenate([head[:, first:last], rest[:, first:last]]).reshape(layers, -1)

    return rows


def rs03(path: str, target: str, roots: int = 32, in_file: bool = False, capacity: int | None = None, progress: Progress = silent) -> Header:
    """Writes an RS03 file, or the image with RS03 data behind it, to `target`."""
    header.check_roots(roots)
    image = open_image(path)
    _refuse_augmented(image, path)
    sectors, last = whole_sectors(image)
    made = layout.rs03_file(len(sectors), roots) if in_file else layout.rs03_image(len(sectors), capacity)
    flags = bytes((header.FILE_FLAG if in_file else 0, 0, 0, 0))
    head = _head("RS03", made, image, last, flags=flags, layer=made.layer)
    part = Path(target + ".part")
    try:
        with part.open("wb+") as file:
            if not in_file:
                file.write(sectors.data)
            file.write(head.pack())
            file.truncate(made.total * SECTOR)
        out = np.memmap(part, dtype=np.uint8, mode="r+").reshape(-1, SECTOR)
        _rs03_parity(sectors, made, head, out, progress)
        part.replace(target)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=target, wanted="a file that can be written") from error
    finally:
        part.unlink(missing_ok=True)
    return head


def _rs03_parity(sectors: Bytes, made: Layout, head: Header, out: Bytes, progress: Progress) -> None:
    rows, code = rs03_rows(sectors, made, head), header.rs(made.roots)
    for first in range(0, made.layer, CHUNK):
        past = min(first + CHUNK, made.layer)
        data = rows(first, past)
        if not made.in_file:
            for i in range(len(sectors) // made.layer, made.data - 1):
                out[i * made.layer + first : i * made.layer + past] = data[i].reshape(-1, SECTOR)
        following = np.concatenate([rows(first + 1, past), rows(past % made.layer, past % made.layer + 1)], axis=1).reshape(made.data - 1, -1, SECTOR)
        blocks = rs03_checks(following, head)
        out[made.first_check + first : made.first_check + past] = blocks
        parity = code.parity_lanes(np.concatenate([data, blocks.reshape(1, -1)])).reshape(made.roots, past - first, SECTOR)
        for root in range(made.roots):
            start = int(made.parity_sector(root, first))
            out[start : start + past - first] = parity[root]
        progress(Event("RS03", past, made.layer, f"{made.roots} roots"))


def rs03_checks(following: Bytes, head: Header) -> Bytes:
    """Sectors of checksums (rows, 2048) of the rows of sectors (layers, rows, 2048) that follow each."""
    layers, count, _ = following.shape
    table = CRC32_RAW.rows(np.ascontiguousarray(following).reshape(-1, SECTOR)).reshape(layers, count)
    blocks = [header.crc_block(np.ascontiguousarray(table[:, i]).view(np.uint8), head) for i in range(count)]
    return np.frombuffer(b"".join(blocks), dtype=np.uint8).reshape(count, SECTOR)


@contextmanager
def written(target: str) -> Iterator[Callable[[Bytes], None]]:
    """Writes a file piece by piece, whole or not at all."""
    part = Path(target + ".part")
    try:
        with part.open("wb") as file:

            def put(piece: Bytes) -> None:
                file.write(np.ascontiguousarray(piece).data)

            yield put
        part.replace(target)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=target, wanted="a file that can be written") from error
    finally:
        part.unlink(missing_ok=True)


def write_whole(target: str, content: Bytes) -> None:
    """Writes a file whole or not at all."""
    with written(target) as put:
        put(content)
