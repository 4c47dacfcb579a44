"""How a call is entered in the table, and how registers become its arguments.

The annotation of a parameter says what the register holds: Int (32 bits, signed), Long (64, signed), Word (64, also addresses), Path (the
address of a text), Directory (a descriptor, or AT_FDCWD).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tanken.engine.memory import PAGE

if TYPE_CHECKING:
    from tanken.vkernel.process import Process

Int: TypeAlias = int
Long: TypeAlias = int
Word: TypeAlias = int
Path: TypeAlias = bytes
Directory: TypeAlias = int | None

ARGUMENTS = (7, 6, 2, 10, 8, 9)  # rdi rsi rdx r10 r8 r9
AT_FDCWD = -100


class Restart:
    """The answer that has the call made again after a handler, as ERESTARTSYS inside Linux."""

    NUMBER = 512


@dataclass(frozen=True, slots=True)
class Call:
    """A row: name, function, kinds of the arguments, and whether the host does the work."""

    number: int
    name: str
    function: Callable[..., int]
    kinds: tuple[str, ...]
    host: bool


TABLE: dict[int, Call] = {}


def call(number: int, name: str = "", host: bool = False) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Enter the function under this number; `host` marks calls that are handed to the host as they are."""

    def enter(function: Callable[..., int]) -> Callable[..., int]:
        kinds = tuple(str(kind) for parameter, kind in function.__annotations__.items() if parameter not in ("return", "process"))
        assert number not in TABLE, f"call {number} twice"
        TABLE[number] = Call(number, name or function.__name__, function, kinds, host)
        return function

    return enter


def signed(value: int, bits: int) -> int:
    """The two's complement meaning of the low `bits`."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def path(process: Process, address: int) -> bytes:
    """A path from the guest's memory, as the host is to see it."""
    text = process.memory.text(address, PAGE)
    if text is None:
        raise OSError(errno.ENAMETOOLONG, "path too long")
    if text in (b"/proc/self/exe", b"/proc/%d/exe" % os.getpid()):
        return os.fsencode(process.path)
    return text


def directory(process: Process, word: int) -> int | None:
    """None for the working directory."""
    number = signed(word, 32)
    return None if number == AT_FDCWD else number


CONVERT: dict[str, Callable[[Any, int], Any]] = {
    "Int": lambda process, word: signed(word, 32),
    "Long": lambda process, word: signed(word, 64),
    "Word": lambda process, word: word,
    "Path": path,
    "Directory": directory,
}


def show(entry: Call, raw: list[int]) -> str:
    """The call as a line of a trace."""
    words = [str(signed(word, 32)) if kind in ("Int", "Directory") else hex(word) for kind, word in zip(entry.kinds, raw, strict=False)]
    return f"{entry.name}({', '.join(words)})"
