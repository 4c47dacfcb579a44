"""Names of registers and of predicates that stand in the text of an instruction.

Numbers and names: SDM Vol. 1, 3.4 and 10.2; predicates: SDM Vol. 2A, CMPPS and VCMPPS, table 3-1; AMD APM Vol. 6, VPCOM.
"""

from __future__ import annotations

SLOT = 8  # bytes of a name in the table, its length first: the kernels load and store them at once

_LOW = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")


def _file(names: list[str]) -> list[str]:
    return names + [""] * (32 - len(names))


# 32 names a file, in the order of these constants.
(BYTE, BYTE_REX, WORD, DOUBLE, QUAD, SEG, CR, DR, TR, ST, MM, XMM, YMM, ZMM, MASK, BND, TMM) = range(17)
REGISTER_NAMES: list[str] = [
    *_file(["al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"]),
    *_file(["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", *(f"r{i}b" for i in range(8, 16))]),
    *_file([*_LOW, *(f"r{i}w" for i in range(8, 16))]),
    *_file([*("e" + n for n in _LOW), *(f"r{i}d" for i in range(8, 16))]),
    *_file([*("r" + n for n in _LOW), *(f"r{i}" for i in range(8, 16)), "rip", "eip", "riz", "eiz"]),
    *_file(["es", "cs", "ss", "ds", "fs", "gs", "?", "?"]),
    *_file([f"cr{i}" for i in range(16)]),
    *_file([f"dr{i}" for i in range(16)]),
    *_file([f"tr{i}" for i in range(8)]),
    *_file([*(f"st({i})" for i in range(8)), "st"]),
    *_file([f"mm{i}" for i in range(8)]),
    *_file([f"xmm{i}" for i in range(32)]),
    *_file([f"ymm{i}" for i in range(32)]),
    *_file([f"zmm{i}" for i in range(32)]),
    *_file([f"k{i}" for i in range(8)]),
    *_file([f"bnd{i}" for i in range(4)]),
    *_file([f"tmm{i}" for i in range(8)]),
    *_file([f"db{i}" for i in range(16)]),  # the debug registers' name in AT&T text
]
DB = 17

_CMP = ("eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord")
_VCMP = (*_CMP, "eq_uq", "nge", "ngt", "false", "neq_oq", "ge", "gt", "true", "eq_os", "lt_oq", "le_oq", "unord_s",
         "neq_us", "nlt_uq", "nle_uq", "ord_s", "eq_us", "nge_uq", "ngt_uq", "false_os", "neq_os", "ge_oq", "gt_oq",
         "true_us")  # fmt: skip

# set -> (text where no predicate fits and the immediate is shown, {immediate: text})
PSEUDO: dict[str, tuple[str, dict[int, str]]] = {
    "cmp": ("", dict(enumerate(_CMP))),
    "vcmp": ("", dict(enumerate(_VCMP))),
    "vpcmp": ("", {0: "eq", 1: "lt", 2: "le", 4: "neq", 5: "nlt", 6: "nle"}),
    "vpcom": ("", dict(enumerate(("lt", "le", "gt", "ge", "eq", "neq", "false", "true")))),
    "pclmul": ("q", {0: "lqlq", 1: "hqlq", 2: "lqhq", 3: "hqhq", 0x10: "lqhq", 0x11: "hqhq"}),
}

# Short words of the text, a length byte and at most 15 characters each.
WORD_SLOT = 16
WORDS: tuple[str, ...] = (
    "BYTE PTR ", "WORD PTR ", "DWORD PTR ", "FWORD PTR ", "QWORD PTR ", "TBYTE PTR ", "XMMWORD PTR ", "YMMWORD PTR ",
    "ZMMWORD PTR ", "OWORD PTR ", "WORD BCST ", "DWORD BCST ", "QWORD BCST ", "data16", "data32", "addr32", "addr16",
    "repz", "repnz", "rep", "lock", "es", "cs", "ss", "ds", "fs", "gs", "xacquire", "xrelease", "bnd", "notrack",
    "{evex} ", "{vex} ", "(bad)", "rex", ".byte ", "{rn-sae}", "{rd-sae}", "{ru-sae}", "{rz-sae}", "{sae}", "fwait",
    "        # ", "{bad}", "{rn-bad}", "{rd-bad}", "{ru-bad}", "{rz-bad}", "/(bad)", "{1to", ",pn", ",pt",
)  # fmt: skip
(W_BYTE, W_WORD, W_DWORD, W_FWORD, W_QWORD, W_TBYTE, W_XMM, W_YMM, W_ZMM, W_OWORD, W_BCST2, W_BCST4, W_BCST8, W_DATA16,
 W_DATA32, W_ADDR32, W_ADDR16, W_REPZ, W_REPNZ, W_REP, W_LOCK, W_ES, W_CS, W_SS, W_DS, W_FS, W_GS, W_XACQUIRE,
 W_XRELEASE, W_BND, W_NOTRACK, W_EVEX, W_VEX, W_BAD, W_REX, W_BYTE_DATA, W_RN, W_RD, W_RU, W_RZ, W_SAE, W_FWAIT,
 W_COMMENT, W_BAD_MARK, W_RN_BAD, W_RD_BAD, W_RU_BAD, W_RZ_BAD, W_OR_BAD, W_ONE_TO, W_NOT_TAKEN, W_TAKEN) = range(52)  # fmt: skip

# The letters of the tables: register names (Intel, then AT&T), words, then mnemonics and predicates.
REGISTER_COUNT = len(REGISTER_NAMES)
WORDS_AT = 2 * REGISTER_COUNT * SLOT
