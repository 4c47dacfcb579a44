"""Saving a disc: whatever its codes, other reads of it, and dvdisaster's data can still correct.

DVD: inner and outer code; CD: CIRC, P and Q, C2 pointers as erasures; images: RS01, RS02, RS03. What stays lost is told by number.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import InputError, UsageError
from tanken.base.progress import Event, Progress, silent
from tanken.base.records import Record
from tanken.disc import inputs, merge, saving_cd
from tanken.disc.dvd import block, channel, decode, frame
from tanken.disc.dvd.frame import SECTORS
from tanken.disc.dvdisaster import repair
from tanken.disc.inputs import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

CHUNK = 64  # ECC blocks at a time
SHOWN = 100
SAMPLE = 32  # blocks by which two reads are known to be of one disc


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

    def note_lost(self, bad: NDArray[np.bool_], first: int = 0) -> None:
        """Adds the wrong ones among the sectors from number `first` on."""
        self.lost += int(bad.sum())
        self.lost_sectors += (np.flatnonzero(bad)[: max(0, SHOWN - len(self.lost_sectors))] + first).tolist()


Put = Callable[["Bytes"], None]


def nowhere(piece: Bytes) -> None:
    """Where corrected bytes go that nobody wants."""


def save(names: list[str], forced: str | None = None, ecc: str | None = None, progress: Progress = silent, put: Put = nowhere) -> tuple[Saved, Bytes | None]:
    """Corrects one disc from its reads; the corrected bytes, in the first read's format, go piece by piece to `put`.

    Returns what came of it and the corrected error correction file. Raises UsageError where the reads are not of one format, InputError where
    nothing could check the data.
    """
    sources = [inputs.read(name, forced or ("iso" if ecc else None)) for name in names]
    forms = {source.form.name for source in sources}
    if len(forms) > 1:
        raise UsageError(f"reads of different formats: {', '.join(sorted(forms))}", wanted="reads of one format")
    out = Saved(names[0], sources[0].form.name, len(names))
    if out.form == "iso":
        fixed, file = _image(sources, out, ecc, progress)
        put(fixed)
        return out, file
    if ecc is not None:
        raise UsageError(f"--ecc with {out.form}", wanted="an image of user data")
    method = {"cd2352": saving_cd.sectors, "cd2448": saving_cd.sectors, "efm": saving_cd.channels, "dvd2064": _frames, "dvdt": _runs}.get(out.form, _dvd)
    method(sources, out, put, progress)
    return out, None


def _by_psn(source: Source) -> dict[int, int]:
    """Where each block of a raw DVD stands by its sector number (of most of its sectors)."""
    unit, count = source.form.unit, source.units // SECTORS
    found: dict[int, int] = {}
    for start in range(0, count, CHUNK):
        rows = np.asarray(source.data[start * SECTORS * unit : min(start + CHUNK, count) * SECTORS * unit]).reshape(-1, unit)
        numbers = frame.psns(np.ascontiguousarray(rows[:, :4])).reshape(-1, SECTORS) - np.arange(SECTORS)
        same = (numbers == numbers[:, :1]).all(axis=1)
        for i, row in enumerate(numbers):
            if same[i]:
                found.setdefault(int(row[0]), start + i)
                continue
            values, counts = np.unique(row, return_counts=True)
            found.setdefault(int(values[counts.argmax()]), start + i)
        inputs.forget(source.data, (start + CHUNK) * SECTORS * unit)
    return found


def _blocks(source: Source, place: int) -> Bytes:
    """The ECC block (208, 182) at a place of an image."""
    unit = source.form.unit
    piece = np.ascontiguousarray(np.asarray(source.data[place * SECTORS * unit : (place + 1) * SECTORS * unit]).reshape(SECTORS, unit)[:, :2366])
    found: Bytes = block.from_recorded(piece.reshape(-1, block.RECORDED_ROWS, block.COLUMNS))[0]
    return found


def _same_disc(first: Source, places: dict[int, int], other: Source, more: dict[int, int]) -> None:
    """Raises InputError where the sound blocks of two reads differ: what is of another disc must not be put in."""
    common = sorted(places.keys() & more.keys())
    sample = common[:: max(1, len(common) // SAMPLE)]
    pairs = np.array([[_blocks(first, places[psn]), _blocks(other, more[psn])] for psn in sample], dtype=np.uint8).reshape(-1, 2, block.ROWS, block.COLUMNS)
    here, there = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    sound = (decode.decode(here).edc_bad == 0) & (decode.decode(there).edc_bad == 0)
    differ = (here[sound] != there[sound]).any(axis=(1, 2))
    if not common or differ.sum() > max(2, 0.5 * sound.sum()):
        raise InputError("its sectors are not those of the first read", where=other.name, wanted=f"a read of the same disc as {first.name}")


def _dvd(sources: list[Source], out: Saved, put: Put, progress: Progress) -> None:
    others = [(source, _by_psn(source)) for source in sources[1:]]
    if others:
        places = _by_psn(sources[0])
        for source, more in others:
            _same_disc(sources[0], places, source, more)
    unit, count = sources[0].form.unit, sources[0].units // SECTORS
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        fixed = np.array(sources[0].data[start * SECTORS * unit : stop * SECTORS * unit]).reshape(-1, unit)
        blocks = block.from_recorded(np.ascontiguousarray(fixed[:, :2366]).reshape(-1, block.RECORDED_ROWS, block.COLUMNS))
        before = blocks.copy()
        report = decode.decode(blocks)
        out.bad += int(frame.edc_errors(block.frames_of(before), np.repeat(frame.seeds(report.psn), SECTORS)).sum())
        for i in np.flatnonzero((report.pof > 0) | (report.edc_bad > 0)).tolist():
            _merged(i, before, blocks, report, others)
        out.note_lost(report.bad_sectors.reshape(-1), start * SECTORS)
        out.corrected_symbols += int((before != blocks).sum())
        fixed[:, :2366] = block.to_recorded(blocks).reshape(-1, 2366)
        put(fixed.reshape(-1))
        for source in sources:
            inputs.forget(source.data, stop * SECTORS * unit)
        progress(Event("check", stop, count, f"{count} ECC blocks"))
    out.sectors = count * SECTORS
    rest = len(sources[0].data) - count * SECTORS * unit
    if rest:
        out.notes.append(f"{rest} bytes at the end are no whole ECC block and were left out")


def _merged(i: int, before: Bytes, blocks: Bytes, report: decode.Report, others: list[tuple[Source, dict[int, int]]]) -> None:
    """Tries a block that one read cannot give with all of them."""
    reads = [before[i]]
    for source, places in others:
        at = places.get(int(report.psn[i]))
        if at is not None:
            reads.append(_blocks(source, at))
    if len(reads) == 1:
        return
    trial = merge.blocks(np.array(reads))[None]
    again = decode.decode(trial)
    if (int(again.edc_bad[0]), int(again.pof[0])) < (int(report.edc_bad[i]), int(report.pof[i])):
        blocks[i] = trial[0]
        report.bad_sectors[i], report.edc_bad[i], report.pof[i] = again.bad_sectors[0], again.edc_bad[0], again.pof[0]


def _frames(sources: list[Source], out: Saved, put: Put, progress: Progress) -> None:
    count = min(source.units for source in sources)
    for start in range(0, count, CHUNK * SECTORS):
        stop = min(start + CHUNK * SECTORS, count)
        reads = np.array([source.data[start * frame.FRAME : stop * frame.FRAME].reshape(-1, frame.FRAME) for source in sources])
        out.bad += int(frame.edc_errors(reads[0]).sum())
        fixed = merge.frames(reads) if len(reads) > 1 else reads[0]
        out.note_lost(frame.edc_errors(fixed), start)
        put(fixed.reshape(-1))
        for source in sources:
            inputs.forget(source.data, stop * frame.FRAME)
        progress(Event("check", stop, count, f"{count} sectors"))
    out.sectors = count
    if len(sources) == 1 and out.lost:
        out.notes.append(sources[0].form.silent + "; other reads may help")


def _runs(sources: list[Source], out: Saved, put: Put, progress: Progress) -> None:
    """Channels as recording frames, in files that have no name, then as those."""
    with ExitStack() as open_files:
        found = []
        for source in sources:
            file, count = open_files.enter_context(tempfile.TemporaryFile()), 0
            for frames, taken in channel.blocks(source.data, channel.Blocks()):
                count += file.write(frames.data)
                inputs.forget(source.data, taken)
                progress(Event("channel", taken, source.units, source.name))
            if not count:
                raise InputError("no whole ECC block in the channel", where=source.name, wanted="run lengths of a DVD")
            file.flush()
            found.append(Source(source.name, inputs.FORMATS["dvd2366"], np.memmap(file, dtype=np.uint8, mode="r")))
        out.notes.append("written as recording frames of 2,366 bytes")
        _dvd(found, out, put, progress)


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
        out.note_lost(doubtful)
        out.notes.append("merged by majority: user data has no check of its own")
    else:
        image = sources[0].data
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
