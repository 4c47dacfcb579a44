# Virtual-8086 mode: in by IRET, out by every kind of interrupt; segments, IOPL, the I/O bitmap, and what a virtual 8086 may not.
        .include "protected.inc"
        .set    HIGH, 0x3000            # IOPL 3
begin:  mov     $more_task, %eax
        mov     %ax, gdt_more+2
        shr     $16, %eax
        mov     %al, gdt_more+4
        mov     $0x30, %eax
        ltr     %ax
        movw    $quiet, idt+0x23*8
        movb    $0xee, idt+0x23*8+5
        VIRTUAL HIGH
        int     $0x21
        END
        VIRTUAL HIGH                    # segments are selectors
        mov     $0x5000, %ax
        mov     %ax, %ds
        movw    $0xbeef, 0x234
        mov     $0x1234, %ax
        mov     %ax, %es
        push    %ds
        pop     %fs
        mov     $0xcafe, %bx
        mov     %bx, %cs:0x6000
        int     $0x21
        END
        mov     0x50234, %eax
        call    show
        mov     0x6000, %eax
        call    show
        VIRTUAL HIGH                    # with limits
        mov     0xfffe, %ax
        mov     0xffff, %ax
        END
        VIRTUAL HIGH
        mov     $0x10000, %eax
        mov     (%eax), %al
        END
        VIRTUAL HIGH
        mov     $1, %esp
        push    %eax
        END
        VIRTUAL HIGH                    # IF is its own at IOPL 3
        sti
        pushf
        pop     %ax
        cli
        pushfl
        pop     %ebx
        mov     %ax, 0x6000
        mov     %ebx, 0x6004
        int     $0x21
        END
        mov     0x6000, %ax
        movzwl  %ax, %eax
        call    show
        mov     0x6004, %eax
        call    show
        VIRTUAL HIGH                    # but not IOPL
        pushw   $0x0ed7
        popf
        pushl   $0x203002
        popfl
        int     $0x21
        END
        VIRTUAL HIGH                    # far, as in real mode
        lcall   $0x100, $1f-0x1000
        int     $0x21
1:      mov     %cs, %dx
        lret
        END
        VIRTUAL HIGH
        ljmp    $0x80, $1f-0x800
1:      int     $0x21
        END
        VIRTUAL HIGH
        pushf
        pushw   $0x40
        pushw   $1f-0x400
        iret
1:      int     $0x21
        END
        VIRTUAL HIGH                    # into a handler and back
        int     $0x23
        int     $0x23
        int     $0x21
        END
        mov     counter, %eax
        call    show
        VIRTUAL HIGH
        int3
        END
        VIRTUAL HIGH
        mov     $0x7fff, %ax
        add     $1, %ax
        into
        END
        VIRTUAL HIGH                    # a gate for level 0 only
        int     $0x30
        END
        VIRTUAL HIGH
        xor     %cx, %cx
        div     %cx
        END
        .irp    what, "hlt", "mov %cr0, %eax", "mov %eax, %cr3", "mov %dr7, %eax", "lgdtl 0x6000", "clts", "invd", "wrmsr", "lmsw %ax"
        VIRTUAL HIGH
        \what
        END
        .endr
        .irp    what, "sldt %ax", "str %ax", "lldt %ax", "ltr %ax", "lar %ax, %bx", "lsl %ax, %bx", "verr %ax", "verw %ax", "arpl %ax, %bx"
        VIRTUAL HIGH
        \what
        END
        .endr
        VIRTUAL HIGH                    # ports by the bitmap, whatever IOPL is
        mov     $'p', %al
        out     %al, $0xe9
        in      $0x60, %al
        END
        VIRTUAL 0
        mov     $'q', %al
        out     %al, $0xe9
        out     %ax, $0xe9
        END
        .irp    what, "cli", "sti", "pushf", "popf", "int $0x21", "iret", "pushfl", "popfl", "iretl"
        VIRTUAL 0                       # below IOPL 3
        \what
        END
        .endr
        VIRTUAL 0                       # but these are always let in
        int3
        END
        VIRTUAL 0x2000
        mov     $0x7fff, %ax
        add     $1, %ax
        into
        END
        VIRTUAL HIGH                    # a handler at level 3
        nop
        int     $0x24
        END
        movw    $0x18, idt+0x24*8+2
        movb    $0xee, idt+0x24*8+5
        VIRTUAL HIGH
        nop
        int     $0x24
        END
        VIRTUAL HIGH|0x100              # a step
        nop
        END
        movl    $66f, resume            # IRET to more than 64 KiB
        movl    $67f, begun
        mov     %esp, resume_esp
        .rept   5
        push    $0
        .endr
        push    $0xf000
        push    $0x23002
        push    $0
        push    $0x12345
67:     iret
66:     finish
quiet:  incl    %ss:counter
        iret
        .balign 4
counter: .long  0
        .balign 8
more_task:
        .long   0, STACK0, 0x10
        .skip   90
        .word   0x88                    # where the bitmap of ports is; before it, that of interrupts
        .skip   32, 255
        .skip   29, 255                 # up to e7
        .byte   0xfd, 255, 255, 255     # e9 only
        .include "tables.inc"
gdt_more:
        .quad   0x00008900000000a8      # 30
gdt_end:
