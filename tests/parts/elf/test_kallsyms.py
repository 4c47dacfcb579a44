"""The tables of kallsyms, written here as the kernel's build does, and read back; and what is none.

The tables of a real kernel are read in tests/parts/machine/test_debian.py.
"""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken.base.errors import InputError
from tanken.elf.kallsyms import symbols

WORDS = ["sys_", "__x64_", "init", "_lock"]


def aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def image(entries: list[tuple[int, str]], base: int) -> bytes:
    """Symbols by address; a few tokens of more letters than one, the others themselves."""
    tokens = [chr(code) if 32 <= code < 127 else "" for code in range(256)]
    for number, word in enumerate(WORDS):
        tokens[128 + number] = word
    tokens = [token or f"\x7f{number}" for number, token in enumerate(tokens)]
    names, markers = b"", []
    for number, (_, name) in enumerate(entries):
        if number % 256 == 0:
            markers.append(len(names))
        coded = ("T" + name).encode()
        for at, word in enumerate(WORDS):
            coded = coded.replace(word.encode(), bytes((128 + at,)))
        size = bytes((len(coded),)) if len(coded) < 128 else bytes((len(coded) & 0x7F | 0x80, len(coded) >> 7))
        names += size + coded
    table, index = b"", []
    for token in tokens:
        index.append(len(table))
        table += token.encode() + b"\0"
    offsets = b"".join(struct.pack("<i", base - 1 - address) if address >= base else struct.pack("<i", address) for address, _ in entries)
    parts = [b"\x90" * 64, aligned(offsets), struct.pack("<Q", base), aligned(struct.pack("<I", len(entries))), aligned(names),
             aligned(struct.pack(f"<{len(markers)}I", *markers)), aligned(table), aligned(struct.pack("<256H", *index)), b"\x90" * 64]  # fmt: skip
    return b"".join(parts)


BASE = 0xFFFF_FFFF_8100_0000
NAMES = st.lists(st.text("abcdefgh_0123456789", min_size=1, max_size=150), min_size=100, max_size=600)


@settings(max_examples=30, deadline=None)
@given(NAMES)
def test_what_is_written_is_read(names: list[str]) -> None:
    entries = [(number * 16, name) if number < 10 else (BASE + number * 32, "__x64_sys_" + name) for number, name in enumerate(names)]
    assert symbols(image(entries, BASE)) == entries


def test_what_is_none_is_told() -> None:
    with pytest.raises(InputError, match="x: no table of kallsyms"):
        symbols(b"\0" * 5000, "x")
    whole = image([(BASE + n * 16, f"name{n}") for n in range(300)], BASE)
    with pytest.raises(InputError, match="kallsyms in another order"):
        symbols(whole.replace(b"Tname7", b"\xffname7", 1), "x")
