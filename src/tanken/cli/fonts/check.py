"""`tanken check FONT` and `tanken check FILE.pdf`: findings as text, JSON lines or SARIF, the verdict of each engine, the bounds.

Statuses: 0 nothing above a note, 3 warnings, 4 errors; 1 and 2 are those of every verb.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tanken.base import progress
from tanken.base.errors import InputError, TankenError, UsageError
from tanken.base.kinds import Thing
from tanken.base.records import json_line

if TYPE_CHECKING:
    from tanken.font.check import Report

STATUS = {"": 0, "note": 0, "warning": 3, "error": 4}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of fonts."""
    group = parser.add_argument_group("fonts")
    group.add_argument("--sarif", action="store_true", help="one SARIF 2.1.0 document")
    group.add_argument("--face", type=int, metavar="N", help="only this face of a collection")
    group.add_argument("--subroutines", action="store_true", help="what each subroutine needs and does, too")
    group.add_argument("--glyph", metavar="G", help="the bound of one glyph")


def run(thing: Thing, options: argparse.Namespace) -> int:
    """Checks a font, or the fonts of a PDF."""
    if thing.kind.name == "pdf":
        return run_pdf(thing, options)
    if options.glyph is not None or options.subroutines:
        return _bounds(thing, options)
    return _told(_checked(thing.data, thing.name, options), options)


def _checked(data: bytes, name: str, options: argparse.Namespace) -> list[Report]:
    from tanken.font import check

    return check.check(data, name, options.face, progress.to(sys.stderr) if sys.stderr.isatty() else progress.silent)


def run_pdf(thing: Thing, options: argparse.Namespace) -> int:
    """Checks the fonts that a PDF embeds."""
    from tanken.font import pdf
    from tanken.font.check import Report
    from tanken.font.problems import ERROR, Problem

    if options.glyph is not None or options.subroutines or options.face is not None:
        raise UsageError("--glyph, --subroutines and --face of a PDF", wanted="a font", where=thing.name)
    reports: list[Report] = []
    found = pdf.fonts(thing.data, thing.name)
    for font in found.cff:
        name = f"{thing.name}#object {font.number} ({font.subtype})"
        try:
            if font.problem:
                raise InputError(font.problem)
            reports += _checked(font.data, name, options)
        except TankenError as error:
            reports.append(Report(name, [Problem("unreadable", ERROR, str(error), font.offset)]))
    if options.json:
        print(json_line({"pdf": thing.name, "cff_fonts": len(found.cff), "others": found.others, "unread": found.unread}))
    elif not options.sarif:
        print(f"{thing.name}: {len(found.cff) or 'no'} embedded CFF font{'s' if len(found.cff) != 1 else ''}")
        for line in found.lines():
            print(f"  {line}")
    return _told(reports, options)


def _told(reports: list[Report], options: argparse.Namespace) -> int:
    if options.sarif:
        from tanken.font import sarif

        print(sarif.document(reports))
    for report in reports if not options.sarif else []:
        for line in _json(report) if options.json else _text(report):
            print(line)
    return max((STATUS[report.level] for report in reports), default=0)


def _json(report: Report) -> list[str]:
    lines = [json_line({"font": report.name, **dict(problem.items())}) for problem in report.problems]
    summary = {"font": report.name, "level": report.level, "bounds": report.bounds, "verdicts": report.verdicts, "in_pdf": report.in_pdf}
    return [*lines, json_line(summary)]


def _text(report: Report) -> list[str]:
    lines = [report.name, *(f"  {line}" for problem in report.problems for line in problem.line().split("\n"))]
    if report.bounds:
        lines.append("  bounds, proved: " + ", ".join(f"{value} {name}" for name, value in report.bounds.items()))
    for verdict in report.verdicts:
        first = ": " + (f"glyph {verdict.first}, " if verdict.first >= 0 else "") + verdict.reason if verdict.verdict != "accepted" else ""
        counts = f"{verdict.safe} safe" + (f", {verdict.refused} refused" if verdict.refused else "") + (f", {verdict.unknown} unknown" if verdict.unknown else "")
        lines.append(f"  {verdict.profile:<14} {verdict.verdict:<9} {counts}{first}")
    if report.in_pdf:
        lines += ["  a PDF that embeds only the CFF:", *(f"    {line}" for line in report.in_pdf)]
    counts = ", ".join(f"{sum(problem.level == level for problem in report.problems)} {level}s" for level in ("error", "warning", "note"))
    return [*lines, f"  {counts}"]


def _bounds(thing: Thing, options: argparse.Namespace) -> int:
    from tanken.font.face import FontFile
    from tanken.font.limits import SPECIFICATION, for_format
    from tanken.font.verifier import Proof

    face = FontFile(thing.data, thing.name).face(options.face or 0)
    proof = Proof(face.program())
    if options.glyph is not None:
        bound = proof.bound(face.glyph(options.glyph), for_format(SPECIFICATION, face.cff.is_cff2))
        if options.json:
            print(bound.to_json())
        else:
            print(f"glyph {bound.glyph} {face.glyph_name(bound.glyph)}: {bound.verdict}{': ' + bound.reason if bound.reason else ''}")
            print(f"  at most {bound.stack} on the stack, {bound.nesting} nested calls, {bound.hints} hints, {bound.steps} operators, {bound.points} points")
        if not options.subroutines:
            return 0 if bound.verdict == "safe" else 4
    for one in proof.subroutines() if options.subroutines else ():
        if options.json:
            print(one.to_json())
            continue
        effect = f"leaves {one.net:+d}" if one.net is not None else one.ends
        print(f"{one.kind} {one.number} (FD {one.fd}): needs {one.needs}, goes {one.above} above, {effect}; {one.nesting} nested calls, {one.steps} operators before that")
    return 0
