"""Guests with threads, compiled here: the same output and status as natively, the same order of instructions in every run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tanken.base.cache import root
from tanken.vkernel import engines

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "tests/guest/threads").glob("*.c"))
ELSEWHERE = not sys.platform.startswith("linux") or os.uname().machine != "x86_64"
pytestmark = pytest.mark.skipif(ELSEWHERE or shutil.which("gcc") is None, reason="needs gcc on x86-64 Linux")
ENGINES = ("native", "python") if engines.possible() else ("python",)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each guest, dynamically and statically linked."""
    place = tmp_path_factory.mktemp("threads")
    for source in SOURCES:
        for name, flags in ((source.stem, []), (source.stem + "-static", ["-static"])):
            subprocess.run(["gcc", "-O1", "-w", "-pthread", *flags, "-o", place / name, source], check=True)
    return {path.name: path for path in place.iterdir()}


def run(program: Path, engine: str = "", *options: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "TANKEN_CACHE": str(root())}
    ours = [sys.executable, "-m", "tanken.cli.main", "run", "--engine", engine, *options] if engine else []
    return subprocess.run([*ours, str(program)], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize("name", [source.stem for source in SOURCES])
@pytest.mark.parametrize("engine", ENGINES)
def test_as_natively(programs: dict[str, Path], name: str, engine: str) -> None:
    program = programs[name if engine == "native" else name + "-static"]
    native, ours = run(program), run(program, engine)
    assert (ours.stdout, ours.returncode) == (native.stdout, native.returncode), ours.stderr


def test_static_on_every_engine(programs: dict[str, Path]) -> None:
    expected = run(programs["order-static"]).stdout
    assert [run(programs["order-static"], engine).stdout for engine in ENGINES] == [expected] * len(ENGINES)


def test_order_is_the_same_in_every_run(programs: dict[str, Path]) -> None:
    """Threads that race and do not ask the time: the same number of instructions each time, by every engine."""
    counts = [re.search(r"(\d+) instructions", run(programs["order-static"], engine, "--stats").stderr) for engine in (*ENGINES, ENGINES[0])]
    assert len({count[1] for count in counts if count}) == 1
    calls = [run(programs["order"], ENGINES[0], "--calls").stderr for _ in range(2)]
    assert len({re.sub(r"0x[0-9a-f]+|\d+", "", text) for text in calls}) == 1
