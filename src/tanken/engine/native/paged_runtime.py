"""Entering and leaving guest code of a whole processor: as `runtime`, with the context in a register and more that the translator answers.

System V ABI AMD64 supplement 3.2; assembler text, assembled by LLVM.
"""

from __future__ import annotations

from typing import Any

from tanken.engine.native.assemble import assemble
from tanken.engine.native.holes import Code
from tanken.engine.native.places import (
    ANSWER,
    ANSWER_ARGUMENTS,
    FAULT_ADDRESS,
    FAULT_CODE,
    FAULT_HOST,
    FAULT_REGISTERS,
    FAULT_SIGNAL,
    HOST_MXCSR,
    MXCSR,
    SAVED_STACK,
)
from tanken.engine.native.runtime import CALLED, HANDLER, JUMPED, STRUCK_STUB

RUN = """
 .globl run
run:
 pushq %rbx
 pushq %rbp
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 subq $8, %rsp
 movq %rdi, %r12
 movq %rdx, %r14
{ENTER}.Lagain:
 movq {CONTEXT}(%r12), %r13
 movq %rsp, {SAVED}(%r12)
 stmxcsr {HOST_MXCSR}(%r12)
 ldmxcsr {MXCSR}(%r12)
 callq *%rsi
 stmxcsr {MXCSR}(%r12)
 ldmxcsr {HOST_MXCSR}(%r12)
 movl 152(%r12), %eax
 cmpl ${LAST}, %eax
 jbe .Lanswer
 cmpl ${MISS}, %eax
 jb .Lout
.Lanswer:
 movq %r12, %rdi
 movq {A0}(%r12), %rsi
 movq {A1}(%r12), %rdx
 movq {A2}(%r12), %rcx
 movq {A3}(%r12), %r8
 movq {A4}(%r12), %r9
 pushq {A6}(%r12)
 pushq {A5}(%r12)
 callq *{ANSWER}(%r12)
 addq $16, %rsp
 movq %rax, %rsi
 movq 144(%r12), %r14
 testq %rsi, %rsi
 jne .Lagain
.Lout:
{LEAVE} movl 152(%r12), %eax
 addq $8, %rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbp
 popq %rbx
 retq

 .globl cross
cross:
 movl %eax, %ecx
 andl ${SLOTS}, %ecx
 shll $4, %ecx
 cmpq %rax, (%r13,%rcx)
 jne .Lmiss
 jmpq *8(%r13,%rcx)
.Lmiss:
 movq %rax, 136(%r12)
 movl ${DISPATCH}, 152(%r12)
 movq %r14, 144(%r12)
 retq

 .globl crossed
crossed:
 movq %rax, 136(%r12)
 movl ${CROSSED}, 152(%r12)
 movq %r14, 144(%r12)
 retq
"""


def assembled(N: Any, around: tuple[str, str]) -> dict[str, Code]:
    """`run(state, code, budget)`, `cross` (the way to the address in rax), `crossed` (the same, from an instruction by itself), `handler`, and `stubN` for each reason N."""
    words = {f"A{n}": ANSWER_ARGUMENTS + 8 * n for n in range(7)}
    text = RUN.format(SAVED=SAVED_STACK, HOST_MXCSR=HOST_MXCSR, MXCSR=MXCSR, LAST=N.LAST_NATIVE, MISS=N.MISS_READ, ANSWER=ANSWER, CONTEXT=N.CONTEXT_AT,
                      SLOTS=N.JUMP_CACHE - 1, DISPATCH=N.DISPATCH, CROSSED=N.CROSSED, ENTER=around[0], LEAVE=around[1], **words)  # fmt: skip
    text += HANDLER.format(
        HOST=FAULT_HOST, ADDRESS=FAULT_ADDRESS, CODE=FAULT_CODE, SIGNAL=FAULT_SIGNAL, REGISTERS=FAULT_REGISTERS, SAVED=SAVED_STACK
    )
    called = (N.LINK, N.STALE, N.OUT_OF_BUDGET, N.SLOW, N.PYTHON, N.MISS_READ, N.MISS_WRITE)
    text += "".join(CALLED.format(reason=reason) for reason in called) + JUMPED.format(reason=N.DISPATCH) + STRUCK_STUB.format(reason=N.STRUCK)
    return assemble(text)
