"""The host instruction behind each pure float function that the semantics apply, by the function's name.

Intel SDM volume 2; VEX forms, which leave no lane of another register in the result. Every one runs under the guest's MXCSR.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tanken.isa.x86.ieee754 import EQUAL, GREATER, LESS, UNORDERED
from tanken.isa.x86.native.whole import host_has


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
    packed_constraints: str = ""  # where they are others
    scratch: bool = False  # the last operand is a place in memory, of 8 bytes

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
        for name in ("madd", "msub", "nmadd", "nmsub"):
            found[f"f{width}_{name}"] = Operation(
                f"vf{name}213s{letter} $3, $1, $0", "=x,x,0,x", kind, kind, width, 3, f"vf{name}213p{letter} $3, $1, $0"
            )
        for predicate in range(32):
            found[f"f{width}_compare{predicate}"] = Operation(
                f"vcmps{letter} $${predicate}, $2, $1, $0", "=x,x,x", kind, kind, width, 2, f"vcmpp{letter} $${predicate}, $2, $1, $0"
            )
        other, other_letter = FLOAT[96 - width]
        found[f"f{width}_to_f{96 - width}"] = Operation(f"vcvts{letter}2s{other_letter} $1, $1, $0", "=x,x", kind, other, width, 1)
        for size, suffix in ((32, "l"), (64, "q")):
            found[f"f{width}_to_i{size}"] = Operation(f"vcvts{letter}2si $1, $0", "=r,x", kind, f"i{size}", width, 1)
            found[f"f{width}_cut_i{size}"] = Operation(f"vcvtts{letter}2si $1, $0", "=r,x", kind, f"i{size}", width, 1)
            found[f"i{size}_to_f{width}"] = Operation(
                f"vxorps $0, $0, $0\\0Avcvtsi2s{letter}{suffix} $1, $0, $0", "=&x,r", f"i{size}", kind, size, 1
            )
    for name, text in (("f32_to_i32", "vcvtps2dq"), ("f32_cut_i32", "vcvttps2dq"), ("i32_to_f32", "vcvtdq2ps")):
        found[name] = replace(found[name], packed=f"{text} $1, $0", packed_constraints="=x,x")
    return found | _halves() | _reciprocals()


def _halves() -> dict[str, Operation]:
    """To and from 16 bits: of the immediate that rounds only three bits count."""
    found = {"f16_to_f32": Operation(r"vmovd $1, $0\0Avcvtph2ps $0, $0", "=x,r", "i32", "float", 16, 1)}
    for how in range(8):
        text = rf"vxorps $0, $0, $0\0Avmovss $1, $0, $0\0Avcvtps2ph $${how}, $0, $0"
        found[f"f32_to_f16_{how}"] = Operation(text, "=&x,x", "float", "half", 32, 1)
    return found


def _reciprocals() -> dict[str, Operation]:
    """RCP and RSQRT as the reference has them, rounded to nearest: a division under an MXCSR of its own, 1.0 in memory."""
    found = {}
    for name, first in (("rcp", ""), ("rsqrt", "vsqrt{0} {1}, $0\\0A")):
        texts = []
        for kind, load, operands in (("ss", "vmovss", "$1, $1"), ("ps", "vbroadcastss", "$1")):
            divisor = "$0" if first else "$1"
            texts.append(r"stmxcsr ($2)\0Amovl $$0x9fc0, 4($2)\0Aldmxcsr 4($2)\0Amovl $$0x3f800000, 4($2)\0A"
                         + first.format(kind, operands) + rf"{load} 4($2), TEMP\0Avdiv{kind} {divisor}, TEMP, $0\0Aldmxcsr ($2)")  # fmt: skip
        scalar, packed = texts[0].replace("TEMP", "%xmm15"), texts[1]
        clobbers = "=&x,x,r,~{xmm15},~{memory}"
        found[f"f32_{name}"] = Operation(scalar, clobbers, "float", "float", 32, 1, packed, scratch=True)
    return found


SCALAR = _operations()


def known(function: str, operands: tuple[Any, ...]) -> tuple[str, tuple[int, ...]] | None:
    """The operation for a function of these graph nodes, the last of which is MXCSR as it is to be used; its exceptions stay in the host's."""
    control = operands[-1] if operands else None
    if function in ("f32_rcp", "f32_rsqrt"):
        return function, (1,)
    if function[:1] not in "fi" or control is None:
        return None
    plain = control.op == "get" and control.extra.field == "mxcsr"
    if "_integral" in function:
        how = 4 if plain else _rounding(control)
        if how is None:
            return None
        return f"{function[:3]}_round{how | 8 * function.endswith('quiet')}", (1,)
    if function.endswith("_compare"):
        function += str(operands[2].constant)
    elif function == "f32_to_f16":
        function += f"_{operands[1].constant & 7 if operands[1].constant is not None else '?'}"
    needs = "fma" if "madd" in function or "msub" in function else "f16c" if "f16" in function else "avx"
    return (function, (1,)) if plain and function in SCALAR and host_has(needs) else None


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
