"""The cache of compiled code: whose it is, what its name depends on, and two processes that begin at once.

XDG Base Directory Specification; mode 0700.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tanken.base import cache

SOURCE = Path(cache.PACKAGE).parent
FIRST = """
import sys
from tanken.base import cache
print(cache.writable("1"), flush=True)
sys.stdin.readline()
"""


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TANKEN_CACHE": str(folder), "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen([sys.executable, "-c", FIRST], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_at_once_write_to_different_places(tmp_path) -> None:
    first = start(tmp_path / "c")
    one = Path(first.stdout.readline().strip())
    (one / "code").write_text("compiled")
    second = start(tmp_path / "c")
    two = Path(second.stdout.readline().strip())
    assert one.parent == tmp_path / "c" and cache.is_own(one)
    assert two != one and cache.is_own(two) and (two / "code").read_text() == "compiled"
    for process in (first, second):
        process.communicate("\n")
        assert process.returncode == 0
    assert one.exists() and not two.exists()


def test_a_folder_open_to_others_is_not_used(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TANKEN_CACHE", str(tmp_path))
    path = cache.directory("2")
    path.mkdir()
    path.chmod(0o777)
    assert cache.writable.__wrapped__("2") != path


def test_name_depends_on_numba_and_folder(monkeypatch) -> None:
    monkeypatch.setenv("TANKEN_CACHE", "/somewhere")
    assert cache.directory("1") != cache.directory("2")
    assert str(cache.directory("1")).startswith("/somewhere/")
    monkeypatch.delenv("TANKEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache.root() == Path("/xdg/tanken")


@pytest.mark.parametrize("how", ["twice"])
def test_sources_hash_is_stable(how: str) -> None:
    assert cache.sources_hash.__wrapped__() == cache.sources_hash()
