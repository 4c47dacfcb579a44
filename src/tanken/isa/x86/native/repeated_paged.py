"""REP MOVS and REP STOS of a whole processor by the host's own: as many elements at once as page ends and the budget allow.

Intel SDM volume 2, REP; upwards and downwards, with 64-bit addresses and no segment base. The pages are in the TLB, so nothing can fault on the way.
"""

from __future__ import annotations

from tanken.isa.x86.inst import Inst, Memory
from tanken.isa.x86.native.block import DIRECTION
from tanken.isa.x86.native.paged_tables import MISS_AT, TLB_AT, TLB_ENTRIES, WRITE_AT

RSI, RDI = 48, 56
LETTER = {1: "b", 2: "w", 4: "l", 8: "q"}

# The page of the pointer in `pointer` is looked up: its host minus linear into `addend`, elements up to its end into rsi if they are fewer.
LOOK_UP = """
 movq {at}(%r12), {pointer}
 movq {pointer}, %rax
 shrq $7, %rax
 andl ${slots}, %eax
 leaq {last}({pointer}), %rdx
 andq $-4096, %rdx
 cmpq %rdx, {table}(%r13,%rax)
 jne .L{miss}
 movq {table}+8(%r13,%rax), {addend}
 movl {low}, %edx
 andl $4095, %edx
{room}
 cmpq %rdx, %rsi
 cmovaq %rdx, %rsi
"""
# From the offset in the page, in edx, to elements, going up and down.
UP = " xorl $-1, %edx\n addl $4097, %edx\n shrl ${shift}, %edx\n cmpl $1, %edx\n adcl $0, %edx"  # one where it goes over the end: it is on a copy then
DOWN = " shrl ${shift}, %edx\n incl %edx"
HEAD = """
 .globl live
live:
 movq 8(%r12), %rsi
 testq %rsi, %rsi
 je .Ldone
 leaq 1(%r14), %rdx
 cmpq %rdx, %rsi
 cmovaq %rdx, %rsi
 cmpb $0, {DIRECTION}(%r12)
 jne .Ldown
"""
BODY = """
{source}{target}
 subq %rsi, 8(%r12)
 subq %rsi, %r14
 addq $1, %r14
 movq %rsi, %rcx
 {turn} %rsi
 leaq (%rdi,%rsi,{size}), %rdx
 movq %rdx, 56(%r12)
 addq %r8, %rdi
{ready}
 {flag}
 rep {operation}
 cld
 cmpq $0, 8(%r12)
 jne TAKEN
 jmp NEXT
"""
TAIL = """.Ldone:
 jmp NEXT
"""
MISS = """.L{miss}:
 movq {pointer}, {MISS_AT}(%r12)
 jmp {symbol}
"""


def text(inst: Inst) -> str | None:
    """The stencil of a repeated MOVS or STOS, None for any other instruction."""
    if inst.mnemonic not in ("movs", "stos") or not inst.repeat or inst.address_size != 8:
        return None
    memories = [operand for operand in inst.operands if isinstance(operand, Memory)]
    if any(operand.segment >= 4 for operand in memories):
        return None
    size, copies = memories[0].size, inst.mnemonic == "movs"
    text = HEAD.format(DIRECTION=DIRECTION)
    for name, room, turn, flag in (("up", UP, "testq %rsi,", "cld"), ("down", DOWN, "negq", "std")):
        text += f".L{name}:\n" + _body(inst.mnemonic, size, copies, name, room, turn, flag)
    return text + TAIL


def _body(mnemonic: str, size: int, copies: bool, name: str, room: str, turn: str, flag: str) -> str:
    shift = size.bit_length() - 1
    words = {"slots": (TLB_ENTRIES - 1) * 32, "last": size - 1, "room": room.format(shift=shift)}
    target = LOOK_UP.format(at=RDI, pointer="%rdi", low="%edi", addend="%r8", table=WRITE_AT, miss=f"store_{name}", **words)
    misses = MISS.format(miss=f"store_{name}", pointer="%rdi", MISS_AT=MISS_AT, symbol="MISSWRITE")
    source, ready = "", " movq (%r12), %rax"
    if copies:
        source = LOOK_UP.format(at=RSI, pointer="%r10", low="%r10d", addend="%r9", table=TLB_AT, miss=f"load_{name}", **words)
        misses += MISS.format(miss=f"load_{name}", pointer="%r10", MISS_AT=MISS_AT, symbol="MISSREAD")
        ready = f" leaq (%r10,%rsi,{size}), %rdx\n movq %rdx, {RSI}(%r12)\n leaq (%r10,%r9), %rsi"
    operation = mnemonic + LETTER[size]
    return BODY.format(source=source, target=target, size=size, turn=turn, flag=flag, ready=ready, operation=operation) + misses
