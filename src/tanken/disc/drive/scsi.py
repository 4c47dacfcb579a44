"""Sending SCSI commands: to a device through Linux's SG_IO, into a recorded log, and out of one.

Linux include/scsi/sg.h (struct sg_io_hdr, version 3), SPC-4 section 4.5 (sense data). A refusal of the drive is a value, not an exception.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tanken.base.errors import InputError
from tanken.base.records import Record

SG_IO = 0x2285
NONE, FROM_DEVICE = -1, -3
TIMEOUT = 60_000  # milliseconds
GOOD, CHECK = 0, 2


@dataclass(frozen=True, slots=True, repr=False)
class Reply(Record):
    """What a drive answered: status, data, and the sense key and additional codes of a refusal."""

    status: int
    data: bytes
    key: int = 0
    code: int = 0
    qualifier: int = 0

    @property
    def good(self) -> bool:
        return self.status == GOOD

    @property
    def why(self) -> str:
        """The refusal in words."""
        names = {2: "not ready", 3: "medium error", 4: "hardware error", 5: "the drive does not know this command", 6: "unit attention", 7: "data protect"}
        return f"{names.get(self.key, f'sense key {self.key}')} ({self.code:02x}/{self.qualifier:02x})"


class Transport(Protocol):
    """What takes a command and gives a reply."""

    def command(self, cdb: bytes, length: int) -> Reply:
        """Sends 12 bytes and reads up to `length` bytes."""


def refusal(data: bytes) -> tuple[int, int, int]:
    """Sense key, code and qualifier of sense data in either format."""
    if len(data) >= 4 and data[0] & 0x7E == 0x72:
        return data[1] & 15, data[2], data[3]
    return (data[2] & 15, data[12], data[13]) if len(data) >= 14 else (0, 0, 0)


class _Header(ctypes.Structure):
    _fields_ = (
        ("interface_id", ctypes.c_int), ("dxfer_direction", ctypes.c_int), ("cmd_len", ctypes.c_ubyte), ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort), ("dxfer_len", ctypes.c_uint), ("dxferp", ctypes.c_void_p), ("cmdp", ctypes.c_void_p), ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint), ("flags", ctypes.c_uint), ("pack_id", ctypes.c_int), ("usr_ptr", ctypes.c_void_p), ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte), ("msg_status", ctypes.c_ubyte), ("sb_len_wr", ctypes.c_ubyte), ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort), ("resid", ctypes.c_int), ("duration", ctypes.c_uint), ("info", ctypes.c_uint),
    )  # fmt: skip


class Device:
    """A drive of this machine, such as /dev/sr0. Raises InputError when it cannot be opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise InputError(error.strerror or str(error), where=path, wanted="an optical drive that may be written to") from error

    def command(self, cdb: bytes, length: int) -> Reply:
        data, sense, command = ctypes.create_string_buffer(max(1, length)), ctypes.create_string_buffer(64), ctypes.create_string_buffer(cdb, len(cdb))
        head = _Header(interface_id=ord("S"), dxfer_direction=FROM_DEVICE if length else NONE, cmd_len=len(cdb), mx_sb_len=64, dxfer_len=length, timeout=TIMEOUT)
        head.dxferp, head.cmdp, head.sbp = ctypes.addressof(data), ctypes.addressof(command), ctypes.addressof(sense)
        try:
            fcntl.ioctl(self._handle, SG_IO, head)
        except OSError as error:
            raise InputError(f"SG_IO: {error.strerror}", where=self.path, wanted="a SCSI or ATAPI device") from error
        if head.status or head.host_status or head.driver_status & 0x0F:
            return Reply(head.status or CHECK, b"", *refusal(sense.raw[: head.sb_len_wr]))
        return Reply(GOOD, data.raw[: length - max(0, head.resid)])

    def close(self) -> None:
        os.close(self._handle)


class Recorder:
    """Passes commands on and writes each with its reply as a line of JSON."""

    def __init__(self, inner: Transport, path: str) -> None:
        self._inner = inner
        try:
            self._file = Path(path).open("w")
        except OSError as error:
            raise InputError(error.strerror or str(error), where=path, wanted="a file that can be written") from error

    def command(self, cdb: bytes, length: int) -> Reply:
        reply = self._inner.command(cdb, length)
        self._file.write(json.dumps({"cdb": cdb.hex(), "length": length, **{k: v.hex() if isinstance(v, bytes) else v for k, v in reply.items()}}) + "\n")
        self._file.flush()
        return reply


class Replay:
    """Gives the replies of a recorded log, in order. Raises InputError where a command differs from the recorded one or the log ends."""

    def __init__(self, path: str) -> None:
        self._path, self._at = path, 0
        try:
            self._lines = [json.loads(line) for line in Path(path).read_text().splitlines() if line]
        except (OSError, ValueError) as error:
            raise InputError(f"{error}", where=path, wanted="a log that --record wrote") from error

    def command(self, cdb: bytes, length: int) -> Reply:
        if self._at >= len(self._lines):
            raise InputError("the log ends", where=f"{self._path}:{self._at}", wanted=f"command {cdb.hex(' ')}")
        line = self._lines[self._at]
        self._at += 1
        if line.get("cdb") != cdb.hex():
            raise InputError(f"command {line.get('cdb')}", where=f"{self._path}:{self._at}", wanted=cdb.hex())
        try:
            return Reply(int(line["status"]), bytes.fromhex(line["data"]), int(line["key"]), int(line["code"]), int(line["qualifier"]))
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"a broken line ({error})", where=f"{self._path}:{self._at}") from error
