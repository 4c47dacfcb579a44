# Single step, breakpoints in DR0 to DR3, and the instruction behind MOV SS that no trap stops.
        .include "long.inc"
        .code64
begin:  TRY                             # one step
        pushf
        orl     $0x100, (%rsp)
        popf
        nop
        nop
        DONE
        mov     $0, %eax
        mov     %rax, %dr6
        movq    $1, go_on
        movq    $0, begun
        NOTE    "steps"
        call    line
        movq    $1f, begun
1:      pushf                           # every step, until the flag is cleared
        orl     $0x100, (%rsp)
        popf
        nop
        xor     %eax, %eax
        mov     %ss, %eax
        mov     %eax, %ss
        nop                             # not seen
        nop
        int     $0x21                   # the handler is not stepped
        pushf
        andl    $~0x100, (%rsp)
        popf
        mov     $0, %eax
        mov     %rax, %dr6
        movq    $2f, begun
        NOTE    "repeated"
        call    line
        mov     $3, %ecx
        mov     $0x101000, %edi
2:      pushf
        orl     $0x100, (%rsp)
        popf
        rep stosb
        pushf
        andl    $~0x100, (%rsp)
        popf
        mov     $0, %eax
        mov     %rax, %dr6
        NOTE    "data"
        call    line
        movq    $3f, begun
        mov     $0x101008, %eax
        mov     %rax, %dr0
        mov     $0x000d0002, %eax       # 4 bytes, stores
        mov     %rax, %dr7
3:      mov     0x101008, %ecx
        mov     %ecx, 0x101004
        mov     %ecx, 0x101008
        mov     %cl, 0x10100b
        mov     %rcx, 0x101001
        mov     %cl, 0x10100c
        mov     $0x000f0002, %eax       # loads and stores
        mov     %rax, %dr7
        mov     0x101008, %ecx
        addb    $1, 0x101009
        push    %rax
        pop     %rax
        mov     $0, %eax
        mov     %rax, %dr7
        mov     %rax, %dr6
        movq    $0, go_on
        NOTE    "code"
        call    line
        mov     $4f, %eax
        mov     %rax, %dr1
        mov     $8, %eax
        mov     %rax, %dr7
        TRY
        nop
4:      nop
        DONE
        mov     $0, %eax
        mov     %rax, %dr7
        NOTE    "general detect"
        call    line
        mov     $0x2000, %eax
        mov     %rax, %dr7
        TRY
        mov     %dr0, %rax
        DONE
        mov     %dr7, %rax
        call    show
        TRY
        mov     $1, %eax
        shl     $32, %rax
        mov     %rax, %dr7
        DONE
        mov     %cr4, %rax
        or      $8, %rax
        mov     %rax, %cr4
        TRY
        mov     %dr4, %rax
        DONE
        TRY
        .byte   0xf1                    # INT1
        DONE
        finish
