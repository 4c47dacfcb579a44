"""What is wrong with a font, as values: a rule, how bad it is, where, and what it means.

Reading never stops at the first one: a part that cannot be read is left out and said so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tanken.base.records import Record

NOTE, WARNING, ERROR = "note", "warning", "error"
LEVELS = (NOTE, WARNING, ERROR)


@dataclass(frozen=True, slots=True, repr=False)
class Problem(Record):
    """One finding; `offset` counts from the beginning of the file, -1 where there is none; `glyph` is -1 where it is none's."""

    HEX: ClassVar[frozenset[str]] = frozenset({"offset"})

    rule: str
    level: str
    message: str
    offset: int = -1
    glyph: int = -1
    glyph_name: str = ""
    place: str = ""  # charstring, or local 7, global 3
    operator: str = ""
    stack: int = -1  # numbers on the stack before the operator
    fix: str = ""
    readers: str = ""  # who reads which of two values that disagree

    def line(self) -> str:
        """As people read it."""
        where = "".join((
            f" at {self.offset:#x}" if self.offset >= 0 else "",
            f", glyph {self.glyph} {self.glyph_name}".rstrip() if self.glyph >= 0 else "",
            f", in {self.place}" if self.place else "",
            f", operator {self.operator}" if self.operator else "",
            f", {self.stack} on the stack" if self.stack >= 0 else "",
        ))  # fmt: skip
        tail = "".join(f"\n    {word}: {text}" for word, text in (("read by", self.readers), ("to do", self.fix)) if text)
        return f"{self.level}: {self.rule}: {self.message}{where}{tail}"
