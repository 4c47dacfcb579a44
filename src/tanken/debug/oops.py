"""Reads the `Code:` line of a Linux Oops: finds where instructions begin and marks the one that trapped.

Linux arch/x86 prints bytes around the instruction pointer, the byte it points to in angle brackets (Documentation/admin-guide/bug-hunting).
"""

from __future__ import annotations

import re

from tanken.base.errors import InputError
from tanken.isa import x86
from tanken.isa.x86.inst import Inst

LINE = re.compile(r"Code:\s*((?:Bad RIP value|[0-9a-fA-F<>() ]+))")
PLACE = re.compile(r"[RE]?IP:\s*(?:[0-9a-fA-F]{4}:)?(\S+)")
UNITS = re.compile(r"([<(]?)([0-9a-fA-F]{2})[>)]?")


def parse(report: str, name: str) -> tuple[bytes, int, str]:
    """(bytes, index of the trapping byte, what the RIP line says); raises InputError when there is no Code line."""
    line = LINE.search(report)
    if line is None:
        raise InputError("no line with 'Code:' and bytes", wanted="a Linux Oops", where=name)
    units = UNITS.findall(line.group(1))
    marked = [i for i, (mark, _) in enumerate(units) if mark]
    if not marked:
        raise InputError("no byte in <> on the Code: line", wanted="the trapping byte marked", where=name)
    place = PLACE.search(report)
    return bytes(int(byte, 16) for _, byte in units), marked[0], place.group(1) if place else ""


def aligned(code: bytes, trap: int, mode: int) -> list[Inst]:
    """The instructions of `code`, begun so that one starts at `trap`; the start is the one that gives the fewest invalid instructions."""
    best: tuple[int, int] | None = None
    for start in range(min(15, trap) + 1):
        before = list(x86.disassemble(code[start:trap], start - trap, mode))
        whole = not before or all(inst.fault is None for inst in before)
        score = sum(inst.fault is not None for inst in before) + (0 if whole else 1)
        if best is None or score < best[0]:
            best = score, start
    assert best is not None
    start = best[1]
    return [*x86.disassemble(code[start:trap], start - trap, mode), *x86.disassemble(code[trap:], 0, mode)]
