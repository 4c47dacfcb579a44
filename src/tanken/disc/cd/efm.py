"""Eight-to-fourteen modulation: frames of 33 symbols as channel bits or as run lengths, and back.

IEC 60908 section 15, ECMA-130 section 19 and annex D; the words stand in `efm.table`. Run lengths are the `.efm` files of RF captures
(ld-decode): one byte a run, 3 to 11.
"""

from __future__ import annotations

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
LEAD = 16  # zeros before the first one of a stream of runs
SYMBOLS, FRAME = channel_kernel.CD_SYMBOLS, channel_kernel.CD_FRAME


@cache
def words() -> list[int]:
    """The 14-bit words of bytes 0 to 255, S0 and S1."""
    tables = read_tables(Path(__file__).with_name("efm.table"))
    return [int(row[1], 2) for row in (*tables["bytes"], *tables["sync"])]


@cache
def _engine() -> tuple[Any, Any, Any]:
    """Kernel, words, and the inverse: symbol of each 14-bit word, -1 for none."""
    inverse = np.full(1 << 14, -1, dtype=np.int16)
    inverse[words()] = np.arange(258)
    compiled = native.twin(KERNEL)
    if compiled is None:
        return channel_kernel, words(), inverse
    return compiled, np.array(words(), dtype=np.int64), inverse


def encode(symbols: NDArray[np.int16]) -> Bytes:
    """Channel bits (one a byte) of frames (count, 33): the subcode symbol (S0 and S1 allowed), then 32 bytes."""
    module, table, _ = _engine()
    out = np.zeros(len(symbols) * FRAME, dtype=np.uint8)
    module.efm_encode(symbols.astype(np.int64), len(symbols), table, out)
    return out


def decode(bits: Bytes) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Frames (count, 33) found in channel bits, -1 for symbols that are no word, and which frames had their sync."""
    module, _, inverse = _engine()
    most = len(bits) // FRAME + 1
    starts = np.zeros(most, dtype=np.int64)
    count = module.efm_frames(bits, len(bits), starts, most)
    out = np.empty((count, SYMBOLS), dtype=np.int16)
    module.efm_symbols(bits, starts[:count], count, inverse, out)
    return out, starts[:count] >= 0


def to_runs(bits: Bytes) -> Bytes:
    """Run lengths: the distances between ones; what stands before the first one is lost."""
    return np.diff(np.flatnonzero(bits)).clip(0, 255).astype(np.uint8)


def from_runs(runs: Bytes) -> Bytes:
    """Channel bits of run lengths, with zeros before the one that starts the first run and behind the one that ends the last."""
    ends = np.cumsum(runs, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    bits = np.zeros(LEAD + total + 18, dtype=np.uint8)  # no run tells the zeros at either end
    bits[LEAD] = 1
    bits[LEAD + ends] = 1
    return bits
