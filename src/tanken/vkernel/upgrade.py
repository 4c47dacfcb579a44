"""From generated Python to native code in the middle of a program: nobody waits for what a first run has to make.

The translator is made by a process of its own; when it is there, a running guest's memory is mapped directly and its registers go on in the
native engine, between two slices. Facts: `vkernel.engines`, `engine.native.space`.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tanken.vkernel import engines

if TYPE_CHECKING:
    from tanken.vkernel.process import Process

EVERY = 0.5  # seconds between two looks


class Upgrade:
    """Waits for the native engine on behalf of the processes that began without it."""

    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY
        self._done = False

    def __call__(self, process: Process) -> None:
        """Between two slices of `process`."""
        if self._done or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        if engines.made():
            self._done = True
            become_native(process)


def begin() -> None:
    """Start making what the native engine needs, unless somebody is at it already; it outlives this process."""
    lock = engines.lock_path()
    try:
        with open(lock, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    nothing = subprocess.DEVNULL
    making = "from tanken.vkernel import stencils; stencils.make_behind()"
    command = f"import os\nif not os.fork(): exec({making!r})"  # a child of nobody's: the guest, too, waits for its children
    subprocess.run([sys.executable, "-c", command], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, cwd="/", check=False)


def become_native(process: Process) -> bool:
    """Let the process go on in native code; False where it does already."""
    from tanken.engine.native.space import DirectSpace

    old = process.memory
    if isinstance(old, DirectSpace):
        return False
    memory = DirectSpace(old.top)
    for mapping in old.mappings():
        memory.map(mapping.start, mapping.length, mapping.prot, mapping.content, offset=mapping.offset, shared=mapping.shared)
    shared = [(mapping.start >> 12, mapping.end >> 12) for mapping in old.mappings() if mapping.shared is not None]
    for number in old.touched():
        if any(start <= number < end for start, end in shared):
            continue
        memory.write(number << 12, old.read(number << 12, 4096))
    process.engine.save()
    process.executed += process.engine.executed
    process.memory = memory
    process.engine = engines.native(process.state, memory)
    return True

