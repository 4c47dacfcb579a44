"""Reads `.layout` files: binary structures as text, a field a line, and turns bytes into values by them, and back.

`@struct NAME` begins a structure, `@cite` and `@order big|little` hold until they change; a field is `name type note`, where the
type is u8 i8 u16 i16 u24 u32 i32 u64 i64, fixed (16.16), f2dot14 (2.14), tag (four letters), bytes[N], or one of the first with [N].
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tanken.base.errors import InputError

SIZES = {"u8": 1, "i8": 1, "u16": 2, "i16": 2, "u24": 3, "u32": 4, "i32": 4, "u64": 8, "i64": 8, "fixed": 4, "f2dot14": 2, "tag": 4, "bytes": 1}
SCALES = {"fixed": 65536, "f2dot14": 16384}


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its name, the type of one element, how many there are (0: not an array), the note behind it."""

    name: str
    type: str
    count: int
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        return SIZES[self.type] * (self.count or 1)


@dataclass(frozen=True)
class Layout:
    """A structure: fields in order, without gaps. `order` is the byte order."""

    name: str
    order: Literal["big", "little"]
    cite: str
    fields: tuple[Field, ...] = field(default=())

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(item.size for item in self.fields)

    def unpack(self, data: bytes | memoryview, at: int = 0, where: str = "") -> dict[str, Any]:
        """The values of the structure at `at`; raises InputError when the bytes end before it does."""
        if at < 0 or at + self.size > len(data):
            raise InputError(f"{max(len(data) - at, 0)} bytes of {self.name} at {at:#x}", wanted=f"{self.size}", where=where)
        values = {}
        for item in self.fields:
            values[item.name] = self._read(item, data, at)
            at += item.size
        return values

    def _read(self, item: Field, data: bytes | memoryview, at: int) -> Any:
        if item.type == "bytes":
            return bytes(data[at : at + item.count])
        size = SIZES[item.type]
        values = [self._one(item.type, bytes(data[at + i * size : at + (i + 1) * size])) for i in range(item.count or 1)]
        return tuple(values) if item.count else values[0]

    def _one(self, kind: str, raw: bytes) -> int | float | str:
        if kind == "tag":
            return raw.decode("latin-1")
        number = int.from_bytes(raw, self.order, signed=kind[0] == "i" or kind in SCALES)
        return number / SCALES[kind] if kind in SCALES else number

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """The bytes of `values`; a field that is missing is zero. Raises InputError where a value does not fit."""
        return b"".join(self._write(item, values.get(item.name)) for item in self.fields)

    def _write(self, item: Field, value: Any) -> bytes:
        if value is None:
            return bytes(item.size)
        if item.type == "bytes":
            return bytes(value).ljust(item.count, b"\0")[: item.count]
        values = value if item.count else (value,)
        try:
            return b"".join(self._bytes(item.type, one) for one in values)
        except (OverflowError, struct.error) as error:
            raise InputError(f"{self.name}.{item.name} = {value}", wanted=f"a value of type {item.type}") from error

    def _bytes(self, kind: str, value: Any) -> bytes:
        if kind == "tag":
            return str(value).encode("latin-1").ljust(4)[:4]
        number = round(value * SCALES[kind]) if kind in SCALES else int(value)
        return number.to_bytes(SIZES[kind], self.order, signed=kind[0] == "i" or kind in SCALES)


def parse_layout(text: str, name: str) -> dict[str, Layout]:
    """The structures of the file `text`, by name; raises InputError with file and line."""
    layouts: dict[str, Layout] = {}
    order: Literal["big", "little"] = "big"
    cite, current = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split(None, 2)
        where = f"{name}:{number}"
        if not words:
            continue
        if words[0] == "@struct" and len(words) == 2 and words[1] not in layouts:
            current = words[1]
            layouts[current] = Layout(current, order, cite)
        elif words[0] == "@cite":
            cite = line.split(None, 1)[1].strip()
        elif words[0] == "@order" and words[1:] in (["big"], ["little"]):
            order = "big" if words[1] == "big" else "little"
        elif words[0][0] == "@" or len(words) < 2 or not current:
            raise InputError(f"line {line.strip()!r}", where=where, wanted="@struct NAME (once), @cite, @order big|little, or a field: name type")
        else:
            before = layouts[current]
            layouts[current] = Layout(current, before.order, before.cite, (*before.fields, _field(words, where)))
    return layouts


def _field(words: list[str], where: str) -> Field:
    kind, bracket, count = words[1].partition("[")
    if kind not in SIZES or (bracket and not count.rstrip("]").isdigit()) or (kind == "bytes" and not bracket):
        raise InputError(f"type {words[1]}", where=where, wanted=f"one of {' '.join(SIZES)}, [N] behind it for an array")
    return Field(words[0], kind, int(count.rstrip("]")) if bracket else 0, words[2] if len(words) > 2 else "")
