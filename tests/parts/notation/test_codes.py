"""The reader of `.codes` tables: rows, notes, settings, look-ups, and errors with file and line.

The format stands in the head comment of `telnet/options.codes`.
"""

import pytest

from tanken.base.errors import InputError, UsageError
from tanken.notation.codes import parse_codes
from tanken.telnet.codes import OPTIONS, TABLE

TEXT = "# head\n@codes colour\n@cite Book 1\n1 RED | warm | wave=700 warm\n  a note\n  another\n0x02 BLUE-GREEN\n@codes shape\n1 ROUND | |\n"


def test_rows() -> None:
    tables = parse_codes(TEXT, "t.codes")
    red = tables["colour"].by_number[1]
    assert (red.name, red.title, dict(red.attributes), red.cite, red.line) == ("RED", "warm", {"wave": "700", "warm": ""}, "Book 1", 4)
    assert red.notes == ("a note", "another") and tables["shape"].by_number[1].cite == ""
    assert [row.name for row in tables["colour"]] == ["RED", "BLUE-GREEN"] and 2 in tables["colour"] and 9 not in tables["colour"]


def test_look_ups() -> None:
    colour = parse_codes(TEXT, "t.codes")["colour"]
    assert colour.name(1) == "RED" and colour.name(7) == "7" and colour.number("blue_green") == 2 and colour.number("7") == 7
    with pytest.raises(UsageError, match="did you mean RED"):
        colour.number("redd")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 A\n", "t.codes:1: row '1 A'; wanted @codes before the first row"),
        ("@codes x\n1 A\n1 B\n", "t.codes:3: 1 B again"),
        ("@codes x\n1 A\n2 A\n", "t.codes:3: 2 A again"),
        ("@codes x\nA 1\n", "t.codes:2: 'A'; wanted a number"),
        ("@codes x\n1 A | b | c | d\n", "t.codes:2: row"),
        ("@codes x\n1 A | b | c=1 c=2\n", "t.codes:2: attribute c twice"),
        ("@code x\n", "t.codes:1: @code; wanted @codes or @cite"),
        ("  note\n", "t.codes:1: a note before any row"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_codes(text, "t.codes")
    assert str(caught.value).startswith(message)


def test_the_table_of_telnet() -> None:
    """Every option that IANA lists has a name; every section that an option names exists."""
    assert set(range(50)) | {138, 139, 140, 255} <= set(OPTIONS.by_number)
    assert {row.attributes["sub"] for row in OPTIONS if "sub" in row.attributes} <= set(TABLE)
