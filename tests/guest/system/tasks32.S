# Hardware task switches: by CALL, JMP, IRET and task gates, of 32 and of 16 bits; busy bits, links, NT, TS, and faults of the old and of the new task.
        .include "protected.inc"
        .macro  FIELD offset, value
        movl    $\value, second+\offset
        .endm
        .macro  SECOND entry, flags=2, cs=8, ss=0x10, ds=0x10, ldt=0, trap=0
        FIELD   0, 0
        FIELD   4, STACK0
        FIELD   8, 0x10
        FIELD   0x20, \entry
        FIELD   0x24, \flags
        FIELD   0x28, 0xaaaa0000
        FIELD   0x2c, 0xcccc0001
        FIELD   0x30, 0xdddd0002
        FIELD   0x34, 0xbbbb0003
        FIELD   0x38, 0x7000
        FIELD   0x3c, 0x5555
        FIELD   0x40, 0x6666
        FIELD   0x44, 0x7777
        FIELD   0x48, \ds
        FIELD   0x4c, \cs
        FIELD   0x50, \ss
        FIELD   0x54, \ds
        FIELD   0x58, 0
        FIELD   0x5c, 0
        FIELD   0x60, \ldt
        FIELD   0x64, \trap
        .endm
        .macro  RESET                   # the first task again, whatever has happened
        andb    $~2, gdt_task+5
        andb    $~2, gdt_second+5
        andb    $~2, gdt_narrow+5
        mov     $0x28, %eax
        ltr     %ax
        push    $2
        popf
        xor     %eax, %eax
        lldt    %ax
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        .endm
        .macro  BASE selector, address
        mov     $\address, %eax
        mov     %ax, gdt+\selector+2
        shr     $16, %eax
        mov     %al, gdt+\selector+4
        .endm
        .macro  STATE                   # who is busy: 28, 30, 38; CR0.TS
        movzbl  gdt_task+5, %eax
        shl     $8, %eax
        movb    gdt_second+5, %al
        shl     $8, %eax
        movb    gdt_narrow+5, %al
        shl     $8, %eax
        mov     %cr0, %ebx
        and     $8, %ebx
        or      %ebx, %eax
        call    show
        clts
        .endm
begin:  BASE    0x30, second
        BASE    0x38, narrow
        BASE    0x50, second
        BASE    0x58, second
        BASE    0x60, second
        BASE    0x78, local
        movl    $0x300000, idt+0x25*8   # a task gate
        movl    $0x0000e500, idt+0x25*8+4
        movl    $0x500000, idt+0x26*8   # to no task that is there
        movl    $0x0000e500, idt+0x26*8+4
        movl    $STACK0, task+4
        movl    $0x10, task+8
        SECOND  nested
        mov     $0x1111, %ecx
        mov     $0x2222, %edi
        lcall   $0x30, $0x1234          # the offset means nothing
        STATE
        mov     %ecx, %eax
        call    show
        mov     %edi, %eax
        call    show
        mov     second+0x20, %eax       # where it stopped, and its flags
        sub     $nested, %eax
        call    show
        mov     second+0x24, %eax
        call    show
        lcall   $0x30, $0               # once more: it goes on behind its IRET
        STATE
        SECOND  jumped
        stc
        ljmp    $0x30, $0
        STATE
        SECOND  nested
        lcall   $0x40, $0               # by a gate
        STATE
        SECOND  nested
        int     $0x25                   # by one in the interrupt table
        STATE
        mov     $0xffff0010, %esi
        lcall   $0x38, $0               # a task of 16 bits
        STATE
        mov     narrow+0x0e, %eax
        sub     $narrow_code, %ax
        call    show
        TRY                             # one that is busy
        ljmp    $0x28, $0
        DONE
        TRY
        lcall   $0x50, $0               # not present
        DONE
        TRY
        lcall   $0x58, $0               # too short
        DONE
        TRY
        int     $0x26
        DONE
        TRY
        lcall   $0x70, $0               # a gate that is not present
        DONE
        TRY
        lcall   $0x68, $0               # a gate to a data segment
        DONE
        STATE
        .macro  AT3 first, second
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
        ud2
66:
        .endm
        AT3     "lcall $0x30, $0"
        SECOND  nested
        AT3     "lcall $0x40, $0"       # the gate lets it
        AT3     "ljmp $0x28, $0"
        .irp    what, "cs=0x10", "cs=0", "cs=0xb", "cs=0x48", "cs=0x808", "ss=0", "ss=8", "ss=0x13", "ss=0x808", "ds=0x808", "ds=0x80", "ds=0x30", "ldt=0x10", "ldt=0x808", "ldt=0x7c"
        SECOND  nested, \what
        TRY
        lcall   $0x30, $0
        DONE
        str     %eax
        movzwl  %ax, %eax
        call    show
        RESET
        .endr
        SECOND  with_ldt, ds=4, ldt=0x78
        lcall   $0x30, $0
        STATE
        SECOND  eight, 0x23002, cs=0, ss=0, ds=0x500
        TRY
        ljmp    $0x30, $0
        DONE
        RESET
        SECOND  nested, cs=0x1b, ss=0x23, ds=0x23
        movl    $hello, second+0x20
        TRY
        ljmp    $0x30, $0
        DONE
        RESET
        movl    $0x300000, idt+13*8     # an error code for a task
        movl    $0x0000e500, idt+13*8+4
        SECOND  handler
        TRY
        mov     $0x0804, %eax
        mov     %eax, %fs
        DONE
        movl    $handler, second+0x20
        TRY
        ljmp    $0x28, $0
        DONE
        STATE
        SECOND  nested
        pushf                           # NT without a task to go back to
        orl     $0x4000, (%esp)
        popf
        movl    $0, task
        TRY
        iret
        DONE
        RESET
        SECOND  nested, trap=1
        mov     $0x55, %eax             # local breakpoints, of an address that nobody touches
        mov     %eax, %dr7
        mov     $0x900000, %eax
        mov     %eax, %dr0
        mov     %eax, %dr1
        mov     %eax, %dr2
        mov     %eax, %dr3
        TRY
        lcall   $0x30, $0
        DONE
        mov     %dr7, %eax
        call    show
        mov     %dr6, %eax
        call    show
        finish
eight:  .code16
        mov     %ds, %ax
        int     $0x21
        .code32
hello:  mov     $0x77, %eax
        int     $0x21
nested: pushf
        pop     %eax
        call    show                    # NT
        mov     second, %eax
        call    show                    # the link
        mov     %ecx, %eax
        call    show
        mov     %esp, %eax
        call    show
        STATE
        iret
        mov     $0x999, %eax
        call    show
        iret
jumped: pushf
        pop     %eax
        call    show
        mov     task+0x24, %eax         # the flags of the first, with carry
        and     $0x4fd5, %eax
        call    show
        STATE
        ljmp    $0x28, $0
with_ldt:
        sldt    %eax
        movzwl  %ax, %eax
        mov     %ds:0, %ebx             # through the local table
        mov     $0x10, %ecx
        mov     %ecx, %ds
        call    show
        mov     %ebx, %eax
        call    show
        iret
handler:
        pop     %eax
        call    show
        mov     resume, %eax            # the first goes on elsewhere
        mov     %eax, task+0x20
        pushf
        pop     %eax
        call    show
        iret
        jmp     handler
        .code16
narrow_code:
        pushf
        pop     %ax
        mov     %ax, %bx
        mov     %si, %ax
        mov     $'n', %al
        out     %al, $0xe9
        iret
        .code32
        .balign 8
local:  .quad   0x00409300600000ff      # 64 KiB... 256 bytes at 0x6000, by selector 4
second: .skip   104
narrow: .word   0, 0x8800, 0x10, 0, 0, 0, 0, narrow_code, 2
        .word   1, 2, 3, 4, 0x6f00, 5, 6, 7, 0x10, 0x48, 0x10, 0x10, 0
        .include "tables.inc"
gdt_second:
        .quad   0x0000890000000067      # 30
gdt_narrow:
        .quad   0x000081000000002b      # 38
        .quad   0x0000e50000300000      # 40 a task gate
        .quad   0x00009b000000ffff      # 48 code of 16 bits
        .quad   0x0000090000000067      # 50 a task that is not present
        .quad   0x0000890000000066      # 58 one that is too short
        .quad   0
        .quad   0x0000850000100000      # 68 a gate to a data segment
        .quad   0x0000050000300000      # 70 a gate that is not present
        .quad   0x000082000000000f      # 78 a local table
        .quad   0x00cf13000000ffff      # 80 data that is not present
gdt_end:
