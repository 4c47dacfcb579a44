"""Writes cpio archives in the "newc" format, which Linux unpacks as its initial RAM disk; and one with busybox in it.

Linux Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import gzip
import stat
from collections.abc import Mapping
from pathlib import Path

from tanken.base.errors import InputError

MAGIC = b"070701"
TRAILER = "TRAILER!!!"
CONSOLE = (5, 1)
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox --install -s /bin
{before}echo "tanken: init runs"
{then}
"""
MODULES = """mount -t devtmpfs dev /dev
for module in /lib/modules/*; do insmod $module; done
"""
BUTTON = "acpid -l /dev/null\n"  # busybox's: reads the button's input device, and runs what stands below /etc/acpi
OFF = "#!/bin/sh\npoweroff -f\n"
SHELL = "setsid cttyhack sh; poweroff -f"


class Archive:
    """Entries in the order in which they are added."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._number = 0

    def _entry(self, name: str, mode: int, data: bytes = b"", links: int = 1, device: tuple[int, int] = (0, 0)) -> None:
        self._number += 1
        path = name.encode() + b"\0"
        fields = (self._number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(path), 0)
        head = MAGIC + b"".join(b"%08x" % field for field in fields) + path
        self._parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def folder(self, name: str, mode: int = 0o755) -> None:
        self._entry(name, stat.S_IFDIR | mode, links=2)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name: str, target: str) -> None:
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        """A character device."""
        self._entry(name, stat.S_IFCHR | mode, device=(major, minor))

    def bytes(self) -> bytes:
        """The archive, with its trailer, in whole blocks of 512 bytes."""
        parts, number = list(self._parts), self._number
        self._entry(TRAILER, 0)
        whole = b"".join(self._parts)
        self._parts, self._number = parts, number
        return whole + bytes(-len(whole) % 512)


def busybox(path: str | Path = "/bin/busybox", then: str = SHELL, packed: bool = True, modules: Mapping[str, bytes] | None = None) -> bytes:
    """An initrd whose init is a shell script of busybox (a static one), which goes on with `then`: by default a shell on the console.

    `modules` of the kernel are loaded in their order; with "button" and "evdev" the power button turns the machine off.
    """
    try:
        program = Path(path).read_bytes()
    except OSError as error:
        raise InputError(error.strerror or str(error), where=str(path), wanted="a static busybox", hint="apt-get install busybox-static") from error
    archive = Archive()
    for name in ("bin", "dev", "proc", "sys", "tmp"):
        archive.folder(name)
    archive.device("dev/console", *CONSOLE)
    archive.device("dev/null", 1, 3, 0o666)
    archive.device("dev/ttyS0", 4, 64)
    archive.file("bin/busybox", program, 0o755)
    archive.link("bin/sh", "busybox")
    before = MODULES if modules else ""
    if modules:
        archive.folder("lib")
        archive.folder("lib/modules")
        for number, (name, data) in enumerate(modules.items()):
            archive.file(f"lib/modules/{number}-{name}.ko", data)
        if {"button", "evdev"} <= set(modules):
            before += BUTTON
            for name in ("etc", "etc/acpi", "etc/acpi/PWRF"):
                archive.folder(name)
            archive.file("etc/acpi/PWRF/00000080", OFF.encode(), 0o755)
    archive.file("init", INIT.format(before=before, then=then).encode(), 0o755)
    data = archive.bytes()
    return gzip.compress(data, 6, mtime=0) if packed else data
