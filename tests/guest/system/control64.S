# Control registers that refuse what they are given: #GP, in cases where QEMU's TCG looks away.
        .include "long.inc"
        .code64
begin:  TRY
        mov     %cr0, %rax
        and     $~1, %rax
        mov     %rax, %cr0
        DONE
        TRY
        mov     %cr0, %rax
        bts     $40, %rax
        mov     %rax, %cr0
        DONE
        TRY
        mov     %cr0, %rax
        and     $~(1<<31), %eax
        mov     %rax, %cr0
        DONE
        TRY
        mov     %cr4, %rax
        and     $~0x20, %rax
        mov     %rax, %cr4
        DONE
        TRY
        mov     %cr4, %rax
        bts     $31, %rax
        mov     %rax, %cr4
        DONE
        TRY
        mov     %cr4, %rax
        bts     $12, %rax
        mov     %rax, %cr4
        DONE
        TRY
        mov     $0xc0000080, %ecx
        xor     %edx, %edx
        mov     $2, %eax
        wrmsr
        DONE
        TRY
        mov     $0xc0000080, %ecx
        xor     %edx, %edx
        mov     $0x801, %eax
        wrmsr
        DONE
        TRY
        mov     $0x277, %ecx
        mov     $2, %eax
        wrmsr
        DONE
        TRY
        mov     $0x12345, %ecx
        rdmsr
        DONE
        TRY
        mov     $16, %eax
        mov     %rax, %cr8
        DONE
        TRY
        mov     $7, %eax
        mov     %rax, %cr8
        DONE
        mov     %cr8, %rax
        call    show
        TRY
        mov     %cr4, %rax
        bts     $18, %rax
        mov     %rax, %cr4
        xor     %ecx, %ecx
        xor     %edx, %edx
        mov     $5, %eax
        xsetbv
        DONE
        TRY
        mov     $3, %eax
        xsetbv
        vaddps  %ymm0, %ymm1, %ymm2
        DONE
        TRY
        mov     $7, %eax
        xsetbv
        vaddps  %ymm0, %ymm1, %ymm2
        DONE
        finish
