"""The gate to native code: a kernel module's source is plain Python, and loaded a second time it is compiled by Numba.

Numba is imported nowhere else, and only inside functions (design: "Native speed, in Python").
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_compiling = False
_twins: dict[str, ModuleType] = {}
SUFFIX = "__native"


def available() -> bool:
    """Whether native code may be used (TANKEN_NATIVE=off forbids it) and Numba is installed."""
    return os.environ.get("TANKEN_NATIVE", "on") != "off" and importlib.util.find_spec("numba") is not None


def kernel(function: Callable[P, T]) -> Callable[P, T]:
    """Marks a function that Numba can compile; in the plain module it stays as written."""
    if not _compiling:
        return function
    import numba

    compiled: Callable[P, T] = numba.njit(cache=True, nogil=True)(function)
    return compiled


def twin(name: str, *uses: str) -> ModuleType | None:
    """The compiled twin of the kernel module `name`, loaded from the same source; None where native code is off.

    `uses` are the kernel modules whose functions it imports: their twins stand in for them while it loads.
    """
    global _compiling
    if not available():
        return None
    if name in _twins:
        return _twins[name]
    plain = {used: sys.modules[used] for used in uses if twin(used) is not None}
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    copy = importlib.util.spec_from_file_location(name + SUFFIX, spec.origin)
    assert copy is not None and copy.loader is not None
    module = importlib.util.module_from_spec(copy)
    sys.modules[name + SUFFIX] = module
    before, _compiling = _compiling, True
    sys.modules.update({used: _twins[used] for used in plain})
    try:
        copy.loader.exec_module(module)
    finally:
        _compiling = before
        sys.modules.update(plain)
    _twins[name] = module
    return module
