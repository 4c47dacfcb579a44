"""Measuring a disc from raw data: error counts of every ECC block or second, the places of the errors, and what they add up to.

PI, PIF, PO, POF after ECMA-267 and 337 (a row with any wrong byte is a PI error; sums over 8 blocks); C1, C2 and BLER after IEC 60908.
A measurement can be stopped and taken up again: `state` and `restore`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tanken.base.errors import InputError
from tanken.base.progress import Event, Progress, silent
from tanken.base.records import Record
from tanken.disc import geometry, inputs
from tanken.disc.cd import channel, circ, sector, subcode
from tanken.disc.dvd import block, frame
from tanken.disc.dvd import channel as dvd_channel
from tanken.disc.dvd.block import COLUMNS, ROWS
from tanken.disc.dvd.decode import Report, decode
from tanken.disc.dvd.frame import SECTORS, USER
from tanken.disc.inputs import Source
from tanken.disc.polar import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

CHUNK = 128  # ECC blocks at a time
SAMPLE = 1024  # sectors that are asked for their layer
SECOND = 75  # sectors
FRAMES_A_SECOND = SECOND * circ.FRAMES


@dataclass(frozen=True, slots=True, repr=False)
class BlockLine(Record):
    """One ECC block; None where the format cannot tell."""

    block: int
    psn: int
    pi: int | None
    pif: int | None
    po: int | None
    pof: int | None
    edc_bad: int


@dataclass(frozen=True, slots=True, repr=False)
class SecondLine(Record):
    """One second of a CD: frames by wrong symbols at C1 and C2, BLER, sectors whose EDC fails, subcode checks that fail."""

    second: int
    c1: dict[str, int] | None
    c2: dict[str, int] | None
    bler: int | None
    edc_bad: int
    q_bad: int | None
    c2_pointers: int | None


Line = BlockLine | SecondLine


@dataclass
class Measurement:
    """What has been measured so far."""

    source: str
    form: str
    kind: str  # dvd or cd
    notes: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    grid: Grid = field(default_factory=Grid)
    upper: Grid = field(default_factory=Grid)  # of the second layer
    bursts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(33, dtype=np.int64))  # runs of wrong bytes by length, the last: 32 and more
    longest: int = 0
    layers: int = 1
    span: int = 1  # ECC blocks of a line
    place: dict[str, Any] = field(default_factory=dict)  # where to go on, of a stream that has no units
    log: bool = False  # of a drive's scan log, not measured here

    def column(self, name: str) -> NDArray[np.int64]:
        """A count of all blocks or seconds, -1 where it cannot be told."""
        values = (getattr(line, name) for line in self.lines)
        return np.array([-1 if value is None else value for value in values], dtype=np.int64)

    def state(self) -> dict[str, Any]:
        """Everything, in the types of JSON."""
        grids = {layer: {name: getattr(grid, name).tolist() for name in Grid.NAMES} for layer, grid in (("grid", self.grid), ("upper", self.upper))}
        return {"source": self.source, "form": self.form, "kind": self.kind, "notes": self.notes, "lines": [dict(line.items()) for line in self.lines],
                **grids, "bursts": self.bursts.tolist(), "longest": self.longest, "layers": self.layers, "span": self.span,
                "place": self.place}  # fmt: skip

    @classmethod
    def restore(cls, text: str, where: str) -> Measurement:
        """The measurement whose state was written as JSON; raises InputError for anything else."""
        try:
            state = json.loads(text)
            kind = {"dvd": BlockLine, "cd": SecondLine}[state["kind"]]
            made = cls(state["source"], state["form"], state["kind"], state["notes"], [kind(**line) for line in state["lines"]])
            for layer, grid in (("grid", made.grid), ("upper", made.upper)):
                for name in Grid.NAMES:
                    getattr(grid, name)[:] = state[layer][name]
            made.bursts[:], made.longest, made.layers, made.span = state["bursts"], int(state["longest"]), int(state["layers"]), max(1, int(state["span"]))
            made.place = dict(state["place"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"no state of a measurement ({type(error).__name__})", where=where, hint="remove the file to begin anew") from error
        return made


def begin(source: Source, layers: int | None = None) -> Measurement:
    """An empty measurement of a source; how many layers its disc has is asked of the sectors' IDs where it is not given."""
    form = source.form
    made = Measurement(source.name, form.name, "cd" if form.name.startswith(("cd", "efm")) else "dvd")
    made.layers = layers or (count_layers(source) if made.kind == "dvd" and form.unit > USER else 1)
    if form.silent:
        made.notes.append(form.silent)
    rest = len(source.data) % form.unit if form.unit else 0
    if rest:
        made.notes.append(f"{rest} bytes at the end are no whole unit of {form.unit} bytes and were left out")
    return made


def count_layers(source: Source) -> int:
    """1, or 2 where sectors' IDs name the second layer or have numbers of a layer that is read inwards."""
    unit, count = source.form.unit, source.units
    places = np.unique(np.linspace(0, max(0, count - 1), min(count, SAMPLE)).astype(np.int64))
    heads = np.ascontiguousarray(source.data[: count * unit].reshape(count, unit)[places, :6])
    return layers_of(heads)


def layers_of(heads: Bytes) -> int:
    """The layers that IDs and their checks (count, 6) tell of; damaged ones have no say."""
    good = heads[~frame.id_errors(heads) & heads.any(axis=1)]
    second = int(((good[:, 0] & 1 > 0) | (frame.psns(good) >= geometry.INWARD)).sum())
    return 2 if second > 2 else 1


def run(source: Source, made: Measurement, progress: Progress = silent) -> Iterator[Line]:
    """Measures what is not yet in `made`; yields each line as it is added there."""
    steps = {"efm": _efm, "cd2352": _sectors, "cd2448": _sectors, "dvdt": _dvd_runs}.get(source.form.name, _dvd)
    yield from steps(source, made, progress)


def _dvd(source: Source, made: Measurement, progress: Progress) -> Iterator[Line]:
    unit = source.form.unit
    total = -(-source.units // SECTORS)
    if source.units % SECTORS and not made.lines:
        made.notes.append(f"the last ECC block has only {source.units % SECTORS} of 16 sectors; what is missing counts as lost")
    for start in range(len(made.lines), total, CHUNK):
        piece = np.asarray(source.data[start * SECTORS * unit : min((start + CHUNK) * SECTORS, source.units) * unit]).reshape(-1, unit)
        if len(piece) % SECTORS:
            piece = np.concatenate([piece, np.zeros((SECTORS - len(piece) % SECTORS, unit), dtype=np.uint8)])
        yield from _dvd_piece(source.form.name, piece, start, made)
        inputs.forget(source.data, (start + CHUNK) * SECTORS * unit)
        progress(Event("measure", min(start + CHUNK, total), total, f"{total} ECC blocks"))


def _dvd_piece(form: str, piece: Bytes, start: int, made: Measurement) -> Iterator[Line]:
    if form == "dvd2064":
        yield from _frames_only(piece, start, made)
        return
    if form == "iso":
        blocks = block.encode(frame.make(piece, frame.FIRST_PSN + start * SECTORS))
    else:
        blocks = block.from_recorded(piece[:, :2366].reshape(-1, block.RECORDED_ROWS, COLUMNS))
    yield from _blocks(blocks, start, made)


def _blocks(blocks: Bytes, start: int, made: Measurement) -> Iterator[Line]:
    received = blocks.copy()
    report = decode(blocks)
    _places(received, blocks, report, made)
    counts = np.array([getattr(report, name) for name in ("psn", "pi", "pif", "po", "pof", "edc_bad")], dtype=np.int64).T.tolist()
    made.lines += [BlockLine(start + i, *values) for i, values in enumerate(counts)]  # all at once: whoever stops between two has a whole piece
    yield from made.lines[start:]


def _places(received: Bytes, corrected: Bytes, report: Report, made: Measurement) -> None:
    """Counts wrong rows on the grid and the lengths of bursts along the track."""
    symbols = report.rows.astype(np.int64)
    lost = symbols < 0
    if lost.any():
        at = np.nonzero(lost)
        symbols[at] = np.maximum(6, (received[at] != corrected[at]).sum(axis=1))  # what PI gave up had at least 6
    recorded = symbols[:, block.RECORDED_ORDER]
    radius, angle = geometry.dvd_places(report.psn, made.layers, np.arange(ROWS, dtype=np.float64))
    _onto(made, report.psn, report.layer > 0, radius, angle, recorded, lost[:, block.RECORDED_ORDER])
    for i in np.flatnonzero(symbols.any(axis=1)):
        rows = block.RECORDED_ORDER[recorded[i] != 0]
        _bursts((received[i, rows] != corrected[i, rows]), np.flatnonzero(recorded[i]), made)


def _onto(
    made: Measurement, psns: NDArray[np.int64], upper: NDArray[np.bool_], radius: NDArray[np.float64], angle: NDArray[np.float64], symbols: NDArray[np.int64],
    lost: NDArray[np.bool_],
) -> None:
    """Rows of blocks (blocks, rows) onto the picture of the layer they lie on."""
    upper = (upper | (psns >= geometry.INWARD)) & (made.layers > 1)
    for grid, chosen in ((made.grid, ~upper), (made.upper, upper)):
        if chosen.all():
            grid.add(radius.reshape(-1), angle.reshape(-1), symbols.reshape(-1), lost.reshape(-1))
        elif chosen.any():
            grid.add(radius[chosen].reshape(-1), angle[chosen].reshape(-1), symbols[chosen].reshape(-1), lost[chosen].reshape(-1))


def _bursts(wrong: NDArray[np.bool_], places: NDArray[np.int64], made: Measurement) -> None:
    """Lengths of runs of wrong bytes; a run goes on from row to row where both are wrong there."""
    width = wrong.shape[1]
    padded = np.zeros((len(wrong), width + 2), dtype=np.int8)
    padded[:, 1:-1] = wrong
    edges = np.diff(padded, axis=1)
    starts, ends = np.nonzero(edges == 1), np.nonzero(edges == -1)
    first, last = places[starts[0]] * width + starts[1], places[ends[0]] * width + ends[1]
    if not len(first):
        return
    joined = np.flatnonzero(first[1:] == last[:-1]) + 1
    first, last = np.delete(first, joined), np.delete(last, joined - 1)
    lengths = last - first
    made.bursts += np.bincount(lengths.clip(0, 32), minlength=33)
    made.longest = max(made.longest, int(lengths.max()))


def _frames_only(piece: Bytes, start: int, made: Measurement) -> Iterator[Line]:
    """Frames without parity: only whether their EDC and ID fit."""
    numbers = frame.psns(piece).reshape(-1, SECTORS)
    firsts = numbers - np.arange(SECTORS)
    for i in range(len(firsts)):
        values, counts = np.unique(firsts[i], return_counts=True)
        psn = int(values[counts.argmax()])
        part = piece[i * SECTORS : (i + 1) * SECTORS]
        bad = frame.edc_errors(part, np.full(SECTORS, psn >> 4 & 15))
        radius, angle = geometry.dvd_places(np.array([psn]), made.layers, (np.arange(SECTORS, dtype=np.float64) + 0.5) * (ROWS / SECTORS))
        upper = np.array([(part[:, 0] & 1).sum() > SECTORS // 2])
        _onto(made, np.array([psn]), upper, radius, angle, bad[None].astype(np.int64), bad[None])
        made.lines.append(BlockLine(start + i, psn, None, None, None, None, int(bad.sum())))
        yield made.lines[-1]


def _dvd_runs(source: Source, made: Measurement, progress: Progress) -> Iterator[Line]:
    """A channel of run lengths, put into ECC blocks by the sectors' numbers. What was measured before it was stopped is read again, not decoded."""
    if made.place.get("done"):
        return
    found, done, begun = dvd_channel.Blocks(), 0, len(made.lines)
    for frames, taken in dvd_channel.blocks(source.data, found):
        made.layers = max(made.layers, layers_of(np.ascontiguousarray(frames[:, 0, :6])))
        skip = min(len(frames), SECTORS * max(0, begun - done))
        done += len(frames) // SECTORS
        for start in range(skip, len(frames), CHUNK * SECTORS):
            yield from _blocks(block.from_recorded(frames[start : start + CHUNK * SECTORS]), len(made.lines), made)
        inputs.forget(source.data, taken)
        if taken < source.units:
            progress(Event("measure", taken, source.units, f"{done} ECC blocks"))
    progress(Event("measure", source.units, source.units, f"{done} ECC blocks"))
    made.place = {"done": True}
    made.notes.append(f"{found.strange} symbols were no word of the modulation" if done else "no whole ECC block was found in the channel")


def classes(done: circ.Decoded, second: int) -> tuple[dict[str, int], dict[str, int]]:
    """The frames of a second by their wrong symbols at C1 and at C2."""
    part = slice(second * FRAMES_A_SECOND, (second + 1) * FRAMES_A_SECOND)
    return _classes(done.c1[part], 1), _classes(done.c2[part], 2)


def _classes(status: NDArray[np.int16], stage: int) -> dict[str, int]:
    names = (f"e1{stage}", f"e2{stage}", f"e3{stage}")
    counts = [int((status == 1).sum()), int((status == 2).sum()), int(((status > 2) | (status < 0)).sum())]
    found = dict(zip(names, counts, strict=True))
    if stage == 2:
        found["cu"] = int((status < 0).sum())
    return found


def _efm(source: Source, made: Measurement, progress: Progress) -> Iterator[Line]:
    """A CD's channel, second by second: frames, C1, C2, sectors."""
    if made.place.get("done"):
        return
    reader = channel.Channel(source.data, made.place.get("channel"))
    sums = made.place.get("sums") or {"frames": 0, "unsynced": 0, "sectors": 0, "bad": 0}
    for second in reader.seconds():
        made.grid.add(geometry.CD.radius(second.places), geometry.CD.angle(second.places), second.symbols.astype(np.int64), second.c1 < 0)
        c1, c2, bad = _classes(second.c1, 1), _classes(second.c2, 2), int(second.bad.sum())
        for name, value in (("frames", len(second.c1)), ("unsynced", second.unsynced), ("sectors", len(second.bad)), ("bad", bad)):
            sums[name] += value
        made.lines.append(SecondLine(second.number, c1, c2, sum(c1.values()), bad, second.q_bad, None))
        made.place = {"channel": reader.place, "sums": sums}
        yield made.lines[-1]
        inputs.forget(source.data, reader.reader.done)
        if not reader.reader.ended:
            progress(Event("measure", reader.reader.done, source.units, f"{second.number + 1} seconds"))
    made.place = {"done": True}
    progress(Event("measure", source.units, source.units, f"{len(made.lines)} seconds"))
    if not sums["frames"]:
        made.notes.append("no frame was found in the channel")
        return
    if sums["unsynced"]:
        made.notes.append(f"{sums['unsynced']} of {sums['frames']} frames had lost their sync")
    made.notes.append(f"{sums['sectors']} sectors found in the stream, {sums['bad']} with an EDC that fails" if sums["sectors"] else "no data sectors: audio, or too short")


def _sectors(source: Source, made: Measurement, progress: Progress) -> Iterator[Line]:
    """Sectors of a CD: EDC before correction, subcode and C2 pointers where there are any."""
    unit = source.form.unit
    total = -(-source.units // SECOND)
    if source.audio and not made.lines:
        made.notes.append("no data sectors: audio has no EDC")
    for second in range(len(made.lines), total):
        piece = np.asarray(source.data[second * SECOND * unit : min((second + 1) * SECOND, source.units) * unit]).reshape(-1, unit)
        sectors = np.ascontiguousarray(piece[:, : sector.SECTOR])
        bad = sector.edc_errors(sectors, sector.modes(sectors))
        subs = piece[:, sector.SECTOR :] if unit > sector.SECTOR else _slice(source.sub, second, len(piece), subcode.BYTES)
        q_bad = int((~subcode.q_good(np.ascontiguousarray(subs[:, 12:24]))).sum()) if subs is not None and len(subs) else None
        pointers = _c2(source, second, len(piece))
        steps = (second * SECOND + np.arange(len(piece), dtype=np.float64) + 0.5) * circ.FRAMES
        made.grid.add(geometry.CD.radius(steps), geometry.CD.angle(steps), bad.astype(np.int64), bad)
        made.lines.append(SecondLine(second, None, None, None, int(bad.sum()), q_bad, pointers))
        yield made.lines[-1]
        progress(Event("measure", second + 1, total, f"{total} seconds"))


def _slice(data: Bytes | None, second: int, count: int, size: int) -> Bytes | None:
    if data is None:
        return None
    piece = np.asarray(data[second * SECOND * size : (second * SECOND + count) * size])
    return piece[: len(piece) // size * size].reshape(-1, size)


def _c2(source: Source, second: int, count: int) -> int | None:
    """Bytes that the drive's C2 pointers mark: 294 bytes a sector, or 296 with two more."""
    if source.c2 is None:
        return None
    size = 296 if len(source.c2) % 296 == 0 and len(source.c2) % 294 else 294
    piece = _slice(source.c2, second, count, size)
    return int(np.unpackbits(piece[:, :294]).sum()) if piece is not None else 0
