"""The page that ports a Unicorn script: both scripts, as they stand there, print the same."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs/hooks.md").read_text()
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def printed(script: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(script, {"__name__": "__main__"})
    return out.getvalue()


def test_both_scripts_print_the_same() -> None:
    pytest.importorskip("unicorn")
    ported = printed(SCRIPTS[1])
    assert ported.startswith("b'hello' 36 5 (6295552, 1, 104)")
    assert ported == printed(SCRIPTS[0])
