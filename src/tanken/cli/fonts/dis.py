"""`tanken dis FONT --glyph G`: a glyph's program with offsets, bytes, operands and what each operator does.

`--plain` prints text that `tanken font assemble` turns into the same bytes; `--subr` names a subroutine instead of a glyph.
"""

from __future__ import annotations

import argparse

from tanken.base.errors import UsageError
from tanken.base.hexdump import colour_wanted
from tanken.base.kinds import Thing
from tanken.base.records import json_line
from tanken.cli import fonts


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of fonts."""
    group = parser.add_argument_group("fonts")
    fonts.common(group)
    group.add_argument("--subr", metavar="KIND:N", help="a subroutine instead of a glyph: global:3, local:7, local:2/7 in font DICT 2")


def run(thing: Thing, options: argparse.Namespace) -> int:
    import sys

    from tanken.font.listing import Listing, subroutine_source

    face = fonts.face_of(thing.data, thing.name, options)
    program = face.lazy_program()
    if options.subr is not None:
        kind, number, fd = _subroutine(options.subr, program)
        print(subroutine_source(program, f"{kind} {number}", fd), end="")
        return 0
    gid = fonts.glyph_of(face, options, "dis")
    listing = Listing(program, gid, face.cff.origin)
    if options.plain:
        print(listing.source(), end="")
        return 0
    colour = colour_wanted(sys.stdout)
    full, part, stated = listing.width
    if not options.json:
        how = f"nominal {(full - part) / 65536:g} + {part / 65536:g}" if stated else "the default"
        metrics = face.horizontal(gid)
        print(f"glyph {gid} {face.glyph_name(gid)} of {face.name}: width {full / 65536:g} ({how})" + (f", {metrics.advance} by hmtx" if metrics else ""))
    for body in listing.bodies():
        if options.json:
            for line in body.lines:
                print(json_line({"place": body.name, **dict(line.items())}))
            continue
        name = f"\x1b[36m{body.name}\x1b[0m" if colour else body.name
        print(f"\n{body.offset:#x} <{name}>: {body.size} bytes")
        for line in body.lines:
            _line(line.offset, line.raw, line.text, line.note)
    return 0


def _line(offset: int, raw: bytes, text: str, note: str) -> None:
    pieces = [raw[i : i + 12].hex(" ") for i in range(0, len(raw), 12)] or [""]
    print(f"{offset:>8x}:  {pieces[0]:<36} {text:<44} ; {note}".rstrip(" ;"))
    for piece in pieces[1:]:
        print(f"{'':>8}   {piece}")


def _subroutine(text: str, program: object) -> tuple[str, int, int]:
    from tanken.font.program import Program

    assert isinstance(program, Program)
    kind, _, rest = text.partition(":")
    fd, slash, number = rest.rpartition("/")
    try:
        place, one = int(fd) if slash else 0, int(number)
    except ValueError:
        kind, place, one = "", 0, 0
    if kind not in ("global", "local") or not 0 <= place < len(program.local_base) - 1:
        raise UsageError(f"--subr {text}", wanted="global:N, local:N or local:FD/N")
    count = len(program.global_starts) if kind == "global" else program.local_base[place + 1] - program.local_base[place]
    if not 0 <= one < count:
        raise UsageError(f"no {kind} subroutine {one}", wanted=f"0 to {count - 1}" if count else "a font that has some")
    return kind, one, place
