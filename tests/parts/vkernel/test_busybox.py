"""busybox in tanken against busybox on the host: the same command lines, the same output and status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tanken.base.cache import root

BUSYBOX = "/bin/busybox"
ROOT = Path(__file__).parents[3]
LINES = [line for line in (ROOT / "tests/vectors/busybox.txt").read_text().splitlines() if line and not line.startswith("#")]
NATIVE = not sys.platform.startswith("linux") or os.uname().machine != "x86_64" or not os.path.exists(BUSYBOX)
pytestmark = pytest.mark.skipif(NATIVE, reason="needs busybox-static on x86-64 Linux")

FILES = {
    "words": "banana\napple\ncherry\nmango\nbanana\n",
    "other": "banana\napples\ncherry\nmango\n",
    "numbers": "10\n9\n200\n-3\n7\n",
    "table": "ann:x y:3\nbob:\tz:1\ncid:  w:20\n",
    "pairs": "a b\nb c\n",
    "empty": "",
}


@pytest.fixture(scope="session")
def applets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with busybox under the name of each applet, for PATH."""
    place = tmp_path_factory.mktemp("applets")
    for name in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        (place / name).symlink_to(BUSYBOX)
    return place


def prepare(place: Path) -> None:
    """The files that the command lines work on, with fixed times."""
    (place / "deep/down").mkdir(parents=True)
    for name, text in (FILES | {"deep/a": "deep a\n", "deep/down/b": "deep b\n"}).items():
        (place / name).write_text(text)
    (place / "binary").write_bytes(bytes(range(48)) + b"some text inside" + bytes(range(200, 256)) * 40)
    for path in sorted(place.rglob("*"), reverse=True):
        os.utime(path, (1_600_000_000, 1_600_000_000))


def run(command: list[str], line: str, place: Path, path: Path) -> tuple[bytes, int]:
    """What the command line writes to standard output, and its status as a shell would tell it."""
    place.mkdir()
    prepare(place)
    environment = {"PATH": str(path), "PYTHONPATH": str(ROOT / "src"), "TZ": "UTC", "HOME": "/", "TANKEN_CACHE": str(root())}
    done = subprocess.run([*command, BUSYBOX, "sh", "-c", line], cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=170)
    return done.stdout, done.returncode if done.returncode >= 0 else 128 - done.returncode


@pytest.mark.parametrize("line", LINES)
def test_same(line: str, tmp_path: Path, applets: Path) -> None:
    native = run([], line, tmp_path / "native", applets)
    ours = run([sys.executable, "-m", "tanken.cli.main", "run"], line, tmp_path / "tanken", applets)
    assert ours == native
