"""What runs often becomes regions: samples, the loop around them, its compilation beside the guest, its place in the code area.

Facts of the method: whenever a slice of instructions is used up, the block that was next is counted; all that a region was made from is
compared with memory before its code is used, in this run or a later one.
"""

from __future__ import annotations

import json
import struct
import threading
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tanken.engine.memory import Miss
from tanken.engine.native import places as P
from tanken.engine.native.places import Site

if TYPE_CHECKING:
    from tanken.engine.native.engine import Native

SLICE = 2_000_000
INTERPRETED = 1000  # instructions of the interpreter's between two samples
ENOUGH = 3  # samples of a block that make it hot
MOST_KEPT = 1024
MOST_TRIED = 48  # heads in one run


@dataclass(frozen=True, slots=True)
class Compiled:
    """A region as it is kept, or, without code, that there is none: guest ranges with their bytes, machine code, jumps to the outside, places that may stop it."""

    head: int
    ranges: tuple[tuple[int, bytes], ...]
    image: bytes
    entry: int
    exits: tuple[tuple[int, int], ...]  # byte offset of a jump's distance, guest address; -1 to the stub of regions, -2 to the dispatcher
    sites: tuple[Site, ...]
    marks: tuple[tuple[int, int], ...]  # byte offset of what may stop it, ascending, and the number of the site
    hooks: int = 0  # with those of a process that were published so often: not kept

    def packed(self) -> bytes:
        """One record of the file of regions."""
        head = {"head": self.head, "ranges": [(at, code.hex()) for at, code in self.ranges], "entry": self.entry,
                "exits": self.exits, "sites": self.sites, "marks": self.marks, "size": len(self.image)}  # fmt: skip
        text = json.dumps(head).encode()
        return struct.pack("<I", len(text)) + text + self.image


def unpacked(data: bytes) -> list[Compiled]:
    """The records of a file."""
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        head = json.loads(data[at + 4 : at + 4 + size])
        at += 4 + size
        ranges = tuple((start, bytes.fromhex(code)) for start, code in head["ranges"])
        exits, marks = (tuple((a, b) for a, b in head[key]) for key in ("exits", "marks"))
        sites = tuple(Site(pc, left, tuple(recipe) if recipe else None, how) for pc, left, recipe, how in head["sites"])
        found.append(Compiled(head["head"], ranges, data[at : at + head["size"]], head["entry"], exits, sites, marks))
        at += head["size"]
    return found


@dataclass(slots=True)
class Installed:
    """A region in the code area."""

    compiled: Compiled
    at: int  # of its code's first byte
    block: int  # offset of its head's block
    original: bytes  # what stood at that block's beginning


class Hot:
    """The regions of one engine."""

    def __init__(self, engine: Native) -> None:
        self.engine = engine
        self.samples: Counter[int] = Counter()
        self.total = 0
        self.tried: set[int] = set()
        self.installed: list[Installed] = []
        self.made: list[Compiled] = []
        self._kept: dict[int, list[Compiled]] | None = None
        self._thread: threading.Thread | None = None
        self._ready: list[Compiled] = []

    # -- counting

    def sample(self, pc: int) -> None:
        """Guest code had come to `pc` when a slice was used up."""
        if self.engine.table is not None and not self.engine.table.settled:
            return
        while self._ready:
            region = self._ready.pop()
            self._known().setdefault(region.head, []).append(region)
            self._install(region)
        for kept in self._known().get(pc, ()):
            if pc not in self.tried and self._fits(kept):
                self._install(kept)
        self.samples[pc] += 1
        self.total += 1
        if self.samples[pc] >= max(ENOUGH, self.total // 25) and pc not in self.tried and self._thread is None and len(self.tried) < MOST_TRIED:
            self._make(pc)

    def _known(self) -> dict[int, list[Compiled]]:
        if self._kept is None:
            self._kept = {}
            for region in self.engine.store.regions():
                self._kept.setdefault(region.head, []).append(region)
            for there in self._kept.values():
                there.sort(key=lambda region: -len(region.ranges))
        return self._kept

    def _fits(self, region: Compiled) -> bool:
        if any(there.compiled.head == region.head for there in self.installed):
            return False
        table = self.engine.table
        if region.hooks:
            if table is None or region.hooks != table.published:
                return False
        elif table is not None and not all(table.free(start, start + len(code)) for start, code in region.ranges):
            return False
        try:
            return all(self.engine.memory.code(start, len(code)) == code for start, code in region.ranges)
        except Miss:
            return False

    # -- making

    def _make(self, pc: int) -> None:
        from tanken.engine.native.loops import members
        from tanken.engine.native.region import Region
        from tanken.engine.native.region_hooks import RegionHooks

        self.tried.add(pc)
        engine, published = self.engine, 0
        hooks = None if engine.table is None else RegionHooks(engine.table, engine.N.CONTINUED_AT)
        try:
            chosen = members(engine.target, engine.memory.fetch, engine.translated(), pc, hooks)
            if not chosen:
                if hooks is None:
                    self.made.append(Compiled(pc, ((pc, engine.memory.code(pc, 1)),), b"", 0, (), (), ()))
                return
            if engine.table is not None and not all(engine.table.free(start, member.end) for start, member in chosen.items()):
                published = engine.table.published
            region = Region(engine.target, chosen, pc, hooks if published else None)
            text = region.text()
            ranges = tuple((start, engine.memory.code(start, member.end - start)) for start, member in chosen.items())
        except Miss:
            return
        for start in chosen:
            self.samples[start] = 0  # those that go on being met outside the region become heads of their own
        self._thread = threading.Thread(target=self._compile, args=(region, text, ranges, published))
        self._thread.start()

    def _compile(self, region: Any, text: str, ranges: tuple[tuple[int, bytes], ...], published: int) -> None:
        from tanken.engine.native.assemble import UnfitError, compile_region

        try:
            image, entry, jumps, marks = compile_region(text)
            outside = {f"EXIT{n}": pc for n, pc in enumerate(region.exits)} | {"REGION": -1, "DISPATCH": -2}
            exits = tuple((at, outside[symbol]) for at, symbol in jumps)
            compiled = Compiled(region.head, ranges, image, entry, exits, tuple(region.sites), marks, published)
            if not published:
                self.made.append(compiled)
            self._ready.append(compiled)
        except UnfitError:
            pass
        self._thread = None

    def wait(self) -> None:
        """Until nothing is being compiled."""
        thread = self._thread
        if thread is not None:
            thread.join()

    # -- in the code area

    def _install(self, region: Compiled) -> None:
        engine, N = self.engine, self.engine.N
        self.tried.add(region.head)
        for start, _ in region.ranges:
            self.samples[start] = 0
        block = engine.find_block(region.head)
        if not region.image or block < 0 or not self._fits(region) or engine.tab[N.AREA_AT] + len(region.image) > engine.tab[N.AREA_SIZE] - 65536:
            return
        at = (engine.tab[N.AREA_AT] + 63) & -64
        area = engine.area.bytes
        area[at : at + len(region.image)] = region.image
        engine.add_region_site(at, region.head)
        end = at + len(region.image)
        for offset, target in region.exits:
            hole = at + offset
            if target < 0:
                stub = engine.tab[N.STUBS + (N.REGION if target == -1 else N.DISPATCH)]
                struct.pack_into("<i", area, hole, stub - (hole + 4))
            else:
                end = engine.link(hole, target, end)
        engine.tab[N.AREA_AT] = end
        self.installed.append(Installed(region, at, block, bytes(area[block : block + 5])))
        area[block : block + 5] = b"\xe9" + struct.pack("<i", at + region.entry - (block + 5))

    def site(self, host: int | None) -> Site:
        """Where a region stopped: by a fault of the code at `host`, or of itself."""
        block = self.engine.block
        (entry,) = struct.unpack_from("<Q", block, P.REGION_AT)
        (number,) = struct.unpack_from("<I", block, P.SITE_AT)
        base = self.engine.area.run_at
        region = next(there for there in self.installed if base + there.at + there.compiled.entry == entry)
        if host is not None:
            marks = region.compiled.marks
            number = marks[bisect_right(marks, (host - base - region.at, len(region.compiled.sites))) - 1][1]
        found: Site = region.compiled.sites[number]
        return found

    def forget(self, start: int, end: int) -> None:
        """Turn away from the regions that have bytes in [start, end)."""
        for there in [t for t in self.installed if any(at < end and at + len(code) > start for at, code in t.compiled.ranges)]:
            self.installed.remove(there)
            self.samples.clear()
            self.tried.clear()
            if self.engine.find_block(there.compiled.head) == there.block:
                self.engine.area.bytes[there.block : there.block + 5] = there.original

    def flush(self) -> None:
        """The code area begins anew."""
        self.installed.clear()
        self.begin_anew()

    def begin_anew(self) -> None:
        """What was tried may be tried again; what was made with other hooks is no use any more."""
        table = self.engine.table
        published = 0 if table is None else table.published
        for head, known in (self._kept or {}).items():
            self._known()[head] = [region for region in known if region.hooks in (0, published)]
        self.samples.clear()
        self.tried.clear()
