"""`tanken info`: which tanken this is, on what it stands, and whether native code is on and where it is kept.

No library is imported for it; versions come from the installed packages' metadata.
"""

from __future__ import annotations

import argparse
import pkgutil
import platform
from dataclasses import dataclass

import tanken
from tanken.base import cache, native
from tanken.base.records import Record


@dataclass(frozen=True, slots=True, repr=False)
class Info(Record):
    """The facts of an installation."""

    tanken: str
    python: str
    platform: str
    native: str
    numba: str
    llvmlite: str
    numpy: str
    cache: str
    parts: tuple[str, ...]


def gather() -> Info:
    """The facts of this installation."""
    numba, llvmlite, numpy = (native.library_version(name) for name in ("numba", "llvmlite", "numpy"))
    parts = tuple(sorted(module.name for module in pkgutil.iter_modules(tanken.__path__) if module.ispkg))
    folder = str(cache.directory(numba))
    return Info(tanken.__version__, platform.python_version(), platform.platform(), native.state(), numba, llvmlite, numpy, folder, parts)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    info = gather()
    if options.json:
        print(info.to_json())
        return 0
    for name, value in info.items():
        print(f"{name:<10} {' '.join(value) if isinstance(value, tuple) else value}")
    return 0
