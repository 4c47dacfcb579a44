"""Decoding DVD blocks and CD frames, and dvdisaster's data, beside reedsolo, galois and dvdisaster: one run, one core, CPU time, best of several.

`python -m benchmarks.disc [--quick] [--no-dvdisaster]`. Everything is warm: compiled and run once before it is timed. Results are compared, not only timed.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import galois
import numpy as np
import reedsolo

from tanken.disc.cd import circ
from tanken.disc.dvd import block, decode, frame
from tanken.disc.dvdisaster import create, repair

BLOCKS = 128
USER = 32768  # bytes of user data in an ECC block
SPEED16 = 16 * 1.385e6  # bytes a second of a 16x drive
Make = Callable[[], np.ndarray]


def best(make: Callable[[], object], run: Callable[[object], object], rounds: int) -> float:
    """CPU seconds of run(make()), the making not counted, the best of `rounds` after one that does not count."""
    run(make())
    times = []
    for _ in range(rounds):
        made = make()
        before = time.process_time()
        run(made)
        times.append(time.process_time() - before)
    return min(times)


def line(name: str, value: str, against: str = "") -> None:
    print(f"{name:46} {value:>20}  {against}", flush=True)


def dvd(rounds: int) -> float:
    """Our decoder on whole blocks; returns MB/s of clean ones."""
    rng = np.random.default_rng(0)
    whole = block.encode(frame.make(rng.integers(0, 256, (16 * BLOCKS, 2048), dtype=np.uint8)))
    work = np.empty_like(whole)

    def clean() -> np.ndarray:
        work[:] = whole
        return work

    def at_limit() -> np.ndarray:  # 280 error rows in 8 blocks
        work[:] = whole
        for one in work:
            rows = rng.permutation(208)[:35]
            one[rows, rng.integers(0, 182, 35)] ^= rng.integers(1, 256, 35, dtype=np.uint8)
        work.sum()
        return work

    def needing_po() -> np.ndarray:  # 12 lost rows in every block
        work[:] = whole
        for one in work:
            one[rng.permutation(208)[:12]] = rng.integers(0, 256, (12, 182), dtype=np.uint8)
        return work

    first = 0.0
    cases = (("DVD, clean", clean, 1500), ("DVD, at the PI limit (35 rows a block)", at_limit, 1000), ("DVD, every block needs PO (12 rows lost)", needing_po, 45))
    for name, make, wanted in cases:
        seconds = best(make, lambda blocks: decode.decode(blocks), rounds)
        rate = BLOCKS * USER / seconds / 1e6
        first = first or rate
        right = "all corrected" if (work == whole).all() else "NOT ALL CORRECTED"
        line(name, f"{rate:,.0f} MB/s", f"wanted {wanted:,}; {rate * 1e6 / SPEED16:.0f} times a 16x drive; {right}")
    _rivals(whole, first)
    return first


def _rivals(whole: np.ndarray, ours: float) -> None:
    """reedsolo and galois on rows and columns of the same blocks, clean and with one error in each of 35 rows."""
    inner, outer = reedsolo.RSCodec(10, nsize=182, fcr=0, prim=0x11D), reedsolo.RSCodec(16, nsize=208, fcr=0, prim=0x11D)
    one = whole[0]

    def by_reedsolo(_: object) -> None:
        for row in one:
            inner.decode(bytes(row))
        for column in one.T[:172]:
            outer.decode(bytes(column))

    rate = USER / best(lambda: None, by_reedsolo, 2) / 1e6
    line("  reedsolo, clean, PI and PO", f"{rate:,.2f} MB/s", f"ours is {ours / rate:,.0f} times as fast (wanted 1,000)")
    field = galois.GF(2**8, irreducible_poly=0x11D)
    code = galois.ReedSolomon(255, 245, field=field, c=0)
    rows = field(whole[:16].reshape(-1, 182))
    rate = 16 * USER / best(lambda: None, lambda _: code.decode(rows, errors=True), 2) / 1e6
    line("  galois, clean, PI alone", f"{rate:,.2f} MB/s", f"ours is {ours / rate:,.0f} times as fast (wanted 100)")


def cd(rounds: int) -> None:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (7350 * 20, 24), dtype=np.uint8)
    channel = circ.encode(frames)
    bad = channel.copy()
    places = rng.integers(0, channel.size, 220 * 20)
    bad.reshape(-1)[places] ^= 1
    for name, stream in (("CD, C1 and C2, clean", channel), ("CD, C1 and C2, at the BLER limit (220 a second)", bad)):
        seconds = best(lambda: None, lambda _: circ.decode(stream), rounds)  # noqa: B023
        line(name, f"{len(frames) / 7350 / seconds:,.0f} x", f"wanted 200; {'all corrected' if (circ.decode(stream).frames == frames).all() else 'NOT ALL CORRECTED'}")


def _children(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _ours(call: Callable[[], object]) -> float:
    before = time.process_time()
    call()
    return time.process_time() - before


def dvdisaster(size: int) -> None:
    """Creating and repairing RS01 and RS02, the files compared byte for byte."""
    rng = np.random.default_rng(2)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        here = Path(folder)
        image = rng.integers(0, 256, size * 2048, dtype=np.uint8)
        image.tofile(here / "a.iso")
        lost = rng.permutation(size)[: size * 5 // 100]
        create.rs01(str(here / "a.iso"), str(here / "warm.ecc"))
        theirs = _children(["dvdisaster", "-i", str(here / "a.iso"), "-e", str(here / "a.ecc"), "-mRS01", "-n", "32r", "-c"])
        ours = min(_ours(lambda: create.rs01(str(here / "a.iso"), str(here / "b.ecc"))) for _ in range(3))
        _ratio("RS01 create, 32 roots", size, ours, theirs, (here / "a.ecc").read_bytes() == (here / "b.ecc").read_bytes())
        bad = image.copy().reshape(-1, 2048)
        bad[lost] = 0
        bad.tofile(here / "bad.iso")
        ecc = np.fromfile(here / "a.ecc", dtype=np.uint8)
        ours = min(_ours(lambda: repair.with_file(bad.reshape(-1), ecc)) for _ in range(2))
        fixed = repair.with_file(bad.reshape(-1), ecc)[0]
        theirs = _children(["dvdisaster", "-i", str(here / "bad.iso"), "-e", str(here / "a.ecc"), "-f"])
        _ratio("RS01 repair, 5 % of the sectors lost", size, ours, theirs, (fixed == image).all() and (np.fromfile(here / "bad.iso", dtype=np.uint8) == image).all())
        target = size * 6 // 5
        (here / "c.iso").write_bytes((here / "a.iso").read_bytes())
        theirs = _children(["dvdisaster", "-i", str(here / "c.iso"), "-mRS02", "-n", str(target), "-c"])
        ours = min(_ours(lambda: create.rs02(str(here / "a.iso"), str(here / "d.iso"), capacity=target)) for _ in range(2))
        whole = np.fromfile(here / "c.iso", dtype=np.uint8)
        _ratio("RS02 create, a fifth larger", size, ours, theirs, len(whole) > len(image) and (here / "c.iso").read_bytes() == (here / "d.iso").read_bytes())
        bad = whole.copy().reshape(-1, 2048)
        bad[lost] = 0
        bad.tofile(here / "c.iso")
        ours = min(_ours(lambda: repair.in_image(bad.reshape(-1))) for _ in range(2))
        fixed = repair.in_image(bad.reshape(-1))[0]
        theirs = _children(["dvdisaster", "-i", str(here / "c.iso"), "-f"])
        _ratio("RS02 repair, 5 % of the sectors lost", size, ours, theirs, (fixed == whole).all() and (np.fromfile(here / "c.iso", dtype=np.uint8) == whole).all())


def _ratio(name: str, size: int, ours: float, theirs: float, same: bool) -> None:
    rate = size * 2048 / 1e6
    line(name, f"{rate / ours:,.0f} MB/s", f"dvdisaster {rate / theirs:,.0f} MB/s, ratio {theirs / ours:.1f} (wanted 5); {'identical' if same else 'NOT IDENTICAL'}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.disc")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer rounds")
    parser.add_argument("--no-dvdisaster", action="store_true")
    options = parser.parse_args()
    rounds = 5 if options.quick else 20
    dvd(rounds)
    cd(3 if options.quick else 6)
    if not options.no_dvdisaster:
        dvdisaster(20_000 if options.quick else 60_000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
