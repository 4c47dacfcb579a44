# Accesses over a page end: loads, stores, both at once, pushes, calls and strings; pages that lie apart, and faults on the second page.
        .include "long.inc"
        .code64
        .set    A, 0x101000
        .set    B, 0x102000
        .macro  BYTES                   # around the end of A
        mov     A+0xff8, %rax
        call    show
        mov     B, %rax
        call    show
        mov     B+8, %rax
        call    show
        .endm
begin:  movq    $0x105003, PT0+0x810    # B lies elsewhere
        invlpg  B
        mov     $0x11, %r15d            # often enough for native code to know it
again:  mov     $A+0xff0, %edi
        mov     $0x20, %ecx
        mov     $0x30, %eax
1:      mov     %al, (%rdi)
        inc     %edi
        inc     %eax
        loop    1b
        mov     A+0xffd, %rbx
        movl    $0xdeadbeef, A+0xffe
        addq    $0x1234567, A+0xffb
        pushf
        pop     %rbp
        xchg    %bx, A+0xfff
        lock xadd %rbx, A+0xffc
        movdqu  A+0xff7, %xmm0
        paddq   %xmm0, %xmm0
        movdqu  %xmm0, A+0xff9
        cmpl    $0x12, A+0xffe
        ja      1f
        inc     %ebx
1:      mov     %rsp, %r8
        mov     $A+0x1003, %esp
        push    $0x77665544
        popq    A+0xff6
        call    2f
2:      pop     %r9
        push    $3f
        ret
3:      mov     %r8, %rsp
        lea     2b(%rip), %r10
        sub     %r10, %r9
        mov     $A+0xfe1, %esi
        mov     $0x103000+3, %edi
        mov     $9, %ecx
        rep movsq
        mov     $A+0xfed, %edi
        mov     $0x0123456789abcdef, %rax
        mov     $5, %ecx
        rep stosq
        mov     $A+0xfff, %esi
        mov     $A+0xffd, %edi
        movsl
        std
        mov     $A+0x1006, %esi
        mov     $A+0xffe, %edi
        mov     $3, %ecx
        rep movsl
        cld
        fldt    A+0xff8
        fstpt   A+0xffa
        mov     $3, %eax
        bts     %eax, A+0xfff
        mov     $A+0xff9, %esi
        mov     $A+0xffe, %edi
        mov     $4, %ecx
        repe cmpsl
        mov     %ecx, %r11d
        dec     %r15d
        jnz     again
        mov     %rbx, %rax
        call    show
        mov     %rbp, %rax
        call    show
        mov     %r9, %rax
        call    show
        mov     %r11, %rax
        call    show
        BYTES
        mov     0x103000+59, %rax
        call    show
        NOTE    "faults"
        call    line
        mov     $5, %r15d
faults: movq    $0, PT0+0x810           # B is not there
        invlpg  B
        movq    $0, A+0xff8
        .irp    what, "mov A+0xffd, %rax", "movq $-1, A+0xffd", "incl A+0xffe", "pushq B+0x100", "movdqu %xmm0, A+0xff3"
        TRY
        \what
        DONE
        .endr
        TRY
        mov     $A+0x1004, %esp
        pushq   $0x1234
        DONE
        mov     A+0xff8, %rax
        call    show
        movq    $0x105001, PT0+0x810    # B is there, but not to be stored to
        invlpg  B
        TRY
        mov     A+0xffd, %rax
        DONE
        TRY
        movl    $-1, A+0xffd
        DONE
        TRY
        mov     $A+0xfe5, %edi
        mov     $-1, %rax
        mov     $9, %ecx
        rep stosq
        DONE
        mov     %rdi, %rax
        call    show
        mov     %rcx, %rax
        call    show
        mov     A+0xff8, %rax
        call    show
        mov     PT0+0x808, %rax         # accessed and dirty
        call    show
        dec     %r15d
        jnz     faults
        movq    $0x106003, PT0+0x810
        invlpg  B
        mov     $3, %ecx
1:      mov     A+0xffc, %rax
        mov     $-1, %rax
        mov     %rax, A+0xffc
        andq    $0, PT0+0x818           # D and A: of both pages
        mov     PT0+0x810, %rax
        loop    1b
        call    show
        NOTE    "own code"              # a store over the end into code that runs
        call    line
        movq    $0x106003, PT0+0x810
        invlpg  B
        mov     $3, %r15d
2:      movl    $0xc0ff9090, B          # nop; nop; inc eax
        movb    $0xc3, B+4
        xor     %eax, %eax
        mov     $B, %ebx
        call    *%rbx
        call    show
        mov     $0xc3c8ff9090c3c8ff, %rax
        mov     %rax, A+0xffc           # ff c8 c3 90 | 90 ff c8 c3
        call    *%rbx
        call    show
        movw    $0xc8ff, B
        movb    $0xc3, B+2
        xor     %eax, %eax
        call    *%rbx
        call    show
        dec     %r15d
        jnz     2b
        finish
