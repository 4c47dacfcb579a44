/* The guest that comes with tanken: a kernel of 64 bits that prints, takes interrupts, and runs a small shell on the serial line.

   Entered by PVH (32 bits, no paging, EBX = start info) or by Linux's 64-bit entry (RSI = boot_params; see `build.py`). It uses the
   8250 at 3f8h with interrupts, the 8254 through the I/O APIC for 100 ticks a second, the local APIC, and ACPI to turn itself off.
   Sources: xen/include/public/arch-x86/hvm/start_info.h; Linux Documentation/arch/x86/boot.rst; the data sheets named in board/devices. */

        .intel_syntax noprefix
        .set    COM, 0x3f8
        .set    LAPIC, 0xfee00000
        .set    IOAPIC, 0xfec00000
        .set    TICK, 0x20              /* vectors */
        .set    SERIAL, 0x24
        .set    SPURIOUS, 0xff

        .section .note.pvh, "a", @note
        .long   4, 4, 18                /* name size, size, type: XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   start32

        .text
        .code32
        .globl  start32
start32:
        mov     esp, offset stack_top
        mov     [info], ebx
        mov     byte ptr [protocol], 'P'
        mov     edi, offset pml4        /* identity map of 4 GiB by pages of 2 MiB */
        mov     dword ptr [edi], offset pdpt + 3
        mov     edi, offset pdpt
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
        or      eax, 0x20               /* PAE */
        mov     cr4, eax
        mov     ecx, 0xc0000080
        rdmsr
        or      eax, 0x100              /* LME */
        wrmsr
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
        lgdt    [gdt_pointer]
        jmp     0x10:long32

        .code64
        .globl  start64
start64:                                /* Linux's entry: RSI = boot_params, long mode, identity map */
        lea     rsp, [rip + stack_top]
        mov     [info], rsi
        mov     byte ptr [protocol], 'L'
        lgdt    [gdt_pointer]
        push    0x10
        lea     rax, [rip + long32]
        push    rax
        retfq
long32:
        mov     eax, 0x18
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     rsp, offset stack_top
        cld
        mov     rax, cr4                /* OSFXSR, OSXMMEXCPT: SSE may be used */
        or      eax, 0x600
        mov     cr4, rax
        call    serial_start
        mov     rsi, offset banner
        call    puts
        mov     al, [protocol]
        mov     rsi, offset by_pvh
        cmp     al, 'P'
        je      1f
        mov     rsi, offset by_linux
1:      call    puts
        call    read_info
        mov     rsi, offset text_memory
        call    puts
        mov     rax, [memory]
        shr     rax, 10
        call    put_decimal
        mov     rsi, offset text_kib
        call    puts
        mov     rsi, [command_line]
        test    rsi, rsi
        jz      2f
        call    puts
2:      mov     rsi, offset text_newline
        call    puts
        call    find_acpi
        call    idt_start
        call    apic_start
        call    timer_start
        mov     dx, COM + 1             /* interrupt on received data */
        mov     al, 1
        out     dx, al
        sti

shell:  mov     rsi, offset prompt
        call    puts
        call    get_line
        mov     rbx, offset commands
1:      mov     rdi, [rbx]
        test    rdi, rdi
        jz      unknown
        mov     rsi, offset line
        call    same_word
        je      2f
        add     rbx, 16
        jmp     1b
2:      call    [rbx + 8]
        jmp     shell
unknown:
        cmp     byte ptr [line], 0
        je      shell
        mov     rsi, offset text_unknown
        call    puts
        jmp     shell

/* -- commands: RSI points behind the word */

do_help:
        mov     rsi, offset text_help
        jmp     puts
do_echo:
        cmp     byte ptr [rsi], ' '
        jne     1f
        inc     rsi
1:      call    puts
        mov     rsi, offset text_newline
        jmp     puts
do_ticks:
        mov     rax, [ticks]
        call    put_decimal
        mov     rsi, offset text_ticks
        jmp     puts
do_sleep:                               /* a second */
        mov     rbx, [ticks]
        add     rbx, 100
1:      sti
        hlt
        cmp     [ticks], rbx
        jb      1b
        ret
do_cpuid:
        push    rbx
        xor     eax, eax
        cpuid
        mov     [line], ebx
        mov     [line + 4], edx
        mov     [line + 8], ecx
        mov     word ptr [line + 12], 10
        pop     rbx
        mov     rsi, offset line
        jmp     puts
do_spin:                                /* ten million iterations of a loop */
        mov     ecx, 10000000
1:      dec     ecx
        jnz     1b
        ret
do_fault:
        ud2
do_triple:
        lidt    [no_idt]
        ud2
do_off:
        mov     dx, [pm1_cnt]
        test    dx, dx
        jz      1f
        mov     ax, 0x3400              /* SLP_TYP 5 and SLP_EN */
        out     dx, ax
1:      mov     rsi, offset text_no_acpi
        jmp     puts
do_reset:
        mov     al, 0xfe
        out     0x64, al
        ret
do_halt:
        cli
        hlt
        ret

/* -- what the loader tells */

read_info:
        mov     rbx, [info]
        cmp     byte ptr [protocol], 'P'
        je      3f
        mov     rax, [rbx + 0x70]
        mov     [rsdp], rax
        mov     eax, [rbx + 0x228]
        mov     [command_line], rax
        movzx   ecx, byte ptr [rbx + 0x1e8]
        lea     rsi, [rbx + 0x2d0]
        mov     edx, 20
        jmp     4f
3:      mov     rax, [rbx + 24]
        mov     [command_line], rax
        mov     rax, [rbx + 32]
        mov     [rsdp], rax
        mov     rsi, [rbx + 40]
        mov     ecx, [rbx + 48]
        mov     edx, 24
4:      test    ecx, ecx
        jz      6f
        cmp     dword ptr [rsi + 16], 1
        jne     5f
        mov     rax, [rsi + 8]
        add     [memory], rax
5:      add     rsi, rdx
        dec     ecx
        jmp     4b
6:      ret

find_acpi:                              /* RSDP, XSDT, FADT: the port of the control block */
        mov     rbx, [rsdp]
        test    rbx, rbx
        jz      3f
        mov     rbx, [rbx + 24]
        mov     ecx, [rbx + 4]
        sub     ecx, 36
        shr     ecx, 3
        add     rbx, 36
1:      jecxz   3f
        mov     rsi, [rbx]
        cmp     dword ptr [rsi], 0x50434146     /* FACP */
        je      2f
        add     rbx, 8
        dec     ecx
        jmp     1b
2:      mov     eax, [rsi + 64]
        mov     [pm1_cnt], ax
3:      ret

/* -- interrupts */

idt_start:
        mov     rdi, offset idt
        mov     rsi, offset vectors
        xor     ecx, ecx
1:      mov     rax, rsi
        mov     [rdi], ax
        mov     word ptr [rdi + 2], 0x10
        mov     word ptr [rdi + 4], 0x8e00
        shr     rax, 16
        mov     [rdi + 6], ax
        add     rdi, 16
        add     rsi, 16
        inc     ecx
        cmp     ecx, 256
        jb      1b
        lidt    [idt_pointer]
        ret

        .align  16
vectors:
        .set    n, 0
        .rept   256
        .align  16
        .if     (n != 8) && (n < 10 || n > 14) && (n != 17)
        push    0
        .endif
        push    n
        jmp     common
        .set    n, n + 1
        .endr
        .align  16

common: push    rax
        push    rcx
        push    rdx
        push    rsi
        push    rdi
        mov     rax, [rsp + 40]
        cmp     eax, TICK
        je      on_tick
        cmp     eax, SERIAL
        je      on_serial
        cmp     eax, 32
        jae     leave_interrupt
        mov     rsi, offset text_exception
        call    puts
        mov     rax, [rsp + 40]
        call    put_decimal
        mov     rsi, offset text_error
        call    puts
        mov     rax, [rsp + 48]
        call    put_hex
        mov     rsi, offset text_at
        call    puts
        mov     rax, [rsp + 56]
        call    put_hex
        mov     rsi, offset text_newline
        call    puts
        mov     rsp, offset stack_top
        sti
        mov     eax, offset shell
        jmp     rax
on_tick:
        inc     qword ptr [ticks]
        jmp     acknowledge
on_serial:
        mov     dx, COM + 5
        in      al, dx
        test    al, 1
        jz      acknowledge
        mov     dx, COM
        in      al, dx
        mov     ecx, [typed_in]
        inc     ecx
        and     ecx, 255
        cmp     ecx, [typed_out]
        je      on_serial               /* no room: lost */
        mov     edi, [typed_in]
        mov     [typed + rdi], al
        mov     [typed_in], ecx
        jmp     on_serial
acknowledge:
        mov     edi, LAPIC + 0xb0
        mov     dword ptr [rdi], 0
leave_interrupt:
        pop     rdi
        pop     rsi
        pop     rdx
        pop     rcx
        pop     rax
        add     rsp, 16
        iretq

apic_start:
        mov     al, 0xff                /* the 8259s are not used */
        out     0x21, al
        out     0xa1, al
        mov     edi, LAPIC
        mov     dword ptr [rdi + 0x350], 0x10000        /* LINT0 off */
        mov     dword ptr [rdi + 0x80], 0
        mov     dword ptr [rdi + 0xf0], 0x100 + SPURIOUS
        mov     eax, 2                  /* the timer is at input 2 */
        mov     ecx, TICK
        call    route
        mov     eax, 4
        mov     ecx, SERIAL
route:                                  /* input EAX to vector ECX, edge, to processor 0 */
        mov     edi, IOAPIC
        lea     eax, [rax * 2 + 0x10]
        mov     [rdi], eax
        mov     [rdi + 0x10], ecx
        inc     eax
        mov     [rdi], eax
        mov     dword ptr [rdi + 0x10], 0
        ret

timer_start:                            /* 1193182 Hz / 11932 = 100 Hz, mode 2 */
        mov     al, 0x34
        out     0x43, al
        mov     al, 11932 & 255
        out     0x40, al
        mov     al, 11932 >> 8
        out     0x40, al
        ret

/* -- the serial line */

serial_start:
        mov     dx, COM + 3
        mov     al, 0x80
        out     dx, al
        mov     dx, COM
        mov     al, 1
        out     dx, al
        mov     dx, COM + 1
        xor     eax, eax
        out     dx, al
        mov     dx, COM + 3
        mov     al, 3
        out     dx, al
        mov     dx, COM + 2
        mov     al, 0x07
        out     dx, al
        mov     dx, COM + 4
        mov     al, 0x0b                /* DTR, RTS, OUT2 */
        out     dx, al
        ret

put_character:                          /* AL; a line feed with its carriage return */
        cmp     al, 10
        jne     1f
        mov     al, 13
        call    1f
        mov     al, 10
1:      push    rax
        mov     dx, COM + 5
2:      in      al, dx
        test    al, 0x20
        jz      2b
        pop     rax
        mov     dx, COM
        out     dx, al
        ret

puts:   mov     al, [rsi]
        test    al, al
        jz      1f
        call    put_character
        inc     rsi
        jmp     puts
1:      ret

put_decimal:                            /* RAX */
        push    rbx
        mov     ebx, 10
        xor     ecx, ecx
1:      xor     edx, edx
        div     rbx
        push    rdx
        inc     ecx
        test    rax, rax
        jnz     1b
2:      pop     rax
        add     al, '0'
        call    put_character
        dec     ecx
        jnz     2b
        pop     rbx
        ret

put_hex:                                /* RAX */
        push    rbx
        mov     rbx, rax
        mov     ecx, 16
1:      rol     rbx, 4
        mov     eax, ebx
        and     eax, 15
        mov     al, [digits + rax]
        call    put_character
        dec     ecx
        jnz     1b
        pop     rbx
        ret

get_character:                          /* into AL; waits */
1:      cli
        mov     ecx, [typed_out]
        cmp     ecx, [typed_in]
        jne     2f
        sti
        hlt
        jmp     1b
2:      sti
        mov     al, [typed + rcx]
        inc     ecx
        and     ecx, 255
        mov     [typed_out], ecx
        ret

get_line:
        mov     rbx, offset line
1:      call    get_character
        cmp     al, 13
        je      4f
        cmp     al, 10
        je      4f
        cmp     al, 127
        je      3f
        cmp     al, 8
        je      3f
        cmp     al, 32
        jb      1b
        cmp     rbx, offset line + 250
        jae     1b
        mov     [rbx], al
        inc     rbx
        call    put_character
        jmp     1b
3:      cmp     rbx, offset line
        je      1b
        dec     rbx
        mov     rsi, offset text_rub
        call    puts
        jmp     1b
4:      mov     byte ptr [rbx], 0
        mov     al, 10
        jmp     put_character

same_word:                              /* is RDI the first word at RSI? ZF; RSI then behind it */
1:      mov     al, [rdi]
        test    al, al
        jz      2f
        cmp     al, [rsi]
        jne     3f
        inc     rdi
        inc     rsi
        jmp     1b
2:      cmp     byte ptr [rsi], 0
        je      3f
        cmp     byte ptr [rsi], ' '
3:      ret

        .section .rodata
banner:         .asciz "tanken guest: 64-bit, "
by_pvh:         .asciz "entered by PVH\n"
by_linux:       .asciz "entered by Linux's 64-bit entry\n"
text_memory:    .asciz "memory: "
text_kib:       .asciz " KiB\ncommand line: "
text_newline:   .asciz "\n"
prompt:         .asciz "> "
text_unknown:   .asciz "no such command; try help\n"
text_help:      .asciz "help echo ticks sleep cpuid spin fault triple reset halt off\n"
text_ticks:     .asciz " ticks of 10 ms\n"
text_no_acpi:   .asciz "no ACPI: cannot turn off\n"
text_exception: .asciz "exception "
text_error:     .asciz ", error "
text_at:        .asciz " at "
text_rub:       .asciz "\b \b"
digits:         .ascii "0123456789abcdef"

        .align  8
commands:
        .quad   c_help, do_help, c_echo, do_echo, c_ticks, do_ticks, c_sleep, do_sleep, c_cpuid, do_cpuid, c_spin, do_spin
        .quad   c_fault, do_fault, c_triple, do_triple, c_reset, do_reset, c_halt, do_halt, c_off, do_off, 0, 0
c_help:         .asciz "help"
c_echo:         .asciz "echo"
c_ticks:        .asciz "ticks"
c_sleep:        .asciz "sleep"
c_cpuid:        .asciz "cpuid"
c_spin:         .asciz "spin"
c_fault:        .asciz "fault"
c_triple:       .asciz "triple"
c_reset:        .asciz "reset"
c_halt:         .asciz "halt"
c_off:          .asciz "off"

        .align  8
gdt:    .quad   0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        .word   31
        .quad   gdt
idt_pointer:
        .word   4095
        .quad   idt
no_idt: .word   0
        .quad   0

        .data
        .align  8
ticks:          .quad 0
info:           .quad 0
memory:         .quad 0
command_line:   .quad 0
rsdp:           .quad 0
typed_in:       .long 0
typed_out:      .long 0
pm1_cnt:        .word 0
protocol:       .byte 0

        .bss
        .align  4096
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   16384
idt:    .skip   4096
typed:  .skip   256
line:   .skip   256
        .skip   8192
stack_top:
        .skip   16
