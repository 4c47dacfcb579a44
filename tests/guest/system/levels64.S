# Five levels of tables: turned on with paging off, 57 bits of address, and what long mode refuses to change.
        .include "long.inc"
        .set    PML5, TABLES+0x4000
        .code64
begin:  movq    $0xa, PAGE
        TRY
        mov     $1, %eax                # not canonical with four levels
        shl     $48, %rax
        mov     0x101000(%rax), %rax
        DONE
        ljmp    *far32
far32:  .long   narrow
        .word   0x18
        .code32
narrow: mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        movl    $TABLES+7, PML5
        movl    $0, PML5+4
        movl    $TABLES+7, PML5+8       # the second 256 TiB, the same
        movl    $0, PML5+12
        movl    $TABLES+7, PML5+0xff8   # the last
        movl    $0, PML5+0xffc
        mov     %cr4, %eax
        or      $0x1000, %eax
        mov     %eax, %cr4
        mov     $PML5, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $8, $wide
        .code64
wide:   mov     %cr4, %rax
        call    show
        mov     PAGE, %rax
        call    show
        mov     $1, %eax
        shl     $48, %rax
        mov     0x101000(%rax), %rax
        call    show
        movq    $0xb, PAGE
        mov     $1, %eax
        shl     $48, %rax
        mov     0x101000(%rax), %rax
        call    show
        mov     $-1, %rax               # the last entry: bit 56 and up
        shl     $48, %rax
        mov     0x101000(%rax), %rax
        call    show
        TRY                             # no such entry
        mov     $3, %eax
        shl     $48, %rax
        mov     (%rax), %rax
        DONE
        TRY                             # not canonical with five either
        mov     $1, %eax
        shl     $56, %rax
        mov     (%rax), %rax
        DONE
        TRY
        mov     $1, %eax
        shl     $48, %rax
        lea     back(%rax), %rbx
        jmp     *%rbx
back:   lea     (%rip), %rax
        call    show
        mov     $1f, %eax
        jmp     *%rax
1:      DONE
        TRY
        mov     %cr4, %rax
        btr     $12, %rax
        mov     %rax, %cr4
        DONE
        movq    $PML5+0x1007, PML5+16   # a table whose size bit is set
        movq    $TABLES+0x1087, PML5+0x1000
        movq    $TABLES+0x87, PML5+24
        TRY
        mov     $2, %eax
        shl     $48, %rax
        mov     (%rax), %rax
        DONE
        TRY
        mov     $3, %eax
        shl     $48, %rax
        mov     (%rax), %rax
        DONE
        TRY                             # LSTAR takes 57 bits
        mov     $0xc0000082, %ecx
        xor     %eax, %eax
        mov     $0x10000, %edx
        wrmsr
        DONE
        TRY
        mov     $0xc0000082, %ecx
        xor     %eax, %eax
        mov     $0x1000000, %edx
        wrmsr
        DONE
        finish
