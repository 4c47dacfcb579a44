"""ECC blocks of a DVD: 16 frames as 192 rows, 16 rows of outer and 10 columns of inner parity; and as they are recorded.

ECMA-267, section 18 (PO: RS(208,192) down the columns first, then PI: RS(182,172) along all rows), section 19 (recording frames: one
PO row behind each 12 rows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tanken.coding.reed_solomon import Code, code
from tanken.disc.dvd.frame import FRAME, SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

ROWS, COLUMNS = 208, 182
DATA_ROWS, DATA_COLUMNS = 192, 172
BLOCK = ROWS * COLUMNS
FRAME_ROWS, RECORDED_ROWS = 12, 13  # of a data frame and of a recording frame


def inner() -> Code:
    """PI."""
    return code(COLUMNS, DATA_COLUMNS)


def outer() -> Code:
    """PO."""
    return code(ROWS, DATA_ROWS)


def encode(frames: Bytes) -> Bytes:
    """ECC blocks (blocks, 208, 182) of scrambled frames (16 x blocks, 2064)."""
    count = len(frames) // SECTORS
    blocks = np.empty((count, ROWS, COLUMNS), dtype=np.uint8)
    blocks[:, :DATA_ROWS, :DATA_COLUMNS] = frames.reshape(count, DATA_ROWS, DATA_COLUMNS)
    for block in blocks:
        block[DATA_ROWS:, :DATA_COLUMNS] = outer().parity_lanes(block[:DATA_ROWS, :DATA_COLUMNS])
    rows = blocks.reshape(-1, COLUMNS)
    rows[:, DATA_COLUMNS:] = inner().row_parity(rows[:, :DATA_COLUMNS]).T
    return blocks


def frames_of(blocks: Bytes) -> Bytes:
    """The scrambled frames (16 x blocks, 2064) of ECC blocks."""
    return np.ascontiguousarray(blocks[:, :DATA_ROWS, :DATA_COLUMNS]).reshape(-1, FRAME)


def _order() -> NDArray[np.int64]:
    """The block's row that stands at each recorded row: 12 rows, then a row of PO, 16 times."""
    order = []
    for frame in range(SECTORS):
        order += [12 * frame + i for i in range(12)] + [DATA_ROWS + frame]
    return np.array(order, dtype=np.int64)


RECORDED_ORDER = _order()
PLACE = np.argsort(RECORDED_ORDER)  # of each of the block's rows among the recorded ones


def to_recorded(blocks: Bytes) -> Bytes:
    """Recording frames (16 x blocks, 13, 182) of ECC blocks."""
    return blocks[:, RECORDED_ORDER, :].reshape(-1, RECORDED_ROWS, COLUMNS)


def from_recorded(frames: Bytes) -> Bytes:
    """ECC blocks of recording frames (16 x blocks, 13, 182)."""
    return np.ascontiguousarray(frames.reshape(-1, ROWS, COLUMNS)[:, PLACE, :])
