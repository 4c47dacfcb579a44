"""The kinds of things that tanken works on: how each is recognised, which part owns it, which verbs fit.

Magic numbers: System V ABI (ELF), Linux Documentation/arch/x86/boot.rst (bzImage: 0xAA55 at 0x1fe, "HdrS" at 0x202),
OpenType 1.9.1 and Adobe Technical Note 5176 (fonts), ISO 32000 (PDF),
draft-ietf-opsawg-pcap and -pcapng (captures).
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tanken.base.errors import InputError, UsageError
from tanken.base.records import Record

HEAD = 0x10000  # bytes of a file that recognition looks at
X86 = "x86:"
OOPS = re.compile(rb"^.*(Oops: |BUG: |general protection fault|\bCode: (?:[0-9a-f]{2} |<[0-9a-f]{2}> ){4})", re.MULTILINE)


@dataclass(frozen=True, slots=True, repr=False)
class Kind(Record):
    """A kind: its name, what it is, the part that owns it, the verbs that fit, in the order in which to try them."""

    name: str
    what: str
    owner: str
    verbs: tuple[str, ...]


def _is_kernel(head: bytes) -> bool:
    return head[0x1FE:0x200] == b"\x55\xaa" and head[0x202:0x206] == b"HdrS"


def _is_font(head: bytes) -> bool:
    if head[:4] in (b"OTTO", b"ttcf", b"true"):
        return True
    if head[:4] == b"\0\1\0\0" and len(head) > 16:  # so does much else: as many tables as a font has, and the first tag in letters
        return 0 < head[5] < 64 and head[4] == 0 and head[12:16].isascii() and head[12:15].replace(b"/", b"").isalnum()
    return (head[:3] == b"\1\0\4" and 1 <= head[3] <= 4) if head[:1] == b"\1" and len(head) > 4 else head[:3] == b"\2\0\5"


def _is_capture(head: bytes) -> bool:
    return head[:4] in (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a")


def _is_text(head: bytes) -> bool:
    if not head or b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) == HEAD and error.start > HEAD - 4
    return True


def _is_dvd(head: bytes) -> bool:
    """Whether sector numbers count up at the beginning of frames of 2,064, 2,366 or 2,384 bytes."""
    for size in (2064, 2366, 2384):
        numbers = [int.from_bytes(head[at + 1 : at + 4], "big") for at in range(0, len(head) - 4, size)][:16]
        if len(numbers) >= 2 and sum(b - a == 1 for a, b in zip(numbers, numbers[1:], strict=False)) * 3 > 2 * (len(numbers) - 1):
            return True
    return False


def _is_runs(head: bytes) -> bool:
    """Whether nearly all bytes are run lengths of an optical channel."""
    return len(head) >= 600 and sum(3 <= byte <= 14 for byte in head[:4096]) > 0.97 * len(head[:4096])


CD_SYNC = b"\0" + b"\xff" * 10 + b"\0"


# kind, why a head of bytes is one (the sentence is shown), the test; the first that fits wins
FILES: tuple[tuple[Kind, str, Callable[[bytes], bool]], ...] = (
    (Kind("elf", "an ELF file: a program, a library or an object", "elf", ("dis", "run", "show", "check")),
     "begins with 7f 45 4c 46", lambda head: head[:4] == b"\x7fELF"),
    (Kind("kernel", "a Linux kernel image (bzImage)", "elf", ("dis", "run", "show")),
     "has 55 aa at 0x1fe and HdrS at 0x202", _is_kernel),
    (Kind("snapshot", "the snapshot of a whole machine", "machine", ("run",)),
     "begins with 'tanken machine'", lambda head: head[:15] == b"tanken machine "),
    (Kind("font", "a font: OpenType, a collection, or a bare CFF table", "font", ("show", "dis", "run", "check")),
     "begins as OpenType (OTTO, ttcf, 00 01 00 00, true) or as CFF (01 00 04 01 to 04, 02 00 05)", _is_font),
    (Kind("pdf", "a PDF document", "font", ("check", "show")), "begins with %PDF-", lambda head: head[:5] == b"%PDF-"),
    (Kind("iso", "an image of a disc's user data (ISO 9660 or UDF)", "disc", ("show", "measure", "check")),
     "has CD001 or BEA01 at 0x8001", lambda head: head[0x8001:0x8006] in (b"CD001", b"BEA01")),
    (Kind("dvd", "raw frames of a DVD", "disc", ("measure", "check", "show")),
     "has frames whose sector numbers count up", _is_dvd),
    (Kind("cd", "raw sectors of a CD", "disc", ("measure", "check", "show")),
     "begins with the sync of a CD's sector", lambda head: head[:12] == CD_SYNC),
    (Kind("runs", "run lengths of an optical disc's channel", "disc", ("measure", "show")),
     "is nearly all bytes from 3 to 14", _is_runs),
    (Kind("ecc", "error correction data of dvdisaster", "disc", ("show", "check")),
     "begins with *dvdisaster*", lambda head: head[:12] == b"*dvdisaster*"),
    (Kind("scan", "a scan log of qpxtool", "disc", ("measure", "show")),
     "holds <qpxdata", lambda head: b"<qpxdata" in head[:4096]),
    (Kind("capture", "captured packets (pcap, pcapng): TELNET connections as events", "telnet", ("show",)),
     "begins as a pcap or pcapng file", _is_capture),
    (Kind("oops", "text with a kernel's Oops", "debug", ("dis", "show")),
     "is text with an Oops, a BUG or a line Code:", lambda head: _is_text(head) and OOPS.search(head) is not None),
    (Kind("text", "text", "base", ("show",)), "is UTF-8 without zero bytes", _is_text),
    (Kind("raw", "bytes of no kind that is known here", "base", ("show", "dis")), "fits no other kind", lambda head: True),
)  # fmt: skip
DIRECTORY = Kind("directory", "a directory", "base", ())
ROW = Kind("x86", "a row of the x86 opcode map, or the bytes of an instruction", "isa.x86", ("show",))
TELNET = Kind("telnet", "a TELNET server", "telnet", ("check",))
TELNET_CODE = Kind("telnet-code", "an option, command or code of TELNET", "telnet", ("show",))
KINDS = {kind.name: kind for kind in (*(kind for kind, _, _ in FILES), DIRECTORY, ROW, TELNET, TELNET_CODE)}


@dataclass(frozen=True)
class Thing:
    """What the user named, its kind, and the sentence that says why it is of that kind."""

    name: str
    kind: Kind
    why: str

    @cached_property
    def data(self) -> bytes:
        """The bytes of the thing; "-" is the standard input. Raises InputError when they cannot be read."""
        try:
            return sys.stdin.buffer.read() if self.name == "-" else Path(self.name).read_bytes()
        except OSError as error:
            raise InputError(error.strerror or str(error), where=self.name) from error

    @property
    def query(self) -> str:
        """What stands behind `x86:`."""
        return self.name.removeprefix(X86).strip()


def kind_named(name: str) -> Kind:
    """The kind `name`; raises UsageError, with a near name, when there is none."""
    if name in KINDS:
        return KINDS[name]
    near = difflib.get_close_matches(name, KINDS, 1)
    raise UsageError(f"no kind {name!r}", wanted=", ".join(KINDS), hint=f"did you mean {near[0]}?" if near else "")


def of_bytes(head: bytes) -> tuple[Kind, str]:
    """The kind of a file that begins with `head`, and why."""
    return next((kind, why) for kind, why, test in FILES if test(head))


def recognise(name: str, forced: str | None = None) -> Thing:
    """The thing that `name` means: `x86:...`, "-" or a path; `forced` is the name of a kind that overrides.

    Raises InputError when there is no such file, UsageError when there is no such kind.
    """
    if forced is not None:
        return Thing(name, kind_named(forced), "is taken as told by --as")
    if name.startswith(X86):
        return Thing(name, ROW, "begins with x86:")
    if name.startswith("telnet://"):
        return Thing(name, TELNET, "begins with telnet://")
    if name.startswith("telnet:"):
        return Thing(name, TELNET_CODE, "begins with telnet:")
    if name == "-":
        thing = Thing(name, KINDS["raw"], "")
        known = Thing(name, *of_bytes(thing.data[:HEAD]))
        known.__dict__["data"] = thing.data
        return known
    path = Path(name)
    if path.is_dir():
        return Thing(name, DIRECTORY, "is a directory of the file system")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError) as error:
        raise InputError(getattr(error, "strerror", None) or str(error), where=name, wanted="a file, - or x86:NAME") from error
    return Thing(name, *of_bytes(head))
