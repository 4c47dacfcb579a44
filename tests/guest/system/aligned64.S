# Alignment checks (QEMU's TCG looks away; KVM without VMX runs level 3 on the host's processor): CR0.AM and AC at level 3 alone, by size, faults behind those of paging; 32-bit programs too.
        .include "long.inc"
        .code64
begin:  OPEN    0x1000
        OPEN    0x2000
        OPEN    0xe000
        OPEN    0xf000
        OPEN    0x101000
        orl     $4, PT0+0x810           # 0x102000
        invlpg  0x102000
        mov     %cr0, %rax
        bts     $18, %rax
        mov     %rax, %cr0
        .macro  AT3 flags, code, first, second, third # at level 3
        movq    $66f, resume
        movq    $67f, begun
        mov     %rsp, resume_rsp
        push    $0x23
        push    $USER_STACK
        push    $2|\flags
        push    $\code
        push    $67f
        iretq
67:     \first
        \second
        \third
        ud2
66:
        .endm
        .set    AC, 0x40000
        mov     $0x101000, %edi
        .irp    what, "mov 1(%rdi), %al", "mov 1(%rdi), %ax", "mov 2(%rdi), %ax", "mov 2(%rdi), %eax", "mov 4(%rdi), %eax", "mov 4(%rdi), %rax", "mov %rax, 8(%rdi)"
        AT3     AC, 0x2b, "\what"
        .endr
        .irp    what, "movups 1(%rdi), %xmm0", "movups 8(%rdi), %xmm0", "movups 16(%rdi), %xmm0", "movaps 8(%rdi), %xmm0", "fnstenv 4(%rdi)", "fnstenv 2(%rdi)", "cmpxchg8b 4(%rdi)", "pmovzxbw 4(%rdi), %xmm0", "movsd 4(%rdi), %xmm0", "movss 2(%rdi), %xmm0", "fldt 4(%rdi)", "fldt 8(%rdi)", "fldl 4(%rdi)", "incl 1(%rdi)", "xchg %ax, 3(%rdi)"
        AT3     AC, 0x2b, "\what"
        .endr
        AT3     0, 0x2b, "mov 1(%rdi), %eax"
        AT3     0, 0x2b, "pushf", "orl $AC, (%rsp)", "popf; mov 1(%rdi), %eax"
        AT3     AC, 0x2b, "pushf", "andl $~AC, (%rsp)", "popf; mov 1(%rdi), %eax"
        AT3     AC, 0x2b, "mov 0x103ffe, %eax" # no page, and not aligned
        AT3     AC, 0x2b, "mov 0x101ffe, %eax" # over a page end
        AT3     AC, 0x2b, "mov 0x102ffe, %eax" # into none
        AT3     AC, 0x2b, "mov $1, %eax", "shl $63, %rax", "mov 2(%rax), %eax" # no canonical address
        AT3     AC, 0x2b, "orl $1, 0x8002" # the kernel's
        AT3     AC, 0x2b, "mov $0xeffc, %esp", "push %rax"
        AT3     AC, 0x2b, "mov $0xeff9, %esp", "pop %rax"
        AT3     AC, 0x2b, "mov $0x101003, %esi", "lodsw"
        AT3     AC, 0x2b, "mov $3, %ecx", "mov $0x101001, %esi", "rep lodsl"
        AT3     AC, 0x2b, "cvtsi2sdl 2(%rdi), %xmm1"
        AT3     AC, 0x43, ".byte 0x2e, 0x8b, 0x47, 1" # mov %cs:1(%edi), %eax
        AT3     AC, 0x43, ".byte 0x2e, 0x8b, 0x47, 4"
        mov     $AC, %eax               # not above level 3
        push    %rax
        popf
        TRY
        mov     0x101001, %rax
        DONE
        push    $2
        popf
        mov     %cr0, %rax
        btr     $18, %rax
        mov     %rax, %cr0
        AT3     AC, 0x2b, "mov 1(%rdi), %eax"
        finish
