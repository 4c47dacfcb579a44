"""Merging several reads of a disc, from the same or other drives and copies: row by row on a DVD, byte by byte in a CD's sector.

A row that the inner code accepts in any read is taken from there; where none is, bytes in which the reads differ become erasures, so that the
code corrects twice as many. Frames and sectors without parity are chosen whole by their EDC, user data by majority.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tanken.coding.reed_solomon import FAILED
from tanken.disc.cd import sector
from tanken.disc.dvd import block, frame
from tanken.disc.dvd.block import COLUMNS, ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes


def majority(reads: Bytes) -> Bytes:
    """The most frequent value of each byte of (reads, ...); of equals the earliest read's."""
    counts = np.array([(reads == read).sum(axis=0) for read in reads])
    best = counts.argmax(axis=0)
    return np.ascontiguousarray(np.take_along_axis(reads, best[None], axis=0)[0])


def blocks(reads: Bytes) -> Bytes:
    """One ECC block (208, 182) of several reads (reads, 208, 182), rows as good as they can be made; the outer code is not asked yet."""
    code, count = block.inner(), len(reads)
    flat = reads.reshape(-1, COLUMNS).copy()
    status = code.decode(flat).reshape(count, ROWS)
    words: Bytes = flat.reshape(count, ROWS, COLUMNS)
    cost = np.where(status == FAILED, 999, status)
    best = cost.argmin(axis=0)
    out: Bytes = np.ascontiguousarray(words[best, np.arange(ROWS)])
    for row in np.flatnonzero(cost.min(axis=0) == 999):
        versions = reads[:, row]
        differs = (versions != versions[0]).any(axis=0)
        out[row] = majority(versions)
        if 0 < differs.sum() <= code.roots:
            trial = out[row : row + 1].copy()
            if code.decode(trial, differs[None].astype(np.uint8))[0] != FAILED:
                out[row] = trial[0]
    for row in np.flatnonzero((status >= 5).any(axis=0) & (cost.min(axis=0) > 0)):  # corrected to the limit: believe two reads that agree
        rows, counts = np.unique(words[status[:, row] != FAILED, row], axis=0, return_counts=True)
        out[row] = rows[counts.argmax()]
    return out


def frames(reads: Bytes) -> Bytes:
    """Frames (count, 2064) of several reads (reads, count, 2064), each from a read whose EDC fits, else by majority."""
    bad = np.array([frame.edc_errors(read) for read in reads])
    out: Bytes = reads[bad.argmin(axis=0), np.arange(reads.shape[1])].copy()
    for i in np.flatnonzero(bad.all(axis=0)):
        trial = majority(reads[:, i])[None]
        out[i] = trial[0]
    return out


def sectors(reads: Bytes, marks: NDArray[np.uint8] | None = None) -> tuple[Bytes, Bytes]:
    """CD sectors (count, 2352) of several reads, and marks of bytes not to be trusted: marked in all reads, or different between them.

    `marks` are C2 pointers of each read, (reads, count, 2352).
    """
    trust = np.ones(reads.shape, dtype=np.bool_) if marks is None else marks == 0
    counts = np.array([((reads == read) & trust).sum(axis=0) for read in reads])
    best = np.where(trust, counts, -1).argmax(axis=0)
    out: Bytes = np.take_along_axis(reads, best[None], axis=0)[0]
    agreed = (~trust | (reads == out[None])).all(axis=0) & trust.any(axis=0)
    good = np.array([~sector.edc_errors(read, sector.modes(read)) & (sector.modes(read) > 0) for read in reads])
    for i in np.flatnonzero(good.any(axis=0)):
        out[i] = reads[good[:, i].argmax(), i]
        agreed[i] = True
    return out, (~agreed).astype(np.uint8)


def data(reads: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
    """User data (count, 2048) of several reads by majority, sectors of zeros last; and which sectors differ between the reads without a majority."""
    written: NDArray[np.bool_] = reads.max(axis=2) > 0
    out: Bytes = reads[written.argmax(axis=0), np.arange(reads.shape[1])].copy()
    doubtful = np.zeros(reads.shape[1], dtype=np.bool_)
    for i in np.flatnonzero((reads != out[None]).any(axis=(0, 2)) & (written.sum(axis=0) > 1)).tolist():
        versions, counts = np.unique(reads[written[:, i], i], axis=0, return_counts=True)
        out[i] = versions[counts.argmax()]
        doubtful[i] = len(versions) > 1 and counts.max() * 2 <= counts.sum()
    return out, doubtful
