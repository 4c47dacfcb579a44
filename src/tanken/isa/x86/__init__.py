"""The x86 instruction set: decode bytes in 16, 32 and 64-bit mode, print them as Intel or AT&T text, know the row behind them.

Intel SDM Vol. 2 with its Appendix A, and AMD APM Vol. 3 to 6; text as GNU objdump 2.40 prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tanken.isa.x86.bulk import decode_array, text_lines
    from tanken.isa.x86.inst import Inst, decode, disassemble
    from tanken.isa.x86.rows import find_rows, forms, tables

__all__ = ["Inst", "decode", "decode_array", "disassemble", "find_rows", "forms", "tables", "text_lines"]

_HOMES = {
    "Inst": "inst", "decode": "inst", "disassemble": "inst", "decode_array": "bulk", "text_lines": "bulk",
    "find_rows": "rows", "forms": "rows", "tables": "rows",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
