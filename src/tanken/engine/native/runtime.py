"""The few instructions around guest code: entering and leaving it, the stubs of its ways out, and the handler of its faults.

System V ABI AMD64 supplement 3.2 (registers), Linux's ucontext (rt_sigaction(2)); assembler text, assembled by LLVM, with the addresses
that only this process knows as holes.
"""

from __future__ import annotations

from tanken.engine.native.assemble import assemble
from tanken.engine.native.holes import Code
from tanken.engine.native.hooked import call_stub
from tanken.engine.native.places import (
    ANSWER,
    ANSWER_ARGUMENTS,
    FAULT_ADDRESS,
    FAULT_CODE,
    FAULT_HOST,
    FAULT_REGISTERS,
    FAULT_SIGNAL,
    HOST_MXCSR,
    KICK_SAVED,
    KICK_STEPS,
    KICKED,
    MXCSR,
    OLD_HANDLERS,
    SAVED_STACK,
    UNDER_WAY,
)

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
 movq %rcx, %r13
{ENTER}.Lagain:
 cmpl $0, {KICKED}(%r12)
 jne .Lkicked
 movq %rsp, {SAVED}(%r12)
 stmxcsr {HOST_MXCSR}(%r12)
 ldmxcsr {MXCSR}(%r12)
 callq *%rsi
 stmxcsr {MXCSR}(%r12)
 ldmxcsr {HOST_MXCSR}(%r12)
 cmpl ${LAST}, 152(%r12)
 ja .Lout
 movq %r12, %rdi
 movq {A0}(%r12), %rsi
 movq {A1}(%r12), %rdx
 movq {A2}(%r12), %rcx
 movq {A3}(%r12), %r8
 movq {A4}(%r12), %r9
 callq *{ANSWER}(%r12)
 movq %rax, %rsi
 movq {A2}(%r12), %r13
 movq 144(%r12), %r14
 testq %rsi, %rsi
 jne .Lagain
 jmp .Lout
.Lkicked:
 movl ${DISPATCH}, 152(%r12)
 movq %r14, 144(%r12)
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
"""

HANDLER = """
 .globl handler
handler:
 movq 168(%rdx), %rax
 movabsq $AREALOW, %rcx
 cmpq %rcx, %rax
 jb .Lother
 movabsq $AREAHIGH, %rcx
 cmpq %rcx, %rax
 jae .Lother
.Lstruck:
 movabsq $STATE, %rcx
 movq %rax, {HOST}(%rcx)
 movq 16(%rsi), %r8
 movq %r8, {ADDRESS}(%rcx)
 movq 192(%rdx), %r8
 movq %r8, {CODE}(%rcx)
 movl %edi, {SIGNAL}(%rcx)
 movq 88(%rdx), %r8
 movq %r8, 144(%rcx)
 movq 104(%rdx), %r8
 movq %r8, {REGISTERS}(%rcx)
 movq 112(%rdx), %r8
 movq %r8, {REGISTERS}+8(%rcx)
 movq 152(%rdx), %r8
 movq %r8, {REGISTERS}+16(%rcx)
 movabsq $STRUCK, %r8
 movq %r8, 168(%rdx)
 movq %rcx, 72(%rdx)
 movq {SAVED}(%rcx), %r8
 subq $8, %r8
 movq %r8, 160(%rdx)
 retq
.Lother:
 movabsq $SIGNAL, %rax
 xorl %esi, %esi
 jmpq *%rax
"""

PATIENCE = 4_000_000  # of the processor's time stamps: one or two milliseconds

# A signal that Python wants to know of: before its own handler, see to it that guest code soon comes out. Step by step to the next head of a
# block, which alone is sure to have the budget in r14: there it is taken away. Repeated copying, which would take a step an element, is left
# as by a fault; a region, which may have no such head in its loop, comes out at the end of its slice: steps, of which each costs a trap (30 us in
# some virtual machines), are given up when PATIENCE is over.
INTERRUPT = """
 .globl interrupt
interrupt:
 movabsq $STATE, %rcx
 movl $1, {KICKED}(%rcx)
 movq 168(%rdx), %rax
 movabsq $AREABASE, %r8
 cmpq %r8, %rax
 jb .Lchain
 movabsq $AREAHIGH, %r8
 cmpq %r8, %rax
 jae .Lchain
 movq %rdx, %r8
 rdtsc
 shlq $32, %rdx
 leaq {PATIENCE}(%rax,%rdx), %rax
 movq %rax, {STEPS}(%rcx)
 movq %r8, %rdx
 orq $0x100, 176(%rdx)
.Lchain:
 movl %edi, %eax
 movq {OLD}(%rcx,%rax,8), %rax
 testq %rax, %rax
 je .Lnobody
 jmpq *%rax
.Lnobody:
 retq
"""

STEP = """
.Lstep:
 testq $0x100, 176(%rdx)
 je .Lother
 movq 168(%rdx), %rax
 movabsq $AREABASE, %r8
 cmpq %r8, %rax
 jb .Lenough
 movabsq $AREAHIGH, %r8
 cmpq %r8, %rax
 jae .Lenough
 movabsq $STATE, %rcx
 cmpb $0, {UNDER_WAY}(%rcx)
 je .Lplain
 cmpb $0xf3, (%rax)
 jne .Lplain
 cmpq $0, 152(%rdx)
 je .Lplain
 andq $-0x101, 176(%rdx)
 jmp .Lstruck
.Lplain:
 movq %rdx, %r8
 rdtsc
 shlq $32, %rdx
 orq %rdx, %rax
 movq %r8, %rdx
 cmpq {STEPS}(%rcx), %rax
 ja .Lenough
 movq 168(%rdx), %rax
 testb $15, %al
 jne .Lon
 movl (%rax), %r8d
 andl $0xffffff, %r8d
 cmpl $0xee8149, %r8d
 jne .Lon
 movq 88(%rdx), %r8
 addq %r8, {KICK_SAVED}(%rcx)
 movq $0, 88(%rdx)
.Lenough:
 andq $-0x101, 176(%rdx)
.Lon:
 retq
"""

CALLED = """
 .globl stub{reason}
stub{reason}:
 popq 160(%r12)
 movl ${reason}, 152(%r12)
 movq %r14, 144(%r12)
 retq
"""

JUMPED = """
 .globl stub{reason}
stub{reason}:
 movl ${reason}, 152(%r12)
 movq %r14, 144(%r12)
 retq
"""

STRUCK_STUB = """
 .globl stub{reason}
stub{reason}:
 movl ${reason}, 152(%r12)
 retq
"""


def assembled(last: int, called: tuple[int, ...], jumped: tuple[int, ...], struck: int, held: int, around: tuple[str, str]) -> dict[str, Code]:
    """`run(state, code, budget, guest)`, `handler`, `stubN` for each reason N, and `call` for hooks; `around`: what is done on the way in and out."""
    words = {f"A{n}": ANSWER_ARGUMENTS + 8 * n for n in range(5)}
    handler = HANDLER.replace("handler:\n", "handler:\n cmpl $5, %edi\n je .Lstep\n", 1)
    text = handler.format(
        HOST=FAULT_HOST, ADDRESS=FAULT_ADDRESS, CODE=FAULT_CODE, SIGNAL=FAULT_SIGNAL, REGISTERS=FAULT_REGISTERS, SAVED=SAVED_STACK
    )
    text += STEP.format(KICK_SAVED=KICK_SAVED, UNDER_WAY=UNDER_WAY, STEPS=KICK_STEPS) + INTERRUPT.format(
        KICKED=KICKED, OLD=OLD_HANDLERS, STEPS=KICK_STEPS, PATIENCE=PATIENCE
    )
    words |= {"SAVED": SAVED_STACK, "HOST_MXCSR": HOST_MXCSR, "MXCSR": MXCSR, "LAST": last, "ANSWER": ANSWER, "KICKED": KICKED, "DISPATCH": jumped[0]}
    text += RUN.format(ENTER=around[0], LEAVE=around[1], **words)
    text += "".join(CALLED.format(reason=reason) for reason in called) + "".join(JUMPED.format(reason=reason) for reason in jumped)
    text += STRUCK_STUB.format(reason=struck) + call_stub(held)
    return assemble(text)
