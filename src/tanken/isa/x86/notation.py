"""The operand codes of the opcode map: an SDM Appendix A letter and type becomes source, register file and size codes.

Letters and types are those of SDM Vol. 2D, A.2; what the appendix lacks (k, bnd and tile registers, memory narrower than
the register, the register in the opcode) is defined in the head comment of `opcodes.map`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tanken.isa.x86 import layout as L

SIZES = {"b": 1, "w": 2, "d": 4, "q": 8, "t": 10, "dq": 16, "qq": 32, "oq": 64, "v": L.S_V, "z": L.S_Z, "y": L.S_Y,
         "x": L.S_X, "x2": L.S_X2, "x4": L.S_X4, "x8": L.S_X8, "a": L.S_A, "p": L.S_P, "m": L.S_M, "aa": L.S_A2,
         "n": 0, "o": 17, "": 0}  # fmt: skip
PAIRS = {"ss": ("dq", "d"), "sd": ("dq", "q"), "sh": ("dq", "w")}
FIXED = {
    "AL": (0, 1), "CL": (1, 1), "AX": (0, 2), "EAX": (0, 4), "ECX": (1, 4), "EDX": (2, 4), "EBX": (3, 4),
    "rAX": (0, L.S_V), "eAX": (0, L.S_Z), "rAXa": (0, L.S_A),
}  # fmt: skip
SEGMENTS = {"ES": 0, "CS": 1, "SS": 2, "DS": 3, "FS": 4, "GS": 5}
PLAIN = {
    "1": L.O_ONE, "XLAT": L.O_XLAT, "DX": L.O_PORT, "BAD": L.O_BAD,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OperandCode:
    """One operand of a row: where it is encoded, which register file, sizes in bytes or size codes, and its access."""

    text: str
    source: int
    file: int
    number: int
    register_size: int
    memory_size: int
    access: str
    needs: str  # "mem", "reg" or ""


def _sizes(kind: str) -> tuple[int, int]:
    first, _, second = kind.partition("/")
    if first in PAIRS and not second:
        first, second = PAIRS[first]
    size = SIZES[first]
    return (16 if size == 17 else size), (SIZES[second] if second else size)


# letter -> (source, register file, what the operand must be)
LETTERS = {
    "E": (L.O_RM, L.R_GPR, ""), "G": (L.O_REG, L.R_GPR, ""), "R": (L.O_RM, L.R_GPR, "reg"), "M": (L.O_RM, L.R_GPR, "mem"),
    "B": (L.O_VVVV, L.R_GPR, ""), "Z": (L.O_OPC, L.R_GPR, ""), "S": (L.O_REG, L.R_SEG, ""), "C": (L.O_REG, L.R_CR, ""),
    "D": (L.O_REG, L.R_DR, ""), "T": (L.O_REG, L.R_TR, ""), "P": (L.O_REG, L.R_MM, ""), "Q": (L.O_RM, L.R_MM, ""),
    "N": (L.O_RM, L.R_MM, "reg"), "V": (L.O_REG, L.R_VEC, ""), "W": (L.O_RM, L.R_VEC, ""), "U": (L.O_RM, L.R_VEC, "reg"),
    "H": (L.O_VVVV, L.R_VEC, ""), "L": (L.O_IS4, L.R_VEC, ""),
}  # fmt: skip
FILE_PREFIX = {"k": L.R_K, "b": L.R_BND, "t": L.R_TMM}


def parse_operand(text: str) -> OperandCode:
    """The operand code `text`, such as "Ev:rw" or "Wx/q"; raises KeyError or ValueError when there is no such code."""
    code, _, access = text.partition(":")
    access = access or "r"
    if code in FIXED:
        number, size = FIXED[code]
        return OperandCode(text, L.O_FIXED, L.R_GPR, number, size, size, access, "")
    if code in SEGMENTS:
        return OperandCode(text, L.O_FIXED, L.R_SEG, SEGMENTS[code], 2, 2, access, "")
    if code in PLAIN:
        size = {"1": 1, "XLAT": 1, "DX": 2, "BAD": 0}[code]
        return OperandCode(text, PLAIN[code], L.R_GPR, 2, size, size, access, "")
    if code == "ST":
        return OperandCode(text, L.O_FIXED, L.R_ST, 8, 10, 10, access, "")
    if code == "STi":
        return OperandCode(text, L.O_RM, L.R_ST, 0, 10, 10, access, "reg")
    if code == "XMM0":
        return OperandCode(text, L.O_FIXED, L.R_VEC, 0, 16, 16, access, "")
    letter, kind = code[0], code[1:]
    if letter == "I":
        source = {"2": L.O_IMM2, "4": L.O_IMM4}.get(kind[-1:], L.O_IMM)
        size = {"b": 1, "bs": L.S_V, "w": 2, "z": L.S_V, "v": L.S_V, "d": 4}[kind.rstrip("24")]
        return OperandCode(text, source, L.R_GPR, 0, size, size, access, "")
    if letter == "J":
        return OperandCode(text, L.O_REL, L.R_GPR, 0, 0, 0, access, "")
    if letter == "A":
        return OperandCode(text, L.O_FAR, L.R_GPR, 0, 0, 0, access, "")
    if letter in "OXY":
        source = {"O": L.O_MOFFS, "X": L.O_SI, "Y": L.O_DI}[letter]
        return OperandCode(text, source, L.R_GPR, 0, SIZES[kind], SIZES[kind], access, "")
    file = -1
    if letter in FILE_PREFIX:
        file, letter, kind = FILE_PREFIX[letter], kind[0], kind[1:]
    source, own, needs = LETTERS[letter]
    register, memory = _sizes(kind)
    if file >= 0:
        register = {L.R_K: 8, L.R_BND: 16, L.R_TMM: 64}[file]
    return OperandCode(text, source, own if file < 0 else file, 0, register, memory, access, needs)
