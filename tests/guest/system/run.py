"""Builds the micro guests with binutils and runs them: on our own processor, and under QEMU's TCG as the oracle.

A guest is 16-bit code at 0:1000 in 16 MiB of memory; port E9 takes its text, port F4 ends it.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ORIGIN, MEMORY = 0x1000, 16 << 20
TEXT_PORT, END_PORT = 0xE9, 0xF4
BIOS = """
 .code16
 .globl _start
_start:
 cli
 xor %ax, %ax
 mov %ax, %es
 mov $0x1000, %di
 mov $0xf000, %ax
 mov %ax, %ds
 xor %si, %si
 mov $0xe000, %cx
 cld
 rep movsb
 ljmp $0, $0x1000
 .org 0x1ff0
 ljmp $0xf000, $0xe000
 .org 0x1fff
 .byte 0
"""


def _assemble(source: str, folder: Path, name: str, origin: int) -> bytes:
    text, plain, binary = folder / f"{name}.s", folder / f"{name}.o", folder / f"{name}.bin"
    text.write_text(source)
    subprocess.run(["as", "-I", str(HERE), "-o", plain, text], check=True)
    subprocess.run(["ld", "-m", "elf_x86_64", "-Ttext", hex(origin), "--oformat", "binary", "-o", binary, plain], check=True)
    return binary.read_bytes()


def build(name: str, folder: Path) -> bytes:
    """The bytes of a guest."""
    return _assemble((HERE / f"{name}.S").read_text(), folder, name, ORIGIN)


@cache
def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.S"))


def on_qemu(code: bytes, folder: Path, cpu: str = "max", timeout: float = 8) -> str:
    """The text of a guest under QEMU's TCG."""
    stub = _assemble(BIOS, folder, "bios", 0)
    assert len(code) <= 0xE000 and len(stub) == 0x2000
    (folder / "bios.bin").write_bytes(code.ljust(0xE000, b"\0") + stub)
    text = folder / "text"
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", cpu, "-m", "16", "-nodefaults", "-display", "none", "-no-reboot", "-bios", str(folder / "bios.bin"),
               "-debugcon", f"file:{text}", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]  # fmt: skip
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, check=False, timeout=timeout, capture_output=True)
    return text.read_text(errors="replace")


def machine(code: bytes) -> Any:
    """(core, processor, physical memory) of our own, about to run the guest."""
    from tanken.engine.paged import PagedMemory
    from tanken.engine.physical import PhysicalMemory, Region
    from tanken.isa.x86.system.core import Core
    from tanken.isa.x86.system.processor import SystemProcessor
    from tanken.isa.x86.system.state import SystemState

    state = SystemState()
    state.set_segment(1, 0, 0, 0xFFFF, 0x9B)
    state.rip = ORIGIN
    ram = mmap.mmap(-1, MEMORY)
    ram[ORIGIN : ORIGIN + len(code)] = code
    physical = PhysicalMemory([Region(0, memoryview(ram), host=ctypes.addressof(ctypes.c_char.from_buffer(ram)))])
    processor = SystemProcessor(state)
    memory = PagedMemory(physical, processor)
    ticks = [0]
    core = Core(state, memory, lambda: ticks[0])
    core.cpuid = processor.cpuid
    return core, processor, physical


def on_reference(code: bytes, budget: int = 200_000, watch: Any = None) -> str:
    """The text of a guest on the slow engine."""
    from tanken.engine.system import SystemInterpreter

    core, processor, _ = machine(code)
    engine = SystemInterpreter(core, processor)
    engine.watch = watch
    core.ticks = lambda: engine.executed
    return drive(engine, core, budget)


def on_kvm(code: bytes, seconds: float = 5) -> str:
    """The text of a guest on the host's KVM."""
    from tanken.board.memory import Memory, Region
    from tanken.hypervisor import exits as E
    from tanken.hypervisor.kvm.system import Kvm, Vm
    from tanken.hypervisor.kvm.vcpu import KvmVcpu
    from tanken.isa.x86.system.state import SystemState

    memory = Memory()
    memory.add(Region("ram", 0, MEMORY))
    memory.write(ORIGIN, code)
    kvm = Kvm()
    vm = Vm(kvm, memory)
    vcpu = KvmVcpu(vm)
    state = SystemState()
    state.set_segment(1, 0, 0, 0xFFFF, 0x9B)
    state.rip = ORIGIN
    vcpu.set_state(state)
    text, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        exit = vcpu.run(100_000_000)
        if isinstance(exit, E.PortIo) and exit.write:
            if exit.port == END_PORT:
                break
            text.append(chr(exit.data))
        elif isinstance(exit, (E.PortIo, E.Mmio)):
            vcpu.answer(0xFFFF_FFFF)
        elif isinstance(exit, (E.MsrRead, E.MsrWrite)):
            vcpu.answer(None)
        elif not isinstance(exit, E.Kicked):
            break
    vcpu.close()
    vm.close()
    kvm.close()
    return "".join(text)


@cache
def store() -> Any:
    """What native engines share; None where there is no native code."""
    from tanken.base import native

    if not native.available():
        return None
    from tanken.engine.native.system import SystemStore
    from tanken.isa.x86.native.system import SystemX86

    return SystemStore(SystemX86())


def native_engine(code: bytes) -> Any:
    """(engine, core) of the native engine, about to run the guest."""
    from tanken.engine.native.system import SystemNative

    core, processor, _ = machine(code)
    engine = SystemNative(core, processor, store().target, store())
    core.ticks = lambda: engine.executed
    return engine, core


def on_native(code: bytes, budget: int = 200_000) -> str:
    """The text of a guest on the native engine."""
    engine, core = native_engine(code)
    text = drive(engine, core, budget)
    engine.save()
    return text


def drive(engine: Any, core: Any, budget: int, slice: int = 1 << 30) -> str:
    """Answer the guest's exits until it ends; `slice` instructions at a time."""
    from tanken.isa.architecture import Budget, Halt
    from tanken.isa.x86.system.core import MsrAccess, PortAccess, Shutdown
    from tanken.isa.x86.system.debug import ended
    from tanken.isa.x86.system.ports import complete

    text: list[str] = []
    while engine.executed < budget:
        exit = engine.run(min(slice, budget - engine.executed))
        if isinstance(exit, PortAccess):
            if exit.port == TEXT_PORT:
                text.append(chr(exit.value))
            if exit.port == END_PORT:
                break
            complete(core.state, core.memory, exit, 0xFFFF_FFFF)
            ended(core.state)
        elif isinstance(exit, MsrAccess):
            from tanken.isa.architecture import Fault

            end = engine.isa.raised(core, Fault(13, 0, core.state.rip, f"MSR {exit.number:#x}"))
            if end is not None:
                text.append(f"<{end}>")
                break
        elif isinstance(exit, Shutdown):
            break
        elif not isinstance(exit, (Budget, Halt)):
            text.append(f"<{exit}>")
            break
    return "".join(text)
