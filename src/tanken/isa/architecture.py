"""What an engine asks of an instruction set: the columns of a decoded instruction, the abstract machine, and the exits of a run (`isa.exits`).

An engine imports only this module of `isa`; whatever is x86, mist32 or charstring stands in the instruction set's own
package (design: "The narrow waists").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Literal, Protocol

from tanken.isa.exits import Budget, Debug, Exit, Exited, Fault, Faulted, Halt, MemoryMiss, Outside, Syscall

__all__ = ["COLUMNS", "Architecture", "Budget", "Column", "Debug", "Exit", "Exited", "Fault", "Faulted", "Halt", "Hole", "Instruction", "LaneOperation",
           "Machine", "MemoryMiss", "Operation", "Outside", "Place", "Syscall", "Value"]  # fmt: skip


class Column(IntEnum):
    """The int64 columns of a decoded instruction; an instruction set says how it packs those it packs."""

    ADDRESS = 0  # linear address of the first byte
    FORM = 1  # number of the row of the opcode map, 0 where no row fits
    LENGTH = 2  # bytes, prefixes included
    PREFIXES = 3  # bits: which prefixes were met, and what they selected
    SIZES = 4  # bytes: operand, address, vector, mode
    REGISTERS = 5  # register numbers of the encoding's fields
    MEMORY = 6  # base, index, scale, segment of the memory operand
    DISPLACEMENT = 7  # of the memory operand, sign-extended
    IMMEDIATE = 8  # immediate, branch distance or far pointer
    FAULT = 9  # why this is no instruction, 0 where it is one


COLUMNS = len(Column)


# -- the abstract machine that semantics are written for ---------------------------------------------------------------------
#
# The meaning of an instruction is a function that *calls the machine*: it never looks into a guest value with a Python `if`. Run on
# Python integers it is the slow, obvious engine; run on a machine that records what it is asked, it becomes Python source or LLVM code.
#
#   pure        Value's operators and methods, `apply` (a foreign pure function of integers: soft-float, CPUID)
#   effects     get set get_at set_at load store when fault jump branch leave clock
#
# The rules: an instruction's effects on places count only once it ends without a fault (the machine sees to it); loads, stores and
# faults happen in the order written; a shift by the width or more and a division by zero give an unspecified value that must not be used.


class Place:
    """A named part of the processor's state: an attribute of the state, or one element of an attribute that is a list.

    Compared by identity: an instruction set makes each of its places once.
    """

    __slots__ = ("field", "index", "width")

    def __init__(self, field: str, width: int, index: int | None = None) -> None:
        self.field, self.width, self.index = field, width, index

    def __repr__(self) -> str:
        return self.field if self.index is None else f"{self.field}[{self.index}]"


class Hole(int):
    """A number of one instruction that its translation is to keep open: an address, a displacement, an immediate.

    Given to `Machine.constant` it stays open. Whoever computes with it in Python gets an ordinary number, and `touched` then tells the
    translator that its code is for this number alone.
    """

    kind: str
    width: int
    touched: set[str]

    def __new__(cls, value: int, kind: str, width: int, touched: set[str]) -> Hole:
        self = super().__new__(cls, value)
        self.kind, self.width, self.touched = kind, width, touched
        return self


def _reveal(name: str) -> Callable[..., object]:
    plain = getattr(int, name)

    def method(self: Hole, *others: object) -> object:
        self.touched.add(self.kind)
        return plain(self, *others)

    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "and", "rand", "or", "ror", "xor", "lshift", "rshift", "mod", "floordiv", "neg", "invert",
              "bool", "index", "eq", "ne", "lt", "le", "gt", "ge", "hash"):  # fmt: skip
    setattr(Hole, f"__{_name}__", _reveal(f"__{_name}__"))


class Value:
    """A guest value of `width` bits, of which only its machine knows the `node`; unsigned unless a method says otherwise.

    Operands are Values of the same width or Python ints, which are taken modulo 2**width. Comparisons give a Value of width 1.
    """

    __slots__ = ("machine", "node", "width")

    def __init__(self, machine: Machine, width: int, node: object) -> None:
        self.machine, self.width, self.node = machine, width, node

    def __repr__(self) -> str:
        return f"<Value of {self.width} bits: {self.node}>"

    def _pair(self, operation: str, other: Value | int, width: int = 0) -> Value:
        if isinstance(other, int):
            other = self.machine.constant(other, self.width)
        elif other.width != self.width:
            raise TypeError(f"{operation} of {self.width} and {other.width} bits")
        return self.machine.compute(operation, width or self.width, self, other)

    def __add__(self, other: Value | int) -> Value:
        return self._pair("add", other)

    def __sub__(self, other: Value | int) -> Value:
        return self._pair("sub", other)

    def __mul__(self, other: Value | int) -> Value:
        """The low half of the product."""
        return self._pair("mul", other)

    def __and__(self, other: Value | int) -> Value:
        return self._pair("and", other)

    def __or__(self, other: Value | int) -> Value:
        return self._pair("or", other)

    def __xor__(self, other: Value | int) -> Value:
        return self._pair("xor", other)

    def __lshift__(self, count: Value | int) -> Value:
        return self._pair("shl", count)

    def __rshift__(self, count: Value | int) -> Value:
        """Shifted right, zeros coming in."""
        return self._pair("lshr", count)

    def __invert__(self) -> Value:
        return self._pair("xor", -1)

    def __neg__(self) -> Value:
        return self.machine.constant(0, self.width) - self

    def ashr(self, count: Value | int) -> Value:
        """Shifted right, copies of the sign coming in."""
        return self._pair("ashr", count)

    def rotl(self, count: Value | int) -> Value:
        """Rotated left by `count` modulo the width."""
        return self._pair("rotl", count)

    def rotr(self, count: Value | int) -> Value:
        """Rotated right by `count` modulo the width."""
        return self._pair("rotr", count)

    def divided(self, divisor: Value, signed: bool) -> tuple[Value, Value]:
        """Quotient (towards zero) and remainder (with the dividend's sign)."""
        kind = "s" if signed else "u"
        return self._pair(kind + "div", divisor), self._pair(kind + "rem", divisor)

    def equals(self, other: Value | int) -> Value:
        return self._pair("eq", other, 1)

    def below(self, other: Value | int) -> Value:
        """Unsigned <."""
        return self._pair("ult", other, 1)

    def less(self, other: Value | int) -> Value:
        """Signed <."""
        return self._pair("slt", other, 1)

    def is_zero(self) -> Value:
        return self._pair("eq", 0, 1)

    def zext(self, width: int) -> Value:
        return self if width == self.width else self.machine.compute("zext", width, self)

    def sext(self, width: int) -> Value:
        return self if width == self.width else self.machine.compute("sext", width, self)

    def trunc(self, width: int) -> Value:
        return self if width == self.width else self.machine.compute("trunc", width, self)

    def fit(self, width: int) -> Value:
        """Zero-extended or truncated to `width` bits."""
        return self.zext(width) if width > self.width else self.trunc(width)

    def bits(self, low: int, width: int) -> Value:
        """`width` bits from bit `low` on."""
        return (self >> low if low else self).trunc(width)

    def bit(self, number: Value | int) -> Value:
        return (self >> number).trunc(1)

    def sign(self) -> Value:
        return (self >> self.width - 1).trunc(1)

    def below_high(self, high: Value) -> Value:
        """This value with `high` above it: a Value as wide as both."""
        width = self.width + high.width
        return self.zext(width) | high.zext(width) << self.width

    def select(self, then: Value | int, otherwise: Value) -> Value:
        """`then` where this condition (width 1) holds, else `otherwise`; both are evaluated."""
        if isinstance(then, int):
            then = self.machine.constant(then, otherwise.width)
        return self.machine.compute("select", otherwise.width, self, then, otherwise)

    def popcount(self) -> Value:
        return self.machine.compute("popcount", self.width, self)

    def ctz(self) -> Value:
        """Zeros below the lowest one; the width for 0."""
        return self.machine.compute("ctz", self.width, self)

    def clz(self) -> Value:
        """Zeros above the highest one; the width for 0."""
        return self.machine.compute("clz", self.width, self)

    def bswap(self) -> Value:
        """The bytes in reverse order."""
        return self.machine.compute("bswap", self.width, self)

    def lanes(self, operation: LaneOperation, lane: int, *others: Value) -> Value:
        """`operation` on each `lane` bits apart; a comparison fills its lane with ones or zeros."""
        return self.machine.lanes(operation, lane, self, *others)


Operation = Literal[
    "add", "sub", "mul", "udiv", "urem", "sdiv", "srem", "and", "or", "xor", "shl", "lshr", "ashr", "rotl", "rotr",
    "eq", "ult", "slt", "select", "zext", "sext", "trunc", "popcount", "ctz", "clz", "bswap",
]  # fmt: skip

LaneOperation = Literal[
    "add", "sub", "mul", "mulhi_u", "mulhi_s", "add_sat_u", "add_sat_s", "sub_sat_u", "sub_sat_s", "average_u",
    "min_u", "max_u", "min_s", "max_s", "eq", "gt_s", "difference_u",
]  # fmt: skip


class Machine(Protocol):
    """What semantics may ask for; see the rules above."""

    def constant(self, value: int, width: int) -> Value:
        """`value` modulo 2**width."""

    def compute(self, operation: str, width: int, *operands: Value) -> Value:
        """An `Operation` with a result of `width` bits; semantics use the operators of Value."""

    def lanes(self, operation: LaneOperation, lane: int, *operands: Value) -> Value:
        """An operation on each lane of vectors of the same width."""

    def apply(self, function: Callable[..., tuple[int, ...]], widths: tuple[int, ...], *operands: Value) -> tuple[Value, ...]:
        """The results (of `widths` bits) of a pure function of non-negative ints; a native machine knows its own by the function's name."""

    def get(self, place: Place) -> Value:
        """What stands in a place."""

    def set(self, place: Place, value: Value) -> None:
        """Put a value, of the place's width, into it."""

    def get_at(self, field: str, index: Value, width: int) -> Value:
        """The element of a list of the state whose number only the guest knows (the x87 stack)."""

    def set_at(self, field: str, index: Value, value: Value) -> None:
        """The same, written."""

    def load(self, address: Value, size: int, modify: bool = False) -> Value:
        """`size` bytes of memory, little-endian; `modify`: they will be stored to, and a fault is that of a store."""

    def store(self, address: Value, value: Value) -> None:
        """Put a value of whole bytes into memory, little-endian."""

    def when(self, condition: Value, then: Callable[[], None]) -> None:
        """The effects of `then` only where the condition (width 1) holds; values made inside are not used outside."""

    def fault(
        self, vector: int, code: Value | int | None, message: str, condition: Value | None = None, keep: Sequence[tuple[Place, Value]] = ()
    ) -> None:
        """End the instruction with a Fault, where `condition` holds (always without one); nothing of the instruction has happened but `keep`."""

    def rarely(self, condition: Value) -> Value:
        """The condition, which hardly ever holds: a machine may leave the instruction to the reference where it does, and give 0."""

    def jump(self, target: Value) -> None:
        """Go on there."""

    def branch(self, condition: Value, target: Value) -> None:
        """Go on there where the condition holds, else behind this instruction."""

    def leave(self, exit: Exit) -> None:
        """End the run with `exit` once this instruction is done."""

    def clock(self) -> Value:
        """The time stamp counter, 64 bits."""

    def handle(self, procedure: Callable[..., int | None], *operands: Value) -> None:
        """A long instruction, plain Python on the processor's state and memory: `procedure(core, *numbers)` gives where to go on, None behind it.

        It ends by Faulted or Exited with the state as it was. A machine that records leaves it to the slow engine.
        """


class Instruction(Protocol):
    """What an engine itself must know of a decoded instruction."""

    @property
    def address(self) -> int: ...

    @property
    def length(self) -> int: ...

    @property
    def code(self) -> bytes: ...

    @property
    def repeat(self) -> str:
        """Not empty where one execution is one round of several: its branch to itself begins no block."""

    @property
    def atomic(self) -> bool:
        """Whether no other processor may come between its load and its store to the same place."""


class Architecture(Protocol):
    """An instruction set as an engine is handed it."""

    def decode(self, code: bytes, address: int) -> Instruction:
        """The instruction that `code` (up to 15 bytes, perhaps too few) begins with; one that is none faults when executed."""

    def execute(self, machine: Machine, instruction: Instruction) -> None:
        """Do what the instruction means on `machine`, the program counter's advance apart."""
