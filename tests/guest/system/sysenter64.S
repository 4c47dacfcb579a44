# SYSENTER and SYSEXIT (QEMU: max,vendor=GenuineIntel): segments, stacks and flags both ways, from 64-bit and 32-bit programs, and what they refuse.
        .include "long.inc"
        .code64
        .macro  MSR number, value
        mov     $\number, %ecx
        mov     $\value, %eax
        xor     %edx, %edx
        wrmsr
        .endm
begin:  OPEN    0x1000
        OPEN    0x2000
        OPEN    0x3000
        OPEN    0xf000
        MSR     0x175, 0x8800
        MSR     0x176, entered
        MSR     0x174, 0
        movq    $s1, begun
        movq    $s2, resume
        mov     %rsp, resume_rsp
        USER    s1
s1:      sysenter                        # no segment
        nop
s2:      MSR     0x174, 8
        movq    $s3, begun
        USER    s3
s3:      stc
        std
        sysenter                        # with RFLAGS as they are, but for IF
s4:      nop
        cld
        movq    $s5, resume
        sysexitl                        # not at level 3
s5:      cld
        movq    $s6, begun
        mov     $s6, %edx               # out to 32 bits
        mov     $0xefff0, %ecx
        shl     $12, %rcx
        mov     $0x7777, %cx
        movq    $s8, resume
        sysexitl
        .code32
s6:      mov     %esp, %esi
        mov     $s7, %ebp
        sysenter                        # and in again
s7:      ud2
s8:      .code64
        movq    $s9, resume
        movq    $s9, begun
        mov     $s9, %edx               # out to 64 bits, at no canonical address
        mov     $1, %ecx
        shl     $47, %rcx
        bts     $47, %rdx
        sysexitq
s9:      MSR     0x174, 3                # a null selector
        TRY
        xor     %ecx, %ecx
        mov     $1, %edx
        sysexitl
        DONE
        finish
entered:
        mov     %cs, %eax
        call    show
        mov     %ss, %eax
        call    show
        mov     %rsp, %rax
        call    show
        pushf
        pop     %rax
        and     $0x3f7fd7, %eax
        call    show
        cld
        cmp     $s7, %ebp
        je      1f
        mov     $s4, %edx
        mov     $USER_STACK, %ecx
        movq    $s4, begun
        sysexitq
1:      mov     %rsi, %rax
        call    show
        mov     $s7, %edx
        movq    $s7, begun
        mov     $USER_STACK, %ecx
        sysexitl
