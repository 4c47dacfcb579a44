"""A guest that waits for what never comes is found, with the branch and what it reads; one that counts is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tanken import engines
from tanken.engine.stuck import _period

ROOT = Path(__file__).parents[3]
SOURCE = """
volatile int flag;
static int other[64];
int main(int count, char **words) {
    unsigned n = 0;
    if (count > 1) {
        for (unsigned long i = 0; i < 150000000ul; i++) n += i ^ n;
        return n & 1;
    }
    while (!flag) { n++; other[n & 63] = n; __asm__ volatile("" :: "r"(other) : "memory"); }
    return 1;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("stuck")
    (place / "p.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-static", "-o", str(place / "p"), str(place / "p.c")], check=True)
    return str(place / "p")


def run(program: str, *words: str, engine: str, budget: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tanken", "run", "--stuck", "--engine", engine, "--budget", str(budget), program, *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})


@pytest.mark.parametrize("engine, budget", [("python", 12_000_000), *([("native", 6_000_000_000)] if engines.possible() else [])])
def test_a_loop_that_waits_for_a_flag(program: str, engine: str, budget: int) -> None:
    done = run(program, engine=engine, budget=budget)
    while "stuck after" not in done.stderr and budget < 10_000_000_000:  # it looks by the clock: a faster host has gone further by then
        budget *= 4
        done = run(program, engine=engine, budget=budget)
    assert done.returncode == 124
    report = done.stderr.splitlines()
    assert report[0].startswith("tanken run: stuck after ")
    assert sum(line.startswith("  * 0x") and " je " in line for line in report) == 1
    ways = [line for line in report if "the way out at" in line]
    assert len(ways) == 1 and "reads zf, from [0x" in ways[0] and "] = 0x0: no longer changing" in ways[0]
    assert len([line for line in report if "stuck after" in line]) == 1


@pytest.mark.skipif(not engines.possible(), reason="the native engine needs Linux on x86-64, with Numba")
def test_a_loop_that_counts_is_not_stuck(program: str) -> None:
    done = run(program, "count", engine="native", budget=3_000_000_000)
    assert done.returncode in (0, 1) and not done.stderr


def test_the_shortest_period_is_found() -> None:
    assert _period([9, 1, 2, 1, 3] + [1, 2, 1, 3] * 3) == [1, 2, 1, 3]
    assert _period([5] * 4) == [5]
    assert _period([1, 2, 3]) == []
