# Protected mode of 32 bits: segments with limits, stacks by the task state segment, call gates, 16-bit code, paging of two levels and PAE.
        .include "start.inc"
        .code16
main:   lgdt    gdt_pointer
        mov     %cr0, %eax
        or      $0x11, %al
        mov     %eax, %cr0
        ljmpl   $8, $protected
        .code32
protected:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $0x8000, %esp
        mov     $task, %eax
        mov     %ax, gdt_task+2
        shr     $16, %eax
        mov     %al, gdt_task+4
        mov     $idt, %edi
        mov     $isrs, %esi
        mov     $40, %ecx
1:      lodsl
        stosw
        mov     $0x8e000008, %ebx
        mov     %ebx, (%edi)
        add     $4, %edi
        shr     $16, %eax
        stosw
        loop    1b
        movb    $0xee, idt+0x21*8+5
        movb    $0xee, idt+3*8+5
        movb    $0xee, idt+4*8+5
        lidt    idt_pointer
        mov     $0x28, %eax
        ltr     %ax
        jmp     begin
        .altmacro
        .macro  isr n
isr\n:  .if     (\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17)
        .else
        push    $-1
        .endif
        push    $\n
        jmp     caught
        .endm
        .set    number, 0
        .rept   40
        isr     %number
        .set    number, number+1
        .endr
        .noaltmacro
# esp: vector, code, eip, cs, eflags, [esp, ss]
caught: push    %eax
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     $text_vector, %esi
        call    puts
        mov     4(%esp), %eax
        call    hex2
        cmpl    $-1, 8(%esp)
        je      1f
        mov     $text_code, %esi
        call    puts
        mov     8(%esp), %eax
        call    hex4
1:      cmpl    $14, 4(%esp)
        jne     1f
        mov     $text_cr2, %esi
        call    puts
        mov     %cr2, %eax
        call    hex8
1:      mov     $text_at, %esi
        call    puts
        mov     12(%esp), %eax
        sub     begun, %eax
        call    hex4
        putc    ' '
        mov     16(%esp), %eax
        call    hex4
        putc    ' '
        mov     20(%esp), %eax
        and     $0x3d5, %eax
        call    hex4
        testl   $3, 16(%esp)
        jz      1f
        putc    ' '
        mov     24(%esp), %eax
        call    hex8
        putc    ' '
        mov     28(%esp), %eax
        call    hex4
1:      call    line
        mov     $0x10, %eax
        mov     %eax, %ss
        mov     resume_esp, %esp
        push    $2
        push    $8
        push    resume
        iret
puts:   lodsb
        test    %al, %al
        jz      1f
        out     %al, $0xe9
        jmp     puts
1:      ret
line:   putc    10
        ret
hex8:   mov     $8, %ecx
        jmp     hex
hex4:   shl     $16, %eax
        mov     $4, %ecx
        jmp     hex
hex2:   shl     $24, %eax
        mov     $2, %ecx
hex:    mov     %eax, %ebx
1:      rol     $4, %ebx
        mov     %ebx, %eax
        and     $15, %eax
        add     $'0', %al
        cmp     $'9', %al
        jbe     2f
        add     $39, %al
2:      out     %al, $0xe9
        loop    1b
        ret
show:   pusha
        call    hex8
        call    line
        popa
        ret
        .macro  TRY
        movl    $66f, resume
        movl    $67f, begun
        mov     %esp, resume_esp
67:
        .endm
        .macro  DONE
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %ss
        mov     resume_esp, %esp
        putc    '-'
        call    line
66:
        .endm
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
resume: .long   0
resume_esp: .long 0
begun:  .long   0
text_vector: .asciz "vector "
text_code: .asciz " code "
text_cr2: .asciz " cr2 "
text_at: .asciz " at "
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      # 08 code
        .quad   0x00cf93000000ffff      # 10 data
        .quad   0x00cffb000000ffff      # 18 code, level 3
        .quad   0x00cff3000000ffff      # 20 data, level 3
gdt_task:
        .quad   0x0000890000000067      # 28
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
gdt_pointer:
        .word   gdt_end-gdt-1
        .long   gdt
idt_pointer:
        .word   40*8-1
        .long   idt
isrs:   .altmacro
        .macro  isr_word n
        .long   isr\n
        .endm
        .set    number, 0
        .rept   40
        isr_word %number
        .set    number, number+1
        .endr
        .noaltmacro
task:   .long   0, STACK0, 0x10
        .skip   92
        .balign 16
idt:    .skip   40*8
