"""Memory that others see too: views of files and code written through other mappings, in small guests: the same output as natively."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tanken.base.cache import root
from tanken.vkernel import engines

ROOT = Path(__file__).parents[3]
FREE = ["-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-tree-loop-distribute-patterns", "-fcf-protection=none"]
GUESTS = {"code": FREE, "views": FREE, "pair": ["-pthread"]}
ELSEWHERE = not sys.platform.startswith("linux") or os.uname().machine != "x86_64"
pytestmark = pytest.mark.skipif(ELSEWHERE or shutil.which("gcc") is None, reason="needs gcc on x86-64 Linux")
ENGINES = ("native", "python", "reference") if engines.possible() else ("python", "reference")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The guests, statically linked."""
    place = tmp_path_factory.mktemp("shared")
    for name, flags in GUESTS.items():
        source = ROOT / "tests/guest/shared" / f"{name}.c"
        subprocess.run(["gcc", "-O1", "-w", "-static", *flags, "-o", place / name, source], check=True)
    return {name: place / name for name in GUESTS}


def run(program: Path, place: Path, engine: str = "", *options: str) -> tuple[str, int]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "TANKEN_CACHE": str(root())}
    ours = [sys.executable, "-m", "tanken.cli.main", "run", "--engine", engine, *options] if engine else []
    done = subprocess.run([*ours, str(program)], cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    return done.stdout, done.returncode


@pytest.mark.parametrize("name", GUESTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_as_natively(programs: dict[str, Path], tmp_path: Path, name: str, engine: str) -> None:
    assert run(programs[name], tmp_path, engine) == run(programs[name], tmp_path)


def test_budgets_end_anywhere(programs: dict[str, Path], tmp_path: Path) -> None:
    """Code that changes through another mapping, stopped: both engines have come as far."""
    for budget in (300, 1001, 5003, 9999):
        ends = {run(programs["code"], tmp_path, engine, "--budget", str(budget)) for engine in ENGINES}
        assert len(ends) == 1 and ends.pop()[1] == 124


def test_verify_stops_before_processes_share_memory(programs: dict[str, Path], tmp_path: Path) -> None:
    """The second engine has a copy, which the other process does not change: it would wait for ever."""
    assert run(programs["pair"], tmp_path, ENGINES[0], "--verify")[1] == 1
