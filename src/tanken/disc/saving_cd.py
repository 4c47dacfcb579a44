"""Saving CDs: reads of a channel put together symbol by symbol, reads of sectors byte by byte with C2 pointers, copies that lie otherwise by sectors.

ECMA-130 (sectors, P and Q, CIRC); MMC-6 section 6.20 (C2 pointers: one bit a byte).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import InputError
from tanken.base.progress import Event, Progress
from tanken.disc import inputs, merge
from tanken.disc.cd import circ, reads, sector
from tanken.disc.cd.channel import Sectors
from tanken.disc.inputs import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes
    from tanken.disc.saving import Put, Saved

    Flags = NDArray[np.bool_]

CHUNK = 750  # sectors at a time
MOST = 20_000  # sectors that are looked for in copies that lie otherwise
REACH = 8 * 2352  # bytes by which the samples of two drives may lie apart; the largest known read offsets are below 1,700 samples
SAMPLE = 32  # bytes that are compared to find that


def channels(sources: list[Source], out: Saved, put: Put, progress: Progress) -> None:
    """Channels of one disc or of copies: written as sectors of 2,352 bytes."""
    alike, others = _groups(sources)
    saved: dict[int, Bytes] = {}
    if others:
        saved = _elsewhere(alike, others, out, progress)
    count = 0
    for sectors, bad, _, addresses, frames in _decoded(alike, progress):
        for i in np.flatnonzero(bad).tolist():
            if addresses[i] in saved:
                sectors[i], bad[i] = saved[addresses[i]], False
        out.bad += frames
        out.note_lost(bad, count)
        count += len(sectors)
        put(sectors.reshape(-1))
    if not count:
        raise InputError("no data sectors in the channel", where=sources[0].name, wanted="a CD-ROM")
    out.sectors = count
    out.notes.append("`bad` counts frames with errors at C1; written as sectors of 2,352 bytes")
    if len(alike) > 1:
        out.notes.append(f"{len(alike)} reads were put together frame by frame")


def _groups(sources: list[Source]) -> tuple[list[Source], list[Source]]:
    """The reads whose frames fit those of the first, and those whose do not."""
    if len(sources) == 1:
        return sources, []
    first = reads.Read(sources[0].data)
    fits = [reads.align(first, reads.Read(source.data)) for source in sources[1:]]
    return sources[:1] + [s for s, good in zip(sources[1:], fits, strict=True) if good], [s for s, good in zip(sources[1:], fits, strict=True) if not good]


def _decoded(sources: list[Source], progress: Progress) -> Iterator[tuple[Bytes, Flags, Bytes, list[int], int]]:
    """Sectors of reads put together, which EDC fails, marks of bytes not to be trusted, their blocks, and frames with errors at C1."""
    opened = [reads.Read(source.data, len(sources) > 1) for source in sources]
    for other in opened[1:]:
        reads.align(opened[0], other)
    decoder, finder, offset, total = circ.Decoder(), Sectors(), 0, sum(source.units for source in sources)
    for symbols, erased, last in reads.windows(opened):
        done = decoder.feed(symbols, erased, last)
        finder.feed(done, last)
        sectors, bad, marks = finder.take(1 << 40 if last else finder.edge)
        sector.renew_parity(sectors, ~bad)  # C2 may have made another word of it, and the EDC does not cover it
        blocks = [sector.block_of(row[12:15]) for row in sectors]
        known = [block - i for i, block in enumerate(blocks) if block is not None and not bad[i]]
        offset = int(np.median(known)) if known else offset
        yield sectors, bad, marks, [offset + i if bad[i] or block is None else block for i, block in enumerate(blocks)], int((done.c1 != 0).sum())
        offset += len(sectors)
        for read, source in zip(opened, sources, strict=True):
            inputs.forget(source.data, read.reader.done)
        progress(Event("check", sum(read.reader.done for read in opened) - (not last), total, f"{len(sources)} reads"))


def _elsewhere(alike: list[Source], others: list[Source], out: Saved, progress: Progress) -> dict[int, Bytes]:
    """What copies whose data lie otherwise in their frames have of the sectors that the reads alike cannot give."""
    versions: dict[int, list[tuple[Bytes, Bytes]]] = {}
    sound: dict[int, int] = {}  # of some sectors that are right, a check
    for sectors, bad, marks, addresses, _ in _decoded(alike, progress):
        if len(sound) < MOST:
            sound.update((addresses[i], zlib.crc32(sectors[i])) for i in np.flatnonzero(~bad).tolist())
        for i in np.flatnonzero(bad).tolist():
            if len(versions) < MOST:
                versions[addresses[i]] = [(sectors[i].copy(), marks[i].copy())]
    saved: dict[int, Bytes] = {}
    for source in others:
        same = differ = 0
        for sectors, bad, marks, addresses, _ in _decoded([source], progress):
            for i, address in enumerate(addresses):
                if address in sound and not bad[i]:
                    alike_here = sound[address] == zlib.crc32(sectors[i])
                    same, differ = same + alike_here, differ + (not alike_here)
                    if differ > max(2, same):
                        raise _strange(source, alike[0])
                if address in versions:
                    versions[address].append((sectors[i].copy(), marks[i].copy()))
                    if not bad[i]:
                        saved[address] = sectors[i].copy()
    for address, found in versions.items():
        if address not in saved and len(found) > 1:
            merged, doubt = merge.sectors(np.array([[one] for one, _ in found]), np.array([[marks] for _, marks in found]))
            if not sector.correct(merged, doubt)[1][0]:
                saved[address] = merged[0]
    out.notes.append(f"{len(others)} copies whose data lie otherwise in their frames gave {len(saved)} of {len(versions)} sectors")
    return saved


def _strange(other: Source, first: Source) -> InputError:
    """For what is of another disc and must not be put in."""
    return InputError("its sectors are not those of the first read", where=other.name, wanted=f"a read of the same disc as {first.name}")


def _stream(data: Bytes, unit: int, first: int, count: int, width: int = sector.SECTOR) -> tuple[Bytes, Flags]:
    """`count` bytes from place `first` on of the first `width` bytes of each unit in a row, and which of them are not there."""
    out, missing = np.zeros(count, dtype=np.uint8), np.ones(count, dtype=np.bool_)
    low, high = max(0, first), min(len(data) // unit * width, first + count)
    if low < high:
        top = -(-high // width)
        rows = np.asarray(data[low // width * unit : top * unit]).reshape(-1, unit)[:, :width].reshape(-1)
        out[low - first : high - first] = rows[low % width : low % width + high - low]
        missing[low - first : high - first] = False
    return out, missing


def pointers(source: Source, first: int, count: int) -> Bytes | None:
    """C2 pointers of `count` bytes from a place on, one byte a byte; None where there are none."""
    if source.c2 is None:
        return None
    size = 296 if len(source.c2) % 296 == 0 and len(source.c2) % 294 else 294
    start = first // 8  # a sector's 2,352 pointers are 294 bytes
    packed, _ = _stream(source.c2, size, start, -(-(first + count) // 8) - start, 294)
    return np.unpackbits(packed)[first - 8 * start : first - 8 * start + count]


def shift_of(first: Source, other: Source) -> int:
    """Bytes by which another read lies behind the first, by the sectors' headers or, of audio, by the samples. Raises InputError where nothing fits."""
    if not first.audio and not other.audio:
        blocks = [_first_block(source) for source in (first, other)]
        if None not in blocks:
            shift: int = (blocks[0] - blocks[1]) * sector.SECTOR  # type: ignore[operator]
            _same_disc(first, other, shift)
            return shift
    found = _by_samples(first, other)
    if found is None:
        raise InputError("nothing in it is as in the first read", where=other.name, wanted=f"a read of the same disc as {first.name}")
    return found


def _same_disc(first: Source, other: Source, shift: int) -> None:
    """Raises InputError where the sound sectors of two reads differ."""
    starts = np.unique(np.linspace(0, max(0, first.units - 1), 100).astype(np.int64)) * sector.SECTOR
    pairs = [(_stream(first.data, first.form.unit, at, sector.SECTOR)[0], _stream(other.data, other.form.unit, at + shift, sector.SECTOR)[0]) for at in starts.tolist()]
    reads = np.array(pairs).transpose(1, 0, 2)
    sound = np.logical_and.reduce([(sector.modes(read) > 0) & ~sector.edc_errors(read, sector.modes(read)) for read in map(np.ascontiguousarray, reads)])
    differ = (reads[0][sound] != reads[1][sound]).any(axis=1)
    if differ.sum() > max(2, 0.5 * sound.sum()):
        raise _strange(other, first)


def _first_block(source: Source) -> int | None:
    """The block that the first sector would have by the headers of those that are sound."""
    unit = source.form.unit
    for start in range(0, source.units, CHUNK):
        rows = np.ascontiguousarray(np.asarray(source.data[start * unit : min(start + CHUNK, source.units) * unit]).reshape(-1, unit)[:, : sector.SECTOR])
        modes = sector.modes(rows)
        for i in np.flatnonzero((modes > 0) & ~sector.edc_errors(rows, modes)).tolist():
            block = sector.block_of(rows[i, 12:15])
            if block is not None:
                return block - start - i
    return None


def _by_samples(first: Source, other: Source) -> int | None:
    votes: dict[int, int] = {}
    length = first.units * sector.SECTOR
    for place in np.linspace(0, max(0, length - 4096), 200).astype(np.int64).tolist():
        here, _ = _stream(first.data, first.form.unit, place // 4 * 4, SAMPLE)
        if len(np.unique(here)) < SAMPLE // 4:
            continue
        there = _stream(other.data, other.form.unit, place // 4 * 4 - REACH, 2 * REACH + SAMPLE)[0].tobytes()
        at = there.find(here.tobytes())
        if at >= 0 and there.find(here.tobytes(), at + 1) < 0:
            votes[at - REACH] = votes.get(at - REACH, 0) + 1
    best = max(votes, key=lambda by: votes[by], default=0)
    return best if votes.get(best, 0) >= 3 and 2 * votes[best] > sum(votes.values()) else None


def sectors(sources: list[Source], out: Saved, put: Put, progress: Progress) -> None:
    """Sectors of 2,352 or 2,448 bytes: bytes that no read vouches for are erasures of P and Q."""
    unit, total = sources[0].form.unit, sources[0].units
    shifts = [0, *(shift_of(sources[0], other) for other in sources[1:])]
    doubtful = 0
    for start in range(0, total, CHUNK):
        count = min(CHUNK, total - start)
        whole = np.array(sources[0].data[start * unit : (start + count) * unit]).reshape(count, unit)
        pieces = [_read(source, start * sector.SECTOR + shift, count) for source, shift in zip(sources, shifts, strict=True)]
        fixed, bad, doubt = _fixed(np.array([piece[0] for piece in pieces]), [piece[1] for piece in pieces])
        before = pieces[0][0]
        out.bad += int(sector.edc_errors(before, sector.modes(before)).sum())
        out.corrected_symbols += int((fixed != before).sum())
        doubtful += int(doubt[sector.modes(fixed) == 0].sum())
        out.note_lost(bad, start)
        whole[:, : sector.SECTOR] = fixed
        put(whole.reshape(-1))
        for source in sources:
            inputs.forget(source.data, (start + count) * source.form.unit)
        progress(Event("check", start + count, total, f"{total} sectors"))
    out.sectors = total
    for other, shift in zip(sources[1:], shifts[1:], strict=True):
        if shift:
            out.notes.append(f"{other.name} lies {shift // sector.SECTOR} sectors and {shift % sector.SECTOR // 4} samples behind the first read")
    if sources[0].audio:
        told = f": {doubtful} bytes that no read vouches for" if len(sources) > 1 or sources[0].c2 is not None else ""
        out.notes.append(f"no data sectors: audio has neither EDC nor P and Q{told}")


def _read(source: Source, first: int, count: int) -> tuple[Bytes, Bytes | None]:
    """Sectors of a read from a place of its own on, and marks of bytes not to be trusted."""
    size = count * sector.SECTOR
    data, missing = _stream(source.data, source.form.unit, first, size)
    marks = pointers(source, first, size) if first >= 0 else None
    if first < 0 and source.c2 is not None:
        marks = np.concatenate([np.ones(min(-first, size), dtype=np.uint8), *([more] if (more := pointers(source, 0, max(0, size + first))) is not None else [])])
    if missing.any():
        marks = (missing | (marks != 0 if marks is not None else False)).astype(np.uint8)
    return data.reshape(count, sector.SECTOR), None if marks is None else marks.reshape(count, sector.SECTOR)


def _fixed(versions: Bytes, marks: list[Bytes | None]) -> tuple[Bytes, Flags, Flags]:
    """The sectors as good as they can be made, which EDC still fails, and bytes that no read vouched for."""
    if len(versions) > 1:
        known = [mark if mark is not None else np.zeros_like(versions[0]) for mark in marks] if any(mark is not None for mark in marks) else None
        fixed, doubt = merge.sectors(versions, None if known is None else np.array(known))
    else:
        fixed, doubt = versions[0].copy(), marks[0] if marks[0] is not None else np.zeros_like(versions[0])
    original = fixed.copy()
    _, bad = sector.correct(fixed, doubt if doubt.any() else None)
    if bad.any() and doubt.any():  # marks may mislead: try without them
        piece = original[bad]
        _, still = sector.correct(piece)
        index = np.flatnonzero(bad)[~still]
        fixed[index] = piece[~still]
        bad[index] = False
    return fixed, bad, doubt != 0
