"""The objects of a PDF, found by reading through the file, those in object streams too; streams decrypted and unpacked.

ISO 32000-1, 7.3.8 (streams), 7.5.7 (object streams), 7.6 (encryption). No cross-reference table is believed, so that damaged files are read
as far as they go, and of an object that was written again every version is seen. Memory is bounded by the filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tanken.base.errors import InputError, TankenError
from tanken.font.pdf import filters
from tanken.font.pdf.security import Security
from tanken.font.pdf.syntax import Name, Parser, Reference

OBJECT = re.compile(rb"(?<![0-9])(\d{1,10})[\0\t\n\f\r ]+(\d{1,5})[\0\t\n\f\r ]+obj\b")
STREAM = re.compile(rb"[\0\t\n\f\r ]*stream(?:\r\n|\n|\r)")
TRAILER = re.compile(rb"\btrailer\b")
END = re.compile(rb"[\0\t\n\f\r ]*endstream\b")


@dataclass(frozen=True)
class Stream:
    """A stream: its object, its dictionary, where its bytes stand."""

    number: int
    generation: int
    entries: dict[str, Any]
    start: int
    end: int


class Document:
    """The PDF `data`. Raises InputError where it is none, UnsupportedError where it needs a password."""

    def __init__(self, data: bytes, name: str) -> None:
        if not data[:1024].lstrip(b"\0\t\n\f\r \xef\xbb\xbf").startswith(b"%PDF-"):
            raise InputError(f"first bytes {data[:5].hex(' ')}", wanted="%PDF-", where=name)
        self.data, self.name = data, name
        self.values: dict[int, Any] = {}  # objects that are no streams, the last version of each
        self.streams: list[Stream] = []
        self.trailers: list[dict[str, Any]] = []
        self.unread: list[str] = []  # what stayed closed, a line each
        self._read()
        self.security = self._security()
        self._open()

    def _read(self) -> None:
        data, at = self.data, 0
        while match := OBJECT.search(data, at):
            parser = Parser(data, match.end())
            try:
                value = parser.value()
            except InputError:
                at = match.end()
                continue
            at = parser.at
            begin = STREAM.match(data, at)
            if begin is None or not isinstance(value, dict):
                self.values[int(match[1])] = value
                continue
            stop = self._end(value.get("Length"), begin.end())
            self.streams.append(Stream(int(match[1]), int(match[2]), value, begin.end(), stop))
            at = stop
        for match in TRAILER.finditer(data):
            try:
                value = Parser(data, match.end()).value()
            except InputError:
                continue
            self.trailers += [value] if isinstance(value, dict) else []
        self.trailers += [stream.entries for stream in self.streams if stream.entries.get("Type") == "XRef"]

    def _end(self, length: Any, start: int) -> int:
        """Where a stream ends: as its length says, if `endstream` stands there, else before the next `endstream`."""
        if isinstance(length, Reference):  # it may stand behind its stream
            found = re.search(rb"(?<![0-9])%d[\0\t\n\f\r ]+%d[\0\t\n\f\r ]+obj[\0\t\n\f\r ]+(\d+)" % (length.number, length.generation), self.data)
            length = int(found[1]) if found else None
        if isinstance(length, int) and 0 <= length <= len(self.data) - start and END.match(self.data, start + length):
            return start + length
        stop = self.data.find(b"endstream", start)
        if stop < 0:
            return len(self.data)
        return stop - (2 if self.data[stop - 2 : stop] == b"\r\n" else 1 if self.data[stop - 1 : stop] in (b"\n", b"\r") else 0)

    def _security(self) -> Security | None:
        for trailer in reversed(self.trailers):
            entries = self.resolve(trailer.get("Encrypt"))
            if isinstance(entries, dict):
                found = self.resolve(trailer.get("ID"))
                first = found[0] if isinstance(found, list) and found and isinstance(found[0], bytes) else b""
                return Security(entries, first, self.name)
        if any("Encrypt" in trailer for trailer in self.trailers):
            raise InputError("an encrypted PDF whose encryption dictionary is not there", wanted="what /Encrypt names", where=self.name)
        return None

    def _open(self) -> None:
        """Reads the object streams; a value of the file itself goes first."""
        for stream in self.streams:
            if stream.entries.get("Type") != "ObjStm":
                continue
            try:
                self._object_stream(self.unpacked(stream), stream)
            except TankenError as error:
                self.unread.append(f"object stream {stream.number}: {error.met}")

    def _object_stream(self, inside: bytes, stream: Stream) -> None:
        first, count = self.resolve(stream.entries.get("First")), self.resolve(stream.entries.get("N"))
        if not isinstance(first, int) or not isinstance(count, int):
            raise InputError("an object stream without /First and /N", where=self.name)
        head = [int(word) for word in re.findall(rb"\d+", inside[:first])][: 2 * count]
        for number, at in zip(head[::2], head[1::2], strict=False):
            try:
                self.values.setdefault(number, Parser(inside, first + at).value())
            except InputError as error:
                self.unread.append(f"object {number} in object stream {stream.number}: {error.met}")

    def resolve(self, value: Any) -> Any:
        """What a reference names, as far as references go; None where there is nothing."""
        for _ in range(16):
            if not isinstance(value, Reference):
                return value
            value = self.values.get(value.number)
        return None

    @cached_property
    def by_number(self) -> dict[int, Stream]:
        """The last version of each stream."""
        return {stream.number: stream for stream in self.streams}

    def unpacked(self, stream: Stream) -> bytes:
        """The bytes of a stream, decrypted and behind its filters; raises InputError or UnsupportedError."""
        raw, where = self.data[stream.start : stream.end], f"{self.name}: object {stream.number}"
        names, parameters = self._listed(stream.entries, "Filter", "F"), self._listed(stream.entries, "DecodeParms", "DP")
        if any(not isinstance(name, Name) for name in names):
            raise InputError(f"filters {names!r}", wanted="names", where=where)
        options = [{key: self.resolve(item) for key, item in one.items()} if isinstance(one, dict) else {} for one in parameters]
        identity = names and names[0] == "Crypt" and (options or [{}])[0].get("Name", "Identity") == "Identity"
        if self.security is not None and not identity and stream.entries.get("Type") != "XRef":
            raw = self.security.decrypt(raw, stream.number, stream.generation)
        return filters.decode(raw, names, options, where)

    def _listed(self, entries: dict[str, Any], name: str, short: str) -> list[Any]:
        value = self.resolve(entries.get(name, entries.get(short)))
        return [self.resolve(one) for one in value] if isinstance(value, list) else [] if value is None else [value]

    def dictionaries(self) -> Iterator[dict[str, Any]]:
        """Every dictionary among the objects, streams left out."""
        return (value for value in self.values.values() if isinstance(value, dict))
