"""The host instruction behind each pure float function that the semantics apply, by the function's name.

Intel SDM volume 2; VEX forms, which leave no lane of another register in the result. Every one runs under the guest's MXCSR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tanken.isa.x86.ieee754 import EQUAL, GREATER, LESS, UNORDERED


@dataclass(frozen=True, slots=True)
class Operation:
    """Inline assembler: text, constraints, kinds of operands and result; `packed` is the text for all lanes at once."""

    text: str
    constraints: str
    kind: str
    result: str
    lane: int
    inputs: int
    packed: str = ""

    @property
    def bits(self) -> int:
        """Of an operand."""
        return {"double": 64, "float": 32}.get(self.kind) or int(self.kind[1:])


FLOAT = {32: ("float", "s"), 64: ("double", "d")}


def _operations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for width, (kind, letter) in FLOAT.items():
        for name in ("add", "sub", "mul", "div", "min", "max"):
            found[f"f{width}_{name}"] = Operation(
                f"v{name}s{letter} $2, $1, $0", "=x,x,x", kind, kind, width, 2, f"v{name}p{letter} $2, $1, $0"
            )
        found[f"f{width}_sqrt"] = Operation(f"vsqrts{letter} $1, $1, $0", "=x,x", kind, kind, width, 1, f"vsqrtp{letter} $1, $0")
        for how in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12):
            found[f"f{width}_round{how}"] = Operation(
                f"vrounds{letter} $${how}, $1, $1, $0", "=x,x", kind, kind, width, 1, f"vroundp{letter} $${how}, $1, $0"
            )
        for name, instruction in (("order", "vucomis"), ("order_loud", "vcomis")):
            found[f"f{width}_{name}"] = Operation(f"{instruction}{letter} $2, $1\\0Alahf", "={ax},x,x,~{flags}", kind, "i16", width, 2)
        other, other_letter = FLOAT[96 - width]
        found[f"f{width}_to_f{96 - width}"] = Operation(f"vcvts{letter}2s{other_letter} $1, $1, $0", "=x,x", kind, other, width, 1)
        for size, suffix in ((32, "l"), (64, "q")):
            found[f"f{width}_to_i{size}"] = Operation(f"vcvts{letter}2si $1, $0", "=r,x", kind, f"i{size}", width, 1)
            found[f"f{width}_cut_i{size}"] = Operation(f"vcvtts{letter}2si $1, $0", "=r,x", kind, f"i{size}", width, 1)
            found[f"i{size}_to_f{width}"] = Operation(
                f"vxorps $0, $0, $0\\0Avcvtsi2s{letter}{suffix} $1, $0, $0", "=&x,r", f"i{size}", kind, size, 1
            )
    return found


SCALAR = _operations()


def known(function: str, operands: tuple[Any, ...]) -> tuple[str, tuple[int, ...]] | None:
    """The operation for a function of these graph nodes, the last of which is MXCSR as it is to be used; its exceptions stay in the host's."""
    control = operands[-1] if operands else None
    if function[:1] not in "fi" or control is None:
        return None
    plain = control.op == "get" and control.extra.field == "mxcsr"
    if "_integral" in function:
        how = 4 if plain else _rounding(control)
        if how is None:
            return None
        return f"{function[:3]}_round{how | 8 * function.endswith('quiet')}", (1,)
    return (function, (1,)) if plain and function in SCALAR else None


def _rounding(control: Any) -> int | None:
    """The rounding mode that stands in place of MXCSR's."""
    if control.op == "or" and control.args[1].op == "const":
        mode, kept = control.args[1].extra >> 13, control.args[0]
    else:
        mode, kept = 0, control
    cut = kept.op == "and" and kept.args[1].op == "const" and kept.args[1].extra == ~0x6000 & 0xFFFF_FFFF
    return mode if cut and kept.args[0].op == "get" and kept.args[0].extra.field == "mxcsr" else None


def RELATION(body: Any, word: str) -> str:
    """Two bits from what LAHF gave after a comparison: CF, ZF, PF (unordered sets all three)."""
    bits = {name: body.value(f"icmp ne i16 {body.value(f'and i16 {word}, {1 << bit}')}, 0") for name, bit in (("c", 8), ("p", 10), ("z", 14))}
    result = body.value(f"select i1 {bits['c']}, i2 {LESS}, i2 {GREATER}")
    result = body.value(f"select i1 {bits['z']}, i2 {EQUAL}, i2 {result}")
    return str(body.value(f"select i1 {bits['p']}, i2 {UNORDERED}, i2 {result}"))
