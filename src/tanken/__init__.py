"""tanken: an open machine lab; every part of a computer as readable Python.

Importing the package imports nothing else: the parts are reached as `tanken.isa`, `tanken.elf`, and so on; `tanken.Cpu` is loaded when it is
first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tanken.cpu import Cpu

__all__ = ["Cpu", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Cpu":
        from tanken.cpu import Cpu

        return Cpu
    raise AttributeError(f"module 'tanken' has no attribute {name!r}")
