# Exceptions of long mode at privilege level 0: what is pushed, which error code, which address.
        .include "long.inc"
        .code64
begin:  TRY
        ud2
        DONE
        TRY
        xor     %ecx, %ecx
        div     %ecx
        DONE
        TRY
        int3
        DONE
        TRY
        int     $0x21
        DONE
        TRY
        int     $0x28
        DONE
        TRY
        mov     $0x8000000000000000, %rax
        mov     (%rax), %rbx
        DONE
        TRY
        mov     $0x8000000000000000, %rsp
        push    %rax
        DONE
        TRY
        mov     $0x8000000000000000, %rbp
        mov     (%rbp), %rax
        DONE
        TRY
        mov     $0x8000000000000000, %rax
        jmp     *%rax
        DONE
        TRY                             # not present
        mov     0x400000, %rax
        DONE
        TRY
        mov     %rax, 0x400123
        DONE
        TRY
        addl    $1, 0x400ffe
        DONE
        TRY
        mov     $0x400000, %eax
        jmp     *%rax
        DONE
        andl    $~2, PT0+0x808          # read only
        invlpg  PAGE
        TRY
        mov     PAGE, %rax
        DONE
        TRY
        mov     %rax, PAGE+8
        DONE
        TRY                             # both pages of a store, the second refuses
        movl    $0x11223344, 0x100000+0xffc
        mov     %rax, 0x100000+0xffe
        DONE
        mov     0x100000+0xffc, %eax
        call    show
        mov     %cr0, %rax
        and     $~0x10000, %rax
        mov     %rax, %cr0
        TRY                             # without WP
        movq    $5, PAGE+8
        DONE
        mov     PT0+0x808, %rax
        call    show
        mov     %cr0, %rax
        or      $0x10000, %rax
        mov     %rax, %cr0
        orl     $2, PT0+0x808
        movl    $0x80000000, PT0+0x80c  # no execution
        invlpg  PAGE
        movb    $0xc3, PAGE
        TRY
        mov     $PAGE, %eax
        call    *%rax
        DONE
        movl    $0, PT0+0x80c
        invlpg  PAGE
        TRY
        mov     $PAGE, %eax
        call    *%rax
        DONE
        movl    $0x00080000, PT0+0x80c  # a reserved bit
        invlpg  PAGE
        TRY
        mov     PAGE, %eax
        DONE
        movl    $0, PT0+0x80c
        invlpg  PAGE
        TRY                             # an instruction longer than 15 bytes
        .byte   0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
        DONE
        TRY
        lock
        nop
        DONE
        TRY
        mov     $0x1234, %eax
        mov     %eax, %ds
        DONE
        TRY
        mov     $0x48, %eax
        mov     %eax, %ds
        DONE
        TRY
        mov     $0x48, %eax
        mov     %eax, %es
        DONE
        TRY
        mov     $0x50, %eax
        mov     %eax, %ss
        DONE
        TRY
        mov     $0x58, %eax
        mov     %eax, %fs
        DONE
        TRY
        xor     %eax, %eax
        mov     %eax, %ss
        push    $1
        pop     %rax
        DONE
        mov     $0x10, %eax
        mov     %eax, %ss
        TRY
        mov     $0x33, %eax
        ltr     %ax
        DONE
        TRY
        mov     %rax, %cr5
        DONE
        TRY
        mov     $0xc0000100, %ecx
        mov     $0x80000000, %edx
        wrmsr
        DONE
        TRY
        xor     %ecx, %ecx
        mov     $1, %eax
        mov     $0, %edx
        xgetbv
        DONE
        TRY                             # a gate that is not present
        movb    $0, idt+16*0x22+5
        int     $0x22
        DONE
        TRY                             # no gate
        movb    $0x8c, idt+16*0x22+5
        int     $0x22
        DONE
        movb    $0x8e, idt+16*0x22+5
        TRY                             # a gate with a null selector
        movw    $0, idt+16*0x22+2
        int     $0x22
        DONE
        TRY                             # a gate to data
        movw    $0x10, idt+16*0x22+2
        int     $0x22
        DONE
        TRY                             # a double fault: #UD whose gate is missing is no such, #GP whose gate is, is
        movb    $0, idt+16*13+5
        mov     $0x1234, %eax
        mov     %eax, %ds
        DONE
        movb    $0x8e, idt+16*13+5
        TRY
        movb    $0, idt+16*14+5
        mov     0x400000, %eax
        DONE
        movb    $0x8e, idt+16*14+5
        TRY
        movb    $0, idt+16*6+5
        ud2
        DONE
        movb    $0x8e, idt+16*6+5
        TRY                             # task switched
        mov     %cr0, %rax
        or      $8, %rax
        mov     %rax, %cr0
        addps   %xmm0, %xmm1
        DONE
        TRY
        fld1
        DONE
        clts
        TRY
        mov     %cr0, %rax
        or      $4, %rax
        mov     %rax, %cr0
        addps   %xmm0, %xmm1
        DONE
        mov     %cr0, %rax
        and     $~4, %rax
        mov     %rax, %cr0
        TRY
        mov     %cr4, %rax
        and     $~0x200, %rax
        mov     %rax, %cr4
        addps   %xmm0, %xmm1
        DONE
        mov     %cr4, %rax
        or      $0x200, %rax
        mov     %rax, %cr4
        movb    $0, idt+16*8+5          # at last: three faults
        movb    $0, idt+16*6+5
        movb    $0, idt+16*13+5
        movb    $0, idt+16*11+5
        NOTE    "three faults"
        ud2
        finish
