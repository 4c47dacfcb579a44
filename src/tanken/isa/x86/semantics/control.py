"""Control flow: JMP Jcc CALL RET LOOPcc JrCXZ, far returns to the program's own segments, and XBEGIN, which always aborts.

Intel SDM volume 2. In 64-bit mode near branches are always 64 bits wide.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Relative
from tanken.isa.x86.semantics.descriptors import SS, check_code, code_of, far_target, is_far, load_segment
from tanken.isa.x86.semantics.execution import GP, UD, Execution
from tanken.isa.x86.semantics.flags import CONDITIONS, STATUS, condition
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import AF, CF, CHANGEABLE, DF, FIXED, GPR, OF, PF, RAX, RCX, RSP, SEGMENT, SF, SYSTEM_FLAGS, ZF


def _target(x: Execution) -> Value:
    if isinstance(x.operands[0], Relative):
        return x.location(0).read()
    return x.location(0).read().zext(64)


@semantic("jmp")
def jmp(x: Execution) -> None:
    x.machine.jump(far_target(x) if is_far(x) else _target(x))


@semantic(*("j" + name for name in CONDITIONS))
def jcc(x: Execution) -> None:
    x.machine.branch(condition(x, x.mnemonic[1:]), _target(x))


@semantic("call")
def call(x: Execution) -> None:
    """A far one pushes the code segment first."""
    if is_far(x):
        target, width = far_target(x), x.width
        x.push(x.get(SEGMENT[1]).fit(width))
    else:
        target, width = _target(x), x.branch_width
    x.push(x.constant(x.next, width))
    x.machine.jump(target)


def _release(x: Execution) -> None:
    """Drop the bytes that the immediate of RET names."""
    if x.operands:
        stack = x.stack
        stack.write(stack.read() + x.location(0, stack.width).read())


@semantic("ret")
def ret(x: Execution) -> None:
    x.machine.jump(x.pop(x.branch_width).zext(64))
    _release(x)


@semantic("retf")
def retf(x: Execution) -> None:
    target, selector = x.pop(x.width), x.pop(x.width)
    x.fault(GP, "a return to another privilege level", ~(selector & 3).equals(3), code_of(selector.trunc(16)))
    check_code(x, selector)
    x.machine.jump(target.zext(64))
    _release(x)


@semantic("iret")
def iret(x: Execution) -> None:
    """Outside 64-bit mode the stack stays where it is."""
    target, code, flags = (x.pop(x.width) for _ in range(3))
    x.fault(GP, "a return to another privilege level", ~(code & 3).equals(3), code_of(code.trunc(16)))
    check_code(x, code)
    if x.inst.mode == 64:
        stack, segment = x.pop(x.width), x.pop(x.width)
        load_segment(x, SS, segment.trunc(16))
        x.set(GPR[RSP], stack.zext(64))
    restore_flags(x, flags)
    x.machine.jump(target.zext(64))


def restore_flags(x: Execution, value: Value) -> None:
    """What POPF and IRET at privilege level 3 change: not IF, not IOPL; 16 bits leave the upper ones."""
    for place, bit in (*STATUS, (DF, 10), (OF, 11)):
        x.set(place, value.bit(bit))
    changed = CHANGEABLE & (1 << value.width) - 1
    x.set(SYSTEM_FLAGS, x.get(SYSTEM_FLAGS) & ~changed | value.fit(32) & changed | FIXED)


@semantic("loop", "loope", "loopne")
def loop(x: Execution) -> None:
    count = x.register(RCX, x.inst.address_size * 8)
    left = count.read() - 1
    count.write(left)
    again = ~left.is_zero()
    if x.mnemonic != "loop":
        again = again & (x.get(ZF) if x.mnemonic == "loope" else ~x.get(ZF))
    x.machine.branch(again, _target(x))


@semantic("jcxz", "jecxz", "jrcxz")
def jrcxz(x: Execution) -> None:
    x.machine.branch(x.register(RCX, x.inst.address_size * 8).read().is_zero(), _target(x))


@semantic("xbegin")
def xbegin(x: Execution) -> None:
    """A transaction that aborts at once, without a reason to retry (SDM volume 1, 16.3.5)."""
    x.register(RAX, 32).write(x.constant(0, 32))
    x.machine.jump(_target(x))


@semantic("xabort")
def xabort(x: Execution) -> None:
    """Outside of a transaction it does nothing."""


@semantic("xtest")
def xtest(x: Execution) -> None:
    for place in (CF, OF, SF, PF, AF):
        x.set(place, x.constant(0, 1))
    x.set(ZF, x.constant(1, 1))


@semantic("xend")
def xend(x: Execution) -> None:
    x.fault(GP, "XEND outside of a transaction", code=0)


@semantic("ud0", "ud1", "ud2", "rsm", "frstpm(287 only)")
def undefined(x: Execution) -> None:
    x.fault(UD, x.inst.text())
