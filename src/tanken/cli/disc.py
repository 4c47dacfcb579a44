"""`tanken disc`: what is done to discs that do not exist yet: pressing a synthetic one, planning copies.

`tanken disc press ISO -o FILE` makes raw frames or channel run lengths, with damage if wanted; docs/disc.md says what is a model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tanken.base import progress
from tanken.base.errors import InputError, UsageError
from tanken.cli import disc_drives as drives

if TYPE_CHECKING:
    from tanken.coding.gf256 import Bytes


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    press = actions.add_parser("press", help="make a raw disc of an image, damaged or not")
    press.add_argument("image", metavar="ISO", help="user data, - for the standard input")
    press.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write, - for the standard output")
    press.add_argument("--format", choices=("dvd", "cd"), default="dvd")
    press.add_argument("--form", choices=("2064", "2366", "2384", "t"), help="bytes of a DVD's frame, or t: run lengths of the channel (a CD is always t)")
    press.add_argument("--layers", choices=("ptp", "otp"), help="of a DVD: half of it on each of two layers, on a parallel or an opposite track path")
    press.add_argument("--damage", action="append", default=[], metavar="KIND:NAME=NUMBER,...", help="may be given more than once; `list` shows all kinds")
    press.add_argument("--seed", type=int, default=0, help="decides all that is left to chance")
    press.add_argument("--spread", action="store_true", help="lay the blocks evenly over a whole disc, as if only every Nth had been read")
    protect = actions.add_parser("protect", help="add dvdisaster's error correction data to an image, or make a file of it")
    protect.add_argument("image", metavar="ISO")
    protect.add_argument("-o", "--output", metavar="FILE", required=True, help="the error correction file (RS01, RS03 with --file) or the new image")
    protect.add_argument("--method", choices=("RS01", "RS02", "RS03"), default="RS01")
    protect.add_argument("--roots", type=int, help="parity bytes of each 255 (default 32; RS02: what fits; RS03 images fill their medium)")
    protect.add_argument("--capacity", type=int, metavar="SECTORS", help="size of the medium for RS02 and RS03 images (default: the smallest that fits)")
    protect.add_argument("--file", action="store_true", help="RS03: a file of its own")
    plan = actions.add_parser("plan", help="how many copies, on which media, for a wanted probability of survival")
    plan.add_argument("--survival", type=float, default=0.999, metavar="P", help="wanted probability that the data can be read (default 0.999)")
    plan.add_argument("--years", type=float, default=20, help="after so many years (default 20)")
    plan.add_argument("--rate", action="append", default=[], metavar="MAKE=R", help="yearly failure rate of a make; may be given more than once")
    plan.add_argument("--history", metavar="DB", help="take the rates from what measure --log wrote")
    plan.add_argument("--common", type=float, default=0.1, metavar="C", help="share of failures that hit all discs of a make (default 0.1, an assumption)")
    plan.add_argument("--json", action="store_true")
    drives.arguments(actions)


def run(options: argparse.Namespace) -> int:
    return {"press": _press, "plan": _plan, "protect": _protect, **drives.ACTIONS}[options.action](options)


def _protect(options: argparse.Namespace) -> int:
    from tanken.disc.dvdisaster import create, layout

    if Path(options.output).resolve() == Path(options.image).resolve():
        raise UsageError(f"output {options.output}", wanted="a file that is not read from")
    if options.file and options.method != "RS03":
        raise UsageError(f"--file with {options.method}", wanted="RS03; RS01 always makes a file, RS02 never")
    if options.method == "RS03" and not options.file and options.capacity not in (None, *layout.MEDIA):
        raise UsageError(f"--capacity {options.capacity} with RS03", wanted=f"{', '.join(map(str, layout.MEDIA))}: dvdisaster knows no others in an image")
    tell = progress.to(sys.stderr) if sys.stderr.isatty() else progress.silent
    if options.method == "RS01":
        head = create.rs01(options.image, options.output, options.roots or 32, tell)
    elif options.method == "RS02":
        head = create.rs02(options.image, options.output, options.roots, options.capacity, tell)
    else:
        head = create.rs03(options.image, options.output, options.roots or 32, options.file, options.capacity, tell)
    print(f"{options.output}: {head.method}, {head.roots} roots over {head.data} layers: any {head.roots} of 255 may be lost ({head.roots / head.data:.1%} redundancy)")
    return 0


def _plan(options: argparse.Namespace) -> int:
    from tanken.disc import history, plan

    rates: dict[str, float] = {}
    if options.history:
        watched = []
        for item in history.trends(options.history):
            days = item.days or (item.last,)
            years = (date.fromisoformat(days[-1]) - date.fromisoformat(days[0])).days / history.YEAR
            watched.append((item.media or "unknown", years, "lost" in item.state or "over" in item.state))
        rates = plan.rates_of(watched)
    for text in options.rate:
        name, _, value = text.rpartition("=")
        try:
            rates[name] = float(value)
        except ValueError:
            raise UsageError(f"--rate {text}", wanted="MAKE=NUMBER") from None
    made = plan.plan(options.survival, options.years, rates or None, options.common)
    if options.json:
        print(made.to_json())
        return 0
    print(f"{made.total} copies: {', '.join(f'{count} on {make}' for make, count in made.copies.items())}")
    print(f"  {made.survival:.4%} survive {made.years:g} years (wanted {made.wanted:.4%}); one disc of the best make alone: {made.single_best:.2%}")
    print(f"  rates {'are assumed, not measured: give --history or --rate' if made.assumed else 'from what was given'}; {options.common:.0%} of failures hit all discs of a make")
    return 0


def _kinds() -> int:
    from tanken.disc.damage import KINDS

    for name, function in KINDS.items():
        code = function.__code__
        defaults = zip(code.co_varnames[2 : code.co_argcount], function.__defaults__ or (), strict=True)
        print(f"{name:<13} {(function.__doc__ or '').splitlines()[0]}  {name}:{','.join(f'{key}={value}' for key, value in defaults)}")
    return 0


def _press(options: argparse.Namespace) -> int:
    if options.damage == ["list"]:
        return _kinds()
    from tanken.disc import damage, geometry, inputs, press

    damages = [damage.parse(text) for text in options.damage]
    if options.seed < 0:
        raise UsageError(f"seed {options.seed}", wanted="0 or more")
    if options.format == "cd" and options.form not in (None, "t"):
        raise UsageError(f"--form {options.form} of a CD", wanted="t: run lengths of the channel")
    if options.format == "cd" and options.layers:
        raise UsageError("--layers of a CD", wanted="one layer")
    data = inputs.open_bytes(options.image)
    if not len(data):
        raise InputError("an empty image", where=options.image, wanted="user data")
    image = data.data
    blocks = -(-len(image) // 32768)
    room = geometry.block_at(geometry.RIM, geometry.dvd(2 if options.layers else 1))
    stride = max(1, room // (-(-blocks // 2) if options.layers else blocks)) if options.spread else 1
    tell = progress.to(sys.stderr) if sys.stderr.isatty() else progress.silent
    if options.format == "cd":
        cover = geometry.CD.steps_to(geometry.RIM) / (-(-len(image) // 2048) * 98 + 111)
        pieces = press.press_cd(image, damages, options.seed, max(1, int(cover)) if options.spread else 1, progress=tell)
    else:
        pieces = press.press_dvd(image, options.form or "2366", damages, options.seed, stride, options.layers, tell)
    written = _write(options.output, _forgetting(pieces, data))
    if options.output != "-":
        print(f"{options.output}: {written:,} bytes, {blocks:,} ECC blocks' worth of user data" if options.format == "dvd" else f"{options.output}: {written:,} runs")
    return 0


def _forgetting(pieces: Iterable[bytes], data: Bytes) -> Iterator[bytes]:
    """The pieces, while the image's memory is given back: what is behind is not asked for again, or read anew."""
    from tanken.disc import inputs

    for piece in pieces:
        yield piece
        inputs.forget(data, len(data))


def _write(path: str, pieces: Iterable[bytes]) -> int:
    written = 0
    if path == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return 0
    new = Path(path + ".part")
    try:
        with new.open("wb") as file:
            for piece in pieces:
                written += file.write(piece)
        new.replace(path)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=path, wanted="a file that can be written") from error
    finally:
        new.unlink(missing_ok=True)
    return written

