"""The reader of `.regs` tables: registers, banks, indexed spaces, fields, and what is refused; every table that comes with tanken is read."""

from pathlib import Path

import pytest

import tanken.board
from tanken.base.errors import InputError, InternalError
from tanken.notation.regs import parse_registers

TEXT = """
@device thing
@cite a book
0 DATA rw 1 | data |
0 LOW rw 1 bank=latch | low |
1 INDEX w 1 reset=0x10 | index | 7 HIGH, 6:2 NUMBER
    a note
0x10+8*4 PORT r 4 | ports |
@space inner via DATA
3 SECRET rw 1 | behind the index | 0 ON
"""


def test_registers_fields_banks_and_spaces() -> None:
    thing = parse_registers(TEXT, "x.regs")["thing"]
    index = thing["INDEX"]
    assert (index.reset, index.notes, index.cite, index.mask("HIGH", "NUMBER")) == (0x10, ("a note",), "a book", 0xFC)
    assert index.field("NUMBER").of(0x94) == 5 and index.words(0x94) == "HIGH NUMBER=0x5"
    assert (thing.name(0, "r"), thing.name(0, "r", "latch"), thing.name(1, "r"), thing.name(0x1A, "r")) == ("DATA", "LOW", "0x1", "PORT[1]")
    assert thing.name(0x1C, "r") == "0x1c" and thing.name(3, "r", space="inner") == "SECRET"
    with pytest.raises(InternalError, match="no field LOW; wanted HIGH, NUMBER"):
        index.field("LOW")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 X r 1 | |", "x.regs:1: a row before any device"),
        ("@device a\n@device a", "x.regs:2: @device"),
        ("@device a\n0 X q 1 | |", "x.regs:2: row '0 X q 1"),
        ("@device a\n0 X r 1 | | 1:2 F", "x.regs:2: field '1:2 F'; wanted the higher bit first"),
        ("@device a\n0 X r 1 | | F", "x.regs:2: field 'F'"),
        ("@device a\n0+4 X r 1 | |", "x.regs:2: offset 0[+]4"),
        ("@device a\n0 X r 1 | |\n1 X r 1 | |", "x.regs:3: register X again"),
        ("@device a\n0 X r 1 | |\n@space s X", "x.regs:3: @space s X"),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_registers(text, "x.regs")


@pytest.mark.parametrize("path", sorted(Path(tanken.board.__file__).parent.glob("devices/*.regs")), ids=lambda path: path.stem)
def test_tables_that_come_with_tanken(path: Path) -> None:
    (device,) = parse_registers(path.read_text(), path.name).values()
    assert device.device == path.stem and all(register.cite for register in device)
