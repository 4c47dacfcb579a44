"""Where compiled code is kept: a directory of the user's own, named after everything that decides what the code must be.

`<user cache>/tanken/<version>-<python>-<numba>-<processor>-<kernel sources>`, mode 0700 (XDG Base Directory Specification);
TANKEN_CACHE names another place.

Numba writes the index of a function before its code, and two processes that write at once can mix them up. So only the
process that holds the lock writes there. Another one that starts meanwhile works on a copy of its own and throws it away.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import tanken

PACKAGE = Path(tanken.__file__).parent
MARK = b"from tanken.base.native import "
DIGEST = 16  # bytes of the check before what is stored
OLD = 60 * 86400  # seconds after which an unused cache of another version is removed
_held: list[int] = []


def root() -> Path:
    """The directory of all of tanken's caches; it need not exist yet."""
    named = os.environ.get("TANKEN_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tanken"


@cache
def sources_hash() -> str:
    """A hash of the kernel modules and of everything beside and directly above them, whose constants they hold compiled in."""
    folders = {path.parent for path in PACKAGE.rglob("*.py") if MARK in path.read_bytes()}
    folders |= {folder.parent for folder in folders}
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        import platform

        text = platform.processor()
    features = next((line for line in text.splitlines() if line.startswith("flags")), text)
    return f"{os.uname().machine}_{hashlib.sha256(features.encode()).hexdigest()[:8]}"


def directory(numba_version: str) -> Path:
    """The cache directory of this version, Python, Numba, processor and kernel sources; it need not exist yet."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    return root() / f"{tanken.__version__}-{python}-{numba_version}-{_processor()}-{sources_hash()}"


def engine_directory(numba_version: str) -> Path:
    """The same for files whose own names say which sources they were made from: what every start reads, and no start can wait for."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    return root() / f"engine-{tanken.__version__}-{python}-{numba_version}-{_processor()}"


def is_own(path: Path) -> bool:
    """Whether `path` is a directory of this user's that nobody else may enter."""
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def stored(name: str, key: str, make: Callable[[], bytes]) -> bytes:
    """What `make` made for this `key`, kept on disk under `name`; `key` is a hash of everything that decides it.

    A damaged file, one of another key, or a folder that others may enter is as if nothing were there. Written whole or not at all.
    """
    path = root() / "made" / f"{name}-{key}"
    try:
        data = path.read_bytes() if is_own(path.parent) else b""
    except OSError:
        data = b""
    if data and hashlib.blake2b(data[DIGEST:], digest_size=DIGEST).digest() == data[:DIGEST]:
        return data[DIGEST:]
    made = make()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_own(path.parent):
            handle, temporary = tempfile.mkstemp(prefix=name, dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.blake2b(made, digest_size=DIGEST).digest() + made)
            os.replace(temporary, path)
            for other in path.parent.glob(f"{name}-*"):
                if other != path and time.time() - other.stat().st_mtime > OLD:
                    other.unlink()
    except OSError:
        pass  # it is made again next time
    return made


def _private() -> Path:
    path = tempfile.mkdtemp(prefix="tanken-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def remove_old(keep: Path) -> None:
    """Remove the directories beside `keep` that nobody has used for long."""
    for path in keep.parent.iterdir():
        if path != keep and path.is_dir() and time.time() - path.stat().st_mtime > OLD:
            shutil.rmtree(path, ignore_errors=True)


def _lock(path: Path) -> bool:
    handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    _held.append(handle)  # held until the process ends
    os.utime(path)
    return True


@cache
def writable(numba_version: str) -> Path:
    """A directory that this process alone writes: the cache, or a copy of it where another process holds it or it is not ours."""
    path = directory(numba_version)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_own(path):
            return _private()
        if _lock(path):
            remove_old(path)
            return path
        return Path(shutil.copytree(path, _private(), dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock", "*.tmp*")))
    except (OSError, shutil.Error):
        return _private()
