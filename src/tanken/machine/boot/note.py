"""The note by which an ELF file says that it is a kernel with a 32-bit entry: light to import, for whoever asks of each program.

Xen docs/misc/pvh.pandoc and xen/include/public/elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY (18).
"""

from __future__ import annotations

from tanken.elf.reader import Elf

PHYS32_ENTRY = 18


def entry(image: Elf) -> int | None:
    """The physical address of the 32-bit entry, None where the file has no such note."""
    for note in image.notes:
        if note.owner == "Xen" and note.type == PHYS32_ENTRY:
            return int.from_bytes(note.description, "little")
    return None
