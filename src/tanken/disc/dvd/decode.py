"""Decoding ECC blocks of a DVD: inner code, outer code with the failed rows as erasures, inner code again, and the sectors' EDC.

The counts are those of ECMA-337 annex: a row with any wrong byte is a PI error, one that PI cannot correct a PI failure. A row "corrected"
into another codeword is found by the outer code, which is asked after every correction, and at last by the EDC.

The outer code is also asked first, down the columns as they lie in memory, and its answer spares sound blocks the inner code: GUARD of its
syndromes are zero in every column. No block with 1 to GUARD wrong rows passes that; one with more would have to hold, in every column that is
wrong at all, more than GUARD wrong bytes that are a codeword of RS(208, 208 - GUARD), which chance makes one time in 256^GUARD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.coding.crc import DVD_EDC
from tanken.coding.reed_solomon import FAILED
from tanken.disc.dvd import block as layout
from tanken.disc.dvd import frame
from tanken.disc.dvd.block import COLUMNS, DATA_COLUMNS, FRAME_ROWS, ROWS
from tanken.disc.dvd.frame import SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

BATCH = 64  # blocks at a time
PASSES = 6  # rounds of outer and inner code at most
DOUBTED = 5  # errors of a row "corrected" that make it doubtful: the most that PI can correct
GUARD = 4  # outer syndromes that every block must pass


@dataclass
class Report:
    """Counts of blocks, each an array with one number a block; `rows` is (blocks, 208): wrong bytes of a row, -1 where PI gave up."""

    pi: NDArray[np.int32]
    pif: NDArray[np.int32]
    po: NDArray[np.int32]
    pof: NDArray[np.int32]
    edc_bad: NDArray[np.int32]
    psn: NDArray[np.int64]
    rows: NDArray[np.int16]
    bad_sectors: NDArray[np.bool_]  # (blocks, 16): the EDC fails after correction
    layer: NDArray[np.int8]  # by most of the block's IDs

    @classmethod
    def empty(cls, count: int) -> Report:
        """Room for `count` blocks."""
        pi, pif, po, pof, edc = (np.zeros(count, dtype=np.int32) for _ in range(5))
        rows, bad = np.zeros((count, ROWS), dtype=np.int16), np.zeros((count, SECTORS), dtype=np.bool_)
        return cls(pi, pif, po, pof, edc, np.zeros(count, dtype=np.int64), rows, bad, np.zeros(count, dtype=np.int8))


def _guard(blocks: Bytes) -> NDArray[np.bool_]:
    """Which blocks do not pass the first of the outer code's syndromes."""
    syndromes = layout.outer().first_syndromes(blocks, GUARD)
    return np.asarray(syndromes.reshape(len(blocks), -1).view(np.uint64).any(axis=1), dtype=np.bool_)


def decode(blocks: Bytes) -> Report:
    """Corrects ECC blocks (blocks, 208, 182) in place and reports what was wrong."""
    report = Report.empty(len(blocks))
    often = False  # where most blocks have errors it does not pay to ask first
    for start in range(0, len(blocks), BATCH):
        piece = blocks[start : start + BATCH]
        suspect = np.arange(len(piece)) if often else np.flatnonzero(_guard(piece))
        if len(suspect) == len(piece):
            _correct(piece, report, start + suspect)
        elif len(suspect):
            some = piece[suspect]
            _correct(some, report, start + suspect)
            piece[suspect] = some
        often = (report.pi[start : start + len(piece)] > 0).mean() > 0.75
        _sectors(piece, report, slice(start, start + len(piece)))
    return report


def _correct(blocks: Bytes, report: Report, places: NDArray[np.int64]) -> None:
    """The inner code on all rows, then both where a row failed or the outer code still objects."""
    count = len(blocks)
    rows = blocks.reshape(-1, COLUMNS)
    status = layout.inner().correct(rows, layout.inner().row_syndromes(rows)).reshape(count, ROWS)
    failed = status == FAILED
    report.rows[places] = status
    report.pi[places] = (status != 0).sum(axis=1)
    report.pif[places] = failed.sum(axis=1)
    for i in np.flatnonzero(_guard(blocks) | failed.any(axis=1)).tolist():
        _product(blocks[i], status[i], report, int(places[i]))


def _sectors(blocks: Bytes, report: Report, part: slice) -> None:
    """Numbers and EDC of the sectors. The scrambling of a block is that of most of its sectors' numbers."""
    count, (step, row) = len(blocks), blocks.strides[:2]
    strips = np.lib.stride_tricks.as_strided(blocks, (count, SECTORS, FRAME_ROWS, DATA_COLUMNS), (step, FRAME_ROWS * row, row, 1), writeable=False)
    firsts = frame.psns(strips[:, :, 0].reshape(-1, DATA_COLUMNS)).reshape(count, SECTORS) - np.arange(SECTORS)
    psn = firsts[:, 0].copy()
    for i in np.flatnonzero((firsts != firsts[:, :1]).any(axis=1)):
        values, counts = np.unique(firsts[i], return_counts=True)
        psn[i] = values[counts.argmax()]
    bad = DVD_EDC.gathered(strips) != frame.mask_rests()[frame.seeds(psn)][:, None]
    report.psn[part] = psn
    report.layer[part] = (strips[:, :, 0, 0] & 1).sum(axis=1) > SECTORS // 2
    report.bad_sectors[part] = bad
    report.edc_bad[part] = bad.sum(axis=1)


def _product(block: Bytes, status: NDArray[np.int16], report: Report, index: int) -> None:
    """Outer and inner code in turns until nothing changes; the failed rows are the outer code's erasures.

    Where that does not do, the rows that the inner code corrected to its limit are doubted too: a row of noise passes for one of them
    once in about 500 times.
    """
    start = block.copy()
    for doubt in (status == FAILED, (status == FAILED) | (status >= DOUBTED)):
        if report.pof[index]:
            block[:] = start
        _turns(block, doubt, report, index)
        if not report.pof[index]:
            return


def _turns(block: Bytes, failed: NDArray[np.bool_], report: Report, index: int) -> None:
    before = block.copy()
    touched = np.zeros(COLUMNS, dtype=np.bool_)
    for _ in range(PASSES):
        lost = _columns(block, failed)
        touched |= (block != before).any(axis=0)
        before = block.copy()
        failed = _rows(block, np.flatnonzero(lost))
        if not lost.any() and not failed.any() or (block == before).all():
            break
    else:
        lost = _columns(block, failed)
    report.po[index] = touched.sum()
    report.pof[index] = lost.sum()


def _columns(block: Bytes, failed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Corrects all columns; returns which of them are lost."""
    code = layout.outer()
    syndromes = code.syndrome_lanes(block)
    missing = np.flatnonzero(failed)
    lost: NDArray[np.bool_] = syndromes.max(axis=0) > 0
    if not lost.any():
        return lost
    if len(missing) <= code.roots:
        first, second = code.filler(tuple(missing.tolist()))
        good = second.times(syndromes).max(axis=0) == 0 if len(missing) < code.roots else np.ones(COLUMNS, dtype=np.bool_)
        block[missing] ^= np.where(good, first.times(syndromes), 0).astype(np.uint8)
        lost &= ~good
    columns = np.flatnonzero(lost)
    if not len(columns):
        return lost
    words = np.ascontiguousarray(block[:, columns].T)
    marks = np.repeat(failed[None, :].astype(np.uint8), len(columns), axis=0) if len(missing) <= code.roots else None
    status = code.correct(words, np.ascontiguousarray(syndromes[:, columns]), marks)
    block[:, columns] = words.T
    lost[columns] = status == FAILED
    return lost


def _rows(block: Bytes, lost: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Corrects all rows, with the lost columns as erasures where that is possible; returns which rows are still wrong."""
    code = layout.inner()
    marks = None
    if 0 < len(lost) < code.roots:
        marks = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
        marks[:, lost] = 1
    status: NDArray[Any] = code.correct(block, code.row_syndromes(block), marks)
    wrong: NDArray[np.bool_] = status == FAILED
    return wrong
