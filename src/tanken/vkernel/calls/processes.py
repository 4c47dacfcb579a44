"""Processes: fork vfork clone execve wait4 waitid exit_group; what a thread is on its own stands in `threads`.

fork(2), clone(2), execve(2), wait4(2). A guest process is a host process: fork forks the interpreter, wait4 is the host's, and a guest's
end ends its host process with the same status.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterable

from tanken.base.errors import InputError, UnsupportedError, UsageError
from tanken.engine.memory import PAGE, READABLE, WRITE, Miss
from tanken.vkernel.calls.table import Int, Path, Word, call
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Exited, Process

CLONE_VM, CLONE_VFORK, CLONE_PARENT_SETTID, CLONE_CHILD_SETTID, CLONE_SETTLS = 0x100, 0x4000, 0x100000, 0x1000000, 0x80000
CLONE_THREAD, CLONE_SIGHAND, CLONE_PIDFD, CLONE_CHILD_CLEARTID, CLONE_CLEAR_SIGHAND = 0x10000, 0x800, 0x1000, 0x200000, 0x1_0000_0000
CLONE_ARGUMENTS, CLONE_FIELDS = 64, 11  # bytes of the first struct clone_args, words of the one that is known
CLONE_REFUSED = 0x7E02_0000  # new namespaces
CLONE_KNOWN = CLONE_REFUSED | 0x1_01FF_FF00 & ~0x40_0000  # no cgroup, nothing detached
ARGUMENTS = 65536
P_PIDFD = 3
PATIENCE = 0.002  # seconds between two looks at children, while there are threads
RUSAGE = struct.Struct("<4q14q")


def _fork(process: Process, shares: bool) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    if process.trace is not None:
        process.trace.out.flush()
    if shares:
        return _vfork(process)
    if hasattr(process.memory, "twin") and any(mapping.shared is not None and mapping.prot & WRITE for mapping in process.memory.mappings()):
        raise UnsupportedError("a fork with shared memory, of which the second engine has a copy", wanted="a program whose processes share none", hint="run it without --verify")
    child = os.fork()
    if not child:
        process.on_replace = None
        _begin_child(process)
    return child


def _begin_child(process: Process) -> None:
    """In the new host process: nobody but the guest may keep the ends of its pipes open."""
    process.is_child = True
    process.threads.alone()
    if process.waiting_parent is not None:
        os.close(process.waiting_parent)  # the child of a vforked one: not for it does the grandparent wait
        process.waiting_parent = None
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1) if process.trace is not None else (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


def _vfork(process: Process) -> int:
    """The parent waits until the child has another program or is gone, and then sees what the child stored meanwhile."""
    before = process.memory.fork()
    ours, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        with os.fdopen(ours, "rb") as file:
            data = file.read()
        for at in range(0, len(data), 4104):
            process.memory.write(int.from_bytes(data[at : at + 8], "little"), data[at + 8 : at + 4104])
        return child
    os.close(ours)
    _begin_child(process)

    process.waiting_parent = theirs

    def tell() -> None:
        process.on_replace = process.waiting_parent = None
        with os.fdopen(theirs, "wb") as file:
            for number in process.memory.touched():
                address = number << 12
                page = process.memory.read(address, 4096)
                try:
                    changed = before.read(address, 4096) != page
                except Miss:
                    changed = False
                if changed:
                    file.write(address.to_bytes(8, "little") + page)

    process.on_replace = tell
    return 0


@call(57, host=True)
def fork(process: Process) -> int:
    return _fork(process, False)


@call(58, host=True)
def vfork(process: Process) -> int:
    return _fork(process, True)


def _clone(process: Process, flags: int, stack: int, parent: int, child: int, tls: int, pidfd: int) -> int:
    if flags & CLONE_PIDFD and flags & CLONE_THREAD or flags & CLONE_CLEAR_SIGHAND and flags & CLONE_SIGHAND:
        return -errno.EINVAL
    if flags & CLONE_THREAD and not flags & CLONE_SIGHAND or flags & CLONE_SIGHAND and not flags & CLONE_VM:
        return -errno.EINVAL
    if flags & CLONE_REFUSED or (flags & CLONE_VM and not flags & (CLONE_VFORK | CLONE_THREAD)):
        return -errno.ENOSYS
    if flags & CLONE_THREAD:
        return _thread(process, flags, stack, parent, child, tls)
    number = _fork(process, bool(flags & CLONE_VFORK))
    if number:
        if flags & CLONE_PARENT_SETTID:
            process.memory.write(parent, struct.pack("<i", number), WRITE)
        if flags & CLONE_PIDFD:
            fd = process.descriptors.add(syscall(434, number, 0), True)
            process.memory.write(pidfd, struct.pack("<i", fd), WRITE)
        return number
    if flags & CLONE_CLEAR_SIGHAND:
        process.signals.forget_handlers()
    if stack:
        process.state.rsp = stack
    process.threads.current.clear = child if flags & CLONE_CHILD_CLEARTID else 0
    if flags & CLONE_CHILD_SETTID:
        process.memory.write(child, struct.pack("<i", os.getpid()), WRITE)
    if flags & CLONE_SETTLS:
        process.state.fs_base = tls
    return 0


def _thread(process: Process, flags: int, stack: int, parent: int, child: int, tls: int) -> int:
    thread = process.threads.add(stack, tls if flags & CLONE_SETTLS else None)
    for flag, place in ((CLONE_PARENT_SETTID, parent), (CLONE_CHILD_SETTID, child)):
        if flags & flag:
            process.memory.write(place, struct.pack("<i", thread.number), WRITE)
    thread.clear = child if flags & CLONE_CHILD_CLEARTID else 0
    return thread.number


@call(56, host=True)
def clone(process: Process, flags: Word, stack: Word, parent: Word, child: Word, tls: Word) -> int:
    if flags & CLONE_PIDFD and flags & CLONE_PARENT_SETTID:
        return -errno.EINVAL
    return _clone(process, flags & 0xFFFF_FF00, stack, parent, child, tls, parent)


@call(435, host=True)
def clone3(process: Process, arguments: Word, size: Word) -> int:
    """clone(2): numbers and cgroups of one's own choice are refused, and a child tells of its end by SIGCHLD."""
    if not CLONE_ARGUMENTS <= size <= PAGE:
        return -errno.EINVAL if size < CLONE_ARGUMENTS else -errno.E2BIG
    data = process.memory.read(arguments, size, READABLE)
    if any(data[8 * CLONE_FIELDS :]):
        return -errno.E2BIG
    words = struct.unpack(f"<{CLONE_FIELDS}Q", data[: 8 * CLONE_FIELDS].ljust(8 * CLONE_FIELDS, b"\0"))
    flags, pidfd, child, parent, ended, stack, stack_size, tls, numbers, count, _ = words
    wrong = flags & 0xFF or bool(stack) != bool(stack_size) or ended > 64 or (ended and flags & CLONE_THREAD)
    if wrong or flags & ~CLONE_KNOWN or bool(numbers) != bool(count):
        return -errno.EINVAL
    if count:
        return -errno.EPERM
    return _clone(process, flags, stack + stack_size, parent, child, tls, pidfd)


def _texts(process: Process, address: int) -> list[bytes]:
    texts: list[bytes] = []
    while address and len(texts) < ARGUMENTS:
        pointer = process.memory.load(address + 8 * len(texts), 8)
        if not pointer:
            return texts
        text = process.memory.text(pointer, 131072)
        if text is None:
            raise OSError(errno.E2BIG, "argument too long")
        texts.append(text)
    if address:
        raise OSError(errno.E2BIG, "too many arguments")
    return texts


@call(59)
def execve(process: Process, path: Path, arguments: Word, environment: Word) -> int:
    """Dynamic programs and foreign ones, which Linux could run, are told about on standard error and refused with ELIBACC."""
    words, variables = _texts(process, arguments), _texts(process, environment)
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        os.stat(path)
        return -errno.EACCES
    try:
        process.become(os.fsdecode(path), words, variables)
    except UnsupportedError as error:
        process.complain(f"execve: {error}")
        return -errno.ELIBACC
    except (InputError, UsageError) as error:
        return -errno.E2BIG if isinstance(error, UsageError) else -errno.ENOEXEC
    process.descriptors.on_exec()
    return 0


@call(231)
def exit_group(process: Process, status: Int) -> int:
    raise Exited(status & 255)


@call(61, host=True)
def wait4(process: Process, child: Int, status: Word, options: Int, usage: Word) -> int:
    """Waits where a signal may interrupt before it takes the child's status away."""
    if not options & os.WNOHANG and process.signals.actions and not process.threads.several:
        kind, which = (os.P_PID, child) if child > 0 else (os.P_ALL, 0) if child == -1 else (os.P_PGID, -child or os.getpgrp())
        with process.signals.interruptible():
            os.waitid(kind, which, os.WEXITED | os.WNOWAIT | (os.WSTOPPED if options & os.WUNTRACED else 0) | (os.WCONTINUED & options))
    several = process.threads.several and not options & os.WNOHANG
    number, how, used = os.wait4(child, options | (os.WNOHANG if several else 0))
    if several and not number:
        process.threads.look_again(PATIENCE)
    if number and status:
        process.memory.write(status, struct.pack("<i", how), WRITE)
    if number and usage:
        process.memory.write(usage, pack_usage(used), WRITE)
    return number


def pack_usage(used: Iterable[float]) -> bytes:
    """struct rusage of Python's."""
    numbers: tuple[float, ...] = tuple(used)
    times = [part for seconds in numbers[:2] for part in divmod(int(seconds * 1_000_000), 1_000_000)]
    return RUSAGE.pack(*times, *(int(number) for number in numbers[2:16]))


@call(247, host=True)
def waitid(process: Process, kind: Int, which: Int, info: Word, options: Int, usage: Word) -> int:
    """As wait4: a signal may interrupt the wait, and nothing is lost by it."""
    answer, used = bytearray(128), bytearray(RUSAGE.size)
    host = process.descriptors.host(which) if kind == P_PIDFD else which
    several = process.threads.several and not options & os.WNOHANG
    if not options & os.WNOHANG and process.signals.actions and not several:
        with process.signals.interruptible():
            syscall(247, kind, host, answer, options | os.WNOWAIT, 0)
    syscall(247, kind, host, answer, options | (os.WNOHANG if several else 0), used)
    if several and not any(answer[12:16]):  # si_pid: nobody yet
        process.threads.look_again(PATIENCE)
    if info:
        process.memory.write(info, answer, WRITE)
    if usage:
        process.memory.write(usage, used, WRITE)
    return 0


@call(158)
def arch_prctl(process: Process, code: Int, address: Word) -> int:
    """ARCH_SET_FS, ARCH_GET_FS, ARCH_SET_GS, ARCH_GET_GS; what else there is (shadow stacks) is not."""
    if code in (0x1001, 0x1002):
        if address >= 1 << 47:
            return -errno.EPERM
        setattr(process.state, "gs_base" if code == 0x1001 else "fs_base", address)
        return 0
    if code in (0x1003, 0x1004):
        value = process.state.fs_base if code == 0x1003 else process.state.gs_base
        process.memory.write(address, value.to_bytes(8, "little"), WRITE)
        return 0
    return -errno.EINVAL
