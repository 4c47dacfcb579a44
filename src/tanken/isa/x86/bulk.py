"""Decoding and printing in bulk: NumPy columns of all instructions of a buffer, and their texts as one run of bytes.

Small inputs are done in plain Python, so that nobody waits for a compiler; large ones by the same source under Numba.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tanken.base import cache, native
from tanken.isa.architecture import COLUMNS, Column
from tanken.isa.x86 import rows
from tanken.isa.x86.inst import SYNTAXES, mode_bytes
from tanken.isa.x86.kernels import DECODER, TEXT
from tanken.isa.x86.kernels.decoder import decode_run
from tanken.isa.x86.kernels.text import text_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Columns = NDArray[np.void]

SMALL = 1 << 16  # bytes: below this plain Python is done before a compiler would be
CHUNK = 1 << 20  # bytes of text at a time


def _native(size: int) -> tuple[Any, Any, Any, Any] | None:
    """Compiled kernel, compiled text kernel and tables as arrays, None where plain Python does the work."""
    if size < SMALL or not native.available():
        return None
    return _compiled()


def waits_for_compiler(size: int) -> bool:
    """Whether printing so many bytes begins with compiling, since nothing compiled is in the cache."""
    if size < SMALL or not native.available() or _COMPILED:
        return False
    folder = cache.directory(native.library_version("numba"))
    return not any(folder.rglob("text.text_run-*"))


_COMPILED: list[tuple[Any, Any, Any, Any]] = []


def _compiled() -> tuple[Any, Any, Any, Any]:
    if not _COMPILED:
        from tanken.isa.x86.tables import as_arrays

        _COMPILED.append((native.twin(DECODER[-1], *DECODER[:-1]), native.twin(TEXT[-1], *TEXT[:-1]), *as_arrays(rows.tables())))
    return _COMPILED[0]


def _signed(address: int) -> int:
    """The address as 64 bits with a sign, as compiled code and NumPy hold it."""
    return ((address + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


def decode_array(code: bytes | bytearray | memoryview, at: int = 0, mode: int = 64) -> NDArray[np.int64]:
    """All instructions of `code`, whose first byte stands at `at`: an array of shape (instructions, 10) of int64.

    Addresses from 2**63 on are negative numbers there. Column names stand in `isa.architecture.Column`; packing in `isa.x86.layout`. Raises UsageError for an unknown mode.
    """
    import numpy as np

    size = mode_bytes(mode)
    data = np.frombuffer(code, dtype=np.uint8)
    compiled = _native(len(data))
    rows_left = max(16, len(data) // 2)
    pieces = []
    pos = 0
    while pos < len(data):
        if compiled:
            out = np.empty(rows_left * COLUMNS, dtype=np.int64)
            n = compiled[0].decode_run(compiled[2], data, pos, len(data), size, _signed(at + pos), out, rows_left)
        else:
            plain = [0] * (rows_left * COLUMNS)
            n = decode_run(rows.tables().numbers, bytes(code), pos, len(data), size, _signed(at + pos), plain, rows_left)
            out = np.array(plain[: n * COLUMNS], dtype=np.int64)
        piece = out.reshape(-1, COLUMNS)[:n]
        pieces.append(piece)
        pos = (int(piece[-1, Column.ADDRESS]) + int(piece[-1, Column.LENGTH]) - at) & ((1 << 64) - 1)
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty((0, COLUMNS), dtype=np.int64), *pieces])


def text_lines(
    code: bytes | bytearray | memoryview, at: int = 0, mode: int = 64, syntax: str = "intel",
    comment: bool = False, address: bool = True, likely: int = 0, skip: bool = False,
) -> Iterator[bytes]:  # fmt: skip
    """The text of all instructions of `code` in pieces of whole lines: `401000:<tab>text`, without address if not wanted.

    `comment` adds the address of rip-relative operands. Memory stays bounded whatever the length of `code`.
    `skip` leaves out runs of zeros as objdump does. `likely` says how many bytes the caller will print in all, when it hands them over in small pieces.
    """
    size, att = mode_bytes(mode), SYNTAXES[syntax]
    pos = 0
    compiled = _native(max(len(code), likely))
    if compiled:
        import numpy as np

        data, buf, where = np.frombuffer(code, dtype=np.uint8), np.empty(CHUNK, dtype=np.uint8), np.zeros(2 + COLUMNS, dtype=np.int64)
        while pos < len(data):
            n = compiled[1].text_run(compiled[2], compiled[3], data, pos, len(data), size, _signed(at + pos), att, comment, address, skip, buf, CHUNK, where)
            yield buf[:n].tobytes()
            pos = int(where[0])
        return
    data_bytes, plain_buf, plain_where = bytes(code), bytearray(1 << 14), [0] * (2 + COLUMNS)
    while pos < len(data_bytes):
        n = text_run(*rows.tables(), data_bytes, pos, len(data_bytes), size, _signed(at + pos), att, comment, address, skip, plain_buf, 1 << 14, plain_where)
        yield bytes(plain_buf[:n])
        pos = plain_where[0]
