"""The host instruction behind each pure function of whole vectors: AES, products without carries, Galois fields, comparisons of strings.

Intel SDM volume 2; VEX forms. An immediate becomes part of the operation's name, behind a colon.
"""

from __future__ import annotations

from functools import cache
from typing import Any

# function -> (assembler text, bits of each operand, feature of LLVM's name, whether an immediate follows the operands)
VECTORS = {
    "aesenc": ("vaesenc $2, $1, $0", (128, 128), "aes", False), "aesenclast": ("vaesenclast $2, $1, $0", (128, 128), "aes", False),
    "aesdec": ("vaesdec $2, $1, $0", (128, 128), "aes", False), "aesdeclast": ("vaesdeclast $2, $1, $0", (128, 128), "aes", False),
    "aesimc": ("vaesimc $1, $0", (128,), "aes", False), "aeskeygenassist": ("vaeskeygenassist $$IMM, $1, $0", (128,), "aes", True),
    "pclmul": ("vpclmulqdq $$0, $2, $1, $0", (64, 64), "pclmul", False), "gf2p8mul": ("vgf2p8mulb $2, $1, $0", (128, 128), "gfni", False),
    "gf2p8affine": ("vgf2p8affineqb $$IMM, $2, $1, $0", (128, 128), "gfni", True),
    "gf2p8affineinv": ("vgf2p8affineinvqb $$IMM, $2, $1, $0", (128, 128), "gfni", True),
}  # fmt: skip
STRINGS = ("string_compare", "string_length")
BIT_MASK = 0x3F  # of the immediate: all but the form that the mask is given in


@cache
def host_has(feature: str) -> bool:
    """Whether this host's processor has a feature, by LLVM's name for it."""
    import llvmlite.binding as llvm

    return bool(llvm.get_host_cpu_features().get(feature))


def known(function: str, operands: tuple[Any, ...]) -> tuple[str, tuple[int, ...]] | None:
    """The operation for a function of these nodes."""
    last = operands[-1].constant if operands else None
    if function in STRINGS:
        return (f"{function}:{last}", ()) if last is not None and host_has("sse4.2") else None
    row = VECTORS.get(function)
    if row is None or not host_has(row[2]) or (row[3] and last is None):
        return None
    return (f"{function}:{last}" if row[3] else f"{function}:", ())


def emit(body: Any, event: Any) -> None:
    """The operation that the event asks for."""
    name, _, immediate = event.extra.partition(":")
    result = event.results[0]
    if name == "string_length":
        body.names[result] = _length(body, event.nodes[0], int(immediate))
    elif name == "string_compare":
        body.names[result] = _compare(body, event.nodes, int(immediate))
    else:
        text, widths, _, _ = VECTORS[name]
        vectors = [_vector(body, node, width) for node, width in zip(event.nodes, widths, strict=False)]
        text = text.replace("IMM", immediate)
        body.names[result, 128, "wide"] = _call(body, f'"{text}", "=x{",x" * len(vectors)}"({", ".join(vectors)})')


def _vector(body: Any, node: Any, width: int) -> str:
    if width == 64:
        return f"<2 x i64> {body.value(f'insertelement <2 x i64> zeroinitializer, i64 {body.use(node, 64)}, i32 0')}"
    return f"<2 x i64> {body.wide(node, 128)}"


def _call(body: Any, call: str) -> str:
    """128 bits from inline assembler; nothing but its operands decides them."""
    return str(body.value(f"call <2 x i64> asm {call}"))


def _length(body: Any, node: Any, order: int) -> str:
    """Elements before the first that is 0."""
    count, lane = (8, 16) if order & 1 else (16, 8)
    vector = body.vector(node, lane)
    zeros = body.value(f"bitcast <{count} x i1> {body.value(f'icmp eq <{count} x i{lane}> {vector}, zeroinitializer')} to i{count}")
    first = body.value(f"call i{count} {body.intrinsic(f'llvm.cttz.i{count}', f'i{count}', f'i{count}', 'i1')}(i{count} {zeros}, i1 false)")
    return str(body.fit(first, count, 8))


def _compare(body: Any, nodes: tuple[Any, ...], order: int) -> str:
    """PCMPESTRM with the lengths that it is told: a bit an element."""
    a, b = (_vector(body, node, 128) for node in nodes[:2])
    lengths = [f"i32 {body.fit(body.use(node, 8), 8, 32)}" for node in nodes[2:4]]
    text = f'"vpcmpestrm $${order & BIT_MASK}, $2, $1", "={{xmm0}},x,x,{{ax}},{{dx}},~{{flags}}"({a}, {b}, {lengths[0]}, {lengths[1]})'
    words = body.value(f"bitcast <2 x i64> {_call(body, text)} to <8 x i16>")
    return str(body.value(f"extractelement <8 x i16> {words}, i32 0"))
