"""Makes stencils ahead of time: those of the code that nearly every program runs, the C library and its loader, and of a few large programs.

The translator itself goes through their code from end to end and says what it misses; nothing of it is run.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from tanken import elf
from tanken.base.errors import TankenError
from tanken.engine.memory import EXEC, OFFSET, READ
from tanken.engine.native import share
from tanken.engine.native.engine import Native
from tanken.engine.native.space import DirectSpace
from tanken.isa.x86.state import State
from tanken.vkernel import engines

PROGRAMS = ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/bin/bash", "/usr/bin/sort", "/usr/bin/python3")
FIRST = 0x1000_0000
EXECUTABLE = 1  # PF_X


def make(target: Any, store: Any, paths: tuple[str, ...] = PROGRAMS) -> int:
    """Make, and keep, what these files need beyond what is there, on two processors where there are; how many stencils there are then."""
    memory = DirectSpace()
    places, at = [], FIRST
    for path in paths:
        for code in _code(path):
            memory.map(at, len(code), READ | EXEC)
            memory.write(at, code)
            places.append((at, at + len(code)))
            at += (len(code) + OFFSET & ~OFFSET) + OFFSET + 1

    def sweep(engine: Native) -> None:
        for start, end in places:
            engine.sweep(start, end)

    if len(os.sched_getaffinity(0)) > 1:
        share.make(lambda: Native(State(), memory, target, store), sweep)
    engine = Native(State(), memory, target, store)
    sweep(engine)
    engine.save()
    return int(engine.tab[engine.N.STENCIL_COUNT])


def make_behind() -> None:
    """All that a first run lacks, while it runs; nothing where another process is making it."""
    os.nice(10)
    with engines.lock_path().with_name("making.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        make(*engines.parts())


def _code(path: str) -> list[bytes]:
    """The executable segments of an object; none where there is no such file, or it is no object."""
    try:
        data = Path(path).read_bytes()
        segments = elf.read(data, path).segments
    except (OSError, TankenError):
        return []
    return [data[s.offset : s.offset + s.file_size] for s in segments if s.type == 1 and s.flags & EXECUTABLE]
