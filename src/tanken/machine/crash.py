"""What a machine looked like when it crashed: registers, the code around, the last exits."""

from __future__ import annotations

from tanken.base.errors import TankenError
from tanken.hypervisor.view import View, physical_of
from tanken.isa.architecture import Exited, Faulted
from tanken.isa.x86.inst import disassemble
from tanken.isa.x86.state import GPR_NAMES
from tanken.isa.x86.system.processor import SystemProcessor
from tanken.isa.x86.system.state import SystemState
from tanken.machine.loop import Loop

INSTRUCTIONS = 6


def describe(machine: Loop) -> str:
    """Lines for a person; what cannot be had any more is said so."""
    try:
        state = machine.vcpu.get_state()
    except TankenError as error:
        return f"  the registers cannot be read: {error}"
    lines = [f"  {line}" for line in _registers(state)]
    lines += ["  code:", *(f"    {line}" for line in _code(machine, state)), f"  the last {len(machine.last)} exits:"]
    return "\n".join(lines + [f"    {exit!r}" for exit in machine.last])


def _registers(state: SystemState) -> list[str]:
    names = [f"{name}={value:016x}" for name, value in zip(GPR_NAMES, state.regs, strict=True)]
    rows = ["  ".join(names[at : at + 4]) for at in range(0, 16, 4)]
    mode = "real mode" if state.real else f"{state.mode}-bit code"
    rows.append(f"rip={state.rip:016x}  rflags={state.rflags:08x}  {mode}, privilege level {state.cpl}")
    rows.append(f"cr0={state.cr0:08x}  cr2={state.cr2:016x}  cr3={state.cr3:016x}  cr4={state.cr4:08x}  efer={state.efer:04x}")
    rows.append(f"gdt={state.gdtr_base:x}+{state.gdtr_limit:x}  idt={state.idtr_base:x}+{state.idtr_limit:x}")
    return rows


def _code(machine: Loop, state: SystemState) -> list[str]:
    processor = SystemProcessor(state)
    view = View(processor, physical_of(machine.memory))
    view.refresh()
    try:
        start = processor.fetch_address()
        code = b""
        while len(code) < 15 * INSTRUCTIONS and (piece := view.fetch(start + len(code))):
            code += piece
    except (Faulted, Exited):
        code = b""
    if not code:
        return [f"no memory at {state.rip:#x}"]
    listed = []
    for inst in disassemble(code, state.rip, state.mode):
        listed.append(f"{'>' if inst.address == state.rip else ' '} {inst.address:x}: {inst.code.hex(' '):30} {inst.text()}")
        if len(listed) == INSTRUCTIONS:
            break
    return listed
