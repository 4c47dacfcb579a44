# Which of several exceptions comes first (SDM volume 3, table 6-2): traps of the last instruction, breakpoints, fetching, decoding, units, execution.
        .include "long.inc"
        .code64
        .set    NOWHERE, 0x400000       # no page
        .macro  BREAK address           # an instruction breakpoint
        mov     $\address, %eax
        mov     %rax, %dr0
        mov     $2, %eax
        mov     %rax, %dr7
        .endm
        .macro  CLEAR
        mov     $0, %eax
        mov     %rax, %dr7
        mov     %rax, %dr6
        .endm
        .macro  SWITCHED on             # CR0.TS
        mov     %cr0, %rax
        .if     \on
        or      $8, %rax
        .else
        and     $~8, %rax
        .endif
        mov     %rax, %cr0
        .endm
begin:  OPEN    0x1000
        OPEN    0x2000
        OPEN    0xe000
        OPEN    0xf000
        BREAK   NOWHERE
        TRY                             # a breakpoint, then the page of its instruction
        mov     $NOWHERE, %eax
        jmp     *%rax
        DONE
        CLEAR
        BREAK   1f
        TRY                             # one on an invalid instruction
1:      ud2
        DONE
        CLEAR
        BREAK   2f
        TRY                             # a step behind POPF's successor, and a breakpoint there
        pushf
        orl     $0x100, (%rsp)
        popf
        nop
2:      nop
        DONE
        CLEAR
        movl    $0, 0x101000
        mov     $0x101000, %eax
        mov     %rax, %dr0
        mov     $0xf0002, %eax
        mov     %rax, %dr7
        TRY                             # a data breakpoint of an instruction that faults is none
        xor     %edx, %edx
        mov     $1, %eax
        divl    0x101000
        DONE
        mov     %dr6, %rax
        call    show
        CLEAR
        TRY                             # too long, then invalid
        .byte   0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0f, 0x0b
        DONE
        movw    $0x0f66, 0x102ffe
        movb    $0x0b, 0x103000
        TRY                             # invalid
        mov     $0x102ffe, %eax
        jmp     *%rax
        DONE
        movq    $0, PT0+0x818
        invlpg  0x103000
        TRY                             # but the page of its end first
        mov     $0x102ffe, %eax
        jmp     *%rax
        DONE
        SWITCHED 1
        TRY                             # the unit, then the operand
        fldl    NOWHERE
        DONE
        TRY
        movaps  0x101001, %xmm0
        DONE
        TRY                             # but decoding before the unit
        .byte   0xf0, 0x0f, 0x58, 0x00  # lock addps
        DONE
        SWITCHED 0
        TRY                             # alignment, then the page
        movaps  NOWHERE+8, %xmm0
        DONE
        TRY                             # no canonical address, whatever else
        mov     $1, %eax
        shl     $63, %rax
        movaps  8(%rax), %xmm0
        DONE
        TRY
        xor     %ecx, %ecx
        divl    NOWHERE                 # a page before the quotient
        DONE
        TRY
        incl    NOWHERE
        DONE
        TRY                             # reading before writing
        pushq   NOWHERE
        DONE
        TRY
        mov     $NOWHERE+8, %esp
        pushq   0x500000
        DONE
        TRY
        mov     $NOWHERE+8, %esp
        popq    0x600000
        DONE
        TRY
        mov     $NOWHERE, %esi
        mov     $0x600000, %edi
        movsl
        DONE
        TRY
        mov     $0x101000, %esi
        mov     $0x600000, %edi
        cmpsl
        DONE
        TRY                             # CALL: the target is fetched when the return address is pushed
        mov     $1, %eax
        shl     $63, %rax
        call    *%rax
        DONE
        TRY
        mov     $NOWHERE, %esp
        call    *%rsp
        DONE
        TRY                             # RET to nowhere
        push    $NOWHERE
        ret
        DONE
        .macro  AT3 first, second
        movq    $66f, resume
        movq    $67f, begun
        mov     %rsp, resume_rsp
        USER    67f
67:     \first
        \second
        int     $0x21
66:
        .endm
        AT3     ".byte 0xf0, 0xf4"      # lock hlt: decoding before privilege
        AT3     "lgdt NOWHERE"          # privilege before the operand
        AT3     "mov %rax, %cr1"
        AT3     "ljmp *NOWHERE"
        AT3     "lidt (%rsp)"
        AT3     "mov $0x1234, %ecx", "rdmsr"
        AT3     "xor %ecx, %ecx", "xsetbv"
        AT3     "invpcid NOWHERE, %rax"
        TRY                             # a selector before its descriptor
        mov     $0x1234, %eax
        mov     %eax, %ss
        DONE
        TRY                             # type before presence
        mov     $0x48, %eax
        mov     %eax, %ss
        DONE
        TRY
        ltr     NOWHERE
        DONE
        TRY                             # gate's presence before its segment
        andb    $0x7f, idt+0x25*16+5
        movw    $0x1234, idt+0x25*16+2
        int     $0x25
        DONE
        TRY
        orb     $0x80, idt+0x25*16+5
        int     $0x25
        DONE
        finish
