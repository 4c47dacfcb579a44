"""Exits written down as they come, and added up: by device, register and guest function, with advice on how to have fewer.

`advice.table` holds the advice. A guest function needs the program counter, so that the report reads the registers at each exit.
"""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tanken.base.errors import InputError, TankenError
from tanken.base.records import json_line
from tanken.board.device import register_name
from tanken.hypervisor import exits as E
from tanken.isa.architecture import Budget, Halt
from tanken.machine.loop import Loop
from tanken.notation.table import read_tables

TOP = 15
ENTRY = "entry_SYSCALL_64"


class Recorder:
    """Of one machine's run."""

    def __init__(self, machine: Loop, out: IO[str] | None, report: bool) -> None:
        self.machine, self._out, self._report = machine, out, report
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.times: Counter[tuple[str, str, str]] = Counter()
        self._counters: Counter[int] = Counter()  # program counters
        self._names = {id(device): name for name, device in machine.devices.items()}  # type: ignore[attr-defined]  # the PC's
        self._number = 0

    @classmethod
    @contextlib.contextmanager
    def attached(cls, machine: Loop, path: str | None, report: bool) -> Iterator[Recorder]:
        """A recorder that sees every exit of the machine meanwhile; nothing is added to the run where neither is wanted."""
        out = opened(path) if path is not None else None
        recorder = cls(machine, out, report)
        if out is not None or report:
            recorder._wrap()
        try:
            yield recorder
        finally:
            if out is not None:
                out.close()

    def _wrap(self) -> None:
        handle = self.machine.handle

        def handled(exit: E.FinalExit) -> None:
            where = self.place(exit)
            began = time.perf_counter_ns()
            handle(exit)
            self._note(exit, where, time.perf_counter_ns() - began)

        self.machine.handle = handled  # type: ignore[method-assign]

    def place(self, exit: E.FinalExit) -> tuple[str, str]:
        """Device and register that the exit is about; "-" and the address where nobody answers."""
        machine = self.machine
        if isinstance(exit, E.PortIo | E.Mmio):
            bus, address = (machine.pio, exit.port) if isinstance(exit, E.PortIo) else (machine.memory.bus, exit.address)
            window = bus.find(address)
            if window is None:
                return "-", f"{address:#x}"
            device = window.device
            return self._names.get(id(device), device.name), register_name(device, address - window.base + window.offset, "w" if exit.write else "r")
        if isinstance(exit, E.MsrRead | E.MsrWrite):
            return "msr", f"{exit.index:#x}"
        return "-", type(exit).__name__

    def _note(self, exit: E.FinalExit, where: tuple[str, str], nanoseconds: int) -> None:
        kind = "write" if getattr(exit, "write", isinstance(exit, E.MsrWrite)) else "read" if isinstance(exit, E.PortIo | E.Mmio | E.MsrRead) else ""
        key = (*where, kind)
        self.counts[key] += 1
        if not isinstance(exit, Halt):
            self.times[key] += nanoseconds
        if self._report and isinstance(exit, E.PortIo | E.Mmio | E.MsrRead | E.MsrWrite):
            self._counters[self.machine.vcpu.get_state().rip] += 1
        if self._out is not None:
            self._number += 1
            values: dict[str, Any] = {"n": self._number, "time": self.machine.clock.now(), "exit": type(exit).__name__, "device": where[0], "register": where[1]}
            if not isinstance(exit, Halt | Budget):
                values |= dict(exit.items())
            self._out.write(json_line(values | {"ns": nanoseconds}) + "\n")

    def functions(self) -> Counter[str]:
        """Exits by the guest's function; a kernel that moved itself is told by where its system call entry is now."""
        found = symbols(self.machine)
        addresses, names = [value for value, _ in found], [name for _, name in found]
        entry = next((value for value, name in found if name == ENTRY), None)
        lstar = self.machine.vcpu.get_state().lstar if entry is not None else 0
        slide = lstar - entry if entry is not None and lstar else 0
        counted: Counter[str] = Counter()
        for rip, count in self._counters.items():
            at = bisect_right(addresses, rip - slide) - 1
            counted[names[at] if at >= 0 else f"{rip:#x}"] += count
        return counted

    def text(self) -> str:
        """The report."""
        total = sum(self.counts.values())
        lines = [f"{total} exits, {len(self.counts)} kinds", f"{'count':>8}  {'us each':>8}  device    register"]
        for (device, register, kind), count in self.counts.most_common(TOP):
            lines.append(f"{count:8}  {self.times[device, register, kind] / count / 1000:8.1f}  {device:8}  {register} {kind}".rstrip())
        if functions := self.functions():
            lines.append("by guest function: " + ", ".join(f"{name} {count}" for name, count in functions.most_common(12)))
        if assisted := getattr(self.machine.vcpu, "assisted", None):
            what = "instructions done for KVM" if self.machine.vcpu.kind == "kvm" else "instructions that touched a device"
            lines.append(f"{what}: " + ", ".join(f"{name} {count}" for name, count in assisted.most_common(8)))
        return "\n".join(lines + [f"advice: {line}" for line in self.advice()])

    def advice(self) -> list[str]:
        """Rows of `advice.table` that fit what was counted."""
        found = []
        for device, pattern, least, what, source in read_tables(Path(__file__).parent / "advice.table")["advice"]:
            count = sum(
                count for (name, register, _), count in self.counts.items()
                if name == device and (register.startswith(pattern[:-1]) if pattern.endswith("*") else register == pattern)
            )  # fmt: skip
            if count >= int(least):
                found.append(f"{count} of {device} {pattern}: {what} ({source})")
        return found


def opened(path: str) -> IO[str]:
    """The file for the exits; raises InputError where it cannot be written."""
    try:
        return open(path, "w")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=path) from error


def symbols(machine: Loop) -> list[tuple[int, str]]:
    """Functions of the kernel, by address: from its ELF file's table of symbols, else from those that Linux carries for itself."""
    from tanken import elf
    from tanken.elf import kallsyms, kernel_image

    payload = getattr(machine, "payload", None)
    if payload is None:
        return []
    try:
        data = kernel_image.vmlinux(payload.kernel, payload.kernel_name) if kernel_image.is_bzimage(payload.kernel) else payload.kernel
        found = sorted((symbol.value, symbol.name) for symbol in elf.read(data, payload.kernel_name).symbols if symbol.value and symbol.name)
        return found or kallsyms.symbols(data, payload.kernel_name)
    except TankenError:
        return []  # the report does without names
