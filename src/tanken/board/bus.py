"""A bus: which device answers at which address. Accesses that a device does not know in one piece, or that touch two, are split.

What nobody answers reads as ones and is written to nowhere (as on the ISA bus, whose data lines are pulled up).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from tanken.base.errors import UsageError
from tanken.board.device import Device


@dataclass(frozen=True, slots=True)
class Window:
    """Addresses [base, base + size), at which the device's offsets from `offset` on appear."""

    base: int
    size: int
    device: Device
    offset: int

    @property
    def end(self) -> int:
        return self.base + self.size

    def __repr__(self) -> str:
        return f"<{self.base:#x}-{self.end - 1:#x} {self.device.name}>"


class Bus:
    """`name` is "pio" or "mmio"; `width` the bits of an address."""

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width = name, width
        self.windows: list[Window] = []
        self._bases: list[int] = []

    def attach(self, base: int, size: int, device: Device, offset: int = 0) -> Window:
        """Let `device` answer there. Raises UsageError where another one does."""
        window = Window(base, size, device, offset)
        if size <= 0 or base < 0 or window.end > 1 << self.width:
            raise UsageError(f"{window} on bus {self.name}", wanted=f"addresses of {self.width} bits")
        at = bisect_right(self._bases, base)
        for other in self.windows[max(0, at - 1) : at + 1]:
            if base < other.end and other.base < window.end:
                raise UsageError(f"{window} on bus {self.name}", wanted=f"addresses that {other} has not")
        self.windows.insert(at, window)
        self._bases.insert(at, base)
        return window

    def detach(self, window: Window) -> None:
        """Let nobody answer there."""
        at = self.windows.index(window)
        del self.windows[at], self._bases[at]

    def find(self, address: int) -> Window | None:
        """Who answers at `address`."""
        at = bisect_right(self._bases, address) - 1
        if at < 0:
            return None
        window = self.windows[at]
        return window if address < window.base + window.size else None

    def touches(self, address: int, size: int) -> bool:
        """Whether anybody answers at one of these addresses."""
        at = bisect_right(self._bases, address + size - 1) - 1
        return at >= 0 and self.windows[at].end > address

    def read(self, address: int, size: int) -> int:
        """`size` bytes, little-endian."""
        window = self.find(address)
        if window is not None and size <= window.device.largest and address + size <= window.base + window.size:
            return window.device.read(address - window.base + window.offset, size)
        if size == 1:
            return 0xFF
        value = shift = 0
        for at, width in self._pieces(address, size):
            value |= self.read(at, width) << shift
            shift += width * 8
        return value

    def write(self, address: int, value: int, size: int) -> None:
        """The low `size` bytes of `value`, little-endian."""
        window = self.find(address)
        if window is not None and size <= window.device.largest and address + size <= window.base + window.size:
            window.device.write(address - window.base + window.offset, value, size)
        elif size > 1:
            for at, width in self._pieces(address, size):
                self.write(at, value & (1 << width * 8) - 1, width)
                value >>= width * 8

    def _pieces(self, address: int, size: int) -> list[tuple[int, int]]:
        """The access in naturally aligned pieces that the devices know, at most half as large as the whole."""
        pieces = []
        end = address + size
        while address < end:
            window = self.find(address)
            width = 1 if window is None else window.device.largest
            while address % width or address + width > end or width >= size or (window is not None and address + width > window.end):
                width //= 2
            pieces.append((address, width))
            address += width
        return pieces
