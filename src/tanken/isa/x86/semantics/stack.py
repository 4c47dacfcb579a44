"""The stack: PUSH POP PUSHF POPF ENTER LEAVE.

Intel SDM volume 2; in 64-bit mode an element has 8 bytes, or 2 with an operand size prefix.
"""

from __future__ import annotations

from tanken.isa.x86.inst import Register
from tanken.isa.x86.semantics.control import restore_flags
from tanken.isa.x86.semantics.execution import GP, Execution
from tanken.isa.x86.semantics.flags import packed_flags
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import FS_BASE, GPR, GS_BASE, RBP, RSP


@semantic("push")
def push(x: Execution) -> None:
    """A selector is zero-extended."""
    x.push(x.location(0).read().fit(x.width))


@semantic("pop")
def pop(x: Execution) -> None:
    """The target's address, and a target rSP, see the stack pointer already moved."""
    value = x.pop(x.width)
    target = x.operands[0]
    if isinstance(target, Register) and target.file == "seg":
        selector = value.trunc(16)
        x.fault(GP, "no such segment", ~((selector & 0xFFFC).is_zero() | selector.equals(0x2B)), 0)
        x.location(0).write(selector)
        if target.number in (4, 5):
            x.set(FS_BASE if target.number == 4 else GS_BASE, x.constant(0, 64))
    else:
        x.location(0).write(value)


@semantic("pushf")
def pushf(x: Execution) -> None:
    x.push(packed_flags(x).trunc(x.width))


@semantic("popf")
def popf(x: Execution) -> None:
    restore_flags(x, x.pop(x.width))


@semantic("enter")
def enter(x: Execution) -> None:
    """The nesting level is known when decoding: each level copies one frame pointer."""
    size, level = x.immediate(0) or 0, (x.immediate(1) or 0) % 32
    w = x.width
    rbp, rsp = x.register(RBP, w), GPR[RSP]
    x.push(rbp.read())
    frame = x.get(rsp)
    for above in range(1, level):
        x.push(x.machine.load(x.get(GPR[RBP]) - above * (w // 8), w // 8))
    if level:
        x.push(frame.trunc(w))
    bottom = x.get(rsp) - size
    x.set(rsp, bottom)
    rbp.write(frame.trunc(w))


@semantic("leave")
def leave(x: Execution) -> None:
    rbp = x.register(RBP, x.width)
    x.set(GPR[RSP], x.get(GPR[RBP]))
    rbp.write(x.pop(x.width))
