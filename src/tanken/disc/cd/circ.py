"""CIRC, the cross-interleaved code of the CD: 24 bytes of each frame spread over 109 frames, protected by C2 and C1; both ways.

IEC 60908 section 16 and ECMA-130 annex C: C2 = RS(28,24) with its parity in the middle, C1 = RS(32,28); delays as in the table of the annex.
Arrays of frames have one frame a row; a stream is padded with frames of silence so that everything that went in comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tanken.coding.lanes import transpose
from tanken.coding.reed_solomon import FAILED, Code, code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

F1, F2 = 24, 32  # bytes of a frame before and after CIRC
FRAMES = 98  # of a sector
SPREAD = 108  # frames between the first and the last symbol of a C2 word
DELAY = SPREAD + 1 + 2  # frames by which the decoder's output follows its input
HISTORY = 2 * SPREAD + 1  # frames that a stream's decoder keeps: before a C2 word's end, and behind a C1 word that C2 may yet correct
SURE = 2  # erasures of a C1 word that leave enough of its parity to notice another wrong symbol
# the place in the C2 word of each output byte; the four places in the middle hold parity
OUTPUT = (0, 1, 6, 7, 16, 17, 22, 23, 2, 3, 8, 9, 18, 19, 24, 25, 4, 5, 10, 11, 20, 21, 26, 27)
PARITY = (12, 13, 14, 15)
DELAYED_OUT = (4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23)  # by two frames in the decoder; the others in the encoder
INVERTED = (12, 13, 14, 15, 28, 29, 30, 31)


def c1() -> Code:
    """The inner code."""
    return code(32, 28)


def c2() -> Code:
    """The outer code."""
    return code(28, 24)


def swap(data: Bytes) -> Bytes:
    """Exchanges the bytes of 16-bit words: sectors hold the low byte first, frames the high one."""
    return data.reshape(-1, 2)[:, ::-1].reshape(data.shape)


def _shift(column: Bytes, by: int) -> Bytes:
    """A column delayed by some frames (zeros first)."""
    if not by:
        return column
    out = np.zeros_like(column)
    out[by:] = column[:-by]
    return out


def encode(frames: Bytes) -> Bytes:
    """Channel frames (count + 111, 32) of data frames (count, 24); everything of the last data frame has come out at the end."""
    count = len(frames) + DELAY
    padded = np.zeros((count, F1), dtype=np.uint8)
    padded[: len(frames)] = frames
    for byte in range(F1):
        if byte not in DELAYED_OUT:
            padded[:, byte] = _shift(padded[:, byte], 2)
    words = np.zeros((count, 28), dtype=np.uint8)
    for byte, place in enumerate(OUTPUT):
        words[:, place] = padded[:, byte]
    first, _ = c2().filler(PARITY)
    words[:, PARITY] = first.times(c2().row_syndromes(words)).T
    for place in range(28):
        words[:, place] = _shift(words[:, place], 4 * place)
    channel = np.empty((count, F2), dtype=np.uint8)
    channel[:, :28] = words
    channel[:, 28:] = c1().row_parity(words).T
    channel[:, INVERTED] ^= 0xFF
    late = np.array([[0xFF if place in INVERTED else 0 for place in range(0, F2, 2)]], dtype=np.uint8)
    channel[:, ::2] = np.concatenate([late, channel[:-1, ::2]])
    return channel


@dataclass
class Decoded:
    """What comes out: data frames (count - 111, 24), a mark for each byte that is not to be trusted, and per frame the wrong symbols.

    c1 and c2 are per channel frame: 0, 1, 2 wrong symbols, 3 for three or more, -1 for a word that stays wrong; c2 belongs to the
    word that ends in this frame.
    """

    frames: Bytes
    marks: NDArray[np.bool_]
    c1: NDArray[np.int16]
    c2: NDArray[np.int16]
    symbols: NDArray[np.int16]  # C1 words: wrong symbols as found in the end, by comparing with what C2 made of them


def decode(channel: Bytes, erased: NDArray[np.bool_] | None = None) -> Decoded:
    """Decodes channel frames (count, 32), or several reads of the same ones (reads, count, 32) together; `erased` marks symbols that are no word.

    Of several reads each C1 word is taken from the read that has the fewest wrong symbols; where all fail, symbols in which the reads differ become
    erasures of C1 and then of C2, so that reads are saved together of which none could be saved alone.
    """
    reads = channel if channel.ndim == 3 else channel[None]
    count = reads.shape[1]
    lanes, marks = [_aligned(transpose(np.ascontiguousarray(read))) for read in reads], None
    for read in lanes:
        read[list(INVERTED)] ^= 0xFF
    if erased is not None and erased.any():
        marks = [_aligned(transpose(np.ascontiguousarray(read, dtype=np.uint8))) for read in erased.reshape(reads.shape)]
    if len(reads) == 1:
        word, status1 = lanes[0], _inner(lanes[0], marks[0] if marks else None)
        failed = status1 == FAILED
        flags = np.broadcast_to(failed.astype(np.uint8), (28, count)) if failed.any() else None
    else:
        word, status1, flags = together(np.array(lanes), None if marks is None else np.array(marks))
    status1[-1:] = 0  # half of the last C1 word lies in a frame that is not there
    outer, outer_flags = _delayed(word[:28]), None if flags is None else _delayed(flags)
    status2, found = _outer(outer, outer_flags)
    symbols = np.where(status1 == FAILED, np.maximum(3, found), status1).astype(np.int16)
    status2[: min(count, SPREAD)] = 0  # words that began before the stream
    status2[-1:] = 0
    bad = status2 == FAILED
    frames, doubt = np.zeros((F1, count), dtype=np.uint8), np.zeros((F1, count), dtype=np.uint8)
    for byte, place in enumerate(OUTPUT):
        delay = 2 if byte in DELAYED_OUT else 0
        frames[byte, delay:] = outer[place, : count - delay]
        if outer_flags is not None and bad.any():
            doubt[byte, delay:] = (bad & (outer_flags[place] != 0))[: count - delay]
    # the encoder's three delays add up to 111 frames, less the one in which the last even symbols come
    part = slice(DELAY - 1, DELAY - 1 + max(0, count - DELAY))
    return Decoded(transpose(frames)[part], transpose(doubt)[part] != 0, status1, status2, symbols)


class Decoder:
    """Decodes a stream of channel frames piece by piece: what comes out, put together, is what `decode` makes of the whole stream.

    The frames that later words still need are kept, 217 of them. `first` is the number of the stream's first frame where its beginning is
    not there: the states of frames are then right from `first` + 108 on.
    """

    def __init__(self, first: int = 0) -> None:
        self._kept: Bytes | None = None  # (reads, count, 32)
        self._erased: NDArray[np.bool_] | None = None
        self._first = self.stated = self.given = first  # number of the first frame kept; frames of which the states, and data, were given
        self._whole = True  # what is kept begins where the stream does

    def feed(self, channel: Bytes, erased: NDArray[np.bool_], last: bool = False) -> Decoded:
        """The data frames and states that become certain; `last` gives the rest. `stated` and `given` count them."""
        reads = channel if channel.ndim == 3 else channel[None]
        marks = erased.reshape(reads.shape)
        if self._kept is not None and self._erased is not None:
            reads, marks = np.concatenate([self._kept, reads], axis=1), np.concatenate([self._erased, marks], axis=1)
        end = self._first + reads.shape[1]
        if not last and reads.shape[1] <= HISTORY:
            self._kept, self._erased = reads, marks
            nothing = np.zeros(0, dtype=np.int16)
            return Decoded(np.zeros((0, F1), dtype=np.uint8), np.zeros((0, F1), dtype=np.bool_), nothing, nothing, nothing)
        done = decode(reads, marks)
        states = slice(self.stated - self._first, (end if last else end - SPREAD - 1) - self._first)
        data = slice(self.given - self._first, None)
        self.stated, self.given = self._first + states.stop, max(self.given, self._first + len(done.frames))
        keep = max(self._first, end - HISTORY)
        self._kept, self._erased = reads[:, keep - self._first :].copy(), marks[:, keep - self._first :].copy()
        self._first = keep
        return Decoded(done.frames[data], done.marks[data], done.c1[states], done.c2[states], done.symbols[states])


def together(lanes: Bytes, marks: Bytes | None) -> tuple[Bytes, NDArray[np.int16], Bytes | None]:
    """C1 of several reads (reads, 32, count): the words, their states, and which of their 28 symbols C2 must not trust (None: all may be)."""
    raw = lanes.copy()
    states = np.array([_inner(read, None if marks is None else marks[i]) for i, read in enumerate(lanes)])
    cost = np.where(states == FAILED, 99, states)
    best = cost.argmin(axis=0)
    words: Bytes = np.ascontiguousarray(np.take_along_axis(lanes, best[None, None, :], axis=0)[0])
    status: NDArray[np.int16] = np.take_along_axis(states, best[None], axis=0)[0]
    index = np.flatnonzero(cost.min(axis=0) == 99)
    if not len(index):
        return words, status, None
    versions = raw[:, :, index]
    valid = np.ones(versions.shape, dtype=np.bool_) if marks is None else marks[:, :, index] == 0
    counts = np.array([((versions == one) & valid).sum(axis=0) for one in versions]) * valid
    chosen = counts.argmax(axis=0)
    base = np.take_along_axis(versions, chosen[None], axis=0)[0]
    doubt = 2 * np.take_along_axis(counts, chosen[None], axis=0)[0] <= valid.sum(axis=0)  # no majority, or no read has it at all
    rows, erasures = np.ascontiguousarray(base.T), np.ascontiguousarray(doubt.T.astype(np.uint8))
    found = np.full(len(index), FAILED, dtype=np.int16)
    few = np.flatnonzero(erasures.sum(axis=1) <= c1().roots)
    piece = rows[few]
    found[few] = c1().decode(piece, erasures[few])
    good = found != FAILED
    rows[few[found[few] != FAILED]] = piece[found[few] != FAILED]
    sure = good & (erasures.sum(axis=1) <= SURE)
    words[:, index], status[index] = rows.T, np.where(good, np.maximum(3, found), FAILED)
    flags = np.zeros((28, lanes.shape[2]), dtype=np.uint8)
    flags[:, index] = np.where(sure, 0, np.where(good | doubt.any(axis=0), doubt, True)[:28])
    return words, status, flags


def _aligned(lanes: Bytes) -> Bytes:
    """Even symbols taken from the frame after."""
    lanes[::2, :-1] = lanes[::2, 1:].copy()
    return lanes


def _delayed(lanes: Bytes) -> Bytes:
    """C1's lanes (28, count) as those of C2: each late by four frames for every place before the last."""
    out = np.zeros(lanes.shape, dtype=np.uint8)
    for place in range(28):
        delay = 4 * (27 - place)
        out[place, delay:] = lanes[place, : max(0, lanes.shape[1] - delay)]
    return out


def _inner(lanes: Bytes, marks: Bytes | None) -> NDArray[np.int16]:
    """C1: one or two wrong symbols are corrected; beyond that the word is left as it is."""
    status = np.zeros(lanes.shape[1], dtype=np.int16)
    syndromes = c1().syndrome_lanes(lanes)
    index = np.flatnonzero(np.bitwise_or.reduce(syndromes, axis=0))
    if not len(index):
        return status
    words = np.ascontiguousarray(lanes[:, index].T)
    found = c1().correct(words, np.ascontiguousarray(syndromes[:, index]))
    if marks is not None:
        rows = np.ascontiguousarray(marks[:, index].T)
        again = np.flatnonzero((found == FAILED) & (rows.sum(axis=1) <= 4))
        piece = words[again]
        result = c1().decode(piece, rows[again])
        good = result != FAILED
        words[again[good]], found[again[good]] = piece[good], result[good]
    lanes[:, index], status[index] = words.T, found
    return status


def _outer(lanes: Bytes, flags: Bytes | None) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """C2: words that C1 gave up are erasures where at most four touch a word; otherwise up to two wrong symbols, which must be among them.

    Returns the words' states, and of each C1 word how many of its symbols were changed here.
    """
    count = lanes.shape[1]
    status, changed = np.zeros(count, dtype=np.int16), np.zeros(count, dtype=np.int64)
    syndromes = c2().syndrome_lanes(lanes)
    index = np.flatnonzero(np.bitwise_or.reduce(syndromes, axis=0))
    if not len(index):
        return status, changed
    before = np.ascontiguousarray(lanes[:, index].T)
    words, wrong = before.copy(), np.ascontiguousarray(syndromes[:, index])
    marks = np.zeros_like(words) if flags is None else np.ascontiguousarray(flags[:, index].T)
    counts = marks.sum(axis=1)
    found = np.zeros(len(index), dtype=np.int16)
    few, many = np.flatnonzero(counts <= 4), np.flatnonzero(counts > 4)
    if len(few):
        piece = words[few]
        found[few] = c2().correct(piece, np.ascontiguousarray(wrong[:, few]), marks[few])
        words[few] = piece
    if len(many):
        piece = words[many]
        result = c2().correct(piece, np.ascontiguousarray(wrong[:, many]))
        stray = ((before[many] != piece) & (marks[many] == 0)).any(axis=1)
        result[stray] = FAILED
        piece[stray] = before[many][stray]
        found[many], words[many] = result, piece
    lanes[:, index], status[index] = words.T, found
    word, place = np.nonzero((words != before) & (found != FAILED)[:, None])
    np.add.at(changed, np.maximum(0, index[word] - 4 * (27 - place)), 1)
    return status, changed
