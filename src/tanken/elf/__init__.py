"""ELF objects: sections, segments, symbols, notes and dynamic entries of 32 and 64-bit little-endian files.

System V ABI, chapters 4 and 5, with its x86 supplements.
"""

from __future__ import annotations

from tanken.elf.reader import Elf, Section, Segment, Symbol, open, read, read_file

__all__ = ["Elf", "Section", "Segment", "Symbol", "open", "read", "read_file"]
