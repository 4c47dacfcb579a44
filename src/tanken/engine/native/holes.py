"""Machine code with holes, as it is cut from an object and kept.

System V ABI AMD64 supplement 4.4 (relocations).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relocation:
    """A hole: at which byte, of which ELF type, for which symbol, plus what."""

    offset: int
    type: int
    symbol: str
    addend: int


@dataclass(frozen=True, slots=True)
class Code:
    """The bytes of a function and its holes."""

    code: bytes
    relocations: tuple[Relocation, ...]
