"""The example of docs/machine.md, run as it stands there: exits filtered and answered in the user's Python."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tanken.machine.guest import build
from tanken.machine.initrd import Archive

PAGE = Path(__file__).parents[3] / "docs" / "machine.md"


def example() -> str:
    """The code behind "From Python"."""
    text = PAGE.read_text().split("From Python", 1)[1].split("\n\n", 1)[1]
    return textwrap.dedent(text[: text.index("\n\n")])


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    code = example()
    assert len(code.splitlines()) == 10
    (tmp_path / "vmlinuz").write_bytes(build.bzimage())
    (tmp_path / "initrd.gz").write_bytes(gzip.compress(Archive().bytes()))
    (tmp_path / "example.py").write_text(code)
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    made = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, input=b"\roff\r", capture_output=True, timeout=120,
                          env={**os.environ, "TANKEN_NATIVE": "off", "PYTHONPATH": paths})  # fmt: skip
    out = made.stdout.decode()
    assert made.returncode == 0, made.stderr.decode()
    assert "command line: console=ttyS0" in out and "<Mmio address=0xfee000f0 size=4 write=True data=0x1ff>" in out and out.rstrip().endswith("<Ended reason=power-off text=>")
