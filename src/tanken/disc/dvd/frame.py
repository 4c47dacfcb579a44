"""Data frames of a DVD: identification, its check, copyright bytes, 2,048 bytes of user data and the error detection code.

ECMA-267, section 16 (data frames, figure 14: 12 rows of 172 bytes) and section 17 (scrambled frames).

    ID 4 | IED 2 | CPR_MAI 6 | main data 2,048 (scrambled) | EDC 4
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import UsageError
from tanken.coding.crc import DVD_EDC
from tanken.coding.reed_solomon import Code, code
from tanken.coding.scrambler import dvd_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

USER, FRAME, MAIN = 2048, 2064, 12  # bytes of user data, of a frame, before the main data
FIRST_PSN = 0x030000  # of the data zone, ECMA-267 section 24.1
SECTORS = 16  # of an ECC block


def ied() -> Code:
    """The code of the ID's check: RS(6,4) with roots 1 and alpha (section 16.2)."""
    return code(6, 4)


@cache
def masks() -> Bytes:
    """Scrambling of the whole frame, shape (16, 2064), by bits 7 to 4 of the sector number; zero outside the main data."""
    out = np.zeros((16, FRAME), dtype=np.uint8)
    for number in range(16):
        out[number, MAIN : MAIN + USER] = dvd_mask(number)
    return out


@cache
def mask_rests() -> NDArray[np.uint32]:
    """What the division of a whole scrambled frame, its EDC included, leaves, by initial value: the code is linear, and without scrambling nothing is left."""
    return DVD_EDC.rows(masks())


def seeds(psns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of the initial value: bits 7 to 4 of the sector number, so equal within an ECC block."""
    return psns >> 4 & 15


def make(user: Bytes, first_psn: int = FIRST_PSN, info: int = 0, cpr_mai: bytes = bytes(6)) -> Bytes:
    """Scrambled frames (sectors, 2064) of user data (sectors, 2048); `info` is byte 0 of the ID: format, tracking, layer, type (section 16.1)."""
    if user.ndim != 2 or user.shape[1] != USER:
        raise UsageError(f"user data of shape {user.shape}", wanted=f"(sectors, {USER})")
    psns = first_psn + np.arange(len(user), dtype=np.int64)
    frames = np.zeros((len(user), FRAME), dtype=np.uint8)
    frames[:, 0] = info
    for byte in range(3):
        frames[:, 1 + byte] = psns >> 8 * (2 - byte) & 255
    frames[:, :6] = ied().encode(frames[:, :4])
    frames[:, 6:12] = np.frombuffer(cpr_mai, dtype=np.uint8)
    frames[:, MAIN : MAIN + USER] = user
    frames[:, -4:] = DVD_EDC.rows(frames[:, :-4]).astype(">u4").view(np.uint8).reshape(-1, 4)
    frames ^= masks()[seeds(psns)]
    return frames


def psns(frames: Bytes) -> NDArray[np.int64]:
    """The sector numbers that stand in the frames' IDs."""
    wide = frames[:, 1:4].astype(np.int64)
    return wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]


def id_errors(frames: Bytes) -> NDArray[np.bool_]:
    """Whether the ID does not agree with its check."""
    found: NDArray[np.bool_] = ied().syndromes(np.ascontiguousarray(frames[:, :6])).max(axis=1) > 0
    return found


def edc_errors(frames: Bytes, numbers: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Whether the EDC of each scrambled frame fails; `numbers` are the scrambling seeds (default: by each frame's own ID)."""
    if numbers is None:
        numbers = seeds(psns(frames))
    wrong: NDArray[np.bool_] = DVD_EDC.rows(frames) != mask_rests()[numbers]
    return wrong


def user_data(frames: Bytes, numbers: NDArray[np.int64] | None = None) -> Bytes:
    """The descrambled user data (sectors, 2048)."""
    if numbers is None:
        numbers = seeds(psns(frames))
    return frames[:, MAIN : MAIN + USER] ^ masks()[numbers, MAIN : MAIN + USER]
