"""Collects the `trap:` notes of the opcode map: look-alikes and changes of length, each with bytes that pin it.

`python -m tanken.isa.x86.traps docs/traps.md` writes the page; the recorded texts stand in tests/vectors/x86-traps.txt.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tanken.isa.x86 import rows
from tanken.isa.x86.inst import decode
from tanken.notation.map import MapRow


def traps() -> Iterator[tuple[MapRow, bytes, str]]:
    """Row, bytes and wording of every trap, in the order of the map."""
    for form in rows.forms():
        for note in form.row.notes:
            if note.startswith("trap: "):
                code, _, text = note[6:].partition(" ")
                yield form.row, bytes.fromhex(code), text


def page() -> str:
    """The page of all traps."""
    lines = ["# Traps of x86 encodings", "", "Bytes that look like others, or whose length depends on who reads them."]
    lines += ["Written by `python -m tanken.isa.x86.traps` from the `trap:` notes of `opcodes.map`; texts in 64-bit mode, Intel syntax."]
    lines += ["", "| map, opcode | bytes | text | trap |", "| --- | --- | --- | --- |"]
    for row, code, text in traps():
        where = " ".join((row.section, row.opcode, *row.selectors))
        lines.append(f"| {where} | `{code.hex(' ')}` | `{decode(code).text()}` | {text} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Writes the page to the file named, to standard output without one."""
    if arguments:
        Path(arguments[0]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
