"""The loader on foreign bytes: an image or one clear error, whatever stands in the headers, and no more memory than the file asks for."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tanken.base.errors import TankenError
from tanken.engine.memory import EXEC, READ, AddressSpace
from tanken.vkernel.loader import Image, load

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
CODE = bytes.fromhex("b83c00000031ff0f05")  # exit(0)


def program(kind: int = 2, base: int = 0x400000, segments: list[tuple[int, ...]] | None = None, content: bytes = CODE) -> bytes:
    """An ELF program with these segments: type, flags, offset, address, size in the file, size in memory."""
    segments = segments if segments is not None else [(1, 5, 0, base, 4096, 4096)]
    header = HEADER.pack(b"\x7fELF\2\1\1".ljust(16, b"\0"), kind, 62, 1, base + 0x800, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
    table = b"".join(SEGMENT.pack(kind, flags, offset, address, address, size, room, 4096) for kind, flags, offset, address, size, room in segments)
    return (header + table).ljust(0x800, b"\0") + content.ljust(0x1800, b"\x90")


def loaded(path: Path, data: bytes) -> Image:
    path.write_bytes(data)
    return load(str(path), [b"program", b"one"], [b"A=1"])


def test_plain(tmp_path: Path) -> None:
    image = loaded(tmp_path / "a", program())
    assert image.entry == 0x400800
    assert image.memory.read(image.entry, len(CODE), EXEC) == CODE
    assert image.stack % 16 == 0
    count, first = struct.unpack("<QQ", image.memory.read(image.stack, 16))
    assert (count, image.memory.text(first)) == (2, b"program")


def test_zeros_behind_the_file(tmp_path: Path) -> None:
    image = loaded(tmp_path / "a", program(segments=[(1, 5, 0, 0x400000, 4096, 4096), (1, 6, 4096, 0x500000, 16, 3 * 4096)]))
    assert image.memory.read(0x500010, 8192, READ) == bytes(8192)
    assert image.end == 0x503000


def auxiliary(image: Image) -> dict[int, int]:
    at, words = image.stack, []
    while at < image.memory.top:
        words.append(image.memory.load(at, 8))
        at += 8
    rest = words[1 + words[0] + 1 :]
    rest = rest[rest.index(0) + 1 :]
    return dict(zip(rest[::2], rest[1::2], strict=False))


def test_dynamic_linker(tmp_path: Path) -> None:
    """PT_INTERP: the linker runs first, and is told where the program begins and where it is itself."""
    (tmp_path / "linker").write_bytes(program(kind=3, base=0))
    name = str(tmp_path / "linker").encode() + b"\0"
    data = program(kind=3, base=0, segments=[(3, 4, 0x1000, 0x1000, len(name), len(name)), (1, 5, 0, 0, 0x2000, 0x2000)])
    data = data[:0x1000] + name.ljust(0x1000, b"\0")
    image = loaded(tmp_path / "a", data)
    words = auxiliary(image)
    assert image.entry == words[7] + 0x800 and words[7] != 0
    assert words[9] & 0xFFF == 0x800 and words[9] != image.entry
    assert words[3] == words[9] - 0x800 + 64 and (words[4], words[5]) == (56, 2)


@pytest.mark.parametrize("linker", [None, b"", b"#!/bin/sh\n", b"\x7fELF"])
def test_bad_linker(linker: bytes | None, tmp_path: Path) -> None:
    if linker is not None:
        (tmp_path / "linker").write_bytes(linker)
    name = str(tmp_path / "linker").encode() + b"\0"
    data = program(segments=[(3, 4, 0x1000, 0x1000, len(name), len(name)), (1, 5, 0, 0x400000, 0x1000, 0x1000)])
    with pytest.raises(TankenError, match="linker"):
        loaded(tmp_path / "a", data[:0x1000] + name.ljust(0x800, b"\0"))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_headers(data: st.DataObject, tmp_path: Path) -> None:
    """Any bytes in place of some of the headers'."""
    image = bytearray(program(kind=data.draw(st.sampled_from((2, 3)))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 64 + 56 - 1))
        piece = data.draw(st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\xff" * 4, b"\0\x80"])))
        image[at : at + len(piece)] = piece
    del image[data.draw(st.sampled_from((0x1800, 0x2000, 100, 64, 20))) :]
    try:
        got = loaded(tmp_path / "a", bytes(image))
    except TankenError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(got.memory, AddressSpace)
        assert len(got.memory.touched()) < 100


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from((1, 1, 1, 3, 7)), st.integers(0, 7), st.integers(0, 0x3000),
            st.one_of(st.integers(0, 1 << 64 - 1), st.integers(0x400000, 0x410000)), st.integers(0, 0x3000), st.one_of(st.integers(0, 1 << 64 - 1), st.integers(0, 0x5000)),
        ),
        max_size=5,
    )
)  # fmt: skip
def test_hostile_segments(tmp_path: Path, segments: list[tuple[int, ...]]) -> None:
    """Overlapping, endless, upside down."""
    try:
        got = loaded(tmp_path / "a", program(segments=segments))
    except TankenError as error:
        assert "\n" not in str(error)
    else:
        assert len(got.memory.touched()) < 100
