"""A whole machine as a value and as a file: what it is made of, its clock, devices, processor and memory, so that it goes on where it stood.

The format is our own, little-endian: MAGIC; a header {bytes, CRC-32} of JSON; then chunks {address, pages, bytes, CRC-32 of these and of what follows} of up to 256 pages of memory
that are not zero, each packed by zlib (RFC 1950), in ascending order; and a chunk of no pages, whose address is the number of chunks.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tanken.base.errors import InputError, TankenError, UnsupportedError, UsageError
from tanken.isa.x86.system.state import SystemState

if TYPE_CHECKING:
    from tanken.board.memory import Region
    from tanken.machine.pc import Pc

MAGIC = b"tanken machine 1\n"
HEADER, CHUNK, CHECKED = struct.Struct("<II"), struct.Struct("<QIII"), struct.Struct("<QII")
PAGE, PAGES = 4096, 256
LONGEST = 1 << 24  # bytes of a header
LEVEL = 1  # of zlib: memory is mostly written once
HARDWARE = ("memory", "serial", "rtc", "i8042", "pit")  # what two machines must have in common
BULK = 1 << 26


@dataclass(frozen=True)
class Snapshot:
    """`about` is all but memory, in the types of JSON; `chunks` are (address, pages, packed bytes)."""

    about: dict[str, Any]
    chunks: tuple[tuple[int, int, bytes], ...]

    def __repr__(self) -> str:
        clock = self.about["clock"]
        size = sum(len(data) for _, _, data in self.chunks)
        return f"<Snapshot at {clock['now'] / 1e9:.6f} s, {clock['executed']} instructions, {sum(n for _, n, _ in self.chunks)} pages in {size} bytes>"

    def save(self, path: str | Path) -> None:
        """Write the file, for the user alone to read; whole or not at all. Raises InputError where that cannot be."""
        about = json.dumps(self.about).encode()
        try:
            handle, name = tempfile.mkstemp(dir=Path(path).absolute().parent, prefix=".snapshot-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(MAGIC + HEADER.pack(len(about), zlib.crc32(about)) + about)
                    for address, pages, data in (*self.chunks, (len(self.chunks), 0, b"")):
                        head = CHECKED.pack(address, pages, len(data))
                        file.write(head + zlib.crc32(head + data).to_bytes(4, "little") + data)
                os.replace(name, path)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error


def load(path: str | Path) -> Snapshot:
    """A file that `save` wrote. Raises InputError for one that is damaged, with the place."""
    try:
        with open(path, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise InputError("no snapshot of a machine", where=str(path), wanted=f"a file that begins with {MAGIC.decode().strip()!r}")
            size, check = HEADER.unpack(_exactly(file, HEADER.size, path))
            if size > LONGEST:
                raise _damaged(file, path, f"a header of {size} bytes")
            text = _checked(file, size, check, path)
            try:
                about = json.loads(text)
            except ValueError as error:
                raise _damaged(file, path, str(error)) from error
            return Snapshot(about, tuple(_chunks(file, path)))
    except OSError as error:
        raise InputError(error.strerror or str(error), where=str(path)) from error


def _damaged(file: BinaryIO, path: str | Path, what: str) -> InputError:
    return InputError(f"damaged before byte {file.tell()}: {what}", where=str(path), wanted="a whole snapshot", hint="it cannot be put right: take another")


def _exactly(file: BinaryIO, size: int, path: str | Path) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _damaged(file, path, "it ends too early")
    return data


def _checked(file: BinaryIO, size: int, check: int, path: str | Path, before: bytes = b"") -> bytes:
    data = _exactly(file, size, path)
    if zlib.crc32(data, zlib.crc32(before)) != check:
        raise _damaged(file, path, "the checksum is another")
    return data


def _chunks(file: BinaryIO, path: str | Path) -> Iterator[tuple[int, int, bytes]]:
    count, behind = 0, 0
    while True:
        address, pages, size, check = CHUNK.unpack(_exactly(file, CHUNK.size, path))
        head = CHECKED.pack(address, pages, size)
        if not pages:
            if address != count or size or zlib.crc32(head) != check or file.read(1):
                raise _damaged(file, path, f"{count} chunks where {address} were written")
            return
        if pages > PAGES or size > pages * PAGE + 1024 or address < behind or address % PAGE:
            raise _damaged(file, path, f"a chunk of {pages} pages in {size} bytes at {address:#x}")
        yield address, pages, _checked(file, size, check, path, head)
        count, behind = count + 1, address + pages * PAGE


# -- taking one


def take(machine: Pc) -> Snapshot:
    """Of a machine whose processor is at rest (`Loop.snapshot` sees to that). Raises UnsupportedError for one on KVM."""
    vcpu: Any = machine.vcpu
    if vcpu.kind != "own":
        raise UnsupportedError("a snapshot of a machine on KVM", wanted="our own processor", hint="--cpu own")
    state = machine.vcpu.get_state()
    vcpu.core.memory.flush()  # whoever goes on from here begins with empty TLBs, so the machine itself does, too
    about = {
        "description": asdict(machine.description), "clock": machine.clock.state(), "base": machine.pvclock.base, "exits": machine.exits, "halted": machine.halted,
        "lines": [line.level for line in machine.isa_lines], "devices": {name: device.state() for name, device in machine.devices.items()},
        "processor": {name: _plain(getattr(state, name)) for name in SystemState.ALL}, "nmi": vcpu.nmi, "bias": vcpu.engine.bias,
    }  # fmt: skip
    return Snapshot(about, tuple(chunk for region in machine.memory.regions for chunk in _packed(region)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value.items())
    return value if value is None or isinstance(value, int) else list(value)


def _packed(region: Region) -> Iterator[tuple[int, int, bytes]]:
    """Runs of pages that are not zero."""
    zeros = bytes(BULK)
    for start in range(0, region.size, BULK):
        bulk = bytes(region.bytes[start : start + BULK])
        if bulk == zeros[: len(bulk)]:
            continue
        first = -1
        for at in range(0, len(bulk) + PAGE, PAGE):
            is_zero = at >= len(bulk) or bulk.startswith(zeros[:PAGE], at)
            if first >= 0 and (is_zero or at - first == PAGES * PAGE):
                yield region.base + start + first, (at - first) // PAGE, zlib.compress(bulk[first:at], LEVEL)
                first = -1
            if first < 0 and not is_zero:
                first = at


# -- putting it back


def put(machine: Pc, snapshot: Snapshot) -> None:
    """Let the machine go on from there. Raises UsageError where it is made of something else, InputError for a snapshot of something strange."""
    vcpu: Any = machine.vcpu
    if vcpu.kind != "own":
        raise UnsupportedError("a snapshot in a machine on KVM", wanted="our own processor", hint="--cpu own")
    about = snapshot.about
    try:
        other = {name: (about["description"][name], getattr(machine.description, name)) for name in HARDWARE}
        if different := [f"{name} {theirs} instead of {ours}" for name, (theirs, ours) in other.items() if theirs != ours]:
            raise UsageError(f"a snapshot of another machine: {', '.join(different)}", wanted="the same hardware")
        _put_memory(machine, snapshot)
        _put_board(machine, about)
        state = SystemState()
        for name in SystemState.ALL:
            value = about["processor"][name]
            setattr(state, name, {int(key): item for key, item in value} if name == "msrs" else value)
        vcpu.set_state(state)
        vcpu.engine.executed, vcpu.engine.bias, vcpu.nmi = machine.clock.executed, about["bias"], about["nmi"]
        machine.exits, machine.halted, machine.ended = about["exits"], about["halted"], None
    except TankenError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, zlib.error) as error:
        raise InputError(f"a snapshot that is none: {type(error).__name__} {error}", wanted="one that this version took") from error


def _put_memory(machine: Pc, snapshot: Snapshot) -> None:
    memory = machine.memory
    for each in memory.regions:
        each.clear()
    for address, pages, packed in snapshot.chunks:
        if not memory.holds(address, pages * PAGE):
            raise InputError(f"a chunk of {pages} pages at {address:#x}", wanted="addresses where the machine has memory")
        data = zlib.decompressobj().decompress(packed, pages * PAGE)
        if len(data) != pages * PAGE:
            raise InputError(f"{len(data)} bytes for {pages} pages at {address:#x}", wanted="whole pages")
        region = memory.find(address)
        assert region is not None
        region.bytes[address - region.base : address - region.base + len(data)] = data
    for told in memory.on_write:
        for each in memory.regions:
            told(each.base, each.size)


def _put_board(machine: Pc, about: dict[str, Any]) -> None:
    machine.clock.restore(about["clock"])
    for device in machine.devices.values():
        if hasattr(device, "base") and device.name in ("pvclock", "rtc"):
            device.base = about["base"]
    for line, level in zip(machine.isa_lines, about["lines"], strict=True):
        line.level = bool(level)  # whoever drives it finds it as it was: no edge
    if set(machine.devices) != set(about["devices"]):
        raise UsageError(f"a snapshot with the devices {', '.join(about['devices'])}", wanted=", ".join(machine.devices))
    for name, state in about["devices"].items():
        machine.devices[name].restore(state)
