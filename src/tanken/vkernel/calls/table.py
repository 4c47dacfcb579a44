"""How a call is entered in the table, and how registers become its arguments.

The annotation of a parameter says what the register holds: Int (32 bits, signed), Long (64, signed), Word (64, also addresses), Path (the
address of a text), Fd (a descriptor, handed on as the host's number), Directory (the same, or AT_FDCWD).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tanken.engine.memory import PAGE, Miss

if TYPE_CHECKING:
    from tanken.vkernel.process import Process

Int: TypeAlias = int
Long: TypeAlias = int
Word: TypeAlias = int
Path: TypeAlias = bytes
Fd: TypeAlias = int
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
    return seen(process, text) if text.startswith((b"/proc/", b"/dev/")) else text


STREAMS = {b"stdin": 0, b"stdout": 1, b"stderr": 2}


def seen(process: Process, text: bytes) -> bytes:
    """The guest's own program and descriptors under the names that the host has for its."""
    own = re.fullmatch(rb"/proc/(?:(?:thread-)?self|%d)/(exe|fd/(\d+))|/dev/(?:fd/(\d+)|(stdin|stdout|stderr))" % os.getpid(), text)
    if own is None:
        return text
    if own[1] == b"exe":
        return os.fsencode(process.path)
    number = STREAMS[own[4]] if own[4] else int(own[2] or own[3])
    entry = process.descriptors.table.get(number)
    return b"/proc/self/fd/%d" % (entry.host if entry is not None else 1 << 30)


def descriptor(process: Process, word: int) -> int:
    """The host's number."""
    return process.descriptors.host(signed(word, 32))


def directory(process: Process, word: int) -> int | None:
    """None for the working directory."""
    return None if signed(word, 32) == AT_FDCWD else descriptor(process, word)


CONVERT: dict[str, Callable[[Any, int], Any]] = {
    "Int": lambda process, word: signed(word, 32),
    "Long": lambda process, word: signed(word, 64),
    "Word": lambda process, word: word,
    "Path": path,
    "Fd": descriptor,
    "Directory": directory,
}


def plain(process: Process, entry: Call | None, raw: list[int]) -> list[int | str]:
    """The arguments as a trace shows them: numbers with the signs that they have, paths; all six words of a call that is not known."""
    if entry is None:
        return [*raw]
    return [_plain(process, kind, word) for kind, word in zip(entry.kinds, raw, strict=False)]


def _plain(process: Process, kind: str, word: int) -> int | str:
    if kind == "Path":
        with suppress(Miss):
            return os.fsdecode(process.memory.text(word, PAGE) or b"")
    return signed(word, 64 if kind == "Long" else 32) if kind in ("Int", "Fd", "Directory", "Long") else word
