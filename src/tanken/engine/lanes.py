"""Operations on lanes, quick for those that string functions live on; the others as `engine.operations` defines them.

Lanes inside one big integer: carries are kept from crossing lanes by holding the top bit of each apart (Warren, Hacker's Delight, 2-18).
"""

from __future__ import annotations

from functools import cache

from tanken.engine.operations import lanewise, mask


@cache
def _ones(lane: int, width: int) -> tuple[int, int]:
    """The top bit of every lane, and all bits but those."""
    top = sum(1 << low + lane - 1 for low in range(0, width, lane))
    return top, mask(width) ^ top


def quick_lanes(operation: str, lane: int, width: int, a: int, b: int) -> int:
    """As operations.lanewise."""
    if operation == "eq":
        top, rest = _ones(lane, width)
        differ = a ^ b
        equal = ((differ & rest) + rest | differ) & top ^ top
        return (equal >> lane - 1) * mask(lane)
    if operation == "add":
        top, rest = _ones(lane, width)
        return (a & rest) + (b & rest) ^ (a ^ b) & top
    if operation == "sub":
        top, rest = _ones(lane, width)
        return (a | top) - (b & rest) ^ (a ^ b ^ top) & top
    if lane == 8 and operation in ("min_u", "max_u"):
        size = width // 8
        return int.from_bytes(bytes(map(min if operation == "min_u" else max, a.to_bytes(size, "little"), b.to_bytes(size, "little"))), "little")
    return lanewise(operation, lane, width, a, b)
