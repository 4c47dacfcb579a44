"""What every CFF font may name by number: standard strings, predefined encodings and charsets.

Adobe Technical Note 5176, appendices A, B and C; the names stand in `standard.codes`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from tanken.notation.codes import Codes, parse_codes

Ranges = tuple[tuple[int, int], ...]  # first and last SID

ISO_ADOBE: Ranges = ((0, 228),)
EXPERT: Ranges = ((0, 1), (229, 238), (13, 15), (99, 99), (239, 248), (27, 28), (249, 266), (109, 110), (267, 318), (158, 158), (155, 155), (163, 163),
                  (319, 326), (150, 150), (164, 164), (169, 169), (327, 378))  # fmt: skip
EXPERT_SUBSET: Ranges = ((0, 1), (231, 232), (235, 238), (13, 15), (99, 99), (239, 248), (27, 28), (249, 251), (253, 266), (109, 110), (267, 270), (272, 272),
                         (300, 302), (305, 305), (314, 315), (158, 158), (155, 155), (163, 163), (320, 326), (150, 150), (164, 164), (169, 169),
                         (327, 346))  # fmt: skip
# code of the first SID of a run of codes, first and last SID: 5176 appendix B, Expert Encoding
EXPERT_CODES = ((32, 1, 1), (33, 229, 230), (36, 231, 238), (44, 13, 15), (47, 99, 99), (48, 239, 248), (58, 27, 28), (60, 249, 252), (65, 253, 257),
                (73, 258, 258), (76, 259, 262), (82, 263, 265), (86, 266, 266), (87, 109, 110), (89, 267, 269), (93, 270, 303), (161, 304, 306),
                (166, 307, 311), (172, 312, 312), (175, 313, 313), (178, 314, 315), (182, 316, 318), (188, 158, 158), (189, 155, 155), (190, 163, 163),
                (191, 319, 325), (200, 326, 326), (201, 150, 150), (202, 164, 164), (203, 169, 169), (204, 327, 378))  # fmt: skip
PREDEFINED_CHARSETS = (ISO_ADOBE, EXPERT, EXPERT_SUBSET)


@cache
def _codes() -> dict[str, Codes]:
    return parse_codes(files(__package__).joinpath("standard.codes").read_text("ascii"), "standard.codes")


@cache
def strings() -> tuple[str, ...]:
    """The 391 standard strings, by SID."""
    return tuple(row.name for row in _codes()["strings"])


def standard_encoding() -> dict[int, str]:
    """Code to glyph name."""
    return {row.number: row.name for row in _codes()["standard"]}


def expert_encoding() -> dict[int, int]:
    """Code to SID."""
    return {code + i: first + i for code, first, last in EXPERT_CODES for i in range(last - first + 1)}


def predefined_charset(number: int, count: int) -> list[int]:
    """The SIDs of charset 0 (ISOAdobe), 1 (Expert) or 2 (ExpertSubset), at most `count` of them."""
    return [sid for first, last in PREDEFINED_CHARSETS[number] for sid in range(first, last + 1)][:count]
