"""The wheel: what is installed holds the tables, and nothing but the package.

PyPA binary distribution format.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_wheel_holds_the_tables(tmp_path) -> None:
    pytest.importorskip("hatchling", reason="no hatchling to build a wheel with")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    kinds = ("*.map", "*.table", "*.codes", "*.npz", "*.regs", "*.layout", "kernel.*")
    tables = [path.relative_to(ROOT / "src").as_posix() for kind in kinds for path in (ROOT / "src").rglob(kind)]
    assert "tanken/isa/x86/opcodes.map" in tables and not set(tables) - set(names)
    assert all(name.startswith(("tanken/", "tanken-")) for name in names)
