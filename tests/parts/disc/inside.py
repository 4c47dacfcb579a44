"""Runs the command within this process: what `tanken_command` does, without the start of another Python, which takes most of a short command's time.

Each verb of discs is also run as a user runs it, in a process of its own.
"""

import io
import sys
from subprocess import CompletedProcess

from tanken.cli.main import main


def tanken_inside(*words: str) -> CompletedProcess[bytes]:
    """The exit status and what was written, as from a process."""
    before, streams = (sys.stdout, sys.stderr), [io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2)]
    sys.stdout, sys.stderr = streams
    try:
        status = main(words)
    finally:
        sys.stdout, sys.stderr = before
    return CompletedProcess(words, status, *(stream.buffer.getvalue() for stream in streams))  # type: ignore[attr-defined]
