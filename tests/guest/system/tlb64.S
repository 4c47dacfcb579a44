# What the TLB may keep: a page is forgotten by INVLPG, and no other; global pages outlive MOV CR3; large pages go as a whole.
        .include "long.inc"
        .code64
        .set    ENTRY, PT0+0x808
        .set    BIG, TABLES+0x2010      # of the 2 MiB at 0x400000
        .macro  MAP value               # what PAGE is, without telling anybody
        mov     $\value, %eax
        mov     %rax, ENTRY
        .endm
        .macro  SEE                     # what a program sees there
        mov     PAGE, %rax
        call    show
        .endm
        .macro  FLUSH                   # of this address space
        mov     %cr3, %rax
        mov     %rax, %cr3
        .endm
begin:  movq    $0xa, 0x102000
        movq    $0xb, 0x103000
        NOTE    "kept"
        call    line
        MAP     0x102003
        invlpg  PAGE
        SEE
        MAP     0x103003
        SEE
        NOTE    "another page"
        call    line
        invlpg  0x104000
        SEE
        mov     $1, %eax
        shl     $63, %rax
        invlpg  0x101000(%rax)          # no canonical address
        SEE
        NOTE    "this page"
        call    line
        invlpg  0x101ffd
        SEE
        NOTE    "address space"
        call    line
        MAP     0x102003
        SEE
        FLUSH
        SEE
        NOTE    "global"
        call    line
        MAP     0x102103
        invlpg  PAGE
        SEE
        MAP     0x103103
        FLUSH
        SEE
        invlpg  PAGE
        SEE
        MAP     0x102103
        FLUSH
        SEE
        mov     %cr4, %rax
        xor     $0x80, %eax             # PGE
        mov     %rax, %cr4
        SEE
        xor     $0x80, %eax
        mov     %cr4, %rax
        xor     $0x80, %eax
        mov     %rax, %cr4
        NOTE    "large"
        call    line
        movq    $0x400087, BIG
        movq    $0xc, 0x5f0000
        movq    $0xd, 0x400000
        movq    $0x87, BIG              # the first 2 MiB once more
        mov     0x400000, %rax
        call    show
        invlpg  0x5ff000                # another 4 KiB of the page
        mov     0x400000, %rax
        cmpq    $0xd, %rax
        setne   %al
        movzx   %al, %eax
        call    show
        NOTE    "a fault forgets"
        call    line
        MAP     0x102001
        invlpg  PAGE
        SEE
        TRY
        movq    $1, PAGE
        DONE
        MAP     0x103003
        TRY
        movq    $0xe, PAGE
        DONE
        SEE
        mov     0x103000, %rax
        call    show
        NOTE    "code"
        call    line
        movl    $0xc3c031, 0x102000     # xor eax, eax; ret
        movl    $0xc3c0ff90, 0x103000   # nop; inc eax; ret
        MAP     0x102003
        invlpg  PAGE
        mov     $5, %eax
        mov     $PAGE, %ebx
        call    *%rbx
        call    show
        MAP     0x103003
        invlpg  PAGE
        mov     $5, %eax
        call    *%rbx
        call    show
        MAP     0x102003
        FLUSH
        mov     $5, %eax
        call    *%rbx
        call    show
        finish
