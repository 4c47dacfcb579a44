"""A PC described in TOML: how much memory, which processor, which devices, what to boot; all of it has a default.

    [machine]  memory = "256M"  cpu = "auto"  clock = "real"
    [boot]     kernel = "vmlinuz"  initrd = "initrd.gz"  append = "console=ttyS0"  protocol = "auto"
    [devices]  serial = 1  rtc = true  i8042 = true  pit = true
    [console]  serial1 = "stdio"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tanken.base.errors import InputError, UsageError

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
CPUS, CLOCKS, PROTOCOLS = ("auto", "kvm", "own"), ("real", "instructions"), ("auto", "linux", "pvh")
LEAST, MOST = 4 << 20, 1 << 40


def size(text: str | int) -> int:
    """`256M` in bytes; raises UsageError."""
    word = str(text).strip().upper().removesuffix("IB").removesuffix("B")
    number, unit = (word[:-1], word[-1]) if word[-1:] in UNITS and word[-1:] else (word, "")
    if not number.isdigit():
        raise UsageError(f"memory {text!r}", wanted="a size such as 256M or 2G", hint="--memory")
    value = int(number) * UNITS[unit]
    if not LEAST <= value <= MOST or value % 4096:
        raise UsageError(f"memory {text!r}", wanted=f"from {LEAST >> 20}M to {MOST >> 30}G, whole pages", hint="--memory")
    return value


@dataclass
class Description:
    """What a PC is made of. `console` names the far end of the first serial line: stdio or tcp:PORT."""

    memory: int = 256 << 20
    cpu: str = "auto"
    clock: str = "real"
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    protocol: str = "auto"
    serial: int = 1
    rtc: bool = True
    i8042: bool = True
    pit: bool = True
    console: str = "stdio"
    coalesce: bool = True
    apic_page: bool = True
    where: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        self.memory = size(self.memory)
        for name, allowed in (("cpu", CPUS), ("clock", CLOCKS), ("protocol", PROTOCOLS)):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} {getattr(self, name)!r}", wanted=", ".join(allowed), where=self.where)
        if not 0 <= self.serial <= 2:
            raise UsageError(f"{self.serial} serial lines", wanted="0, 1 or 2", where=self.where)


PLACES = {"machine": ("memory", "cpu", "clock", "coalesce", "apic_page"), "boot": ("kernel", "initrd", "append", "protocol"), "devices": ("serial", "rtc", "i8042", "pit"),
          "console": ("serial1",)}  # fmt: skip


def parse(text: str, name: str) -> dict[str, Any]:
    """The settings of a description, by the names of Description. Raises InputError with file and key."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(str(error), where=name, wanted="TOML") from error
    kinds = {item.name: type(item.default) for item in fields(Description)}
    found: dict[str, Any] = {}
    for table, values in tables.items():
        if table not in PLACES or not isinstance(values, dict):
            raise InputError(f"[{table}]", where=name, wanted=", ".join(f"[{known}]" for known in PLACES))
        for key, value in values.items():
            if key not in PLACES[table]:
                raise InputError(f"{key} in [{table}]", where=name, wanted=", ".join(PLACES[table]))
            target = "console" if key == "serial1" else key
            if type(value) is not kinds[target] and not (target == "memory" and isinstance(value, str)):
                raise InputError(f"{key} = {value!r} in [{table}]", where=name, wanted=f"a value of type {kinds[target].__name__}")
            found[target] = value
    folder = Path(name).parent
    for key in ("kernel", "initrd"):
        if key in found and name != "-":
            found[key] = str(folder / found[key])
    return found
