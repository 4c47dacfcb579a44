"""How the x86 decoder packs its columns, its form flags, size codes and operand sources: numbers shared by kernel and tables.

The numbers are ours; what they mean is the Intel SDM Vol. 2A chapter 2 (instruction format) and Vol. 2D appendix A.
"""

from __future__ import annotations

# Maps of opcodes: index into the roots, 256 opcodes each.
MAPS = ("one", "0f", "0f38", "0f3a", "3dnow", "vex.0f", "vex.0f38", "vex.0f3a", "evex.0f", "evex.0f38", "evex.0f3a",
        "evex.map5", "evex.map6", "xop.8", "xop.9", "xop.a")  # fmt: skip

VEX_MAPS = (5, 6, 7)

# The tables are one run of int64: byte classes, roots, ModRM marks, one record a form, trie nodes, predicates.
ROOTS = 512
MODRM = ROOTS + len(MAPS) * 256
FORMS = MODRM + len(MAPS) * 256
STRIDE = 46  # int64 a form
# A form's record: flags, immediate, then size codes of its memory operand, of disp8*N, of the vector index; bytes of a
# broadcast element; its predicates; the operands shown in Intel, in AT&T text; two name templates; five numbers an operand.
(FLAGS, IMMEDIATE, MEMORY_SIZE, SCALE, VSIB, BROADCAST, PSEUDO, COUNTS) = range(8)
HEADS = COUNTS + 2
HEAD = 6  # offset in the letters, then length, marker, length, marker, length
OPERANDS = 5
SLOTS = HEADS + 2 * HEAD
SLOT = 5
(SOURCE, FILE, NUMBER, REGISTER_SIZE, OPERAND_MEMORY) = range(5)

# PREFIXES column: bits 0-14 are the positions of prefix bytes that selected nothing and are printed.
LOCK = 1 << 16
REPZ = 1 << 17
REPNZ = 1 << 18
DATA = 1 << 19
ADDR = 1 << 20
REX = 1 << 21
REX_W = 1 << 22
REX_R = 1 << 23
REX_X = 1 << 24
REX_B = 1 << 25
VEX = 1 << 26
EVEX = 1 << 27
XOP = 1 << 28
EVEX_Z = 1 << 29
EVEX_B = 1 << 30
SEGMENT = 1 << 31  # an override is active
FWAIT = 1 << 32
NOTRACK = 1 << 33
LL_SHIFT = 34  # two bits: vector length or rounding mode
PREFIX_COUNT_SHIFT = 36  # four bits: prefix bytes before the opcode
PP_SHIFT = 40  # two bits: the selecting prefix of a VEX, EVEX or XOP encoding: none, 66, F3, F2

# MEMORY column: base, index (255 none, 16 = rip as base), log2 scale, segment, then these.
SIB = 1 << 32
DISP_BYTES_SHIFT = 36
NONE = 255
RIP = 16

# REGISTERS column: reg, rm, vvvv, mask (8 bits each), then this.
RM_IS_REGISTER = 1 << 32

# FAULT column.
(OK, TRUNCATED, PREFIXES_ONLY, NO_ROW, TOO_LONG, NEEDS_MEMORY, NEEDS_REGISTER, NO_MEANING, BAD_VVVV, BAD_MAP,
 BAD_RESERVED, BAD_LENGTH, BAD_ZEROING, BAD_ROUNDING, BAD_W, BAD_INDEX) = range(16)  # fmt: skip
FAULT_TEXT = {
    TRUNCATED: "the bytes end inside the instruction",
    PREFIXES_ONLY: "prefixes without an instruction",
    NO_ROW: "no row of the opcode map fits",
    TOO_LONG: "longer than 15 bytes",
    NEEDS_MEMORY: "the operand must be memory",
    NEEDS_REGISTER: "the operand must be a register",
    NO_MEANING: "an encoding without meaning",
    BAD_VVVV: "vvvv != 1111 though the row has no operand there",
    BAD_MAP: "no such VEX, EVEX or XOP map",
    BAD_RESERVED: "a fixed EVEX bit has the wrong value",
    BAD_LENGTH: "this vector length does not exist",
    BAD_ZEROING: "zeroing without a mask register",
    BAD_ROUNDING: "broadcast or rounding where the row has none",
    BAD_W: "EVEX.W has the wrong value",
    BAD_INDEX: "the vector index equals another operand, or no mask is given",
}

# Form flags.
F_MODRM = 1 << 0
F_OSIZE = 1 << 1  # 66 acts (with W clear)
F_W = 1 << 2  # W acts
F_R = 1 << 3  # the reg field is extended by R
F_B = 1 << 4  # a register in rm or in the opcode is extended by B
F_D64 = 1 << 5  # 64-bit operand by default in 64-bit mode
F_66 = 1 << 6  # selected by 66, F3, F2
F_F3 = 1 << 7
F_F2 = 1 << 8
F_NEED_MEM = 1 << 9
F_NEED_REG = 1 << 10
F_MOD_IGNORED = 1 << 11
F_STRING = 1 << 12  # reads through rSI or rBX with a segment
F_ASIZE = 1 << 13  # 67 acts though there is no ModRM memory operand
F_BYTE_REG = 1 << 14  # byte register in reg, rm, opcode: REX alone acts
F_BYTE_RM = 1 << 15
F_BYTE_OPC = 1 << 16
F_VVVV = 1 << 17
F_REP = 1 << 18
F_BND = 1 << 19
F_NOTRACK = 1 << 20
F_HINT = 1 << 21
F_HLE = 1 << 22
F_HLE_XCHG = 1 << 23
F_HLE_MOV = 1 << 24
F_STAR = 1 << 25
F_KEEP = 1 << 26
F_ATT_ONLY = 1 << 27
F_TWIN = 1 << 28  # the same name exists in VEX: {evex} may be printed
F_VEXMARK = 1 << 29  # {vex} is printed
F_BAD = 1 << 30
F_OPC_REG = 1 << 31
F_VSIB = 1 << 32
F_NO_SIZE = 1 << 33  # neither 66 nor W changes the operand size
F_PAD = 1 << 34  # the name is padded by itself, its prefixes stand before it
F_ATT_66 = 1 << 35  # 66 is shown in AT&T text only
F_ER = 1 << 36
F_SAE = 1 << 37
F_SHOW_66 = 1 << 38  # 66 acts and is shown all the same
F_BCST_TEXT = 1 << 39  # Intel text shows {1toN} too
F_CR8 = 1 << 40  # LOCK selects cr8
F_W_BAD = 1 << 41  # a wrong W shows as {bad} in the name
F_W_WANT = 1 << 42  # with F_W_BAD: the right value of W
F_PSEUDO = 1 << 43
F_ADDR_SHOWN = 1 << 44  # 67 acts and is printed all the same (moffs)
F_SIZE_REG = 1 << 45  # 66 and W act only in the register form (mov to and from segment registers, sldt)
F_TILES = 1 << 48  # three tile registers that must differ
F_NO_OPERAND = 1 << 50  # an operand is never valid here: it shows as (bad)
F_GATHER = 1 << 46
F_TILE_SIB = 1 << 47
F_GHOST = 1 << 51  # AT&T text shows {1toN} for b with W1 though the row has no broadcast
F_ER_BAD = 1 << 52  # rounding is shown, as bad
F_BCST_TEXT_XY = 1 << 53  # Intel text shows {1toN} too, below 512 bits
F_ATT_ADDR = 1 << 54  # AT&T text tells the address size in the name
F_EAT_66 = 1 << 55  # 66 is never shown
F_MPX = 1 << 56  # 64-bit mode ignores 67, 16-bit addresses are bad
F_NO_RIP = 1 << 57  # a rip-relative operand is bad
F_RM0 = 1 << 58  # any other register than 0 in rm is bad
F_3DNOW = 1 << 60  # 66 makes the operands xmm registers
F_STRICT = 1 << 59  # with another selecting prefix the bytes are bad and no prefix is shown
F_SCATTER = 1 << 61
F_DISTINCT = 1 << 62  # the destination must differ from the sources

# Size codes: values up to 64 are bytes; these depend on the instruction.
S_V, S_Z, S_Y, S_X, S_X2, S_X4, S_X8, S_A, S_P, S_M, S_A2 = range(100, 111)

# Operand sources.
(O_NONE, O_REG, O_RM, O_VVVV, O_IS4, O_OPC, O_FIXED, O_IMM, O_IMM2, O_IMM4, O_REL, O_MOFFS, O_FAR, O_SI, O_DI,
 O_ONE, O_XLAT, O_PORT, O_BAD) = range(19)  # fmt: skip

# Register files; the file of a general or vector register follows from its size.
(R_GPR, R_SEG, R_CR, R_DR, R_TR, R_ST, R_MM, R_VEC, R_K, R_BND, R_TMM) = range(11)
FILES = ("gpr", "seg", "cr", "dr", "tr", "st", "mm", "xmm", "k", "bnd", "tmm")

# Immediates.
(I_NONE, I_B, I_BS, I_W, I_Z, I_V, I_JB, I_JZ, I_AP, I_WB, I_O, I_BB, I_IS4, I_D) = range(14)

# Trie nodes; a node has that many children.
(N_MODE, N_PREFIX, N_REG, N_MOD, N_RM, N_W, N_L, N_OSIZE, N_ASIZE, N_REXB, N_RIP, N_DATA) = range(12)
NODE_WIDTH = (3, 4, 8, 2, 8, 2, 4, 3, 3, 2, 2, 2)

# Markers in a mnemonic: what is put in at that place.
(K_NONE, K_SMEM, K_SALL, K_DMEM, K_DALL, K_Y, K_XY, K_XYZ, K_PSEUDO, K_N, K_Q, K_WS, K_WD, K_WH) = range(14)
MARKERS = {"": K_NONE, "s": K_SMEM, "S": K_SALL, "d": K_DMEM, "D": K_DALL, "y": K_Y, "xy": K_XY, "xyz": K_XYZ,
           "p": K_PSEUDO, "n": K_N, "q": K_Q, "ws": K_WS, "wd": K_WD, "wh": K_WH}  # fmt: skip

# Prefix classes of a byte.
(P_NONE, P_DATA, P_ADDR, P_REPZ, P_REPNZ, P_LOCK, P_SEG, P_FWAIT, P_REX) = range(9)
