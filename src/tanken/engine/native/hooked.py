"""Hooks in native code: what the user's functions are called by, as stencils that the translator puts before an instruction.

CPython C API (PyLong_FromUnsignedLongLong, PyObject_CallOneArg, PyObject_Vectorcall), called by address with the interpreter's lock held:
no marshalling stands between the guest and a Python function. What Numba compiled is put into the block itself where LLVM can inline it.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tanken.base.native import CompiledFunction
from tanken.engine.hooks import FAILED, MOVED, STOP, UNTIL, Hook
from tanken.engine.native import ir
from tanken.engine.native import places as P
from tanken.engine.native.assemble import SYMBOLS, UnfitError, assemble, compile_functions
from tanken.engine.native.holes import Code

# Of the state block, beside those in `ir` and `runtime`.
INSIDE, HELD, PULLED, HOST = 2056, 2060, 2064, 2072  # a hook runs; why to leave; whether the State has what the block has; where it was called
TOLD_PC, TOLD_BUDGET, TOLD = 2080, 2088, 2096  # how many accesses of the instruction there were told
BEGAN, BEGAN_BUDGET, UNTIL_AT, RESULT = 2144, 2152, 2160, 2168
PY_LONG, PY_CALL, PY_DECREF, PY_BYTES, PY_VECTOR = 2176, 2184, 2192, 2200, 2208
FUNCTIONS = {PY_LONG: "PyLong_FromUnsignedLongLong", PY_CALL: "PyObject_CallOneArg", PY_DECREF: "Py_DecRef", PY_BYTES: "_PyLong_FromByteArray",
             PY_VECTOR: "PyObject_Vectorcall"}  # fmt: skip
LIMIT = 1 << 62  # an end that stands for all addresses
INLINED = 400  # bytes of a compiled hook that are worth a copy at each instruction

NAMES = {name: value for name, value in globals().items() if isinstance(value, int)} | {
    "UNTIL": UNTIL, "FAILED": FAILED, "STOP": STOP, "MXCSR": P.MXCSR, "HOST_MXCSR": P.HOST_MXCSR, "RIP": P.RIP_AT, "BUDGET": P.BUDGET_AT, "REASON": P.REASON_AT,
    "OUT": P.HOST_AT, "VALUE": P.WATCHED_VALUE}  # fmt: skip

CALL = """
 .globl call
call:
 movq %rax, {RIP}(%r12)
 movq %r14, {BUDGET}(%r12)
 movq (%rsp), %rcx
 movq %rcx, {HOST}(%r12)
 movl $1, {INSIDE}(%r12)
 movl $0, {PULLED}(%r12)
 stmxcsr {MXCSR}(%r12)
 ldmxcsr {HOST_MXCSR}(%r12)
 movq %rdi, %rbx
 movq %rax, %rdi
 callq *{PY_LONG}(%r12)
 testq %rax, %rax
 je .Lfailed
 movq %rax, %rbp
 movq %rax, %rsi
 movq %rbx, %rdi
 callq *{PY_CALL}(%r12)
 movq %rax, %rbx
 movq %rbp, %rdi
 callq *{PY_DECREF}(%r12)
 testq %rbx, %rbx
 je .Lfailed
 movq %rbx, %rdi
 callq *{PY_DECREF}(%r12)
 movl $0, {INSIDE}(%r12)
 ldmxcsr {MXCSR}(%r12)
 testl ${AT_ONCE}, {HELD}(%r12)
 jne .Lleave
 retq
.Lfailed:
 movl $0, {INSIDE}(%r12)
 orl ${FAILED}, {HELD}(%r12)
 ldmxcsr {MXCSR}(%r12)
.Lleave:
 popq {OUT}(%r12)
 movl ${held}, {REASON}(%r12)
 movq %r14, {BUDGET}(%r12)
 retq
"""


def call_stub(held: int) -> str:
    """The stub that calls a Python function before an instruction: its address in rax, the function in rdi."""
    return CALL.format(**NAMES, AT_ONCE=MOVED | STOP, held=held)


def connect(block: memoryview) -> None:
    """Tell the state block where Python's own functions are."""
    for at, name in FUNCTIONS.items():
        address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
        block[at : at + 8] = address.to_bytes(8, "little")


# -- before instructions

BEGIN = """
 movabsq $PC, %rax
 cmpq %rax, {CONTINUED}(%r12)
 movq $-1, {CONTINUED}(%r12)
 je SKIP
 movq %rax, {BEGAN}(%r12)
 movq %r14, {BEGAN_BUDGET}(%r12)
"""
PYTHON = """
 movabsq $PC, %rax
 movabsq ${function}, %rdi
 callq CALL
"""
LEFT = """
 cmpl $0, {HELD}(%r12)
 je .Lgo
 callq HELD
.Lgo:
"""
DIRECT = """
 subq $8, %rsp
{save}
 movabsq $PC, %rdi
 movq %r12, %rsi
 movabsq ${data}, %rdx
 movabsq ${function}, %rax
 callq *%rax
{restore}
 addq $8, %rsp
 movq %rax, {RESULT}(%r12)
"""
STOPPED = """
 cmpq $0, {RESULT}(%r12)
 je .Lgo
 orl ${STOP}, {HELD}(%r12)
 callq HELD
.Lgo:
"""
ADDRESS = """
 movabsq $PC, %rax
 cmpq %rax, {UNTIL_AT}(%r12)
 jne .Lgo
 orl ${UNTIL}, {HELD}(%r12)
 callq HELD
.Lgo:
"""
GUEST, OWN = " stmxcsr {MXCSR}(%r12)\n ldmxcsr {HOST_MXCSR}(%r12)", " ldmxcsr {MXCSR}(%r12)"


def _piece(text: str, **words: int | str) -> Code:
    return assemble(" .globl live\nlive:" + text.format(**NAMES, **words))["live"]


def _floats(function: CompiledFunction) -> bool:
    """Whether it may look at or change the rounding and the flags of the host."""
    return re.search(r"\b(double|float|half)\b", function.text) is not None


def _compiled(hook: Hook, function: CompiledFunction) -> list[Code]:
    """A compiled hook: its body where LLVM can bring it here, else a call."""
    try:
        code = _inlined(hook, function)
    except UnfitError:
        save, restore = (GUEST.format(**NAMES), OWN.format(**NAMES)) if _floats(function) else ("", "")
        code = _piece(DIRECT, data=hook.data_address, function=function.address, save=save, restore=restore)
    return [code, _piece(STOPPED)] if function.answers else [code]


def _inlined(hook: Hook, function: CompiledFunction) -> Code:
    if _floats(function):
        raise UnfitError("floats")
    found = re.search(rf"^define\b.*?\b(i\d+|ptr|void) @\"?{re.escape(function.symbol)}\"?\(", function.text, re.MULTILINE)
    if found is None:
        raise UnfitError("no body")
    symbol, kind = f'@"{function.symbol}"', found[1]
    keep = function.answers and kind == "i64"
    text = f"declare {kind} {symbol}(i64, ptr, ptr)\ndefine preserve_nonecc void @live{ir.ARGUMENTS} #0 {{\n"
    text += ' %pc = call i64 asm "movabsq $$PC, $0", "=r"()\n'
    text += f" {'' if kind == 'void' else '%r = '}call {kind} {symbol}(i64 %pc, ptr %S, ptr inttoptr (i64 {hook.data_address} to ptr))\n"
    if keep:
        text += f" %p = getelementptr i8, ptr %S, i64 {RESULT}\n store i64 %r, ptr %p\n"
    elif function.answers:
        raise UnfitError("an answer of another kind")
    text += " musttail call preserve_nonecc void @NEXT(ptr %S, ptr %T, i64 %B)\n ret void\n}\n" + ir.TAIL + SYMBOLS
    code = compile_functions(text, inlined=function.text.replace("noinline", "nounwind"))["live"]
    if len(code.code) > INLINED or any(hole.symbol not in ("PC", "NEXT") for hole in code.relocations):
        raise UnfitError("what stands elsewhere")
    return code


def joined(codes: Sequence[Code]) -> Code:
    """One after the other: NEXT leads to the following one, SKIP behind them all."""
    ends, total = [], 0
    cut = [_without_last_jump(code) for code in codes]
    for code in cut:
        total += len(code.code)
        ends.append(total)
    image, holes, start = bytearray(), [], 0
    for code, end in zip(cut, ends, strict=True):
        image += code.code
        for hole in code.relocations:
            at = start + hole.offset
            if hole.symbol in ("NEXT", "SKIP"):
                target = end if hole.symbol == "NEXT" else total
                image[at : at + 4] = (target + hole.addend - at).to_bytes(4, "little", signed=True)
            else:
                holes.append(replace(hole, offset=at))
        start = end
    return Code(bytes(image), tuple(holes))


def _without_last_jump(code: Code) -> Code:
    holes = list(code.relocations)
    if holes and holes[-1].symbol == "NEXT" and holes[-1].offset == len(code.code) - 4 and code.code[-5] == 0xE9:
        return Code(code.code[:-5], tuple(holes[:-1]))
    return code


def exact(hooks: Sequence[Hook]) -> bool:
    """Whether one of them may look at the flags, or stop."""
    return any(hook.compiled is None or hook.compiled.answers for hook in hooks)


def stencil(kind: str, hooks: Sequence[Hook], continued: int) -> Code:
    """The code of some hooks at one place: of a block's with the question whether one begins here; "until" asks whether the run ends here."""
    codes = {"until": [_piece(ADDRESS)], "block": [_piece(BEGIN, CONTINUED=continued)]}.get(kind, [])
    for hook in hooks:
        compiled = hook.compiled
        codes += _compiled(hook, compiled) if compiled is not None else [_piece(PYTHON, function=id(hook.function))]
    if any(hook.compiled is None for hook in hooks):
        codes.append(_piece(LEFT))
    return joined(codes)


# -- where they run


@dataclass(frozen=True, slots=True)
class Interval:
    """Addresses at which the same hooks run: those of instructions, those of blocks; whether a run may end there."""

    start: int
    end: int
    single: tuple[Hook, ...]
    block: tuple[Hook, ...]
    until: bool


def intervals(hooks: Sequence[Hook], ends: Sequence[int]) -> list[Interval]:
    """All addresses that have hooks, ascending."""
    placed = [hook for hook in hooks if hook.kind in ("instruction", "block")]
    edges = sorted({min(border, LIMIT) for hook in placed for border in (hook.start, hook.end)} | {border for at in ends for border in (at, at + 1)})
    found, until = [], frozenset(ends)
    wide = [hook for hook in placed if hook.end - hook.start > 1]
    single: dict[int, list[Hook]] = {}
    for hook in placed:
        if hook.end - hook.start == 1:
            single.setdefault(hook.start, []).append(hook)
    for start, end in zip(edges, edges[1:], strict=False):
        here = [hook for hook in wide if hook.start <= start < hook.end] + single.get(start, [])
        here.sort(key=placed.index) if len(here) > 1 else None
        if here or start in until:
            parts = [tuple(hook for hook in here if hook.kind == kind) for kind in ("instruction", "block")]
            found.append(Interval(start, end, parts[0], parts[1], start in until))
    return found
