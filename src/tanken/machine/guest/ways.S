/* The guest of `tanken measure ways`: rounds of what a hypervisor has to see, and computation in between.

   Entered by PVH (32 bits, no paging). Each round: a port written and read, a device register in memory read and written, CPUID, the control
   registers and an MSR written, HLT until an interrupt that it sends itself.
   `rounds`, `work` and `result` are for whoever runs it. Sources: xen/include/public/arch-x86/hvm/start_info.h; Intel SDM volume 3, 6.14, 11.6. */

        .intel_syntax noprefix
        .set    LAPIC, 0xfee00000
        .set    WAKE, 0x30              /* vector */
        .set    SCRATCH, 0x3ff          /* a register of the 8250 that does nothing */
        .set    PM1_CNT, 0x604

        .section .note.pvh, "a", @note
        .long   4, 4, 18
        .asciz  "Xen"
        .long   start32

        .text
        .code32
        .globl  start32
start32:
        mov     esp, offset stack_top
        mov     dword ptr [pml4], offset pdpt + 3
        mov     edi, offset pdpt        /* identity map of 4 GiB by pages of 2 MiB */
        mov     eax, offset pd + 3
        mov     ecx, 4
1:      mov     [edi], eax
        add     eax, 0x1000
        add     edi, 8
        dec     ecx
        jnz     1b
        mov     edi, offset pd
        mov     eax, 0x83
        mov     ecx, 2048
2:      mov     [edi], eax
        add     eax, 0x200000
        add     edi, 8
        dec     ecx
        jnz     2b
        mov     eax, offset pml4
        mov     cr3, eax
        mov     eax, cr4
        or      eax, 0x20
        mov     cr4, eax
        mov     ecx, 0xc0000080
        rdmsr
        or      eax, 0x100
        wrmsr
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
        lgdt    [gdt_pointer]
        jmp     0x10:start64

        .code64
start64:
        mov     eax, 0x18
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     rsp, offset stack_top
        mov     rax, offset on_wake
        mov     rdi, offset idt + 16 * WAKE
        mov     [rdi], ax
        mov     word ptr [rdi + 2], 0x10
        mov     byte ptr [rdi + 5], 0x8e
        shr     rax, 16
        mov     [rdi + 6], ax
        lidt    [idt_pointer]
        mov     al, 0xff                /* the old interrupt controllers say nothing */
        out     0x21, al
        out     0xa1, al
        mov     ebp, LAPIC
        mov     dword ptr [rbp + 0xf0], 0x1ff
        mov     r12, [rounds]
        mov     r14, [work]
        mov     r15d, 1
round:  mov     dx, SCRATCH
        mov     eax, r12d
        out     dx, al
        in      al, dx
        movzx   eax, al
        add     r15, rax
        mov     ebx, [rbp + 0x30]     /* the version */
        add     r15, rbx
        mov     dword ptr [rbp + 0x80], 0
        xor     eax, eax
        cpuid
        mov     rax, cr0
        mov     cr0, rax
        mov     rax, cr4
        mov     cr4, rax
        mov     rax, cr3
        mov     cr3, rax
        mov     ecx, 0xc0000102         /* KERNEL_GS_BASE */
        mov     eax, r12d
        xor     edx, edx
        wrmsr
        rdmsr
        add     r15, rax
        mov     dword ptr [rbp + 0x300], 0x40000 + WAKE
        sti
        hlt
        cli
        call    compute
        dec     r12
        jnz     round
        mov     [result], r15
        mov     dx, PM1_CNT
        mov     ax, 0x3400
        out     dx, ax
        hlt

on_wake:
        push    rax
        mov     dword ptr [rbp + 0xb0], 0
        pop     rax
        iretq

compute:                                /* R14 times */
        mov     rcx, r14
1:      lea     r15, [r15 + 4 * r15 + 1]
        rol     r15, 7
        xor     r15, rcx
        mov     [rsp - 16], r15
        add     r15, [rsp - 16]
        dec     rcx
        jnz     1b
        ret

        .data
        .align  8
        .globl  rounds, work, result
rounds: .quad   100
work:   .quad   50
result: .quad   0
gdt:    .quad   0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        .word   31
        .quad   gdt
idt_pointer:
        .word   4095
        .quad   idt

        .bss
        .align  4096
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4096 * 4
idt:    .skip   4096
        .skip   4096
stack_top:
