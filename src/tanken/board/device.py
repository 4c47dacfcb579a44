"""What a device is: reads and writes at offsets, a reset, a state that can be saved and put back; and what devices themselves ask for.

Design, "The narrow waists": base addresses, buses and processors are somebody else's business.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tanken.base.errors import InputError
from tanken.notation.regs import Registers, read_registers

State = dict[str, Any]


class CharDevice(Protocol):
    """The far end of a serial line."""

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes that came in; none where there are none. It does not wait."""

    def write(self, data: bytes) -> None:
        """Take bytes that go out."""


class BlockDevice(Protocol):
    """A disk: `sectors` of `sector_size` bytes."""

    sector_size: int
    sectors: int
    read_only: bool

    def read(self, sector: int, count: int) -> bytes: ...

    def write(self, sector: int, data: bytes) -> None: ...

    def flush(self) -> None: ...


class NetDevice(Protocol):
    """A network: whole Ethernet frames without their checksum."""

    def send(self, frame: bytes) -> None: ...

    def receive(self) -> bytes | None:
        """A frame that came in, None where there is none. It does not wait."""


def table(name: str) -> Registers:
    """The registers of the device `name`, from `devices/NAME.regs`."""
    return read_registers(Path(__file__).parent / "devices" / f"{name}.regs", name)


class Device(ABC):
    """Base of all devices. A device gives KEPT, the attributes that are its state: numbers, texts, lists and mappings of them.

    `largest` is the widest access in bytes that it knows; a bus splits wider ones.
    """

    name: ClassVar[str]
    registers: ClassVar[Registers]
    largest: ClassVar[int] = 1
    KEPT: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, offset: int, size: int) -> int:
        """What a read of `size` bytes at `offset` gives; it may change the device."""

    @abstractmethod
    def write(self, offset: int, value: int, size: int) -> None:
        """Take a write of `size` bytes."""

    @abstractmethod
    def reset(self) -> None:
        """As after power came on."""

    def state(self) -> State:
        """All that its behaviour depends on, in the types of JSON."""
        return {name: copy.deepcopy(getattr(self, name)) for name in self.KEPT}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as the device did that gave this state. Raises InputError for the state of something else."""
        missing, strange = set(self.KEPT) - set(state), set(state) - set(self.KEPT)
        if missing or strange:
            met = ", ".join(sorted(missing)) + " missing" if missing else ", ".join(sorted(strange)) + " unknown"
            raise InputError(f"state of device {self.name}: {met}", wanted="the state of the same device and version")
        for name in self.KEPT:
            setattr(self, name, copy.deepcopy(state[name]))
        self.restored()

    def restored(self) -> None:  # noqa: B027  # many devices have nothing to do
        """Called after `restore`: arm timers, drive lines."""

    def bank(self) -> str:
        """The bank of registers that is selected, for their names."""
        return ""

    def index(self) -> int:
        """What the index register selects, for the names of registers reached through it."""
        return 0


def register_name(device: Device, offset: int, access: str) -> str:
    """The name of the register that an access ("r" or "w") would now mean: "IER", "DATA.STATUS_A"."""
    name = device.registers.name(offset, access, device.bank())
    space = device.registers.via.get(name)
    return name if space is None else f"{name}.{device.registers.name(device.index(), access, '', space)}"
