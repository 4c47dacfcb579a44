"""REP MOVS and REP STOS by the host's own: as many elements at once as the budget allows, exact where a fault stops them.

Intel SDM volume 2, REP; only upwards, with 64-bit addresses and no segment base. The rest is done an element at a time.
"""

from __future__ import annotations

import struct

from tanken.isa.x86.inst import Inst, Memory
from tanken.isa.x86.native.block import DIRECTION

MARK, COUNT = 1560, 1568  # in the state block: which is under way, if any, and for how many elements
RCX, RSI, RDI = 8, 48, 56
FILLING, COPYING = 1, 2

TEXT = """
 .globl live
live:
 cmpb $0, {DIRECTION}(%r12)
 jne SLOW
 movq 8(%r12), %rcx
 testq %rcx, %rcx
 je .Ldone
 leaq 1(%r14), %rdx
 cmpq %rdx, %rcx
 cmovaq %rdx, %rcx
 movq %rcx, %rdx
 shrq $40, %rdx
 jne SLOW
{checks}
 movq %rcx, {COUNT}(%r12)
 subq %rcx, %r14
 addq $1, %r14
{loads}
 movl ${kind}, {MARK}(%r12)
 rep {operation}
 movl $0, {MARK}(%r12)
{stores}
 movq {COUNT}(%r12), %rcx
 subq %rcx, 8(%r12)
 jne TAKEN
.Ldone:
 jmp NEXT
"""
CHECK = """ movq {at}(%r12), %rax
 leaq (%rax,%rcx,{size}), %rdx
 orq %rax, %rdx
 shrq $44, %rdx
 jne SLOW"""
LETTER = {1: "b", 2: "w", 4: "l", 8: "q"}


def text(inst: Inst) -> str | None:
    """The stencil of a repeated MOVS or STOS, None for any other instruction."""
    if inst.mnemonic not in ("movs", "stos") or not inst.repeat or inst.address_size != 8:
        return None
    memories = [operand for operand in inst.operands if isinstance(operand, Memory)]
    if any(operand.segment >= 4 for operand in memories):
        return None
    size, copies = memories[0].size, inst.mnemonic == "movs"
    used = (("rdi", RDI), ("rsi", RSI)) if copies else (("rdi", RDI),)
    checks = "\n".join(CHECK.format(at=at, size=size) for _, at in used)
    loads = "\n".join(f" movq {at}(%r12), %{name}\n addq %r13, %{name}" for name, at in used)
    stores = "\n".join(f" subq %r13, %{name}\n movq %{name}, {at}(%r12)" for name, at in used)
    if not copies:
        loads += "\n movq (%r12), %rax"
    operation = f"{inst.mnemonic}{LETTER[size]}"
    kind = COPYING if copies else FILLING
    return TEXT.format(kind=kind, DIRECTION=DIRECTION, COUNT=COUNT, MARK=MARK, checks=checks, loads=loads, stores=stores, operation=operation)


def struck(block: memoryview, guest: int, registers: tuple[int, int, int]) -> int:
    """A fault came; if it stopped a repeated instruction, bring its registers up to date: how many elements are still to be counted back."""
    kind, block[MARK] = block[MARK], 0
    if not kind:
        return 0
    rdi, rsi, left = registers
    (count,) = struct.unpack_from("<Q", block, COUNT)
    (total,) = struct.unpack_from("<Q", block, RCX)
    struct.pack_into("<Q", block, RCX, total - (count - left))
    struct.pack_into("<Q", block, RDI, rdi - guest)
    if kind == COPYING:
        struct.pack_into("<Q", block, RSI, rsi - guest)
    return left - 1
