"""A simulated optical drive: takes SCSI commands byte for byte, answers as a family does, and reports the errors of a measured disc.

MMC-6 for INQUIRY, READ CAPACITY, READ (12), READ CD, READ DVD STRUCTURE; vendors' commands as in `commands.table`, parsed here on their own.
Its faults can be set: zero reports, a gain, noise, unreadable sectors, unknown commands.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from tanken.disc.drive.scsi import CHECK, GOOD, Reply
from tanken.disc.measure import BlockLine, Measurement, SecondLine

ILLEGAL = Reply(CHECK, b"", 5, 0x20, 0)
MEDIUM = Reply(CHECK, b"", 3, 0x11, 0)
RANGE = Reply(CHECK, b"", 5, 0x21, 0)


@dataclass
class Drive:
    """A drive of a family with a disc in it; `structures` are replies to READ DVD STRUCTURE by format, 0x104 that to READ TOC with ATIP."""

    disc: Measurement
    family: str
    gain: float = 1.0
    noise: float = 0.0
    zero: bool = False
    unreadable: frozenset[int] = frozenset()  # intervals of ECC blocks or seconds
    seed: int = 0
    structures: dict[int, bytes] = field(default_factory=dict)
    log: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._running = False
        self._since = np.zeros(8, dtype=np.int64)  # counts since the last read-out
        self._next = 0  # of drives that move on by themselves
        self._waiting: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None

    @property
    def cd(self) -> bool:
        return self.disc.kind == "cd"

    @property
    def sectors(self) -> int:
        return len(self.disc.lines) * (75 if self.cd else 16)

    def _counts(self, index: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """DVD: pi, pif, po, pof; CD: e11, e21, e31, e12, e22, e32, cu, bler: as this drive sees them."""
        out = np.zeros(8, dtype=np.int64)
        if self.zero or index >= len(self.disc.lines):
            return out
        line = self.disc.lines[index]
        if isinstance(line, BlockLine):
            out[:4] = [line.pi or 0, line.pif or 0, line.po or 0, line.pof or 0]
        elif isinstance(line, SecondLine):
            c1, c2 = line.c1 or {}, line.c2 or {}
            out[:] = [*(c1.get(n, 0) for n in ("e11", "e21", "e31")), *(c2.get(n, 0) for n in ("e12", "e22", "e32", "cu")), line.bler or 0]
        seen = out * self.gain
        noisy = np.rint(seen + self.noise * np.sqrt(seen) * self._rng.normal(size=8))
        return np.array(np.maximum(0, noisy), dtype=np.int64)

    def command(self, cdb: bytes, length: int) -> Reply:
        """Answers one command."""
        self.log.append(cdb)
        if len(cdb) != 12:
            return ILLEGAL
        standard = {0x00: self._ready, 0x12: self._inquiry, 0x25: self._capacity, 0x2B: self._seek, 0x43: self._toc, 0xA8: self._read12,
                    0xAD: self._structure, 0xBE: self._read_cd}  # fmt: skip
        handler = standard.get(cdb[0])
        if handler is None:
            handler = {("plextor", 0xEA): self._plextor, ("liteon", 0xF3): self._liteon, ("liteon-old", 0xDF): self._liteon_old}.get((self.family, cdb[0]))
        reply = handler(cdb) if handler else ILLEGAL
        return Reply(reply.status, reply.data[:length], reply.key, reply.code, reply.qualifier)

    def _ready(self, cdb: bytes) -> Reply:
        return Reply(GOOD, b"")

    def _seek(self, cdb: bytes) -> Reply:
        self._next = int.from_bytes(cdb[2:6], "big") // (75 if self.cd else 128)
        return Reply(GOOD, b"")

    def _inquiry(self, cdb: bytes) -> Reply:
        return Reply(GOOD, bytes((5, 0x80, 0, 0x32, 31, 0, 0, 0)) + b"TANKEN  " + f"SIM {self.family}".encode().ljust(16)[:16] + b"1.00")

    def _capacity(self, cdb: bytes) -> Reply:
        return Reply(GOOD, struct.pack(">II", self.sectors - 1, 2048)) if self.disc.lines else Reply(CHECK, b"", 2, 0x3A, 0)

    def _structure(self, cdb: bytes) -> Reply:
        found = self.structures.get(cdb[7])
        return Reply(GOOD, found) if found is not None else Reply(CHECK, b"", 5, 0x24, 0)

    def _toc(self, cdb: bytes) -> Reply:
        found = self.structures.get(0x100 + (cdb[2] & 15))
        return Reply(GOOD, found) if found is not None else Reply(CHECK, b"", 5, 0x24, 0)

    def _reached(self, block: int, count: int) -> Reply | None:
        if block + count > self.sectors:
            return RANGE
        size = 75 if self.cd else 16
        for index in range(block // size, -(-(block + count) // size)):
            if self._running:
                self._since += self._counts(index)
            if index in self.unreadable:
                return MEDIUM
        return None

    def _read12(self, cdb: bytes) -> Reply:
        block, count = struct.unpack(">II", cdb[2:10])
        if self.cd or count > 1024:
            return ILLEGAL
        return self._reached(block, count) or Reply(GOOD, bytes(2048 * count))

    def _read_cd(self, cdb: bytes) -> Reply:
        block, count = int.from_bytes(cdb[2:6], "big"), int.from_bytes(cdb[6:9], "big")
        if not self.cd or count > 256:
            return ILLEGAL
        count = min(count, max(0, self.sectors - block))
        refused = self._reached(block, count)
        if refused:
            return refused
        if cdb[9] & 6 == 0:
            return Reply(GOOD, bytes(2352 * count))
        size = 2352 + (296 if cdb[9] & 6 == 4 else 294)
        out = np.zeros((count, size), dtype=np.uint8)
        for i in range(count):
            line = self.disc.lines[(block + i) // 75]
            bits = 0 if self.zero or not isinstance(line, SecondLine) else (line.c2_pointers or (line.c2 or {}).get("cu", 0)) // 75
            out[i, size - 294 :] = np.packbits(np.arange(294 * 8) < bits)
        return Reply(GOOD, out.tobytes())

    def _plextor(self, cdb: bytes) -> Reply:
        if cdb[1] == 0x15:
            self._running, self._since = True, np.zeros(8, dtype=np.int64)
            return Reply(GOOD, b"")
        if cdb[1] == 0x17:
            self._running = False
            return Reply(GOOD, b"")
        if cdb[1] != 0x16 or not self._running:
            return Reply(CHECK, b"", 5, 0x2C, 0)
        counts, self._since = self._since, np.zeros(8, dtype=np.int64)
        if cdb[2] == 1 and self.cd:
            e11, e21, e31, e12, e22, e32, cu, bler = (min(65535, int(n)) for n in counts)
            return Reply(GOOD, bytes(10) + struct.pack(">8H", bler, e31, e21, e11, cu, e32, e22, e12))
        out = bytearray(52)
        pi, pif, po, pof = (int(n) for n in counts[:4])
        for at, value in ((0x14, pi), (0x18, po << 4), (0x24, pif), (0x28, pof)):
            struct.pack_into(">I", out, at, value)
        return Reply(GOOD, bytes(out))

    def _liteon(self, cdb: bytes) -> Reply:
        if cdb[1] != 0x0E or (cdb[8] == 0x10) == self.cd:
            return ILLEGAL
        if not self._running:  # the first is the question whether the command is known
            self._running = True
            return Reply(GOOD, bytes(16))
        if self._next * (75 if self.cd else 128) >= self.sectors:
            self._next = 0
        index, self._next = self._next, self._next + 1
        if self.cd:
            counts = self._counts(index)
            return Reply(GOOD, bytes((0, index // 60, index % 60, 0)) + struct.pack(">HH", min(65535, int(counts[7])), min(65535, int(counts[4]))) + bytes(8))
        total = sum((self._counts(8 * index + i) for i in range(8)), np.zeros(8, dtype=np.int64))
        return Reply(GOOD, struct.pack(">IHH", 128 * index, min(65535, int(total[0])), min(65535, int(total[1]))) + bytes(8))

    def _liteon_old(self, cdb: bytes) -> Reply:
        if cdb[1] in (0xA0, 0xA3):
            self._next = 0
        elif cdb[1] == 0x82 and cdb[2] == 9:
            self._waiting = self._counts(self._next)
            self._next += 1
        elif cdb[1] == 0x82 and cdb[2] == 5 and self._waiting is not None:
            bler, e22, e32 = (int(self._waiting[i]) for i in (7, 4, 5))
            return Reply(GOOD, (struct.pack(">HHB", min(65535, bler), min(65535, e22), min(255, e32))).ljust(256, b"\0"))
        elif cdb[1] != 0x97:
            return ILLEGAL
        return Reply(GOOD, bytes(256))
