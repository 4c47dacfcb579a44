"""Bytes as people read them: offset, sixteen bytes in hexadecimal, the same in ASCII, and `*` where lines repeat.

The layout is that of `hexdump -C`; colour only on a terminal and never against NO_COLOR (no-color.org).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, TextIO

from tanken.base.records import Record

WIDTH = 16
DIM, GREEN, YELLOW, PLAIN = "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[0m"


@dataclass(frozen=True, slots=True, repr=False)
class Line(Record):
    """Up to sixteen bytes at an offset; `repeats` counts the equal lines that follow and are not shown."""

    HEX: ClassVar[frozenset[str]] = frozenset({"offset"})

    offset: int
    data: bytes
    repeats: int = 0

    @property
    def text(self) -> str:
        """The bytes as ASCII, a dot for what cannot be printed."""
        return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in self.data)


def lines(data: bytes | bytearray | memoryview, at: int = 0) -> Iterator[Line]:
    """The lines of `data`, whose first byte stands at offset `at`; equal ones are folded into the first, the last always stands."""
    view = memoryview(data)
    pos = 0
    while pos < len(view):
        piece = bytes(view[pos : pos + WIDTH])
        end = pos + WIDTH
        while end + WIDTH < len(view) and view[end : end + WIDTH] == piece:
            end += WIDTH
        yield Line(at + pos, piece, (end - pos) // WIDTH - 1)
        pos = end


def colour_wanted(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose user has not set NO_COLOR."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def _colour(byte: int) -> str:
    if byte == 0:
        return DIM
    return GREEN if 32 <= byte < 127 else YELLOW


def render(line: Line, colour: bool = False) -> Iterator[str]:
    """The text of a line, and a `*` for those it stands for."""
    cells = [f"{byte:02x}" for byte in line.data] + ["  "] * (WIDTH - len(line.data))
    text = list(line.text)
    if colour:
        for i, byte in enumerate(line.data):
            cells[i] = f"{_colour(byte)}{cells[i]}{PLAIN}"
            text[i] = f"{_colour(byte)}{text[i]}{PLAIN}"
    yield f"{line.offset:08x}  {' '.join(cells[:8])}  {' '.join(cells[8:])}  |{''.join(text)}|"
    if line.repeats:
        yield "*"


def hexdump(data: bytes | bytearray | memoryview, at: int = 0, colour: bool = False) -> Iterator[str]:
    """The lines of text of a whole dump; the last is the offset behind the last byte."""
    for line in lines(data, at):
        yield from render(line, colour)
    yield f"{at + len(data):08x}"
