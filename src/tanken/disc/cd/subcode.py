"""The subcode of the CD: 98 symbols a sector, two of them sync, the others eight channels P to W of 96 bits; Q with its check.

IEC 60908 section 17; the CRC covers the first 80 bits of Q and is stored inverted. `.sub` files hold the channels one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.records import Record
from tanken.coding.crc import SUBCODE_Q
from tanken.disc.cd.efm import S0, S1

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

FRAMES, BYTES = 98, 96
CHANNELS = "PQRSTUVW"


def bcd(number: int) -> int:
    """A number below 100 as two decimals."""
    return number // 10 << 4 | number % 10


def _msf(frames: int) -> bytes:
    return bytes((bcd(frames // 4500 % 100), bcd(frames // 75 % 60), bcd(frames % 75)))


@dataclass(frozen=True, slots=True, repr=False)
class Position(Record):
    """Mode 1 of Q: control bits, track, index, frames within the track and on the disc."""

    control: int
    track: int
    index: int
    relative: int
    absolute: int


def make_q(position: Position) -> bytes:
    """The 12 bytes of Q in mode 1."""
    head = bytes((position.control << 4 | 1, bcd(position.track), bcd(position.index)))
    body = head + _msf(position.relative) + b"\0" + _msf(position.absolute)
    return body + SUBCODE_Q.of(body).to_bytes(2, "big")


def q_good(q: Bytes) -> NDArray[np.bool_]:
    """Whether the check of each Q (count, 12) fits."""
    stored = q[:, 10].astype(np.uint32) << 8 | q[:, 11]
    good: NDArray[np.bool_] = SUBCODE_Q.rows(np.ascontiguousarray(q[:, :10])) == stored
    return good


def read_q(q: bytes) -> Position | None:
    """The position in Q, or None where its check fails or it is of another mode."""
    data = np.frombuffer(q, dtype=np.uint8)[None, :]
    if len(q) != 12 or not q_good(data)[0] or q[0] & 15 != 1:
        return None
    n = [(byte >> 4) * 10 + (byte & 15) for byte in q]
    return Position(q[0] >> 4, n[1], n[2], n[3] * 4500 + n[4] * 75 + n[5], n[7] * 4500 + n[8] * 75 + n[9])


def interleave(channels: Bytes) -> NDArray[np.int16]:
    """The 98 symbols of each sector, S0 and S1 first, of its channels (count, 96): 12 bytes of P, of Q, to W."""
    bits = np.unpackbits(channels.reshape(-1, 8, 12), axis=2)
    out = np.empty((len(channels), FRAMES), dtype=np.int16)
    out[:, :2] = S0, S1
    out[:, 2:] = np.packbits(bits.transpose(0, 2, 1), axis=2)[:, :, 0]
    return out


def separate(symbols: NDArray[np.int16]) -> Bytes:
    """The channels (count, 96) of sectors' subcode symbols (count, 98); a symbol that is none counts as 0."""
    data = np.where(symbols[:, 2:] < 0, 0, symbols[:, 2:] & 255).astype(np.uint8)
    bits = np.unpackbits(data[:, :, None], axis=2)
    return np.packbits(bits.transpose(0, 2, 1), axis=2).reshape(len(symbols), BYTES)


def absolute(q: Bytes) -> NDArray[np.int64]:
    """Of each Q (count, 12) the frames (75 a second) on the disc, -1 where its check fails or it is of another mode."""
    digits = q[:, 7:10].astype(np.int64)
    minutes, seconds, frames = ((digits >> 4) * 10 + (digits & 15)).T
    return np.where(q_good(q) & (q[:, 0] & 15 == 1), minutes * 4500 + seconds * 75 + frames, -1)


def of_sectors(count: int, first: int = 0, control: int = 4, stride: int = 1) -> Bytes:
    """Channels (count, 96) of a disc of one track that begins after the usual pregap, of which every `stride`th sector is there."""
    out = np.zeros((count, BYTES), dtype=np.uint8)
    for i in range(count):
        out[i, 12:24] = list(make_q(Position(control, 1, 1, first + i * stride, first + i * stride + 150)))
    return out
