"""The contents of an address space as a value: what is mapped, and every page that is not zero; equal ones compare equal, whatever the engine.

Our own. Taking one reads all pages that were touched; putting one back writes those that differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tanken.engine.memory import PAGE, SHIFT, AddressSpace

ZEROS = bytes(PAGE)


@dataclass(frozen=True, slots=True)
class MemoryImage:
    """Mappings as (start, end, rights), ascending and joined where they touch; pages by number."""

    mappings: tuple[tuple[int, int, int], ...]
    pages: dict[int, bytes] = field(repr=False)

    __hash__ = None  # type: ignore[assignment]

    def differences(self, other: MemoryImage) -> list[tuple[int, int]]:
        """(address, bytes) of each run of bytes that differs, pages that only one has included."""
        found: list[tuple[int, int]] = []
        for number in sorted(self.pages.keys() | other.pages.keys()):
            mine, theirs = self.pages.get(number, ZEROS), other.pages.get(number, ZEROS)
            if mine == theirs:
                continue
            for offset in (n for n in range(PAGE) if mine[n] != theirs[n]):
                at = (number << SHIFT) + offset
                if found and found[-1][0] + found[-1][1] == at:
                    found[-1] = found[-1][0], found[-1][1] + 1
                else:
                    found.append((at, 1))
        return found


def _mappings(space: AddressSpace) -> tuple[tuple[int, int, int], ...]:
    found: list[tuple[int, int, int]] = []
    for mapping in space.mappings():
        if found and found[-1][1] == mapping.start and found[-1][2] == mapping.prot:
            found[-1] = found[-1][0], mapping.end, mapping.prot
        else:
            found.append((mapping.start, mapping.end, mapping.prot))
    return tuple(found)


def _numbers(space: AddressSpace) -> set[int]:
    """Pages that may hold something: touched, or described by what was mapped."""
    numbers = set(space.touched())
    for mapping in space.mappings():
        if mapping.content is not None:
            length = min(mapping.length, max(len(mapping.content) - mapping.offset, 0))
            numbers.update(range(mapping.start >> SHIFT, mapping.start + length + PAGE - 1 >> SHIFT))
        if mapping.shared is not None:
            numbers.update(range(mapping.start >> SHIFT, mapping.reach() >> SHIFT))
    return numbers


def capture(space: AddressSpace, before: MemoryImage | None = None) -> MemoryImage:
    """The contents now; pages that are as in `before` are the same objects."""
    known = before.pages if before is not None else {}
    pages = {}
    for number in _numbers(space):
        page = space.read(number << SHIFT, PAGE)
        if page != ZEROS:
            old = known.get(number)
            pages[number] = old if old == page else page
    return MemoryImage(_mappings(space), pages)


def restore(space: AddressSpace, image: MemoryImage) -> None:
    """Make `space` what it was; what differs in its mappings is mapped anew, shared memory as memory of its own."""
    now = _mappings(space)
    if now != image.mappings:
        for start, end, _ in set(now) - set(image.mappings):
            space.unmap(start, end - start)
        for start, end, prot in set(image.mappings) - set(now):
            space.map(start, end - start, prot)
    for number in _numbers(space) | image.pages.keys():
        page = image.pages.get(number, ZEROS)
        if space.read(number << SHIFT, PAGE) != page:
            space.write(number << SHIFT, page)
