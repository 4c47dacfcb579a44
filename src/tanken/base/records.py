"""Records: values that show themselves on one line, as JSON and, escaped, in a notebook.

A record is a dataclass that inherits `Record`; the JSON shape is that of RFC 8259, one object a line, field names as keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, ClassVar


def jsonable(value: Any) -> Any:
    """`value` in the types of JSON: bytes as hexadecimal, records and mappings as objects, other iterables as arrays."""
    if isinstance(value, Record):
        return {name: jsonable(item) for name, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [jsonable(item) for item in value]
    return str(value)


def json_line(value: Any) -> str:
    """`value` as one line of JSON."""
    import json  # here, as `html` below: a command that prints neither starts earlier

    return json.dumps(jsonable(value), ensure_ascii=False, separators=(", ", ": "))


def _short(value: Any, base: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value) if base == 16 else str(value)
    if isinstance(value, bytes):
        return value[:16].hex(" ") + (" ..." if len(value) > 16 else "")
    text = str(value) if isinstance(value, str | Record) else repr(value)
    return " ".join(text.split())


class Record:
    """Mixin of dataclasses (with `repr=False`); the class variable HEX names the fields shown in hexadecimal."""

    __slots__ = ()
    HEX: ClassVar[frozenset[str]] = frozenset()

    def items(self) -> list[tuple[str, Any]]:
        """Field names and values, in the order of the fields."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]  # type: ignore[arg-type]

    def __repr__(self) -> str:
        shown = ((name, _short(value, 16 if name in self.HEX else 10)) for name, value in self.items())
        return f"<{type(self).__name__} {' '.join(f'{name}={text}' for name, text in shown)}>"

    def to_json(self) -> str:
        """One line of JSON."""
        return json_line(self)

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(_short(value, 16 if name in self.HEX else 10))}</td></tr>" for name, value in self.items())
        return f"<table><caption>{escape(type(self).__name__)}</caption>{rows}</table>"
