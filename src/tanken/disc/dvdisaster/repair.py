"""Checking and repairing by dvdisaster's data: sectors that are missing or fail their checksum are filled in from the other layers.

Codec specifications: checksums of a row of sectors stand in the row before it, so repair goes row by row and learns the next row's checksums.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import InputError
from tanken.base.progress import Event, Progress, silent
from tanken.base.records import Record
from tanken.coding.crc import CRC32_RAW
from tanken.coding.lanes import Matrix, transpose
from tanken.coding.reed_solomon import FAILED
from tanken.disc.dvdisaster import create, header, layout
from tanken.disc.dvdisaster.header import COOKIE, HEADER, SECTOR, Header
from tanken.disc.dvdisaster.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

    Flags = NDArray[np.bool_]


PIECE = 1 << 14  # sectors that are looked through at a time


@dataclass(slots=True, repr=False)
class Outcome(Record):
    """What was found: sectors of the image, how many were bad, repaired and lost; the numbers of the lost ones (the first hundred)."""

    method: str
    sectors: int
    roots: int
    bad: int = 0
    repaired: int = 0
    lost: int = 0
    parity_bad: int = 0
    medium_sum_right: bool | None = None
    lost_sectors: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_header(image: Bytes) -> Header | None:
    """The header of RS02 or RS03 data within an image, also from a copy or a sector of checksums."""
    count = len(image) // SECTOR
    sectors = image[: count * SECTOR].reshape(count, SECTOR)
    for at in (0, 1024):
        marked = np.flatnonzero((np.asarray(sectors[:, at : at + 12]) == np.frombuffer(COOKIE, dtype=np.uint8)).all(axis=1))
        for place in marked.tolist():
            found = header.unpack(sectors[place : place + 2].tobytes()) if at == 0 else header.header_of_crc_block(sectors[place].tobytes())
            if found is not None and found.method != "RS01":
                return found
    return None


TRIED_ROWS = 12


def guess_header(image: Bytes) -> Header | None:
    """RS03's last resort, where header and all checksums are lost: tries every count of roots until a row yields a sector of checksums.

    The image must have its whole length, which tells the size of the layers; zeroed and marked sectors count as missing.
    """
    layer = len(image) // SECTOR // 255
    if not layer or len(image) != layer * 255 * SECTOR:
        return None
    sectors = image.reshape(255, layer, SECTOR)
    for row in np.unique(np.linspace(0, layer - 1, TRIED_ROWS).astype(np.int64)).tolist():
        word = np.array(sectors[:, row])
        gone = header.dead(word) | ~word.any(axis=1)
        for roots in range(header.MOST_ROOTS, header.LEAST_ROOTS - 1, -1):
            missing = np.flatnonzero(gone | (np.arange(255) == 254 - roots))
            if len(missing) >= roots:
                continue
            trial = word.copy()
            _fill(trial, missing, roots)
            found = header.header_of_crc_block(trial[254 - roots].tobytes())
            if found is not None:
                return found
    return None


@dataclass
class Work:
    """An image under repair: all sectors that take part (copies in memory are changed, files are not) and which are known bad."""

    made: Layout
    image: Bytes  # (sectors, 2048): image, for RS02 and RS03 with what is behind it
    bad: Flags
    outcome: Outcome


def _sectors(image: Bytes, count: int, made: Layout) -> tuple[Bytes, Flags]:
    """A copy of the first `count` sectors; those that are not there or carry the mark of a dead sector are bad.

    Of a file that has them all only what is changed takes memory: the copy is a private mapping.
    Raises InputError where so many are not there that no row of sectors could be repaired, before memory is asked for.
    """
    there = -(-len(image) // SECTOR)
    if count - there > made.roots * made.layer:
        raise InputError(f"{there:,} of {count:,} sectors", wanted=f"at least {count - made.roots * made.layer:,}: more is missing than the data can repair")
    have = min(len(image), count * SECTOR)
    whole: Bytes
    if isinstance(image, np.memmap) and isinstance(image.base, mmap.mmap) and have == count * SECTOR:
        whole = np.memmap(str(image.filename), dtype=np.uint8, mode="c", shape=(count, SECTOR))
    else:
        whole = np.zeros((count, SECTOR), dtype=np.uint8)
        whole.reshape(-1)[:have] = image[:have]
    bad = np.concatenate([header.dead(whole[start : start + PIECE]) for start in range(0, count, PIECE)])
    bad[-(-have // SECTOR) :] = True
    return whole, bad


def with_file(image: Bytes, ecc: Bytes, progress: Progress = silent) -> tuple[Bytes, Bytes, Outcome]:
    """Repairs an image by an RS01 or RS03 file; returns image and file as they should be. Raises InputError for a file that is none."""
    found = header.unpack(ecc[:HEADER].tobytes())
    if found is None:
        found = next((head for head in map(header.header_of_crc_block, (ecc[i : i + SECTOR].tobytes() for i in range(0, len(ecc) - SECTOR + 1, SECTOR))) if head), None)
    if found is None or found.method == "RS02":
        raise InputError("no header of RS01 or RS03 in the file", wanted="an error correction file of dvdisaster")
    made = layout.of_header(found, in_file=True)
    whole, bad = _sectors(image, made.sectors, made)
    outcome = Outcome(found.method, made.sectors, made.roots)
    _fits(whole, found, outcome)
    work = Work(made, whole, bad, outcome)
    if found.method == "RS01":
        _rs01(work, ecc, progress)
        fixed = ecc
    else:
        fixed = _rs03(work, found, ecc, progress)
    return _result(work, found), fixed, outcome


def in_image(image: Bytes, progress: Progress = silent) -> tuple[Bytes, Outcome]:
    """Repairs an image by the RS02 or RS03 data in it. Raises InputError where there is none."""
    found = find_header(image) or guess_header(image)
    if found is None:
        raise InputError("no RS02 or RS03 data in the image", wanted="an image that was protected, or an error correction file")
    made = layout.of_header(found, in_file=False)
    outcome = Outcome(found.method, made.sectors, made.roots)
    whole, bad = _sectors(image, made.total, made)
    _fits(whole, found, outcome)
    work = Work(made, whole, bad, outcome)
    if found.method == "RS02":
        _rs02(work, found, progress)
        return work.image.reshape(-1), outcome
    _rs03(work, found, None, progress)
    return work.image.reshape(-1), outcome


def _fits(whole: Bytes, found: Header, outcome: Outcome) -> None:
    place = found.print_sector
    if place < len(whole) and not header.dead(whole[place : place + 1])[0] and whole[place].any():
        if hashlib.md5(whole[place]).digest() != found.fingerprint:
            outcome.notes.append("the fingerprint sector differs: it is damaged, or the data belongs to another image")


def _result(work: Work, found: Header) -> Bytes:
    end = (work.made.sectors - 1) * SECTOR + found.in_last
    return work.image.reshape(-1)[:end]


def _finish(work: Work, unrepaired: Flags) -> None:
    count = work.made.sectors
    work.outcome.lost = int(unrepaired[:count].sum())
    work.outcome.lost_sectors = np.flatnonzero(unrepaired[:count])[:100].tolist()
    work.outcome.repaired = work.outcome.bad - work.outcome.lost


_solvers: dict[tuple[int, tuple[int, ...]], Matrix] = {}


def _solver(roots: int, missing: tuple[int, ...]) -> Matrix:
    """missing values = solver x word (255 rows, the missing ones 0)."""
    key = (roots, missing)
    if key not in _solvers:
        if len(_solvers) > 512:
            _solvers.clear()
        code, count = header.rs(roots), len(missing)
        check = code.check_matrix[:count]
        inverse = code.field.inverse(check[:, list(missing)])
        _solvers[key] = Matrix(code.field, code.field.matmul(inverse, check))
    return _solvers[key]


def _fill(word: Bytes, missing: NDArray[np.int64], roots: int) -> bool:
    """Fills the missing rows of a word of lanes (255, 2048) in place; False where there are too many."""
    if len(missing) > roots:
        return False
    if len(missing):
        word[missing] = 0
        word[missing] = _solver(roots, tuple(missing.tolist())).times(word)
    return True


def _decode(word: Bytes, missing: NDArray[np.int64], roots: int) -> bool:
    """Corrects a word of lanes whose wrong rows are not all known: each lane by itself. False where any lane fails."""
    code = header.rs(roots)
    if not code.syndrome_lanes(word).any():
        return True
    words = transpose(word)
    marks = np.zeros_like(words)
    marks[:, missing] = 1
    status = code.decode(words, marks if len(missing) <= roots else None)
    if (status == FAILED).any():
        return False
    word[:] = words.T
    return True


def _rs01(work: Work, ecc: Bytes, progress: Progress) -> None:
    made, code = work.made, header.rs(work.made.roots)
    at = HEADER + 4 * made.sectors
    want = at + made.layer * SECTOR * made.roots
    if len(ecc) < want:
        raise InputError(f"{len(ecc)} bytes", wanted=f"{want}", where="RS01 file", hint="it is cut off; RS01 does not protect its own file")
    table = np.frombuffer(ecc[HEADER:at].tobytes(), dtype=np.uint32)
    work.bad |= create.checks(work.image) != table
    work.outcome.bad = int(work.bad.sum())
    parity = ecc[at:want].reshape(made.layer, SECTOR, made.roots)
    rows = np.unique(np.flatnonzero(work.bad) % made.layer)
    unrepaired = work.bad.copy()
    for done, row in enumerate(rows.tolist(), 1):
        places = row + made.layer * np.arange(made.data)
        real = places < made.sectors
        word = np.zeros((255, SECTOR), dtype=np.uint8)
        word[: made.data][real] = work.image[places[real]]
        word[made.data :] = transpose(np.ascontiguousarray(parity[row]))
        missing = np.flatnonzero(real)[work.bad[places[real]]]
        if _fill(word, missing, code.roots):
            good = CRC32_RAW.rows(word[missing]) == table[places[missing]]
            work.image[places[missing][good]] = word[missing][good]
            unrepaired[places[missing][good]] = False
        progress(Event("repair", done, len(rows), f"{work.outcome.bad} bad sectors"))
    _finish(work, unrepaired)


def _row_word(work: Work, row: int) -> tuple[Bytes, NDArray[np.int64]]:
    """The 255 rows of an RS02 word, and the sector each stands in (-1: padding, which is zero and never bad)."""
    made = work.made
    places = np.empty(255, dtype=np.int64)
    places[: made.data] = row + made.layer * np.arange(made.data)
    places[: made.data][places[: made.data] >= made.protected] = -1
    places[: made.data][(places[: made.data] == made.sectors) | (places[: made.data] == made.sectors + 1)] = -1
    for root in range(made.roots):
        places[made.data + root] = int(made.parity_sector(root, row))
    word = np.zeros((255, SECTOR), dtype=np.uint8)
    word[places >= 0] = work.image[places[places >= 0]]
    return word, places


def _rs02(work: Work, found: Header, progress: Progress) -> None:
    """Rows in the order in which their checksums become known."""
    made = work.made
    packed, known = _header_tail(work, found)
    order = made.check_order
    position = np.empty(made.sectors, dtype=np.int64)
    position[order] = np.arange(made.sectors)
    unrepaired = work.bad.copy()
    rows = (made.first_row + np.arange(made.layer)) % made.layer
    for done, row in enumerate(rows.tolist(), 1):
        word, places = _row_word(work, row)
        data = np.flatnonzero((places[: made.data] >= 0) & (places[: made.data] < made.sectors))
        checks = known if done == 1 else _stored_checks(work, position[places[data]])
        if checks is not None and len(checks) == len(data):
            wrong = CRC32_RAW.rows(word[data]) != checks
            work.bad[places[data[wrong]]] = True
        missing = np.flatnonzero((places >= 0) & work.bad[places.clip(0)])
        right = (_fill(word, missing, made.roots) and checks is not None) or _decode(word, missing, made.roots)
        if right and checks is not None and len(checks) == len(data):
            right = bool((CRC32_RAW.rows(word[data]) == checks).all()) or _decode(word, missing, made.roots)
        unrepaired[places[missing]] = not right
        if right:
            changed = np.flatnonzero(places >= 0)
            differs = (work.image[places[changed]] != word[changed]).any(axis=1)
            work.bad[places[changed[differs]]] = True
            work.image[places[changed]] = word[changed]
            unrepaired[places[changed]] = False
        progress(Event("repair", done, made.layer, f"{made.roots} roots"))
    for place in made.header_places:
        if place + 2 <= len(work.image):
            work.image[place : place + 2] = packed
            unrepaired[place : place + 2] = False
    work.outcome.bad = int(work.bad[: made.sectors].sum())
    work.outcome.parity_bad = int(work.bad[made.sectors :].sum())
    _finish(work, unrepaired)


def _header_tail(work: Work, found: Header) -> tuple[Bytes, NDArray[np.uint32] | None]:
    """The header's two sectors from a place where they are whole, and the checksums that stand in it."""
    made = work.made
    for place in made.header_places:
        piece = work.image[place : place + 2].tobytes()
        if header.unpack(piece) is not None:
            row = made.first_row + made.layer * np.arange(made.data)
            count = int((row < made.sectors).sum())
            return np.frombuffer(piece, dtype=np.uint8).reshape(2, SECTOR), np.frombuffer(piece[SECTOR : SECTOR + 4 * count], dtype=np.uint32)
    raise InputError("no whole header at any of its places", wanted="one", where="RS02 image")


def _stored_checks(work: Work, positions: NDArray[np.int64]) -> NDArray[np.uint32] | None:
    """Checksums from the image, or None where a sector that holds them is bad."""
    first = work.made.sectors + 2
    if work.bad[first + positions // layout.CHECKS].any():
        return None
    area = work.image[first : work.made.protected].reshape(-1).view(np.uint32)
    found: NDArray[np.uint32] = area[positions]
    return found


def _rs03(work: Work, found: Header, ecc: Bytes | None, progress: Progress) -> Bytes:
    """Rows in order, then the first again: row i holds the checksums of row i + 1. Returns the file with its sectors repaired."""
    made = work.made
    if made.in_file and ecc is not None:
        store, store_bad = _sectors(ecc, made.total, made)
    else:
        store, store_bad = work.image, work.bad
    pads = _pads(work, found)
    layers = made.data - 1
    checks = _checks_of(store, store_bad, made, made.layer - 1, layers)
    unrepaired = work.bad.copy()
    for done in range(made.layer):
        word = np.zeros((255, SECTOR), dtype=np.uint8)
        places = done + made.layer * np.arange(layers)
        inside = places < len(work.image) if not made.in_file else places < made.sectors
        word[:layers][inside] = work.image[places[inside]]
        for i in np.flatnonzero(~inside).tolist():
            word[i] = pads(int(places[i]))
        stored = np.array([made.first_check + done, *(int(made.parity_sector(root, done)) for root in range(made.roots))])
        word[layers:] = store[stored]
        bad = np.zeros(255, dtype=np.bool_)
        bad[:layers][inside] = work.bad[places[inside]]
        if checks is not None:
            bad[:layers][inside] |= (CRC32_RAW.rows(word[:layers]) != checks)[inside]
        bad[layers:] = store_bad[stored]
        if header.header_of_crc_block(word[layers].tobytes()) is None:
            bad[layers] = True
        if not made.in_file and checks is None:  # without checksums, zeroes are rather lost than written
            bad |= ~word.any(axis=1)
        right = _rs03_row(word, np.flatnonzero(bad), made, checks, layers)
        index = places[inside]
        if right:
            differs = (work.image[index] != word[:layers][inside]).any(axis=1)
            work.bad[index[differs]] = True
            work.image[index] = word[:layers][inside]
            unrepaired[index] = False
            changed = (store[stored] != word[layers:]).any(axis=1)
            work.outcome.parity_bad += int(changed.sum())
            store[stored] = word[layers:]
            checks = np.frombuffer(word[layers][: 4 * layers].tobytes(), dtype=np.uint32)
            if not made.in_file:
                unrepaired[stored] = False
        else:
            work.bad[index] |= bad[:layers][inside]
            unrepaired[index] |= bad[:layers][inside]
            checks = _checks_of(store, store_bad, made, done, layers)
        progress(Event("repair", done + 1, made.layer, f"{made.roots} roots"))
    if made.in_file:
        store[:2] = np.frombuffer(found.pack(), dtype=np.uint8).reshape(2, SECTOR)
    work.outcome.bad = int(work.bad[: made.sectors].sum())
    _finish(work, unrepaired)
    return store.reshape(-1)


def _rs03_row(word: Bytes, missing: NDArray[np.int64], made: Layout, checks: NDArray[np.uint32] | None, layers: int) -> bool:
    """Repairs a row; where all checksums were known the erasures were too, else the syndromes decide."""
    before = word.copy()
    if _fill(word, missing, made.roots) and (not len(missing) < made.roots or not header.rs(made.roots).syndrome_lanes(word).any()):
        if checks is None or (CRC32_RAW.rows(word[:layers]) == checks).all():
            return True
    word[:] = before
    return _decode(word, missing, made.roots) and (checks is None or bool((CRC32_RAW.rows(word[:layers]) == checks).all()))


def _checks_of(store: Bytes, bad: Flags, made: Layout, row: int, layers: int) -> NDArray[np.uint32] | None:
    """The checksums in the sector of a row, if it is whole."""
    place = made.first_check + row
    piece = store[place].tobytes()
    if bad[place] or header.header_of_crc_block(piece) is None:
        return None
    return np.frombuffer(piece[: 4 * layers], dtype=np.uint32)


def _pads(work: Work, found: Header) -> Callable[[int], Bytes]:
    def pad(place: int) -> Bytes:
        return np.frombuffer(header.padding_sector(place, found.fingerprint), dtype=np.uint8)

    return pad
