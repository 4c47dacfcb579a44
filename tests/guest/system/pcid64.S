# PCIDs (QEMU's TCG looks away: it has none): spaces keep what they know, MOV CR3 with bit 63, INVPCID's four kinds and what it refuses.
        .include "long.inc"
        .code64
        .set    ENTRY, PT0+0x808
        .macro  MAP value
        mov     $\value, %eax
        mov     %rax, ENTRY
        .endm
        .macro  SEE
        mov     PAGE, %rax
        call    show
        .endm
        .macro  GO space, keep=1        # to another address space; with `keep` nothing is forgotten
        mov     $\keep, %eax
        shl     $63, %rax
        or      $TABLES+\space, %rax
        mov     %rax, %cr3
        .endm
        .macro  FORGET kind, space, address=0
        mov     $\address, %eax
        mov     %rax, descriptor+8
        movq    $\space, descriptor
        mov     $\kind, %eax
        invpcid descriptor, %rax
        .endm
begin:  OPEN    0x2000
        OPEN    0xf000
        movq    $0xa, 0x102000
        movq    $0xb, 0x103000
        TRY                             # a PCID without PCIDE
        FORGET  1, 1
        DONE
        mov     $TABLES+0x18, %eax
        mov     %rax, %cr3
        TRY                             # PCIDE wants PCID 0
        mov     %cr4, %rax
        bts     $17, %rax
        mov     %rax, %cr4
        DONE
        mov     $TABLES, %eax
        mov     %rax, %cr3
        mov     %cr4, %rax
        bts     $17, %rax
        mov     %rax, %cr4
        mov     %cr4, %rax
        call    show
        MAP     0x102003
        invlpg  PAGE
        NOTE    "spaces"
        call    line
        SEE                             # a in 0
        MAP     0x103003
        GO      1, 0
        SEE                             # b in 1
        mov     %cr3, %rax
        call    show
        GO      0
        SEE                             # still a
        mov     %cr3, %rax
        call    show
        GO      1
        MAP     0x102003
        SEE                             # still b
        GO      1, 0
        SEE                             # a
        NOTE    "invlpg"
        call    line
        GO      0, 0
        SEE                             # a
        MAP     0x103003
        GO      1
        invlpg  PAGE                    # of space 1
        SEE                             # b
        GO      0
        SEE                             # a: it was not 0's
        NOTE    "an address"
        call    line
        MAP     0x102003
        FORGET  0, 0, 0x104000
        FORGET  0, 1, PAGE
        SEE                             # a
        MAP     0x103003
        SEE                             # a
        FORGET  0, 0, PAGE
        SEE                             # b
        NOTE    "a space"
        call    line
        MAP     0x102003
        FORGET  1, 1
        SEE                             # b
        FORGET  1, 0
        SEE                             # a
        NOTE    "all but global"
        call    line
        GO      1, 0
        SEE                             # a
        MAP     0x103003
        FORGET  3, 0
        SEE                             # b
        GO      0
        SEE                             # b
        NOTE    "global"
        call    line
        MAP     0x102103
        FORGET  2, 0
        SEE                             # a, for all
        MAP     0x103103
        FORGET  3, 0
        FORGET  1, 0
        FORGET  0, 0, PAGE
        SEE                             # a
        GO      1, 0
        SEE                             # a
        invlpg  PAGE                    # in whatever space
        SEE                             # b
        GO      0
        SEE                             # b
        MAP     0x102003
        FORGET  2, 0
        SEE                             # a
        NOTE    "refused"
        call    line
        TRY
        FORGET  4, 0
        DONE
        TRY
        FORGET  0, 0x1000, PAGE
        DONE
        TRY
        movq    $0, descriptor
        mov     $1, %eax
        shl     $60, %rax
        mov     %rax, descriptor+8
        xor     %eax, %eax
        invpcid descriptor, %rax
        DONE
        TRY                             # though kind 2 asks for no PCID
        FORGET  2, 0x1000
        DONE
        TRY
        USER    1f
1:      FORGET  2, 0
        DONE
        NOTE    "off"
        call    line
        GO      1
        MAP     0x103003
        GO      0
        SEE                             # a
        mov     %cr4, %rax
        btr     $17, %rax
        mov     %rax, %cr4
        SEE                             # b
        TRY                             # bit 63 is reserved now
        GO      0
        DONE
        finish
        .balign 16
descriptor: .quad 0, 0
