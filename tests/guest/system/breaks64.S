# What stops a program (QEMU's TCG looks away where SYSCALL is a step, MOV SS waits, and ports): lengths, ports, RF, steps through SYSCALL and IRET.
        .include "long.inc"
        .code64
        .macro  AGAIN text              # the handler goes on where it was
        mov     $0, %eax
        mov     %rax, %dr7
        mov     %rax, %dr6
        NOTE    "\text"
        call    line
        movq    $1, go_on
        .endm
        .macro  WATCH number, address, word
        mov     $\address, %eax
        mov     %rax, %dr\number
        mov     $\word, %eax
        mov     %rax, %dr7
        .endm
begin:  AGAIN   "eight bytes"
        movq    $1f, begun
        WATCH   2, 0x101010, 0x09000020 # stores
1:      mov     %al, 0x10100f
        mov     %al, 0x101010
        mov     %al, 0x101017
        mov     %al, 0x101018
        mov     %rax, 0x10100c
        mov     0x101010, %rax
        AGAIN   "two bytes, any access"
        movq    $2f, begun
        WATCH   3, 0x101013, 0x70000080 # the address is cut to 0x101012
2:      mov     0x101012, %al
        mov     0x101011, %al
        mov     0x101013, %al
        mov     0x101014, %al
        mov     %eax, 0x101010
        movups  0x101004, %xmm0
        AGAIN   "two at once"
        movq    $3f, begun
        mov     $0x101000, %eax
        mov     %rax, %dr0
        WATCH   1, 0x101004, 0x00dd0005 # locally enabled
3:      mov     %rax, 0x101000
        mov     $0x101000, %edi
        mov     $0x101004, %esi
        movsl
        AGAIN   "repeated"
        movq    $4f, begun
        WATCH   0, 0x101002, 0x00010001
        mov     $0x101000, %edi
        mov     $4, %ecx
4:      rep stosb
        mov     %rcx, %rax
        call    show
        AGAIN   "behind mov ss"
        movq    $5f, begun
        movw    $0x10, 0x101020
        WATCH   0, 0x101020, 0x00070001
        mov     $0x101020, %ebx
5:      mov     (%rbx), %ss
        nop
        nop
        mov     (%rbx), %ss
        int     $0x21
        mov     $0x10, %eax
        AGAIN   "resumed"
        movq    $6f, begun
        movq    $0, go_on
        WATCH   1, 6f, 0x00000008
        movq    $66f, resume
        mov     %rsp, resume_rsp
        mov     %rsp, %rax
        push    $0x10                   # with RF: once it is not met
        push    %rax
        push    $0x10002
        push    $8
        push    $6f
        iretq
6:      nop
        jmp     6b
66:     AGAIN   "system calls"
        mov     $0xc0000082, %ecx
        mov     $called, %eax
        xor     %edx, %edx
        wrmsr
        mov     $0xc0000081, %ecx
        mov     $0x00180008, %edx
        xor     %eax, %eax
        wrmsr
        movq    $called, begun
        OPEN    0x1000
        OPEN    0x2000
        OPEN    0x3000
        .irp    mask, 0x100, 0
        mov     $0xc0000084, %ecx
        mov     $\mask, %eax
        xor     %edx, %edx
        wrmsr
        pushf                           # what SYSRET leaves is level 3
        orl     $0x100, (%rsp)
        popf
        syscall
        nop
        pushf
        andl    $~0x100, (%rsp)
        popf
        .endr
        AGAIN   "iret"
        movq    $9f, begun
        mov     %rsp, %rax
        push    $0x10
        push    %rax
        push    $0x102
        push    $8
        push    $9f
        iretq
9:      nop
        nop
        pushf
        andl    $~0x100, (%rsp)
        popf
        AGAIN   "a step and more"
        movq    $10f, begun
        WATCH   0, 0x101000, 0x00030001
10:     pushf
        orl     $0x100, (%rsp)
        popf
        mov     0x101000, %al
        out     %al, $0xe8
        hlt_none: nop
        pushf
        andl    $~0x100, (%rsp)
        popf
        AGAIN   "ports"
        mov     %cr4, %rax
        or      $8, %rax                # DE
        mov     %rax, %cr4
        movq    $11f, begun
        WATCH   0, 0x60, 0x000e0001     # four ports
11:     in      $0x5f, %al
        in      $0x60, %al
        in      $0x63, %al
        in      $0x64, %al
        in      $0x5e, %eax
        mov     $0x61, %edx
        mov     $0x101000, %edi
        mov     $2, %ecx
        rep insb
        mov     %cr4, %rax
        and     $~8, %rax
        mov     %rax, %cr4
        in      $0x60, %al              # without DE it is nothing
        AGAIN   "general detect"
        movq    $12f, begun
        mov     $0x2000, %eax
        mov     %rax, %dr7
12:     mov     %rax, %dr3              # the handler's reads are free
        mov     %dr7, %rax
        call    show
        finish
called: nop
        push    $2
        popf
        mov     %r11, %rax
        and     $0xfff, %eax
        call    show
        mov     $0x10, %eax
        mov     %eax, %ss
        and     $~0x100, %r11
        push    %r11
        popf
        push    $0x10
        lea     8(%rsp), %rax
        push    %rax
        push    %r11
        push    $8
        push    %rcx
        iretq
