"""Text of charstrings and back: every byte comes back, whatever the bytes are; what is no text is refused with its line.

Adobe Technical Note 5177, section 3.2; forms of numbers that are longer than they need be are kept.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tanken.base.errors import InputError
from tanken.isa.charstring import decode, text


@given(st.binary(max_size=200), st.integers(0, 96), st.booleans())
def test_bytes_to_text_to_bytes(code: bytes, hints: int, cff2: bool) -> None:
    assert text.assemble(text.source(decode.tokens(code, hints=hints, cff2=cff2))) == code


@given(st.integers(-32768, 32767))
def test_shortest_numbers(value: int) -> None:
    code = text.assemble(str(value))
    assert decode.number_at(code, 0, len(code)) == (value << 16, len(code))
    assert len(code) == (1 if -107 <= value <= 107 else 2 if -1131 <= value <= 1131 else 3)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("100", "ef"), ("100:28", "1c0064"), ("100:255", "ff00640000"), ("0.5", "ff00008000"), ("-1131", "feff"), ("1131", "faff"), ("hintmask #e0", "13e0"),
        ("flex ; a comment", "0c23"), ("op:0c07 op:02", "0c0702"), ("bytes:f7", "f7"), ("1 blend", "8c10"), ("-0.0000152587890625", "ffffffffff"),
    ],
)  # fmt: skip
def test_words(source: str, code: str) -> None:
    assert text.assemble(source).hex() == code


@pytest.mark.parametrize("source", ["rlinetto", "1e5", "40000", "#zz", "op:1", "bytes:xx", "1:29", "--1"])
def test_what_is_refused(source: str) -> None:
    with pytest.raises(InputError, match="a.txt:2"):
        text.assemble("endchar\n" + source, "a.txt")
