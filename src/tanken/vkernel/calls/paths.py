"""Names in the file system: open access mkdir rmdir unlink rename link symlink readlink chmod chown mknod utimensat getcwd chdir umask.

Linux man-pages section 2; the guest's root is the host's, and the host does the work with the host user's rights.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import struct

from tanken.engine.memory import WRITE
from tanken.vkernel.calls.table import AT_FDCWD, Directory, Fd, Int, Path, Word, call
from tanken.vkernel.calls.table import path as path_at
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Process

AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_EACCESS, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x200, 0x200, 0x400, 0x1000
O_CLOEXEC = 0o2000000
SPLICE_F_NONBLOCK = 2
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


@call(257, host=True)
def openat(process: Process, directory: Directory, path: Path, flags: Int, mode: Int) -> int:
    number = process.descriptors.add(_open(process, directory, path, flags, mode & 0o7777), bool(flags & O_CLOEXEC))
    if path in (b"/proc/self/fd", b"/dev/fd", b"/proc/%d/fd" % os.getpid()):
        entry = process.descriptors.entry(number)
        entry.names = [b".", b"..", *(b"%d" % n for n in sorted(process.descriptors.table))]
    return number


def _open(process: Process, directory: int | None, path: bytes, flags: int, mode: int) -> int:
    """Opening a FIFO waits for who opens its other end: fifo(7)."""
    thread = process.threads.current
    waits = not flags & (os.O_NONBLOCK | os.O_PATH) and flags & os.O_ACCMODE != os.O_RDWR
    if not waits or not (process.threads.several or process.signals.actions) or not _is_fifo(directory, path):
        return os.open(path, flags, mode, dir_fd=directory)
    if not process.threads.several and thread.held is None:
        with process.signals.interruptible():
            return os.open(path, flags, mode, dir_fd=directory)

    def there() -> bool:
        if thread.held is None:
            try:
                thread.held = os.open(path, flags | os.O_NONBLOCK, mode, dir_fd=directory)
            except OSError as error:
                return error.errno != errno.ENXIO  # nobody reads
        return flags & os.O_ACCMODE == os.O_WRONLY or _has_writer(thread.held)

    process.threads.attempt(there)
    host, thread.held = thread.held, None
    if host is None:  # it fails for another reason, which the host knows
        return os.open(path, flags | os.O_NONBLOCK, mode, dir_fd=directory)
    os.set_blocking(host, True)
    return host


def _is_fifo(directory: int | None, path: bytes) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path, dir_fd=directory).st_mode)
    except OSError:
        return False


def _has_writer(host: int) -> bool:
    """Whether somebody has opened a FIFO for writing since we did for reading: without one, tee(2) says that this is the end."""
    poll = select.poll()
    poll.register(host, select.POLLIN)
    if poll.poll(0):
        return True
    ours, theirs = os.pipe()
    try:
        return syscall(276, host, theirs, 1, SPLICE_F_NONBLOCK) > 0
    except BlockingIOError:
        return True
    finally:
        os.close(ours)
        os.close(theirs)


@call(2, "open", host=True)
def open_(process: Process, path: Path, flags: Int, mode: Int) -> int:
    return openat(process, None, path, flags, mode)


@call(85, host=True)
def creat(process: Process, path: Path, mode: Int) -> int:
    return openat(process, None, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)


def _access(directory: int | None, path: bytes, mode: int, flags: int) -> int:
    if mode & ~7:
        return -errno.EINVAL
    effective, follow = bool(flags & AT_EACCESS), not flags & AT_SYMLINK_NOFOLLOW
    if os.access(path, mode, dir_fd=directory, effective_ids=effective, follow_symlinks=follow):
        return 0
    os.stat(path, dir_fd=directory, follow_symlinks=follow)  # says why, if it is not the rights
    return -errno.EACCES


@call(21, host=True)
def access(process: Process, path: Path, mode: Int) -> int:
    return _access(None, path, mode, 0)


@call(269, host=True)
def faccessat(process: Process, directory: Directory, path: Path, mode: Int) -> int:
    return _access(directory, path, mode, 0)


@call(439, host=True)
def faccessat2(process: Process, directory: Directory, path: Path, mode: Int, flags: Int) -> int:
    return _access(directory, path, mode, flags)


@call(258, host=True)
def mkdirat(process: Process, directory: Directory, path: Path, mode: Int) -> int:
    os.mkdir(path, mode & 0o7777, dir_fd=directory)
    return 0


@call(83, host=True)
def mkdir(process: Process, path: Path, mode: Int) -> int:
    return mkdirat(process, None, path, mode)


@call(84, host=True)
def rmdir(process: Process, path: Path) -> int:
    os.rmdir(path)
    return 0


@call(87, host=True)
def unlink(process: Process, path: Path) -> int:
    os.unlink(path)
    return 0


@call(263, host=True)
def unlinkat(process: Process, directory: Directory, path: Path, flags: Int) -> int:
    (os.rmdir if flags & AT_REMOVEDIR else os.unlink)(path, dir_fd=directory)
    return 0


@call(264, host=True)
def renameat(process: Process, old_directory: Directory, old: Path, new_directory: Directory, new: Path) -> int:
    os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)
    return 0


@call(316, host=True)
def renameat2(process: Process, old_directory: Directory, old: Path, new_directory: Directory, new: Path, flags: Int) -> int:
    """With flags (RENAME_NOREPLACE, RENAME_EXCHANGE) as without."""
    at = [AT_FDCWD if directory is None else directory for directory in (old_directory, new_directory)]
    return syscall(316, at[0], old + b"\0", at[1], new + b"\0", flags)


@call(82, host=True)
def rename(process: Process, old: Path, new: Path) -> int:
    return renameat(process, None, old, None, new)


@call(86, host=True)
def link(process: Process, old: Path, new: Path) -> int:
    os.link(old, new, follow_symlinks=False)
    return 0


@call(265, host=True)
def linkat(process: Process, old_directory: Directory, old: Path, new_directory: Directory, new: Path, flags: Int) -> int:
    os.link(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory, follow_symlinks=bool(flags & AT_SYMLINK_FOLLOW))
    return 0


@call(88, host=True)
def symlink(process: Process, target: Path, path: Path) -> int:
    os.symlink(target, path)
    return 0


@call(266, host=True)
def symlinkat(process: Process, target: Path, directory: Directory, path: Path) -> int:
    os.symlink(target, path, dir_fd=directory)
    return 0


@call(267, host=True)
def readlinkat(process: Process, directory: Directory, path: Word, buffer: Word, size: Int) -> int:
    """/proc/self/exe is the guest's program, not our interpreter."""
    if size <= 0:
        return -errno.EINVAL
    name = process.memory.text(path) or b""
    seen = path_at(process, path)
    target = seen if seen != name and not seen.startswith(b"/proc/self/fd/") else os.readlink(seen, dir_fd=directory)
    target = target[:size]
    process.memory.write(buffer, target, WRITE)
    return len(target)


@call(89, host=True)
def readlink(process: Process, path: Word, buffer: Word, size: Int) -> int:
    return readlinkat(process, None, path, buffer, size)


@call(90, host=True)
def chmod(process: Process, path: Path, mode: Int) -> int:
    os.chmod(path, mode & 0o7777)
    return 0


@call(91, host=True)
def fchmod(process: Process, fd: Fd, mode: Int) -> int:
    os.fchmod(fd, mode & 0o7777)
    return 0


@call(268, host=True)
def fchmodat(process: Process, directory: Directory, path: Path, mode: Int) -> int:
    os.chmod(path, mode & 0o7777, dir_fd=directory)
    return 0


@call(92, host=True)
def chown(process: Process, path: Path, user: Int, group: Int) -> int:
    os.chown(path, user, group)
    return 0


@call(93, host=True)
def fchown(process: Process, fd: Fd, user: Int, group: Int) -> int:
    os.fchown(fd, user, group)
    return 0


@call(94, host=True)
def lchown(process: Process, path: Path, user: Int, group: Int) -> int:
    os.lchown(path, user, group)
    return 0


@call(260, host=True)
def fchownat(process: Process, directory: Directory, path: Path, user: Int, group: Int, flags: Int) -> int:
    os.chown(path, user, group, dir_fd=directory, follow_symlinks=not flags & AT_SYMLINK_NOFOLLOW)
    return 0


@call(133, host=True)
def mknod(process: Process, path: Path, mode: Int, device: Word) -> int:
    os.mknod(path, mode, device)
    return 0


@call(259, host=True)
def mknodat(process: Process, directory: Directory, path: Path, mode: Int, device: Word) -> int:
    os.mknod(path, mode, device, dir_fd=directory)
    return 0


def _time(seconds: int, nanoseconds: int, now: int, old: int) -> int:
    return now if nanoseconds == UTIME_NOW else old if nanoseconds == UTIME_OMIT else seconds * 1_000_000_000 + nanoseconds


@call(280, host=True)
def utimensat(process: Process, directory: Directory, path: Word, times: Word, flags: Int) -> int:
    at = directory if path else None
    name: bytes | int = path_at(process, path) if path else b"." if directory is None else directory
    follow = not flags & AT_SYMLINK_NOFOLLOW or isinstance(name, int)
    if not times:
        os.utime(name, None, dir_fd=at, follow_symlinks=follow)
        return 0
    words = struct.unpack("<4q", process.memory.read(times, 32))
    import time

    now, old = time.time_ns(), os.stat(name, dir_fd=at, follow_symlinks=follow)
    pair = (_time(words[0], words[1], now, old.st_atime_ns), _time(words[2], words[3], now, old.st_mtime_ns))
    os.utime(name, ns=pair, dir_fd=at, follow_symlinks=follow)
    return 0


def _set_times(process: Process, path: bytes, times: int, form: str, unit: int) -> int:
    """Access and modification time as pairs of seconds and parts of `unit` nanoseconds; now where none are given."""
    if not times:
        os.utime(path)
        return 0
    words = struct.unpack(form, process.memory.read(times, struct.calcsize(form)))
    pairs = [(words[0], 0), (words[1], 0)] if len(words) == 2 else [words[:2], words[2:]]
    os.utime(path, ns=tuple(seconds * 1_000_000_000 + rest * unit for seconds, rest in pairs))
    return 0


@call(132, host=True)
def utime(process: Process, path: Path, times: Word) -> int:
    return _set_times(process, path, times, "<2q", 0)


@call(235, host=True)
def utimes(process: Process, path: Path, times: Word) -> int:
    return _set_times(process, path, times, "<4q", 1000)


@call(79, host=True)
def getcwd(process: Process, buffer: Word, size: Word) -> int:
    here = os.getcwdb() + b"\0"
    if len(here) > size:
        return -errno.ERANGE
    process.memory.write(buffer, here, WRITE)
    return len(here)


@call(80, host=True)
def chdir(process: Process, path: Path) -> int:
    os.chdir(path)
    return 0


@call(81, host=True)
def fchdir(process: Process, fd: Fd) -> int:
    os.fchdir(fd)
    return 0


@call(161, host=True)
def chroot(process: Process, path: Path) -> int:
    """Refused: the guest's root is the host's."""
    os.stat(path)
    return -errno.EPERM


@call(95, host=True)
def umask(process: Process, mode: Int) -> int:
    return os.umask(mode & 0o777)
