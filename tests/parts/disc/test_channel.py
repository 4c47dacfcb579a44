"""A CD's channel in pieces: whatever is read at a time and wherever it is taken up again, the same comes out as of the whole; the memory stays bounded.

Channels are pressed, damaged, cut and spoilt by chance (hypothesis).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken.base import native
from tanken.base.interrupt import held
from tanken.disc import damage, inputs, measure, press, saving
from tanken.disc.cd import channel, circ, efm
from tanken.disc.dvd import channel as dvd_channel
from tanken.disc.dvd import modulation
from tanken.disc.flywheel import Flywheel

IMAGE = np.random.default_rng(13).integers(0, 256, 180 * 2048, dtype=np.uint8).tobytes()


@cache
def runs(seed: int) -> np.ndarray:
    """Run lengths of 180 sectors with noise, pieces missing, and single runs of any length."""
    rng = np.random.default_rng(seed)
    kinds = [damage.parse(f"jitter:level={rng.choice([0.0001, 0.01, 0.04])}")]
    whole = np.frombuffer(b"".join(press.press_cd(IMAGE, kinds, seed)), dtype=np.uint8).copy()
    for at in rng.integers(0, len(whole), 4).tolist():
        whole[at : at + int(rng.integers(1, 40_000))] = 0
    whole = whole[whole > 0]
    whole[rng.integers(0, len(whole), 100)] = rng.integers(0, 256, 100)
    return whole


def seconds(data: np.ndarray, step: int, stop: int = -1) -> list[tuple[bytes, ...]]:
    """All that is found, each second as bytes; taken up anew behind second `stop`."""
    out, reader = [], channel.Channel(data, step=step)
    for one in reader.seconds():
        out.append(one)
        if one.number == stop:
            out += channel.Channel(data, json.loads(json.dumps(reader.place)), step).seconds()
            break
    return [tuple(np.asarray(value).tobytes() for value in vars(one).values()) for one in out]


@cache
def whole(seed: int) -> list[tuple[bytes, ...]]:
    return seconds(runs(seed), 1 << 30)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2), st.integers(60_000, 600_000), st.integers(-1, 2))
def test_pieces_are_as_the_whole(seed: int, step: int, stop: int) -> None:
    assert seconds(runs(seed), step, stop) == whole(seed)


def test_the_whole_is_as_decoded_at_once() -> None:
    symbols, synced = efm.decode(efm.from_runs(runs(1)))
    erased = symbols[:, 1:] < 0
    done = circ.decode(np.where(erased, 0, symbols[:, 1:] & 255).astype(np.uint8), erased)
    found = list(channel.Channel(runs(1)).seconds())
    assert not synced.all() and sum(one.unsynced for one in found) == (~synced).sum()
    for name in ("c1", "c2", "symbols"):
        assert (np.concatenate([getattr(one, name) for one in found]) == getattr(done, name)).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=8), st.integers(1, 900))
def test_circ_in_pieces(cuts: list[int], count: int) -> None:
    rng = np.random.default_rng(count)
    frames = circ.encode(rng.integers(0, 256, (count, 24), dtype=np.uint8))
    frames[rng.random(frames.shape) < rng.choice([0, 0.01, 0.06])] ^= 0x77
    erased = rng.random(frames.shape) < 0.01
    at_once, decoder = circ.decode(frames, erased), circ.Decoder()
    places = sorted(min(cut, len(frames)) for cut in cuts)
    pieces = zip([0, *places], [*places, len(frames)], strict=True)
    done = [decoder.feed(frames[a:b], erased[a:b], b == len(frames) and i == len(places)) for i, (a, b) in enumerate(pieces)]
    for name in ("frames", "marks", "c1", "c2", "symbols"):
        assert (np.concatenate([getattr(one, name) for one in done]) == getattr(at_once, name)).all()


@cache
def dvd_runs(seed: int) -> np.ndarray:
    """Run lengths of eight ECC blocks, damaged in the same ways."""
    rng = np.random.default_rng(seed)
    kinds = [damage.parse(f"jitter:level={rng.choice([0.0001, 0.01])}")]
    whole = np.frombuffer(b"".join(press.press_dvd((IMAGE * 2)[: 8 * 32768], "t", kinds, seed)), dtype=np.uint8).copy()
    for at in rng.integers(0, len(whole), 4).tolist():
        whole[at : at + int(rng.integers(1, 20_000))] = 0
    whole = whole[whole > 0]
    whole[rng.integers(0, len(whole), 100)] = rng.integers(0, 16, 100)
    return whole


def dvd_blocks(data: np.ndarray, step: int) -> tuple[bytes, int]:
    found = dvd_channel.Blocks()
    return b"".join(piece.tobytes() for piece, _ in dvd_channel.blocks(data, found, step)), found.strange


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2), st.integers(10_000, 600_000))
def test_pieces_of_a_dvd_are_as_the_whole(seed: int, step: int) -> None:
    frames, strange = dvd_blocks(dvd_runs(seed), step)
    assert (frames, strange) == dvd_blocks(dvd_runs(seed), 1 << 30) and len(frames) >= 6 * 16 * 2366


def test_a_dvd_channel_goes_on(tmp_path: Path) -> None:
    """Lost sectors leave their places in a block; a measurement that was stopped goes on behind its lines."""
    (tmp_path / "a.t").write_bytes(dvd_runs(1).tobytes())
    source = inputs.read(str(tmp_path / "a.t"), "dvdt")
    made, half = measure.begin(source), measure.begin(source)
    lines = list(measure.run(source, made))
    assert made.column("psn").tolist() == [0x030000 + 16 * i for i in range(len(lines))] and len(lines) >= 7 and made.notes == [*half.notes, made.notes[-1]]
    next(measure.run(source, half))
    again = measure.Measurement.restore(json.dumps(half.state()), "state")
    list(measure.run(source, again))
    assert again.lines == made.lines and (again.grid.wrong == made.grid.wrong).all() and again.notes == made.notes


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels as plain Python make and find the same."""
    made = b"".join(press.press_cd(IMAGE[:4096])), b"".join(press.press_dvd(IMAGE[:32768], "t"))
    monkeypatch.setattr(native, "twin", lambda name: None)
    for engine in (efm._engine, modulation._engine):
        engine.cache_clear()
    try:
        assert b"".join(press.press_cd(IMAGE[:4096])) == made[0]
        (second,) = channel.Channel(np.frombuffer(made[0], dtype=np.uint8)).seconds()
        assert len(second.sectors) == 2 and not second.bad.any() and second.unsynced == second.q_bad == 0
        runs = np.frombuffer(made[1], dtype=np.uint8)[:24_000]
        frames, strange = modulation.decode(efm.from_runs(runs))
        assert len(frames) >= 2 and not strange[:2].any() and frames[1, 0, 3] == 1
    finally:
        for engine in (efm._engine, modulation._engine):
            engine.cache_clear()


def test_flywheel() -> None:
    wheel = Flywheel(100)
    wheel.feed(np.array([250, 350, 610, 710]), 900, True)  # the first two and one more without a mark, then 60 places too many
    assert wheel.found == [50, 150, 250, 350, 450, 610, 710]
    wheel = Flywheel(100)
    wheel.feed(np.array([0, 100, 137, 200]), 500, True)  # a false mark in between
    assert wheel.found == [0, 100, 200, 300, 400]


def test_damage_reaches_the_subcode(tmp_path: Path) -> None:
    (tmp_path / "a.efm").write_bytes(b"".join(press.press_cd(IMAGE, [damage.parse("jitter:level=0.004")])))
    source = inputs.read(str(tmp_path / "a.efm"))
    made = measure.begin(source)
    list(measure.run(source, made))
    assert 20 < made.column("q_bad").sum() < 110 and not made.column("edc_bad").any()  # of 181 blocks about a quarter, each with 96 bits


def test_memory_and_interruption(tmp_path: Path) -> None:
    """A channel that is long is measured in little memory, stopped by Ctrl-C, and taken up again with the same result."""
    one = np.frombuffer(b"".join(press.press_cd(IMAGE, [damage.parse("jitter:level=0.0003")])), dtype=np.uint8)
    np.tile(one, 5).tofile(tmp_path / "a.efm")
    words = [sys.executable, "-m", "tanken", "measure", str(tmp_path / "a.efm"), "--json", "--state", str(tmp_path / "state")]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    child.stdout.readline()
    os.kill(child.pid, signal.SIGINT)
    child.stdout.read()
    assert child.wait(60) == 130
    begun = len(json.loads((tmp_path / "state").read_text())["lines"])
    again = subprocess.run(words, capture_output=True, timeout=120)
    # by a small process in between: what a child of fork had of its parent's memory counts as its own, even behind exec
    asking = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
    at_once = subprocess.run([sys.executable, "-c", asking, *words[:-2]], capture_output=True, timeout=120, check=True)
    assert 0 < begun < 12 and again.stdout == at_once.stdout and again.stdout.count(b"\n") == 14
    assert int(at_once.stderr.split()[-1]) < 400_000


def test_held_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt), held() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        stop()
    with pytest.raises(KeyboardInterrupt), held():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)


def test_a_stream_that_is_none(tmp_path: Path) -> None:
    """Runs that make no frame: one line, no memory, no hang."""
    np.full(300_000, 255, dtype=np.uint8).tofile(tmp_path / "a.efm")
    source = inputs.read(str(tmp_path / "a.efm"), "efm")
    made = measure.begin(source)
    assert list(measure.run(source, made)) == [] and "no frame" in made.notes[-1]
    with pytest.raises(Exception, match="no data sectors"):
        saving.save([str(tmp_path / "a.efm")], "efm")
