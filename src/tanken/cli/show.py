"""`tanken show`: a thing's bytes as values; fonts, ELF files, rows of the x86 map and decoded instructions in words, every other thing as a hexdump.

`x86:NAME` prints the rows of a mnemonic, `x86:HEX` decodes bytes (`x86:0xfadd` where the digits spell a name too).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tanken.base import hexdump, kinds
from tanken.base.errors import UsageError
from tanken.base.records import json_line
from tanken.cli import capture
from tanken.cli.fonts import show as font

if TYPE_CHECKING:
    from tanken.isa.x86.explain import RowText

HEX = re.compile(r"(0x)?((?:[0-9a-fA-F]{2}[\s:]*)+)")


def number(text: str) -> int:
    """A count or an offset, decimal or 0x."""
    return int(text, 0)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thing", metavar="THING", help="a file, - for the standard input, x86:MNEMONIC, x86:HEX or telnet:NAME")
    parser.add_argument("--as", dest="kind", metavar="KIND", help=f"take it as one of: {', '.join(kinds.KINDS)}")
    parser.add_argument("--offset", type=number, default=0, metavar="N", help="first byte of a hexdump; with it, or --length, an ELF file is dumped too")
    parser.add_argument("--length", type=number, metavar="N", help="bytes of a hexdump (default: all)")
    parser.add_argument("--mode", type=int, choices=(16, 32, 64), default=64, help="processor mode of x86:HEX")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--log", metavar="DB", help="of a disc: compare its Media ID with what measure --log wrote")
    font.arguments(parser)
    capture.arguments(parser)


def run(options: argparse.Namespace) -> int:
    thing = kinds.recognise(options.thing, options.kind)
    if thing.kind.name == "font":
        return font.run(thing, options)
    if thing.kind.name == "capture":
        return capture.show(thing, options)
    if thing.kind.name == "telnet-code":
        return capture.show_codes(thing.name.partition(":")[2], options.json)
    if (thing.kind.owner == "disc" or thing.name.endswith((".adip", ".lpp", ".atip", ".iso", ".cue", ".ccd"))) and options.length is None and not options.offset:
        from tanken.cli import disc_show

        return disc_show.show(thing.name, options.log, options.json)
    if thing.kind is kinds.ROW:
        lines = _x86(thing.query, options.mode, options.json)
    elif thing.kind.name == "elf" and options.offset == 0 and options.length is None:
        lines = _elf(thing.data, thing.name, options.json)
    elif thing.kind is kinds.DIRECTORY:
        raise UsageError("a directory has no bytes to show", where=thing.name, wanted="a file")
    else:
        lines = _dump(thing.data, options)
    for line in lines:
        print(line)
    return 0


def _dump(data: bytes, options: argparse.Namespace) -> Iterator[str]:
    if not 0 <= options.offset <= len(data) or (options.length is not None and options.length < 0):
        raise UsageError(f"offset {options.offset:#x}", wanted=f"0 to {len(data):#x}, and a length of 0 or more", where=options.thing)
    end = len(data) if options.length is None else options.offset + options.length
    piece = memoryview(data)[options.offset : end]
    if options.json:
        return (line.to_json() for line in hexdump.lines(piece, options.offset))
    return hexdump.hexdump(piece, options.offset, hexdump.colour_wanted(sys.stdout))


def _elf(data: bytes, name: str, json: bool) -> Iterator[str]:
    from tanken import elf
    from tanken.elf.description import describe

    found = elf.read(data, name)
    if not json:
        return iter(list(describe(found)))  # all of it, or the error alone
    record = {"name": name, "bits": found.bits, "machine": found.machine_name, "type": found.type, "entry": found.entry}
    tables = {"segment": found.segments, "section": found.sections, "note": found.notes, "symbol": (*found.symbols, *found.dynamic_symbols)}
    lines = [json_line(record)]
    for kind, rows in tables.items():
        lines += [json_line({"kind": kind, **{field: getattr(row, field) for field in row.__slots__}}) for row in rows]  # type: ignore[attr-defined]
    return iter([*lines, *(json_line({"kind": "dynamic", "tag": tag, "value": value}) for tag, value in found.dynamic)])


def _x86(query: str, mode: int, json: bool) -> Iterator[str]:
    from tanken.isa.x86 import rows
    from tanken.isa.x86.explain import rows_named

    match = HEX.fullmatch(query)
    if match and (match[1] or not rows.find_rows(query)):
        yield from _bytes(bytes.fromhex(re.sub(r"[\s:]", "", match[2])), mode, json)
        return
    for count, row in enumerate(rows_named(query)):
        if json:
            yield row.to_json()
        else:
            yield from ["", *_row(row)] if count else _row(row)


def _bytes(code: bytes, mode: int, json: bool) -> Iterator[str]:
    from tanken.isa.x86 import disassemble
    from tanken.isa.x86.explain import explain

    for inst in disassemble(code, 0, mode):
        row = explain(inst.row) if inst.row else None
        if json:
            yield json_line({"address": inst.address, "bytes": inst.code, "intel": inst.text(), "att": inst.text("att"), "fault": inst.fault, "row": row})
            continue
        yield f"{inst.address:#x}: {inst.code.hex(' ')}"
        yield f"  intel     {inst.text()}"
        yield f"  att       {inst.text('att')}"
        if inst.fault:
            yield f"  fault     {inst.fault}"
        if row:
            yield from (f"  {line}" for line in _row(row))


def _row(row: RowText) -> Iterator[str]:
    name = row.mnemonic if row.att == row.mnemonic else f"{row.mnemonic} (AT&T {row.att})"
    yield f"{name}  {row.encoding}"
    yield f"  row       {row.row}"
    yield f"  at        {row.where}"
    for label, texts in (("when", row.when), ("operand", row.operands), ("implicit", row.implicit), ("flags", row.flags),
                         ("also", row.attributes), ("feature", (row.feature,)), ("note", row.notes), ("cite", (row.cite,))):  # fmt: skip
        for text in texts:
            if text:
                yield f"  {label:<9} {text}"
