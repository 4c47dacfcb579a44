"""What CPUID says: the features that are implemented and that programs may count on.

Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E. Announced is what the semantics implement: a row of the opcode map whose feature is
not here gives #UD.
"""

from __future__ import annotations

VENDOR = b"AuthenticAMD"  # whose choices are followed where the manuals leave one; glibc reads no features of a vendor that it does not know
BRAND = b"tanken"
A, B, C, D = range(4)
BASIC, STRUCTURED, STRUCTURED_1, STATE_1, EXTENDED, SIZES = (1, 0), (7, 0), (7, 1), (0xD, 1), (0x8000_0001, 0), (0x8000_0008, 0)

# feature as the map names it, or as the manuals do -> (leaf and subleaf, register, bit)
FEATURES: dict[str, tuple[tuple[int, int], int, int]] = {
    "x87": (BASIC, D, 0), "TSC": (BASIC, D, 4), "CX8": (BASIC, D, 8), "CMOV": (BASIC, D, 15), "CLFSH": (BASIC, D, 19), "MMX": (BASIC, D, 23),
    "FXSR": (BASIC, D, 24), "SSE": (BASIC, D, 25), "SSE2": (BASIC, D, 26),
    "SSE3": (BASIC, C, 0), "SSSE3": (BASIC, C, 9), "CX16": (BASIC, C, 13), "SSE4.1": (BASIC, C, 19), "MOVBE": (BASIC, C, 22),
    "POPCNT": (BASIC, C, 23), "PCLMULQDQ": (BASIC, C, 1), "FMA": (BASIC, C, 12), "SSE4.2": (BASIC, C, 20), "AES": (BASIC, C, 25),
    "AVX": (BASIC, C, 28), "F16C": (BASIC, C, 29), "XSAVE": (BASIC, C, 26), "OSXSAVE": (BASIC, C, 27), "RDRAND": (BASIC, C, 30),
    "FSGSBASE": (STRUCTURED, B, 0), "BMI1": (STRUCTURED, B, 3), "AVX2": (STRUCTURED, B, 5), "BMI2": (STRUCTURED, B, 8), "SHA": (STRUCTURED, B, 29), "RDSEED": (STRUCTURED, B, 18),
    "ADX": (STRUCTURED, B, 19), "CLFLUSHOPT": (STRUCTURED, B, 23), "CLWB": (STRUCTURED, B, 24),
    "UMIP": (STRUCTURED, C, 2), "WAITPKG": (STRUCTURED, C, 5), "RDPID": (STRUCTURED, C, 22), "CLDEMOTE": (STRUCTURED, C, 25),
    "GFNI": (STRUCTURED, C, 8), "VAES": (STRUCTURED, C, 9), "VPCLMULQDQ": (STRUCTURED, C, 10), "MOVDIRI": (STRUCTURED, C, 27), "MOVDIR64B": (STRUCTURED, C, 28),
    "RTM_ALWAYS_ABORT": (STRUCTURED, D, 11), "SERIALIZE": (STRUCTURED, D, 14),
    "RAO-INT": (STRUCTURED_1, A, 3), "AVX-VNNI": (STRUCTURED_1, A, 4), "CMPCCXADD": (STRUCTURED_1, A, 7), "PREFETCHI": (STRUCTURED_1, D, 14),
    "XSAVEOPT": (STATE_1, A, 0), "XSAVEC": (STATE_1, A, 1), "XGETBV_ECX1": (STATE_1, A, 2),
    "SYSCALL": (EXTENDED, D, 11), "NX": (EXTENDED, D, 20), "RDTSCP": (EXTENDED, D, 27), "LM": (EXTENDED, D, 29),
    "LAHF64": (EXTENDED, C, 0), "LZCNT": (EXTENDED, C, 5), "SSE4a": (EXTENDED, C, 6), "PREFETCHW": (EXTENDED, C, 8), "TBM": (EXTENDED, C, 21),
    "CLZERO": (SIZES, B, 0),
}  # fmt: skip
SHARED = 0x0183_F3FF  # bits of leaf 1 EDX that AMD repeats in leaf 8000_0001
# what the map calls by two names, at 128 and at 256 bits, and what needs no bit: reserved no-operations and the mode itself
ANNOUNCED = frozenset(FEATURES) | {"", "RTM", "MPX", "CET_IBT", "AVX/AVX2", "AES/VAES", "PCLMULQDQ/VPCLMULQDQ"}


def _words(leaf: tuple[int, int]) -> list[int]:
    """EAX to EDX of the feature bits of a leaf."""
    words = [0, 0, 0, 0]
    for where, register, bit in FEATURES.values():
        if where == leaf:
            words[register] |= 1 << bit
    return words


def _text(data: bytes, first: int) -> tuple[int, int, int, int]:
    piece = data[first : first + 16].ljust(16, b"\0")
    a, b, c, d = (int.from_bytes(piece[at : at + 4], "little") for at in range(0, 16, 4))
    return a, b, c, d


def answer(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """EAX, EBX, ECX, EDX; leaves there are none of give zeros, as AMD's processors do."""
    b, d, c = (int.from_bytes(VENDOR[at : at + 4], "little") for at in (0, 4, 8))
    if leaf == 0:
        return 0xD, b, c, d
    if leaf == 0x8000_0000:
        return 0x8000_0008, b, c, d
    if leaf == 0x8000_0005:
        return 0, 0, 32 << 24 | 8 << 16 | 1 << 8 | 64, 32 << 24 | 8 << 16 | 1 << 8 | 64  # 32 KiB of data and of code, 8 ways, lines of 64 bytes
    if leaf == 0x8000_0006:
        return 0, 0, 512 << 16 | 6 << 12 | 1 << 8 | 64, 16 << 18 | 6 << 12 | 1 << 8 | 64  # second level 512 KiB, third 8 MiB
    if 0x8000_0002 <= leaf <= 0x8000_0004:
        return _text(BRAND.ljust(48, b"\0"), (leaf - 0x8000_0002) * 16)
    a, b, c, d = _words((leaf, subleaf if leaf in (7, 0xD) else 0))
    if leaf == 1:  # family 15; CLFLUSH lines of 64 bytes, one processor
        a, b = 0x00000F00, 8 << 8 | 1 << 16
    elif leaf == 7 and subleaf == 0:
        a = 1
    elif leaf == 0xD:
        return _state(subleaf, a)
    elif leaf == 0x8000_0001:
        d |= _words(BASIC)[D] & SHARED
    elif leaf == 0x8000_0008:
        a = 48 << 8 | 48  # linear and physical address bits
    return a, b, c, d


def _state(subleaf: int, features: int) -> tuple[int, int, int, int]:
    """Leaf 0Dh: the components of XSAVE: x87 and SSE in 576 bytes, the upper halves of the vector registers behind them."""
    if subleaf == 0:
        return 7, 832, 832, 0
    if subleaf == 1:
        return features, 832, 0, 0
    return (256, 576, 0, 0) if subleaf == 2 else (0, 0, 0, 0)
