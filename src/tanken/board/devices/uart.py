"""The 16550A UART with its FIFOs and interrupts; bytes go out at once, whatever the divisor says.

National Semiconductor PC16550D data sheet (1995). The interrupt leaves the chip only with OUT2, as IBM wired it (PC/AT Technical Reference).
"""

from __future__ import annotations

from tanken.board.device import CharDevice, Device, table
from tanken.board.interrupts import Line

R = table("uart")
ERBFI, ETBEI, ELSI, EDSSI = (R["IER"].mask(name) for name in ("ERBFI", "ETBEI", "ELSI", "EDSSI"))
DLAB = R["LCR"].mask("DLAB")
LOOP, OUT2, OUT1, RTS, DTR = (R["MCR"].mask(name) for name in ("LOOP", "OUT2", "OUT1", "RTS", "DTR"))
DR, OE, READY = R["LSR"].mask("DR"), R["LSR"].mask("OE"), R["LSR"].mask("THRE", "TEMT")
DELTAS = R["MSR"].mask("DCTS", "DDSR", "TERI", "DDCD")
CONNECTED = R["MSR"].mask("DCD", "DSR", "CTS")
NO_INTERRUPT, LINE_STATUS, DATA, TIMEOUT, EMPTY, MODEM = 0x1, 0x6, 0x4, 0xC, 0x2, 0x0  # IIR, table V of the data sheet
TRIGGERS = (1, 4, 8, 14)
DEPTH = 16
LSR, WAITING = R["LSR"].offset, 3  # so many readings of the line status in a row, and the guest waits for input


class Uart(Device):
    """Eight bytes of registers; `far` is the other end of the line."""

    name = "uart"
    registers = R
    KEPT = ("divisor", "ier", "fcr", "lcr", "mcr", "scratch", "received", "overrun", "deltas", "transmitter_empty", "asked")

    def __init__(self, irq: Line, far: CharDevice | None = None) -> None:
        self.irq, self.far = irq, far
        self.reset()

    def reset(self) -> None:
        self.divisor = 12
        self.ier = self.fcr = self.lcr = self.mcr = self.scratch = self.deltas = 0
        self.received: list[int] = []
        self.overrun = self.asked = 0
        self.transmitter_empty = 0  # the interrupt of that kind waits
        self._update()

    def bank(self) -> str:
        return "dlab" if self.lcr & DLAB else ""

    def read(self, offset: int, size: int) -> int:
        self.asked = min(self.asked + 1, WAITING) if offset == LSR else 0
        if self.lcr & DLAB and offset < 2:
            return self.divisor >> 8 * offset & 0xFF
        return (self._rbr, self._ier, self._iir, lambda: self.lcr, lambda: self.mcr, self._lsr, self._msr, lambda: self.scratch)[offset]()

    def write(self, offset: int, value: int, size: int) -> None:
        self.asked = 0
        if self.lcr & DLAB and offset < 2:
            self.divisor = self.divisor & 0xFF << 8 * (1 - offset) | value << 8 * offset
        elif offset == 0:
            self._send(value)
        elif offset == 1:
            # ETBEI turned on with nothing to send: the interrupt comes at once (8.4)
            self.transmitter_empty |= value & ~self.ier & ETBEI
            self.ier = value & 0xF
        elif offset == 2:
            self._control_fifo(value)
        elif offset == 3:
            self.lcr = value
        elif offset == 4:
            self._control_modem(value & 0x1F)
        elif offset == 7:
            self.scratch = value
        self._update()

    # -- reads

    def _rbr(self) -> int:
        value = self.received.pop(0) if self.received else 0
        self.poll()
        self._update()
        return value

    def _ier(self) -> int:
        return self.ier

    def _iir(self) -> int:
        cause = self._cause()
        if cause == EMPTY:
            self.transmitter_empty = 0
            self._update()
        return cause | (0xC0 if self.fcr & 1 else 0)

    def _lsr(self) -> int:
        value = READY | (DR if self.received else 0) | (OE if self.overrun else 0)
        self.overrun = 0
        self._update()
        return value

    def _modem_lines(self, mcr: int) -> int:
        if not mcr & LOOP:
            return CONNECTED
        return (mcr & RTS) << 3 | (mcr & DTR) << 5 | (mcr & (OUT1 | OUT2)) << 4  # 8.6: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD

    def _msr(self) -> int:
        value = self._modem_lines(self.mcr) | self.deltas
        self.deltas = 0
        self._update()
        return value

    # -- writes

    def _send(self, value: int) -> None:
        if self.mcr & LOOP:
            self._arrived(value)
        elif self.far is not None:
            self.far.write(bytes((value,)))
        self.transmitter_empty = ETBEI

    def _control_fifo(self, value: int) -> None:
        if (value ^ self.fcr) & 1 or value & 2:  # 8.3: changing the mode clears them too
            self.received.clear()
        self.fcr = value & 0xC9 if value & 1 else 0

    def _control_modem(self, value: int) -> None:
        before, after = self._modem_lines(self.mcr), self._modem_lines(value)
        changed = before ^ after
        ring = 4 if before & ~after & 0x40 else 0  # TERI: its trailing edge only
        self.deltas |= (changed >> 4) & 0xB | ring
        self.mcr = value

    # -- the line

    @property
    def listens(self) -> bool:
        """Whether the guest is ready for input: it asked to be sent some (RTS), or told of it, or looks for it again and again."""
        return bool(self.mcr & RTS or self.ier & ERBFI or self.asked == WAITING)

    def poll(self) -> None:
        """Take what came in on the line, as much as there is room for. Input is kept back until the guest is ready: clearing the FIFOs would lose it."""
        if not self.listens:
            return
        room = (DEPTH if self.fcr & 1 else 1) - len(self.received)
        if room > 0 and self.far is not None and not self.mcr & LOOP:
            if data := self.far.read(room):
                self.received.extend(data)
                self._update()

    def _arrived(self, value: int) -> None:
        if len(self.received) < (DEPTH if self.fcr & 1 else 1):
            self.received.append(value)
        else:
            self.overrun = 1
            if not self.fcr & 1:
                self.received[0] = value

    def _cause(self) -> int:
        if self.overrun and self.ier & ELSI:
            return LINE_STATUS
        if self.received and self.ier & ERBFI:
            enough = TRIGGERS[self.fcr >> 6] if self.fcr & 1 else 1
            return DATA if len(self.received) >= enough else TIMEOUT
        if self.transmitter_empty and self.ier & ETBEI:
            return EMPTY
        return MODEM if self.deltas and self.ier & EDSSI else NO_INTERRUPT

    def _update(self) -> None:
        self.irq.set(self._cause() != NO_INTERRUPT and bool(self.mcr & OUT2) and not self.mcr & LOOP)

    def restored(self) -> None:
        self._update()
