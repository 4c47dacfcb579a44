"""The instructions that go elsewhere, in a whole processor: to other segments, levels and tasks, into handlers, and to whoever answers for a port.

Intel SDM volume 2 by instruction. The procedures are `transfer`, `returns`, `syscalls`, `events`, `virtual` and `ports`.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Far, Immediate, Memory, Register
from tanken.isa.x86.semantics.control import _target
from tanken.isa.x86.semantics.descriptors import is_far
from tanken.isa.x86.state import OF, RAX, RDX
from tanken.isa.x86.system import ports, virtual
from tanken.isa.x86.system import returns as R
from tanken.isa.x86.system import syscalls as C
from tanken.isa.x86.system import transfer as T
from tanken.isa.x86.system.core import DB, Core
from tanken.isa.x86.system.events import HARDWARE, deliver, software
from tanken.isa.x86.system.execution import SystemExecution, system

# -- ports


def _port(x: SystemExecution, number: int) -> Value:
    operand = x.operands[number]
    return x.constant(operand.value & 0xFF, 16) if isinstance(operand, Immediate) else x.register(RDX, 16).read()


@system("in")
def port_in(x: SystemExecution) -> None:
    target = x.operands[0]
    assert isinstance(target, Register)
    x.ask(lambda core, port: ports.read_port(core, port, target.size), _port(x, 1))


@system("out")
def port_out(x: SystemExecution) -> None:
    source = x.operands[1]
    assert isinstance(source, Register)
    x.ask(lambda core, port, value: ports.write_port(core, port, source.size, value), _port(x, 0), x.register(RAX, source.size * 8).read())


@system("ins", "outs")
def port_string(x: SystemExecution) -> None:
    is_in = x.mnemonic == "ins"
    operand = x.operands[0 if is_in else 1]
    assert isinstance(operand, Memory)
    size, segment, repeated = operand.size, operand.segment, bool(x.inst.repeat)
    x.ask(lambda core: ports.string_port(core, is_in, size, x.inst.address_size, segment, repeated))


# -- transfers


def _far_pointer(x: SystemExecution) -> tuple[Value, Value]:
    """(selector, offset)."""
    operand = x.operands[0]
    if isinstance(operand, Far):
        return x.constant(operand.selector, 16), x.constant(operand.offset, 64)
    pointer = x.location(0, x.width + 16).read()
    return pointer.bits(x.width, 16), pointer.trunc(x.width).zext(64)


@system("jmp")
def jmp(x: SystemExecution) -> None:
    if not is_far(x):
        return x.machine.jump(_target(x))
    size = x.inst.operand_size
    x.machine.handle(lambda core, selector, offset: T.far_jump(core, selector, offset, size), *_far_pointer(x))


@system("call")
def call(x: SystemExecution) -> None:
    if is_far(x):
        size = x.inst.operand_size
        return x.machine.handle(lambda core, selector, offset: T.far_call(core, selector, offset, size), *_far_pointer(x))
    target = _target(x)
    x.push(x.constant(x.next, x.branch_width))
    x.machine.jump(target)


@system("retf")
def retf(x: SystemExecution) -> None:
    size, release = x.inst.operand_size, x.immediate(0) or 0 if x.operands else 0
    x.machine.handle(lambda core: R.far_return(core, size, release))


@system("iret")
def iret(x: SystemExecution) -> None:
    x.machine.handle(lambda core: R.interrupt_return(core, x.inst.operand_size))


@system("int")
def interrupt(x: SystemExecution) -> None:
    procedure = virtual.interrupt if x.context.virtual else software
    x.machine.handle(lambda core: procedure(core, x.immediate(0) or 0))


@system("int3")
def int3(x: SystemExecution) -> None:
    x.machine.handle(lambda core: software(core, 3))


@system("into")
def into(x: SystemExecution) -> None:
    x.when(x.get(OF), lambda: x.machine.handle(lambda core: software(core, 4)))


@system("int1")
def int1(x: SystemExecution) -> None:
    """A #DB behind the instruction, without a look at the gate's privilege."""

    def trap(core: Core) -> int:
        core.state.rip = core.following
        deliver(core, DB, None, HARDWARE)
        return core.state.rip

    x.machine.handle(trap)


@system("syscall")
def syscall(x: SystemExecution) -> None:
    x.machine.handle(C.syscall)


@system("sysret")
def sysret(x: SystemExecution) -> None:
    x.machine.handle(lambda core: C.sysret(core, 8 if x.inst.mode == 64 and x.inst.operand_size == 8 else 4))


@system("sysenter")
def sysenter(x: SystemExecution) -> None:
    x.machine.handle(C.sysenter)


@system("sysexit")
def sysexit(x: SystemExecution) -> None:
    x.machine.handle(lambda core: C.sysexit(core, 8 if x.inst.mode == 64 and x.inst.operand_size == 8 else 4))
