"""The reader of `.layout` files: fields, arrays, both byte orders, and what is refused.

The notation stands in `notation.layout`.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tanken.base.errors import InputError
from tanken.notation.layout import parse_layout

TEXT = """
@cite a book
@struct head
version  fixed   16.16
flags    u16[2]
name     tag
rest     bytes[3]
small    i8
@order little
@struct tail
size     u24
when     i64
"""


def test_fields_and_values() -> None:
    layouts = parse_layout(TEXT, "x.layout")
    head = layouts["head"]
    assert head.size == 16 and head.cite == "a book" and head.fields[0].note == "16.16"
    assert head.unpack(bytes.fromhex("00018000 0001 0002 41424344 010203 ff")) == {
        "version": 1.5, "flags": (1, 2), "name": "ABCD", "rest": b"\1\2\3", "small": -1,
    }  # fmt: skip
    assert layouts["tail"].unpack(b"\1\0\0" + b"\xff" * 8) == {"size": 1, "when": -1}


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, (1 << 24) - 1))
def test_packing_and_back(when: int, size: int) -> None:
    tail = parse_layout(TEXT, "x")["tail"]
    values = {"size": size, "when": when}
    assert tail.unpack(tail.pack(values)) == values


def test_what_is_refused() -> None:
    head = parse_layout(TEXT, "x.layout")["head"]
    with pytest.raises(InputError, match="wanted 16"):
        head.unpack(bytes(15))
    with pytest.raises(InputError, match="head.small"):
        head.pack({"small": 300})
    for line in ("@struct head\n@struct head", "a u16", "@struct a\nb u17", "@struct a\nb u8[x]", "@order middle", "@struct a\nb bytes"):
        with pytest.raises(InputError, match="x.layout:"):
            parse_layout(line, "x.layout")
