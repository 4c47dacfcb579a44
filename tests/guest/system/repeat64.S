# Repeated string instructions over page ends: every size, both directions, overlapping, a fault in the middle, and how far it came.
        .include "long.inc"
        .code64
        .macro  MOVE what, from, to, count
        mov     $\from, %esi
        mov     $\to, %edi
        mov     $\count, %ecx
        rep \what
        call    state
        .endm
begin:  mov     $0x101f00, %edi         # something to move
        mov     $0x80, %ecx
        mov     $7, %eax
1:      stosl
        imul    $0x12345, %eax, %eax
        add     $3, %eax
        loop    1b
        MOVE    movsb, 0x101ffd, 0x105f91, 300
        MOVE    movsw, 0x101f01, 0x105fff, 200
        MOVE    movsl, 0x101f02, 0x106f9e, 100
        MOVE    movsq, 0x101f05, 0x107fdb, 60
        MOVE    movsb, 0x101f00, 0x101f01, 400
        MOVE    movsq, 0x101f08, 0x101f00, 50
        MOVE    movsb, 0x101f00, 0x105000, 0
        std
        MOVE    movsl, 0x1020fc, 0x107004, 150
        cld
        mov     $0x1122334455667788, %rax
        MOVE    stosb, 0, 0x106ff3, 100
        MOVE    stosw, 0, 0x106fff, 100
        MOVE    stosl, 0, 0x107ffd, 50
        MOVE    stosq, 0, 0x108ffb, 30
        MOVE    stosq, 0, 0x104000, 512
        andl    $~1, PT0+0x10a*8        # not present
        invlpg  0x10a000
        andl    $~2, PT0+0x10c*8        # read only
        invlpg  0x10c000
        TRY
        mov     $0x101000, %esi
        mov     $0x109fc0, %edi
        mov     $100, %ecx
        rep movsb
        DONE
        mov     %rcx, %rax
        call    show
        mov     %rsi, %rax
        call    show
        mov     %rdi, %rax
        call    show
        TRY
        mov     $0x109ffc, %esi         # the load crosses into it
        mov     $0x105000, %edi
        mov     $3, %ecx
        rep movsq
        DONE
        mov     %rdi, %rax
        call    show
        TRY
        mov     $0x10bf00, %edi
        mov     $1000, %ecx
        rep stosl
        DONE
        mov     %rcx, %rax
        call    show
        mov     %rdi, %rax
        call    show
        mov     $0x101f00, %ebx         # a sum over all that was written
        xor     %eax, %eax
1:      rol     $1, %rax
        add     (%rbx), %rax
        add     $8, %ebx
        cmp     $0x10a000, %ebx
        jb      1b
        call    show
        finish

state:  push    %rax
        mov     %rcx, %rax
        call    show
        mov     %rsi, %rax
        call    show
        mov     %rdi, %rax
        call    show
        pop     %rax
        ret
