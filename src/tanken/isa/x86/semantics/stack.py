"""The stack: PUSH POP PUSHF POPF ENTER LEAVE.

Intel SDM volume 2; in 64-bit mode an element has 8 bytes, or 2 with an operand size prefix.
"""

from __future__ import annotations

from tanken.isa.x86.inst import Register
from tanken.isa.x86.semantics.control import restore_flags
from tanken.isa.x86.semantics.descriptors import load_segment
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.flags import packed_flags
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import RBP


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
        load_segment(x, target.number, value.trunc(16))
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
    w, stack, rbp = x.width, x.stack, x.register(RBP, x.width)
    x.push(rbp.read())
    frame = stack.read()
    for above in range(1, level):
        link = x.register(RBP, stack.width).read() - above * (w // 8)
        x.push(x.machine.load(x.stack_address(link, w // 8, False), w // 8))
    if level:
        x.push(frame.trunc(w))
    bottom = stack.read() - size
    stack.write(bottom)
    rbp.write(frame.trunc(w))


@semantic("leave")
def leave(x: Execution) -> None:
    x.stack.write(x.register(RBP, x.stack.width).read())
    x.register(RBP, x.width).write(x.pop(x.width))
