"""The hexdump against lines written by hand, and against its own bytes.

Layout: `hexdump -C`.
"""

import re

from hypothesis import given
from hypothesis import strategies as st

from tanken.base import hexdump


def test_lines_repeat_once() -> None:
    data = b"\x7fELF" + bytes(12) + bytes(64) + b"end"
    assert list(hexdump.hexdump(data, 0x1000)) == [
        "00001000  7f 45 4c 46 00 00 00 00  00 00 00 00 00 00 00 00  |.ELF............|",
        "00001010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|",
        "*",
        "00001050  65 6e 64                                          |end|",
        "00001053",
    ]


def test_nothing_is_one_line() -> None:
    assert list(hexdump.hexdump(b"")) == ["00000000"]


@given(st.binary(max_size=200), st.integers(0, 4), st.integers(0, 9))
def test_lines_give_back_the_bytes(head: bytes, value: int, repeats: int) -> None:
    data = head + bytes([value]) * 16 * repeats
    assert b"".join(line.data * (line.repeats + 1) for line in hexdump.lines(data)) == data


def test_colour_changes_no_text() -> None:
    data = bytes(range(40))
    plain = [re.sub("\x1b\\[[0-9]*m", "", text) for text in hexdump.hexdump(data, colour=True)]
    assert plain == list(hexdump.hexdump(data))


def test_no_colour_in_a_pipe_or_against_the_wish(monkeypatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert hexdump.colour_wanted(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not hexdump.colour_wanted(Terminal())
