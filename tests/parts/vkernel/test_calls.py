"""Every system call of the table in small guests written for it: the same output and status as natively, and none left out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tanken.base.cache import root
from tanken.vkernel.calls import table

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "tests/guest/calls").glob("*.c"))
FLAGS = ["-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-tree-loop-distribute-patterns", "-fcf-protection=none", "-w"]
ELSEWHERE = not sys.platform.startswith("linux") or os.uname().machine != "x86_64"
pytestmark = pytest.mark.skipif(ELSEWHERE or shutil.which("gcc") is None or not os.path.exists("/bin/busybox"), reason="needs gcc and busybox-static on x86-64 Linux")
TANKEN = [sys.executable, "-m", "tanken.cli.main", "run"]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The guests, compiled."""
    place = tmp_path_factory.mktemp("guests")
    for source in SOURCES:
        subprocess.run(["gcc", *FLAGS, "-o", place / source.stem, source], check=True)
    return {source.stem: place / source.stem for source in SOURCES}


def _no_signals_blocked() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def run(command: list[str], program: Path, place: Path) -> tuple[str, int]:
    place.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "TANKEN_CACHE": str(root())}
    done = subprocess.run(
        [*command, program], cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, preexec_fn=_no_signals_blocked
    )
    return done.stdout.decode(), done.returncode if done.returncode >= 0 else 128 - done.returncode


@pytest.mark.parametrize("name", [source.stem for source in SOURCES])
def test_as_natively(name: str, programs: dict[str, Path], tmp_path: Path) -> None:
    native = run([], programs[name], tmp_path / "native")
    ours = run(TANKEN, programs[name], tmp_path / "tanken")
    different = [pair for pair in zip(ours[0].splitlines(), native[0].splitlines(), strict=False) if pair[0] != pair[1]]
    assert not different
    assert ours == native


def test_none_is_left_out(programs: dict[str, Path], tmp_path: Path) -> None:
    """What the guests call, by their traces, is the table."""
    called: set[int] = set()
    for name, program in programs.items():
        run([*TANKEN, "--calls", "--json", "--to", str(tmp_path / f"{name}.json")], program, tmp_path / name)
        called |= {json.loads(line)["number"] for line in (tmp_path / f"{name}.json").read_text().splitlines()}
    ended = {60, 231, 15}  # they have no answer, so that no line says them: `processes` ends by both, `signals` comes back
    assert {entry.name for number, entry in table().items() if number not in called | ended} == set()
