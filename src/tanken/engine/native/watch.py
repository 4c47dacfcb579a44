"""Hooks of accesses in native code: what every stencil that loads or stores calls before it does, if anything is watched.

CPython C API (PyLong_FromUnsignedLongLong, _PyLong_FromByteArray, PyObject_Vectorcall), called by address as in `hooked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tanken.engine.hooks import FAILED, MOVED, STOP, Hook
from tanken.engine.native.assemble import assemble
from tanken.engine.native.holes import Code
from tanken.engine.native.hooked import LIMIT, NAMES

WATCH = """
 .globl watch
watch:
 movzbl %dl, %eax
 addq %rsi, %rax
 movabsq ${low}, %r8
 cmpq %r8, %rax
 jbe .Lnone
 movabsq ${high}, %r8
 cmpq %r8, %rsi
 jae .Lnone
 cmpq %rcx, {TOLD_PC}(%rdi)
 jne .Lfirst
 cmpq %r14, {TOLD_BUDGET}(%rdi)
 je .Lmore
.Lfirst:
 movq %rcx, {TOLD_PC}(%rdi)
 movq %r14, {TOLD_BUDGET}(%rdi)
 movq $0, {TOLD}(%rdi)
.Lmore:
 incq {TOLD}(%rdi)
 movq (%rsp), %rax
 movq %rax, {HOST}(%rdi)
 movq %rcx, {RIP}(%rdi)
 movq %r14, {BUDGET}(%rdi)
 movl $0, {PULLED}(%rdi)
 pushq %rbx
 pushq %rbp
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 subq $40, %rsp
 movq %rdi, %r12
 movq %rsi, %rbx
 movl %edx, %ebp
 movl $1, {INSIDE}(%r12)
 stmxcsr {MXCSR}(%r12)
 ldmxcsr {HOST_MXCSR}(%r12)
{pieces}
.Lend:
 ldmxcsr {MXCSR}(%r12)
 movl $0, {INSIDE}(%r12)
 movl {HELD}(%r12), %eax
 addq $40, %rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbp
 popq %rbx
 retq
.Lnone:
 xorl %eax, %eax
 retq
.Lpython:
 subq $8, %rsp
 movq %rbx, %rdi
 callq *{PY_LONG}(%r12)
 movq %rax, 16(%rsp)
 movzbl %bpl, %edi
 callq *{PY_LONG}(%r12)
 movq %rax, 24(%rsp)
 leaq {VALUE}(%r12), %rdi
 movzbl %bpl, %esi
 movl $1, %edx
 xorl %ecx, %ecx
 callq *{PY_BYTES}(%r12)
 movq %rax, 32(%rsp)
 movl ${FAILED}, %r14d
 cmpq $0, 16(%rsp)
 je .Lfree
 cmpq $0, 24(%rsp)
 je .Lfree
 cmpq $0, 32(%rsp)
 je .Lfree
 movq %r15, %rdi
 leaq 16(%rsp), %rsi
 movl $3, %edx
 xorl %ecx, %ecx
 callq *{PY_VECTOR}(%r12)
 testq %rax, %rax
 je .Lfree
 xorl %r14d, %r14d
 movq %rax, %rdi
 callq *{PY_DECREF}(%r12)
.Lfree:
 movq 16(%rsp), %rdi
 callq *{PY_DECREF}(%r12)
 movq 24(%rsp), %rdi
 callq *{PY_DECREF}(%r12)
 movq 32(%rsp), %rdi
 callq *{PY_DECREF}(%r12)
 orl %r14d, {HELD}(%r12)
 addq $8, %rsp
 retq
"""
KIND = """
 testl $256, %ebp
 j{wrong} .Lnext{n}
 movzbl %bpl, %eax
 addq %rbx, %rax
 movabsq ${start}, %r8
 cmpq %r8, %rax
 jbe .Lnext{n}
 movabsq ${end}, %r8
 cmpq %r8, %rbx
 jae .Lnext{n}
"""
TOLD_PYTHON = """
 movabsq ${function}, %r15
 callq .Lpython
 testl ${AT_ONCE}, {HELD}(%r12)
 jne .Lend
"""
TOLD_NATIVE = """
 movq %rbx, %rdi
 movzbl %bpl, %esi
 movq {VALUE}(%r12), %rdx
 movabsq ${data}, %rcx
 movabsq ${function}, %rax
 callq *%rax
"""
TOLD_STOPPED = """
 testq %rax, %rax
 je .Lnext{n}
 orl ${STOP}, {HELD}(%r12)
 jmp .Lend
"""


def bounds(hooks: Sequence[Hook]) -> tuple[int, int]:
    """The addresses that some hooks of accesses lie in."""
    return min(hook.start for hook in hooks), min(max(hook.end for hook in hooks), LIMIT)


def watch(hooks: Sequence[Hook]) -> Code:
    """What is called before each access: watch(state, address, size and 256 for a store, address of the instruction): whether to leave."""
    low, high = bounds(hooks)
    pieces = ""
    for n, hook in enumerate(hooks):
        words: dict[str, Any] = {"n": n, "start": hook.start, "end": min(hook.end, LIMIT), "wrong": "ne" if hook.kind == "read" else "e"}
        compiled = hook.compiled
        words |= {"AT_ONCE": MOVED | STOP | FAILED, "data": hook.data_address, "function": id(hook.function) if compiled is None else compiled.address}
        text = KIND + (TOLD_PYTHON if compiled is None else TOLD_NATIVE + (TOLD_STOPPED if compiled.answers else ""))
        pieces += text.format(**NAMES, **words) + f".Lnext{n}:\n"
    return assemble(WATCH.format(**NAMES, low=low, high=high, pieces=pieces))["watch"]
