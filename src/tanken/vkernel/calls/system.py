"""The system: uname sysinfo getrandom sethostname and what is refused.

uname(2), sysinfo(2), getrandom(2).
"""

from __future__ import annotations

import errno
import os
import struct
import time

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import Int, Word, call
from tanken.vkernel.process import Process

LARGEST_RANDOM = 1 << 20


@call(63, host=True)
def uname(process: Process, buffer: Word) -> int:
    """The host's names; the machine is always x86_64."""
    host = os.uname()
    fields = (host.sysname, host.nodename, host.release, host.version, "x86_64", "(none)")
    process.memory.write(buffer, b"".join(os.fsencode(text)[:64].ljust(65, b"\0") for text in fields), WRITE)
    return 0


@call(99, host=True)
def sysinfo(process: Process, buffer: Word) -> int:
    """Memory, load and time since the start, of the host."""
    page, pages, free = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_AVPHYS_PAGES")
    loads = [int(load * 65536) for load in os.getloadavg()]
    data = struct.pack("<q3Q6QHHxxxxQQI4x", int(time.clock_gettime(time.CLOCK_BOOTTIME)), *loads, pages * page, free * page, 0, 0, 0, 0, 1, 0, 0, 0, 1)
    process.memory.write(buffer, data, WRITE)
    return 0


@call(318, host=True)
def getrandom(process: Process, buffer: Word, count: Word, flags: Int) -> int:
    if flags & ~7:
        return -errno.EINVAL
    data = os.urandom(min(count, LARGEST_RANDOM))
    if data:
        process.memory.write(buffer, data, WRITE)
    return len(data)
