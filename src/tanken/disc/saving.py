"""Saving a disc: whatever its codes, other reads of it, and dvdisaster's data can still correct.

DVD: inner and outer code; CD: CIRC, P and Q, C2 pointers as erasures; images: RS01, RS02, RS03. What stays lost is told by number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import InputError, UsageError
from tanken.base.progress import Event, Progress, silent
from tanken.base.records import Record
from tanken.disc import inputs, merge
from tanken.disc.cd import circ, efm, sector
from tanken.disc.dvd import block, decode, frame, modulation
from tanken.disc.dvd.frame import SECTORS
from tanken.disc.dvdisaster import repair
from tanken.disc.inputs import Source
from tanken.disc.measure import find_sectors

if TYPE_CHECKING:
    from tanken.coding.gf256 import Bytes

CHUNK = 64  # ECC blocks at a time
SHOWN = 100


@dataclass(slots=True, repr=False)
class Saved(Record):
    """What came of it: sectors, wrong ones before, wrong ones after, and which (the first hundred, from 0)."""

    source: str
    form: str
    reads: int
    sectors: int = 0
    bad: int = 0
    lost: int = 0
    lost_sectors: list[int] = field(default_factory=list)
    corrected_symbols: int = 0
    ecc: str = ""
    ecc_bad: int = 0
    notes: list[str] = field(default_factory=list)


def save(names: list[str], forced: str | None = None, ecc: str | None = None, progress: Progress = silent) -> tuple[Saved, Bytes, Bytes | None]:
    """Corrects one disc from its reads; returns what came of it, the corrected bytes in the first read's format, and an error correction file.

    Raises UsageError where the reads are not of one format, InputError where nothing could check the data.
    """
    sources = [inputs.read(name, forced or ("iso" if ecc else None)) for name in names]
    forms = {source.form.name for source in sources}
    if len(forms) > 1:
        raise UsageError(f"reads of different formats: {', '.join(sorted(forms))}", wanted="reads of one format")
    out = Saved(names[0], sources[0].form.name, len(names))
    if out.form == "iso":
        fixed, file = _image(sources, out, ecc, progress)
        return out, fixed, file
    if ecc is not None:
        raise UsageError(f"--ecc with {out.form}", wanted="an image of user data")
    method = {"cd2352": _sectors, "cd2448": _sectors, "efm": _efm, "dvd2064": _frames, "dvdt": _runs}.get(out.form, _dvd)
    return out, method(sources, out, progress), None


def _lost(out: Saved, bad: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    out.lost = int(bad.sum())
    out.lost_sectors = np.flatnonzero(bad)[:SHOWN].tolist()


def _by_psn(source: Source) -> tuple[Bytes, dict[int, int]]:
    """The blocks of a raw DVD, and where each stands by its sector number (of most of its sectors)."""
    unit = source.form.unit
    count = source.units // SECTORS
    rows = source.data[: count * SECTORS * unit].reshape(-1, unit)
    numbers = frame.psns(np.asarray(rows[:, :4])).reshape(count, SECTORS) - np.arange(SECTORS)
    found: dict[int, int] = {}
    for i in range(count):
        values, counts = np.unique(numbers[i], return_counts=True)
        found.setdefault(int(values[counts.argmax()]), i)
    return rows, found


def _dvd(sources: list[Source], out: Saved, progress: Progress) -> Bytes:
    rows, _ = _by_psn(sources[0])
    others = [_by_psn(source) for source in sources[1:]]
    count = len(rows) // SECTORS
    fixed = np.array(rows[: count * SECTORS])
    bad_after = np.zeros(count * SECTORS, dtype=np.bool_)
    for start in range(0, count, CHUNK):
        part = slice(start * SECTORS, min(start + CHUNK, count) * SECTORS)
        blocks = block.from_recorded(np.ascontiguousarray(fixed[part, :2366]).reshape(-1, block.RECORDED_ROWS, block.COLUMNS))
        before = blocks.copy()
        report = decode.decode(blocks)
        out.bad += int(frame.edc_errors(block.frames_of(before), np.repeat(frame.seeds(report.psn), SECTORS)).sum())
        for i in np.flatnonzero((report.pof > 0) | (report.edc_bad > 0)).tolist():
            _merged(i, before, blocks, report, others)
        bad_after[part] = report.bad_sectors.reshape(-1)
        out.corrected_symbols += int((before != blocks).sum())
        fixed[part, :2366] = block.to_recorded(blocks).reshape(-1, 2366)
        progress(Event("check", min(start + CHUNK, count), count, f"{count} ECC blocks"))
    out.sectors = count * SECTORS
    _lost(out, bad_after)
    return fixed.reshape(-1)


def _merged(i: int, before: Bytes, blocks: Bytes, report: decode.Report, others: list[tuple[Bytes, dict[int, int]]]) -> None:
    """Tries a block that one read cannot give with all of them."""
    reads = [before[i]]
    for rows, places in others:
        at = places.get(int(report.psn[i]))
        if at is not None:
            piece = np.ascontiguousarray(rows[at * SECTORS : (at + 1) * SECTORS, :2366])
            reads.append(block.from_recorded(piece.reshape(-1, block.RECORDED_ROWS, block.COLUMNS))[0])
    if len(reads) == 1:
        return
    trial = merge.blocks(np.array(reads))[None]
    again = decode.decode(trial)
    if (int(again.edc_bad[0]), int(again.pof[0])) < (int(report.edc_bad[i]), int(report.pof[i])):
        blocks[i] = trial[0]
        report.bad_sectors[i], report.edc_bad[i], report.pof[i] = again.bad_sectors[0], again.edc_bad[0], again.pof[0]


def _frames(sources: list[Source], out: Saved, progress: Progress) -> Bytes:
    count = min(source.units for source in sources)
    reads = np.array([source.data[: count * frame.FRAME].reshape(count, frame.FRAME) for source in sources])
    out.sectors, out.bad = count, int(frame.edc_errors(reads[0]).sum())
    fixed = merge.frames(reads) if len(reads) > 1 else reads[0]
    _lost(out, frame.edc_errors(fixed))
    if len(reads) == 1 and out.lost:
        out.notes.append(sources[0].form.silent + "; other reads may help")
    return fixed.reshape(-1)


def _runs(sources: list[Source], out: Saved, progress: Progress) -> Bytes:
    """Channels as recording frames, then as those."""
    found = []
    for source in sources:
        rows, _ = modulation.decode(efm.from_runs(np.asarray(source.data)))
        first = int(np.bincount((np.arange(len(rows)) - frame.psns(rows.reshape(len(rows), -1))) % SECTORS, minlength=1).argmax())
        rows = rows[first : first + (len(rows) - first) // SECTORS * SECTORS]
        if not len(rows):
            raise InputError("no whole ECC block in the channel", where=source.name, wanted="run lengths of a DVD")
        found.append(Source(source.name, inputs.FORMATS["dvd2366"], rows.reshape(-1)))
    out.notes.append("written as recording frames of 2,366 bytes")
    return _dvd(found, out, progress)


def _marks(source: Source, count: int) -> Bytes | None:
    """C2 pointers as one byte a byte."""
    if source.c2 is None:
        return None
    size = 296 if len(source.c2) % 296 == 0 and len(source.c2) % 294 else 294
    have = min(count, len(source.c2) // size)
    marks = np.zeros((count, sector.SECTOR), dtype=np.uint8)
    marks[:have] = np.unpackbits(np.asarray(source.c2[: have * size]).reshape(have, size)[:, :294], axis=1)
    return marks


def _sectors(sources: list[Source], out: Saved, progress: Progress) -> Bytes:
    unit = sources[0].form.unit
    count = min(source.units for source in sources)
    whole = [np.array(source.data[: count * unit].reshape(count, unit)) for source in sources]
    reads = np.array([rows[:, : sector.SECTOR] for rows in whole])
    marks = [_marks(source, count) for source in sources]
    out.sectors, out.bad = count, int(sector.edc_errors(reads[0], sector.modes(reads[0])).sum())
    if len(reads) > 1:
        known = [mark for mark in marks if mark is not None]
        fixed, doubt = merge.sectors(reads, np.array(known) if len(known) == len(reads) else None)
    else:
        fixed, doubt = reads[0], marks[0] if marks[0] is not None else np.zeros_like(reads[0])
    original = fixed.copy()
    _, bad = sector.correct(fixed, doubt if doubt.any() else None)
    if bad.any() and doubt.any():  # marks may mislead: try without them
        piece = original[bad]
        _, still = sector.correct(piece)
        index = np.flatnonzero(bad)[~still]
        fixed[index] = piece[~still]
        bad[index] = False
    out.corrected_symbols = int((fixed != reads[0]).sum())
    _lost(out, bad)
    if sources[0].audio:
        out.notes.append("no data sectors: audio has neither EDC nor P and Q")
    whole[0][:, : sector.SECTOR] = fixed
    return whole[0].reshape(-1)


def _efm(sources: list[Source], out: Saved, progress: Progress) -> Bytes:
    """A CD's channel; sectors that one read cannot give are taken from the others by their headers."""
    sectors, bad, frames = _channel_sectors(sources[0])
    for source in sources[1:]:
        more, more_bad, _ = _channel_sectors(source)
        good = {block: row for row, lost in zip(more, more_bad, strict=True) if not lost and (block := sector.block_of(row[12:15])) is not None}
        known = [(i, block) for i in np.flatnonzero(~bad).tolist() if (block := sector.block_of(sectors[i, 12:15])) is not None]
        if not known:
            continue
        first = int(np.median([block - i for i, block in known]))
        for i in np.flatnonzero(bad).tolist():
            if first + i in good:
                sectors[i], bad[i] = good[first + i], False
    out.sectors, out.bad = len(sectors), frames
    out.notes.append("`bad` counts frames with errors at C1; written as sectors of 2,352 bytes")
    _lost(out, bad)
    return sectors.reshape(-1)


def _channel_sectors(source: Source) -> tuple[Bytes, np.ndarray[tuple[int], np.dtype[np.bool_]], int]:
    """Sectors in a channel, which of them stay wrong, and how many frames had errors."""
    symbols, _ = efm.decode(efm.from_runs(np.asarray(source.data)))
    erased = symbols[:, 1:] < 0
    done = circ.decode(np.where(erased, 0, symbols[:, 1:] & 255).astype(np.uint8), erased)
    sectors, bad = find_sectors(done)
    if not len(sectors):
        raise InputError("no data sectors in the channel", where=source.name, wanted="a CD-ROM")
    return sectors, bad, int((done.c1 != 0).sum())


def _image(sources: list[Source], out: Saved, ecc: str | None, progress: Progress) -> tuple[Bytes, Bytes | None]:
    length = max(len(source.data) for source in sources)
    count = -(-length // 2048)
    if len(sources) > 1:
        reads = np.zeros((len(sources), count, 2048), dtype=np.uint8)
        for read, source in zip(reads, sources, strict=True):
            read.reshape(-1)[: len(source.data)] = source.data
        merged, doubtful = merge.data(reads)
        image = merged.reshape(-1)[:length]
        out.bad = int((reads[0] != merged).any(axis=1).sum())
        _lost(out, doubtful)
        out.notes.append("merged by majority: user data has no check of its own")
    else:
        image = np.asarray(sources[0].data)
    out.sectors = count
    try:
        if ecc is not None:
            fixed, file, found = repair.with_file(image, inputs.open_bytes(ecc), progress)
        else:
            fixed, found = repair.in_image(image, progress)
            file = None
    except InputError:
        if ecc is None and len(sources) > 1:
            return image, None
        raise
    out.ecc, out.sectors, out.bad, out.ecc_bad = found.method, found.sectors, found.bad, found.parity_bad
    out.lost, out.lost_sectors = found.lost, found.lost_sectors
    out.notes += found.notes
    return fixed, file
