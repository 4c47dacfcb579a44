"""The pair of 8259A interrupt controllers, the second at input 2 of the first, with the PC's registers for level-triggered inputs.

Intel 8259A data sheet (231468-003). Buffered mode and the sequence for the 8080 have no meaning in a PC and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tanken.board.device import Device, State, table
from tanken.board.interrupts import Line

R = table("pic")
CASCADE = 2
SPURIOUS = 7
LEVEL_ALLOWED = (0xF8, 0xDE)  # IRQ 0, 1, 2, 8 and 13 are always edges


class Chip:
    """One 8259A; `changed` is called when its output may have changed."""

    KEPT = ("request", "service", "mask", "lines", "level", "base", "lowest", "step", "wants_icw4", "single", "automatic_end", "rotate_automatic",
            "special_mask", "special_nested", "read_service", "poll")  # fmt: skip

    def __init__(self) -> None:
        self.level = 0
        self.lines = 0  # levels of the inputs
        self.initialise(0)
        self.step = 0
        self.base = 0

    def initialise(self, icw1: int) -> None:
        """ICW1: the edges seen, mask, priorities and modes are cleared."""
        self.request = self.lines & self.level
        self.service = self.mask = 0
        self.lowest = 7  # the input of lowest priority
        self.step = 2  # the next ICW on the data port, 0 for none
        self.wants_icw4, self.single = icw1 & 1, icw1 >> 1 & 1
        self.automatic_end = self.rotate_automatic = self.special_mask = self.special_nested = self.read_service = self.poll = 0

    def input(self, number: int, level: bool) -> None:
        bit = 1 << number
        if level:
            if not self.lines & bit or self.level & bit:
                self.request |= bit
            self.lines |= bit
        else:
            self.lines &= ~bit
            self.request &= ~bit  # an input has to stay high until it is acknowledged ("Interrupt request")

    def _first(self, bits: int) -> int | None:
        """The input of highest priority among `bits`."""
        for step in range(1, 9):
            number = self.lowest + step & 7
            if bits >> number & 1:
                return number
        return None

    def candidate(self, is_first: bool) -> int | None:
        """The input that would be acknowledged now."""
        number = self._first(self.request & ~self.mask)
        if number is None:
            return None
        serving = self.service & ~self.mask if self.special_mask else self.service
        if is_first and self.special_nested:
            serving &= ~(1 << CASCADE)
        busy = self._first(serving)
        return number if busy is None or (number - self.lowest - 1 & 7) < (busy - self.lowest - 1 & 7) else None

    def accept(self, number: int) -> None:
        bit = 1 << number
        if not self.level & bit:
            self.request &= ~bit
        if not self.automatic_end:
            self.service |= bit
        elif self.rotate_automatic:
            self.lowest = number

    def command(self, value: int) -> None:
        if value & 0x10:
            self.initialise(value)
        elif value & 0x08:
            self._operate3(value)
        else:
            self._operate2(value >> 5, value & 7)

    def _operate2(self, operation: int, number: int) -> None:
        """OCW2: ends of interrupt and rotation."""
        if operation in (0, 4):
            self.rotate_automatic = operation >> 2
        elif operation == 6:
            self.lowest = number
        elif operation & 1:
            specific = operation & 2
            serving = self.service & ~self.mask if self.special_mask else self.service
            ended = number if specific else self._first(serving)
            if ended is not None:
                self.service &= ~(1 << ended)
                if operation & 4:
                    self.lowest = ended

    def _operate3(self, value: int) -> None:
        """OCW3: poll, which register reads give, special mask."""
        if value & 4:
            self.poll = 1
        if value & 2:
            self.read_service = value & 1
        if value & 0x40:
            self.special_mask = value >> 5 & 1

    def data(self, value: int) -> None:
        """ICW2 to ICW4 after an ICW1, else OCW1."""
        if self.step == 2:
            self.base = value & 0xF8
            self.step = 3 if not self.single else 4 if self.wants_icw4 else 0
        elif self.step == 3:
            self.step = 4 if self.wants_icw4 else 0
        elif self.step == 4:
            self.automatic_end, self.special_nested = value >> 1 & 1, value >> 4 & 1
            self.step = 0
        else:
            self.mask = value


class Pic(Device):
    """Both chips. `inputs` are the lines 0 to 15 (2 is taken); `output` goes to the processor."""

    name = "pic"
    registers = R

    def __init__(self, output: Line) -> None:
        self.output = output
        self.chips = (Chip(), Chip())
        self.inputs = [Line(f"irq{number}") for number in range(16)]
        for number, line in enumerate(self.inputs):
            line.connect(lambda level, number=number: self._input(number, level))  # type: ignore[misc]  # mypy: a lambda's default

    def reset(self) -> None:
        for chip in self.chips:
            lines = chip.lines
            chip.__init__()  # type: ignore[misc]  # as after power came on
            chip.lines = lines
        self._update()

    def _input(self, number: int, level: bool) -> None:
        self.chips[number >> 3].input(number & 7, level)
        self._update()

    def _update(self) -> None:
        first, second = self.chips
        first.input(CASCADE, second.candidate(False) is not None)
        self.output.set(first.candidate(True) is not None)

    def pending(self) -> bool:
        """Whether the output asks for service."""
        return self.output.level

    def acknowledge(self) -> int:
        """The INTA cycles: the vector; input 7's where the request is gone ("Default IR7")."""
        first, second = self.chips
        number = first.candidate(True)
        if number is None:
            return first.base + SPURIOUS
        if number == CASCADE:
            inner = second.candidate(False)
            first.accept(CASCADE)
            if inner is not None:
                second.accept(inner)
            vector = second.base + (SPURIOUS if inner is None else inner)
        else:
            first.accept(number)
            vector = first.base + number
        if first.lines >> CASCADE & 1:
            first.input(CASCADE, False)  # the second one's output falls with INTA and rises again for the next
        self._update()
        return vector

    def read(self, offset: int, size: int) -> int:
        if offset >= 4:
            return self.chips[offset - 4].level
        chip = self.chips[offset >> 1]
        if chip.poll:
            return self._polled(chip)
        if offset & 1:
            return chip.mask
        return chip.service if chip.read_service else chip.request

    def _polled(self, chip: Chip) -> int:
        """After a poll command a read acknowledges: bit 7 and the number."""
        chip.poll = 0
        number = chip.candidate(chip is self.chips[0])
        if number is None:
            return 0
        chip.accept(number)
        self._update()
        return 0x80 | number

    def write(self, offset: int, value: int, size: int) -> None:
        if offset >= 4:
            self.chips[offset - 4].level = value & LEVEL_ALLOWED[offset - 4]
        elif offset & 1:
            self.chips[offset >> 1].data(value)
        else:
            self.chips[offset >> 1].command(value)
        self._update()

    def state(self) -> State:
        return {"chips": [{name: getattr(chip, name) for name in Chip.KEPT} for chip in self.chips]}

    def restore(self, state: Mapping[str, Any]) -> None:
        for chip, kept in zip(self.chips, state["chips"], strict=True):
            for name in Chip.KEPT:
                setattr(chip, name, kept[name])
        for number, line in enumerate(self.inputs):
            line.level = bool(self.chips[number >> 3].lines >> (number & 7) & 1) and number != CASCADE
        self.output.set(self.chips[0].candidate(True) is not None)
