"""String instructions: MOVS CMPS STOS LODS SCAS with REP, REPE, REPNE.

Intel SDM volume 2. One execution is one element: a repeated one counts rCX down and branches to itself while there is more to do, so that a
fault or an exhausted budget between two elements leaves a state to go on from.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Memory, Operand
from tanken.isa.x86.semantics.execution import Execution, GeneralRegister, MemoryOperand
from tanken.isa.x86.semantics.flags import compare_flags
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import DF, RAX, RCX, RDI, RSI, ZF


def _step(x: Execution, number: int, size: int) -> None:
    """Move rSI or rDI one element on, or back."""
    pointer = x.register(number, x.inst.address_size * 8)
    value = pointer.read()
    pointer.write(x.get(DF).select(value - size, value + size))


def _element(x: Execution, operand: Operand) -> MemoryOperand:
    assert isinstance(operand, Memory)
    return MemoryOperand(x.machine, x.address(operand), operand.size * 8)


def _counted(x: Execution, element: Callable[[], None], more: Callable[[], Value | None]) -> None:
    """One element, or with a repeat prefix one of rCX; `more` says after it whether the flags ask for another."""
    if not x.inst.repeat:
        return element()
    count = x.register(RCX, x.inst.address_size * 8)

    def repeated() -> None:
        element()
        left = count.read() - 1
        count.write(left)
        again, wanted = ~left.is_zero(), more()
        x.machine.branch(again if wanted is None else again & wanted, x.constant(x.inst.address, 64))

    x.when(~count.read().is_zero(), repeated)


def _always() -> None:
    return None


def _while_equal(x: Execution) -> Callable[[], Value]:
    return lambda: ~x.get(ZF) if x.inst.repeat == "repnz" else x.get(ZF)


@semantic("movs")
def movs(x: Execution) -> None:
    def element() -> None:
        target, source = _element(x, x.operands[0]), _element(x, x.operands[1])
        target.write(source.read())
        _step(x, RSI, target.width // 8)
        _step(x, RDI, target.width // 8)

    _counted(x, element, _always)


@semantic("stos")
def stos(x: Execution) -> None:
    def element() -> None:
        target = _element(x, x.operands[0])
        target.write(x.register(RAX, target.width).read())
        _step(x, RDI, target.width // 8)

    _counted(x, element, _always)


@semantic("lods")
def lods(x: Execution) -> None:
    def element() -> None:
        source = _element(x, x.operands[1])
        value = source.read()
        GeneralRegister(x.machine, RAX, source.width).write(value)
        _step(x, RSI, source.width // 8)

    _counted(x, element, _always)


@semantic("cmps")
def cmps(x: Execution) -> None:
    def element() -> None:
        first, second = _element(x, x.operands[0]), _element(x, x.operands[1])
        compare_flags(x, first.read(), second.read())
        _step(x, RSI, first.width // 8)
        _step(x, RDI, first.width // 8)

    _counted(x, element, _while_equal(x))


@semantic("scas")
def scas(x: Execution) -> None:
    def element() -> None:
        target = _element(x, x.operands[1])
        compare_flags(x, x.register(RAX, target.width).read(), target.read())
        _step(x, RDI, target.width // 8)

    _counted(x, element, _while_equal(x))
