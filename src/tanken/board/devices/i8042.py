"""The 8042 keyboard controller with a keyboard of 101 keys behind it; port 2 has no mouse. Command FEh resets the machine.

IBM PC/AT Technical Reference (1984), "Keyboard controller", and IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard".
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.board.device import Device, table
from tanken.board.interrupts import Line

R = table("i8042")
OUTPUT_FULL, AUX, UNLOCKED, COMMAND, SYSTEM = (R["STATUS"].mask(name) for name in ("OUTPUT_FULL", "AUX", "UNLOCKED", "COMMAND", "SYSTEM"))
KEYBOARD_INTERRUPT, AUX_INTERRUPT, SYSTEM_FLAG, KEYBOARD_OFF, AUX_OFF, TRANSLATE = 0x01, 0x02, 0x04, 0x10, 0x20, 0x40  # the command byte
ACKNOWLEDGE, RESEND, PASSED, ECHO = 0xFA, 0xFE, 0xAA, 0xEE
IDENTITY = (0xAB, 0x83)
TAKES_DATA = (0x60, 0xD1, 0xD2, 0xD3, 0xD4)  # commands whose operand follows on the data port
ROOM = 16  # keys that wait: a keyboard's own buffer


class I8042(Device):
    """`irq` is the keyboard's line, `aux_irq` the mouse's; `reset_machine` is what pulling the processor's reset line does."""

    name = "i8042"
    registers = R
    KEPT = ("mode", "port", "command", "output", "keys", "scanning", "expects", "last", "system")

    def __init__(self, irq: Line, aux_irq: Line, reset_machine: Callable[[], None]) -> None:
        self.irq, self.aux_irq, self.reset_machine = irq, aux_irq, reset_machine
        self.reset()

    def reset(self) -> None:
        self.mode = TRANSLATE | KEYBOARD_INTERRUPT | SYSTEM_FLAG
        self.port = 0xDF
        self.command: int | None = None  # that waits for its operand
        self.output: list[list[int]] = []  # [byte, 1 if from port 2]
        self.keys: list[int] = []
        self.scanning = True
        self.expects: int | None = None  # the keyboard's command that waits for its operand
        self.last = COMMAND
        self.system = SYSTEM
        self._update()

    def key(self, codes: bytes) -> None:
        """Scan codes of set 1 from a key that was pressed or let go; lost where the keyboard's buffer is full."""
        if self.scanning and len(self.keys) + len(codes) <= ROOM:
            self.keys.extend(codes)
            self._update()

    def read(self, offset: int, size: int) -> int:
        if offset == 1:
            kind = AUX if self.output and self.output[0][1] else 0
            return UNLOCKED | self.system | self.last | (OUTPUT_FULL | kind if self.output else 0)
        value = self.output.pop(0)[0] if self.output else 0
        self.irq.set(False)
        self.aux_irq.set(False)
        self._update()
        return value

    def write(self, offset: int, value: int, size: int) -> None:
        if offset == 1:
            self.last = COMMAND
            self._control(value)
        else:
            self.last = 0
            command, self.command = self.command, None
            if command is None:
                self.mode &= ~KEYBOARD_OFF
                self._keyboard(value)
            else:
                self._operand(command, value)
        self._update()

    def _answer(self, *values: int, aux: int = 0) -> None:
        self.output.extend([value, aux] for value in values)

    def _control(self, value: int) -> None:
        if value in TAKES_DATA:
            self.command = value
        elif value == 0x20:
            self._answer(self.mode)
        elif value == 0xAA:
            self.system = SYSTEM
            self._answer(0x55)
        elif value in (0xAB, 0xA9):
            self._answer(0x00 if value == 0xAB else 0x02)  # A9: the clock line of port 2 is stuck: nothing there
        elif value in (0xAD, 0xAE):
            self.mode = self.mode | KEYBOARD_OFF if value == 0xAD else self.mode & ~KEYBOARD_OFF
        elif value in (0xA7, 0xA8):
            self.mode = self.mode | AUX_OFF if value == 0xA7 else self.mode & ~AUX_OFF
        elif value in (0xC0, 0xD0):
            self._answer(0xA0 if value == 0xC0 else self.port)
        elif value >= 0xF0 and not value & 1:
            self.reset_machine()  # F0 to FF pulse the lines whose bit is 0; bit 0 is the reset

    def _operand(self, command: int, value: int) -> None:
        if command == 0x60:
            self.mode = value
            self.system = value & SYSTEM_FLAG
        elif command == 0xD1:
            self.port = value
            if not value & 1:
                self.reset_machine()
        elif command in (0xD2, 0xD3):
            self._answer(value, aux=int(command == 0xD3))
        # D4: to port 2, where nothing answers

    def _keyboard(self, value: int) -> None:
        expects, self.expects = self.expects, None
        if expects is not None and value < 0x80:
            self._answer(ACKNOWLEDGE)
            if expects == 0xF0 and value == 0:
                self._answer(2)  # the scan code set
        elif value == 0xFF:
            self.scanning, self.keys = True, []
            self._answer(ACKNOWLEDGE, PASSED)
        elif value == 0xF2:
            self._answer(ACKNOWLEDGE, IDENTITY[0], 0x41 if self.mode & TRANSLATE else IDENTITY[1])
        elif value == ECHO:
            self._answer(ECHO)
        elif value in (0xED, 0xF0, 0xF3):
            self.expects = value
            self._answer(ACKNOWLEDGE)
        elif value in (0xF4, 0xF5, 0xF6):
            self.scanning = value != 0xF5
            self._answer(ACKNOWLEDGE)
        else:
            self._answer(RESEND)

    def _update(self) -> None:
        if not self.output and self.keys and not self.mode & KEYBOARD_OFF:
            self._answer(self.keys.pop(0))
        aux = bool(self.output and self.output[0][1])
        self.irq.set(bool(self.output) and not aux and bool(self.mode & KEYBOARD_INTERRUPT))
        self.aux_irq.set(aux and bool(self.mode & AUX_INTERRUPT))

    def restored(self) -> None:
        self._update()
