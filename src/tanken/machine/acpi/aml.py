"""AML, the code of ACPI's tables of devices: terms as bytes, put together by functions named as in ASL.

ACPI specification 6.5, chapter 20 (encoding) and 6.4 (resource descriptors). A term is its bytes; a body is terms joined.
"""

from __future__ import annotations

from tanken.base.errors import InternalError

ZERO, ONE, ONES = b"\x00", b"\x01", b"\xff"


def name_string(path: str) -> bytes:
    r"""A name of segments of four characters: `\_SB.COM1` (20.2.2)."""
    prefix = b""
    while path and path[0] in "\\^":
        prefix, path = prefix + path[0].encode(), path[1:]
    segments = [segment.ljust(4, "_") for segment in path.split(".")] if path else []
    if any(len(segment) != 4 or not segment.replace("_", "A").isalnum() or segment != segment.upper() or segment[0].isdigit() for segment in segments):
        raise InternalError(f"AML name {path!r}", wanted="segments of up to four capital letters, digits and underscores")
    joined = "".join(segments).encode()
    if len(segments) <= 1:
        return prefix + (joined or b"\0")
    return prefix + (b"\x2e" if len(segments) == 2 else b"\x2f" + bytes((len(segments),))) + joined


def integer(value: int) -> bytes:
    """The shortest encoding (20.2.3)."""
    if value in (0, 1):
        return (ZERO, ONE)[value]
    for prefix, size in ((0x0A, 1), (0x0B, 2), (0x0C, 4), (0x0E, 8)):
        if value < 1 << 8 * size:
            return bytes((prefix,)) + value.to_bytes(size, "little")
    raise InternalError(f"AML integer {value:#x}", wanted="below 2**64")


def string(text: str) -> bytes:
    return b"\x0d" + text.encode("ascii") + b"\0"


def package_length(body: int) -> bytes:
    """The length of a body that it stands before, itself counted in (20.2.4)."""
    if body + 1 < 1 << 6:
        return bytes((body + 1,))
    for extra in (1, 2, 3):
        total = body + 1 + extra
        if total < 1 << 4 + 8 * extra:
            return bytes((extra << 6 | total & 15,)) + (total >> 4).to_bytes(extra, "little")
    raise InternalError(f"AML package of {body} bytes")


def _sized(opcode: bytes, body: bytes) -> bytes:
    return opcode + package_length(len(body)) + body


def name(path: str, value: bytes) -> bytes:
    return b"\x08" + name_string(path) + value


def scope(path: str, *terms: bytes) -> bytes:
    return _sized(b"\x10", name_string(path) + b"".join(terms))


def device(path: str, *terms: bytes) -> bytes:
    return _sized(b"\x5b\x82", name_string(path) + b"".join(terms))


def method(path: str, arguments: int, *terms: bytes) -> bytes:
    return _sized(b"\x14", name_string(path) + bytes((arguments,)) + b"".join(terms))


def notify(path: str, value: int) -> bytes:
    return b"\x86" + name_string(path) + integer(value)


def returned(value: bytes) -> bytes:
    return b"\xa4" + value


def package(*elements: bytes) -> bytes:
    return _sized(b"\x12", bytes((len(elements),)) + b"".join(elements))


def buffer(data: bytes) -> bytes:
    return _sized(b"\x11", integer(len(data)) + data)


def eisa_id(text: str) -> bytes:
    """`PNP0501` as a number (19.6.38): three letters of five bits, four digits, in network order."""
    letters = [ord(letter) - 0x40 for letter in text[:3]]
    number = letters[0] << 26 | letters[1] << 21 | letters[2] << 16 | int(text[3:], 16)
    return integer(int.from_bytes(number.to_bytes(4, "big"), "little"))


# -- resource descriptors (6.4)


def resources(*descriptors: bytes) -> bytes:
    """A template: descriptors and the end tag, whose checksum of zero is taken as right."""
    return buffer(b"".join(descriptors) + b"\x79\x00")


def io(base: int, length: int) -> bytes:
    """Ports at a fixed base, 16 bits decoded (6.4.2.5)."""
    return b"\x47\x01" + base.to_bytes(2, "little") * 2 + b"\x01" + bytes((length,))


def irq(*numbers: int) -> bytes:
    """ISA interrupts: edge, active high (6.4.2.1)."""
    return b"\x22" + sum(1 << number for number in numbers).to_bytes(2, "little")


def memory32(base: int, length: int, writable: bool = True) -> bytes:
    """A fixed range (6.4.3.4)."""
    return b"\x86\x09\x00" + bytes((writable,)) + base.to_bytes(4, "little") + length.to_bytes(4, "little")
