"""System calls: a table of number and function, one small file a family; errors come back as negative numbers of errno.

The numbers are those of the Linux x86-64 ABI (arch/x86/entry/syscalls: stable by promise); syscalls(2) names their man pages.
"""

from __future__ import annotations

import errno
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from tanken.engine.memory import Miss
from tanken.vkernel.calls.table import ARGUMENTS, CONVERT, TABLE, Call, Restart, plain
from tanken.vkernel.signals import RESTARTED
from tanken.vkernel.threads import SYSCALL, Blocked

if TYPE_CHECKING:
    from tanken.vkernel.process import Process

FAMILIES = (
    "files", "paths", "status", "attributes", "descriptors", "events", "sockets", "memory", "processes", "threads", "signals", "identity", "system", "times",
    "waiting", "passed",
)  # fmt: skip


@cache
def table() -> dict[int, Call]:
    """All calls by number."""
    for family in FAMILIES:
        import_module(f"{__name__}.{family}")
    return TABLE


def serve(process: Process) -> None:
    """Do the call that the registers ask for; whatever the guest hands over, the answer is a number in RAX."""
    state = process.state
    number, before = state.rax, state.rip
    call = table().get(number)
    raw = [state.regs[n] for n in ARGUMENTS]
    shown = plain(process, call, raw) if process.trace is not None else []
    if call is None:
        result = -errno.ENOSYS
    else:
        try:
            result = _answer(process, call, raw)
        except Blocked as blocked:
            blocked.wait.call = call.name
            process.threads.current.wait = blocked.wait
            state.rip = before - SYSCALL
            return
        process.threads.current.begin()
    if process.trace is not None:
        process.trace.call(number, call, shown, result)
    if result == -Restart.NUMBER:
        process.state.rip, process.state.rax = before - SYSCALL, number
        return
    process.state.rax = result & 0xFFFF_FFFF_FFFF_FFFF


def _answer(process: Process, call: Call, raw: list[int]) -> int:
    try:
        return call.function(process, *[CONVERT[kind](process, word) for kind, word in zip(call.kinds, raw, strict=False)])
    except Miss:
        return -errno.EFAULT
    except InterruptedError:
        return -Restart.NUMBER if call.name in RESTARTED and process.signals.restarts() else -errno.EINTR
    except OSError as error:
        return -(error.errno or errno.EIO)
    except OverflowError:
        return -errno.EINVAL
    except ValueError:
        return -errno.EINVAL
    except MemoryError:
        return -errno.ENOMEM
    finally:
        process.signals.waiting = False
