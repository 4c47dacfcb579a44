"""Decoding ECC blocks of a DVD: inner code, outer code with the failed rows as erasures, inner code again, and the sectors' EDC.

The counts are those of ECMA-337 annex: a row with any wrong byte is a PI error, one that PI cannot correct a PI failure. A row "corrected"
into another codeword is found by the outer code, which is asked after every correction, and at last by the EDC.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.coding.lanes import Matrix
from tanken.coding.reed_solomon import FAILED
from tanken.disc.dvd import block as layout
from tanken.disc.dvd import frame
from tanken.disc.dvd.block import COLUMNS, DATA_COLUMNS, DATA_ROWS, ROWS
from tanken.disc.dvd.frame import SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

BATCH = 32  # blocks at a time, so that they stay in the second-level cache
PASSES = 6  # rounds of outer and inner code at most
DOUBTED = 5  # errors of a row "corrected" that make it doubtful: the most that PI can correct
GUARD = 2  # outer syndromes that every block must pass: whatever changes at most as many rows is seen for sure


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

    @classmethod
    def empty(cls, count: int) -> Report:
        """Room for `count` blocks."""
        pi, pif, po, pof, edc = (np.zeros(count, dtype=np.int32) for _ in range(5))
        return cls(pi, pif, po, pof, edc, np.zeros(count, dtype=np.int64), np.zeros((count, ROWS), dtype=np.int16), np.zeros((count, SECTORS), dtype=np.bool_))


@cache
def _guard() -> Matrix:
    return Matrix(layout.outer().field, layout.outer().check_matrix[:GUARD])


class Scratch:
    """Buffers of one decoder."""

    def __init__(self, batch: int) -> None:
        self.syndromes = np.empty((layout.inner().roots, batch * ROWS), dtype=np.uint8)
        self.guard = np.empty((batch, GUARD, COLUMNS), dtype=np.uint8)
        self.frames = np.empty((batch, DATA_ROWS, DATA_COLUMNS), dtype=np.uint8)


def decode(blocks: Bytes) -> Report:
    """Corrects ECC blocks (blocks, 208, 182) in place and reports what was wrong."""
    report = Report.empty(len(blocks))
    scratch = Scratch(min(BATCH, max(1, len(blocks))))
    for start in range(0, len(blocks), BATCH):
        _batch(blocks[start : start + BATCH], report, start, scratch)
    return report


def _batch(blocks: Bytes, report: Report, start: int, scratch: Scratch) -> None:
    count = len(blocks)
    rows = blocks.reshape(-1, COLUMNS)
    syndromes = layout.inner().row_syndromes(rows, scratch.syndromes[:, : len(rows)])
    status = layout.inner().correct(rows, syndromes).reshape(count, ROWS)
    part = slice(start, start + count)
    guard = _guard().times(blocks, scratch.guard[:count]).reshape(count, -1)
    suspect = guard.any(axis=1)
    if status.any():
        report.rows[part] = status
        report.pi[part] = (status != 0).sum(axis=1)
        failed = status == FAILED
        report.pif[part] = failed.sum(axis=1)
        suspect |= failed.any(axis=1)
    for i in np.flatnonzero(suspect).tolist():
        _product(blocks[i], status[i], report, start + i)
    _sectors(blocks, report, part, scratch.frames[:count])


def _sectors(blocks: Bytes, report: Report, part: slice, frames: Bytes) -> None:
    """Numbers and EDC of the sectors. The scrambling of a block is that of most of its sectors' numbers."""
    frames[:] = blocks[:, :DATA_ROWS, :DATA_COLUMNS]
    flat = frames.reshape(-1, frame.FRAME)
    numbers = frame.psns(flat).reshape(-1, SECTORS)
    firsts = numbers - np.arange(SECTORS)
    psn = firsts[:, 0].copy()
    for i in np.flatnonzero((firsts != firsts[:, :1]).any(axis=1)):
        values, counts = np.unique(firsts[i], return_counts=True)
        psn[i] = values[counts.argmax()]
    bad = frame.edc_errors(flat, np.repeat(frame.seeds(psn), SECTORS)).reshape(-1, SECTORS)
    report.psn[part] = psn
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
