"""Eight-to-fourteen modulation: frames of 33 symbols as channel bits or as run lengths, and back.

IEC 60908 section 15, ECMA-130 section 19 and annex D; the words stand in `efm.table`. Run lengths are the `.efm` files of RF captures
(ld-decode): one byte a run, 3 to 11.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base import native
from tanken.disc import channel_kernel
from tanken.notation.table import read_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

KERNEL = "tanken.disc.channel_kernel"
S0, S1 = 256, 257
STEP = 1 << 20  # run lengths at a time
MOST_BITS = 1 << 24  # at a time, of a stream that is none: a run may be 255 bits
LEAD = 16  # zeros before the first one of a stream of runs
SYMBOLS, FRAME = channel_kernel.CD_SYMBOLS, channel_kernel.CD_FRAME


@cache
def words() -> list[int]:
    """The 14-bit words of bytes 0 to 255, S0 and S1."""
    tables = read_tables(Path(__file__).with_name("efm.table"))
    return [int(row[1], 2) for row in (*tables["bytes"], *tables["sync"])]


@cache
def _engine() -> tuple[Any, Any, Any]:
    """Kernel, its table of words, and the inverse: symbol of each 14-bit word, -1 for none."""
    inverse = np.full(1 << 14, -1, dtype=np.int16)
    inverse[words()] = np.arange(258)
    compiled = native.twin(KERNEL)
    if compiled is None:
        return channel_kernel, channel_kernel.efm_words(words()), inverse
    return compiled, np.array(channel_kernel.efm_words(words()), dtype=np.int64), inverse


class Encoder:
    """Makes channel bits (one a byte) of frames (count, 33), piece by piece of a stream: the subcode symbol (S0 and S1 allowed), then 32 bytes."""

    def __init__(self) -> None:
        self._state = np.array([0, 1, 0, 0, 0], dtype=np.int64)

    def feed(self, symbols: NDArray[np.int16]) -> Bytes:
        """The bits of these frames; the merging bits behind the last come with the next piece."""
        module, table, _ = _engine()
        out = np.zeros(len(symbols) * FRAME, dtype=np.uint8)
        return out[: module.efm_encode(symbols.astype(np.int64), len(symbols), table, out, self._state)]

    def finish(self) -> Bytes:
        """The merging bits behind the last frame."""
        return np.array([0, 0, 0] if self._state[3] + 3 <= 10 else [0, 1, 0], dtype=np.uint8)


def encode(symbols: NDArray[np.int16]) -> Bytes:
    """Channel bits of all frames (count, 33) of a stream."""
    made = Encoder()
    return np.concatenate([made.feed(symbols), made.finish()])


class Runs:
    """Run lengths of channel bits that come piece by piece: the distances between ones; what stands before the first one is lost."""

    def __init__(self) -> None:
        self._before = -1  # bits since the last one; -1: there was none

    def feed(self, bits: Bytes) -> Bytes:
        """The runs that end in these bits."""
        module, _, _ = _engine()
        out = np.empty(len(bits), dtype=np.uint8)
        count = module.run_lengths(bits, len(bits), self._before, out)
        last = bits[::-1].argmax() if len(bits) else 0
        if len(bits) and bits[len(bits) - 1 - last]:
            self._before = int(last)
        elif self._before >= 0:
            self._before += len(bits)
        return out[:count].copy()


class Reader:
    """Finds frames in run lengths, some at a time: the memory that it takes does not grow with the channel.

    `place` is all that is needed to go on from there with another reader, in the types of JSON.
    """

    def __init__(self, runs: Bytes, place: dict[str, Any] | None = None, step: int = STEP) -> None:
        self._runs, self._step = runs, step
        self._next, self._state = 0, np.zeros(3, dtype=np.int64)
        self._bits = np.zeros(LEAD + 1, dtype=np.uint8)  # no run tells the zeros at either end
        self._bits[LEAD] = 1
        if place is not None:
            self._next, self._state[:] = int(place["next"]), place["state"]
            self._bits = np.unpackbits(np.frombuffer(bytes.fromhex(place["bits"]), dtype=np.uint8))[: int(place["count"])]

    @property
    def place(self) -> dict[str, Any]:
        return {"next": self._next, "state": self._state.tolist(), "bits": np.packbits(self._bits).tobytes().hex(), "count": len(self._bits)}

    @property
    def done(self) -> int:
        """Run lengths that were taken."""
        return self._next

    @property
    def ended(self) -> bool:
        return self._next >= len(self._runs)

    def more(self) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """The frames (count, 33) that the next run lengths complete, -1 for symbols that are no word, and which of them had their sync."""
        module, _, inverse = _engine()
        ends = np.cumsum(self._runs[self._next : self._next + self._step], dtype=np.int64)
        ends = ends[: max(1, int(np.searchsorted(ends, MOST_BITS)))]
        self._next += len(ends)
        before = len(self._bits)
        total = before + (int(ends[-1]) if len(ends) else 0)
        bits = np.zeros(total + (17 if self.ended else 0), dtype=np.uint8)
        bits[:before] = self._bits
        bits[before - 1 + ends] = 1
        most = len(bits) // (FRAME - 2) + 1
        starts = np.zeros(most, dtype=np.int64)
        count = module.efm_frames(bits, len(bits), starts, most, self._state)
        out = np.empty((count, SYMBOLS), dtype=np.int16)
        module.efm_symbols(bits, starts[:count], count, inverse, out)
        keep = max(0, int(self._state[0]) - 2)
        self._bits = bits[keep:].copy()
        self._state[0] -= keep
        return out, starts[:count] >= 0


def decode(bits: Bytes) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Frames (count, 33) found in channel bits, -1 for symbols that are no word, and which frames had their sync."""
    module, _, inverse = _engine()
    most = len(bits) // (FRAME - 2) + 1
    starts = np.zeros(most, dtype=np.int64)
    count = module.efm_frames(bits, len(bits), starts, most, np.zeros(3, dtype=np.int64))
    out = np.empty((count, SYMBOLS), dtype=np.int16)
    module.efm_symbols(bits, starts[:count], count, inverse, out)
    return out, starts[:count] >= 0


def to_runs(bits: Bytes) -> Bytes:
    """Run lengths of all channel bits of a stream."""
    return Runs().feed(bits)


def bits_of(runs: Bytes, step: int = STEP) -> Iterator[tuple[Bytes, int]]:
    """The channel bits of run lengths piece by piece, and how many run lengths were taken; together they are `from_runs`."""
    head = np.zeros(LEAD + 1, dtype=np.uint8)  # no run tells the zeros at either end
    head[LEAD] = 1
    yield head, 0
    at = 0
    while at < len(runs):
        ends = np.cumsum(runs[at : at + step], dtype=np.int64)
        ends = ends[: max(1, int(np.searchsorted(ends, MOST_BITS)))]
        at += len(ends)
        bits = np.zeros(int(ends[-1]) + (17 if at >= len(runs) else 0), dtype=np.uint8)
        bits[ends[ends > 0] - 1] = 1
        yield bits, at


def from_runs(runs: Bytes) -> Bytes:
    """Channel bits of run lengths, with zeros before the one that starts the first run and behind the one that ends the last."""
    ends = np.cumsum(runs, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    bits = np.zeros(LEAD + total + 18, dtype=np.uint8)  # no run tells the zeros at either end
    bits[LEAD] = 1
    bits[LEAD + ends] = 1
    return bits
