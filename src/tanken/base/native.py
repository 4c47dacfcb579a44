"""The gate to native code: a kernel module's source is plain Python, and loaded a second time it is compiled by Numba.

Numba is imported nowhere else, and only inside functions (design: "Native speed, in Python"); where it keeps its code says `base.cache`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from tanken.base import cache

P = ParamSpec("P")
T = TypeVar("T")

_compiling = False
_twins: dict[str, ModuleType] = {}
SUFFIX = "__native"


def available() -> bool:
    """Whether native code may be used (TANKEN_NATIVE=off forbids it) and Numba is installed."""
    return os.environ.get("TANKEN_NATIVE", "on") != "off" and importlib.util.find_spec("numba") is not None


def state() -> str:
    """Whether native code is on, in words, with the reason where it is off."""
    if os.environ.get("TANKEN_NATIVE", "on") == "off":
        return "off (TANKEN_NATIVE=off)"
    return "on" if available() else "off (Numba is not installed)"


@functools.cache
def library_version(name: str) -> str:
    """The version of an installed library, found without importing it; "not installed".

    By the name of its .dist-info directory: importlib.metadata would take longer to load than a short command takes.
    """
    for folder in sys.path:
        try:
            found = [entry for entry in os.listdir(folder or ".") if entry.startswith(f"{name}-") and entry.endswith(".dist-info")]
        except OSError:
            continue
        if found:
            return found[0].removeprefix(f"{name}-").removesuffix(".dist-info")
    return "not installed"


@contextmanager
def _own_cache() -> Iterator[None]:
    """While a function is being declared to Numba, its cache is tanken's; a user's own compiled functions keep theirs."""
    import numba

    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache.writable(library_version("numba")))
    try:
        yield
    finally:
        config.CACHE_DIR = before


def kernel(function: Callable[P, T]) -> Callable[P, T]:
    """Marks a function that Numba can compile; in the plain module it stays as written."""
    return _compiled(function, counted=True)


def bare(function: Callable[P, T]) -> Callable[P, T]:
    """Marks a kernel that makes no arrays, so that Numba need not count references.

    Counting costs an atomic addition for each array that a call passes: half the time of the x86 texts, whose functions are small.
    """
    return _compiled(function, counted=False)


def inlined(function: Callable[P, T]) -> Callable[P, T]:
    """Marks a bare kernel that becomes part of whoever calls it: a call that hands over four arrays costs ten nanoseconds."""
    return _compiled(function, counted=False, inline="always")


def _compiled(function: Callable[P, T], counted: bool, **more: str) -> Callable[P, T]:
    if not _compiling:
        return function
    import numba

    options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": counted, **more}
    compiled: Callable[P, T] = numba.njit(**options)(function)
    return compiled


def primitive(function: Callable[P, T]) -> Callable[P, T]:
    """Marks a function of `base.wide` that is one machine instruction in compiled code; in the plain module it stays as written."""
    if not _compiling:
        return function
    from tanken.base.primitives import PRIMITIVES

    compiled: Callable[P, T] = PRIMITIVES[function.__name__]
    return compiled


def twin(name: str, *uses: str) -> ModuleType | None:
    """The compiled twin of the kernel module `name`, loaded from the same source; None where native code is off.

    `uses` are the kernel modules whose functions it imports, each behind those that it uses itself: their twins stand in for them while it loads.
    """
    if not available():
        return None
    if name not in _twins:
        plain = {used: importlib.import_module(used) for i, used in enumerate(uses) if twin(used, *uses[:i]) is not None}
        _twins[name] = _load(name, plain)
    return _twins[name]


def _load(name: str, plain: dict[str, ModuleType]) -> ModuleType:
    global _compiling
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
        with _own_cache():
            copy.loader.exec_module(module)
    finally:
        _compiling = before
        sys.modules.update(plain)
    return module


def c_functions(module: ModuleType, functions: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Kernels of a twin as functions that C could call: modules of LLVM IR, and the symbol of each function.

    `functions` gives the C signature of each by letters, the result first: i a 64-bit integer, I a pointer to them, B a pointer to bytes.
    """
    import numba
    from numba import carray  # type: ignore[attr-defined]

    pointer: Any = numba.types.CPointer
    kinds = {"i": numba.types.int64, "I": pointer(numba.types.int64), "B": pointer(numba.types.uint8)}
    texts, symbols = [], {}
    for name, letters in functions.items():
        pointers = [n for n, letter in enumerate(letters[1:]) if letter != "i"]
        words = ", ".join(f"a{n}" for n in range(len(letters) - 1))
        given = ", ".join(f"carray(a{n}, (1 << 46,))" if n in pointers else f"a{n}" for n in range(len(letters) - 1))
        scope: dict[str, Any] = {"carray": carray, "kernel": getattr(module, name)}
        exec(f"def {name}({words}):\n    return kernel({given})", scope)
        made = numba.cfunc(kinds[letters[0]](*(kinds[letter] for letter in letters[1:])))(scope[name])
        texts.append(made.inspect_llvm())
        symbols[name] = made.native_name
    return texts, symbols


@dataclass(eq=False, slots=True)
class CompiledFunction:
    """A user's function as native code with the C calling convention: int64 arguments and pointers to int64, an int64 result.

    `text` is its LLVM IR, `symbol` its name in there; `answers` says whether its result means something.
    """

    owner: object  # keeps the code alive
    address: int
    text: str
    symbol: str
    answers: bool
    call: Callable[..., int | None]

    def __call__(self, *words: int) -> int:
        return self.call(*words) or 0


def compile_hook(function: Callable[..., object], letters: str, lengths: tuple[int, ...]) -> CompiledFunction:
    """Compile a function of integers and int64 arrays, whose C signature `letters` gives as `c_functions` does, without the result.

    The arrays have `lengths`. TypeError where Numba cannot compile it, with Numba's reason.
    """
    import numba
    from numba import carray  # type: ignore[attr-defined]

    types: Any = numba.types
    kinds = {"i": types.int64, "I": types.CPointer(types.int64)}
    arrays = iter(lengths)
    given = ", ".join(f"carray(a{n}, ({next(arrays)},))" if letter == "I" else f"a{n}" for n, letter in enumerate(letters))
    words = ", ".join(f"a{n}" for n in range(len(letters)))
    try:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
        kernel: Any = numba.njit(**options)(function)
        seen = tuple(types.int64 if letter == "i" else types.Array(types.int64, 1, "C") for letter in letters)
        kernel.compile(seen)
        answers = kernel.overloads[seen].signature.return_type is not types.none
        scope: dict[str, Any] = {"carray": carray, "kernel": kernel}
        exec(f"def hook({words}):\n" + (f"    return kernel({given})" if answers else f"    kernel({given})\n    return 0"), scope)
        made = numba.cfunc(types.int64(*(kinds[letter] for letter in letters)))(scope["hook"])
    except numba.core.errors.NumbaError as error:
        raise TypeError(" ".join(str(error).split())) from error
    return from_cfunc(made, answers)


def from_cfunc(made: Any, answers: bool | None = None) -> CompiledFunction:
    """What `numba.cfunc` made."""
    if answers is None:
        answers = str(made._sig.return_type) != "none"
    import ctypes

    kinds = [ctypes.c_void_p if "*" in str(kind) else ctypes.c_int64 for kind in made._sig.args]
    call = ctypes.CFUNCTYPE(ctypes.c_int64 if answers else None, *kinds)(made.address)
    return CompiledFunction(made, made.address, made.inspect_llvm(), made.native_name, answers, call)


def is_cfunc(function: object) -> bool:
    """Whether it came from `numba.cfunc`; imports nothing."""
    return type(function).__module__ == "numba.core.ccallback" and hasattr(function, "inspect_llvm")
