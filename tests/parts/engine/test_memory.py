"""Guest memory against a model so simple that it cannot be wrong: one dictionary of bytes, one of rights."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken.engine.memory import EXEC, LOWEST, PAGE, READ, TOP, WRITE, AddressSpace, Miss
from tanken.engine.shared import Shared

BASE = 0x10_0000
PAGES = 6  # few, so that operations meet each other


@dataclass
class Model:
    """Bytes and rights, one entry an address; rights any of which makes a page readable."""

    data: dict[int, int] = field(default_factory=dict)
    prot: dict[int, int] = field(default_factory=dict)

    def miss(self, address: int, size: int, need: int) -> int | None:
        return next((a for a in range(address, address + size) if a not in self.prot or (need and not self.prot[a] & need)), None)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.data[a] for a in range(address, address + size))

    def write(self, address: int, data: bytes) -> None:
        self.data.update(zip(range(address, address + len(data)), data, strict=True))

    def map(self, address: int, length: int, prot: int, content: bytes) -> None:
        self.write(address, content[:length].ljust(length, b"\0"))
        self.prot.update(dict.fromkeys(range(address, address + length), prot))

    def unmap(self, address: int, length: int) -> None:
        for a in range(address, address + length):
            self.data.pop(a, None)
            self.prot.pop(a, None)

    def fork(self) -> Model:
        return Model(self.data.copy(), self.prot.copy())


pages = st.integers(0, PAGES - 1)
counts = st.integers(1, 3)
prots = st.sampled_from([0, READ, READ | WRITE, READ | EXEC, READ | WRITE | EXEC, WRITE, EXEC])
near_borders = st.builds(lambda page, offset: BASE + page * PAGE + offset, st.integers(0, PAGES), st.integers(-9, 9))
sizes = st.sampled_from([1, 2, 4, 8, 16, 3, 10, 28])
which = st.integers(0, 3)
operations = st.one_of(
    st.tuples(st.just("map"), which, pages, counts, prots, st.binary(max_size=20)),
    st.tuples(st.just("unmap"), which, pages, counts),
    st.tuples(st.just("protect"), which, pages, counts, prots),
    st.tuples(st.just("load"), which, near_borders, sizes),
    st.tuples(st.just("store"), which, near_borders, sizes, st.integers(0, 2**230)),
    st.tuples(st.just("fetch"), which, near_borders),
    st.tuples(st.just("read"), which, near_borders, st.integers(0, PAGE + 20)),
    st.tuples(st.just("write"), which, near_borders, st.binary(max_size=40), st.sampled_from([0, WRITE])),
    st.tuples(st.just("fork"), which),
)


def expect_miss(model: Model, space: AddressSpace, address: int, size: int, need: int, access: str, act: object) -> bool:
    """Whether the model says that the access misses; then the space must say so too, and where."""
    at = model.miss(address, size, need)
    if at is None:
        return False
    with pytest.raises(Miss) as met:
        act()  # type: ignore[operator]
    assert (met.value.address, met.value.access) == (at, access)
    return True


def step(model: Model, space: AddressSpace, operation: tuple) -> None:  # type: ignore[type-arg]
    name, _, *rest = operation
    if name in ("map", "unmap", "protect"):
        address, length = BASE + rest[0] * PAGE, rest[1] * PAGE
        if name == "map":
            space.map(address, length, rest[2], rest[3] or None)
            model.map(address, length, rest[2], rest[3])
        elif name == "unmap":
            space.unmap(address, length)
            model.unmap(address, length)
        elif not expect_miss(model, space, address, length, 0, "w", lambda: space.protect(address, length, rest[2])):
            space.protect(address, length, rest[2])
            model.prot.update(dict.fromkeys(range(address, address + length), rest[2]))
        return
    address = rest[0]
    if name == "load":
        if not expect_miss(model, space, address, rest[1], 7, "r", lambda: space.load(address, rest[1])):
            assert space.load(address, rest[1]) == int.from_bytes(model.read(address, rest[1]), "little")
    elif name == "store":
        if not expect_miss(model, space, address, rest[1], WRITE, "w", lambda: space.store(address, rest[1], rest[2])):
            space.store(address, rest[1], rest[2])
            model.write(address, (rest[2] % (1 << rest[1] * 8)).to_bytes(rest[1], "little"))
    elif name == "fetch":
        if not expect_miss(model, space, address, 1, EXEC, "x", lambda: space.fetch(address)):
            end = model.miss(address, 15, EXEC)
            assert space.fetch(address) == model.read(address, 15 if end is None else end - address)
    elif name == "read":
        if not expect_miss(model, space, address, rest[1], 0, "r", lambda: space.read(address, rest[1])):
            assert space.read(address, rest[1]) == model.read(address, rest[1])
    elif name == "write" and not expect_miss(model, space, address, len(rest[1]), rest[2], "w", lambda: space.write(address, rest[1], rest[2])):
        space.write(address, rest[1], rest[2])
        model.write(address, rest[1])


@settings(max_examples=150, deadline=None)
@given(st.lists(operations, max_size=40))
def test_equals_the_model_over_any_history_forks_included(history: list[tuple]) -> None:  # type: ignore[type-arg]
    worlds = [(Model(), AddressSpace())]
    for operation in history:
        model, space = worlds[operation[1] % len(worlds)]
        if operation[0] == "fork":
            if len(worlds) < 4:
                worlds.append((model.fork(), space.fork()))
        else:
            step(model, space, operation)
    for model, space in worlds:
        listed = {a: m.prot for m in space.mappings() for a in range(m.start, m.end)}
        assert listed == model.prot
        for mapping in space.mappings():
            assert space.read(mapping.start, mapping.length) == model.read(mapping.start, mapping.length)


def space_with(prot: int, length: int = 2 * PAGE) -> AddressSpace:
    space = AddressSpace()
    space.map(BASE, length, prot)
    return space


def test_a_store_into_a_page_that_faults_writes_nothing() -> None:
    space = space_with(READ | WRITE, PAGE)
    with pytest.raises(Miss) as met:
        space.store(BASE + PAGE - 4, 8, 2**64 - 1)
    assert (met.value.address, met.value.size, met.value.access) == (BASE + PAGE, 8, "w")
    assert space.load(BASE + PAGE - 4, 4) == 0


def test_stale_code_is_told_once_for_each_decoding() -> None:
    space, told = space_with(READ | WRITE | EXEC), []
    space.on_code_write = told.append
    space.store(BASE, 8, 1)  # the fast way is open before the first fetch
    for _ in range(2):
        space.fetch(BASE + PAGE - 3)
        space.code_pages |= {BASE // PAGE, BASE // PAGE + 1}
        space.store(BASE + 8, 8, 2)
        space.store(BASE + 8, 8, 3)
        assert told == [BASE // PAGE]
        space.write(BASE + PAGE, b"x")
        assert told == [BASE // PAGE, BASE // PAGE + 1]
        told.clear()
    for change in (lambda: space.protect(BASE, PAGE, EXEC), lambda: space.map(BASE, PAGE, EXEC), lambda: space.unmap(BASE, PAGE)):
        space.code_pages |= {BASE // PAGE}
        change()
        assert told == [BASE // PAGE] and not space.code_pages
        told.clear()


def test_shared_mappings_are_one_memory_in_all_forks() -> None:
    space = AddressSpace()
    space.map(BASE, 4 * PAGE, READ | WRITE, shared=Shared.anonymous(4 * PAGE))
    space.store(BASE, 8, 1)
    child = space.fork()
    child.store(BASE, 8, 2)
    child.store(BASE + PAGE, 8, 3)  # a page nobody had touched at the fork
    child.unmap(BASE, PAGE)
    assert (space.load(BASE, 8), space.load(BASE + PAGE, 8)) == (2, 3)
    assert child.load(BASE + PAGE, 8) == 3


def test_find_free_takes_the_hint_or_the_highest_gap() -> None:
    space = AddressSpace()
    first = space.find_free(PAGE)
    assert first == TOP - PAGE
    space.map(first, PAGE, READ)
    assert space.find_free(2 * PAGE + 1) == TOP - 4 * PAGE
    assert space.find_free(PAGE, BASE + 5) == BASE
    assert space.find_free(PAGE, first) == TOP - 2 * PAGE
    assert space.find_free(TOP) is None
    space.map(LOWEST, TOP - LOWEST, 0)
    assert space.find_free(PAGE) is None


def test_huge_mappings_cost_nothing_until_touched() -> None:
    space = AddressSpace()
    space.map(BASE, 1 << 44, READ | WRITE)
    space.protect(BASE, 1 << 43, READ)
    space.store(BASE + (1 << 43), 1, 7)
    space.fork().unmap(BASE, 1 << 44)
    assert space.load(BASE + (1 << 43), 1) == 7
    assert repr(space) == "<AddressSpace 2 mappings, 1 pages touched>"


def test_a_heap_that_grows_stays_one_mapping() -> None:
    space = AddressSpace()
    for page in (0, 2, 1, 3):
        space.map(BASE + page * PAGE, PAGE, READ | WRITE)
    assert [(m.start, m.length) for m in space.mappings()] == [(BASE, 4 * PAGE)]
    assert space.mapped() == 4 * PAGE


@pytest.mark.parametrize(("address", "length"), [(BASE + 1, PAGE), (BASE, 0), (BASE, -PAGE), (-PAGE, PAGE), ((1 << 64) - PAGE, 2 * PAGE)])
def test_ranges_that_are_none(address: int, length: int) -> None:
    with pytest.raises(ValueError, match="not a range of pages"):
        AddressSpace().map(address, length, READ)


def test_text_stops_at_the_zero_byte_or_the_limit() -> None:
    space = AddressSpace()
    space.map(BASE, 2 * PAGE, READ | WRITE, b"a" * (PAGE + 3))
    assert space.text(BASE + PAGE - 1) == b"aaaa"
    assert space.text(BASE, 100) is None
    space.write(BASE + PAGE, b"a" * PAGE)
    with pytest.raises(Miss):
        space.text(BASE + 2 * PAGE - 4)
