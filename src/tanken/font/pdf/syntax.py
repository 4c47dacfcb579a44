"""The syntax of PDF: objects out of bytes: numbers, names, strings, arrays, dictionaries, references.

ISO 32000-1, 7.2 and 7.3. What is no object is an InputError; nesting and sizes are bounded by the bytes that are there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tanken.base.errors import InputError

SPACE = rb"(?:[\0\t\n\f\r ]|%[^\r\n]*)*"
REGULAR = rb"[^\0\t\n\f\r ()<>\[\]{}/%]"
TOKEN = re.compile(SPACE + rb"(?:(?P<real>[+-]*(?:\d+\.\d*|\.\d+))|(?P<whole>[+-]*\d+)|/(?P<name>" + REGULAR + rb"*)|(?P<mark><<|>>|\[|\])|<(?P<hex>[^<>]*)>|(?P<text>\()|"
                   rb"(?P<word>" + REGULAR + rb"+))")  # fmt: skip
REFERENCE = re.compile(rb"[\0\t\n\f\r ]+(\d+)[\0\t\n\f\r ]+R(?![A-Za-z0-9])")
ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
WORDS = {b"true": True, b"false": False, b"null": None}
CONTROL = {ord("n"): b"\n", ord("r"): b"\r", ord("t"): b"\t", ord("b"): b"\b", ord("f"): b"\f"}
DEPTH = 64


class Name(str):
    """A name, without its slash."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An indirect object, by number."""

    number: int
    generation: int = 0


class Parser:
    """Reads objects from `data`; `at` is where the next one begins."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def value(self, depth: int = 0) -> Any:
        """The next object; raises InputError."""
        match = TOKEN.match(self.data, self.at)
        if match is None or depth > DEPTH:
            raise InputError(f"no PDF object at {self.at:#x}" if match is None else f"objects nested deeper than {DEPTH} at {self.at:#x}")
        self.at = match.end()
        kind = match.lastgroup
        if kind == "whole":
            reference = REFERENCE.match(self.data, self.at)
            if reference is None:
                return int(match["whole"].lstrip(b"+-")) * (-1 if b"-" in match["whole"] else 1)
            self.at = reference.end()
            return Reference(int(match["whole"]), int(reference[1]))
        if kind == "mark":
            return self._group(match["mark"], depth)
        if kind == "word":
            if match["word"] not in WORDS:
                raise InputError(f"the word {match['word'][:20]!r} at {match.start('word'):#x} is no PDF object")
            return WORDS[match["word"]]
        if kind == "text":
            return self._text()
        if kind == "name":
            return Name(ESCAPED.sub(lambda code: bytes([int(code[1], 16)]), match["name"]).decode("latin-1"))
        return _hexadecimal(match["hex"]) if kind == "hex" else float(match["real"].lstrip(b"+-")) * (-1 if b"-" in match["real"] else 1)

    def _group(self, mark: bytes, depth: int) -> Any:
        if mark not in (b"<<", b"["):
            raise InputError(f"{mark.decode()} without its beginning at {self.at:#x}")
        close = b">>" if mark == b"<<" else b"]"
        found: list[Any] = []
        while True:
            match = TOKEN.match(self.data, self.at)
            if match is not None and match.lastgroup == "mark" and match["mark"] == close:
                self.at = match.end()
                break
            found.append(self.value(depth + 1))
        if mark == b"[":
            return found
        return {key: value for key, value in zip(found[::2], found[1::2], strict=False) if isinstance(key, Name)}

    def _text(self) -> bytes:
        """A string in parentheses: they may nest, a backslash escapes."""
        data, out, depth, at = self.data, bytearray(), 1, self.at
        while at < len(data):
            byte = data[at]
            at += 1
            if byte == 0x5C:
                digits = re.compile(rb"[0-7]{1,3}").match(data, at)
                if digits:
                    out.append(int(digits[0], 8) & 255)
                    at = digits.end()
                elif data[at : at + 2] == b"\r\n":
                    at += 2
                else:
                    follows = data[at : at + 1]
                    out += CONTROL.get(follows[0], follows) if follows and follows not in b"\r\n" else b""
                    at += 1
                continue
            depth += (byte == 0x28) - (byte == 0x29)
            if not depth:
                self.at = at
                return bytes(out)
            out.append(byte)
        raise InputError(f"a string at {self.at:#x} without an end")


def _hexadecimal(digits: bytes) -> bytes:
    clean = re.sub(rb"[^0-9A-Fa-f]", b"", digits)
    return bytes.fromhex((clean + b"0" * (len(clean) % 2)).decode("ascii"))
