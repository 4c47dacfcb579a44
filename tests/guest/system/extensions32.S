# Virtual-mode extensions and PVI (QEMU's TCG looks away: it has neither): an interrupt flag of the program's own, interrupts by its own table.
        .include "protected.inc"
        .set    HIGH, 0x3000
        .set    VIF, 0x80000
        .set    VIP, 0x100000
begin:  mov     $more_task, %eax
        mov     %ax, gdt_more+2
        shr     $16, %eax
        mov     %al, gdt_more+4
        mov     $0x30, %eax
        ltr     %ax
        mov     %cr4, %eax
        or      $3, %eax                # VME PVI
        mov     %eax, %cr4
        movw    $own, 0x40*4
        movw    $0, 0x40*4+2
        VIRTUAL 0
        sti
        pushf
        pop     %ax
        cli
        pushf
        pop     %bx
        mov     %ax, 0x6000
        mov     %bx, 0x6002
        sti
        ud2
        END
        mov     0x6000, %eax
        call    show
        .irp    what, "pushfl", "popfl", "iretl"
        VIRTUAL 0
        \what
        END
        .endr
        VIRTUAL VIP                     # somebody waits
        sti
        END
        VIRTUAL VIP
        pushw   $0x200
        popf
        END
        VIRTUAL VIP|VIF
        cli
        pushw   $0
        popf
        ud2
        END
        VIRTUAL 0
        pushw   $0x100                  # a step is the monitor's
        popf
        END
        VIRTUAL 0
        pushw   $0x7ad7
        popf
        ud2
        END
        VIRTUAL 0                       # by its own table
        sti
        int     $0x40
        ud2
        END
        mov     0x6010, %eax
        call    show
        VIRTUAL HIGH|0x200
        int     $0x40
        ud2
        END
        mov     0x6010, %eax
        call    show
        VIRTUAL 0                       # the bit is set
        int     $0x21
        END
        VIRTUAL HIGH
        int     $0x21
        END
        VIRTUAL 0
        int3
        END
        movl    $67f, begun             # PVI: protected mode, level 3, IOPL 0
        movl    $66f, resume
        mov     %esp, resume_esp
        push    $0x23
        push    $0xf000
        push    $VIP|2
        push    $0x1b
        push    $67f
        iret
67:     cli
        sti
66:     movl    $67f, begun
        movl    $66f, resume
        mov     %esp, resume_esp
        push    $0x23
        push    $0xf000
        push    $2
        push    $0x1b
        push    $67f
        iret
67:     sti
        pushf
        pop     %ecx
        cli
        pushf
        pop     %edx
        mov     $0x23, %eax
        mov     %eax, %ds
        mov     %ecx, 0x6000
        mov     %edx, 0x6004
        ud2
66:     mov     0x6000, %eax
        call    show
        mov     0x6004, %eax
        call    show
        finish
        .code16
own:    pushf
        pop     %ax
        mov     %ax, %cs:0x6010
        mov     %sp, %bp
        mov     4(%bp), %ax             # the flags that were pushed
        mov     %ax, %cs:0x6012
        iret
        .code32
        .balign 8
more_task:
        .long   0, STACK0, 0x10
        .skip   90
        .word   0x88
        .byte   0, 0, 0, 0, 2, 0, 0, 0  # 21h for the monitor
        .skip   24
        .skip   29, 255
        .byte   0xfd, 255, 255, 255
        .include "tables.inc"
gdt_more:
        .quad   0x00008900000000a8      # 30
gdt_end:
