"""Which bytes of an object are decoded: runs of zeros, ends, and files made to keep the search busy.

The rules were found by experiment with GNU objdump 2.40.
"""

from __future__ import annotations

import time

import pytest

from tanken.debug import listing, oops
from tanken.isa import x86


@pytest.mark.parametrize(
    ("code", "spans"),
    [
        (b"", []),
        (b"\x90", [(0, 1)]),
        (bytes(9) + b"\x90", [(8, 10)]),
        (bytes(8), []),
        (b"\x90" + bytes(2), [(0, 1)]),
        (b"\x90" + bytes(8), [(0, 1)]),
        (b"\x90" + bytes(12) + b"\x90", [(0, 1), (13, 14)]),
        (b"\x48\xb8" + bytes(8) + b"\x90", [(0, 11)]),
        (b"\xc7\x05" + bytes(8) + bytes(8) + b"\xc3", [(0, 10), (18, 19)]),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else "",
)
def test_zeros_left_out(code: bytes, spans: list[tuple[int, int]]) -> None:
    covered = [at for start, end in spans for at in range(start, end)]
    assert [at for inst in listing.instructions(code, 0, 64) for at in range(inst.address, inst.address + inst.length)] == covered
    lines = b"".join(x86.text_lines(code, skip=True)).splitlines()
    assert [int(line.split(b":")[0], 16) for line in lines] == [inst.address for inst in listing.instructions(code, 0, 64)]


def test_zeros_inside_instructions_cost_linear_time() -> None:
    code = (b"\x48\xb8" + bytes(8)) * 2000 + b"\xc3"
    begin = time.process_time()
    assert sum(inst.length for inst in listing.instructions(code, 0, 64)) == len(code)
    assert time.process_time() - begin < 10


def test_oops_begins_an_instruction_at_the_trap() -> None:
    code, trap, place = oops.parse("RIP: 0010:f+0x1/0x2\nCode: 00 48 89 e5 <0f> 0b\n", "text")
    assert (trap, place) == (4, "f+0x1/0x2")
    assert [inst.address for inst in oops.aligned(code, trap, 64)][-1] == 0
