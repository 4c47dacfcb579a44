# Protected mode of 32 bits: segments with limits, stacks by the task state segment, call gates, 16-bit code, paging of two levels and PAE.
        .include "protected.inc"
begin:  TRY
        ud2
        DONE
        TRY
        int3
        DONE
        TRY
        mov     $0x7fffffff, %eax
        add     $1, %eax
        into
        DONE
        TRY
        mov     $5, %eax
        bound   %eax, limits
        DONE
        TRY
        mov     $11, %eax
        bound   %eax, limits
        DONE
        mov     $0x30, %eax             # 64 bytes at 0x3000
        mov     %eax, %fs
        TRY
        mov     %fs:60, %eax
        DONE
        TRY
        mov     %fs:61, %eax
        DONE
        TRY
        mov     %fs:64, %al
        DONE
        TRY
        movb    $1, %fs:63
        DONE
        mov     $0x38, %eax             # expands down: from 0x1000 up
        mov     %eax, %gs
        TRY
        mov     %gs:0xfff, %al
        DONE
        TRY
        mov     %gs:0x1000, %al
        DONE
        TRY
        mov     %gs:0xfffffffe, %eax
        DONE
        TRY                             # read only
        mov     $0x40, %eax
        mov     %eax, %fs
        mov     %fs:0, %eax
        mov     %eax, %fs:0
        DONE
        TRY                             # code, execute only
        mov     $0x48, %eax
        mov     %eax, %fs
        DONE
        TRY                             # a store into code
        mov     %eax, %cs:0x3000
        DONE
        TRY                             # a null segment
        xor     %eax, %eax
        mov     %eax, %fs
        mov     %fs:0, %eax
        DONE
        TRY
        mov     $0x50, %eax             # a stack of 16 bits and 256 bytes
        mov     %eax, %ss
        mov     $0x12340010, %esp
        push    %eax
        mov     %esp, %ebx
        mov     $0x10, %eax
        mov     %eax, %ss
        mov     $0x8000, %esp
        mov     %ebx, %eax
        call    show
        DONE
        TRY                             # and its end
        mov     $0x50, %eax
        mov     %eax, %ss
        mov     $0x80, %esp
        mov     0x80(%esp), %eax
        DONE
        TRY                             # code of 16 bits
        lcall   $0x58, $sixteen
        DONE
        call    show
        TRY                             # beyond the code segment
        ljmp    $0x60, $0x2000
        DONE
        TRY
        mov     $0x1234, %eax
        mov     %eax, %es
        DONE
        TRY
        int     $0x30
        DONE
        # level 3
        .macro  AT3 first, second, third, fourth
        movl    $66f, resume
        movl    $67f, begun
        mov     %esp, resume_esp
        push    $0x23
        push    $0xf000
        push    $2
        push    $0x1b
        push    $67f
        iret
67:     \first
        \second
        \third
        \fourth
        int     $0x21
66:
        .endm
        AT3     nop
        AT3     cli
        AT3     hlt
        AT3     "mov $0x10, %eax", "mov %eax, %ds"
        AT3     "mov $0x23, %eax", "mov %eax, %ds"
        AT3     "int $0x30"
        AT3     "lcall $8, $show"
        mov     $gate_target, %eax      # a call gate with two parameters
        mov     %ax, gdt_gate
        shr     $16, %eax
        mov     %ax, gdt_gate+6
        AT3     "push $0x1111", "push $0x2222", "lcall $0x68, $0"
        # paging of two levels
        mov     $TABLES, %edi
        xor     %eax, %eax
        mov     $0x2000, %ecx
        rep stosl
        movl    $TABLES+0x1007, TABLES
        mov     $TABLES+0x1000, %edi
        mov     $7, %eax
        mov     $1024, %ecx
1:      stosl
        add     $0x1000, %eax
        loop    1b
        movl    $0x800083, TABLES+12   # a large page at 0xc00000: only for the kernel
        mov     $TABLES, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        call    faults
        AT3     "mov $0x23, %ecx", "mov %ecx, %ds", "mov 0xc00000, %eax"
        AT3     "mov $0x23, %ecx", "mov %ecx, %ds", "mov 0x800000, %eax"
        AT3     "mov $0x23, %ecx", "mov %ecx, %ds", "mov %eax, 0x101000"
        movl    $0x600083, TABLES+12    # a reserved bit
        mov     %cr3, %eax
        mov     %eax, %cr3
        TRY
        mov     0xc00000, %eax
        DONE
        # PAE
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        mov     $TABLES, %edi
        xor     %eax, %eax
        mov     $0x2000, %ecx
        rep stosl
        movl    $TABLES+0x1001, TABLES
        movl    $TABLES+0x2007, TABLES+0x1000
        mov     $TABLES+0x2000, %edi
        mov     $7, %eax
        mov     $512, %ecx
1:      stosl
        movl    $0, (%edi)
        add     $4, %edi
        add     $0x1000, %eax
        loop    1b
        movl    $0xc00083, TABLES+0x1000+6*8
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x800, %eax
        wrmsr
        mov     $TABLES, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        movl    $0x80000000, TABLES+0x2000+0x101*8+4
        movl    $0x102005, TABLES+0x2000+0x102*8
        mov     %cr3, %eax
        mov     %eax, %cr3
        call    faults
        TRY
        mov     $0x101000, %eax
        jmp     *%eax
        DONE
        AT3     "mov $0x23, %ecx", "mov %ecx, %ds", "mov 0xc00000, %eax"
        AT3     "mov $0x23, %ecx", "mov %ecx, %ds", "mov %eax, 0x102000"
        AT3     "mov $0x101000, %eax", "jmp *%eax"
        TRY
        movl    $1, 0x102000
        DONE
        mov     TABLES+0x2000+0x102*8, %eax
        call    show
        TRY
        mov     0x40000000, %eax
        DONE
        finish
faults: TRY
        mov     0x800000, %eax
        DONE
        TRY
        mov     %eax, 0x800004
        DONE
        TRY
        mov     0xc00000, %eax
        DONE
        TRY
        mov     $0x800000, %eax
        jmp     *%eax
        DONE
        ret
gate_target:
        mov     %cs, %eax
        call    show
        mov     %esp, %eax
        call    show
        mov     8(%esp), %eax
        call    show
        mov     12(%esp), %eax
        call    show
        mov     16(%esp), %eax
        call    show
        mov     20(%esp), %eax
        call    show
        lret    $8
        .code16
sixteen:
        mov     $0xffff, %ax
        inc     %ax
        mov     %esp, %eax
        lretl
        .code32
        .balign 8
limits: .long   1, 10
        .include "tables.inc"
        .quad   0x004093003000003f      # 30
        .quad   0x00c0970000000000      # 38
        .quad   0x00cf91000000ffff      # 40
        .quad   0x00cf99000000ffff      # 48
        .quad   0x00009300600000ff      # 50
        .quad   0x000f9b000000ffff      # 58 code of 16 bits
        .quad   0x00409b0000000fff      # 60 code of 4 KiB
gdt_gate:
        .quad   0x0000ec0200080000      # 68
gdt_end:
