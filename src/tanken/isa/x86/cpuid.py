"""What CPUID says: the features that are implemented and that programs may count on.

Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E. Announced is what the semantics implement and the co-simulation compares with a host:
x86-64 with SSE3, SSSE3, SSE4.1 and the integer extensions; not SSE4.2, AVX, AES, XSAVE, RDRAND, so that libraries choose code it can run.
"""

from __future__ import annotations

VENDOR = b"TankenTanken"
BRAND = b"tanken"

FEATURES_EDX = {"fpu": 0, "tsc": 4, "cx8": 8, "cmov": 15, "clflush": 19, "mmx": 23, "fxsr": 24, "sse": 25, "sse2": 26}
FEATURES_ECX = {"sse3": 0, "ssse3": 9, "cx16": 13, "sse4.1": 19, "movbe": 22, "popcnt": 23}
EXTENDED_EDX = {"syscall": 11, "nx": 20, "rdtscp": 27, "lm": 29}
EXTENDED_ECX = {"lahf": 0, "lzcnt": 5}
STRUCTURED_EBX = {"fsgsbase": 0, "bmi1": 3, "bmi2": 8, "adx": 19}  # leaf 7


def _word(bits: dict[str, int]) -> int:
    return sum(1 << bit for bit in bits.values())


def _text(data: bytes, first: int) -> tuple[int, int, int, int]:
    piece = data[first : first + 16].ljust(16, b"\0")
    a, b, c, d = (int.from_bytes(piece[at : at + 4], "little") for at in range(0, 16, 4))
    return a, b, c, d


def answer(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """EAX, EBX, ECX, EDX; leaves there are none of give zeros, as AMD's processors do."""
    b, d, c = (int.from_bytes(VENDOR[at : at + 4], "little") for at in (0, 4, 8))
    if leaf == 0:
        return 7, b, c, d
    if leaf == 1:
        signature, brand = 0x00000F00, 8 << 8 | 1 << 16  # family 15; CLFLUSH lines of 64 bytes, one processor
        return signature, brand, _word(FEATURES_ECX), _word(FEATURES_EDX)
    if leaf == 7 and subleaf == 0:
        return 0, _word(STRUCTURED_EBX), 0, 0
    if leaf == 0x8000_0000:
        return 0x8000_0008, b, c, d
    if leaf == 0x8000_0001:
        return 0, 0, _word(EXTENDED_ECX), _word(EXTENDED_EDX) | _word(FEATURES_EDX) & 0x0183_F3FF
    if 0x8000_0002 <= leaf <= 0x8000_0004:
        return _text(BRAND.ljust(48, b"\0"), (leaf - 0x8000_0002) * 16)
    if leaf == 0x8000_0008:
        return 48 << 8 | 48, 0, 0, 0  # 48 linear, 48 physical address bits
    return 0, 0, 0, 0
