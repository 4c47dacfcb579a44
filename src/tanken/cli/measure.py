"""`tanken measure`: the errors of a disc, block by block or second by second, added up, judged, drawn; `tanken measure ways`: three ways to run a guest.

Counts and limits: `tanken.disc.measure`, `tanken.disc.summary`; docs/disc.md explains them.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tanken.base import progress
from tanken.base.errors import InputError, UsageError
from tanken.base.interrupt import held
from tanken.base.records import json_line
from tanken.cli import measure_ways

if TYPE_CHECKING:
    from tanken.disc.measure import Line, Measurement
    from tanken.disc.summary import Summary

SAVE = 4096  # lines between two saves of the state


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE|LOG|ways", nargs="?", help="raw DVD or CD frames, run lengths, an ISO, a scan log, - for the standard input")
    parser.add_argument("--json", action="store_true", help="one object an ECC block or second, then the summary")
    parser.add_argument("--csv", metavar="FILE", help="the lines as CSV (- for the standard output)")
    parser.add_argument("--map", metavar="FILE", help="the polar map of the disc, .png or .svg")
    parser.add_argument("--plot", metavar="FILE", help="errors over the radius, .svg (- for text)")
    parser.add_argument("--type", metavar="TYPE", help="dvd-rom, dvd-r, dvd-rw, dvd+r, dvd+rw or cd: whose limits hold")
    parser.add_argument("--format", metavar="NAME", help="take the input as dvd2366, dvd2384, dvd2064, cd2352, cd2448, efm, dvdt or iso")
    parser.add_argument("--layers", type=int, choices=(1, 2), help="layers of the DVD (default: what the sectors' IDs tell; a dump of one layer of two cannot)")
    parser.add_argument("--state", metavar="FILE", help="keep the state there, and go on from it if a measurement was interrupted")
    parser.add_argument("--log", metavar="DB", help="write the summary into this SQLite file")
    parser.add_argument("--disc", metavar="NAME", help="the disc's name in the log (default: the file's)")
    parser.add_argument("--media", metavar="ID", help="its Media ID, for the log")
    parser.add_argument("--date", metavar="YYYY-MM-DD", help="when it was measured (default: today)")
    parser.add_argument("--history", metavar="DB", help="show what the SQLite file knows: trends, and which discs to copy first")
    measure_ways.arguments(parser)


def run(options: argparse.Namespace) -> int:
    if options.history:
        from tanken.cli import disc_history

        return disc_history.show(options.history, options.disc, options.json)
    if options.image == "ways" and not os.path.exists("ways"):
        return measure_ways.run(options)
    if options.rounds is not None or options.work is not None:
        raise UsageError("--rounds and --work without ways", wanted="tanken measure ways")
    if not options.image:
        raise UsageError("no IMAGE", wanted="an image, a log, or --history DB", hint="tanken measure --help")
    for path, endings in ((options.map, (".png", ".svg")), (options.plot, (".svg", "-"))):
        if path and not path.endswith(endings):
            raise UsageError(f"file {path!r}", wanted=" or ".join(endings))
    from tanken.disc import classify, logs
    from tanken.disc.summary import judge_damage, limits, summarise

    if options.type:
        limits(options.type)
    made = logs.read(options.image) if options.format is None else None
    made = made or _measure(options)
    lines: Iterable[Line] = made.lines
    found = summarise(made, options.type)
    judged = classify.classify(made)
    if judged:
        judge_damage(found, judged.kind, judged.confidence, judged.also)
        found.speed_steps = judged.steps
        if judged.kind != "clean" and classify.unsure(made):
            found.notes.append(classify.unsure(made))
    elif made.lines and made.form != "iso":
        found.notes.append(classify.silent(made))
        found.speed_steps = classify.speed_steps(made)
    if options.csv:
        _write(options.csv, _csv(lines))
    _draw(options, made, found)
    if options.log:
        from tanken.disc import history, media

        identities = media.beside(options.image) if options.image != "-" else []
        identity = options.media or (identities[0].media if identities else "")
        mark = identities[0].fingerprint if identities else None
        history.record(options.log, options.disc or Path(options.image).name, identity, options.date, found, mark)
    if options.json:
        if made.log:
            for line in lines:
                print(line.to_json())
        print(json_line({"summary": found}))
    elif options.csv != "-":
        for text in table(found):
            print(text)
    return 0


def _measure(options: argparse.Namespace) -> Measurement:
    from tanken.disc import inputs, measure

    source = inputs.read(options.image, options.format)
    state = Path(options.state) if options.state else None
    made = measure.begin(source, options.layers)
    if state is not None and state.exists():
        made = measure.Measurement.restore(state.read_text(), str(state))
        if made.form != source.form.name or made.source != source.name:
            raise UsageError(f"the state is of {made.source} ({made.form})", wanted=f"{source.name} ({source.form.name})", where=str(state))
        for line in made.lines:
            _tell(line, options.json)
    tell = progress.to(sys.stderr) if sys.stderr.isatty() else progress.silent
    with held() as stop:
        try:
            for count, line in enumerate(measure.run(source, made, tell), 1):
                _tell(line, options.json)
                if state is not None and count % SAVE == 0:
                    save(state, made)
                stop()
        finally:
            if state is not None:
                save(state, made)
    return made


def _tell(line: Line, json: bool) -> None:
    if json:
        print(line.to_json())


def save(path: Path, made: Measurement) -> None:
    """Writes the state, whole or not at all. Raises InputError where that is impossible."""
    new = path.with_name(path.name + ".new")
    try:
        new.write_text(json_line(made.state()))
        os.replace(new, path)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=str(path), wanted="a file that can be written") from error


def _write(path: str, content: str | bytes) -> None:
    if path == "-":
        print(content if isinstance(content, str) else content.decode(), end="")
        return
    try:
        Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=path, wanted="a file that can be written") from error


def _csv(lines: Iterable[Line]) -> str:
    rows: list[dict[str, Any]] = []
    for line in lines:
        row: dict[str, Any] = {}
        for name, value in line.items():
            row.update(value if isinstance(value, dict) else {name: "" if value is None else value})
        rows.append(row)
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("c1", "c2")))
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _draw(options: argparse.Namespace, made: Measurement, found: Summary) -> None:
    if not options.map and not options.plot:
        return
    from tanken.view import disc

    title = f"{Path(made.source).name}: {found.type}{f', {found.damage}' if found.damage else ''}"
    grids = [made.grid, made.upper][: made.layers]
    if options.map:
        _write(options.map, disc.map_svg(grids, title) if options.map.endswith(".svg") else disc.map_png(grids))
    if options.plot == "-":
        print("\n".join(disc.plot_text(grids)))
    elif options.plot:
        _write(options.plot, disc.plot_svg(grids, title))


def _number(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {count:,}" for name, count in value.items())
    return f"{value:,}" if isinstance(value, int | float) else str(value)


LABELS = (
    ("blocks", "ECC blocks"), ("seconds", "seconds"), ("pi_total", "PI errors"), ("pi_max", "  most in a block"), ("pi_sum8_max", "  most in 8 blocks"),
    ("pi_sum8_mean", "  mean of 8 blocks"), ("pif_total", "PI failures"), ("pif_max", "  most in a block"), ("po_total", "PO: columns corrected"),
    ("pof_total", "PO failures"), ("c1", "C1"), ("c2", "C2"), ("bler_mean", "BLER, mean"), ("bler_max", "BLER, worst 10 s"), ("c2_pointers", "C2 pointers"),
    ("q_bad", "Q checks failed"), ("edc_bad", "EDC failed, sectors"), ("by_layer", "PI errors by layer"), ("longest_burst", "longest burst, bytes"), ("bursts", "bursts by bytes"),
)  # fmt: skip


def table(found: Summary) -> Iterable[str]:
    """The summary as lines of text."""
    yield f"{found.source}: {found.form}, limits of {found.type}{', two layers' if found.layers > 1 else ''}"
    for name, label in LABELS:
        value = getattr(found, name)
        if value is not None:
            yield f"  {label:<22} {_number(value)}"
    yield f"  verdict                {found.verdict}"
    if found.beside:
        yield f"  beside it              {found.beside}"
    if found.damage:
        also = "".join(f", and {name} ({chance:.2f})" for name, chance in found.also.items())
        yield f"  looks like             {found.damage} (confidence {found.confidence:.2f}){also}"
    if found.speed_steps:
        yield f"  steps at               {', '.join(f'{step:.1f} mm' for step in found.speed_steps)}, as a burner's speed makes them"
    for note in found.notes:
        yield f"  note                   {note}"
