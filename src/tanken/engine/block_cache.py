"""Blocks of generated Python kept on disk, so that a program's second run makes none of them again.

One file a page of code, named after the page's address and bytes; a record is a block, appended by one write:

    length 4 | blake2b of the rest 8 | marshal of (at, pieces, length, exit, objects, code)

The directory is the user's own (mode 0700) and is named after everything that decides what a block must be: Python's byte code version and the
sources of the engine and of the instruction set. A record that is cut off or damaged ends its file.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import marshal
import os
import struct
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from tanken.base import cache as caches
from tanken.engine.memory import PAGE
from tanken.engine.source import Recipe
from tanken.isa.architecture import Debug, Exit, Fault, Halt, Syscall

HEAD = struct.Struct("<I8s")
LARGEST = 1 << 20  # bytes of a file, beyond which nothing is added
EXITS = {kind.__name__: kind for kind in (Syscall, Fault, Halt, Debug)}


class Record(NamedTuple):
    """A block: its first address, the code it came from, its instructions, how it ends, what its function refers to, the function."""

    at: int
    pieces: tuple[tuple[int, bytes], ...]
    length: int
    exit: Exit | None
    objects: dict[str, Any]
    code: CodeType


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()


@cache
def _sources(package: str) -> str:
    """A hash of names, sizes and times of the sources of the engine and of `package`."""
    digest = hashlib.blake2b(importlib.util.MAGIC_NUMBER, digest_size=12)
    for folder in (Path(__file__).parent, Path(str(sys.modules[package].__file__)).parent):
        for path in sorted(path for pattern in ("*.py", "*.map") for path in folder.rglob(pattern)):
            status = path.stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@cache
def folder(package: str) -> Path | None:
    """Where blocks of the instruction set in `package` are; None where that would not be the user's alone."""
    path = caches.root() / "blocks" / _sources(package)
    try:
        if not path.exists():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            caches.remove_old(path)
        return path if caches.is_own(path) else None
    except OSError:
        return None


class PageFile:
    """The blocks that begin in one page."""

    def __init__(self, place: Path | None, address: int, content: bytes) -> None:
        name = hashlib.blake2b(content + address.to_bytes(8, "little"), digest_size=16).hexdigest()
        self.path = place / name if place is not None else None
        self.address, self.size = address, 0
        self._records: dict[int, bytes] = {}
        if self.path is not None:
            self._read(self.path)

    def _read(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError:
            return
        at, self.size = 0, len(data)
        while at + HEAD.size + 9 <= len(data):
            length, digest = HEAD.unpack_from(data, at)
            body = data[at + HEAD.size : at + HEAD.size + length]
            if len(body) < length or _digest(body) != digest:
                break
            self._records[int.from_bytes(body[:8], "little")] = body
            at += HEAD.size + length

    def get(self, at: int) -> Record | None:
        """The block that begins at the address."""
        body = self._records.get(at)
        if body is None:
            return None
        pieces, length, exit, objects, code = marshal.loads(body[8:])
        made = {name: MAKE[kind](*words) for name, (kind, words) in objects.items()}
        return Record(at, pieces, length, EXITS[exit[0]](*exit[1]) if exit else None, made, code)

    def add(self, record: Record) -> None:
        """Keep the block here and on disk; not one that refers to functions that cannot be found again by name."""
        objects: dict[str, tuple[str, Any]] = {}
        for name, thing in record.objects.items():
            if isinstance(thing, Recipe):
                objects[name] = "recipe", (thing.code,)
            elif isinstance(thing, Fault):
                objects[name] = "fault", _fields(thing)
            elif _function(thing.__module__, thing.__name__) is thing:
                objects[name] = "function", (thing.__module__, thing.__name__)
            else:
                return
        exit = (type(record.exit).__name__, _fields(record.exit)) if record.exit is not None else None
        body = record.at.to_bytes(8, "little") + marshal.dumps((record.pieces, record.length, exit, objects, record.code))
        self._records[record.at] = body
        if self.path is not None and self.size < LARGEST:
            self.size += HEAD.size + len(body)
            _append(self.path, HEAD.pack(len(body), _digest(body)) + body)


def _function(module: str, name: str) -> Any:
    """A function that semantics apply: of a module, or in its dictionary FUNCTIONS."""
    place = importlib.import_module(module)
    return getattr(place, name, None) or getattr(place, "FUNCTIONS", {}).get(name)


MAKE: dict[str, Callable[..., Any]] = {"recipe": Recipe, "fault": Fault, "function": _function}


def _fields(thing: Any) -> tuple[Any, ...]:
    return tuple(getattr(thing, name) for name in thing.__slots__)


def _append(path: Path, data: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # a full or read-only disk makes it slower, nothing else
    try:
        os.write(handle, data)
    except OSError:
        pass
    finally:
        os.close(handle)


PAGES: dict[tuple[str, int, bytes], PageFile] = {}  # of this process: programs begin again and again


def page_file(package: str, address: int, content: bytes) -> PageFile:
    """The file of the page at `address`."""
    assert len(content) == PAGE
    key = package, address, _digest(content)
    if key not in PAGES:
        PAGES[key] = PageFile(folder(package), address, content)
    return PAGES[key]
