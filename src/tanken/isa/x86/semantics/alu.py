"""Addition, subtraction, logic, and the exchanges built on them: ADD ADC SUB SBB CMP INC DEC NEG AND OR XOR TEST NOT XADD CMPXCHG ADCX ADOX.

Intel SDM volume 2; LOCK changes nothing here because one instruction is never interrupted by another processor.
"""

from __future__ import annotations

from functools import partial

from tanken.isa.architecture import Place
from tanken.isa.x86.inst import Memory
from tanken.isa.x86.semantics.execution import GP, Execution, Location
from tanken.isa.x86.semantics.flags import compare_flags, condition, difference_flags, logic_flags, sum_flags
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import CF, OF, RAX, RBX, RCX, RDX, ZF


@semantic("add")
def add(x: Execution) -> None:
    target, b = x.location(0), x.location(1).read()
    a = target.read()
    result = a + b
    target.write(result)
    x.set(CF, result.below(a))
    sum_flags(x, a, b, result)


@semantic("adc")
def adc(x: Execution) -> None:
    target, b = x.location(0), x.location(1).read()
    a = target.read()
    result = a + b + x.get(CF).zext(a.width)
    target.write(result)
    x.set(CF, (a & b | (a | b) & ~result).sign())
    sum_flags(x, a, b, result)


@semantic("sub")
def sub(x: Execution) -> None:
    target, b = x.location(0), x.location(1).read()
    a = target.read()
    target.write(a - b)
    compare_flags(x, a, b)


@semantic("sbb")
def sbb(x: Execution) -> None:
    target, b = x.location(0), x.location(1).read()
    a = target.read()
    result = a - b - x.get(CF).zext(a.width)
    target.write(result)
    x.set(CF, (~a & b | ~(a ^ b) & result).sign())
    difference_flags(x, a, b, result)


@semantic("cmp")
def cmp(x: Execution) -> None:
    compare_flags(x, x.location(0).read(), x.location(1).read())


@semantic("inc")
def inc(x: Execution) -> None:
    target = x.location(0)
    a, one = target.read(), x.constant(1, target.width)
    target.write(a + one)
    sum_flags(x, a, one, a + one)


@semantic("dec")
def dec(x: Execution) -> None:
    target = x.location(0)
    a, one = target.read(), x.constant(1, target.width)
    target.write(a - one)
    difference_flags(x, a, one, a - one)


@semantic("neg")
def neg(x: Execution) -> None:
    target = x.location(0)
    a, zero = target.read(), x.constant(0, target.width)
    target.write(zero - a)
    compare_flags(x, zero, a)


@semantic("not")
def not_(x: Execution) -> None:
    target = x.location(0)
    target.write(~target.read())


@semantic("and", "or", "xor")
def logic(x: Execution) -> None:
    target, b = x.location(0), x.location(1).read()
    a = target.read()
    result = {"and": a.__and__, "or": a.__or__, "xor": a.__xor__}[x.mnemonic](b)
    target.write(result)
    logic_flags(x, result)


@semantic("test")
def test(x: Execution) -> None:
    logic_flags(x, x.location(0).read() & x.location(1).read())


@semantic("xadd")
def xadd(x: Execution) -> None:
    target, source = x.location(0), x.location(1)
    a, b = target.read(), source.read()
    source.write(a)
    target.write(a + b)
    x.set(CF, (a + b).below(a))
    sum_flags(x, a, b, a + b)


@semantic("cmpxchg")
def cmpxchg(x: Execution) -> None:
    """Memory is written in either case; a register that loses keeps its upper half (AMD APM volume 3), rAX is written only then."""
    target, source = x.location(0), x.location(1)
    accumulator = x.register(RAX, target.width)
    a, old, new = accumulator.read(), target.read(), source.read()
    equal = a.equals(old)
    if x.is_memory(0):
        target.write(equal.select(new, old))
    else:
        x.when(equal, lambda: target.write(new))
    x.when(~equal, lambda: accumulator.write(old))
    compare_flags(x, a, old)


@semantic("cmpxchg8b", "cmpxchg16b")
def cmpxchg_pair(x: Execution) -> None:
    operand = x.operands[0]
    assert isinstance(operand, Memory)
    half = 64 if x.mnemonic == "cmpxchg16b" else 32
    address = x.address(operand)
    if half == 64:
        x.fault(GP, "CMPXCHG16B wants an address that is a multiple of 16", ~(address & 15).is_zero(), 0)
    rax, rdx, rbx, rcx = (x.register(number, half) for number in (RAX, RDX, RBX, RCX))
    old = x.machine.load(address, half // 4)
    equal = old.equals(rax.read().below_high(rdx.read()))
    x.machine.store(address, equal.select(rbx.read().below_high(rcx.read()), old))
    x.set(ZF, equal)
    for register, low in ((rax, 0), (rdx, half)):
        x.when(~equal, partial(register.write, old.bits(low, half)))


def _add_with(x: Execution, flag: Place) -> None:
    target = x.location(0)
    a, b = target.read(), x.location(1).read()
    result = a + b + x.get(flag).zext(a.width)
    target.write(result)
    x.set(flag, (a & b | (a | b) & ~result).sign())


@semantic("adcx")
def adcx(x: Execution) -> None:
    _add_with(x, CF)


@semantic("adox")
def adox(x: Execution) -> None:
    _add_with(x, OF)


def _aligned(x: Execution) -> Location:
    """The memory operand, whose address must be a multiple of its size."""
    target, operand = x.location(0), x.operands[0]
    assert isinstance(operand, Memory)
    x.fault(GP, "an address that is no multiple of the operand's size", ~(x.address(operand) & target.width // 8 - 1).is_zero(), 0)
    return target


@semantic("aadd", "aand", "aor", "axor")
def remote(x: Execution) -> None:
    """RAO-INT: memory changes, flags do not."""
    target, b = _aligned(x), x.location(1).read()
    a = target.read()
    target.write({"aadd": a + b, "aand": a & b, "aor": a | b, "axor": a ^ b}[x.mnemonic])


COMPARED = {"z": "e", "nz": "ne", "nb": "ae", "nbe": "a", "nl": "ge", "le": "le", "nle": "g"}


@semantic(*(f"cmp{no}{name}xadd" for no in ("", "n") for name in ("o", "b", "z", "be", "s", "p", "l", "le")))
def compare_and_add(x: Execution) -> None:
    """Memory against the second operand; where the condition then holds the third is added to it. The second gets what stood there."""
    name = x.mnemonic[3:-4]
    target, wanted, addend = _aligned(x), x.location(1), x.location(2).read()
    old, b = target.read(), wanted.read()
    compare_flags(x, old, b)
    target.write(condition(x, COMPARED.get(name, name)).select(old + addend, old))
    wanted.write(old)
