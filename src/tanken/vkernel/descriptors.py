"""The descriptors of a guest process: its own small numbers, each for an open descriptor of the host under whatever number the host gave.

open(2), dup(2), fcntl(2): the lowest free number is taken, close-on-exec belongs to the number, offset and status flags to the open file
description, which the host keeps. What the guest closes is closed here and nowhere else, so it cannot take a descriptor away from us.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class Descriptor:
    """An entry: the host's number, whether execve closes it, and for a listing of descriptors the names still to be given."""

    host: int
    close_on_exec: bool = False
    names: list[bytes] | None = None


@dataclass
class Descriptors:
    """Guest number -> Descriptor; an unknown number is OSError EBADF."""

    table: dict[int, Descriptor] = field(default_factory=dict)
    limit: int = field(default_factory=lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # numbers are below it

    @classmethod
    def inherit(cls) -> Descriptors:
        """Copies, under their numbers, of what a program started by this process would find open."""
        new = cls()
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # the listing's own is closed by now
                if os.get_inheritable(int(name)):
                    new.table[int(name)] = Descriptor(os.dup(int(name)))
        return new

    def entry(self, number: int) -> Descriptor:
        found = self.table.get(number)
        if found is None:
            raise OSError(errno.EBADF, f"no descriptor {number}")
        return found

    def host(self, number: int) -> int:
        """The host's number for the guest's."""
        return self.entry(number).host

    def add(self, host: int, close_on_exec: bool = False, lowest: int = 0) -> int:
        """The lowest free number from `lowest` on for a descriptor of the host, which is closed where there is none (EMFILE)."""
        number = lowest
        while number in self.table:
            number += 1
        if number >= self.limit:
            os.close(host)
            raise OSError(errno.EMFILE, "too many descriptors")
        self.table[number] = Descriptor(host, close_on_exec)
        return number

    def duplicate(self, number: int, close_on_exec: bool = False, lowest: int = 0) -> int:
        """Another number for the same open file: dup(2), F_DUPFD."""
        if not 0 <= lowest < self.limit:
            raise OSError(errno.EINVAL, f"no descriptor can be {lowest}")
        return self.add(os.dup(self.host(number)), close_on_exec, lowest)

    def replace(self, old: int, new: int, close_on_exec: bool = False) -> int:
        """The number `new` for the file of `old`, in place of what it was: dup3(2)."""
        if not 0 <= new < self.limit:
            raise OSError(errno.EBADF, f"no descriptor can be {new}")
        host = os.dup(self.host(old))
        before = self.table.get(new)
        self.table[new] = Descriptor(host, close_on_exec)
        if before is not None:
            os.close(before.host)
        return new

    def close(self, number: int) -> None:
        host = self.entry(number).host
        del self.table[number]
        os.close(host)

    def close_range(self, numbers: Iterator[int]) -> None:
        """Close those of the numbers that are open."""
        for number in list(numbers):
            if number in self.table:
                self.close(number)

    def on_exec(self) -> None:
        """Close what is closed by execve."""
        self.close_range(number for number, entry in self.table.items() if entry.close_on_exec)
