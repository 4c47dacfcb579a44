"""Sectors of a CD-ROM, 2,352 bytes: sync, header, data, EDC, P and Q parity; made, checked, corrected, scrambled.

ECMA-130, section 14 and annexes A (P and Q: RS(26,24) and RS(45,43), roots 1 and alpha) and B (scrambler). Mode 2 form 1: IEC 10149 / CD-ROM XA,
where the header counts as zero for P and Q and the EDC begins at the subheader.

    mode 1:        sync 12 | header 4 | data 2,048 | EDC 4 | zeros 8 | P 172 | Q 104
    mode 2 form 1: sync 12 | header 4 | subheader 8 | data 2,048 | EDC 4 | P 172 | Q 104
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import UsageError
from tanken.coding.crc import CD_EDC
from tanken.coding.reed_solomon import FAILED, Code, code
from tanken.coding.scrambler import cd_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

    Places = NDArray[np.int64]

SECTOR, USER = 2352, 2048
SYNC = np.frombuffer(b"\0" + b"\xff" * 10 + b"\0", dtype=np.uint8)
PREGAP = 150  # sectors before logical block 0
P_AT, Q_AT = 2076, 2248
MODE1, FORM1 = 1, 2
PASSES = 4


def msf(block: int) -> bytes:
    """Minute, second and frame of a logical block, as binary coded decimals."""
    frames = block + PREGAP
    return bytes((n // 10 << 4) + n % 10 for n in (frames // 4500 % 100, frames // 75 % 60, frames % 75))


def block_of(header: bytes | Bytes) -> int | None:
    """The logical block that the header's minute, second and frame name; None where they are no decimals."""
    digits = [int(byte) for byte in header[:3]]
    if any(d >> 4 > 9 or d & 15 > 9 for d in digits):
        return None
    minute, second, frame = ((d >> 4) * 10 + (d & 15) for d in digits)
    return None if second > 59 or frame > 74 else minute * 4500 + second * 75 + frame - PREGAP


@cache
def p_places() -> Places:
    """Byte offsets of the P words, shape (86, 26): both bytes of 43 columns of the 16-bit words from byte 12 on."""
    column, lane, m = np.meshgrid(np.arange(43), np.arange(2), np.arange(26), indexing="ij")
    places: Places = (12 + 2 * (43 * m + column) + lane).reshape(86, 26)
    return places


@cache
def q_places() -> Places:
    """Byte offsets of the Q words, shape (52, 45): both bytes of 26 diagonals, wrapped at 1,118 words, and their parity."""
    diagonal, lane, m = np.meshgrid(np.arange(26), np.arange(2), np.arange(43), indexing="ij")
    data = (44 * m + 43 * diagonal) % 1118
    n = np.arange(26)[:, None, None] + np.zeros((26, 2, 1), dtype=np.int64)
    words = np.concatenate([data, 1118 + n, 1144 + n], axis=2)
    places: Places = (12 + 2 * words + np.arange(2)[None, :, None]).reshape(52, 45)
    return places


def p_code() -> Code:
    return code(26, 24)


def q_code() -> Code:
    return code(45, 43)


def edc_range(mode: int) -> tuple[int, int]:
    """The first byte that the EDC covers, and its own place."""
    return (0, 2064) if mode == MODE1 else (16, 2072)


def make(user: Bytes, first_block: int = 0, mode: int = MODE1) -> Bytes:
    """Sectors (count, 2352), not scrambled, of user data (count, 2048)."""
    if user.ndim != 2 or user.shape[1] != USER or mode not in (MODE1, FORM1):
        raise UsageError(f"user data of shape {user.shape}, mode {mode}", wanted=f"(sectors, {USER}), mode 1 or 2")
    out = np.zeros((len(user), SECTOR), dtype=np.uint8)
    out[:, :12] = SYNC
    for i in range(len(user)):
        out[i, 12:15] = list(msf(first_block + i))
    out[:, 15] = 1 if mode == MODE1 else 2
    at = 16 if mode == MODE1 else 24
    out[:, at : at + USER] = user
    if mode == FORM1:
        out[:, 16:24] = list(bytes((0, 0, 8, 0)) * 2)
    start, place = edc_range(mode)
    out[:, place : place + 4] = CD_EDC.rows(out[:, start:place]).astype("<u4").view(np.uint8).reshape(-1, 4)
    _add_parity(out, mode)
    return out


def _add_parity(sectors: Bytes, mode: int) -> None:
    headers = sectors[:, 12:16].copy()
    if mode == FORM1:
        sectors[:, 12:16] = 0
    for places, made in ((p_places(), p_code()), (q_places(), q_code())):
        words = sectors[:, places[:, : made.k]].reshape(-1, made.k)
        parity = made.row_parity(np.ascontiguousarray(words)).T.reshape(len(sectors), len(places), made.roots)
        sectors[:, places[:, made.k :]] = parity
    sectors[:, 12:16] = headers


def renew_parity(sectors: Bytes, chosen: NDArray[np.bool_]) -> None:
    """Makes P and Q of the chosen sectors anew, in place: their data are sound by the EDC, which does not cover the parity."""
    found = np.where(chosen, modes(sectors), 0)
    for mode in (MODE1, FORM1):
        index = np.flatnonzero(found == mode)
        if len(index):
            piece = sectors[index]
            _add_parity(piece, mode)
            sectors[index] = piece


def modes(sectors: Bytes) -> NDArray[np.int64]:
    """For each sector 1, 2 (mode 2 form 1), or 0 where there is nothing to check (audio, mode 0, form 2)."""
    synced = (sectors[:, :12] == SYNC).all(axis=1)
    form1 = (sectors[:, 15] == 2) & (sectors[:, 18] & 0x20 == 0) & (sectors[:, 16:20] == sectors[:, 20:24]).all(axis=1)
    return np.where(synced & (sectors[:, 15] == 1), MODE1, np.where(synced & form1, FORM1, 0))


def edc_errors(sectors: Bytes, found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the EDC fails; `found` are the modes, sectors without one never fail."""
    wrong = np.zeros(len(sectors), dtype=np.bool_)
    for mode in (MODE1, FORM1):
        index = np.flatnonzero(found == mode)
        if len(index):
            start, place = edc_range(mode)
            stored = np.ascontiguousarray(sectors[index, place : place + 4]).view("<u4").reshape(-1)
            wrong[index] = CD_EDC.rows(np.ascontiguousarray(sectors[index, start:place])) != stored
    return wrong


def correct(sectors: Bytes, marks: Bytes | None = None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Corrects sectors in place by P and Q in turns; `marks` (of the same shape) are bytes not to be trusted, such as C2 pointers.

    Returns how many bytes of each were changed, and whether its EDC still fails.
    """
    found = modes(sectors)
    bad = edc_errors(sectors, found)
    changed = np.zeros(len(sectors), dtype=np.int64)
    for i in np.flatnonzero(bad):
        before = sectors[i].copy()
        _turns(sectors[i], int(found[i]), None if marks is None else marks[i].copy())
        changed[i] = (before != sectors[i]).sum()
    tried = bad.copy()
    bad[bad] = edc_errors(sectors[bad], found[bad])
    renew_parity(sectors, tried & ~bad)
    return changed, bad


def _turns(sector: Bytes, mode: int, marks: Bytes | None) -> None:
    """Q, then P, until nothing changes or the EDC fits."""
    header = sector[12:16].copy()
    if mode == FORM1:
        sector[12:16] = 0
    for turn in range(PASSES):
        before = sector.copy()
        for places, made in ((q_places(), q_code()), (p_places(), p_code())):
            words = np.ascontiguousarray(sector[places])
            erased = None if marks is None else np.ascontiguousarray(marks[places])
            status = made.decode(words, erased)
            good = status != FAILED
            if erased is not None:  # too many marks for the parity: one error, which must be among them
                again = np.flatnonzero(~good)
                original = np.ascontiguousarray(sector[places])[again]
                piece = original.copy()
                fixed = made.decode(piece) != FAILED
                good[again] = fixed & ((piece == original) | (erased[again] != 0)).all(axis=1) & (turn > 0)
                words[again] = piece
            sector[places[good]] = words[good]
            if marks is not None:
                marks[places[good]] = 0
        if turn and (sector == before).all():
            break
    sector[12:16] = header


def scramble(sectors: Bytes) -> Bytes:
    """Scrambles or descrambles: bytes 12 to 2,351 are added to the sequence."""
    out = sectors.copy()
    out[:, 12:] ^= cd_mask()
    return out


def user_data(sectors: Bytes) -> Bytes:
    """The 2,048 bytes of each sector, by its mode (zeros where it has none)."""
    found = modes(sectors)
    out = np.zeros((len(sectors), USER), dtype=np.uint8)
    out[found == MODE1] = sectors[found == MODE1, 16 : 16 + USER]
    out[found == FORM1] = sectors[found == FORM1, 24 : 24 + USER]
    return out
