"""Key schedules and tables of DES and CAST-128: from a key to the numbers that the kernels in `blocks` take.

DES: FIPS 46-3 (its S-boxes, P, PC-1 and PC-2 as printed there); CAST-128: RFC 2144, whose S-boxes stand in `cast128.words`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

S_BOXES = (
    "e4d12fb83a6c5907 0f74e2d1a6cb9538 41e8d62bfc973a50 fc8249175b3ea06d",
    "f18e6b34972dc05a 3d47f28ec01a69b5 0e7ba4d158c6932f d8a13f42b67c05e9",
    "a09e63f51dc7b428 d709346a285ecbf1 d6498f30b12c5ae7 1ad069874fe3b52c",
    "7de3069a1285bc4f d8b56f03472c1ae9 a690cb7df13e5284 3f06a1d8945bc72e",
    "2c417ab6853fd0e9 eb2c47d150fa3986 421bad78f9c5630e b8c71e2d6f09a453",
    "c1af92680d34e75b af427c9561de0b38 9ef528c3704a1db6 432c95fabe17608d",
    "4b2ef08d3c975a61 d0b7491ae35c2f86 14bdc37eaf680592 6bd814a7950fe23c",
    "d2846fb1a93e50c7 1fd8a374c56b0e92 7b419ce206adf358 21e74a8dfc90356b",
)
P = (16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25)
PC1 = (
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
)  # fmt: skip
PC2 = (
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
)  # fmt: skip
SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)


@cache
def des_boxes() -> tuple[int, ...]:
    """Eight tables of 64 words: the S-box's output, moved by P, for the six bits of its input."""
    words: list[int] = []
    for number, text in enumerate(S_BOXES):
        digits = text.replace(" ", "")
        for six in range(64):
            row, column = (six >> 4 & 2) | (six & 1), six >> 1 & 15
            value = int(digits[16 * row + column], 16) << (28 - 4 * number)
            words.append(sum(((value >> (32 - source)) & 1) << (31 - place) for place, source in enumerate(P)))
    return tuple(words)


def odd_parity(key: bytes) -> bytes:
    """The key with bit 0 of each octet set so that the octet has an odd number of ones (FIPS 46-3)."""
    return bytes(octet & 0xFE | (octet >> 1).bit_count() % 2 ^ 1 for octet in key)


def des_keys(key: bytes, backwards: bool = False) -> list[int]:
    """The 16 round keys of an 8-octet key, two numbers each; `backwards` for decryption."""
    bits = [key[(source - 1) // 8] >> (7 - (source - 1) % 8) & 1 for source in PC1]
    c, d = bits[:28], bits[28:]
    rounds: list[tuple[int, int]] = []
    for shift in SHIFTS:
        c, d = c[shift:] + c[:shift], d[shift:] + d[:shift]
        chosen = [(c + d)[source - 1] for source in PC2]
        groups = [int("".join(map(str, chosen[i : i + 6])), 2) for i in range(0, 48, 6)]
        even, odd = ((g[0] << 26) | (g[1] << 18) | (g[2] << 10) | (g[3] << 2) for g in (groups[::2], groups[1::2]))
        rounds.append((even, odd))
    return [number for pair in (reversed(rounds) if backwards else rounds) for number in pair]


def triple_keys(one: bytes, two: bytes, three: bytes) -> list[int]:
    """Encrypt with the first key, decrypt with the second, encrypt with the third."""
    return des_keys(one) + des_keys(two, backwards=True) + des_keys(three)


@cache
def cast_boxes() -> tuple[int, ...]:
    """The eight S-boxes, 2,048 words."""
    text = (Path(__file__).parent / "cast128.words").read_text("ascii")
    return tuple(int(word, 16) for line in text.splitlines() if line and line[0] not in "#@" for word in line.split())


# RFC 2144 section 2.4: four words from the other sixteen octets: source word, five octets of (s: the source, t: the words made so far)
_HALF = (
    ("z", ("x0", "xd xf xc xe x8", 7), ("x8", "z0 z2 z1 z3 xa", 8), ("xc", "z7 z6 z5 z4 x9", 5), ("x4", "za z9 zb z8 xb", 6)),
    ("x", ("z8", "z5 z7 z4 z6 z0", 7), ("z0", "x0 x2 x1 x3 z2", 8), ("z4", "x7 x6 x5 x4 z1", 5), ("zc", "xa x9 xb x8 z3", 6)),
)  # fmt: skip
_ROUND_KEYS = (
    "z8 z9 z7 z6 z2|za zb z5 z4 z6|zc zd z3 z2 z9|ze zf z1 z0 zc",
    "x3 x2 xc xd x8|x1 x0 xe xf xd|x7 x6 x8 x9 x3|x5 x4 xa xb x7",
    "z3 z2 zc zd z9|z1 z0 ze zf zc|z7 z6 z8 z9 z2|z5 z4 za zb z6",
    "x8 x9 x7 x6 x3|xa xb x5 x4 x7|xc xd x3 x2 x8|xe xf x1 x0 xd",
)


def cast_keys(key: bytes) -> list[int]:
    """Pairs of masking and rotation keys: 16 rounds, 12 for keys of at most 10 octets (RFC 2144 section 2.4, 2.5)."""
    boxes = cast_boxes()
    octets: dict[str, list[int]] = {"x": list(key.ljust(16, b"\0")), "z": [0] * 16}

    def octet(name: str) -> int:
        return octets[name[0]][int(name[1], 16)]

    def mix(names: str, last: int) -> int:
        a, b, c, d, e = (octet(name) for name in names.split())
        return boxes[1024 + a] ^ boxes[1280 + b] ^ boxes[1536 + c] ^ boxes[1792 + d] ^ boxes[256 * (last - 1) + e]

    keys: list[int] = []
    for step in range(8):
        target, *rows = _HALF[step % 2]
        for index, (source, names, last) in enumerate(rows):
            at = int(source[1], 16)
            word = int.from_bytes(bytes(octets[source[0]][at : at + 4]), "big") ^ mix(names, last)
            octets[target][4 * index : 4 * index + 4] = word.to_bytes(4, "big")
        keys += [mix(names, 5 + number) for number, names in enumerate(_ROUND_KEYS[step % 4].split("|"))]
    rounds = 12 if len(key) <= 10 else 16
    return [number for i in range(rounds) for number in (keys[i], keys[16 + i] & 31)]
