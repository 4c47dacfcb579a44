"""The symbols that a Linux kernel carries for itself, found in its memory image, where its ELF file has none.

Linux scripts/kallsyms.c writes, and kernel/kallsyms.c reads, in this order, each aligned to 8 bytes (4.20 to 6.6; newer ones put more between the
markers and the token table, and the newest the addresses to the end):

    offsets       one i32 a symbol; negative: relative base - 1 - offset; else an absolute address
    relative base u64
    number        u32
    names         a symbol: its length (one byte, or two of 7 bits), so many token numbers; they spell its type's letter and its name
    markers       u32: where every 256th name begins
    token table   256 strings
    token index   256 u16: where each begins
"""

from __future__ import annotations

import struct

from tanken.base.errors import InputError

DIGITS = b"".join(bytes((digit, 0)) for digit in b"0123456789")
ZERO = 0x30  # a digit is its own token
TOKENS, STRIDE = 256, 256
TYPES = frozenset("aAbBcCdDgGiInNpPrRsStTuUvVwW?-")
LEAST, MOST = 100, 1 << 21  # symbols of a kernel
MOST_NAMES = 8 << 20  # bytes of names that are looked through
LONGEST_TABLE = 1 << 14


def symbols(image: bytes, name: str = "") -> list[tuple[int, str]]:
    """(address, name) of every symbol, by address. Raises InputError where the image has no such tables, or of another kernel's order."""
    at = image.find(DIGITS)
    while at >= 0:
        tokens = _tokens(image, at)
        if tokens is not None:
            start, words = tokens
            return _decode(image, start, words, name)
        at = image.find(DIGITS, at + 1)
    raise InputError("no table of kallsyms", where=name, wanted="a Linux kernel with CONFIG_KALLSYMS")


def _tokens(image: bytes, digits: int) -> tuple[int, list[str]] | None:
    """Where the token table begins, and its strings; None where the digits stand in something else."""
    for at in range(digits + len(DIGITS) + 7 & ~7, min(digits + LONGEST_TABLE, len(image) - 2 * TOKENS), 8):
        if image[at : at + 2] != b"\0\0":
            continue
        index = struct.unpack_from(f"<{TOKENS}H", image, at)
        start = digits - index[ZERO]
        if index[ZERO + 1] - index[ZERO] == 2 and start > 0 and all(a < b for a, b in zip(index, index[1:], strict=False)) and start + index[-1] < at:
            return start, [image[start + where : image.index(0, start + where)].decode("latin-1") for where in index]
    return None


def _decode(image: bytes, table: int, words: list[str], name: str) -> list[tuple[int, str]]:
    """Going back from the token table: a number with so many names behind it, and markers that agree."""
    lowest = max(table - MOST_NAMES, 16)
    numbers = memoryview(image)[lowest & ~7 : table & ~7].cast("Q")
    for back in range(len(numbers) - 1, -1, -1):
        if LEAST <= numbers[back] <= MOST:
            at = (lowest & ~7) + 8 * back
            names = _names(image, at + 8, numbers[back], table, words)
            if names is not None:
                return _addresses(image, at, names)
    raise InputError("kallsyms in another order", where=name, wanted="that of Linux 4.20 to 6.6")


def _names(image: bytes, at: int, number: int, end: int, words: list[str]) -> list[str] | None:
    """The names from `at` on, None where they are none or the markers behind them do not agree."""
    first, found, markers = at, [], []
    for n in range(number):
        if n % STRIDE == 0:
            markers.append(at - first)
        length = image[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | image[at] << 7
            at += 1
        if not length or at + length > end or words[image[at]][:1] not in TYPES:
            return None
        found.append("".join([words[token] for token in image[at : at + length]])[1:])
        at += length
    at = at + 7 & ~7
    return found if image[at : at + 4 * len(markers)] == struct.pack(f"<{len(markers)}I", *markers) else None


def _addresses(image: bytes, number_at: int, names: list[str]) -> list[tuple[int, str]]:
    base = struct.unpack_from("<Q", image, number_at - 8)[0]
    start = number_at - 8 - (4 * len(names) + 7 & ~7)
    offsets = struct.unpack_from(f"<{len(names)}i", image, start)
    mask = (1 << 64) - 1
    return sorted((base - 1 - offset & mask if offset < 0 else offset, name) for offset, name in zip(offsets, names, strict=True))
