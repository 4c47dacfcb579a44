"""Records on one line, as JSON, and escaped in HTML; progress drawn by the caller alone.

JSON: RFC 8259.
"""

import io
import json
from dataclasses import dataclass

from tanken.base import progress
from tanken.base.progress import Event
from tanken.base.records import Record


@dataclass(frozen=True, slots=True, repr=False)
class Place(Record):
    HEX = frozenset({"address"})

    address: int
    name: str
    code: bytes = b""
    parts: tuple[int, ...] = ()


def test_repr_is_one_line() -> None:
    assert repr(Place(0x401000, "a\nb", b"\x90" * 20)) == "<Place address=0x401000 name=a b code=" + "90 " * 15 + "90 ... parts=()>"


def test_json_keeps_names_and_values() -> None:
    assert json.loads(Place(1, "探検", b"\xff", (1, 2)).to_json()) == {"address": 1, "name": "探検", "code": "ff", "parts": [1, 2]}
    assert "\n" not in Place(1, "a\nb").to_json()


def test_html_is_escaped() -> None:
    html = Place(1, "<script>&")._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;&amp;" in html


def test_progress_in_three_shapes() -> None:
    events = [Event("x", 0, 2), Event("x", 2, 2, "ready")]
    for make, expected in ((progress.plain_lines, "x: ready\n"), (progress.json_lines, "".join(event.to_json() + "\n" for event in events))):
        stream = io.StringIO()
        for event in events:
            make(stream)(event)
        assert stream.getvalue() == expected
    stream = io.StringIO()
    for event in events:
        progress.bar(stream)(event)
    assert stream.getvalue().count("\n") == 1 and "#" * progress.BAR in stream.getvalue()
