"""Memory that others see too: a file's, or nobody's but what forks share; of the host, shown at one of its addresses.

mmap(2) and mremap(2) of Linux (MAP_SHARED; an old size of 0 shows shared memory once more), open(2) (O_PATH). A guest's mappings show such views,
or, where its memory is mapped directly, the same object once more at their own place.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from weakref import WeakValueDictionary

from tanken.engine.mappings import OFFSET, PAGE
from tanken.engine.native import host as H

UNLIMITED = 1 << 62


class Object:
    """What is shared; two views of one object are of the same bytes.

    Of a file an O_PATH descriptor is kept, which tells its size and whose closing, unlike that of others, releases no lock (fcntl(2)).
    """

    def __init__(self, length: int = UNLIMITED, probe: int | None = None) -> None:
        self.length, self.probe = length, probe

    @property
    def is_file(self) -> bool:
        return self.probe is not None

    def size(self) -> int:
        """Bytes that can be touched: whole pages."""
        return self.length if self.probe is None else os.fstat(self.probe).st_size + OFFSET & ~OFFSET

    def __del__(self) -> None:
        if getattr(self, "probe", None) is not None:
            os.close(self.probe)  # type: ignore[arg-type]


_files: WeakValueDictionary[tuple[int, int], Object] = WeakValueDictionary()


def _object(fd: int) -> Object:
    """That of an open file: always the same one while there is a view of it."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return Object()
    key = status.st_dev, status.st_ino
    found = _files.get(key)
    if found is None:
        found = _files[key] = Object(probe=os.open(f"/proc/self/fd/{fd}", os.O_PATH | os.O_CLOEXEC))
    return found


# LOCK CMPXCHG as a function of System V's calling convention: (address, old, new), in halves where they are 16 bytes; whether it was done
END = "0f94c0 0fb6c0"
SWAPS = {
    1: f"89f0 f00fb017 {END} c3", 2: f"89f0 66f00fb117 {END} c3", 4: f"89f0 f00fb117 {END} c3", 8: f"4889f0 f0480fb117 {END} c3",
    16: f"53 4889f0 4889cb 4c89c1 f0480fc70f {END} 5b c3",
}  # fmt: skip


@cache
def _swapping(size: int) -> Callable[..., int]:
    return H.function_of(bytes.fromhex(SWAPS[size]), 3 if size < 16 else 5)


@dataclass(eq=False)
class Shared:
    """`length` bytes of an object from `first` on, at `address` of the host until nobody has this any more."""

    object: Object
    first: int
    length: int
    address: int
    writable: bool

    def __post_init__(self) -> None:
        self._bytes = H.view(self.address, self.length)

    def __del__(self) -> None:
        H.unmap_memory(self.address, self.length)

    @classmethod
    def anonymous(cls, length: int) -> Shared:
        """Zeros of whole pages."""
        address = H.map_memory(length, H.PROT_READ | H.PROT_WRITE, H.MAP_SHARED | H.MAP_ANONYMOUS)
        return cls(Object(length), 0, length, address, True)

    @classmethod
    def of_file(cls, fd: int, offset: int, length: int, write: bool) -> Shared:
        """The bytes of an open file, where `write` says so to be written to; OSError as mmap(2)."""
        for rights in (H.PROT_READ | H.PROT_WRITE, H.PROT_READ):
            try:
                address = H.map_memory(length, rights, H.MAP_SHARED, fd=fd, offset=offset)
            except PermissionError:
                if write or rights == H.PROT_READ:
                    raise
                continue
            return cls(_object(fd), offset, length, address, rights != H.PROT_READ)
        raise AssertionError("the second attempt raises")

    def covering(self, offset: int, length: int) -> Shared:
        """A view that has these bytes of the object, from one of this view's on: itself, or a longer one."""
        if offset + length <= self.first + self.length:
            return self
        return Shared(self.object, offset, length, self.show(offset, length), self.writable)

    def show(self, offset: int, length: int, at: int | None = None) -> int:
        """Show the object once more from `offset` on, at this address of the host or anywhere: where."""
        return H.remap_memory(self.address + offset - self.first, 0, length, at)

    def page(self, place: int) -> memoryview:
        """The page there, which must not lie behind the object's end."""
        return self._bytes[place - self.first : place - self.first + PAGE]

    def copy(self) -> Shared:
        """Memory of its own with the bytes of the object up to this view's end."""
        new = Shared.anonymous(self.first + self.length)
        there = min(self.object.size() - self.first, self.length)
        if there > 0:
            new._bytes[self.first : self.first + there] = self._bytes[:there]
        return new

    def swap(self, place: int, size: int, old: int, new: int) -> bool:
        """Store `new` there if `old` is there: no other process comes in between."""
        half = (1 << 64) - 1
        at = self.address + place - self.first
        words = (old, new) if size < 16 else (old & half, old >> 64, new & half, new >> 64)
        return bool(_swapping(size)(at, *words))

    def sync(self, offset: int, length: int, flags: int) -> None:
        """Write it to the file, as msync(2)."""
        H.sync_memory(self.address + offset - self.first, length, flags)
