"""The verbs on fonts: `show`, `dis`, `run` and `check` hand over here when their thing is a font.

Options that only fonts have are declared here too; docs/font.md describes them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tanken.base.errors import InputError, UsageError

if TYPE_CHECKING:
    from tanken.font.face import Face


def common(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """The options of all verbs on fonts."""
    group.add_argument("--glyph", metavar="G", help="a name, a character, gid:N, cid:N, U+XXXX or U+XXXX/U+FE00")
    group.add_argument("--face", type=int, default=0, metavar="N", help="face of a collection (default 0)")
    group.add_argument("--instance", metavar="AXIS=N,...", help="place of a variable font, such as wght=700")


def face_of(data: bytes, name: str, options: argparse.Namespace) -> Face:
    """The face that the options name, at the instance they name."""
    from tanken.font import variation
    from tanken.font.face import FontFile

    face = FontFile(data, name).face(options.face)
    if options.instance:
        face.at(variation.parse_place(options.instance, face.axes))
    return face


def glyph_of(face: Face, options: argparse.Namespace, verb: str) -> int:
    """The glyph that --glyph names."""
    if options.glyph is None:
        raise UsageError(f"{verb} of a font without --glyph", wanted="--glyph A, --glyph gid:34 or --glyph U+4E9C", where=face.name)
    return face.glyph(options.glyph)


def write(path: str, data: bytes) -> None:
    """Writes a file whole or not at all; "-" is the standard output."""
    if path == "-":
        sys.stdout.buffer.write(data)
        return
    part = Path(path + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(error.strerror or str(error), where=path, wanted="a file that can be written") from error
