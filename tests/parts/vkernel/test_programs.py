"""Debian's dynamically linked programs in tanken against the same on the host: the same command lines, the same output and status."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tanken.base.cache import root
from tanken.vkernel import engines

ROOT = Path(__file__).parents[3]
LINES = [line for line in (ROOT / "tests/vectors/programs.txt").read_text().splitlines() if line and not line.startswith("#")]
ELSEWHERE = not sys.platform.startswith("linux") or os.uname().machine != "x86_64"
SMALL, LARGE = ([line for line in LINES if line.startswith("+") is large] for large in (False, True))
# TANKEN_PROGRAMS=1 asks for all lines by the native engine; generated Python takes a minute for a megabyte.
NATIVE = LINES if os.environ.get("TANKEN_PROGRAMS") else SMALL[1::2] + LARGE[::8]
CHOSEN = [("python", line) for line in SMALL[::12]] + [("native", line) for line in NATIVE if engines.possible()]
SIZE = 1_200_000
pytestmark = pytest.mark.skipif(ELSEWHERE, reason="needs x86-64 Linux")


def text(size: int, seed: int) -> str:
    """Lines of words, always the same."""
    chance = random.Random(seed)
    words = ["".join(chance.choice("etaoinshrdlucmfw") for _ in range(chance.randint(1, 9))) for _ in range(3000)] + ["the"] * 200 + ["ancient"] * 5
    lines, length = [], 0
    while length < size:
        lines.append(" ".join(chance.choices(words, k=chance.randint(3, 14))) + ("\tend" if chance.random() < 0.1 else ""))
        length += len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that the command lines read."""
    place = tmp_path_factory.mktemp("files")
    words, chance = text(SIZE, 1), random.Random(2)
    binary = chance.randbytes(SIZE)
    contents = {
        "text": words.encode(), "copy": words.encode(), "sorted": "\n".join(sorted(words.splitlines())).encode() + b"\n",
        "numbers": "\n".join(str(chance.randint(-99999, 9_999_999)) for _ in range(150_000)).encode() + b"\n", "binary": binary,
        "small": b"banana\napple\ncherry\nmango\nbanana split and more words on a line\n", "pairs": b"a b\na b\nb c\n", "table": b"ann:x y:3\nbob:\tz:1\ncid:  w:20\n",
        "compressed.gz": gzip.compress(words.encode(), mtime=0), "compressed.xz": lzma.compress(words.encode(), preset=0), "compressed.bz2": bz2.compress(words.encode()),
        "deep/a": b"deep a\n", "deep/down/b": b"deep b\n",
    }  # fmt: skip
    for name, data in contents.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(place / "small", "small")
    (place / "small.tar").write_bytes(packed.getvalue())
    (place / "link").symlink_to("small")
    for path in sorted(place.rglob("*"), reverse=True):
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return place


def run(command: list[str], words: list[str], place: Path) -> tuple[bytes, int]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src") if command else "", "TZ": "UTC", "LC_ALL": "C.UTF-8", "TANKEN_CACHE": str(root())}
    done = subprocess.run([*command, *words], cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=900)
    return done.stdout, done.returncode if done.returncode >= 0 else 128 - done.returncode


@pytest.mark.parametrize(("engine", "line"), CHOSEN)
def test_same(engine: str, line: str, files: Path) -> None:
    words = shlex.split(line.lstrip("+"))
    if shutil.which(words[0], path="/usr/bin:/bin") is None:
        pytest.skip(f"{words[0]} is not installed")
    words[0] = str(shutil.which(words[0], path="/usr/bin:/bin"))
    native = run([], words, files)
    ours = run([sys.executable, "-m", "tanken.cli.main", "run", "--engine", engine], words, files)
    assert ours == native
