"""Pressing discs: an image becomes ECC blocks or channel frames, and a synthetic drive reads them through damage.

The channel is exact (ECMA-267, IEC 60908); the damage is a model (`disc.damage`). Everything is decided by the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.progress import Event, Progress, silent
from tanken.disc import damage, geometry
from tanken.disc.cd import circ, efm, sector, subcode
from tanken.disc.damage import Track
from tanken.disc.dvd import block, frame, modulation
from tanken.disc.dvd.block import COLUMNS, ROWS
from tanken.disc.dvd.frame import FIRST_PSN, SECTORS, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tanken.coding.gf256 import Bytes

Damages = Sequence[tuple[str, dict[str, float]]]
BATCH = 256  # ECC blocks at a time
CD_BATCH = 300  # sectors at a time
FORMS = {"2064": "data frames after correction", "2366": "recording frames", "2384": "recording frames and 18 more bytes", "t": "run lengths of the channel"}


def dvd_track(psns: NDArray[np.int64], layer: int = 0, layers: int = 1) -> Track:
    """The rows of ECC blocks that begin at these sectors, in recorded order; of a layer read inwards in the opposite order."""
    radius, angle = geometry.dvd_places(psns, layers, np.arange(ROWS, dtype=np.float64))
    if len(psns) and psns[0] >= geometry.INWARD:
        radius, angle = radius[::-1, ::-1], angle[::-1, ::-1]
    return Track(radius.reshape(-1), angle.reshape(-1), layer)


def damaged(rows: Bytes, track: Track, damages: Damages, seed: int, part: int = 0) -> None:
    """Makes symbols of rows (count, width), in the order of the track, wrong in place; the defects belong to the disc, the noise to its `part`."""
    for number, (name, parameters) in enumerate(damages):
        pieces = damage.KINDS[name](track, np.random.default_rng([seed, number]), **parameters)
        noise = np.random.default_rng([seed, number, part])
        for index, place in damage.wrong_symbols(pieces, len(rows), rows.shape[1], noise):
            rows[index, place] ^= noise.integers(1, 256, len(index), dtype=np.uint8)


PATHS = ("ptp", "otp")  # parallel and opposite track path


@dataclass(frozen=True)
class Run:
    """Blocks that lie in a row on one layer: which of the image, the sector number of the first, and byte 0 of their IDs."""

    first: int
    count: int
    psn: int
    layer: int
    info: int


def runs(total: int, path: str | None = None, stride: int = 1) -> list[Run]:
    """Where the blocks of an image lie: on one layer, or half of them on each of two (ECMA-267 section 16.1 and figure 17).

    On two layers the reflectivity bit is set and the lowest bit tells the layer; on an opposite path the second layer begins at the outside, with the
    complement of the number at which the first one ended.
    """
    if path is None:
        return [Run(0, total, FIRST_PSN, 0, 0)]
    lower = -(-total // 2)
    end = FIRST_PSN + SECTORS * stride * lower
    return [Run(0, lower, FIRST_PSN, 0, 0x20), Run(lower, total - lower, FIRST_PSN if path == "ptp" else geometry.inverse(end - 1), 1, 0x21)]


def blocks_of(image: memoryview | bytes, start: int, psns: NDArray[np.int64], info: int = 0) -> Bytes:
    """ECC blocks `start` on of an image, as many as there are numbers of their first sectors."""
    piece = np.frombuffer(image[start * SECTORS * USER : (start + len(psns)) * SECTORS * USER], dtype=np.uint8)
    user = np.zeros((len(psns) * SECTORS, USER), dtype=np.uint8)
    user.reshape(-1)[: len(piece)] = piece
    steps = np.diff(psns)
    if (steps == SECTORS).all():
        return block.encode(frame.make(user, int(psns[0]), info))
    return block.encode(np.concatenate([frame.make(user[i * SECTORS : (i + 1) * SECTORS], int(psn), info) for i, psn in enumerate(psns)]))


def press_dvd(
    image: memoryview | bytes, form: str = "2366", damages: Damages = (), seed: int = 0, stride: int = 1, path: str | None = None, progress: Progress = silent
) -> Iterator[bytes]:
    """The raw bytes of a DVD in a form of FORMS, some blocks at a time; with a track path of PATHS on two layers."""
    total = max(1, -(-len(image) // (SECTORS * USER)))
    for run in runs(total, path, stride):
        for start in range(0, run.count, BATCH):
            psns = run.psn + SECTORS * stride * np.arange(start, min(start + BATCH, run.count), dtype=np.int64)
            blocks = blocks_of(image, run.first + start, psns, run.info)
            recorded = np.ascontiguousarray(blocks[:, block.RECORDED_ORDER, :])
            rows, done = recorded.reshape(-1, COLUMNS), run.first + start
            damaged(rows[::-1] if psns[0] >= geometry.INWARD else rows, dvd_track(psns, run.layer, 1 if path is None else 2), damages, seed, done)
            yield _dvd_form(recorded, form)
            progress(Event("press", done + len(psns), total, f"{total} ECC blocks"))


def _dvd_form(recorded: Bytes, form: str) -> bytes:
    frames = recorded.reshape(-1, block.RECORDED_ROWS, COLUMNS)
    if form == "2366":
        return frames.tobytes()
    if form == "2384":
        out = np.zeros((len(frames), 2384), dtype=np.uint8)
        out[:, :2366] = frames.reshape(len(frames), -1)
        return out.tobytes()
    if form == "t":
        return efm.to_runs(modulation.encode(frames)).tobytes()
    corrected = block.from_recorded(frames)
    from tanken.disc.dvd.decode import decode

    decode(corrected)
    return block.frames_of(corrected).tobytes()


def cd_track(count: int, stride: int = 1, first: int = 0, skip: int = 0) -> Track:
    """The places of a CD's channel frames of a stream that begins at sector `first`, each `stride` frames behind the one before; `skip` frames on."""
    steps = first * circ.FRAMES + (skip + np.arange(count, dtype=np.float64)) * stride
    return Track(geometry.CD.radius(steps), geometry.CD.angle(steps))


def _cd_frames(image: memoryview | bytes, first: int, start: int, stop: int) -> Bytes:
    """Data frames of sectors `start` to `stop` of an image, in mode 1 and scrambled; behind its end is silence."""
    count = max(1, -(-len(image) // USER))
    have = max(0, min(stop, count) - start)
    out = np.zeros(((stop - start), circ.FRAMES * circ.F1), dtype=np.uint8)
    user = np.zeros((have, USER), dtype=np.uint8)
    piece = np.frombuffer(image[start * USER : (start + have) * USER], dtype=np.uint8)
    user.reshape(-1)[: len(piece)] = piece
    out[:have] = circ.swap(sector.scramble(sector.make(user, first + start)))
    return out.reshape(-1, circ.F1)


def press_cd(
    image: memoryview | bytes, damages: Damages = (), seed: int = 0, stride: int = 1, first: int = 0, progress: Progress = silent
) -> Iterator[bytes]:
    """Run lengths (one byte a run) of a CD, some sectors at a time: sectors in mode 1, scrambled, CIRC, subcode, EFM. 2,352 bytes become about 12 kB.

    With a stride the frames lie apart on the disc, as if only every `stride`th had been read; Q tells where.
    """
    count = max(1, -(-len(image) // USER))
    whole = -(-(count * circ.FRAMES + circ.DELAY) // circ.FRAMES)  # sectors of subcode
    bits, runs = efm.Encoder(), efm.Runs()
    for start in range(0, whole, CD_BATCH):
        stop = min(start + CD_BATCH, whole)
        before = max(0, start - 2)  # what went in up to 111 frames ago still comes out
        channel = circ.encode(_cd_frames(image, first, before, stop))[(start - before) * circ.FRAMES : (stop - before) * circ.FRAMES]
        symbols = np.empty((len(channel), efm.SYMBOLS), dtype=np.int16)
        symbols[:, 0] = subcode.interleave(subcode.of_sectors(stop - start, first + start * stride, stride=stride)).reshape(-1)
        symbols[:, 1:] = channel
        if damages:
            rows = symbols.astype(np.uint8)
            damaged(rows, cd_track(len(rows), stride, first, start * circ.FRAMES), damages, seed, start)
            wrong = rows != symbols.astype(np.uint8)  # the two sync words of the subcode are no bytes: they become some
            symbols[wrong] = rows[wrong]
        yield runs.feed(bits.feed(symbols)).tobytes()
        progress(Event("press", stop, whole, f"{count} sectors"))
    yield runs.feed(bits.finish()).tobytes()
