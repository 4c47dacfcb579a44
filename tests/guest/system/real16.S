# Real mode: interrupts by the vector table, far calls, segment arithmetic and its limit, 32-bit operands; then protected 16-bit code and back.
        .include "start.inc"
        .code16
main:   mov     $handler, %ax           # all vectors
        xor     %di, %di
        mov     $64, %cx
1:      stosw
        movw    $0, (%di)
        add     $2, %di
        loop    1b
        movw    $divided, 0
        movw    $general, 13*4
        movw    $general, 6*4
        movw    $overflow, 4*4
        int     $0x20
        putc    10
        xor     %cx, %cx
        mov     $1, %ax
        div     %cl
        putc    10
        mov     $0x7f, %al
        add     $1, %al
        into
        putc    10
        lcall   $0x10, $there-0x100     # the same code by another segment
        call    show
        mov     $0x1234, %ax            # a segment anywhere
        mov     %ax, %es
        movl    $0xdeadbeef, %es:0x10
        mov     $0x1200, %ax
        mov     %ax, %es
        mov     %es:0x350, %eax
        call    show
        movl    $0xcafebabe, %eax       # 32-bit registers, 16-bit stack
        push    %eax
        pop     %bx
        pop     %cx
        mov     %ebx, %eax
        call    show
        mov     $0xffff, %bx            # a word over the end of the segment
        movw    $0x5a5a, %es:(%bx)
        putc    10
        mov     $0x12345, %ebx          # an offset beyond it
        movw    $0x5a5a, %es:(%ebx)
        putc    10
        pushf                           # flags: what can be set here
        orw     $0x7000, (%esp)
        popf
        pushf
        pop     %ax
        movzx   %ax, %eax
        call    show
        mov     $0x7fff, %sp            # a stack that is not aligned
        pushw   $0x1122
        pop     %ax
        movzx   %ax, %eax
        call    show
        mov     $0x8000, %sp
        mov     %cs, %ax
        movzx   %ax, %eax
        call    show
        std
        mov     $0x12, %ax
        mov     $0x3002, %di
        mov     $3, %cx
        xor     %bx, %bx
        mov     %bx, %es
        rep stosb
        cld
        mov     0x3000, %eax
        call    show
        mov     $0xfffe, %di            # a string over the end wraps
        mov     $4, %cx
        mov     $0x33, %al
        mov     $0x5000, %bx
        mov     %bx, %es
        rep stosb
        movzx   %di, %eax
        call    show
        smsw    %ax
        movzx   %ax, %eax
        call    show
        sgdt    0x3010
        xor     %eax, %eax
        verr    %ax                     # #UD
        putc    10
        lgdt    pointer                 # protected mode of 16 bits
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmp    $8, $protected
protected:
        mov     $0x10, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %cs, %ax
        movzx   %ax, %eax
        call    show
        mov     $0x18, %ax              # a segment of 4 GiB: kept behind in real mode
        mov     %ax, %fs
        mov     %cr0, %eax
        and     $~1, %eax
        mov     %eax, %cr0
        ljmp    $0, $again
again:  xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     $0x200000, %ebx
        movl    $0x600d600d, %fs:(%ebx)
        mov     %fs:(%ebx), %eax
        call    show
        finish

handler:
        push    %ax
        putc    'i'
        pop     %ax
        iret
divided:
        putc    'd'
        mov     %sp, %bp
        addw    $2, (%bp)               # behind the DIV
        iret
overflow:
        putc    'o'
        iret
general:
        push    %ax
        putc    'g'
        mov     %sp, %bp
        mov     2(%bp), %bx
        mov     (%bx), %al
        pop     %ax
        popw    %bx                     # skip to the next putc: b0 0a
1:      inc     %bx
        cmpw    $0x0ab0, (%bx)
        jne     1b
        push    %bx
        iret
there:  mov     %cs, %ax
        movzx   %ax, %eax
        lret
show:   push    %ax
        push    %cx
        push    %ebx
        mov     %eax, %ebx
        mov     $8, %cx
1:      rol     $4, %ebx
        mov     %bl, %al
        and     $15, %al
        add     $'0', %al
        cmp     $'9', %al
        jbe     2f
        add     $39, %al
2:      out     %al, $0xe9
        loop    1b
        putc    10
        pop     %ebx
        pop     %cx
        pop     %ax
        ret
        .balign 8
table:  .quad   0
        .quad   0x00009b000000ffff      # 08 code of 16 bits
        .quad   0x000093000000ffff      # 10 data
        .quad   0x00cf93000000ffff      # 18 all of memory
pointer:
        .word   31
        .long   table
