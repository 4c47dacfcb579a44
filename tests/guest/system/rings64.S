# Privilege: level 3 and what it may not, ways in and out: gates, SYSCALL, call gates, far returns, compatibility mode.
        .include "long.inc"
        .code64
begin:  OPEN    0x1000
        OPEN    0x2000
        OPEN    0x3000
        OPEN    0x4000
        OPEN    0xe000
        OPEN    0xf000
        .macro  AT3 first, second, third, fourth, fifth, sixth, seventh # at level 3; what comes of them, and of int 21h behind
        movq    $66f, resume
        movq    $67f, begun
        mov     %rsp, resume_rsp
        USER    67f
67:     \first
        \second
        \third
        \fourth
        \fifth
        \sixth
        \seventh
        int     $0x21
66:
        .endm
        AT3     "nop"
        AT3     "cli"
        AT3     "sti"
        AT3     "hlt"
        AT3     "mov %cr0, %rax"
        AT3     "mov %rax, %cr3"
        AT3     "mov %dr7, %rax"
        AT3     "clts"
        AT3     "lgdt gdt_pointer"
        AT3     "invlpg 0x1000"
        AT3     "wbinvd"
        AT3     "swapgs"
        AT3     "rdmsr"
        AT3     "wrmsr"
        AT3     "in $0x60, %al"
        AT3     "mov $0x61, %al", "outb %al, $0xe9"
        AT3     "sysretq"
        AT3     "lldt %ax"
        AT3     "ltr %ax"
        AT3     "lmsw %ax"
        AT3     "ud2"
        AT3     "int3"
        AT3     "int $0x30"
        AT3     "mov 0x8000, %rax"
        AT3     "mov %rax, 0x8008"
        AT3     "mov %eax, 0x400000"
        AT3     "jmp puts_far"
        AT3     "mov $0x10, %eax", "mov %eax, %ds"
        AT3     "mov $0x23, %eax", "mov %eax, %ds"
        AT3     "mov $8, %eax", "mov %eax, %ss"
        AT3     "xor %eax, %eax", "mov %eax, %ss"
        AT3     "rdtsc"
        AT3     "smsw %eax"
        AT3     "sgdt 0xe800"
        AT3     "pushf", "orl $0x3000, (%rsp)", "popf", "pushf", "pop %rax", "and $0x3200, %eax", "mov %eax, 0xe810"
        mov     0xe810, %eax
        call    show
        mov     $3<<12, %eax            # with IOPL 3 level 3 may
        movl    $0, 0xe810
        movq    $66f, resume
        movq    $67f, begun
        mov     %rsp, resume_rsp
        push    $0x23
        push    $USER_STACK
        push    $0x3002
        push    $0x2b
        push    $67f
        iretq
67:     cli
        sti
        cli
        mov     $'3', %al
        out     %al, $0xe9
        int     $0x21
66:
        movw    $0x68, task+102         # a bitmap: port E9 is open, F4 is not
        .set    LIMIT, 0x68+0x20
        movw    $LIMIT, gdt_task
        movb    $0x89, gdt_task+5
        mov     $task+0x68, %edi
        mov     $0x24, %ecx
        mov     $0xff, %al
        rep stosb
        movb    $0xfd, task+0x68+(0xe9>>3)
        mov     $0x30, %eax
        ltr     %ax
        AT3     "mov $'b', %al", "out %al, $0xe9"
        AT3     "mov $'b', %al", "out %al, $0xf5"
        AT3     "out %ax, $0xe9"
        # SYSCALL and SYSRET
        mov     $0xc0000081, %ecx
        mov     $0x00180008, %edx       # kernel 8 and 10; user 18+16 = 28, 18+8 = 20
        xor     %eax, %eax
        wrmsr
        inc     %ecx
        xor     %edx, %edx
        mov     $entry, %eax
        wrmsr
        mov     $0xc0000084, %ecx
        mov     $0x200, %eax
        wrmsr
        movq    $66f, resume
        movq    $67f, begun
        mov     %rsp, resume_rsp
        USER    67f
67:     mov     $0x1111, %ebx
        stc
        syscall
after_syscall:
        int     $0x21
66:     jmp     9f
entry:  mov     %rsp, 0xe900
        mov     resume_rsp, %rsp
        push    %rcx
        push    %r11
        mov     %rcx, %rax
        sub     $after_syscall, %rax
        call    show
        mov     %r11, %rax
        call    show
        mov     %cs, %eax
        call    show
        mov     %ss, %eax
        call    show
        pushf
        pop     %rax
        call    show
        pop     %r11
        pop     %rcx
        mov     0xe900, %rsp
        sysretq
9:      # a call gate from level 3
        mov     $gate_target, %eax
        mov     %ax, gdt_gate
        movw    $8, gdt_gate+2
        movw    $0xec00, gdt_gate+4
        shr     $16, %eax
        mov     %ax, gdt_gate+6
        movq    $66f, resume
        movq    $67f, begun
        mov     %rsp, resume_rsp
        USER    67f
67:     lcall   *far_gate
        mov     %rsp, 0xe820
        int     $0x21
66:     mov     0xe820, %rax
        call    show
        # the gate without the right privilege
        movb    $0x8c, gdt_gate+5
        AT3     "lcall *far_gate"
        # compatibility mode: 32-bit code at level 3
        movq    $66f, resume
        movq    $67f, begun
        mov     %rsp, resume_rsp
        push    $0x23
        push    $USER_STACK
        push    $2
        push    $0x43
        push    $67f
        iretq
        .code32
67:     mov     $0xffffffff, %eax
        inc     %eax                    # 48h is no prefix here
        push    $0x12345678
        pop     %ebx
        mov     %ebx, 0xe830
        mov     %esp, 0xe834
        int     $0x21
        .code64
66:     mov     0xe830, %rax
        call    show
        # RETFQ to level 3 and a fault there
        movq    $66f, resume
        movq    $67f, begun
        mov     %rsp, resume_rsp
        push    $0x23
        push    $USER_STACK
        push    $0x2b
        push    $67f
        lretq
67:     mov     %cs, %eax
        int     $0x21
66:     TRY                             # IRET to no segment, to an inner one, with a bad stack
        push    $0x23
        push    $USER_STACK
        push    $2
        push    $0x2a
        push    $puts
        iretq
        DONE
        TRY
        push    $0x13
        push    $USER_STACK
        push    $2
        push    $0x2b
        push    $puts
        iretq
        DONE
        TRY
        push    $0
        push    $USER_STACK
        push    $2
        push    $0x2b
        push    $puts
        iretq
        DONE
        TRY
        push    $0x10
        mov     $0x8000000000000000, %rax
        push    %rax
        push    $2
        push    $0
        push    $puts
        iretq
        DONE
        # LAR, LSL, VERR, VERW
        .macro  ASK selector
        mov     $\selector, %ecx
        xor     %eax, %eax
        lar     %ecx, %eax
        call    show
        xor     %eax, %eax
        lsl     %ecx, %eax
        call    show
        xor     %eax, %eax
        verr    %cx
        setz    %al
        verw    %cx
        setz    %ah
        call    show
        .endm
        ASK     0
        ASK     8
        ASK     0x10
        ASK     0x2b
        ASK     0x48
        ASK     0x50
        ASK     0x58
        ASK     0x60
        ASK     0x30
        ASK     0x1000
        finish
gate_target:
        mov     %cs, %eax
        call    show
        mov     %rsp, %rax
        call    show
        mov     8(%rsp), %rax
        call    show
        lretq
far_gate:
        .long   0
        .word   0x60
puts_far = 0x9000
