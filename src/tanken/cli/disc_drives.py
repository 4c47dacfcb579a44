"""`tanken disc scan`, `prove`, `calibrate`, `identify`: what needs a drive, a simulated one, or a recorded log of one.

A drive is named /dev/sr0, sim:IMAGE (a simulated one with that disc in it) or replay:LOG (what --record wrote). A simulated drive has its own ways by
sim:gain=1.7,noise=2,zero=1,seed=3:IMAGE. Nothing here was tried on hardware.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tanken.base import progress
from tanken.base.errors import InputError, UnsupportedError, UsageError
from tanken.base.interrupt import held
from tanken.base.records import json_line

if TYPE_CHECKING:
    from tanken.disc.drive.scsi import Transport
    from tanken.disc.measure import Line


def arguments(actions: Any) -> None:
    """Adds the actions' parsers."""
    texts = {
        "scan": "let a drive count the errors of a disc, interval by interval",
        "prove": "whether a drive measures: read the same places twice",
        "calibrate": "how two drives' counts of one disc compare",
        "identify": "the Media ID of the disc in a drive",
    }
    for name, text in texts.items():
        parser = actions.add_parser(name, help=text, description=f"{text}. A drive is /dev/sr0, sim:IMAGE or replay:LOG. Untried on hardware.")
        parser.add_argument("--drive", action="append", required=True, metavar="DRIVE")
        parser.add_argument("--kind", choices=("dvd", "cd"), default="dvd")
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--record", metavar="LOG", help="write all commands and replies there")
        if name != "identify":
            parser.add_argument("--family", action="append", required=True, metavar="NAME", help="plextor, liteon, liteon-old, generic")
        if name == "scan":
            parser.add_argument("--state", metavar="FILE", help="go on from there if a scan was interrupted")
            parser.add_argument("--no-proof", action="store_true", help="believe the drive without a proof")
            parser.add_argument("--type", metavar="TYPE", help="whose limits hold")


WAYS: dict[str, Callable[[str], Any]] = {"gain": float, "noise": float, "zero": lambda text: bool(int(text)), "seed": int}


def _open(name: str, family: str, record: str | None) -> Transport:
    from tanken.disc import inputs, measure
    from tanken.disc.drive import scsi, simulated

    kind, _, path = name.partition(":")
    inner: Transport
    if kind == "sim" and path:
        ways, path = _ways(path)
        source = inputs.read(path)
        made = measure.begin(source)
        for _ in measure.run(source, made):
            pass
        inner = simulated.Drive(made, family, structures=_structures(path), **ways)
    elif kind == "replay" and path:
        inner = scsi.Replay(path)
    else:
        inner = scsi.Device(name)
    return scsi.Recorder(inner, record) if record else inner


def _ways(text: str) -> tuple[dict[str, Any], str]:
    """How a simulated drive measures, and the image in it."""
    ways: dict[str, Any] = {"noise": 1.0}
    words, _, path = text.partition(":")
    if not path or "=" not in words or Path(text).exists():
        return ways, text
    for word in words.split(","):
        name, _, value = word.partition("=")
        try:
            ways[name] = WAYS[name](value)
        except (KeyError, ValueError):
            raise UsageError(f"{word!r} of a simulated drive", wanted="gain=NUMBER, noise=NUMBER, zero=1 or seed=NUMBER, with commas between") from None
    return ways, path


def _structures(path: str) -> dict[int, bytes]:
    """Replies that lie beside an image."""
    from tanken.disc import media

    files = ((Path(path).with_suffix(suffix), media.FORMATS[kind]) for suffix, kind in media.SUFFIXES.items())
    return {number: file.read_bytes() for file, number in files if file.is_file()}


def _one(options: argparse.Namespace) -> tuple[Transport, str]:
    if len(options.drive) != 1 or len(options.family) != 1:
        raise UsageError("more than one drive", wanted="one --drive and one --family")
    return _open(options.drive[0], options.family[0], options.record), options.family[0]


def _prove(options: argparse.Namespace) -> int:
    from tanken.disc.drive import scan

    proof = scan.prove(*_one(options), options.kind)
    if options.json:
        print(proof.to_json())
    else:
        print(f"{proof.intervals} intervals read twice: {proof.first:,} and {proof.second:,} errors, correlation {proof.correlation}")
        print("the drive measures" if proof.believed else "not believed: " + "; ".join(proof.reasons))
    return int(not proof.believed)


def _scan(options: argparse.Namespace) -> int:
    from tanken.cli.measure import SAVE, save, table
    from tanken.disc.drive import scan
    from tanken.disc.measure import Measurement
    from tanken.disc.summary import summarise

    transport, family = _one(options)
    if not options.no_proof:
        proof = scan.prove(transport, family, options.kind)
        if not proof.believed:
            raise UnsupportedError(f"the drive is not believed: {'; '.join(proof.reasons)}", where=options.drive[0], hint="--no-proof scans all the same")
    made = Measurement(options.drive[0], "drive", options.kind, [f"counts as the drive ({family}) reported them"])
    made.span = max(1, scan.interval(family, "dvd") // 16) if options.kind == "dvd" else 1
    state = Path(options.state) if options.state else None
    if state is not None and state.exists():
        begun = Measurement.restore(state.read_text(), str(state))
        if (begun.source, begun.kind, begun.span, begun.notes) != (made.source, made.kind, made.span, made.notes):
            raise UsageError(f"the state is of {begun.source} ({begun.kind}, {begun.notes[:1]})", wanted=f"{made.source} ({made.kind}, {made.notes[0]})", where=str(state))
        made = begun
        for line in made.lines:
            _tell(line, options.json)
    tell = progress.to(sys.stderr) if sys.stderr.isatty() else progress.silent
    with held() as stop:
        try:
            for count, line in enumerate(scan.scan(transport, family, options.kind, len(made.lines), None, tell), 1):
                made.lines.append(line)
                _tell(line, options.json)
                if state is not None and count % SAVE == 0:
                    save(state, made)
                stop()
        finally:
            if state is not None:
                save(state, made)
    found = summarise(made, options.type)
    print(json_line({"summary": found}) if options.json else "\n".join(table(found)))
    return 0


def _tell(line: Line, json: bool) -> None:
    if json:
        print(line.to_json())


def _calibrate(options: argparse.Namespace) -> int:
    from tanken.disc.drive import scan

    if len(options.drive) != 2 or len(options.family) not in (1, 2):
        raise UsageError(f"{len(options.drive)} drives", wanted="two --drive and one or two --family")
    families = (options.family * 2)[:2]
    counts = [scan.levels(list(scan.scan(_open(drive, family, None), family, options.kind))) for drive, family in zip(options.drive, families, strict=True)]
    made = scan.calibrate(*scan.alike(counts[0], counts[1], (scan.interval(families[0], options.kind), scan.interval(families[1], options.kind))))
    if options.json:
        print(made.to_json())
    else:
        print(f"{made.intervals} intervals: the second drive counts {made.factor} times as many ({made.low} to {made.high}), correlation {made.correlation}")
    return 0


def _identify(options: argparse.Namespace) -> int:
    from tanken.disc import media

    transport = _open(options.drive[0], "generic", options.record)
    kinds = ("cd-r",) if options.kind == "cd" else ("dvd+r", "dvd-r")
    for kind in kinds:
        number = media.FORMATS[kind]
        cdb = bytes((0x43, 2, 4, 0, 0, 0, 0, 0x10, 0, 0, 0, 0)) if number > 0xFF else bytes((0xAD, 0, 0, 0, 0, 0, 0, number, 0x08, 0, 0, 0))
        reply = transport.command(cdb, 0x1000 if number > 0xFF else 0x800)
        if reply.good and len(reply.data) > 4:
            found = media.identify(kind, reply.data, options.drive[0])
            print(found.to_json() if options.json else f"{found.kind}: {found.media}, {found.maker}; " + ", ".join(f"{a} {b}" for a, b in found.details.items()))
            return 0
    raise InputError("no media identity", where=options.drive[0], wanted="a recordable disc")


ACTIONS = {"scan": _scan, "prove": _prove, "calibrate": _calibrate, "identify": _identify}
