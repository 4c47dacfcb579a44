"""Reads `.regs` files: a device's registers as text, a register a row, so that traces, documents and the device itself share one set of names.

`@device NAME` begins a device, `@cite` holds until it changes, `@space NAME via REGISTER` begins registers that are reached by an index through
another one; rows are `offset NAME access size attributes | title | fields`, and indented notes may follow.

    offset      0x100, or 0x100+0x10*8: eight of them, 0x10 apart
    access      r, w or rw
    size        bytes
    attributes  bank=NAME (there only while the device says that bank is selected), reset=VALUE,
                posted (a write may wait until the device is looked at next, or until a short time has passed)
    fields      0 NAME, or 7:4 NAME (bits 7 to 4), parted by commas
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from tanken.base.errors import InputError, InternalError
from tanken.notation import lines


@dataclass(frozen=True, slots=True)
class Field:
    """Bits `high` down to `low` of a register."""

    name: str
    high: int
    low: int

    @property
    def mask(self) -> int:
        """The bits of the field, in their place."""
        return (1 << self.high + 1) - (1 << self.low)

    def of(self, value: int) -> int:
        """The field's value in a register that holds `value`."""
        return (value & self.mask) >> self.low


@dataclass(frozen=True, slots=True)
class Register:
    """One register, or `count` of them `step` apart; `line` is that of the row."""

    name: str
    offset: int
    size: int
    access: str
    title: str
    fields: tuple[Field, ...]
    bank: str = ""
    reset: int = 0
    step: int = 0
    count: int = 1
    posted: bool = False
    cite: str = ""
    notes: tuple[str, ...] = ()
    line: int = 0

    def field(self, name: str) -> Field:
        """The field `name`; a device that asks for one its table has not is our bug."""
        for field in self.fields:
            if field.name == name:
                return field
        raise InternalError(f"register {self.name} has no field {name}", wanted=", ".join(field.name for field in self.fields))

    def mask(self, *names: str) -> int:
        """The bits of the fields `names`."""
        return sum(self.field(name).mask for name in names)

    def words(self, value: int) -> str:
        """The fields that are set in `value`: "ERBFI MODE=3"."""
        shown = []
        for field in self.fields:
            if part := field.of(value):
                shown.append(field.name if field.high == field.low else f"{field.name}={part:#x}")
        return " ".join(shown)

    def at(self, offset: int) -> int | None:
        """Which of its `count` registers stands at `offset`, None for none."""
        if self.count == 1:
            return 0 if self.offset <= offset < self.offset + self.size else None
        number, inside = divmod(offset - self.offset, self.step)
        return number if 0 <= number < self.count and inside < self.size else None


class Registers:
    """The registers of a device by name, and by offset in each of its spaces ("" is what the bus reaches)."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.spaces: dict[str, list[Register]] = {"": []}
        self.via: dict[str, str] = {}  # register -> the space that is reached through it
        self._by_name: dict[str, Register] = {}
        self._names: dict[tuple[int, str, str, str], str] = {}

    def __getitem__(self, name: str) -> Register:
        found = self._by_name.get(name)
        if found is None:
            raise InternalError(f"device {self.device} has no register {name}")
        return found

    def __iter__(self) -> Iterator[Register]:
        return iter(self._by_name.values())

    def add(self, register: Register, space: str, where: str) -> None:
        """Enter one; raises InputError for a name that is there already."""
        if register.name in self._by_name:
            raise InputError(f"register {register.name} again", where=where, wanted=f"one row a register (see line {self._by_name[register.name].line})")
        self.spaces[space].append(register)
        self._by_name[register.name] = register

    def find(self, offset: int, access: str, bank: str = "", space: str = "") -> tuple[Register, int] | None:
        """The register that `access` ("r" or "w") to `offset` means, and which of its count; a row of the selected bank goes before one of none."""
        best = None
        for register in self.spaces[space]:
            number = register.at(offset)
            if number is None or access not in register.access or register.bank not in ("", bank):
                continue
            if best is None or register.bank:
                best = register, number
        return best

    def name(self, offset: int, access: str, bank: str = "", space: str = "") -> str:
        """Its name: "IER", "ISR[2]"; the offset in hexadecimal where there is none."""
        key = (offset, access, bank, space)
        known = self._names.get(key)
        if known is None:
            found = self.find(offset, access, bank, space)
            known = f"{offset:#x}" if found is None else found[0].name + (f"[{found[1]}]" if found[0].count > 1 else "")
            self._names[key] = known
        return known


def parse_registers(text: str, name: str) -> dict[str, Registers]:
    """The devices of the table `text`; `name` is the file's name for messages. Raises InputError with file and line."""
    devices: dict[str, Registers] = {}
    current: Registers | None = None
    cite = space = ""
    for line in lines.read(text, name):
        where = f"{name}:{line.number}"
        if line.word == "device" and line.text and line.text not in devices:
            current = devices[line.text] = Registers(line.text)
            cite = space = ""
        elif line.word == "cite":
            cite = line.text
        elif line.word == "space" and current is not None:
            space = _space(current, line.text, where)
        elif line.word or current is None:
            raise InputError(f"@{line.word}" if line.word else "a row before any device", where=where, wanted="@device NAME (once), @cite, @space NAME via REGISTER")
        else:
            current.add(replace(_row(line, where), cite=cite), space, where)
    return devices


def _space(device: Registers, text: str, where: str) -> str:
    words = text.split()
    if len(words) != 3 or words[1] != "via" or words[0] in device.spaces:
        raise InputError(f"@space {text}", where=where, wanted="@space NAME via REGISTER, once a name")
    device.spaces[words[0]] = []
    device.via[device[words[2]].name] = words[0]
    return words[0]


def _number(text: str, where: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise InputError(f"number {text!r}", where=where, wanted="a number: 8, 0x1f") from None


def _row(line: lines.Line, where: str) -> Register:
    cells = [cell.strip() for cell in line.text.split("|")]
    head = cells[0].split(None, 4)
    if len(cells) != 3 or len(head) < 4 or head[2] not in ("r", "w", "rw"):
        raise InputError(f"row {line.text.strip()!r}", where=where, wanted="offset NAME r|w|rw size attributes | title | fields")
    offset, plus, many = head[0].partition("+")
    step, star, count = many.partition("*")
    if plus and not star:
        raise InputError(f"offset {head[0]}", where=where, wanted="0x100+0x10*8")
    found = lines.attributes(head[4] if len(head) > 4 else "", where)
    fields = tuple(_field(text.strip(), where) for text in cells[2].split(",") if text.strip())
    return Register(head[1], _number(offset, where), _number(head[3], where), head[2], cells[1], fields, found.pop("bank", ""),
                    _number(found.pop("reset", "0"), where), _number(step, where) if plus else 0, _number(count, where) if plus else 1,
                    "posted" in found, "", line.notes, line.number)  # fmt: skip


def _field(text: str, where: str) -> Field:
    bits, _, name = text.partition(" ")
    high, _, low = bits.partition(":")
    if not name.strip() or " " in name.strip():
        raise InputError(f"field {text!r}", where=where, wanted="7:4 NAME or 0 NAME")
    first = _number(high, where)
    last = _number(low, where) if low else first
    if last > first:
        raise InputError(f"field {text!r}", where=where, wanted="the higher bit first")
    return Field(name.strip(), first, last)


@cache
def read_registers(path: str | Path, device: str) -> Registers:
    """The registers of `device` from a file that comes with tanken."""
    return parse_registers(Path(path).read_text(encoding="utf-8"), Path(path).name)[device]
