"""A CD's channel from run lengths to sectors, second by second: frames, subcode, C1 and C2, sectors; the memory does not grow with the channel.

IEC 60908 sections 15 to 17, ECMA-130 sections 14 to 20. What comes out does not depend on how much is read at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.disc.cd import circ, efm, sector, subcode
from tanken.disc.flywheel import Flywheel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

    Places = NDArray[np.float64]

FRAMES = 75 * circ.FRAMES  # of a second
SPAN = 55  # frames: a sector's bytes lie in the 111 channel frames from its first data frame on; this is their middle
WARM = 400  # frames that must be read before a second so that all of it is known
SILENT = 0.9  # share of bytes alike in what is no sector
PREGAP = 150  # sectors by which the time in Q is ahead of the program area's first


class Sectors:
    """Finds sectors in data frames, descrambles and corrects them by P and Q."""

    def __init__(self, first: int = 0, place: list[int] | None = None) -> None:
        at, known, floor, self.vote = place or [0, 0, 0, 1]
        self._wheel = Flywheel(sector.SECTOR, at, bool(known))
        self._wheel._floor = floor
        self._base = first * circ.F1  # place in the stream of the first byte kept
        self._data, self._marks = np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.uint8)
        self._seen = self._base  # where the search for sync goes on

    @property
    def edge(self) -> int:
        """The first data frame in which a sector may still be found."""
        return self._wheel.edge // circ.F1

    @property
    def place(self) -> list[int]:
        """For another one to go on."""
        return [*self._wheel.place, self.vote]

    def feed(self, done: circ.Decoded, last: bool = False) -> None:
        """Takes data frames in order."""
        self._data = np.concatenate([self._data, circ.swap(done.frames.reshape(-1))])
        self._marks = np.concatenate([self._marks, circ.swap(done.marks.astype(np.uint8).reshape(-1))])
        end = self._base + len(self._data)
        stop = max(self._seen, end - len(sector.SYNC) + 1)
        piece = self._data[self._seen - self._base :]
        places = np.flatnonzero(piece[: stop - self._seen] == 0)
        for offset in range(1, len(sector.SYNC)):
            places = places[piece[places + offset] == sector.SYNC[offset]]
        self._wheel.feed(places + self._seen, end if last else stop, last)
        self._seen = stop
        while last and self._wheel.found and self._silent(self._wheel.found[-1]):  # behind the last sector, not a sector without its sync
            self._wheel.found.pop()
        keep = min(self._wheel.found[0] if self._wheel.found else end, self._wheel.edge, self._seen)
        if keep - self._base > 1 << 20:
            self._data, self._marks, self._base = self._data[keep - self._base :].copy(), self._marks[keep - self._base :].copy(), keep

    def _silent(self, start: int) -> bool:
        piece = self._data[start - self._base : start - self._base + sector.SECTOR]
        return bool((piece == piece[0]).mean() > SILENT)

    def take(self, frame: int) -> tuple[Bytes, NDArray[np.bool_], Bytes]:
        """Sectors (count, 2352) that begin before a data frame, which EDC still fails, and marks of bytes not to be trusted before P and Q."""
        starts = np.array(self._wheel.take(max(0, frame) * circ.F1), dtype=np.int64) - self._base
        if not len(starts):
            return np.zeros((0, sector.SECTOR), dtype=np.uint8), np.zeros(0, dtype=np.bool_), np.zeros((0, sector.SECTOR), dtype=np.uint8)
        places = starts[:, None] + np.arange(sector.SECTOR)
        whole, marks = sector.scramble(self._data[places]), self._marks[places]
        whole[:, :12] = sector.SYNC
        counts = np.bincount(whole[:, 15], minlength=256)
        counts[self.vote] += 2
        self.vote = int(counts.argmax())
        found = sector.modes(whole)
        whole[(found == 0) | sector.edc_errors(whole, found), 15] = self.vote
        _, bad = sector.correct(whole, marks)
        return whole, bad, marks


class Clock:
    """Where frames lie on the track, by the times in Q; before any is known from 0 on. `carry`: the last time's frame, its place, the pace."""

    def __init__(self, carry: list[float] | None = None) -> None:
        self.carry = carry

    def places(self, first: int, count: int, starts: NDArray[np.int64], told: NDArray[np.int64]) -> Places:
        """Frames from the beginning of the program area to each of `count` frames from `first` on, of which blocks of subcode begin at `starts`.

        `told` are the times of the blocks, -1 where Q does not tell.
        """
        frames = np.arange(first, first + count, dtype=np.float64)
        starts, told = starts[told >= 0], told[told >= 0]
        anchors, steps = starts.astype(np.float64), (told - PREGAP) * float(circ.FRAMES)
        if self.carry is not None:
            anchors, steps = np.concatenate([self.carry[:1], anchors]), np.concatenate([self.carry[1:2], steps])
        if len(anchors) > 2:
            fits = np.concatenate([[True], (steps[1:-1] >= steps[:-2]) & (steps[1:-1] <= steps[2:]), [True]])
            anchors, steps = anchors[fits], np.maximum.accumulate(steps[fits])
        if len(anchors) < (3 if self.carry is None else 1):
            return frames
        pace = float(np.median(np.diff(steps) / np.diff(anchors))) if len(anchors) > 2 or self.carry is None else self.carry[2]
        found: Places = np.interp(frames, anchors, steps)
        found += pace * (np.minimum(frames - anchors[0], 0) + np.maximum(frames - anchors[-1], 0))
        self.carry = [float(anchors[-1]), float(steps[-1]), pace]
        np.maximum(found, 0, out=found)
        return found


@dataclass
class Second:
    """A second of a channel: for each frame its place on the track, wrong symbols at C1 and C2 (see `circ.Decoded`); subcode checks that fail; sectors."""

    number: int
    places: Places
    c1: NDArray[np.int16]
    c2: NDArray[np.int16]
    symbols: NDArray[np.int16]
    unsynced: int
    q_bad: int
    sectors: Bytes
    bad: NDArray[np.bool_]


class Channel:
    """Reads run lengths second by second; `place` after a second is what another one needs to go on behind it."""

    def __init__(self, runs: Bytes, place: dict[str, Any] | None = None, step: int = efm.STEP) -> None:
        place = place or {"reader": None, "frame": 0, "second": 0, "q": None, "sectors": None, "clock": None}
        self.reader = efm.Reader(runs, place["reader"], step)
        self._base, self._second = int(place["frame"]), int(place["second"])  # of the first frame kept; the next to give
        self._frames = self._base  # that were read
        at, known, floor = place["q"] or [0, 0, 0]
        self._wheel = Flywheel(circ.FRAMES, at, bool(known))
        self._wheel._floor = floor
        self._clock, self._decoder, self._sectors = Clock(place["clock"]), circ.Decoder(self._base), Sectors(self._base, place["sectors"])
        nothing = np.zeros(0, dtype=np.int16)
        self._sub, self._synced, self._c1, self._c2, self._symbols = nothing, np.zeros(0, dtype=np.bool_), nothing, nothing, nothing
        self._before: list[tuple[int, dict[str, Any]]] = []  # frames read, and the reader's place then

    @property
    def place(self) -> dict[str, Any]:
        """In the types of JSON."""
        early = [item for item in self._before if item[0] <= min(self._second * FRAMES, self._frames) - WARM] or self._before[:1]
        self._before = self._before[self._before.index(early[-1]) :]
        frame, reader = early[-1]
        return {"reader": reader, "frame": frame, "second": self._second, "q": self._wheel.place, "sectors": self._sectors.place, "clock": self._clock.carry}

    def seconds(self) -> Iterator[Second]:
        """The seconds from where it begins."""
        while not self.reader.ended:
            self._before.append((self._frames, self.reader.place))
            self._more()
            while self._second_known():
                yield self._next(FRAMES)
        while self._second * FRAMES < self._frames:
            yield self._next(min(FRAMES, self._frames - self._second * FRAMES))

    def _more(self) -> None:
        symbols, synced = self.reader.more()
        last = self.reader.ended
        self._sub, self._synced = np.concatenate([self._sub, symbols[:, 0]]), np.concatenate([self._synced, synced])
        self._wheel.feed(np.flatnonzero(symbols[:, 0] == efm.S0) + self._frames, self._frames + len(symbols), last)
        self._frames += len(symbols)
        if not self._frames:
            return
        erased = symbols[:, 1:] < 0
        done = self._decoder.feed(np.where(erased, 0, symbols[:, 1:] & 255).astype(np.uint8), erased, last)
        self._c1, self._c2, self._symbols = (np.concatenate(pair) for pair in ((self._c1, done.c1), (self._c2, done.c2), (self._symbols, done.symbols)))
        self._sectors.feed(done, last)

    def _second_known(self) -> bool:
        end = (self._second + 1) * FRAMES
        # subcode blocks that begin in this second must be there to their end
        return self._decoder.stated >= end and self._wheel.edge >= end and self._frames >= end + circ.FRAMES and self._sectors.edge >= end - SPAN

    def _next(self, count: int) -> Second:
        first = self._second * FRAMES
        part = slice(first - self._base, first - self._base + count)
        starts = np.array(self._wheel.take(first + count), dtype=np.int64)
        starts = starts[starts + circ.FRAMES <= self._frames]
        blocks = self._sub[(starts - self._base)[:, None] + np.arange(circ.FRAMES)]
        q = np.ascontiguousarray(subcode.separate(blocks)[:, 12:24])
        places = self._clock.places(first, count, starts, subcode.absolute(q))
        sectors, bad, _ = self._sectors.take(first + FRAMES - SPAN)
        made = Second(self._second, places, self._c1[part], self._c2[part], self._symbols[part], int((~self._synced[part]).sum()),
                      int((~subcode.q_good(q)).sum()), sectors, bad)  # fmt: skip
        self._second += 1
        keep = min(first + count, self._wheel.found[0] if self._wheel.found else first + count, self._wheel.edge) - self._base
        self._sub, self._synced = self._sub[keep:], self._synced[keep:]
        self._c1, self._c2, self._symbols = self._c1[keep:], self._c2[keep:], self._symbols[keep:]
        self._base += keep
        return made
