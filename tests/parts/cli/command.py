"""Runs the command in a process of its own, as a user does.

The exit status, the standard output and the error output come back as text.
"""

import os
import subprocess
import sys
from pathlib import Path

import tanken

SOURCE = Path(tanken.__file__).parent.parent


def tanken_command(*words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`python -m tanken WORDS`."""
    return python("-m", "tanken", *words, stdin=stdin, **environment)


def python(*words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """This Python with the sources in its path."""
    full = {**os.environ, "PYTHONPATH": str(SOURCE), **environment}
    return subprocess.run([sys.executable, *words], env=full, input=stdin, capture_output=True, timeout=170)
